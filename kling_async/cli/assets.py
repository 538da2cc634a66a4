"""`kling-async assets`: upload, list and delete files; links to what was made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..models.assets import FILE_TYPES, SORTS
from ..models.tasks import CONTENT_TYPES
from .output import answer, email_option
from .session import Session, with_session

page_num_option = click.option("--page-num", type=int, metavar="N", help="From 1.")
sort_option = click.option("--sort", type=click.Choice(SORTS), help="Default: newest first.")
kind_option = click.option("--content-type", type=click.Choice(CONTENT_TYPES), help="Only these.")


@click.group()
def assets() -> None:
    """Upload, list and delete files; fetch what was made."""


@assets.command("upload")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--content-type", metavar="TYPE", help="Default: found from the file.")
@email_option
@with_session
def upload(session: Session, file: Path, content_type: str | None, email: str | None) -> None:
    """Upload an image, video or audio file."""
    answer(session, lambda kling: kling.assets.upload(file, content_type, email=email))


@assets.command("list")
@page_num_option
@click.option("--page-size", type=int, metavar="N", help="Default 20; a shorter page is the last.")
@kind_option
@click.option("--file-name", metavar="PART", help="Only files with this in their name.")
@sort_option
@email_option
@with_session
def list_(session: Session, **fields: Any) -> None:
    """List uploaded files, one JSON object a line."""
    answer(session, lambda kling: kling.assets.uploaded(**fields))


@assets.command("generated")
@page_num_option
@click.option("--page-size", type=int, metavar="N", help="Default 40.")
@kind_option
@sort_option
@email_option
@with_session
def generated(session: Session, **fields: Any) -> None:
    """Show what an account has made, and what it may still make."""
    answer(session, lambda kling: kling.assets.generated(**fields))


@assets.command("delete")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@email_option
@with_session
def delete(session: Session, ids: tuple[str, ...], email: str | None) -> None:
    """Delete up to ten uploaded files, for good; ids are those of `assets list`."""
    answer(session, lambda kling: kling.assets.delete_uploaded(ids, email=email))


@assets.command("link")
@click.argument("work_ids", nargs=-1, required=True, metavar="WORK_ID...")
@click.option(
    "--file-type",
    "file_types",
    multiple=True,
    type=click.Choice(FILE_TYPES, case_sensitive=False),
    help="May be repeated. Only one work with one type is not a zip.",
)
@email_option
@with_session
def link(
    session: Session, work_ids: tuple[str, ...], file_types: tuple[Any, ...], email: str | None
) -> None:
    """Print a link to works without watermark (paid Kling plans)."""
    answer(
        session,
        lambda kling: kling.assets.download_link(
            work_ids, file_types=file_types or None, email=email
        ),
    )

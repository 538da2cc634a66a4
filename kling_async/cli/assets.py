"""`kling-async assets`: upload, list and delete files; links to what was made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from .._files.downloads import Download
from ..client import AsyncKlingClient
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


@assets.command("download")
@click.argument("works", nargs=-1, metavar="[WORK_ID|URL]...")
@click.option("--task", "task_id", metavar="TASK_ID", help="The first work of a task instead.")
@click.option("--to", type=click.Path(path_type=Path), required=True, help="A file or a directory.")
@click.option(
    "--file-type",
    "file_types",
    multiple=True,
    type=click.Choice(FILE_TYPES, case_sensitive=False),
    help="Default: what the work is. May be repeated; several come as a zip.",
)
@click.option(
    "--clean/--watermark",
    default=None,
    help="Only without watermark (paid Kling plans), or with. Default: without where possible.",
)
@email_option
@with_session
def download(
    session: Session,
    works: tuple[str, ...],
    task_id: str | None,
    to: Path,
    file_types: tuple[Any, ...],
    clean: bool | None,
    email: str | None,
) -> None:
    """Fetch works as a file, whole or not at all; several come as one zip."""
    if bool(works) == bool(task_id):
        raise click.UsageError("name works to download, or give --task, and not both")

    async def fetched(kling: AsyncKlingClient) -> Download:
        wanted: Any = works[0] if len(works) == 1 else works
        if task_id:
            wanted = await kling.tasks.get(task_id, email=email)
        return await kling.assets.download(
            wanted, to, file_type=file_types or None, clean=clean, email=email
        )

    def shown(done: Download) -> None:
        told = {"path": str(done.path), "bytes": done.size_bytes, "clean": done.clean}
        click.echo(json.dumps(told, ensure_ascii=False))
        if done.reason:
            click.echo(f"With watermark: {done.reason}", err=True)

    answer(session, fetched, shown)

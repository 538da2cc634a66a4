"""`kling-async tasks`: jobs and their results."""

from __future__ import annotations

from typing import Any

import click

from ..models.tasks import CONTENT_TYPES
from .output import answer, email_option
from .session import Session, with_session


@click.group()
def tasks() -> None:
    """Show, list and delete jobs."""


@tasks.command("get")
@click.argument("task_id")
@email_option
@with_session
def get(session: Session, task_id: str, email: str | None) -> None:
    """Show one task as it is now."""
    answer(session, lambda kling: kling.tasks.get(task_id, email=email))


@tasks.command("list")
@click.option("--page-size", type=int, metavar="N", help="How many; the most is unknown.")
@click.option("--content-type", type=click.Choice(CONTENT_TYPES), help="Only these.")
@click.option(
    "--before",
    "created_before_ms",
    type=int,
    metavar="MS",
    help="Only older ones, epoch milliseconds; the last createTime gives the next page.",
)
@click.option(
    "--after",
    "created_after_ms",
    type=int,
    metavar="MS",
    help="Only newer; not with --before.",
)
@email_option
@with_session
def list_(session: Session, **fields: Any) -> None:
    """List the latest tasks, newest first, one JSON object a line."""
    answer(session, lambda kling: kling.tasks.list(**fields))


@tasks.command("delete")
@click.argument("task_id")
@email_option
@with_session
def delete(session: Session, task_id: str, email: str | None) -> None:
    """Delete a finished task and all its works, for good."""
    answer(session, lambda kling: kling.tasks.delete(task_id, email=email))

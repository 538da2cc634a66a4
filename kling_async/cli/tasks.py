"""`kling-async tasks`: jobs and their results."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import Any

import click

from .. import settings
from ..client import AsyncKlingClient
from ..models.tasks import CONTENT_TYPES, Task
from .output import answer, email_option, say
from .session import Session, with_session


@click.group()
def tasks() -> None:
    """Show, list, delete and wait for jobs."""


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
    help="Only newer; with --before only together with --all.",
)
@click.option("--all", "every", is_flag=True, help="Page by page to the end, or to --after.")
@email_option
@with_session
def list_(session: Session, every: bool, **fields: Any) -> None:
    """List the latest tasks, newest first, one JSON object a line."""

    async def pages(kling: AsyncKlingClient) -> None:
        async with aclosing(kling.tasks.iter(**fields)) as history:
            async for one in history:
                click.echo(json.dumps(one.raw, ensure_ascii=False))

    answer(session, pages if every else lambda kling: kling.tasks.list(**fields))


@tasks.command("wait")
@click.argument("task_id")
@click.option(
    "--deadline",
    "deadline_s",
    type=click.FloatRange(min=0, min_open=True),
    default=settings.WAIT_WITHIN_S,
    show_default=True,
    metavar="SECONDS",
    help="Give up then; the job goes on at Kling.",
)
@email_option
@with_session
def wait(session: Session, task_id: str, deadline_s: float, email: str | None) -> None:
    """Wait until a task has succeeded, and show it; each step on the way goes to stderr.

    The exit code is 1 where the job failed, or was not over in time.
    """

    async def awaited(kling: AsyncKlingClient) -> Task:
        states = kling.tasks.watch(task_id, deadline_s=deadline_s, email=email)
        last: Task | None = None
        async with aclosing(states):
            async for last in states:
                say(f"task {last.id}: {last.status_name or last.status or 'no state yet'}")
        assert last is not None  # the last one is final, or watch raises
        # One that failed is waited for once more, which says why, as an error.
        return await kling.tasks.wait(last, email=email) if last.failed else last

    answer(session, awaited)


@tasks.command("delete")
@click.argument("task_id")
@email_option
@with_session
def delete(session: Session, task_id: str, email: str | None) -> None:
    """Delete a finished task and all its works, for good."""
    answer(session, lambda kling: kling.tasks.delete(task_id, email=email))

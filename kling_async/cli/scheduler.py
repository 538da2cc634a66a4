"""`kling-async scheduler`: which jobs run, and where there is room for more."""

from __future__ import annotations

import click

from .output import answer, say
from .session import Session, with_session


@click.group()
def scheduler() -> None:
    """What useapi.net keeps track of, for all accounts at once."""


@scheduler.command("running")
@with_session
def running(session: Session) -> None:
    """List the jobs that are tracked now, one JSON object a line."""
    answer(session, lambda kling: kling.scheduler.running())


@scheduler.command("available")
@with_session
def available(session: Session) -> None:
    """Show the free job slots of every account."""
    answer(session, lambda kling: kling.scheduler.available())


@scheduler.command("forget")
@click.argument("task_id")
@with_session
def forget(session: Session, task_id: str) -> None:
    """Stop tracking a task. This does NOT cancel it: it runs on and is charged."""

    def shown(_: object) -> None:
        say(f"Task {task_id} is no longer tracked. It was not cancelled: it runs on, is charged,")
        say(f"and can be looked at with `kling-async tasks get {task_id}`.")

    answer(session, lambda kling: kling.scheduler.forget(task_id), shown)

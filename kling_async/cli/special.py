"""Which commands do more than send one request? They ask twice, hide something, or take stdin.

Passwords come from a prompt, stdin or the environment: as an argument, every user of the machine
could read them in the list of processes, and the shell would keep them in its history.
"""

from __future__ import annotations

import os
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

import click

from .. import settings
from .._files.downloads import Download
from ..client import AsyncKlingClient
from ..models.accounts import ServerAccount
from ..models.assets import FILE_TYPES
from ..models.tasks import CONTENT_TYPES, Task
from .output import answer, email_option, say
from .session import Session, with_session
from .streams import echo, echo_json
from .tables import print_list

PASSWORD, PASS_TOKEN, DID, USER_ID = (
    "KLING_PASSWORD",
    "KLING_PASS_TOKEN",
    "KLING_DID",
    "KLING_USER_ID",
)


avatars: Final = click.Group(
    "avatars", help="Make, list, show and delete avatars, and make them talk."
)
tasks: Final = click.Group("tasks", help="Show, list, delete and wait for jobs.")
scheduler: Final = click.Group(
    "scheduler", help="What useapi.net tracks, for all accounts at once."
)
assets: Final = click.Group("assets", help="Upload, list and delete files; fetch what was made.")
tts: Final = click.Group("tts", help="Text to speech.")
videos: Final = click.Group(
    "videos",
    help="Make and change videos, which cost credits; `tasks wait` waits for them.",
)
images: Final = click.Group(
    "images",
    help="Start pictures, which cost credits; `tasks wait` waits for them. Find faces, free.",
)
elements: Final = click.Group(
    "elements", help="Persons and things that pictures and videos can name."
)
accounts: Final = click.Group("accounts", help="The Kling accounts that useapi.net has configured.")


@avatars.command("get")
@click.argument("avatar_id")
@email_option
@with_session
def avatars_get(session: Session, avatar_id: str, email: str | None) -> None:
    """Show one avatar."""
    answer(session, lambda kling: kling.avatars.get(avatar_id, email=email))


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
def tasks_list(session: Session, every: bool, **fields: Any) -> None:
    """List the latest tasks, newest first: a table, or JSON lines in a pipe and with --all."""

    async def pages(kling: AsyncKlingClient) -> None:
        async with aclosing(kling.tasks.iter(**fields)) as history:
            async for one in history:
                echo_json(one.raw)

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
def tasks_wait(session: Session, task_id: str, deadline_s: float, email: str | None) -> None:
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


@scheduler.command("forget")
@click.argument("task_id")
@with_session
def scheduler_forget(session: Session, task_id: str) -> None:
    """Stop tracking a task. This does NOT cancel it: it runs on and is charged."""

    def shown(_: object) -> None:
        say(f"Task {task_id} is no longer tracked. It was not cancelled: it runs on, is charged,")
        say(f"and can be looked at with `kling-async tasks get {task_id}`.")

    answer(session, lambda kling: kling.scheduler.forget(task_id), shown)


@assets.command("delete")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@email_option
@with_session
def assets_delete(session: Session, ids: tuple[str, ...], email: str | None) -> None:
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
def assets_link(
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
def assets_download(
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
        echo_json(told)
        if done.reason:
            say(f"With watermark: {done.reason}")

    answer(session, fetched, shown)


@tts.command("create")
@click.argument("text")
@click.option("--speaker-id", metavar="SPEAKER_ID", required=True, help="See `tts voices`.")
@click.option("--speed", type=float, help="0.8 to 2.0.")
@click.option("--emotion", metavar="KEY", help="One that the voice has.")
@email_option
@with_session
def tts_create(
    session: Session,
    text: str,
    speaker_id: str,
    speed: float | None,
    emotion: str | None,
    email: str | None,
) -> None:
    """Speak TEXT, or what comes on stdin where it is `-`; prints where the MP3 is. Free."""
    if text == "-":
        text = sys.stdin.read().strip()
    answer(
        session,
        lambda kling: kling.tts.create(
            text, speaker_id=speaker_id, speed=speed, emotion=emotion, email=email
        ),
    )


@accounts.command("list")
@with_session
def accounts_list(session: Session) -> None:
    """List the accounts: a table, or JSON lines in a pipe; sessions are left out."""

    def shown(found: list[ServerAccount]) -> None:
        print_list([{"email": one.email, "maxJobs": one.max_jobs} for one in found])

    answer(session, lambda kling: kling.accounts.list(), shown)


@accounts.command("get")
@click.argument("email", required=False)
@with_session
def accounts_get(session: Session, email: str | None) -> None:
    """Show an account with its balance; the session is left out."""
    answer(session, lambda kling: kling.accounts.get(email), _shown)


@accounts.command("add")
@click.argument("email")
@click.option("--max-jobs", type=int, required=True, help="Jobs it may run at once, 1 to 50.")
@click.option("--password-stdin", is_flag=True, help="Read the password from stdin, one line.")
@click.option("--dry-run", is_flag=True, help="Only check the login, store nothing.")
@with_session
def accounts_add(
    session: Session, email: str, max_jobs: int, password_stdin: bool, dry_run: bool
) -> None:
    """Add or change an account; the server logs in to see whether the password works.

    The password is asked for, or taken from stdin (--password-stdin) or KLING_PASSWORD. Where Kling
    asks for a captcha, set KLING_PASS_TOKEN, KLING_DID and KLING_USER_ID from a browser's cookies.
    """
    password = _password(email, password_stdin)
    answer(
        session,
        lambda kling: kling.accounts.add(
            email,
            password,
            max_jobs=max_jobs,
            pass_token=os.environ.get(PASS_TOKEN) or None,
            did=os.environ.get(DID) or None,
            user_id=os.environ.get(USER_ID) or None,
            dry_run=dry_run or None,
        ),
        _shown,
    )


@accounts.command("remove")
@click.argument("email")
@with_session
def accounts_remove(session: Session, email: str) -> None:
    """Remove an account from useapi.net; at Kling nothing changes."""

    def shown(_: object) -> None:
        say(f"{email} is removed from useapi.net. To have it back, add it with its password.")

    answer(session, lambda kling: kling.accounts.remove(email), shown)


@accounts.command("sync")
@with_session
def accounts_sync(session: Session) -> None:
    """Print the configured accounts as a value for KLING_ACCOUNTS."""
    answer(
        session,
        lambda kling: kling.accounts.sync(),
        lambda found: echo(",".join(one.email for one in found), result=True),
    )


def _password(email: str, from_stdin: bool) -> str:
    if from_stdin:
        given = sys.stdin.readline().rstrip("\r\n")
        if not given:
            raise click.UsageError("--password-stdin: there is no password on stdin")
        return given
    if given := os.environ.get(PASSWORD, ""):
        return given
    if not sys.stdin.isatty():
        raise click.UsageError(
            "there is no terminal to ask for the password on: "
            f"use --password-stdin, or set {PASSWORD}"
        )
    return str(click.prompt(f"Kling password of {email}", hide_input=True, err=True))


def _shown(account: ServerAccount) -> None:
    raw = account.raw if isinstance(account.raw, dict) else {}
    hidden = ("session", "password")
    found = {name: value for name, value in raw.items() if name not in hidden}
    echo_json(found, indent=2)

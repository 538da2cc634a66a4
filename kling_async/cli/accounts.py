"""`kling-async accounts`: the Kling accounts that useapi.net has configured.

Passwords come from a prompt, stdin or the environment: as an argument, every user of the machine
could read them in the list of processes, and the shell would keep them in its history.
"""

from __future__ import annotations

import json
import os
import sys

import click

from ..models.accounts import ServerAccount
from .output import answer, say
from .session import Session, with_session

PASSWORD, PASS_TOKEN, DID, USER_ID = (
    "KLING_PASSWORD",
    "KLING_PASS_TOKEN",
    "KLING_DID",
    "KLING_USER_ID",
)


@click.group()
def accounts() -> None:
    """The Kling accounts that useapi.net has configured."""


@accounts.command("list")
@with_session
def list_(session: Session) -> None:
    """List the accounts, one JSON object a line; sessions are left out."""

    def shown(found: list[ServerAccount]) -> None:
        for one in found:
            click.echo(json.dumps({"email": one.email, "maxJobs": one.max_jobs}))

    answer(session, lambda kling: kling.accounts.list(), shown)


@accounts.command("get")
@click.argument("email", required=False)
@with_session
def get(session: Session, email: str | None) -> None:
    """Show an account with its balance; the session is left out."""
    answer(session, lambda kling: kling.accounts.get(email), _shown)


@accounts.command("add")
@click.argument("email")
@click.option("--max-jobs", type=int, required=True, help="Jobs it may run at once, 1 to 50.")
@click.option("--password-stdin", is_flag=True, help="Read the password from stdin, one line.")
@click.option("--dry-run", is_flag=True, help="Only check the login, store nothing.")
@with_session
def add(session: Session, email: str, max_jobs: int, password_stdin: bool, dry_run: bool) -> None:
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
def remove(session: Session, email: str) -> None:
    """Remove an account from useapi.net; at Kling nothing changes."""

    def shown(_: object) -> None:
        say(f"{email} is removed from useapi.net. To have it back, add it with its password.")

    answer(session, lambda kling: kling.accounts.remove(email), shown)


@accounts.command("sync")
@with_session
def sync(session: Session) -> None:
    """Print the configured accounts as a value for KLING_ACCOUNTS."""
    answer(
        session,
        lambda kling: kling.accounts.sync(),
        lambda found: click.echo(",".join(one.email for one in found)),
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
    click.echo(json.dumps(found, ensure_ascii=False, indent=2))

"""Is all there that a job needs? `doctor` looks at set-up, server, clock and disk, and says so."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from http.client import HTTPException
from pathlib import Path
from typing import Literal
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener, getproxies

import click
from attrs import asdict, frozen

from .. import settings
from .._transport.retry_after import http_date
from ..client import AsyncKlingClient
from ..errors import APIError, KlingError
from ..models.prices import HUNDREDTHS
from ..models.text import printable
from .config import Setting
from .session import DONE, TROUBLE, Session, run, with_session
from .streams import echo_json, echo_raw

LEAST_FREE_BYTES = 1 << 30
"""On the disk of this folder; a video is some 10 MB."""
VARIABLES = ("USEAPI_TOKEN", "KLING_ACCOUNTS", "KLING_BASE_URL", "SSL_CERT_FILE", "SSL_CERT_DIR")


@frozen
class Finding:
    """One thing that was looked at."""

    what: str
    state: Literal["fine", "look", "wrong"]
    said: str


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="As JSON lines.")
@with_session
def doctor_command(session: Session, as_json: bool) -> None:
    """Look at token, accounts, balances, clock, proxy and disk; nothing is made and nothing paid.

    Secrets are not shown. Exit code: 0 where a job can run, 1 where something is wrong.
    """

    async def work() -> int:
        code = DONE
        async for one in _findings(session):
            if as_json or not sys.stdout.isatty():
                echo_json(asdict(one))
            else:
                colour = {"fine": "green", "look": "yellow", "wrong": "red"}[one.state]
                state = click.style(f"{one.state:5}", fg=colour)
                echo_raw(f"{state} {printable(one.what)}: {printable(one.said)}")
            code = TROUBLE if one.state == "wrong" else code
        return code

    run(work())


async def _findings(session: Session) -> AsyncIterator[Finding]:
    named = [one for one in VARIABLES if os.environ.get(one)]
    yield Finding("environment", "fine", f"{', '.join(named) or 'nothing'} set")
    settings_found: list[Setting] = click.get_current_context().find_root().obj or []
    for given in settings_found:
        yield Finding(f"setting {given.name}", "fine", f"{given.shown}, from {given.source}")
    yield _proxy()
    yield await asyncio.to_thread(_disk, Path.cwd())
    yield await asyncio.to_thread(_temporary)
    try:
        async with session.client() as kling:
            async for one in _of_server(session, kling):
                yield one
    except KlingError as exc:
        yield Finding("client", "wrong", str(exc))


async def _of_server(session: Session, kling: AsyncKlingClient) -> AsyncIterator[Finding]:
    try:
        began = time.monotonic()
        accounts = await kling.accounts.list()
    except KlingError as exc:
        what = "token" if isinstance(exc, APIError) and exc.status_code in (401, 402) else "server"
        yield Finding(what, "wrong", str(exc))
        return
    took_s = time.monotonic() - began
    yield Finding("server", "fine", f"{kling._pipeline.service} answered in {took_s:.2f} s")
    yield Finding("token", "fine", "the server takes it")
    if not session.emulated:
        date = await asyncio.to_thread(_date_of, settings.base_url(session.base_url))
        yield clock_finding(date, time.time())
    if not accounts:
        yield Finding("accounts", "wrong", "none is configured: kling-async accounts add EMAIL")
    known = {one.email for one in accounts}
    for asked in (one.email for one in session.registry()):
        if asked not in known:
            yield Finding(f"account {asked}", "wrong", "the server does not have it")
    for account in accounts:
        yield await _account(kling, account.email)


async def _account(kling: AsyncKlingClient, email: str) -> Finding:
    try:
        found = await kling.accounts.get(email)
    except KlingError as exc:
        return Finding(f"account {email}", "wrong", str(exc))
    slots = f"{found.max_jobs} jobs at once" if found.max_jobs else "slots unknown"
    total = None if found.balance is None else found.balance.total
    if total is None:
        return Finding(f"account {email}", "look", f"its balance is not shown; {slots}")
    said = f"{total / HUNDREDTHS:g} credits, {slots}"
    return Finding(f"account {email}", "fine" if total > 0 else "look", said)


def _date_of(url: str) -> str | None:
    """The server's time as it stands in the head of any answer; asked for without the token."""
    direct = settings.is_loopback(urlsplit(url).hostname or "")
    opener = build_opener(ProxyHandler({} if direct else None))
    try:
        with opener.open(Request(url, method="HEAD"), timeout=10) as answer:
            date: str | None = answer.headers["Date"]
            return date
    except HTTPError as exc:
        with exc:
            return exc.headers["Date"]
    except (OSError, HTTPException):
        return None


def clock_finding(date: str | None, now_s: float) -> Finding:
    """How far the server's clock is from ours, by its `Date`; ours decides what is too old."""
    told_s = http_date(date or "")
    if told_s is None:
        return Finding("clock", "look", "the server does not tell its time")
    ahead_s = told_s - now_s
    if abs(ahead_s) > settings.CLOCK_SLACK_S:
        said = f"it is {abs(ahead_s):.0f} s {'behind' if ahead_s > 0 else 'ahead of'} the server's"
        return Finding("clock", "wrong", f"{said}; set it: a lost avatar is known by its time")
    return Finding("clock", "fine", f"within {max(abs(ahead_s), 1):.0f} s of the server's")


def _proxy() -> Finding:
    found = sorted(name for name in getproxies() if name != "no")
    return Finding(
        "proxy", "fine", f"by the environment for {', '.join(found)}" if found else "none"
    )


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    said = f"{free / 2**30:.1f} GiB free in {folder}"
    if not os.access(folder, os.W_OK):
        return Finding("disk", "wrong", f"{folder} can't be written, and a ledger lies there")
    return Finding("disk", "fine" if free > LEAST_FREE_BYTES else "look", said)


def _temporary() -> Finding:
    try:
        with tempfile.TemporaryFile():
            return Finding("temporary folder", "fine", tempfile.gettempdir())
    except OSError as exc:
        return Finding("temporary folder", "wrong", f"can't be written: {exc}")

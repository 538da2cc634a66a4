"""`kling-async bulk`: run, status, export, retry. Checks first, then hands over to `job.py`."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from ..bulk.check import Checked, check_input, check_voices
from ..bulk.export import export, flat
from ..bulk.feed import registered
from ..bulk.journal import Journal, open_journal
from ..bulk.ledger import Ledger
from ..bulk.ledgerfile import is_begun
from ..bulk.ledgerview import LedgerView
from ..bulk.located import InputError
from ..bulk.records import UNSETTLED, Record, State
from ..client import AsyncKlingClient
from ..errors import AccountRequiredError, KlingError, LedgerError
from .job import JobOptions, drive, failed_rows, rows_of_file, with_job
from .session import EMULATED_SERVICE, Session, fail, run, with_session

INPUT = click.Path(path_type=Path)
TROUBLED: tuple[State, ...] = ("failed", "doubt", "unknown")
SHOWN = 20
"""Rows that `status` lists; all are in the export."""


@click.group()
def bulk() -> None:
    """Many avatars from a CSV or JSONL file, with a ledger that survives any death."""


@bulk.command("run")
@click.argument("input", type=INPUT)
@click.option("--ledger", required=True, type=INPUT, help="The file that remembers every row.")
@click.option("--dry-run", is_flag=True, help="Check everything, send no create.")
@with_job
@with_session
def run_command(
    session: Session, order: JobOptions, input: Path, ledger: Path, dry_run: bool
) -> None:
    """Make an avatar of each row of INPUT (.csv or .jsonl).

    Run it again with the same ledger and it goes on where it stopped; rows that are done are not
    sent again. Exit codes: 0 all rows created, 1 finished with failed or unknown rows, 2 wrong
    usage or input (nothing was sent), 130 interrupted.
    """

    async def work() -> int:
        checked = await asyncio.to_thread(_checked, session, input, ledger)
        async with session.client(sorted(checked.accounts)) as kling:
            if dry_run:
                return await _dry_run(kling, checked, input)
            async with open_journal(ledger, service=_service(session, kling)) as journal:
                await _renew(session, journal)
                job = order.run(kling, journal)
                rows = registered(journal, rows_of_file(input))
                return await drive(job, rows, ledger, checked.rows, as_json=order.as_json)

    run(work())


@bulk.command("retry")
@click.argument("ledger", type=INPUT)
@with_job
@with_session
def retry_command(session: Session, order: JobOptions, ledger: Path) -> None:
    """Try the failed rows of LEDGER again, and no others."""

    async def work() -> int:
        with closing(LedgerView.read(ledger)) as book:
            total, accounts = book.to_retry(), book.accounts()
        if not total:
            click.echo(f"no row of {ledger} has failed; nothing to do")
            return 0
        async with (
            session.client(accounts) as kling,
            open_journal(ledger, service=_service(session, kling)) as journal,
        ):
            job = order.run(kling, journal)
            return await drive(job, failed_rows(journal), ledger, total, as_json=order.as_json)

    run(work())


@bulk.command("status")
@click.argument("ledger", type=INPUT)
@click.option("--json", "json_wanted", is_flag=True, help="As one JSON object.")
def status_command(ledger: Path, json_wanted: bool) -> None:
    """Show what LEDGER knows: counts, and the first failed and unknown rows."""
    try:
        with closing(LedgerView.read(ledger)) as book:
            counts = book.counts()
            pages: dict[State, list[Record]] = {
                state: book.page(0, (state,), SHOWN) for state in TROUBLED
            }
    except KlingError as exc:
        fail(exc)
    shown = {state: [as_json_row(one) for one in page] for state, page in pages.items()}
    if json_wanted:
        click.echo(json.dumps({"counts": counts, **shown}, ensure_ascii=False))
        return
    total = sum(counts.values())
    click.echo(f"{total} rows: " + (", ".join(f"{n} {s}" for s, n in counts.items()) or "none"))
    for state, page in pages.items():
        for one in page:
            click.echo(_told(one, ledger))
        if counts.get(state, 0) > len(page):
            click.echo(f"... and more {state} rows; see `kling-async bulk export {ledger}`")


@bulk.command("settle")
@click.argument("ledger", type=INPUT)
@click.argument("row")
@click.option("--adopt", metavar="AVATAR_ID", help="The row's avatar exists, and this is it.")
@click.option("--resend", is_flag=True, help="Send it again; it duplicates if it exists after all.")
@click.option("--abandon", is_flag=True, help="Leave it, whatever became of it.")
def settle_command(ledger: Path, row: str, adopt: str | None, resend: bool, abandon: bool) -> None:
    """Decide what became of ROW (its key) in LEDGER, whose outcome stayed unknown."""
    if sum((adopt is not None, resend, abandon)) != 1:
        raise click.UsageError("give one of --adopt AVATAR_ID, --resend and --abandon")
    try:
        with closing(LedgerView.read(ledger)) as view:
            service = view.fact("service") or ""
        with closing(Ledger.open(ledger, service=service)) as book, book.transaction():
            record = book.get(row)
            if record.state not in UNSETTLED:
                raise LedgerError(
                    f"row {row} is {record.state}, not unknown; there is nothing to settle"
                )
            if adopt is not None:
                book.adopt(record.id, adopt, "settled")
            elif resend:
                book.resend(record.id, "by the user's word")
            else:
                book.abandon(record.id)
    except KlingError as exc:
        fail(exc)
    then = "the next `bulk run` sends it again" if resend else "settled"
    click.echo(f"row {row}: {then}")


@bulk.command("export")
@click.argument("ledger", type=INPUT)
@click.option("--to", required=True, type=INPUT, help="results.csv or results.jsonl")
def export_command(ledger: Path, to: Path) -> None:
    """Write every row of LEDGER with its result and the input's own columns."""
    try:
        with closing(LedgerView.read(ledger)) as book:
            written = export(book, to)
    except KlingError as exc:
        fail(exc)
    click.echo(f"{written} rows written to {to}")


def as_json_row(record: Any) -> dict[str, Any]:
    """A ledger row as `status --json` shows it."""
    return flat(record.result())


def _told(record: Record, ledger: Path) -> str:
    """A failed or unknown row, with what can be done."""
    account = record.account or "not named"
    head = f"{record.state}: row {record.key}, account {account}"
    if record.state == "failed":
        return f"{head}: {record.error}"
    settle = f"kling-async bulk settle {ledger} {record.key}"
    could_be = ", ".join(record.candidates) or "none listed"
    return "\n".join(
        (
            f"{head}, sent {moment(record.intent_at)}: {record.error}",
            f"  could be: {could_be}",
            "  may cost: one avatar more than wanted, if it exists and is sent again",
            f"  it exists:         {settle} --adopt AVATAR_ID",
            f"  send it again:     {settle} --resend",
            f"  leave it:          {settle} --abandon",
        )
    )


def _checked(session: Session, input: Path, ledger: Path) -> Checked:
    """The whole input looked at; blocks, so in a thread."""
    if is_begun(ledger):
        with closing(LedgerView.read(ledger)) as known:
            checked = check_input(input, known=known)
    else:
        if not ledger.parent.is_dir():
            raise LedgerError(f"no ledger can be made at {ledger}: its folder does not exist")
        checked = check_input(input)
    registry = session.registry()
    if checked.without_account and len(registry) > 1 and session.choose is None:
        raise AccountRequiredError(
            f"{checked.without_account} rows of {input} name no account and {len(registry)} are "
            f"known; nothing was sent. Add a column `account`, or choose with "
            f"--choose round_robin",
            accounts=[one.email for one in registry],
        )
    return checked


async def _dry_run(kling: AsyncKlingClient, checked: Checked, input: Path) -> int:
    accounts = {use.account for use in checked.speakers}
    voices = {account: await kling.tts.voices(email=account) for account in accounts}
    if problems := check_voices(checked, voices, input):
        raise InputError(problems)
    click.echo(
        f"{checked.rows} rows of {input} are fine: {checked.images} images to upload, "
        f"{len(checked.speakers)} voices checked. Nothing was sent."
    )
    return 0


async def _renew(session: Session, journal: Journal) -> None:
    """A built-in emulator begins empty: what an earlier one was given is gone."""
    if session.emulated:
        await journal.write(Ledger.forget_uploads)


def _service(session: Session, kling: AsyncKlingClient) -> str:
    return EMULATED_SERVICE if session.emulated else kling.pipeline.service


def moment(seconds: float | None) -> str:
    """A time as people read it, in UTC."""
    if seconds is None:
        return "never"
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))

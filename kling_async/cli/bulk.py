"""`kling-async bulk run|retry`: checks first, then `job.py`; `ledger.py` has the other commands."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import click

from ..bulk.check import Checked, check_input
from ..bulk.feed import registered
from ..bulk.journal import Journal, open_journal
from ..bulk.ledger import Ledger
from ..bulk.ledgerfile import is_begun
from ..bulk.ledgerview import LedgerView
from ..bulk.located import InputError, Located
from ..bulk.named import check_avatars, check_voices
from ..client import AsyncKlingClient
from ..errors import AccountRequiredError, LedgerError
from ..models.avatars import is_template_id
from .job import JobOptions, drive, failed_rows, rows_of_file, with_job
from .ledger import INPUT, ROWS_OF_INPUT, export_command, settle_command, status_command
from .progress import Reach, many
from .session import EMULATED_SERVICE, Session, run, with_session


@click.group()
def bulk() -> None:
    """Many avatars and videos from a CSV or JSONL file, with a ledger that survives any death."""


for command in (status_command, settle_command, export_command):
    bulk.add_command(command)


@bulk.command("run")
@click.argument("input", type=INPUT)
@click.option("--ledger", required=True, type=INPUT, help="The file that remembers every row.")
@click.option("--dry-run", is_flag=True, help="Check everything, send no create.")
@with_job
@with_session
def run_command(
    session: Session, order: JobOptions, input: Path, ledger: Path, dry_run: bool
) -> None:
    """Make an avatar of each row of INPUT (.csv or .jsonl), and with --video a talking video.

    Run it again with the same ledger and it goes on where it stopped; rows that are done are not
    sent again. Exit codes: 0 all rows created (and their videos saved), 1 finished with failed or
    unknown rows, 2 wrong usage or input (nothing was sent), 130 interrupted.
    """

    async def work() -> int:
        checked = await asyncio.to_thread(_checked, session, input, ledger)
        if order.video and not checked.videos:
            raise InputError([Located(str(input), None, None, _SILENT)])
        reach = Reach()
        async with session.client(sorted(checked.accounts), [reach]) as kling:
            if dry_run:
                return await _dry_run(kling, checked, input, ledger, video=order.video)
            async with open_journal(ledger, service=_service(session, kling)) as journal:
                await _renew(session, journal, videos=order.video)
                job = await order.run(kling, journal)
                rows = registered(journal, rows_of_file(input), videos=order.video)
                await journal.write(lambda book: book.remember(ROWS_OF_INPUT, str(checked.rows)))
                code = await drive(
                    job,
                    rows,
                    ledger,
                    checked.rows,
                    as_json=order.as_json,
                    emulated=session.emulated,
                    reach=reach,
                )
                if checked.videos and not order.video and not order.as_json:
                    click.echo(_unasked(checked))
                return code

    run(work())


@bulk.command("retry")
@click.argument("ledger", type=INPUT)
@with_job
@with_session
def retry_command(session: Session, order: JobOptions, ledger: Path) -> None:
    """Try the failed rows of LEDGER again, and no others.

    With --video also failed videos, each from the step that failed: a video that was made and could
    not be downloaded is only downloaded.
    """

    async def work() -> int:
        with closing(LedgerView.read(ledger)) as book:
            total, accounts = book.to_retry(videos=order.video), book.accounts()
            unasked = 0 if order.video else book.to_retry(videos=True) - total
        if unasked:
            click.echo(f"{unasked} rows have only failed videos; --video tries them again")
        if not total:
            click.echo(f"no row of {ledger} has failed; nothing to do")
            return 0
        reach = Reach()
        async with (
            session.client(accounts, [reach]) as kling,
            open_journal(ledger, service=_service(session, kling)) as journal,
        ):
            await _renew(session, journal, videos=order.video)
            job = await order.run(kling, journal)
            rows = failed_rows(journal, videos=order.video)
            return await drive(
                job,
                rows,
                ledger,
                total,
                as_json=order.as_json,
                emulated=session.emulated,
                reach=reach,
            )

    run(work())


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
    personal = [one for (account, one) in checked.avatars if account is None]
    personal = [one for one in personal if not is_template_id(one)]
    if personal and len(registry) > 1:
        raise AccountRequiredError(
            f"rows of {input} name avatars of their own ({', '.join(personal[:3])} ...) and no "
            f"account, and {len(registry)} are known; nothing was sent. An avatar belongs to one "
            f"account: add a column `account`",
            accounts=[one.email for one in registry],
        )
    return checked


_SILENT = (
    "--video was given, and no row says anything: add a column text (with speaker_id), audio or "
    "audio_url"
)


def _unasked(checked: Checked) -> str:
    return f"{checked.videos} rows have a text or an audio: add --video to make their videos."


async def _dry_run(
    kling: AsyncKlingClient, checked: Checked, input: Path, ledger: Path, *, video: bool
) -> int:
    voices = {
        account: await kling.tts.voices(email=account)
        for account in {use.account for use in checked.speakers}
    }
    avatars = {
        account: await _avatar_ids(kling, account)
        for account in {account for account, _ in checked.avatars}
    }
    problems = [*check_voices(checked, voices, input), *check_avatars(checked, avatars, input)]
    if problems:
        raise InputError(sorted(problems, key=lambda one: one.line or 0))
    said = f"{many(checked.images, 'image')} to upload, "
    said += f"{many(len(checked.speakers), 'voice')} checked"
    if video:
        audios = many(checked.audios, "audio file")
        said += f", {many(checked.videos, 'video')} to make with {audios} to upload"
    rows = f"{many(checked.rows, 'row')} of {input} {'is' if checked.rows == 1 else 'are'} fine"
    click.echo(f"{rows}: {said}. Nothing was sent.")
    if done := _done(ledger):
        click.echo(f"{done} of the avatars are in {ledger} already, and are not made again.")
    if checked.videos and not video:
        click.echo(_unasked(checked))
    return 0


def _done(ledger: Path) -> int:
    if not is_begun(ledger):
        return 0
    with closing(LedgerView.read(ledger)) as book:
        return book.counts().get("done", 0)


async def _avatar_ids(kling: AsyncKlingClient, account: str | None) -> set[str]:
    """The account's avatars, and the templates."""
    listed = await kling.avatars.list(email=account)
    listed += await kling.avatars.list("templates", email=account)
    return {one.id for one in listed}


async def _renew(session: Session, journal: Journal, *, videos: bool) -> None:
    """A built-in emulator begins empty: what an earlier one was given is gone."""
    if session.emulated:
        await journal.write(Ledger.forget_uploads)
        if videos:
            await journal.write(lambda ledger: ledger.videos.forget())


def _service(session: Session, kling: AsyncKlingClient) -> str:
    return EMULATED_SERVICE if session.emulated else kling._pipeline.service

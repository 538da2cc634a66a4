"""What do `kling-async bulk run` and `retry` do? They check first, then `job.py` carries out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import click

from ..bulk.already import looks_made
from ..bulk.health import LooksMadeError
from ..bulk.inputs import read_rows
from ..bulk.ledger import Ledger
from ..bulk.preflight import Checked, check_input
from ..bulk.problems import InputError, InputProblem
from ..bulk.recipes import AVATARS, TALKING, Recipe
from ..bulk.records import Row
from ..bulk.runner import Chunks
from ..bulk.sources import in_chunks, registered, reopened
from ..bulk.sqlite import open_ledger, read_ledger
from ..bulk.voices import check_avatars, check_voices
from ..client import AsyncKlingClient
from ..errors import AccountRequiredError, LedgerError
from ..models.avatars import is_template_id
from ..models.sightings import Sighting
from .job import JobOptions, drive, with_job
from .ledger import (
    INPUT,
    INPUT_FILE,
    ROWS_OF_INPUT,
    copy_command,
    export_command,
    settle_command,
    status_command,
)
from .progress import Reach, many
from .session import EMULATED_SERVICE, Session, run, with_session
from .streams import echo


@click.group()
def bulk() -> None:
    """Many avatars, videos or images from a CSV or JSONL file, with a ledger that survives any
    death.
    """


for command in (status_command, settle_command, export_command, copy_command):
    bulk.add_command(command)


def _saving(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--save-to",
        type=click.Path(path_type=Path, file_okay=False),
        help="With --operation: the folder where results become files. Default: none are brought.",
    )(command)


@bulk.command("run")
@click.argument("input", type=INPUT)
@click.option("--ledger", required=True, type=INPUT, help="The file that remembers every row.")
@click.option(
    "--operation",
    metavar="NAME",
    help="What each row is, such as videos.text2video. Default: an avatar, with --video a talking "
    "one.",
)
@_saving
@click.option(
    "--again",
    is_flag=True,
    help="Make also rows that look as if another job had made them already.",
)
@click.option("--dry-run", is_flag=True, help="Check everything, send no create.")
@click.option(
    "--despite-loss",
    is_flag=True,
    help="Use a ledger whose newest rows are known to be missing; they are sent again.",
)
@with_job
@with_session
def run_command(
    session: Session,
    order: JobOptions,
    input: Path,
    ledger: Path,
    dry_run: bool,
    despite_loss: bool,
) -> None:
    """Make an avatar of each row of INPUT (.csv or .jsonl), and with --video a talking video.

    Run it again with the same ledger and it goes on where it stopped; rows that are done are not
    sent again. Exit codes: 0 all rows created (and their videos saved), 1 finished with failed or
    unknown rows, 2 wrong usage or input (nothing was sent), 130 interrupted.
    """

    async def work() -> int:
        recipe = order.recipe()
        checked = await _checked(session, input, ledger, _whole(recipe))
        videos = _videos(checked, recipe)
        if order.video and not videos:
            raise InputError([InputProblem(str(input), None, None, _SILENT)])
        reach = Reach()
        async with session.client(sorted(checked.accounts), [reach]) as kling:
            if dry_run:
                return await _dry_run(kling, order, checked, input, ledger)
            service, clock = _service(session, kling), kling._pipeline.clock
            async with open_ledger(
                ledger, service=service, now=clock.wall, despite_loss=despite_loss
            ) as book:
                if session.emulated:  # it begins empty: what an earlier one was given is gone
                    async for given in in_chunks(read_rows(input, recipe)):
                        await book.register(given)  # so that what is begun anew is known
                    await book.begin_run()
                    await book.forget_server()
                job = await order.job(kling, book, ledger, recipe)
                rows = registered(book, job.requests, in_chunks(read_rows(input, recipe)))
                await book.set_fact(ROWS_OF_INPUT, str(checked.rows))
                input_file = await asyncio.to_thread(input.absolute)
                await book.set_fact(INPUT_FILE, str(input_file))
                code = await drive(
                    job.run,
                    rows,
                    ledger,
                    checked.rows,
                    as_json=order.as_json,
                    emulated=session.emulated,
                    reach=reach,
                )
                if videos and not order.video and not order.as_json:
                    echo(_unasked(videos))
                return code

    run(work())


@bulk.command("retry")
@click.argument("ledger", type=INPUT)
@_saving
@click.option(
    "--pay-again",
    is_flag=True,
    help="Begin jobs again that were begun and are not to be found: they may be paid for twice.",
)
@with_job
@with_session
def retry_command(session: Session, order: JobOptions, ledger: Path) -> None:
    """Try the failed rows of LEDGER again, and no others.

    With --video also failed videos, each from the step that failed: a video that was made and could
    not be downloaded is only downloaded, and a job that was begun is looked for first.
    """

    async def work() -> int:
        recipe: Recipe | None = None
        async with read_ledger(ledger) as book:
            first = [row async for row in book.rows(page=1, states=["failed"])][:1]
            if not first or first[0].steps[0].operation in ("", AVATARS.step(1).operation):
                recipe = TALKING if order.video else AVATARS
            numbers = () if recipe is not AVATARS else (1,)
            total, accounts = await book.to_reopen(numbers=numbers), await book.accounts()
            unasked = await book.to_reopen() - total
        if unasked:
            echo(f"{unasked} rows have only failed videos; --video tries them again")
        if not total:
            echo(f"no row of {ledger} has failed; nothing to do")
            return 0
        reach = Reach()
        async with session.client(accounts, [reach]) as kling:
            service, clock = _service(session, kling), kling._pipeline.clock
            async with open_ledger(ledger, service=service, now=clock.wall) as book:
                rows = reopened(book, numbers=numbers)
                if session.emulated:
                    rows = await _anew(book, rows)
                job = await order.job(kling, book, ledger, recipe)
                return await drive(
                    job.run,
                    rows,
                    ledger,
                    total,
                    as_json=order.as_json,
                    emulated=session.emulated,
                    reach=reach,
                )

    run(work())


async def _anew(ledger: Ledger, rows: Chunks) -> Chunks:
    """The rows on a built-in emulator, which begins empty: what one was given before is gone."""
    row_ids = [row.id async for chunk in rows for row in chunk]
    await ledger.forget_server()

    async def again() -> AsyncGenerator[list[Row], None]:
        for row_id in row_ids:
            yield [await ledger.row_of(row_id)]

    return again()


async def _checked(session: Session, input: Path, ledger: Path, recipe: Recipe) -> Checked:
    """The whole input looked at."""
    if await asyncio.to_thread(ledger.exists):
        async with read_ledger(ledger) as known:
            checked = await check_input(input, recipe, known=known)
    else:
        if not await asyncio.to_thread(ledger.parent.is_dir):
            raise LedgerError(f"no ledger can be made at {ledger}: its folder does not exist")
        checked = await check_input(input, recipe)
    registry = session.registry()
    if checked.without_account and len(registry) > 1 and session.choose is None:
        raise AccountRequiredError(
            f"{checked.without_account} rows of {input} name no account and {len(registry)} are "
            f"known; nothing was sent. Add a column `account`, or choose with "
            f"--choose round_robin",
            accounts=[one.email for one in registry],
        )
    personal = [one for (account, one) in checked.given if account is None]
    personal = [one for one in personal if not is_template_id(one)]
    if personal and len(registry) > 1:
        raise AccountRequiredError(
            f"rows of {input} name avatars of their own ({', '.join(personal[:3])} ...) and no "
            f"account, and {len(registry)} are known; nothing was sent. An avatar belongs to one "
            f"account: add a column `account`",
            accounts=[one.email for one in registry],
        )
    return checked


def _whole(recipe: Recipe) -> Recipe:
    """The recipe with all steps that its rows may ask for in any run."""
    return TALKING if recipe.steps is TALKING.steps else recipe


def _videos(checked: Checked, recipe: Recipe) -> int:
    """How many rows ask for a talking video."""
    return checked.steps.get(2, 0) if recipe.steps is TALKING.steps else 0


_SILENT = (
    "--video was given, and no row says anything: add a column text (with speaker_id), audio or "
    "audio_url"
)


def _unasked(videos: int) -> str:
    return f"{videos} rows have a text or an audio: add --video to make their videos."


async def _dry_run(
    kling: AsyncKlingClient, order: JobOptions, checked: Checked, input: Path, ledger: Path
) -> int:
    recipe = order.recipe()
    voices = {
        account: await kling.tts.voices(email=account)
        for account in {use.account for use in checked.speakers}
    }
    avatars = {
        account: await _avatar_ids(kling, account)
        for account in {account for account, _ in checked.given}
    }
    problems = [*check_voices(checked, voices, input), *check_avatars(checked, avatars, input)]
    if problems:
        raise InputError(sorted(problems, key=lambda one: one.line or 0))
    if not order.again:
        await _check_new(kling, recipe, checked, input, ledger)
    videos = _videos(checked, recipe)
    said = f"{many(checked.uploads.get('image', 0), 'image')} to upload, "
    said += f"{many(len(checked.speakers), 'voice')} checked"
    if order.video:
        audios = many(checked.uploads.get("audio", 0), "audio file")
        said += f", {many(videos, 'video')} to make with {audios} to upload"
    rows = f"{many(checked.rows, 'row')} of {input} {'is' if checked.rows == 1 else 'are'} fine"
    echo(f"{rows}: {said}. Nothing was sent.")
    if done := await _done(ledger):
        things = "avatars" if recipe.steps is TALKING.steps else "rows"
        echo(f"{done} of the {things} are in {ledger} already, and are not made again.")
    if videos and not order.video:
        echo(_unasked(videos))
    return 0


async def _check_new(
    kling: AsyncKlingClient, recipe: Recipe, checked: Checked, input: Path, ledger: Path
) -> None:
    """LooksMadeError where rows look as if another job had made them already."""
    evidence = recipe.step(1).request.evidence
    if evidence is None or not evidence.likeness:
        return
    named = [None] if checked.without_account or not checked.accounts else []
    for account in (*named, *sorted(checked.accounts)):
        seen: list[Sighting] = []
        for listing in evidence.listings(account):
            seen += map(evidence.sighting, await kling.send(listing))
        chunks = in_chunks(read_rows(input, recipe))
        if await asyncio.to_thread(ledger.exists):
            async with read_ledger(ledger) as known:
                claimed = await known.owners(account, evidence.kind, {one.id for one in seen})
                seen = [one for one in seen if one.id not in claimed]
                found = await looks_made(chunks, recipe, seen, known)
        else:
            found = await looks_made(chunks, recipe, seen)
        if found:
            raise LooksMadeError(account, evidence.kind, found)


async def _done(ledger: Path) -> int:
    if not await asyncio.to_thread(ledger.exists):
        return 0
    async with read_ledger(ledger) as book:
        return (await book.step_counts()).get((1, "done"), 0)


async def _avatar_ids(kling: AsyncKlingClient, account: str | None) -> set[str]:
    """The account's avatars, and the templates."""
    listed = await kling.avatars.list(email=account)
    listed += await kling.avatars.list("templates", email=account)
    return {one.id for one in listed}


def _service(session: Session, kling: AsyncKlingClient) -> str:
    return EMULATED_SERVICE if session.emulated else kling._pipeline.service

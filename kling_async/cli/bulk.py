"""What do `kling-async bulk run` and `retry` do? They check first, then `job.py` carries out."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import evolve, frozen

from ..bulk.inputs import read_rows
from ..bulk.jobs import BulkJob
from ..bulk.ledger import Ledger
from ..bulk.places import Place, is_there, open_ledger, read_ledger
from ..bulk.preflight import Checked, KnownRows, check_input
from ..bulk.problems import InputError, InputProblem
from ..bulk.recipes import AVATARS, TALKING, Recipe, chain_of
from ..bulk.records import Row, RowInput
from ..bulk.runner import Chunks
from ..bulk.selection import Selection
from ..bulk.sources import in_chunks, registered, reopened
from ..client import AsyncKlingClient
from ..errors import AccountRequiredError, ConfigurationError, LedgerError
from ..models.avatars import is_template_id
from ..models.operations import request_type
from .choice import Choice, check_met, with_choice
from .dryrun import DryRun, unasked
from .dryrun import dry_run as tell_dry_run
from .ending import tell
from .faults import FaultTable, left_out, say_left_out
from .init import init_command
from .job import JobOptions, drive, with_job
from .ledger import (
    INPUT,
    INPUT_FILE,
    LEDGER,
    ROWS_OF_INPUT,
    copy_command,
    export_command,
    status_command,
)
from .progress import Reach, many
from .report.command import report_command
from .session import DONE, EMULATED_SERVICE, TROUBLE, Session, run, with_session
from .settle import settle_command
from .streams import echo

if TYPE_CHECKING:
    from ..bulk.postgres_session import LedgerAddress


@click.group()
def bulk() -> None:
    """Many avatars, videos or images from a CSV or JSONL file, with a ledger that survives any
    death.
    """


for _command in (
    init_command,
    status_command,
    settle_command,
    export_command,
    report_command,
    copy_command,
):
    bulk.add_command(_command)


def _saving(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--save-to",
        type=click.Path(path_type=Path, file_okay=False),
        help="With --operation: the folder where results become files. Default: none are brought.",
    )(command)


@bulk.command("run")
@click.argument("input", type=INPUT)
@click.option(
    "--ledger",
    required=True,
    type=LEDGER,
    help="The file that remembers every row; or postgresql://user@host/db#name, for several "
    "machines.",
)
@click.option(
    "--submit",
    is_flag=True,
    help="Bring the rows into a ledger in PostgreSQL and return; workers carry them out.",
)
@click.option(
    "--operation",
    metavar="NAME",
    help="What each row is, such as videos.text2video; several, with commas between them, are its "
    "steps. Default: as the columns say (images.kolors.prompt); else an avatar, with --video a "
    "talking one.",
)
@_saving
@click.option(
    "--again",
    is_flag=True,
    help="Make also rows that look as if another job had made them already.",
)
@click.option(
    "--retry-failed",
    is_flag=True,
    help="Try the rows of INPUT again that an earlier run left failed.",
)
@click.option("--dry-run", is_flag=True, help="Check everything, send no create.")
@click.option(
    "--despite-loss",
    is_flag=True,
    help="Use a ledger whose newest rows are known to be missing; they are sent again.",
)
@click.option(
    "--max-videos",
    type=click.IntRange(0),
    metavar="N",
    help="Begin no further job once so many were begun by all runs over the ledger.",
)
@click.option(
    "--max-credits",
    type=click.FloatRange(0),
    metavar="N",
    help="Begin no job that would make all of them together cost more credits.",
)
@with_choice
@with_job
@with_session
def run_command(
    session: Session,
    order: JobOptions,
    input: Path,
    ledger: Path | LedgerAddress,
    submit: bool,
    choice: Choice,
    dry_run: bool,
    despite_loss: bool,
) -> None:
    """Make an avatar of each row of INPUT, a .csv, .jsonl or .xlsx; with --video a talking one.

    Run it again with the same ledger and it goes on where it stopped; rows that are done are not
    sent again. Exit codes: 0 all rows created (and their videos saved), 1 finished with failed or
    unknown rows, 2 wrong usage or input (nothing was sent), 130 interrupted.
    """

    async def work() -> int:
        _check_shared(session, ledger, submit)
        recipe, selection = order.recipe(input), choice.selection()
        with choice.faults(input, ledger, as_json=order.as_json) as faults:
            looked = _Looked(order, choice, selection, faults)
            checked = await _checked(session, input, ledger, looked)
            videos = _videos(checked, recipe)
            if order.video and not videos:
                raise InputError([InputProblem(str(input), None, None, _SILENT)])
            reach = Reach()
            if dry_run:
                say_left_out(checked, len(selection.bad), as_json=order.as_json)
                dry = DryRun(order, choice, selection, checked, input, ledger, session.rate)
                async with session.client(sorted(checked.accounts), [reach]) as kling:
                    return await tell_dry_run(kling, dry, faults)
        say_left_out(checked, len(selection.bad), as_json=order.as_json)

        lines = array("L")

        def chunks() -> AsyncIterator[Sequence[RowInput]]:
            del lines[:]
            read = read_rows(input, recipe, keep_columns=choice.keep_columns)
            return selection.of(in_chunks(_noting_lines(read, lines)))

        async with session.client(sorted(checked.accounts), [reach]) as kling:
            service, clock = _service(session, kling), kling._pipeline.clock
            async with open_ledger(
                ledger, service=service, now=clock.wall, despite_loss=despite_loss
            ) as book:
                if session.emulated:  # it begins empty: what an earlier one was given is gone
                    async for given in chunks():
                        await book.register(given)  # so that what is begun anew is known
                    await book.begin_run()
                    await book.forget_server()
                job = await order.job(kling, book, ledger, recipe)
                retried = recipe.made if order.retry_failed else 0
                rows = registered(book, job.requests, chunks(), retry_failed=retried)
                await book.set_fact(ROWS_OF_INPUT, str(checked.all_rows))
                input_file = await asyncio.to_thread(input.absolute)
                await book.set_fact(INPUT_FILE, str(input_file))
                if submit:
                    return await _submitted(job, rows, ledger)
                ended = await drive(
                    job.run,
                    rows,
                    ledger,
                    checked.rows,
                    as_json=order.as_json,
                    progress=order.progress,
                    emulated=session.emulated,
                    reach=reach,
                    lines=lines,
                )
                if not order.as_json:
                    if selection.bad:
                        echo(left_out(len(selection.bad)))
                    if videos and not order.video:
                        echo(unasked(videos))
        if selection.bad and ended.code == DONE:
            ended = evolve(ended, code=TROUBLE)
        return await tell(order.on_done, ledger, ended)

    run(work())


@bulk.command("retry")
@click.argument("ledger", type=LEDGER)
@_saving
@click.option(
    "--pay-again",
    is_flag=True,
    help="Begin jobs again that were begun and are not to be found: they may be paid for twice.",
)
@with_job
@with_session
def retry_command(session: Session, order: JobOptions, ledger: Path | LedgerAddress) -> None:
    """Try the failed rows of LEDGER again, and no others.

    With --video also failed videos, each from the step that failed: a video that was made and could
    not be downloaded is only downloaded, and a job that was begun is looked for first.
    """

    async def work() -> int:
        _check_shared(session, ledger)
        recipe: Recipe | None = None
        async with read_ledger(ledger) as book:
            first = [row async for row in book.rows(page=1, states=["failed"])][:1]
            if not first or first[0].steps[0].operation in ("", AVATARS.step(1).operation):
                recipe = TALKING if order.video else AVATARS
            elif len(first[0].steps) > 1:
                types = [request_type(one.operation) for one in first[0].steps]
                recipe = chain_of(types, saves=order.folder is not None)
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
                ended = await drive(
                    job.run,
                    rows,
                    ledger,
                    total,
                    as_json=order.as_json,
                    progress=order.progress,
                    emulated=session.emulated,
                    reach=reach,
                )
        return await tell(order.on_done, ledger, ended)

    run(work())


def _check_shared(session: Session, ledger: Path | LedgerAddress, submit: bool = False) -> None:
    """ConfigurationError where the options do not suit the kind of ledger."""
    if isinstance(ledger, Path):
        if submit:
            raise ConfigurationError(
                "--submit leaves the rows to workers, which need a ledger in PostgreSQL: "
                "--ledger postgresql://user@host/db#name"
            )
    elif session.emulated:
        raise ConfigurationError(
            "--emulator is within one process, and a ledger in PostgreSQL is for several: start "
            "`kling-async emulator`, and give its address by KLING_BASE_URL"
        )


async def _submitted(job: BulkJob, rows: Chunks, ledger: Place) -> int:
    """The rows are in the ledger, for workers."""
    registered_rows = await job.submitted(rows)
    echo(
        f"{many(registered_rows, 'row')} submitted to {ledger}; `kling-async worker` carries them "
        f"out, and `kling-async bulk status {ledger}` shows how far they are"
    )
    return 0


def _noting_lines(rows: Generator[RowInput], lines: array[int]) -> Generator[RowInput]:
    """The rows; the line on which each begins goes into `lines`, 0 where there is none."""
    with closing(rows):
        for row in rows:
            lines.append(row.line or 0)
            yield row


async def _anew(ledger: Ledger, rows: Chunks) -> Chunks:
    """The rows on a built-in emulator, which begins empty: what one was given before is gone."""
    row_ids = [row.id async for chunk in rows for row in chunk]
    await ledger.forget_server()

    async def again() -> AsyncGenerator[list[Row], None]:
        for row_id in row_ids:
            yield [await ledger.row_of(row_id)]

    return again()


@frozen
class _Looked:
    """What is wanted of an input, and where its faults go."""

    order: JobOptions
    choice: Choice
    selection: Selection
    faults: FaultTable

    async def at(self, input: Path, known: KnownRows | None = None) -> Checked:
        """The whole input looked at."""
        recipe = self.order.recipe(input)
        checked = await check_input(
            input,
            _whole(recipe),
            known=known,
            on_fault=self.faults.add,
            selection=self.selection,
            keep_columns=self.choice.keep_columns,
            priced=recipe.made,
        )
        check_met(self.selection, input)
        if self.order.max_credits is not None and checked.unpriced:
            named = ", ".join(checked.unpriced)
            raise click.UsageError(
                f"--max-credits can't be kept: what {named} costs is not known here. Use "
                "--max-videos"
            )
        return checked


async def _checked(
    session: Session, input: Path, ledger: Path | LedgerAddress, looked: _Looked
) -> Checked:
    """The whole input looked at, beside the ledger and the accounts."""
    if await is_there(ledger):
        async with read_ledger(ledger) as known:
            checked = await looked.at(input, known)
    else:
        if isinstance(ledger, Path) and not await asyncio.to_thread(ledger.parent.is_dir):
            raise LedgerError(f"no ledger can be made at {ledger}: its folder does not exist")
        checked = await looked.at(input)
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


def _service(session: Session, kling: AsyncKlingClient) -> str:
    return EMULATED_SERVICE if session.emulated else kling._pipeline.service

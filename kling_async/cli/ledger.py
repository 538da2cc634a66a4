"""What does a ledger know? `bulk status|export|copy`."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import click

from ..bulk.export import export
from ..bulk.flat import ResultState, flat, is_avatar
from ..bulk.ledger import LedgerReader
from ..bulk.machine import STATES, State
from ..bulk.places import Place, place_of, read_ledger
from ..bulk.problems import cause_of
from ..bulk.records import MISSING, Row, Step
from ..bulk.results import noun_of
from ..bulk.sqlite import copy_ledger
from ..bulk.sqlite_names import BESIDE
from ..errors import ConfigurationError
from .causes import causes, say
from .progress import many
from .session import run
from .streams import echo, echo_json

if TYPE_CHECKING:
    from ..bulk.postgres_session import LedgerAddress

INPUT = click.Path(path_type=Path)
TROUBLED: tuple[State, ...] = ("failed", "doubt", "unknown")
ROWS_OF_INPUT = "rows of the input"
"""The fact of a ledger that says how many there are; it has those that were begun."""
INPUT_FILE = "file of the input"
"""The fact of a ledger that says where the input of its last run is."""
SHOWN = 20
"""Rows that `status` lists; all are in the export."""


overwrite_option: Final = click.option(
    "--overwrite", is_flag=True, help="Replace the file where there is one already."
)


if TYPE_CHECKING:  # generic since click 8.2
    _ParamType = click.ParamType[Path | LedgerAddress]
else:
    _ParamType = click.ParamType


class LedgerParam(_ParamType):
    """A ledger: a file, or the address of one in PostgreSQL."""

    name = "ledger"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path | LedgerAddress:
        """The file or the address; an address that is none is wrong usage."""
        if not isinstance(value, str):
            found: Path | LedgerAddress = value
            return found
        try:
            return place_of(value)
        except ConfigurationError as exc:
            self.fail(str(exc), param, ctx)


LEDGER = LedgerParam()


@click.command("status")
@click.argument("ledger", type=LEDGER)
@click.option(
    "--state",
    "wanted",
    type=click.Choice(get_args(ResultState)),
    help="The rows of this state, those of one cause together.",
)
@click.option("--all", "every", is_flag=True, help="With --state: all of them.")
@click.option("--json", "json_wanted", is_flag=True, help="As one JSON object.")
def status_command(
    ledger: Path | LedgerAddress, wanted: ResultState | None, every: bool, json_wanted: bool
) -> None:
    """Show what LEDGER knows: counts, and the first failed and unknown rows."""
    if every and wanted is None:
        raise click.UsageError("--all goes with --state: say which rows")

    async def work() -> int:
        async with read_ledger(ledger) as book:
            if wanted is not None:
                say(await causes(book, wanted, every=every), wanted, as_json=json_wanted)
                return 0
            of = await _of_input(book)
            counts = await book.step_counts()
            troubled = await _troubled(book)
        firsts, videos = _of(counts, 1), _of(counts, 2)
        if json_wanted:
            shown: dict[str, Any] = {"counts": firsts}
            shown |= {one: [flat(row) for row in troubled[1, one][:SHOWN]] for one in TROUBLED}
            if videos:
                listed = {one: [flat(r) for r in troubled[2, one][:SHOWN]] for one in TROUBLED}
                shown["videos"] = {"counts": _saved(videos), **listed}
            echo_json(shown)
            return 0
        echo(f"{sum(firsts.values())}{of} rows: {_listed(firsts)}", result=True)
        if videos:
            echo(f"{sum(videos.values())} videos: {_listed(_saved(videos))}")
        for number, what in ((1, "rows"), (2, "videos")):
            for state in TROUBLED:
                rows = troubled[number, state]
                for row, *others in _alike(rows[:SHOWN], number):
                    echo(_told(row, row.steps[number - 1], ledger))
                    if others:
                        named = ", ".join(one.key for one in others)
                        echo(f"  for the same reason {many(len(others), 'row')} more: {named}")
                if state == "unknown" and len(rows) > 1:
                    settle = shlex.join(["kling-async", "bulk", "settle", str(ledger)])
                    echo(f"all unknown rows: {settle} --all-unknown --resend (or --abandon),")
                    echo(f"  or {settle} --from FILE, an export with a column `decision`")
                if counts.get((number, state), 0) > SHOWN:
                    more = f"... and more {state} {what}; see"
                    echo(f"{more} `kling-async bulk status {ledger} --state {state} --all`")
        return 0

    run(work())


def _alike(rows: Iterable[Row], number: int) -> Iterable[list[Row]]:
    """The rows of one reason together; by itself where a row's own job may be found."""
    found: dict[object, list[Row]] = {}
    for row in rows:
        step = row.steps[number - 1]
        alone = step.candidates or step.remote_id or step.evidence == MISSING
        cause = row.key if alone else (step.account, cause_of(step.error or "", row.key))
        found.setdefault(cause, []).append(row)
    return found.values()


async def _troubled(book: LedgerReader) -> dict[tuple[int, State], list[Row]]:
    """The first rows whose step of a number is in such a state."""
    found: dict[tuple[int, State], list[Row]] = {(n, s): [] for n in (1, 2) for s in TROUBLED}
    async for row in book.rows(states=TROUBLED):
        step = row.current
        rows = [] if step is None else found.get((min(step.number, 2), step.state), [])
        if len(rows) < SHOWN:
            rows.append(row)
    return found


def _of(counts: Mapping[tuple[int, State], int], number: int) -> dict[State, int]:
    return {one: n for one in STATES if (n := counts.get((number, one), 0))}


def _saved(counts: Mapping[State, int]) -> dict[str, int]:
    """Videos are saved where rows are done."""
    return {"saved" if state == "done" else state: n for state, n in counts.items()}


@click.command("export")
@click.argument("ledger", type=LEDGER)
@click.option("--to", required=True, type=INPUT, help="results.csv, results.jsonl or results.xlsx")
@overwrite_option
@click.option(
    "--raw",
    is_flag=True,
    help="Each text of a .csv as it is, for programs. Default: an apostrophe before what a "
    "spreadsheet takes for a formula, and a byte order mark.",
)
def export_command(ledger: Path | LedgerAddress, to: Path, overwrite: bool, raw: bool) -> None:
    """Write every row of LEDGER with its result and the input's own columns."""

    async def work() -> int:
        async with read_ledger(ledger) as book:
            kept = await never_replaced(book, ledger)
            written = await export(book, to, overwrite=overwrite, raw=raw, kept=kept)
            of = await _of_input(book)
        others = "; the others were not begun" if of else ""
        echo(f"{written}{of} rows written to {to}{others}")
        return 0

    run(work())


async def never_replaced(book: LedgerReader, ledger: Path | LedgerAddress) -> list[Path]:
    """The ledger's files, those beside them while it is open, and the input of its last run."""
    files: list[Path] = []
    if isinstance(ledger, Path):
        real = await asyncio.to_thread(ledger.resolve)
        files = [ledger, *(real.with_name(real.name + end) for end in BESIDE)]
    given = await book.fact(INPUT_FILE)
    return files if given is None else [*files, Path(given)]


@click.command("copy")
@click.argument("ledger", type=LEDGER)
@click.argument("target", type=INPUT)
def copy_command(ledger: Path | LedgerAddress, target: Path) -> None:
    """Copy LEDGER into the new file TARGET, also while a run is using it.

    A plain copy of the file may miss what was written last.
    """

    async def work() -> int:
        if not isinstance(ledger, Path):
            raise ConfigurationError("a ledger in PostgreSQL is copied by pg_dump")
        await copy_ledger(ledger, target)
        echo(f"copied to {target}")
        return 0

    run(work())


async def _of_input(book: LedgerReader) -> str:
    """` of 300`, where the ledger knows that the input has more rows than were begun."""
    total = int(known) if (known := await book.fact(ROWS_OF_INPUT) or "").isdecimal() else 0
    return f" of {total}" if sum((await book.counts()).values()) < total else ""


def _listed(counts: Mapping[Any, int]) -> str:
    said = {"intent": "sent and not answered yet"}
    return ", ".join(f"{n} {said.get(state, state)}" for state, n in counts.items()) or "none"


def _told(row: Row, step: Step, ledger: Place) -> str:
    """A failed or unknown step, with what can be done."""
    account = step.account or "not named"
    video = step.number > 1
    of_any = "" if is_avatar(row) or not video else f"step {step.number} "
    kind = f"{noun_of(step)} " if video and is_avatar(row) else of_any
    head = f"{kind}{step.state}: row {row.key}, account {account}"
    task = step.kind == "task"
    if step.state == "failed":
        named = f", task {step.remote_id}" if task and step.remote_id is not None else ""
        missing = ""
        if step.evidence == MISSING:
            more = " --video" if video else ""
            missing = (
                "\n  it may go on: `kling-async bulk retry "
                f"{ledger}{more}` looks for it again; --pay-again begins it once more"
            )
        return f"{head}{named}: {step.error}{missing}"
    settle = shlex.join(["kling-async", "bulk", "settle", str(ledger), row.key])
    could_be = ", ".join(step.candidates) or "none listed"
    noun = noun_of(step) if noun_of(step) != "task" else "job"
    cost = f"one {noun} more than wanted, if it exists and is sent again"
    if task:
        cost = f"the credits of one {noun} more, if it began and is sent again"
    options = ("--adopt ID", "--resend", "--abandon")
    if is_avatar(row):
        options = ("--adopt AVATAR_ID", "--resend", "--abandon")
        if video:
            options = ("--adopt-task TASK_ID", "--resend-video", "--abandon-video")
    elif video:
        settle += f" --step {step.number}"
    exists = "it began:          " if task else "it exists:         "
    return "\n".join(
        (
            f"{head}, sent {moment(step.intent_at)}: {step.error}",
            f"  could be: {'task ' if task else ''}{could_be}",
            f"  may cost: {cost}",
            f"  {exists}{settle} {options[0]}",
            f"  send it again:     {settle} {options[1]}",
            f"  leave it:          {settle} {options[2]}",
        )
    )


def moment(seconds: float | None) -> str:
    """A time as people read it, in UTC."""
    if seconds is None:
        return "never"
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))

"""How is a bulk run driven from a terminal? Signals, progress, results and the exit code."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path

import click
from attrs import asdict, frozen

from ..bulk.export import as_json
from ..bulk.inputs import read_rows
from ..bulk.journal import Journal
from ..bulk.ledger import Ledger
from ..bulk.rows import RowInput
from ..bulk.runner import CHUNK, BulkRun, Job
from .progress import Display, Meter, display, shown
from .session import DONE, INTERRUPTED, TROUBLE

TOLD_AT_ONCE = 20
"""Failed rows that are shown while the run goes on; the rest is in the ledger."""


@frozen
class Order:
    """What to run and how to show it."""

    ledger: Path
    total: int
    as_json: bool


async def drive(order: Order, run: BulkRun, jobs: AsyncIterator[Sequence[Job]]) -> int:
    """Run to the end, or to Ctrl-C; the exit code."""
    screen = display(order.total, as_json=order.as_json)
    meter = Meter(run, order.total)
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        interrupted = True

    with _signals(run, screen, interrupt):
        async with shown(meter, screen), aclosing(run.results(jobs)) as results:
            told = 0
            async for row in results:
                if order.as_json:
                    click.echo(json.dumps({"type": "row", **as_json(row)}, ensure_ascii=False))
                elif row.state in ("failed", "unknown") and told < TOLD_AT_ONCE:
                    told += 1
                    screen.say(f"row {row.key} {row.state}: {row.error}")
    _conclude(order, run, meter, interrupted)
    if interrupted:
        return INTERRUPTED
    return DONE if run.tally.created == order.total else TROUBLE


async def rows_of_file(path: Path) -> AsyncIterator[Sequence[RowInput]]:
    """The rows of an input file, read in a thread, in chunks."""
    rows = read_rows(path)
    while chunk := await asyncio.to_thread(lambda: list(islice(rows, CHUNK))):
        yield chunk


async def failed_rows(journal: Journal) -> AsyncIterator[Sequence[Job]]:
    """The failed rows of a ledger, open again."""
    last = 0
    while True:
        reopen = partial(Ledger.reopen_failed, after_id=last, size=CHUNK)
        records = await journal.write(reopen)
        if not records:
            return
        last = records[-1].id
        yield [Job(record) for record in records]


@contextmanager
def _signals(run: BulkRun, screen: Display, interrupt: Callable[[], None]) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) stops the run cleanly, the second leaves at once."""
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()
    assert main is not None
    asked = 0

    def stop() -> None:
        nonlocal asked
        asked += 1
        interrupt()
        if asked > 1:
            main.cancel()
            return
        run.stop("it was interrupted")
        screen.say(
            f"stopping: {run.tally.under_way} rows under way are finished and recorded; press "
            f"Ctrl-C again to leave at once (what is in flight then counts as unknown)"
        )

    caught = []
    for one in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(one, stop)
            caught.append(one)
        except NotImplementedError:  # Windows: KeyboardInterrupt does what the second one does
            break
    try:
        yield
    finally:
        for one in caught:
            loop.remove_signal_handler(one)


def _conclude(order: Order, run: BulkRun, meter: Meter, interrupted: bool) -> None:
    now = meter.now()
    if order.as_json:
        summary = {"type": "summary", **asdict(now), "interrupted": interrupted}
        click.echo(json.dumps({**summary, "stopped_because": run.stopped_because}))
        return
    tally, ledger = run.tally, order.ledger
    parts = [f"{tally.created} of {order.total} rows created"]
    parts += [f"{n} {name}" for name in ("failed", "unknown", "skipped") if (n := _of(run, name))]
    sent = tally.settled - tally.resumed
    took = f"in {meter.elapsed_s:.1f} s" if sent else "in earlier runs; nothing was sent"
    click.echo(f"{', '.join(parts)} {took}.")
    if run.stopped_because:
        click.echo(f"The run ended early: {run.stopped_because}.")
    for reason in run.parked:
        click.echo(f"Parked: {reason}")
    if tally.failed:
        click.echo(f"Failed rows are tried again by: kling-async bulk retry {ledger}")
    if tally.unknown:
        click.echo(
            f"Unknown rows may exist at Kling and are never sent again by themselves. Compare "
            f"`kling-async bulk status {ledger}` with `kling-async avatars list`."
        )
    if tally.settled < order.total or tally.skipped:
        click.echo("Run the same command again to go on where it stopped.")
    click.echo(f"Results: kling-async bulk export {ledger} --to results.csv")


def _of(run: BulkRun, name: str) -> int:
    count: int = getattr(run.tally, name)
    return count

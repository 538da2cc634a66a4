"""How is a bulk run driven from a terminal? Signals, progress, results and the exit code."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from functools import partial, wraps
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import click
from attrs import asdict, evolve, frozen

from ..bulk.export import flat
from ..bulk.feed import CHUNK, Job
from ..bulk.inputs import read_rows
from ..bulk.journal import Journal
from ..bulk.judge import Rules
from ..bulk.ledger import Ledger
from ..bulk.rows import RowInput
from ..bulk.runner import BulkRun
from ..client import AsyncKlingClient
from ..settings import RECONCILE_WITHIN_S
from .progress import Display, Meter, display, shown
from .session import DONE, INTERRUPTED, TROUBLE

F = TypeVar("F", bound=Callable[..., Any])

TOLD_AT_ONCE = 20
"""Failed rows that are shown while the run goes on; the rest is in the ledger."""


@frozen
class JobOptions:
    """What the options of a running job say."""

    concurrency: int
    as_json: bool
    single_writer: bool
    reconcile_within_s: float
    resend_after_absence: bool

    def run(self, kling: AsyncKlingClient, journal: Journal) -> BulkRun:
        """A run over `journal`, as these options want it."""
        retry = evolve(
            kling.options.retry,
            reconcile_within_s=self.reconcile_within_s,
            resend_after_absence=self.resend_after_absence,
        )
        return BulkRun(
            kling.pipeline,
            evolve(kling.options, retry=retry),
            journal,
            concurrency=self.concurrency,
            rules=Rules(self.single_writer),
        )


def with_job(command: F) -> F:
    """Give a command the options of a running job, as its argument `order`."""

    @wraps(command)
    def wrapped(
        *,
        concurrency: int,
        as_json: bool,
        single_writer: bool,
        reconcile_within_s: float,
        resend_after_absence: bool,
        **options: Any,
    ) -> Any:
        order = JobOptions(
            concurrency, as_json, single_writer, reconcile_within_s, resend_after_absence
        )
        return command(order=order, **options)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


_OPTIONS = (
    click.option(
        "--concurrency",
        type=click.IntRange(1, 1000),
        default=8,
        show_default=True,
        help="Rows under way at once.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Results and progress as JSON lines."),
    click.option(
        "--reconcile-within",
        "reconcile_within_s",
        type=click.FloatRange(0),
        default=RECONCILE_WITHIN_S,
        show_default=True,
        help="Seconds to look for an avatar whose answer was lost; later runs look again.",
    ),
    click.option(
        "--resend-after-absence",
        is_flag=True,
        help="Send again what was looked for in vain for 30 minutes; it may duplicate.",
    ),
    click.option(
        "--single-writer",
        is_flag=True,
        help="Nothing else makes avatars on these accounts: equal texts may count as evidence.",
    ),
)


async def drive(
    run: BulkRun,
    jobs: AsyncGenerator[Sequence[Job], None],
    ledger: Path,
    total: int,
    *,
    as_json: bool,
) -> int:
    """Run to the end, or to Ctrl-C; the exit code.

    Args:
        run: what to run.
        jobs: its rows.
        ledger: its ledger, for the commands that are shown.
        total: how many rows there are.
        as_json: results and progress as JSON lines.
    """
    screen = display(total, as_json=as_json)
    meter = Meter(run, total)
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        interrupted = True

    with _signals(run, screen, interrupt):
        async with shown(meter, screen), aclosing(run.results(jobs)) as results:
            told = 0
            async for row in results:
                if as_json:
                    click.echo(json.dumps({"type": "row", **flat(row)}, ensure_ascii=False))
                elif row.state in ("failed", "unknown") and told < TOLD_AT_ONCE:
                    told += 1
                    screen.say(f"row {row.key} {row.state}: {row.error}")
    _conclude(run, meter, ledger, total, interrupted=interrupted, as_json=as_json)
    if interrupted:
        return INTERRUPTED
    return DONE if run.tally.created == total else TROUBLE


async def rows_of_file(path: Path) -> AsyncIterator[Sequence[RowInput]]:
    """The rows of an input file, read in a thread, in chunks."""
    rows = read_rows(path)
    while chunk := await asyncio.to_thread(lambda: list(islice(rows, CHUNK))):
        yield chunk


async def failed_rows(journal: Journal) -> AsyncGenerator[Sequence[Job], None]:
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
            run.leave()
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


def _conclude(
    run: BulkRun, meter: Meter, ledger: Path, total: int, *, interrupted: bool, as_json: bool
) -> None:
    now = meter.now()
    if as_json:
        summary = {"type": "summary", **asdict(now), "interrupted": interrupted}
        click.echo(json.dumps({**summary, "stopped_because": run.stopped_because}))
        return
    tally = run.tally
    parts = [f"{tally.created} of {total} rows created"]
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
    if tally.adopted:
        click.echo(
            f"{tally.adopted} of them lost their answer and were found in the account's list."
        )
    if run.surplus:
        click.echo(
            f"Avatars beside those of the rows, with the same image: {', '.join(run.surplus)}"
        )
    if tally.unknown:
        click.echo(
            f"Unknown rows may exist at Kling and are never sent again by themselves. What can be "
            f"done is shown by: kling-async bulk status {ledger}"
        )
    if tally.settled < total or tally.skipped:
        click.echo("Run the same command again to go on where it stopped.")
    click.echo(f"Results: kling-async bulk export {ledger} --to results.csv")


def _of(run: BulkRun, name: str) -> int:
    count: int = getattr(run.tally, name)
    return count

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
from attrs import evolve, frozen

from ..bulk.export import flat
from ..bulk.feed import CHUNK, Job
from ..bulk.inputs import read_rows
from ..bulk.journal import Journal
from ..bulk.judge import Rules
from ..bulk.ledger import Ledger
from ..bulk.rows import BulkRow, RowInput
from ..bulk.runner import BulkRun
from ..bulk.setbacks import WAIT_FOR_SERVER_S
from ..client import AsyncKlingClient
from ..settings import RECONCILE_WITHIN_S
from .conclusion import conclude
from .progress import Display, Meter, Reach, display, going_on, many, shown
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
    wait_for_server_s: float
    video: bool
    video_dir: Path | None

    async def run(self, kling: AsyncKlingClient, journal: Journal) -> BulkRun:
        """A run over `journal`, as these options want it."""
        equipment = None
        if self.video:
            folder = await journal.write(lambda ledger: ledger.settle_folder(self.video_dir))
            equipment = kling.avatars.equipment(folder)
        retry = evolve(
            kling._options.retry,
            reconcile_within_s=self.reconcile_within_s,
            resend_after_absence=self.resend_after_absence,
        )
        return BulkRun(
            kling._pipeline,
            evolve(kling._options, retry=retry),
            journal,
            concurrency=self.concurrency,
            rules=Rules(self.single_writer),
            equipment=equipment,
            wait_for_server_s=self.wait_for_server_s,
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
        wait_for_server_s: float,
        video: bool,
        video_dir: Path | None,
        **options: Any,
    ) -> Any:
        order = JobOptions(
            concurrency,
            as_json,
            single_writer,
            reconcile_within_s,
            resend_after_absence,
            wait_for_server_s,
            video or video_dir is not None,
            video_dir,
        )
        return command(order=order, **options)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


_OPTIONS = (
    click.option(
        "--video",
        is_flag=True,
        help="Go on from each avatar to a talking video, for rows with text, audio or audio_url. "
        "Videos cost credits.",
    ),
    click.option(
        "--video-dir",
        type=click.Path(path_type=Path, file_okay=False),
        help="Where the videos go; implies --video. Default: beside the ledger, LEDGER-videos.",
    ),
    click.option(
        "--concurrency",
        type=click.IntRange(1, 1000),
        default=8,
        show_default=True,
        help="Rows under way at once; videos: as many as the accounts have job slots.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Results and progress as JSON lines."),
    click.option(
        "--reconcile-within",
        "reconcile_within_s",
        type=click.FloatRange(0),
        default=RECONCILE_WITHIN_S,
        show_default=True,
        help="Seconds to look for what was made when its answer was lost; later runs look again.",
    ),
    click.option(
        "--wait-for-server",
        "wait_for_server_s",
        type=click.FloatRange(0),
        default=WAIT_FOR_SERVER_S,
        show_default=True,
        help="Seconds to go on trying while the server can't be reached, before the run ends; what "
        "is on its way is tried five times in any case.",
    ),
    click.option(
        "--resend-after-absence",
        is_flag=True,
        help="Send avatars again that were looked for in vain for 30 minutes; it may duplicate.",
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
    emulated: bool,
    reach: Reach,
) -> int:
    """Run to the end, or to Ctrl-C; the exit code.

    Args:
        run: what to run.
        jobs: its rows.
        ledger: its ledger, for the commands that are shown.
        total: how many rows there are.
        as_json: results and progress as JSON lines.
        emulated: on the built-in emulator.
        reach: a hook of the run's client.
    """
    screen = display(total, as_json=as_json)
    meter = Meter(run, total, reach)
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
                elif (trouble := _trouble(row)) is not None and told < TOLD_AT_ONCE:
                    told += 1
                    screen.say(trouble)
    said = {"interrupted": interrupted, "as_json": as_json, "emulated": emulated}
    conclude(run, meter, ledger, total, **said)
    if interrupted:
        return INTERRUPTED
    return DONE if run.tally.done == total else TROUBLE


def _trouble(row: BulkRow) -> str | None:
    """A line for a row that did not come out as it should."""
    if row.state in ("failed", "unknown"):
        return f"row {row.key} {row.state}: {row.error}"
    if row.video_state in ("failed", "unknown"):
        return f"video of row {row.key} {row.video_state}: {row.error}"
    return None


async def rows_of_file(path: Path) -> AsyncIterator[Sequence[RowInput]]:
    """The rows of an input file, read in a thread, in chunks."""
    rows = read_rows(path)
    while chunk := await asyncio.to_thread(lambda: list(islice(rows, CHUNK))):
        yield chunk


async def failed_rows(
    journal: Journal, *, videos: bool = False
) -> AsyncGenerator[Sequence[Job], None]:
    """The failed rows of a ledger, open again; with `videos`, also those whose video failed."""
    last = 0
    while True:
        reopen = partial(Ledger.reopen_failed, after_id=last, size=CHUNK, videos=videos)
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
            screen.say(
                "left; run the same command again: it looks for what was in flight and goes on"
            )
            run.leave()
            main.cancel()
            return
        run.stop("it was interrupted")
        jobs = f"; {going_on(run.running)}" if run.running else ""
        rows = many(run.tally.under_way, "row")
        screen.say(
            f"stopping: {rows} under way will be finished and recorded{jobs}; "
            f"press Ctrl-C again to leave at once (what is in flight then counts as unknown)"
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

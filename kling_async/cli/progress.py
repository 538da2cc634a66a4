"""How does a run show where it is? A live bar, plain lines, or JSON lines; always on stderr."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, Protocol

from attrs import asdict, frozen

from ..bulk.results import RowResult, is_earlier
from ..bulk.runner import BulkRun
from ..errors import NotSentError
from ..models.text import printable
from ..stats import AttemptEvent
from .streams import echo, echo_json

if TYPE_CHECKING:
    from rich.console import RenderableType


@frozen
class Snapshot:
    """Where a run is, in numbers."""

    total: int
    settled: int
    created: int
    failed: int
    unknown: int
    skipped: int
    adopted: int
    under_way: int
    in_doubt: int
    waiting: int
    paused_s: float
    rows_per_s: float
    left_s: float | None
    found_per_s: float | None = None
    """The rate that `--rate auto` has found."""
    saved: int | None = None
    """Videos on disk; None where the run makes none."""
    videos_failed: int = 0
    videos_unknown: int = 0
    running: int = 0
    """Jobs at Kling."""
    queued: int = 0
    """Avatars whose video waits for its turn."""
    unreachable: bool = False
    """The last attempt found no server."""
    made: str = "created"
    """What is said of a row's first step that is done."""

    failed_before: int = 0
    """Of the failed ones, how many failed in an earlier run."""

    @property
    def percent(self) -> int:
        """How much is settled; 100 only where all is."""
        return 100 * self.settled // self.total if self.total else 100

    def facts(self) -> dict[str, Any]:
        """All of it, for programs."""
        return {**asdict(self), "percent": self.percent}

    @property
    def head(self) -> str:
        """How far it is, how fast, and how long it still takes."""
        parts = [f"{self.settled}/{self.total} rows ({self.percent}%)", f"{self.rows_per_s:.1f}/s"]
        if self.left_s is not None:
            parts.append(f"{duration(self.left_s)} left")
        return ", ".join(parts)

    @property
    def counts(self) -> str:
        """What became of the rows, and what is going on."""
        parts = [f"{self.created} {self.made}"]
        if self.failed:
            before = f" ({self.failed_before} in earlier runs)" if self.failed_before else ""
            parts.append(f"{self.failed} failed{before}")
        if self.unknown:
            parts.append(f"{self.unknown} unknown")
        if self.saved is not None:
            parts.append(f"{many(self.saved, 'video')} saved")
            of_videos = ((self.videos_failed, "failed"), (self.videos_unknown, "unknown"))
            parts += [f"{many(n, 'video')} {name}" for n, name in of_videos if n]
        if self.running:
            parts.append(f"{self.running} running")
        if self.queued:
            parts.append(f"{self.queued} queued")
        if self.in_doubt:
            parts.append(f"{self.in_doubt} looked for after a lost answer")
        if self.unreachable:
            parts.append("the server can't be reached")
        elif self.paused_s > 0:
            parts.append(f"paused by the server for {max(1, round(self.paused_s))} s")
        elif self.waiting:
            parts.append(f"{self.waiting} waiting for the limit")
        if self.found_per_s is not None:
            parts.append(f"{self.found_per_s:.1f} requests/s found")
        return ", ".join(parts)

    def __str__(self) -> str:
        return f"{self.head}: {self.counts}"


class Reach:
    """Is there a server? A client's hook, so that a run that waits for one says so."""

    lost: bool = False

    def __call__(self, event: AttemptEvent) -> None:
        """Hear of an attempt."""
        if event.status is not None or event.error == NotSentError.__name__:
            self.lost = event.status is None


class Meter:
    """Measures a run: rates and times from its tally."""

    def __init__(
        self,
        run: BulkRun,
        total: int,
        reach: Reach,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run = run
        self._total = total
        self._reach = reach
        self._monotonic = monotonic
        self._started = monotonic()
        self.began_at: float = time.time()
        """In epoch seconds, as the ledger's own times."""
        self.failed_before: int = 0
        self._seen_s = self._started
        self._paused_s = 0.0

    def saw(self, result: RowResult) -> None:
        """A result came; one that is the same as before this run is counted apart."""
        step = result.current
        if step is not None and step.state == "failed" and step.number == 1:
            self.failed_before += is_earlier(result, self.began_at)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return self._monotonic() - self._started

    def now(self) -> Snapshot:
        """Where the run is. The rate counts what this run did, not what an earlier one had."""
        run, counts = self._run, self._run.counts
        rows, videos = counts.of(1), counts.of(2)
        elapsed_s = self.elapsed_s
        done_here = counts.settled - counts.resumed
        rows_per_s = done_here / elapsed_s if elapsed_s > 0 else 0.0
        return Snapshot(
            total=self._total,
            settled=counts.settled,
            created=rows.done,
            failed=rows.failed,
            unknown=rows.unknown,
            skipped=rows.left,
            adopted=rows.found,
            under_way=counts.under_way,
            in_doubt=run.in_doubt[0],
            waiting=run.waiting,
            paused_s=round(run.paused_s, 1),
            rows_per_s=round(rows_per_s, 2),
            left_s=self._left_s(done_here, elapsed_s),
            found_per_s=None if (found := run.found_per_s) is None else round(found, 1),
            saved=videos.done if run.made == 2 else None,
            videos_failed=videos.failed,
            videos_unknown=videos.unknown,
            running=run.running,
            queued=run.queued,
            failed_before=self.failed_before,
            unreachable=self._reach.lost,
            made="created" if run.makes_avatars else "done",
        )

    def _left_s(self, done_here: int, elapsed_s: float) -> float | None:
        """Seconds until all is settled; None: nothing was settled yet that says how fast it goes.

        Rows go on as fast as they did while no pause held them; a pause is waited out, and what is
        looked for after a lost answer takes until it is given up, at most.
        """
        run, now_s = self._run, self._monotonic()
        if run.paused_s > 0:
            self._paused_s += now_s - self._seen_s
        self._seen_s = now_s
        in_doubt, in_doubt_s = run.in_doubt
        left = self._total - run.counts.settled - in_doubt
        if left + in_doubt <= 0:
            return None
        if left > 0 and not done_here:
            return None
        going_s = max(elapsed_s - self._paused_s, 0.0)
        rows_s = left * going_s / done_here + run.paused_s if left > 0 else 0.0
        return round(max(rows_s, in_doubt_s), 1)


class Display(Protocol):
    """Shows snapshots."""

    every_s: float

    def show(self, now: Snapshot) -> None:
        """Where the run is now."""

    def say(self, text: str) -> None:
        """A line that stays."""

    def close(self, now: Snapshot) -> None:
        """The last word."""


class Lines:
    """A plain line every few seconds, for pipes and log files."""

    every_s: float = 2.0

    def show(self, now: Snapshot) -> None:
        """One line."""
        echo(str(now), err=True)

    def say(self, text: str) -> None:
        """One line."""
        echo(text, err=True)

    def close(self, now: Snapshot) -> None:
        """The final count."""
        self.show(now)


class JSONLines:
    """A JSON object every second, for programs."""

    every_s: float = 1.0

    def show(self, now: Snapshot) -> None:
        """One object."""
        echo_json({"type": "progress", **now.facts()}, err=True)

    def say(self, text: str) -> None:
        """One object."""
        echo_json({"type": "message", "text": text}, err=True)

    def close(self, now: Snapshot) -> None:
        """The final count."""
        self.show(now)


class Bar:
    """A live bar on a terminal, with the counts on a line below it."""

    every_s: float = 0.1

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.live import Live

        self._total = total
        self._live = Live(
            console=Console(stderr=True, highlight=False, markup=False), auto_refresh=False
        )
        self._live.start()

    def show(self, now: Snapshot) -> None:
        """Redraw."""
        self._live.update(_drawn(now), refresh=True)

    def say(self, text: str) -> None:
        """A line above the bar."""
        self._live.console.print(printable(text), markup=False, highlight=False)

    def close(self, now: Snapshot) -> None:
        """Leave the bar as it ended."""
        self.show(now)
        self._live.stop()


def _drawn(now: Snapshot) -> RenderableType:
    """Two lines that fit any terminal: what does not, is cut off at their ends."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    first = Table.grid(expand=True, padding=(0, 1))
    first.add_column(ratio=1, min_width=8)
    first.add_column(no_wrap=True)
    head = Text(now.head, no_wrap=True, overflow="ellipsis")
    first.add_row(ProgressBar(max(now.total, 1), now.settled), head)
    return Group(first, Text(now.counts, no_wrap=True, overflow="ellipsis"))


Shape = Literal["auto", "lines", "json"]


def display(total: int, shape: Shape) -> Display:
    """The display that is wanted; "auto": what suits where stderr goes."""
    if shape == "json":
        return JSONLines()
    if shape == "lines":
        return Lines()
    moves = sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown", "")
    return Bar(total) if moves else Lines()


@asynccontextmanager
async def shown(meter: Meter, screen: Display) -> AsyncIterator[None]:
    """Keep the display up to date while the context lasts."""

    async def redraw() -> None:
        while True:
            await asyncio.sleep(screen.every_s)
            screen.show(meter.now())

    drawing = asyncio.create_task(redraw())
    try:
        yield
    finally:
        drawing.cancel()
        await asyncio.gather(drawing, return_exceptions=True)
        screen.close(meter.now())


def duration(seconds: float) -> str:
    """A span of time as people read it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def many(n: int, what: str) -> str:
    """`1 video`, `2 videos`."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def going_on(jobs: int) -> str:
    """What is left at Kling."""
    return f"{many(jobs, 'job')} {'goes' if jobs == 1 else 'go'} on at Kling"

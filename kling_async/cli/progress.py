"""How does a run show where it is? A live bar, plain lines, or JSON lines; always on stderr."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from attrs import asdict, frozen

from ..bulk.runner import BulkRun
from ..errors import NotSentError
from ..models.text import printable
from ..stats import AttemptEvent
from .streams import echo, echo_json


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

    def __str__(self) -> str:
        parts = [f"{self.settled}/{self.total} rows", f"{self.created} {self.made}"]
        parts += [f"{n} {name}" for name in ("failed", "unknown") if (n := getattr(self, name))]
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
            parts.append(f"paused by the server for {self.paused_s:.0f} s")
        elif self.waiting:
            parts.append(f"{self.waiting} waiting for the limit")
        if self.found_per_s is not None:
            parts.append(f"{self.found_per_s:.1f} requests/s found")
        parts.append(f"{self.rows_per_s:.1f}/s")
        if self.left_s is not None:
            parts.append(f"{_duration(self.left_s)} left")
        return ", ".join(parts)


class Reach:
    """Is there a server? A client's hook, so that a run that waits for one says so."""

    lost = False

    def __call__(self, event: AttemptEvent) -> None:
        """Hear of an attempt."""
        if event.status is not None or event.error == NotSentError.__name__:
            self.lost = event.status is None


class Meter:
    """Measures a run: rates and times from its tally."""

    def __init__(self, run: BulkRun, total: int, reach: Reach) -> None:
        self._run = run
        self._total = total
        self._reach = reach
        self._started = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._started

    def now(self) -> Snapshot:
        """Where the run is. The rate counts what this run did, not what an earlier one had."""
        run, counts = self._run, self._run.counts
        rows, videos = counts.of(1), counts.of(2)
        elapsed_s = self.elapsed_s
        done_here = counts.settled - counts.resumed
        rows_per_s = done_here / elapsed_s if elapsed_s > 0 else 0.0
        left = self._total - counts.settled
        return Snapshot(
            total=self._total,
            settled=counts.settled,
            created=rows.done,
            failed=rows.failed,
            unknown=rows.unknown,
            skipped=rows.left,
            adopted=rows.found,
            under_way=counts.under_way,
            in_doubt=run.in_doubt,
            waiting=run.waiting,
            paused_s=round(run.paused_s, 1),
            rows_per_s=round(rows_per_s, 2),
            left_s=round(left / rows_per_s, 1) if rows_per_s and left else None,
            found_per_s=None if (found := run.found_per_s) is None else round(found, 1),
            saved=videos.done if run.made == 2 else None,
            videos_failed=videos.failed,
            videos_unknown=videos.unknown,
            running=run.running,
            queued=run.queued,
            unreachable=self._reach.lost,
            made="created" if run.makes_avatars else "done",
        )


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

    every_s = 2.0

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

    every_s = 1.0

    def show(self, now: Snapshot) -> None:
        """One object."""
        echo_json({"type": "progress", **asdict(now)}, err=True)

    def say(self, text: str) -> None:
        """One object."""
        echo_json({"type": "message", "text": text}, err=True)

    def close(self, now: Snapshot) -> None:
        """The final count."""
        self.show(now)


class Bar:
    """A live bar on a terminal."""

    every_s = 0.1

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._progress = Progress(
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.description}", markup=False),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task("", total=total)
        self._progress.start()

    def show(self, now: Snapshot) -> None:
        """Redraw."""
        self._progress.update(self._task, completed=now.settled, description=str(now))

    def say(self, text: str) -> None:
        """A line above the bar."""
        self._progress.console.print(printable(text), markup=False, highlight=False)

    def close(self, now: Snapshot) -> None:
        """Leave the bar as it ended."""
        self.show(now)
        self._progress.stop()


def display(total: int, *, as_json: bool) -> Display:
    """The display that suits where stderr goes."""
    if as_json:
        return JSONLines()
    return Bar(total) if sys.stderr.isatty() else Lines()


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


def _duration(seconds: float) -> str:
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

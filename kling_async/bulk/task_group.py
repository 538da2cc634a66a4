"""Which tasks of a run must not be interrupted? They end together, and none is forgotten.

A task that sends or writes down holds on (`Hold`); every other task may be cancelled when the run
stops. `runner.py` starts them all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from attrs import define


@define(eq=False)
class Hold:
    """Whether a task is at something now that must not be interrupted."""

    in_flight: bool = False
    """Its intent is on disk, and what came of it is not."""
    settling: bool = False
    """What came of it is being written down."""
    account: str | None = None
    """Whose step it is at."""
    overtaken: int = 0
    """How often in a row the ledger said otherwise of that step."""

    @property
    def must_finish(self) -> bool:
        """Whether to interrupt it now would leave something unsaid."""
        return self.in_flight or self.settling


class TaskGroup:
    """The tasks of one run."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        """The first that one of them failed with."""
        self._holds: dict[asyncio.Task[None], Hold | None] = {}
        self._ended = asyncio.Event()
        self._interrupted = False

    def start(
        self, work: Coroutine[Any, Any, None], hold: Hold | None = None
    ) -> asyncio.Task[None]:
        """Begin `work`.

        Args:
            work: what to do.
            hold: says when it must not be interrupted; default: it may be at any time.
        """
        task = asyncio.create_task(work)
        self._holds[task] = hold
        task.add_done_callback(self._done)
        if self._interrupted and not (hold and hold.must_finish):
            task.cancel()
        return task

    def interrupt(self) -> None:
        """Cancel whoever may be, now and when they begin; the others end by themselves."""
        self._interrupted = True
        for task, hold in self._holds.items():
            if not (hold and hold.must_finish):
                task.cancel()

    async def rest(self) -> None:
        """Return when all have ended, or one has failed."""
        while self._holds and self.error is None:
            await self._changed()

    async def ended(self) -> None:
        """Return when all have ended."""
        while self._holds:
            await self._changed()

    async def end(self) -> None:
        """Cancel all, and return when they have ended."""
        self._interrupted = True
        for task in self._holds:
            task.cancel()
        await self.ended()

    async def _changed(self) -> None:
        self._ended.clear()
        await self._ended.wait()

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._holds[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            self.error = self.error or error
        if not self._holds or self.error is not None:  # a row has a task: nobody wakes for each
            self._ended.set()

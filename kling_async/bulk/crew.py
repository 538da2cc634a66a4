"""Who works on a run? Its tasks, whoever began them: they end together, and none is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Crew:
    """The tasks of one run."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        """The first that one of them failed with."""
        self._busy: dict[asyncio.Task[None], Callable[[], bool]] = {}
        self._ended = asyncio.Event()
        self._interrupted = False

    def start(
        self, work: Coroutine[Any, Any, None], busy: Callable[[], bool] = bool
    ) -> asyncio.Task[None]:
        """Begin `work`.

        Args:
            work: what to do.
            busy: whether it is at something now that must not be interrupted; default: never.
        """
        task = asyncio.create_task(work)
        self._busy[task] = busy
        task.add_done_callback(self._done)
        if self._interrupted and not busy():
            task.cancel()
        return task

    def interrupt(self) -> None:
        """Cancel whoever may be, now and when they begin; the others end by themselves."""
        self._interrupted = True
        for task, busy in self._busy.items():
            if not busy():
                task.cancel()

    async def rest(self) -> None:
        """Return when all have ended, or one has failed."""
        while self._busy and self.error is None:
            await self._changed()

    async def ended(self) -> None:
        """Return when all have ended."""
        while self._busy:
            await self._changed()

    async def end(self) -> None:
        """Cancel all, and return when they have ended."""
        self._interrupted = True
        for task in self._busy:
            task.cancel()
        await self.ended()

    async def _changed(self) -> None:
        self._ended.clear()
        await self._ended.wait()

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._busy[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            self.error = self.error or error
        if not self._busy or self.error is not None:  # a row has a task: nobody wakes for each
            self._ended.set()

"""When is looked for what was lost? One look per account serves all of its doubtful rows.

What a look shows, and what it proves, is said by `doubts.py` for avatars and `videodoubts.py` for
videos.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

from .. import settings
from ..clock import Clock
from ..errors import KlingError
from .crew import Crew

log = logging.getLogger("kling_async")

L = TypeVar("L")
"""What a look shows."""


class Watch(ABC, Generic[L]):
    """Looks for the doubtful rows of one run, patiently and then more patiently.

    Args:
        crew: whose tasks do the looking; they end when nothing is in doubt.
        clock: sleeps.
        within_s: how long a row is looked for before it is given up.
    """

    def __init__(self, crew: Crew, *, clock: Clock, within_s: float) -> None:
        self._crew = crew
        self._clock = clock
        self._within_s = within_s
        self._waiting: dict[str | None, dict[int, float]] = {}
        """account -> row id -> when to give up, on the monotonic clock."""
        self._watchers: dict[str | None, asyncio.Task[None]] = {}
        self._news: dict[str | None, asyncio.Event] = {}
        self._preparing: dict[str | None, asyncio.Task[None]] = {}

    @property
    def open(self) -> int:
        """How many rows are in doubt now."""
        return sum(map(len, self._waiting.values()))

    @abstractmethod
    async def look(self, account: str | None) -> L:
        """What there is now; KlingError where it can't be seen."""

    @abstractmethod
    async def prepare(self, account: str | None, seen: L) -> None:
        """The first look at an account in this run."""

    @abstractmethod
    async def judge(self, account: str | None, seen: L) -> Sequence[int]:
        """Settle what is proven; those rows."""

    @abstractmethod
    async def give_up(self, account: str | None, row_ids: Sequence[int], seen: L | None) -> None:
        """The time of these rows is over; `seen` is None where nothing can be seen now."""

    @abstractmethod
    async def settled(self, row_id: int) -> None:
        """A row is not in doubt any more."""

    async def prepared(self, account: str | None) -> None:
        """Once in a run, before anything is sent for `account`: look at what is there.

        What an earlier run left unsettled is looked for as well.

        Raises KlingError where the account can't be listed. The next call tries again.
        """
        task = self._preparing.get(account)
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            task = self._preparing[account] = asyncio.create_task(self._prepare(account))
        await asyncio.shield(task)

    def add(self, row_id: int, account: str | None) -> None:
        """A row is in doubt from now on."""
        until = self._clock.monotonic() + self._within_s
        self._waiting.setdefault(account, {})[row_id] = until
        self._news.setdefault(account, asyncio.Event()).set()
        watcher = self._watchers.get(account)
        if watcher is None or watcher.done():
            self._watchers[account] = self._crew.start(self._watch(account))

    async def close(self) -> None:
        """Prepare nothing any more; the rows in doubt stay so for the next run."""
        tasks = list(self._preparing.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _prepare(self, account: str | None) -> None:
        await self.prepare(account, await self.look(account))

    async def _watch(self, account: str | None) -> None:
        """Look until nothing is in doubt; soon again when another row is."""
        waiting, news, looks = self._waiting[account], self._news[account], 0
        while waiting:
            if news.is_set():
                news.clear()
                looks = 0
            waits = settings.LOOK_AFTER_S
            left_s = min(waiting.values()) - self._clock.monotonic()
            await self._clock.sleep(max(0.0, min(waits[min(looks, len(waits) - 1)], left_s)))
            looks += 1
            seen: L | None = None
            try:
                seen = await self.look(account)
            except KlingError as exc:
                log.info("rows in doubt could not be looked for: %s", type(exc).__name__)
            else:
                for row_id in await self.judge(account, seen):
                    await self._settle(account, row_id)
            await self._expire(account, seen)

    async def _expire(self, account: str | None, seen: L | None) -> None:
        now = self._clock.monotonic()
        late = [one for one, until in self._waiting[account].items() if now >= until]
        if late:
            await self.give_up(account, late, seen)
            for row_id in late:
                await self._settle(account, row_id)

    async def _settle(self, account: str | None, row_id: int) -> None:
        if self._waiting[account].pop(row_id, None) is not None:  # else it is not of this run
            await self.settled(row_id)

"""Does the account have a free job slot? Kling answers 429 to a task beyond them.

A slot is taken before a request that starts a job goes out. It is given back when any answer shows
the job to be final, when the request was plainly refused or never sent, and when the server itself
would have stopped tracking the job. Other processes may see our job end, and may fill the account
with theirs, so a call that waits for a slot looks into the scheduler from time to time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable

from .. import settings
from ..clock import Clock, woken_within
from .fair import FairLock

Look = Callable[[], Awaitable[Collection[int] | None]]
"""The ids of the jobs that run on the account; None where that can't be said now."""

VISIBLE_AFTER_S = 15.0  # a job this young may be missing in the scheduler; how long is unknown


class JobSlot:
    """One job's slot."""

    __slots__ = ("account", "job_id", "since_s")

    def __init__(self, account: str, since_s: float) -> None:
        self.account: str = account
        self.since_s: float = since_s
        self.job_id: int | None = None
        """None until the server has named it; for ever where the answer was lost."""


class _Account:
    def __init__(self) -> None:
        self.line = FairLock()
        self.places: dict[JobSlot, None] = {}  # oldest first
        self.freed: asyncio.Future[None] | None = None


class JobSlots:
    """The job slots of all accounts, counted by us."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._accounts: dict[str | None, _Account] = {}
        self.by_id: dict[int, JobSlot] = {}
        """Job -> its slot, where it is known to run."""

    def running(self, account: str | None) -> int:
        """How many slots of `account` are taken."""
        one = self._accounts.get(account)
        return 0 if one is None else len(one.places)

    def waiting(self, account: str | None) -> int:
        """How many calls wait for a slot of `account`."""
        one = self._accounts.get(account)
        return 0 if one is None else len(one.line) + (one.freed is not None)

    async def take(self, account: str, most: int, look: Look | None = None) -> JobSlot:
        """Return with a slot, first come, first served.

        Args:
            account: whose.
            most: how many there are.
            look: asked while none is free.
        """
        one = self._accounts.setdefault(account, _Account())
        if not one.line.try_acquire():
            await one.line.acquire()
        try:
            self._forget_old(one)
            while len(one.places) >= most:
                await self._change(one)
                self._forget_old(one)
                if look is not None and len(one.places) >= most:
                    self._compare(one, await look())
            place = JobSlot(account, self._clock.monotonic())
            one.places[place] = None
            return place
        finally:
            one.line.release()

    def runs(self, account: str, job_id: int) -> None:
        """A job that somebody else began runs there: an earlier process of ours, say."""
        if job_id not in self.by_id:
            place = JobSlot(account, self._clock.monotonic())
            self._accounts.setdefault(account, _Account()).places[place] = None
            self.started(place, job_id)

    def started(self, place: JobSlot, job_id: int | None) -> None:
        """Note the id of the job that holds `place`."""
        if job_id is not None and place in self._accounts[place.account].places:
            place.job_id = job_id
            self.by_id[job_id] = place

    def finished(self, job_ids: Iterable[int]) -> None:
        """These jobs are over; ids that are not ours do no harm."""
        for job_id in job_ids:
            if (place := self.by_id.get(job_id)) is not None:
                self.give_back(place)

    def missing(self, job_id: int) -> None:
        """The server does not know this job. Soon after its start that may mean nothing."""
        place = self.by_id.get(job_id)
        if place is not None and self._clock.monotonic() - place.since_s > VISIBLE_AFTER_S:
            self.give_back(place)

    def give_back(self, place: JobSlot | None) -> None:
        """Free a slot; None, or a second call, does nothing."""
        if place is None:
            return
        one = self._accounts[place.account]
        if one.places.pop(place, self) is self:
            return
        if place.job_id is not None:
            self.by_id.pop(place.job_id, None)
        if one.freed is not None and not one.freed.done():
            one.freed.set_result(None)

    def _forget_old(self, one: _Account) -> None:
        """The server tracks a job for an hour."""
        oldest_s = self._clock.monotonic() - settings.JOB_TRACKED_S
        for place in [place for place in one.places if place.since_s <= oldest_s]:
            self.give_back(place)

    def _compare(self, one: _Account, listed: Collection[int] | None) -> None:
        """Give back what the scheduler does not list any more."""
        if listed is None:
            return
        visible_s = self._clock.monotonic() - VISIBLE_AFTER_S
        old = [place for place in one.places if place.since_s < visible_s]
        unknown = sum(1 for job_id in listed if job_id not in self.by_id)
        for place in reversed(old):
            if place.job_id is not None:
                if place.job_id not in listed:
                    self.give_back(place)
            elif unknown:
                unknown -= 1  # it may well be this one
            else:
                self.give_back(place)

    async def _change(self, one: _Account) -> None:
        """Return when a slot is given back, or when it is time to look again."""
        one.freed = freed = asyncio.get_running_loop().create_future()
        try:
            await woken_within(self._clock, settings.JOB_LOOK_EVERY_S, freed)
        finally:
            one.freed = None

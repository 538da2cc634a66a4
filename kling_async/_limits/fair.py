"""Who is next? A line in which each waits for those who came before, and nobody overtakes.

Used by the buckets, the pauses of accounts and the places in flight. One future per waiter, no
task, no timer: 10,000 who wait cost nothing until it is their turn.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable


class FairLock:
    """First come, first served. Who is at the head calls `release` to let the next one in.

    if not line.try_acquire():
        await line.acquire()
    try:
        ...
    finally:
        line.release()
    """

    def __init__(self) -> None:
        self._occupied = False
        self._waiting: OrderedDict[asyncio.Future[None], float] = OrderedDict()
        self._least_patient_s = float("inf")

    def __len__(self) -> int:
        """How many wait, without the head."""
        return len(self._waiting)

    def try_acquire(self) -> bool:
        """Whether nobody was there, so that the caller is the head now."""
        if self._occupied:
            return False
        self._occupied = True
        return True

    async def acquire(self, patience_s: float = float("inf")) -> None:
        """Return as the head. A cancelled waiter leaves no gap.

        Args:
            patience_s: for `reject_waiters`.
        """
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[mine] = patience_s
        self._least_patient_s = min(self._least_patient_s, patience_s)
        try:
            await mine
        except asyncio.CancelledError:
            waited = self._waiting.pop(mine, None) is not None
            if not waited and not mine.cancelled() and mine.exception() is None:
                self.release()  # it was our turn in the very moment
            raise

    def release(self) -> None:
        """The head goes; the next one takes its place."""
        while self._waiting:
            next_one, _ = self._waiting.popitem(last=False)
            if not next_one.done():
                next_one.set_result(None)
                return
        self._occupied = False
        self._least_patient_s = float("inf")

    def reject_waiters(self, wait_s: float, error: Callable[[], Exception]) -> None:
        """Where patience is shorter than `wait_s`, `acquire` raises a new `error()`."""
        if wait_s <= self._least_patient_s:
            return
        for one in [one for one, patience_s in self._waiting.items() if patience_s < wait_s]:
            del self._waiting[one]
            if not one.done():
                one.set_exception(error())
        self._least_patient_s = min(self._waiting.values(), default=float("inf"))


class FairSemaphore:
    """So many at once, first come, first served.

    Args:
        most: how many.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken: int = 0
        self._line = FairLock()
        self._freed: asyncio.Future[None] | None = None

    async def take(self) -> None:
        """Return with a place. Each is given back exactly once."""
        if self.taken < self.most and self._line.try_acquire():
            self.taken += 1  # nothing waits: one comparison and no future
            self._line.release()
            return
        if not self._line.try_acquire():
            await self._line.acquire()
        try:
            while self.taken >= self.most:
                self._freed = asyncio.get_running_loop().create_future()
                await self._freed
            self.taken += 1
        finally:
            self._freed = None
            self._line.release()

    def give_back(self) -> None:
        """Free a place."""
        self.taken -= 1
        if self._freed is not None and not self._freed.done():
            self._freed.set_result(None)

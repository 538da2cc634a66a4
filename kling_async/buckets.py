"""How is a rate kept? Leaky buckets of aiolimiter, shaped so that the promise holds everywhere.

The promise: at most N arrivals in *every* window of T seconds, and 97 % of them used. aiolimiter's
`AsyncLimiter(N, T)` lets almost 2N through in its first window (the full bucket, and the leak
behind it); `AsyncLimiter(1, T / N)` is exact, but loses the lateness of each timer: a tenth of
1,000 a second, four fifths of 5,000.

A bucket of capacity C that leaks r a second lets at most C + r * t through in t seconds. Ours takes
C = burst + N / 100: a hundredth of N in arrears is caught up, which makes up for timers that are
late by T / 100. And r = (N + 1 - C) / (T + J): N + 1 need more than T + J, where J, 10 ms at most
for windows of a second, is what two requests may lose or win against each other on their way. The
two cost a hundredth each, so 98 % of N remain.

A request that has to wait for a new connection is late by more than J, the first one above all. Its
lag is charged to the bucket once, so that those behind it keep their distance where they arrive.
"""

from __future__ import annotations

import asyncio
import math

from aiolimiter import AsyncLimiter

from .cubic import Cubic
from .limits import RateLimit
from .lines import Line
from .settings import LEARN_FROM_PER_S

ARREARS = 0.01  # of N
JITTER = 0.01  # of T
JITTER_MAX_S = 0.02


class Leaky:
    """aiolimiter's bucket for one who asks at a time, and who waits outside of it.

    aiolimiter may find itself 1e-17 s early and ask to be woken at once. On a virtual clock, as
    tests use it, that goes on for ever; here waits are whole microseconds, and one at least.

    Args:
        capacity: how much it holds, at least 1.
        per_s: how much leaks out in a second.
    """

    def __init__(self, capacity: float, per_s: float) -> None:
        self.per_s = per_s
        self.capacity = capacity
        self._limiter = AsyncLimiter(capacity, capacity / per_s)
        self._empty_s = 0.0
        """When all that is in it will have leaked out, to know how long to wait."""

    def has_room(self) -> bool:
        """Whether one goes in now."""
        return self._limiter.has_capacity()

    async def fill(self, amount: float = 1.0) -> None:
        """Return when `amount` has gone in."""
        loop = asyncio.get_running_loop()
        while not self._limiter.has_capacity(amount):
            room_s = self._empty_s - (self.capacity - amount) / self.per_s
            wait_us = math.ceil((room_s - loop.time()) * 1e6)
            await asyncio.sleep(max(1, wait_us) / 1e6)
        await self._limiter.acquire(amount)  # does not wait: it has room
        self._empty_s = max(self._empty_s, loop.time()) + amount / self.per_s


def shaped(limit: RateLimit) -> Leaky:
    """The bucket that keeps `limit` in every window, from the first on."""
    capacity = limit.burst + ARREARS * limit.requests
    window_s = limit.per_s + min(JITTER_MAX_S, JITTER * limit.per_s)
    return Leaky(capacity, (limit.requests + 1 - capacity) / window_s)


class Bucket:
    """One bucket with a line in front, because aiolimiter lets newcomers overtake.

    Only the head of the line asks it, so one timer runs however many wait. Nothing belongs to a
    loop before the first request.
    """

    def __init__(self, limit: RateLimit) -> None:
        self._leaky = shaped(limit)
        self._line = Line()
        self._window_s = limit.per_s
        self._spare_s = min(JITTER_MAX_S, JITTER * limit.per_s)
        self._late = 0
        self._late_s = 0.0
        self._due_s = 0.0

    async def acquire(self) -> bool:
        """Return when there is room; whether that had to be waited for."""
        waited = not self._line.enter()
        if waited:
            await self._line.wait()
        try:
            waited = waited or not self._leaky.has_room()
            await self._leaky.fill()
            if self._late and _now_s() >= self._due_s:
                await self._pay()
        finally:
            self._line.leave()
        return waited

    def lagged(self, lag_s: float) -> None:
        """A request goes out now, `lag_s` after it was let through.

        Those behind it on quicker ways come too close to it, unless something is lost within the
        window that begins now: as much as it is late, or as many as are late. One loss serves all
        late ones whose windows it lies in, so it is put off for half a window.
        """
        lag_s = min(lag_s, self._window_s)
        if lag_s <= self._spare_s:
            return
        due_s = _now_s() + min(self._window_s / 2, self._window_s - lag_s)
        self._due_s = min(due_s, self._due_s) if self._late else due_s
        self._late += 1
        self._late_s = max(self._late_s, lag_s)

    async def _pay(self) -> None:
        """Lose what is owed in steps that fit into the bucket; half of what is to spare helps."""
        leak_per_s = self._leaky.per_s
        owed = min(self._late, self._late_s * leak_per_s) - self._spare_s * leak_per_s / 2
        self._late, self._late_s = 0, 0.0
        while owed > 0:
            await self._leaky.fill(min(1.0, owed))
            owed -= 1


class LearningBucket:
    """A bucket whose rate follows what the server refuses, below the bound that `limit` is."""

    def __init__(self, limit: RateLimit) -> None:
        self._bound = Bucket(limit)
        self._line = Line()
        self._law = Cubic(LEARN_FROM_PER_S, limit.requests / limit.per_s)
        self._shaped_per_s = 0.0
        self._leaky = self._shaped()

    @property
    def per_s(self) -> float:
        """The rate now."""
        return self._law.per_s

    async def acquire(self) -> None:
        """Return when there is room."""
        waited = not self._line.enter()
        if waited:
            await self._line.wait()
        try:
            waited = waited or not self._leaky.has_room()
            await self._leaky.fill()
            await self._bound.acquire()
            self._law.sent(_now_s(), waited=waited)
            if abs(self._law.per_s / self._shaped_per_s - 1) > 0.005:
                self._leaky = self._shaped()
                await self._leaky.fill(self._leaky.capacity)  # full, as the last one left it
        finally:
            self._line.leave()

    def lagged(self, lag_s: float) -> None:
        """See `Bucket.lagged`; the bound is what was promised."""
        self._bound.lagged(lag_s)

    def refused(self, sent_s: float) -> None:
        """What went out at `sent_s` was answered 429."""
        self._law.refused(sent_s, _now_s())

    def _shaped(self) -> Leaky:
        self._shaped_per_s = rate = self._law.per_s
        capacity = 1.5 + rate * ARREARS  # the arrears of half a step, and of timers 10 ms late
        return Leaky(capacity, rate)


class AccountBuckets:
    """The default limiter: one bucket per account, made when first used."""

    learns = False

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self._buckets: dict[str | None, Bucket] = {}

    async def acquire(self, account: str | None) -> None:
        """Return when the bucket of `account` has room."""
        found = self._buckets.get(account)
        if found is None:
            found = self._buckets[account] = Bucket(self._limit)
        await found.acquire()

    def per_s(self, account: str | None) -> float:
        """The rate, in requests a second."""
        return self._limit.requests / self._limit.per_s

    def lagged(self, account: str | None, lag_s: float) -> None:
        """A request for `account` went out `lag_s` after it was let through."""
        self._buckets[account].lagged(lag_s)

    def refused(self, account: str | None, sent_s: float) -> None:
        """Nothing is learned from a 429."""


class LearningBuckets:
    """The limiter of `RateLimit(..., adaptive=True)`: a learning bucket per account."""

    learns = True

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self._buckets: dict[str | None, LearningBucket] = {}

    async def acquire(self, account: str | None) -> None:
        """Return when the bucket of `account` has room."""
        await self._of(account).acquire()

    def per_s(self, account: str | None) -> float:
        """The rate that is held right for `account` now, in requests a second."""
        return self._of(account).per_s

    def lagged(self, account: str | None, lag_s: float) -> None:
        """A request for `account` went out `lag_s` after it was let through."""
        self._of(account).lagged(lag_s)

    def refused(self, account: str | None, sent_s: float) -> None:
        """What went out for `account` at `sent_s` (monotonic) was answered 429."""
        self._of(account).refused(sent_s)

    def _of(self, account: str | None) -> LearningBucket:
        found = self._buckets.get(account)
        if found is None:
            found = self._buckets[account] = LearningBucket(self._limit)
        return found


class SharedBucket:
    """The limiter for a whole client: one bucket for all accounts."""

    def __init__(self, limit: RateLimit) -> None:
        self._bucket = LearningBucket(limit) if limit.adaptive else Bucket(limit)
        self.learns = limit.adaptive

    async def acquire(self, account: str | None) -> None:
        """Return when the bucket has room, whoever asks."""
        await self._bucket.acquire()

    def lagged(self, account: str | None, lag_s: float) -> None:
        """A request went out `lag_s` after it was let through."""
        self._bucket.lagged(lag_s)

    def refused(self, account: str | None, sent_s: float) -> None:
        """What went out at `sent_s` (monotonic) was answered 429."""
        if isinstance(self._bucket, LearningBucket):
            self._bucket.refused(sent_s)


def _now_s() -> float:
    return asyncio.get_running_loop().time()

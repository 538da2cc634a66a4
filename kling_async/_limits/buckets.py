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

A request that has to wait for a new connection, the first one above all, is late by more than J,
and those behind it on kept ones come too close. So a bucket also remembers when its last N requests
were written, as far as the transport tells, and lets none go that would be one too many then.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Protocol

from aiolimiter import AsyncLimiter

from ..settings import LEARN_FROM_PER_S
from .cubic import Cubic
from .fair import FairLock
from .limits import RateLimit

ARREARS = 0.01  # of N
JITTER = 0.01  # of T
JITTER_MAX_S = 0.02
REMEMBERED = 10_000  # requests of a window


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
        self.per_s = limit.requests / limit.per_s
        """The rate, in requests a second."""
        self._leaky = shaped(limit)
        self._line = FairLock()
        self._window_s = limit.per_s + min(JITTER_MAX_S, JITTER * limit.per_s)
        self._written_s: deque[float] | None = None
        """When the last N went out, oldest first; none where a hundredth of N is plenty."""
        if limit.requests <= REMEMBERED:
            self._written_s = deque(maxlen=limit.requests)

    async def acquire(self) -> bool:
        """Return when there is room; whether that had to be waited for."""
        waited = not self._line.try_acquire()
        if waited:
            await self._line.acquire()
        try:
            waited = waited or not self._leaky.has_room()
            await self._leaky.fill()
            if self._written_s is not None:
                if len(self._written_s) == self._written_s.maxlen:
                    await self._keep_distance(self._written_s)
                self._written_s.append(_now_s())
        finally:
            self._line.release()
        return waited

    def lagged(self, sent_s: float) -> None:
        """What was let go at `sent_s` goes out only now."""
        written_s = self._written_s
        if written_s is None:
            return
        for at in range(len(written_s) - 1, -1, -1):  # it is among the last ones
            if written_s[at] <= sent_s:
                del written_s[at]
                break
        written_s.append(_now_s())

    def refused(self, sent_s: float) -> None:
        """Nothing is learned from a 429."""

    async def _keep_distance(self, written_s: deque[float]) -> None:
        """Return when the last N went out a window ago."""
        while len(written_s) == written_s.maxlen:
            wait_us = math.ceil((written_s[0] + self._window_s - _now_s()) * 1e6)
            if wait_us <= 0:
                return
            await asyncio.sleep(wait_us / 1e6)


class Law(Protocol):
    """What finds a rate; see `Cubic`."""

    @property
    def per_s(self) -> float: ...
    def sent(self, now_s: float, *, waited: bool) -> None: ...
    def refused(self, sent_s: float, now_s: float) -> None: ...


class AdaptiveBucket:
    """A bucket whose rate follows what the server refuses, below the bound that `limit` is.

    Args:
        limit: the bound.
        law: finds the rate.
    """

    def __init__(self, limit: RateLimit, law: Law) -> None:
        self._bound = Bucket(limit)
        self._line = FairLock()
        self._law = law
        self._shaped_per_s = 0.0
        self._leaky = self._shaped()

    @property
    def per_s(self) -> float:
        """The rate now, in requests a second."""
        return self._law.per_s

    async def acquire(self) -> None:
        """Return when there is room."""
        waited = not self._line.try_acquire()
        if waited:
            await self._line.acquire()
        try:
            waited = waited or not self._leaky.has_room()
            await self._leaky.fill()
            await self._bound.acquire()
            self._law.sent(_now_s(), waited=waited)
            if abs(self._law.per_s / self._shaped_per_s - 1) > 0.005:
                self._leaky = self._shaped()
                await self._leaky.fill(self._leaky.capacity)  # full, as the last one left it
        finally:
            self._line.release()

    def lagged(self, sent_s: float) -> None:
        """See `Bucket.lagged`; the bound is what was promised."""
        self._bound.lagged(sent_s)

    def refused(self, sent_s: float) -> None:
        """What went out at `sent_s` was answered 429."""
        self._law.refused(sent_s, _now_s())

    def _shaped(self) -> Leaky:
        self._shaped_per_s = rate = self._law.per_s
        capacity = 1.5 + rate * ARREARS  # the arrears of half a step, and of timers 10 ms late
        return Leaky(capacity, rate)


def bucket_for(limit: RateLimit, law: Law | None = None) -> Bucket | AdaptiveBucket:
    """The bucket that keeps `limit`; where it is adaptive, by this law or one of its own."""
    if not limit.adaptive:
        return Bucket(limit)
    return AdaptiveBucket(limit, law or Cubic(LEARN_FROM_PER_S, limit.requests / limit.per_s))


class AccountBuckets:
    """The limiter of a `RateLimit`: one bucket per account, made when first used."""

    def __init__(self, limit: RateLimit) -> None:
        self.adaptive = limit.adaptive
        self.limit = limit
        self._buckets: dict[str | None, Bucket | AdaptiveBucket] = {}
        self._law_of: Callable[[str | None], Law] | None = None

    def follow(self, law_of: Callable[[str | None], Law] | None) -> None:
        """From now on these laws find the rates of an adaptive limit; None: again laws of ours."""
        self._law_of = law_of
        self._buckets.clear()

    async def acquire(self, account: str | None) -> None:
        """Return when the bucket of `account` has room."""
        await (self._buckets.get(account) or self._made(account)).acquire()

    def per_s(self, account: str | None) -> float:
        """The rate that is held right for `account` now, in requests a second."""
        return (self._buckets.get(account) or self._made(account)).per_s

    def lagged(self, account: str | None, sent_s: float) -> None:
        """What was let go for `account` at `sent_s` (monotonic) goes out only now."""
        (self._buckets.get(account) or self._made(account)).lagged(sent_s)

    def refused(self, account: str | None, sent_s: float) -> None:
        """What went out for `account` at `sent_s` (monotonic) was answered 429."""
        (self._buckets.get(account) or self._made(account)).refused(sent_s)

    def _made(self, account: str | None) -> Bucket | AdaptiveBucket:
        law = None if self._law_of is None else self._law_of(account)
        bucket = self._buckets[account] = bucket_for(self.limit, law)
        return bucket


class SharedBucket:
    """The limiter for a whole client: one bucket for all accounts."""

    def __init__(self, limit: RateLimit) -> None:
        self.adaptive = limit.adaptive
        self._bucket = bucket_for(limit)

    async def acquire(self, account: str | None) -> None:
        """Return when the bucket has room, whoever asks."""
        await self._bucket.acquire()

    def lagged(self, account: str | None, sent_s: float) -> None:
        """What was let go at `sent_s` (monotonic) goes out only now."""
        self._bucket.lagged(sent_s)

    def refused(self, account: str | None, sent_s: float) -> None:
        """What went out at `sent_s` (monotonic) was answered 429."""
        self._bucket.refused(sent_s)


def _now_s() -> float:
    return asyncio.get_running_loop().time()

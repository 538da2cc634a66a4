"""When may the next request go? Rate limits and pauses, one set per account.

The pipeline asks `Admission.admit` once per attempt, right before the exchange. What a limit *is*
(a `RateLimit`, or any object with the `Limiter` protocol) is the user's to say; what to do after a
429 is decided in `retry.py` and only carried out here.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from aiolimiter import AsyncLimiter
from attrs import field, frozen
from attrs.validators import ge, gt

from .clock import Clock


@runtime_checkable
class Limiter(Protocol):
    """Anything that can say when the next request may go.

    Replace ours with your own (one shared by several processes, say): hand it to
    `AsyncKlingClient(rate_limit=...)`. One object then serves all accounts.
    """

    async def acquire(self, account: str | None) -> None:
        """Return when one request for `account` may be sent; cancellation gives the place back."""


@frozen
class RateLimit:
    """At most `requests` in any window of `per_s` seconds, for each account.

    Args:
        requests: how many, at least 1.
        per_s: the window in seconds, above 0; default 1.
        burst: how many of them may go at once after a pause; default 1, which spaces all requests
            evenly. A burst of b is paid for by a slower pace, (requests - b) per window, because
            the promise holds for *every* window, the one that begins with the burst included.
        adaptive: find an unpublished quota while running. Not built yet: True is refused.
    """

    requests: int = field(validator=ge(1))
    per_s: float = field(default=1.0, validator=gt(0))
    burst: int = field(default=1, validator=ge(1))
    adaptive: bool = False

    def __attrs_post_init__(self) -> None:
        if 1 < self.burst >= self.requests:
            raise ValueError(
                f"burst={self.burst} leaves no room in {self.requests} requests per window: "
                f"a burst above 1 must be below requests"
            )
        if self.adaptive:
            raise ValueError("adaptive=True is not available in this version of kling-async")


def bucket(limit: RateLimit) -> AsyncLimiter:
    """A leaky bucket that keeps `limit` in every window, from the first on.

    `AsyncLimiter(N, T)` lets almost 2N through in its first window (the full burst and the leak
    behind it). Spacing by T/N holds N in every half-open window; with a burst b, (N - b)/T does.
    """
    if limit.burst == 1:
        return AsyncLimiter(1, limit.per_s / limit.requests)
    leak_per_s = (limit.requests - limit.burst) / limit.per_s
    return AsyncLimiter(limit.burst, limit.burst / leak_per_s)


class AccountBuckets:
    """The default `Limiter`: one aiolimiter bucket per account, made when first used.

    aiolimiter binds to the running loop, so nothing is made before the first request.
    """

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self._buckets: dict[str | None, AsyncLimiter] = {}

    async def acquire(self, account: str | None) -> None:
        """Return when the bucket of `account` has room."""
        found = self._buckets.get(account)
        if found is None:
            found = self._buckets[account] = bucket(self._limit)
        await found.acquire()


class Admission:
    """The last gate before the wire: the account's pause first, then its rate.

    A pause is a monotonic deadline joined by `max`: it can be made longer by anyone and shortened
    by nobody.
    """

    def __init__(self, limiter: Limiter | None, clock: Clock) -> None:
        self._limiter = limiter
        self._clock = clock
        self._paused_until: dict[str | None, float] = {}
        self.waiting = 0
        """How many calls wait here now, for progress displays."""

    async def admit(self, account: str | None) -> None:
        """Return when a request for `account` may be sent."""
        self.waiting += 1
        try:
            while True:
                while (remaining_s := self.paused_s(account)) > 0:
                    await self._clock.sleep(remaining_s)
                if self._limiter is None:
                    return
                await self._limiter.acquire(account)
                if self.paused_s(account) <= 0:  # a 429 may have come while we queued
                    return
        finally:
            self.waiting -= 1

    def pause(self, account: str | None, seconds: float) -> None:
        """Let no request of `account` go for `seconds` from now, for any caller."""
        until = self._clock.monotonic() + seconds
        self._paused_until[account] = max(until, self._paused_until.get(account, until))

    def longest_pause_s(self) -> float:
        """How many seconds the account that is paused longest still is; 0 when none is."""
        return max((self.paused_s(account) for account in self._paused_until), default=0.0)

    def paused_s(self, account: str | None) -> float:
        """How many seconds `account` is still paused; 0 when it is not."""
        until = self._paused_until.get(account)
        left_s = 0.0 if until is None else until - self._clock.monotonic()
        return left_s if left_s > 1e-9 else 0.0  # 1 ns: float rounding must not wait for ever

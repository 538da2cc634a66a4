"""May this account be asked now? Its pause, the probe after it, and what was counted there.

A 429 pauses its account for every caller: a monotonic deadline joined by `max`, which nobody can
open early. Afterwards one request goes first; each answer that is no 429 opens one place more, so
that the refused are those in flight and not all who waited.
"""

from __future__ import annotations

import asyncio

from .. import settings
from ..clock import Clock, woken_within
from ..errors import RateLimitedError, ServerError
from .fair import FairLock


class Throttle:
    """The state of one account: its pause, its places, its retry budget and what was counted."""

    def __init__(self, clock: Clock) -> None:
        self.line: FairLock = FairLock()
        self.sent = 0
        self.refused = 0
        self.waiting = 0
        self.in_flight = 0
        self.places: int | None = None
        """How many may be in flight after a pause; None: as many as there are."""
        self.pause_number: int = 0
        """Which pause the present places belong to; who went before one does not count there."""
        self.refusals_in_a_row: int = 0
        """Those that were in flight together are counted once."""
        self.retry_budget: int = settings.RETRY_BUDGET
        """Tokens left: each retry of a repeatable request takes some, each success gives one back.

        So retries fade while a service is ill: 500 callers with five attempts each make 2,500
        requests of an outage, and with a shared budget 500 and a few. The first attempt is always
        free. Cf. botocore's retry quota and gRPC's retry throttling.
        """
        self._taken = 0
        self._clock = clock
        self._until_s: float | None = None
        self._changed: asyncio.Future[None] | None = None

    def pause(self, seconds: float) -> None:
        """Let nothing go for `seconds` from now; then a probe first."""
        until_s = self._clock.monotonic() + seconds
        self._until_s = until_s if self._until_s is None else max(until_s, self._until_s)
        self.pause_number += 1
        self.places, self._taken = 1, 0
        left_s = self.paused_s()
        self.line.reject_waiters(left_s, lambda: pause_too_long(left_s))
        self._wake()

    def paused_s(self) -> float:
        """How many seconds are left of the pause; 0 when there is none."""
        if self._until_s is None:
            return 0.0
        left_s = self._until_s - self._clock.monotonic()
        return left_s if left_s > 1e-9 else 0.0  # 1 ns: float rounding must not wait for ever

    async def acquire(self, longest_s: float) -> int:
        """Take a place once the pause is over and one is free; the number of the latest pause.

        Only for who is at the head of the line.

        Raises:
            RateLimitedError: the pause is longer than `longest_s`.
        """
        while self.places is not None:
            if (left_s := self.paused_s()) > longest_s:
                raise pause_too_long(left_s)
            if left_s > 0:
                await self._change_within(left_s)
            elif self._taken < self.places:
                self._taken += 1
                break
            elif not await self._change_within(settings.PROBE_WITHIN_S):
                self.places += 1  # no news for so long is no 429
        return self.pause_number

    def release(self, pause_number: int, *, answered: bool) -> None:
        """Give a place back that was taken after that pause; an answer opens one more."""
        if pause_number != self.pause_number or self.places is None:
            return
        self._taken -= 1
        if answered:
            self.refusals_in_a_row = 0
            self.places += 1
            if self.places >= settings.RAMP_OPEN_AT:
                self.places = self._until_s = None
        self._wake()

    def afford_retry(self) -> bool:
        """Take the price of a retry from the budget; False where too little is left."""
        if self.retry_budget < settings.RETRY_COST:
            return False
        self.retry_budget -= settings.RETRY_COST
        return True

    def earn(self) -> None:
        """A request was answered well: a token goes into the retry budget."""
        if self.retry_budget < settings.RETRY_BUDGET:
            self.retry_budget += 1

    async def _change_within(self, seconds: float) -> bool:
        """Whether something changed; False after `seconds`."""
        self._changed = changed = asyncio.get_running_loop().create_future()
        try:
            return await woken_within(self._clock, seconds, changed)
        finally:
            self._changed = None

    def _wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)


def pause_too_long(left_s: float) -> RateLimitedError:
    """The error for callers who refuse to wait `left_s` seconds."""
    return RateLimitedError(
        f"nothing was sent: the server asked this account to wait, for another {left_s:.0f} s, "
        f"which is longer than retry_after_max_s allows",
        status_code=429,
        retry_after_s=left_s,
    )


def pause_s(error: BaseException | None) -> float:
    """How long `error` pauses its account for every caller, in seconds; 0 for not at all."""
    if isinstance(error, RateLimitedError):
        return settings.RETRY_AFTER_ABSENT_S if error.retry_after_s is None else error.retry_after_s
    if isinstance(error, ServerError):
        return error.retry_after_s or 0.0
    return 0.0

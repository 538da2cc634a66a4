"""When does the next attempt go? The last throttle before the wire, passed once per attempt.

    the account's line    first come, first served
    its pause             a 429 holds everybody; one probe first, then more and more   throttle.py
    a place in flight     where the pool below suffers from queues                      fair.py
    its rate              one bucket per account                                        buckets.py
    the client's rate     one bucket for all of them

Whoever stands at the head of the line passes all of it before the next one begins, so a rate is
taken right before it is used, and at most one caller per account holds a place in flight while it
waits for its rate. A limiter of the user's is asked by all at once, as it may be far away and slow;
and before ours, or those that it kept waiting would go together.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta

from .. import settings
from .._transport.progress import HeldBack
from ..clock import Clock
from ..errors import APIError, KlingError, NotSentError, OutcomeUnknownError, RateLimitedError
from ..stats import AccountStats
from .buckets import AccountBuckets, Law, SharedBucket
from .fair import FairSemaphore
from .limits import Limiter, RateLimit
from .throttle import Throttle, pause_s, pause_too_long

log = logging.getLogger("kling_async")

LAG_NOTED_S = 0.003  # below it a lag is within what every bucket has to spare


class Permit:
    """One attempt may go; it is released when the attempt is over.

    A caller who was cancelled releases it at once, while the connection may be busy for longer:
    that is what `connection_freed` is for.
    """

    __slots__ = ("_admission", "_throttle", "account", "holds_place", "pause_number", "sent_s")

    def __init__(self, admission: Admission, throttle: Throttle, account: str | None) -> None:
        self._admission = admission
        self._throttle = throttle
        self.holds_place: bool = False
        """Until its connection is freed, it holds a place in flight."""
        self.account: str | None = account
        self.pause_number: int = -1
        """The account's latest pause when it was let go; -1 before that."""
        self.sent_s: float = 0.0
        """When it was let go, monotonic."""

    def check_before_write(self) -> None:
        """Its first byte goes out now, unless a pause began while its connection was made.

        Raises:
            HeldBack: one did, and is not over.
        """
        throttle, admission = self._throttle, self._admission
        if self.pause_number != throttle.pause_number and throttle.paused_s() > 0:
            raise HeldBack
        admission.note_lag(admission.ours, self.account, self.sent_s)

    def release(
        self, error: BaseException | None, *, learn: bool = True, connection_freed: bool = True
    ) -> None:
        """The attempt is over.

        Args:
            error: how it failed; None for a result.
            learn: whether a 429 speaks of the rate, and not of job slots.
            connection_freed: whether nothing of it is in flight any more.
        """
        throttle = self._throttle
        throttle.in_flight -= 1
        if connection_freed and self.holds_place:
            self.holds_place = False
            assert self._admission.places is not None
            self._admission.places.give_back()
        if error is None:
            throttle.earn()
            if throttle.places is not None:
                throttle.release(self.pause_number, answered=True)
            return
        refused = isinstance(error, RateLimitedError)
        lost = not isinstance(error, KlingError) or isinstance(
            error, (NotSentError, OutcomeUnknownError)
        )
        throttle.release(self.pause_number, answered=not refused and not lost)
        if isinstance(error, APIError):
            if not refused and error.status_code < 500:
                throttle.earn()  # a clear no comes from a service that is well
            self.heed(error, learn=learn)

    def heed(self, error: KlingError, *, learn: bool) -> None:
        """Do what the server's `error` asks of all callers, also where its own has left."""
        throttle = self._throttle
        if isinstance(error, RateLimitedError):
            throttle.refused += 1
            # Where it went before the latest pause, that one has counted it.
            throttle.refusals_in_a_row += self.pause_number == throttle.pause_number
            if learn:
                self._admission.learn(self.account, self.sent_s)
        if isinstance(error, APIError):
            self._admission.obey(self.account, error)

    def connection_freed(self, _: object = None) -> None:
        """Nothing of the attempt is in flight any more; a second call does nothing."""
        if self.holds_place:
            self.holds_place = False
            assert self._admission.places is not None
            self._admission.places.give_back()

    def cancel(self) -> None:
        """It was let go, and did not go: its caller failed before, or it is held back."""
        self._throttle.in_flight -= 1
        self._throttle.sent -= 1
        self.revoke()

    def revoke(self) -> None:
        """It is not let go after all."""
        if self.pause_number >= 0:
            self._throttle.release(self.pause_number, answered=False)
        self.connection_freed()


class Admission:
    """Lets attempts go, by account.

    Args:
        limiter: the rate of each account: a `RateLimit`, any `Limiter`, or None.
        clock: tells the time.
        client_limiter: the rate of all together, likewise.
        places: how many may be in flight on the connection pool; None: it queues well by itself.
    """

    def __init__(
        self,
        limiter: Limiter | RateLimit | None,
        clock: Clock,
        *,
        client_limiter: Limiter | RateLimit | None = None,
        places: FairSemaphore | None = None,
    ) -> None:
        if isinstance(limiter, RateLimit):
            limiter = AccountBuckets(limiter)
        if isinstance(client_limiter, RateLimit):
            client_limiter = SharedBucket(client_limiter)
        self.places = places
        self._buckets = limiter if isinstance(limiter, AccountBuckets) else None
        given = [one for one in (limiter, client_limiter) if one is not None]
        self.ours: list[AccountBuckets | SharedBucket] = [
            one for one in given if isinstance(one, (AccountBuckets, SharedBucket))
        ]
        self._theirs = [one for one in given if one not in self.ours]
        self._adaptive = any(one.adaptive for one in self.ours)
        self._clock = clock
        self._throttles: dict[str | None, Throttle] = {}
        self._latest_pause_s = -math.inf
        self.on_pause: list[Callable[[str | None, float], None]] = []
        """Told of each pause in seconds that a server's answer began here, by account."""
        self.on_free: set[Callable[[], None]] = set()
        """Called when an attempt goes and nobody of its account waits behind it."""

    @property
    def account_limit(self) -> RateLimit | None:
        """The rate of each account; None where there is none, or one of the user's own making."""
        return None if self._buckets is None else self._buckets.limit

    def follow_rates(self, law_of: Callable[[str | None], Law] | None) -> None:
        """See `AccountBuckets.follow`; only where there is an `account_limit`."""
        assert self._buckets is not None
        self._buckets.follow(law_of)

    def add_limiter(self, limiter: Limiter) -> None:
        """Ask `limiter` as well from now on, before ours."""
        self._theirs.append(limiter)

    def remove_limiter(self, limiter: Limiter) -> None:
        """Ask `limiter` no more."""
        self._theirs.remove(limiter)

    async def admit(self, account: str | None, longest_s: float = math.inf) -> Permit:
        """Return when a request for `account` may be sent. Every permit must be released.

        Args:
            account: whose; None where the server decides.
            longest_s: the longest pause the caller waits for.

        Raises:
            RateLimitedError: the server named a longer one; nothing was sent.
        """
        throttle = self._throttles.get(account) or self._made(account)
        if throttle.places is not None and (left_s := throttle.paused_s()) > longest_s:
            raise pause_too_long(left_s)  # without standing in line
        permit = Permit(self, throttle, account)
        throttle.waiting += 1
        try:
            while True:
                if not throttle.line.try_acquire():
                    await throttle.line.acquire(longest_s)
                try:
                    permit.pause_number = await throttle.acquire(longest_s)
                    if self.places is not None:
                        await self.places.take()
                        permit.holds_place = True
                    if not self._theirs:
                        await self._rates(account)
                finally:
                    throttle.line.release()
                if self._theirs:
                    for limiter in tuple(self._theirs):
                        await limiter.acquire(account)
                    await self._rates(account)
                if permit.pause_number == throttle.pause_number:
                    break
                permit.revoke()  # a 429 came while it waited for its rate
        except BaseException:
            permit.revoke()
            raise
        finally:
            throttle.waiting -= 1
        throttle.sent += 1
        throttle.in_flight += 1
        permit.sent_s = self._clock.monotonic()
        if not throttle.waiting:
            for call in self.on_free:
                call()
        return permit

    def pause(self, account: str | None, seconds: float) -> None:
        """Let no request of `account` go for `seconds` from now, for any caller."""
        self._latest_pause_s = max(self._latest_pause_s, self._clock.monotonic() + seconds)
        (self._throttles.get(account) or self._made(account)).pause(seconds)

    def obey(self, account: str | None, error: APIError) -> None:
        """Pause `account` for as long as the server's `error` asks, and a little longer."""
        seconds = pause_s(error)
        if isinstance(error, RateLimitedError):
            if error.retry_after_s is None and self._adaptive:
                in_a_row = self._throttles[account].refusals_in_a_row
                seconds = min(seconds, settings.LEARNING_ABSENT_S * 2.0 ** min(in_a_row - 1, 16))
        elif seconds <= 0:
            return
        if seconds > settings.PAUSE_MAX_S:
            seconds = settings.PAUSE_ABSURD_S
        jitter_s = min(settings.PAUSE_JITTER_MAX_S, settings.PAUSE_JITTER * seconds)
        seconds += jitter_s * random.random()
        if self.paused_s(account) <= 0:  # once for all that were in flight
            status = error.status_code
            log.info("an account is paused for %.1f s: the server answered %d", seconds, status)
        self.pause(account, seconds)
        for tell in self.on_pause:
            tell(account, seconds)

    def learn(self, account: str | None, sent_s: float) -> None:
        """What went out for `account` at `sent_s` was one too many."""
        for limiter in self.ours:
            limiter.refused(account, sent_s)

    def may_retry(self, account: str | None) -> bool:
        """Whether the retry budget of `account` allows another; it is taken from it."""
        return (self._throttles.get(account) or self._made(account)).afford_retry()

    @property
    def waiting(self) -> int:
        """How many calls wait here now, for progress displays."""
        return sum(throttle.waiting for throttle in self._throttles.values())

    @property
    def refused(self) -> int:
        """How many attempts were answered with 429 by now."""
        return sum(throttle.refused for throttle in self._throttles.values())

    @property
    def keeps_rate(self) -> bool:
        """Whether anything limits how many go in a second."""
        return bool(self.ours or self._theirs)

    @property
    def anything_paused(self) -> bool:
        """Whether any account is paused; cheap."""
        return self._latest_pause_s > self._clock.monotonic()

    def paused(self, longer_than_s: float) -> list[str | None]:
        """The accounts that are paused for longer than this."""
        if not self.anything_paused:
            return []
        return [a for a, one in self._throttles.items() if one.paused_s() > longer_than_s]

    def longest_pause_s(self) -> float:
        """How many seconds the account that is paused longest still is; 0 when none is."""
        return max((throttle.paused_s() for throttle in self._throttles.values()), default=0.0)

    def paused_s(self, account: str | None) -> float:
        """How many seconds `account` is still paused; 0 when it is not."""
        throttle = self._throttles.get(account)
        return 0.0 if throttle is None else throttle.paused_s()

    def per_s(self) -> float | None:
        """The rate that is learned, of all accounts together; None where none is."""
        if self._buckets is None or not self._buckets.adaptive:
            return None
        return sum(self._buckets.per_s(account) for account in self._throttles)

    def stats(self, known: Iterable[str] = ()) -> Iterator[AccountStats]:
        """Where each account is that is `known` or was used."""
        for account in dict.fromkeys((*known, *self._throttles)):
            throttle = self._throttles.get(account) or self._made(account)
            paused_s = throttle.paused_s()
            ends_at = datetime.fromtimestamp(self._clock.wall(), UTC)
            yield AccountStats(
                account=account,
                sent=throttle.sent,
                refused=throttle.refused,
                waiting=throttle.waiting,
                in_flight=throttle.in_flight,
                paused_s=paused_s,
                paused_until=ends_at + timedelta(seconds=paused_s) if paused_s else None,
                rate_per_s=None if self._buckets is None else self._buckets.per_s(account),
                places=throttle.places,
                retry_budget=throttle.retry_budget,
            )

    async def _rates(self, account: str | None) -> None:
        """Return when each of our rates has room for a request of `account`."""
        passed: list[AccountBuckets | SharedBucket] = []
        for limiter in self.ours:
            asked_s = self._clock.monotonic()
            await limiter.acquire(account)
            self.note_lag(passed, account, asked_s)
            passed.append(limiter)

    def note_lag(
        self,
        passed: Iterable[AccountBuckets | SharedBucket],
        account: str | None,
        since_s: float,
    ) -> None:
        """What these let go at `since_s` goes on only now.

        A connection had to be made first, say. The rate is promised where requests arrive, so those
        that follow must not catch up with it.
        """
        if self._clock.monotonic() - since_s > LAG_NOTED_S:
            for limiter in passed:
                limiter.lagged(account, since_s)

    def _made(self, account: str | None) -> Throttle:
        throttle = self._throttles[account] = Throttle(self._clock)
        return throttle

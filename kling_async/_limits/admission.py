"""When does the next attempt go? The last gate before the wire, passed once per attempt.

    the account's line    first come, first served
    its pause             a 429 holds everybody; one probe first, then more and more   gates.py
    a place in flight     where the pool below suffers from queues                      lines.py
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
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from .. import settings
from ..clock import Clock
from ..errors import APIError, KlingError, NotSentError, OutcomeUnknownError, RateLimitedError
from ..stats import AccountStats
from .buckets import AccountBuckets, AdaptiveBuckets, SharedBucket
from .fair import FairSemaphore
from .limits import Limiter, RateLimit
from .throttle import Throttle, pause_s, pause_too_long

log = logging.getLogger("kling_async")

LAG_NOTED_S = 0.003  # below it a lag is within what every bucket has to spare


class Turn:
    """One attempt that may go; it says when it is over.

    `ended` is for the caller, once; `landed` for the connection, which may be busy for longer than
    a caller who was cancelled.
    """

    __slots__ = ("_admission", "_gate", "_held_back", "_holds_place", "account", "round", "sent_s")

    def __init__(self, admission: Admission, gate: Throttle, account: str | None) -> None:
        self._admission = admission
        self._gate = gate
        self._holds_place = False
        self._held_back = False
        self.account = account
        self.round = -1
        self.sent_s = 0.0

    def ended(self, error: BaseException | None, *, learn: bool = True) -> None:
        """The attempt is over.

        Args:
            error: how it failed; None for a result.
            learn: whether a 429 speaks of the rate, and not of job slots.
        """
        gate = self._gate
        gate.in_flight -= 1
        if error is None:
            gate.budget.earn()
            if gate.places is not None:
                gate.leave(self.round, answered=True)
            return
        if self._held_back:
            gate.sent -= 1
            gate.leave(self.round, answered=False)
            return
        refused = isinstance(error, RateLimitedError)
        lost = not isinstance(error, KlingError) or isinstance(
            error, (NotSentError, OutcomeUnknownError)
        )
        gate.leave(self.round, answered=not refused and not lost)
        if isinstance(error, APIError):
            if not refused and error.status_code < 500:
                gate.budget.earn()  # a clear no comes from a service that is well
            self.heed(error, learn=learn)

    def heed(self, error: KlingError, *, learn: bool) -> None:
        """Do what the server's `error` asks of all callers, also where its own has left."""
        gate = self._gate
        if isinstance(error, RateLimitedError):
            gate.refused += 1
            gate.in_vain += self.round == gate.round  # else it went before the latest pause
            if learn:
                self._admission.learn(self.account, self.sent_s)
        if isinstance(error, APIError):
            self._admission.obey(self.account, error)

    def began(self) -> None:
        """Its first byte goes out now.

        Raises:
            RateLimitedError: a pause began while its connection was made: it must not go.
        """
        gate = self._gate
        if self.round != gate.round and (left_s := gate.paused_s()) > 0:
            self._held_back = True
            raise RateLimitedError(
                f"nothing was sent: the server asked this account to wait, for {left_s:.1f} s",
                status_code=429,
                retry_after_s=left_s,
            )
        self._admission.began(self.account, self.sent_s)

    def landed(self, _: object = None) -> None:
        """Nothing of the attempt is in flight any more; a second call does nothing."""
        if self._holds_place:
            self._holds_place = False
            assert self._admission.places is not None
            self._admission.places.give_back()

    def take_place(self) -> None:
        """It holds a place in flight until it has landed."""
        self._holds_place = True

    def unsent(self) -> None:
        """It was let go, and did not go: its caller failed before."""
        self._gate.in_flight -= 1
        self._gate.sent -= 1
        self.withdraw()

    def withdraw(self) -> None:
        """It is not let go after all."""
        if self.round >= 0:
            self._gate.leave(self.round, answered=False)
        self.landed()


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
            limiter = AdaptiveBuckets(limiter) if limiter.adaptive else AccountBuckets(limiter)
        if isinstance(client_limiter, RateLimit):
            client_limiter = SharedBucket(client_limiter)
        self.places = places
        self._buckets = limiter if isinstance(limiter, (AccountBuckets, AdaptiveBuckets)) else None
        given = [one for one in (limiter, client_limiter) if one is not None]
        self._ours = [
            one for one in given if isinstance(one, (AccountBuckets, AdaptiveBuckets, SharedBucket))
        ]
        self._theirs = [one for one in given if one not in self._ours]
        self._learns = any(one.learns for one in self._ours)
        self._clock = clock
        self._gates: dict[str | None, Throttle] = {}
        self._latest_pause_s = -math.inf

    async def admit(self, account: str | None, longest_s: float = math.inf) -> Turn:
        """Return when a request for `account` may be sent. Every turn must be `ended` and `landed`.

        Args:
            account: whose; None where the server decides.
            longest_s: the longest pause the caller waits for.

        Raises:
            RateLimitedError: the server named a longer one; nothing was sent.
        """
        gate = self._gates.get(account) or self._made(account)
        if gate.places is not None and (left_s := gate.paused_s()) > longest_s:
            raise pause_too_long(left_s)  # without standing in line
        turn = Turn(self, gate, account)
        gate.waiting += 1
        try:
            while True:
                if not gate.line.enter():
                    await gate.line.wait(longest_s)
                try:
                    turn.round = await gate.enter(longest_s)
                    if self.places is not None:
                        await self.places.take()
                        turn.take_place()
                    if not self._theirs:
                        await self._rates(account)
                finally:
                    gate.line.leave()
                if self._theirs:
                    for limiter in self._theirs:
                        await limiter.acquire(account)
                    await self._rates(account)
                if turn.round == gate.round:
                    break
                turn.withdraw()  # a 429 came while it waited for its rate
        except BaseException:
            turn.withdraw()
            raise
        finally:
            gate.waiting -= 1
        gate.sent += 1
        gate.in_flight += 1
        turn.sent_s = self._clock.monotonic()
        return turn

    def pause(self, account: str | None, seconds: float) -> None:
        """Let no request of `account` go for `seconds` from now, for any caller."""
        self._latest_pause_s = max(self._latest_pause_s, self._clock.monotonic() + seconds)
        (self._gates.get(account) or self._made(account)).pause(seconds)

    def obey(self, account: str | None, error: APIError) -> None:
        """Pause `account` for as long as the server's `error` asks, and a little longer."""
        seconds = pause_s(error)
        if isinstance(error, RateLimitedError):
            if error.retry_after_s is None and self._learns:
                in_vain = self._gates[account].in_vain
                seconds = min(seconds, settings.LEARNING_ABSENT_S * 2.0 ** min(in_vain - 1, 16))
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

    def began(self, account: str | None, sent_s: float) -> None:
        """What was let go at `sent_s` is written only now: its connection had to be made first.

        The rate is promised where requests arrive, so those that follow on connections that are
        there must not catch up with it.
        """
        self._note_lag(self._ours, account, sent_s)

    def learn(self, account: str | None, sent_s: float) -> None:
        """What went out for `account` at `sent_s` was one too many."""
        for limiter in self._ours:
            limiter.refused(account, sent_s)

    def may_retry(self, account: str | None) -> bool:
        """Whether the retry budget of `account` allows another; it is taken from it."""
        return (self._gates.get(account) or self._made(account)).budget.spend()

    @property
    def waiting(self) -> int:
        """How many calls wait here now, for progress displays."""
        return sum(gate.waiting for gate in self._gates.values())

    @property
    def anything_paused(self) -> bool:
        """Whether any account is paused; cheap."""
        return self._latest_pause_s > self._clock.monotonic()

    def longest_pause_s(self) -> float:
        """How many seconds the account that is paused longest still is; 0 when none is."""
        return max((gate.paused_s() for gate in self._gates.values()), default=0.0)

    def paused_s(self, account: str | None) -> float:
        """How many seconds `account` is still paused; 0 when it is not."""
        gate = self._gates.get(account)
        return 0.0 if gate is None else gate.paused_s()

    def per_s(self) -> float | None:
        """The rate that is learned, of all accounts together; None where none is."""
        if not isinstance(self._buckets, AdaptiveBuckets):
            return None
        return sum(self._buckets.per_s(account) for account in self._gates)

    def stats(self, known: Iterable[str] = ()) -> Iterator[AccountStats]:
        """Where each account is that is `known` or was used."""
        for account in dict.fromkeys((*known, *self._gates)):
            gate = self._gates.get(account) or self._made(account)
            paused_s = gate.paused_s()
            ends_at = datetime.fromtimestamp(self._clock.wall(), UTC)
            yield AccountStats(
                account=account,
                sent=gate.sent,
                refused=gate.refused,
                waiting=gate.waiting,
                in_flight=gate.in_flight,
                paused_s=paused_s,
                paused_until=ends_at + timedelta(seconds=paused_s) if paused_s else None,
                rate_per_s=None if self._buckets is None else self._buckets.per_s(account),
                places=gate.places,
                retry_budget=gate.budget.tokens,
            )

    async def _rates(self, account: str | None) -> None:
        """Return when each of our rates has room for a request of `account`."""
        passed: list[AccountBuckets | AdaptiveBuckets | SharedBucket] = []
        for limiter in self._ours:
            asked_s = self._clock.monotonic()
            await limiter.acquire(account)
            self._note_lag(passed, account, asked_s)
            passed.append(limiter)

    def _note_lag(
        self,
        passed: Iterable[AccountBuckets | AdaptiveBuckets | SharedBucket],
        account: str | None,
        since_s: float,
    ) -> None:
        """What these let go until `since_s` goes on only now."""
        if self._clock.monotonic() - since_s > LAG_NOTED_S:
            for limiter in passed:
                limiter.lagged(account, since_s)

    def _made(self, account: str | None) -> Throttle:
        gate = self._gates[account] = Throttle(self._clock)
        return gate

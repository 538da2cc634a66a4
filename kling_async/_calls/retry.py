"""Again, and after how long? Pure decisions; tenacity carries them out.

`pipeline.py` asks for `RetryLoop(...)` once per call. Whether a request may go again follows from
its safety and from what happened, never from how often others had luck with it.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable

from attrs import field, frozen
from attrs.validators import ge, gt
from tenacity import AsyncRetrying, AttemptManager, RetryCallState, stop_after_attempt

from .. import settings
from .._limits.throttle import pause_s
from ..errors import (
    AccountBrokenError,
    APIError,
    KlingError,
    NotSentError,
    OutcomeUnknownError,
    RateLimitedError,
    ServerError,
    UnexpectedResponseError,
)
from ..models.requests import Safety


@frozen
class RetryPolicy:
    """How often and how patiently a call is repeated. `RetryPolicy(attempts=1)` sends once.

    Args:
        attempts: sends at most, the first included; at least 1, default 5.
        wait_initial_s: wait before the second attempt, doubled for each further one, jitter on top;
            default 0.5.
        wait_max_s: longest such wait; default 60.
        retry_after_max_s: longest wait accepted from the server; beyond it the caller gets
            `RateLimitedError` at once. Default 900.
        reconcile_within_s: how long a create whose answer was lost is looked for before it is
            called unknown; 0: not at all. Default 120.
        resend_after_absence: in bulk jobs, send a create again that was looked for in vain for at
            least 30 minutes (or `reconcile_within_s`, if longer). It may duplicate: absence can't
            be proven. Default False.
        budget: retries of reads, uploads and deletes are paid for from a budget of their account,
            which successes fill: 100 tokens, 10 a retry. While a service is ill they fade, and
            `attempts` is the upper bound. False: as many as `attempts` allows. Default True.

    Examples:
        >>> once = kling.with_options(retry=RetryPolicy(attempts=1))
    """

    attempts: int = field(default=settings.ATTEMPTS, validator=ge(1))
    wait_initial_s: float = field(default=settings.WAIT_INITIAL_S, validator=gt(0))
    wait_max_s: float = field(default=settings.WAIT_MAX_S, validator=gt(0))
    retry_after_max_s: float = field(default=settings.RETRY_AFTER_MAX_S, validator=ge(0))
    reconcile_within_s: float = field(default=settings.RECONCILE_WITHIN_S, validator=ge(0))
    resend_after_absence: bool = False
    budget: bool = True


def may_resend(safety: Safety, error: BaseException, policy: RetryPolicy) -> bool:
    """Whether a request of this safety may be sent again after `error`.

    A paid request goes again only if it never left, or was plainly refused with 429. Everything
    that is not ours (cancellation first of all) is never repeated.
    """
    if isinstance(error, NotSentError):
        return True
    if isinstance(error, RateLimitedError):
        return pause_s(error) <= policy.retry_after_max_s
    if safety is Safety.PAID:
        return False
    if isinstance(error, (OutcomeUnknownError, UnexpectedResponseError)):
        return True
    if isinstance(error, ServerError):
        return (error.retry_after_s or 0) <= policy.retry_after_max_s
    return isinstance(error, APIError) and error.status_code in (408, 409)


def costs(safety: Safety, error: BaseException) -> bool:
    """Whether repeating this after `error` is paid for from the account's retry budget.

    Waiting out a 429 is what the server asks for. And a paid request goes again only if it never
    left, which bothers nobody.
    """
    return safety is not Safety.PAID and not isinstance(error, RateLimitedError)


def parks(error: BaseException | None) -> bool:
    """Whether no call for this account can work until somebody mends it."""
    return isinstance(error, AccountBrokenError) or (
        isinstance(error, APIError) and error.status_code in (401, 402, 403)
    )


def backoff_s(policy: RetryPolicy, attempt: int, jitter: float) -> float:
    """The wait after attempt number `attempt` (from 1), in seconds.

    Doubles from `wait_initial_s` up to `wait_max_s`; `jitter` (0 to 1) adds up to as much again
    within that limit, and never takes away.
    """
    # The exponent is bounded because 2.0 ** 2000 overflows.
    base_s = min(policy.wait_max_s, policy.wait_initial_s * 2.0 ** min(attempt - 1, 64))
    return min(policy.wait_max_s, base_s * (1.0 + jitter))


class RetryLoop:
    """The loop of one call: `async for attempt in RetryLoop(...): with attempt: ...`.

    The first try runs plainly, and most calls end with it. Only where it failed in a way that may
    be repeated is a tenacity controller built (25 us of CPU), told of that failure, and left to
    carry out the rest.

    Args:
        policy: how often and how long.
        safety: of the request.
        sleep: waits between attempts.
        on_retry: told (attempt, error, wait in seconds) before each wait.
        afford: takes the price of a retry from the budget; False where too little is left.
    """

    __slots__ = (
        "_afford",
        "_begun",
        "_failed",
        "_on_retry",
        "_policy",
        "_rest",
        "_safety",
        "_sleep",
    )

    def __init__(
        self,
        policy: RetryPolicy,
        safety: Safety,
        sleep: Callable[[float], Awaitable[None]],
        on_retry: Callable[[int, KlingError, float], None],
        afford: Callable[[], bool] = lambda: True,
    ) -> None:
        self._policy = policy
        self._safety = safety
        self._sleep = sleep
        self._on_retry = on_retry
        self._afford = afford
        self._begun = False
        self._failed: BaseException | None = None
        self._rest: AsyncIterator[AttemptManager] | None = None

    def __aiter__(self) -> RetryLoop:
        return self

    async def __anext__(self) -> AttemptManager | RetryLoop:
        if not self._begun:
            self._begun = True
            return self
        if self._rest is None:
            if self._failed is None:
                raise StopAsyncIteration
            self._rest = aiter(self._controller())
            first = await anext(self._rest)
            first.__exit__(type(self._failed), self._failed, self._failed.__traceback__)
            self._failed = None  # tenacity holds it now
        return await anext(self._rest)

    def __enter__(self) -> None:
        """The first attempt."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        """Keep its failure for tenacity where it may be repeated; let everything else pass."""
        if error is not None and self._policy.attempts > 1 and self._again(error):
            self._failed = error
        return self._failed is not None

    def _again(self, error: BaseException) -> bool:
        if not may_resend(self._safety, error, self._policy):
            return False
        return not self._policy.budget or not costs(self._safety, error) or self._afford()

    def _controller(self) -> AsyncRetrying:
        policy = self._policy

        def again(state: RetryCallState) -> bool:
            if (error := _error(state)) is None:
                return False
            # The first one is decided already, and after the last `stop` decides.
            return state.attempt_number in (1, policy.attempts) or self._again(error)

        def wait_s(state: RetryCallState) -> float:
            if pause_s(_error(state)) > 0:
                return 0.0  # the account is paused for everybody; admission waits for its end
            return backoff_s(policy, state.attempt_number, random.random())

        def tell(state: RetryCallState) -> None:
            error = _error(state)
            assert isinstance(error, KlingError)  # no other may be repeated
            self._on_retry(state.attempt_number, error, state.upcoming_sleep)

        return AsyncRetrying(
            sleep=self._sleep,
            stop=stop_after_attempt(policy.attempts),
            wait=wait_s,
            retry=again,
            before_sleep=tell,
            reraise=True,
        )


def _error(state: RetryCallState) -> BaseException | None:
    assert state.outcome is not None  # tenacity asks after an attempt
    return state.outcome.exception()

"""Again or not, and after how long? Decisions only, without a loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async import RetryPolicy, Safety, errors
from kling_async._calls.retry import RetryLoop, backoff_s, costs, may_resend, parks, pause_s
from kling_async.errors import KlingError

POLICY = RetryPolicy()
READ, REPEATABLE, PAID = Safety.READ, Safety.REPEATABLE, Safety.PAID


def api(cls: type[errors.APIError], status: int, wait_s: float | None = None) -> errors.APIError:
    return cls("text", status_code=status, retry_after_s=wait_s)


# What happened -> may it go again, as (READ, REPEATABLE, PAID). The money column is the last.
TABLE: dict[str, tuple[BaseException, tuple[bool, bool, bool]]] = {
    "never sent": (errors.NotSentError("x"), (True, True, True)),
    "outcome unknown": (errors.OutcomeUnknownError("x"), (True, True, False)),
    "unexpected 2xx": (errors.UnexpectedResponseError("x"), (True, True, False)),
    "429": (api(errors.RateLimitedError, 429), (True, True, True)),
    "429 for 900 s": (api(errors.RateLimitedError, 429, 900.0), (True, True, True)),
    "429 for 901 s": (api(errors.RateLimitedError, 429, 901.0), (False, False, False)),
    "500": (api(errors.ServerError, 500), (True, True, False)),
    "502": (api(errors.ServerError, 502), (True, True, False)),
    "503 for 900 s": (api(errors.ServerError, 503, 900.0), (True, True, False)),
    "503 for 901 s": (api(errors.ServerError, 503, 901.0), (False, False, False)),
    "408": (api(errors.APIError, 408), (True, True, False)),
    "409": (api(errors.APIError, 409), (True, True, False)),
    "307": (api(errors.APIError, 307), (False, False, False)),
    "405": (api(errors.APIError, 405), (False, False, False)),
    "413": (api(errors.APIError, 413), (False, False, False)),
    "400": (api(errors.BadRequestError, 400), (False, False, False)),
    "401": (api(errors.AuthenticationError, 401), (False, False, False)),
    "402": (api(errors.SubscriptionError, 402), (False, False, False)),
    "403": (api(errors.PermissionDeniedError, 403), (False, False, False)),
    "404": (api(errors.NotFoundError, 404), (False, False, False)),
    "404 of a job": (api(errors.TaskNotFoundError, 404), (False, False, False)),
    "410": (api(errors.GoneError, 410), (False, False, False)),
    "412": (api(errors.InsufficientCreditsError, 412), (False, False, False)),
    "422": (api(errors.ContentModeratedError, 422), (False, False, False)),
    "500 moderated": (api(errors.ContentModeratedError, 500), (False, False, False)),
    "596": (api(errors.AccountBrokenError, 596), (False, False, False)),
    "FAILED": (errors.AvatarFailedError("x"), (False, False, False)),
    "task failed": (errors.TaskFailedError("x"), (False, False, False)),
    "task moderated": (errors.TaskModeratedError("x"), (False, False, False)),
    "deadline": (errors.DeadlineExceededError("x"), (False, False, False)),
    "configuration": (errors.ConfigurationError("x"), (False, False, False)),
    "invalid": (errors.InvalidRequestError("x"), (False, False, False)),
    "no account": (errors.AccountRequiredError("x"), (False, False, False)),
    "file": (errors.LocalFileError("x"), (False, False, False)),
    "ledger": (errors.LedgerError("x"), (False, False, False)),
    "base class": (errors.KlingError("x"), (False, False, False)),
    "cancelled": (asyncio.CancelledError(), (False, False, False)),
    "interrupt": (KeyboardInterrupt(), (False, False, False)),
    "timeout of others": (TimeoutError(), (False, False, False)),
    "bug": (ValueError("x"), (False, False, False)),
}


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize(("column", "safety"), list(enumerate((READ, REPEATABLE, PAID))))
def test_may_resend(name: str, column: int, safety: Safety) -> None:
    error, allowed = TABLE[name]
    assert may_resend(safety, error, POLICY) is allowed[column]


def test_the_table_names_every_error_class_and_every_safety() -> None:
    known = {type(error) for error, _ in TABLE.values()}
    every = {
        one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, Exception)
    }
    assert every <= known
    assert set(Safety) == {READ, REPEATABLE, PAID}


@pytest.mark.parametrize("limit_s", [0.0, 5.0])
def test_the_longest_accepted_wait_is_the_callers(limit_s: float) -> None:
    policy = RetryPolicy(retry_after_max_s=limit_s)
    for cls, status in ((errors.RateLimitedError, 429), (errors.ServerError, 503)):
        assert may_resend(READ, api(cls, status, limit_s), policy)
        assert not may_resend(READ, api(cls, status, limit_s + 0.1), policy)


def test_a_429_without_a_time_counts_as_ten_seconds() -> None:
    error = api(errors.RateLimitedError, 429)
    assert may_resend(PAID, error, RetryPolicy(retry_after_max_s=10))
    assert not may_resend(PAID, error, RetryPolicy(retry_after_max_s=9.9))


PAUSES: list[tuple[KlingError, float]] = [
    (api(errors.RateLimitedError, 429, 7.5), 7.5),
    (api(errors.RateLimitedError, 429, 0.0), 0.0),
    (api(errors.RateLimitedError, 429), 10.0),
    (api(errors.RateLimitedError, 429, 1e9), 1e9),
    (api(errors.ServerError, 503, 7.5), 7.5),
    (api(errors.ServerError, 503), 0.0),
    (api(errors.ServerError, 500), 0.0),
    (api(errors.BadRequestError, 400, 7.5), 0.0),
    (api(errors.AccountBrokenError, 596, 7.5), 0.0),
    (errors.NotSentError("x"), 0.0),
    (errors.OutcomeUnknownError("x"), 0.0),
]


@pytest.mark.parametrize(("error", "expected"), PAUSES)
def test_pause(error: KlingError, expected: float) -> None:
    assert pause_s(error) == expected


PARKING = {"401", "402", "403", "596"}


@pytest.mark.parametrize("name", [name for name in TABLE if isinstance(TABLE[name][0], KlingError)])
def test_what_parks_an_account(name: str) -> None:
    error = TABLE[name][0]
    assert isinstance(error, KlingError)
    assert parks(error) is (name in PARKING)


# What happened -> is repeating it paid for from the budget, as (READ, REPEATABLE, PAID).
COSTS: list[tuple[KlingError, tuple[bool, bool, bool]]] = [
    (errors.NotSentError("x"), (True, True, False)),
    (errors.OutcomeUnknownError("x"), (True, True, False)),
    (api(errors.ServerError, 500), (True, True, False)),
    (api(errors.RateLimitedError, 429), (False, False, False)),
]


@pytest.mark.parametrize(("error", "paid_for"), COSTS)
@pytest.mark.parametrize(("column", "safety"), list(enumerate((READ, REPEATABLE, PAID))))
def test_costs(
    error: KlingError, paid_for: tuple[bool, bool, bool], column: int, safety: Safety
) -> None:
    assert costs(safety, error) is paid_for[column]


# --- the loop ---------------------------------------------------------------------------------

LOST, UNSENT = errors.OutcomeUnknownError("lost"), errors.NotSentError("unsent")
ILL, BAD = api(errors.ServerError, 500), api(errors.BadRequestError, 400)
LIMITED, AT_ONCE = api(errors.RateLimitedError, 429, 7.0), api(errors.RateLimitedError, 429, 0.0)
PAUSED, GONE, BUG = api(errors.ServerError, 503, 0.5), asyncio.CancelledError(), ValueError("bug")
FOUR = RetryPolicy(attempts=4)
FREE = RetryPolicy(attempts=4, budget=False)

# The policy, the safety, what comes of each attempt (None: it succeeds), how often the budget can
# pay -> attempts, waits, how often it paid.
LOOPS: dict[
    str,
    tuple[RetryPolicy, Safety, list[BaseException | None], int, tuple[int, list[float], int]],
] = {
    "well": (FOUR, READ, [None], 9, (1, [], 0)),
    "once": (FOUR, READ, [LOST, None], 9, (2, [0.5], 1)),
    "until the last": (FOUR, READ, [LOST, ILL, UNSENT, None], 9, (4, [0.5, 1, 2], 3)),
    "in vain": (FOUR, READ, [LOST, LOST, LOST, ILL], 9, (4, [0.5, 1, 2], 3)),
    "one attempt": (RetryPolicy(attempts=1), READ, [LOST], 9, (1, [], 0)),
    "two attempts": (RetryPolicy(attempts=2), READ, [LOST, ILL], 9, (2, [0.5], 1)),
    "not again": (FOUR, READ, [BAD], 9, (1, [], 0)),
    "not again after it": (FOUR, READ, [LOST, BAD], 9, (2, [0.5], 1)),
    "not again at last": (FOUR, READ, [LOST, LOST, LOST, BAD], 9, (4, [0.5, 1, 2], 3)),
    "paid and lost": (FOUR, PAID, [LOST], 9, (1, [], 0)),
    "paid, unsent, lost": (FOUR, PAID, [UNSENT, LOST], 9, (2, [0.5], 0)),
    "paid and limited": (FOUR, PAID, [LIMITED, UNSENT, None], 9, (3, [0, 1], 0)),
    "paused": (FOUR, READ, [LIMITED, PAUSED, AT_ONCE, None], 9, (4, [0, 0, 2], 1)),
    "nothing to pay with": (FOUR, READ, [LOST], 0, (1, [], 1)),
    "nothing left": (FOUR, READ, [LOST, ILL], 1, (2, [0.5], 2)),
    "limited costs nothing": (FOUR, READ, [LIMITED, LIMITED, None], 0, (3, [0, 0], 0)),
    "no budget": (FREE, READ, [LOST, LOST, None], 0, (3, [0.5, 1], 0)),
    "cancelled": (FOUR, READ, [GONE], 9, (1, [], 0)),
    "cancelled after it": (FOUR, READ, [LOST, GONE], 9, (2, [0.5], 1)),
    "a bug after it": (FOUR, READ, [LOST, LOST, BUG], 9, (3, [0.5, 1], 2)),
}


@pytest.mark.parametrize("name", LOOPS)
async def test_loops(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the last attempt raises comes out as it is; each repeat is told and waited for."""
    monkeypatch.setattr("random.random", lambda: 0.0)
    policy, safety, outcomes, purse, expected = LOOPS[name]
    waits: list[float] = []
    told: list[tuple[int, KlingError, float]] = []
    sent = asked = 0

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    def afford() -> bool:
        nonlocal asked
        asked += 1
        return asked <= purse

    async def call() -> str:
        nonlocal sent
        loop = RetryLoop(
            policy, safety, sleep, lambda number, error, s: told.append((number, error, s)), afford
        )
        async for attempt in loop:
            with attempt:
                outcome, sent = outcomes[sent], sent + 1
                if outcome is not None:
                    raise outcome
                return "done"
        raise AssertionError("it ended without an answer")

    if outcomes[-1] is None:
        assert await call() == "done"
    else:
        with pytest.raises(type(outcomes[-1])) as caught:
            await call()
        assert caught.value is outcomes[-1]
    assert (sent, waits, asked) == expected
    repeated = [(n, outcomes[n - 1], wait_s) for n, wait_s in enumerate(waits, 1)]
    assert told == repeated


async def test_a_loop_without_a_budget_can_always_pay() -> None:
    async def sleep(_: float) -> None:
        pass

    left: list[BaseException] = [LOST, ILL]
    async for attempt in RetryLoop(FOUR, READ, sleep, lambda *_: None):
        with attempt:
            if left:
                raise left.pop()
    assert not left


# --- waits ------------------------------------------------------------------------------------

POLICIES = st.builds(
    RetryPolicy,
    wait_initial_s=st.floats(1e-6, 1e6),
    wait_max_s=st.floats(1e-6, 1e6),
)
JITTER = st.floats(0, 1)


@given(POLICIES, st.integers(1, 10**6), JITTER)
def test_backoff_stays_within_its_bounds(policy: RetryPolicy, attempt: int, jitter: float) -> None:
    wait_s = backoff_s(policy, attempt, jitter)
    floor_s = min(policy.wait_max_s, policy.wait_initial_s * 2.0 ** min(attempt - 1, 64))
    assert 0 < floor_s <= wait_s <= policy.wait_max_s
    assert wait_s <= floor_s * 2


@given(POLICIES, st.integers(1, 2000), JITTER)
def test_backoff_never_shrinks(policy: RetryPolicy, attempt: int, jitter: float) -> None:
    assert backoff_s(policy, attempt, jitter) <= backoff_s(policy, attempt + 1, jitter)


@given(POLICIES, st.integers(1, 50), JITTER, JITTER)
def test_jitter_only_adds(policy: RetryPolicy, attempt: int, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert backoff_s(policy, attempt, low) <= backoff_s(policy, attempt, high)


@pytest.mark.parametrize(("attempt", "expected"), [(1, 0.5), (2, 1), (3, 2), (7, 32), (8, 60)])
def test_backoff_by_default(attempt: int, expected: float) -> None:
    assert backoff_s(POLICY, attempt, 0.0) == expected


@pytest.mark.parametrize("attempt", [65, 66, 3000])
def test_backoff_stops_doubling_where_numbers_end(attempt: int) -> None:
    policy = RetryPolicy(wait_initial_s=1e-30, wait_max_s=60)
    assert backoff_s(policy, attempt, 0.0) == 1e-30 * 2.0**64


# --- the policy -------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [
    lambda: RetryPolicy(attempts=0),
    lambda: RetryPolicy(attempts=-1),
    lambda: RetryPolicy(wait_initial_s=0),
    lambda: RetryPolicy(wait_initial_s=float("nan")),
    lambda: RetryPolicy(wait_max_s=0),
    lambda: RetryPolicy(retry_after_max_s=-1),
])  # fmt: skip
def test_unusable_policies(make: Callable[[], RetryPolicy]) -> None:
    with pytest.raises(ValueError, match="must be"):
        make()


def test_defaults_are_the_documented_ones() -> None:
    assert RetryPolicy() == RetryPolicy(
        attempts=5, wait_initial_s=0.5, wait_max_s=60, retry_after_max_s=900
    )

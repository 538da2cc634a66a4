"""Is the rate kept in every window, is it used, and may it be any object of the user's?"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from virtual_time import now_s, run, virtually

from kling_async import AsyncKlingClient, Limiter, RateLimit, RetryPolicy
from kling_async._limits.admission import Admission
from kling_async._limits.buckets import AccountBuckets, SharedBucket
from kling_async.clock import LoopClock
from kling_async.emulator import Emulator, Fault

TICK_S = 1e-6
ADA, BEN = "ada@example.com", "ben@example.com"


async def admitted(
    limit: RateLimit, arrivals_s: Sequence[float], account: str | None = ADA
) -> list[float]:
    """When those who come at `arrivals_s` are let through, in order, from the first arrival on."""
    gate = Admission(limit, LoopClock())
    start_s = now_s()
    times_s: list[float] = []

    async def one(arrival_s: float) -> None:
        await asyncio.sleep(arrival_s)
        await gate.admit(account)
        times_s.append(now_s() - start_s)

    await asyncio.gather(*map(one, arrivals_s))
    return times_s


# --- every window -----------------------------------------------------------------------------


@st.composite
def limits(draw: st.DrawFn) -> RateLimit:
    requests = draw(st.integers(1, 9))
    burst = draw(st.integers(1, max(1, requests - 1)))
    return RateLimit(requests, per_s=draw(st.floats(0.05, 90)), burst=burst)


PATTERNS = st.lists(st.floats(0, 3), min_size=1, max_size=40)  # in windows


@settings(max_examples=150)
@given(limits(), PATTERNS)
def test_no_window_holds_more_than_promised(limit: RateLimit, pattern: list[float]) -> None:
    times_s = run(admitted(limit, [at * limit.per_s for at in pattern]))
    assert len(times_s) == len(pattern)
    for first_s, beyond_s in zip(times_s, times_s[limit.requests :], strict=False):
        assert beyond_s - first_s >= limit.per_s - 2 * TICK_S


@pytest.mark.parametrize(("limit", "expected_s"), [
    (RateLimit(4, per_s=2), [0, 0.5, 1.0, 1.5, 2.0, 2.5]),
    (RateLimit(1, per_s=3), [0, 3, 6, 9, 12, 15]),
    (RateLimit(4, per_s=2, burst=2), [0, 0, 2 / 3, 4 / 3, 2, 8 / 3]),
    (RateLimit(5, per_s=2, burst=4), [0, 0, 0, 0, 1, 2]),
])  # fmt: skip
def test_a_crowd_goes_at_the_pace(limit: RateLimit, expected_s: list[float]) -> None:
    """Two hundredths slower at most, for what requests lose or win on their way."""
    assert run(admitted(limit, [0.0] * 6)) == pytest.approx(expected_s, abs=0.025 * expected_s[-1])


@pytest.mark.parametrize("per_window", [1, 10, 60, 1000, 5000])
@pytest.mark.parametrize("late_s", [0.0, 0.001, 0.005])
def test_at_least_97_percent_are_used_though_timers_are_late(
    per_window: int, late_s: float
) -> None:
    """A timer for each request would use a fifth of 5,000 a second."""
    limit, windows = RateLimit(per_window), 8 if per_window > 1 else 40

    async def used() -> list[float]:
        bucket, times_s = AccountBuckets(limit), []
        while now_s() < windows:
            await bucket.acquire(ADA)
            times_s.append(now_s())
        return times_s

    times_s = run(used(), late_s)
    assert len([at_s for at_s in times_s if at_s < windows]) >= 0.97 * per_window * windows
    for first_s, beyond_s in zip(times_s, times_s[per_window:], strict=False):
        assert beyond_s - first_s >= 1 - 2 * TICK_S


def test_arrivals_that_swap_their_luck_still_fit_the_window() -> None:
    """A request 10 ms late and one that is not: N + 1 of them still don't meet in a window."""
    times_s = run(admitted(RateLimit(60, per_s=2), [0.0] * 300))
    arrivals_s = [at_s + (0.01 if n % 7 == 0 else 0.0) for n, at_s in enumerate(times_s)]
    arrivals_s.sort()
    assert all(
        beyond_s - first_s > 2
        for first_s, beyond_s in zip(arrivals_s, arrivals_s[60:], strict=False)
    )


@pytest.mark.parametrize("limit", [
    RateLimit(10), RateLimit(100), RateLimit(60, per_s=2), RateLimit(20, adaptive=True),
])  # fmt: skip
@pytest.mark.parametrize("which", [{0}, {0, 1, 2}, {0, 30, 31}, {5, 90}])
def test_a_new_connection_is_late_and_the_window_holds_where_requests_arrive(
    limit: RateLimit, which: set[int]
) -> None:
    """A connection that has to be made takes 80 ms; one that is there takes none."""

    async def arrivals() -> list[float]:
        gate, arrivals_s = Admission(limit, LoopClock()), []

        async def one(n: int) -> None:
            permit = await gate.admit(ADA)
            if n in which:
                await asyncio.sleep(0.08)
            permit.check_before_write()
            arrivals_s.append(now_s())

        await asyncio.gather(*(one(n) for n in range(4 * limit.requests)))
        return sorted(arrivals_s)

    arrivals_s = run(arrivals())
    pairs = zip(arrivals_s, arrivals_s[limit.requests :], strict=False)
    assert all(beyond_s - first_s >= limit.per_s for first_s, beyond_s in pairs)
    if not limit.adaptive:
        lost_s = 0.08 * 2 + 0.03 * limit.per_s * 4  # each episode once
        assert arrivals_s[-1] <= 4 * limit.per_s + lost_s


def test_a_burst_comes_back_after_rest() -> None:
    times_s = run(admitted(RateLimit(4, per_s=2, burst=2), [0, 0, 10, 10, 10]))
    assert times_s == pytest.approx([0, 0, 10, 10, 10.66], abs=0.01)


def test_those_who_come_slowly_do_not_wait() -> None:
    arrivals_s = [0.0, 1.0, 2.0, 3.5]
    times_s = run(admitted(RateLimit(1, per_s=0.98), arrivals_s))
    assert times_s == pytest.approx(arrivals_s, abs=10 * TICK_S)


def test_ten_thousand_wait_in_order_and_none_is_overtaken() -> None:
    async def order() -> list[int]:
        gate, went, late = Admission(RateLimit(1000), LoopClock()), [], []

        async def one(n: int) -> None:
            await gate.admit(ADA)
            went.append(n)
            if n < 10_000 and n % 10 == 0:  # a newcomer while the others wait
                late.append(asyncio.ensure_future(one(10_000 + n)))

        await asyncio.gather(*(one(n) for n in range(10_000)))
        await asyncio.gather(*late)
        return went

    went = run(order())
    assert went[:10_000] == list(range(10_000))
    assert went[10_000:] == sorted(went[10_000:])


def test_cancelled_waiters_leave_no_gap() -> None:
    async def times_s() -> list[float]:
        gate, went_s = Admission(RateLimit(10), LoopClock()), []

        async def one() -> None:
            await gate.admit(ADA)
            went_s.append(now_s())

        tasks = [asyncio.ensure_future(one()) for _ in range(40)]
        await asyncio.sleep(0.05)
        for task in tasks[1::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert gate.waiting == 0
        return went_s

    went_s = run(times_s())
    assert len(went_s) == 20
    assert all(after_s - before_s < 0.11 for before_s, after_s in itertools.pairwise(went_s))


def test_one_rate_for_the_whole_client_and_one_per_account() -> None:
    async def times_s() -> dict[str, list[float]]:
        gate = Admission(RateLimit(10), LoopClock(), client_limiter=RateLimit(15))
        went_s: dict[str, list[float]] = {ADA: [], BEN: []}

        async def one(account: str) -> None:
            await gate.admit(account)
            went_s[account].append(now_s())

        await asyncio.gather(*(one(account) for _ in range(40) for account in (ADA, BEN)))
        return went_s

    went_s = run(times_s())
    for one in went_s.values():
        assert all(
            beyond - first >= 1 - TICK_S for first, beyond in zip(one, one[10:], strict=False)
        )
    both = sorted(went_s[ADA] + went_s[BEN])
    assert all(beyond - first >= 1 - TICK_S for first, beyond in zip(both, both[15:], strict=False))
    assert max(both) == pytest.approx(80 / 15, rel=0.03)  # used, and shared fairly
    assert abs(went_s[ADA][-1] - went_s[BEN][-1]) < 0.2


def fits(times_s: Sequence[float], limit: RateLimit) -> bool:
    """Whether no window holds more than `limit` promises."""
    ordered = sorted(times_s)
    pairs = zip(ordered, ordered[limit.requests :], strict=False)
    return all(beyond_s - first_s >= limit.per_s - 2 * TICK_S for first_s, beyond_s in pairs)


@settings(max_examples=60)
@given(st.integers(2, 10), st.integers(2, 20), st.integers(0, 30), st.lists(st.floats(0, 3)))
@example(10, 20, 18, [0.0] * 40)
def test_an_accounts_rate_holds_although_the_clients_held_it_up(
    per_account: int, per_client: int, others: int, arrivals_s: list[float]
) -> None:
    limit, for_all = RateLimit(per_account), RateLimit(per_client)

    async def went() -> dict[str, list[float]]:
        gate = Admission(limit, LoopClock(), client_limiter=for_all)
        went_s: dict[str, list[float]] = {}

        async def one(account: str, arrival_s: float) -> None:
            await asyncio.sleep(arrival_s)
            (await gate.admit(account)).check_before_write()
            went_s.setdefault(account, []).append(now_s())

        strangers = (one(f"{n}@example.com", 0.0) for n in range(others))
        ours = (one(ADA, at_s) for at_s in [*arrivals_s, *[0.0] * 2 * per_account])
        await asyncio.gather(*strangers, *ours)
        return went_s

    went_s = run(went())
    assert all(fits(one, limit) for one in went_s.values())
    assert fits(list(itertools.chain(*went_s.values())), for_all)


@pytest.mark.parametrize("whose", ["client's", "accounts'"])
def test_our_rate_holds_although_the_users_limiter_was_slow(whose: str) -> None:
    """It keeps everybody for five seconds and lets them go together, as one far away may."""

    class Slow:
        async def acquire(self, account: str | None) -> None:
            await asyncio.sleep(max(0.0, 5 - now_s()))

    async def went() -> list[float]:
        ours, slow = RateLimit(10), Slow()
        one, other = (ours, slow) if whose == "client's" else (slow, ours)
        gate, went_s = Admission(one, LoopClock(), client_limiter=other), []

        async def go() -> None:
            (await gate.admit(ADA)).check_before_write()
            went_s.append(now_s())

        await asyncio.gather(*(go() for _ in range(60)))
        return went_s

    went_s = run(went())
    assert fits(went_s, RateLimit(10))
    assert max(went_s) <= 5 + 6.2  # and it is used


@virtually
async def test_each_account_has_its_own_bucket() -> None:
    buckets = AccountBuckets(RateLimit(1, per_s=100))
    for account in (ADA, BEN, None):
        await buckets.acquire(account)
    assert now_s() == pytest.approx(0, abs=TICK_S)


@pytest.mark.parametrize("make", [
    lambda: RateLimit(0), lambda: RateLimit(-1), lambda: RateLimit(5, per_s=0),
    lambda: RateLimit(5, per_s=-1), lambda: RateLimit(5, per_s=float("nan")),
    lambda: RateLimit(5, per_s=float("inf")), lambda: RateLimit(5, per_s=1e-320),
    lambda: RateLimit(10**400), lambda: RateLimit(5, burst=0),
    lambda: RateLimit(5, burst=5), lambda: RateLimit(5, burst=6),
    lambda: RateLimit(2.5), lambda: RateLimit(float("nan")), lambda: RateLimit(True),  # type: ignore[arg-type]
    lambda: RateLimit("5"), lambda: RateLimit(5, burst=1.5),  # type: ignore[arg-type]
    lambda: RateLimit(1, burst=2), lambda: RateLimit(5, burst=2, adaptive=True),
])  # fmt: skip
def test_limits_that_cannot_be_kept_are_refused(make: Callable[[], RateLimit]) -> None:
    with pytest.raises(ValueError, match=r"burst|must be|adaptive"):
        make()


def test_what_is_taken_and_what_a_refusal_says() -> None:
    assert RateLimit(1) == RateLimit(requests=1, per_s=1.0, burst=1, adaptive=False)
    assert RateLimit(3, burst=2).burst == 2
    for make, said in (
        (lambda: RateLimit(5, burst=2, adaptive=True), "adaptive=True spaces requests evenly"),
        (lambda: RateLimit(2.5), r"'requests' must be a whole number, not 2\.5: RateLimit\(5, "),  # type: ignore[arg-type]
        (lambda: RateLimit(5, burst=7), "burst=7 leaves no room in 5 requests per window"),
    ):
        with pytest.raises(ValueError, match=f"^{said}"):
            make()


def test_a_limiter_can_be_made_where_no_loop_runs() -> None:
    limit = RateLimit(5)
    made_outside = AccountBuckets(limit), SharedBucket(limit)
    for one in made_outside:
        run(one.acquire(ADA))
    run(AccountBuckets(limit).acquire(ADA))


# --- your own limiter -------------------------------------------------------------------------


class Mine:
    """A limiter of the user's: notes who asks, and may refuse."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.asked: list[str | None] = []
        self.error = error

    async def acquire(self, account: str | None) -> None:
        self.asked.append(account)
        if self.error is not None:
            raise self.error


Open = Callable[..., Awaitable[AsyncKlingClient]]


async def test_any_object_with_acquire_is_a_limiter(
    open_client: Open, emulator: Emulator, no_waiting: Any
) -> None:
    mine = Mine()
    assert isinstance(mine, Limiter)
    emulator.add_faults([Fault("avatars.list", "status", status=500, times=2)])
    kling = await open_client(rate_limit=mine, accounts=[ADA], clock=no_waiting)
    emulator.add_faults([Fault("avatars.list", "status", status=404)])
    with pytest.raises(Exception, match="404"):
        await kling.avatars.list()
    assert mine.asked == [ADA, ADA, ADA]  # once per attempt
    assert emulator.counts["avatars.list"] == 3


async def test_what_a_limiter_raises_reaches_the_caller_as_it_is(
    open_client: Open, emulator: Emulator
) -> None:
    error = RuntimeError("no connection to the shared limiter")
    kling = await open_client(rate_limit=Mine(error))
    with pytest.raises(RuntimeError) as caught:
        await kling.avatars.list()
    assert caught.value is error
    assert emulator.calls == []


@virtually
async def test_the_clients_own_rate(emulator: Emulator) -> None:
    async with AsyncKlingClient(
        "user:1-a",
        base_url="http://127.0.0.1/v1/kling",
        transport=emulator.transport(),
        rate_limit=RateLimit(2, per_s=4),
        retry=RetryPolicy(attempts=1),
    ) as kling:
        await asyncio.gather(*(kling.avatars.list() for _ in range(4)))
    at_s = [call.at_s for call in emulator.calls]
    assert [one - at_s[0] for one in at_s] == pytest.approx([0, 2, 4, 6], rel=0.021)

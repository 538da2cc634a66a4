"""Is the rate kept in every window, and can a pause be shortened by anybody? On virtual time.

What waits for times of any value runs on a loop of our own and not on looptime: aiolimiter may find
itself 1e-17 s early and ask to be woken at once, and looptime's clock then never moves again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kling_async import AsyncKlingClient, Limiter, RateLimit, RetryPolicy
from kling_async.clock import LoopClock
from kling_async.emulator import Emulator, Fault
from kling_async.limits import AccountBuckets, Admission

TICK_S = 1e-6
T = TypeVar("T")
ADA, BEN = "ada@example.com", "ben@example.com"


def now_s() -> float:
    return asyncio.get_running_loop().time()


class VirtualLoop(asyncio.SelectorEventLoop):
    """Waits are over at once and take their time; what takes none takes a nanosecond."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        selector: Any = self._selector  # type: ignore[attr-defined]
        self._select = selector.select
        selector.select = self._pass

    def time(self) -> float:
        return self._now_s

    def _pass(self, timeout_s: float | None) -> Any:
        self._now_s += max(1e-9, timeout_s or 0)
        return self._select(0)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of `coroutine`, on virtual time that begins at 0."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


async def admitted(
    limit: RateLimit, arrivals_s: Sequence[float], account: str | None = ADA
) -> list[float]:
    """When those who come at `arrivals_s` are let through, in order, from the first arrival on."""
    gate = Admission(AccountBuckets(limit), LoopClock())
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
    (RateLimit(4, per_s=2, burst=2), [0, 0, 1, 2, 3, 4]),
    (RateLimit(5, per_s=2, burst=4), [0, 0, 0, 0, 2, 4]),
])  # fmt: skip
def test_a_crowd_goes_at_exactly_the_pace(limit: RateLimit, expected_s: list[float]) -> None:
    assert run(admitted(limit, [0.0] * 6)) == pytest.approx(expected_s, abs=10 * TICK_S)


def test_a_burst_comes_back_after_rest() -> None:
    times_s = run(admitted(RateLimit(4, per_s=2, burst=2), [0, 0, 10, 10, 10]))
    assert times_s == pytest.approx([0, 0, 10, 10, 11], abs=10 * TICK_S)


def test_those_who_come_slowly_do_not_wait() -> None:
    arrivals_s = [0.0, 1.0, 2.0, 3.5]
    times_s = run(admitted(RateLimit(1, per_s=1), arrivals_s))
    assert times_s == pytest.approx(arrivals_s, abs=10 * TICK_S)


@pytest.mark.looptime(resolution=1e-9)
async def test_each_account_has_its_own_bucket() -> None:
    buckets = AccountBuckets(RateLimit(1, per_s=100))
    for account in (ADA, BEN, None):
        await buckets.acquire(account)
    assert now_s() == 0


@pytest.mark.parametrize("make", [
    lambda: RateLimit(0), lambda: RateLimit(-1), lambda: RateLimit(5, per_s=0),
    lambda: RateLimit(5, per_s=-1), lambda: RateLimit(5, per_s=float("nan")),
    lambda: RateLimit(5, burst=0), lambda: RateLimit(5, burst=5), lambda: RateLimit(5, burst=6),
    lambda: RateLimit(1, burst=2), lambda: RateLimit(5, adaptive=True),
])  # fmt: skip
def test_limits_that_cannot_be_kept_are_refused(make: Callable[[], RateLimit]) -> None:
    with pytest.raises(ValueError, match=r"burst|must be|adaptive"):
        make()


def test_a_limiter_can_be_made_where_no_loop_runs() -> None:
    limit = RateLimit(5)
    made_outside = AccountBuckets(limit)
    run(made_outside.acquire(ADA))
    run(AccountBuckets(limit).acquire(ADA))


# --- pauses -----------------------------------------------------------------------------------


@pytest.mark.looptime(resolution=1e-9)
async def test_a_pause_holds_everybody_of_the_account_and_nobody_else() -> None:
    gate = Admission(None, LoopClock())
    gate.pause(ADA, 10)
    await gate.admit(BEN)
    await gate.admit(None)
    assert now_s() == 0
    await asyncio.gather(*(gate.admit(ADA) for _ in range(5)))
    assert now_s() == pytest.approx(10, abs=TICK_S)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0, 30)), min_size=1, max_size=8))
def test_pauses_join_by_the_latest_end(pauses: list[tuple[float, float]]) -> None:
    async def admitted_at_s() -> float:
        gate = Admission(None, LoopClock())
        gate.pause(ADA, 25)  # so that all of the pauses below come while the call waits

        async def later(at_s: float, length_s: float) -> None:
            await asyncio.sleep(at_s)
            gate.pause(ADA, length_s)

        waiting = asyncio.create_task(gate.admit(ADA))
        await asyncio.gather(*(later(*one) for one in pauses))
        await waiting
        return now_s()

    ends_s = [at_s + length_s for at_s, length_s in pauses]
    assert run(admitted_at_s()) == pytest.approx(max(25, *ends_s), abs=5 * TICK_S)


@pytest.mark.looptime(resolution=1e-9)
async def test_a_pause_that_comes_in_the_limiters_queue_is_kept() -> None:
    gate = Admission(AccountBuckets(RateLimit(1, per_s=5)), LoopClock())
    await gate.admit(ADA)
    queued = asyncio.create_task(gate.admit(ADA))
    await asyncio.sleep(1)
    gate.pause(ADA, 60)
    await queued
    assert now_s() >= 61


@pytest.mark.looptime(resolution=1e-9)
async def test_after_a_pause_the_rate_still_holds() -> None:
    gate = Admission(AccountBuckets(RateLimit(1, per_s=5)), LoopClock())
    gate.pause(ADA, 10)
    times_s: list[float] = []

    async def one() -> None:
        await gate.admit(ADA)
        times_s.append(now_s())

    await asyncio.gather(*(one() for _ in range(3)))
    assert times_s == pytest.approx([10, 15, 20], abs=10 * TICK_S)


@pytest.mark.looptime(resolution=1e-9)
async def test_what_is_told_of_pauses() -> None:
    gate = Admission(None, LoopClock())
    assert (gate.paused_s(ADA), gate.longest_pause_s()) == (0.0, 0.0)
    gate.pause(ADA, 10)
    gate.pause(BEN, 4)
    await asyncio.sleep(3)
    assert [gate.paused_s(one) for one in (ADA, BEN, None)] == pytest.approx([7, 1, 0])
    assert gate.longest_pause_s() == pytest.approx(7)
    await asyncio.sleep(60)
    assert (gate.paused_s(ADA), gate.longest_pause_s()) == (0.0, 0.0)


async def test_a_clock_that_wakes_a_hair_early_makes_nobody_spin() -> None:
    class Coarse:
        now_s, sleeps = 0.0, 0

        def monotonic(self) -> float:
            return self.now_s

        def wall(self) -> float:
            return self.now_s

        async def sleep(self, seconds: float) -> None:
            self.sleeps += 1
            assert self.sleeps < 5, "it asks to be woken at once, again and again"
            self.now_s += 0.0 if seconds < 1e-6 else seconds - 1e-10

    gate = Admission(None, clock := Coarse())
    gate.pause(ADA, 10)
    await gate.admit(ADA)
    assert clock.now_s == pytest.approx(10)


# --- waiting, cancelled -----------------------------------------------------------------------


@pytest.mark.looptime(resolution=1e-9)
async def test_waiting_counts_those_at_the_gate() -> None:
    gate = Admission(AccountBuckets(RateLimit(1, per_s=1)), LoopClock())
    tasks = [asyncio.create_task(gate.admit(ADA)) for _ in range(4)]
    seen = []
    for _ in range(5):
        await asyncio.sleep(0.5)
        seen.append(gate.waiting)
        await asyncio.sleep(0.5)
    await asyncio.gather(*tasks)
    assert seen == [3, 2, 1, 0, 0]


@pytest.mark.looptime(resolution=1e-9)
@pytest.mark.parametrize("paused", [True, False])
async def test_a_cancelled_waiter_leaves_no_trace(paused: bool) -> None:
    gate = Admission(AccountBuckets(RateLimit(1, per_s=10)), LoopClock())
    await gate.admit(ADA)
    if paused:
        gate.pause(ADA, 10)
    first, second = (asyncio.create_task(gate.admit(ADA)) for _ in range(2))
    await asyncio.sleep(1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert gate.waiting == 1
    await second
    assert gate.waiting == 0
    assert now_s() == pytest.approx(10, abs=10 * TICK_S)  # the place of the first, not one behind


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


@pytest.mark.looptime(resolution=1e-9)
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
    assert [one - at_s[0] for one in at_s] == pytest.approx([0, 2, 4, 6], abs=1e-3)

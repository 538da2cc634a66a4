"""Who goes when after a 429: pauses nobody shortens, a probe, a ramp, and being told at once."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_time import now_s, run, virtually

from kling_async import (
    AccountRegistry,
    AsyncKlingClient,
    NotSentError,
    OutcomeUnknownError,
    RateLimit,
    RateLimitedError,
    ServerError,
)
from kling_async._limits.admission import Admission, Permit
from kling_async._limits.fair import FairLock, FairSemaphore
from kling_async.clock import LoopClock
from kling_async.emulator import Emulator, Fault
from kling_async.settings import PAUSE_ABSURD_S, PROBE_WITHIN_S, RAMP_OPEN_AT

TICK_S = 1e-6
ADA, BEN = "ada@example.com", "ben@example.com"
Open = Callable[..., Awaitable[AsyncKlingClient]]


def refusal(seconds: float | None = 2.0) -> RateLimitedError:
    return RateLimitedError("no", status_code=429, retry_after_s=seconds)


async def answered(gate: Admission, account: str | None = ADA, after_s: float = 0.0) -> float:
    """When a call is let through that is answered well after `after_s`."""
    permit = await gate.admit(account)
    admitted_s = now_s()
    if after_s:
        await asyncio.sleep(after_s)
    permit.release(None)
    return admitted_s


# --- pauses -----------------------------------------------------------------------------------


@virtually
async def test_a_pause_holds_everybody_of_the_account_and_nobody_else() -> None:
    gate = Admission(None, LoopClock())
    gate.pause(ADA, 10)
    await gate.admit(BEN)
    await gate.admit(None)
    assert now_s() == pytest.approx(0, abs=TICK_S)
    times_s = await asyncio.gather(*(answered(gate) for _ in range(5)))
    assert times_s == pytest.approx([10] * 5, abs=TICK_S)


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


@virtually
async def test_a_pause_that_comes_in_the_limiters_queue_is_kept() -> None:
    gate = Admission(RateLimit(1, per_s=5), LoopClock())
    await gate.admit(ADA)
    queued = asyncio.create_task(gate.admit(ADA))
    await asyncio.sleep(1)
    gate.pause(ADA, 60)
    await queued
    assert now_s() >= 61


@virtually
async def test_after_a_pause_the_rate_still_holds() -> None:
    gate = Admission(RateLimit(1, per_s=5), LoopClock())
    gate.pause(ADA, 10)
    times_s = await asyncio.gather(*(answered(gate) for _ in range(3)))
    assert times_s == pytest.approx([10, 15, 20], rel=0.02)
    assert times_s[1] - times_s[0] >= 5


@virtually
async def test_what_is_told_of_pauses() -> None:
    gate = Admission(None, LoopClock())
    assert (gate.paused_s(ADA), gate.longest_pause_s(), gate.anything_paused) == (0.0, 0.0, False)
    gate.pause(ADA, 10)
    gate.pause(BEN, 4)
    await asyncio.sleep(3)
    assert [gate.paused_s(one) for one in (ADA, BEN, None)] == pytest.approx([7, 1, 0])
    assert gate.longest_pause_s() == pytest.approx(7)
    assert gate.anything_paused
    await asyncio.sleep(60)
    assert (gate.paused_s(ADA), gate.longest_pause_s(), gate.anything_paused) == (0.0, 0.0, False)


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


async def test_what_a_clock_raises_reaches_the_caller() -> None:
    class Broken(LoopClock):
        async def sleep(self, seconds: float) -> None:
            raise ZeroDivisionError

    gate = Admission(None, Broken())
    gate.pause(ADA, 10)
    with pytest.raises(ZeroDivisionError):
        await gate.admit(ADA)
    assert gate.waiting == 0


# --- what errors do ---------------------------------------------------------------------------


@settings(max_examples=200)
@given(st.one_of(st.none(), st.floats(0, 1e12)))
def test_jitter_only_adds_and_absurd_times_are_bounded(named_s: float | None) -> None:
    async def paused_s() -> float:
        gate = Admission(None, LoopClock())
        (await gate.admit(ADA)).release(refusal(named_s))
        return gate.paused_s(ADA)

    left_s, meant_s = run(paused_s()), 10.0 if named_s is None else named_s
    if meant_s > 86_400:
        meant_s = PAUSE_ABSURD_S
    assert meant_s - TICK_S <= left_s <= meant_s + min(1.0, 0.01 * meant_s) + TICK_S


@virtually
async def test_a_503_pauses_only_if_it_names_a_time() -> None:
    gate = Admission(None, LoopClock())
    (await gate.admit(ADA)).release(ServerError("ill", status_code=500))
    assert gate.paused_s(ADA) == 0
    await gate.admit(ADA)
    await gate.admit(ADA)  # no probe either
    (await gate.admit(ADA)).release(ServerError("ill", status_code=503, retry_after_s=7))
    assert 7 <= gate.paused_s(ADA) <= 7.1


@virtually
async def test_a_learning_rate_pauses_shortly_where_no_time_is_named() -> None:
    gate = Admission(RateLimit(100, adaptive=True), LoopClock())
    (await gate.admit(ADA)).release(refusal(None))
    assert 0.2 <= gate.paused_s(ADA) <= 1.0
    (await gate.admit(BEN)).release(refusal(7))
    assert gate.paused_s(BEN) >= 7


@virtually
async def test_a_learning_rate_is_more_patient_each_time_its_probe_is_refused() -> None:
    """A quota of so many an hour is not asked twice a second until the hour is over."""
    gate = Admission(RateLimit(100, adaptive=True), LoopClock())
    together = [await gate.admit(ADA) for _ in range(5)]
    for permit in together:
        permit.release(refusal(None))
    pauses_s = [gate.paused_s(ADA)]
    for _ in range(7):
        (await gate.admit(ADA)).release(refusal(None))
        pauses_s.append(gate.paused_s(ADA))
    assert pauses_s == pytest.approx([0.25, 0.5, 1, 2, 4, 8, 10, 10], rel=0.02)
    (await gate.admit(ADA)).release(None)
    (await gate.admit(ADA)).release(refusal(None))
    assert gate.paused_s(ADA) == pytest.approx(0.25, rel=0.02)


# --- the probe and the ramp -------------------------------------------------------------------


@virtually
async def test_one_probe_goes_first_and_then_twice_as_many_each_round() -> None:
    gate = Admission(None, LoopClock())
    gate.pause(ADA, 10)
    times_s = await asyncio.gather(*(answered(gate, after_s=1) for _ in range(127)))
    rounds = [sum(1 for at_s in times_s if at_s == pytest.approx(10 + n)) for n in range(8)]
    assert rounds == [1, 2, 4, 8, 16, 32, RAMP_OPEN_AT, 0]


@virtually
async def test_a_ramp_opens_for_all_in_the_end() -> None:
    gate = Admission(None, LoopClock())
    gate.pause(ADA, 10)
    await asyncio.gather(*(answered(gate) for _ in range(RAMP_OPEN_AT)))
    assert {one.places for one in gate.stats()} == {None}
    await asyncio.gather(*(gate.admit(ADA) for _ in range(500)))
    assert now_s() == pytest.approx(10)


@virtually
async def test_a_probe_that_is_refused_pauses_again_and_nobody_else_goes() -> None:
    gate = Admission(None, LoopClock())
    gate.pause(ADA, 10)
    waiting = [asyncio.create_task(answered(gate)) for _ in range(20)]
    probe = await gate.admit(BEN)  # of another account: no matter
    probe.release(None)
    await asyncio.sleep(9)
    assert not any(one.done() for one in waiting)
    first = asyncio.create_task(gate.admit(ADA))
    waiting[0].cancel()  # who leaves the line leaves no gap
    gate.pause(ADA, 5)
    await asyncio.sleep(4.9)
    assert not any(one.done() for one in waiting[1:])
    await asyncio.gather(first, *waiting[1:])
    assert now_s() == pytest.approx(14, abs=0.01)


@virtually
@pytest.mark.parametrize("error", [
    NotSentError("x"), OutcomeUnknownError("x"), asyncio.CancelledError(),
])  # fmt: skip
async def test_a_probe_without_an_answer_makes_way_for_the_next(error: BaseException) -> None:
    gate = Admission(None, LoopClock())
    gate.pause(ADA, 10)
    (await gate.admit(ADA)).release(error)
    second = await gate.admit(ADA)
    third = asyncio.create_task(gate.admit(ADA))
    await asyncio.sleep(1)
    assert not third.done()  # still one at a time
    second.release(None)
    await third
    assert now_s() == pytest.approx(11, abs=0.01)


@virtually
async def test_a_slow_probe_does_not_hold_the_others_for_ever() -> None:
    """A create may take minutes; a refusal does not."""
    gate = Admission(None, LoopClock())
    gate.pause(ADA, 10)
    times_s = await asyncio.gather(*(answered(gate, after_s=170) for _ in range(3)))
    assert times_s == pytest.approx([10, 10 + PROBE_WITHIN_S, 10 + 2 * PROBE_WITHIN_S])


@virtually
async def test_answers_to_what_went_before_the_pause_open_nothing() -> None:
    gate = Admission(None, LoopClock())
    earlier = [await gate.admit(ADA) for _ in range(100)]
    gate.pause(ADA, 10)
    for permit in earlier[:50]:
        permit.release(None)
    assert gate.paused_s(ADA) == pytest.approx(10)
    await gate.admit(ADA)
    for permit in earlier[50:]:
        permit.release(None)
    behind = asyncio.create_task(gate.admit(ADA))
    await asyncio.sleep(1)
    assert not behind.done()
    behind.cancel()


# --- parked -----------------------------------------------------------------------------------


@virtually
async def test_a_pause_beyond_what_callers_accept_tells_them_all_at_once() -> None:
    gate = Admission(None, LoopClock())
    gate.pause(ADA, 10)
    patient = asyncio.create_task(gate.admit(ADA, 10_000))
    hasty = [asyncio.create_task(gate.admit(ADA, 900)) for _ in range(50)]
    await asyncio.sleep(1)
    gate.pause(ADA, 7200)
    told = await asyncio.gather(*hasty, return_exceptions=True)
    assert now_s() == pytest.approx(1)
    assert all(isinstance(one, RateLimitedError) for one in told)
    assert {round(one.retry_after_s or 0) for one in told if isinstance(one, RateLimitedError)} == {
        7200
    }
    assert gate.waiting == 1
    with pytest.raises(RateLimitedError, match="nothing was sent"):
        await gate.admit(ADA, 900)
    assert not patient.done()
    await patient
    assert now_s() == pytest.approx(7201, abs=0.01)


@virtually
async def test_the_head_of_the_line_is_told_too() -> None:
    gate = Admission(None, LoopClock())
    gate.pause(ADA, 10)
    head = asyncio.create_task(gate.admit(ADA, 900))
    await asyncio.sleep(1)
    gate.pause(ADA, 1000)
    with pytest.raises(RateLimitedError):
        await head
    assert now_s() == pytest.approx(1)


@virtually
async def test_a_parked_account_is_told_with_the_call_and_without_a_send(
    emulator: Emulator,
) -> None:
    emulator.add_faults([Fault("avatars.list", "status", status=429, retry_after_s=7200, at=1)])
    async with AsyncKlingClient(
        "user:1-a", base_url="http://127.0.0.1/v1/kling", transport=emulator.transport()
    ) as kling:
        for attempts in (1, 0, 0):
            with pytest.raises(RateLimitedError) as caught:
                await kling.avatars.list()
            assert 7100 < (caught.value.retry_after_s or 0) <= 7201
            assert caught.value.context is not None
            assert caught.value.context.attempts == attempts
        assert now_s() < 1
        with pytest.raises(RateLimitedError):
            await kling.avatars.create(image_url="https://x.y/a.png")
        assert emulator.counts == {"avatars.list": 1}
        await asyncio.sleep(7300)
        await kling.avatars.list()


@virtually
@pytest.mark.parametrize("choose", ["round_robin", "least_busy", lambda known: known[0]])
async def test_work_flows_to_accounts_that_are_not_paused(choose: Any) -> None:
    emulator = Emulator(accounts=[ADA, BEN])
    emulator.add_faults([Fault("*", "status", status=429, retry_after_s=60, at=1, account=ADA)])
    async with AsyncKlingClient(
        "user:1-a",
        base_url="http://127.0.0.1/v1/kling",
        transport=emulator.transport(),
        accounts=AccountRegistry([ADA, BEN], choose=choose),
    ) as kling:
        first = asyncio.create_task(kling.avatars.list(email=ADA))
        await asyncio.sleep(1)
        for _ in range(6):
            await kling.avatars.list()
        assert now_s() < 10
        assert [call.account for call in emulator.calls] == [ADA] + [BEN] * 6
        await first
        await asyncio.sleep(60)
        for _ in range(2):
            await kling.avatars.list()
        assert ADA in [call.account for call in emulator.calls[-2:]]


# --- places in flight -------------------------------------------------------------------------


@virtually
async def test_no_more_are_in_flight_than_there_are_places() -> None:
    gate = Admission(None, LoopClock(), places=FairSemaphore(3))
    in_flight, most = 0, 0

    async def one(n: int) -> int:
        nonlocal in_flight, most
        permit = await gate.admit(ADA if n % 2 else BEN)
        in_flight += 1
        most = max(most, in_flight)
        await asyncio.sleep(1)
        in_flight -= 1
        permit.release(None)
        permit.connection_freed()  # a second call does nothing
        return n

    order = [await one for one in asyncio.as_completed([one(n) for n in range(10)])]
    assert most == 3
    assert sorted(order) == list(range(10))
    assert now_s() == pytest.approx(4)
    assert gate.places is not None
    assert gate.places.taken == 0


@virtually
async def test_one_slow_account_does_not_take_all_places() -> None:
    gate = Admission(RateLimit(1, per_s=100), LoopClock(), places=FairSemaphore(3))
    waiting = [asyncio.create_task(answered(gate, ADA)) for _ in range(50)]
    await asyncio.sleep(1)
    await answered(gate, BEN)
    await answered(gate, None)
    assert now_s() == pytest.approx(1)
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert gate.places is not None
    assert gate.places.taken == 0


MOMENTS = st.tuples(  # a wait, a pause, whom to cancel
    st.sampled_from([0, 0.001, 0.02, 0.05]), st.sampled_from([None, 0, 0.03]), st.integers(0, 19)
)


@settings(max_examples=60)
@given(st.lists(MOMENTS, min_size=1, max_size=12))
def test_cancelling_at_any_moment_leaks_no_place_and_no_turn(
    moments: list[tuple[float, float | None, int]],
) -> None:
    async def storm() -> None:
        gate = Admission(RateLimit(50), LoopClock(), places=FairSemaphore(3))

        async def one() -> None:
            permit: Permit | None = None
            try:
                permit = await gate.admit(ADA)
                await asyncio.sleep(0.05)
            finally:
                if permit is not None:
                    permit.release(None)

        tasks = [asyncio.ensure_future(one()) for _ in range(20)]
        for wait_s, pause_s, which in moments:
            await asyncio.sleep(wait_s)
            if pause_s is not None:
                gate.pause(ADA, pause_s)
            tasks[which].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert gate.waiting == 0
        assert gate.places is not None
        assert gate.places.taken == 0
        assert [one.in_flight for one in gate.stats()] == [0]
        await asyncio.wait_for(gate.admit(ADA), 60)  # and it goes on

    run(storm())


# --- waiting, cancelled -----------------------------------------------------------------------


@virtually
async def test_what_was_let_go_and_did_not_go_gives_everything_back() -> None:
    """A ledger could not be written, say, or the caller was cancelled meanwhile."""
    gate = Admission(None, LoopClock(), places=FairSemaphore(1))
    gate.pause(ADA, 1)
    for _ in range(3):  # each is the probe after the pause, and has the only place
        assert gate.places is not None
        assert gate.places.taken == 0
        (await gate.admit(ADA)).cancel()
    assert now_s() == pytest.approx(1, abs=10 * TICK_S)
    (one,) = gate.stats()
    assert (one.sent, one.in_flight, one.places) == (0, 0, 1)


@virtually
async def test_waiting_counts_those_at_the_gate() -> None:
    gate = Admission(RateLimit(1, per_s=0.98), LoopClock())
    tasks = [asyncio.create_task(gate.admit(ADA)) for _ in range(4)]
    seen = []
    for _ in range(5):
        await asyncio.sleep(0.5)
        seen.append(gate.waiting)
        await asyncio.sleep(0.5)
    await asyncio.gather(*tasks)
    assert seen == [3, 2, 1, 0, 0]


@virtually
@pytest.mark.parametrize("paused", [True, False])
async def test_a_cancelled_waiter_leaves_no_trace(paused: bool) -> None:
    gate = Admission(RateLimit(1, per_s=9.9), LoopClock())
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
    assert now_s() == pytest.approx(10, abs=0.1)  # the place of the first, not one behind


async def test_who_is_dismissed_or_next_and_cancelled_in_one_moment() -> None:
    line = FairLock()
    assert line.try_acquire()
    first, second = (asyncio.create_task(line.acquire()) for _ in range(2))
    await asyncio.sleep(0)
    line.release()
    first.cancel()  # its turn had come already; it goes to the second
    await second
    third = asyncio.create_task(line.acquire(5))
    await asyncio.sleep(0)
    line.reject_waiters(6, lambda: ValueError("later"))
    third.cancel()
    with pytest.raises(asyncio.CancelledError):
        await third
    line.release()
    assert line.try_acquire()
    assert len(line) == 0


async def test_only_the_impatient_are_dismissed() -> None:
    line = FairLock()
    assert line.try_acquire()
    waits = [asyncio.create_task(line.acquire(patience_s)) for patience_s in (1, 5, math.inf)]
    await asyncio.sleep(0)
    line.reject_waiters(5, lambda: ValueError("later"))
    with pytest.raises(ValueError, match="later"):
        await waits[0]
    for one in waits[1:]:
        line.release()
        await one

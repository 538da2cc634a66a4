"""The clock: runs with the loop, moves by hand, goes wrong on purpose."""

from __future__ import annotations

import asyncio
import gc
import time

import pytest

from kling_async.emulator import Emulator, EmulatorClock
from kling_async.emulator.clock import http_date, iso_date


async def test_it_follows_real_time_by_itself():
    clock = EmulatorClock()
    before_ms, before_s = clock.now_ms(), clock.monotonic()
    await asyncio.sleep(0.01)
    assert clock.now_ms() - before_ms >= 9
    assert 0.009 <= clock.monotonic() - before_s < 1
    assert abs(clock.now_ms() - time.time() * 1000) < 1000


async def test_advance_wakes_those_who_are_due():
    clock = EmulatorClock()
    woken: list[float] = []

    async def sleeper(delay_s: float) -> None:
        await clock.sleep(delay_s)
        woken.append(delay_s)

    tasks = [asyncio.create_task(sleeper(delay_s)) for delay_s in (30, 10, 20)]
    await asyncio.sleep(0)
    clock.advance(9)
    await asyncio.sleep(0.002)
    assert woken == []
    clock.advance(11)
    await asyncio.sleep(0.002)
    assert sorted(woken) == [10, 20]
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    assert woken == [10, 20] or woken == [20, 10]


async def test_advance_moves_both_readings():
    clock = EmulatorClock(start_ms=1_000_000)
    clock.advance(90)
    assert 90 <= clock.monotonic() < 91
    assert 1_090_000 <= clock.now_ms() < 1_091_000
    with pytest.raises(ValueError, match="0 seconds or more"):
        clock.advance(-1)


async def test_skew_moves_the_wall_alone():
    clock = EmulatorClock(start_ms=1_000_000, skew_s=-600)
    assert 400_000 <= clock.now_ms() < 401_000
    assert clock.monotonic() < 1
    clock.skew_s = 600
    assert 1_600_000 <= clock.now_ms() < 1_601_000


async def test_a_short_sleep_is_really_slept():
    clock = EmulatorClock()
    started_s = time.monotonic()
    await clock.sleep(0.01)
    assert time.monotonic() - started_s >= 0.009
    await clock.sleep(0)
    await clock.sleep(-1)


@pytest.mark.looptime
async def test_a_virtual_loop_makes_it_virtual():
    real_s = time.monotonic()
    clock = EmulatorClock(start_ms=0)
    await clock.sleep(3600)
    assert 3600 <= clock.monotonic() < 3601
    await asyncio.sleep(1800)
    assert 5400 <= clock.monotonic() < 5401
    assert 5_400_000 <= clock.now_ms() < 5_401_000
    assert time.monotonic() - real_s < 5


def test_it_runs_on_from_loop_to_loop_and_without_one():
    clock = EmulatorClock()
    readings = [clock.monotonic()]

    async def read() -> None:
        readings.append(clock.monotonic())
        await clock.sleep(0.002)
        readings.append(clock.monotonic())

    asyncio.run(read())
    time.sleep(0.005)
    between_s = clock.monotonic()
    readings.append(between_s)
    asyncio.run(read())
    assert readings == sorted(readings)
    assert between_s - readings[2] >= 0.004  # the time without a loop has passed as well
    assert readings[-1] - readings[0] < 2


ROUNDING_S = 1e-6


class StrangeLoop(asyncio.SelectorEventLoop):
    """Counts from a zero of its own."""

    zero_s = 0.0

    def time(self) -> float:
        return super().time() - self.zero_s


@pytest.mark.parametrize("offset_s", [-1e6, 1e6])
def test_loops_that_count_from_elsewhere_make_no_jump(offset_s):
    began_s, clock = time.monotonic(), EmulatorClock()
    for _ in range(2):
        loop = StrangeLoop()
        loop.zero_s = offset_s
        try:
            loop.run_until_complete(clock.sleep(0.001))
        finally:
            loop.close()
        del loop
        gc.collect()
        real_s, before_s = time.monotonic(), clock.monotonic()
        time.sleep(0.003)
        assert 0.002 < clock.monotonic() - before_s <= time.monotonic() - real_s + ROUNDING_S
    assert clock.monotonic() <= time.monotonic() - began_s + ROUNDING_S


def test_two_loops_in_a_row_with_zeros_of_their_own():
    clock = EmulatorClock()
    loops = [StrangeLoop(), StrangeLoop()]
    loops[0].zero_s = 1e6
    for loop in loops:
        loop.run_until_complete(clock.sleep(0.001))
    for loop in loops:
        loop.close()
    assert 0.002 <= clock.monotonic() < 1


def test_advance_forgets_sleepers_of_a_closed_loop():
    clock = EmulatorClock()
    loop = asyncio.new_event_loop()
    sleeper = loop.create_task(clock.sleep(100))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    clock.advance(200)
    with pytest.raises(RuntimeError):  # noqa: PT012 - the task dies with its loop
        sleeper.cancel()
        raise RuntimeError


async def test_an_emulator_is_bound_to_no_loop(in_process):
    emulator = Emulator(latency_s=0.001)

    async def ask() -> int:
        async with in_process(emulator) as client:
            return (await client.get("/avatars")).status_code

    statuses = [await asyncio.to_thread(asyncio.run, ask()) for _ in range(2)]
    assert statuses == [200, 200]


def test_dates():
    assert http_date(0) == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert http_date(1_784_021_400_999) == "Tue, 14 Jul 2026 09:30:00 GMT"
    assert iso_date(1_784_021_400_250) == "2026-07-14T09:30:00.250Z"
    assert iso_date(1_784_021_400_007) == "2026-07-14T09:30:00.007Z"

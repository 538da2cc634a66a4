"""When may an account be asked again after a 429? Its pause, the probe after it, and the places."""

from __future__ import annotations

import asyncio

import pytest

from kling_async import RateLimitedError
from kling_async._limits.throttle import Throttle
from kling_async.clock import LoopClock

pytestmark = pytest.mark.looptime(resolution=1e-9)


@pytest.fixture
def throttle() -> Throttle:
    return Throttle(LoopClock())


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def places_at(throttle: Throttle, *, longest_s: float = 900, count: int) -> list[float]:
    """When each of so many callers got a place; they come one after the other, as in the line."""
    begun, found = now_s(), []
    for _ in range(count):
        await throttle.acquire(longest_s)
        found.append(round(now_s() - begun, 6))
    return found


async def test_nothing_is_counted_where_nothing_was_refused(throttle: Throttle) -> None:
    assert (throttle.sent, throttle.refused, throttle.waiting, throttle.in_flight) == (0,) * 4
    assert (throttle.refusals_in_a_row, throttle.retry_budget) == (0, 100)
    assert (await throttle.acquire(0), throttle.places, throttle.paused_s()) == (0, None, 0)
    throttle.release(0, answered=True)
    assert (throttle.places, throttle.pause_number) == (None, 0)


async def test_after_a_pause_one_goes_and_another_where_nothing_is_heard(
    throttle: Throttle,
) -> None:
    throttle.pause(7)
    assert (throttle.places, throttle.pause_number, throttle.paused_s()) == (1, 1, 7)
    assert await places_at(throttle, count=3) == [7, 12, 17]
    assert throttle.places == 3


@pytest.mark.parametrize("seconds", [(7, 2), (2, 7), (0.5, 7, 0)])
async def test_pauses_are_joined_by_the_longest(
    throttle: Throttle, seconds: tuple[float, ...]
) -> None:
    for one in seconds:
        throttle.pause(one)
    assert (throttle.paused_s(), throttle.pause_number, throttle.places) == (7, len(seconds), 1)
    await asyncio.sleep(6.5)
    assert throttle.paused_s() == pytest.approx(0.5)
    assert await places_at(throttle, count=1) == [0.5]


async def test_a_longer_pause_than_the_caller_accepts(throttle: Throttle) -> None:
    throttle.pause(7)
    with pytest.raises(RateLimitedError) as caught:
        await throttle.acquire(6.9)
    assert (caught.value.status_code, caught.value.retry_after_s) == (429, 7)
    assert str(caught.value).startswith(
        "nothing was sent: the server asked this account to wait, for another 7 s, which is longer "
        "than retry_after_max_s allows"
    )
    assert await throttle.acquire(7) == 1


async def test_a_pause_rejects_those_in_the_line_who_have_less_patience(
    throttle: Throttle,
) -> None:
    assert throttle.line.try_acquire()
    patient, hasty = (asyncio.ensure_future(throttle.line.acquire(one)) for one in (7, 6.9))
    await asyncio.sleep(0)
    throttle.pause(7)
    with pytest.raises(RateLimitedError, match="for another 7 s"):
        await hasty
    throttle.line.release()
    await patient


async def test_each_answer_opens_one_place_more_until_all_may_go(throttle: Throttle) -> None:
    throttle.pause(1)
    number = await throttle.acquire(900)
    throttle.refusals_in_a_row = 3
    throttle.release(number, answered=False)
    assert (throttle.places, throttle.refusals_in_a_row) == (1, 3)
    for opened in range(2, 64):
        await throttle.acquire(900)
        throttle.release(number, answered=True)
        assert (throttle.places, throttle.refusals_in_a_row) == (opened, 0)
    assert await places_at(throttle, count=63) == [0] * 63
    throttle.release(number, answered=True)
    assert (throttle.places, throttle.paused_s()) == (None, 0)
    throttle.pause(0.5)
    assert throttle.paused_s() == 0.5


async def test_a_place_is_given_back_once(throttle: Throttle) -> None:
    throttle.pause(1)
    number = await throttle.acquire(900)
    throttle.release(number, answered=True)
    assert await places_at(throttle, count=2) == [0, 0]
    throttle.release(number, answered=False)
    assert throttle.paused_s() == 0  # not below
    await asyncio.sleep(3)
    assert throttle.paused_s() == 0
    assert await places_at(throttle, count=2) == [0, 5]


async def test_who_went_before_a_pause_does_not_count_after_it(throttle: Throttle) -> None:
    throttle.pause(1)
    before = await throttle.acquire(900)
    throttle.pause(1)
    throttle.release(before, answered=True)
    assert throttle.places == 1
    assert await places_at(throttle, count=2) == [1, 6]


@pytest.mark.parametrize("answered", [True, False])
async def test_a_place_that_is_given_back_is_taken_at_once(
    throttle: Throttle, answered: bool
) -> None:
    throttle.pause(1)
    number = await throttle.acquire(900)
    asyncio.get_running_loop().call_later(2, lambda: throttle.release(number, answered=answered))
    assert await places_at(throttle, count=1) == [2]


async def test_a_second_pause_wakes_who_waits_for_the_end_of_the_first(throttle: Throttle) -> None:
    throttle.pause(5)
    asyncio.get_running_loop().call_later(2, lambda: throttle.pause(7))
    with pytest.raises(RateLimitedError):
        await throttle.acquire(6)
    assert throttle.paused_s() == 7

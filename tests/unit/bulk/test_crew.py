"""Does a run have as many workers as the rate asks for, and no more? On virtual time."""

from __future__ import annotations

import asyncio

import pytest
from attrs import define
from virtual_time import now_s, run

from kling_async import RateLimit, RateLimitedError
from kling_async._limits.admission import Admission
from kling_async.bulk.task_group import FIRST, MOST_WITHOUT_RATE, Concurrency, Crew, Hold, TaskGroup
from kling_async.clock import LoopClock


@define
class Seen:
    """What a crew did."""

    per_s: float = 0.0
    most_in_flight: int = 0
    size: int = 0


def worked(
    jobs: int,
    answer_s: float,
    rate: RateLimit | None,
    concurrency: Concurrency = "auto",
    refused: range = range(0),
) -> Seen:
    """So many jobs of one request each, of which some are refused with 429 at first."""
    seen = Seen()

    async def all_of_them() -> None:
        admission, group = Admission(rate, LoopClock()), TaskGroup()
        in_flight, sent = 0, 0

        async def work(_: Hold) -> None:
            nonlocal in_flight, sent
            while await crew.next_job() is not None:
                while True:
                    permit = await admission.admit(None)
                    sent, number = sent + 1, sent
                    in_flight += 1
                    seen.most_in_flight = max(seen.most_in_flight, in_flight)
                    seen.size = crew.size
                    await asyncio.sleep(answer_s)
                    in_flight -= 1
                    if number not in refused:
                        permit.release(None)
                        break
                    error = RateLimitedError("too many", status_code=429)
                    error.retry_after_s = 1.0
                    permit.release(error)

        crew = Crew[int](concurrency, admission, group, work)
        for number in range(jobs):
            crew.put(number)
        crew.put(None)
        began_s = now_s()
        crew.begin()
        await group.rest()
        assert group.error is None
        crew.end()
        assert not admission.on_free
        seen.per_s = jobs / (now_s() - began_s)

    run(all_of_them())
    return seen


@pytest.mark.parametrize(
    ("rate", "answer_s", "least_per_s", "most"),
    [
        (RateLimit(10), 2.0, 9.0, 21),
        (RateLimit(10), 0.05, 9.0, 2),
        (RateLimit(50), 2.0, 45.0, 101),
        (RateLimit(100, 60), 30.0, 1.5, 51),
    ],
)
def test_the_rate_is_used_and_not_more_than_it_asks_for(
    rate: RateLimit, answer_s: float, least_per_s: float, most: int
) -> None:
    rate_per_s = rate.requests / rate.per_s
    seen = worked(round(rate_per_s * answer_s * 30 + 100), answer_s, rate)
    assert seen.per_s >= least_per_s
    assert seen.most_in_flight <= most


def test_a_number_is_kept() -> None:
    seen = worked(40, 2.0, RateLimit(10), concurrency=8)
    assert (seen.most_in_flight, seen.size) == (8, 8)
    assert seen.per_s < 5


def test_without_a_rate_it_is_bounded() -> None:
    assert worked(300, 1.0, None).most_in_flight == MOST_WITHOUT_RATE


def test_refusals_lower_it() -> None:
    quiet, refused = worked(200, 1.0, None), worked(200, 1.0, None, refused=range(100, 104))
    assert refused.size < quiet.size
    assert refused.size >= FIRST


@pytest.mark.parametrize("concurrency", [0, -1])
def test_none_is_refused(concurrency: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        worked(1, 1.0, None, concurrency)


def test_a_job_that_comes_behind_the_end_is_done() -> None:
    done: list[int] = []

    async def all_of_them() -> None:
        group = TaskGroup()

        async def work(_: Hold) -> None:
            while (job := await crew.next_job()) is not None:
                done.append(job)

        async def later() -> None:
            await asyncio.sleep(5)  # all workers have left
            crew.put(2)

        crew = Crew[int](2, Admission(None, LoopClock()), group, work)
        crew.put(1)
        crew.put(None)
        crew.begin()
        group.start(later())
        await group.rest()
        assert crew.size == 0

    run(all_of_them())
    assert done == [1, 2]

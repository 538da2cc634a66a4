"""Are there never more jobs than places, is every place given back, and is nobody overtaken?"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest
from virtual_time import now_s

from kling_async._limits.job_slots import VISIBLE_AFTER_S, JobSlots
from kling_async.clock import LoopClock
from kling_async.settings import JOB_LOOK_EVERY_S, JOB_TRACKED_S

pytestmark = pytest.mark.looptime(resolution=1e-9)
ADA, BEN = "ada@example.com", "ben@example.com"


@pytest.fixture
def jobs() -> JobSlots:
    return JobSlots(LoopClock())


async def test_no_more_run_than_there_are_places_in_order_of_arrival(jobs: JobSlots) -> None:
    order: list[int] = []

    async def one(n: int) -> None:
        place = await jobs.take(ADA, 3)
        order.append(n)
        assert jobs.running(ADA) <= 3
        jobs.started(place, n)
        await asyncio.sleep(10)
        jobs.finished([n, 999])  # ids of others do no harm

    await asyncio.gather(*(one(n) for n in range(10)))
    assert order == list(range(10))
    assert now_s() == pytest.approx(40)
    assert (jobs.running(ADA), jobs.waiting(ADA), jobs.by_id) == (0, 0, {})


async def test_accounts_do_not_share_places(jobs: JobSlots) -> None:
    await jobs.take(ADA, 1)
    await jobs.take(BEN, 1)
    assert now_s() == 0


async def test_a_place_is_given_back_once(jobs: JobSlots) -> None:
    place, other = await jobs.take(ADA, 2), await jobs.take(ADA, 2)
    jobs.give_back(place)
    jobs.give_back(place)
    jobs.give_back(None)
    jobs.started(place, 7)  # too late: it is not held any more
    assert jobs.running(ADA) == 1
    assert not jobs.by_id
    jobs.give_back(other)
    assert jobs.running(ADA) == 0


async def test_who_is_cancelled_leaves_no_gap(jobs: JobSlots) -> None:
    place = await jobs.take(ADA, 1)
    waiting = [asyncio.create_task(jobs.take(ADA, 1)) for _ in range(3)]
    await asyncio.sleep(1)
    assert jobs.waiting(ADA) == 3
    waiting[0].cancel()
    await asyncio.sleep(1)
    jobs.give_back(place)
    second = await waiting[1]
    assert now_s() == pytest.approx(2)
    jobs.give_back(second)
    await waiting[2]
    assert jobs.running(ADA) == 1


async def test_what_nobody_saw_the_end_of_is_forgotten_after_an_hour(jobs: JobSlots) -> None:
    await jobs.take(ADA, 1)  # its answer was lost: no id
    await asyncio.sleep(60)
    await jobs.take(ADA, 1)
    assert JOB_TRACKED_S <= now_s() <= JOB_TRACKED_S + JOB_LOOK_EVERY_S


async def test_who_waits_looks_at_what_runs(jobs: JobSlots) -> None:
    """Another program watches these jobs; their end is never seen here."""
    running = {1, 2}
    looks: list[float] = []

    async def look() -> Collection[int] | None:
        looks.append(now_s())
        return None if len(looks) == 1 else running

    for n in (1, 2):
        jobs.started(await jobs.take(ADA, 2), n)
    waiting = asyncio.create_task(jobs.take(ADA, 2, look))
    await asyncio.sleep(100)
    assert not waiting.done()
    running.discard(1)
    await waiting
    assert now_s() <= 100 + JOB_LOOK_EVERY_S
    assert len(looks) <= 9
    assert jobs.running(ADA) == 2


async def test_a_job_that_began_just_now_may_be_missing(jobs: JobSlots) -> None:
    jobs.started(await jobs.take(ADA, 1), 1)
    jobs.missing(1)
    assert jobs.running(ADA) == 1
    await asyncio.sleep(VISIBLE_AFTER_S + 1)
    jobs.missing(2)
    assert jobs.running(ADA) == 1
    jobs.missing(1)
    assert jobs.running(ADA) == 0


async def test_lost_answers_keep_their_places_while_strange_jobs_run(jobs: JobSlots) -> None:
    await jobs.take(ADA, 2)
    await jobs.take(ADA, 2)
    running = [77]  # not known by its id here: one of the two may be it

    async def look() -> Collection[int]:
        return running

    await jobs.take(ADA, 2, look)
    assert now_s() <= 2 * JOB_LOOK_EVERY_S
    assert jobs.running(ADA) == 2

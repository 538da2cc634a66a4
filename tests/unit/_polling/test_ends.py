"""Are the ends of jobs seen soon by looks at the scheduler, and by the usual reads without it?

On virtual time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from task_server import PLAIN, Answer, Server, done_at, error, settle, submitted, tasks_left

from kling_async import AsyncKlingClient, Task
from kling_async._polling.durations import Durations
from kling_async._polling.ends import LEAST_S

pytestmark = pytest.mark.looptime(resolution=1e-9)


@pytest.fixture
async def kling(connect: Any) -> AsyncKlingClient:
    client: AsyncKlingClient = await connect()
    return client


def scheduler(ends_s: Mapping[int, float], *, began_s: float = 0) -> Callable[[float], Answer]:
    """Lists each job until its end, as the server does; all began at the same time."""

    def listed(now_s: float) -> Answer:
        minutes, seconds = divmod(int(now_s - began_s), 60)
        elapsed = f"{minutes:02d}:{seconds:02d}"
        running = [{"id": one, "elapsed": elapsed} for one, end in ends_s.items() if now_s < end]
        return Answer(200, json=running)

    return listed


def run_jobs(server: Server, ends_s: Mapping[int, float]) -> None:
    server.tracked = scheduler(ends_s, began_s=server.now_s)
    for task_id, end_s in ends_s.items():
        server.tasks[task_id] = done_at(task_id, end_s)


async def follow(kling: AsyncKlingClient, given: Task, email: str | None = None) -> float:
    """When the job was seen to be over."""
    waiting, options = kling._later.waiting, kling._options
    states = waiting.watch(
        given.id, given, options, email=email, poll=PLAIN, deadline_s=None, begun=True, follow=True
    )
    await waiting.wait(states)
    return asyncio.get_running_loop().time()


async def test_few_looks_serve_the_jobs_of_all_accounts(
    kling: AsyncKlingClient, server: Server
) -> None:
    ends_s = {n: 30.0 + n for n in range(1, 25)}
    run_jobs(server, ends_s)
    waits = (follow(kling, submitted(n), f"user{n % 3}@x.y") for n in ends_s)
    seen_s = await asyncio.gather(*waits)
    late_s = [at - end_s for at, end_s in zip(seen_s, ends_s.values(), strict=True)]
    # The first end is expected by nothing but the jobs' age; after it the others are.
    assert max(late_s[:3]) <= 0.2 * 31
    assert max(late_s[3:]) <= 3 * LEAST_S
    assert len(server.scheduler_looks) + len(server.looks) <= 4 * len(ends_s)
    await settle()
    assert not [one for one in tasks_left() if "_look_while_any" in one]


async def test_what_was_learned_is_used_for_the_next_job(
    kling: AsyncKlingClient, server: Server
) -> None:
    for task_id in range(1, 6):
        began_s, server.scheduler_looks = server.now_s, []
        end_s = began_s + 100
        run_jobs(server, {task_id: end_s})
        of_kling = {"createTime": 1_000, "updateTime": 101_000}  # how long it took, by its record
        server.tasks[task_id] = done_at(task_id, end_s, **of_kling)
        late_s = await follow(kling, submitted(task_id)) - end_s
    assert late_s < 5
    # Before 80 s nothing is expected: what is looked at is an age that nobody has seen yet.
    assert sum(at < end_s - 20 for at in server.scheduler_looks) <= 12


async def test_the_age_of_a_job_is_the_servers_word(
    kling: AsyncKlingClient, server: Server
) -> None:
    """A run that resumes meets jobs that are old already: they are not looked at like new ones."""
    run_jobs(server, {1: 60.0})
    server.tracked = scheduler({1: 60.0}, began_s=-300)
    await follow(kling, submitted(1))
    assert len(server.scheduler_looks) <= 8


@pytest.mark.parametrize("tracked", [
    lambda _: error(500), lambda _: Answer(200, json=[]), lambda _: Answer(200, json={}),
])  # fmt: skip
async def test_without_the_scheduler_jobs_are_read_as_ever(
    kling: AsyncKlingClient, server: Server, tracked: Any
) -> None:
    server.tasks[1] = done_at(1, 30)
    server.tracked = tracked
    await follow(kling, submitted(1))
    assert server.at(1) == [2, 5, 10, 18, 28, 43]


async def test_a_job_that_is_listed_after_its_end_is_seen_all_the_same(
    kling: AsyncKlingClient, server: Server
) -> None:
    server.tasks[1] = done_at(1, 20)
    server.tracked = scheduler({1: 3600.0})
    assert await follow(kling, submitted(1)) == 28  # every fifth look is a read


async def test_one_that_is_not_listed_while_it_runs_is_read_on(
    kling: AsyncKlingClient, server: Server
) -> None:
    server.tasks[1] = done_at(1, 40)
    server.tracked = lambda now_s: scheduler({1: 5.0 if now_s < 20 else 0.0})(now_s)
    assert await follow(kling, submitted(1)) <= 43
    assert len(server.at(1)) <= 7


async def test_who_wants_each_state_has_the_task_read(
    kling: AsyncKlingClient, server: Server
) -> None:
    run_jobs(server, {1: 20.0})
    following = asyncio.create_task(follow(kling, submitted(1)))
    watched = [one async for one in kling.tasks.watch(submitted(1), poll=PLAIN)]
    assert [one.status_name for one in watched] == ["processing", "succeed"]
    assert server.at(1)[:3] == [2, 5, 10]
    await following


async def test_closing_ends_the_looks(kling: AsyncKlingClient, server: Server) -> None:
    run_jobs(server, {1: 1000.0})
    following = asyncio.create_task(follow(kling, submitted(1)))
    await asyncio.sleep(10)
    await kling.aclose()
    await asyncio.gather(following, return_exceptions=True)
    looks = len(server.scheduler_looks)
    await asyncio.sleep(100)
    assert len(server.scheduler_looks) == looks
    assert not tasks_left()


class TestDurations:
    def test_a_job_ends_when_its_likes_did(self) -> None:
        durations = Durations()
        for _ in range(20):
            durations.learn("a", 100)

        def chance(age_s: float, within_s: float, kind: str | None = "a") -> float:
            return durations.chances([(kind, age_s)], within_s, enough=9).total

        assert chance(10, 10) < 0.05
        assert 0.4 < chance(60, 40) < 0.6
        assert chance(60, 70) > 0.9
        assert chance(60, 40, "unknown") == chance(60, 40)  # by what all jobs take
        durations.learn("b", 10)
        assert chance(5, 10, "b") > 0.5 > chance(5, 10)

    def test_many_are_counted_together_and_guesses_are_not(self) -> None:
        durations = Durations()
        new = durations.chances([("a", 10)] * 50, 2, enough=9)
        assert new == durations.chances([("a", 10)], 2, enough=9)
        durations.learn("a", 12)
        assert durations.chances([("a", 10)] * 50, 2, enough=99).learned > 10

    def test_only_the_newest_count(self) -> None:
        durations = Durations()
        for took_s in [10] * 40 + [100] * 40:
            durations.learn("a", took_s)
        assert durations.chances([("a", 0)], 50, enough=9).learned == 0

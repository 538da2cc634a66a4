"""Is a history read to its end, each task once, whatever the server does with its pages?"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import httpx
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from kling_async import AsyncKlingClient, ListTasks, RateLimit, Task, UnexpectedResponseError
from kling_async._polling.history import pages
from kling_async.emulator import EmulatedAccount, Emulator
from kling_async.models.history import made_ms, next_page


def task(task_id: int, at_ms: int | None, *, works_only: bool = False) -> Task:
    if works_only:
        works = [{"workId": task_id, "taskId": task_id, "createTime": at_ms}]
        return Task.from_api({"works": works})
    return Task.from_api({"id": task_id, "createTime": at_ms})


class History:
    """A server's: pages of so many, in or out of order, the bound included or not."""

    def __init__(
        self, tasks: list[Task], size: int, *, inclusive: bool = False, shuffled: bool = False
    ) -> None:
        self.tasks = tasks
        self.size = size
        self.inclusive = inclusive
        self.shuffled = shuffled
        self.asked: list[int | None] = []

    async def ask(self, listing: ListTasks) -> list[Task]:
        before_ms = listing.created_before_ms
        self.asked.append(before_ms)
        assert len(self.asked) < 3 * len(self.tasks) + 9, "it does not end"
        bound = 10**15 if before_ms is None else before_ms + self.inclusive
        older = [one for one in self.tasks if (made_ms(one) or 0) < bound]
        page = sorted(older, key=lambda one: made_ms(one) or 0, reverse=True)[: self.size]
        if self.shuffled:
            random.Random(len(self.asked)).shuffle(page)
        return page


async def ids(history: History) -> list[int]:
    async with aclosing(pages(history.ask, ListTasks())) as found:
        return [one.id async for page in found for one in page]


@given(
    times=st.lists(st.integers(1, 60), max_size=60),
    size=st.integers(1, 20),
    inclusive=st.booleans(),
    shuffled=st.booleans(),
    works_only=st.booleans(),
)
async def test_each_task_once(
    times: list[int], size: int, inclusive: bool, shuffled: bool, works_only: bool
) -> None:
    # As many as fit on a page may share a millisecond; more can't be told apart by time.
    size = max([size, *Counter(times).values()])
    tasks = [task(100 + number, at, works_only=works_only) for number, at in enumerate(times)]
    history = History(tasks, size, inclusive=inclusive, shuffled=shuffled)
    found = await ids(history)
    assert sorted(found) == sorted(one.id for one in tasks)
    made = {one.id: made_ms(one) or 0 for one in tasks}
    assert [made[one] for one in found] == sorted(made.values(), reverse=True)


async def test_few_requests() -> None:
    history = History([task(one, one * 1000) for one in range(1, 101)], 10)
    assert len(await ids(history)) == 100
    assert len(history.asked) <= 13


async def test_back_to_a_moment_and_no_further() -> None:
    history = History([task(one, one * 1000) for one in range(1, 101)], 10)
    async with aclosing(pages(history.ask, ListTasks(), since_ms=85_500)) as found:
        shown = [one.id async for page in found for one in page]
    assert set(range(86, 101)) <= set(shown)
    assert len(history.asked) == 2


def test_the_next_page_keeps_what_was_asked() -> None:
    first = ListTasks(email="a@x.y", content_type="video", page_size=2)
    second = next_page(first, [task(2, 70), task(1, 50)])
    assert second == evolve(first, created_before_ms=51)
    assert next_page(second, [task(1, 50)]) == evolve(first, created_before_ms=50)
    assert next_page(first, [task(1, 50)], since_ms=51) is None
    assert next_page(first, [task(1, 50)], since_ms=50.5) is not None
    assert next_page(first, [task(1, None)]) is next_page(first, []) is None


async def test_a_millisecond_with_more_than_a_page_does_not_stop_it() -> None:
    history = History([task(one, 5) for one in range(1, 9)] + [task(9, 4), task(10, 3)], 4)
    assert {9, 10} <= set(await ids(history))


async def test_tasks_without_a_time() -> None:
    assert await ids(History([task(1, None)], 5)) == [1]
    assert await ids(History([task(1, None), task(2, 7)], 5)) == [2, 1]
    assert await ids(History([], 5)) == []


async def test_a_server_that_goes_round() -> None:
    asked = 0

    async def always(_: ListTasks) -> list[Task]:
        nonlocal asked
        asked += 1
        return [task(1, 50), task(2, 40)]

    with pytest.raises(UnexpectedResponseError, match="does not go on"):
        async with aclosing(pages(always, ListTasks())) as found:
            assert [[one.id for one in page] async for page in found] == [[1, 2]]
    assert asked <= 5


# --- the method -------------------------------------------------------------------------------

BODY = {"imageUrl": "https://x.y/a.png", "audioUrl": "https://x.y/a.mp3", "maxJobs": 50}


@pytest.mark.parametrize("options", [
    {}, {"history_shuffled": True}, {"history_inclusive": True}, {"history_works_only": True},
])  # fmt: skip
async def test_against_the_emulator(
    open_client: Callable[..., Awaitable[AsyncKlingClient]], options: dict[str, Any]
) -> None:
    emulator = Emulator([EmulatedAccount("a@x.y", max_jobs=50)], job_s=1, **options)
    headers = {"authorization": "Bearer user:1-a"}
    async with httpx.AsyncClient(transport=emulator.transport(), headers=headers) as plain:
        for number in range(35):
            reply = await plain.post("http://x/v1/kling/avatars/video", json=BODY)
            assert reply.status_code == 200
            emulator.clock.advance(60 if number % 3 else 0)
    emulator.clock.advance(60)
    kling = await open_client(transport=emulator.transport(), rate_limit=RateLimit(1000))
    everything = [one.id for one in emulator.tasks]
    found = [one async for one in kling.tasks.iter(page_size=7)]
    assert sorted(one.id for one in found) == sorted(everything)
    middle = sorted(made_ms(one) or 0 for one in found)[17]
    after = [made_ms(one) or 0 async for one in kling.tasks.iter(created_after_ms=middle)]
    before = [made_ms(one) or 0 async for one in kling.tasks.iter(created_before_ms=middle)]
    assert min(after) > middle > max(before)
    equal = sum(made_ms(one) == middle for one in found)
    assert len(after) + len(before) + equal == 35
    both = kling.tasks.iter(created_after_ms=middle, created_before_ms=max(after))
    assert [made_ms(one) async for one in both] == [at for at in after if at < max(after)]
    assert [one async for one in kling.tasks.iter(content_type="audio")] == []


async def test_a_loop_left_early_asks_no_further(
    kling: AsyncKlingClient, emulator: Emulator
) -> None:
    headers = {"authorization": "Bearer user:1-a"}
    async with httpx.AsyncClient(transport=emulator.transport(), headers=headers) as plain:
        for _ in range(5):
            await plain.post("http://x/v1/kling/avatars/video", json=BODY)
            emulator.clock.advance(1)
    async for one in kling.tasks.iter(page_size=2):
        assert one.id
        break
    assert emulator.counts["tasks.list"] == 1

"""Does a hint make a look earlier, and never later? On virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from task_server import PLAIN, Answer, Server, done_at, record, submitted

from kling_async import AsyncKlingClient, PollSchedule

pytestmark = pytest.mark.looptime(resolution=1e-9)


@pytest.fixture
async def kling(connect: Any) -> AsyncKlingClient:
    client: AsyncKlingClient = await connect()
    return client


async def test_a_hint_looks_at_once(kling: AsyncKlingClient, server: Server) -> None:
    server.tasks[1] = done_at(1, 33)
    waiting = asyncio.create_task(kling.tasks.wait(1, poll=PLAIN))
    await asyncio.sleep(33.5)
    assert not kling.tasks.hint(2)
    assert kling.tasks.hint(1)
    assert kling.with_options(deadline_s=1).tasks.hint(1)  # a view of the same
    await waiting
    assert server.at(1) == [0, 2, 5, 10, 18, 28, 33.5]
    assert not kling.tasks.hint(1)


async def test_a_hint_while_it_is_read_reads_again(kling: AsyncKlingClient, server: Server) -> None:
    server.tasks[1] = done_at(1, 0.5)
    server.took_s = 1.0
    waiting = asyncio.create_task(kling.tasks.wait(1, poll=PLAIN))
    await asyncio.sleep(0.7)  # what is being read is older than this
    for _ in range(5):
        assert kling.tasks.hint(1)
    await waiting
    assert server.at(1) == [0, 1]


async def test_a_thousand_hints_leave_no_plans_behind(
    kling: AsyncKlingClient, server: Server
) -> None:
    server.tasks[1] = done_at(1, 1500)
    rarely = PollSchedule(waits_s=(3600,), jitter=0)
    wait = asyncio.create_task(kling.tasks.wait(submitted(1), poll=rarely))
    others = []  # one of their plans is always the next one, so the old are not passed by
    for task_id in (2, 3, 4):
        server.tasks[task_id] = done_at(task_id, 1500)
        others.append(asyncio.create_task(kling.tasks.wait(submitted(task_id), poll=PLAIN)))
        await asyncio.sleep(7)
    for _ in range(1000):
        await asyncio.sleep(1)
        kling.tasks.hint(1)
    (poller,) = kling._later.waiting._pollers.values()
    assert len(server.at(1)) == 999
    assert len(poller._due) < 150
    await asyncio.sleep(1000)
    kling.tasks.hint(1)
    assert (await wait).succeeded
    assert all(one.succeeded for one in await asyncio.gather(*others))


async def test_hints_change_no_schedule(kling: AsyncKlingClient, server: Server) -> None:
    server.tasks[1] = done_at(1, 100)
    waiting = asyncio.create_task(kling.tasks.wait(submitted(1), poll=PLAIN))
    await asyncio.sleep(1)
    kling.tasks.hint(1)
    await waiting
    assert server.at(1)[:5] == [1, 2, 5, 10, 18]


async def called_back(kling: AsyncKlingClient, until_s: int) -> None:
    """A callback each second, the last one at `until_s`."""
    for _ in range(until_s):
        await asyncio.sleep(1)
        kling.tasks.hint(1)


async def test_callbacks_do_not_put_the_next_look_off(
    kling: AsyncKlingClient, server: Server
) -> None:
    server.tasks[1] = done_at(1, 6)
    calls = asyncio.create_task(called_back(kling, 5))  # the one that tells the end never comes
    await kling.tasks.wait(submitted(1), poll=PLAIN)
    assert server.at(1) == [1, 2, 3, 4, 5, 10]
    await calls


async def test_the_end_is_seen_at_its_callback(kling: AsyncKlingClient, server: Server) -> None:
    server.tasks[1] = done_at(1, 6)
    calls = asyncio.create_task(called_back(kling, 20))
    await kling.tasks.wait(submitted(1), poll=PLAIN)
    assert server.now_s == 6
    calls.cancel()


async def test_a_hint_is_not_left_to_the_history(kling: AsyncKlingClient, server: Server) -> None:
    """It says that a task moved on; a history that lags says that it did not."""
    stale = [record(one) for one in range(1, 11)]
    server.listed = lambda _: Answer(200, json={"history": stale})
    for task_id in range(1, 11):
        server.tasks[task_id] = done_at(task_id, 6)
    waits = [
        asyncio.create_task(kling.tasks.wait(submitted(one), poll=PLAIN)) for one in range(1, 11)
    ]
    await asyncio.sleep(7)
    for task_id in range(1, 11):
        assert kling.tasks.hint(task_id)
    await asyncio.gather(*waits)
    assert server.now_s == 7
    assert len(server.looks) == 20


async def test_a_hint_while_the_history_is_read_is_not_lost(
    kling: AsyncKlingClient, server: Server
) -> None:
    stale = [record(one) for one in range(1, 5)]

    def listed(now_s: float) -> Answer:
        kling.tasks.hint(1)
        return Answer(200, json={"history": stale})

    for task_id in range(1, 5):
        server.tasks[task_id] = done_at(task_id, 100 if task_id > 1 else 10)
    waits = [
        asyncio.create_task(kling.tasks.wait(submitted(one), poll=PLAIN)) for one in range(1, 5)
    ]
    await asyncio.sleep(9)
    server.listed = listed
    assert (await waits[0]).succeeded
    assert server.now_s < 14  # else it would be left to the look at 22 s
    for wait in waits[1:]:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)

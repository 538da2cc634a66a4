"""Is a job waited for patiently, cheaply, and to the right end? On virtual time."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from itertools import pairwise
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from task_server import (
    PLAIN,
    Answer,
    Server,
    State,
    done_at,
    error,
    record,
    settle,
    submitted,
    tasks_left,
)

from kling_async import (
    AccountBrokenError,
    AccountRequiredError,
    AsyncKlingClient,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ContentModeratedError,
    DeadlineExceededError,
    GoneError,
    InvalidRequestError,
    KlingError,
    PollSchedule,
    RunningTask,
    Task,
    TaskFailedError,
    TaskModeratedError,
    settings,
)
from kling_async._polling.watched import WatchedTask, needs_read
from kling_async.aio import time_limit
from kling_async.clock import LoopClock

pytestmark = pytest.mark.looptime(resolution=1e-9)


@pytest.fixture
async def kling(connect: Any) -> AsyncKlingClient:
    client: AsyncKlingClient = await connect()
    return client


# --- to the end -------------------------------------------------------------------------------


async def test_eager_first_then_patient(kling: AsyncKlingClient, server: Server) -> None:
    server.tasks[1] = done_at(1, 100)
    task = await kling.tasks.wait(submitted(1), poll=PLAIN)
    assert (task.succeeded, task.works[0].work_id) == (True, 10)
    assert server.at(1) == [2, 5, 10, 18, 28, 43, 63, 83, 103]
    assert server.lists == []
    await settle()
    assert tasks_left() == set()


async def test_an_id_is_looked_at_at_once(kling: AsyncKlingClient, server: Server) -> None:
    server.tasks[1] = done_at(1, 4)
    for given_as in (1, "1", RunningTask(id=1, email=None)):
        await kling.tasks.wait(given_as, poll=PLAIN)
    assert server.at(1) == [0, 2, 5, 5, 5]


async def test_what_was_final_once_is_read_again(kling: AsyncKlingClient, server: Server) -> None:
    # It may come from a callback that anybody could have sent.
    server.tasks[1] = done_at(1, 10)
    given_as = Task.from_api(record(1, "succeed"))
    task = await kling.tasks.wait(given_as, poll=PLAIN)
    assert (task.meta.attempts, server.at(1)) == (1, [0, 2, 5, 10])


@pytest.mark.parametrize("state", [
    {"status": 12, "status_name": "dreaming", "status_final": False},
    {"status": 99, "status_name": "succeed", "status_final": False},
    {"status": 50, "status_name": None, "status_final": None},
    {"status_name": "paused", "status_final": None},
])  # fmt: skip
async def test_unknown_states_are_waited_through(
    kling: AsyncKlingClient, server: Server, state: dict[str, Any]
) -> None:
    def one(now_s: float) -> Answer:
        return Answer(200, json=record(1, "succeed") if now_s > 30 else {**record(1), **state})

    server.tasks[1] = one
    assert (await kling.tasks.wait(1)).succeeded


async def test_99_counts_where_the_flag_is_missing(kling: AsyncKlingClient, server: Server) -> None:
    server.tasks[1] = lambda _: Answer(200, json={"task": {"id": 1}, "status": 99})
    assert (await kling.tasks.wait(1)).succeeded


@pytest.mark.parametrize(("more", "kind", "words"), [
    ({"error": "face not found"}, TaskFailedError, "ended as failed: face not found"),
    ({"message": "busy"}, TaskFailedError, "busy"),
    ({}, TaskFailedError, "no reason"),
    ({"error": "violates community guidelines"}, TaskModeratedError, "change it"),
    ({"error": "refused", "message": "busy (CM_EXT.POther)"}, TaskModeratedError, "refused"),
])  # fmt: skip
async def test_a_failed_job_says_why(
    kling: AsyncKlingClient, server: Server, more: dict[str, Any], kind: type, words: str
) -> None:
    server.tasks[1] = done_at(1, 3, "failed", **more)
    with pytest.raises(TaskFailedError) as caught:
        await kling.tasks.wait(1)
    assert type(caught.value) is kind
    assert words in str(caught.value)
    assert caught.value.task.failed
    assert "GET /tasks/{task_id}" in str(caught.value)


async def test_a_final_state_of_another_name_is_a_failure(
    kling: AsyncKlingClient, server: Server
) -> None:
    server.tasks[1] = lambda _: Answer(200, json=record(1, "deleted", status_final=True))
    with pytest.raises(TaskFailedError, match="ended as deleted"):
        await kling.tasks.wait(1)


# --- trouble ----------------------------------------------------------------------------------


def lost(_: float) -> Answer:
    raise httpx.ReadError("gone")


def unreachable(_: float) -> Answer:
    raise httpx.ConnectError("closed")


@pytest.mark.parametrize("trouble", [
    lost, unreachable, lambda _: error(500), lambda _: error(502), lambda _: error(429),
    lambda _: Answer(503, headers={"retry-after": "40"}), lambda _: error(408),
    lambda _: error(418), lambda _: Answer(200, text="<html>"), lambda _: Answer(200, json=[]),
    lambda _: Answer(429, headers={"retry-after": "100000"}) , lambda _: Answer(307),
])  # fmt: skip
async def test_trouble_does_not_end_it(
    kling: AsyncKlingClient, server: Server, trouble: State
) -> None:
    well = done_at(1, 60)
    server.tasks[1] = lambda now_s: trouble(now_s) if 4 < now_s < 45 else well(now_s)
    task = await kling.tasks.wait(submitted(1), deadline_s=None)
    assert task.succeeded
    assert len(server.looks) < 12  # and no attempts besides


@pytest.mark.parametrize(("status", "kind", "text"), [
    (401, AuthenticationError, "no"), (402, KlingError, "no"), (403, KlingError, "no"),
    (596, AccountBrokenError, "no"), (400, BadRequestError, "no"), (410, GoneError, "no"),
    (500, ContentModeratedError, "CM_EXT.POther"), (422, ContentModeratedError, "no"),
])  # fmt: skip
async def test_what_waiting_can_not_mend(
    kling: AsyncKlingClient, server: Server, status: int, kind: type, text: str
) -> None:
    server.tasks[1] = lambda now_s: error(status, text) if now_s > 4 else done_at(1, 99)(now_s)
    with pytest.raises(kind):
        await kling.tasks.wait(1)
    assert server.now_s < 20


async def test_a_look_that_hangs_is_given_up(kling: AsyncKlingClient, server: Server) -> None:
    async def first_hangs(request: httpx.Request) -> Answer:
        if len(server.looks) == 0:
            server.took_s = 10_000
        else:
            server.took_s = 0
        return await server(request)

    kling._wire._client._transport.handler = first_hangs  # type: ignore[union-attr, attr-defined]
    server.tasks[1] = done_at(1, 5)
    task = await kling.tasks.wait(1, poll=PLAIN)
    assert task.succeeded
    assert server.at(1) == [0, 32]
    kling._pipeline.leave()  # and wait for no answer when closing


async def test_what_is_not_ours_comes_through(connect: Any, server: Server) -> None:
    class Broken:
        async def acquire(self, account: str | None) -> None:
            raise RuntimeError("my limiter is broken")

    kling = await connect(rate_limit=Broken())
    server.tasks[1] = done_at(1, 5)
    with pytest.raises(RuntimeError, match="my limiter"):
        await kling.tasks.wait(1)


async def test_a_clock_that_fails_leaves_nobody_waiting(connect: Any, server: Server) -> None:
    class Broken(LoopClock):
        async def sleep(self, seconds: float) -> None:
            raise RuntimeError("my clock is broken")

    kling = await connect(clock=Broken())
    server.tasks[1] = done_at(1, 5)
    with pytest.raises(ConfigurationError, match="my clock is broken"):
        await kling.tasks.wait(1)


async def test_a_poller_that_is_cancelled_leaves_nobody_waiting(
    kling: AsyncKlingClient, server: Server
) -> None:
    server.tasks[1] = done_at(1, 5)
    waiting = asyncio.create_task(kling.tasks.wait(1))
    await asyncio.sleep(1)
    (poller,) = (one for one in asyncio.all_tasks() if "_look_until" in str(one.get_coro()))
    poller.cancel()
    with pytest.raises(ConfigurationError, match="looks at task 1"):
        await waiting
    assert (await kling.tasks.wait(1)).succeeded


async def test_a_timeout_of_the_inside_is_no_deadline() -> None:
    def expired() -> KlingError:
        raise AssertionError

    with pytest.raises(asyncio.TimeoutError):
        async with time_limit(5, expired):
            raise TimeoutError


# --- time -------------------------------------------------------------------------------------


async def test_the_deadline_holds_the_task(kling: AsyncKlingClient, server: Server) -> None:
    server.tasks[1] = done_at(1, 100)
    with pytest.raises(DeadlineExceededError, match="not over within 50 s") as caught:
        await kling.tasks.wait(submitted(1), deadline_s=50)
    assert server.now_s == 50
    assert caught.value.task.status_name == "processing"
    assert (await kling.tasks.wait(caught.value.task)).succeeded
    server.tasks[2] = done_at(2, 1000)
    with pytest.raises(DeadlineExceededError, match="task 2 was not over within 1 s"):
        await kling.tasks.wait(submitted(2), deadline_s=1)
    server.tasks[3] = lost
    with pytest.raises(DeadlineExceededError) as caught:
        await kling.tasks.wait(submitted(3), deadline_s=1)
    assert caught.value.task == submitted(3)
    for wrong in (0, -1, float("nan")):
        with pytest.raises(InvalidRequestError):
            await kling.tasks.wait(1, deadline_s=wrong)


async def test_of_a_task_that_nobody_knows_it_is_not_said_to_go_on(
    kling: AsyncKlingClient, server: Server
) -> None:
    server.tasks[7] = lambda now_s: error(404)
    with pytest.raises(DeadlineExceededError, match=r"task 7 was not found within 5 s; .*email="):
        await kling.tasks.wait(7, deadline_s=5)


async def test_a_last_look_in_time_for_its_answer(kling: AsyncKlingClient, server: Server) -> None:
    server.tasks[1] = done_at(1, 37)
    assert (await kling.tasks.wait(submitted(1), poll=PLAIN, deadline_s=40)).succeeded
    assert server.at(1) == [2, 5, 10, 18, 28, 38]
    server.took_s = 5.0  # too slow: the time is kept all the same
    server.tasks[2] = done_at(2, 1000)
    began_s = server.now_s
    with pytest.raises(DeadlineExceededError):
        await kling.tasks.wait(submitted(2), poll=PLAIN, deadline_s=8)
    assert server.now_s == began_s + 8


async def test_the_clients_deadline_is_for_calls(connect: Any, server: Server) -> None:
    kling = await connect(deadline_s=5)
    server.tasks[1] = done_at(1, 100)
    assert (await kling.tasks.wait(1)).succeeded


@given(st.lists(st.floats(0.001, 1e6), min_size=1), st.floats(0, 5), st.integers(0, 50),
       st.floats(0, 1))  # fmt: skip
def test_a_schedule_adds_and_never_takes(
    waits_s: list[float], jitter: float, looks: int, chance: float
) -> None:
    poll = PollSchedule(waits_s=waits_s, jitter=jitter)  # type: ignore[arg-type]
    planned_s = waits_s[min(looks, len(waits_s) - 1)]
    assert planned_s <= poll.wait_s(looks, chance) <= planned_s * (1 + jitter) * (1 + 1e-9)


@pytest.mark.parametrize("options", [
    {"waits_s": ()}, {"waits_s": (0,)}, {"waits_s": (1, -1)}, {"waits_s": (float("inf"),)},
    {"waits_s": (float("nan"),)}, {"jitter": -0.1},
])  # fmt: skip
def test_schedules_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"waits_s|jitter"):
        PollSchedule(**options)


# --- watching ---------------------------------------------------------------------------------


async def test_each_change_once(kling: AsyncKlingClient, server: Server) -> None:
    def state(now_s: float) -> Answer:
        name = "submitted" if now_s < 4 else "processing" if now_s < 40 else "failed"
        return Answer(200, json=record(1, name, etaTime=now_s // 20))

    server.tasks[1] = state
    seen = [(one.status_name, one.eta_time) async for one in kling.tasks.watch(1)]
    assert seen[0] == ("submitted", 0)
    assert seen[-1][0] == "failed"
    assert ("processing", 0) in seen
    assert ("processing", 1) in seen
    assert len(seen) == len(set(seen))


async def test_a_loop_left_early_leaves_nothing(kling: AsyncKlingClient, server: Server) -> None:
    server.tasks[1] = done_at(1, 1000)
    async with aclosing(kling.tasks.watch(1)) as states:
        async for _ in states:
            break
    await settle()
    assert tasks_left() == set()
    await asyncio.sleep(100)
    assert server.at(1) == [0]


async def test_slow_readers_miss_nothing(kling: AsyncKlingClient, server: Server) -> None:
    server.tasks[1] = done_at(1, 3)
    seen = []
    async for one in kling.tasks.watch(1, deadline_s=10, poll=PLAIN):
        seen.append(one.status_name)
        await asyncio.sleep(60)
    assert seen == ["processing", "succeed"]


async def test_several_on_one_task_share_its_looks(kling: AsyncKlingClient, server: Server) -> None:
    server.tasks[1] = done_at(1, 30)
    many = [asyncio.create_task(kling.tasks.wait(submitted(1), poll=PLAIN)) for _ in range(50)]
    await asyncio.sleep(15)
    late = [one async for one in kling.tasks.watch(1, poll=PLAIN)]
    assert [one.status_name for one in late] == ["processing", "succeed"]
    assert {(await one).id for one in many} == {1}
    assert len(server.looks) < 12


async def test_one_waiter_leaves_the_others(kling: AsyncKlingClient, server: Server) -> None:
    server.tasks[1] = done_at(1, 30)
    hasty = asyncio.create_task(kling.tasks.wait(1, deadline_s=8))
    gone = asyncio.create_task(kling.tasks.wait(1))
    patient = asyncio.create_task(kling.tasks.wait(1))
    await asyncio.sleep(5)
    gone.cancel()
    with pytest.raises(DeadlineExceededError):
        await hasty
    assert (await patient).succeeded
    assert gone.cancelled()


# --- many -------------------------------------------------------------------------------------


async def test_many_are_listed_and_only_the_changed_are_read(
    kling: AsyncKlingClient, server: Server
) -> None:
    for task_id in range(1, 41):
        server.tasks[task_id] = done_at(task_id, 100 + task_id)
    found = await asyncio.gather(*(kling.tasks.wait(submitted(one)) for one in server.tasks))
    assert [one.id for one in found] == list(range(1, 41))
    assert all(one.works for one in found)
    alone = len(range(1, 41)) * 10  # at 2, 5, 10, 18, 28, 43, 63, 83, 103, 123 s
    assert len(server.looks) + len(server.lists) < alone / 2
    assert server.lists


async def test_who_leaves_while_the_history_is_read_is_not_looked_at(
    kling: AsyncKlingClient, server: Server
) -> None:
    for task_id in range(1, 11):
        server.tasks[task_id] = done_at(task_id, 100)
    waits = [asyncio.create_task(kling.tasks.wait(submitted(one))) for one in server.tasks]

    def meanwhile(_: float) -> Answer:
        for wait in waits[:5]:
            wait.cancel()
        return Answer(200, json={"history": []})  # tells of none, so that each must be read

    server.listed = meanwhile
    await asyncio.sleep(10)
    assert server.lists
    assert {task_id for _, task_id, _ in server.looks} == {6, 7, 8, 9, 10}
    await asyncio.gather(*waits, return_exceptions=True)


async def test_a_thousand_are_cheap(kling: AsyncKlingClient, server: Server) -> None:
    for task_id in range(1, 1001):
        server.tasks[task_id] = done_at(task_id, 30)
    began_s = time.process_time()
    waits = [asyncio.create_task(kling.tasks.wait(submitted(one))) for one in server.tasks]
    await asyncio.sleep(1.5)
    assert len(asyncio.all_tasks()) <= 1000 + 4  # this test, the poller, and its two naps
    assert len(asyncio.get_running_loop()._scheduled) <= 1000 + 4  # type: ignore[attr-defined]
    await asyncio.gather(*waits)
    assert time.process_time() - began_s < 10  # 0.5 s on a quiet machine


@pytest.mark.parametrize("listed", [
    lambda _: error(500), lambda _: Answer(200, json={"history": []}), lambda _: error(404),
    lambda _: Answer(200, json={"history": [record(one) for one in range(1, 11)]}),
    lambda _: Answer(200, json={"history": [{"works": [{"workId": 1, "taskId": 1}]}]}),
    lambda _: Answer(200, json={"history": "nonsense"}),
], ids=["500", "empty", "404", "stale", "works only", "nonsense"])  # fmt: skip
async def test_a_history_that_does_not_help(
    kling: AsyncKlingClient, server: Server, listed: Callable[[float], Answer]
) -> None:
    server.listed = listed
    for task_id in range(1, 11):
        server.tasks[task_id] = done_at(task_id, 50)
    waits = [kling.tasks.wait(submitted(one), poll=PLAIN) for one in server.tasks]
    found = await asyncio.gather(*waits)
    assert all(one.succeeded for one in found)
    assert server.now_s < 150


@pytest.mark.parametrize(("listed", "known", "looks", "moved"), [
    (record(1), record(1), 1, False),
    (record(1), record(1, "submitted"), 1, True),
    (record(1, "succeed"), record(1), 1, True),
    (None, record(1), 1, True),
    (record(1), None, 1, True),
    (record(1), record(1), settings.READ_EVERY - 1, True),
    ({"id": 1, "status": 50}, {"id": 1, "status": 50}, 1, True),  # it says too little
    ({"id": 1, "status": 50, "status_final": False}, {"id": 1, "status": 50}, 1, False),
])  # fmt: skip
def test_what_a_history_states(listed: Any, known: Any, looks: int, moved: bool) -> None:
    given_as, seen = (Task.from_api(one) if one else None for one in (known, listed))
    watched = WatchedTask(1, given_as, PLAIN, None, 0.0, looks=looks)  # type: ignore[arg-type]
    assert needs_read(watched, seen) is moved


async def test_a_history_with_accounts_of_its_own(connect: Any, server: Server) -> None:
    kling = await connect(accounts=["a@x.y", "b@x.y"])
    for task_id in (1, 2):
        server.tasks[task_id] = done_at(task_id, 5)
    await asyncio.gather(
        kling.tasks.wait(submitted(1, "a@x.y")),
        kling.tasks.wait(RunningTask(id=2, email="b@x.y")),
    )
    assert {(one, email) for _, one, email in server.looks} == {(1, "a@x.y"), (2, "b@x.y")}
    with pytest.raises(AccountRequiredError):
        await kling.tasks.wait(1)
    with pytest.raises(InvalidRequestError):
        await kling.tasks.wait("one", email="a@x.y")


async def test_the_rate_limit_holds_for_looks(connect: Any, server: Server) -> None:
    class Spaced:  # aiolimiter's waits are shorter than virtual time can tell apart
        free_s = 0.0

        async def acquire(self, account: str | None) -> None:
            self.free_s = max(self.free_s, server.now_s) + 0.5
            await asyncio.sleep(self.free_s - 0.5 - server.now_s)

    kling = await connect(rate_limit=Spaced())
    for task_id in range(1, 31):
        server.tasks[task_id] = done_at(task_id, 5)
    await asyncio.gather(*(kling.tasks.wait(one, poll=PLAIN) for one in server.tasks))
    times = sorted([at for at, _, _ in server.looks] + server.lists)
    assert all(after - at > 0.49 for at, after in pairwise(times))


# --- the end of it all ------------------------------------------------------------------------


async def test_closing_the_client_ends_all_waiting(kling: AsyncKlingClient, server: Server) -> None:
    server.tasks[1] = done_at(1, 100)
    server.tasks[2] = done_at(2, 100)
    waits = [asyncio.create_task(kling.tasks.wait(one)) for one in (1, 2, submitted(2))]
    await asyncio.sleep(3)
    await kling.aclose()
    for one in waits:
        with pytest.raises(ConfigurationError, match=r"closed while task [12] was waited for"):
            await one
    assert tasks_left() == set()
    with pytest.raises(ConfigurationError, match="closed"):
        await kling.tasks.wait(1)
    assert not kling.tasks.hint(1)


async def test_cancelled_waiters_leave_nothing(kling: AsyncKlingClient, server: Server) -> None:
    server.took_s = 1.0
    server.tasks[1] = done_at(1, 100)
    for moment in (0.0, 0.5, 1.0, 2.0, 2.5):
        one = asyncio.create_task(kling.tasks.wait(1, poll=PLAIN))
        await asyncio.sleep(moment)
        one.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one
        await asyncio.sleep(1.5)  # an exchange under way is left to end
        assert tasks_left() == set()
    before = Counter(one for _, one, _ in server.looks)
    await asyncio.sleep(100)
    assert Counter(one for _, one, _ in server.looks) == before


async def test_coming_back_while_the_poller_ends(kling: AsyncKlingClient, server: Server) -> None:
    server.took_s = 1.0
    server.tasks[1] = done_at(1, 10_000)
    server.tasks[2] = done_at(2, 0)
    for turns in range(12):
        one = asyncio.create_task(kling.tasks.wait(1, poll=PLAIN))
        await asyncio.sleep(0.5)  # it is being read
        one.cancel()
        for _ in range(turns):
            await asyncio.sleep(0)
        assert (await kling.tasks.wait(2, deadline_s=20)).succeeded

"""Does a 404 for a job that was begun end nothing too early, and is it given up in the end?

On virtual time; with a server of functions of time, and with the emulator.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from task_server import PLAIN, Answer, Server, State, done_at, error, record, submitted

from kling_async import (
    AsyncKlingClient,
    DeadlineExceededError,
    NotFoundError,
    RunningTask,
    Task,
    TaskFailedError,
    TaskNotFoundError,
    settings,
)
from kling_async.emulator import EmulatedAccount, Emulator, Fault

pytestmark = pytest.mark.looptime(resolution=1e-9)

ADA, BEN = "ada@example.com", "ben@example.com"


@pytest.fixture
async def kling(connect: Any) -> AsyncKlingClient:
    client: AsyncKlingClient = await connect()
    return client


def running(*task_ids: int, email: str | None = None) -> Answer:
    return Answer(200, json=[{"id": one, "email": email} for one in task_ids])


def history(*entries: dict[str, Any]) -> Answer:
    return Answer(200, json={"history": list(entries)})


def missing_until(seconds: float, then: State) -> State:
    return lambda now_s: error(404) if now_s < seconds else then(now_s)


async def test_a_404_in_the_first_seconds(kling: AsyncKlingClient, server: Server) -> None:
    server.tasks[1] = missing_until(12, done_at(1, 20))
    assert (await kling.tasks.wait(submitted(1))).succeeded
    server.tasks[2] = missing_until(server.now_s + 12, done_at(2, 20))
    assert (await kling.tasks.wait(2)).succeeded


async def test_a_lasting_404_of_a_job_that_was_started(
    kling: AsyncKlingClient, server: Server
) -> None:
    server.tasks[1] = lambda _: error(404)
    with pytest.raises(TaskNotFoundError) as caught:
        await kling.tasks.wait(submitted(1), poll=PLAIN)
    assert caught.value.task == submitted(1)
    assert caught.value.status_code == 404
    assert isinstance(caught.value.__cause__, NotFoundError)
    assert server.at(1) == [2, 5, 10, 18, 28, 43, 63, 83, 103, 123]
    assert str(caught.value).startswith(
        "task 1 is nowhere to be found: GET /tasks/{id} has answered 404 for 121 s, the scheduler "
        "does not list it, and the history (1 page) does not show it; it failed at moderation, was "
        "deleted, its account ran out of credits, or the server lost sight of it. It may have been "
        "made and paid for: look at kling.tasks.list() and at Kling's own page before you make it "
        "again [GET /tasks/{task_id}, "
    )
    assert pickle.loads(pickle.dumps(caught.value)).task == submitted(1)


async def test_a_lasting_404_of_a_mere_number(kling: AsyncKlingClient, server: Server) -> None:
    server.tasks[1] = lambda _: error(404)
    with pytest.raises(TaskNotFoundError, match=r"check the id; .* needs email=") as caught:
        await kling.tasks.wait(1, poll=PLAIN)
    assert caught.value.task is None
    assert server.now_s == 18  # the first look after MISSING_FOR_S


async def test_one_who_saw_it_speaks_for_all(kling: AsyncKlingClient, server: Server) -> None:
    """Who waits for a mere number hears what the other's record tells: it was there."""
    server.tasks[1] = lambda _: error(404)
    mere = asyncio.create_task(kling.tasks.wait(1, poll=PLAIN))
    await asyncio.sleep(1)
    with pytest.raises(TaskNotFoundError):
        await kling.tasks.wait(submitted(1), poll=PLAIN)
    with pytest.raises(TaskNotFoundError) as caught:
        await mere
    assert caught.value.task == submitted(1)
    assert server.now_s > settings.GONE_AFTER_S


async def test_one_404_alone_does_not_end_it(kling: AsyncKlingClient, server: Server) -> None:
    state = done_at(1, 100)
    server.tasks[1] = lambda now_s: error(404) if 40 < now_s < 60 else state(now_s)
    assert (await kling.tasks.wait(1, poll=PLAIN)).succeeded
    flaky = done_at(3, 400)
    server.tasks[3] = lambda now_s: flaky(now_s) if len(server.at(3)) % 2 else error(404)
    assert (await kling.tasks.wait(submitted(3), poll=PLAIN)).succeeded
    server.tasks[2] = lambda now_s: error(404) if now_s > 550 else Answer(200, json=record(2))
    with pytest.raises(TaskNotFoundError) as caught:
        await kling.tasks.wait(2, poll=PLAIN)
    assert caught.value.task.id == 2
    assert caught.value.task.status_name == "processing"
    assert 550 + settings.GONE_AFTER_S <= server.now_s <= 550 + settings.GONE_AFTER_S + 40


# --- the scheduler and the history are asked ---------------------------------------------------


async def test_what_the_scheduler_lists_is_waited_for(
    kling: AsyncKlingClient, server: Server
) -> None:
    """404 for ten minutes; then it is over, as the history shows. The id alone was known."""
    server.tasks[1] = lambda _: error(404)
    server.tracked = lambda now_s: running(1) if now_s < 600 else running()
    server.listed = lambda now_s: history(record(1, "succeed")) if now_s > 700 else history()
    task = await kling.tasks.wait(1, poll=PLAIN)
    assert task.succeeded
    assert task.works[0].work_id == 10
    assert 700 < server.now_s <= 720


async def test_two_minutes_from_when_the_scheduler_lists_it_no_more(
    kling: AsyncKlingClient, server: Server
) -> None:
    server.tasks[1] = lambda _: error(404)
    server.tracked = lambda now_s: running(1) if now_s < 600 else running()
    with pytest.raises(TaskNotFoundError, match="404 for 120 s"):
        await kling.tasks.wait(submitted(1), poll=PLAIN)
    assert 700 <= server.now_s <= 600 + settings.GONE_AFTER_S + 20


@pytest.mark.parametrize("entry", [
    record(1, "succeed"), {"works": [{"workId": 10, "taskId": 1, "status": 99}]},
], ids=["a record", "works alone"])  # fmt: skip
async def test_what_the_history_shows_as_over_is_over(
    kling: AsyncKlingClient, server: Server, entry: dict[str, Any]
) -> None:
    server.tasks[1] = lambda _: error(404)
    server.listed = lambda now_s: history(entry) if now_s > 30 else history()
    task = await kling.tasks.wait(submitted(1), poll=PLAIN)
    assert (task.succeeded, [one.work_id for one in task.works]) == (True, [10])
    assert server.now_s == 43


async def test_a_failure_that_the_history_shows(kling: AsyncKlingClient, server: Server) -> None:
    server.tasks[1] = lambda _: error(404)
    server.listed = lambda _: history(record(1, "failed", error="face not found"))
    with pytest.raises(TaskFailedError, match="face not found"):
        await kling.tasks.wait(submitted(1), poll=PLAIN)
    assert server.now_s == 2


async def test_what_the_history_shows_as_running_is_waited_for(
    kling: AsyncKlingClient, server: Server
) -> None:
    server.tasks[1] = missing_until(500, done_at(1, 510))
    server.listed = lambda _: history(record(1))
    assert (await kling.tasks.wait(1, poll=PLAIN)).succeeded


async def test_the_deadline_comes_first(kling: AsyncKlingClient, server: Server) -> None:
    server.tasks[1] = lambda _: error(404)
    with pytest.raises(DeadlineExceededError) as caught:
        await kling.tasks.wait(submitted(1), deadline_s=60)
    assert server.now_s == 60
    assert caught.value.task == submitted(1)
    assert (
        "task 1 was not found within 60 s: GET /tasks/{id} answers 404, the scheduler does not "
        "list it, and the history (1 page) does not show it; wait for it again before you make "
        "another"
    ) in str(caught.value)
    server.tracked = lambda _: running(1)
    with pytest.raises(DeadlineExceededError, match=r"not over within 60 s.*scheduler lists it"):
        await kling.tasks.wait(1, deadline_s=60)


@pytest.mark.parametrize("unreadable", ["scheduler", "history"])
async def test_silence_of_what_can_not_be_asked_says_nothing(
    kling: AsyncKlingClient, server: Server, unreadable: str
) -> None:
    server.tasks[1] = missing_until(1000, done_at(1, 1000))
    broken: State = lambda _: error(500)  # noqa: E731
    if unreadable == "scheduler":
        server.tracked = broken
    else:
        server.listed = broken
    assert (await kling.tasks.wait(1, poll=PLAIN)).succeeded
    server.tasks[2] = lambda _: error(404)
    began_s = server.now_s
    with pytest.raises(TaskNotFoundError, match=f"the {unreadable} can't be read"):
        await kling.tasks.wait(submitted(2), deadline_s=None)
    assert server.now_s - began_s == pytest.approx(settings.JOB_TRACKED_S, abs=40)


async def test_another_accounts_job_is_said_to_be_that(
    connect: Callable[..., Awaitable[AsyncKlingClient]], server: Server
) -> None:
    kling = await connect(accounts=[ADA, BEN])
    server.tasks[1] = lambda _: error(404)
    server.tracked = lambda _: running(1, email=BEN)
    with pytest.raises(TaskNotFoundError, match=f"another account's: pass email='{BEN}'"):
        await kling.tasks.wait(1, email=ADA, poll=PLAIN)
    assert server.now_s == 18
    server.tasks[1] = missing_until(200, done_at(1, 200))
    server.tracked = lambda _: running(1, email=BEN.upper())
    assert (await kling.tasks.wait(1, email=BEN)).succeeded


async def test_what_the_scheduler_listed_was_begun(kling: AsyncKlingClient, server: Server) -> None:
    server.tasks[1] = lambda _: error(404)
    with pytest.raises(TaskNotFoundError, match="paid for"):
        await kling.tasks.wait(RunningTask(id=1, email=None), poll=PLAIN)
    assert server.now_s > settings.GONE_AFTER_S


async def test_one_search_serves_all(
    connect: Callable[..., Awaitable[AsyncKlingClient]], server: Server
) -> None:
    kling = await connect(accounts=[ADA, BEN])
    server.took_s = 0.5
    for task_id in range(1, 201):
        server.tasks[task_id] = missing_until(100, done_at(task_id, 100))
    server.tracked = lambda _: running(*server.tasks)
    await asyncio.gather(
        *(kling.tasks.wait(one, email=(ADA, BEN)[one % 2], poll=PLAIN) for one in server.tasks)
    )
    assert len(server.looks) == 200 * 9
    assert len(server.scheduler_looks) < len(server.looks) / 9


async def test_who_leaves_during_a_search_leaves_it_to_the_others(
    kling: AsyncKlingClient, server: Server
) -> None:
    server.tasks[1] = server.tasks[2] = missing_until(14, done_at(2, 14))
    waits = [asyncio.create_task(kling.tasks.wait(one, poll=PLAIN)) for one in (1, 2)]

    def leave(_: float) -> Answer:
        waits[0].cancel()
        return running()

    server.tracked = leave
    assert (await waits[1]).succeeded
    assert waits[0].cancelled()
    (poller,) = kling._later.waiting._pollers.values()
    assert poller._missing._sought == {}


async def test_the_history_is_read_back_to_the_job(kling: AsyncKlingClient, server: Server) -> None:
    made_ms = 100_000
    asked: list[int | None] = []

    async def pages_of_two(request: httpx.Request) -> Answer:
        if request.url.path != "/v1/kling/tasks":
            return await server(request)
        before_ms = int(request.url.params.get("createdBefore", 10**9))
        asked.append(before_ms)
        older = [at_ms for at_ms in range(200_000, 0, -10_000) if at_ms < before_ms][:2]
        return history(*(
            record(1, "succeed", task={"id": 1, "createTime": at_ms}) if at_ms == made_ms
            else record(at_ms) for at_ms in older
        ))  # fmt: skip

    kling._wire._client._transport.handler = pages_of_two  # type: ignore[union-attr, attr-defined]
    server.tasks[1] = lambda _: error(404)
    given = Task.from_api({"task": {"id": 1, "createTime": made_ms}, "status_name": "submitted"})
    assert (await kling.tasks.wait(given, poll=PLAIN)).succeeded
    assert len(asked) > settings.SEARCH_PAGES
    asked.clear()
    server.tasks[2] = lambda _: error(404)
    with pytest.raises(TaskNotFoundError, match=rf"\({settings.SEARCH_PAGES} pages\)"):
        await kling.tasks.wait(2, poll=PLAIN)  # nobody knows how far back it would be


# --- with the emulator -------------------------------------------------------------------------


async def begun(
    emulator: Emulator, open_client: Callable[..., Awaitable[AsyncKlingClient]]
) -> tuple[AsyncKlingClient, Task]:
    kling = await open_client(transport=emulator.transport())
    face, voice = "https://x.y/a.png", "https://x.y/a.mp3"
    return kling, await kling.avatars.video(image_url=face, audio_url=voice)


async def test_nine_seconds_of_404_while_the_job_runs(
    open_client: Callable[..., Awaitable[AsyncKlingClient]],
) -> None:
    lost = Fault("tasks.get", "status", status=404, at=range(3, 7))  # at 10, 18, 28 and 43 s
    emulator = Emulator(job_s=50, faults=[lost])
    kling, task = await begun(emulator, open_client)
    done = await kling.tasks.wait(task.id, poll=PLAIN)
    assert done.works
    assert emulator.unconsumed_faults() == []
    assert len(emulator.tasks) == 1


async def test_a_record_that_never_shows_while_the_history_does(
    open_client: Callable[..., Awaitable[AsyncKlingClient]],
) -> None:
    emulator = Emulator(
        [EmulatedAccount("a@x.y", max_jobs=5)], job_s=40, task_visible_after_s=10_000,
        scheduler_lag_s=10_000, history_works_only=True,
    )  # fmt: skip
    kling, task = await begun(emulator, open_client)
    done = await kling.tasks.wait(task, poll=PLAIN)
    assert [one.work_id for one in done.works] == [emulator.tasks[0].works[0].id]


async def test_a_job_that_is_lost_for_good(
    open_client: Callable[..., Awaitable[AsyncKlingClient]],
) -> None:
    emulator = Emulator(job_s=40, faults=[Fault("avatars.video", "task_lost")])
    kling, task = await begun(emulator, open_client)
    with pytest.raises(TaskNotFoundError) as caught:
        await kling.tasks.wait(task)
    assert caught.value.task.id == task.id
    assert caught.value.task.status_name == "processing"

"""Do paid jobs wait for a place of their account, until their final state is seen anywhere?"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kling_async import (
    Account,
    AsyncKlingClient,
    DeadlineExceededError,
    KlingError,
    OutcomeUnknownError,
    RetryPolicy,
)
from kling_async.emulator import EmulatedAccount, Emulator, Fault

pytestmark = pytest.mark.looptime(resolution=1e-9)
ADA = "ada@example.com"
AUDIO = "https://x.y/a.mp3"


def now_s() -> float:
    return asyncio.get_running_loop().time()


def client(emulator: Emulator, **options: Any) -> AsyncKlingClient:
    given: dict[str, Any] = {
        "base_url": "http://127.0.0.1/v1/kling",
        "transport": emulator.transport(),
        "accounts": [Account(ADA, max_jobs=2)],
        "rate_limit": None,
        "retry": RetryPolicy(attempts=1, reconcile_within_s=0),
    }
    return AsyncKlingClient("user:1-a", **{**given, **options})


def emulated(**options: Any) -> Emulator:
    return Emulator(accounts=[EmulatedAccount(ADA, max_jobs=2)], **{"job_s": 30.0, **options})


async def video(kling: AsyncKlingClient) -> Any:
    return await kling.avatars.video(image_url="https://x.y/a.png", audio_url=AUDIO)


async def seen_final(kling: AsyncKlingClient, task_id: int) -> None:
    while not (await kling.tasks.get(task_id)).is_final:
        await asyncio.sleep(1)


async def test_no_create_is_refused_for_want_of_a_place() -> None:
    emulator = emulated()
    async with client(emulator) as kling:

        async def whole() -> None:
            await seen_final(kling, (await video(kling)).id)

        await asyncio.gather(*(whole() for _ in range(6)))
        assert kling.stats[ADA].refused == 0
        assert emulator.counts["avatars.video"] == 6
        assert 90 <= now_s() <= 100
        one = kling.stats[ADA]
        assert (one.jobs_running, one.jobs_waiting, one.jobs_most) == (0, 0, 2)


async def test_stats_show_the_places() -> None:
    emulator = emulated()
    async with client(emulator) as kling:
        calls = [asyncio.create_task(video(kling)) for _ in range(5)]
        await asyncio.sleep(5)
        one = kling.stats[ADA]
        assert (one.jobs_running, one.jobs_waiting, one.jobs_most) == (2, 3, 2)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert kling.stats[ADA].jobs_waiting == 0


async def test_a_deadline_says_that_there_was_no_place() -> None:
    emulator = emulated()
    async with client(emulator, deadline_s=5) as kling:
        for _ in range(2):
            await video(kling)
        with pytest.raises(DeadlineExceededError, match=r"a free job slot; nothing was sent"):
            await video(kling)


async def test_who_never_looks_at_its_tasks_is_not_held_for_an_hour() -> None:
    """The scheduler says which jobs still run."""
    emulator = emulated()
    async with client(emulator) as kling:
        for _ in range(4):
            await video(kling)
        assert 30 <= now_s() <= 70
        assert kling.stats[ADA].refused == 0


async def test_a_scheduler_that_is_silent_does_not_keep_a_free_place() -> None:
    emulator = emulated()
    emulator.add_faults([Fault("scheduler.running", "stall")])
    async with client(emulator, timeout=None) as kling:
        first, _ = [await video(kling) for _ in range(2)]
        third = asyncio.create_task(video(kling))  # looks after 15 s, and hears nothing
        await asyncio.sleep(31)
        assert (await kling.tasks.get(first.id)).is_final
        await asyncio.wait_for(third, 30)
        assert now_s() < 61
        kling._wire.close_within_s = 0


async def test_unknown_places_are_learned_by_sync() -> None:
    emulator = emulated()
    async with client(emulator, accounts=[ADA]) as kling:
        assert kling.stats[ADA].jobs_most is None
        await kling.accounts.sync()
        assert kling.stats[ADA].jobs_most == 2


@pytest.mark.parametrize(("fault", "running"), [
    (Fault("avatars.video", "status", status=400), 0),  # plainly refused
    (Fault("avatars.video", "status", status=429, retry_after_s=1), 0),
    (Fault("avatars.video", "refuse_connection"), 0),  # never sent
    (Fault("avatars.video", "reset_after"), 1),  # it may run
    (Fault("avatars.video", "status", status=500), 1),
])  # fmt: skip
async def test_what_certainly_started_nothing_gives_its_place_back(
    fault: Fault, running: int
) -> None:
    emulator = emulated(faults=[fault])
    async with client(emulator) as kling:
        with pytest.raises(KlingError) as caught:
            await video(kling)
        assert isinstance(caught.value, OutcomeUnknownError) is bool(running)
        assert kling.stats[ADA].jobs_running == running


async def test_a_cancelled_create_that_is_out_keeps_its_place() -> None:
    emulator = emulated(faults=[Fault("avatars.video", "latency", delay_s=20)])
    async with client(emulator) as kling:
        call = asyncio.create_task(video(kling))
        await asyncio.sleep(1)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert kling.stats[ADA].jobs_running == 1


@pytest.mark.parametrize("refused", [True, False])
async def test_what_comes_after_a_caller_left_is_counted_all_the_same(refused: bool) -> None:
    emulator = emulated(latency_s=5)
    if refused:
        emulator.add_faults([Fault("avatars.video", "status", status=400)])
    async with client(emulator) as kling:
        call = asyncio.create_task(video(kling))
        await asyncio.sleep(1)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert kling.stats[ADA].jobs_running == 1
        await asyncio.sleep(10)
        assert kling.stats[ADA].jobs_running == (0 if refused else 1)
        if not refused:
            (task,) = emulator.tasks  # its id is known, although nobody was told
            await seen_final(kling, task.id)
            assert kling.stats[ADA].jobs_running == 0


async def test_who_leaves_while_it_waits_for_its_rate_gives_its_place_back() -> None:
    async with client(emulated()) as kling:
        kling._pipeline.admission.pause(ADA, 60)
        call = asyncio.create_task(video(kling))
        await asyncio.sleep(1)
        assert kling.stats[ADA].jobs_running == 1
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert kling.stats[ADA].jobs_running == 0


async def test_a_retried_create_takes_one_place() -> None:
    emulator = emulated(faults=[Fault("avatars.video", "refuse_connection", at=(1, 2))])
    async with client(emulator, retry=RetryPolicy(attempts=3)) as kling:
        task = await video(kling)
        assert kling.stats[ADA].jobs_running == 1
        await seen_final(kling, task.id)
        assert kling.stats[ADA].jobs_running == 0


async def test_a_create_that_was_found_again_is_known_by_its_id() -> None:
    emulator = emulated(faults=[Fault("avatars.video", "reset_after", at=1)])
    async with client(emulator, retry=RetryPolicy(attempts=1)) as kling:
        task = await video(kling)
        assert kling.stats[ADA].jobs_running == 1
        await seen_final(kling, task.id)
        assert kling.stats[ADA].jobs_running == 0


@pytest.mark.parametrize("way", ["list", "delete", "forget", "missing"])
async def test_the_end_is_seen_in_any_answer(way: str) -> None:
    emulator = emulated()
    async with client(emulator) as kling:
        task = await video(kling)
        await asyncio.sleep(40)
        assert kling.stats[ADA].jobs_running == 1
        if way == "list":
            await kling.tasks.list()
        elif way == "delete":
            await kling.tasks.delete(task.id)
        elif way == "forget":
            emulator.add_faults([Fault("scheduler.forget", "status", status=200)])
            await kling.scheduler.forget(task.id)
        else:
            emulator.add_faults([Fault("tasks.get", "status", status=404)])
            with pytest.raises(KlingError):
                await kling.tasks.get(task.id)
        assert kling.stats[ADA].jobs_running == 0

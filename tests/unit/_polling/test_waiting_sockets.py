"""Waiting and the emulator together, over sockets on both transports; jobs go by its clock."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from kling_async import (
    PollSchedule,
    Task,
    TaskFailedError,
    TaskModeratedError,
    TaskNotFoundError,
    settings,
)
from kling_async.emulator import Emulator, Fault

BODY = {"imageUrl": "https://x.y/a.png", "audioUrl": "https://x.y/a.mp3"}


async def started(emulator: Emulator, base_url: str, count: int = 1) -> list[Task]:
    """Videos that a plain client made; on the emulator's own transport, whatever the test's."""
    made = []
    headers = {"authorization": "Bearer user:1-a"}
    async with httpx.AsyncClient(transport=emulator.transport(), headers=headers) as plain:
        for _ in range(count):
            reply = await plain.post(f"{base_url}/avatars/video", json={**BODY, "maxJobs": 50})
            assert reply.status_code == 200
            made.append(Task.from_api(reply.json()))
    return made


@pytest.mark.parametrize("transport", ["httpx", "aiohttp"])
@pytest.mark.parametrize("options", [
    {}, {"task_visible_after_s": 3}, {"history_works_only": True}, {"history_lag_s": 5},
    {"faults": [Fault("tasks.*", kind, p=0.1) for kind in
                ("reset_after", "html_200", "truncated_body", "refuse_connection")]},
    {"faults": [Fault("tasks.*", "status", p=0.4, status=502)]},
], ids=["plain", "hidden", "works only", "lagging", "lines break", "502"])  # fmt: skip
async def test_over_sockets(open_client: Any, transport: str, options: dict[str, Any]) -> None:
    if transport == "aiohttp":
        pytest.importorskip("httpx_aiohttp")
    emulator = Emulator(job_s=(2, 8), **options)
    async with emulator.serve() as base_url:
        kling = await open_client(base_url=base_url, transport=transport)
        tasks = await started(emulator, base_url, 12)
        poll = PollSchedule(waits_s=(0.02, 0.04))
        waits = asyncio.gather(*(kling.tasks.wait(one, poll=poll) for one in tasks))
        for _ in range(20):
            await asyncio.sleep(0.02)
            emulator.clock.advance(0.5)
        done = await waits
    assert [one.id for one in done] == [one.id for one in tasks]
    assert all(one.works for one in done)


async def test_an_outage_is_waited_through(open_client: Any) -> None:
    emulator = Emulator(job_s=0.1)
    poll = PollSchedule(waits_s=(0.05,))
    async with emulator.serve() as base_url:
        kling = await open_client(base_url=base_url, transport="httpx")
        (task,) = await started(emulator, base_url)
        port = int(base_url.rpartition(":")[2].partition("/")[0])
    waiting = asyncio.create_task(kling.tasks.wait(task, poll=poll))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    async with emulator.serve(port=port):
        assert (await waiting).succeeded
        await kling.aclose()


async def test_what_the_emulator_makes_fail(open_client: Any) -> None:
    for kind, ends in (
        ("task_failed", TaskFailedError),
        ("task_moderated", TaskModeratedError),
        ("task_lost", TaskNotFoundError),
    ):
        emulator = Emulator(job_s=0.05, faults=[Fault("avatars.video", kind)])
        kling = await open_client(transport=emulator.transport())
        (task,) = await started(emulator, "http://x/v1/kling")
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(settings, "GONE_AFTER_S", 0.2)
            with pytest.raises(ends) as caught:
                await kling.tasks.wait(task, poll=PollSchedule(waits_s=(0.03,)))
        assert type(caught.value) is ends

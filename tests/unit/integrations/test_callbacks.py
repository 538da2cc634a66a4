"""Callbacks of the emulator over sockets: who waits is woken at once, and lies do no harm."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from kling_async import AsyncKlingClient, PollSchedule, Task, WebhookReceiver
from kling_async.emulator import Emulator
from kling_async.integrations.aiohttp import KLING, kling_context, webhook_route

SELDOM = PollSchedule((60.0,))
OFTEN = PollSchedule((0.05,))


@asynccontextmanager
async def told(
    emulator: Emulator, receiver: WebhookReceiver
) -> AsyncIterator[tuple[AsyncKlingClient, str]]:
    """A client, and the address of the app around it, where the emulator's callbacks come."""
    async with emulator.serve() as base_url:
        app = web.Application()
        app.cleanup_ctx.append(kling_context("user:12345-abcdefghi", base_url=base_url))
        app.router.add_routes([webhook_route(receiver)])
        async with TestServer(app) as server:
            yield app[KLING], str(server.make_url(""))


async def begun(kling: AsyncKlingClient, reply_url: str) -> Task:
    return await kling.avatars.video(
        image_url="https://x.y/a.png", audio_url="https://x.y/a.mp3", reply_url=reply_url
    )


@pytest.mark.parametrize(("webhooks", "count"), [
    ("on", 2), ("twice", 4), ("twice,shuffled", 4), ("reversed", 2), ("progress=5", 6),
])  # fmt: skip
async def test_who_waits_is_woken_long_before_the_next_look(webhooks: str, count: int) -> None:
    emulator, receiver = Emulator(job_s=40, webhooks=webhooks), WebhookReceiver(again_after_s=0.1)
    async with told(emulator, receiver) as (kling, here):
        task = await begun(kling, receiver.url(here))
        waiting = asyncio.create_task(kling.tasks.wait(task, poll=SELDOM))
        await asyncio.sleep(0)
        emulator.clock.advance(40)
        done = await asyncio.wait_for(waiting, 50)  # it would be looked at after 60
        assert done.succeeded
        while len(emulator.webhooks) < count:  # the rest: nobody waits any more
            await asyncio.sleep(0.01)
    assert [one.status for one in emulator.webhooks] == [204] * count
    assert emulator.counts["tasks.get"] <= len(emulator.webhooks) + 1  # however slow the machine


@pytest.mark.parametrize(
    "webhooks", ["broken", "huge", "empty", "other_task", "unknown_task", "off"]
)
async def test_waiting_falls_back_to_looking(webhooks: str) -> None:
    emulator, receiver = Emulator(job_s=60, webhooks=webhooks), WebhookReceiver()
    async with told(emulator, receiver) as (kling, here):
        url = receiver.url(here)
        tasks = [await begun(kling, url) for _ in range(2)]
        waits = asyncio.gather(*(kling.tasks.wait(one, poll=OFTEN) for one in tasks))
        await asyncio.sleep(0.1)  # some looks find them running
        emulator.clock.advance(60)
        done = await asyncio.wait_for(waits, 60)
        assert all(one.succeeded for one in done)


async def test_a_callback_to_a_guessed_address_wakes_nobody() -> None:
    emulator, receiver, other = Emulator(job_s=30), WebhookReceiver(), WebhookReceiver()
    async with told(emulator, receiver) as (kling, here):
        task = await begun(kling, other.url(here))
        waiting = asyncio.create_task(kling.tasks.wait(task, poll=SELDOM))
        await asyncio.sleep(0)
        emulator.clock.advance(30)
        while not emulator.webhooks:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert not waiting.done()
        waiting.cancel()
    assert {one.status for one in emulator.webhooks} == {404}

"""Callbacks that come twice, early, in no order or broken: one job, paid once, and its own result.

The row of the matrix that is no fault of the wire. The create's answer is lost as well, so the
first callback comes while its job is still being looked for.
"""

from __future__ import annotations

import asyncio

import pytest
from cells import TRANSPORTS

from kling_async import AsyncKlingClient, PollSchedule, WebhookReceiver
from kling_async.emulator import Emulator, Fault, Webhook

TOKEN = "user:12345-abcdefghi"
WAYS = ("twice", "reversed", "twice,shuffled,progress=3", "broken", "unknown_task")


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("way", WAYS)
def test_callbacks_are_hints_alone(way: str, transport: str) -> None:
    asyncio.run(_called_back(way, transport))


async def _called_back(way: str, transport: str) -> None:
    receiver, clients = WebhookReceiver(again_after_s=0.05), list[AsyncKlingClient]()
    heard: list[str] = []

    def called(webhook: Webhook) -> int:
        heard.append(receiver.receive(webhook.body, clients[0].tasks).outcome)
        return 204

    emulator = Emulator(
        job_s=0.4,
        webhooks=way,
        on_webhook=called,
        faults=[Fault("avatars.video", "reset_after", at=1)],
    )
    async with emulator.serve() as base_url:
        kling = AsyncKlingClient(TOKEN, base_url=base_url, transport=transport, rate_limit=None)
        clients.append(kling)
        async with kling:
            task = await kling.avatars.video(
                image_url="https://example.com/ada.png",
                audio_url="https://example.com/ada.mp3",
                reply_url=receiver.url(base_url),
            )
            done = await kling.tasks.wait(task, poll=PollSchedule(waits_s=(0.3,)), deadline_s=30)
            for _ in range(500):
                if len(heard) >= len(emulator.webhooks) >= 2:
                    break
                await asyncio.sleep(0.01)
    (made,) = emulator.tasks
    assert (task.id, task.meta.adopted) == (made.id, True)
    assert done.succeeded
    assert [one.work_id for one in done.works] == [one.id for one in made.works]
    assert emulator.counts["avatars.video"] == 1
    assert len(heard) == len(emulator.webhooks) >= 2
    if way == "twice":
        assert heard[0] == "nobody_waits"  # early: its job was not known yet

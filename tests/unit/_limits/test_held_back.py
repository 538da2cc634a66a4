"""Is what waits for its connection held back when a 429 comes? Over sockets, on both transports."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kling_async import (
    Account,
    AsyncKlingClient,
    AttemptEvent,
    CreateAvatar,
    CreateAvatarVideo,
    DeadlineExceededError,
    KlingError,
    RateLimitedError,
    RetryPolicy,
)
from kling_async.emulator import Emulator

ADA = "demo@example.com"


@pytest.fixture
def connecting(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Connections take 0.1 s to be made; set when the first one is."""
    connecting = asyncio.Event()
    connect = asyncio.SelectorEventLoop.sock_connect

    async def slowly(*args: Any) -> Any:
        connecting.set()
        await asyncio.sleep(0.1)
        return await connect(*args)

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", slowly)
    return connecting


@pytest.mark.parametrize("transport", ["httpx", "aiohttp"])
async def test_a_caller_who_leaves_while_a_connection_is_made_sends_nothing(
    transport: str, connecting: asyncio.Event
) -> None:
    """And what the call held is free: its place in flight, and the job's."""
    emulator = Emulator()
    async with (
        emulator.serve() as base_url,
        AsyncKlingClient(
            "user:1-a",
            base_url=base_url,
            transport=transport,
            accounts=[Account(ADA, max_jobs=1)],
        ) as kling,
    ):
        call = asyncio.create_task(
            kling.avatars.video(image_url="https://x.y/a.png", audio_url="https://x.y/a.mp3")
        )
        await connecting.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        one = kling.stats[ADA]
        assert (one.in_flight, one.jobs_running) == (0, 0)
        while kling._wire._under_way:
            await asyncio.sleep(0.01)
        places = kling._pipeline.admission.places
        assert places is None or places.taken == 0
        await kling.avatars.list()
    assert [call.operation for call in emulator.calls] == ["avatars.list"]


class Notes:
    """An intent log that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    async def record(self, account: str | None, attempt: int) -> None:
        self.told.append(("recorded", account, attempt))

    async def retract(self, error: KlingError | None) -> None:
        self.told.append(("retracted", error))


@pytest.mark.parametrize("transport", ["httpx", "aiohttp"])
async def test_a_pause_that_comes_while_a_connection_is_made_is_kept(
    transport: str, connecting: asyncio.Event
) -> None:
    """It was admitted before the pause, must not be written in it, and has used up no attempt."""
    emulator = Emulator()
    seen: list[AttemptEvent] = []
    notes = Notes()
    loop = asyncio.get_running_loop()
    async with (
        emulator.serve() as base_url,
        AsyncKlingClient(
            "user:1-a",
            base_url=base_url,
            transport=transport,
            accounts=[ADA],
            retry=RetryPolicy(attempts=1, reconcile_within_s=0),
            hooks=[seen.append],
        ) as kling,
    ):
        began_s = loop.time()
        request = CreateAvatar(image_url="https://x.y/a.png")
        create = asyncio.create_task(kling.send(request, intent_log=notes))
        await connecting.wait()
        kling._pipeline.admission.pause(ADA, 0.5)
        made = await create
        assert loop.time() - began_s >= 0.5
        assert [call.status for call in emulator.calls] == [200]
        assert [(one.attempt, one.status, one.error) for one in seen] == [(1, 200, None)]
        assert seen[0].waited_s >= 0.5
        assert made.meta.attempts == 1
        assert notes.told == [("recorded", ADA, 1), ("retracted", None), ("recorded", ADA, 1)]
        one = kling.stats[ADA]
        assert (one.sent, one.refused, one.in_flight) == (1, 0, 0)
        assert one.paused_s <= 0.5
        # The connection that was made is of use, or closed; it is not lost.
        await asyncio.gather(*(kling.avatars.list() for _ in range(3)))


@pytest.mark.parametrize("transport", ["httpx", "aiohttp"])
async def test_who_is_held_back_for_longer_than_it_waits_hears_of_the_pause(
    transport: str, connecting: asyncio.Event
) -> None:
    emulator = Emulator()
    notes = Notes()
    async with (
        emulator.serve() as base_url,
        AsyncKlingClient(
            "user:1-a",
            base_url=base_url,
            transport=transport,
            accounts=[Account(ADA, max_jobs=1)],
            retry=RetryPolicy(retry_after_max_s=10, reconcile_within_s=0),
        ) as kling,
    ):
        request = CreateAvatarVideo(image_url="https://x.y/a.png", audio_url="https://x.y/a.mp3")
        create = asyncio.create_task(kling.send(request, intent_log=notes))
        await connecting.wait()
        kling._pipeline.admission.pause(ADA, 60)
        with pytest.raises(RateLimitedError, match="nothing was sent") as caught:
            await create
        assert caught.value.retry_after_s == pytest.approx(60, abs=1)
        assert caught.value.context is not None
        assert caught.value.context.attempts == 0
        assert notes.told == [("recorded", ADA, 1), ("retracted", None)]
        one = kling.stats[ADA]
        assert (one.sent, one.refused, one.in_flight, one.jobs_running) == (0, 0, 0, 0)
    assert emulator.calls == []


@pytest.mark.parametrize("transport", ["httpx", "aiohttp"])
async def test_who_leaves_before_the_first_byte_has_its_intent_retracted(
    transport: str, connecting: asyncio.Event
) -> None:
    emulator = Emulator()
    notes = Notes()
    async with (
        emulator.serve() as base_url,
        AsyncKlingClient(
            "user:1-a", base_url=base_url, transport=transport, rate_limit=None
        ) as kling,
    ):
        request = CreateAvatar(image_url="https://x.y/a.png")
        create = asyncio.create_task(kling.send(request, intent_log=notes))
        await connecting.wait()
        create.cancel()
        with pytest.raises(asyncio.CancelledError):
            await create
        assert notes.told == [("recorded", None, 1), ("retracted", None)]
        with pytest.raises(DeadlineExceededError):
            await kling.with_options(deadline_s=0.05).send(request, intent_log=notes)
        assert notes.told[2:] == [("recorded", None, 1), ("retracted", None)]
    assert emulator.calls == []

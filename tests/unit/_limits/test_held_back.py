"""Is what waits for its connection held back when a 429 comes? Over sockets, on both transports."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kling_async import Account, AsyncKlingClient, AttemptEvent, RateLimitedError, RetryPolicy
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


@pytest.mark.parametrize("transport", ["httpx", "aiohttp"])
@pytest.mark.parametrize("attempts", [1, 2])
async def test_a_pause_that_comes_while_a_connection_is_made_is_kept(
    transport: str, attempts: int, connecting: asyncio.Event
) -> None:
    """It was admitted before the pause, and must not be written in it."""
    emulator = Emulator()
    seen: list[AttemptEvent] = []
    loop = asyncio.get_running_loop()
    async with (
        emulator.serve() as base_url,
        AsyncKlingClient(
            "user:1-a",
            base_url=base_url,
            transport=transport,
            accounts=[ADA],
            retry=RetryPolicy(attempts=attempts, reconcile_within_s=0),
            hooks=[seen.append],
        ) as kling,
    ):
        began_s = loop.time()
        create = asyncio.create_task(kling.avatars.create(image_url="https://x.y/a.png"))
        await connecting.wait()
        kling._pipeline.admission.pause(ADA, 0.5)
        if attempts == 1:
            with pytest.raises(RateLimitedError, match="nothing was sent") as caught:
                await create
            assert 0.3 < (caught.value.retry_after_s or 0) < 0.5
            assert emulator.calls == []
        else:
            await create
            assert loop.time() - began_s >= 0.5
            assert [call.status for call in emulator.calls] == [200]
        assert (seen[0].error, seen[0].status) == ("RateLimitedError", None)  # nobody answered
        one = kling.stats[ADA]
        assert (one.sent, one.refused, one.in_flight) == (len(emulator.calls), 0, 0)
        assert one.paused_s <= 0.5
        # The connection that was made is of use, or closed; it is not lost.
        await asyncio.gather(*(kling.avatars.list() for _ in range(3)))

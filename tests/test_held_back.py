"""Is what waits for its connection held back when a 429 comes? Over sockets, on both transports."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kling_async import AsyncKlingClient, AttemptEvent, RateLimitedError, RetryPolicy
from kling_async.emulator import Emulator

ADA = "demo@example.com"


@pytest.mark.parametrize("transport", ["httpx", "aiohttp"])
@pytest.mark.parametrize("attempts", [1, 2])
async def test_a_pause_that_comes_while_a_connection_is_made_is_kept(
    transport: str, attempts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was admitted before the pause, and must not be written in it."""
    emulator = Emulator()
    seen: list[AttemptEvent] = []
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect
    connecting = asyncio.Event()

    async def slowly(*args: Any) -> Any:
        connecting.set()
        await asyncio.sleep(0.1)
        return await connect(*args)

    monkeypatch.setattr(loop, "sock_connect", slowly)
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
        kling.pipeline.admission.pause(ADA, 0.5)
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
        assert (one.refused, one.in_flight) == (0, 0)
        assert one.paused_s <= 0.5
        # The connection that was made is of use, or closed; it is not lost.
        await asyncio.gather(*(kling.avatars.list() for _ in range(3)))

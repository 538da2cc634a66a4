"""Does `kling.stats` say what is going on, and do hooks hear of each attempt and harm none?"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import httpx
import pytest
from virtual_time import virtually

from kling_async import (
    AccountStats,
    AsyncKlingClient,
    AttemptEvent,
    RateLimit,
    RateLimitedError,
    RetryPolicy,
    errors,
)
from kling_async.emulator import Emulator, Fault

TOKEN, BASE_URL = "user:12345-abcdefghi", "http://127.0.0.1/v1/kling"
DEMO = "demo@example.com"
Open = Callable[..., Awaitable[AsyncKlingClient]]


def client(emulator: Emulator, **options: Any) -> AsyncKlingClient:
    given = {"transport": emulator.transport(), "accounts": [DEMO], "base_url": BASE_URL}
    return AsyncKlingClient(TOKEN, **{**given, **options})


# --- stats ------------------------------------------------------------------------------------


@virtually
async def test_what_was_sent_refused_and_waits(emulator: Emulator) -> None:
    emulator.add_faults([Fault("avatars.list", "status", status=429, retry_after_s=30, at=1)])
    async with client(emulator, rate_limit=RateLimit(20)) as kling:
        assert [one.sent for one in kling.stats] == [0]
        calls = [asyncio.create_task(kling.avatars.list()) for _ in range(5)]
        await asyncio.sleep(1)
        stats = kling.stats
        [one] = stats
        assert (one.account, one.refused, one.in_flight, one.waiting) == (DEMO, 1, 0, 5)
        assert (stats.sent, stats.refused, stats.waiting, stats.in_flight) == (1, 1, 5, 0)
        assert 28 < one.paused_s <= 31
        assert one.paused_until is not None
        assert one.paused_until.tzinfo is not None
        assert (one.places, one.rate_per_s, one.retry_budget) == (1, 20, 100)
        await asyncio.gather(*calls)
        one = kling.stats[DEMO]
        assert (one.sent, one.waiting, one.paused_s, one.paused_until) == (6, 0, 0, None)
        assert stats.sent == 1  # a value, and no view


@virtually
async def test_an_account_that_was_not_used_has_zeros(emulator: Emulator) -> None:
    async with client(emulator) as kling:
        assert kling.stats["nobody@example.com"].sent == 0


@virtually
async def test_in_flight_and_the_present_rate(emulator: Emulator) -> None:
    emulator.add_faults([Fault("avatars.list", "latency", delay_s=10)])
    async with client(emulator, rate_limit=RateLimit(500, adaptive=True)) as kling:
        calls = [asyncio.create_task(kling.avatars.list()) for _ in range(60)]
        await asyncio.sleep(3)
        one = kling.stats[DEMO]
        assert 20 < one.in_flight == one.sent
        assert 10 < (one.rate_per_s or 0) < 500
        calls[0].cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert kling.stats[DEMO].in_flight == one.in_flight - 1
        await asyncio.gather(*calls, return_exceptions=True)
        assert kling.stats.in_flight == 0


@virtually
async def test_a_client_without_a_rate_has_none(emulator: Emulator) -> None:
    async with client(emulator, rate_limit=None) as kling:
        await kling.avatars.list()
        assert kling.stats[DEMO].rate_per_s is None


@virtually
async def test_stats_are_frozen_and_show_no_email(emulator: Emulator) -> None:
    async with client(emulator) as kling:
        await kling.avatars.list()
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            kling.stats[DEMO].sent = 5  # type: ignore[misc]
        assert DEMO not in repr(kling.stats)
        assert TOKEN not in repr(kling.stats)
    assert isinstance(kling.stats[DEMO], AccountStats)


# --- hooks ------------------------------------------------------------------------------------


@virtually
async def test_hooks_hear_of_each_attempt(emulator: Emulator) -> None:
    emulator.add_faults([
        Fault("avatars.list", "status", status=429, retry_after_s=30, at=1),
        Fault("avatars.list", "refuse_connection", at=2),
        Fault("avatars.list", "latency", delay_s=2, at=3),
    ])  # fmt: skip
    seen: list[AttemptEvent] = []
    async with client(emulator, hooks=[seen.append]) as kling:
        await kling.avatars.list()
    assert [(one.attempt, one.status, one.error) for one in seen] == [
        (1, 429, "RateLimitedError"),
        (2, None, "NotSentError"),
        (3, 200, None),
    ]
    assert {(one.operation, one.method, one.route, one.account) for one in seen} == {
        ("avatars.list", "GET", "/avatars", DEMO)
    }
    assert seen[2].elapsed_s == pytest.approx(2, abs=0.01)
    assert seen[1].waited_s >= 30
    assert TOKEN not in repr(seen)


@virtually
async def test_a_hook_hears_of_a_call_that_was_cancelled(emulator: Emulator) -> None:
    emulator.add_faults([Fault("avatars.list", "latency", delay_s=20)])
    seen: list[AttemptEvent] = []
    async with client(emulator, hooks=[seen.append]) as kling:
        call = asyncio.create_task(kling.avatars.list())
        await asyncio.sleep(1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert [(one.status, one.error) for one in seen] == [(None, "CancelledError")]


@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError])
@virtually
async def test_a_hook_that_raises_breaks_nothing(
    emulator: Emulator, caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    seen: list[AttemptEvent] = []

    def broken(event: AttemptEvent) -> None:
        raise error  # CancelledError: it asked a future of its own that was cancelled

    async with client(emulator, hooks=[broken, seen.append]) as kling:
        await kling.avatars.list()
        assert kling.stats.in_flight == 0
    assert len(seen) == 1
    assert "a hook raised" in caplog.text
    assert DEMO not in caplog.text


@virtually
async def test_hooks_see_routes_and_no_values(emulator: Emulator) -> None:
    seen: list[AttemptEvent] = []
    async with client(emulator, hooks=[seen.append]) as kling:
        await kling.accounts.get(DEMO)
        with pytest.raises(errors.NotFoundError):
            await kling.avatars.delete("300137233318846")
    assert [one.route for one in seen] == ["/accounts/{email}", "/avatars/{avatarId}"]


# --- the log ----------------------------------------------------------------------------------


@virtually
async def test_the_log_names_routes_and_no_accounts(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "kling_async")
    emulator.add_faults([Fault("*", "status", status=429, retry_after_s=7200, at=2)])
    async with client(emulator, retry=RetryPolicy(attempts=1)) as kling:
        await kling.accounts.get(DEMO)
        with pytest.raises(RateLimitedError):
            await kling.accounts.get(DEMO)
    ours = [one.getMessage() for one in caplog.records if one.name == "kling_async"]
    assert any("GET /accounts/{email}: attempt 1 ended with 200" in one for one in ours)
    assert any("RateLimitedError" in one for one in ours)
    assert any("paused for 72" in one for one in ours)
    assert not any(DEMO in one or "abcdefghi" in one for one in ours)


# --- places in flight -------------------------------------------------------------------------


@virtually
async def test_the_exchange_of_a_cancelled_caller_keeps_its_place(emulator: Emulator) -> None:
    """It still has its connection; the next one would queue in httpx's pool."""
    from kling_async._limits.fair import FairSemaphore

    emulator.add_faults([Fault("avatars.list", "latency", delay_s=20)])
    async with client(emulator) as kling:
        places = kling._pipeline.admission.places = FairSemaphore(1)
        call = asyncio.create_task(kling.avatars.list())
        await asyncio.sleep(1)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert places.taken == 1
        waiting = asyncio.create_task(kling.avatars.list())
        await asyncio.sleep(5)
        assert kling.stats.waiting == 1
        await waiting
        assert places.taken == 0


@virtually
async def test_a_429_whose_caller_has_left_pauses_the_others(emulator: Emulator) -> None:
    """A service whose callers are impatient would never hear of one."""
    emulator.latency_s = 5
    emulator.add_faults([Fault("avatars.list", "status", status=429, retry_after_s=60)])
    async with client(emulator, accounts=[DEMO]) as kling:
        with pytest.raises(TimeoutError):
            await kling.with_options(deadline_s=1).avatars.list()
        assert kling.stats[DEMO].paused_s == 0
        await asyncio.sleep(6)
        one = kling.stats[DEMO]
        assert (one.refused, one.in_flight) == (1, 0)
        assert 50 < one.paused_s <= 61


@virtually
async def test_httpx_own_transport_has_places_and_others_have_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def places(**options: Any) -> int | None:
        kling = AsyncKlingClient(TOKEN, **options)
        found = kling._pipeline.admission.places
        return None if found is None else found.most

    assert places(transport="httpx") == 500
    assert places(transport="aiohttp") is None
    assert places(transport=httpx.MockTransport(lambda _: httpx.Response(200))) is None
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert places() == 100  # of one pool, which pays for each connection

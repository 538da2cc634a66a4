"""Do retries fade while a service is ill, and come back with it? Counted on the wire."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from kling_async import AsyncKlingClient, KlingError, RateLimitedError, RetryPolicy
from kling_async._limits.throttle import Throttle
from kling_async.clock import LoopClock
from kling_async.emulator import Emulator, Fault

pytestmark = pytest.mark.looptime(resolution=1e-9)


class Service(httpx.AsyncBaseTransport):
    """Ill or well; counts what arrives."""

    def __init__(self, status: int | None) -> None:
        self.status = status
        self.arrived = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.arrived += 1
        await asyncio.sleep(0.05)
        if self.status is None:
            raise httpx.ConnectError("connection refused")
        return httpx.Response(self.status, json=[])


def opened(service: Service, **options: Any) -> AsyncKlingClient:
    return AsyncKlingClient(
        "user:1-a",
        base_url="http://127.0.0.1/v1/kling",
        transport=service,
        rate_limit=None,
        accounts=["ada@example.com"],
        **options,
    )


async def listed(kling: AsyncKlingClient, times: int) -> int:
    """How many of so many callers at once end with an error."""
    ends = await asyncio.gather(
        *(kling.avatars.list() for _ in range(times)), return_exceptions=True
    )
    assert all(isinstance(one, (list, KlingError)) for one in ends)
    return sum(isinstance(one, KlingError) for one in ends)


@pytest.mark.parametrize("status", [None, 500, 503])
async def test_500_callers_of_a_dead_server_make_500_requests_and_a_few(
    status: int | None,
) -> None:
    service = Service(status)
    async with opened(service) as kling:
        assert await listed(kling, 500) == 500
        assert service.arrived == 510  # 2,500 without a budget
        assert kling.stats["ada@example.com"].retry_budget == 0
        assert await listed(kling, 500) == 500
        assert service.arrived == 1010


async def test_successes_earn_retries_back() -> None:
    service = Service(500)
    async with opened(service) as kling:
        await listed(kling, 500)
        service.status = 200
        assert await listed(kling, 25) == 0
        assert kling.stats["ada@example.com"].retry_budget == 25
        service.status, service.arrived = 500, 0
        await listed(kling, 10)
        assert service.arrived == 12


async def test_attempts_is_the_upper_bound_of_each_call() -> None:
    service = Service(500)
    async with opened(service, retry=RetryPolicy(attempts=3)) as kling:
        await listed(kling, 1)
        assert service.arrived == 3
        assert kling.stats["ada@example.com"].retry_budget == 80


async def test_the_last_attempt_pays_for_no_further_one() -> None:
    service = Service(500)
    async with opened(service, retry=RetryPolicy(attempts=1)) as kling:
        await listed(kling, 20)
        assert kling.stats["ada@example.com"].retry_budget == 100


async def test_without_the_budget_all_attempts_are_made() -> None:
    service = Service(500)
    async with opened(service, retry=RetryPolicy(budget=False)) as kling:
        await listed(kling, 50)
    assert service.arrived == 250


async def test_429_and_what_never_left_of_a_paid_request_are_free(emulator: Emulator) -> None:
    emulator.add_faults([Fault("avatars.list", "status", status=429, retry_after_s=1, times=4)])
    async with AsyncKlingClient(
        "user:1-a",
        base_url="http://127.0.0.1/v1/kling",
        transport=emulator.transport(),
        rate_limit=None,
    ) as kling:
        await kling.avatars.list()
        assert [one.retry_budget for one in kling.stats] == [100]
        emulator.add_faults([Fault("avatars.create", "refuse_connection", times=4)])
        await kling.avatars.create(image_url="https://x.y/a.png")
        assert [one.retry_budget for one in kling.stats] == [100]
        emulator.add_faults([Fault("avatars.list", "status", status=429, retry_after_s=1)])
        with pytest.raises(RateLimitedError):
            await kling.avatars.list()
        assert [one.retry_budget for one in kling.stats] == [100]


def test_it_is_never_overdrawn_and_never_overfull() -> None:
    throttle = Throttle(LoopClock())
    assert [throttle.afford_retry() for _ in range(12)] == [True] * 10 + [False] * 2
    for _ in range(9):
        throttle.earn()
    assert not throttle.afford_retry()
    throttle.earn()
    assert throttle.afford_retry()
    for _ in range(500):
        throttle.earn()
    assert throttle.retry_budget == 100

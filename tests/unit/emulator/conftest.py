"""Two ways to the same emulator: in-process and over a socket. Plain httpx, not our client."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx
import pytest

from kling_async.emulator import Emulator

AUTH = {"Authorization": "Bearer user:12345-abcdef"}

Connect = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@asynccontextmanager
async def _in_process(
    emulator: Emulator, *, headers: dict[str, str] = AUTH, timeout: float | httpx.Timeout = 5
) -> AsyncGenerator[httpx.AsyncClient, None]:
    async with httpx.AsyncClient(
        transport=emulator.transport(),
        base_url="http://emulator.local/v1/kling",
        headers=headers,
        timeout=timeout,
    ) as client:
        yield client


@asynccontextmanager
async def _over_socket(
    emulator: Emulator, *, headers: dict[str, str] = AUTH, timeout: float | httpx.Timeout = 5
) -> AsyncGenerator[httpx.AsyncClient, None]:
    async with (
        emulator.serve() as base_url,
        httpx.AsyncClient(
            base_url=base_url, headers=headers, timeout=timeout, trust_env=False, verify=False
        ) as client,
    ):
        yield client


@pytest.fixture(params=[_in_process, _over_socket], ids=["in-process", "socket"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """`async with connect(emulator) as client:`, both ways."""
    return request.param


@pytest.fixture
def in_process() -> Connect:
    return _in_process


@pytest.fixture
def over_socket() -> Connect:
    return _over_socket

"""Clients on a server of tasks; see `task_server`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from task_server import Server

from kling_async import AsyncKlingClient


@pytest.fixture
async def server() -> Server:
    return Server()


@pytest.fixture
async def connect(open_client: Any, server: Server) -> Callable[..., Awaitable[AsyncKlingClient]]:
    async def connected(**options: Any) -> AsyncKlingClient:
        client: AsyncKlingClient = await open_client(
            transport=httpx.MockTransport(server), **options
        )
        return client

    return connected

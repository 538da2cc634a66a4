"""The same small POST through each client: ours, those below ours, and two SDKs of others.

Each is a function that opens its client on an async exit stack and returns what makes one request.
SDKs that are not installed are left out, and `missing` says why.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
from load import Act

from kling_async import AsyncKlingClient

IMAGE = "https://example.com/portraits/ada.png"
FIELDS = {"imageUrl": IMAGE, "nickname": "Ada"}
TOKEN = "user:1-benchmark"
PATIENCE_S = 300.0

Open = Callable[[AsyncExitStack, str, int], Awaitable[Act]]


def missing(*packages: str) -> str | None:
    """Which of these packages is not installed; None if all are."""
    absent = [one for one in packages if importlib.util.find_spec(one) is None]
    return f"{', '.join(absent)} not installed" if absent else None


async def kling(stack: AsyncExitStack, base: str, in_flight: int, transport: str) -> Act:
    """`kling.avatars.create`, rate limit off."""
    client = await stack.enter_async_context(
        AsyncKlingClient(
            TOKEN, base_url=base, rate_limit=None, transport=transport, timeout=PATIENCE_S
        )
    )
    return lambda: client.avatars.create(image_url=IMAGE, nickname="Ada")


async def kling_aiohttp(stack: AsyncExitStack, base: str, in_flight: int) -> Act:
    """Ours with the extra `speed`."""
    return await kling(stack, base, in_flight, "aiohttp")


async def kling_httpx(stack: AsyncExitStack, base: str, in_flight: int) -> Act:
    """Ours on httpx's own transport."""
    return await kling(stack, base, in_flight, "httpx")


def _posting(client: httpx.AsyncClient, base: str) -> Act:
    async def post() -> Any:
        return (await client.post(f"{base}/avatars", json=FIELDS)).json()

    return post


async def httpx_raised(stack: AsyncExitStack, base: str, in_flight: int) -> Act:
    """Bare httpx, its limits raised to what is in flight."""
    limits = httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    client = httpx.AsyncClient(limits=limits, timeout=PATIENCE_S)
    return _posting(await stack.enter_async_context(client), base)


async def httpx_default(stack: AsyncExitStack, base: str, in_flight: int) -> Act:
    """Bare httpx as it comes."""
    client = httpx.AsyncClient(timeout=PATIENCE_S)
    return _posting(await stack.enter_async_context(client), base)


async def bare_aiohttp(stack: AsyncExitStack, base: str, in_flight: int) -> Act:
    """aiohttp by itself, its limit raised to what is in flight."""
    import aiohttp

    session = await stack.enter_async_context(
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=in_flight))
    )

    async def post() -> Any:
        async with session.post(f"{base}/avatars", json=FIELDS) as answer:
            return await answer.json()

    return post


async def openai(stack: AsyncExitStack, base: str, in_flight: int) -> Act:
    """The openai SDK: its smallest typed POST."""
    from openai import AsyncOpenAI

    client = await stack.enter_async_context(
        AsyncOpenAI(api_key="none", base_url=base, timeout=PATIENCE_S)
    )
    return lambda: client.moderations.create(input=IMAGE)


async def openai_aiohttp(stack: AsyncExitStack, base: str, in_flight: int) -> Act:
    """The openai SDK with the aiohttp client it brings."""
    from openai import AsyncOpenAI, DefaultAioHttpClient

    inner = DefaultAioHttpClient(timeout=PATIENCE_S)
    client = await stack.enter_async_context(
        AsyncOpenAI(api_key="none", base_url=base, timeout=PATIENCE_S, http_client=inner)
    )
    return lambda: client.moderations.create(input=IMAGE)


async def anthropic(stack: AsyncExitStack, base: str, in_flight: int) -> Act:
    """The anthropic SDK: its smallest typed POST."""
    from anthropic import AsyncAnthropic

    client = await stack.enter_async_context(
        AsyncAnthropic(api_key="none", base_url=base, timeout=PATIENCE_S)
    )
    said: Any = [{"role": "user", "content": IMAGE}]
    return lambda: client.messages.count_tokens(model="claude-sonnet-4-5", messages=said)

"""Does each request have a connection of its own, and is none kept that nobody needs?"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from kling_async import AsyncKlingClient, ConfigurationError, NotSentError, RetryPolicy
from kling_async._transport.pools import PoolsOfOne
from kling_async.emulator import Emulator

EXPIRY_S = 5.0
IMAGE = "https://example.com/ada.png"

Open = Callable[..., Awaitable[AsyncKlingClient]]


class Pool(httpx.AsyncBaseTransport):
    """Stands for one of httpx's own; takes `takes_s` for its answer."""

    def __init__(self, kept: list[Pool]) -> None:
        kept.append(self)
        self.takes_s = 1.0
        self.error: Exception | None = None
        self.close_takes_s = 0.0
        self.close_error: Exception | None = None
        self.body_close_error: Exception | None = None
        self.requests = 0
        self.busy = False
        self.closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert not self.busy
        assert not self.closed
        self.requests += 1
        self.busy = True
        await asyncio.sleep(self.takes_s)
        if self.error is not None:
            self.busy = False
            raise self.error
        return httpx.Response(200, stream=Body(self))

    async def aclose(self) -> None:
        await asyncio.sleep(self.close_takes_s)
        self.closed = True
        if self.close_error is not None:
            raise self.close_error


class Body(httpx.AsyncByteStream):
    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"so "
        yield b"be it"

    async def aclose(self) -> None:
        if self.pool.body_close_error is not None:
            raise self.pool.body_close_error
        self.pool.busy = False


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Pool]:
    """All pools that were made, in order."""
    pools: list[Pool] = []
    monkeypatch.setattr(httpx, "AsyncHTTPTransport", lambda **_: Pool(pools))
    return pools


@pytest.fixture
async def client(made: list[Pool]) -> AsyncIterator[httpx.AsyncClient]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    async with httpx.AsyncClient(transport=PoolsOfOne(context, EXPIRY_S)) as opened:
        yield opened


async def ask(client: httpx.AsyncClient, times: int = 1) -> None:
    """So many requests at once."""
    for answer in await asyncio.gather(*(client.get("http://x.y/") for _ in range(times))):
        assert answer.text == "so be it"


@pytest.mark.looptime
class TestPools:
    async def test_one_for_each_request_under_way(
        self, client: httpx.AsyncClient, made: list[Pool]
    ) -> None:
        await ask(client, 7)
        assert [one.requests for one in made] == [1] * 7
        await ask(client, 5)
        assert len(made) == 7

    async def test_one_after_the_other_takes_the_same(
        self, client: httpx.AsyncClient, made: list[Pool]
    ) -> None:
        for _ in range(5):
            await ask(client)
        assert [one.requests for one in made] == [5]

    async def test_it_is_taken_until_the_body_is_read(
        self, client: httpx.AsyncClient, made: list[Pool]
    ) -> None:
        async with client.stream("GET", "http://x.y/") as first:
            await ask(client)
            assert await first.aread() == b"so be it"
        assert [one.requests for one in made] == [1, 1]
        await ask(client)
        assert [one.requests for one in made] == [2, 1]  # the one that was left last

    async def test_a_body_is_closed_once(self, client: httpx.AsyncClient, made: list[Pool]) -> None:
        answer = await client.send(client.build_request("GET", "http://x.y/"), stream=True)
        await answer.aclose()
        stream: Any = answer.stream
        await stream.aclose()
        await ask(client, 2)
        assert len(made) == 2  # a pool that was free twice would have been taken twice

    async def test_what_is_not_needed_for_long_is_closed(
        self, client: httpx.AsyncClient, made: list[Pool]
    ) -> None:
        await ask(client, 3)
        for _ in range(4):
            await ask(client)
        assert [one.closed for one in made] == [False] * 3  # idle for 4 s
        await ask(client)
        await ask(client)
        assert sorted(one.closed for one in made) == [False, True, True]
        transport: Any = client._transport
        assert len(transport._pools) == 1  # and forgotten
        await ask(client, 3)
        assert len(made) == 5

    async def test_others_go_on_while_what_is_not_needed_is_closed(
        self, client: httpx.AsyncClient, made: list[Pool]
    ) -> None:
        # An error here would make an answer that came into one that was lost.
        await ask(client, 2)
        for one in made:
            one.close_takes_s = 3
        await asyncio.sleep(10)
        first = asyncio.create_task(ask(client))  # leaves its pool after 1 s, and closes the other
        await asyncio.sleep(3.5)
        second = asyncio.create_task(ask(client))  # takes the only free one meanwhile
        await asyncio.gather(first, second)
        assert sorted(one.closed for one in made) == [False, True]
        await ask(client, 2)
        assert len(made) == 3
        for one in made:
            one.close_takes_s = 0  # the client closes in real time

    async def test_what_breaks_while_it_is_closed_is_closed(
        self, client: httpx.AsyncClient, made: list[Pool]
    ) -> None:
        await ask(client, 3)
        for one in made:
            one.close_error = OSError("gone already")
        await asyncio.sleep(10)
        await ask(client)  # is answered, whatever becomes of the others
        assert [one.closed for one in made].count(True) == 2

    async def test_a_pool_whose_body_does_not_close_is_not_taken_again(
        self, client: httpx.AsyncClient, made: list[Pool]
    ) -> None:
        # httpcore would hold its only place for ever.
        await ask(client)
        made[0].body_close_error = OSError("broken")
        await ask(client)  # all of the answer was there
        assert made[0].closed
        await ask(client)
        assert [one.requests for one in made] == [2, 1]

    async def test_an_error_leaves_it_free(
        self, client: httpx.AsyncClient, made: list[Pool]
    ) -> None:
        await ask(client)
        made[0].error = httpx.ReadError("gone")
        with pytest.raises(httpx.ReadError):
            await client.get("http://x.y/")
        made[0].error = None
        await ask(client)
        assert [one.requests for one in made] == [3]

    async def test_one_that_was_cancelled_is_not_taken_again(
        self, client: httpx.AsyncClient, made: list[Pool]
    ) -> None:
        call = asyncio.create_task(client.get("http://x.y/"))
        await asyncio.sleep(0.5)
        call.cancel()
        await asyncio.wait({call})
        assert call.cancelled()
        assert [one.closed for one in made] == [True]
        await ask(client)
        assert len(made) == 2

    async def test_closing_closes_all(self, made: list[Pool]) -> None:
        pools = PoolsOfOne(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), EXPIRY_S)
        async with httpx.AsyncClient(transport=pools) as opened:
            await ask(opened, 3)
            left_open = asyncio.create_task(ask(opened))
            await asyncio.sleep(0.5)
        assert [one.closed for one in made] == [True] * 3
        left_open.cancel()
        await asyncio.wait({left_open})


# --- on sockets -------------------------------------------------------------------------------


async def test_a_hundred_creates_keep_their_connections(
    emulator: Emulator, open_client: Open
) -> None:
    emulator.latency_s = 0.01
    async with emulator.serve() as base_url:
        kling = await open_client(base_url=base_url, transport="httpx", rate_limit=None)
        for _ in range(3):
            await asyncio.gather(*(kling.avatars.create(image_url=IMAGE) for _ in range(100)))
        assert kling._wire._client is not None
        pools = kling._wire._client._transport
        assert isinstance(pools, PoolsOfOne)
        held = [pool._pool.connections for pool, _ in pools._free]
        assert len(held) == 100
        assert all(len(one) == 1 and one[0].is_idle() for one in held)
        await kling.aclose()
    assert len(emulator.avatars) == 300


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[bytes]]:
    """What a proxy of the environment's is asked; it refuses all."""
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
        writer.write(b"HTTP/1.1 502 no\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://user:secret@127.0.0.1:{port}")
        yield asked


@pytest.mark.parametrize("transport", [None, "httpx"])
async def test_a_proxy_is_gone_through(
    open_client: Open, proxy: list[bytes], transport: str | None
) -> None:
    once = RetryPolicy(attempts=1)
    kling = await open_client(base_url="https://kling.test/v1", transport=transport, retry=once)
    with pytest.raises(NotSentError) as caught:
        await kling.avatars.list()
    assert "secret" not in str(caught.value)
    assert proxy == [b"CONNECT kling.test:443 HTTP/1.1"]


@pytest.mark.parametrize("transport", [None, "httpx", "aiohttp"])
async def test_no_call_to_this_machine_goes_to_a_proxy(
    emulator: Emulator, open_client: Open, proxy: list[bytes], transport: str | None
) -> None:
    """The proxy would see the token."""
    async with emulator.serve() as base_url:
        kling = await open_client(base_url=base_url, transport=transport)
        assert await kling.avatars.list() == []
        await kling.aclose()
    assert proxy == []


async def test_aiohttp_says_that_it_goes_through_no_proxy(
    open_client: Open, proxy: list[bytes]
) -> None:
    with pytest.raises(ConfigurationError, match=r"goes through no proxy.*kling\.test"):
        await open_client(base_url="https://kling.test/v1", transport="aiohttp")
    assert proxy == []


async def test_a_proxy_that_can_not_be_used_is_named_before_anything_is_sent(
    open_client: Open, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "ftp://proxy")
    kling = await open_client(base_url="http://127.0.0.1:9/v1/kling", transport=None)
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY names a proxy"):
        await kling.assets.download("https://kling.test/a.mp4", "a.mp4")
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY names a proxy"):
        await open_client(base_url="https://kling.test/v1", transport="httpx")


async def test_a_port_where_nobody_listens_says_so_again_and_again(open_client: Open) -> None:
    kling = await open_client(
        base_url="http://127.0.0.1:9/v1/kling", transport="httpx", retry=RetryPolicy(attempts=1)
    )
    for _ in range(3):
        with pytest.raises(NotSentError, match="nothing was sent"):
            await kling.avatars.create(image_url=IMAGE)
    assert kling._wire._client is not None
    pools = kling._wire._client._transport
    assert isinstance(pools, PoolsOfOne)
    assert len(pools._free) == len(pools._pools) == 1

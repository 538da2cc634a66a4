"""What may an answer be at most, and what of it is blanked? Over sockets, on both transports."""

from __future__ import annotations

import asyncio
import gzip
import html
import json
import traceback
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import pytest

from kling_async import (
    AsyncKlingClient,
    BadRequestError,
    OutcomeUnknownError,
    RetryPolicy,
    UnexpectedResponseError,
    settings,
)

Open = Callable[..., Awaitable[AsyncKlingClient]]
TOKEN = "user:12345-abcdefghi"
ONCE = RetryPolicy(attempts=1, reconcile_within_s=0)
IMAGE = "https://x.y/a.png"
MADE = b'{"id": "300000000000001", "status": "SUCCESS"}'


@pytest.fixture(params=["httpx", "aiohttp"])
def transport(request: pytest.FixtureRequest) -> str:
    if request.param == "aiohttp":
        pytest.importorskip("httpx_aiohttp")
    return str(request.param)


def answered(content: bytes, *lines: str, status: str = "200 OK") -> Any:
    """Answers each request with this."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", *lines]

    async def react(writer: asyncio.StreamWriter, _: bytes) -> None:
        writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + content)
        await writer.drain()

    return react


@pytest.mark.parametrize("how", ["plain", "gzip"])
async def test_a_huge_answer_is_not_read_to_its_end(
    open_client: Open, raw_server: Callable[..., Any], transport: str, how: str
) -> None:
    """A megabyte of gzip may stand for a gigabyte; one of 300 MB shows it as well."""
    if how == "gzip":
        react = answered(gzip.compress(bytes(300 * 2**20), 1), "Content-Encoding: gzip")
    else:

        async def react(writer: asyncio.StreamWriter, _: bytes) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 314572800\r\n\r\n")
            for _ in range(300):
                writer.write(bytes(2**20))
                await writer.drain()

    async with raw_server(react) as server:
        kling = await open_client(base_url=server.base_url, transport=transport, retry=ONCE)
        tracemalloc.start()
        try:
            with pytest.raises(UnexpectedResponseError, match="larger than 16 MiB"):
                await kling.avatars.list()
            assert tracemalloc.get_traced_memory()[1] < 150 * 2**20
            with pytest.raises(OutcomeUnknownError, match="larger than 16 MiB"):
                await kling.avatars.create(image_url=IMAGE)
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("gzipped", [False, True])
async def test_an_answer_of_just_so_many_bytes_is_read(
    open_client: Open, raw_server: Callable[..., Any], transport: str, gzipped: bool
) -> None:
    content = b"[]".ljust(settings.MOST_ANSWER_BYTES)
    lines = []
    if gzipped:
        content, lines = gzip.compress(content), ["Content-Encoding: gzip"]
    async with raw_server(answered(content, *lines)) as server:
        kling = await open_client(base_url=server.base_url, transport=transport, retry=ONCE)
        assert await kling.avatars.list() == []


@pytest.mark.parametrize("header_bytes", [8_191, 30_000, 60_000])
async def test_headers_of_a_proxy_lose_no_answer(
    open_client: Open, raw_server: Callable[..., Any], transport: str, header_bytes: int
) -> None:
    async with raw_server(answered(MADE, "Set-Cookie: " + "x" * header_bytes)) as server:
        kling = await open_client(base_url=server.base_url, transport=transport, retry=ONCE)
        assert (await kling.avatars.create(image_url=IMAGE)).id == "300000000000001"


async def test_a_trickle_is_left_in_the_end(
    open_client: Open,
    raw_server: Callable[..., Any],
    transport: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settings, "EXCHANGE_WITHIN_S", 0.3)

    async def trickle(writer: asyncio.StreamWriter, _: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not writer.transport.is_closing():
            writer.write(b" ")
            await asyncio.sleep(0.01)

    async with raw_server(trickle) as server:
        kling = await open_client(
            base_url=server.base_url, transport=transport, retry=ONCE, timeout=0.1
        )
        async with asyncio.timeout(60):
            with pytest.raises(OutcomeUnknownError, match=r"no whole answer came within 0\.\d s"):
                await kling.avatars.create(image_url=IMAGE)
            with pytest.raises(OutcomeUnknownError, match="no whole answer"):
                await kling.avatars.list()


@pytest.mark.parametrize("path", ["/a%2Fb%20c.mp4?s=%2B%7e&t=a+b", "/%e4%bd%a0.mp4?%41=%2f"])
async def test_addresses_go_out_byte_for_byte(
    open_client: Open, raw_server: Callable[..., Any], transport: str, path: str, tmp_path: Any
) -> None:
    """A signature covers them as they were given."""
    film = b"\0\0\0\x18ftypisom" + bytes(100)
    async with raw_server(answered(film)) as server:
        kling = await open_client(base_url=server.base_url, transport=transport, retry=ONCE)
        await kling.assets.download(f"http://127.0.0.1:{server.port}{path}", tmp_path / "a.mp4")
        assert server.requests[0].split(b"\r\n")[0] == f"GET {path} HTTP/1.1".encode()


@pytest.mark.parametrize("body", [
    json.dumps({"error": f"bad Authorization: Bearer {TOKEN}"}),
    json.dumps({"error": {"message": TOKEN, "status": "x"}, "headers": {"authorization": [TOKEN]}}),
    json.dumps({TOKEN: "abc", "error": "x"}).replace(":1", "\\u003a1"),
    f"<html>{html.escape('Bearer ' + TOKEN).replace(':', '&#58;')}</html>",
    f"no: token={quote(TOKEN, safe='')}", "12345-abcdefghi is not known",
])  # fmt: skip
async def test_a_token_that_comes_back_is_blanked(
    open_client: Open, raw_server: Callable[..., Any], transport: str, body: str
) -> None:
    async with raw_server(answered(body.encode(), status="400 Bad Request")) as server:
        kling = await open_client(base_url=server.base_url, transport=transport, retry=ONCE)
        with pytest.raises(BadRequestError) as caught:
            await kling.avatars.create(image_url=IMAGE)
    error = caught.value
    for shown in (str(error), repr(error), error.message, json.dumps(error.body), str(vars(error))):
        assert "abcdefghi" not in shown
    assert "***" in json.dumps(error.body)


@pytest.mark.parametrize("head", [
    f"HTTP/1.1 200 OK\r\nBad header: {TOKEN}", f"HTTP/1.1 {TOKEN}", f"Bearer {TOKEN} \x1b[2J",
    f"HTTP/1.1 200 OK\r\nContent-Length: {TOKEN}", f"HTTP/1.1 200 OK\r\nAuthorization\0: {TOKEN}",
])  # fmt: skip
async def test_a_token_in_a_head_that_is_none_is_blanked(
    open_client: Open, raw_server: Callable[..., Any], transport: str, head: str
) -> None:
    """The libraries quote a head that they can't read."""

    async def react(writer: asyncio.StreamWriter, _: bytes) -> None:
        writer.write(head.encode() + b"\r\n\r\n")
        writer.close()

    async with raw_server(react) as server:
        kling = await open_client(base_url=server.base_url, transport=transport, retry=ONCE)
        with pytest.raises(OutcomeUnknownError) as caught:
            await kling.avatars.create(image_url=IMAGE)
    shown = "".join(traceback.format_exception(caught.value))
    link: BaseException | None = caught.value
    while link is not None:
        shown += f"{link!r} {vars(link)}"
        link = link.__cause__ or link.__context__
    assert "abcdefghi" not in shown
    assert "\x1b" not in str(caught.value)


async def test_what_is_left_behind_ends_with_its_time(
    open_client: Open, raw_server: Callable[..., Any], transport: str, monkeypatch: Any
) -> None:
    """Its caller was cancelled; nobody waits for it, and it holds no connection for ever."""
    monkeypatch.setattr(settings, "EXCHANGE_WITHIN_S", 0.2)

    async def silent(writer: asyncio.StreamWriter, _: bytes) -> None:
        while not writer.transport.is_closing():
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await asyncio.sleep(0.01)

    async with raw_server(silent) as server:
        kling = await open_client(
            base_url=server.base_url, transport=transport, retry=ONCE, timeout=0.1
        )
        create = asyncio.create_task(kling.avatars.create(image_url=IMAGE))
        while not server.requests:
            await asyncio.sleep(0.01)
        create.cancel()
        with pytest.raises(asyncio.CancelledError):
            await create
        async with asyncio.timeout(60):
            while kling._wire._under_way:
                await asyncio.sleep(0.01)

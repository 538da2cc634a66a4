"""What is known after trouble on a real socket: never sent, or perhaps carried out?

Both transports must come to the same verdict, whatever their exceptions are called. Answers that
are lost are not looked for here (`reconcile_within_s=0`).
"""

from __future__ import annotations

import asyncio
import gc
import re
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from kling_async import AsyncKlingClient, KlingError, RetryPolicy, errors
from kling_async.emulator import Emulator, Fault, sample_png

URL = "https://x.y/a.png"
ONCE_MORE = RetryPolicy(attempts=3, reconcile_within_s=0)
UNKNOWN, UNEXPECTED = "OutcomeUnknownError", "UnexpectedResponseError"
CUT = f"{UNKNOWN} or {UNEXPECTED}"  # aiohttp minds bytes behind the body, httpx does not

Open = Callable[..., Awaitable[AsyncKlingClient]]
Act = Callable[[AsyncKlingClient], Awaitable[Any]]

CREATE: Act = lambda kling: kling.avatars.create(image_url=URL)  # noqa: E731
LIST: Act = lambda kling: kling.avatars.list()  # noqa: E731


@pytest.fixture(params=["httpx", "aiohttp"])
def transport(request: pytest.FixtureRequest) -> str:
    if request.param == "aiohttp":
        pytest.importorskip("httpx_aiohttp")
    return request.param


@pytest.fixture
def connect(open_client: Open, transport: str, no_waiting: Any) -> Open:
    """`await connect(base_url)`: a client over a real socket that never waits between attempts."""

    async def connected(base_url: str, **options: Any) -> AsyncKlingClient:
        given = {
            "base_url": base_url,
            "transport": transport,
            "clock": no_waiting,
            "retry": ONCE_MORE,
            "timeout": httpx.Timeout(5),
        }
        return await open_client(**{**given, **options})

    return connected


async def error_of(call: Awaitable[Any]) -> KlingError:
    with pytest.raises(KlingError) as caught:
        await call
    assert caught.value.context is not None
    return caught.value


# --- never sent -------------------------------------------------------------------------------


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.mark.parametrize("act", [CREATE, LIST], ids=["create", "list"])
async def test_a_closed_port_is_never_sent(connect: Open, closed_port: int, act: Act) -> None:
    kling = await connect(f"http://127.0.0.1:{closed_port}/v1/kling")
    error = await error_of(act(kling))
    assert type(error) is errors.NotSentError
    assert error.context is not None
    assert error.context.attempts == 3  # nothing was sent, so even a create goes again
    assert error.__cause__ is not None


@pytest.mark.parametrize("act", [CREATE, LIST], ids=["create", "list"])
async def test_an_unknown_host_is_never_sent(connect: Open, act: Act) -> None:
    kling = await connect("https://nowhere.invalid/v1/kling")
    assert type(await error_of(act(kling))) is errors.NotSentError


async def test_tls_to_a_plain_port_is_never_sent(connect: Open) -> None:
    # Whatever arrives is no request: a TLS greeting at most.
    came: list[bytes] = []

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.read(1000))
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        kling = await connect(f"https://127.0.0.1:{port}/v1/kling")
        error = await error_of(CREATE(kling))
        await asyncio.sleep(0)
    assert type(error) is errors.NotSentError
    assert len(came) == 3
    assert not any(b"POST" in one or b"Bearer" in one for one in came)


async def test_a_full_pool_is_never_sent(connect: Open, raw_server: Any) -> None:
    async def silent(writer: asyncio.StreamWriter, request: bytes) -> None:
        await asyncio.sleep(60)

    timeout = httpx.Timeout(5, read=0.4, pool=0.1)
    client = httpx.AsyncClient(limits=httpx.Limits(max_connections=1), trust_env=False)
    async with client, raw_server(silent) as server:
        kling = await connect(server.base_url, transport=None, http_client=client, timeout=timeout)
        once = kling.with_options(retry=RetryPolicy(attempts=1, reconcile_within_s=0))
        first = asyncio.create_task(error_of(CREATE(once)))
        await asyncio.sleep(0.05)
        assert type(await error_of(CREATE(once))) is errors.NotSentError
        assert type(await first) is errors.OutcomeUnknownError
    assert len(server.requests) == 1


# --- lost answers -----------------------------------------------------------------------------


def reset(writer: asyncio.StreamWriter) -> None:
    """RST instead of FIN."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def answering(content: bytes, *, then: str = "close") -> Callable[..., Awaitable[None]]:
    async def react(writer: asyncio.StreamWriter, request: bytes) -> None:
        writer.write(content)
        await writer.drain()
        if then == "reset":
            reset(writer)
        elif then == "close":
            writer.close()
        elif then == "stall":
            await asyncio.sleep(60)

    return react


DONE = b'{"id":"300137233318846","status":"SUCCESS"}'


def whole(body: bytes, length: int | None = None, status: bytes = b"200 OK") -> bytes:
    size = len(body) if length is None else length
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, size, body)


# name -> what the server does, how a create ends, how a list ends
RAW: dict[str, tuple[Callable[..., Awaitable[None]], str, str]] = {
    "reset without reply": (answering(b"", then="reset"), UNKNOWN, UNKNOWN),
    "hang-up without reply": (answering(b""), UNKNOWN, UNKNOWN),
    "silence": (answering(b"", then="stall"), UNKNOWN, UNKNOWN),
    "half a status line": (answering(b"HTTP/1.1 20"), UNKNOWN, UNKNOWN),
    "half a head, reset": (
        answering(b"HTTP/1.1 200 OK\r\nContent-", then="reset"), UNKNOWN, UNKNOWN),
    "head, then silence": (
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", then="stall"), UNKNOWN, UNKNOWN),
    "truncated body": (answering(whole(DONE[:20], len(DONE))), UNKNOWN, UNKNOWN),
    "truncated body, reset": (
        answering(whole(DONE[:20], len(DONE)), then="reset"), UNKNOWN, UNKNOWN),
    "length too small": (answering(whole(DONE, 20)), UNKNOWN, CUT),
    "length is nonsense": (
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n" + DONE), UNKNOWN, UNKNOWN),
    "broken chunks": (
        answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + DONE),
        UNKNOWN, UNKNOWN),
    # aiohttp 3.14 tells nobody of it who is reading already: its reader waits for ever.
    "broken chunks after much of the body": (
        answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n493e0\r\n"
                  + b" " * 300_000 + b"no end\r\n"),
        UNKNOWN, UNKNOWN),
    "garbage": (answering(b"\x15\x03\x01\x00\x02\x02\x28 not HTTP\r\n\r\n"), UNKNOWN, UNKNOWN),
    "garbage status": (answering(b"HTTP/1.1 SOON Later\r\n\r\n"), UNKNOWN, UNKNOWN),
    "another protocol": (answering(b"SSH-2.0-OpenSSH_9.6\r\n"), UNKNOWN, UNKNOWN),
    "200 HTML": (answering(whole(b"<html>Welcome</html>")), UNKNOWN, UNEXPECTED),
    "200 empty": (answering(whole(b"")), UNKNOWN, UNEXPECTED),
    "500": (answering(whole(b"{}", status=b"500 X")), UNKNOWN, "ServerError"),
    "502 HTML": (answering(whole(b"<html>", status=b"502 X")), UNKNOWN, "ServerError"),
    "409": (answering(whole(b"{}", status=b"409 X")), UNKNOWN, "APIError"),
    "429": (
        answering(whole(b"{}", status=b"429 X")), "RateLimitedError", "RateLimitedError"),
    "400": (answering(whole(b"{}", status=b"400 X")), "BadRequestError", "BadRequestError"),
    "422": (
        answering(whole(b"{}", status=b"422 X")), "ContentModeratedError", "ContentModeratedError"),
    "596": (answering(whole(b"{}", status=b"596 X")), UNKNOWN, "AccountBrokenError"),
    "307": (
        answering(b"HTTP/1.1 307 X\r\nLocation: /v1/kling/avatars\r\nContent-Length: 0\r\n\r\n"),
        UNKNOWN, "APIError"),
}  # fmt: skip
SILENT = {"silence": 0.1, "head, then silence": 0.1, "stall": 0.1}  # read timeouts, in seconds
REPEATED = {UNKNOWN, UNEXPECTED, CUT, "ServerError", "RateLimitedError"}


@pytest.mark.parametrize("name", RAW)
async def test_a_create_is_sent_once(name: str, connect: Open, raw_server: Any) -> None:
    react, ending, _ = RAW[name]
    async with raw_server(react) as server:
        kling = await connect(server.base_url, timeout=httpx.Timeout(5, read=SILENT.get(name, 5)))
        error = await error_of(CREATE(kling))
    assert type(error).__name__ == ending
    assert len(server.requests) == (3 if ending == "RateLimitedError" else 1)
    assert error.context is not None
    assert error.context.attempts == len(server.requests)


@pytest.mark.parametrize("name", RAW)
async def test_a_list_is_sent_again(name: str, connect: Open, raw_server: Any) -> None:
    # aiohttp by itself would resend GET and DELETE behind our back, and double these numbers.
    react, _, ending = RAW[name]
    async with raw_server(react) as server:
        kling = await connect(server.base_url, timeout=httpx.Timeout(5, read=SILENT.get(name, 5)))
        error = await error_of(LIST(kling))
    assert type(error).__name__ in ending
    assert len(server.requests) == (3 if ending in REPEATED or name == "409" else 1)


async def test_reset_on_accept_is_not_called_never_sent(connect: Open, raw_server: Any) -> None:
    # The connection came about and writing began; that nobody read is more than we can know.
    async def slam(writer: asyncio.StreamWriter, request: bytes) -> None:
        reset(writer)

    async with raw_server(slam, read=False) as server:
        error = await error_of(CREATE(await connect(server.base_url)))
    assert type(error) is errors.OutcomeUnknownError
    assert server.connections == 1


async def test_a_garbage_answer_is_not_presented_as_a_400(connect: Open, raw_server: Any) -> None:
    async with raw_server(answering(b"*** this is no HTTP ***\r\n\r\n")) as server:
        error = await error_of(CREATE(await connect(server.base_url)))
    assert not isinstance(error, errors.APIError)
    assert error.__cause__ is not None


async def test_a_token_in_half_a_head_is_blanked(connect: Open, raw_server: Any) -> None:
    async def echo(writer: asyncio.StreamWriter, request: bytes) -> None:
        (token,) = re.findall(rb"(?i)authorization: Bearer ([^\r]+)", request)
        writer.write(b"HTTP/1.1 200 OK\r\nEcho: " + token + b"\r\nX: y")
        await writer.drain()
        writer.close()

    async with raw_server(echo) as server:
        kling = await connect(server.base_url)
        error = await error_of(CREATE(kling))
    (token,) = re.findall(rb"(?i)authorization: Bearer ([^\r]+)", server.requests[0])
    link: BaseException | None = error
    while link is not None:
        assert token.decode() not in f"{link!r} {link} {vars(link)}"
        link = link.__cause__ or link.__context__


async def test_a_stale_connection_is_doubt_for_a_create(connect: Open, raw_server: Any) -> None:
    # The server answers the first request and closes its side without a word, as idle ones do.
    async def once(writer: asyncio.StreamWriter, request: bytes) -> None:
        writer.write(whole(b"[]"))
        await writer.drain()
        if b"POST" in request:
            reset(writer)

    async with raw_server(once) as server:
        kling = await connect(server.base_url)
        await kling.avatars.list()
        error = await error_of(CREATE(kling))
    assert type(error) is errors.OutcomeUnknownError
    assert [one.split(b" ")[0] for one in server.requests] == [b"GET", b"POST"]


# --- with the emulator behind it --------------------------------------------------------------

KINDS = ["reset_before", "reset_after", "close_without_reply", "stall", "truncated_body",
         "wrong_length", "bad_chunk", "invalid_json", "html_200", "garbage"]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
async def test_one_avatar_at_most(kind: str, connect: Open, emulator: Emulator) -> None:
    emulator.add_faults([Fault("avatars.create", kind)])
    async with emulator.serve() as base_url:
        kling = await connect(base_url, timeout=httpx.Timeout(5, read=SILENT.get(kind, 5)))
        error = await error_of(CREATE(kling))
    assert type(error) is errors.OutcomeUnknownError
    assert emulator.counts["avatars.create"] == 1
    assert len(emulator.avatars) == (0 if kind == "reset_before" else 1)


@pytest.mark.parametrize("kind", ["reset_after", "close_without_reply", "stall", "garbage"])
async def test_a_deletes_own_404_is_success(kind: str, connect: Open, emulator: Emulator) -> None:
    emulator.add_faults([Fault("avatars.delete", kind, at=1)])
    async with emulator.serve() as base_url:
        kling = await connect(base_url, timeout=httpx.Timeout(5, read=SILENT.get(kind, 5)))
        deleted = await kling.avatars.delete(await CREATE(kling))
    assert (deleted.meta.attempts, deleted.meta.status_code) == (2, 404)
    assert emulator.avatars == []


async def test_the_whole_way(connect: Open, emulator: Emulator) -> None:
    png = sample_png(7)
    async with emulator.serve() as base_url:
        kling = await connect(base_url)
        made = await kling.avatars.create(image=png, nickname="Ada ✓")
        found = await kling.avatars.get(made)
        await kling.avatars.delete(found)
    assert (found.id, found.nickname) == (made.id, "Ada ✓")
    assert [call.operation for call in emulator.calls] == [
        "assets.upload", "avatars.create", "avatars.list", "avatars.delete",
    ]  # fmt: skip
    assert emulator.calls[0].body == png[: 64 * 1024]


async def test_many_at_once_share_the_pool(connect: Open, emulator: Emulator) -> None:
    async with emulator.serve() as base_url:
        kling = await connect(base_url)
        made = await asyncio.gather(*(CREATE(kling) for _ in range(50)))
    assert len({one.id for one in made}) == len(emulator.avatars) == 50


# --- what a call leaves behind ------------------------------------------------------------------


class AtOnce(httpx.AsyncBaseTransport):
    """Has the answer ready."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=DONE)


async def test_a_call_leaves_nothing_to_the_garbage_collector(open_client: Open) -> None:
    # Response and stream of httpx hold each other: 35 objects a call, until somebody parts them.
    kling = await open_client(transport=AtOnce())
    await CREATE(kling)
    gc.collect()
    gc.disable()
    try:
        for _ in range(50):
            await CREATE(kling)
        assert gc.collect() < 50
    finally:
        gc.enable()


# --- cancellation -----------------------------------------------------------------------------


async def test_cancelled_callers_leave_the_pool_whole(connect: Open, raw_server: Any) -> None:
    gate = asyncio.Event()

    async def held(writer: asyncio.StreamWriter, request: bytes) -> None:
        await gate.wait()
        writer.write(whole(b"[]"))

    async with raw_server(held) as server:
        kling = await connect(server.base_url)
        tasks = [asyncio.create_task(LIST(kling)) for _ in range(60)]
        for number, task in enumerate(tasks):
            if number % 2:  # cancelled at every stage: not begun, connecting, sent
                task.cancel()
            for _ in range(number % 7):
                await asyncio.sleep(0)
        gate.set()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(one, asyncio.CancelledError) for one in ended) == 30
        assert [one for one in ended if one == []] == [[]] * 30
        assert await asyncio.gather(*(LIST(kling) for _ in range(120))) == [[]] * 120

"""Does a surplus answer on a kept connection ever become the answer to a later call?

A server that answers twice, as proxies do when they go wrong: the second answer names an avatar
that was never made. Over sockets, on both transports.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from kling_async import AsyncKlingClient, RetryPolicy
from kling_async._transport.silence import aiohttp_is_silent, httpcore_is_silent

IMAGE = "https://example.com/ada.png"
NEVER_MADE = 900_000
TRANSPORTS = pytest.mark.parametrize("transport", ["httpx", "aiohttp"])


def answer(avatar_id: int, status: str = "200 OK") -> bytes:
    body = b'{"id": "%d", "status": "SUCCESS"}' % avatar_id
    return b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
        status.encode(),
        len(body),
        body,
    )


class TwoAnswers:
    """Answers each request with an id of its own, and each `every`th once more.

    Args:
        how: when the surplus comes: "joined" in one packet with the answer, "at once" in the next
            one, "later" when nothing is under way any more, "half" of it later and never the rest,
            "timeout": a 408 later, and then the connection is closed.
    """

    def __init__(self, how: str, every: int = 3) -> None:
        self.how = how
        self.every = every
        self.made: list[int] = []
        self.later: list[tuple[asyncio.StreamWriter, bytes]] = []
        self._ids = itertools.count(1000)
        self._surplus = itertools.count(NEVER_MADE)

    async def __call__(self, writer: asyncio.StreamWriter, request: bytes) -> None:
        avatar_id = next(self._ids)
        self.made.append(avatar_id)
        own, surplus = answer(avatar_id), b""
        if len(self.made) % self.every == 0:
            surplus = answer(next(self._surplus))
        if surplus and self.how == "joined":
            own += surplus
        writer.write(own)
        if not surplus or self.how == "joined":
            return
        if self.how == "at once":
            await writer.drain()
            await asyncio.sleep(0)
            writer.write(surplus)
        else:
            self.later.append((writer, surplus))

    async def settled(self) -> None:
        """The surplus is out, and has had the time that loopback takes."""
        for writer, surplus in self.later:
            if self.how == "timeout":
                writer.write(answer(NEVER_MADE, "408 Request Timeout"))
                writer.close()
            else:
                writer.write(surplus[:40] if self.how == "half" else surplus)
            await asyncio.sleep(0)
        self.later.clear()


def opened(server: Any, transport: str, **options: Any) -> AsyncKlingClient:
    return AsyncKlingClient(
        "user:1-a",
        base_url=options.pop("base_url", server.base_url),
        transport=transport,
        rate_limit=None,
        retry=RetryPolicy(attempts=1, reconcile_within_s=0),
        **options,
    )


@TRANSPORTS
@pytest.mark.parametrize("how", ["joined", "at once", "later", "half", "timeout"])
async def test_each_call_has_its_own_answer(
    how: str, transport: str, raw_server: Callable[..., Any]
) -> None:
    """Whether the event loop has read what came before the next call, or only the kernel has."""
    react = TwoAnswers(how)
    async with raw_server(react) as server, opened(server, transport) as kling:
        for _ in range(200):
            made = await kling.avatars.create(image_url=IMAGE)
            assert made.id == str(react.made[-1])
            await react.settled()
            if len(react.made) % 2:
                for _ in range(5):
                    await asyncio.sleep(0)
    assert len(react.made) == 200
    assert server.connections <= 1 + 200 // react.every + 1


@pytest.mark.parametrize("how", ["joined", "at once", "later", "half", "timeout"])
@pytest.mark.parametrize("exempt", [True, False])
async def test_each_call_has_its_own_answer_behind_a_proxy(
    how: str, exempt: bool, raw_server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the environment, or where this host is exempt from it: httpx's own pools serve then."""
    react = TwoAnswers(how)
    async with raw_server(react) as server:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{9 if exempt else server.port}")
        if exempt:
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        base_url = server.base_url if exempt else "http://127.0.0.1:9/v1/kling"
        async with opened(server, "httpx", base_url=base_url) as kling:
            for _ in range(60):
                made = await kling.avatars.create(image_url=IMAGE)
                assert made.id == str(react.made[-1])
                await react.settled()
    assert len(react.made) == 60
    assert server.connections <= 1 + 60 // react.every + 1


@TRANSPORTS
async def test_many_at_once_have_their_own_answers(
    transport: str, raw_server: Callable[..., Any]
) -> None:
    react = TwoAnswers("later", every=2)
    async with raw_server(react) as server, opened(server, transport) as kling:
        for _ in range(20):
            made = await asyncio.gather(*(kling.avatars.create(image_url=IMAGE) for _ in range(10)))
            assert all(int(one.id) < NEVER_MADE for one in made)
            await react.settled()
    assert len(react.made) == 200


@TRANSPORTS
async def test_a_silent_connection_is_kept(
    transport: str, raw_server: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kling_async")
    react = TwoAnswers("later", every=1000)
    async with raw_server(react) as server, opened(server, transport) as kling:
        for _ in range(50):
            await kling.avatars.create(image_url=IMAGE)
            await asyncio.sleep(0)
        assert server.connections == 1
        assert caplog.text == ""
        react.every = 1
        await kling.avatars.create(image_url=IMAGE)
        await react.settled()
        await asyncio.sleep(0.02)
        react.every = 1000
        await kling.avatars.create(image_url=IMAGE)
        assert server.connections == 2


# --- each look by itself ----------------------------------------------------------------------


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def kept_by_aiohttp(ours: socket.socket, tls: Any = None) -> Any:
    transport = SimpleNamespace(get_extra_info=lambda _: ours, _ssl_protocol=tls)
    return SimpleNamespace(heard=False, should_close=False, transport=transport)


def kept_by_httpcore(ours: socket.socket) -> tuple[Any, Any, Any]:
    """The transport, the connection in it, and its stream below TLS."""
    layer = SimpleNamespace(_protocol=SimpleNamespace(read_queue=[], is_at_eof=False))
    secure = SimpleNamespace(
        transport_stream=layer,
        _read_bio=SimpleNamespace(pending=0),
        _ssl_object=SimpleNamespace(pending=lambda: 0),
    )
    connection = SimpleNamespace(
        _request_count=2,
        _h11_state=SimpleNamespace(trailing_data=(b"", False)),
        _network_stream=SimpleNamespace(_stream=secure, get_extra_info=lambda _: ours),
    )
    asked = SimpleNamespace(connection=connection, request=SimpleNamespace(extensions=ASKED))
    transport = SimpleNamespace(_pool=SimpleNamespace(_requests=[asked]))
    return transport, connection, secure


ASKED = {"of": "this request"}
Pair = tuple[socket.socket, socket.socket]


def test_what_only_the_kernel_has_is_seen(pair: Pair) -> None:
    ours, theirs = pair
    protocol, (transport, connection, _) = kept_by_aiohttp(ours), kept_by_httpcore(ours)
    assert aiohttp_is_silent(protocol)
    assert httpcore_is_silent(transport, ASKED)
    theirs.send(b"H")
    assert not aiohttp_is_silent(protocol)
    assert not httpcore_is_silent(transport, ASKED)
    connection._request_count = 1  # a fresh one: nothing was asked on it yet
    assert httpcore_is_silent(transport, ASKED)


def test_a_peer_that_is_gone_is_not_silent(pair: Pair) -> None:
    ours, theirs = pair
    theirs.close()
    assert not aiohttp_is_silent(kept_by_aiohttp(ours))
    assert not httpcore_is_silent(kept_by_httpcore(ours)[0], ASKED)


def test_each_buffer_of_aiohttp_counts(pair: Pair) -> None:
    protocol = kept_by_aiohttp(pair[0])
    for name in ("heard", "should_close"):
        setattr(protocol, name, True)
        assert not aiohttp_is_silent(protocol)
        setattr(protocol, name, False)
    for incoming, decrypted, silent in ((0, 0, True), (1, 0, False), (0, 1, False)):
        tls = SimpleNamespace(
            _incoming=SimpleNamespace(pending=incoming),
            _sslobj=SimpleNamespace(pending=lambda n=decrypted: n),
        )
        assert aiohttp_is_silent(kept_by_aiohttp(pair[0], tls)) is silent
    assert not aiohttp_is_silent(SimpleNamespace())  # an unknown version proves nothing


def test_each_buffer_of_httpcore_counts(pair: Pair) -> None:
    changes: list[Callable[[Any, Any], None]] = [
        lambda one, _: setattr(one._h11_state, "trailing_data", (b"H", False)),
        lambda one, _: setattr(one._h11_state, "trailing_data", (b"", True)),
        lambda _, tls: tls.transport_stream._protocol.read_queue.append(b"H"),
        lambda _, tls: setattr(tls.transport_stream._protocol, "is_at_eof", True),
        lambda _, tls: setattr(tls._read_bio, "pending", 1),
        lambda _, tls: setattr(tls._ssl_object, "pending", lambda: 1),
        lambda one, _: delattr(one, "_h11_state"),  # an unknown version proves nothing
    ]
    for change in changes:
        transport, connection, tls = kept_by_httpcore(pair[0])
        assert httpcore_is_silent(transport, ASKED)
        change(connection, tls)
        assert not httpcore_is_silent(transport, ASKED)


# --- over TLS ---------------------------------------------------------------------------------


@TRANSPORTS
@pytest.mark.parametrize("how", ["joined", "at once", "later", "half", "timeout"])
async def test_each_call_has_its_own_answer_over_tls(
    how: str,
    transport: str,
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
    raw_server: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs, ours = tls
    monkeypatch.setattr("httpx.create_ssl_context", lambda **_: ours)
    react = TwoAnswers(how)
    async with raw_server(react, ssl=theirs) as server:
        base_url = server.base_url.replace("http:", "https:").replace("127.0.0.1", "localhost")
        async with opened(server, transport, base_url=base_url) as kling:
            for _ in range(30):
                made = await kling.avatars.create(image_url=IMAGE)
                assert made.id == str(react.made[-1])
                await react.settled()
                await asyncio.sleep(0.001)
    assert len(react.made) == 30
    # Tickets for later sessions, which TLS 1.3 sends ahead, are no reason to part.
    assert server.connections <= 1 + 30 // react.every + 1


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context, and a client's that takes any certificate."""
    pem = tmp_path_factory.mktemp("tls") / "localhost.pem"
    pem.write_text(PEM)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(pem)
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ours.check_hostname, ours.verify_mode = False, ssl.CERT_NONE
    return theirs, ours


# Made for this file, and known to everybody: it protects nothing.
PEM = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgDQprVIZ78vS3n1EU
/RFOg95zZaigfPcjftxW8hm8vM6hRANCAARhhERek9FujTx1gGYIp5MHmxPTfJQB
GzCrcsR/JZpkhyF6sMVsU1DA9ZjEgTbE8RkXpwP9uxjAxjph0MF1ZRlR
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBlTCCATugAwIBAgIUVbJ1SQu8Qk2VDyaHVEDwv/SBSeYwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyODA3NDQxOVoYDzIxMjYxMTA0
MDc0NDE5WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARhhERek9FujTx1gGYIp5MHmxPTfJQBGzCrcsR/JZpkhyF6sMVsU1DA
9ZjEgTbE8RkXpwP9uxjAxjph0MF1ZRlRo2kwZzAdBgNVHQ4EFgQUDaNQylrtqL19
gFFZ21GZ25i+vM8wHwYDVR0jBBgwFoAUDaNQylrtqL19gFFZ21GZ25i+vM8wDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID
SAAwRQIgS9RzsUjBGJabmY5em2YcaNb0rnQ8AqdhdQ8qQnm7IpcCIQCZWwvMbC2h
VOTjN8yaP2Xswf1G9Zi6Hhip1wi8qPRFfg==
-----END CERTIFICATE-----
"""

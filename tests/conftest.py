"""One client, one emulator, a clean environment; servers that misbehave byte by byte.

A test module changes `emulator` or `kling_options` by a fixture of the same name, or opens clients
of its own with `open_client`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from ssl import SSLContext
from typing import Any

import pytest
from hypothesis import Phase, settings

from kling_async import AsyncKlingClient
from kling_async.emulator import Emulator

TOKEN = "user:12345-abcdefghi"
BASE_URL = "http://127.0.0.1/v1/kling"  # plain http: no time goes into a TLS context
_SETTINGS = ("USEAPI_TOKEN", "KLING_ACCOUNTS", "KLING_BASE_URL")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


def pytest_configure() -> None:
    # looptime asks for the current event loop before each test; where none was ever set, asyncio
    # makes one then, which nobody closes.
    asyncio.set_event_loop(None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell's background jobs are deaf to Ctrl-C, and so were the commands that tests start.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.register_profile("house", deadline=None)  # a busy machine is no failure
    # The same inputs each time, so that what survives does not hang on chance.
    few = {"max_examples": 50, "phases": (Phase.explicit, Phase.generate)}
    settings.register_profile("mutation", deadline=None, derandomize=True, database=None, **few)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if " at 0x" in item.nodeid:  # pytest-xdist needs the same names in each of its workers
            raise pytest.UsageError(f"an object's address is part of a test's name: {item.nodeid}")
        if {"heavy", "benchmarks"} & set(item.path.parts):
            item.add_marker(pytest.mark.heavy)


class NoWaiting:
    """A clock on which every wait is over at once; it remembers them."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.waits_s: list[float] = []

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return 1_784_000_000.0 + self.now_s

    async def sleep(self, seconds: float) -> None:
        self.waits_s.append(seconds)
        self.now_s += seconds
        await asyncio.sleep(0)


@pytest.fixture
def no_waiting() -> NoWaiting:
    """For `AsyncKlingClient(clock=...)` where nothing should be waited for."""
    return NoWaiting()


@pytest.fixture(autouse=True)
def clean_env(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine reaches a test."""
    for name in (*_SETTINGS, *_CERTIFICATES, *_PROXIES, *(one.lower() for one in _PROXIES)):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def emulator() -> Emulator:
    """A fresh Kling with one account, demo@example.com."""
    return Emulator()


@pytest.fixture
def kling_options() -> dict[str, Any]:
    """Arguments of the `kling` fixture that differ from its defaults."""
    return {}


@pytest.fixture
async def open_client(emulator: Emulator) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """`await open_client(**options)`: a client on the emulator, closed when the test ends."""
    async with AsyncExitStack() as stack:

        async def opened(**options: Any) -> AsyncKlingClient:
            if "transport" not in options and "http_client" not in options:
                options["transport"] = emulator.transport()
            given = {"token": TOKEN, "base_url": BASE_URL, "rate_limit": None, **options}
            return await stack.enter_async_context(AsyncKlingClient(**given))

        yield opened


@pytest.fixture
async def kling(
    open_client: Callable[..., Awaitable[AsyncKlingClient]], kling_options: dict[str, Any]
) -> AsyncKlingClient:
    """A client on the emulator, without a rate limit."""
    return await open_client(**kling_options)


# --- servers below HTTP -----------------------------------------------------------------------

Reaction = Callable[[asyncio.StreamWriter, bytes], Awaitable[None]]


class RawServer:
    """Reads whole requests, keeps their bytes, and lets `react` write whatever it likes."""

    def __init__(self, react: Reaction, *, read: bool = True) -> None:
        self.react = react
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0
        self._read = read
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/kling"

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                content = await _whole_request(reader) if self._read else b""
                if self._read:
                    self.requests.append(content)
                await self.react(writer, content)
                if writer.transport.is_closing() or not self._read:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self.talk(reader, writer))
        self._tasks.add(task)

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _whole_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [
        int(line.partition(b":")[2])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    ]
    return head + (await reader.readexactly(lengths[0]) if lengths else b"")


@pytest.fixture
def raw_server() -> Callable[..., Any]:
    """`async with raw_server(react) as server:`, where `react(writer, request)` answers."""

    @asynccontextmanager
    async def serving(
        react: Reaction, *, read: bool = True, ssl: SSLContext | None = None
    ) -> AsyncIterator[RawServer]:
        server = RawServer(react, read=read)
        listening = await asyncio.start_server(server.accept, "127.0.0.1", 0, ssl=ssl)
        server.port = listening.sockets[0].getsockname()[1]
        try:
            yield server
        finally:
            listening.close()
            await server.end()
            await listening.wait_closed()

    return serving


# --- pictures ---------------------------------------------------------------------------------


def _png(width: int, height: int) -> bytes:
    head = struct.pack(">I4sIIBBBBB", 13, b"IHDR", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + head + b"\0" * 64


def _jpeg(width: int, height: int) -> bytes:
    app0 = b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF\0" + b"\0" * 9
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, height, width, 3) + b"\0" * 9
    return b"\xff\xd8" + app0 + frame + b"\xff\xd9"


@pytest.fixture(scope="session")
def png() -> Callable[[int, int], bytes]:
    """The head of a PNG of that many pixels."""
    return _png


@pytest.fixture(scope="session")
def jpeg() -> Callable[[int, int], bytes]:
    """The head of a JPEG of that many pixels."""
    return _jpeg


@pytest.fixture(scope="session", params=[_png, _jpeg], ids=["png", "jpeg"])
def image(request: pytest.FixtureRequest) -> Iterator[Callable[[int, int], bytes]]:
    """Both kinds of picture, one after the other."""
    return request.param

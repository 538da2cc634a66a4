"""What one cell runs on: a client, an emulator behind a gate, a clock on which no wait is long.

The gate can be shut, jammed or told to cut requests short, and opened again on the same port. The
failpoint stands where the client asks for its turn, right before a request goes out.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import struct
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from kling_async import AsyncKlingClient, RetryPolicy
from kling_async.emulator import Emulator

TOKEN = "user:12345-abcdefghi"
ACCOUNT = "demo@example.com"
RETRY = RetryPolicy(attempts=3, reconcile_within_s=1.0)
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 seconds: close() sends RST

Act = Callable[[], Awaitable[None]]


class JumpClock:
    """Every wait is over at once, here and in the emulator; the first one also mends the fault."""

    def __init__(self, emulator: Emulator) -> None:
        self.slept_s = 0.0
        self.mend: Act | None = None
        self._emulator = emulator

    def monotonic(self) -> float:
        return self.slept_s

    def wall(self) -> float:
        return time.time() + self.slept_s

    async def sleep(self, seconds: float) -> None:
        self.slept_s += seconds
        self._emulator.clock.advance(seconds)
        mend, self.mend = self.mend, None
        if mend is not None:
            await mend()
        await asyncio.sleep(0)


class Failpoint:
    """A rate limit that never limits: the fault strikes when turn number `at` is asked for."""

    def __init__(self, at: int, strike: Act) -> None:
        self._left = at
        self._strike = strike

    async def acquire(self, account: str | None) -> None:
        self._left -= 1
        if self._left == 0:
            await self._strike()


class Gate:
    """The way to the emulator: a port that is open, shut, jammed, or cuts requests short."""

    def __init__(self, emulator: Emulator, port: int) -> None:
        self.port = port
        self._emulator = emulator
        self._standing = contextlib.AsyncExitStack()

    async def open(self) -> None:
        await self.shut()
        await self._standing.enter_async_context(self._emulator.serve(port=self.port))

    async def shut(self) -> None:
        """Nobody listens, and all connections are reset."""
        await self._standing.aclose()

    async def jam(self) -> None:
        """Somebody listens and never accepts, and no place is left in the queue."""
        await self.shut()
        sockets = [socket.socket() for _ in range(4)]
        for one in sockets:
            self._standing.callback(one.close)
            one.setblocking(False)
        listening, *waiting = sockets
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        listening.listen(0)
        for one in waiting:
            one.connect_ex(("127.0.0.1", self.port))

    async def cut(self) -> None:
        """Each connection is reset as soon as the first bytes of a request are read."""
        await self.shut()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(16)
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

        server = await asyncio.start_server(talk, "127.0.0.1", self.port)
        self._standing.push_async_callback(server.wait_closed)
        self._standing.callback(server.close)


class Bench:
    """One cell's world.

    Args:
        transport: "httpx" or "aiohttp".
        turn: the client's turn, counted from 1, at which the fault strikes.
        strike: is given this bench.
        emulator: its options.
        options: the client's, beyond the defaults here.
        scheme: how the client addresses the gate.
        host: whom it addresses.
    """

    def __init__(
        self,
        transport: str,
        *,
        monkeypatch: pytest.MonkeyPatch,
        turn: int = 0,
        strike: Callable[[Bench], Awaitable[None]] | None = None,
        emulator: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
        scheme: str = "http",
        host: str = "127.0.0.1",
    ) -> None:
        self.monkeypatch = monkeypatch
        given: dict[str, Any] = {"job_s": 600.0, **(emulator or {})}
        self.job_s: float = given["job_s"]
        """How long a job takes."""
        self.emulator = Emulator(**given)
        self.clock = JumpClock(self.emulator)
        self.gate = Gate(self.emulator, _free_port())
        self.folder = Path(tempfile.mkdtemp(prefix="matrix-"))
        """For files of a row's."""
        self.operation = ""
        """What the fault strikes, as the emulator calls it."""
        self.acting: asyncio.Task[Any] | None = None
        """The caller, for a fault that cancels it."""
        self.helpers: list[asyncio.Task[Any]] = []
        self.faults_left = 0
        """Faults that are not the emulator's and have still to strike."""
        self._transport = transport

        async def now() -> None:
            if strike is not None:
                await strike(self)

        self.kling = self.client(
            base_url=f"{scheme}://{host}:{self.gate.port}/v1/kling",
            **{"rate_limit": Failpoint(turn, now), **(options or {})},
        )

    def client(self, **options: Any) -> AsyncKlingClient:
        """A client on this world."""
        return AsyncKlingClient(
            TOKEN,
            **{
                "base_url": f"http://127.0.0.1:{self.gate.port}/v1/kling",
                "accounts": [ACCOUNT],
                "transport": self._transport,
                "timeout": httpx.Timeout(5),
                "retry": RETRY,
                "rate_limit": None,
                "clock": self.clock,
                **options,
            },
        )

    def paused_s(self) -> float:
        """How long the account still is paused for other calls."""
        return self.kling._pipeline.admission.paused_s(ACCOUNT)

    def sends(self, key: str | None = None) -> int:
        """How many requests of the operation arrived through the gate; for one row, if given."""
        whose = {one.id: one.nickname for one in self.emulator.avatars}
        found = 0
        for one in self.emulator.calls:
            if one.operation == self.operation and one.headers.get("host") != "past.the.gate":
                fields = one.fields or {}
                found += key in (
                    None,
                    fields.get("nickname") or fields.get("name") or fields.get("prompt"),
                    whose.get(str(fields.get("avatarId"))),
                )
        return found

    async def made_before(self, nickname: str) -> str:
        """The id of an avatar that is there before the cell begins, made past the gate."""
        async with httpx.AsyncClient(transport=self.emulator.transport()) as other:
            answer = await other.post(
                "http://past.the.gate/v1/kling/avatars",
                json={"imageUrl": picture(nickname), "nickname": nickname},
                headers={"authorization": f"Bearer {TOKEN}"},
            )
        return str(answer.json()["id"])

    async def close(self) -> None:
        """Server first, so that nothing in flight keeps the client waiting."""
        shutil.rmtree(self.folder, ignore_errors=True)
        await self.gate.shut()
        for one in self.helpers:
            one.cancel()
        await asyncio.gather(*self.helpers, return_exceptions=True)
        await self.kling.aclose()


def picture(name: str) -> str:
    """Where the portrait of a row or an avatar is."""
    return f"https://example.com/{name}.png"


async def until(reached: Callable[[], bool]) -> None:
    """Return once `reached()`; ten seconds are too long."""
    for _ in range(5000):
        if reached():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it did not happen")


def ledger_path(folder: Path) -> Path:
    """Where a cell's ledger is."""
    return folder / "ledger.sqlite"


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])

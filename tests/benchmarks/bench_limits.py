"""Are the limits kept where requests arrive, and used? Over a real socket, in real time.

    python tests/benchmarks/bench_limits.py            about three minutes
    python tests/benchmarks/bench_limits.py --small    about ten seconds, for CI

The server runs in a process of its own and notes when each request arrives. `--transport httpx` or
`aiohttp`; default: each.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import multiprocessing
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from email.utils import formatdate
from multiprocessing.connection import Connection
from typing import Any

from table import Options, Row, run

from kling_async import AsyncKlingClient, KlingError, RateLimit, RetryPolicy

ADA = "ada@example.com"
Arrivals = list[tuple[float, float | None]]  # when, and until when it was refused, if it was
LATENCY_S = 0.05


# --- the server -------------------------------------------------------------------------------


class Server(asyncio.Protocol):
    """HTTP/1.1 of the narrowest kind: notes each request, and answers as its quota says.

    Args:
        state: shared by all connections: quota, per_s, form, arrivals.
    """

    def __init__(self, state: dict[str, Any]) -> None:
        self._state = state
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            _, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            now_s = time.monotonic()
            wait_s = self._wait_s(now_s)
            self._state["arrivals"].append((now_s, None if wait_s is None else now_s + wait_s))
            asyncio.get_running_loop().call_later(LATENCY_S, self._answer, wait_s)

    def _wait_s(self, now_s: float) -> float | None:
        """None where the sliding window has room, else the seconds until it has."""
        state = self._state
        if state["quota"] is None:
            return None
        admitted: deque[float] = state["admitted"]
        while admitted and admitted[0] <= now_s - state["per_s"]:
            admitted.popleft()
        if len(admitted) < state["quota"]:
            admitted.append(now_s)
            return None
        wait_s = float(admitted[0] + state["per_s"] - now_s)
        return float(math.ceil(wait_s)) if state["form"] == "seconds" else wait_s

    def _answer(self, wait_s: float | None) -> None:
        headers, body, status = "", "[]", "200 OK"
        if wait_s is not None:
            status, said = "429 Too Many Requests", {"error": "too many"}
            until_s = time.time() + wait_s
            if self._state["form"] == "seconds":
                headers = f"Retry-After: {wait_s:.0f}\r\n"
            elif self._state["form"] == "date":
                headers = f"Retry-After: {formatdate(math.ceil(until_s), usegmt=True)}\r\n"
            elif self._state["form"] == "body":
                stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(until_s))
                said["retryAfter"] = f"{stamp}.{int(until_s % 1 * 1000) + 1:03d}Z"
            body = json.dumps(said)
        if not self._transport.is_closing():
            self._transport.write(
                f"HTTP/1.1 {status}\r\n{headers}Date: {formatdate(usegmt=True)}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                f"{body}".encode()
            )


def serve(pipe: Connection) -> None:
    """The server's process: settings come in by the pipe, arrivals go out."""

    async def main() -> None:
        state: dict[str, Any] = {"arrivals": [], "admitted": deque()}
        state.update(quota=None, per_s=1.0, form="none")
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Server(state), "127.0.0.1", 0, backlog=1000)
        pipe.send(server.sockets[0].getsockname()[1])
        while (change := await asyncio.to_thread(pipe.recv)) is not None:
            if change == "arrivals":
                pipe.send(state["arrivals"])
                state["arrivals"], state["admitted"] = [], deque()
            else:
                state.update(change)

    asyncio.run(main())


class Remote:
    """The server, as this process sees it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs,), daemon=True)
        self._process.start()
        self.base_url = f"http://127.0.0.1:{self._pipe.recv()}/v1/kling"

    def set(self, **changes: Any) -> None:
        self._pipe.send(changes)

    def arrivals(self) -> Arrivals:
        self._pipe.send("arrivals")
        found: Arrivals = self._pipe.recv()
        return found

    def stop(self) -> None:
        self._pipe.send(None)
        self._process.join(5)


# --- what is asked of the limits --------------------------------------------------------------


def most_in_a_window(arrivals: Arrivals, per_s: float) -> int:
    window, most = deque[float](), 0
    for at_s, _ in arrivals:
        window.append(at_s)
        while window[0] <= at_s - per_s:
            window.popleft()
        most = max(most, len(window))
    return most


async def flood(kling: AsyncKlingClient, callers: int, until_s: float) -> None:
    """So many callers who always want more."""

    async def one() -> None:
        while time.monotonic() < until_s:
            with suppress(KlingError):
                await kling.avatars.list()

    tasks = [asyncio.ensure_future(one()) for _ in range(callers)]
    await asyncio.sleep(until_s - time.monotonic())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def windows(server: Remote, transport: str, limit: RateLimit, seconds: float) -> Row:
    """The fullest window, and how much was used."""
    server.set(quota=None)
    async with AsyncKlingClient(
        "user:1-a", base_url=server.base_url, transport=transport, rate_limit=limit, accounts=[ADA]
    ) as kling:
        began_s = time.monotonic()
        await flood(kling, min(200, 2 * limit.requests), began_s + seconds)
    arrivals = server.arrivals()
    first_s = arrivals[0][0]
    used = sum(1 for at_s, _ in arrivals if at_s < first_s + seconds)
    # A burst of b is paid for by the pace: N + 1 - b per window.
    allowed = (limit.requests + 1 - limit.burst) * seconds / limit.per_s + limit.burst - 1
    most = most_in_a_window(arrivals, limit.per_s)
    share = used / allowed
    burst = f", bursts of {limit.burst}" if limit.burst > 1 else ""
    return Row(
        f"`RateLimit({limit.requests}, per_s={limit.per_s:g}{burst})` on {transport}, any window",
        f"never above {limit.requests}; at least 97 % used",
        f"fullest window {most}; {share:.1%} used",
        most <= limit.requests and share >= 0.97,
    )


async def adaptive(server: Remote, transport: str, phases: list[tuple[int, float]]) -> list[Row]:
    """A row for each phase: (quota a second, seconds)."""
    server.set(quota=phases[0][0], per_s=1.0, form="none")
    found = []
    limit = RateLimit(1000, adaptive=True)
    async with AsyncKlingClient(
        "user:1-a",
        base_url=server.base_url,
        transport=transport,
        rate_limit=limit,
        accounts=[ADA],
        retry=RetryPolicy(attempts=1),
    ) as kling:
        began_s = time.monotonic()
        total_s = sum(seconds for _, seconds in phases)
        flooding = asyncio.ensure_future(flood(kling, 64, began_s + total_s))
        for quota, seconds in phases:
            server.set(quota=quota)
            await asyncio.sleep(seconds)
            found.append(kling.stats[ADA].rate_per_s or 0.0)
        await flooding
    rows = []
    arrivals, at_s = server.arrivals(), began_s
    for (quota, seconds), rate in zip(phases, found, strict=True):
        end_s = at_s + seconds
        part = [no is None for when_s, no in arrivals if at_s <= when_s < end_s]
        last_s = min(5, seconds)
        late = [no is None for when_s, no in arrivals if end_s - last_s <= when_s < end_s]
        refused, used = 1 - sum(part) / len(part), sum(late) / last_s / quota
        first = not rows and seconds == 10
        rows.append(
            Row(
                f"a quota of {quota}/s that nobody published, for {seconds:g} s, {transport}",
                "at least 90 % of it, at most 2 % answers 429" if first else "",
                f"{used:.0%} of it in the last {last_s:g} s, {refused:.1%} answers 429; "
                f"believes in {rate:.1f}/s",
                used >= 0.9 and refused <= 0.02 if first else None,
            )
        )
        at_s = end_s
    return rows


async def met_by_many(server: Remote, transport: str, form: str, callers: int) -> Row:
    """So many callers, each wanting one success, meet a quota of 50 per 2 s."""
    server.set(quota=50, per_s=2.0, form=form)
    async with AsyncKlingClient(
        "user:1-a",
        base_url=server.base_url,
        transport=transport,
        rate_limit=None,
        accounts=[ADA],
        retry=RetryPolicy(attempts=50),
    ) as kling:
        await asyncio.gather(*(kling.avatars.list() for _ in range(callers)))
    arrivals = server.arrivals()
    # Who could know of a refusal when it sent? Whoever sent after the answer had time to arrive.
    known_s = LATENCY_S + 0.05
    bursts: list[list[float]] = []
    early = 0
    for at_s, until_s in arrivals:
        early += any(no_until and no_s + known_s < at_s < no_until for no_s, no_until in arrivals)
        if until_s is not None:
            if not bursts or at_s - bursts[-1][0] > known_s:
                bursts.append([])  # not in flight together with the first of the last burst
            bursts[-1].append(at_s)
    refused = [len(one) for one in bursts]
    return Row(
        f"{callers} callers meet 50 per 2 s, Retry-After as {form}, {transport}",
        "refused are those in flight; none before the named time",
        f"{len(arrivals)} requests; refused, in flight together: {refused}; {early} too early",
        early == 0,
    )


async def rows(transports: list[str], small: bool, server: Remote) -> AsyncIterator[Row]:
    """All of it."""
    rates = [RateLimit(60, per_s=2), RateLimit(10), RateLimit(1000), RateLimit(60, burst=9)]
    for limit in rates[:1] if small else rates:
        for transport in transports:
            if limit.requests >= 1000 and transport == "httpx":
                continue  # its pool can't carry so many, whatever the limit
            yield await windows(server, transport, limit, 1 if small else 8)
    phases = [(40, 1.0)] if small else [(40, 10.0), (40, 20.0), (20, 20.0), (40, 30.0)]
    for row in await adaptive(server, transports[-1], phases):
        yield row
    for transport in transports[-1:] if small else transports:
        for form in ("seconds",) if small else ("seconds", "date", "body"):
            yield await met_by_many(server, transport, form, 60 if small else 200)


def measure(options: Options) -> Iterator[Row]:
    """`rows`, each as soon as it is known."""
    server = Remote()
    found = rows(options.transport or ["httpx", "aiohttp"], options.small, server)
    try:
        with asyncio.Runner() as runner:
            while (row := runner.run(anext(found, None))) is not None:
                yield row
    finally:
        server.stop()


def options(parser: argparse.ArgumentParser) -> None:
    """Of this script alone."""
    parser.add_argument("--transport", choices=["httpx", "aiohttp"], action="append")


if __name__ == "__main__":
    run(measure, __doc__, options)

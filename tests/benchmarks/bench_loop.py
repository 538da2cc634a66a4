"""How long does a web server's event loop stand still while 500 creates wait on a slow API?

    python tests/benchmarks/bench_loop.py            about a minute
    python tests/benchmarks/bench_loop.py --small    some seconds

A FastAPI app on uvicorn, whose handler makes an avatar, is asked at an even pace by another
process, so that at any time 500 creates wait for an API that takes 3 s. A ticker in the app's loop
wakes each millisecond; the longest it had to wait is the stall. In another run the handler only
sleeps for as long: what that shows is FastAPI and the machine. How much of the stall the loop spent
on the CPU is printed as well, for on a busy machine everybody waits.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any

import peers
import stub
from load import Act
from table import Options, Row, absent, at_most, run

GOAL_MS = 20.0
WHAT = "longest stall of a web server's event loop, 500 creates in flight"
CLIENTS = {
    "kling": peers.kling_aiohttp,
    "aiohttp": peers.bare_aiohttp,
    "httpx": peers.httpx_raised,
}


@dataclass
class Seen:
    """The longest stall, and how much of it the loop spent on the CPU, in milliseconds."""

    longest: float = 0.0
    cpu_of_it: float = 0.0

    def __str__(self) -> str:
        return f"{self.longest:,.1f} ms, {self.cpu_of_it:,.1f} of it CPU"


async def tick(seen: Seen) -> None:
    """Wake every millisecond, and remember the longest delay."""
    while True:
        at, cpu_s = time.perf_counter(), time.thread_time()
        await asyncio.sleep(0.001)
        late_ms = (time.perf_counter() - at - 0.001) * 1000
        if late_ms > seen.longest:
            seen.longest, seen.cpu_of_it = late_ms, (time.thread_time() - cpu_s) * 1000


async def serve_and_ask(act: Act, per_s: float, total: int) -> Seen:
    """The app on uvicorn in this loop, another process that asks, the ticker between them."""
    import uvicorn
    from fastapi import FastAPI

    app = FastAPI()

    @app.post("/avatars")
    async def make() -> dict[str, bool]:
        await act()
        return {"made": True}

    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", backlog=1024)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    asking = await asyncio.create_subprocess_exec(
        *(sys.executable, str(stub.HERE / "asking.py"), str(port), str(per_s), str(total)),
        stdout=subprocess.PIPE,
    )
    gc.collect()
    gc.freeze()  # as a server should once it is up: looking through all its modules takes 100 ms
    seen = Seen()
    ticking = asyncio.create_task(tick(seen))
    answered, _ = await asking.communicate()
    ticking.cancel()
    server.should_exit = True
    await serving
    if int(answered) != total:
        sys.exit(f"{int(answered)} of {total} requests were answered")
    return seen


async def seen_with(handler: str, base: str, wait_s: float, in_flight: int, for_s: float) -> Seen:
    """One run: `in_flight` creates at any time, for that many seconds."""
    per_s = in_flight / wait_s
    async with AsyncExitStack() as stack:
        if handler == "sleep":

            async def act() -> Any:
                await asyncio.sleep(wait_s)
        else:
            opened = CLIENTS[handler]
            act = await opened(stack, base, in_flight)  # type: ignore[assignment]
        return await serve_and_ask(act, per_s, int(per_s * for_s))


def in_own_process(*words: object) -> Seen:
    """`seen_with`, so that no run inherits another's heap."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", *map(str, words)],
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return Seen(**json.loads(done.stdout))


def measure(options: Options) -> Iterator[Row]:
    """One row, and what the same app does with bare httpx."""
    why = peers.missing("fastapi", "uvicorn", "aiohttp", "httpx_aiohttp")
    if why is not None:
        yield absent(WHAT, f"at most {GOAL_MS:g} ms", why)
        return
    wait_ms, in_flight, for_s = (300, 50, 0.6) if options.small else (3000, 500, 9.0)
    plan = (wait_ms / 1000, in_flight, for_s)
    with stub.serving() as server:
        base = f"{server}/{wait_ms}"
        nothing = in_own_process("sleep", base, *plan)
        ours = in_own_process("kling", base, *plan)
        more = f"{ours.cpu_of_it:.1f} of it CPU; where the handler only sleeps: {nothing}"
        yield at_most(WHAT, GOAL_MS, ours.longest, "ms", more)
        for client in () if options.small else ("aiohttp", "httpx"):
            seen = in_own_process(client, base, *plan)
            yield Row(f"the same, by bare {client} with raised limits", "", str(seen))


def one(handler: str, base: str, wait_s: str, in_flight: str, for_s: str) -> None:
    """One run in this process."""
    stub.pin(0)
    with suppress(KeyboardInterrupt):
        seen = asyncio.run(seen_with(handler, base, float(wait_s), int(in_flight), float(for_s)))
        print(json.dumps(vars(seen)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(*sys.argv[2:])
    else:
        run(measure, __doc__)

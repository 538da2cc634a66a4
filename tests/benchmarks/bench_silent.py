"""What does it cost that a paid call goes out only on a connection that is proven silent?

    python tests/benchmarks/bench_silent.py            half a minute
    python tests/benchmarks/bench_silent.py --small    some seconds

Over loopback, where the wire takes next to nothing: the same client with the look at its connection
and without, in turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from importlib.util import find_spec
from statistics import median
from typing import Any

import stub
from load import in_turns
from peers import IMAGE, TOKEN
from table import Options, Row, absent, at_most, run

from kling_async import AsyncKlingClient
from kling_async._transport import pools, silence, transports

GOAL = 1.3


def looking(look: bool, act: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
    """`act` with the looks at connections, or with none; acts run one after the other."""
    httpcore = silence.httpcore_is_silent if look else lambda *_: True
    aiohttp = silence.aiohttp_is_silent if look else lambda _: True

    async def acting() -> Any:
        pools.httpcore_is_silent, transports.aiohttp_is_silent = httpcore, aiohttp
        return await act()

    return acting


async def times(
    transport: str, base: str, in_flight: int, seconds: float, rounds: int
) -> tuple[float, float]:
    """How many times as long a call takes on a silent connection as on any; microseconds more."""
    async with AsyncKlingClient(
        TOKEN, base_url=f"{base}/v1/kling", rate_limit=None, transport=transport
    ) as kling:

        async def create() -> Any:
            return await kling.avatars.create(image_url=IMAGE, nickname="Ada")

        acts = {"silent": looking(True, create), "any": looking(False, create)}
        paces = await in_turns(acts, in_flight=in_flight, seconds=seconds, rounds=rounds)
    pairs = list(zip(paces["silent"], paces["any"], strict=True))
    return (
        median(trusting.per_s / silent.per_s for silent, trusting in pairs),
        median(silent.cpu_us - trusting.cpu_us for silent, trusting in pairs),
    )


def measure(options: Options) -> Iterator[Row]:
    """Two rows per transport."""
    stub.pin(0)
    seconds, rounds = (0.05, 3) if options.small else (0.4, 9)
    with stub.serving() as base:
        for transport in ("httpx", "aiohttp"):
            for in_flight in (1, 100):
                what = f"a paid call on a silent connection beside any, {transport}, {in_flight}"
                if transport == "aiohttp" and find_spec("httpx_aiohttp") is None:
                    yield absent(what, f"at most {GOAL} times", "httpx-aiohttp is not installed")
                    continue
                found, more_us = asyncio.run(times(transport, base, in_flight, seconds, rounds))
                yield at_most(f"{what} in flight", GOAL, found, "times", f"{more_us:+.1f} us CPU")


if __name__ == "__main__":
    run(measure, __doc__)

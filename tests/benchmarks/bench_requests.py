"""How fast is `avatars.create` beside bare httpx, bare aiohttp and the SDKs of others?

    python tests/benchmarks/bench_requests.py            five rounds, some minutes
    python tests/benchmarks/bench_requests.py --small    one short round

The server runs in a process of its own, on a core of its own where there are two.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from statistics import median

import peers
import stub
from load import Pace, in_turns, ratio
from table import Options, Row, absent, at_least, at_most, run

SPEED, OWN = "kling-async, aiohttp below", "kling-async, httpx's own transport"
RAISED, DEFAULT = "bare httpx with raised limits", "bare httpx with default limits"
AIOHTTP, OPENAI = "bare aiohttp", "the openai SDK"
OPENAI_AIOHTTP, ANTHROPIC = "the openai SDK on aiohttp", "the anthropic SDK"
CLIENTS: dict[str, tuple[peers.Open, tuple[str, ...]]] = {
    SPEED: (peers.kling_aiohttp, ("aiohttp", "httpx_aiohttp")),
    OWN: (peers.kling_httpx, ()),
    RAISED: (peers.httpx_raised, ()),
    DEFAULT: (peers.httpx_default, ()),
    AIOHTTP: (peers.bare_aiohttp, ("aiohttp",)),
    OPENAI: (peers.openai, ("openai",)),
    OPENAI_AIOHTTP: (peers.openai_aiohttp, ("openai", "httpx_aiohttp")),
    ANTHROPIC: (peers.anthropic, ("anthropic",)),
}

FAST = "`avatars.create`, 100 in flight, `speed` transport"
PLAIN = "`avatars.create`, 100 in flight, httpx's own transport"
SLOW = "500 in flight on a server of 150 ms, `speed` transport"
AT_100 = (
    (FAST, SPEED, RAISED, 40.0),
    (FAST, SPEED, OPENAI_AIOHTTP, 1.5),
    (FAST, SPEED, AIOHTTP, 0.4),
    (PLAIN, OWN, DEFAULT, 1.0),
)
AT_500 = (
    (SLOW, SPEED, AIOHTTP, 0.85),
    (SLOW, SPEED, OPENAI_AIOHTTP, 1.5),
    (SLOW, SPEED, OPENAI, 4.5),
    (SLOW, SPEED, RAISED, 30.0),
)
CLIFF_US = 3000.0


async def paces(base: str, in_flight: int, seconds: float, rounds: int) -> dict[str, list[Pace]]:
    """Each client that is installed, in turns; the slowest of them once: it takes half a minute."""
    async with AsyncExitStack() as stack:
        acts = {
            name: await opened(stack, base, in_flight)
            for name, (opened, packages) in CLIENTS.items()
            if peers.missing(*packages) is None
        }
        once = {RAISED} if in_flight > 100 else set()
        return await in_turns(acts, in_flight=in_flight, seconds=seconds, rounds=rounds, once=once)


def compared(
    found: Mapping[str, list[Pace]], goals: tuple[tuple[str, str, str, float], ...]
) -> Iterator[Row]:
    """The rows of one table of goals."""
    for what, ours, theirs, goal in goals:
        named = f"{what}, beside {theirs}"
        why = peers.missing(*CLIENTS[ours][1], *CLIENTS[theirs][1])
        if why is not None:
            yield absent(named, f"at least {goal:g} times", why)
            continue
        per_s = [f"{median(one.per_s for one in found[name]):,.0f}/s" for name in (ours, theirs)]
        yield at_least(
            named, goal, ratio(found[ours], found[theirs]), more=f"{per_s[0]} and {per_s[1]}"
        )


def cpu_us(found: list[Pace]) -> float:
    """Typical CPU per request."""
    return median(one.cpu_us for one in found)


def measure(options: Options) -> Iterator[Row]:
    """All rows."""
    stub.pin(0)
    with stub.serving() as server:
        few, many, rounds = (10, 20, 1) if options.small else (100, 500, 5)
        at_once = asyncio.run(paces(f"{server}/v1/kling", few, 0.1 if options.small else 1, rounds))
        yield from compared(at_once, AT_100)
        waiting = asyncio.run(paces(f"{server}/150", many, 0.1 if options.small else 3, rounds))
        yield from compared(waiting, AT_500)
    for what, found in (("100 in flight", at_once), ("500 in flight, 150 ms", waiting)):
        yield at_most(
            f"CPU of a create on httpx's own transport, {what}",
            CLIFF_US,
            cpu_us(found[OWN]),
            "us",
            f"{RAISED} {cpu_us(found[RAISED]):,.0f}",
        )
    for name, found in at_once.items():
        first, second = cpu_us(found), cpu_us(waiting[name])
        yield Row(
            f"CPU per request, {name}",
            "",
            f"{first:,.0f} us at 100 in flight, {second:,.0f} us at 500",
        )


if __name__ == "__main__":
    run(measure, __doc__)

"""How fast is `avatars.create` beside bare httpx, bare aiohttp and the SDKs of others?

    python tests/benchmarks/bench_requests.py            five rounds, some minutes
    python tests/benchmarks/bench_requests.py --small    one short round

Each client has a process of its own, and so has the server, on another core where there is one.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from statistics import median

import peers
import stub
from load import Pace, keep_going, ratio
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
SLOW_S = 0.15


class Turns:
    """One client in a process of its own, so that nobody pays for what another has imported."""

    def __init__(self, name: str, base: str, in_flight: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--one", name, base, str(in_flight)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def go(self, seconds: float) -> Pace:
        """One turn under load, on connections made before."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(seconds, file=self._process.stdin, flush=True)
        return Pace(**json.loads(self._process.stdout.readline()))

    def end(self) -> None:
        """The client is closed, its process ends."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


async def one(name: str, base: str, in_flight: int) -> None:
    """One client: a turn for each line of standard input, its pace on standard output."""
    stub.pin(0)
    async with AsyncExitStack() as stack:
        act = await CLIENTS[name][0](stack, base, in_flight)
        while line := await asyncio.to_thread(sys.stdin.readline):
            await asyncio.gather(*(act() for _ in range(in_flight)))
            print(json.dumps(vars(await keep_going(act, in_flight, float(line)))), flush=True)


def paces(base: str, in_flight: int, seconds: float, rounds: int) -> dict[str, list[Pace]]:
    """Each client that is installed, in turns; the slowest of them once: it takes half a minute."""
    turns = {
        name: Turns(name, base, in_flight)
        for name, (_, packages) in CLIENTS.items()
        if peers.missing(*packages) is None
    }
    found: dict[str, list[Pace]] = {name: [] for name in turns}
    for number in range(rounds):
        for name, one in turns.items():
            if number == 0 or in_flight <= 100 or name != RAISED:
                found[name].append(one.go(seconds))
    for one in turns.values():
        one.end()
    return found


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


def in_cpu(found: Mapping[str, list[Pace]], in_flight: int) -> Iterator[Row]:
    """The same goals in CPU, which a server's latency does not bound as it does the pace."""
    for what, ours, theirs, goal in AT_500[1:]:
        if ours in found and theirs in found:
            allowed = in_flight / SLOW_S / median(one.per_s for one in found[theirs])
            yield at_least(
                f"{what}, beside {theirs}, in CPU per request",
                goal,
                cpu_us(found[theirs]) / cpu_us(found[ours]),
                more=f"of the pace the latency allows {allowed:.2f} times",
            )


def measure(options: Options) -> Iterator[Row]:
    """All rows."""
    with stub.serving() as server:
        few, many, rounds = (10, 20, 1) if options.small else (100, 500, 5)
        at_once = paces(f"{server}/v1/kling", few, 0.1 if options.small else 1, rounds)
        yield from compared(at_once, AT_100)
        waiting = paces(f"{server}/150", many, 0.1 if options.small else 3, rounds)
        yield from compared(waiting, AT_500)
        yield from in_cpu(waiting, many)
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
    if sys.argv[1:2] == ["--one"]:
        asyncio.run(one(sys.argv[2], sys.argv[3], int(sys.argv[4])))
    else:
        run(measure, __doc__)

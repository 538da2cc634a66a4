"""How many requests a second, and for how much CPU? Clients take turns within one run.

The machine's speed changes from minute to minute, so absolute figures say little. In each round all
clients run one after the other; what counts is the ratio within a round, and of those the median.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

Act = Callable[[], Awaitable[Any]]


@dataclass(frozen=True)
class Pace:
    """What one client did in one round."""

    per_s: float
    cpu_us: float
    """Microseconds of this process's CPU per request."""


async def keep_going(act: Act, in_flight: int, seconds: float) -> Pace:
    """`act` over and over, so many at once, begun within `seconds`."""
    done = 0
    until = time.perf_counter() + seconds

    async def worker() -> None:
        nonlocal done
        while time.perf_counter() < until:
            await act()
            done += 1

    began, cpu_began_s = time.perf_counter(), time.process_time()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began_s
    return Pace(done / took_s, cpu_s / done * 1e6)


async def in_turns(
    acts: Mapping[str, Act], *, in_flight: int, seconds: float, rounds: int
) -> dict[str, list[Pace]]:
    """The paces of each of some acts of this process, round by round."""
    paces: dict[str, list[Pace]] = {name: [] for name in acts}
    for _ in range(rounds):
        for name, act in acts.items():
            await asyncio.gather(*(act() for _ in range(in_flight)))
            paces[name].append(await keep_going(act, in_flight, seconds))
    return paces


def ratio(ours: list[Pace], theirs: list[Pace]) -> float:
    """How many times as many requests a second, in the rounds that both took part in."""
    return median(one.per_s / other.per_s for one, other in zip(ours, theirs, strict=False))

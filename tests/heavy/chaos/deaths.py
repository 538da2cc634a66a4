"""How does a process die on purpose, and who goes on? For runs with and without videos."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from chaos_stage import Runner

from kling_async.emulator import Emulator

JOBS = 4
SLOW_S = 90
"""Longer than any run: what is delayed so long comes about when the emulator's clock is moved."""

Trial = Callable[[str, int, Path, Runner], Awaitable[tuple[bool, str | None]]]
"""One death at the named point with that seed: whether it came to that, and what was wrong."""


class Scene(Protocol):
    """What a death needs of a stage."""

    emulator: Emulator
    runner: Runner

    async def start(self, failpoint: tuple[str, int] | None = None) -> asyncio.Task[int]:
        """Begin a run."""

    def open_rows(self) -> int:
        """Rows that another run would work on."""

    def unsent(self) -> set[str]:
        """Rows whose intent a run would find, were it to begin now, and whose create has not come.

        To be asked while the process is stopped.
        """


@asynccontextmanager
async def runners(count: int) -> AsyncIterator[asyncio.Queue[Runner]]:
    """A pool."""
    made = [Runner() for _ in range(count)]
    pool: asyncio.Queue[Runner] = asyncio.Queue()
    for one in made:
        pool.put_nowait(one)
    try:
        yield pool
    finally:
        for one in made:
            await one.close()


@asynccontextmanager
async def at_work(here: Scene, calls: int = 8) -> AsyncIterator[asyncio.Task[int]]:
    """A run in the middle of its work; killed at the end if need be."""
    goal = here.emulator.counts.total() + calls
    ended = await here.start()
    while here.emulator.counts.total() < goal:
        assert not ended.done()
        await asyncio.sleep(0.002)
    try:
        yield ended
    finally:
        here.runner.kill(signal.SIGKILL)
        await ended


async def killed(here: Scene, reached: Callable[[], bool]) -> bool:
    """A run that dies once `reached()`, with one create unsent at most; whether it lived so long.

    Unsent are those whose intent is on disk and whose bytes have not left, which nobody can know
    afterwards. How many they are at once is up to the machine's disk, so it is stopped and asked.
    """
    ended = await here.start()
    while not ended.done():
        if reached():
            here.runner.kill(signal.SIGSTOP)
            await asyncio.sleep(0.02)  # what it has sent comes in
            if len(here.unsent()) <= 1:
                here.runner.kill(signal.SIGKILL)
                break
            here.runner.kill(signal.SIGCONT)
        await asyncio.sleep(0.001)
    return await ended == -signal.SIGKILL


async def finished(here: Scene, *, times: int = 4) -> None:
    """Run until nothing is left to do."""
    for _ in range(times):
        assert await asyncio.wait_for(await here.start(), 90) in (0, 1)
        if not here.open_rows():
            return


async def death(here: Scene, point: tuple[str, int], *, slow: bool) -> int:
    """The exit status of a run that dies at that point, if it comes to it; then it is finished.

    Args:
        here: where.
        point: a failpoint's name, and at which pass.
        slow: something is made `SLOW_S` late, when nobody looks for it any more.
    """
    code = await asyncio.wait_for(await here.start(point), 60)
    await finished(here)
    if slow:
        here.emulator.clock.advance(SLOW_S)
        await finished(here)
    return code


async def sweep(
    trial: Trial, names: Sequence[str], folder: Path, *, seeds: int, more_seeds: int = 0
) -> None:
    """A death at each of these points with each seed; each must come about, and do no harm.

    Args:
        trial: one of them.
        names: of the failpoints.
        folder: gets a folder of each.
        seeds: how many.
        more_seeds: those a point gets that no seed came to.
    """
    orders = [(name, seed) for seed in range(seeds) for name in names]
    died: Counter[str] = Counter()
    problems: list[str] = []

    async with runners(JOBS) as pool:

        async def one(name: str, seed: int) -> None:
            place = folder / f"{name.replace(':', '-')}-{seed}"
            place.mkdir()
            runner = await pool.get()
            try:
                struck, problem = await trial(name, seed, place, runner)
            finally:
                pool.put_nowait(runner)
            died[name] += struck
            problems.extend([problem] if problem else [])

        await asyncio.gather(*(one(name, seed) for name, seed in orders))
        for seed in range(seeds, seeds + more_seeds):
            await asyncio.gather(*(one(name, seed) for name in names if not died[name]))
    print(f"\n{len(orders)} deaths ordered, {died.total()} came about")
    assert not problems, "\n".join(problems)
    assert {name for name in names if not died[name]} == set()

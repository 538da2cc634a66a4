"""What tests of bulk runs share: rows, a run to its end, what was sent, transports that watch."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, closing
from pathlib import Path
from typing import Any

import httpx

from kling_async import AsyncKlingClient, BulkRow
from kling_async.bulk.jobs import BulkJob, Equipment, open_job
from kling_async.bulk.recipes import Recipe
from kling_async.bulk.records import Row, Step
from kling_async.bulk.sqlite_copy import look
from kling_async.bulk.sqlite_reading import Reading
from kling_async.emulator import Call, Emulator


def url_rows(count: int, **fields: Any) -> Iterator[dict[str, Any]]:
    """Rows k1, k2 ... with addresses; the nickname is the key, so calls show whose they are."""
    for n in range(1, count + 1):
        url = f"https://example.com/{n}.png"
        yield {"key": f"k{n}", "image_url": url, "nickname": f"k{n}", **fields}


async def results(
    kling: AsyncKlingClient, rows: Any, ledger: Path, **options: Any
) -> dict[str, BulkRow]:
    """Each row's result, of a run to its end; each row once."""
    found: dict[str, BulkRow] = {}
    async for row in kling.avatars.create_many(rows, ledger=ledger, **options):
        assert row.key not in found, f"{row.key} came twice"
        found[row.key] = row
    return found


def job(
    kling: AsyncKlingClient, ledger: Path, recipe: Recipe | None, **options: Any
) -> AbstractAsyncContextManager[BulkJob]:
    """A job over this ledger, as the command line drives one."""
    later = kling._later
    equipment = Equipment(kling._pipeline, kling._options, later.waiting, later.downloads)
    options = {"folder": None, "concurrency": 2, **options}
    return open_job(equipment, ledger, recipe, **options)


def creates(emulator: Emulator) -> list[Call]:
    """The creates that reached the emulator, oldest first."""
    return [one for one in emulator.calls if one.operation == "avatars.create"]


def sent_keys(emulator: Emulator) -> list[str]:
    """Whose creates they are."""
    return [str((one.fields or {})["nickname"]) for one in creates(emulator)]


def in_ledger(path: Path) -> dict[str, Row]:
    """Each row as another process reads it."""
    path = path.absolute()
    with closing(look(path)) as db:
        return {one.key: one for one in Reading(path, db).page(frozenset(), (-1, 0), 1_000_000)}


def avatars(path: Path) -> dict[str, Step]:
    """The first step of each row, as another process reads it."""
    return {key: row.steps[0] for key, row in in_ledger(path).items()}


def videos(path: Path) -> dict[str, Step]:
    """The second step of each row that has one, as another process reads it."""
    return {key: row.steps[1] for key, row in in_ledger(path).items() if len(row.steps) > 1}


def assert_all_made_once(emulator: Emulator, path: Path, count: int) -> None:
    """Rows k1 ... have each its own avatar, made by a single successful create."""
    made = {one.nickname: one.id for one in emulator.avatars}
    assert len(emulator.avatars) == len(made) == count
    kept = avatars(path)
    assert {key: one.remote_id for key, one in kept.items()} == made
    assert {one.state for one in kept.values()} == {"done"}


async def until(reached: Callable[[], bool]) -> None:
    """Return once `reached()`; a test that waits for ten seconds has failed."""
    for _ in range(5000):
        if reached():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it did not happen")


async def until_quiet(measure: Callable[[], Any]) -> Any:
    """What `measure` gives once it has not changed for 40 ms: time for some hundred commits."""
    last, quiet = measure(), 0
    while quiet < 20:
        await asyncio.sleep(0.002)
        now = measure()
        quiet = quiet + 1 if now == last else 0
        last = now
    return last


async def blocks_after(
    rows: Iterable[Any],
    carried_out: Callable[[AsyncIterator[Any]], AsyncGenerator[Any, None]],
    stops: Sequence[int],
) -> list[int]:
    """How many blocks of memory are in use after so many rows, while none of them is in the house.

    As telling as tracemalloc, which would make such tests twenty times as slow.

    Args:
        rows: more than the last of `stops`.
        carried_out: the job; it is given the rows, of which no further one comes at a stop.
        stops: numbers of rows.
    """
    resume = asyncio.Event()

    async def halting() -> AsyncIterator[Any]:
        for given, row in enumerate(rows):
            if given in stops:
                await resume.wait()
                resume.clear()
            yield row

    blocks = []
    async with aclosing(carried_out(halting())) as found:
        for taken in range(1, stops[-1] + 1):
            await anext(found)
            if taken in stops:
                await until_quiet(sys.getallocatedblocks)
                gc.collect()
                blocks.append(sys.getallocatedblocks())
                resume.set()
    return blocks


class Watched(httpx.AsyncBaseTransport):
    """A transport that calls `watch` before each create is handed on."""

    def __init__(self, inner: httpx.AsyncBaseTransport, watch: Callable[[], Any]) -> None:
        self._inner = inner
        self._watch = watch
        self.in_flight = 0
        self.most_in_flight = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "POST" or not request.url.path.endswith("/avatars"):
            return await self._inner.handle_async_request(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            watched = self._watch()
            if asyncio.iscoroutine(watched):
                await watched
            return await self._inner.handle_async_request(request)
        finally:
            self.in_flight -= 1


class Unreachable(httpx.AsyncBaseTransport):
    """Nobody is there."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")


class JumpClock:
    """The emulator's clock, which a sleeper pushes forward instead of waiting."""

    def __init__(self, emulator: Emulator) -> None:
        self._clock = emulator.clock
        self.slept_s: list[float] = []

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def wall(self) -> float:
        return self._clock.now_ms() / 1000

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self._clock.advance(seconds)
        await asyncio.sleep(0)

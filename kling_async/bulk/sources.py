"""Where do a run's rows come from? The user's own, or the ledger's, each known to the ledger."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Collection,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import asynccontextmanager
from typing import Any

from attrs import evolve

from .intake import may_be_reopened, reopened_as
from .ledger import Ledger
from .outgoing import StepRequests
from .records import Change, Row, RowInput, StepInput
from .rows import RowBuilder
from .values import OF_BYTES

CHUNK = 64
"""Rows that are registered together."""
ALL_STEPS = 1_000_000
"""More steps than a row can have."""


async def registered(
    ledger: Ledger,
    requests: StepRequests,
    chunks: AsyncIterator[Sequence[RowInput]],
    *,
    retry_failed: int = 0,
) -> AsyncGenerator[Sequence[Row], None]:
    """Input rows as the ledger has them from here on.

    Args:
        ledger: which.
        requests: keep what the input gave whole.
        chunks: the rows.
        retry_failed: so many of a row's steps are tried again where they have failed; 0: none.
    """
    async with closing(chunks):
        async for given in chunks:
            if ledger.shared:
                given = [_for_several(row, requests) for row in given]
            rows = await ledger.register(given)
            if retry_failed:
                rows = await asyncio.gather(*(_reopened(ledger, row, retry_failed) for row in rows))
            for at, (one, row) in enumerate(zip(given, rows, strict=True)):
                if row.differs:
                    rows[at] = evolve(row, differs_in=_differs_in(one, row))
                if row.differs or row.duplicate:
                    continue
                for said, step in zip(one.steps, row.steps, strict=False):
                    if said.request is not None and step.state in ("planned", "ready"):
                        requests.keep(step, said.request)
            yield rows


async def _reopened(ledger: Ledger, row: Row, most: int) -> Row:
    """The row, open again if it has failed in one of its first `most` steps."""
    step = row.current
    if step is None or row.differs or row.duplicate:
        return row
    if step.number > most or not may_be_reopened(step):
        return row
    await ledger.apply(Change(step_id=step.id, event="reopened", to=reopened_as(step)))
    return row.with_step(await ledger.step(step.id))


def _for_several(row: RowInput, requests: StepRequests) -> RowInput:
    """The row as several machines share it: which of its steps need files of this one."""
    steps: list[StepInput] = []
    for one in row.steps:
        if one.operation and one.problem is None:
            named = [str(one.payload.get(name) or "") for name in requests.spec(one).attachments]
            if any(text.startswith(OF_BYTES) for text in named):
                one = evolve(one, problem=_BYTES)
            elif any(named):
                one = evolve(one, has_files=True)
        steps.append(one)
    return evolve(row, steps=steps)


_BYTES = (
    "its file is given as bytes, which only this process has; a ledger of several machines needs "
    "a path or an address"
)


def _differs_in(said: RowInput, row: Row) -> int:
    """The number of the first step of which the input says something else than the ledger."""
    for one, step in zip(said.steps, row.steps, strict=False):
        if one.digest != step.digest:
            return step.number
    return 1


async def built(
    builder: RowBuilder, rows: Iterable[Any] | AsyncIterable[Any]
) -> AsyncIterator[Sequence[RowInput]]:
    """The user's rows, numbered from 1, in chunks; nothing is read before it is wanted."""
    if isinstance(rows, AsyncIterable):
        position = 0
        async with closing(rows):
            async for one in rows:
                position += 1
                yield [await asyncio.to_thread(builder.row, one, position)]
        return
    numbered = enumerate(rows, start=1)
    while chunk := list(itertools.islice(numbered, CHUNK)):
        yield await asyncio.to_thread(_built, builder, chunk)


def _built(builder: RowBuilder, chunk: Sequence[tuple[int, Any]]) -> list[RowInput]:
    return [builder.row(one, position) for position, one in chunk]


async def in_chunks(rows: Iterator[RowInput]) -> AsyncIterator[Sequence[RowInput]]:
    """Rows that are read in a thread, a chunk at a time."""
    while chunk := await asyncio.to_thread(lambda: list(itertools.islice(rows, CHUNK))):
        yield chunk


async def reopened(
    ledger: Ledger, *, numbers: Collection[int] = ()
) -> AsyncGenerator[Sequence[Row], None]:
    """The failed rows of a ledger, open again.

    Args:
        ledger: which.
        numbers: only failed steps of these numbers; default: any.
    """
    last = 0
    while rows := await ledger.reopen(last, CHUNK, numbers=numbers):
        last = rows[-1].id
        yield rows


@asynccontextmanager
async def closing(rows: object) -> AsyncGenerator[None, None]:
    """Close a generator at the end, also where it was not read to its end."""
    try:
        yield
    finally:
        if isinstance(rows, AsyncGenerator):
            await rows.aclose()

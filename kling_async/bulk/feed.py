"""Where do jobs come from? The user's rows or the ledger's own, each known to the ledger."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from ..models.avatars import CreateAvatar
from .journal import Journal
from .ledger import Ledger
from .records import Record
from .rows import RowInput, row_of

CHUNK = 64
"""Rows that are registered together."""

Rows = Iterable[CreateAvatar | Mapping[str, Any]] | AsyncIterable[CreateAvatar | Mapping[str, Any]]


@frozen
class Job:
    """A row in the house: its record, and its request where the input gave one."""

    record: Record
    request: CreateAvatar | None = None


async def registered(
    journal: Journal, chunks: AsyncIterator[Sequence[RowInput]], *, videos: bool = False
) -> AsyncGenerator[Sequence[Job], None]:
    """Input rows as jobs, each known to the ledger from here on, with `videos` their videos too."""
    async with _closing(chunks):
        async for rows in chunks:
            chunk = tuple(rows)
            register = partial(Ledger.register, rows=chunk, videos=videos)
            records = await journal.write(register)
            yield [_job(row, record) for row, record in zip(chunk, records, strict=True)]


def _job(row: RowInput, record: Record) -> Job:
    if row.digest == record.digest:
        video = record.video
        if video is None or row.video is None or video.digest == row.video.digest:
            return Job(record, row.request)
        text = (
            f"what its video says differs from what the ledger recorded under the key {row.key!r}, "
            "and its job was sent; nothing more was. Restore it, or use another key or ledger"
        )
        return Job(evolve(record, video=evolve(video, state="failed", error=text)), row.request)
    # The ledger's record stays as it is: it may have an avatar.
    text = (
        f"this row differs from what the ledger recorded under the key {row.key!r}; nothing was "
        f"sent. Restore it, give it another key, or use another ledger"
    )
    return Job(evolve(record, state="failed", error=text))


async def with_files(journal: Journal, jobs: Sequence[Job]) -> Sequence[Job]:
    """The jobs, where a saved video is made again if its file is not where it was saved."""
    lost = await asyncio.to_thread(_lost_files, jobs)
    if not lost:
        return jobs
    records = await journal.write(lambda ledger: ledger.without_files(lost))
    return [evolve(job, record=records.get(job.record.id, job.record)) for job in jobs]


def _lost_files(jobs: Sequence[Job]) -> set[int]:
    return {
        job.record.id
        for job in jobs
        if (video := job.record.video) is not None
        and video.state == "saved"
        and _size(video.file) != video.size_bytes
    }


def _size(file: str | None) -> int | None:
    try:
        return Path(file or "").stat().st_size
    except OSError:
        return None


def rebuilt(record: Record) -> CreateAvatar | None:
    """The record's request, where it can still be sent; looks into its file, so in a thread."""
    return row_of(record.payload, record.position).request


def problem_of(record: Record) -> str:
    """Why the record can't be sent."""
    row = row_of(record.payload, record.position)
    if str(record.payload.get("image", "")).startswith("sha256:"):
        return "its image was given as bytes, which no ledger keeps: run your own program again"
    return "; ".join(f"{name}: {text}" for name, text in row.problems.items())


async def numbered(rows: Rows) -> AsyncIterator[Sequence[RowInput]]:
    """The user's rows, numbered from 1, in chunks; nothing is read before it is wanted."""
    if isinstance(rows, AsyncIterable):
        position = 0
        async with _closing(rows):
            async for one in rows:
                position += 1
                yield [await asyncio.to_thread(row_of, one, position)]
        return
    numbered = enumerate(rows, start=1)
    while chunk := list(itertools.islice(numbered, CHUNK)):
        yield await asyncio.to_thread(_rows_of, chunk)


def _rows_of(chunk: Sequence[tuple[int, CreateAvatar | Mapping[str, Any]]]) -> list[RowInput]:
    return [row_of(one, position) for position, one in chunk]


@asynccontextmanager
async def _closing(rows: object) -> AsyncGenerator[None, None]:
    """Close a generator at the end, also where it was not read to its end."""
    try:
        yield
    finally:
        if isinstance(rows, AsyncGenerator):
            await rows.aclose()

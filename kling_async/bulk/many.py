"""What does a program call to make many? The library's way into `runner.py`."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from .._calls.pipeline import Options, Pipeline
from ..errors import InvalidRequestError
from .equipment import Equipment
from .feed import Rows, numbered, registered
from .journal import open_journal
from .judge import Rules
from .rows import BulkRow
from .runner import BulkRun


async def create_many(
    pipeline: Pipeline,
    options: Options,
    rows: Rows,
    *,
    ledger: str | os.PathLike[str],
    concurrency: int,
    single_writer: bool,
    equipment: Equipment | None = None,
) -> AsyncGenerator[BulkRow, None]:
    """What `kling.avatars.create_many` does; see there."""
    if isinstance(rows, (str, bytes, os.PathLike, Mapping)):  # iterable, but not of rows
        raise InvalidRequestError(
            f"create_many() takes rows, not {type(rows).__name__}; nothing was sent. Read a file "
            "with csv.DictReader, or give it to `kling-async bulk run`"
        )
    async with open_journal(ledger, service=pipeline.service) as journal:
        run = BulkRun(
            pipeline,
            options,
            journal,
            concurrency=concurrency,
            rules=Rules(single_writer),
            equipment=equipment,
        )
        jobs = registered(journal, numbered(rows), videos=equipment is not None)
        async with aclosing(run.results(jobs)) as results:
            async for row in results:
                yield row

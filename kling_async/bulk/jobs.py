"""How is a bulk job put together? An open ledger, the recipe of its rows, and a run over both.

`resources/bulk.py`, `create_many` and the command line begin here; nothing of it is sent before its
rows are asked for.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

from attrs import frozen

from .._calls.pipeline import Options, Pipeline
from .._files.downloads import Downloads
from .._polling.waiter import TaskWaiter
from ..errors import InvalidRequestError
from ..models.text import printable
from .budget import Budget
from .health import WAIT_FOR_SERVER_S
from .ledger import Ledger
from .outgoing import StepRequests
from .places import Place, open_ledger
from .recipes import Recipe
from .results import RowResult
from .rows import RowBuilder
from .runner import BulkRun, Chunks
from .sources import ALL_STEPS, built, registered
from .task_group import Concurrency
from .values import has_half
from .works import Works

Rows = Iterable[Any] | AsyncIterable[Any]


@frozen
class Equipment:
    """What of a client a job uses."""

    pipeline: Pipeline
    options: Options
    waiter: TaskWaiter
    downloads: Downloads


@frozen
class BulkJob:
    """A job that can begin."""

    ledger: Ledger
    requests: StepRequests
    run: BulkRun

    async def submitted(self, rows: Chunks) -> int:
        """Bring the rows into a shared ledger, and leave them to its workers; how many."""
        from .shared_run import SharedRun

        assert isinstance(self.run, SharedRun)
        await self.run.tell_workers()
        return sum([len(chunk) async for chunk in rows])


@asynccontextmanager
async def open_job(
    equipment: Equipment,
    ledger: Place,
    recipe: Recipe | None,
    *,
    folder: str | os.PathLike[str] | None,
    concurrency: Concurrency,
    again: bool = False,
    pay_again: bool = False,
    wait_for_server_s: float = WAIT_FOR_SERVER_S,
    service: str | None = None,
) -> AsyncIterator[BulkJob]:
    """A job over the ledger at this path, which is made where it is missing, and is ours until the
    end.

    Args:
        equipment: of the client that sends.
        ledger: its file or address.
        recipe: of its rows; None: each says what it is.
        folder: where works become files; None: they don't.
        concurrency: rows under way at once, or "auto".
        again: see `BulkRun`, as for the rest.
        pay_again: see there.
        wait_for_server_s: see there.
        service: whom the ledger belongs to; default: the client's.
    """
    pipeline = equipment.pipeline
    service = pipeline.service if service is None else service
    async with open_ledger(ledger, service=service, now=pipeline.clock.wall) as opened:
        job = job_over(
            *(equipment, opened, recipe),
            folder=folder,
            concurrency=concurrency,
            again=again,
            pay_again=pay_again,
            wait_for_server_s=wait_for_server_s,
        )
        yield job


def job_over(
    equipment: Equipment,
    ledger: Ledger,
    recipe: Recipe | None,
    *,
    folder: str | os.PathLike[str] | None,
    concurrency: Concurrency,
    again: bool = False,
    pay_again: bool = False,
    wait_for_server_s: float = WAIT_FOR_SERVER_S,
    budget: Budget | None = None,
    **shared: Any,
) -> BulkJob:
    """A job over a ledger that is open; see `open_job`. `shared` is for `SharedRun`."""
    files = None if folder is None else nameable(Path(folder))
    requests = StepRequests(recipe, saves=files is not None)
    run_type = BulkRun
    if ledger.shared:
        from .shared_run import SharedRun

        run_type = SharedRun
    run = run_type(
        equipment.pipeline,
        equipment.options,
        ledger,
        requests,
        Works(ledger, equipment.waiter, equipment.downloads, files),
        concurrency=concurrency,
        made=None if recipe is None else recipe.made,
        again=again,
        pay_again=pay_again,
        wait_for_server_s=wait_for_server_s,
        budget=budget,
        **shared,
    )
    return BulkJob(ledger, requests, run)


def nameable(folder: Path) -> Path:
    """The folder, which a ledger can name; InvalidRequestError where its name is no text."""
    if has_half(str(folder.absolute())):
        raise InvalidRequestError(
            f"the folder {printable(str(folder))} has a name that is not UTF-8 text, so a ledger "
            "can't keep where its files are; rename it, or choose another. Nothing was sent"
        )
    return folder


async def carried_out(
    equipment: Equipment,
    rows: Rows,
    recipe: Recipe | None,
    *,
    method: str,
    ledger: str | os.PathLike[str],
    folder: str | os.PathLike[str] | None,
    concurrency: Concurrency,
    again: bool,
    retry_failed: bool = False,
    mixed: bool = False,
) -> AsyncGenerator[RowResult, None]:
    """Each row's result as it is settled: what the library's methods give their callers.

    Args:
        equipment: of the client.
        rows: requests or mappings.
        recipe: of each; None: each says what it is.
        method: what was called, for errors.
        ledger: the file.
        folder: where works become files.
        concurrency: rows under way at once, or "auto".
        again: rows that look as if they were made already are made.
        retry_failed: rows that failed are tried again, once in this run.
        mixed: rows may be of other operations than the recipe's.
    """
    if isinstance(rows, (str, bytes, os.PathLike, Mapping)):  # iterable, but not of rows
        raise InvalidRequestError(
            f"{method}() takes rows, not {type(rows).__name__}; nothing was sent. Read a file "
            "with csv.DictReader, or give it to `kling-async bulk run`"
        )
    opened = open_job(
        *(equipment, ledger, recipe), folder=folder, concurrency=concurrency, again=again
    )
    async with opened as job:
        with RowBuilder(recipe, mixed=mixed, saves=folder is not None) as builder:
            steps = 0 if not retry_failed else ALL_STEPS if recipe is None else recipe.made
            read = built(builder, rows)
            chunks = registered(job.ledger, job.requests, read, retry_failed=steps)
            async with aclosing(job.run.results(chunks)) as results:
                async for result in results:
                    yield result

"""How do many rows become avatars? Jobs in, bounded workers, the ledger at each turn, results out.

    feeder:   input rows -> ledger (registered) -> jobs      waits while too many are in the house
    workers:  job -> upload if needed -> ready -> intent -> create -> done | failed | unknown
    results:  every row once, as it is settled

`create_many` is the library's way in; the command line drives `BulkRun` itself, to show progress
and to stop it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from functools import partial
from typing import Any

from attrs import define, evolve, frozen

from ..errors import (
    AccountRequiredError,
    KlingError,
    LedgerError,
    NotSentError,
    OutcomeUnknownError,
    RateLimitedError,
)
from ..media import Media
from ..models.assets import UploadAsset
from ..models.avatars import CreateAvatar
from ..pipeline import Options, Pipeline
from ..retry import parks
from .journal import Journal, open_journal
from .ledger import OPEN_STATES, Ledger, Record
from .rows import BulkRow, RowInput, row_of

CHUNK = 64
"""Rows that are registered together."""
ATTEMPTS_WHILE_UNREACHABLE = 8  # about a minute with the default waits, then the run stops
ROUNDS_WHILE_REFUSED = 10  # times `attempts` answers 429 before a row counts as failed


@frozen
class Job:
    """A row in the house: its record, and its request where the input gave one."""

    record: Record
    request: CreateAvatar | None = None


@define
class Tally:
    """What a run has done so far; plain numbers, cheap to read at any time."""

    created: int = 0
    failed: int = 0
    unknown: int = 0
    skipped: int = 0
    resumed: int = 0
    """Rows that were settled before this run began."""
    under_way: int = 0

    @property
    def settled(self) -> int:
        """Rows whose result is known, those of earlier runs included."""
        return self.created + self.failed + self.unknown + self.skipped


class BulkRun:
    """One run over one ledger.

    Args:
        pipeline: sends.
        options: of each call.
        journal: remembers.
        concurrency: rows under way at once, at least 1.
    """

    def __init__(
        self, pipeline: Pipeline, options: Options, journal: Journal, *, concurrency: int
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency}")
        self.tally = Tally()
        self.stopped_because: str | None = None
        """Why the run ended before its rows did; None while it goes on."""
        self._pipeline = pipeline
        self._options = evolve(
            options,
            retry=evolve(
                options.retry,
                attempts=max(options.retry.attempts, ATTEMPTS_WHILE_UNREACHABLE)
                if options.retry.attempts > 1
                else 1,
            ),
        )
        self._journal = journal
        self._concurrency = concurrency
        self._stopping = asyncio.Event()
        self._parked: dict[str | None, str] = {}
        self._workers: dict[asyncio.Task[None], _Witness | None] = {}
        self._todo: asyncio.Queue[Job | None] = asyncio.Queue()
        self._results: asyncio.Queue[BulkRow | None] = asyncio.Queue()
        # What bounds memory: a place per row from its reading to the taking of its result.
        self._places = asyncio.Semaphore(4 * concurrency + CHUNK)

    @property
    def parked(self) -> list[str]:
        """Why accounts were given up in this run, one text each."""
        return list(self._parked.values())

    @property
    def waiting(self) -> int:
        """Calls that wait for the rate limit or for a pause."""
        return self._pipeline.admission.waiting

    @property
    def paused_s(self) -> float:
        """Seconds until the account that is paused longest may go on."""
        return self._pipeline.admission.longest_pause_s()

    def stop(self, because: str) -> None:
        """End soon: begin no further create, finish and record those whose bytes are out."""
        if not self._stopping.is_set():
            self.stopped_because = because
            self._stopping.set()

    async def results(self, jobs: AsyncIterator[Sequence[Job]]) -> AsyncGenerator[BulkRow, None]:
        """Each row's result as it is settled.

        Leaving the loop early stops the run as `stop` does; being cancelled ends it at once, and
        what was in flight then counts as unknown.
        """
        feeder = asyncio.create_task(self._feed(jobs))
        self._workers = {asyncio.create_task(self._work()): None for _ in range(self._concurrency)}
        tasks = [feeder, *self._workers]
        overseer = asyncio.create_task(self._oversee(feeder))
        try:
            while (row := await self._results.get()) is not None:
                self._places.release()
                yield row
            await overseer
        except GeneratorExit:
            self.stop("the caller took no more results")
            await overseer
            raise
        finally:
            for task in (overseer, *tasks):
                task.cancel()
            await asyncio.gather(overseer, *tasks, return_exceptions=True)
            await self._journal.settle()

    async def _oversee(self, feeder: asyncio.Task[None]) -> None:
        """Wait for the end, carry out a stop, and pass on what went wrong."""
        running: set[asyncio.Task[Any]] = {feeder, *self._workers}
        stop = asyncio.create_task(self._stopping.wait())
        try:
            while running:
                ended, _ = await asyncio.wait({stop, *running}, return_when=asyncio.FIRST_COMPLETED)
                running -= ended
                if any(not one.cancelled() and one.exception() for one in ended):
                    self.stop("of an error")
                if self._stopping.is_set() and stop in ended:
                    self._interrupt(feeder)
                    ended, _ = await asyncio.wait(running) if running else (set(), None)
                    running = set()
        finally:
            stop.cancel()
            self._results.put_nowait(None)
        for task in (feeder, *self._workers):
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise error

    def _interrupt(self, feeder: asyncio.Task[None]) -> None:
        feeder.cancel()
        for worker, witness in self._workers.items():
            if witness is None or not witness.in_flight:
                worker.cancel()

    async def _feed(self, jobs: AsyncIterator[Sequence[Job]]) -> None:
        try:
            async for chunk in jobs:
                for job in chunk:
                    await self._places.acquire()
                    if job.record.state in OPEN_STATES:
                        self._todo.put_nowait(job)
                    else:
                        self.tally.resumed += 1
                        self._settle(job.record.result())
        finally:
            for _ in range(self._concurrency):
                self._todo.put_nowait(None)

    async def _work(self) -> None:
        me = asyncio.current_task()
        assert me is not None
        while (job := await self._todo.get()) is not None:
            witness = self._workers[me] = _Witness(self._journal, job.record.id)
            self.tally.under_way += 1
            try:
                result = await self._row(job, witness)
            finally:
                self._workers[me] = None
                self.tally.under_way -= 1
            self._settle(result)
            if self._stopping.is_set():
                return

    async def _row(self, job: Job, witness: _Witness) -> BulkRow:
        """One row from its request to its place in the ledger."""
        record, journal = job.record, self._journal
        request = job.request or await asyncio.to_thread(_rebuilt, record)
        if request is None:
            problem = await asyncio.to_thread(_problem_of, record)
            await journal.write(lambda ledger: ledger.failed(record.id, problem))
            return await self._recorded(record)
        account = self._account(record.account or request.email)
        if account in self._parked:
            return self._skipped(record, account, self._parked[account])
        try:
            request = await self._ready(record, request, account)
            created = await self._create(request, witness)
        except (LedgerError, AccountRequiredError):
            raise
        except KlingError as exc:
            if isinstance(exc, OutcomeUnknownError) and witness.in_flight:
                lost = str(exc)
                await journal.write(lambda ledger: ledger.unknown(record.id, lost))
                return await self._recorded(record)
            if (rescued := await self._stuck(record, account, exc)) is not None:
                return rescued
            text = str(exc)
            await journal.write(lambda ledger: ledger.failed(record.id, text))
        else:
            await journal.write(lambda ledger: ledger.done(record.id, created))
        return await self._recorded(record)

    async def _ready(
        self, record: Record, request: CreateAvatar, account: str | None
    ) -> CreateAvatar:
        """The request as it can go out: its file uploaded, once, and its account fixed."""
        asset_url = record.asset_url
        if isinstance(request.image, Media) and asset_url is None:
            upload = UploadAsset(file=request.image, email=account)
            asset_url = (await self._pipeline.send(upload, self._options)).usable_url
        await self._journal.write(lambda ledger: ledger.ready(record.id, account, asset_url))
        if asset_url is not None:
            return evolve(request, image=None, image_url=asset_url, email=account)
        return evolve(request, email=account)

    async def _create(self, request: CreateAvatar, witness: _Witness) -> str:
        """The new id. Answers 429 are waited out for as long as the server names sane times."""
        for left in range(ROUNDS_WHILE_REFUSED, 0, -1):
            try:
                return (await self._pipeline.send(request, self._options, witness)).id
            except RateLimitedError as exc:
                longest_s = self._options.retry.retry_after_max_s
                if left == 1 or (exc.retry_after_s or 0) > longest_s:
                    raise
        raise AssertionError("the last round returns or raises")  # pragma: no cover

    async def _stuck(
        self, record: Record, account: str | None, error: KlingError
    ) -> BulkRow | None:
        """What stops more than this row: an account that can't work, a server out of reach."""
        if isinstance(error, NotSentError):
            self.stop(f"the server can't be reached ({error.text}); run it again to go on")
            return self._skipped(record, account, str(error))
        limit_s = self._options.retry.retry_after_max_s
        if isinstance(error, RateLimitedError) and (error.retry_after_s or 0) > limit_s:
            self._parked[account] = f"account {account or '(default)'} is paused: {error.text}"
            return self._skipped(record, account, self._parked[account])
        if parks(error):
            self._parked[account] = f"account {account or '(default)'} can't be used: {error}"
        return None

    def _account(self, named: str | None) -> str | None:
        """The row's account, or one that is not parked where the registry chooses."""
        chosen = self._pipeline.accounts.choose(named)
        if named is None:
            for _ in range(len(self._pipeline.accounts)):
                if chosen not in self._parked:
                    break
                chosen = self._pipeline.accounts.choose(None)
        return chosen

    def _skipped(self, record: Record, account: str | None, because: str) -> BulkRow:
        return evolve(record.result(), state="skipped", account=account, error=because)

    async def _recorded(self, record: Record) -> BulkRow:
        key = record.key
        return (await self._journal.read(lambda ledger: ledger.get(key))).result()

    def _settle(self, row: BulkRow) -> None:
        setattr(self.tally, row.state, getattr(self.tally, row.state) + 1)
        self._results.put_nowait(row)


class _Witness:
    """Writes the turns of one row's create into the ledger, before they happen."""

    def __init__(self, journal: Journal, row_id: int) -> None:
        self._journal = journal
        self._row_id = row_id
        self.in_flight = False

    async def sending(self, account: str | None, attempt: int) -> None:
        """The intent is on disk when this returns; if cancelled here, it is taken back."""
        row_id = self._row_id
        try:
            await self._journal.write(lambda ledger: ledger.intent(row_id, account))
        except asyncio.CancelledError:  # nothing was sent, and nothing will be
            self._journal.submit(lambda ledger: ledger.not_carried_out(row_id, None))
            raise
        self.in_flight = True

    async def not_carried_out(self, error: KlingError) -> None:
        """The row may go again."""
        row_id, text = self._row_id, str(error)
        self.in_flight = False
        await self._journal.write(lambda ledger: ledger.not_carried_out(row_id, text))


async def create_many(
    pipeline: Pipeline,
    options: Options,
    rows: Iterable[CreateAvatar | Mapping[str, Any]]
    | AsyncIterable[CreateAvatar | Mapping[str, Any]],
    *,
    ledger: str | os.PathLike[str],
    concurrency: int,
) -> AsyncGenerator[BulkRow, None]:
    """What `kling.avatars.create_many` does; see there."""
    async with open_journal(ledger, service=pipeline.service) as journal:
        run = BulkRun(pipeline, options, journal, concurrency=concurrency)
        jobs = registered(journal, _numbered(rows))
        async with aclosing(run.results(jobs)) as results:
            async for row in results:
                yield row


async def registered(
    journal: Journal, chunks: AsyncIterator[Sequence[RowInput]]
) -> AsyncIterator[Sequence[Job]]:
    """Input rows as jobs, each known to the ledger from here on."""
    async for rows in chunks:
        chunk = tuple(rows)
        records = await journal.write(partial(Ledger.register, rows=chunk))
        yield [_job(row, record) for row, record in zip(chunk, records, strict=True)]


def _job(row: RowInput, record: Record) -> Job:
    if row.digest == record.digest:
        return Job(record, row.request)
    # The ledger's record stays as it is: it may have an avatar.
    text = (
        f"this row differs from what the ledger recorded under the key {row.key!r}; nothing was "
        f"sent. Restore it, give it another key, or use another ledger"
    )
    return Job(evolve(record, state="failed", error=text))


def _rebuilt(record: Record) -> CreateAvatar | None:
    """The record's request, where it can still be sent; looks into its file, so in a thread."""
    return row_of(record.payload, record.position).request


def _problem_of(record: Record) -> str:
    """Why the record can't be sent."""
    row = row_of(record.payload, record.position)
    if str(record.payload.get("image", "")).startswith("sha256:"):
        return "its image was given as bytes, which no ledger keeps: run your own program again"
    return "; ".join(f"{name}: {text}" for name, text in row.problems.items())


async def _numbered(
    rows: Iterable[CreateAvatar | Mapping[str, Any]]
    | AsyncIterable[CreateAvatar | Mapping[str, Any]],
) -> AsyncIterator[Sequence[RowInput]]:
    """The user's rows, numbered from 1, in chunks; nothing is read before it is wanted."""
    if isinstance(rows, AsyncIterable):
        position = 0
        async for one in rows:
            position += 1
            yield [await asyncio.to_thread(row_of, one, position)]
        return
    numbered = enumerate(rows, start=1)
    while chunk := list(itertools.islice(numbered, CHUNK)):
        yield await asyncio.to_thread(_rows_of, chunk)


def _rows_of(chunk: Sequence[tuple[int, CreateAvatar | Mapping[str, Any]]]) -> list[RowInput]:
    return [row_of(one, position) for position, one in chunk]

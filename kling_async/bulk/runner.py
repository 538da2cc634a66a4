"""How do many rows become avatars? Jobs in, bounded workers, the ledger at each turn, results out.

    feeder:   input rows -> ledger (registered) -> jobs      waits while too many are in the house
    workers:  job -> upload if needed -> ready -> intent -> create -> done | failed | doubt
    doubts:   listings -> done | unknown                     one listing for all of an account
    results:  every row once, as it is settled

`create_many` is the library's way in; the command line drives `BulkRun` itself, to show progress
and to stop it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from attrs import define, evolve

from ..models.avatars import ListAvatars
from ..pipeline import Options, Pipeline
from ..settings import CLOSE_WITHIN_S
from .doubts import Doubts
from .feed import CHUNK, Job, Rows, numbered, registered
from .journal import Journal, open_journal
from .judge import Rules
from .making import Making, RowWitness
from .records import OPEN_STATES, UNSETTLED, Record
from .rows import BulkRow

ATTEMPTS_WHILE_UNREACHABLE = 8  # about a minute with the default waits, then the run stops


@define
class Tally:
    """What a run has done so far; plain numbers, cheap to read at any time."""

    created: int = 0
    failed: int = 0
    unknown: int = 0
    skipped: int = 0
    adopted: int = 0
    """Created, with the answer lost: found in the account's list."""
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
        rules: what counts as evidence that a create worked whose answer was lost.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        options: Options,
        journal: Journal,
        *,
        concurrency: int,
        rules: Rules = Rules(),
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency}")
        self.tally = Tally()
        self.stopped_because: str | None = None
        """Why the run ended before its rows did; None while it goes on."""
        self._pipeline = pipeline
        self._doubts = Doubts(
            journal,
            lambda account: pipeline.send(ListAvatars(email=account), options),
            self._settle_record,
            clock=pipeline.clock,
            within_s=options.retry.reconcile_within_s,
            rules=rules,
            resend_after_absence=options.retry.resend_after_absence,
        )
        self._making = Making(pipeline, _patient(options), journal, self._doubts, self.stop)
        self._journal = journal
        self._concurrency = concurrency
        self._stopping = asyncio.Event()
        self._leaving = False
        self._workers: dict[asyncio.Task[None], RowWitness | None] = {}
        self._in_house: dict[int, str] = {}
        """Rows that were read and are not settled: id -> key."""
        self._todo: asyncio.Queue[Job | None] = asyncio.Queue()
        self._results: asyncio.Queue[BulkRow | None] = asyncio.Queue()
        # What bounds memory: a place per row from its reading to the taking of its result.
        self._places = asyncio.Semaphore(4 * concurrency + CHUNK)

    @property
    def parked(self) -> list[str]:
        """Why accounts were given up in this run, one text each."""
        return list(self._making.parked.values())

    @property
    def waiting(self) -> int:
        """Calls that wait for the rate limit or for a pause."""
        return self._pipeline.admission.waiting

    @property
    def in_doubt(self) -> int:
        """Rows whose answer was lost, and that are being looked for."""
        return self._doubts.open

    @property
    def surplus(self) -> list[str]:
        """Avatars found beside the ones that rows got, with the same image; nobody's."""
        return self._doubts.surplus

    @property
    def paused_s(self) -> float:
        """Seconds until the account that is paused longest may go on."""
        return self._pipeline.admission.longest_pause_s()

    @property
    def found_per_s(self) -> float | None:
        """The rate that an adaptive limit has found, all accounts together; None without one."""
        return self._pipeline.admission.per_s()

    def stop(self, because: str) -> None:
        """End soon: begin no further create, finish and record those whose bytes are out."""
        if not self._stopping.is_set():
            self.stopped_because = because
            self._stopping.set()

    def leave(self) -> None:
        """Wait for nothing from now on: what is in flight will be in doubt. Cancel the run next."""
        self._leaving = True
        self._pipeline.leave()

    async def results(
        self, jobs: AsyncGenerator[Sequence[Job], None]
    ) -> AsyncGenerator[BulkRow, None]:
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
        except asyncio.CancelledError:
            # What is in flight is finished and recorded, for as long as closing a client takes.
            self.stop("it was cancelled")
            if not self._leaving:
                await asyncio.wait({overseer}, timeout=CLOSE_WITHIN_S)
            raise
        finally:
            rest = (overseer, *tasks)
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)
            await self._doubts.give_up()
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
                    if running:
                        await asyncio.wait(running)
                    running = set()
                elif not running:
                    running = {one for one in self._doubts.tasks if not one.done()}
        finally:
            stop.cancel()
            self._results.put_nowait(None)
        for task in (feeder, *self._workers, *self._doubts.tasks):
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise error

    def _interrupt(self, feeder: asyncio.Task[None]) -> None:
        feeder.cancel()
        for watcher in self._doubts.tasks:
            watcher.cancel()  # rows in doubt stay so, for the next run
        for worker, witness in self._workers.items():
            if witness is None or not witness.in_flight:
                worker.cancel()

    async def _feed(self, jobs: AsyncGenerator[Sequence[Job], None]) -> None:
        try:
            async with aclosing(jobs):
                async for chunk in jobs:
                    for job in chunk:
                        await self._places.acquire()
                        self._take(job)
        finally:
            for _ in range(self._concurrency):
                self._todo.put_nowait(None)

    def _take(self, job: Job) -> None:
        row_id = job.record.id
        if row_id in self._in_house:
            text = "its key was given before; keys must differ. Nothing was sent for this row"
            self._settle(evolve(job.record.result(), state="failed", error=text))
        elif job.record.state in (*OPEN_STATES, *UNSETTLED):
            self._in_house[row_id] = job.record.key
            self._todo.put_nowait(job)
        else:
            self.tally.resumed += 1
            self._settle(job.record.result())

    async def _work(self) -> None:
        me = asyncio.current_task()
        assert me is not None
        while (job := await self._todo.get()) is not None:
            witness = self._workers[me] = RowWitness(
                self._journal, job.record.id, self._stopping.is_set
            )
            self.tally.under_way += 1
            try:
                result = await self._making.make(job, witness)
            finally:
                self._workers[me] = None
                self.tally.under_way -= 1
            if result is not None:  # else it is in doubt, and settled by and by
                self._in_house.pop(job.record.id, None)
                self._settle(result)
            if self._stopping.is_set():
                return

    def _settle_record(self, record: Record) -> None:
        self._in_house.pop(record.id, None)
        row = record.result()
        if row.state == "skipped":  # absent for long enough, and the user opted for sending again
            row = evolve(row, error="it was not found; the next run sends it again")
        self._settle(row)

    def _settle(self, row: BulkRow) -> None:
        if (row.evidence or "").startswith("adopted"):
            self.tally.adopted += 1
        setattr(self.tally, row.state, getattr(self.tally, row.state) + 1)
        self._results.put_nowait(row)


def _patient(options: Options) -> Options:
    """More attempts while the server is out of reach, and no looking for lost answers call by call.

    Doubts look for all rows of an account at once, with what the ledger knows. And the workers are
    few enough to wait an outage out without a retry budget.
    """
    retry = evolve(options.retry, reconcile_within_s=0, budget=False)
    if retry.attempts > 1:
        retry = evolve(retry, attempts=max(retry.attempts, ATTEMPTS_WHILE_UNREACHABLE))
    return evolve(options, retry=retry)


async def create_many(
    pipeline: Pipeline,
    options: Options,
    rows: Rows,
    *,
    ledger: str | os.PathLike[str],
    concurrency: int,
    single_writer: bool,
) -> AsyncGenerator[BulkRow, None]:
    """What `kling.avatars.create_many` does; see there."""
    async with open_journal(ledger, service=pipeline.service) as journal:
        rules = Rules(single_writer)
        run = BulkRun(pipeline, options, journal, concurrency=concurrency, rules=rules)
        jobs = registered(journal, numbered(rows))
        async with aclosing(run.results(jobs)) as results:
            async for row in results:
                yield row

"""How do many rows run on this machine? Rows in, bounded workers, the ledger, results out.

    feeder:   input rows -> ledger (registered) -> steps     waits while too many are in the house
    workers:  step -> `Stepper.advance` -> the row's next step, or its result
    slots:    a step that needs a job slot waits in the ledger's queue; workers per account take it
    doubts:   listings -> found | unknown                    one look for all of an account
    results:  every row once, as it is settled

`jobs.py` puts a run together; the command line drives it, to show progress and to stop it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

from attrs import evolve, frozen

from .._calls.pipeline import Options, Pipeline
from ..aio import finished
from ..settings import CLOSE_WITHIN_S
from .budget import Budget
from .doubts import Doubts
from .health import WAIT_FOR_SERVER_S, AccountHealth, bulk_retry
from .ledger import Ledger
from .machine import State
from .outcomes import Done, Failed, InDoubt, Outcome, PutOff, Stopped
from .outgoing import StepRequests
from .records import Applied, Row, Step
from .results import RowResult, RunCounts, given_before, given_otherwise
from .slots import AccountSlots
from .sources import CHUNK
from .steps import Stepper
from .task_group import Concurrency, Crew, Hold, TaskGroup
from .works import Works, with_files

Chunks = AsyncGenerator[Sequence[Row], None]


@frozen
class _Job:
    """A row at its step of this number, with the steps before it counted."""

    row: Row
    number: int

    @property
    def step(self) -> Step:
        return self.row.steps[self.number - 1]


class BulkRun:
    """One run over one ledger.

    Args:
        pipeline: sends.
        options: of each call.
        ledger: remembers.
        requests: say what the steps send.
        works: waits for tasks, and brings their files.
        concurrency: rows under way at once, see `Crew`; tasks: as the accounts' job slots allow.
        budget: what bounds the tasks that are begun; default: nothing.
        made: how many steps of each row are carried out; default: all.
        again: rows that look as if they were made already are made.
        pay_again: a task that was begun and is not to be found is begun once more.
        wait_for_server_s: how long the run goes on trying while nobody answers; default 60.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        options: Options,
        ledger: Ledger,
        requests: StepRequests,
        works: Works,
        *,
        concurrency: Concurrency,
        made: int | None = None,
        again: bool = False,
        pay_again: bool = False,
        wait_for_server_s: float = WAIT_FOR_SERVER_S,
        budget: Budget | None = None,
    ) -> None:
        self.counts: RunCounts = RunCounts()
        self.stopped_because: str | None = None  # where it ended before its rows did
        self.made = made
        self.makes_avatars: bool = requests.makes_avatars
        self.folder: Path | None = works.folder
        self.health: AccountHealth = AccountHealth(options.retry.retry_after_max_s, self.stop)
        self._pipeline = pipeline
        self._ledger = ledger
        self._requests = requests
        self._budget = budget
        self._stopping = asyncio.Event()
        self._leaving = False
        self._group = TaskGroup()
        self._crew = Crew[_Job](concurrency, pipeline.admission, self._group, self._work)
        self._options = evolve(options, retry=bulk_retry(options.retry, wait_for_server_s))
        self._doubts = Doubts(
            *(pipeline, options, ledger, requests, self._found_out, self._group), again=again
        )
        self._stepper = Stepper(
            *(pipeline, self._options, ledger, requests, self._doubts, self.health, works),
            self._stopping.is_set,
            pay_again=pay_again,
        )
        self._in_house: set[int] = set()  # rows that were read, and are not settled or queued
        self._results: asyncio.Queue[tuple[RowResult, asyncio.Semaphore] | None] = asyncio.Queue()
        # What bounds memory: a place per row from its reading to the taking of its result, or to
        # the ledger's queue; and one per result of a row that was in that queue.
        self._places = asyncio.Semaphore(4 * self._crew.most + CHUNK)
        self._room = asyncio.Semaphore(4 * self._crew.most + CHUNK)
        self._slots = AccountSlots(pipeline, self._options, ledger, unlimited=self._crew.first)
        self._waiting: dict[str | None, int] = {}  # account -> steps in the ledger's queue
        self._slot_workers: dict[str | None, int] = {}

    # --- what it says of itself -----------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Calls that wait for the rate limit or for a pause."""
        return self._pipeline.admission.waiting

    @property
    def in_doubt(self) -> tuple[int, float]:
        """Steps whose answer was lost and that are looked for, and for how many seconds at most."""
        return self._doubts.open, self._doubts.open_s

    @property
    def running(self) -> int:
        """Tasks at Kling that are waited for."""
        return self._stepper.running

    @property
    def queued(self) -> int:
        """Steps that wait for a job slot."""
        return sum(self._waiting.values())

    @property
    def left_running(self) -> int:
        """Tasks that this run began or found, and that it ended without waiting for."""
        return self._stepper.left_running

    def surplus(self, kind: str) -> list[str]:
        """Things found beside the ones that rows got, with the same signs; nobody's."""
        return self._doubts.surplus.get(kind, [])

    @property
    def paused_s(self) -> float:
        """Seconds until the account that is paused longest may go on."""
        return self._pipeline.admission.longest_pause_s()

    @property
    def found_per_s(self) -> float | None:
        """The rate that an adaptive limit has found, all accounts together; None without one."""
        return self._pipeline.admission.per_s()

    def stop(self, because: str) -> None:
        """End soon: begin nothing further, finish and record what is on its way to the server."""
        if not self._stopping.is_set():
            self.stopped_because = because
            self._stopping.set()

    def leave(self) -> None:
        """Wait for nothing from now on: what is in flight will be in doubt. Cancel the run next."""
        self._leaving = True
        self._pipeline.leave()

    # --- the run --------------------------------------------------------------------------------

    async def results(self, rows: Chunks) -> AsyncGenerator[RowResult, None]:
        """Each row's result as it is settled.

        Leaving the loop early stops the run as `stop` does; being cancelled ends it at once, and
        what was in flight then counts as unknown.

        Args:
            rows: in chunks, as the ledger has them.
        """
        self._group.start(self._feed(rows))
        self._crew.begin()
        overseer = asyncio.create_task(self._oversee())
        try:
            while (result := await self._results.get()) is not None:
                result[1].release()
                yield result[0]
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
            self._crew.end()
            overseer.cancel()
            await finished(asyncio.create_task(self._end(overseer)))  # anyio cancels each wait

    async def _end(self, overseer: asyncio.Task[None]) -> None:
        await asyncio.gather(overseer, return_exceptions=True)
        for end in (self._group.end, self._doubts.aclose, self._slots.aclose, self._ledger.settled):
            await end()

    async def _oversee(self) -> None:
        """Wait for the end, carry out a stop, and pass on what went wrong."""
        rest = asyncio.create_task(self._group.rest())
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({rest, stop}, return_when=asyncio.FIRST_COMPLETED)
            if self._group.error is not None:
                self.stop("of an error")
            if self._stopping.is_set():
                self._group.interrupt()
                await self._group.ended()
        finally:
            rest.cancel()
            stop.cancel()
            self._results.put_nowait(None)
        if self._group.error is not None:
            raise self._group.error

    # --- rows in --------------------------------------------------------------------------------

    async def _feed(self, rows: Chunks) -> None:
        try:
            async with aclosing(rows):
                async for chunk in rows:
                    if self.folder is not None and not self._ledger.shared:
                        chunk = await with_files(self._ledger, chunk, self._requests.saves)
                    for row in chunk:
                        await self._places.acquire()
                        await self._take(row)
        finally:
            self._crew.put(None)

    async def _take(self, row: Row) -> None:
        if row.duplicate or row.id in self._in_house:
            self._settle(given_before(row), 0)
        elif row.differs:
            self._settle(given_otherwise(row), 0)
        else:
            if any(map(self._requests.starts_task, row.steps[: self.made])):
                await self._slots.check(row, self.made, self._requests)
            self._in_house.add(row.id)
            await self._go_on(row, 0, begins=True)

    async def _go_on(self, row: Row, counted: int, *, begins: bool = False) -> None:
        """The row's next open step waits for its turn; or the row is settled.

        Args:
            row: which has a place.
            counted: how many of its steps are counted.
            begins: it comes from the input: what is unknown is looked for once more.
        """
        for step in row.steps[counted : self.made]:
            if step.state == "done":
                continue
            if step.state == "failed" or (step.state == "unknown" and not begins):
                break
            if self._requests.type_of(step).starts_task:
                why = None if self._budget is None else self._budget.take(step, self._requests)
                if why is not None:
                    self._settle(RowResult(row, step.state, why), counted)
                    return
                await self._queue(row, step, counted)
            else:
                self._crew.put(_Job(row, step.number))
            return
        self.counts.resumed += begins
        self._settle(RowResult(row), counted)

    # --- steps without a job slot ---------------------------------------------------------------

    async def _work(self, hold: Hold) -> None:
        """One worker: one step after the other."""
        while not self._stopping.is_set() and (job := await self._crew.next_job()) is not None:
            self.counts.under_way += 1
            try:
                outcome = await self._stepper.advance(job.step, hold)
            finally:
                self.counts.under_way -= 1
            await self._after(job, outcome, self._places)

    async def _after(self, job: _Job, outcome: Outcome, place: asyncio.Semaphore) -> None:
        """A step went as far as it could: on to the next one, or out with the row."""
        if isinstance(outcome, (InDoubt, Stopped)):
            return
        self._requests.forget(outcome.step)
        if isinstance(outcome, Done) and outcome.written is not None:
            self._group.start(self._close(job, outcome.step, outcome.written), Hold(settling=True))
            return
        row = job.row.with_step(outcome.step)
        if isinstance(outcome, PutOff):
            result = RowResult(row, outcome.step.state, outcome.why, outcome.step.account)
            self._settle(result, job.number - 1, place)
        elif isinstance(outcome, Done):
            await self._next(row, job.number, place)
        else:
            state: State = "failed" if isinstance(outcome, Failed) else "unknown"
            self._settle(RowResult(row, state, outcome.step.error), job.number - 1, place)

    async def _close(self, job: _Job, step: Step, written: asyncio.Future[Applied]) -> None:
        """A step is done; its worker goes on while the ledger learns of it."""
        if (applied := await written) is not Applied.YES:
            if applied is Applied.CLAIMED:
                await self._stepper.contest(step)
            step = await self._ledger.step(step.id)
            row = job.row.with_step(step)
            if step.state != "done":  # else another worker had found it before
                return self._settle(RowResult(row, step.state, step.error), job.number - 1)
        return await self._next(job.row.with_step(step), job.number, self._places)

    async def _next(self, row: Row, number: int, place: asyncio.Semaphore) -> None:
        """The step of this number is done."""
        if number >= len(row.steps[: self.made]):
            self._settle(RowResult(row), number - 1, place)
            return
        step = row.steps[number - 1]
        self.counts.of(number).add(step, "done")
        if place is self._room:  # it came out of the queue, and has no place of a row
            self._room.release()
            await self._a_place(self._places)
        await self._go_on(row, number)

    # --- steps that need a job slot -------------------------------------------------------------

    async def _queue(self, row: Row, step: Step, counted: int) -> None:
        """A step waits for its turn, in the ledger: any number may."""
        earlier = row.steps[: step.number - 1]
        await self._slots.learned()
        account = self._stepper.account_of(step, earlier)
        for one in row.steps[counted : step.number - 1]:
            self.counts.of(one.number).add(one, one.state)
        await self._ledger.queue(step.id, account)
        self._in_house.discard(row.id)
        self._places.release()
        self._waiting[account] = self._waiting.get(account, 0) + 1
        if self._slot_workers.get(account, 0) < self._slots.workers(account):
            self._slot_workers[account] = self._slot_workers.get(account, 0) + 1
            hold = Hold()
            self._group.start(self._work_slots(account, hold), hold)

    async def _work_slots(self, account: str | None, hold: Hold) -> None:
        """One worker of an account: one step out of the queue after the other."""
        try:
            while self._waiting[account] > 0 and not self._stopping.is_set():
                self._waiting[account] -= 1
                step = await self._ledger.next_step(account)
                if step is None:
                    return
                outcome = await self._stepper.advance(step, hold)
                if not isinstance(outcome, (InDoubt, Stopped)):
                    hold.settling = True
                    row = await self._ledger.row_of(step.row_id)
                    hold.settling = False  # who leaves it early takes no more results
                    await self._a_place(self._room)
                    await self._after(_Job(row, step.number), outcome, self._room)
        finally:
            self._slot_workers[account] -= 1

    async def _a_place(self, places: asyncio.Semaphore) -> None:
        """Wait for a place; not at the end, when perhaps nobody takes results and frees any."""
        if not self._stopping.is_set():
            await places.acquire()

    # --- results out ----------------------------------------------------------------------------

    async def _found_out(self, step: Step) -> None:
        """A step that was in doubt: it was found, or is unknown, or may be sent again."""
        row = await self._ledger.row_of(step.row_id)
        if self._requests.type_of(step).starts_task:
            if step.state == "running":
                await self._places.acquire()
                await self._queue(row, step, step.number - 1)
                return
            place = self._room
            await place.acquire()
        else:
            place = self._places  # which it kept
        self._requests.forget(step)
        if step.state == "done":
            await self._next(row, step.number, place)
        elif step.state == "ready":
            text = "it was not found; the next run sends it again"
            self._settle(RowResult(row, "ready", text), step.number - 1, place)
        else:
            self._settle(RowResult(row, step.state, step.error), step.number - 1, place)

    def _settle(
        self, result: RowResult, counted: int, place: asyncio.Semaphore | None = None
    ) -> None:
        self._in_house.discard(result.row.id)
        self.counts.row(result, counted, self.made)
        self._results.put_nowait((result, place or self._places))

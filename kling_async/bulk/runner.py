"""How do many rows become avatars and videos? Jobs in, bounded workers, the ledger, results out.

    feeder:   input rows -> ledger (registered) -> jobs      waits while too many are in the house
    workers:  job -> (upload -> ready) -> intent -> create -> done | failed | doubt
    studio:   audio -> ready -> intent -> job -> wait -> download -> saved | failed | doubt
    doubts:   listings -> done | unknown                     one listing for all of an account
    results:  every row once, as it is settled

`create_many` (in `many.py`) is the library's way in; the command line drives `BulkRun` itself,
to show progress and to stop it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import aclosing

from attrs import evolve

from .._calls.pipeline import Options, Pipeline
from ..models.avatars import ListAvatars
from ..settings import CLOSE_WITHIN_S
from .crew import Crew
from .doubts import Doubts
from .equipment import Equipment
from .feed import CHUNK, Job, with_files
from .filming import Filming
from .journal import Journal
from .judge import Rules
from .making import Making
from .records import GIVEN, OPEN_STATES, UNSETTLED, Record
from .rows import BulkRow
from .setbacks import WAIT_FOR_SERVER_S, Setbacks, patient
from .studio import Studio
from .tally import Tally
from .videodoubts import VideoDoubts
from .witness import RowWitness
from .worker import Worker


class BulkRun:
    """One run over one ledger.

    Args:
        pipeline: sends.
        options: of each call.
        journal: remembers.
        concurrency: rows under way at once on the way to their avatars, at least 1. How many
            videos are made at once is said by the accounts' job slots.
        rules: what counts as evidence that a create worked whose answer was lost.
        equipment: makes the videos that rows ask for; None: none are made.
        wait_for_server_s: how long the run goes on trying while nobody answers; default 60.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        options: Options,
        journal: Journal,
        *,
        concurrency: int,
        rules: Rules = Rules(),
        equipment: Equipment | None = None,
        wait_for_server_s: float = WAIT_FOR_SERVER_S,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency}")
        self.tally = Tally()
        self.stopped_because: str | None = None
        """Why the run ended before its rows did; None while it goes on."""
        self._pipeline = pipeline
        self._journal = journal
        self._concurrency = concurrency
        self._stopping = asyncio.Event()
        self._leaving = False
        self._crew = Crew()
        self._setbacks = Setbacks(options.retry.retry_after_max_s, self.stop)
        self._options = evolve(options, retry=patient(options.retry, wait_for_server_s))
        self._doubts = Doubts(
            journal,
            lambda account: pipeline.send(ListAvatars(email=account), options),
            self._avatar_settled,
            self._crew,
            clock=pipeline.clock,
            within_s=options.retry.reconcile_within_s,
            rules=rules,
            resend_after_absence=options.retry.resend_after_absence,
        )
        self._making = Making(
            pipeline, self._options, journal, self._doubts, self._setbacks, self._closing
        )
        self._in_house: dict[int, str] = {}
        """Rows that were read, and whose avatar is not settled: id -> key."""
        self._todo: asyncio.Queue[Job | None] = asyncio.Queue()
        self._results: asyncio.Queue[tuple[BulkRow, asyncio.Semaphore] | None] = asyncio.Queue()
        # What bounds memory: a place per row from its reading to the taking of its result, or to
        # the queue for its video; and one per result of a video.
        self._places = asyncio.Semaphore(4 * concurrency + CHUNK)
        self._room = asyncio.Semaphore(4 * concurrency + CHUNK)
        self._video_doubts = VideoDoubts(
            pipeline,
            options,
            journal,
            self._video_settled,
            self._crew,
            clock=pipeline.clock,
            within_s=options.retry.reconcile_within_s,
        )
        self.folder = None if equipment is None else equipment.folder
        """Where its videos go."""
        self._studio: Studio | None = None
        if equipment is not None:
            self._studio = Studio(
                journal,
                Filming(
                    *(pipeline, self._options, journal, equipment),
                    *(self._video_doubts, self._setbacks, self._stopping.is_set),
                ),
                pipeline.accounts,
                self._crew,
                self._video_done,
                self._stopping.is_set,
                unlimited=concurrency,
                room=self._room,
            )

    @property
    def makes_videos(self) -> bool:
        """Whether rows go on from their avatars to their videos."""
        return self._studio is not None

    @property
    def parked(self) -> list[str]:
        """Why accounts were given up in this run, one text each."""
        return [*self._setbacks.parked.values(), *self._setbacks.without_videos.values()]

    @property
    def waiting(self) -> int:
        """Calls that wait for the rate limit or for a pause."""
        return self._pipeline.admission.waiting

    @property
    def in_doubt(self) -> int:
        """Rows whose answer was lost, and that are being looked for."""
        return self._doubts.open + self._video_doubts.open

    @property
    def running(self) -> int:
        """Jobs at Kling that are waited for."""
        return 0 if self._studio is None else self._studio.running

    @property
    def queued(self) -> int:
        """Rows whose avatar is there, and whose video waits for its turn."""
        return 0 if self._studio is None else self._studio.waiting

    @property
    def left_running(self) -> int:
        """Jobs that this run began or found, and that it ended without waiting for."""
        return 0 if self._studio is None else self._studio.left_running

    @property
    def surplus(self) -> list[str]:
        """Avatars found beside the ones that rows got, with the same image; nobody's."""
        return self._doubts.surplus

    @property
    def surplus_tasks(self) -> list[int]:
        """Jobs found beside the ones that rows got, with the same audio or name; nobody's."""
        return self._video_doubts.surplus

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

    async def results(
        self, jobs: AsyncGenerator[Sequence[Job], None]
    ) -> AsyncGenerator[BulkRow, None]:
        """Each row's result as it is settled.

        Leaving the loop early stops the run as `stop` does; being cancelled ends it at once, and
        what was in flight then counts as unknown.
        """
        self._crew.start(self._feed(jobs))
        for _ in range(self._concurrency):
            worker = Worker(self._next_job, self._witness, self._make)
            self._crew.start(worker.run(), worker.busy)
        overseer = asyncio.create_task(self._oversee())
        try:
            while (found := await self._results.get()) is not None:
                row, place = found
                place.release()
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
            overseer.cancel()
            await asyncio.gather(overseer, return_exceptions=True)
            await self._crew.end()
            await self._doubts.close()
            await self._video_doubts.close()
            await self._journal.settle()

    async def _oversee(self) -> None:
        """Wait for the end, carry out a stop, and pass on what went wrong."""
        rest = asyncio.create_task(self._crew.rest())
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({rest, stop}, return_when=asyncio.FIRST_COMPLETED)
            if self._crew.error is not None:
                self.stop("of an error")
            if self._stopping.is_set():
                self._crew.interrupt()
                await self._crew.ended()
        finally:
            rest.cancel()
            stop.cancel()
            self._results.put_nowait(None)
        if self._crew.error is not None:
            raise self._crew.error

    # --- rows in ---

    async def _feed(self, jobs: AsyncGenerator[Sequence[Job], None]) -> None:
        try:
            async with aclosing(jobs):
                if self._studio is not None:
                    await self._studio.learn_places(self._pipeline, self._options)
                async for chunk in jobs:
                    if self._studio is not None:
                        chunk = await with_files(self._journal, chunk)
                    for job in chunk:
                        await self._places.acquire()
                        await self._take(job)
        finally:
            for _ in range(self._concurrency):
                self._todo.put_nowait(None)

    async def _take(self, job: Job) -> None:
        record = job.record
        if record.id in self._in_house:
            text = "its key was given before; keys must differ. Nothing was sent for this row"
            self._settle(evolve(record.result(), state="failed", error=text))
        elif record.state in (*OPEN_STATES, *UNSETTLED):
            if self._studio is not None and record.state in OPEN_STATES:
                self._studio.check_account(record)
            self._in_house[record.id] = record.key
            self._todo.put_nowait(job)
        elif not await self._goes_on(record, record.result()):
            self.tally.resumed += 1
            self._settle(record.result())

    async def _make(self, job: Job, witness: RowWitness) -> None:
        """One row's avatar: made, settled, or in doubt."""
        self.tally.under_way += 1
        try:
            result = await self._making.make(job, witness)
        finally:
            self.tally.under_way -= 1
        if result is not None:  # else it is settled by and by
            await self._onward(job.record, result)

    def _closing(self, written: Awaitable[Record]) -> None:
        """A row's avatar is there; its worker goes on while the ledger learns of it."""
        self._crew.start(self._close(written), lambda: True)

    async def _close(self, written: Awaitable[Record]) -> None:
        record = await written
        await self._onward(record, record.result())

    async def _next_job(self) -> Job | None:
        """The next row whose avatar is to be made; None: there are no more."""
        return None if self._stopping.is_set() else await self._todo.get()

    def _witness(self, job: Job) -> RowWitness:
        """For the create of a row."""
        return RowWitness(self._journal, job.record.id, job.record.digest, self._stopping.is_set)

    # --- results out ---

    async def _onward(self, record: Record, row: BulkRow) -> None:
        """The avatar's part is over: on to the video, or out."""
        self._in_house.pop(record.id, None)
        if not await self._goes_on(record, row):
            self._settle(row)

    async def _goes_on(self, record: Record, row: BulkRow) -> bool:
        """Whether there is a video to be made; then it waits for its turn."""
        over = row.state != "created" or row.video_state in (None, "saved", "failed")
        if self._studio is None or over:
            return False
        self.tally.avatar(row)
        account = row.account
        if account is None and (row.evidence == GIVEN or len(self._pipeline.accounts) == 1):
            account = self._making.account_of(record)
        await self._studio.queue(record.id, account)
        self._places.release()
        return True

    async def _avatar_settled(self, record: Record) -> None:
        row = record.result()
        if row.state == "skipped":  # absent for long enough, and the user opted for sending again
            row = evolve(row, error="it was not found; the next run sends it again")
        await self._onward(record, row)

    async def _video_settled(self, record: Record) -> None:
        """A video that was in doubt: its job was found, or it is unknown."""
        if record.video is not None and record.video.state == "running" and self._studio:
            await self._studio.queue(record.id, record.account)
        else:
            await self._room.acquire()
            self._video_done(record.result())

    def _video_done(self, row: BulkRow) -> None:
        self._out(row, self._room)

    def _settle(self, row: BulkRow) -> None:
        self.tally.avatar(row)
        self._out(row, self._places)

    def _out(self, row: BulkRow, place: asyncio.Semaphore) -> None:
        self.tally.row(row, with_video=self.makes_videos)
        self._results.put_nowait((row, place))

"""Which tasks of a run must not be interrupted? They end together, and none is forgotten.

A task that sends or writes down holds on (`Hold`); every other task may be cancelled when the run
stops. `runner.py` starts them all; how many workers there are is said by `Crew`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from attrs import define

if TYPE_CHECKING:
    from .._limits.admission import Admission

J = TypeVar("J")

FIRST = 8
"""Workers that begin at once, and that no refusal takes away."""
MOST = 256
"""Rows under way at most where a rate is kept: 100 a second, answered after 2.5 seconds."""
MOST_WITHOUT_RATE = 32
"""And where none is, so that nothing else would bound them."""

Concurrency = int | Literal["auto"]


@define(eq=False)
class Hold:
    """Whether a task is at something now that must not be interrupted."""

    in_flight: bool = False
    """Its intent is on disk, and what came of it is not."""
    settling: bool = False
    """What came of it is being written down."""
    account: str | None = None
    """Whose step it is at."""
    overtaken: int = 0
    """How often in a row the ledger said otherwise of that step."""

    @property
    def must_finish(self) -> bool:
        """Whether to interrupt it now would leave something unsaid."""
        return self.in_flight or self.settling


class TaskGroup:
    """The tasks of one run."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        """The first that one of them failed with."""
        self._holds: dict[asyncio.Task[None], Hold | None] = {}
        self._ended = asyncio.Event()
        self._interrupted = False

    def start(
        self, work: Coroutine[Any, Any, None], hold: Hold | None = None
    ) -> asyncio.Task[None]:
        """Begin `work`.

        Args:
            work: what to do.
            hold: says when it must not be interrupted; default: it may be at any time.
        """
        task = asyncio.create_task(work)
        self._holds[task] = hold
        task.add_done_callback(self._done)
        if self._interrupted and not (hold and hold.must_finish):
            task.cancel()
        return task

    def interrupt(self) -> None:
        """Cancel whoever may be, now and when they begin; the others end by themselves."""
        self._interrupted = True
        for task, hold in self._holds.items():
            if not (hold and hold.must_finish):
                task.cancel()

    async def rest(self) -> None:
        """Return when all have ended, or one has failed."""
        while self._holds and self.error is None:
            await self._changed()

    async def ended(self) -> None:
        """Return when all have ended."""
        while self._holds:
            await self._changed()

    async def end(self) -> None:
        """Cancel all, and return when they have ended."""
        self._interrupted = True
        for task in self._holds:
            task.cancel()
        await self.ended()

    async def _changed(self) -> None:
        self._ended.clear()
        await self._ended.wait()

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._holds[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            self.error = self.error or error
        if not self._holds or self.error is not None:  # a row has a task: nobody wakes for each
            self._ended.set()


class Crew(Generic[J]):
    """The workers of one run, and the line of what they are to do.

    With "auto" one more begins whenever an attempt goes out and nobody waits for the rate behind
    it, so that in the end the rate is used up, however long the answers take, and a single worker
    waits for it. Nothing is timed or measured for that. A refusal for the rate (429) lowers their
    number by a quarter, and it may grow by one each time all have finished a step.

    Args:
        concurrency: how many, or "auto".
        admission: tells when an attempt goes out, and how many were refused.
        group: of the run's tasks.
        work: what each of them does: it takes jobs with `next_job` until there is none.
    """

    def __init__(
        self,
        concurrency: Concurrency,
        admission: Admission,
        group: TaskGroup,
        work: Callable[[Hold], Coroutine[Any, Any, None]],
    ) -> None:
        self._auto = concurrency == "auto"
        self.first: int = FIRST
        self.most: int = MOST if admission.keeps_rate else MOST_WITHOUT_RATE
        if concurrency != "auto":
            if concurrency < 1:
                raise ValueError(f"concurrency must be at least 1, or auto, not {concurrency}")
            self.first = self.most = concurrency
        self.size: int = 0
        """Workers now."""
        self._ceiling = float(self.most)
        self._admission = admission
        self._refused = admission.refused
        self._group = group
        self._work = work
        self._todo: asyncio.Queue[J | None] = asyncio.Queue()
        self._ended = False

    def begin(self) -> None:
        """The first workers begin."""
        for _ in range(self.first):
            self._add()
        if self._auto:
            self._admission.on_free.add(self._grow)

    def end(self) -> None:
        """None begins any more."""
        self._admission.on_free.discard(self._grow)

    def put(self, job: J | None) -> None:
        """A job waits for a worker; None: no further one comes but from jobs that go on."""
        self._todo.put_nowait(job)
        if job is not None and self._ended and self.size < self.first:
            self._add()
        self._ended = self._ended or job is None

    async def next_job(self) -> J | None:
        """What a worker is to do next; None: it leaves."""
        if self._auto and self._is_surplus():
            self.size -= 1
            return None
        job = await self._todo.get()
        while job is None:
            self._todo.put_nowait(None)  # for the others
            if self._todo.qsize() == 1:
                self.size -= 1
                return None
            job = await self._todo.get()
        return job

    def _is_surplus(self) -> bool:
        refused = self._admission.refused
        if refused > self._refused:
            self._ceiling = max(FIRST, min(self._ceiling, self.size) * 3 / 4)
        else:
            self._ceiling = min(self.most, self._ceiling + 1 / self._ceiling)
        self._refused = refused
        return self.size > self._ceiling

    def _grow(self) -> None:
        if self.size + 1 <= self._ceiling and not self._todo.empty():
            self._add()

    def _add(self) -> None:
        self.size += 1
        hold = Hold()
        self._group.start(self._work(hold), hold)

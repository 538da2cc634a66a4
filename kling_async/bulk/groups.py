"""How are a ledger's writes put into groups, each carried out by one thread? For both databases.

While one commit syncs, the changes that arrive meanwhile wait together and share the next one, as
do those that come within a few turns of the loop: an fsync may serve many rows, and none is
skipped. What is asked goes the same way, so that it sees every change that was asked for before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ..aio import finished
from ..errors import LedgerError
from .records import Applied, Change, Listed, Row, RowInput, Step
from .sqlite_reader import Questions, end
from .sqlite_reading import Reading
from .sqlite_store import Writing, check

T = TypeVar("T")

QUIET_TURNS = 4
"""Turns of the loop without a further write after which a group is complete: some 30 us."""
FULL = 64
"""Writes that are enough for a group, however busy the loop is."""
CHECKPOINT_S = 1.0
"""How old a commit may grow before it is brought into the file itself."""


Item = tuple["Callable[[Any], Any]", bool, "asyncio.Future[Any]"]
"""What is to be done, whether it writes, and who waits for it."""


class Applying:
    """One arrow, as something to be done; those of a group may go together."""

    def __init__(self, change: Change) -> None:
        self.change = change

    def __call__(self, store: Writing) -> Applied:
        return store.apply(self.change)


class GroupedLedger(Questions):
    """The ledger of a running job, of which a subclass says how a group is carried out.

    Belongs to one event loop.

    Args:
        service: the host whose requests it remembers.
        thread: carries out the groups, one after the other.
    """

    shared = False

    def __init__(self, service: str, thread: ThreadPoolExecutor) -> None:
        self.service = service
        self._thread = thread
        self._waiting: list[Item] = []
        self._flushing: asyncio.Task[None] | None = None
        self._failed: Exception | None = None
        self._uncopied = False
        """Whether something was committed that is not in the file itself yet."""
        self._copied_at_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # --- writing ---

    async def register(self, rows: Sequence[RowInput]) -> list[Row]:
        """See `Ledger`, as for the rest."""
        return await self._submit(lambda store: store.register(rows), writes=True)

    async def apply(self, change: Change) -> Applied:
        return await self.post(change)

    def post(self, change: Change) -> asyncio.Future[Applied]:
        check(change)
        if self._failed is not None and change.event == "intended":
            raise LedgerError(f"nothing is sent any more: {self._failed}") from self._failed
        return self._submit(Applying(change), writes=True)

    async def queue(self, step_id: int, account: str | None) -> None:
        await self._submit(lambda store: store.queue(step_id, account), writes=True)

    async def next_step(self, account: str | None) -> Step | None:
        return await self._submit(lambda store: store.next_step(account), writes=True)

    async def take_job_slot(self, step_id: int, account: str, most: int) -> bool:
        return True

    async def keep_listing(self, account: str | None, kind: str, things: Iterable[Listed]) -> None:
        await self._submit(lambda store: store.keep_listing(account, kind, things), writes=True)

    async def set_fact(self, name: str, value: str) -> None:
        await self._submit(lambda store: store.set_fact(name, value), writes=True)

    async def reopen(self, after: int, size: int, *, numbers: Collection[int] = ()) -> list[Row]:
        return await self._submit(lambda store: store.reopen(after, size, numbers), writes=True)

    async def begin_run(self) -> None:
        await self._submit(Writing.begin_run, writes=True)

    async def forget_server(self) -> int:
        return await self._submit(Writing.forget_server, writes=True)

    async def settled(self) -> None:
        while self._flushing is not None:
            await asyncio.wait({self._flushing})

    async def aclose(self) -> None:
        """Close it: what was written is on disk, in one file."""
        try:
            await finished(asyncio.ensure_future(self.settled()))
        finally:
            if self._timer is not None:
                self._timer.cancel()
            await end(self._thread, self._close)

    # --- in groups ---

    async def _ask(self, what: Callable[[Reading], T]) -> T:
        return await self._submit(what, writes=False)

    def _submit(self, act: Callable[[Any], T], *, writes: bool) -> asyncio.Future[T]:
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((act, writes, done))
        self._wake()
        return done

    def _wake(self) -> None:
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                if self._waiting:
                    await self._gathered()
                    group, self._waiting = self._waiting, []
                    due = self._is_due()
                    results = await loop.run_in_executor(self._thread, self._carry_out, group, due)
                    self._tell(group, results)
                elif self._uncopied and self._is_due():
                    await loop.run_in_executor(self._thread, self._checkpoint)
                    self._uncopied, self._copied_at_s = False, loop.time()
                else:
                    break
        finally:
            self._flushing = None
            if self._uncopied and self._timer is None:
                self._timer = loop.call_later(CHECKPOINT_S, self._timer_is_over)

    def _is_due(self) -> bool:
        return asyncio.get_running_loop().time() - self._copied_at_s >= CHECKPOINT_S

    def _timer_is_over(self) -> None:
        self._timer = None
        self._wake()

    async def _gathered(self) -> None:
        """Return when the writes that are about to come are there.

        Answers come in bunches, each a few turns of the loop from its socket to its write.
        """
        quiet = 0
        while quiet < QUIET_TURNS and len(self._waiting) < FULL:
            known = len(self._waiting)
            await asyncio.sleep(0)
            quiet = quiet + 1 if len(self._waiting) == known else 0

    def _tell(self, group: list[Item], results: list[Any]) -> None:
        for (_, writes, done), result in zip(group, results, strict=True):
            if isinstance(result, Raised):
                if writes and self._failed is None:
                    self._failed = result.error
                if not done.done():
                    done.set_exception(result.error)
                    done.exception()  # where nobody waits for it, asyncio has no complaint
            else:
                self._uncopied = self._uncopied or writes
                if not done.done():
                    done.set_result(result)

    # --- in the thread ---

    def _carry_out(self, group: list[Item], due: bool) -> list[Any]:
        """What comes of each: all writes in one transaction, then what is asked.

        Args:
            group: in the order in which they came; what fails is `Raised`.
            due: whether the time of the last write is to be remembered, too.
        """
        raise NotImplementedError

    def _checkpoint(self) -> None:
        """Bring what was committed to where it stays; where it stays at once, nothing."""

    def _close(self) -> None:
        """Close it, in the thread."""
        raise NotImplementedError


class Raised:
    """An error as a result."""

    def __init__(self, error: Exception) -> None:
        self.error = error

"""How does a machine work on a ledger that others work on, too? It claims rows, and gives back.

    intake:  input rows -> ledger (registered) -> wanted     for who submits them
    claims:  rows that nobody has -> `BulkRun`               as many as there are places
    follow:  wanted rows that others settled -> results

What a row goes through between its claim and its result is that of `runner.py`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from typing import Any

from .machine import OPEN, PAID
from .postgres import PostgresLedger
from .records import Row
from .results import RowResult, given_before, given_otherwise
from .runner import BulkRun, Chunks
from .shared_limits import shared_limits
from .sources import CHUNK
from .task_group import Hold

IDLE_S = 0.5
"""How often a worker without work asks for some."""
FOLLOW_EVERY_S = 0.3
"""How often is asked what others have settled."""
WINDOW = 1000
"""Rows that are asked about at once: the oldest, as these are taken first."""
AGAIN_AFTER_S = 30.0
"""When a row that was put off may be claimed again."""
LOOK_WITHIN_S = 2.0
"""How long the first claim waits to know which accounts are given up."""
ALL_STEPS, FILES, AGAIN = "all steps wanted", "files wanted", "again wanted"
"""Facts of a ledger: what those who submitted rows want of all workers."""
TRIES = 3
"""How often a row is put off before its result says so."""


class SharedRun(BulkRun):
    """One worker's run over a ledger that others share; see `BulkRun` for the rest.

    Args:
        submits: whether `results` is given rows, and ends when all of them are settled. Else it
            takes what the ledger has, and ends when it is stopped, or after `most_rows`.
        most_rows: claim no more rows than these; default: any number.
    """

    _ledger: PostgresLedger

    def __init__(
        self,
        *args: Any,
        submits: bool = True,
        most_rows: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self._submits = submits
        self._most_rows = most_rows
        self._again = bool(options.get("again"))
        self._takes_tasks = True
        self._heed_at_s = 0.0
        self._claimed: set[int] = set()
        self._wanted: dict[int, None] = {}
        """Rows of the input that are not settled, in its order."""
        self._tries: dict[int, int] = {}
        self._all_read = False
        self._over = False
        self._changed = asyncio.Event()

    async def results(self, rows: Chunks | None = None) -> AsyncGenerator[RowResult, None]:
        """Each row's result as it is settled, by whichever worker; see `BulkRun.results`.

        Args:
            rows: in chunks, as the ledger has them; None where nothing is submitted.
        """
        if rows is not None:
            await self.tell_workers()
        pipeline = self._pipeline
        async with shared_limits(self._ledger.path, pipeline.admission, pipeline.service) as limits:
            limits.join(self.health)
            try:
                await _within(LOOK_WITHIN_S, limits.looked)
                async with aclosing(super().results(self._claims(rows))) as results:
                    async for result in results:
                        yield result
            finally:
                limits.leave(self.health)

    # --- rows in --------------------------------------------------------------------------------

    async def _claims(self, rows: Chunks | None) -> AsyncGenerator[Sequence[Row], None]:
        """Rows that nobody has, whenever there is a place for one."""
        if rows is not None:
            self._group.start(self._take_in(rows))
            self._group.start(self._follow())
        await self._heed_submitters()
        left = self._most_rows
        while not self._over:
            self._changed.clear()
            # A row in doubt needs a place no longer: the listing is looked at for all of them.
            places = max(self._crew.first, self._crew.size)
            some = places // 2  # further ones wait here, so that few claims serve many rows
            free = min(CHUNK, places + some - len(self._claimed) + self._doubts.open)
            if left is not None:
                free, some = min(free, left), 0
            claimed = await self._claim(free) if free > some else []
            if claimed:
                left = None if left is None else left - len(claimed)
                self._claimed |= {row.id for row in claimed}
                yield claimed
            elif left is not None and (left == 0 or free > 0):
                return
            else:
                await _within(IDLE_S, self._changed)
                await self._heed_submitters()

    async def _claim(self, size: int) -> Sequence[Row]:
        # Those of accounts that rest now would take all places, and wait.
        away = {*self.health.parked, *self._pipeline.admission.paused(IDLE_S)}
        return await self._ledger.claim(
            size,
            made=self.made,
            saves=self._takes_tasks,
            away=[account or "" for account in away],
        )

    async def tell_workers(self) -> None:
        """What other workers have to know of this run; no later run takes it back.

        And they try accounts again that were given up, as each run of one machine does.
        """
        await self._ledger.unpark()
        for wanted, name in (
            (self.made != 1, ALL_STEPS),
            (self.folder is not None, FILES),
            (self._again, AGAIN),
        ):
            if wanted:
                await self._ledger.set_fact(name, "1")

    async def _heed_submitters(self) -> None:
        """What the runs that submit want of a worker."""
        now_s = self._pipeline.clock.monotonic()
        if self._submits or now_s < self._heed_at_s:
            return
        self._heed_at_s = now_s + IDLE_S
        all_steps = await self._ledger.fact(ALL_STEPS) is not None
        files = await self._ledger.fact(FILES) is not None
        self._takes_tasks = self.folder is not None or not files
        self.made = None if all_steps and self._takes_tasks else 1

    async def _take_in(self, rows: Chunks) -> None:
        """The input's rows into the ledger; those that are settled are told at once."""
        async with aclosing(rows):
            async for chunk in rows:
                for row in chunk:
                    if row.duplicate or row.id in self._wanted:
                        await self._told(given_before(row))
                    elif row.differs:
                        await self._told(given_otherwise(row))
                    elif self._is_open(row):
                        self._wanted[row.id] = None
                        self._changed.set()
                    else:
                        self.counts.resumed += 1
                        await self._told(RowResult(row))
        self._all_read = True
        self._changed.set()

    def _is_open(self, row: Row) -> bool:
        step = next((one for one in row.steps[: self.made] if one.state != "done"), None)
        return step is not None and step.state not in ("failed", "unknown")

    # --- results out ----------------------------------------------------------------------------

    async def _follow(self) -> None:
        """What other workers settle is told, too; the run is over when nothing is wanted."""
        while not (self._all_read and not self._wanted):
            theirs = [one for one in self._window() if one not in self._claimed]
            open_rows = await self._ledger.unsettled_among(theirs, made=self.made)
            for row_id in theirs:
                if row_id in self._wanted and row_id not in self._claimed:
                    if row_id not in open_rows:
                        await self._told(RowResult(await self._ledger.row_of(row_id)))
                    elif self.health.parked:
                        await self._skip_parked(row_id)
            await asyncio.sleep(FOLLOW_EVERY_S)
        self._over = True
        self._changed.set()

    def _window(self) -> list[int]:
        return list(itertools.islice(self._wanted, WINDOW))

    async def _skip_parked(self, row_id: int) -> None:
        """A row of an account that was given up is left to a later run."""
        row = await self._ledger.row_of(row_id)
        step = row.current
        if step is not None and step.state in OPEN:
            earlier = row.steps[: step.number - 1]
            named = self._requests.named_account(step, earlier)
            account = next((o.account for o in (step, *earlier) if o.account is not None), named)
            if (why := self.health.parked.get(account)) is not None:
                await self._told(RowResult(row, step.state, why, account))

    async def _told(self, result: RowResult) -> None:
        await self._places.acquire()
        self._wanted.pop(result.row.id, None)
        super()._settle(result, 0)

    def _settle(
        self, result: RowResult, counted: int, place: asyncio.Semaphore | None = None
    ) -> None:
        row_id = result.row.id
        self._claimed.discard(row_id)
        self._changed.set()
        if result.state is not None or any(one.state != "done" for one in result.row.steps):
            self._group.start(self._release(result), Hold(settling=True))
        if self._submits and (row_id not in self._wanted or self._is_tried_again(result)):
            self._in_house.discard(row_id)
            (place or self._places).release()
            return
        self._wanted.pop(row_id, None)
        super()._settle(result, counted, place)

    def _is_tried_again(self, result: RowResult) -> bool:
        """Whether somebody takes it up again soon: it was overtaken, or the server was busy."""
        if result.state not in (*OPEN, *PAID) or self._stopping.is_set():
            return False
        account = result.account
        if account in self.health.parked or account in self.health.without_credits:
            return False
        tries = self._tries[result.row.id] = self._tries.get(result.row.id, 0) + 1
        return tries < TRIES

    async def _release(self, result: RowResult) -> None:
        after_s = AGAIN_AFTER_S if result.state in (*OPEN, *PAID) else None
        await self._ledger.release(result.row.id, after_s=after_s)


async def _within(seconds: float, event: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()

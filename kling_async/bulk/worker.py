"""How does a process work on the ledgers of a database? Until it is stopped, or one portion.

Each ledger has a connection and a run of its own. A run that ends, because the server or the
database is out of reach, begins again after a while.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Collection
from contextlib import aclosing
from pathlib import Path
from typing import Final

from ..errors import KlingError, LedgerError
from ..settings import CLOSE_WITHIN_S, WAIT_FOR_DATABASE_S
from .jobs import BulkJob, Equipment, job_over
from .postgres import NotOurs, PostgresLedger, ledgers, open_postgres
from .postgres_session import LedgerAddress, address_of
from .recipes import TALKING
from .results import BulkResult, RowResult, bulk_result
from .shared_run import AGAIN, SharedRun

log: Final = logging.getLogger("kling_async")

NEW_LEDGERS_S = 2.0
"""How often is looked for further ledgers."""
AGAIN_AFTER_S = 15.0
"""When a ledger is tried again whose run had ended."""

Told = Callable[[str, BulkResult], None]
"""Is given the ledger's name and each row that was settled here."""


class Worker:
    """Works on the ledgers of a database.

    Args:
        equipment: of the client that sends.
        address: of the database; the name in it does not count.
        names: of the ledgers to work on; default: all, those of later as well.
        folder: where works become files; None: tasks whose works are to be files are left alone.
        concurrency: rows of a ledger under way at once.
        wait_s: how long a lost database is waited for.
        told: see `Told`.
    """

    def __init__(
        self,
        equipment: Equipment,
        address: LedgerAddress,
        *,
        names: Collection[str] = (),
        folder: Path | None = None,
        concurrency: int = 16,
        wait_s: float = WAIT_FOR_DATABASE_S,
        told: Told | None = None,
    ) -> None:
        self.settled: int = 0
        """Rows that were settled here."""
        self.stopping: asyncio.Event = asyncio.Event()
        self._equipment = equipment
        self._address = address
        self._names = names
        self._folder = folder
        self._concurrency = concurrency
        self._wait_s = wait_s
        self._told = told
        self._runs: set[SharedRun] = set()

    def stop(self) -> None:
        """Begin nothing further; what is on its way is finished and recorded."""
        self.stopping.set()
        for run in self._runs:
            run.stop("the worker was stopped")

    def leave(self) -> None:
        """Wait for nothing: what is in flight will be in doubt. Cancel the worker next."""
        for run in self._runs:
            run.leave()

    async def work(self) -> None:
        """Return when it was stopped.

        Raises:
            LedgerError: the database can't be used, or was lost for too long.
        """
        working: dict[str, asyncio.Task[None]] = {}
        try:
            while not self.stopping.is_set():
                for name in await self._ledgers(known=working):
                    if name not in working:
                        working[name] = asyncio.create_task(self._work_on(name))
                if not await self._stopped_within(NEW_LEDGERS_S):
                    for task in working.values():
                        if task.done():
                            task.result()
            if working:
                await asyncio.wait(working.values())
        finally:
            for task in working.values():
                task.cancel()
            results = await asyncio.gather(*working.values(), return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _ledgers(self, known: Collection[str]) -> Collection[str]:
        """Those to work on; where the database is lost for now, those that are known."""
        if self._names:
            return self._names
        try:
            return await asyncio.to_thread(ledgers, self._address)
        except LedgerError:
            if not known:
                raise
            return known  # their own sessions say when it was lost for too long

    async def _work_on(self, name: str) -> None:
        """One ledger, again and again."""
        where = LedgerAddress(self._address.conninfo, self._address.shown, name)
        service = self._equipment.pipeline.service
        told = False
        while not self.stopping.is_set():
            try:
                async with open_postgres(where, service=service, wait_s=self._wait_s) as ledger:
                    while not self.stopping.is_set():
                        await self._run(name, ledger)
                        await ledger.give_back()
                        if await self._stopped_within(AGAIN_AFTER_S):
                            return
            except NotOurs as exc:  # the others of this database are none the worse for it
                if name in self._names:
                    raise
                if not told:
                    log.warning("a ledger is left alone until it is changed: %s", exc)
                told = True
                await self._stopped_within(AGAIN_AFTER_S)
            except LedgerError:
                raise
            except KlingError as exc:  # rows that look as if made already, first of all
                log.error("the work on ledger %s has stopped: %s", name, exc)
                await self._stopped_within(AGAIN_AFTER_S)

    async def _run(self, name: str, ledger: PostgresLedger) -> None:
        job = await worker_job(
            self._equipment, ledger, folder=self._folder, concurrency=self._concurrency
        )
        run = job.run
        assert isinstance(run, SharedRun)
        self._runs.add(run)
        try:
            async with aclosing(run.results()) as results:
                async for result in results:
                    self._note(name, result)
            if run.stopped_because and not self.stopping.is_set():
                log.warning("the work on ledger %s pauses: %s", name, run.stopped_because)
        finally:
            self._runs.discard(run)

    def _note(self, name: str, result: RowResult) -> None:
        self.settled += 1
        if self._told is not None:
            self._told(name, bulk_result(result))

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
        except TimeoutError:
            return False
        return True


async def worker_job(
    equipment: Equipment,
    ledger: PostgresLedger,
    *,
    folder: str | os.PathLike[str] | None,
    concurrency: int,
    most_rows: int | None = None,
) -> BulkJob:
    """A run over what a ledger has, whoever submitted it."""
    return job_over(
        *(equipment, ledger, TALKING),
        folder=folder,
        concurrency=concurrency,
        again=await ledger.fact(AGAIN) is not None,
        submits=False,
        most_rows=most_rows,
    )


async def portion(
    equipment: Equipment,
    ledger: str,
    *,
    rows: int,
    folder: str | os.PathLike[str] | None,
    concurrency: int,
) -> list[BulkResult]:
    """What became of some rows that were claimed and carried out; see `work_once`."""
    where = address_of(ledger)
    service = equipment.pipeline.service
    async with open_postgres(where, service=service, wait_s=CLOSE_WITHIN_S) as opened:
        job = await worker_job(
            *(equipment, opened), folder=folder, concurrency=concurrency, most_rows=rows
        )
        async with aclosing(job.run.results()) as results:  # type: ignore[call-arg]
            return [bulk_result(one) async for one in results]

"""Which videos are made now? For each account as many as it has job slots, and a few more.

A row whose avatar is there comes into the queue, which is in the ledger: avatars may run ahead of
the videos by any number of rows, and none of them is in memory. Workers are per account, so that
one account's rows never keep another's waiting; each takes one row after the other through
`filming.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from .._calls.pipeline import Options, Pipeline
from ..accounts import AccountRegistry, as_listed
from ..errors import AccountRequiredError, KlingError
from ..models.accounts import ListAccounts
from .crew import Crew
from .filming import Filming
from .journal import Journal
from .records import Record
from .rows import BulkRow
from .witness import RowWitness
from .worker import Worker

log = logging.getLogger("kling_async")

AHEAD = 4
"""Videos of an account that are prepared or downloaded while all its job slots are taken."""


class Studio:
    """The videos of one run.

    Args:
        journal: has the queue.
        filming: takes one row from its avatar to its file.
        accounts: know their job slots.
        crew: works.
        settled: is given each row's result, when there is room for it.
        stopping: whether the run begins nothing any more.
        unlimited: workers of an account whose job slots are not known.
        room: for results that nobody has taken yet.
    """

    def __init__(
        self,
        journal: Journal,
        filming: Filming,
        accounts: AccountRegistry,
        crew: Crew,
        settled: Callable[[BulkRow], None],
        stopping: Callable[[], bool],
        *,
        unlimited: int,
        room: asyncio.Semaphore,
    ) -> None:
        self._journal = journal
        self._filming = filming
        self._accounts = accounts
        self._crew = crew
        self._settled = settled
        self._stopping = stopping
        self._unlimited = max(unlimited, AHEAD)
        self._room = room
        self._among: tuple[str, ...] = ()
        """The server's accounts, where nobody said which ones to use."""
        self._waiting: dict[str | None, int] = {}
        self._workers: dict[str | None, int] = {}

    @property
    def waiting(self) -> int:
        """Rows in the queue."""
        return sum(self._waiting.values())

    @property
    def running(self) -> int:
        """Jobs at Kling."""
        return self._filming.running

    @property
    def left_running(self) -> int:
        """Jobs that nobody waits for any more, as the run has ended."""
        return self._filming.left_running

    async def learn_places(self, pipeline: Pipeline, options: Options) -> None:
        """How many jobs each account runs at once; where that can't be learned, answers 429 tell.

        Accounts that only the server knows are not chosen from: which are used is the user's word.
        Only where there is a single one, and nobody named any, it is the one that was meant.
        """
        accounts = pipeline.accounts
        try:
            listed = await pipeline.send(ListAccounts(), options)
        except KlingError as exc:
            log.info("the accounts' job slots are not known: %s", type(exc).__name__)
            return
        learned = as_listed(listed)
        if len(accounts) == 0 and len(learned) == 1:
            accounts.update(learned)
        if len(accounts) == 0:
            self._among = tuple(one.email for one in learned)
        accounts.learn(learned)
        for record in await self._journal.read(lambda ledger: ledger.videos.jobs()):
            if record.account is not None and record.video is not None:
                pipeline.attempts.job_slots.runs(record.account, record.video.task_id or 0)

    def check_account(self, record: Record) -> None:
        """AccountRequiredError where it is open to which of several accounts a row goes: nothing
        would tell on which one its avatar is.
        """
        if self._among and record.account is None and record.payload.get("email") is None:
            raise AccountRequiredError(
                f"row {record.key} names no account, and the server has {len(self._among)}: a "
                "video is made where its avatar is. Name an account in the row, or the accounts to "
                "choose from (KLING_ACCOUNTS and --choose)",
                accounts=self._among,
            )

    async def queue(self, row_id: int, account: str | None) -> None:
        """A row's avatar is there: its video waits for its turn."""
        await self._journal.write(lambda ledger: ledger.videos.queue(row_id, account))
        self._waiting[account] = self._waiting.get(account, 0) + 1
        if self._workers.get(account, 0) < self._most(account):
            self._workers[account] = self._workers.get(account, 0) + 1
            worker = Worker(partial(self._take, account), self._witness, self._film)
            self._crew.start(self._work(account, worker), worker.busy)

    async def _work(self, account: str | None, worker: Worker[Record]) -> None:
        try:
            await worker.run()
        finally:
            self._workers[account] -= 1

    async def _take(self, account: str | None) -> Record | None:
        """The next row of the account; None where none waits."""
        if self._waiting[account] == 0 or self._stopping():
            return None
        self._waiting[account] -= 1
        return await self._journal.write(lambda ledger: ledger.videos.next_of(account))

    def _witness(self, record: Record) -> RowWitness:
        digest = None if record.video is None else record.video.digest
        return RowWitness(
            self._journal, record.id, digest, self._stopping, lambda ledger: ledger.videos
        )

    async def _film(self, record: Record, witness: RowWitness) -> None:
        result = await self._filming.film(record, witness)
        if result is not None:
            witness.settling = False  # who leaves the run early takes no more results
            await self._room.acquire()
            self._settled(result)

    def _most(self, account: str | None) -> int:
        places = self._accounts.max_jobs(account)
        return self._unlimited if places is None else places + AHEAD

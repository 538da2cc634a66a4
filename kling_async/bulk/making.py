"""How does one row become an avatar? Upload and ready, intent, create, and what each error means.

`runner.py` has many of these turns under way at once and owns what they share; here is what one row
goes through, and the ledger's arrow for each step.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from attrs import evolve

from .._calls.pipeline import Options, Pipeline
from .._calls.retry import parks
from ..errors import (
    DeadlineExceededError,
    KlingError,
    LedgerError,
    NotSentError,
    OutcomeUnknownError,
    RateLimitedError,
)
from ..models.assets import UploadAsset
from ..models.avatars import CreateAvatar
from ..models.media import Media
from .doubts import Doubts
from .feed import Job, problem_of, rebuilt
from .journal import Journal
from .ledger import Ledger
from .records import UNSETTLED, Record
from .rows import BulkRow
from .setbacks import Setbacks, fatal
from .witness import OvertakenError, RowWitness

log = logging.getLogger("kling_async")

ROUNDS_WHILE_REFUSED = 10  # times `attempts` answers 429 before a row is left to the next run


class Making:
    """Makes avatars of rows, one call of `make` each.

    Args:
        pipeline: sends.
        options: of each call; a lost answer is not looked for call by call.
        journal: remembers.
        doubts: looks for what was lost.
        setbacks: knows what stops more than one row.
        closing: is given each row whose avatar is there, while that is being written down.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        options: Options,
        journal: Journal,
        doubts: Doubts,
        setbacks: Setbacks,
        closing: Callable[[Awaitable[Record]], None],
    ) -> None:
        self._pipeline = pipeline
        self._options = options
        self._journal = journal
        self._doubts = doubts
        self._setbacks = setbacks
        self._closing = closing

    async def make(self, job: Job, witness: RowWitness) -> BulkRow | None:
        """One row from its request to its place in the ledger.

        None where it goes on without us: its avatar is being written down, or it is in doubt.
        """
        record, journal = job.record, self._journal
        if record.state in UNSETTLED:
            return await self._looked_again(record)
        request = job.request or await asyncio.to_thread(rebuilt, record)
        if request is None:
            problem = await asyncio.to_thread(problem_of, record)
            await journal.write(lambda ledger: ledger.failed(record.id, problem))
            return await self._recorded(record)
        account = self._chosen(record.account or request.email)
        if (parked := self._setbacks.parked.get(account)) is not None:
            return await self._skipped(record, account, parked)
        try:
            await self._doubts.prepared(account)
        except KlingError as exc:
            witness.settling = True
            return await self._unlisted(record, account, exc)
        if record.id in self._doubts.found:
            return await self._recorded(record)  # an old ledger that was restored: it was there
        try:
            request = await self._ready(record, request, account)
            created = await self._create(request, witness)
        except KlingError as exc:
            if fatal(exc):
                raise
            witness.settling = True
            if isinstance(exc, OvertakenError):
                return await self._overtaken(record)
            if isinstance(exc, DeadlineExceededError) and witness.in_flight:
                await witness.retract(exc)  # it ran out before the first byte
            if isinstance(exc, OutcomeUnknownError) and witness.in_flight:
                lost = str(exc)
                await journal.write(lambda ledger: ledger.doubt(record.id, lost))
                if parks(exc.__cause__):
                    self._setbacks.park(account, exc)
                self._doubts.add(record.id, account)
                return None
            if (why := self._setbacks.stuck(account, exc)) is not None:
                return await self._skipped(record, account, why)
            text = str(exc)
            await journal.write(lambda ledger: ledger.failed(record.id, text))
            return await self._recorded(record)
        # Nobody waits for this one: the worker's next intent comes into the same commit.
        self._closing(journal.submit(partial(_closed, record=record, avatar_id=created)))
        return None

    async def _looked_again(self, record: Record) -> BulkRow | None:
        """A row that an earlier run left unsettled: one more look, or many if it is in doubt."""
        try:
            await self._doubts.prepared(record.account)
        except KlingError as exc:
            log.info("unsettled rows could not be looked for: %s", type(exc).__name__)
        now = await self._journal.read(lambda ledger: ledger.row(record.id))
        if now.state != "doubt":
            return now.result()
        self._doubts.add(record.id, record.account)
        return None

    async def _unlisted(self, record: Record, account: str | None, error: KlingError) -> BulkRow:
        """The account can't be listed, so nothing may be sent for it; its rows stay to be done."""
        if isinstance(error, LedgerError):
            raise error
        if isinstance(error, NotSentError):
            self._setbacks.unreachable(error)
        else:
            self._setbacks.park(account, error)
        return await self._skipped(record, account, f"its account can't be listed: {error}")

    async def _ready(
        self, record: Record, request: CreateAvatar, account: str | None
    ) -> CreateAvatar:
        """The request as it can go out: with its file's address, uploaded once, and its account."""
        asset_url = record.asset_url
        if isinstance(request.image, Media) and asset_url is None:
            upload = UploadAsset(file=request.image, email=account)
            asset_url = (await self._pipeline.send(upload, self._options)).usable_url
        if asset_url is not None:
            request = evolve(request, image=None, image_url=asset_url)
        if asset_url != record.asset_url or record.token is None:  # else the ledger has all of it
            write = partial(
                Ledger.ready,
                row_id=record.id,
                account=account,
                asset_url=asset_url,
                image_url=request.image_url or "",  # one of the two was given
                digest=record.digest,
            )
            if not await self._journal.write(write):
                raise OvertakenError("the ledger says otherwise of this row by now")
        return request if request.email == account else evolve(request, email=account)

    async def _overtaken(self, record: Record) -> BulkRow:
        """The ledger let nothing go out: the row is settled by now, or says something else."""
        row = await self._recorded(record)
        if row.state != "skipped":
            return row
        text = "its key was given again with another content; keys must differ. Nothing was sent"
        return evolve(row, state="failed", error=text)

    async def _create(self, request: CreateAvatar, witness: RowWitness) -> str:
        """The new id. Answers 429 are waited out for as long as the server names sane times.

        With one attempt asked for, one is made: the row stays to be done.
        """
        retry = self._options.retry
        for left in range(ROUNDS_WHILE_REFUSED if retry.attempts > 1 else 1, 0, -1):
            try:
                return (await self._pipeline.send(request, self._options, witness)).id
            except RateLimitedError as exc:
                if left == 1 or (exc.retry_after_s or 0) > retry.retry_after_max_s:
                    raise
        raise AssertionError("the last round returns or raises")  # pragma: no cover

    def account_of(self, record: Record) -> str | None:
        """Whose a row is whose avatar is there: as it says, or as the registry chooses."""
        named = record.payload.get("email")
        return self._chosen(named if isinstance(named, str) else None)

    def _chosen(self, named: str | None) -> str | None:
        """The row's account, or one that is not parked where the registry chooses."""
        chosen = self._pipeline.choose(named)
        if named is None:
            for _ in range(len(self._pipeline.accounts)):
                if chosen not in self._setbacks.parked:
                    break
                chosen = self._pipeline.choose(None)
        return chosen

    async def _skipped(self, record: Record, account: str | None, because: str) -> BulkRow:
        row = await self._recorded(record)
        return evolve(row, state="skipped", account=account, error=because)

    async def _recorded(self, record: Record) -> BulkRow:
        key = record.key
        return (await self._journal.read(lambda ledger: ledger.get(key))).result()


def _closed(ledger: Ledger, record: Record, avatar_id: str) -> Record:
    """Intent -> done; the row as it is then."""
    ledger.done(record.id, avatar_id)
    return ledger.now(record)

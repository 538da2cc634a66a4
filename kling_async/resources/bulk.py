"""How are many rows of any paid operation made, with a ledger that remembers? `kling.bulk`."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from .._calls.pipeline import Options, Pipeline
from .._files.downloads import Downloads
from .._polling.waiter import TaskWaiter
from ..errors import InvalidRequestError
from ..models.requests import Request
from .base import Resource

if TYPE_CHECKING:
    from ..bulk.results import BulkResult

Row = Request[Any] | Mapping[str, Any]
Operation = type[Request[Any]] | str


class Bulk(Resource):
    """Bulk jobs: each row is carried out once, whatever happens to the process."""

    def __init__(
        self, pipeline: Pipeline, options: Options, waiting: TaskWaiter, downloads: Downloads
    ) -> None:
        super().__init__(pipeline, options)
        self._waiting = waiting
        self._downloads = downloads

    async def run(
        self,
        rows: Iterable[Row] | AsyncIterable[Row],
        *,
        ledger: str | os.PathLike[str],
        operation: Operation | Sequence[Operation] | None = None,
        save_to: str | os.PathLike[str] | None = None,
        concurrency: int | Literal["auto"] = "auto",
        again: bool = False,
        retry_failed: bool = False,
    ) -> AsyncGenerator[BulkResult, None]:
        """Every row's result as it is settled: `async for done in kling.bulk.run(rows, ...)`.

        Run it again with the same ledger and it resumes: rows that are done are yielded again from
        the ledger, and nothing is sent for them. A loop that is left early stops the run;
        `contextlib.aclosing` around it waits until what was in flight is recorded.

        Args:
            rows: requests of operations that make something (`Safety.PAID`), mixed, too; or
                mappings of their fields, perhaps with a `key` (its name in the ledger; default:
                derived from its content) and an `operation`. Read as they are needed.
            ledger: the SQLite file that remembers every row, or `postgresql://user@host/db#name`,
                which any number of machines may share; made where it is missing.
            operation: what mappings are that don't say so: a request type, or its operation's name
                (`"avatars.create"`). Several are the steps of each row, on what the one before
                made; its fields are then named `OPERATION.FIELD`. Default: none; each says it.
            save_to: the folder where tasks' works become files, made where it is missing:
                `KEY.mp4`, or `KEY-1.png`, `KEY-2.png` ... of several; `KEY-step1.png` of a step
                before the last. Default: none are brought.
            concurrency: rows under way at once, at least 1; "auto", the default: as many as the
                rate and the time of the answers ask for, 8 to 256 (32 without a rate limit).
                Tasks: as many as the accounts have job slots.
            again: send also rows that look as if another job had made them already. Default False:
                the run stops and says so before it sends anything for them.
            retry_failed: try rows again that an earlier run left failed, each once, from the step
                that failed. Default False: they are yielded as they are. What failed before
                anything was sent (a file that is missing, a text that is too long) is looked at
                again in any case.

        Raises:
            InvalidRequestError: `rows` are none, or the name of `save_to` is not UTF-8 text.
            ConfigurationError: an operation makes nothing, or can't come after the one before it.
            LedgerError: the ledger is in use, damaged, or belongs to another job.
            KlingError: rows look as if they were made already, and `again` is not given.
        """
        from ..bulk.jobs import Equipment, carried_out
        from ..bulk.recipes import chain_of
        from ..bulk.results import bulk_result
        from ..models.operations import request_type

        named = (
            (operation,) if operation is None or isinstance(operation, (str, type)) else operation
        )
        kinds = [request_type(one) if isinstance(one, str) else one for one in named if one]
        saves = save_to is not None
        equipment = Equipment(self._pipeline, self._options, self._waiting, self._downloads)
        results = carried_out(
            equipment,
            rows,
            chain_of(kinds, saves=saves) if kinds else None,
            method="bulk.run",
            ledger=ledger,
            folder=save_to,
            concurrency=concurrency,
            again=again,
            retry_failed=retry_failed,
            mixed=True,
        )
        try:
            async for one in results:
                yield bulk_result(one)
        finally:
            await results.aclose()

    async def results(self, ledger: str | os.PathLike[str]) -> AsyncGenerator[BulkResult, None]:
        """Every row of a ledger as it is now, in the order of the input; nothing is sent.

        Args:
            ledger: the file; also while a job writes it.

        Raises:
            LedgerError: there is none, or it can't be read.
        """
        from ..bulk.places import read_ledger
        from ..bulk.results import RowResult, bulk_result

        async with read_ledger(ledger) as reader:
            async for row in reader.rows():
                yield bulk_result(RowResult(row))

    async def settle(
        self,
        ledger: str | os.PathLike[str],
        key: str,
        *,
        adopt: str | int | None = None,
        resend: bool = False,
        abandon: bool = False,
        step: int | None = None,
    ) -> BulkResult:
        """The row after your word on what became of it, whose outcome stayed unknown.

        Args:
            ledger: the file, which no run may be using.
            key: the row's.
            adopt: it exists, and this is its id.
            resend: the next run sends it again; it duplicates if it exists after all.
            abandon: leave it, whatever became of it.
            step: its number in the row, from 1; default: the first whose outcome is unknown.

        Raises:
            InvalidRequestError: not exactly one of `adopt`, `resend` and `abandon`; or `adopt`
                can't be an id.
            LedgerError: there is nothing to settle, the id is another row's, or the ledger is in
                use.
        """
        from ..bulk.decisions import Decision
        from ..bulk.results import RowResult, bulk_result
        from ..bulk.settle import settle

        if (adopt is not None) + bool(resend) + bool(abandon) != 1:
            raise InvalidRequestError(
                "bulk.settle()", {"adopt": "give exactly one of adopt, resend and abandon"}
            )
        decision: Decision = "adopt" if adopt is not None else "resend" if resend else "abandon"
        row = await settle(
            *(ledger, key, decision),
            adopt=None if adopt is None else str(adopt),
            step=step,
            service=self._pipeline.service,
        )
        return bulk_result(RowResult(row))

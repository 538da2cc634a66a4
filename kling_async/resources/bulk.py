"""How are many rows of any paid operation made, with a ledger that remembers? `kling.bulk`."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .._calls.pipeline import Options, Pipeline
from .._files.downloads import Downloads
from .._polling.waiter import TaskWaiter
from ..errors import InvalidRequestError
from ..models.requests import Request
from .base import Resource

if TYPE_CHECKING:
    from ..bulk.results import BulkResult

Row = Request[Any] | Mapping[str, Any]


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
        operation: type[Request[Any]] | str | None = None,
        save_to: str | os.PathLike[str] | None = None,
        concurrency: int = 8,
        again: bool = False,
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
                (`"avatars.create"`). Default: none; each says it.
            save_to: the folder where tasks' works become files, made where it is missing:
                `KEY.mp4`, or `KEY-1.png`, `KEY-2.png` ... of several. Default: none are brought.
            concurrency: rows under way at once, at least 1; tasks: as many as the accounts have job
                slots. Default 8.
            again: send also rows that look as if another job had made them already. Default False:
                the run stops and says so before it sends anything for them.

        Raises:
            InvalidRequestError: `rows` are none, `operation` makes nothing, or the name of
                `save_to` is not UTF-8 text.
            LedgerError: the ledger is in use, damaged, or belongs to another job.
            KlingError: rows look as if they were made already, and `again` is not given.
        """
        from ..bulk.jobs import Equipment, carried_out
        from ..bulk.recipes import recipe_of
        from ..bulk.results import bulk_result
        from ..models.operations import request_type

        kind = request_type(operation) if isinstance(operation, str) else operation
        saves = save_to is not None
        equipment = Equipment(self._pipeline, self._options, self._waiting, self._downloads)
        results = carried_out(
            equipment,
            rows,
            None if kind is None else recipe_of(kind, saves=saves),
            method="bulk.run",
            ledger=ledger,
            folder=save_to,
            concurrency=concurrency,
            again=again,
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
        from ..bulk.results import RowResult, bulk_result
        from ..bulk.settle import Decision, settle

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

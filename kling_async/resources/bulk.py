"""How are many rows of any paid operation made, with a ledger that remembers? `kling.bulk`."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

from .._calls.pipeline import Options, Pipeline
from .._files.downloads import Downloads
from .._polling.waiter import TaskWaiter
from ..errors import InvalidRequestError
from ..models.requests import Request
from .base import Resource

if TYPE_CHECKING:
    from ..bulk.decisions import Decision
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

        Examples:
            >>> rows = [{"key": "kite", "prompt": "A kite"}]
            >>> async for done in kling.bulk.run(rows, ledger="kites.sqlite", operation=Text2Video):
            ...     print(done.key, done.state)
            kite done
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

        Examples:
            >>> async for row in kling.bulk.results("avatars.sqlite"):
            ...     print(row.key, row.state)
            ada unknown
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

        Examples:
            >>> row = await kling.bulk.settle("avatars.sqlite", "ada", resend=True)
        """
        from ..bulk.results import RowResult, bulk_result
        from ..bulk.settle import settle

        decision = _decision_of("bulk.settle()", adopt=adopt, resend=resend, abandon=abandon)
        row = await settle(
            *(ledger, key, decision),
            adopt=None if adopt is None else str(adopt),
            step=step,
            service=self._pipeline.service,
        )
        return bulk_result(RowResult(row))

    async def settle_many(
        self,
        ledger: str | os.PathLike[str],
        keys: Iterable[str] | None = None,
        *,
        all_unknown: bool = False,
        decisions: Mapping[str, str] | str | os.PathLike[str] | None = None,
        resend: bool = False,
        abandon: bool = False,
        step: int | None = None,
    ) -> list[BulkResult]:
        """The rows that were settled by your word on each; all of it is carried out, or nothing.

        Say of which rows: exactly one of `keys`, `all_unknown` and `decisions`. `decisions` says by
        itself what becomes of each; for the others give `resend` or `abandon`.

        Args:
            ledger: the file, which no run may be using.
            keys: the rows', whose outcome is unknown.
            all_unknown: all rows whose outcome is unknown; there may be none.
            decisions: the decision of each key: "resend", "abandon", "adopt ID", or "adopt" where
                the row has one candidate; or the path of an export with a column `decision`. A row
                without one stays, and one that is settled already is passed over.
            resend: the next run sends them again; each duplicates if it exists after all.
            abandon: leave them, whatever became of them.
            step: its number in each row, from 1; default: the first whose outcome is unknown.

        Raises:
            InvalidRequestError: too little or too much is said.
            InputError: with each row that can't be settled so; nothing was settled.
            LedgerError: the ledger is in use, or can't be read.

        Examples:
            >>> rows = await kling.bulk.settle_many("avatars.sqlite", ["ada"], resend=True)
        """
        from ..bulk.results import RowResult, bulk_result
        from ..bulk.settle import settle_many, words_of

        if (keys is not None) + bool(all_unknown) + (decisions is not None) != 1:
            said = "give exactly one of keys, all_unknown and decisions"
            raise InvalidRequestError("bulk.settle_many()", {"keys": said})
        word: Decision | None = None
        if decisions is None:
            word = _decision_of("bulk.settle_many()", resend=resend, abandon=abandon)
        elif resend or abandon:
            said = "decisions says by itself what becomes of each row; leave resend and abandon out"
            raise InvalidRequestError("bulk.settle_many()", {"decisions": said})
        names = [keys] if isinstance(keys, str) else keys
        words = await words_of(ledger, decision=word, keys=names, decisions=decisions, step=step)
        settled = await settle_many(
            *(ledger, words),
            file=None if isinstance(decisions, Mapping) else decisions,
            again=decisions is not None,
            service=self._pipeline.service,
        )
        return [bulk_result(RowResult(row)) for row, *_ in settled]


def _decision_of(call: str, **said: object) -> Decision:
    """The one word that was said of the rows."""
    given = [name for name, value in said.items() if value is not None and value is not False]
    if len(given) != 1:
        *names, last = said
        problem = f"give exactly one of {', '.join(names)} and {last}"
        raise InvalidRequestError(call, {next(iter(said)): problem})
    return cast("Decision", given[0])

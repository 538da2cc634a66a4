"""How is a ledger looked at without being its owner? In a thread, needing only to read."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from ..aio import finished
from .machine import State
from .records import Listed, Note, Row, Step
from .sqlite_copy import look
from .sqlite_names import explained, real_path
from .sqlite_reading import Reading

T = TypeVar("T")


class Questions:
    """What is asked of a ledger, in the thread that has it."""

    async def _ask(self, what: Callable[[Reading], T]) -> T:
        raise NotImplementedError

    async def row(self, key: str) -> Row:
        """See `LedgerReader`, as for the rest."""
        return await self._ask(lambda store: store.row(key))

    async def row_of(self, row_id: int) -> Row:
        return await self._ask(lambda store: store.row_of(row_id))

    async def step(self, step_id: int) -> Step:
        return await self._ask(lambda store: store.step(step_id))

    async def known(self, keys: Sequence[str]) -> dict[str, Row]:
        return await self._ask(lambda store: store.known(keys))

    async def rows(self, *, states: Collection[State] = (), page: int = 200) -> AsyncIterator[Row]:
        among, after = frozenset(states), (-1, 0)
        while found := await self._ask(lambda store, at=after: store.page(among, at, page)):  # type: ignore[misc]
            for row in found:
                yield row
            after = (found[-1].position, found[-1].id)

    async def counts(self) -> Mapping[State, int]:
        return await self._ask(Reading.counts)

    async def step_counts(self) -> Mapping[tuple[int, State], int]:
        return await self._ask(Reading.step_counts)

    async def to_reopen(self, *, numbers: Collection[int] = ()) -> int:
        return await self._ask(lambda store: store.to_reopen(numbers))

    async def accounts(self) -> list[str]:
        return await self._ask(Reading.accounts)

    async def unsettled(
        self, account: str | None, kind: str, *, states: Collection[State] = ("doubt", "unknown")
    ) -> list[Step]:
        return await self._ask(lambda store: store.unsettled(account, kind, states))

    async def sent(self, account: str | None, kind: str) -> list[Step]:
        return await self._ask(lambda store: store.sent(account, kind))

    async def uses(self, account: str | None, kind: str, paths: Collection[str]) -> list[Step]:
        return await self._ask(lambda store: store.uses(account, kind, paths))

    async def owners(self, account: str | None, kind: str, ids: Collection[str]) -> dict[str, int]:
        return await self._ask(lambda store: store.owners(account, kind, ids))

    async def was_listed(self, account: str | None, kind: str) -> bool:
        return await self._ask(lambda store: store.was_listed(account, kind))

    async def listed_before(self, account: str | None, kind: str, ids: Collection[str]) -> set[str]:
        return await self._ask(lambda store: store.listed_before(account, kind, ids))

    async def alike_before(
        self, account: str | None, kind: str, paths: Collection[str]
    ) -> list[Listed]:
        return await self._ask(lambda store: store.alike_before(account, kind, paths))

    async def never_sent_alike(
        self, account: str | None, kind: str, *, after: int = 0, size: int = 200
    ) -> list[tuple[Step, Listed]]:
        return await self._ask(lambda store: store.never_sent_alike(account, kind, after, size))

    async def history(self, row_id: int) -> list[Note]:
        return await self._ask(lambda store: store.history(row_id))

    async def fact(self, name: str) -> str | None:
        return await self._ask(lambda store: store.fact(name))


class SqliteReader(Questions):
    """A ledger's file to look at; `read_ledger` opens it."""

    def __init__(self, path: Path, db: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        self.path = path
        self._db = db
        self._store = Reading(path, db)
        self._thread = thread

    async def _ask(self, what: Callable[[Reading], T]) -> T:
        def asked() -> T:
            with explained(self.path):
                return what(self._store)

        return await asyncio.get_running_loop().run_in_executor(self._thread, asked)

    async def aclose(self) -> None:
        """Close it."""
        await end(self._thread, self._db.close)


async def end(thread: ThreadPoolExecutor, close: Callable[[], None]) -> None:
    """Close in the thread, and end it."""
    closing = asyncio.get_running_loop().run_in_executor(thread, close)
    thread.shutdown(wait=False)
    await finished(closing)


@asynccontextmanager
async def read_ledger(path: str | os.PathLike[str]) -> AsyncIterator[SqliteReader]:
    """The ledger at `path` to look at, while others may write; needs only the right to read.

    Raises:
        LedgerError: there is none, or it can't be read.
    """
    real = real_path(path)
    thread = ThreadPoolExecutor(1, thread_name_prefix="kling-ledger")
    opened: list[sqlite3.Connection] = []

    def close() -> None:
        for db in opened:
            db.close()

    try:
        opening = asyncio.get_running_loop().run_in_executor(
            thread, lambda: opened.append(look(real))
        )
        await finished(opening)
        yield SqliteReader(real, opened[0], thread)
    finally:
        await end(thread, close)

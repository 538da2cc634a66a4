"""How does one machine keep its ledger? In a SQLite file, written by one thread, in groups."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ..aio import finished, in_thread
from ..errors import LedgerError
from .groups import GroupedLedger, Item, Raised
from .ledger import Ledger, LedgerReader
from .sqlite_copy import copy
from .sqlite_file import OwnedFile, own
from .sqlite_names import explained, real_path
from .sqlite_reader import SqliteReader, read_ledger
from .sqlite_store import Writing

__all__ = ["SqliteLedger", "SqliteReader", "copy_ledger", "open_ledger", "read_ledger"]


class SqliteLedger(GroupedLedger):
    """The ledger of a running job; `open_ledger` opens it. Belongs to one event loop."""

    def __init__(
        self, service: str, file: OwnedFile, store: Writing, thread: ThreadPoolExecutor
    ) -> None:
        super().__init__(service, thread)
        self.path: Path = file.path
        self._file = file
        self._store = store

    # --- in the thread ---

    def _carry_out(self, group: list[Item], due: bool) -> list[Any]:
        """What comes of each: all writes in one transaction, then what is asked."""
        results: list[Any] = [None] * len(group)
        writing = [at for at, (_, writes, _) in enumerate(group) if writes]
        if writing:
            try:
                with self._transaction():
                    for at in writing:
                        results[at] = group[at][0](self._store)
                    if due:
                        self._store.wrote()
            except Exception as exc:  # a failed group fails each of its writers
                for at in writing:
                    results[at] = Raised(exc)
        for at, (act, writes, _) in enumerate(group):
            if not writes:
                try:
                    with explained(self.path):
                        results[at] = act(self._store)
                except Exception as exc:
                    results[at] = Raised(exc)
        return results

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of the writes inside, or none; on disk, and in the ledger's own file, at its end."""
        db = self._file.db
        with explained(self.path):
            db.execute("BEGIN IMMEDIATE")
            try:
                yield
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
        self._file.check()

    def _checkpoint(self) -> None:
        with contextlib.suppress(sqlite3.Error, LedgerError):  # the next write says what is wrong
            self._file.checkpoint()

    def _close(self) -> None:
        with contextlib.suppress(sqlite3.Error, LedgerError), self._transaction():
            self._store.wrote()
        self._file.close()


@asynccontextmanager
async def open_ledger(
    path: str | os.PathLike[str],
    *,
    service: str,
    despite_loss: bool = False,
    now: Callable[[], float] = time.time,
) -> AsyncIterator[SqliteLedger]:
    """The ledger at `path` for this process alone, made where there is none; closed at the end.

    Steps that a dead process left in `intent` are in doubt from then on.

    Args:
        path: the file; one that stays on a disk.
        service: the host whose requests it remembers.
        despite_loss: open it also where its newest rows are known to be missing.
        now: tells epoch seconds.

    Raises:
        LedgerError: it can't be used; the text says why, and what to do.
    """
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(1, thread_name_prefix="kling-ledger")
    opened: list[SqliteLedger] = []

    def opening() -> None:
        real = real_path(path)
        file = own(real, service, now(), despite_loss=despite_loss)
        store = Writing(real, file.db, now)
        ledger = SqliteLedger(service, file, store, thread)
        opened.append(ledger)
        with ledger._transaction():
            store.begin()

    try:
        await loop.run_in_executor(thread, opening)
        yield opened[0]
    finally:  # also where it is cancelled while it is opened: its lock would stay
        try:
            await finished(loop.run_in_executor(thread, lambda: None))
        finally:
            if opened:
                await opened[0].aclose()
            else:
                thread.shutdown(wait=False)


async def copy_ledger(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Copy a ledger into one new file, also while a job writes it.

    The copy has the fact `copied_at`. What the job does after that moment it does not know.

    Raises:
        LedgerError: the source can't be read, or there is something at `target`.
    """
    await in_thread(copy, real_path(source), real_path(target))


def _keeps_the_promises(ledger: SqliteLedger, reader: SqliteReader) -> tuple[Ledger, LedgerReader]:
    """For the type checker: these are forms of the protocols."""
    return ledger, reader

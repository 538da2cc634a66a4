"""How does a running job write its ledger without blocking the loop? Through one thread, in groups.

While one commit syncs, the writes that arrive meanwhile wait together and share the next one, as do
those that come within a few turns of the loop: an fsync may serve many rows, and none is skipped.
`runner.py` is the only user.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from ..aio import finished
from .ledger import Ledger

T = TypeVar("T")
_Write = tuple["Callable[[Ledger], Any]", "asyncio.Future[Any]"]


QUIET_TURNS = 4
"""Turns of the loop without a further write after which a group is complete: some 30 us."""
FULL = 64
"""Writes that are enough for a group, however busy the loop is."""


class Journal:
    """A ledger behind a thread of its own. Made by `open_journal`."""

    def __init__(self, ledger: Ledger, thread: ThreadPoolExecutor) -> None:
        self._ledger = ledger
        self._thread = thread
        self._waiting: list[_Write] = []
        self._flushing: asyncio.Task[None] | None = None

    async def write(self, act: Callable[[Ledger], T]) -> T:
        """What `act` returns, once it is committed and synced.

        A caller that is cancelled stops waiting; its write is still carried out.

        Raises:
            LedgerError: it could not be written, and nothing of its group was.
        """
        return await self.submit(act)

    def submit(self, act: Callable[[Ledger], T]) -> asyncio.Future[T]:
        """Have `act` carried out after all earlier writes, without waiting for it."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((act, done))
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())
        return done

    async def read(self, look: Callable[[Ledger], T]) -> T:
        """What `look` returns; sees everything that was committed before."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, look, self._ledger)

    async def settle(self) -> None:
        """Return when every write so far is on disk (or has failed)."""
        while self._flushing is not None:
            await asyncio.wait({self._flushing})

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                await self._gathered()
                group, self._waiting = self._waiting, []
                try:
                    results = await loop.run_in_executor(self._thread, self._commit, group)
                except Exception as exc:  # a failed group fails each of its writers
                    for _, done in group:
                        if not done.done():
                            done.set_exception(exc)
                else:
                    for (_, done), result in zip(group, results, strict=True):
                        if not done.done():
                            done.set_result(result)
        finally:
            self._flushing = None

    async def _gathered(self) -> None:
        """Return when the writes that are about to come are there.

        Answers come in bunches, each a few turns of the loop from its socket to its write.
        """
        quiet = 0
        while quiet < QUIET_TURNS and len(self._waiting) < FULL:
            known = len(self._waiting)
            await asyncio.sleep(0)
            quiet = quiet + 1 if len(self._waiting) == known else 0

    def _commit(self, group: list[_Write]) -> list[Any]:
        with self._ledger.transaction():
            return [act(self._ledger) for act, _ in group]


@asynccontextmanager
async def open_journal(path: str | os.PathLike[str], *, service: str) -> AsyncIterator[Journal]:
    """A journal on the ledger at `path`; closed, with all writes on disk, at the end.

    Args:
        path: the ledger's file.
        service: whom its rows are sent to.

    Raises:
        LedgerError: the ledger can't be used.
    """
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(1, thread_name_prefix="kling-ledger")
    opened: list[Ledger] = []

    def close() -> None:
        for ledger in opened:
            ledger.close()

    try:
        opening = partial(Ledger.open, path, service=service)
        await loop.run_in_executor(thread, lambda: opened.append(opening()))
        journal = Journal(opened[0], thread)
        try:
            yield journal
        finally:
            await finished(asyncio.ensure_future(journal.settle()))
    finally:  # also where it is cancelled while it is opened: its lock would stay
        closing = loop.run_in_executor(thread, close)
        thread.shutdown(wait=False)
        await finished(closing)

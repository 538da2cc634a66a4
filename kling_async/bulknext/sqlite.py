"""How does one machine keep its ledger? In a SQLite file, written by one thread, in groups."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from .ledger import Ledger, LedgerReader


@asynccontextmanager
async def open_ledger(
    path: str | os.PathLike[str],
    *,
    service: str,
    despite_loss: bool = False,
    now: Callable[[], float] = time.time,
) -> AsyncIterator[Ledger]:
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
    raise NotImplementedError
    yield


@asynccontextmanager
async def read_ledger(path: str | os.PathLike[str]) -> AsyncIterator[LedgerReader]:
    """The ledger at `path` to look at, while others may write; needs only the right to read.

    Raises:
        LedgerError: there is none, or it can't be read.
    """
    raise NotImplementedError
    yield


async def copy_ledger(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Copy a ledger into one new file, also while a job writes it.

    Raises:
        LedgerError: the source can't be read, or there is something at `target`.
    """
    raise NotImplementedError

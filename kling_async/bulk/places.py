"""Where is a ledger? In a file of this machine, or at the address of a PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ..errors import ConfigurationError
from .ledger import Ledger, LedgerReader
from .sqlite import open_ledger as open_file
from .sqlite import read_ledger as read_file

if TYPE_CHECKING:
    from .postgres_session import LedgerAddress

Place: TypeAlias = "str | os.PathLike[str] | LedgerAddress"
SCHEMES = ("postgresql://", "postgres://")


def place_of(text: str) -> Path | LedgerAddress:
    """The file or the address that a user's text names.

    Raises:
        ConfigurationError: it begins like an address and is none, or its extra is not installed.
    """
    return _address(text) or Path(text)


def exists(place: Path | LedgerAddress) -> bool:
    """Whether there is a ledger; LedgerError where its database can't be asked. Blocks."""
    if isinstance(place, Path):
        return place.exists()
    from .postgres import ledgers

    return place.name in ledgers(place)


def open_ledger(
    place: Place,
    *,
    service: str,
    despite_loss: bool = False,
    now: Callable[[], float] = time.time,
) -> AbstractAsyncContextManager[Ledger]:
    """The ledger for writing: a file for this process alone, one in PostgreSQL shared with others.

    Args:
        place: the file, or `postgresql://user@host/db#name`; made where it is missing.
        service: the host whose requests it remembers.
        despite_loss: open a file also where its newest rows are known to be missing.
        now: tells epoch seconds; a database has its own clock.
    """
    if (address := _address(place)) is not None:
        from .postgres import open_postgres

        return open_postgres(address, service=service)
    assert isinstance(place, (str, os.PathLike))
    return open_file(place, service=service, despite_loss=despite_loss, now=now)


def read_ledger(place: Place) -> AbstractAsyncContextManager[LedgerReader]:
    """The ledger to look at, while others write it."""
    if (address := _address(place)) is not None:
        from .postgres import read_postgres

        return read_postgres(address)
    assert isinstance(place, (str, os.PathLike))
    return read_file(place)


async def is_there(place: Path | LedgerAddress) -> bool:
    """`exists`, in a thread."""
    return await asyncio.to_thread(exists, place)


def _address(place: Place) -> LedgerAddress | None:
    """None: it is a file."""
    if isinstance(place, os.PathLike) or (isinstance(place, str) and not _looks_so(place)):
        return None
    try:
        from .postgres_session import LedgerAddress, address_of
    except ImportError:
        raise ConfigurationError(
            "a ledger in PostgreSQL needs an extra: pip install 'kling-async[distributed]'"
        ) from None
    return place if isinstance(place, LedgerAddress) else address_of(place)


def _looks_so(text: str) -> bool:
    return text.startswith(SCHEMES)

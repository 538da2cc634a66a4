"""How is a ledger's PostgreSQL reached, and what happens when it is lost? One connection, in turn.

A group of writes whose COMMIT got no answer may have happened. Each group writes its number into
the row of its worker, so after a reconnect that row says whether it did: what happened is not
repeated, and what did not happen is.
"""

from __future__ import annotations

import itertools
import logging
import re
import sys
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote, urlsplit

import psycopg
from attrs import field, frozen
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from ..errors import ConfigurationError, LedgerError
from .file_lock import host_name
from .sqlite_reading import Cursor, Database

log: Final = logging.getLogger("kling_async")
T = TypeVar("T")

PAUSE_S = 0.2
"""Between two tries to reach it."""
_SETTINGS = (
    # A stopped process that holds a lock must not stop the others.
    "-c statement_timeout=15s -c lock_timeout=10s -c idle_in_transaction_session_timeout=15s "
    # Whatever the server's default is: an intent that was lost could be sent twice.
    "-c synchronous_commit=on "
    # Each statement of ours finds its rows by an index. Without statistics, as after the first
    # hundred thousand rows came in, the planner reads whole tables: 33 ms a claim instead of 2.
    "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off"
)
_PASSING = (
    errors.DeadlockDetected,
    errors.SerializationFailure,
    errors.LockNotAvailable,
    errors.QueryCanceled,
)
"""What may go well the next time, on the same connection."""


@frozen
class LedgerAddress:
    """Where a shared ledger is. Its text shows no password."""

    conninfo: str = field(repr=False)
    """For psycopg."""
    shown: str
    """`user@host/db`."""
    name: str
    """Of the ledger in that database."""
    is_named: bool = True
    """Whether it was named, or is the default."""

    def __str__(self) -> str:
        return f"postgresql://{self.shown}#{self.name}"


def address_of(text: str) -> LedgerAddress:
    """The address `postgresql://user@host/db#name`; the name is `main` where none is said.

    Raises:
        ConfigurationError: it is none. The text is not shown, as it may hold a password.
    """
    try:
        parts = urlsplit(text)
        port = f":{parts.port}" if parts.port else ""
        conninfo_to_dict(text.partition("#")[0])
    except (ValueError, psycopg.Error):
        raise ConfigurationError(
            "the ledger's address is not of the form postgresql://user@host:5432/database#name; "
            "write special characters of a password as %XX"
        ) from None
    user = f"{quote(unquote(parts.username))}@" if parts.username else ""
    shown = f"{user}{parts.hostname or 'localhost'}{port}{parts.path}"
    name = unquote(parts.fragment)
    return LedgerAddress(text.partition("#")[0], shown, name or "main", bool(name))


class Connected:
    """A connection that takes statements with `:name`."""

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self.raw = raw

    def execute(self, statement: str, values: Mapping[str, Any] = {}, /) -> Cursor:
        """See `Database`."""
        found = {name: _storable(value) for name, value in values.items()}
        return self.raw.execute(translated(statement), found or None)


def _storable(value: Any) -> Any:
    """No text of PostgreSQL's holds a NUL."""
    if type(value) is str:
        return value.replace("\0", "\ufffd") if "\0" in value else value
    return [_storable(one) for one in value] if type(value) is list else value


@cache
def translated(statement: str) -> Any:
    """A statement as psycopg wants it; they are some two hundred."""
    return re.sub(r"(?<!:):([a-z_][a-z_0-9]*)", r"%(\1)s", statement)


class Session:
    """One connection to one ledger's schema, made again where it is lost. Synchronous.

    Args:
        address: of the ledger.
        schema: whose tables it uses.
        wait_s: how long a lost database is waited for.
    """

    def __init__(self, address: LedgerAddress, schema: str, *, wait_s: float) -> None:
        self.address = address
        self.schema = schema
        self.closing = False
        """Whether a lost database is not waited for any more."""
        self.begins: Callable[[int], None] = lambda number: None
        """Called in each transaction first, with the number of its group."""
        self.has_committed: Callable[[int], bool] = lambda number: False
        """Whether the group of this number happened; asked on a new connection."""
        self._wait_s = wait_s
        self._numbers = itertools.count(1)
        self._db: Connected | None = None

    def execute(self, statement: str, values: Mapping[str, Any] = {}, /) -> Cursor:
        """See `Database`; on the connection of the moment."""
        if self._db is None:
            raw = connect(self.address)
            self._db = Connected(raw)
            self._db.execute(f'SET search_path TO "{self.schema}"')
        return self._db.execute(statement, values)

    def read(self, act: Callable[[], T]) -> T:
        """What `act` finds."""
        return self._tried(act)

    def write(self, act: Callable[[], T]) -> T:
        """What `act` returns, once all that it writes is on disk.

        Raises:
            LedgerError: nothing of it was written.
        """
        number = next(self._numbers)
        results: list[T] = []  # of a COMMIT whose answer did not come

        def group() -> T:
            if results and self.has_committed(number):
                return results[0]
            results.clear()
            self.execute("BEGIN")
            self.begins(number)
            result = act()
            results.append(result)
            self.execute("COMMIT")
            return result

        return self._tried(group)

    def close(self) -> None:
        """Close the connection."""
        if self._db is not None:
            self._db.raw.close()
            self._db = None

    def _tried(self, act: Callable[[], T]) -> T:
        until_s = time.monotonic() + self._wait_s
        said = False
        while True:
            try:
                return act()
            except psycopg.Error as exc:
                lost = self._lost()
                passing = lost or isinstance(exc, _PASSING)
                if not passing or self.closing or time.monotonic() >= until_s:
                    raise explanation(self.address, exc) from exc
                if lost and not said:
                    said = True
                    log.warning("the database %s is lost, and waited for", self.address.shown)
                time.sleep(PAUSE_S if lost else 0.01)
            except BaseException:
                self._lost()
                raise

    def _lost(self) -> bool:
        """Whether the connection is gone; else its transaction is taken back."""
        if self._db is not None and not self._db.raw.closed:
            try:
                self._db.raw.rollback()
                return False
            except psycopg.Error:
                pass
        self.close()
        return True


def connect(address: LedgerAddress) -> psycopg.Connection[Any]:
    """A connection with our settings; psycopg's errors pass through."""
    return psycopg.connect(address.conninfo, autocommit=True, **connection_options())


def connection_options() -> dict[str, Any]:
    """What each connection of ours asks for."""
    return {
        "options": _SETTINGS, "connect_timeout": 10, "application_name": "kling-async",
        "keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3,
        "client_encoding": "utf8",
    }  # fmt: skip


def explanation(address: LedgerAddress, error: psycopg.Error) -> LedgerError:
    """An error of PostgreSQL's as ours, with what to do."""
    text = " ".join(str(error).split())
    if password := conninfo_to_dict(address.conninfo).get("password"):
        text = text.replace(str(password), "***")
    if isinstance(error, errors.DiskFull):
        remedy = "free some space there and run it again"
    elif isinstance(error, (errors.UndefinedTable, errors.InvalidSchemaName)):
        remedy = "`kling-async ledger upgrade` makes what is missing"
    elif isinstance(error, psycopg.OperationalError):
        remedy = "check the address, the password (PGPASSWORD, ~/.pgpass) and the server"
    else:
        remedy = "run it again when that is mended"
    return LedgerError(
        f"the ledger {address} can't be used ({text}): {remedy}. Nothing was sent that is not "
        "recorded"
    )


def this_host() -> str:
    """What tells that two workers see the same process ids."""
    space = str(Path("/proc/self/ns/pid").readlink()) if sys.platform == "linux" else ""
    return f"{host_name()} {space}".strip()


def _keeps_the_promise(session: Session, connected: Connected) -> tuple[Database, Database]:
    """For the type checker."""
    return session, connected

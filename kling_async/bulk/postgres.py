"""How do several machines share a ledger? In PostgreSQL: a schema of its own in a shared database.

The schema `kling` holds what is the database's: which ledgers there are, and what is known of the
accounts. A ledger's own tables are those of SQLite and a few more, so the statements are the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import psycopg

from ..aio import finished
from ..errors import LedgerError
from ..settings import WAIT_FOR_DATABASE_S
from ..version import __version__
from . import sql
from .groups import GroupedLedger, Item, Raised
from .ledger import Ledger, LedgerReader
from .postgres_session import (
    Connected,
    LedgerAddress,
    Session,
    address_of,
    connect,
    explanation,
    this_host,
)
from .postgres_sql import NOW, SHARED_TABLES, TABLES
from .postgres_store import LEASE_S, Identity, PostgresWriting
from .records import Row
from .sqlite_reader import Questions, end
from .sqlite_reading import Reading

log: Final = logging.getLogger("kling_async")
T = TypeVar("T")

SWEEP_EVERY_S = 10.0
"""How often a worker keeps its lease and looks for dead ones."""
_MAKING = 0x6B6C696E


class NotOurs(LedgerError):
    """The ledger belongs to another service or to another version; the database is in order."""


class PostgresLedger(GroupedLedger):
    """A worker's share in a ledger; `open_postgres` opens it. Belongs to one event loop."""

    shared = True

    def __init__(
        self, service: str, session: Session, store: PostgresWriting, thread: ThreadPoolExecutor
    ) -> None:
        super().__init__(service, thread)
        self.path: LedgerAddress = session.address
        self._session = session
        self._store = store

    @property
    def waits_for_database(self) -> bool:
        """Whether a lost database is waited for; set False, it is given up."""
        return not self._session.closing

    @waits_for_database.setter
    def waits_for_database(self, waits: bool) -> None:
        self._session.closing = not waits

    async def claim(
        self, size: int, *, made: int | None, saves: bool, away: Collection[str] = ()
    ) -> list[Row]:
        """The next rows that nobody works on; they are this worker's until it releases them.

        Args:
            size: rows at most.
            made: how many steps of each row are carried out; None: all.
            saves: whether this worker makes files of works; without it, tasks are left to others.
            away: accounts whose rows are left where they are.
        """
        most = 10**6 if made is None else made
        return await self._submit(lambda store: store.claim(size, most, saves, away), writes=True)

    async def release(self, row_id: int, *, after_s: float | None = None) -> None:
        """Others may have the row from now on, or `after_s` seconds from now."""
        await self._submit(lambda store: store.release(row_id, after_s), writes=True)

    async def give_back(self) -> None:
        """Others may have all that this worker has; what it has in flight is in doubt."""
        await self._submit(PostgresWriting.give_back, writes=True)

    async def unsettled_among(self, row_ids: Collection[int], *, made: int | None) -> set[int]:
        """Those of the rows that are worked on, or are still to be."""
        most = 10**6 if made is None else made
        return await self._submit(lambda store: store.unsettled_among(row_ids, most), writes=False)

    async def take_job_slot(self, step_id: int, account: str, most: int) -> bool:
        """See `Ledger.take_job_slot`."""
        one = (step_id, self.service, account, most)
        return await self._submit(lambda store: store.take_job_slot(*one), writes=True)

    async def unpark(self) -> None:
        """All workers try the accounts again that were given up."""
        await self._submit(lambda store: store.unpark(self.service), writes=True)

    async def sweep(self) -> int:
        """Keep the lease, and take over from dead workers; how many there were."""
        return await self._submit(PostgresWriting.sweep, writes=True)

    async def keep_lease(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            await self.sweep()

    # --- in the thread ------------------------------------------------------------------------

    def _carry_out(self, group: list[Item], due: bool) -> list[Any]:
        results: list[Any] = [None] * len(group)
        writing = [at for at, (_, writes, _) in enumerate(group) if writes]
        if writing:
            try:
                done = self._session.write(
                    lambda: self._store.carry_out([group[at][0] for at in writing])
                )
            except Exception as exc:  # a failed group fails each of its writers
                done = [Raised(exc)] * len(writing)
            for at, result in zip(writing, done, strict=True):
                results[at] = result
        for at, (act, writes, _) in enumerate(group):
            if not writes:
                try:
                    results[at] = self._session.read(lambda act=act: act(self._store))  # type: ignore[misc]
                except Exception as exc:
                    results[at] = Raised(exc)
        return results

    def _close(self) -> None:
        self._session.closing = True  # a database that is lost now is not waited for
        try:
            self._session.write(self._store.leave)
        except LedgerError as exc:
            log.warning("a worker could not take its leave; its lease ends by itself: %s", exc)
        finally:
            self._session.close()


class PostgresReader(Questions):
    """A shared ledger to look at; `read_postgres` opens it."""

    def __init__(self, session: Session, thread: ThreadPoolExecutor) -> None:
        self.path: LedgerAddress = session.address
        self._session = session
        self._store = Reading(session.address, session)
        self._thread = thread

    async def _ask(self, what: Callable[[Reading], T]) -> T:
        def asked() -> T:
            return self._session.read(lambda: what(self._store))

        return await asyncio.get_running_loop().run_in_executor(self._thread, asked)

    async def aclose(self) -> None:
        """Close it."""
        await end(self._thread, self._session.close)


@asynccontextmanager
async def open_postgres(
    address: str | LedgerAddress,
    *,
    service: str,
    wait_s: float = WAIT_FOR_DATABASE_S,
    lease_s: float = LEASE_S,
) -> AsyncIterator[PostgresLedger]:
    """A share in the ledger at `address`, which is made where there is none; left at the end.

    Args:
        address: `postgresql://user@host/db#name`.
        service: the host whose requests it remembers.
        wait_s: how long a lost database is waited for, in seconds.
        lease_s: after how many seconds without a word its steps are anybody's.

    Raises:
        LedgerError: it can't be used; the text says why, and what to do.
        ConfigurationError: the address is none.
    """
    where = address_of(address) if isinstance(address, str) else address
    thread = ThreadPoolExecutor(1, thread_name_prefix="kling-ledger")
    opened: list[PostgresLedger] = []

    def opening() -> None:
        schema = made(where, service)
        session = Session(where, schema, wait_s=wait_s)
        store = PostgresWriting(where, session, Identity(this_host(), __version__, lease_s))
        session.begins, session.has_committed = store.begin_group, store.has_committed
        ledger = PostgresLedger(service, session, store, thread)
        session.write(store.begin)
        opened.append(ledger)

    beating: asyncio.Task[None] | None = None
    try:
        await finished(asyncio.get_running_loop().run_in_executor(thread, opening))
        beating = asyncio.create_task(opened[0].keep_lease())
        yield opened[0]
    finally:
        if beating is not None:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)
        if opened:
            await opened[0].aclose()
        else:
            thread.shutdown(wait=False)


@asynccontextmanager
async def read_postgres(address: str | LedgerAddress) -> AsyncIterator[PostgresReader]:
    """The ledger at `address` to look at, while workers write it.

    Raises:
        LedgerError: there is none, or it can't be read.
    """
    where = address_of(address) if isinstance(address, str) else address
    thread = ThreadPoolExecutor(1, thread_name_prefix="kling-ledger")
    try:
        opening = asyncio.get_running_loop().run_in_executor(thread, _existing, where)
        reader = PostgresReader(Session(where, await finished(opening), wait_s=0), thread)
    except BaseException:
        thread.shutdown(wait=False)
        raise
    try:
        yield reader
    finally:
        await reader.aclose()


# --- what is in a database ----------------------------------------------------------------------


def ledgers(address: LedgerAddress) -> list[str]:
    """The names of the ledgers of a database, in the order in which they were made."""
    try:
        with connect(address) as raw:
            if raw.execute("SELECT to_regclass('kling.ledgers')").fetchone() == (None,):
                return []
            found = raw.execute("SELECT name FROM kling.ledgers ORDER BY id").fetchall()
            return [name for (name,) in found]
    except psycopg.Error as exc:
        raise explanation(address, exc) from exc


def upgrade(address: LedgerAddress) -> list[str]:
    """The names of the database's ledgers; what is shared is there, and all have our layout.

    Raises:
        LedgerError: one has a layout that can't be brought up to date. There is one so far.
    """
    try:
        with connect(address) as raw:
            _check_server(raw, address)
            raw.execute(SHARED_TABLES)
    except psycopg.Error as exc:
        raise explanation(address, exc) from exc
    names = ledgers(address)
    for name in names:
        _existing(LedgerAddress(address.conninfo, address.shown, name))
    return names


def made(address: LedgerAddress, service: str) -> str:
    """The schema of the ledger, made where there is none.

    Raises:
        LedgerError: it can't be used, has another layout, or belongs to another service.
    """
    try:
        with connect(address) as raw, raw.transaction():
            _check_server(raw, address)
            raw.execute("SELECT pg_advisory_xact_lock(%s)", [_MAKING])
            raw.execute(SHARED_TABLES)
            raw.execute(
                "INSERT INTO kling.ledgers (name) VALUES (%s) ON CONFLICT DO NOTHING",
                [address.name],
            )
            schema = _schema(raw, address)
            db = Connected(raw)
            if raw.execute("SELECT to_regnamespace(%s)", [schema]).fetchone() == (None,):
                db.execute(f'CREATE SCHEMA "{schema}"')
                db.execute(f'SET LOCAL search_path TO "{schema}"')
                db.execute(TABLES)
                (born,) = db.execute(NOW).fetchone()
                facts = {"layout": sql.LAYOUT, "service": service, "born_at": str(born)}
                for name, value in facts.items():
                    db.execute(sql.SET_FACT, {"name": name, "value": value})
                return schema
            db.execute(f'SET LOCAL search_path TO "{schema}"')
            _check_layout(db, address)
            recorded = db.execute(sql.FACT, {"name": "service"}).fetchone()[0]
            if recorded != service:
                raise NotOurs(
                    f"{address} belongs to runs against {recorded}, and this one goes to "
                    f"{service}: its rows would look done where nothing was made. Use another "
                    "ledger"
                )
            return schema
    except psycopg.Error as exc:
        raise explanation(address, exc) from exc


def _existing(address: LedgerAddress) -> str:
    try:
        with connect(address) as raw:
            tables = raw.execute("SELECT to_regclass('kling.ledgers')").fetchone()
            if tables == (None,) or (schema := _schema(raw, address)) == "":
                raise LedgerError(
                    f"there is no ledger {address}; `kling-async bulk run INPUT --ledger ...` "
                    "makes one"
                )
            db = Connected(raw)
            db.execute(f'SET search_path TO "{schema}"')
            _check_layout(db, address)
            return schema
    except psycopg.Error as exc:
        raise explanation(address, exc) from exc


def _schema(raw: psycopg.Connection[Any], address: LedgerAddress) -> str:
    """The name of a ledger's schema; empty: there is no such ledger."""
    found = raw.execute("SELECT id FROM kling.ledgers WHERE name = %s", [address.name]).fetchone()
    return "" if found is None else f"kling_ledger_{found[0]}"


def _check_layout(db: Connected, address: LedgerAddress) -> None:
    (layout,) = db.execute(sql.FACT, {"name": "layout"}).fetchone()
    if layout != sql.LAYOUT:
        raise NotOurs(
            f"{address} has layout {layout}, and this version of kling-async knows {sql.LAYOUT}: "
            "`kling-async ledger upgrade` brings an older one up to date; a newer one needs a "
            "newer kling-async"
        )


def _check_server(raw: psycopg.Connection[Any], address: LedgerAddress) -> None:
    """LedgerError for what loses our settings; a warning for what loses commits."""
    (pid,) = raw.execute("SELECT pg_backend_pid()").fetchone() or (0,)
    if pid != raw.info.backend_pid:
        raise LedgerError(
            f"{address.shown} is a pool (PgBouncer, say) and no PostgreSQL: leases and "
            "notifications need a connection of their own. Give the server's own address"
        )
    if raw.execute("SHOW fsync").fetchone() == ("off",):
        log.warning(
            "the database %s has fsync off: after a power cut it may have forgotten what was "
            "sent, and that would be made twice",
            address.shown,
        )


def _keeps_the_promises(
    ledger: PostgresLedger, reader: PostgresReader
) -> tuple[Ledger, LedgerReader]:
    """For the type checker: these are forms of the protocols."""
    return ledger, reader

"""How do several workers keep the rate of an account together, and its pauses? One row an account.

A place in the rate is taken by one UPDATE, for all who wait here at once; the times are the
database's, so no worker's clock counts. A pause is written there, and told to the others.
"""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar

import psycopg

from .._limits.admission import Admission
from ..errors import ConfigurationError
from .postgres_session import PAUSE_S, LedgerAddress, connection_options, translated

log: Final = logging.getLogger("kling_async")
T = TypeVar("T")

SPARE = 1.04
"""Places are further apart than the rate says by this: what requests win on their way."""
LATE_S = 0.25
"""Who wakes up later than this after its place, or than the next place, takes another one."""
CHANNEL = "kling_pauses"

_NOW = "extract(epoch FROM clock_timestamp())::float8"
_KNOWN = "INSERT INTO kling.accounts (email) VALUES (:account) ON CONFLICT DO NOTHING"
_PLACES = (
    "UPDATE kling.accounts SET "
    f"next_at = greatest(next_at, paused_until, {_NOW}) + :interval_s * :places "
    f"WHERE email = :account RETURNING next_at - :interval_s * :places - {_NOW}"
)
_PAUSE = (
    f"UPDATE kling.accounts SET paused_until = greatest(paused_until, {_NOW} + :seconds) "
    "WHERE email = :account"
)
_PAUSED = f"SELECT email, paused_until - {_NOW} FROM kling.accounts WHERE paused_until > {_NOW}"


class SharedLimits:
    """The limits of a database's accounts, for one client; a `Limiter`.

    Args:
        address: of any ledger of the database.
        admission: of the client.
    """

    def __init__(self, address: LedgerAddress, admission: Admission) -> None:
        limit = admission.account_limit
        self.interval_s: float | None = (
            None if limit is None else SPARE * limit.per_s / limit.requests
        )
        """Between two requests of an account; None: no rate is kept."""
        self.users = 0
        self._address = address
        self._admission = admission
        self._me = uuid.uuid4().hex
        self._wanted: dict[str, list[asyncio.Future[float]]] = {}
        self._pauses: list[tuple[str, float]] = []
        self._news = asyncio.Event()
        self._known: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []

    async def acquire(self, account: str | None) -> None:
        """Return when the next place of the account has come."""
        if self.interval_s is None:
            return
        loop = asyncio.get_running_loop()
        while True:
            place: asyncio.Future[float] = loop.create_future()
            self._wanted.setdefault(account or "", []).append(place)
            self._news.set()
            at_s = await place
            if (wait_s := at_s - loop.time()) > 0:
                await asyncio.sleep(wait_s)
            if loop.time() - at_s <= min(LATE_S, max(self.interval_s, 0.02)):
                return

    def begin(self) -> None:
        """Keep the limits from now on, until `end`."""
        if self.interval_s is not None:
            self._admission.add_limiter(self)
        self._admission.on_pause.append(self._paused_here)
        self._tasks = [
            asyncio.create_task(self._again(self._serve)),
            asyncio.create_task(self._again(self._listen)),
        ]

    async def end(self) -> None:
        """Keep them no more."""
        if self.interval_s is not None:
            self._admission.remove_limiter(self)
        self._admission.on_pause.remove(self._paused_here)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for waiting in self._wanted.values():
            for place in waiting:
                place.cancel()

    # --- on connections of their own ------------------------------------------------------------

    async def _again(self, work: Callable[[psycopg.AsyncConnection[Any]], Any]) -> None:
        """Work on a connection, and on a new one where it is lost; nothing goes out meanwhile."""
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._address.conninfo, autocommit=True, **connection_options()
                ) as db:
                    await work(db)
            except psycopg.Error as exc:
                log.info("the shared limits wait for the database: %s", type(exc).__name__)
            await asyncio.sleep(PAUSE_S)

    async def _serve(self, db: psycopg.AsyncConnection[Any]) -> None:
        # A place that is forgotten in a crash makes the next one early, once.
        await db.execute("SET synchronous_commit TO off")
        self._news.set()  # who waits since before the connection was lost
        while True:
            await self._news.wait()
            self._news.clear()
            while self._pauses:
                await self._tell(db, *self._pauses[0])
                del self._pauses[0]
            for account in [one for one, waiting in self._wanted.items() if waiting]:
                await self._take(db, account)

    async def _take(self, db: psycopg.AsyncConnection[Any], account: str) -> None:
        """Places for all who wait for the account."""
        waiting = [one for one in self._wanted[account] if not one.done()]
        self._wanted[account] = list(waiting)  # to which others are added meanwhile
        if not waiting:
            return
        await self._know(db, account)
        values = {"account": account, "interval_s": self.interval_s, "places": len(waiting)}
        found = await (await db.execute(translated(_PLACES), values)).fetchone()
        assert found is not None
        assert self.interval_s is not None
        at_s = asyncio.get_running_loop().time() + found[0]
        for place in waiting:
            self._wanted[account].remove(place)
            if not place.done():
                place.set_result(at_s)
            at_s += self.interval_s

    async def _know(self, db: psycopg.AsyncConnection[Any], account: str) -> None:
        if account not in self._known:
            await db.execute(translated(_KNOWN), {"account": account})
            self._known.add(account)

    # --- pauses ---------------------------------------------------------------------------------

    def _paused_here(self, account: str | None, seconds: float) -> None:
        self._pauses.append((account or "", seconds))
        self._news.set()

    async def _tell(self, db: psycopg.AsyncConnection[Any], account: str, seconds: float) -> None:
        await self._know(db, account)
        await db.execute(translated(_PAUSE), {"account": account, "seconds": seconds})
        told = json.dumps({"account": account, "seconds": seconds, "by": self._me})
        await db.execute("SELECT pg_notify(%s, %s)", [CHANNEL, told])

    async def _listen(self, db: psycopg.AsyncConnection[Any]) -> None:
        await db.execute(f"LISTEN {CHANNEL}")
        for account, seconds in await (await db.execute(translated(_PAUSED))).fetchall():
            self._admission.pause(account or None, seconds)
        async for told in db.notifies():
            with suppress(ValueError, KeyError, TypeError):
                found = json.loads(told.payload)
                if found["by"] != self._me:
                    self._admission.pause(found["account"] or None, float(found["seconds"]))


_in_use: dict[tuple[int, str], SharedLimits] = {}


@asynccontextmanager
async def shared_limits(address: LedgerAddress, admission: Admission) -> AsyncIterator[None]:
    """Keep the limits of the database's accounts together with all others who do.

    Several runs of one client share one object, as each place is taken once.

    Raises:
        ConfigurationError: the client's rate is adaptive, which one machine alone can find.
    """
    limit = admission.account_limit
    if limit is not None and limit.adaptive:
        raise ConfigurationError(
            "an adaptive rate (--rate auto) is found by one machine alone; with a ledger of "
            "several machines name the rate, as --rate 10/s"
        )
    key = (id(admission), address.conninfo)
    limits = _in_use.get(key)
    if limits is None:
        limits = _in_use[key] = SharedLimits(address, admission)
        limits.begin()
    limits.users += 1
    try:
        yield
    finally:
        limits.users -= 1
        if limits.users == 0:
            del _in_use[key]
            await limits.end()

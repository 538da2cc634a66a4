"""How do several workers keep the limits of an account together? One row an account.

A place in the rate is taken by one UPDATE, for all who wait here at once; the times are the
database's, so no worker's clock counts. A pause is written there and told to the others, and so is
that an account is given up.
"""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import psycopg

from .._limits.admission import Admission
from ..settings import LEARN_FROM_PER_S
from .health import AccountHealth, Parked
from .postgres_session import PAUSE_S, LedgerAddress, connection_options, translated
from .postgres_sql import CHANNEL, NOTIFY
from .shared_rate import TICK_S, FollowedLaw, RateKeeper

log: Final = logging.getLogger("kling_async")

SPARE = 1.04
"""Places are further apart than the rate says by this: what requests win on their way."""
LATE_S = 0.25
"""Who wakes up later than this after its place, or than the next place, takes another one."""
AHEAD_S = 0.25
"""For how long places are taken at once, where the rate is to be found."""
FIRST_S = 30.0
"""Who gave an account up tries it so much earlier than all others."""

_NOW = "extract(epoch FROM clock_timestamp())::float8"
_THIS = "WHERE service = :service AND email = :account"
_KNOWN = (
    "INSERT INTO kling.accounts (service, email) VALUES (:service, :account) ON CONFLICT DO NOTHING"
)
_INTERVAL = "coalesce(CASE WHEN :adaptive THEN interval_s END, :interval_s)"
_PLACES = (
    "UPDATE kling.accounts SET "
    f"next_at = greatest(next_at, paused_until, {_NOW}) + {_INTERVAL} * :places, "
    f"places = places + :places, waited = waited + :places - (next_at < {_NOW})::int "
    f"{_THIS} RETURNING next_at - {_INTERVAL} * :places - {_NOW}, {_INTERVAL}"
)
_REFUSED = f"UPDATE kling.accounts SET refused_at = greatest(refused_at, {_NOW} - :ago_s) {_THIS}"
_PAUSE = (
    f"UPDATE kling.accounts SET paused_until = greatest(paused_until, {_NOW} + :seconds) {_THIS}"
)
_PARK = (
    f"UPDATE kling.accounts SET parked = :why, parked_until = {_NOW} + :seconds, "
    f"parked_by = :me, credits_only = :credits_only {_THIS}"
)
_PAUSED = (
    f"SELECT email, paused_until - {_NOW} FROM kling.accounts "
    f"WHERE service = :service AND paused_until > {_NOW}"
)
_PARKED_FOR = f"parked_until - {_NOW} + CASE WHEN parked_by = :me THEN 0 ELSE :first_s END"
_PARKED = (
    f"SELECT email, parked, {_PARKED_FOR}, credits_only FROM kling.accounts "
    f"WHERE service = :service AND parked_until > 0 AND {_PARKED_FOR} > 0"
)

Connection = psycopg.AsyncConnection[Any]


class SharedLimits:
    """The limits of a database's accounts, for one client; a `Limiter`.

    Args:
        address: of any ledger of the database.
        admission: of the client.
        service: whose accounts they are.
    """

    def __init__(self, address: LedgerAddress, admission: Admission, service: str) -> None:
        self._limit = limit = admission.account_limit
        self._adaptive = limit is not None and limit.adaptive
        self.interval_s = None if limit is None else SPARE * limit.per_s / limit.requests
        """Between two requests of an account, if it is not found; None: no rate is kept."""
        if self.interval_s is not None and self._adaptive:
            self.interval_s = max(self.interval_s, 1 / LEARN_FROM_PER_S)
        self._laws: dict[str, FollowedLaw] = {}
        self._taken_until_s: dict[str, float] = {}
        """Account -> its last place here, where the rate is to be found."""
        self.users = 0
        self.looked: asyncio.Event = asyncio.Event()
        """Whether it is known by now which accounts are given up."""
        self._address = address
        self._admission = admission
        self._service = service
        self._me = uuid.uuid4().hex
        self._wanted: dict[str, list[asyncio.Future[float]]] = {}
        self._said: list[Callable[[Connection], Awaitable[None]]] = []
        """What the others are still to be told."""
        self._news = asyncio.Event()
        self._look = False
        """Whether to look who is given up."""
        self._healths: list[AccountHealth] = []
        self._parked: dict[str | None, tuple[Parked, float]] = {}
        """Account -> why it is given up, and until when by the loop's clock."""
        self._again: asyncio.TimerHandle | None = None
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
        works = [self._serve, self._listen]
        if self._adaptive:
            self._admission.follow_rates(self._law_of)
            works.append(self._keep)
        self._tasks = [asyncio.create_task(self._connected(one)) for one in works]

    async def end(self) -> None:
        """Keep them no more."""
        if self.interval_s is not None:
            self._admission.remove_limiter(self)
        if self._adaptive:
            self._admission.follow_rates(None)
        self._admission.on_pause.remove(self._paused_here)
        if self._again is not None:
            self._again.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for waiting in self._wanted.values():
            for place in waiting:
                place.cancel()

    def join(self, health: AccountHealth) -> None:
        """Tell the others which accounts a run gives up, and the run which the others did."""
        self._healths.append(health)
        health.on_park = self._parked_here
        health.heed(one for one, _ in self._parked.values())

    def leave(self, health: AccountHealth) -> None:
        """The run is over; what it knows of the accounts stays."""
        self._healths.remove(health)

    # --- on connections of their own ------------------------------------------------------------

    async def _connected(self, work: Callable[[Connection], Awaitable[None]]) -> None:
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

    async def _serve(self, db: Connection) -> None:
        # A place that is forgotten in a crash makes the next one early, once.
        await db.execute("SET synchronous_commit TO off")
        self._news.set()  # who waits since before the connection was lost
        while True:
            await self._news.wait()
            self._news.clear()
            while self._said:
                await self._said[0](db)
                del self._said[0]
            if self._look:
                self._look = False
                await self._see_parked(db)
            for account in [one for one, waiting in self._wanted.items() if waiting]:
                await self._take(db, account)

    async def _take(self, db: Connection, account: str) -> None:
        """Places for all who wait for the account."""
        waiting = [one for one in self._wanted[account] if not one.done()]
        self._wanted[account] = list(waiting)  # to which others are added meanwhile
        loop = asyncio.get_running_loop()
        if self._adaptive:  # what is taken keeps its distance, also where the rate changes
            if self._taken_until_s.get(account, 0.0) > loop.time() + 1e-3:
                return
            waiting = waiting[: max(1, int(self._law_of(account).per_s * AHEAD_S))]
        if not waiting:
            return
        values = {"interval_s": self.interval_s, "places": len(waiting), "adaptive": self._adaptive}
        after_s, interval_s = await self._of(db, account, _PLACES, values)
        at_s = loop.time() + after_s
        for place in waiting:
            self._wanted[account].remove(place)
            if not place.done():
                place.set_result(at_s)
            at_s += interval_s
        if self._adaptive:
            self._law_of(account).per_s = 1 / interval_s
            self._taken_until_s[account] = at_s - interval_s
            loop.call_at(at_s - interval_s, self._news.set)

    async def _of(
        self, db: Connection, account: str, statement: str, values: Mapping[str, object]
    ) -> Any:
        """Carry out a statement over the account's row; what it returns."""
        named = {"service": self._service, "account": account}
        if account not in self._known:
            await db.execute(translated(_KNOWN), named)
            self._known.add(account)
        done = await db.execute(translated(statement), {**named, **values})
        return await done.fetchone() if done.description else None

    def _say(self, say: Callable[[Connection], Awaitable[None]]) -> None:
        self._said.append(say)
        self._news.set()

    async def _notify(self, db: Connection, **told: object) -> None:
        said = json.dumps({**told, "service": self._service, "by": self._me})
        await db.execute(translated(NOTIFY), {"channel": CHANNEL, "told": said})

    async def _listen(self, db: Connection) -> None:
        await db.execute(f"LISTEN {CHANNEL}")
        paused = await db.execute(translated(_PAUSED), {"service": self._service})
        for account, seconds in await paused.fetchall():
            self._admission.pause(account or None, seconds)
        self._look_again()
        async for told in db.notifies():
            with suppress(ValueError, KeyError, TypeError):
                found = json.loads(told.payload)
                if found.get("service", self._service) != self._service:
                    continue
                if "seconds" not in found:
                    self._look_again()
                elif found["by"] != self._me:
                    self._admission.pause(found["account"] or None, float(found["seconds"]))

    # --- a rate that is to be found ---------------------------------------------------------------

    def _law_of(self, account: str | None) -> FollowedLaw:
        name = account or ""

        def refused(ago_s: float) -> None:
            self._say(lambda db: self._of(db, name, _REFUSED, {"ago_s": ago_s}))

        if name not in self._laws:
            self._laws[name] = FollowedLaw(1 / (self.interval_s or 1), refused)
        return self._laws[name]

    async def _keep(self, db: Connection) -> None:
        assert self._limit is not None
        keeper = RateKeeper(db, self._service, self._limit)
        while True:
            await asyncio.sleep(TICK_S)
            for account in tuple(self._known):
                await keeper.look(account)

    # --- pauses, and accounts that are given up ---------------------------------------------------

    def _paused_here(self, account: str | None, seconds: float) -> None:
        name = account or ""

        async def say(db: Connection) -> None:
            await self._of(db, name, _PAUSE, {"seconds": seconds})
            await self._notify(db, account=name, seconds=seconds)

        self._say(say)

    def _parked_here(self, parked: Parked) -> None:
        self._know_parked([*(one for one, _ in self._parked.values()), parked])
        if parked.own:
            return
        values = {"why": parked.why, "seconds": parked.for_s, "me": self._me}
        values["credits_only"] = parked.credits_only

        async def say(db: Connection) -> None:
            await self._of(db, parked.account or "", _PARK, values)
            await self._notify(db)

        self._say(say)

    def _look_again(self) -> None:
        self._look = True
        self._news.set()

    async def _see_parked(self, db: Connection) -> None:
        values = {"service": self._service, "me": self._me, "first_s": FIRST_S}
        found = await (await db.execute(translated(_PARKED), values)).fetchall()
        if self._said:  # what is given up here just now is not there yet
            self._look_again()
            return
        now_s = asyncio.get_running_loop().time()
        own = [one for one, until_s in self._parked.values() if one.own and until_s > now_s]
        theirs = [
            Parked(account or None, why, for_s, credits_only=credits_only)
            for account, why, for_s, credits_only in found
        ]
        self._know_parked([*theirs, *own])
        self.looked.set()

    def _know_parked(self, parked: list[Parked]) -> None:
        loop = asyncio.get_running_loop()
        before, now_s = self._parked, loop.time()
        self._parked = {}
        for one in parked:
            known = before.get(one.account)
            if known is None:
                who = "this worker" if one.own else "all workers"
                log.warning(
                    "%s. It is left alone by %s for %.0f s, or until the next `bulk run` or "
                    "`bulk retry`",
                    *(one.why.rstrip("."), who, one.for_s),
                )
            until_s = known[1] if known is not None and known[0] is one else now_s + one.for_s
            self._parked[one.account] = one, until_s
        for health in self._healths:
            health.heed(one for one, _ in self._parked.values())
        if self._again is not None:
            self._again.cancel()
            self._again = None
        if self._parked:
            first_s = min(until_s for _, until_s in self._parked.values())
            self._again = loop.call_at(first_s + 0.01, self._look_again)


_in_use: dict[tuple[int, str], SharedLimits] = {}


@asynccontextmanager
async def shared_limits(
    address: LedgerAddress, admission: Admission, service: str
) -> AsyncIterator[SharedLimits]:
    """Keep the limits of the database's accounts together with all others who do.

    Several runs of one client share one object, as each place is taken once.
    """
    key = (id(admission), address.conninfo)
    limits = _in_use.get(key)
    if limits is None:
        limits = _in_use[key] = SharedLimits(address, admission, service)
        limits.begin()
    limits.users += 1
    try:
        yield limits
    finally:
        limits.users -= 1
        if limits.users == 0:
            del _in_use[key]
            await limits.end()

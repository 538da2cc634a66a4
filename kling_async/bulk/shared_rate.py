"""Who finds the rate that nobody published, where several workers share an account? One keeper.

Each worker counts in the account's row what goes out and what is refused. The keeper, whoever holds
the account's advisory lock, feeds these counts to the law that one machine follows by itself, and
writes the rate it finds into the row. All times are the database's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
from attrs import define, field

from .._limits.cubic import Cubic
from .._limits.limits import RateLimit
from ..settings import LEARN_FROM_PER_S
from .postgres_session import translated

TICK_S = 0.25
"""How often the keeper looks at the counts."""
_KEEPS = 0x6B6C696E72  # with the account's name: the advisory lock

_THIS = "WHERE service = :service AND email = :account"
_KEEP = "SELECT pg_try_advisory_lock(hashtextextended(:service || ' ' || :account, :n))"
_COUNTS = (
    "SELECT places, waited, refused_at, interval_s, "
    f"extract(epoch FROM clock_timestamp())::float8 FROM kling.accounts {_THIS}"
)
_FOUND = f"UPDATE kling.accounts SET interval_s = :interval_s {_THIS}"


class FollowedLaw:
    """The rate of an account as its workers find it together; a law for `AdaptiveBucket`.

    Args:
        per_s: until it is known.
        on_refused: told how long ago what was refused went out, in seconds.
    """

    def __init__(self, per_s: float, on_refused: Callable[[float], None]) -> None:
        self.per_s = per_s
        """The rate now."""
        self._on_refused = on_refused

    def sent(self, now_s: float, *, waited: bool) -> None:
        """It is counted where its place was taken."""

    def refused(self, sent_s: float, now_s: float) -> None:
        """The request that went out at `sent_s` was answered 429 just now."""
        self._on_refused(now_s - sent_s)


@define
class _Counts:
    places: int
    waited: int
    refused_at: float
    at_s: float
    law: Cubic = field(kw_only=True)


class RateKeeper:
    """The keeper of those accounts that no other worker keeps, as long as its connection lives.

    Args:
        db: the connection.
        service: whose accounts they are.
        limit: the bound.
    """

    def __init__(self, db: psycopg.AsyncConnection[Any], service: str, limit: RateLimit) -> None:
        self._db = db
        self._service = service
        self._most_per_s = limit.requests / limit.per_s
        self._kept: dict[str, _Counts] = {}

    async def look(self, account: str) -> None:
        """What happened since the last look; the rate that follows is in the row afterwards."""
        named: dict[str, Any] = {"service": self._service, "account": account}
        known = self._kept.get(account)
        if known is None and not (await self._one(_KEEP, {**named, "n": _KEEPS}))[0]:
            return
        places, waited, refused_at, interval_s, now_s = await self._one(_COUNTS, named)
        if known is None:
            law = Cubic(1 / interval_s if interval_s else LEARN_FROM_PER_S, self._most_per_s)
            self._kept[account] = _Counts(places, waited, refused_at, now_s, law=law)
            return
        law, taken, held = known.law, places - known.places, waited - known.waited
        for n in range(taken):
            law.sent(known.at_s + (now_s - known.at_s) * (n + 1) / taken, waited=n < held)
        if refused := refused_at > known.refused_at:
            law.refused(refused_at, now_s)
        self._kept[account] = _Counts(places, waited, refused_at, now_s, law=law)
        if taken or refused:
            await self._db.execute(translated(_FOUND), {**named, "interval_s": 1 / law.per_s})

    async def _one(self, statement: str, values: dict[str, Any]) -> Any:
        return await (await self._db.execute(translated(statement), values)).fetchone()

"""What does a ledger in PostgreSQL do otherwise than one in SQLite? Workers share its steps.

A worker has a lease, a step an owner, an attempt an id. Whose lease is over, of those others take
the steps: what was in `intent` is in doubt then, and its attempt's own late word still counts.
All times are the database's.
"""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any

from attrs import define

from .. import settings
from . import arrows, sql
from . import postgres_sql as psql
from .file_lock import is_alive
from .groups import Applying
from .intake import Merge
from .machine import Event
from .postgres_many import arrays_of, for_many, inserted, usual
from .records import Applied, Change, Row, RowInput, Step, StepInput
from .sqlite_reading import Database
from .sqlite_store import Writing

LEASE_S = 60.0
"""How long a worker that says nothing keeps its steps."""
DIED = "the process that sent it died before the answer came"
_KEEP_DEAD_S = 86400.0
_REGISTERS = 0x6B6C696E67  # advisory lock: one input at a time comes into a ledger

_ENDS_JOB = frozenset({"finished", "failed", "abandoned"})
"""Events after which a step has no job slot."""
_ACCOUNTED = frozenset({"answered", "retracted", "lost", "failed", "contested"})
"""Events after which an attempt has nothing further to say."""


@define
class Identity:
    """Which worker a session is; another one after its lease was lost."""

    host: str
    version: str
    lease_s: float = LEASE_S
    me: str = ""
    now: float = 0.0
    """When the transaction began, by the database's clock."""


class PostgresWriting(Writing):
    """A share in a ledger.

    Args:
        path: its address, for messages.
        db: the session.
        identity: of this worker.
    """

    def __init__(self, path: object, db: Database, identity: Identity) -> None:
        super().__init__(path, db, lambda: identity.now)
        self._identity = identity
        self._attempts: dict[int, str] = {}
        """Step -> the id of its attempt that went out here and is not accounted for."""
        self._accounted: list[int] = []
        """Steps whose attempts are, once the present group has happened."""
        self._number = 0

    # --- groups -------------------------------------------------------------------------------

    def begin_group(self, number: int) -> None:
        """First in each transaction: say that it happened, and keep the lease."""
        if number != self._number:  # else it is the same group, carried out once more
            self._number = number
            for step_id in self._accounted:
                self._attempts.pop(step_id, None)
        self._accounted.clear()
        one = self._identity
        values = {"me": one.me, "number": number, "lease_s": one.lease_s}
        found = self._db.execute(psql.BEGIN_GROUP, values).fetchone() if one.me else None
        if found is None:  # the first one, or the lease is lost: what it had is not its own
            one.me = uuid.uuid4().hex
            values |= {"me": one.me, "host": one.host, "pid": os.getpid(), "version": one.version}
            found = self._db.execute(psql.ENLIST, values).fetchone()
        one.now = found[0]

    def carry_out(self, acts: Sequence[Callable[[Any], Any]]) -> list[Any]:
        """What comes of each; the usual changes of steps go together."""
        found = [(at, act.change) for at, act in enumerate(acts) if isinstance(act, Applying)]
        groups: dict[tuple[str, str], list[tuple[int, dict[str, Any]]]] = {}
        for at, change in usual(found):
            arrow, claim, bound = self._statements(change)
            groups.setdefault((arrow, claim), []).append((at, bound))
        applied: set[int] = set()
        for (arrow, claim), members in groups.items():
            if len(members) > 1:
                applied |= self._many(arrow, claim, members)
        for at, change in found:
            if at in applied and change.event in _ACCOUNTED:
                self._accounted.append(change.step_id)
        return [Applied.YES if at in applied else act(self) for at, act in enumerate(acts)]

    def _many(self, arrow: str, claim: str, members: list[tuple[int, dict[str, Any]]]) -> set[int]:
        """The places of those that were carried out together; the rest is no usual case."""
        if claim:
            bound = [{**one, "account": None} for _, one in members]
            claimed = self._db.execute(for_many(claim), arrays_of(claim, bound)).fetchall()
            members = [one for one in members if (one[1]["step_id"],) in claimed]
        if not members:
            return set()
        values = arrays_of(arrow, [one for _, one in members])
        changed = self._db.execute(for_many(arrow), values).fetchall()
        return {at for at, one in members if (one["step_id"],) in changed}

    def has_committed(self, number: int) -> bool:
        """Whether the group of this number happened, whose COMMIT got no answer."""
        found = self._db.execute(psql.LAST_GROUP, {"me": self._identity.me}).fetchone()
        return found is not None and found[0] == number

    # --- a run begins and ends ------------------------------------------------------------------

    def begin(self) -> None:
        """Take over from workers that are dead; nothing of the living is touched."""
        self.sweep()
        self.begin_run()

    def begin_run(self) -> None:
        """See `Ledger.begin_run`."""
        self._run = int(self._db.execute(psql.NEXT_RUN).fetchone()[0])

    def sweep(self) -> int:
        """Free what dead workers had; how many there were. What they had sent is in doubt."""
        one = self._identity
        found = self._db.execute(psql.DEAD, {"me": one.me, "host": one.host}).fetchall()
        dead = [
            worker
            for worker, host, pid, expired in found
            if expired or (host == one.host and not is_alive(pid))
        ]
        for worker in dead:
            self._free(worker)
            self._db.execute(psql.SWEPT, {"owner": worker, "now": one.now})
        self._db.execute(psql.FORGET_DEAD, {"before": one.now - _KEEP_DEAD_S})
        return len(dead)

    def leave(self) -> None:
        """Free what is one's own; the end of this worker."""
        self._free(self._identity.me)
        self._db.execute("DELETE FROM workers WHERE id = :me", {"me": self._identity.me})
        self.wrote()

    def _free(self, owner: str) -> None:
        now = self._identity.now
        for (step_id,) in self._db.execute(psql.INTENTS_OF, {"owner": owner}).fetchall():
            self._note(step_id, now, "lost", DIED)
        self._db.execute(psql.TO_DOUBT, {"owner": owner, "error": DIED, "now": now})
        self._db.execute(psql.FREE_SLOTS_OF_OWNER, {"owner": owner})
        self._db.execute(psql.FREE, {"owner": owner})

    # --- claims ---------------------------------------------------------------------------------

    def claim(self, size: int, made: int, saves: bool, away: Collection[str]) -> list[Row]:
        """The next rows that nobody has, ours from now on."""
        one = self._identity
        values = {"size": size, "made": made, "saves": saves, "away": list(away)}
        values |= {"me": one.me, "host": one.host, "now": one.now}
        ids = {row_id for (row_id,) in self._db.execute(psql.CLAIM, values).fetchall()}
        return self._rows(self.among(psql.ROWS, sorted(ids))) if ids else []

    def release(self, row_id: int, after_s: float | None) -> None:
        """Somebody else may have the row, `after_s` seconds from now at the earliest."""
        one = self._identity
        retry_at = None if after_s is None else one.now + after_s
        values = {"row_id": row_id, "me": one.me, "retry_at": retry_at}
        self._db.execute(psql.RELEASE, values)
        self._db.execute(psql.FREE_SLOTS_OF_ROW, {"row_id": row_id})

    def take_job_slot(self, step_id: int, service: str, account: str, most: int) -> bool:
        """See `Ledger.take_job_slot`."""
        now = self._identity.now
        values = {"step_id": step_id, "service": service, "account": account, "most": most}
        self._db.execute("SELECT pg_advisory_xact_lock(:n)", {"n": psql.TAKES_SLOTS})
        self._db.execute(psql.FORGET_JOBS, {"before": now - settings.JOB_TRACKED_S})
        return self._db.execute(psql.TAKE_SLOT, {**values, "now": now}).rowcount == 1

    def unpark(self, service: str) -> None:
        """See `PostgresLedger.unpark`."""
        if self._db.execute(psql.UNPARK, {"service": service}).fetchone() is not None:
            self._db.execute(psql.NOTIFY, {"channel": psql.CHANNEL, "told": "{}"})

    def give_back(self) -> None:
        """See `PostgresLedger.give_back`."""
        self._free(self._identity.me)

    def unsettled_among(self, row_ids: Collection[int], made: int) -> set[int]:
        """Those of the rows that somebody works on, or is to work on."""
        return {one for (one,) in self.among(psql.UNSETTLED, row_ids, made=made)}

    # --- what is written otherwise ----------------------------------------------------------------

    def register(self, rows: Sequence[RowInput]) -> list[Row]:
        """See `Ledger.register`. While it looks and changes, no worker takes one of these rows."""
        self._db.execute(psql.LOCK_LEDGER, {"n": _REGISTERS})
        keys = [key for row in rows for key in (row.key, row.former_key) if key]
        self.among(psql.LOCK_STEPS, keys)
        return super().register(rows)

    def _insert_many(self, rows: Sequence[RowInput]) -> dict[str, Row]:
        times = Counter(row.key for row in rows)
        plain = [
            row
            for row in rows
            if row.former_key is None and times[row.key] == 1 and "\0" not in row.key
        ]
        found = inserted(self._db, plain, self._row_values, self._values)
        for row in plain:
            for step, one in zip(found[row.key].steps, row.kept_steps, strict=True):
                if one.has_files:
                    self._keep_host(step.id, one)
        return found

    def apply(self, change: Change) -> Applied:
        """See `Ledger.apply`."""
        mark = change.values.get("mark")
        if mark is not None:  # an error of the index would end the whole group
            values = {"mark": mark, "step_id": change.step_id}
            if self._db.execute(psql.MARK_OWNER, values).fetchone() is not None:
                return Applied.CLAIMED
        applied = super().apply(change)
        if applied is Applied.YES and change.event in _ACCOUNTED:
            self._accounted.append(change.step_id)
        if applied is Applied.YES and change.event in _ENDS_JOB:
            self._db.execute(psql.FREE_SLOT, {"step_id": change.step_id})
        return applied

    def queue(self, step_id: int, account: str | None) -> None:
        """See `Ledger.queue`; each worker has its own turns."""
        values = {"step_id": step_id, "queued": account or "", "account": account}
        values |= {"turn": next(self._turns), "me": self._identity.me}
        self._db.execute(psql.QUEUE, values)

    def next_step(self, account: str | None) -> Step | None:
        """See `Ledger.next_step`."""
        values = {"queued": account or "", "me": self._identity.me}
        found = self._db.execute(psql.NEXT_STEP, values).fetchone()
        if found is None:
            return None
        self._db.execute(sql.OUT_OF_QUEUE, {"id": found[0]})
        return self.step(found[0])

    def _insert_step(self, row_id: int, key: str, one: StepInput) -> Step:
        step = super()._insert_step(row_id, key, one)
        if one.has_files:
            self._keep_host(step.id, one)
        return step

    def _merge(self, old: Row, row: RowInput, change: Merge) -> None:
        super()._merge(old, row, change)
        for step, one in change.replace:
            self._keep_host(step.id, one)

    def _keep_host(self, step_id: int, one: StepInput) -> None:
        values = {"host": self._identity.host if one.has_files else None, "id": step_id}
        self._db.execute("UPDATE steps SET files_on = :host WHERE id = :id", values)

    def _inserted(self, statement: str, values: Any) -> int:
        found: int = self._db.execute(f"{statement} RETURNING id", values).fetchone()[0]
        return found

    def _bind(self, event: Event, step_id: int, bound: dict[str, Any]) -> None:
        if event == "intended":
            self._attempts[step_id] = uuid.uuid4().hex
        bound |= {"me": self._identity.me, "attempt": self._attempts.get(step_id)}

    _starts = staticmethod(arrows.late_starts)
    _claim_statement = staticmethod(arrows.shared_claim)
    _arrow = staticmethod(arrows.shared_arrow)

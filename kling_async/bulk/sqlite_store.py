"""How are a ledger's changes carried out on one connection? Synchronously.

Whatever writes belongs inside a transaction of the caller's; `sqlite.py` makes it. What PostgreSQL
does otherwise is in `postgres_store.py`.
"""

from __future__ import annotations

import itertools
import sqlite3
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from attrs import evolve

from . import arrows, sql
from .intake import Merge, merge, reopened_as
from .machine import CLAIMS, WRITES, Event
from .records import (
    GIVEN,
    INVALID,
    Applied,
    Change,
    Listed,
    Row,
    RowInput,
    Step,
    StepInput,
    WorkRecord,
    as_column,
    as_text,
    new_step,
)
from .sqlite_reading import Database, Reading, listed_fact, place_of
from .values import mended

_UNNOTED = frozenset({"prepared", "intended", "answered", "reserved"})
"""Events without an entry in the history: the usual way of a step, which it says itself."""
_PLAIN = frozenset({"answered"})
"""Events that write into their step alone."""
_WITH_TOKENS = frozenset({"prepared", "intended"})
"""Events that write into their step and its tokens alone."""
_NOTHING = Merge()


class Writing(Reading):
    """A ledger of one's own.

    Args:
        path: where it is, for messages.
        db: the connection.
        now: tells epoch seconds.
    """

    def __init__(self, path: object, db: Database, now: Callable[[], float]) -> None:
        super().__init__(path, db)
        self._now = now
        self._turns = itertools.count()
        self._sendings = itertools.count(1)
        self._session = uuid.uuid4().hex[:12]
        self._run = 0

    def begin(self) -> None:
        """What a dead process left in `intent` is in doubt; nothing waits for a turn yet."""
        text = "the process that sent it died before the answer came"
        now = self._now()
        for (step_id,) in self._db.execute(sql.INTENTS).fetchall():
            self._note(step_id, now, "lost", text)
        self._db.execute(sql.INTENTS_TO_DOUBT, {"error": text, "now": now})
        self._db.execute(sql.EMPTY_QUEUE)
        self.begin_run()

    def begin_run(self) -> None:
        """See `Ledger.begin_run`."""
        self._run = self.whole_number("runs") + 1
        self.set_fact("runs", str(self._run))

    def wrote(self) -> None:
        """Remember when it was last written."""
        self.set_fact("last_written_at", str(self._now()))

    def set_fact(self, name: str, value: str) -> None:
        """See `Ledger.set_fact`."""
        self._db.execute(sql.SET_FACT, {"name": name, "value": value})

    # --- rows come in ---

    def register(self, rows: Sequence[RowInput]) -> list[Row]:
        """See `Ledger.register`."""
        keys = [key for row in rows for key in (row.key, row.former_key) if key is not None]
        seen = {key: run for _, key, _, _, run in self.among(sql.ROWS_OF_KEYS, keys)}
        known = self.known(keys)
        fresh = self._insert_many([row for row in rows if row.key not in known])
        result: list[Row] = []
        for row in rows:
            old = known.get(row.key)
            if old is None and row.former_key is not None:
                former = known.get(row.former_key)
                # One that this input has as it was is another row.
                if former and len(former.steps) == 1 and seen[former.key] != self._run:
                    del known[former.key]
                    old = known[row.key] = self._rename(former, row.key)
                    seen[row.key] = seen.pop(former.key)
            if old is None:
                new = known[row.key] = fresh.get(row.key) or self._insert(row)
                seen[row.key] = self._run
            elif seen[row.key] == self._run and old.position != row.position:
                new = evolve(old, duplicate=True, differs=merge(old, row).differs)
            else:
                known[row.key], new = self._again(old, row)
                seen[row.key] = self._run
            result.append(new)
        return result

    def _rename(self, old: Row, key: str) -> Row:
        """A row without a key of its own that asks for more steps now, under its new name."""
        self._db.execute(sql.RENAME_ROW, {"id": old.id, "key": key})
        return self.row_of(old.id)

    def _insert_many(self, rows: Sequence[RowInput]) -> dict[str, Row]:
        """Rows that went in together, by key; the rest goes one by one."""
        return {}

    def _insert(self, row: RowInput) -> Row:
        row_id = self._inserted(sql.INSERT_ROW, self._row_values(row))
        steps = tuple([self._insert_step(row_id, row.key, one) for one in row.kept_steps])
        return Row(id=row_id, key=row.key, position=row.position, columns=row.columns, steps=steps)

    def _row_values(self, row: RowInput) -> dict[str, Any]:
        values = {"key": row.key, "position": row.position, "columns": as_text(row.columns)}
        return {**values, "run": self._run}

    def _again(self, old: Row, row: RowInput) -> tuple[Row, Row]:
        """A known row, as the ledger has it from now on; and the same with what is to be told."""
        seen = {"id": old.id, "position": row.position, "run": self._run}
        self._db.execute(sql.ROW_SEEN, seen)
        old = evolve(old, position=row.position)
        change = merge(old, row)
        if change.differs:
            return old, evolve(old, differs=True)
        if change != _NOTHING:
            self._merge(old, row, change)
            old = self.row_of(old.id)
        return old, old

    def _merge(self, old: Row, row: RowInput, change: Merge) -> None:
        if change.columns:
            self._db.execute(sql.ROW_COLUMNS, {"id": old.id, "columns": as_text(row.columns)})
        for step, one in change.replace:
            if step.state != "planned":
                self._note(step.id, self._now(), "replaced", step.error)
            for statement in (sql.DROP_TOKENS, sql.DROP_WORKS):
                self._db.execute(statement, {"id": step.id})
            values = self._values(old.id, one)
            self._db.execute(sql.REPLACE_STEP, {**values, "id": step.id})
            self._keep_tokens(step.id, dict.fromkeys(one.paths, False))
        for one in change.add:
            self._insert_step(old.id, old.key, one)
        for step in change.drop:
            for statement in (sql.DROP_TOKENS, sql.DROP_WORKS, sql.DROP_STEP):
                self._db.execute(statement, {"id": step.id})

    def _insert_step(self, row_id: int, key: str, one: StepInput) -> Step:
        values = self._values(row_id, one)
        step_id = self._inserted(sql.INSERT_STEP, values)
        self._keep_tokens(step_id, dict.fromkeys(one.paths, False))
        return new_step(step_id, row_id, key, values, one)

    def _inserted(self, statement: str, values: Mapping[str, Any]) -> int:
        """The id of what it inserts; older SQLites know no RETURNING."""
        step_id: int = self._db.execute(statement, values).lastrowid  # type: ignore[attr-defined]
        return step_id

    def _values(self, row_id: int, one: StepInput) -> dict[str, Any]:
        """A step's columns as it begins."""
        state, evidence = "planned", None
        if one.problem is not None:
            state, evidence = "failed", INVALID
        elif one.given_id is not None:
            state, evidence = "done", GIVEN
        return {
            "row_id": row_id,
            "number": one.number,
            "operation": one.operation,
            "kind": one.kind,
            "digest": one.digest,
            "payload": as_text(one.payload),
            "state": state,
            "remote_id": one.given_id if state == "done" else None,
            "evidence": evidence,
            "error": one.problem,
            "now": self._now(),
        }

    def _keep_tokens(self, step_id: int, tokens: Mapping[str, Any]) -> None:
        for path, own in tokens.items():
            self._db.execute(sql.KEEP_TOKEN, {"path": path, "step_id": step_id, "own": int(own)})

    # --- the arrows ---

    def apply(self, change: Change) -> Applied:
        """See `Ledger.apply`; `check` says whether there is such an arrow."""
        arrow, claim, bound = self._statements(change)
        if change.claim is not None and not self._claim(change, claim, bound):
            return Applied.CLAIMED
        if change.event == "reserved" and self._is_taken(change):
            return Applied.CLAIMED
        try:
            done = self._db.execute(arrow, bound)
        except sqlite3.IntegrityError:
            return Applied.CLAIMED  # its mark is another step's
        if done.rowcount != 1:
            return Applied.STALE
        if change.event not in _PLAIN:
            self._beside(change, bound["now"])
        return Applied.YES

    def _statements(self, change: Change) -> tuple[str, str, dict[str, Any]]:
        """The arrow, the claim of what it names (empty: nothing), and what both are given."""
        event = change.event
        values = arrows.written_values(event, change.values)
        starts = self._starts(event, change.to, values.get("evidence"))
        bound: dict[str, Any] = {name: as_column(name, value) for name, value in values.items()}
        names = tuple(bound)
        exact = change.digest is not None
        bound.update(step_id=change.step_id, digest=change.digest, claim=change.claim)
        bound["now"] = self._now()
        self._bind(event, change.step_id, bound)
        claim = "" if change.claim is None else self._claim_statement(event, starts, exact)
        return self._arrow(event, change.to, starts, names, exact), claim, bound

    def _bind(self, event: Event, step_id: int, bound: dict[str, Any]) -> None:
        """Parameters that an arrow needs beside what is said."""
        if event == "intended":
            bound["attempt"] = f"{self._session}-{next(self._sendings)}"

    # How an event becomes a statement; a shared ledger asks for more.
    _starts = staticmethod(arrows.may_start_from)
    _claim_statement = staticmethod(arrows.claim)
    _arrow = staticmethod(arrows.arrow)

    def _claim(self, change: Change, statement: str, bound: dict[str, Any]) -> bool:
        """Whether the remote id is the step's from now on, or not to be claimed at all."""
        bound = {**bound, "account": bound.get("account")}
        if self._db.execute(statement, bound).rowcount == 1:
            return True
        owner = self._db.execute(arrows.CLAIM_OWNER, bound).fetchone()
        return owner is None or owner[0] == change.step_id  # else the step itself is elsewhere

    def _is_taken(self, change: Change) -> bool:
        """Whether the file's name is another work's."""
        values = {"name_key": change.values.get("name_key")}
        owner = self._db.execute(arrows.NAME_OWNER, values).fetchone()
        return owner not in (None, (change.step_id, change.values.get("work")))

    def _beside(self, change: Change, now: float) -> None:
        """What an event writes elsewhere than into its step."""
        event, values, step_id = change.event, change.values, change.step_id
        if tokens := values.get("tokens"):
            assert isinstance(tokens, Mapping)
            self._keep_tokens(step_id, tokens)
        if event in _WITH_TOKENS:
            return
        work = {"step_id": step_id, "work": values.get("work"), "file": values.get("file")}
        if event == "finished":
            for one in change.works:
                self._keep_work(step_id, one)
        elif event == "reserved":
            self._db.execute(arrows.RESERVE, {**work, "name_key": values.get("name_key")})
        elif event == "saved":
            self._db.execute(arrows.SAVED, {**work, "size_bytes": values.get("size_bytes")})
        elif event == "file_lost":
            self._db.execute(arrows.FILE_LOST, work)
        elif event == "reopened" and change.to == "planned":
            for statement in (sql.DROP_OWN_TOKENS, sql.DROP_WORKS):
                self._db.execute(statement, {"id": step_id})
        if event not in _UNNOTED:
            text = values.get("error")
            if change.claim is not None:
                text = f"{values.get('evidence')}: {change.claim}"
            self._note(step_id, now, event, None if text is None else str(text))

    def _keep_work(self, step_id: int, one: WorkRecord) -> None:
        self._db.execute(arrows.KEEP_WORK, {
            "step_id": step_id, "number": one.number, "work_id": one.work_id, "url": one.url,
            "content_type": one.content_type, "file": one.file, "size_bytes": one.size_bytes,
        })  # fmt: skip

    def _note(self, step_id: int, now: float, event: str, text: str | None) -> None:
        values = {"step_id": step_id, "now": now, "event": event, "text": mended(text)}
        self._db.execute(sql.NOTE, values)

    # --- turns ---

    def queue(self, step_id: int, account: str | None) -> None:
        """See `Ledger.queue`."""
        turn = next(self._turns)
        values = {"step_id": step_id, "queued": account or "", "account": account, "turn": turn}
        self._db.execute(sql.QUEUE, values)

    def next_step(self, account: str | None) -> Step | None:
        """See `Ledger.next_step`."""
        found = self._db.execute(sql.NEXT_STEP, {"queued": account or ""}).fetchone()
        if found is None:
            return None
        self._db.execute(sql.OUT_OF_QUEUE, {"id": found[0]})
        return self.step(found[0])

    # --- the rest ---

    def keep_listing(self, account: str | None, kind: str, things: Iterable[Listed]) -> None:
        """See `Ledger.keep_listing`."""
        if self.was_listed(account, kind):
            return
        place = place_of(account, kind)
        for one in things:
            values = {"remote_id": one.remote_id, "shown": as_text(one.shown)}
            self._db.execute(sql.KEEP_LISTED, {**place, **values, "made_at": one.made_at_s})
            for path in one.paths:
                found = {**place, "path": path, "remote_id": one.remote_id}
                self._db.execute(sql.KEEP_LISTED_PATH, found)
        self.set_fact(listed_fact(account, kind), str(self._now()))

    def reopen(self, after: int, size: int, numbers: Collection[int]) -> list[Row]:
        """See `Ledger.reopen`."""
        statement = sql.to_reopen(frozenset(numbers), count=False)
        found = self._db.execute(statement, {"after": after, "size": size}).fetchall()
        for step_id, _ in found:
            step = self.step(step_id)
            if step.state == "failed":
                self.apply(Change(step_id=step_id, event="reopened", to=reopened_as(step)))
        return [self.row_of(row_id) for _, row_id in found]

    def forget_server(self) -> int:
        """See `Ledger.forget_server`."""
        found = self._db.execute(sql.TO_FORGET).fetchall()
        for (step_id,) in found:
            for statement in (sql.FORGET, sql.DROP_OWN_TOKENS, sql.DROP_WORKS):
                self._db.execute(statement, {"id": step_id, "now": self._now()})
        return len(found)


def check(change: Change) -> None:
    """ValueError where the state machine knows no such arrow, or it says what it may not."""
    event = change.event
    if not change.values.keys() <= WRITES[event]:
        strange = ", ".join(sorted(change.values.keys() - WRITES[event]))
        raise ValueError(f"the event {event} can't write {strange}")
    if not arrows.may_start_from(event, change.to, change.values.get("evidence")):
        raise ValueError(f"the event {event} does not lead to {change.to}")
    if change.claim is not None and event not in CLAIMS:
        raise ValueError(f"the event {event} claims nothing")
    if event == "found" and (change.claim is None or change.values.get("evidence") is None):
        raise ValueError("what was found has an id, and evidence")
    if change.works and event != "finished":
        raise ValueError(f"the event {event} brings no works")

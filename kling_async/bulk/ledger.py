"""What has happened to each row? The SQLite file that remembers it across any death. Synchronous.

`journal.py` calls it in a thread of its own and groups the commits. Each arrow of the state machine
is one method here:

    planned -> ready -> intent -> done | failed | unknown
                 ^---------'  (never sent, or plainly refused with 429)

`intent` is committed and synced before the first byte is written; a row found in it at the start
belonged to a process that died, so its outcome is unknown.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

from attrs import field, frozen

from ..errors import JSON, LedgerError
from .rows import BulkRow, RowInput, RowState

State = Literal["planned", "ready", "intent", "done", "failed", "unknown"]
OPEN_STATES: tuple[State, ...] = ("planned", "ready")
LAYOUT = "1"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (
    id        INTEGER PRIMARY KEY,
    key       TEXT NOT NULL UNIQUE,
    position  INTEGER NOT NULL,
    digest    TEXT NOT NULL,
    payload   TEXT NOT NULL,
    columns   TEXT NOT NULL,
    state     TEXT NOT NULL,
    account   TEXT,
    asset_url TEXT,
    attempts  INTEGER NOT NULL DEFAULT 0,
    intent_at REAL,
    avatar_id TEXT,
    error     TEXT,
    changed_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS rows_by_state ON rows (state, id);
-- One avatar belongs to one row, whatever goes wrong above.
CREATE UNIQUE INDEX IF NOT EXISTS one_row_per_avatar
    ON rows (coalesce(account, ''), avatar_id) WHERE avatar_id IS NOT NULL;
"""

_ROW = (
    "id, key, position, digest, payload, columns, state, account, asset_url, attempts, "
    "intent_at, avatar_id, error"
)


@frozen
class Record:
    """One row as the ledger has it."""

    id: int
    key: str
    position: int
    digest: str
    payload: Mapping[str, JSON] = field(repr=False)
    columns: Mapping[str, JSON] = field(repr=False)
    state: State
    account: str | None
    asset_url: str | None
    attempts: int
    intent_at: float | None
    avatar_id: str | None
    error: str | None

    def result(self) -> BulkRow:
        """What the user sees of it."""
        return BulkRow(
            key=self.key,
            state=_SHOWN[self.state],
            avatar_id=self.avatar_id,
            account=self.account,
            error=self.error,
            attempts=self.attempts,
            columns=self.columns,
        )


_SHOWN: dict[State, RowState] = {
    "done": "created",
    "failed": "failed",
    "unknown": "unknown",
    "intent": "unknown",
    "planned": "skipped",
    "ready": "skipped",
}


class Ledger:
    """An open ledger. Use it from one thread; `Ledger.open` for a run, `Ledger.read` to look.

    Writes belong inside `with ledger.transaction():`, which commits and syncs at its end.
    """

    def __init__(self, path: Path, db: sqlite3.Connection, lock: sqlite3.Connection | None) -> None:
        self.path = path
        self._db = db
        self._lock = lock

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, service: str) -> Ledger:
        """The ledger at `path`, made where it is missing, for this process alone.

        Rows that a dead process left in `intent` become `unknown`.

        Args:
            path: the file. A second file beside it, `…-owner`, is locked while the ledger is open;
                the system frees the lock when the process dies, however it dies.
            service: whom the rows are sent to. A ledger of one service can't serve another: its
                rows would look done where nothing was made.

        Raises:
            LedgerError: it is in use, is no ledger, or belongs to another service.
        """
        path = Path(path)
        lock = _own(path)
        try:
            db = _connect(path)
            ledger = cls(path, db, lock)
            with _explained(path):
                db.execute("PRAGMA journal_mode = WAL")
                # In WAL mode only FULL syncs every commit; without it a power cut forgets intents.
                db.execute("PRAGMA synchronous = FULL")
                ledger._prepare(service)
        except BaseException:
            lock.close()
            raise
        return ledger

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Ledger:
        """The ledger at `path`, to look at while others may write; LedgerError if there is none."""
        path = Path(path)
        if not path.is_file():
            raise LedgerError(f"there is no ledger at {path}; `bulk run` makes one")
        ledger = cls(path, _connect(path), None)
        with _explained(path):
            ledger._check_layout()
        return ledger

    def close(self) -> None:
        """Close the file and free it for others."""
        self._db.close()
        if self._lock is not None:
            self._lock.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the writes inside, or none; on disk when it ends."""
        with _explained(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    # --- the arrows ---

    def register(self, rows: Iterable[RowInput]) -> list[Record]:
        """Each row as the ledger has it, in the same order; new ones are planned.

        A row that can't be sent is `failed`, with its problems. A known key keeps its record, but a
        row of which nothing was ever sent takes the new content.
        """
        known = []
        for row in rows:
            state = "failed" if row.problems else "planned"
            problem = "; ".join(f"{name}: {text}" for name, text in row.problems.items()) or None
            self._db.execute(
                "INSERT INTO rows (key, position, digest, payload, columns, state, error, "
                "changed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET "
                "digest = excluded.digest, payload = excluded.payload, columns = excluded.columns, "
                "state = excluded.state, error = excluded.error, asset_url = NULL, account = NULL "
                "WHERE attempts = 0 AND digest <> excluded.digest",
                (
                    row.key,
                    row.position,
                    row.digest,
                    _dump(row.payload),
                    _dump(row.columns),
                    state,
                    problem,
                    time.time(),
                ),
            )
            known.append(self.get(row.key))
        return known

    def ready(self, row_id: int, account: str | None, asset_url: str | None) -> None:
        """Planned -> ready: all that a create needs is there, and where it goes is settled."""
        self._set(row_id, "ready", account=account, asset_url=asset_url, error=None)

    def intent(self, row_id: int, account: str | None) -> None:
        """Ready -> intent: a create goes out next."""
        self._db.execute(
            "UPDATE rows SET state = 'intent', account = ?, attempts = attempts + 1, "
            "intent_at = ?, changed_at = ? WHERE id = ?",
            (account, time.time(), time.time(), row_id),
        )

    def not_carried_out(self, row_id: int, error: str | None) -> None:
        """Intent -> ready: the create certainly did nothing."""
        self._set(row_id, "ready", error=error)

    def done(self, row_id: int, avatar_id: str) -> None:
        """Intent -> done. An id that another row has can't be true: the row becomes unknown."""
        self._db.execute("SAVEPOINT claim")
        try:
            self._set(row_id, "done", avatar_id=avatar_id, error=None)
        except sqlite3.IntegrityError:
            self._db.execute("ROLLBACK TO claim")
            self.unknown(row_id, f"the server answered with id {avatar_id}, which is another row's")
        self._db.execute("RELEASE claim")

    def failed(self, row_id: int, error: str) -> None:
        """Any -> failed: refused by the server or by a check; `reopen_failed` tries again."""
        self._set(row_id, "failed", error=error)

    def unknown(self, row_id: int, error: str) -> None:
        """Intent -> unknown: the avatar may exist."""
        self._set(row_id, "unknown", error=error)

    def reopen_failed(self, after_id: int, size: int) -> list[Record]:
        """Failed -> planned, for up to `size` failed rows after `after_id`; those rows.

        What was uploaded for them is uploaded again: it may be what was wrong.
        """
        page = self.page(after_id, ("failed",), size)
        for one in page:
            self._set(one.id, "planned", error=None, asset_url=None)
        return [self.get(one.key) for one in page]

    def forget_uploads(self) -> int:
        """Ready -> planned, for every ready row: what was uploaded is gone; how many."""
        return self._db.execute(
            "UPDATE rows SET state = 'planned', asset_url = NULL WHERE state = 'ready'"
        ).rowcount

    # --- looking ---

    def get(self, key: str) -> Record:
        """The row named `key`; LedgerError if there is none."""
        found = self._db.execute(f"SELECT {_ROW} FROM rows WHERE key = ?", (key,)).fetchone()
        if found is None:
            raise LedgerError(f"{self.path} has no row {key!r}")
        return _record(found)

    def page(self, after_id: int, states: Sequence[State] = (), size: int = 200) -> list[Record]:
        """Up to `size` rows after `after_id` in the input's order; of all states by default."""
        of = f"AND state IN ({', '.join('?' * len(states))})" if states else ""
        found = self._db.execute(
            f"SELECT {_ROW} FROM rows WHERE id > ? {of} ORDER BY id LIMIT ?",
            (after_id, *states, size),
        )
        return [_record(one) for one in found]

    def each(self, states: Sequence[State] = ()) -> Iterator[Record]:
        """Every row in the input's order, read in pages."""
        last = 0
        while page := self.page(last, states):
            yield from page
            last = page[-1].id

    def counts(self) -> dict[State, int]:
        """How many rows are in each state; states without rows are left out."""
        with _explained(self.path):
            return dict(self._db.execute("SELECT state, count(*) FROM rows GROUP BY state"))

    def count(self) -> int:
        """How many rows there are."""
        return sum(self.counts().values())

    def lookup(self, keys: Sequence[str]) -> dict[str, str]:
        """Key -> digest of those `keys` that are known."""
        known: dict[str, str] = {}
        for start in range(0, len(keys), 500):  # SQLite bounds the number of parameters
            some = keys[start : start + 500]
            marks = ", ".join("?" * len(some))
            known.update(
                self._db.execute(f"SELECT key, digest FROM rows WHERE key IN ({marks})", some)
            )
        return known

    def fact(self, name: str) -> str | None:
        """What the ledger remembers of itself under `name`."""
        found = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if found is None else found[0]

    # --- inside ---

    def _prepare(self, service: str) -> None:
        with self.transaction():
            for statement in _SCHEMA.split(";\n"):
                self._db.execute(statement)
            self._db.execute("INSERT OR IGNORE INTO facts VALUES ('layout', ?)", (LAYOUT,))
            self._db.execute("INSERT OR IGNORE INTO facts VALUES ('service', ?)", (service,))
        self._check_layout()
        if (recorded := self.fact("service")) != service:
            raise LedgerError(
                f"{self.path} belongs to a run against {recorded}, and this one goes to "
                f"{service}: its rows would look done where nothing was made. Use another --ledger"
            )
        with self.transaction():
            self._db.execute(
                "UPDATE rows SET state = 'unknown', error = ?, changed_at = ? "
                "WHERE state = 'intent'",
                (
                    "the process that sent it died before the answer came; the avatar may exist",
                    time.time(),
                ),
            )

    def _check_layout(self) -> None:
        if (found := self.fact("layout")) != LAYOUT:
            raise LedgerError(
                f"{self.path} was written by another version of kling-async (layout {found}, "
                f"this one reads {LAYOUT}); finish it with that version, or use another --ledger"
            )

    def _set(self, row_id: int, state: State, **columns: str | None) -> None:
        changes = {"state": state, "changed_at": time.time(), **columns}
        assigned = ", ".join(f"{name} = ?" for name in changes)
        self._db.execute(f"UPDATE rows SET {assigned} WHERE id = ?", (*changes.values(), row_id))


def _own(path: Path) -> sqlite3.Connection:
    """Hold the ledger's lock: an open exclusive transaction on the file beside it.

    A lock of the system's rather than a time-out: no clock, and it dies with its process.
    """
    beside = path.with_name(path.name + "-owner")
    try:
        lock = sqlite3.connect(beside, timeout=0, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as exc:
        raise LedgerError(f"{path}: no ledger can be made there ({exc})") from None
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as exc:
        lock.close()
        if "locked" not in str(exc):
            raise LedgerError(f"{path}: no ledger can be made there ({exc})") from None
        raise LedgerError(
            f"{path} is in use by another process; wait for it to end, or stop it. Two runs on "
            f"one ledger would make avatars twice"
        ) from None
    return lock


def _connect(path: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as exc:
        raise LedgerError(f"{path} can't be opened: {exc}") from None


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """SQLite's errors as ours, with what to do."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.DatabaseError as exc:
        text = str(exc)
        if "not a database" in text or "no such table" in text:
            remedy = "it is not a ledger of kling-async; name another file with --ledger"
        elif "full" in text or "I/O" in text:
            remedy = "free some space and run it again; nothing was sent that is not recorded"
        else:
            remedy = "run it again when that is mended; nothing was sent that is not recorded"
        raise LedgerError(f"the ledger {path} can't be used ({text}): {remedy}") from exc


def _dump(value: Mapping[str, JSON]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _record(found: tuple[object, ...]) -> Record:
    values = dict(zip(_ROW.split(", "), found, strict=True))
    values["payload"] = json.loads(str(values["payload"]))
    values["columns"] = json.loads(str(values["columns"]))
    return Record(**values)  # type: ignore[arg-type]


def service_of(path: str | os.PathLike[str]) -> str | None:
    """Whom an existing ledger's rows were sent to; None where there is no ledger yet."""
    if not Path(path).is_file():
        return None
    with closing(Ledger.read(path)) as ledger:
        return ledger.fact("service")

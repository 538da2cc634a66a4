"""What does a ledger say? Looking only; `ledger.py` adds the writing. Synchronous."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import LedgerError
from .ledgerfile import LAYOUT, connect, explained, is_begun
from .records import REOPENED, ROW_COLUMNS, Record, State, record_of

TO_RETRY = (
    "((state = 'failed' AND evidence IS NULL) OR "
    f"(state IN ('planned', 'ready') AND evidence = '{REOPENED}'))"
)


class LedgerView:
    """A ledger to look at; `LedgerView.read` opens one, while others may write."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.path = path
        self._db = db

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> LedgerView:
        """The ledger at `path`, to look at while others may write; LedgerError if there is none."""
        path = Path(path)
        if not is_begun(path):
            raise LedgerError(f"there is no ledger at {path}; `bulk run` makes one")
        ledger = cls(path, connect(path))
        try:
            with explained(path):
                ledger._check_layout()
        except LedgerError:
            ledger.close()
            raise
        return ledger

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def history(self, row_id: int) -> list[tuple[float, str]]:
        """The unusual turns of a row, oldest first: (epoch seconds, what happened)."""
        found = self._db.execute(
            "SELECT at, event FROM history WHERE row_id = ? ORDER BY rowid", (row_id,)
        )
        return list(found)

    def was_listed(self, account: str | None) -> bool:
        """Whether `keep_listed` was told of this account."""
        return self.fact(listed_fact(account)) is not None

    def listed_before(self, account: str | None) -> list[tuple[str, str]]:
        """What `keep_listed` was told of this account."""
        return list(
            self._db.execute(
                "SELECT avatar_id, path FROM listed_before WHERE account = ?", (account or "",)
            )
        )

    def of_account(self, account: str | None, states: Sequence[State]) -> list[Record]:
        """All rows of `account` in one of `states`; for the few that are not settled."""
        of = f"state IN ({_marks(states)}) AND coalesce(account, '') = ?"
        return self._rows(of, *states, account or "")

    def with_token(self, token: str) -> list[Record]:
        """Every row whose image has this path."""
        return self._rows("token = ?", token)

    def may_have_more(self, account: str | None) -> list[Record]:
        """Rows of `account` that may have made an avatar which no row has.

        All that were sent, but those that are done after one attempt: an abandoned row's avatar may
        yet appear, and so may the first one of a row that was sent again.
        """
        of = f"attempts > 0 AND NOT (state = 'done' AND attempts = 1) AND {_AT}"
        return self._rows(of, account, account)

    def taken(self, account: str | None) -> set[str]:
        """The avatars of `account` that rows have."""
        found = self._db.execute(
            f"SELECT avatar_id FROM rows WHERE avatar_id IS NOT NULL AND {_AT}", (account, account)
        )
        return {one for (one,) in found}

    def owner_of(self, account: str | None, avatar_id: str) -> Record | None:
        """The row that has this avatar."""
        found = self._rows("coalesce(account, '') = ? AND avatar_id = ?", account or "", avatar_id)
        return found[0] if found else None

    def get(self, key: str) -> Record:
        """The row named `key`; LedgerError if there is none."""
        return self._row("key", key)

    def row(self, row_id: int) -> Record:
        """The row of this number; LedgerError if there is none."""
        return self._row("id", row_id)

    def page(self, after_id: int, states: Sequence[State] = (), size: int = 200) -> list[Record]:
        """Up to `size` rows after `after_id` in the input's order; of all states by default."""
        of = f"state IN ({_marks(states)}) AND" if states else ""
        return self._rows(f"{of} id > ?", *states, after_id, size=size)

    def each(self, states: Sequence[State] = ()) -> Iterator[Record]:
        """Every row in the input's order, read in pages."""
        last = 0
        while page := self.page(last, states):
            yield from page
            last = page[-1].id

    def counts(self) -> dict[State, int]:
        """How many rows are in each state; states without rows are left out."""
        with explained(self.path):
            return dict(self._db.execute("SELECT state, count(*) FROM rows GROUP BY state"))

    def count(self) -> int:
        """How many rows there are."""
        return sum(self.counts().values())

    def to_retry(self) -> int:
        """How many rows `reopen_failed` would open."""
        found: int = self._db.execute(f"SELECT count(*) FROM rows WHERE {TO_RETRY}").fetchone()[0]
        return found

    def accounts(self) -> list[str]:
        """Every account that a row was sent to, or was going to be."""
        found = self._db.execute("SELECT DISTINCT account FROM rows WHERE account IS NOT NULL")
        return [one[0] for one in found]

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

    def _check_layout(self) -> None:
        if (found := self.fact("layout")) != LAYOUT:
            raise LedgerError(
                f"{self.path} was written by another version of kling-async (layout {found}, "
                f"this one reads {LAYOUT}); finish it with that version, or use another --ledger"
            )

    def _row(self, name: str, value: str | int) -> Record:
        found = self._rows(f"{name} = ?", value)
        if not found:
            raise LedgerError(f"{self.path} has no row {value!r}")
        return found[0]

    def _rows(self, where: str, *values: str | int | None, size: int = -1) -> list[Record]:
        found = self._db.execute(
            f"SELECT {', '.join(ROW_COLUMNS)} FROM rows WHERE {where} ORDER BY id LIMIT ?",
            (*values, size),
        )
        return [record_of(one) for one in found]


_AT = "(account = ? OR account IS NULL OR ? IS NULL)"
"""Of an account, which may be left out where the server has a single one."""


def _marks(states: Sequence[State]) -> str:
    return ", ".join("?" * len(states))


def listed_fact(account: str | None) -> str:
    """The name of the fact that an account was listed before its first create."""
    return f"listed before, account {account or ''}"

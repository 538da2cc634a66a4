"""What does a ledger say? Looking only; `ledger.py` adds the writing. Synchronous."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import LedgerError
from .ledgerfile import LAYOUT, READABLE, connect, explained, is_begun
from .records import (
    REOPENED,
    SELECTED,
    SELECTED_WITH_VIDEO,
    TURNS_SELECTED,
    Record,
    State,
    record_of,
)
from .videoview import VIDEO_TO_RETRY, VideoView

TO_RETRY = (
    "((rows.state = 'failed' AND rows.evidence IS NULL) OR "
    f"(rows.state IN ('planned', 'ready') AND rows.evidence = '{REOPENED}'))"
)


VIDEO_FOLDER = "video folder"


class LedgerView:
    """A ledger to look at; `LedgerView.read` opens one, while others may write."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.path = path
        self._db = db
        self.has_videos = False
        """Whether this ledger knows of videos; one of layout 1 does not."""

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> LedgerView:
        """The ledger at `path`, to look at while others may write; LedgerError if there is none."""
        path = Path(path)
        if not is_begun(path):
            raise LedgerError(f"there is no ledger at {path}; `bulk run` makes one")
        ledger = cls(path, connect(path))
        try:
            with explained(path):
                ledger._check_layout(READABLE)
        except LedgerError:
            ledger.close()
            raise
        return ledger

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @property
    def videos(self) -> VideoView:
        """What it says of the rows' videos."""
        return VideoView(self._db, self._rows)

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
        of = f"rows.state IN ({marks(states)}) AND coalesce(rows.account, '') = ?"
        return self._rows(of, *states, account or "")

    def with_token(self, token: str) -> list[Record]:
        """Every row whose image has this path."""
        return self._rows("rows.token = ?", token)

    def may_have_more(self, account: str | None) -> list[Record]:
        """Rows of `account` that may have made an avatar which no row has.

        All that were sent, but those that are done after one attempt: an abandoned row's avatar may
        yet appear, and so may the first one of a row that was sent again.
        """
        of = f"rows.attempts > 0 AND NOT (rows.state = 'done' AND rows.attempts = 1) AND {AT}"
        return self._rows(of, account, account)

    def taken(self, account: str | None) -> set[str]:
        """The avatars of `account` that rows have."""
        found = self._db.execute(
            f"SELECT avatar_id FROM rows WHERE avatar_id IS NOT NULL AND {AT}", (account, account)
        )
        return {one for (one,) in found}

    def owner_of(self, account: str | None, avatar_id: str) -> Record | None:
        """The row that made this avatar."""
        of = (
            "coalesce(rows.account, '') = ? AND rows.avatar_id = ? AND rows.evidence IS NOT 'given'"
        )
        found = self._rows(of, account or "", avatar_id)
        return found[0] if found else None

    def get(self, key: str) -> Record:
        """The row named `key`; LedgerError if there is none."""
        return self._row("key", key)

    def row(self, row_id: int) -> Record:
        """The row of this number; LedgerError if there is none."""
        return self._row("id", row_id)

    def of_keys(self, keys: Sequence[str]) -> dict[str, Record]:
        """Those of `keys` that are known."""
        known = dict[str, Record]()
        for some in _some(keys):
            of = f"rows.key IN ({marks(some)})"
            known.update((one.key, one) for one in self._rows(of, *some))
        return known

    def now(self, record: Record) -> Record:
        """A row that was sent, as it is now; its content, which can't change any more, as it was.

        For the many: it takes half of what `row` does.
        """
        of = f"SELECT {TURNS_SELECTED} FROM rows WHERE id = ?"
        return record.turned(self._db.execute(of, (record.id,)).fetchone())

    def page(self, after_id: int, states: Sequence[State] = (), size: int = 200) -> list[Record]:
        """Up to `size` rows after `after_id` in the input's order; of all states by default."""
        of = f"rows.state IN ({marks(states)}) AND" if states else ""
        return self._rows(f"{of} rows.id > ?", *states, after_id, size=size)

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

    def to_retry(self, *, videos: bool = False) -> int:
        """How many rows `reopen_failed` would open."""
        of, join = TO_RETRY, ""
        if videos and self.has_videos:
            of, join = f"({TO_RETRY} OR {VIDEO_TO_RETRY})", "LEFT JOIN videos ON row_id = rows.id"
        found: int = self._db.execute(f"SELECT count(*) FROM rows {join} WHERE {of}").fetchone()[0]
        return found

    def accounts(self) -> list[str]:
        """Every account that a row was sent to, or was going to be."""
        found = self._db.execute("SELECT DISTINCT account FROM rows WHERE account IS NOT NULL")
        return [one[0] for one in found]

    def lookup(self, keys: Sequence[str]) -> dict[str, str]:
        """Key -> digest of those `keys` that are known."""
        known: dict[str, str] = {}
        for some in _some(keys):
            known.update(
                self._db.execute(f"SELECT key, digest FROM rows WHERE key IN ({marks(some)})", some)
            )
        return known

    def videos_sent(self, keys: Sequence[str]) -> dict[str, str]:
        """Key -> digest of the video, of those `keys` whose video was sent."""
        if not self.has_videos:
            return {}
        sent: dict[str, str] = {}
        for some in _some(keys):
            sent.update(
                self._db.execute(
                    "SELECT rows.key, videos.digest FROM rows JOIN videos ON row_id = rows.id "
                    f"WHERE videos.attempts > 0 AND rows.key IN ({marks(some)})",
                    some,
                )
            )
        return sent

    def video_folder(self, named: str | os.PathLike[str] | None = None) -> Path:
        """Where the videos go: as `named`, else as in the run before, else beside the ledger."""
        if named is not None:
            return Path(named).absolute()
        known = self.fact(VIDEO_FOLDER)
        if known is not None:
            return Path(known)
        return (self.path.parent / f"{self.path.stem}-videos").absolute()

    def fact(self, name: str) -> str | None:
        """What the ledger remembers of itself under `name`."""
        found = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if found is None else found[0]

    def _check_layout(self, usable: Sequence[str] = (LAYOUT,)) -> None:
        if (found := self.fact("layout")) not in usable:
            raise LedgerError(
                f"{self.path} was written by another version of kling-async (layout {found}, "
                f"this one reads {LAYOUT}); finish it with that version, or use another --ledger"
            )
        self.has_videos = found == LAYOUT

    def _row(self, name: str, value: str | int) -> Record:
        found = self._rows(f"rows.{name} = ?", value)
        if not found:
            raise LedgerError(f"{self.path} has no row {value!r}")
        return found[0]

    def _rows(self, where: str, *values: str | int | None, size: int = -1) -> list[Record]:
        what, of = SELECTED, "rows"
        if self.has_videos:
            what, of = SELECTED_WITH_VIDEO, "rows LEFT JOIN videos ON videos.row_id = rows.id"
        found = self._db.execute(
            f"SELECT {what} FROM {of} WHERE {where} ORDER BY rows.id LIMIT ?", (*values, size)
        )
        return [record_of(one) for one in found]


AT = "(rows.account = ? OR rows.account IS NULL OR ? IS NULL)"
"""Of an account, which may be left out where the server has a single one."""


def marks(states: Sequence[str]) -> str:
    """Places for so many values in SQL."""
    return ", ".join("?" * len(states))


def _some(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    """In parts, as SQLite bounds the number of parameters."""
    return (keys[start : start + 500] for start in range(0, len(keys), 500))


def listed_fact(account: str | None) -> str:
    """The name of the fact that an account was listed before its first create."""
    return f"listed before, account {account or ''}"

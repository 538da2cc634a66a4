"""Was it in this input before? A table on disk: what a million rows say would not fit in memory."""

from __future__ import annotations

import sqlite3

from ..errors import ConfigurationError

Key = str | bytes


class Seen:
    """What an input has said so far; memory stays flat. Close it at the end.

    It may be used from several threads, one at a time.
    """

    def __init__(self) -> None:
        self._db: sqlite3.Connection | None = None

    def close(self) -> None:
        """Free the disk."""
        if self._db is not None:
            self._db.close()

    def first(self, key: Key, value: int | None) -> tuple[int | None] | None:
        """The value that `key` was given with at first; None: it is new, and noted with `value`."""
        noted, earlier = self._noted(key, value)
        return None if noted else (earlier,)

    def count(self, key: Key) -> int:
        """How often `key` was counted by now, this time included."""
        noted, earlier = self._noted(key, 1)
        if noted:
            return 1
        count = (earlier or 0) + 1
        self._execute("UPDATE seen SET value = ? WHERE key = ?", (count, key))
        return count

    def _noted(self, key: Key, value: int | None) -> tuple[bool, int | None]:
        if self._execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (key, value)).rowcount:
            return True, None
        row = self._execute("SELECT value FROM seen WHERE key = ?", (key,)).fetchone()
        return False, row[0]

    def _execute(self, statement: str, values: tuple[Key | int | None, ...]) -> sqlite3.Cursor:
        try:
            return self._opened().execute(statement, values)
        except sqlite3.Error as exc:
            raise ConfigurationError(
                f"the temporary folder can't hold the list of keys ({exc}); make room there, or "
                "set SQLITE_TMPDIR to another folder"
            ) from exc

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            # "" is a database on disk that is gone when it is closed, and in memory while it is
            # small. Nothing is to be recovered from it, so it does without journal and commits.
            self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = OFF")
            self._db.execute("CREATE TABLE seen (key PRIMARY KEY, value INT) WITHOUT ROWID")
            self._db.execute("BEGIN")
        return self._db

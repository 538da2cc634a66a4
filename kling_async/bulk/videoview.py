"""What does a ledger say of the rows' videos? Looking only; `videoledger.py` adds the writing.

A video is read with its row: `Record.video`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from .records import ABANDONED, REOPENED, Record
from .videorecords import State

VIDEO_TO_RETRY = (
    f"((videos.state = 'failed' AND videos.evidence IS NOT '{ABANDONED}') OR "
    f"(videos.state IN ('planned', 'ready', 'made') AND videos.evidence = '{REOPENED}'))"
)


# Rows are joined with their videos from the left, which leads SQLite past the videos' indexes.
_IN = "rows.id IN (SELECT row_id FROM videos WHERE"


class VideoView:
    """The videos of a ledger that has some; `LedgerView.videos`."""

    def __init__(self, db: sqlite3.Connection, rows: Callable[..., list[Record]]) -> None:
        self._db = db
        self._rows = rows

    def of_account(self, account: str | None, states: Sequence[State]) -> list[Record]:
        """All rows of `account` whose video is in one of `states`; for the few not settled."""
        of = f"{_IN} state IN ({_marks(states)})) AND coalesce(rows.account, '') = ?"
        return self._rows(of, *states, account or "")

    def with_token(self, token: str) -> list[Record]:
        """Every row whose video has this audio's path."""
        return self._rows(f"{_IN} token = ?)", token)

    def page(self, after_id: int, states: Sequence[State], size: int = 200) -> list[Record]:
        """Up to `size` rows after `after_id` whose video is in one of `states`."""
        of = f"{_IN} state IN ({_marks(states)})) AND rows.id > ?"
        return self._rows(of, *states, after_id, size=size)

    def jobs(self) -> list[Record]:
        """All rows whose job runs at Kling; an account has a few."""
        return self._rows(f"{_IN} state = 'running')")

    def counts(self) -> dict[State, int]:
        """How many videos are in each state; states without videos are left out."""
        return dict(self._db.execute("SELECT state, count(*) FROM videos GROUP BY state"))

    def owner_of(self, account: str | None, task_id: int) -> int | None:
        """The row that began this job, now or earlier."""
        found = self._db.execute(
            "SELECT row_id FROM tasks WHERE account = ? AND task_id = ?", (account or "", task_id)
        ).fetchone()
        return None if found is None else found[0]

    def taken(self, account: str | None, task_ids: Sequence[int]) -> set[int]:
        """Those of `task_ids` that rows of `account` have or had."""
        return {one for one in task_ids if self.owner_of(account, one) is not None}


def _marks(states: Sequence[State]) -> str:
    return ", ".join("?" * len(states))

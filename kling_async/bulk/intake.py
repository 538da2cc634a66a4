"""How do input rows come into the ledger? New ones are planned, known ones are known again."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence

from ..models.sightings import url_path
from .records import GIVEN, Record, State, TokenKind, as_text
from .rows import RowInput
from .videoledger import VideoLedger


class Intake:
    """Takes rows in, a chunk at a time; `Ledger.register` says what that means.

    Args:
        db: the ledger's connection.
        known: looks rows up by their keys.
        videos: plans their videos.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        known: Callable[[Sequence[str]], dict[str, Record]],
        videos: VideoLedger,
    ) -> None:
        self._db = db
        self._known = known
        self._videos = videos

    def take(self, rows: Sequence[RowInput], *, videos: bool) -> list[Record]:
        """Each row as the ledger has it from now on, in the same order."""
        keys = [row.key for row in rows]
        found, again = self._known(keys), videos
        first: dict[str, RowInput] = {}
        for row in rows:
            first.setdefault(row.key, row)
        for key, row in first.items():
            old = found.get(key)
            if old is None:
                found[key] = self._insert(row)
            elif _takes_content(old, row):
                self._replace(old.id, row)
                again = True
            elif old.digest != row.digest:
                continue
            elif old.columns != row.columns:
                # Only what is asked of its video is new, so its avatar stays.
                columns = (as_text(row.columns), old.id)
                self._db.execute("UPDATE rows SET columns = ? WHERE id = ?", columns)
                again = True
            if videos:
                self._videos.plan(found[key].id, row)
        if again:
            found = self._known(keys)
        return [found[key] for key in keys]

    def _insert(self, row: RowInput) -> Record:
        """A new row, as it would be read again."""
        state, error = _beginning(row)
        token, kind = _token(row)
        evidence = None if row.avatar_id is None else GIVEN
        row_id = self._db.execute(
            "INSERT INTO rows (key, position, digest, payload, columns, state, token, token_kind, "
            "avatar_id, evidence, error, changed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(row.key, row.position, row.digest, as_text(row.payload), as_text(row.columns)),
                *(state, token, kind, row.avatar_id, evidence, error, time.time()),
            ),
        ).lastrowid
        assert row_id is not None
        return Record(
            id=row_id,
            key=row.key,
            position=row.position,
            digest=row.digest,
            payload=row.payload,
            columns=row.columns,
            state=state,
            account=None,
            asset_url=None,
            token=token,
            token_kind=kind,
            attempts=0,
            intent_at=None,
            doubt_at=None,
            avatar_id=row.avatar_id,
            evidence=evidence,
            candidates=[],
            error=error,
        )

    def _replace(self, row_id: int, row: RowInput) -> None:
        """The new content of a row of which nothing was ever sent."""
        state, error = _beginning(row)
        evidence = None if row.avatar_id is None else GIVEN
        self._db.execute(
            "UPDATE rows SET digest = ?, payload = ?, columns = ?, state = ?, error = ?, "
            "token = ?, token_kind = ?, avatar_id = ?, evidence = ?, asset_url = NULL, "
            "account = NULL WHERE id = ?",
            (
                *(row.digest, as_text(row.payload), as_text(row.columns), state, error),
                *(*_token(row), row.avatar_id, evidence, row_id),
            ),
        )


def _takes_content(old: Record, row: RowInput) -> bool:
    """Whether nothing was ever sent of a known row, and it says something else now."""
    if old.attempts or (old.video is not None and old.video.attempts):
        return False
    # A row that failed its checks for its video's columns has the same digest when they are mended.
    mended = old.state == "failed" and old.columns != row.columns
    return old.digest != row.digest or mended


def _beginning(row: RowInput) -> tuple[State, str | None]:
    """A row's first state, and what is wrong with it."""
    if row.problems:
        return "failed", "; ".join(f"{name}: {text}" for name, text in row.problems.items())
    return ("planned" if row.avatar_id is None else "done"), None


def _token(row: RowInput) -> tuple[str | None, TokenKind | None]:
    """By what an avatar of a row with an address is known, even before it is sent; and its kind."""
    url = None if row.problems else row.payload.get("image_url")
    return (url_path(url), "url") if isinstance(url, str) else (None, None)

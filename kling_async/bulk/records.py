"""What does the ledger know of one row? Values and their reading; no SQL, no files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from attrs import evolve, field, fields, frozen

from ..errors import JSON
from .rows import BulkRow, RowState
from .videorecords import VIDEO_COLUMNS, VideoRecord, video_of_row

State = Literal["planned", "ready", "intent", "doubt", "done", "failed", "unknown"]
TokenKind = Literal["upload", "url"]
OPEN_STATES: tuple[State, ...] = ("planned", "ready")
"""A create may be sent."""
UNSETTLED: tuple[State, ...] = ("doubt", "unknown")
"""A create was sent, and its outcome is not known."""
ABANDONED = "abandoned"
REOPENED = "reopened"
"""As evidence: a failed row that is to be tried again, and was not sent since."""
GIVEN = "given"
"""As evidence: the avatar was there already, and the row names it."""


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
    token: str | None
    """The path of its image's address, by which it is known again in a listing."""
    token_kind: TokenKind | None
    """"upload": made for this row alone. "url": the user's own address."""
    attempts: int
    intent_at: float | None
    doubt_at: float | None
    avatar_id: str | None
    evidence: str | None
    """How `avatar_id` is known: answer, given, adopted and its like, settled."""
    candidates: Sequence[str]
    """Ids that could be this row's."""
    error: str | None
    video: VideoRecord | None = None

    def turned(self, found: Sequence[Any]) -> Record:
        """The record after some turns: what `TURNS_SELECTED` shows of it now."""
        turns = dict(zip(TURNS, found, strict=True))
        turns["candidates"] = json.loads(turns["candidates"] or "[]")
        return evolve(self, **turns)

    def result(self) -> BulkRow:
        """What the user sees of it."""
        video = self.video
        error = self.error
        if error is None and video is not None:
            error = video.error
        return BulkRow(
            key=self.key,
            state=_SHOWN[self.state],
            avatar_id=self.avatar_id,
            account=self.account,
            error=error,
            attempts=self.attempts,
            evidence=self.evidence,
            video_state=None if video is None else video.shown,
            task_id=None if video is None else video.task_id,
            video_file=None if video is None or video.state != "saved" else video.file,
            video_attempts=0 if video is None else video.attempts,
            columns=self.columns,
        )


_SHOWN: dict[State, RowState] = {
    "done": "created",
    "failed": "failed",
    "unknown": "unknown",
    "intent": "unknown",
    "doubt": "unknown",
    "planned": "skipped",
    "ready": "skipped",
}


ROW_COLUMNS = tuple(one.name for one in fields(Record) if one.name != "video")
_CONTENT = ("id", "key", "position", "digest", "payload", "columns")
TURNS = tuple(name for name in ROW_COLUMNS if name not in _CONTENT)
"""What the arrows change."""
TURNS_SELECTED = ", ".join(TURNS)


def record_of(found: Sequence[Any]) -> Record:
    """The record that a row of SQL stands for: `ROW_COLUMNS`, then perhaps `VIDEO_COLUMNS`."""
    values, of_video = list(found[: len(ROW_COLUMNS)]), found[len(ROW_COLUMNS) :]
    for at in _JSON_COLUMNS:
        values[at] = json.loads(values[at] or "[]")
    values.append(video_of_row(of_video) if of_video else None)
    return Record(*values)


_JSON_COLUMNS = tuple(map(ROW_COLUMNS.index, ("payload", "columns", "candidates")))
SELECTED = ", ".join(f"rows.{name}" for name in ROW_COLUMNS)
SELECTED_WITH_VIDEO = ", ".join((SELECTED, *(f"videos.{name}" for name in VIDEO_COLUMNS)))


def as_text(value: Mapping[str, JSON] | Sequence[str]) -> str:
    """JSON as the ledger keeps it."""
    return _JSON.encode(value)


# Kept, as `json.dumps` makes an encoder a call. ASCII: it holds even what can't be sent.
_JSON = json.JSONEncoder(separators=(",", ":"))

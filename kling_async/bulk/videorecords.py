"""What does the ledger know of one row's video? Values and their reading; no SQL, no files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from attrs import field, fields, frozen

from ..errors import JSON
from .rows import VideoState

State = Literal[
    "planned", "ready", "intent", "doubt", "running", "made", "saved", "failed", "unknown"
]
TokenKind = Literal["upload", "speech", "url"]
OPEN: tuple[State, ...] = ("planned", "ready")
"""A job may be begun."""
UNSETTLED: tuple[State, ...] = ("doubt", "unknown")
"""A job was sent, and it is not known whether it began."""
PAID: tuple[State, ...] = ("running", "made")
"""A job was begun, and its file is not here."""


@frozen
class VideoRecord:
    """The video of one row as the ledger has it."""

    row_id: int
    digest: str
    payload: Mapping[str, JSON] = field(repr=False)
    state: State
    audio_url: str | None
    """What was uploaded or rendered for this row alone."""
    token: str | None
    """The path of its audio's address, by which its job is known again."""
    token_kind: TokenKind | None
    """"upload", "speech": made for this row alone. "url": the user's own address."""
    reply_ref: str | None
    """Our name for its job, which the scheduler shows as long as it runs."""
    attempts: int
    intent_at: float | None
    doubt_at: float | None
    task_id: int | None
    work_id: int | None
    """What the job made."""
    work_url: str | None
    file_name: str
    """Its file's name in the folder of the videos; no other row's."""
    file: str | None
    """The absolute path that is claimed for it; once saved, where it is."""
    size_bytes: int | None
    evidence: str | None
    """How `task_id` is known: answer, adopted, adopted-late, settled."""
    candidates: Sequence[str]
    """Ids of jobs that could be this row's."""
    error: str | None

    @property
    def shown(self) -> VideoState:
        """Its state as the user sees it."""
        return _SHOWN[self.state]


_SHOWN: dict[State, VideoState] = {
    "saved": "saved",
    "failed": "failed",
    "unknown": "unknown",
    "intent": "unknown",
    "doubt": "unknown",
    "running": "running",
    "made": "made",
    "planned": "skipped",
    "ready": "skipped",
}

VIDEO_COLUMNS = tuple(one.name for one in fields(VideoRecord))


def video_of_row(found: Sequence[Any]) -> VideoRecord | None:
    """The record that values in the order of `VIDEO_COLUMNS` stand for, if there is one."""
    if found[0] is None:  # its row id: a row without a video is joined with nothing
        return None
    values = dict(zip(VIDEO_COLUMNS, found, strict=True))
    values["payload"] = json.loads(values["payload"])
    values["candidates"] = json.loads(values["candidates"] or "[]")
    return VideoRecord(**values)

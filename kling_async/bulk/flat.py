"""What is said of a row when it is told or exported? One flat object, in the recipe's own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from .machine import State
from .recipes import TALKING
from .records import Row, Step

OF_AVATARS: tuple[str, ...] = (
    "key",
    "state",
    "avatar_id",
    "account",
    "error",
    "attempts",
    "evidence",
)
"""What is said of every row whose first step is an avatar."""
OF_VIDEOS: tuple[str, ...] = ("video_state", "video_file", "task_id", "video_attempts")
"""Follow those where the ledger knows of a video."""
OF_ANY: tuple[str, ...] = (
    "key",
    "state",
    "operation",
    "remote_id",
    "task_id",
    "account",
    "files",
    "error",
    "attempts",
    "evidence",
)
"""What is said of rows of all other operations."""

ResultState = Literal["done", "failed", "unknown", "running", "skipped"]

SHOWN: Mapping[State, ResultState] = {
    "planned": "skipped",
    "ready": "skipped",
    "intent": "unknown",
    "doubt": "unknown",
    "unknown": "unknown",
    "running": "running",
    "made": "running",
    "done": "done",
    "failed": "failed",
}
"""A step's state as users see it."""
_AVATAR = TALKING.step(1).operation


def is_avatar(row: Row) -> bool:
    """Whether the row is told in the words of `create_many`."""
    return bool(row.steps) and row.steps[0].operation == _AVATAR


def flat(row: Row, *, videos: bool = False) -> dict[str, Any]:
    """The row as one flat JSON object: its result, and the input's own columns.

    Where an input's column is named like one of the result's, the ledger's word counts.

    Args:
        row: as the ledger has it.
        videos: say of an avatar also what became of its video, as is always done where it has one.
    """
    result = _avatar(row, videos) if is_avatar(row) else _any(row)
    return {**row.columns, **result} if row.columns else result


def video_state(step: Step) -> str:
    """The state of a video in the words of `create_many`."""
    if step.state == "done":
        return "saved"
    return "made" if step.state == "made" else SHOWN[step.state]


def first_error(row: Row) -> str | None:
    """Why the row is not done, by the first step that says so."""
    return next((step.error for step in row.steps if step.error is not None), None)


def _avatar(row: Row, videos: bool) -> dict[str, Any]:
    avatar = row.steps[0]
    state = "created" if avatar.state == "done" else SHOWN[avatar.state]
    values: list[Any] = [row.key, state, avatar.remote_id, avatar.account, first_error(row)]
    result = dict(zip(OF_AVATARS, [*values, avatar.attempts, avatar.evidence], strict=True))
    video = row.steps[1] if len(row.steps) > 1 else None
    if video is not None:
        file = _files(video)[0] if video.state == "done" and _files(video) else None
        said = (video_state(video), file, _number(video.remote_id), video.attempts)
        result.update(zip(OF_VIDEOS, said, strict=True))
    elif videos:
        result.update(zip(OF_VIDEOS, (None, None, None, 0), strict=True))
    return result


def _any(row: Row) -> dict[str, Any]:
    step = row.current or row.steps[-1]
    files = [file for one in row.steps for file in _files(one)]
    task = _number(step.remote_id) if step.kind == "task" else None
    values: list[Any] = [row.key, SHOWN[row.state], step.operation, step.remote_id, task]
    values += [step.account, files, first_error(row), step.attempts, step.evidence]
    return dict(zip(OF_ANY, values, strict=True))


def _files(step: Step) -> list[str]:
    return [one.file for one in step.works if one.file is not None and one.size_bytes is not None]


def _number(remote_id: str | None) -> int | None:
    return int(remote_id) if remote_id is not None and remote_id.isdecimal() else None

"""Which operations are there? One file per part of the API; this one only lists them.

A new part is a new file with its own `OPERATIONS`, added to the tuple below.
"""

from __future__ import annotations

from ..operation import Operation
from . import (
    accounts,
    assets,
    avatar_videos,
    avatars,
    elements,
    image_jobs,
    media,
    scheduler,
    tasks,
    tts,
    video_jobs,
    video_lists,
    works,
)

OPERATIONS: tuple[Operation, ...] = (
    *accounts.OPERATIONS,
    *assets.OPERATIONS,
    *works.OPERATIONS,
    *avatars.OPERATIONS,
    *avatar_videos.OPERATIONS,
    *video_jobs.OPERATIONS,
    *video_lists.OPERATIONS,
    *image_jobs.OPERATIONS,
    *elements.OPERATIONS,
    *tts.OPERATIONS,
    *tasks.OPERATIONS,
    *scheduler.OPERATIONS,
    *media.OPERATIONS,
)

NAMES: tuple[str, ...] = tuple(operation.name for operation in OPERATIONS)

_NO_JOBS = ("images.recognize_faces",)
CREATES: tuple[str, ...] = (
    "avatars.create",
    *(operation.name for operation in (*avatar_videos.OPERATIONS, *video_jobs.OPERATIONS)),
    *(operation.name for operation in image_jobs.OPERATIONS if operation.name not in _NO_JOBS),
)
"""What makes an avatar or begins a job."""

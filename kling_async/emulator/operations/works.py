"""What tasks have made: `GET /assets`, `GET /assets/download`, and the bytes behind both."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from functools import lru_cache

from ..images import sample_png
from ..mp4 import video
from ..records import work_entry
from ..sounds import mp3, wav
from ..tasks import Task, Work

KINDS = ("video", "image", "audio")
FILE_TYPES: Mapping[str, tuple[str, ...]] = {
    "video": ("MP4",),
    "audio": ("MP3", "WAV"),
    "image": ("PNG",),
}
CONTENT_TYPES: Mapping[str, str] = {
    "MP4": "video/mp4",
    "MP3": "audio/mpeg",
    "WAV": "audio/wav",
    "PNG": "image/png",
    "ZIP": "application/zip",
}


def shown_works(task: Task, origin: str, *, with_names: bool = True) -> list[dict[str, object]]:
    """The finished works of a task, as histories show them."""
    return [work_entry(work, task, origin, with_names=with_names) for work in task.works]


def file_of(work: Work, file_type: str, least_bytes: int, *, clean: bool) -> bytes:
    """The bytes of a work; those with a watermark are others than the clean ones."""
    marker = f"work {work.id}, {'clean' if clean else 'with a watermark'}"
    if file_type == "MP4":
        return video(marker, work.width, work.height, work.duration_ms, least_bytes)
    if file_type == "PNG":
        return sample_png(work.id * 2 + clean, work.width, work.height)
    return (mp3 if file_type == "MP3" else wav)(marker, work.duration_ms)


@lru_cache(maxsize=4)
def zip_of(members: Sequence[tuple[Work, str]], least_bytes: int) -> bytes:
    """Several clean files in one archive, with fixed dates: equal members, equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for work, file_type in members:
            name = zipfile.ZipInfo(f"{work.id}.{file_type.lower()}", (2026, 1, 1, 0, 0, 0))
            archive.writestr(name, file_of(work, file_type, least_bytes, clean=True))
    return buffer.getvalue()

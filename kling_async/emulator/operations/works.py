"""What have tasks made? `GET /assets`, `GET /assets/download`, and the bytes behind both."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from ..envelopes import invalid_parameters
from ..images import sample_png
from ..messages import Reply
from ..mp4 import video
from ..operation import API_ROOT, Context, Operation
from ..records import download_url, work_entry
from ..sounds import mp3, wav
from ..tasks import Task, Work
from ..world import Upload, World

KINDS = ("video", "image", "audio")
FILE_TYPES: Mapping[str, tuple[str, ...]] = {
    "video": ("MP4", "MOV"),
    "audio": ("MP3", "WAV"),
    "image": ("PNG",),
}
CONTENT_TYPES: Mapping[str, str] = {
    "MP4": "video/mp4",
    "MOV": "video/quicktime",
    "MP3": "audio/mpeg",
    "WAV": "audio/wav",
    "PNG": "image/png",
    "ZIP": "application/zip",
}
DEFAULT_PAGE = 40
_LIMIT = 1000  # of the invented "limitations"


def list_generated(context: Context) -> Reply:
    """The finished works of the account, newest first unless asked otherwise."""
    page, page_size, newest_first = context.fields.page(DEFAULT_PAGE)
    kind = context.fields.choice("contentType", KINDS)
    now_s = context.clock.monotonic()
    tasks = context.world.tasks_of(context.account)
    found = [
        task
        for task in tasks
        if task.is_there_at(now_s)
        and task.works
        and (kind is None or any(work.kind == kind for work in task.works))
    ]
    if newest_first:
        found.reverse()
    origin = context.request.origin
    history = [
        {"works": shown_works(task, origin, with_names=False)}
        for task in found[(page - 1) * page_size : page * page_size]
    ]
    left = max(0, _LIMIT - len(tasks))
    limitations = [{"type": "video", "remaining": left, "limit": _LIMIT}]
    return Reply.of_json({"limitations": limitations, "history": history})


def download_link(context: Context) -> Reply:
    """The address of a clean file, or of a zip unless one id and one type are asked for.

    Without types it is the first that the work has, documented. Unknown are the largest number of
    ids, and the answer for works that are not finished or not of that type: no limit, and 400.
    """
    works = [_finished_work(text, context) for text in _listed("workIds", context)]
    types = _listed("fileTypes", context)
    if not works or not set(types) <= set(CONTENT_TYPES) - {"ZIP"}:
        raise invalid_parameters()
    members: list[tuple[Work, str]] = []
    for work in works:
        there = FILE_TYPES[work.kind]
        fitting = [one for one in there if one in types] if types else there[:1]
        if not fitting:
            raise invalid_parameters()
        members += [(work, file_type) for file_type in fitting]
    ending = types[0] if len(works) == len(types) == 1 else "ZIP"
    told = ",".join(f"{work.id}.{file_type}" for work, file_type in members)
    name = f"{hashlib.sha256(told.encode()).hexdigest()[:40]}.{ending.lower()}"
    context.world.downloads[name] = tuple(members)
    address = download_url(name, context.request.origin)
    return Reply.of_json({"cdnUrl": address, "status": "success"})


def shown_works(task: Task, origin: str, *, with_names: bool = True) -> list[dict[str, object]]:
    """The finished works of a task, as histories show them."""
    return [work_entry(work, task, origin, with_names=with_names) for work in task.works]


def file_of(
    work: Work, file_type: str, least_bytes: int, picture: bytes | None, *, clean: bool
) -> bytes:
    """The bytes of a work; those with a watermark are others than the clean ones.

    Args:
        work: which one.
        file_type: one of its types.
        least_bytes: of a video.
        picture: what a video shows, None for grey.
        clean: without a watermark.
    """
    marker = f"work {work.id}, {'clean' if clean else 'with a watermark'}"
    if file_type in ("MP4", "MOV"):
        brand = b"isom" if file_type == "MP4" else b"qt  "
        return video(marker, work.width, work.height, work.duration_ms, least_bytes, brand, picture)
    if file_type == "PNG":
        return sample_png(work.id * 2 + clean, work.width, work.height)
    return (mp3 if file_type == "MP3" else wav)(marker, work.duration_ms)


@lru_cache(maxsize=1)
def zip_of(members: Iterable[tuple[Work, str, bytes | None]], least_bytes: int) -> bytes:
    """Several clean files in one archive, with fixed dates: equal members, equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for work, file_type, picture in members:
            name = zipfile.ZipInfo(f"{work.id}.{file_type.lower()}", (2026, 1, 1, 0, 0, 0))
            archive.writestr(name, file_of(work, file_type, least_bytes, picture, clean=True))
    return buffer.getvalue()


def finished_work(number: str, context: Context) -> Work | None:
    """The work with that id, None where it is not there or not there yet."""
    work = context.world.works.get(int(number)) if number.isascii() and number.isdigit() else None
    if work is None:
        return None
    task = context.world.tasks[work.task_id]
    there = task.is_there_at(context.clock.monotonic()) and work in task.works
    return work if there else None


def picture_behind(work: Work, world: World) -> Upload | None:
    """The first uploaded picture that its task was made from, None where there is none."""
    for one in world.tasks[work.task_id].inputs:
        name = urlsplit(one.url).path.rpartition("/")[2]
        upload = world.uploads.get(world.portraits.get(name, name))
        if upload is not None and upload.kind == "image":
            return upload
    return None


def _finished_work(number: str, context: Context) -> Work:
    work = finished_work(number, context)
    if work is None or work.account != context.account:
        raise invalid_parameters()
    return work


def _listed(name: str, context: Context) -> list[str]:
    """The values of a comma-separated parameter, each once."""
    text = context.request.parameter(name) or ""
    return list(dict.fromkeys(part.strip() for part in text.split(","))) if text else []


OPERATIONS = (
    Operation("assets.generated", "GET", f"{API_ROOT}/assets", list_generated, email="query"),
    Operation(
        "assets.download_link", "GET", f"{API_ROOT}/assets/download", download_link, email="query"
    ),
)

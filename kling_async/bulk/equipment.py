"""What does the making of videos need beyond calls? A folder, a waiter for jobs, and downloads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from attrs import frozen

from .. import settings
from ..downloads import Download, Downloads
from ..models.tasks import Task, Work, WorkResource
from ..pipeline import Options
from ..waiting import Waiting
from ..watched import PollSchedule
from .videorecords import VideoRecord

POLL = PollSchedule()
"""When a job is looked at."""

Wait = Callable[[int, "str | None", bool], Awaitable[Task]]
"""The final record of a task of an account, which was begun just now or in an earlier run; raises
`TaskFailedError` where it failed."""
Fetch = Callable[["str | None", VideoRecord, Path, bool], Awaitable[Download]]
"""Brings the file of a video of an account to a path, whole; may replace one that is there."""


@frozen
class Equipment:
    """What a run makes videos with."""

    folder: Path
    """Where the files go; made where it is missing."""
    wait: Wait
    fetch: Fetch


def equipment(folder: Path, options: Options, waiting: Waiting, downloads: Downloads) -> Equipment:
    """The equipment of a client."""

    async def wait(task_id: int, account: str | None, begun_now: bool) -> Task:
        return await waiting.wait(
            task_id,
            Task(id=task_id) if begun_now else None,
            options,
            email=account,
            poll=POLL,
            deadline_s=settings.WAIT_WITHIN_S,
        )

    async def fetch(account: str | None, video: VideoRecord, to: Path, overwrite: bool) -> Download:
        work = Work(
            work_id=video.work_id or 0,
            content_type="video",
            resource=WorkResource(url=video.work_url),
        )
        return await downloads.bring(
            work, to, options, file_type=None, clean=None, overwrite=overwrite, email=account
        )

    return Equipment(folder, wait, fetch)

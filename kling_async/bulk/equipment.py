"""What does the making of videos need beyond calls? A folder, a waiter for jobs, and downloads."""

from __future__ import annotations

from pathlib import Path

from attrs import field, frozen

from .. import settings
from .._calls.pipeline import Options
from .._files.downloads import Download, Downloads
from .._polling.waiter import TaskWaiter
from .._polling.watched import PollSchedule
from ..models.tasks import Task, Work, WorkResource
from .videorecords import VideoRecord

POLL = PollSchedule()
"""When a job is looked at."""


@frozen
class Equipment:
    """What a run makes videos with; `kling.avatars.equipment` gives a client's.

    Args:
        folder: where the files go; made where it is missing.
        waiting: of the client.
        downloads: of the client.
    """

    folder: Path
    _waiting: TaskWaiter = field(repr=False)
    _downloads: Downloads = field(repr=False)

    async def wait(
        self, task_id: int, account: str | None, options: Options, *, begun_now: bool
    ) -> Task:
        """The job's final record; `TaskFailedError` where it failed.

        Args:
            task_id: which.
            account: whose.
            options: of each look.
            begun_now: it began in this run, so it takes a while yet.
        """
        return await self._waiting.wait(
            task_id,
            Task(id=task_id) if begun_now else None,
            options,
            email=account,
            poll=POLL,
            deadline_s=settings.WAIT_WITHIN_S,
            begun=True,
        )

    async def fetch(
        self,
        video: VideoRecord,
        account: str | None,
        to: Path,
        options: Options,
        *,
        overwrite: bool,
    ) -> Download:
        """The video's whole file, at `to`.

        Args:
            video: a job has made it.
            account: whose.
            to: where it shall be.
            options: of each call.
            overwrite: a file that is there goes.
        """
        work = Work(
            work_id=video.work_id or 0,
            content_type="video",
            resource=WorkResource(url=video.work_url),
        )
        return await self._downloads.bring(
            work, to, options, file_type=None, clean=None, overwrite=overwrite, email=account
        )

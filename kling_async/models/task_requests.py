"""What is a request that starts a task? The fields and the answer that all of them have in common.

A task runs at Kling for minutes and costs credits. Its request is answered at once, with an id.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from attrs import frozen

from .checks import Integer, Text, Url
from .fields import body, unlogged
from .requests import EmailIn, Request, Safety
from .sightings import Evidence
from .task_evidence import TaskEvidence
from .tasks import Task

MAX_JOBS = 50


@frozen(kw_only=True)
class TaskRequest(Request[Task]):
    """The base of all requests that start a task; their result is known later, by the task.

    An answer without the task's id is none: what was started has to be looked for.

    Args:
        max_jobs: 1 to 50 jobs at once on this account, instead of its own limit.
        reply_url: is told of the job's progress and its end (`kling_async` has a receiver).
        reply_ref: comes back in `kling.scheduler.running()` and in webhooks. Default: one that
            nobody can guess, made for each call, by which the job is found again. One of your own
            is never taken as proof, because only you know whether it was used before.

    Examples:
        >>> @frozen(kw_only=True)
        ... class Sing(TaskRequest):
        ...     operation, route = "videos.sing", "/videos/sing"
        ...     song: str = body("song", Text(200), required=True)
        >>> Sing(song="La").song
        'La'
    """

    method = "POST"
    safety = Safety.PAID
    email_in: ClassVar[EmailIn] = "body"
    starts_task = True
    evidence: ClassVar[Evidence | None] = TaskEvidence()
    where_to_look: ClassVar[str | None] = "kling.scheduler.running() and kling.tasks.list()"

    max_jobs: int | None = body("maxJobs", Integer(1, MAX_JOBS))
    reply_url: str | None = unlogged("replyUrl", Url())  # its path may be a receiver's secret
    reply_ref: str | None = unlogged("replyRef", Text())

    def started_task(self, result: Task) -> int:
        """The task's id."""
        return result.id

    def finished_tasks(self, result: Task) -> Iterable[int]:
        """The task, should it be final already."""
        return (result.id,) if result.is_final else ()

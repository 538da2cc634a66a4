"""What does useapi.net keep track of? The jobs that this token started, for up to an hour.

Source: `GET /scheduler`, `GET /scheduler/available`, `DELETE /scheduler/{task_id}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import ClassVar

from attrs import field, frozen

from ..errors import JSON
from .fields import path
from .requests import DeleteRequest, EmailIn, GetRequest
from .responses import Model, named
from .tasks import TASK_ID, AnyTask, HasTaskId


@frozen(kw_only=True)
class RunningTask(Model, HasTaskId):
    """A job that is tracked. `reply_ref` is what its create was given to find it again by.

    `started` is an ISO 8601 time, `elapsed` minutes and seconds ("02:05"), as the server says them.
    """

    id: int
    email: str | None = None
    started: str | None = None
    elapsed: str | None = None
    reply_url: str | None = field(default=None, repr=False)  # may hold a receiver's secret path
    reply_ref: str | None = None

    @property
    def elapsed_s(self) -> float | None:
        """How long it has been running, in seconds; None where the server does not say."""
        found = re.fullmatch(r"(?:(\d+):)?(\d+):(\d\d)", self.elapsed or "")
        if found is None:
            return None
        hours, minutes, seconds = (float(part or 0) for part in found.groups())
        return (hours * 60 + minutes) * 60 + seconds


@frozen(kw_only=True)
class AccountSlots(Model):
    """The job slots of an account: how many it has, how many are taken, how many are free."""

    email: str
    max_jobs: int | None = None
    executing: int | None = None
    available: int | None = None


@frozen(kw_only=True)
class Availability(Model):
    """The running jobs of all accounts, and the places that are free."""

    executing: tuple[RunningTask, ...] = ()
    available: tuple[AccountSlots, ...] = named("available")


@frozen(kw_only=True)
class ForgottenTask(Model):
    """The server no longer tracks the task; the job itself goes on."""


@frozen(kw_only=True)
class ListRunning(GetRequest[list[RunningTask]]):
    """The jobs started with this token that are tracked now, of all accounts.

    Source: `GET /scheduler`.

    Examples:
        >>> jobs = [one.task_id for one in await kling.scheduler.running()]
    """

    operation = "scheduler.running"
    route = "/scheduler"
    email_in: ClassVar[EmailIn] = "nowhere"

    def decode(self, body: JSON) -> list[RunningTask]:
        """Each job; an entry without an id is left out: nothing can be asked of it."""
        if not isinstance(body, list):
            raise ValueError(f"an array was expected, not {type(body).__name__}")
        return [
            RunningTask.from_api(one)
            for one in body
            if not isinstance(one, Mapping) or one.get("id") is not None
        ]


@frozen(kw_only=True)
class GetAvailable(GetRequest[Availability]):
    """The free job slots of every account, and what runs now.

    Source: `GET /scheduler/available`.

    Examples:
        >>> free = await kling.scheduler.available()
    """

    operation = "scheduler.available"
    email_in: ClassVar[EmailIn] = "nowhere"


@frozen(kw_only=True)
class ForgetTask(DeleteRequest[ForgottenTask]):
    """Stop tracking a task. This does NOT cancel it: it runs on and is charged.

    Args:
        task_id: a number, its digits, or a result that has it.

    Source: `DELETE /scheduler/{task_id}`.
    """

    operation = "scheduler.forget"
    route = "/scheduler/{task_id}"
    email_in: ClassVar[EmailIn] = "nowhere"
    accepts_text = True  # the page prints a line of confirmation

    task_id: AnyTask | None = path("task_id", TASK_ID)

    def finished_tasks(self, result: ForgottenTask) -> Iterable[int]:
        """What is not tracked takes no place."""
        return (self.task_id,) if isinstance(self.task_id, int) else ()

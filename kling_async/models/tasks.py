"""Which jobs are at Kling, and what came of them? One type, `Task`, wherever the API speaks of one.

Source: `GET /tasks`, `GET /tasks/{task_id}`, `DELETE /tasks/{task_id}`, the replies of generation
calls, and the bodies of webhooks (vendor pages, April 2025 to January 2026).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar, Literal, get_args

from attrs import frozen

from ..errors import JSON
from .checks import Integer, OneOf
from .fields import path, query
from .requests import DeleteRequest, GetRequest
from .responses import Model, moment, named

ContentType = Literal["video", "image", "audio"]
CONTENT_TYPES: tuple[str, ...] = get_args(ContentType)
SUCCEED = "succeed"  # so spelled by the API
_ENDS = (SUCCEED, "failed")  # the names of the end where the flag is missing
_STATUS_SUCCEED = 99  # next to 5, submitted, the only number that is documented
_STATE = ("status", "status_name", "status_final")


@frozen(kw_only=True)
class HasStatus(Model):
    """Something with a state. Names are open: ask `is_final`, `succeeded` and `failed`.

    `status_name` is submitted, processing, succeed or failed as far as is documented; `status` a
    number of which only 5 (submitted) and 99 (succeed) are.
    """

    status: int | None = None
    status_name: str | None = named("status_name", default=None)
    status_final: bool | None = named("status_final", default=None)

    @property
    def is_final(self) -> bool:
        """Whether it is over: the server's own flag; where that is missing, its name, or 99."""
        return _is_over(self)

    @property
    def succeeded(self) -> bool:
        """Whether it is over and went well."""
        return _went_well(self)

    @property
    def failed(self) -> bool:
        """Whether it is over and anything but well."""
        return self.is_final and not self.succeeded


def _is_over(one: HasStatus) -> bool:
    if one.status_final is not None:
        return one.status_final
    return one.status_name in _ENDS or one.status == _STATUS_SUCCEED


def _went_well(one: HasStatus) -> bool:
    if one.status_name is None:
        return _is_over(one) and one.status == _STATUS_SUCCEED
    return _is_over(one) and one.status_name == SUCCEED


class HasTaskId:
    """Results whose `id` is a task's, so that they may stand for it."""

    __slots__ = ()


@frozen(kw_only=True)
class WorkResource(Model):
    """A file at Kling: its address, pixels and, for video and audio, length."""

    url: str | None = named("resource", default=None)
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = named("duration", default=None)


@frozen(kw_only=True)
class Work(HasStatus):
    """One result of a task. `resource` is its file, with Kling's watermark.

    `kling.assets.download_link(work)` gives the clean one (paid Kling plans).
    """

    work_id: int
    task_id: int | None = None
    type: str | None = None
    content_type: str | None = None
    resource: WorkResource | None = None
    cover: WorkResource | None = None
    create_time_ms: int | None = named("createTime", default=None)

    @property
    def url(self) -> str | None:
        """Where its file is; how long the address works is unknown, so fetch it soon."""
        return None if self.resource is None else self.resource.url or None


@frozen(kw_only=True)
class TaskInput(Model):
    """A file that went into a task."""

    name: str | None = None
    input_type: str | None = None
    url: str | None = None
    from_work_id: int | None = None
    from_upload_id: int | None = None


@frozen(kw_only=True)
class TaskArgument(Model):
    """A setting of a task, as Kling names it."""

    name: str | None = None
    value: str | None = None


@frozen(kw_only=True)
class Task(HasStatus, HasTaskId):
    """A job: `id`, its state, and its `works` once it has some.

    The API nests it in several ways; here it is flat. What it says of the whole record counts
    before what its inner `task` says. A listed task may say nothing of its own state; then its
    works do, and `kling.tasks.get(task)` knows for certain. The unit of `eta_time` is unknown.
    """

    nested: ClassVar[tuple[str, ...]] = ("works",)

    id: int
    type: str | None = None
    scene: str | None = None
    user_id: int | None = None
    message: str | None = None
    error: str | None = None
    works: tuple[Work, ...] = ()
    inputs: tuple[TaskInput, ...] = ()
    arguments: tuple[TaskArgument, ...] = ()
    create_time_ms: int | None = named("createTime", default=None)
    update_time_ms: int | None = named("updateTime", default=None)
    eta_time: float | None = None
    eta_time_over_sla: bool | None = None
    queuing_eta_time: float | None = None
    favored: bool | None = None

    @property
    def is_final(self) -> bool:
        """Whether it is over: what the record says; where it says nothing, what its works say."""
        if self._says_nothing:
            return bool(self.works) and all(one.is_final for one in self.works)
        return _is_over(self)

    @property
    def succeeded(self) -> bool:
        """Whether it is over and went well."""
        if self._says_nothing:
            return bool(self.works) and all(one.succeeded for one in self.works)
        return _went_well(self)

    @property
    def reason(self) -> str | None:
        """Why it failed, in the server's words. `error` is meant; `message` may mislead."""
        told: Any = self.error or self.extra.get("error")
        if isinstance(told, Mapping):
            told = told.get("message") or told.get("status")
        return told if told and isinstance(told, str) else self.message or None

    @property
    def created_at(self) -> datetime | None:
        """When it was made, in UTC by Kling's clock."""
        return moment(self.create_time_ms)

    @property
    def _says_nothing(self) -> bool:
        return (self.status, self.status_name, self.status_final) == (None, None, None)

    @classmethod
    def _flattened(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        flat = dict(value)
        # One state, never a mix of two: a record's own counts before its inner task's.
        states = () if any(flat.get(name) is not None for name in _STATE) else _STATE
        _hoist(flat, "task", (*_OF_TASK, *states))
        _hoist(flat, "taskInfo", ("inputs", "arguments"))
        if isinstance(flat.get("status"), str) and flat.get("status_name") is None:
            flat["status_name"] = flat.pop("status")  # the form of April 2025
        if flat.get("createTime") is None and "created" in flat:
            flat["createTime"] = flat.pop("created")  # likewise
        if flat.get("id") is None and (found := _task_id_of_works(flat)) is not None:
            flat["id"] = found
        return flat


_OF_TASK = ("id", "userId", "type", "scene", "createTime", "updateTime", "favored", "taskInfo")


def _hoist(flat: dict[str, Any], inner: str, names: tuple[str, ...]) -> None:
    """Move fields of `flat[inner]` up where `flat` has none; what stays there stays there."""
    found = flat.get(inner)
    if not isinstance(found, Mapping):
        return
    rest = dict(found)
    for name in names:
        if flat.get(name) is None and rest.get(name) is not None:
            flat[name] = rest.pop(name)
    if rest:
        flat[inner] = rest
    else:
        del flat[inner]


def _task_id_of_works(flat: Mapping[str, Any]) -> Any:
    works = flat.get("works")
    first = works[0] if isinstance(works, list) and works else None
    return first.get("taskId") if isinstance(first, Mapping) else None


def tasks_of(history: JSON) -> Iterator[Task]:
    """The tasks of a history; an entry without any id is left out: nothing can be asked of it."""
    if not isinstance(history, list):
        raise ValueError("an array 'history' was expected")
    for entry in history:
        try:
            yield Task.from_api(entry)
        except ValueError:
            if not isinstance(entry, Mapping) or Task._flattened(entry).get("id") is not None:
                raise


AnyTask = int | str | HasTaskId
"""A task by its id, a number or its digits, or by a result that has one."""
TASK_ID = Integer(1, of=HasTaskId)


@frozen(kw_only=True)
class GetTask(GetRequest[Task]):
    """The state of one task, and its works.

    Args:
        task_id: a number, its digits, or a result that has it.

    Source: `GET /tasks/{task_id}`.
    """

    operation = "tasks.get"
    route = "/tasks/{task_id}"

    task_id: AnyTask | None = path("task_id", TASK_ID)

    def decode(self, body: JSON) -> Task:
        """The record; it is known whose it is, so a missing id is filled in."""
        if isinstance(body, Mapping) and Task._flattened(body).get("id") is None:
            body = {**body, "id": self.task_id}
        return Task.from_api(body)

    def finished_tasks(self, result: Task) -> Iterable[int]:
        """The task, where it is final."""
        return (result.id,) if result.is_final else ()

    def missing_task(self) -> int | None:
        """404 means deleted, failed at moderation, or out of credits."""
        return self.task_id if isinstance(self.task_id, int) else None


@frozen(kw_only=True)
class ListTasks(GetRequest[list[Task]]):
    """The latest tasks of an account, newest first, those made on Kling's site included.

    Args:
        page_size: how many; the server's default and most are unknown.
        content_type: "video", "image" or "audio".
        created_before_ms: only older ones, epoch milliseconds. Not with `created_after_ms`.
        created_after_ms: only newer ones.

    Source: `GET /tasks`.

    Examples:
        >>> newest = await kling.tasks.list(page_size=10)
    """

    operation = "tasks.list"
    route = "/tasks"

    page_size: int | None = query("pageSize", Integer(1))
    content_type: ContentType | None = query("contentType", OneOf(CONTENT_TYPES))
    created_before_ms: int | None = query("createdBefore", Integer(0))
    created_after_ms: int | None = query("createdAfter", Integer(0))

    def cross_problems(self) -> dict[str, str]:
        """The two ends of time exclude each other."""
        if self.created_before_ms is not None and self.created_after_ms is not None:
            return {"created_after_ms": "excludes created_before_ms: the API takes one of them"}
        return {}

    def decode(self, body: JSON) -> list[Task]:
        """The tasks in the server's order."""
        if not isinstance(body, Mapping):
            raise ValueError("an object with 'history' was expected")
        return list(tasks_of(body.get("history")))

    def finished_tasks(self, result: list[Task]) -> Iterable[int]:
        """The final ones."""
        return [one.id for one in result if one.is_final]


@frozen(kw_only=True)
class DeletedTask(Model):
    """A delete that worked. What the number `deleted` counts is unknown."""

    deleted: int | None = None
    work_ids: tuple[int, ...] = ()


@frozen(kw_only=True)
class DeleteTask(DeleteRequest[DeletedTask]):
    """Delete a finished task with all its works, for good.

    Args:
        task_id: a number, its digits, or a result that has it.

    Source: `DELETE /tasks/{task_id}`.
    """

    operation = "tasks.delete"
    route = "/tasks/{task_id}"

    task_id: AnyTask | None = path("task_id", TASK_ID)

    def finished_tasks(self, result: DeletedTask) -> Iterable[int]:
        """Only a finished task can be deleted."""
        return (self.task_id,) if isinstance(self.task_id, int) else ()

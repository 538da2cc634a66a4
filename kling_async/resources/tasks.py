"""`kling.tasks`: jobs and their results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import List  # noqa: UP035  (the class has a method named list)

from ..errors import JSON
from ..models.scheduler import RunningTask
from ..models.tasks import (
    ContentType,
    DeletedTask,
    DeleteTask,
    GetTask,
    ListTasks,
    Task,
)
from .base import Resource, account_of

AnyTask = int | str | Task | RunningTask
"""A task by its id, a number or its digits, or by a result that has one."""


class Tasks(Resource):
    """The jobs of your Kling accounts, those made on Kling's site included."""

    async def get(
        self,
        task: AnyTask,
        *,
        email: str | None = None,
        extra: Mapping[str, JSON] | None = None,
    ) -> Task:
        """The task as it is now: its state, and its works once it has some.

        Args:
            task: an id, or a result that has one.
            email: the Kling account; default: the result's own, else chosen by the registry.
            extra: query fields newer than this library.

        Raises:
            NotFoundError: there is no such task, or none yet: right after a create it may not show;
                later it may also mean that moderation refused it, or that credits ran out.

        Source: `GET /tasks/{task_id}`.
        """
        request = GetTask(task_id=id_of(task), email=email or account_of(task), extra=extra)
        return await self._pipeline.send(request, self._options)

    async def list(
        self,
        *,
        page_size: int | None = None,
        content_type: ContentType | None = None,
        created_before_ms: int | None = None,
        created_after_ms: int | None = None,
        email: str | None = None,
        extra: Mapping[str, JSON] | None = None,
    ) -> List[Task]:  # noqa: UP006
        """The latest tasks of an account, newest first. A listed task may tell less than `get`.

        Args:
            page_size: how many, from 1; the server's default and most are unknown.
            content_type: "video", "image" or "audio"; default: all.
            created_before_ms: only older ones, epoch milliseconds; the last task's `create_time_ms`
                gives the next page. Not together with `created_after_ms`.
            created_after_ms: only newer ones, epoch milliseconds.
            email: the Kling account; default: chosen by the registry.
            extra: query fields newer than this library.

        Source: `GET /tasks`.
        """
        request = ListTasks(
            page_size=page_size,
            content_type=content_type,
            created_before_ms=created_before_ms,
            created_after_ms=created_after_ms,
            email=email,
            extra=extra,
        )
        return await self._pipeline.send(request, self._options)

    async def delete(
        self,
        task: AnyTask,
        *,
        email: str | None = None,
        extra: Mapping[str, JSON] | None = None,
    ) -> DeletedTask:
        """Delete a finished task and all its works, for good.

        Args:
            task: an id, or a result that has one.
            email: the Kling account; default: the result's own, else chosen by the registry.
            extra: query fields newer than this library.

        Raises:
            NotFoundError: it has no works: unknown, or nothing was made yet (and no earlier attempt
                of this call deleted it).

        Source: `DELETE /tasks/{task_id}`.
        """
        request = DeleteTask(task_id=id_of(task), email=email or account_of(task), extra=extra)
        return await self._pipeline.send(request, self._options)


def id_of(task: AnyTask) -> int | str:
    """The id of a task, however it is given."""
    return task.id if isinstance(task, (Task, RunningTask)) else task

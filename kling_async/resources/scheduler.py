"""Which jobs run, and where is room for more? `kling.scheduler`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..errors import JSON
from ..models.scheduler import ForgetTask, ForgottenTask, GetAvailable, ListRunning
from ..models.tasks import AnyTask
from .base import Resource, operation


class Scheduler(Resource):
    """What useapi.net keeps track of, for up to an hour: the jobs started with this token.

    It is about all accounts at once, so its calls take no `email=`.
    """

    running: Final = operation(ListRunning)
    available: Final = operation(GetAvailable)

    async def forget(
        self, task: AnyTask, *, extra: Mapping[str, JSON] | None = None
    ) -> ForgottenTask:
        """Stop tracking a task: its job slot becomes free, and its webhook is called no more.

        This does NOT cancel the job. It runs on at Kling, is charged in full, and `tasks.get` still
        shows it. The API has no way to cancel.

        Args:
            task: an id, or a result that has one.
            extra: query fields newer than this library.

        Raises:
            NotFoundError: it is not tracked (and no earlier attempt of this call ended that).

        Source: `DELETE /scheduler/{task_id}`.

        Examples:
            >>> task = await kling.videos.text2video(prompt="A kite")
            >>> forgotten = await kling.scheduler.forget(task)
        """
        request = ForgetTask(task_id=task, extra=extra)
        return await self._pipeline.send(request, self._options)

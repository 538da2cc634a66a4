"""How do jobs and their results come into reach? `kling.tasks`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Final, List  # noqa: UP035  (the class has a method named list)

from .. import settings
from .._calls.pipeline import Options, Pipeline
from .._polling.history import pages
from .._polling.waiter import TaskWaiter
from .._polling.watched import PollSchedule
from ..errors import JSON
from ..models.history import is_between
from ..models.scheduler import RunningTask
from ..models.tasks import (
    TASK_ID,
    AnyTask,
    ContentType,
    DeletedTask,
    DeleteTask,
    GetTask,
    ListTasks,
    Task,
)
from .base import Resource, account_of, operation


class Tasks(Resource):
    """The jobs of your Kling accounts, those made on Kling's site included."""

    def __init__(self, pipeline: Pipeline, options: Options, waiting: TaskWaiter) -> None:
        super().__init__(pipeline, options)
        self._waiting = waiting

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

        Examples:
            >>> now = await kling.tasks.get(task)
        """
        return await self._sent(GetTask, task_id=task, email=email, extra=extra)

    list: Final = operation(ListTasks)

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

        Examples:
            >>> gone = await kling.tasks.delete(task)
        """
        return await self._sent(DeleteTask, task_id=task, email=email, extra=extra)

    async def wait(
        self,
        task: AnyTask,
        *,
        deadline_s: float | None = settings.WAIT_WITHIN_S,
        poll: PollSchedule = PollSchedule(),
        email: str | None = None,
    ) -> Task:
        """The task once it has succeeded; its `works` are the results.

        It is over when the server says so; states this library does not know are waited through.
        Trouble on the way (lost answers, 5xx, 429) does not end the waiting. Neither does a 404:
        the scheduler and the account's history are asked, and the job is given up when all three
        have shown nothing of it for two minutes; a mere id that none of them ever showed, after 15
        seconds (both at the next look, so up to 20 s later). Thousands may wait at once: one poller
        per account serves them all, by the account's history where many tasks are due.

        Args:
            task: an id, or a result that has one.
            deadline_s: seconds until it is given up; default 3600. None: never. The job goes on at
                Kling, whatever happens here.
            poll: when to look; default after 2, 3, 5, 8, 10, 15 s, then every 20 s.
            email: the Kling account; default: the result's own, else chosen by the registry.

        Raises:
            TaskFailedError: it is over without success; `.task` says what is known. Its kind
                `TaskModeratedError`: change the content.
            TaskNotFoundError: it shows nowhere; the text says what was asked, and what to do.
                A job that was begun may have been paid for. A `NotFoundError`.
            DeadlineExceededError: it is not over yet; `.task` is its latest state, and can be
                waited for again.
            AuthenticationError, SubscriptionError, AccountBrokenError: nothing can be read.
            ConfigurationError: the client was closed meanwhile.

        Source: `GET /tasks/{task_id}`, `GET /tasks`, `GET /scheduler`.

        Examples:
            >>> done = await kling.tasks.wait(task, deadline_s=900)
        """
        states = self.watch(task, deadline_s=deadline_s, poll=poll, email=email)
        return await self._waiting.wait(states)

    def watch(
        self,
        task: AnyTask,
        *,
        deadline_s: float | None = settings.WAIT_WITHIN_S,
        poll: PollSchedule = PollSchedule(),
        email: str | None = None,
    ) -> AsyncGenerator[Task, None]:
        """Each state of the task as it changes, the final one last; for `async for`.

        A job that failed ends the loop, too: see `failed` of the last state. A loop that is left
        early ends the looks; wrap it in `contextlib.aclosing` to have that happen at once.

        Args:
            task: an id, or a result that has one.
            deadline_s: seconds until it is given up; default 3600. None: never.
            poll: when to look; see `wait`.
            email: the Kling account; default: the result's own, else chosen by the registry.

        Raises:
            DeadlineExceededError: it is not over yet; `.task` is its latest state.
            TaskNotFoundError: it shows nowhere; see `wait`.

        Source: `GET /tasks/{task_id}`, `GET /tasks`, `GET /scheduler`.

        Examples:
            >>> async for update in kling.tasks.watch(task):
            ...     print(update.status_name)
            succeed
        """
        return self._waiting.watch(
            TASK_ID.convert(task),
            task if isinstance(task, Task) else None,
            self._options,
            email=email or account_of(task),
            poll=poll,
            deadline_s=deadline_s,
            begun=isinstance(task, (Task, RunningTask)),
        )

    def hint(self, task_id: int) -> bool:
        """Have a task read now, because somebody says that it moved on (a webhook does).

        False where nobody waits for it; then nothing is done. Call it on the client's event loop.

        Args:
            task_id: its number.

        Examples:
            >>> kling.tasks.hint(4711)
            False
        """
        return self._waiting.hint(task_id)

    async def iter(
        self,
        *,
        content_type: ContentType | None = None,
        created_before_ms: int | None = None,
        created_after_ms: int | None = None,
        page_size: int | None = None,
        email: str | None = None,
        extra: Mapping[str, JSON] | None = None,
    ) -> AsyncGenerator[Task, None]:
        """All tasks of an account, newest first, page by page: `async for task in tasks.iter()`.

        None is missed and none comes twice, also where several were made in one millisecond, as
        long as those fit on one page. Tasks that are made meanwhile are not among them.

        Args:
            content_type: "video", "image" or "audio"; default: all.
            created_before_ms: only older ones, epoch milliseconds by Kling's clock.
            created_after_ms: only newer ones. Both together are allowed here.
            page_size: tasks per request, from 1; the server's default and most are unknown.
            email: the Kling account; default: chosen by the registry.
            extra: query fields newer than this library.

        Raises:
            UnexpectedResponseError: the server shows the same tasks again and again.

        Source: `GET /tasks`.

        Examples:
            >>> async for one in kling.tasks.iter(content_type="video"):
            ...     print(one.status_name)
            succeed
        """
        account = self._pipeline.accounts.choose(email)  # one for all pages

        async def ask(listing: ListTasks) -> List[Task]:  # noqa: UP006
            return await self._pipeline.send(listing, self._options)

        newest = ListTasks(
            page_size=page_size,
            content_type=content_type,
            created_before_ms=created_before_ms,
            email=account,
            extra=extra,
        )
        async with aclosing(pages(ask, newest, created_after_ms)) as history:
            async for page in history:
                for one in page:
                    if is_between(one, created_after_ms, created_before_ms):
                        yield one

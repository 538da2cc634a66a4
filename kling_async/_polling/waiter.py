"""How is a job waited for? Looks at it until the server says that it is over, or time is up.

`kling.tasks` asks; `polling.py` decides when to look. Callbacks only make it look sooner
(`TaskWaiter.hint`): what a caller gets has always been read from the API.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from attrs import evolve

from .. import settings
from .._calls.pipeline import Options, Pipeline
from .._transport.protocol import speaks_of_moderation
from ..aio import invalid_deadline, time_limit
from ..clock import Clock
from ..errors import (
    CallContext,
    ConfigurationError,
    DeadlineExceededError,
    InvalidRequestError,
    KlingError,
    NotFoundError,
    TaskFailedError,
    TaskModeratedError,
)
from ..models.tasks import GetTask, Task
from .poller import Poller
from .watched import Listener, PollSchedule, WatchedTask


class TaskWaiter:
    """All waiting of one client and its views: a poller for each account that is waited on.

    Args:
        pipeline: reads tasks, and chooses accounts.
        clock: sleeps and tells the time.
    """

    def __init__(self, pipeline: Pipeline, clock: Clock) -> None:
        self._pipeline = pipeline
        self._clock = clock
        self._pollers: dict[str | None, Poller] = {}
        self._closed = False

    async def wait(
        self,
        task_id: int | str,
        given: Task | None,
        options: Options,
        *,
        email: str | None,
        poll: PollSchedule,
        deadline_s: float | None,
    ) -> Task:
        """See `Tasks.wait`."""
        last: Task | None = None
        states = self.watch(task_id, given, options, email=email, poll=poll, deadline_s=deadline_s)
        async with aclosing(states):
            async for state in states:
                last = state
        assert last is not None  # the last one is final, or watch raises
        if last.failed:
            raise _failed(last)
        return last

    async def watch(
        self,
        task_id: int | str,
        given: Task | None,
        options: Options,
        *,
        email: str | None,
        poll: PollSchedule,
        deadline_s: float | None,
    ) -> AsyncGenerator[Task, None]:
        """See `Tasks.watch`."""
        if (problem := invalid_deadline(deadline_s)) is not None:
            raise InvalidRequestError("Waiting", {"deadline_s": problem})
        request = GetTask(task_id=task_id, email=self._pipeline.accounts.choose(email))
        if self._closed:
            raise ConfigurationError("this client is closed; make a new one. Nothing was sent")
        loop = asyncio.get_running_loop()
        until = None if deadline_s is None else loop.time() + deadline_s
        poller = self._pollers.get(request.email)
        if poller is None:
            poller = self._pollers[request.email] = Poller(
                request.email, self._pipeline, self._clock
            )
        listener = Listener()
        watched = poller.listen(
            request.missing_task() or 0,  # the request has checked it
            listener,
            given=given,
            # A new job takes a while; of one that may be old, or over, nothing is known.
            at_once=given is None or given.is_final,
            poll=poll,
            options=evolve(
                options,
                retry=evolve(options.retry, attempts=1),  # the next look is the next attempt
                deadline_s=settings.LOOK_WITHIN_S,
            ),
        )

        def expired() -> KlingError:
            what, then = "over", "it goes on at Kling"
            if watched.missing and watched.latest is None:
                what, then = (
                    "found",
                    "a new one may not show at once; another account's needs email=",
                )
            return DeadlineExceededError(
                f"task {watched.task_id} was not {what} within {deadline_s:g} s; {then}",
                task=watched.latest or watched.given,
                context=self._context(watched, request),
            )

        try:
            while True:
                left_s = None if until is None else until - loop.time()
                try:
                    async with time_limit(left_s, expired):
                        state = await listener.next()
                except NotFoundError as exc:
                    raise _gone(watched, exc) from exc
                yield state
                if state.is_final:
                    return
        finally:
            poller.leave(watched, listener)

    def hint(self, task_id: int) -> bool:
        """Look at a task now; False where nobody waits for it, and nothing is done."""
        told = [poller.hint(task_id) for poller in self._pollers.values()]
        return any(told)

    async def aclose(self) -> None:
        """End all waiting; who waits gets a ConfigurationError."""
        self._closed = True
        pollers = tuple(self._pollers.values())
        await asyncio.gather(*(poller.aclose(_closed) for poller in pollers))

    def _context(self, watched: WatchedTask, request: GetTask) -> CallContext:
        spent_s = self._clock.monotonic() - watched.began_s
        looks = max(watched.looks, 0)
        return CallContext(request.method, request.route, request.email, looks, spent_s)


def _failed(task: Task) -> TaskFailedError:
    reason = task.reason or ""
    said = "".join(one or "" for one in (task.error, task.message, reason) if isinstance(one, str))
    moderated = speaks_of_moderation(said)
    meta = task.meta
    spent = (meta.account, meta.attempts, meta.elapsed_s)
    return (TaskModeratedError if moderated else TaskFailedError)(
        f"task {task.id} ended as {task.status_name or task.status}"
        + (f": {reason[:500]}" if reason else "; the server gives no reason")
        + (" (its content was refused by moderation: change it)" if moderated else ""),
        task=task,
        context=CallContext(GetTask.method, GetTask.route, *spent),
    )


def _gone(watched: WatchedTask, error: NotFoundError) -> KlingError:
    """What a lasting 404 means. The reference knows three meanings, and no way to tell them."""
    if (watched.latest or watched.given) is None:
        return error  # nobody has ever seen it: a wrong id, or another account's
    return TaskFailedError(
        f"task {watched.task_id} is not there any more: it failed at moderation, was deleted, or "
        f"its account ran out of credits",
        task=watched.latest or watched.given,
        context=error.context,
    )


def _closed(watched: WatchedTask) -> KlingError:
    return ConfigurationError(
        f"the client was closed while task {watched.task_id} was waited for; it goes on at Kling, "
        f"and can be waited for again"
    )

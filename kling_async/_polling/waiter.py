"""How is a job waited for? Looks at it until the server says that it is over, or time is up.

`kling.tasks` asks; `poller.py` decides when to look. Callbacks only make it look sooner
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
    TaskNotFoundError,
)
from ..models.tasks import GetTask, Task
from .ends import Ends
from .missing import scheduler_look
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
        self._scheduler = scheduler_look(pipeline)
        self._ends = Ends(self._scheduler, clock)
        self._pollers: dict[str | None, Poller] = {}
        self._closed = False

    async def wait(self, states: AsyncGenerator[Task, None]) -> Task:
        """The last of what `watch` gives; see `Tasks.wait`."""
        last: Task | None = None
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
        begun: bool = False,
        follow: bool = False,
    ) -> AsyncGenerator[Task, None]:
        """See `Tasks.watch`.

        `begun`: its job was certainly started, also where `given` is None. `follow`: by looks at
        the scheduler, which serve all accounts, as long as those list it; see `ends.py`.
        """
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
                request.email, self._pipeline, self._scheduler, self._ends, self._clock
            )
        listener = Listener()
        watched = poller.listen(
            request.missing_task() or 0,  # the request has checked it
            listener,
            given=given,
            begun=begun or given is not None,
            # A new job takes a while; of one that may be old, or over, nothing is known.
            at_once=given is None or given.is_final,
            follow=follow,
            poll=poll,
            options=evolve(
                options,
                retry=evolve(options.retry, attempts=1),  # the next look is the next attempt
                deadline_s=settings.LOOK_WITHIN_S,
            ),
        )

        def expired() -> KlingError:
            return DeadlineExceededError(
                _out_of_time(watched, deadline_s or 0.0),
                task=watched.known,
                context=self._context(watched, request),
            )

        async def next_state() -> Task:
            """The next news; a last look is had in time for its answer to come."""
            if until is not None and deadline_s is not None:
                limit = asyncio.timeout_at(until - min(settings.LAST_LOOK_S, deadline_s / 10))
                try:
                    async with limit:
                        return await listener.next()
                except TimeoutError as exc:
                    if not limit.expired() or isinstance(exc, KlingError):
                        raise  # not ours
                    poller.hint(watched.task_id)
            left_s = None if until is None else until - loop.time()
            async with time_limit(left_s, expired):
                return await listener.next()

        try:
            while True:
                try:
                    state = await next_state()
                except NotFoundError as exc:
                    raise self._gone(watched, request, exc) from exc
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
        await self._ends.aclose()
        pollers = tuple(self._pollers.values())
        await asyncio.gather(*(poller.aclose(_closed) for poller in pollers))

    def _gone(
        self, watched: WatchedTask, request: GetTask, error: NotFoundError
    ) -> TaskNotFoundError:
        """The error for a task that shows nowhere, to one of those who wait for it."""
        return TaskNotFoundError(
            _nowhere(watched, request.email, self._clock.monotonic()),
            task=watched.known,
            status_code=error.status_code,
            message=error.message,
            code=error.code,
            body=error.body,
            context=self._context(watched, request),
        )

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


def _nowhere(watched: WatchedTask, account: str | None, now_s: float) -> str:
    """What was asked for a task that shows nowhere, and what to do now."""
    search, unseen_s = watched.search, now_s - watched.unseen_since_s
    asked = f"GET /tasks/{{id}} has answered 404 for {unseen_s:.0f} s, {search}"
    if search is not None and search.elsewhere is not None:
        remedy = f"it is another account's: pass email={search.elsewhere!r}"
    elif watched.begun:
        remedy = (
            "it failed at moderation, was deleted, its account ran out of credits, or the server "
            "lost sight of it. It may have been made and paid for: look at kling.tasks.list() and "
            "at Kling's own page before you make it again"
        )
    else:
        whose = "the account that the server chooses" if account is None else account
        remedy = f"check the id; a task that is not of {whose} needs email="
    return f"task {watched.task_id} is nowhere to be found: {asked}; {remedy}"


def _out_of_time(watched: WatchedTask, deadline_s: float) -> str:
    """What is said when the caller's time is up."""
    task, within = f"task {watched.task_id}", f"within {deadline_s:g} s"
    if not watched.missing or watched.search is None:
        return f"{task} was not over {within}; it goes on at Kling"
    asked = f"GET /tasks/{{id}} answers 404, {watched.search}"
    if watched.search.shows_it or watched.latest is not None:
        return f"{task} was not over {within}: {asked}; wait for it again"
    if watched.begun:
        return f"{task} was not found {within}: {asked}; wait for it again before you make another"
    return (
        f"{task} was not found {within}; {asked}. A new one may not show at once; another "
        "account's needs email="
    )


def _closed(watched: WatchedTask) -> KlingError:
    return ConfigurationError(
        f"the client was closed while task {watched.task_id} was waited for; it goes on at Kling, "
        f"and can be waited for again"
    )

"""Where is a task that `GET /tasks/{id}` does not know? The scheduler and the history are asked.

That 404 means deleted, failed at moderation, out of credits, another account's, or nothing at all:
it has come for seconds while the job ran and was paid for. So it ends no wait by itself; what is
made of these answers says `WatchedTask.is_gone`. One search serves all tasks that are missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Generic, TypeVar

from attrs import frozen

from .. import settings
from .._calls.pipeline import Options, Pipeline
from .._calls.retry import RetryPolicy
from ..errors import KlingError
from ..models.history import made_ms
from ..models.scheduler import ListRunning, RunningTask
from ..models.tasks import ListTasks, Task
from .history import pages
from .watched import Search, WatchedTask

R = TypeVar("R")
_ONCE = Options(RetryPolicy(attempts=1), settings.LOOK_WITHIN_S)


class SharedLook(Generic[R]):
    """One look serves all who ask for it before it begins.

    Args:
        look: looks; returns what there is, or that it can't be seen, and raises nothing of ours.
    """

    def __init__(self, look: Callable[[], Awaitable[R]]) -> None:
        self._look = look
        self._lock = asyncio.Lock()
        self._begun = 0
        self._result: R | None = None

    async def result(self) -> R:
        """What a look shows that began after this call."""
        begun_before = self._begun
        async with self._lock:
            if self._begun == begun_before or self._result is None:
                self._begun += 1
                self._result = None
                self._result = await self._look()
            return self._result


@frozen
class Running:
    """What the scheduler lists, by id; `read`: whether it could be asked."""

    read: bool
    tasks: Mapping[int, RunningTask]


@frozen
class _Shown:
    """What one search showed of all the tasks that were missing then."""

    running: Running
    history_read: bool
    listed: Mapping[int, Task]
    pages: int


def scheduler_look(pipeline: Pipeline) -> SharedLook[Running]:
    """Looks at the scheduler, for the pollers of all accounts: it lists the jobs of all."""

    async def look() -> Running:
        try:
            running = await pipeline.send(ListRunning(), _ONCE)
        except KlingError:
            return Running(False, {})
        return Running(True, {one.id: one for one in running})

    return SharedLook(look)


class MissingTasks:
    """Searches for the missing tasks of one account.

    Args:
        account: whose tasks; None where the server decides.
        pipeline: sends.
        scheduler: of the client.
    """

    def __init__(
        self, account: str | None, pipeline: Pipeline, scheduler: SharedLook[Running]
    ) -> None:
        self._account = account
        self._pipeline = pipeline
        self._scheduler = scheduler
        self._sought: dict[int, WatchedTask] = {}
        self._look = SharedLook(self._search)

    async def search(self, watched: WatchedTask) -> Search:
        """What the scheduler and the history show of the task now."""
        task_id = watched.task_id
        self._sought[task_id] = watched
        try:
            shown = await self._look.result()
        finally:
            self._sought.pop(task_id, None)
        running = shown.running.tasks.get(task_id)
        elsewhere = None if running is None or self._is_ours(running) else running.email
        return Search(
            running=running if elsewhere is None else None,
            elsewhere=elsewhere,
            listed=shown.listed.get(task_id),
            pages=shown.pages,
            scheduler_read=shown.running.read,
            history_read=shown.history_read,
        )

    def _is_ours(self, running: RunningTask) -> bool:
        if running.email is None or self._account is None:
            return True  # nobody says otherwise
        return running.email.casefold() == self._account.casefold()

    async def _search(self) -> _Shown:
        sought = dict(self._sought)
        running = await self._scheduler.result()
        listed, read_pages, history_read = await self._listed(sought)
        return _Shown(running, history_read, listed, read_pages)

    async def _listed(
        self, sought: Mapping[int, WatchedTask]
    ) -> tuple[Mapping[int, Task], int, bool]:
        """What the history shows of them, the number of its pages, and whether it could be read."""
        since_ms = _oldest_ms(sought.values())
        most_pages = settings.SEARCH_PAGES if since_ms is None else settings.LOOK_PAGES
        found: dict[int, Task] = {}
        read_pages = 0

        async def ask(listing: ListTasks) -> list[Task]:
            nonlocal read_pages
            page = await self._pipeline.send(listing, _ONCE)
            read_pages += 1
            return page

        try:
            async with aclosing(pages(ask, ListTasks(email=self._account), since_ms)) as history:
                async for page in history:
                    found.update((one.id, one) for one in page if one.id in sought)
                    if len(found) == len(sought) or read_pages >= most_pages:
                        break
        except KlingError:
            return found, read_pages, False
        return found, read_pages, True


def _oldest_ms(sought: Iterable[WatchedTask]) -> int | None:
    """When the oldest of them was made; None where that is not known of all."""
    oldest_ms = None
    for watched in sought:
        made = None if watched.known is None else made_ms(watched.known)
        if made is None:
            return None
        oldest_ms = made if oldest_ms is None else min(oldest_ms, made)
    return oldest_ms

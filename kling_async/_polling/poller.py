"""When is which task looked at? One poller per account, for all who wait for its tasks.

`waiter.py` puts a `Listener` on a task and takes it away; the poller runs while there is any. It
has one timer. Where many tasks are due, their account's history is asked first, and only those
that moved on are read. What listeners get is a record of `GET /tasks/{id}`; only the end of a task
that is missing there may come from the history.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import random
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing
from itertools import count
from typing import Any

from .. import settings
from .._calls.pipeline import Options, Pipeline
from ..clock import Clock
from ..errors import ConfigurationError, KlingError, NotFoundError
from ..models.tasks import GetTask, ListTasks, Task
from .ends import Ends
from .history import pages
from .missing import MissingTasks, Running, SharedLook
from .watched import (
    Listener,
    PollSchedule,
    WatchedTask,
    is_final_error,
    needs_read,
    states_progress,
)

log = logging.getLogger("kling_async")

_STALE = 100  # plans that do not hold any more, kept until so many are there
_EARLY_S = 0.02  # timers may end before their time: by 16 ms on Windows


class Poller:
    """Looks at the watched tasks of one account, for as long as there are any.

    Args:
        account: whose tasks; None where the server decides.
        pipeline: reads them.
        scheduler: shows which of them run, where they are missing.
        ends: hints at those that seem to have ended.
        clock: sleeps and tells the time.
    """

    def __init__(
        self,
        account: str | None,
        pipeline: Pipeline,
        scheduler: SharedLook[Running],
        ends: Ends,
        clock: Clock,
    ) -> None:
        self._account = account
        self._pipeline = pipeline
        self._missing = MissingTasks(account, pipeline, scheduler)
        self._ends = ends
        self._clock = clock
        self._watched: dict[int, WatchedTask] = {}
        self._due: list[tuple[float, int, WatchedTask]] = []
        self._order = count()
        self._woken = asyncio.Event()
        self._places = asyncio.Semaphore(settings.READS_AT_ONCE)
        self._work: set[asyncio.Task[None]] = set()
        self._list_from_s = 0.0
        self._run: asyncio.Task[None] | None = None

    def listen(
        self,
        task_id: int,
        listener: Listener,
        *,
        given: Task | None,
        begun: bool,
        at_once: bool,
        follow: bool,
        poll: PollSchedule,
        options: Options,
    ) -> WatchedTask:
        """Put a listener on a task; all on one task share the looks at it, by the latest schedule.

        Args:
            task_id: which.
            listener: is told its changes.
            given: what its caller knows of it.
            begun: whether its caller knows that it was started.
            at_once: look now; else after the first wait of `poll`.
            follow: its end alone is waited for, so it needs no read while the scheduler lists it.
            poll: when to look.
            options: to read it with.
        """
        now_s = self._clock.monotonic()
        due_s = now_s if at_once else now_s + poll.wait_s(0, random.random())
        found = self._watched.get(task_id)
        if found is None:
            found = self._watched[task_id] = WatchedTask(task_id, given, poll, options, now_s)
            found.looks = -1 if at_once else 0
            found.begun, found.scheduled_s, found.followed = begun, due_s, follow
            self._plan(found, due_s)
            if follow:
                kind = None if given is None else given.type
                self._ends.follow(task_id, kind, lambda: self.hint(task_id))
        else:
            found.poll, found.options = poll, options
            found.given = found.given or given
            found.begun = found.begun or begun
            found.followed = found.followed and follow
            if found.latest is not None:
                listener.tell(found.latest)
            found.scheduled_s = min(found.scheduled_s, due_s)
            if found.reading is None and due_s < found.due_s:
                self._plan(found, due_s)
        found.listeners.append(listener)
        if self._run is None or self._run.done():
            self._run = asyncio.create_task(self._look_until_nobody_waits())
            self._run.add_done_callback(self._ended)
        return found

    def leave(self, watched: WatchedTask, listener: Listener) -> None:
        """Take a listener away; nobody looks at a task without any."""
        if listener in watched.listeners:
            watched.listeners.remove(listener)
        if not watched.listeners:
            self._forget(watched)

    def hint(self, task_id: int) -> bool:
        """Read the task now; False where nobody waits for it. The schedule stays as it is."""
        found = self._watched.get(task_id)
        if found is None:
            return False
        found.hinted = True
        if found.reading is None:
            self._plan(found, self._clock.monotonic())
        return True

    async def aclose(self, why: Callable[[WatchedTask], KlingError]) -> None:
        """End at once; every listener is told `why`."""
        for watched in tuple(self._watched.values()):
            self._end(watched, why(watched))
        if self._run is not None:
            self._run.cancel()
            await asyncio.gather(self._run, return_exceptions=True)

    # The timer

    async def _look_until_nobody_waits(self) -> None:
        try:
            while self._watched:
                self._woken.clear()
                due = self._take_due()
                if due:
                    self._start(due)
                else:
                    await self._nap()
                if not self._watched:
                    await self._stop_work()  # and meanwhile somebody may come
        finally:
            await self._stop_work()

    async def _stop_work(self) -> None:
        for work in self._work:
            work.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    def _ended(self, run: asyncio.Task[None]) -> None:
        """Nobody may wait for a poller that is gone, whatever ended it."""
        error = None if run.cancelled() else run.exception()
        if self._run is not run or not (run.cancelled() or error):
            return
        for watched in tuple(self._watched.values()):
            gone = ConfigurationError(
                f"nothing looks at task {watched.task_id} any more: "
                + ("its event loop is ending" if error is None else repr(error))
            )
            gone.__cause__ = error
            self._end(watched, gone)

    def _take_due(self) -> list[WatchedTask]:
        now_s = self._clock.monotonic()
        due = []
        while self._due and self._due[0][0] <= now_s + _EARLY_S:
            _, plan, watched = heapq.heappop(self._due)
            if self._is_current(watched, plan):
                due.append(watched)
        return due

    async def _nap(self) -> None:
        """Until the next task is due, or something changed."""
        while self._due and not self._is_current(self._due[0][2], self._due[0][1]):
            heapq.heappop(self._due)
        naps: list[asyncio.Task[Any]] = [asyncio.create_task(self._woken.wait())]
        if self._due:
            due_s, _, first = self._due[0]
            left_s = due_s - self._clock.monotonic()
            if len(self._watched) >= settings.LIST_FROM:
                # So many look together, so that one listing can serve them.
                left_s += min(settings.GATHER_S, first.poll.waits_s[0] / 2)
            naps.append(asyncio.create_task(self._sleep(max(0.0, left_s))))
        try:
            done, _ = await asyncio.wait(naps, return_when=asyncio.FIRST_COMPLETED)
            for nap in done:
                nap.result()  # a clock of the user's may fail
        finally:
            for nap in naps:
                nap.cancel()

    async def _sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)  # any awaitable will do for a clock

    def _plan(self, watched: WatchedTask, due_s: float) -> None:
        watched.due_s, watched.plan = due_s, next(self._order)
        if watched.hinted or not self._due or due_s < self._due[0][0]:
            self._woken.set()
        heapq.heappush(self._due, (due_s, watched.plan, watched))
        if len(self._due) > 2 * len(self._watched) + _STALE:
            self._due = [plan for plan in self._due if self._is_current(plan[2], plan[1])]
            heapq.heapify(self._due)

    def _is_current(self, watched: WatchedTask, plan: int) -> bool:
        here = self._watched.get(watched.task_id) is watched
        return here and watched.reading is None and watched.plan == plan

    # The looks

    def _start(self, due: list[WatchedTask]) -> None:
        due, all_due = [], due
        for watched in all_due:
            if watched.may_be_skipped and self._ends.shows_running(watched.task_id):
                self._over(watched)
            else:
                due.append(watched)
        unhinted = [one for one in due if not one.hinted]
        may_list = self._clock.monotonic() >= self._list_from_s
        sifted = unhinted if may_list and len(unhinted) >= settings.LIST_FROM else []
        if sifted:
            self._begin(sifted, self._sift(sifted))
        for watched in due:
            if watched.hinted or not sifted:
                self._begin([watched], self._read(watched))

    def _begin(self, watched: Sequence[WatchedTask], look: Coroutine[Any, Any, None]) -> None:
        work = asyncio.create_task(look)
        self._work.add(work)
        for one in watched:
            one.reading = work

        def over(work: asyncio.Task[None]) -> None:
            self._work.discard(work)
            error = None if work.cancelled() else work.exception()
            for one in watched:
                if one.reading is work and isinstance(error, Exception):
                    self._end(one, error)  # not ours: a limiter of the user's may fail
                elif one.reading is work:
                    self._over(one)

        work.add_done_callback(over)

    def _over(self, watched: WatchedTask) -> None:
        """A look is over: plan the next one, unless nobody waits any more."""
        watched.reading = None
        now_s = self._clock.monotonic()
        if now_s + _EARLY_S >= watched.scheduled_s:  # else a hint brought it forward
            watched.looks += 1
            watched.scheduled_s = now_s + watched.poll.wait_s(watched.looks, random.random())
        if self._watched.get(watched.task_id) is watched:
            self._plan(watched, now_s if watched.hinted else watched.scheduled_s)

    async def _read(self, watched: WatchedTask) -> None:
        request = GetTask(task_id=watched.task_id, email=self._account)
        try:
            async with self._places:
                watched.hinted = False
                task = await self._pipeline.send(request, watched.options)
        except NotFoundError as exc:
            await self._not_found(watched, exc)
        except KlingError as exc:
            if is_final_error(exc):
                self._end(watched, exc)
        else:
            self._seen(watched, task)

    async def _not_found(self, watched: WatchedTask, error: NotFoundError) -> None:
        """Ask the scheduler and the history; end the watch where they show its end, or nothing."""
        search = await self._missing.search(watched)
        now_s = self._clock.monotonic()
        watched.not_found(search, now_s)
        if search.listed is not None and search.listed.is_final:
            self._seen(watched, search.listed)
        elif watched.is_gone(now_s):
            self._end(watched, error)

    def _seen(self, watched: WatchedTask, task: Task) -> None:
        watched.missing, watched.search, watched.begun = 0, None, True
        if task != watched.latest:
            watched.latest = task
            for listener in watched.listeners:
                listener.tell(task)
        if task.is_final:
            self._forget(watched)

    async def _sift(self, due: list[WatchedTask]) -> None:
        """Ask the history which of `due` moved on, and read those; the others were looked at."""
        try:
            listed = await self._listed(due)
        except KlingError as exc:
            log.info(
                "the history can't be read (%s); tasks are read one by one", type(exc).__name__
            )
            self._list_from_s = self._clock.monotonic() + settings.LIST_AGAIN_AFTER_S
            listed = {}
        changed = [one for one in due if needs_read(one, listed.get(one.task_id))]
        if sum(not states_progress(listed.get(one.task_id)) for one in due) * 2 > len(due):
            self._list_from_s = self._clock.monotonic() + settings.LIST_AGAIN_AFTER_S
        for watched in changed:
            if self._watched.get(watched.task_id) is watched:
                self._begin([watched], self._read(watched))

    async def _listed(self, due: list[WatchedTask]) -> dict[int, Task]:
        """The due tasks that the newest pages of the history show."""
        options = due[0].options
        sought = {one.task_id for one in due}
        found: dict[int, Task] = {}

        async def ask(listing: ListTasks) -> list[Task]:
            return await self._pipeline.send(listing, options)

        most_pages = max(1, len(sought) // settings.LIST_FROM)  # more would cost what they spare
        asked = 0
        async with aclosing(pages(ask, ListTasks(email=self._account))) as history:
            async for page in history:
                shown = {one.id: one for one in page if one.id in sought}
                found.update(shown)
                asked += 1
                if len(found) == len(sought) or not shown or asked >= most_pages:
                    break
        return found

    # The ends

    def _end(self, watched: WatchedTask, error: Exception) -> None:
        for listener in watched.listeners:
            listener.tell(error)
        self._forget(watched)

    def _forget(self, watched: WatchedTask) -> None:
        if self._watched.get(watched.task_id) is watched:
            del self._watched[watched.task_id]
            latest = watched.latest
            self._ends.leave(watched.task_id, latest if latest and latest.is_final else None)
            self._woken.set()

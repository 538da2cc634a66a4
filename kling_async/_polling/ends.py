"""Which jobs have ended? One look at the scheduler shows it for all of a client's accounts.

A free job slot is worth money, and a read of each running job costs a request. So the scheduler is
looked at when a job is likely to have ended, by what is learned of how long they take. It is a
hint only: a job that it no longer lists is read. Where it can't be read, lags or knows nothing of a
job, the pollers' own schedules go on as if it were not there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from attrs import define

from ..clock import Clock, woken_within
from ..models.tasks import Task
from .durations import Durations
from .missing import Running, SharedLook

PER_LOOK = 0.3
"""Jobs that are likely to have ended when it is looked: some three looks a job at most."""
LEAST_S = 1.0
"""Between two looks. A slot stands empty half of it on the mean; 0.5 gains little more."""
MOST_S = 20.0
"""Between two looks, and how long one holds: the last wait of the usual schedule."""
_FAILED_S = 15.0  # after a look that failed


@define(eq=False)
class _Followed:
    """A job that is waited for.

    Args:
        kind: of what type it is, where that is known.
        hint: is called when it seems to have ended.
        since_s: when its wait began; its age counts from there until the scheduler says it.
    """

    kind: str | None
    hint: Callable[[], object]
    since_s: float
    begun_s: float
    """When it began, on our clock."""
    listed_s: float | None = None
    """When the scheduler last listed it."""


class Ends:
    """Follows the jobs of one client.

    Args:
        look: at the scheduler.
        clock: sleeps and tells the time.
    """

    def __init__(self, look: SharedLook[Running], clock: Clock) -> None:
        self._look = look
        self._clock = clock
        self._durations = Durations()
        self._followed: dict[int, _Followed] = {}
        self._looked_s = -MOST_S
        self._woken: asyncio.Future[None] | None = None
        self._run: asyncio.Task[None] | None = None

    def follow(self, task_id: int, kind: str | None, hint: Callable[[], object]) -> None:
        """Call `hint` when the job seems to have ended, any number of times, until `leave`.

        Args:
            task_id: the job's.
            kind: of what type it is; None: not known.
            hint: reads it.
        """
        now_s = self._clock.monotonic()
        self._followed.setdefault(task_id, _Followed(kind, hint, now_s, now_s))
        self._plan_again()
        if self._run is None or self._run.done():
            self._looked_s = now_s
            self._run = asyncio.create_task(self._look_while_any())
            self._run.add_done_callback(_seen)

    def leave(self, task_id: int, final: Task | None = None) -> None:
        """Follow the job no more; what a final record says of how long it took is learned."""
        followed = self._followed.pop(task_id, None)
        if followed is None:
            return
        self._plan_again()
        if final is None:
            return
        made_ms, ended_ms = final.create_time_ms, final.update_time_ms
        ran_s = self._clock.monotonic() - followed.begun_s
        if made_ms is not None and ended_ms is not None and 0 < ended_ms - made_ms < ran_s * 1000:
            ran_s = (ended_ms - made_ms) / 1000  # by Kling's clock alone
        self._durations.learn(final.type, ran_s)

    def shows_running(self, task_id: int) -> bool:
        """Whether the scheduler listed the job when it was looked at last, a short while ago."""
        followed = self._followed.get(task_id)
        return (
            followed is not None
            and followed.listed_s == self._looked_s
            and self._clock.monotonic() - self._looked_s <= MOST_S + LEAST_S
        )

    async def aclose(self) -> None:
        """Look no more."""
        if self._run is not None:
            self._run.cancel()
            await asyncio.gather(self._run, return_exceptions=True)

    def _plan_again(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    async def _look_while_any(self) -> None:
        least_s = LEAST_S
        while self._followed:
            wait_s = self._looked_s + self._gap_s(least_s) - self._clock.monotonic()
            if wait_s > 0:
                self._woken = asyncio.get_running_loop().create_future()
                if await woken_within(self._clock, wait_s, self._woken):
                    continue  # one more job, or something learned: it may be time earlier
            if not self._followed:
                return
            running = await self._look.result()
            self._looked_s = self._clock.monotonic()
            least_s = LEAST_S if running.read else _FAILED_S
            if running.read:
                self._compare(running)

    def _gap_s(self, least_s: float) -> float:
        """Seconds from the last look to the next one."""
        looked_s = self._looked_s
        jobs = [(one.kind, looked_s - one.begun_s) for one in self._followed.values()]
        gap_s = least_s
        while gap_s < MOST_S:
            if self._durations.chances(jobs, gap_s, enough=PER_LOOK).total >= PER_LOOK:
                break
            gap_s *= 1.25
        return min(gap_s, MOST_S)

    def _compare(self, running: Running) -> None:
        for task_id, followed in tuple(self._followed.items()):
            listed = running.tasks.get(task_id)
            if listed is not None:
                followed.listed_s = self._looked_s
                if listed.elapsed_s is not None:  # the server's word, also for an old job
                    began_s = self._looked_s - listed.elapsed_s
                    followed.begun_s = min(followed.since_s, began_s)
            elif followed.listed_s is not None:
                followed.listed_s = None
                followed.hint()


def _seen(run: asyncio.Task[None]) -> None:
    """A look that broke (a clock of the user's, say) ends the looks; the pollers' own go on."""
    if not run.cancelled():
        run.exception()

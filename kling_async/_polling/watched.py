"""Which task is watched, by whom, and what do answers about it mean? Values and decisions; no I/O.

`poller.py` looks, `missing.py` searches for what is not found, `waiter.py` listens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from attrs import define, field, frozen
from attrs.validators import ge, min_len

from .. import settings
from .._calls.pipeline import Options
from .._calls.retry import parks
from ..errors import (
    AccountRequiredError,
    BadRequestError,
    ConfigurationError,
    ContentModeratedError,
    GoneError,
    InvalidRequestError,
    KlingError,
)
from ..models.scheduler import RunningTask
from ..models.tasks import Task


def _waits(_: object, __: object, waits_s: Sequence[float]) -> None:
    if not all(0 < one < float("inf") for one in waits_s):
        raise ValueError(f"waits_s={waits_s!r}: each must be seconds above 0")


@frozen
class PollSchedule:
    """How long until the next look at a task: eager first, then patient.

    Args:
        waits_s: seconds before the first look, the second and so on; the last one repeats. Default
            2, 3, 5, 8, 10, 15, then 20 (the vendor's own samples look every 15 to 20 s).
        jitter: up to this share of each wait is added, never taken away; default 0.1.

    Examples:
        >>> done = await kling.tasks.wait(task, poll=PollSchedule(waits_s=(1, 5, 30)))
    """

    waits_s: tuple[float, ...] = field(
        default=settings.POLL_WAITS_S, converter=tuple, validator=[min_len(1), _waits]
    )
    jitter: float = field(default=0.1, validator=ge(0))

    def wait_s(self, looks: int, chance: float) -> float:
        """Seconds until the next look, after `looks` of them; `chance` is from 0 to 1.

        Examples:
            >>> PollSchedule().wait_s(looks=0, chance=0.0)
            2.0
        """
        return self.waits_s[min(looks, len(self.waits_s) - 1)] * (1 + self.jitter * chance)


class Listener:
    """Is told each change of one task, and why there will be no further one."""

    def __init__(self) -> None:
        self._news: asyncio.Queue[Task | Exception] = asyncio.Queue()

    def tell(self, news: Task | Exception) -> None:
        """Put the news into the queue; never blocks, since a task has few changes."""
        self._news.put_nowait(news)

    async def next(self) -> Task:
        """The next state of the task; raises what ended the watch."""
        news = await self._news.get()
        if isinstance(news, Exception):
            raise news
        return news


@frozen(kw_only=True)
class Search:
    """What the scheduler and the history showed of a task that `GET /tasks/{id}` did not know."""

    running: RunningTask | None = None
    """Its entry in the scheduler, of the account that was asked."""
    elsewhere: str | None = None
    """The other account that the scheduler lists it for."""
    listed: Task | None = None
    """Its entry in the history."""
    pages: int = 0
    """How many pages of the history were read."""
    scheduler_read: bool = False
    history_read: bool = False

    @property
    def shows_it(self) -> bool:
        """Whether the task is there, whatever `GET /tasks/{id}` says."""
        return self.running is not None or self.listed is not None

    def __str__(self) -> str:
        """What was asked, and what it showed, in words."""
        scheduler = "the scheduler can't be read"
        if self.running is not None:
            scheduler = "the scheduler lists it"
        elif self.elsewhere is not None:
            scheduler = f"the scheduler lists it for the account {self.elsewhere}"
        elif self.scheduler_read:
            scheduler = "the scheduler does not list it"
        history = "the history can't be read"
        if self.listed is not None:
            history = "the history shows it"
        elif self.history_read:
            pages = "1 page" if self.pages == 1 else f"{self.pages} pages"
            history = f"the history ({pages}) does not show it"
        return f"{scheduler}, and {history}"


@define(eq=False)
class WatchedTask:
    """A task that somebody waits for.

    Args:
        task_id: its number.
        given: what the one who waits knows of it; from a create, say.
        poll: when to look at it.
        options: how to read it.
        began_s: since when it is watched, on the clock.
        begun: whether a job of this id was certainly started.
    """

    task_id: int
    given: Task | None
    poll: PollSchedule
    options: Options
    began_s: float
    begun: bool = False
    scheduled_s: float = 0.0
    """When the schedule has the next look; a hint brings one forward, and leaves this as it is."""
    due_s: float = 0.0
    """When the next look is planned: then, or earlier for a hint."""
    plan: int = 0
    """The number of the plan that holds for the next look."""
    latest: Task | None = None
    """As it was last read."""
    looks: int = 0
    """How many scheduled looks there were."""
    missing: int = 0
    """How often in a row there was no such task."""
    unseen_since_s: float = 0.0
    """While it is missing: since when nothing shows it any more."""
    search: Search | None = None
    """What the latest search for it showed, while it is missing."""
    reading: asyncio.Task[None] | None = None
    followed: bool = False
    """Nobody asks for more of it than its end."""
    hinted: bool = False
    """There was a hint since it was last read; what is being read may be older than the hint."""
    listeners: list[Listener] = field(factory=list)

    @property
    def known(self) -> Task | None:
        """The latest record of it, from whomever."""
        return self.latest or self.given

    @property
    def may_be_skipped(self) -> bool:
        """Whether it needs no read now, if the scheduler lists it; that may lag or be wrong."""
        return self.followed and not self.hinted and not self.is_read_in_any_case

    @property
    def is_read_in_any_case(self) -> bool:
        """Whether this look is one of those that are not left to a listing."""
        return self.looks % settings.READ_EVERY == settings.READ_EVERY - 1

    def not_found(self, search: Search, now_s: float) -> None:
        """Note that `GET /tasks/{id}` does not know the task, and what a search showed."""
        self.missing += 1
        self.search = search
        if self.missing == 1 or search.shows_it:
            self.unseen_since_s = now_s
        self.begun = self.begun or search.shows_it

    def is_gone(self, now_s: float) -> bool:
        """Whether the task has shown nowhere for so long that waiting on is no use.

        An id that nothing has ever shown is most likely a wrong one, and has `MISSING_FOR_S`. A job
        that was begun has `GONE_AFTER_S` from when it was last shown: it may be running, and paid
        for. Where the scheduler or the history can't be read, their silence says nothing; then it
        takes as long as the server tracks a job.
        """
        search = self.search
        if search is None or self.missing < 2:
            return False
        unseen_s = now_s - self.unseen_since_s
        if not (search.scheduler_read and search.history_read):
            return unseen_s >= settings.JOB_TRACKED_S
        return unseen_s >= (settings.GONE_AFTER_S if self.begun else settings.MISSING_FOR_S)


def is_final_error(error: KlingError) -> bool:
    """Whether looking again can't help. What is not known to be so is trouble that may pass."""
    final = (
        AccountRequiredError, BadRequestError, ConfigurationError, ContentModeratedError, GoneError,
        InvalidRequestError,
    )  # fmt: skip
    return parks(error) or isinstance(error, final)


def needs_read(watched: WatchedTask, listed: Task | None) -> bool:
    """Whether the task must be read: it is not listed, or not clearly as it was.

    A listing may lag or be wrong, so that now and then a task is read all the same.
    """
    known = watched.known
    if listed is None or known is None or watched.is_read_in_any_case:
        return True
    if not states_progress(listed) or listed.is_final:
        return True
    return (listed.status, listed.status_name) != (known.status, known.status_name)


def states_progress(listed: Task | None) -> bool:
    """Whether what is listed says in which state the task is, and not only which works it has."""
    return listed is not None and (
        listed.status_name is not None or listed.status_final is not None
    )

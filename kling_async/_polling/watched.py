"""Which task is watched, by whom, and what do looks at it mean? Values and decisions; no waiting.

`polling.py` looks; `waiting.py` listens.
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
    """

    waits_s: tuple[float, ...] = field(
        default=settings.POLL_WAITS_S, converter=tuple, validator=[min_len(1), _waits]
    )
    jitter: float = field(default=0.1, validator=ge(0))

    def wait_s(self, looks: int, chance: float) -> float:
        """Seconds until the next look, after `looks` of them; `chance` is from 0 to 1."""
        return self.waits_s[min(looks, len(self.waits_s) - 1)] * (1 + self.jitter * chance)


class Listener:
    """Is told each change of one task, and why there will be no further one."""

    def __init__(self) -> None:
        self._news: asyncio.Queue[Task | Exception] = asyncio.Queue()

    def tell(self, news: Task | Exception) -> None:
        """Never blocks; a task has few changes."""
        self._news.put_nowait(news)

    async def next(self) -> Task:
        """The next state of the task; raises what ended the watch."""
        news = await self._news.get()
        if isinstance(news, Exception):
            raise news
        return news


@define(eq=False)
class WatchedTask:
    """A task that somebody waits for.

    Args:
        task_id: which.
        given: what the one who waits knows of it; from a create, say.
        poll: when to look at it.
        options: to read it with.
        began_s: since when, on the clock.
    """

    task_id: int
    given: Task | None
    poll: PollSchedule
    options: Options
    began_s: float
    due_s: float = 0.0
    plan: int = 0
    """The number of the plan that holds for the next look."""
    latest: Task | None = None
    """As it was last read."""
    looks: int = 0
    missing: int = 0
    """How often in a row there was no such task."""
    reading: asyncio.Task[None] | None = None
    hinted: bool = False
    """It was hinted at while it was read: what was read may be older than the hint."""
    listeners: list[Listener] = field(factory=list)


def ends_waiting(error: KlingError) -> bool:
    """Whether looking again can't help. What is not known to be so is trouble that may pass."""
    final = (
        AccountRequiredError, BadRequestError, ConfigurationError, ContentModeratedError, GoneError,
        InvalidRequestError,
    )  # fmt: skip
    return parks(error) or isinstance(error, final)


def may_have_moved(watched: WatchedTask, listed: Task | None) -> bool:
    """Whether the task must be read: it is not listed, or not clearly as it was.

    A listing may lag or be wrong, so that now and then a task is read all the same.
    """
    known = watched.latest or watched.given
    often = watched.looks % settings.READ_EVERY == settings.READ_EVERY - 1
    if listed is None or known is None or often or not tells(listed) or listed.is_final:
        return True
    return (listed.status, listed.status_name) != (known.status, known.status_name)


def tells(listed: Task | None) -> bool:
    """Whether what is listed says in which state the task is, and not only which works it has."""
    return listed is not None and (
        listed.status_name is not None or listed.status_final is not None
    )

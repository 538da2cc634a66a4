"""When was a task made, and where does the next page of a history begin? Pages go by time.

`GET /tasks` gives the newest tasks before a moment. Whether that moment itself is included is not
documented, and several tasks may share it, so pages overlap by it.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve

from .tasks import ListTasks, Task


def made_ms(task: Task) -> int | None:
    """When a task was made, by Kling's clock; an entry of works alone tells by its oldest work."""
    if task.create_time_ms is not None:
        return task.create_time_ms
    return min((one.create_time_ms for one in task.works if one.create_time_ms), default=None)


def following_before_ms(page: Iterable[Task], before_ms: int | None) -> int | None:
    """The moment before which the tasks of the next page were made; None: nothing to go on from.

    Args:
        page: in any order.
        before_ms: the moment that this page was asked for; None: now.
    """
    times = [at for one in page if (at := made_ms(one)) is not None]
    if not times:
        return None
    following_ms = min(times) + 1
    return following_ms if before_ms is None else min(following_ms, before_ms - 1)


def earlier(listing: ListTasks, page: Iterable[Task], since_ms: float) -> ListTasks | None:
    """What lists the tasks before `page`, which `listing` showed; None: none made after `since_ms`.

    Args:
        listing: what was asked.
        page: what it showed, in any order.
        since_ms: by Kling's clock.
    """
    before_ms = following_before_ms(page, listing.created_before_ms)
    if before_ms is None or before_ms <= since_ms:
        return None
    return evolve(listing, created_before_ms=before_ms)

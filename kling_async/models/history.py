"""Where does the next page of a history begin? Pages go by time; nothing is missed or doubled.

`GET /tasks` gives the newest tasks before a moment. Whether that moment itself is included is not
documented, and several tasks may share it, so pages overlap by it and known ids are left out. Here
is no I/O: `next_page` says what to ask after one answer, `HistoryPager` after all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import evolve

from ..errors import UnexpectedResponseError
from .tasks import ListTasks, Task

# Pages in a row that may show nothing new: a moment can be asked for as "before the one after it",
# "before it" and "before the one before it" until what shares it is passed, whatever is included.
_MOST_IDLE = 3


def made_ms(task: Task) -> int | None:
    """When a task was made, by Kling's clock; an entry of works alone tells by its oldest work."""
    if task.create_time_ms is not None:
        return task.create_time_ms
    return min((one.create_time_ms for one in task.works if one.create_time_ms), default=None)


def is_between(task: Task, after_ms: int | None, before_ms: int | None) -> bool:
    """Whether it was made after the one and before the other; True where nobody knows."""
    at_ms = made_ms(task)
    if at_ms is None:
        return True
    return (after_ms is None or at_ms > after_ms) and (before_ms is None or at_ms < before_ms)


def next_page(
    listing: ListTasks, listed: Iterable[Task], since_ms: float | None = None
) -> ListTasks | None:
    """The request for the page before `listed`; None where there is none worth asking for.

    Args:
        listing: what was asked.
        listed: what it showed, in any order.
        since_ms: by Kling's clock; tasks made before it are of no interest. None: all are.
    """
    times_ms = [at_ms for task in listed if (at_ms := made_ms(task)) is not None]
    if not times_ms:
        return None
    before_ms = min(times_ms) + 1
    if listing.created_before_ms is not None:
        before_ms = min(before_ms, listing.created_before_ms - 1)
    if since_ms is not None and before_ms <= since_ms:
        return None
    return evolve(listing, created_before_ms=before_ms)


class HistoryPager:
    """Goes through a history page by page: ask `listing`, give its answer to `take`, and again.

        pager = HistoryPager(ListTasks(email=account))
        while (listing := pager.listing) is not None:
            fresh = pager.take(await kling.send(listing))

    Args:
        listing: the first page.
        since_ms: by Kling's clock; the history is read back to it. None: to its end.
    """

    def __init__(self, listing: ListTasks, since_ms: float | None = None) -> None:
        self.listing: ListTasks | None = listing
        """What to ask next; None: the history is read as far as it shall be."""
        self._since_ms = since_ms
        self._known: set[int] = set()
        self._longest = 0
        self._idle = 0

    def take(self, page: Sequence[Task]) -> list[Task]:
        """The tasks of `page`, the answer to `listing`, that were on none before; newest first.

        Within a page the server may order them as it likes.

        Raises:
            UnexpectedResponseError: the server shows the same tasks again and again.
        """
        listing = self.listing
        assert listing is not None
        fresh = [one for one in {one.id: one for one in page}.values() if one.id not in self._known]
        self._known.update(one.id for one in fresh)
        self._idle = 0 if fresh else self._idle + 1
        if self._idle > _MOST_IDLE:
            raise UnexpectedResponseError(
                f"the history does not go on: tasks before {listing.created_before_ms} are the "
                "same again",
                status_code=200,
            )
        over = not fresh and len(page) < self._longest  # there was room for more
        self._longest = max(self._longest, len(page))
        self.listing = None if over else next_page(listing, page, self._since_ms)
        return sorted(fresh, key=lambda one: made_ms(one) or 0, reverse=True)

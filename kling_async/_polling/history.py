"""How is a history read to its end, nothing missed and nothing doubled? Pages by time.

The next page begins at the oldest task of the last one, which pages overlap by; known ids are left
out.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable

from ..errors import UnexpectedResponseError
from ..models.history import following_before_ms, made_ms
from ..models.tasks import Task

# Pages in a row that may show nothing new: a moment can be asked for as "before the one after it",
# "before it" and "before the one before it" until what shares it is passed, whatever is included.
_MOST_IDLE = 3


async def pages(
    page_before: Callable[[int | None], Awaitable[list[Task]]], before_ms: int | None = None
) -> AsyncGenerator[list[Task], None]:
    """The tasks of each page that were on none before, newest first; in the end, all of them.

    Within a page the server may order them as it likes.

    Args:
        page_before: asks for the newest tasks made before a moment (epoch milliseconds), or now.
        before_ms: where to begin; None: now.

    Raises:
        UnexpectedResponseError: the server shows the same tasks again and again.
    """
    known: set[int] = set()
    longest = idle = 0
    while page := await page_before(before_ms):
        fresh = [one for one in {one.id: one for one in page}.values() if one.id not in known]
        known.update(one.id for one in fresh)
        if fresh:
            idle = 0
            yield sorted(fresh, key=lambda one: made_ms(one) or 0, reverse=True)
        elif len(page) < longest:
            return  # there was room for more
        elif (idle := idle + 1) > _MOST_IDLE:
            raise UnexpectedResponseError(
                f"the history does not go on: tasks before {before_ms} are the same again",
                status_code=200,
            )
        longest = max(longest, len(page))
        before_ms = following_before_ms(page, before_ms)
        if before_ms is None:
            return


def is_between(task: Task, after_ms: int | None, before_ms: int | None) -> bool:
    """Whether it was made after the one and before the other; True where nobody knows."""
    at_ms = made_ms(task)
    if at_ms is None:
        return True
    return (after_ms is None or at_ms > after_ms) and (before_ms is None or at_ms < before_ms)


def reaches(page: list[Task], after_ms: int) -> bool:
    """Whether all further pages lie before `after_ms`."""
    return any((at_ms := made_ms(one)) is not None and at_ms <= after_ms for one in page)

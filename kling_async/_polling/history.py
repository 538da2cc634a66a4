"""How is a history read to its end? Page by page, as `models/history.py` says; here it is asked."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable

from ..models.history import HistoryPager
from ..models.tasks import ListTasks, Task


async def pages(
    ask: Callable[[ListTasks], Awaitable[list[Task]]],
    listing: ListTasks,
    since_ms: float | None = None,
) -> AsyncGenerator[list[Task], None]:
    """The tasks of each page that were on none before, newest first; in the end, all of them.

    Args:
        ask: sends a request for a page.
        listing: the first page.
        since_ms: by Kling's clock; the history is read back to it. None: to its end.

    Raises:
        UnexpectedResponseError: the server shows the same tasks again and again.
    """
    pager = HistoryPager(listing, since_ms)
    while pager.listing is not None:
        if fresh := pager.take(await ask(pager.listing)):
            yield fresh

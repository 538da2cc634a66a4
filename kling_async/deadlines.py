"""How long may something take as a whole? One total time around many steps.

asyncio's own timeout, which tells its cancellation from the caller's; it came with Python 3.11.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from .errors import KlingError

if sys.version_info >= (3, 11):
    from asyncio import timeout_at
else:
    from async_timeout import timeout_at


def unusable(deadline_s: object) -> str | None:
    """Why this can't be a total time; None where it can."""
    if deadline_s is None:
        return None
    number = isinstance(deadline_s, (int, float)) and not isinstance(deadline_s, bool)
    if number and deadline_s > 0:  # type: ignore[operator]
        return None
    return f"must be seconds above 0, or None, not {deadline_s!r}"


@asynccontextmanager
async def bounded(
    deadline_s: float | None, expired: Callable[[], KlingError]
) -> AsyncGenerator[None, None]:
    """What runs inside has `deadline_s` seconds, then `expired()` is raised; None: no limit."""
    if deadline_s is None:
        yield
        return
    loop = asyncio.get_running_loop()
    until = loop.time() + deadline_s
    try:
        async with timeout_at(until):
            yield
    except KlingError:
        raise  # of the inside; DeadlineExceededError is a TimeoutError, too
    except (TimeoutError, asyncio.TimeoutError):
        if loop.time() < until:
            raise  # not ours: what runs inside may time out by itself
        raise expired() from None

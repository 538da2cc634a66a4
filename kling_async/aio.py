"""Which helpers does asyncio lack? A total time around many steps, and threads that leave nothing.

`asyncio.to_thread` returns at once when its caller is cancelled, while the thread goes on with a
file that is being closed and removed. `in_thread` waits until the thread is done, then passes the
cancellation on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import ParamSpec, TypeVar

from .errors import KlingError

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `call` returns, run in a thread; it is over in any case when this returns or raises."""
    loop = asyncio.get_running_loop()
    return await finished(loop.run_in_executor(None, partial(call, *args, **kwargs)))


async def finished(future: asyncio.Future[T]) -> T:
    """Its result; it is done in any case when this returns or raises."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError as exc:
            cancelled = exc  # passed on below: a piece of a file takes milliseconds
        except BaseException:
            break  # raised again by result()
    if cancelled is not None:
        future.exception()  # which counts as having looked
        raise cancelled
    return future.result()


def invalid_deadline(deadline_s: object) -> str | None:
    """Why this can't be a total time; None where it can."""
    if deadline_s is None:
        return None
    number = isinstance(deadline_s, (int, float)) and not isinstance(deadline_s, bool)
    if number and deadline_s > 0:  # type: ignore[operator]
        return None
    return f"must be seconds above 0, or None, not {deadline_s!r}"


@asynccontextmanager
async def time_limit(
    deadline_s: float | None, expired: Callable[[], KlingError]
) -> AsyncGenerator[None, None]:
    """What runs inside has `deadline_s` seconds, then `expired()` is raised; None: no limit."""
    if deadline_s is None:
        yield
        return
    loop = asyncio.get_running_loop()
    until = loop.time() + deadline_s
    try:
        async with asyncio.timeout_at(until):
            yield
    except KlingError:
        raise  # of the inside; DeadlineExceededError is a TimeoutError, too
    except TimeoutError:
        if loop.time() < until:
            raise  # not ours: what runs inside may time out by itself
        raise expired() from None

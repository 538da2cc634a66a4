"""How does a blocking call run in a thread, and leave nothing behind?

`asyncio.to_thread` returns at once when its caller is cancelled, while the thread goes on with a
file that is being closed and removed. `settled` waits until the thread is done, then passes the
cancellation on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def settled(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `call` returns, run in a thread; it is over in any case when this returns or raises."""
    loop = asyncio.get_running_loop()
    return await over(loop.run_in_executor(None, partial(call, *args, **kwargs)))


async def over(future: asyncio.Future[T]) -> T:
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

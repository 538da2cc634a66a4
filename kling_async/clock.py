"""What time is it, and how do we wait? Handed to everything that needs to know.

The default follows the running event loop, so a test that gives the loop a virtual time gives it to
the whole SDK. Nothing here belongs to one loop: the loop is looked up at each call.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Time as the SDK sees it.

    Examples:
        >>> class Skipping:  # for tests: what waits goes on at once
        ...     now_s = 0.0
        ...     def monotonic(self) -> float:
        ...         return self.now_s
        ...     wall = monotonic
        ...     async def sleep(self, seconds: float) -> None:
        ...         self.now_s += seconds
        >>> kling = AsyncKlingClient(clock=Skipping())
    """

    def monotonic(self) -> float:
        """Seconds that never go back; for waits and deadlines."""
        ...

    def wall(self) -> float:
        """Seconds since the epoch; for HTTP dates and for what people read."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`; cancellation passes through."""
        ...


async def woken_within(clock: Clock, seconds: float, woken: asyncio.Future[None]) -> bool:
    """Whether somebody set `woken` before `seconds` passed; it is of no use afterwards."""
    sleep = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({woken, sleep}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        in_time = woken.done() and not woken.cancelled()
        woken.cancel()
        if not sleep.done():
            sleep.cancel()
            await asyncio.wait({sleep})
    if not sleep.cancelled():
        sleep.result()  # passes on what a clock raises
    return in_time


class LoopClock:
    """The running event loop's own time, and the system's wall clock."""

    def monotonic(self) -> float:
        """The loop's time."""
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        """The system's time of day."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """`asyncio.sleep`."""
        await asyncio.sleep(seconds)

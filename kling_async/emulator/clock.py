"""What time is it inside the emulator, and who is waiting for it to pass?

Every timestamp, window and delay of the emulator comes from here. The clock follows the running
loop's `time()`, so a virtual-time loop makes it virtual, and a test may also move it by hand.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from datetime import UTC, datetime
from email.utils import format_datetime


class EmulatorClock:
    """Time that runs by itself, can be pushed forward, and may be wrong on purpose.

    Bound to nothing: it may serve one event loop after another.

    Args:
        start_ms: wall time at the start, epoch milliseconds; default: the real one.
        skew_s: how far `now_ms` is off, in seconds; may be set at any time.

    Examples:
        >>> emulator.clock.advance(900)
        >>> emulator.clock.monotonic() > 900
        True
        >>> emulator.clock.now_ms() > 1000 * 900
        True
        >>> await emulator.clock.sleep(0)
    """

    def __init__(self, start_ms: int | None = None, skew_s: float = 0.0) -> None:
        self.skew_s = skew_s
        self._start_ms = time.time() * 1000 if start_ms is None else float(start_ms)
        self._elapsed_s = 0.0
        self._source: weakref.ref[asyncio.AbstractEventLoop] | None = None
        self._source_s = self._real_s = time.monotonic()
        self._sleepers: set[asyncio.Future[None]] = set()

    def monotonic(self) -> float:
        """Seconds since the clock was made, never stepping back; `skew_s` has no part in it."""
        loop = _running_loop()
        real_s = time.monotonic()
        source_s = real_s if loop is None else loop.time()
        if self._is_source(loop):
            self._elapsed_s += max(0.0, source_s - self._source_s)
        else:  # another loop counts from another zero: bridge the gap with real time
            self._elapsed_s += max(0.0, real_s - self._real_s)
            self._source = None if loop is None else weakref.ref(loop)
        self._source_s, self._real_s = source_s, real_s
        return self._elapsed_s

    def now_ms(self) -> int:
        """Wall time in epoch milliseconds, `skew_s` included."""
        return int(self._start_ms + (self.monotonic() + self.skew_s) * 1000)

    def resume(self, now_ms: float, elapsed_s: float) -> None:
        """Go on from another clock's readings, its `skew_s` left out; nobody may be waiting."""
        self.monotonic()
        self._elapsed_s = elapsed_s
        self._start_ms = now_ms - elapsed_s * 1000

    async def sleep(self, delay_s: float) -> None:
        """Return once `delay_s` seconds have passed here, by waiting or by `advance`."""
        wake_at_s = self.monotonic() + delay_s
        if delay_s <= 0:
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        while (remaining_s := wake_at_s - self.monotonic()) > 1e-9:  # 1 ns: float rounding
            sleeper: asyncio.Future[None] = loop.create_future()
            timer = loop.call_later(remaining_s, _wake, sleeper)
            self._sleepers.add(sleeper)
            try:
                await sleeper
            finally:
                timer.cancel()
                self._sleepers.discard(sleeper)

    def advance(self, seconds: float) -> None:
        """Move the clock forward; whoever is due by then wakes up at the next turn of the loop.

        Args:
            seconds: 0 or more; time does not go back (set `skew_s` for a clock that is wrong).
        """
        if seconds < 0:
            raise ValueError(f"advance takes 0 seconds or more, not {seconds}")
        self.monotonic()
        self._elapsed_s += seconds
        for sleeper in tuple(self._sleepers):
            if sleeper.get_loop().is_closed():
                self._sleepers.discard(sleeper)
            else:
                _wake(sleeper)

    def _is_source(self, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Whether the last reading came from `loop`; a loop that has gone equals no other."""
        if loop is None or self._source is None:
            return loop is None and self._source is None
        return self._source() is loop


def http_date(epoch_ms: int) -> str:
    """The HTTP form, whole seconds: `Tue, 14 Jul 2026 09:30:00 GMT`."""
    return format_datetime(_utc(epoch_ms // 1000 * 1000), usegmt=True)


def iso_date(epoch_ms: int) -> str:
    """The ISO 8601 form, milliseconds: `2026-07-14T09:30:00.250Z`."""
    return _utc(epoch_ms).strftime("%Y-%m-%dT%H:%M:%S.") + f"{epoch_ms % 1000:03d}Z"


def _utc(epoch_ms: int) -> datetime:
    return datetime.fromtimestamp(epoch_ms / 1000, tz=UTC)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)

"""A loop on which no wait takes any time, and coroutines run to their end on it.

For what waits for times of any value, instead of looptime: aiolimiter may find itself 1e-17 s early
and ask to be woken at once, and looptime's clock then never moves again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """Waits are over at once and take their time; what takes none takes a nanosecond.

    Args:
        late_s: how much too late a timer wakes, as real ones do.
    """

    def __init__(self, late_s: float = 0.0) -> None:
        super().__init__()
        self.late_s = late_s
        self._now_s = 0.0
        selector: Any = self._selector  # type: ignore[attr-defined]
        self._select = selector.select
        selector.select = self._pass

    def time(self) -> float:
        return self._now_s

    def _pass(self, timeout_s: float | None) -> Any:
        self._now_s += max(1e-9, timeout_s + self.late_s if timeout_s else 0)
        return self._select(0)


def run(coroutine: Coroutine[Any, Any, T], late_s: float = 0.0) -> T:
    """The result of `coroutine`, on virtual time that begins at 0."""
    loop = VirtualLoop(late_s)
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


def virtually(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test that runs on virtual time."""

    @wraps(test)
    def wrapped(*args: Any, **named: Any) -> None:
        run(test(*args, **named))

    return wrapped


def now_s() -> float:
    return asyncio.get_running_loop().time()


class SimulatedLoop(VirtualLoop):
    """Virtual time for what uses threads, too: while one is at work, no time passes.

    What an executor is given is waited for in real time, so a job of an hour with a ledger on disk
    takes as long as its commits do.
    """

    def __init__(self) -> None:
        super().__init__()
        self._in_threads = 0

    def run_in_executor(self, *args: Any) -> Any:
        work = super().run_in_executor(*args)
        self._in_threads += 1
        work.add_done_callback(self._over)
        return work

    def _over(self, _: Any) -> None:
        self._in_threads -= 1

    def _pass(self, timeout_s: float | None) -> Any:
        if not self._in_threads or timeout_s == 0:
            return super()._pass(timeout_s)
        return self._select(0.05)  # a thread that is done wakes it

"""Where does the loop of those run who don't await? In a thread that the client owns.

It starts with the first call, so that a client that a module makes may be forked before it is used.
A caller's thread waits in `errand.py` for what the loop says.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import weakref
from collections.abc import Callable, Coroutine, Set
from typing import Any, TypeVar

from ..errors import ConfigurationError, KlingError
from .errand import Errand

T = TypeVar("T")

CALLS_END_WITHIN_S = 1.0
"""How long closing waits for calls whose exchanges are over: they only have to return."""


class LoopThread:
    """A loop in a thread, for as long as somebody holds this object or until `close()`.

    Args:
        aclose: what ends the client, on the loop.
    """

    def __init__(self, aclose: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._aclose = aclose
        self._lock = threading.RLock()  # again by the same thread: the collector may run anywhere
        self._running: _Running | None = None
        self._closed = False

    def call(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What the coroutine gives that `make` makes on the loop.

        An exception that arrives in this thread meanwhile (Ctrl-C, a time limit of Celery's)
        cancels it, and is raised when it is over.
        """
        errand = Errand(make)
        try:
            self.send(errand)
            return errand.result()
        except BaseException:
            errand.end()
            raise

    def send(self, errand: Errand[Any]) -> None:
        """Have the loop begin the errand.

        Raises:
            ConfigurationError: the client is closed, belongs to another process, or this is its own
                thread.
        """
        running = self._running
        if running is not None:
            running.refuse_strangers()
        with self._lock:
            if self._closed:
                raise ConfigurationError("this client is closed; make a new one. Nothing was sent")
            if self._running is None:
                self._running = _Running(self._aclose)
                # Who forgets to close leaves no thread behind. At the end of the program nothing
                # is done: threads and connections end with the process.
                weakref.finalize(self, self._running.stop).atexit = False
            errand.begin_on(self._running.loop, self._running.errands)

    def close(self) -> None:
        """End the client and its thread; what the closing raises is raised here.

        In a fork nothing is done: thread and connections are the parent's.
        """
        running = self._running
        if running is not None and running.is_in_parent:
            return
        if running is not None:
            running.refuse_strangers()
        with self._lock:
            self._closed = True
            running = self._running
            if running is not None:
                running.stop()
        if running is not None:
            running.join()


class _Running:
    """The loop as its thread knows it: it holds no one who could be waiting for it to end."""

    def __init__(self, aclose: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.errands: set[Errand[Any]] = set()
        self._aclose = aclose
        self._pid = os.getpid()
        self._asked_to_stop = asyncio.Event()
        self._failure: BaseException | None = None
        self.loop = asyncio.new_event_loop()
        self._main = self.loop.create_task(self._until_stopped())
        self._thread = threading.Thread(target=self._run, name="kling-async", daemon=True)
        self._thread.start()

    @property
    def is_in_parent(self) -> bool:
        """Whether this process is a fork of the one in which the thread runs."""
        return os.getpid() != self._pid

    def refuse_strangers(self) -> None:
        """Raise where a call would wait for ever."""
        if self.is_in_parent:
            raise ConfigurationError(
                f"this client was opened in process {self._pid}, of which this is a fork: its "
                f"thread does not run here. Make a client after the fork, or use it for the first "
                f"time there. Nothing was sent"
            )
        if sys.is_finalizing():
            raise ConfigurationError(
                "the program is ending, and its threads have. Nothing was sent"
            )
        if threading.get_ident() == self._thread.ident:
            raise ConfigurationError(
                "a hook, or other code that the client itself runs, called the client, which would "
                "wait for itself for ever: hand the call to another thread. Nothing was sent"
            )

    def stop(self) -> None:
        """Have the loop end; from any thread, and more than once."""
        self._tell(self._asked_to_stop.set)

    def join(self) -> None:
        """Wait until it has ended; a second Ctrl-C waits no longer."""
        try:
            self._thread.join()
        except BaseException:
            self._tell(self._main.cancel)  # nothing is waited for any more
            self._thread.join()
            raise
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _tell(self, what: Callable[[], object]) -> None:
        if not self.is_in_parent and not self.loop.is_closed():
            try:
                self.loop.call_soon_threadsafe(what)
            except RuntimeError:
                if not self.loop.is_closed():  # it was closed in between
                    raise

    def _run(self) -> None:
        try:
            self.loop.run_until_complete(self._main)
        finally:
            self.loop.close()

    async def _until_stopped(self) -> None:
        await self._asked_to_stop.wait()
        try:
            # Loops over rows end first, because a job records what is in flight while it ends.
            await _over({one for one in self.errands if one.is_stream}, within_s=0)
            await self._aclose()
        except asyncio.CancelledError:
            pass  # by join()
        except BaseException as exc:
            self._failure = exc
        finally:
            await _over(self.errands, within_s=CALLS_END_WITHIN_S)
            left = asyncio.all_tasks() - {self._main}
            for one in left:
                one.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            await self.loop.shutdown_asyncgens()


async def _over(errands: Set[Errand[Any]], *, within_s: float) -> None:
    """Wait for the errands, and cancel those that take longer."""
    tasks = {one.task for one in errands if one.task is not None}
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=within_s)
    for one in errands:
        if one.task in late:
            one.cancel(
                KlingError(
                    "the client was closed while this call was under way. If the call makes "
                    "something, look whether it was made before you repeat it"
                )
            )
    await asyncio.gather(*late, return_exceptions=True)

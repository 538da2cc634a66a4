"""How does a thread wait for what the loop does for it? It takes what is said, one by one.

A stream says its items, each when it is asked for; and asks for rows, which are read in the
caller's thread: what reads them may belong there, as a database's cursor or Django's ORM does.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable
from contextlib import aclosing, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from attrs import frozen

if TYPE_CHECKING:
    from .thread import LoopThread

T = TypeVar("T")

# On Windows a thread that waits for a lock hears no Ctrl-C, so it looks up now and then.
_LOOKS_UP_S = 0.2 if os.name == "nt" else None
_NO_MORE = object()


@frozen
class _Over:
    """It has ended: so."""

    result: Any = None
    error: BaseException | None = None


@frozen
class _Item:
    """A stream's next item."""

    value: Any


@frozen
class _RowWanted:
    """A stream waits for the next row of its input."""

    row: asyncio.Future[Any]


class Errand(Generic[T]):
    """A coroutine that the loop carries out for a thread.

    Args:
        make: makes it, on the loop.
        is_stream: whether it says items.
    """

    def __init__(self, make: Callable[[], Coroutine[Any, Any, T]], is_stream: bool = False) -> None:
        self.is_stream = is_stream
        self.task: asyncio.Task[T] | None = None
        self._make = make
        self._said: SimpleQueue[object] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = os.getpid()
        self._thread_id = 0
        self._others: set[Errand[Any]] = set()
        self._why: BaseException | None = None
        self._is_over = False

    # --- on the caller's thread -------------------------------------------------------------

    def begin_on(self, loop: asyncio.AbstractEventLoop, others: set[Errand[Any]]) -> None:
        """Have it begun; it is among `others` until it is over."""
        self._loop, self._others = loop, others
        loop.call_soon_threadsafe(self._begin)  # in this thread's context, as the task then is

    def result(self) -> T:
        """Its result, when it is over."""
        said = self.next_said()
        assert isinstance(said, _Over)
        return cast("T", _outcome(said))

    def next_said(self) -> object:
        """What it says next."""
        while True:
            with suppress(Empty):
                return self._said.get(timeout=_LOOKS_UP_S)

    def end(self) -> _Over | None:
        """Cancel it and wait until it is over; None: it was over before, or can't be waited for."""
        if self._is_over or self._loop is None or self._pid != os.getpid():  # a fork's parent's
            return None
        if sys.is_finalizing():  # the loop's thread does not run any more
            return None
        self.tell(self.cancel)
        if threading.get_ident() == self._thread_id:  # the collector ran on the loop's thread
            return None
        while not isinstance(said := self.next_said(), _Over):
            pass
        return said

    def tell(self, what: Callable[..., object], *args: object) -> None:
        """Have the loop call this; where the loop has ended there is nothing to be done."""
        assert self._loop is not None  # begun
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what, *args)

    # --- on the loop ------------------------------------------------------------------------

    def say(self, what: object) -> None:
        """Tell the caller's thread."""
        self._said.put(what)

    def cancel(self, why: BaseException | None = None) -> None:
        """End it; `why` is what its caller gets to see."""
        if self.task is not None:
            self._why = why
            self.task.cancel()
        elif not self._is_over:  # the caller's thread was interrupted before it had it begun
            self._is_over = True
            self.say(_Over(error=asyncio.CancelledError()))

    def _begin(self) -> None:
        async def carried_out() -> T:
            return await self._make()

        if self._is_over or self._loop is None:
            return
        self._thread_id = threading.get_ident()
        self.task = self._loop.create_task(carried_out())
        self._others.add(self)
        self.task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[T]) -> None:
        self._others.discard(self)
        self._is_over = True
        if task.cancelled():
            self.say(_Over(error=self._why or asyncio.CancelledError()))
        elif (error := task.exception()) is not None:
            self.say(_Over(error=error))
        else:
            self.say(_Over(result=task.result()))


def _outcome(said: _Over) -> object:
    try:
        if said.error is not None:
            raise said.error
        return said.result
    finally:
        del said  # its traceback leads here, which would keep both until the collector comes


def stream(
    thread: LoopThread,
    make: Callable[[Iterable[Any] | AsyncGenerator[Any, None] | None], AsyncGenerator[T, None]],
    rows: Iterable[Any] | None,
) -> Generator[T, None, None]:
    """The items of an async generator, which goes on only while the next one is asked for.

    Leaving the loop early, or `close()`, closes it, and waits for that.

    Args:
        thread: where the loop is.
        make: makes the generator of `rows`, on the loop.
        rows: read in the caller's thread, while that waits for the next item; None: there are none.
    """
    asked = asyncio.Event()

    async def said_one_by_one() -> None:  # in one task, as `async for` would
        given = None if rows is None else _asked_for(errand)
        async with aclosing(make(given)) as items:
            async for one in items:
                errand.say(_Item(one))
                await asked.wait()
                asked.clear()

    errand = Errand(said_one_by_one, is_stream=True)
    reader = None
    try:
        thread.send(errand)
        while True:
            said = errand.next_said()
            if isinstance(said, _Item):
                yield said.value
                errand.tell(asked.set)
            elif isinstance(said, _RowWanted):
                try:
                    reader = iter(rows or ()) if reader is None else reader
                    row = next(reader, _NO_MORE)
                except Exception as exc:
                    errand.tell(_fail, said.row, exc)
                else:
                    errand.tell(_give, said.row, row)
            else:
                assert isinstance(said, _Over)
                _outcome(said)
                return
    finally:
        over = errand.end()
        if over is not None and not isinstance(over.error, asyncio.CancelledError):
            _outcome(over)


async def _asked_for(errand: Errand[Any]) -> AsyncGenerator[Any, None]:
    """Rows, each asked for in the caller's thread."""
    while True:
        wanted = asyncio.get_running_loop().create_future()
        errand.say(_RowWanted(wanted))
        row = await wanted
        if row is _NO_MORE:
            return
        yield row


def _give(wanted: asyncio.Future[Any], row: object) -> None:
    if not wanted.done():
        wanted.set_result(row)


def _fail(wanted: asyncio.Future[Any], error: Exception) -> None:
    if not wanted.done():
        wanted.set_exception(error)

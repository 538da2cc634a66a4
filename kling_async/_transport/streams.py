"""How does a file come in? Its head first, then piece by piece, each step in a task of the wire.

A step is never cancelled with its caller: tearing httpx's reading in half can lose a place of its
pool. What is under way when the caller leaves ends by itself, and then the connection is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import KlingError

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")


class ResponseStream:
    """An answer whose body is still to be read; made by `Wire.stream`.

    Args:
        open_streams: this one is in it until its connection is closed.
        failure: what an error of the transport means for the caller; told None where `end` was
            called meanwhile.
    """

    status_code: int
    headers: Mapping[str, str]
    """Names in lower case."""
    moved_to: str | None
    """Where a redirect points, in full; None where it is none."""

    def __init__(
        self, open_streams: set[ResponseStream], failure: Callable[[Exception | None], KlingError]
    ) -> None:
        self._open_streams = open_streams
        open_streams.add(self)
        self._failure = failure
        self._response: httpx.Response | None = None
        self._latest: asyncio.Task[Any] | None = None
        self._closing: asyncio.Task[None] | None = None

    async def open(self, sending: Coroutine[Any, Any, httpx.Response]) -> None:
        """Send the request and read the head of its answer."""
        response = await self._step(self._opened(sending))
        self.status_code = response.status_code
        self.headers = dict(response.headers)
        self.moved_to = str(response.next_request.url) if response.next_request else None

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body as it arrives, 64 KiB at most each; KlingError where it is cut short."""
        assert self._response is not None  # open() was called
        arriving = self._response.aiter_bytes().__aiter__()

        async def following() -> bytes | None:
            return await anext(arriving, None)

        while (piece := await self._step(following())) is not None:
            yield piece

    async def close(self) -> None:
        """Close the connection: now, or as soon as the step that its caller left is over."""
        left = self._latest is not None and not self._latest.done()
        if self._closing is None:
            self._closing = asyncio.create_task(self._closed())
        if not left:
            await asyncio.shield(self._closing)

    async def end(self) -> None:
        """Break off what is under way and close the connection; for the closing of the client."""
        if self._latest is not None:
            self._latest.cancel()
            await asyncio.wait({self._latest})
        await self.close()

    async def _step(self, step: Coroutine[Any, Any, T]) -> T:
        task: asyncio.Task[T] = asyncio.create_task(step)
        self._latest = task
        task.add_done_callback(_looked_at)
        await asyncio.wait({task})  # a caller who is cancelled here leaves it
        try:
            return task.result()
        except asyncio.CancelledError:
            raise self._failure(None) from None
        except Exception as exc:  # aiohttp's own errors come through httpx-aiohttp, too
            raise self._failure(exc) from exc

    async def _opened(self, sending: Coroutine[Any, Any, httpx.Response]) -> httpx.Response:
        self._response = await sending
        return self._response

    async def _closed(self) -> None:
        if self._latest is not None and not self._latest.done():
            await asyncio.wait({self._latest})
        if self._response is not None:
            with contextlib.suppress(Exception):  # what breaks while it is closed is closed
                await self._response.aclose()
        self._open_streams.discard(self)


def _looked_at(task: asyncio.Task[Any]) -> None:
    """Its caller may be gone, and asyncio complains of errors that nobody has seen."""
    if not task.cancelled():
        task.exception()

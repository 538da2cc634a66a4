"""Who listens on a real port, who is connected, and how does it all end?

One task per connection and per follow-up, each owned here and ended with the server. What is said
on a connection is in `connection.py`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from .connection import Connection
from .messages import Handler

_BACKLOG = 1024


class Servable(Protocol):
    """What `run_server` needs of the emulator."""

    def serve(self, host: str, port: int, *, is_open: bool) -> AbstractAsyncContextManager[str]:
        """Listen while the context lasts."""
        ...


async def run_server(
    emulator: Servable,
    host: str,
    port: int,
    *,
    on_ready: Callable[[str], None],
    is_open: bool = False,
) -> None:
    """Serve until cancelled.

    Args:
        emulator: whom to serve.
        host: address to listen on.
        port: 0 takes a free one.
        on_ready: called once with the base URL when connections are accepted.
        is_open: see `Emulator.serve`.

    Examples:
        >>> serving = asyncio.create_task(run_server(emulator, "127.0.0.1", 0, on_ready=print))
        >>> serving.cancel()
        True
    """
    async with emulator.serve(host, port, is_open=is_open) as base_url:
        on_ready(base_url)
        await asyncio.get_running_loop().create_future()


@asynccontextmanager
async def serve(
    handler: Handler, host: str, port: int, *, path: str, is_open: bool
) -> AsyncGenerator[str, None]:
    """Listen while the context lasts; gives the URL of `path` on this server.

    Leaving it resets whatever is still connected, stalled callers included, and returns once all
    of it has ended.
    """
    connections = _Connections(handler)
    server = await asyncio.start_server(
        connections.accept, host, port, backlog=_BACKLOG, start_serving=False
    )
    address: tuple[str, int] = server.sockets[0].getsockname()[:2]
    is_v6 = server.sockets[0].family == socket.AF_INET6
    connections.origin = f"http://[{address[0]}]:{address[1]}" if is_v6 else _url(*address)
    connections.local = is_open or all(_is_loopback(one) for one in server.sockets)
    try:
        await server.start_serving()
        yield f"{connections.origin}{path}"
    finally:
        server.close()
        await connections.end()
        await server.wait_closed()


class _Connections:
    """All connections of one server."""

    def __init__(self, handler: Handler) -> None:
        self.origin = ""
        self.local = False
        self._handler = handler
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending = False

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Start talking to a newcomer."""
        if self._ending:
            writer.transport.abort()
            return
        connection = Connection(
            self._handler,
            reader,
            writer,
            origin=self.origin,
            local=self.local,
            own=lambda follow_up: self._own(follow_up()),
        )
        self._own(connection.run())

    def _own(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end(self) -> None:
        """End every conversation and follow-up, and wait until all have ended."""
        self._ending = True
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _url(host: str, port: int) -> str:
    return f"http://{host}:{port}"


def _is_loopback(listening: socket.socket) -> bool:
    return ipaddress.ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback

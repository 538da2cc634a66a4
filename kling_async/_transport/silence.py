"""Is a kept connection silent, so that the next answer on it can only be that of the next request?

A proxy that answers twice leaves a surplus answer on the connection; whoever sends there next takes
it for its own, and a paid call would return the id of something that was never made. So a request
goes out on a fresh connection, or on one that is proven silent right before its first byte: nothing
is unread in the buffers of the library above, of TLS and of the kernel. What arrives after that
look, while the request is on its way, can't be told from its answer by anybody who speaks HTTP/1.1.

The looks go into private parts of httpcore, anyio, aiohttp and asyncio. Where one of these is not
as expected, nothing is proven: the connection counts as not silent, and a fresh one is made.
"""

from __future__ import annotations

import select
import sys
from typing import Any

SURPLUS_CAME = "a kept connection was closed: something came on it that nobody had asked for"


class NotSilentError(Exception):
    """Something unread waits on the connection that a request was going to be sent on."""


def httpcore_is_silent(transport: Any, extensions: Any) -> bool:
    """Whether nothing is unread on the connection that a transport of httpx's gave a request.

    A connection that carries its first request is fresh: what a TLS peer sends ahead (tickets for
    later sessions) is no answer to anything.

    Args:
        transport: httpx's.
        extensions: the request's, by which it is known in the pool.
    """
    try:
        (connection,) = (
            asked.connection
            for asked in transport._pool._requests
            if asked.request.extensions is extensions
        )
        while not hasattr(connection, "_network_stream"):  # of proxies, one lies in another
            connection = connection._connection
        if connection._request_count <= 1:
            return True
        unread, closed = connection._h11_state.trailing_data
        stream = connection._network_stream
        layer = stream._stream
        while (below := getattr(layer, "transport_stream", None)) is not None:  # TLS
            if layer._read_bio.pending or layer._ssl_object.pending():
                return False
            layer = below
        protocol = layer._protocol
        return not (
            unread
            or closed
            or protocol.read_queue
            or protocol.is_at_eof
            or _is_readable(stream.get_extra_info("socket").fileno())
        )
    except (AttributeError, TypeError, ValueError, OSError):
        return False


def aiohttp_is_silent(protocol: Any) -> bool:
    """Whether nothing is unread on a kept connection of aiohttp's; `protocol` is its handler."""
    try:
        if protocol.heard or protocol.should_close:
            return False
        transport = protocol.transport
        tls = getattr(transport, "_ssl_protocol", None)  # asyncio's; uvloop hides it
        if tls is not None and (tls._incoming.pending or tls._sslobj.pending()):
            return False
        return not _is_readable(transport.get_extra_info("socket").fileno())
    except (AttributeError, TypeError, ValueError, OSError):
        return False


def _is_readable(descriptor: int) -> bool:
    """Whether the kernel has bytes for this socket, or the news that its peer is gone."""
    if sys.platform == "win32":
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))

"""How do hundreds of requests at once get through httpx? Each through a pool of one connection.

httpcore's pool looks at every connection and every waiting request on each event, and asks the
socket of each idle connection whether it is still there. In a pool of one there is nothing to look
at, so what a request costs does not grow with the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections import deque
from collections.abc import AsyncIterator
from functools import partial

import httpx

from .progress import current
from .silence import SURPLUS_CAME, NotSilentError, httpcore_is_silent

log = logging.getLogger("kling_async")


async def sent_in_silence(
    transport: httpx.AsyncHTTPTransport, request: httpx.Request
) -> httpx.Response:
    """Send it on a connection that is fresh, or silent right before the first byte."""
    progress = current.get()
    if progress is not None:
        progress.is_silent = partial(httpcore_is_silent, transport, request.extensions)
    while True:  # each kept connection that is not silent is closed, and a fresh one is
        try:
            return await transport.handle_async_request(request)
        except NotSilentError:
            log.info(SURPLUS_CAME)


class SilentPool(httpx.AsyncBaseTransport):
    """One of httpx's own transports, with the look at each connection; for proxies.

    Args:
        transport: it; its proxy may be in the way, and answers on its connections all the same.
    """

    def __init__(self, transport: httpx.AsyncHTTPTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it on a connection that is fresh, or silent."""
        return await sent_in_silence(self._transport, request)

    async def aclose(self) -> None:
        """Close the pool."""
        await self._transport.aclose()


class PoolsOfOne(httpx.AsyncBaseTransport):
    """httpx's own transport, once for each request under way.

    How many that may be is for others to bound. A request takes the pool that was free last, whose
    connection is the warmest; pools that nobody has needed for long are closed.

    Args:
        context: for TLS.
        keepalive_expiry_s: how long an idle connection is kept.
    """

    def __init__(self, context: ssl.SSLContext, keepalive_expiry_s: float) -> None:
        self._context = context
        self._limits = httpx.Limits(
            max_connections=1, max_keepalive_connections=1, keepalive_expiry=keepalive_expiry_s
        )
        self._expiry_s = keepalive_expiry_s
        self._pools: set[httpx.AsyncHTTPTransport] = set()
        self._free: deque[tuple[httpx.AsyncHTTPTransport, float]] = deque()
        """With the time since when, the longest at the left."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it on a pool that is its own until the response is closed."""
        pool = self._free.pop()[0] if self._free else self._opened()
        try:
            response = await sent_in_silence(pool, request)
        except Exception:
            await self.left(pool)
            raise
        except BaseException:  # cancelled: httpcore may keep the place in its pool for ever
            await self.left(pool, whole=False)
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _FromPool(response.stream, self, pool)
        return response

    async def aclose(self) -> None:
        """Close all of them."""
        self._free.clear()
        for pool in tuple(self._pools):
            await self._close(pool)

    async def left(self, pool: httpx.AsyncHTTPTransport, *, whole: bool = True) -> None:
        """A pool is free; or not `whole`, and of no use."""
        if not whole:
            await self._close(pool)
            return
        now_s = asyncio.get_running_loop().time()
        self._free.append((pool, now_s))
        unneeded = []
        while self._free[0][1] < now_s - self._expiry_s:
            unneeded.append(self._free.popleft()[0])
        for one in unneeded:  # meanwhile others take and leave pools
            await self._close(one)

    def _opened(self) -> httpx.AsyncHTTPTransport:
        pool = httpx.AsyncHTTPTransport(verify=self._context, limits=self._limits)
        self._pools.add(pool)
        return pool

    async def _close(self, pool: httpx.AsyncHTTPTransport) -> None:
        with contextlib.suppress(Exception):  # no matter of the request that happens to close it
            await pool.aclose()
        self._pools.discard(pool)


class _FromPool(httpx.AsyncByteStream):
    """A response's body; closing it frees the pool."""

    def __init__(
        self, body: httpx.AsyncByteStream, pools: PoolsOfOne, pool: httpx.AsyncHTTPTransport
    ) -> None:
        self._body = body
        self._pools = pools
        self._pool: httpx.AsyncHTTPTransport | None = pool

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._body.__aiter__()

    async def aclose(self) -> None:
        """Close the body; a second call does nothing."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        whole = False
        try:
            with contextlib.suppress(Exception):  # what was read is an answer all the same
                await self._body.aclose()
                whole = True
        finally:
            await self._pools.left(pool, whole=whole)

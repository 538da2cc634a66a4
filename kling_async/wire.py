"""How do bytes get there and back? The one file that imports httpx at run time.

`pipeline.py` calls `Wire.exchange` once per attempt. It returns a complete `Answer`, or raises
`NotSentError` (no byte of the request was written) or `OutcomeUnknownError` (all else). The two are
told apart by what happened on the connection, not by exception types: those lie. httpx raises the
same ReadError before and after the server has worked, and httpx-aiohttp turns a server that hangs
up after the request into ConnectTimeout.
"""

from __future__ import annotations

import asyncio
import importlib.util
import ssl
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies

import httpx

from . import settings
from .errors import ConfigurationError, NotSentError, OutcomeUnknownError
from .protocol import Answer, Outgoing

if TYPE_CHECKING:
    import aiohttp

# Errors that httpx's own transports raise only before anything is written.
_BEFORE_WRITING = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
)


class _Progress:
    """How far one exchange has come. Assume the worst where a transport does not report."""

    def __init__(self) -> None:
        self.reported = False  # does the transport under it tell when writing begins?
        self.began = False  # and has it begun?

    async def on_httpcore(self, event: str, _: Any) -> None:
        self.reported = True
        if event.endswith(".send_request_headers.started"):
            self.began = True


_progress: ContextVar[_Progress | None] = ContextVar("kling_async_progress", default=None)


class Wire:
    """The connection pool of one client, and the token it sends.

    Args:
        base_url: the API's address, without a trailing slash.
        token: goes into the Authorization header of each request, and nowhere else.
        user_agent: names this library.
        timeout: per attempt, in httpx's meaning.
        transport: "httpx", "aiohttp", one of your own, or None: aiohttp where it is installed.
        http_client: a client of yours to send through; it stays yours to close.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        user_agent: str,
        timeout: httpx.Timeout | float | None,
        transport: httpx.AsyncBaseTransport | str | None,
        http_client: httpx.AsyncClient | None,
    ) -> None:
        self.base_url = base_url
        self._headers = {
            "authorization": f"Bearer {token}",
            "user-agent": user_agent,
            "accept": "application/json",
        }
        self.timeout = timeout
        self._transport = _chosen(transport) if http_client is None else None
        self._client = http_client
        self._owned = http_client is None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"Wire({self.base_url!r})"  # and not the token

    async def open(self) -> None:
        """Bind to the running loop and make the pool, once; a second call changes nothing."""
        loop = asyncio.get_running_loop()
        if self._closed:
            raise ConfigurationError("this client is closed; make a new one. Nothing was sent")
        if self._loop is not None and self._loop is not loop:
            raise ConfigurationError(
                "this client was opened in another event loop; make one client in each loop "
                "(inside the coroutine given to asyncio.run). Nothing was sent"
            )
        self._loop = loop
        if self._client is None:
            # Reading the CA file takes ~20 ms, so not on the loop; plain http needs none.
            secure = self.base_url.startswith("https")
            context = await asyncio.to_thread(httpx.create_ssl_context) if secure else None
            if self._client is None:  # another first call may have been faster
                self._client = _client(self._transport, context)

    async def exchange(self, out: Outgoing, timeout: httpx.Timeout | float | None = None) -> Answer:
        """Send once and read the whole answer.

        Args:
            out: what to send.
            timeout: for this exchange; default: the one of the client.
        """
        await self.open()
        assert self._client is not None  # open() made it
        progress = _Progress()
        _progress.set(progress)
        request = self._request(out, self.timeout if timeout is None else timeout, progress)
        try:
            response = await self._client.send(request, follow_redirects=False)
        except asyncio.CancelledError:
            raise
        except Exception as exc:  # aiohttp's own errors come through httpx-aiohttp, too
            if _never_sent(exc, progress):
                raise NotSentError(f"nothing was sent: {_in_words(exc)}") from exc
            raise OutcomeUnknownError(f"the answer was lost: {_in_words(exc)}") from exc
        return Answer(response.status_code, dict(response.headers), response.content)

    async def aclose(self) -> None:
        """Close the pool, unless it is the user's."""
        self._closed = True
        client, self._client = self._client, None
        if client is not None and self._owned:
            await client.aclose()

    def _request(
        self, out: Outgoing, timeout: httpx.Timeout | float | None, progress: _Progress
    ) -> httpx.Request:
        headers = dict(self._headers)
        if out.content_type is not None:
            headers["content-type"] = out.content_type
        return httpx.Request(
            out.method,
            self.base_url + out.path,
            headers=headers,
            content=out.content if out.method == "POST" else None,
            extensions={
                "timeout": httpx.Timeout(timeout).as_dict(),
                "trace": progress.on_httpcore,
            },
        )


def default_timeout() -> httpx.Timeout:
    """Per attempt: patient with reading, because how long a create takes is unknown."""
    return httpx.Timeout(
        connect=settings.CONNECT_TIMEOUT_S,
        read=settings.READ_TIMEOUT_S,
        write=settings.WRITE_TIMEOUT_S,
        pool=settings.POOL_TIMEOUT_S,
    )


def _never_sent(exc: Exception, progress: _Progress) -> bool:
    if progress.reported:
        return not progress.began
    return isinstance(exc, _BEFORE_WRITING)


def _in_words(exc: Exception) -> str:
    text = str(exc)  # many of httpx's errors have none
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__


# --- transports -------------------------------------------------------------------------------


def _chosen(transport: httpx.AsyncBaseTransport | str | None) -> httpx.AsyncBaseTransport | str:
    if isinstance(transport, httpx.AsyncBaseTransport):
        return transport
    installed = importlib.util.find_spec("httpx_aiohttp") is not None
    if transport is None:
        # Only httpx's own transport obeys HTTPS_PROXY and its like.
        return "aiohttp" if installed and not getproxies() else "httpx"
    if transport not in ("httpx", "aiohttp"):
        raise ConfigurationError(
            f"transport={transport!r}: use 'httpx', 'aiohttp' or an httpx.AsyncBaseTransport"
        )
    if transport == "aiohttp" and not installed:
        raise ConfigurationError(
            "transport='aiohttp' needs the extra: pip install 'kling-async[speed]'"
        )
    return transport


def _client(
    transport: httpx.AsyncBaseTransport | str | None, context: ssl.SSLContext | None
) -> httpx.AsyncClient:
    limits = httpx.Limits(
        max_connections=settings.MAX_CONNECTIONS,
        max_keepalive_connections=settings.MAX_CONNECTIONS,
        keepalive_expiry=settings.KEEPALIVE_EXPIRY_S,
    )
    verify: ssl.SSLContext | bool = False if context is None else context
    if isinstance(transport, httpx.AsyncBaseTransport):
        return httpx.AsyncClient(transport=transport)
    if transport == "aiohttp":
        return httpx.AsyncClient(transport=_aiohttp_transport(verify, limits))
    return httpx.AsyncClient(verify=verify, limits=limits)


def _aiohttp_transport(
    verify: ssl.SSLContext | bool, limits: httpx.Limits
) -> httpx.AsyncBaseTransport:
    import aiohttp
    from httpx_aiohttp import AiohttpTransport

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=limits.max_connections or 0,
                keepalive_timeout=settings.KEEPALIVE_EXPIRY_S,
                ssl=verify,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[_aiohttp_reports()],
        )

    return AiohttpTransport(verify=verify, limits=limits, client=session)


def _aiohttp_reports() -> aiohttp.TraceConfig:
    """Tell the exchange when aiohttp has a connection, after which it writes at once.

    aiohttp has no event before the first byte, only after the headers; so the moment before counts.
    """
    import aiohttp

    config = aiohttp.TraceConfig()

    async def started(*_: Any) -> None:
        if (progress := _progress.get()) is not None:
            progress.reported = True

    async def connected(*_: Any) -> None:
        if (progress := _progress.get()) is not None:
            progress.began = True

    config.on_request_start.append(started)
    config.on_connection_create_end.append(connected)
    config.on_connection_reuseconn.append(connected)
    return config

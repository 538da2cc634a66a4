"""What carries the bytes? httpx's own transport, aiohttp below httpx, or one of the user's.

`wire.py` asks once, when it opens. A transport must tell when writing begins: httpcore does by its
trace events, aiohttp by the reports added here.
"""

from __future__ import annotations

import importlib.util
import ssl
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies

import httpx

from . import settings
from .errors import ConfigurationError
from .progress import current

if TYPE_CHECKING:
    import aiohttp


def default_timeout() -> httpx.Timeout:
    """Per attempt: patient with reading, because how long a create takes is unknown."""
    return httpx.Timeout(
        connect=settings.CONNECT_TIMEOUT_S,
        read=settings.READ_TIMEOUT_S,
        write=settings.WRITE_TIMEOUT_S,
        pool=settings.POOL_TIMEOUT_S,
    )


def file_timeout() -> httpx.Timeout:
    """Per step of a download: a file server that is silent for so long has lost us."""
    return httpx.Timeout(settings.FILE_READ_TIMEOUT_S, connect=settings.CONNECT_TIMEOUT_S)


def chosen(transport: httpx.AsyncBaseTransport | str | None) -> httpx.AsyncBaseTransport | str:
    """The user's choice; where there is none, aiohttp if it is installed and no proxy is set."""
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


def client_on(
    transport: httpx.AsyncBaseTransport | str | None, context: ssl.SSLContext | None
) -> httpx.AsyncClient:
    """An httpx client of ours over it; `context` where TLS is needed."""
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
        made = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=limits.max_connections or 0,
                keepalive_timeout=settings.KEEPALIVE_EXPIRY_S,
                ssl=verify,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[_aiohttp_reports()],
        )
        # It would send reads and deletes twice by itself, past our limits; and a delete whose
        # first answer was lost would then look as if there had been nothing to delete.
        made._retry_connection = False
        return made

    return AiohttpTransport(verify=verify, limits=limits, client=session)


def _aiohttp_reports() -> aiohttp.TraceConfig:
    """Tell the exchange when aiohttp has a connection: its last event before the first byte."""
    import aiohttp

    config = aiohttp.TraceConfig()

    async def started(*_: Any) -> None:
        if (progress := current.get()) is not None:
            progress.reported = True

    async def connected(*_: Any) -> None:
        if (progress := current.get()) is not None:
            progress.began = True

    config.on_request_start.append(started)
    config.on_connection_create_end.append(connected)
    config.on_connection_reuseconn.append(connected)
    return config

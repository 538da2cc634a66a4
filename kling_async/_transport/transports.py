"""What carries the bytes? httpx's own transport, aiohttp below httpx, or one of the user's.

`wire.py` asks once, when it opens. A transport must tell when writing begins: httpcore does by its
trace events, aiohttp by the connector made here.
"""

from __future__ import annotations

import importlib.util
import logging
import math
import ssl
from functools import partial
from typing import Any

import httpx

from .. import settings
from ..aio import invalid_deadline
from ..errors import ConfigurationError
from .answers import NoCookies
from .environment import Proxies
from .pools import PoolsOfOne, SilentPool
from .progress import current
from .silence import SURPLUS_CAME, aiohttp_is_silent

log = logging.getLogger("kling_async")


def timeout_of(given: Any) -> httpx.Timeout | float:
    """Per attempt: the user's; else patient with reading, as how long a create takes is unknown."""
    if isinstance(given, httpx.Timeout):
        return given
    if given is not None:
        if invalid_deadline(given) or math.isinf(given):  # aiohttp can't count to infinity
            raise ConfigurationError(
                f"timeout={given!r}: give seconds above 0, or an httpx.Timeout "
                "(httpx.Timeout(None) for no limit)"
            )
        return float(given)
    return httpx.Timeout(
        connect=settings.CONNECT_TIMEOUT_S,
        read=settings.READ_TIMEOUT_S,
        write=settings.WRITE_TIMEOUT_S,
        pool=settings.POOL_TIMEOUT_S,
    )


def file_timeout() -> httpx.Timeout:
    """Per step of a download: a file server that is silent for so long has lost us."""
    return httpx.Timeout(settings.FILE_READ_TIMEOUT_S, connect=settings.CONNECT_TIMEOUT_S)


def chosen(
    transport: httpx.AsyncBaseTransport | str | None, base_url: str, proxies: Proxies
) -> httpx.AsyncBaseTransport | str:
    """The user's choice; where there is none, aiohttp if it is installed and no proxy is set.

    Only httpx's own transport goes through proxies: who asks for the other one by name is told.
    """
    if isinstance(transport, httpx.AsyncBaseTransport):
        return transport
    installed = importlib.util.find_spec("httpx_aiohttp") is not None
    if transport is None:
        return "aiohttp" if installed and not proxies else "httpx"
    if transport not in ("httpx", "aiohttp"):
        raise ConfigurationError(
            f"transport={transport!r}: use 'httpx', 'aiohttp' or an httpx.AsyncBaseTransport"
        )
    if transport == "aiohttp" and not installed:
        raise ConfigurationError(
            "transport='aiohttp' needs the extra: pip install 'kling-async[speed]'"
        )
    if transport == "aiohttp" and proxies and proxies.on_the_way_to(base_url) is not None:
        raise ConfigurationError(
            "transport='aiohttp' goes through no proxy, and the environment names one for "
            f"{httpx.URL(base_url).host} (HTTPS_PROXY or its like): use transport='httpx', or list "
            "the host in NO_PROXY"
        )
    return transport


def most_in_flight(
    transport: httpx.AsyncBaseTransport | str | None, proxies: Proxies
) -> int | None:
    """How many exchanges at once it takes well; None: it queues well by itself.

    Places of ours come before httpx's own transport: nothing may wait inside it.
    """
    if transport != "httpx":
        return None
    return settings.MAX_CONNECTIONS_PROXIED if proxies else settings.MAX_CONNECTIONS


def client_on(
    transport: httpx.AsyncBaseTransport | str | None,
    context: ssl.SSLContext | None,
    proxies: Proxies,
) -> httpx.AsyncClient:
    """An httpx client of ours over it; `context` where TLS is needed."""
    verify: ssl.SSLContext | bool = False if context is None else context
    if transport == "aiohttp":
        transport = _aiohttp_transport(verify)
    elif transport == "httpx":
        context = context or httpx.create_ssl_context(verify=False)
        transport = PoolsOfOne(context, settings.KEEPALIVE_EXPIRY_S)
        if proxies:
            transport = ByProxies(transport, proxies, context)
    assert isinstance(transport, httpx.AsyncBaseTransport)
    client = httpx.AsyncClient(
        transport=transport,
        trust_env=False,  # it was read by us: httpx knows no exception for this machine itself
        auth=httpx.Auth(),  # else a password is looked for in each address
    )
    client._cookies = NoCookies()  # what it is given it would put into one of its own
    return client


class ByProxies(httpx.AsyncBaseTransport):
    """Sends each request on its way: through a proxy, or directly.

    Args:
        direct: for what needs no proxy.
        proxies: say what goes through which.
        context: for TLS.
    """

    def __init__(
        self, direct: httpx.AsyncBaseTransport, proxies: Proxies, context: ssl.SSLContext
    ) -> None:
        self._direct = direct
        self._proxies = proxies
        self._context = context
        self._by_proxy: dict[str, SilentPool] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it on its way."""
        proxy = self._proxies.on_the_way_to(request.url)
        if proxy is None:
            return await self._direct.handle_async_request(request)
        through = self._by_proxy.get(proxy)
        if through is None:
            pool = httpx.AsyncHTTPTransport(
                verify=self._context,
                proxy=httpx.Proxy(proxy),
                limits=httpx.Limits(
                    max_connections=settings.MAX_CONNECTIONS_PROXIED,
                    max_keepalive_connections=settings.MAX_IDLE_CONNECTIONS_PROXIED,
                    keepalive_expiry=settings.KEEPALIVE_EXPIRY_S,
                ),
            )
            through = self._by_proxy[proxy] = SilentPool(pool)
        return await through.handle_async_request(request)

    async def aclose(self) -> None:
        """Close all of them."""
        for one in (self._direct, *self._by_proxy.values()):
            await one.aclose()


def _aiohttp_transport(verify: ssl.SSLContext | bool) -> httpx.AsyncBaseTransport:
    import aiohttp
    from aiohttp.client_proto import ResponseHandler
    from httpx_aiohttp import AiohttpTransport
    from yarl import URL

    class Listening(ResponseHandler):
        """Notes what arrives while nobody waits for an answer, be it half a line."""

        heard = False

        def data_received(self, data: bytes) -> None:
            # Without any, aiohttp goes on with its own buffer.
            self.heard = self.heard or bool(data)
            super().data_received(data)

        def set_exception(
            self, exc: BaseException, *cause: BaseException, **named: BaseException
        ) -> None:
            # aiohttp (3.14) tells this to who waits for a head alone. Who was reading a body that
            # is found malformed on its way would wait for ever: its read timeout is off as well.
            body = self._payload
            super().set_exception(exc, *cause, **named)
            if body is not None and not body.is_eof() and body.exception() is None:
                body.set_exception(exc)

    class Reporting(aiohttp.TCPConnector):
        """Tells the exchange when it has a connection: the last thing before the first byte.

        aiohttp's own tracing could, too, but sends five signals per request (12 us).
        """

        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self._factory = partial(Listening, loop=self._loop)  # type: ignore[assignment]

        async def _get(self, key: Any, traces: Any) -> Any:
            """A kept connection that is silent; None where none is."""
            while (connection := await super()._get(key, traces)) is not None:
                if aiohttp_is_silent(connection.protocol):
                    break
                log.info(SURPLUS_CAME)
                connection.close()
            return connection

        def _release(self, key: Any, protocol: Any, **options: Any) -> None:
            protocol.heard = False  # all that has arrived so far belongs to the answer
            super()._release(key, protocol, **options)

        async def connect(self, *args: Any, **options: Any) -> Any:
            connection = await super().connect(*args, **options)
            if (progress := current.get()) is not None:
                try:
                    progress.begin()
                except BaseException:
                    connection.release()
                    raise
            return connection

    def session() -> aiohttp.ClientSession:
        made = aiohttp.ClientSession(
            connector=Reporting(
                limit=settings.MAX_CONNECTIONS,
                keepalive_timeout=settings.KEEPALIVE_EXPIRY_S,
                ssl=verify,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            # As httpx's own transport takes it; by default 8,190 bytes, and a longer header (a
            # proxy's cookie, say) would lose the answer.
            max_line_size=settings.MOST_HEADER_BYTES,
            max_field_size=settings.MOST_HEADER_BYTES,
        )
        # It would send reads and deletes twice by itself, past our limits; and a delete whose
        # first answer was lost would then look as if there had been nothing to delete.
        made._retry_connection = False
        # An address goes out byte for byte as it was given: signed ones are refused otherwise.
        object.__setattr__(made, "_build_url", partial(URL, encoded=True))
        return made

    return AiohttpTransport(verify=verify, client=session)

"""How do bytes get there and back? Sends through httpx, and says what became of it.

`pipeline.py` calls `Wire.exchange` once per attempt. It returns a complete `Answer`, or raises
`NotSentError` (no byte of the request was written) or `OutcomeUnknownError` (all else); which of
them, is for `failures.py` to say.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from functools import partial
from typing import Any

import httpx

from .. import settings
from ..aio import finished
from ..errors import ConfigurationError, KlingError
from ..models.media import Media
from ..models.redactor import Redactor
from .answers import due_within, whole_answer
from .environment import proxies_of_machine, tls_context
from .failures import harmless, in_words, lost_or_not_sent, meaning
from .progress import HeldBack, Progress, current
from .protocol import Answer, Outgoing
from .request_builder import RequestBuilder
from .streams import ResponseStream
from .transports import chosen, client_on, file_timeout, most_in_flight
from .uploads import FileBody, body_of

log = logging.getLogger("kling_async")


class _BrokenOffError(Exception):
    """Tells a caller that its exchange was cancelled, as closing the client does."""


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
        self._builder = RequestBuilder(base_url, self._headers, timeout)
        if http_client is not None and not isinstance(http_client, httpx.AsyncClient):
            kind = type(http_client)
            raise ConfigurationError(
                f"http_client must be an httpx.AsyncClient, not {kind.__module__}.{kind.__name__}"
            )
        self.close_within_s: float = settings.CLOSE_WITHIN_S
        self._proxies = proxies_of_machine()
        self._transport = (
            chosen(transport, base_url, self._proxies) if http_client is None else None
        )
        self._client = http_client
        self._owned = http_client is None
        self._reports = http_client is None and isinstance(self._transport, str)
        self._redactor = Redactor((token, token.removeprefix("user:")))
        self._under_way: set[asyncio.Task[Answer]] = set()
        self._context = Context()
        self._files: httpx.AsyncClient | None = None
        self._streams: set[ResponseStream] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    @property
    def most_in_flight(self) -> int | None:
        """How many exchanges at once the transport below takes well; None: any number."""
        return most_in_flight(self._transport, self._proxies)

    def __repr__(self) -> str:
        return f"Wire({self.base_url!r})"  # and not the token

    async def open(self) -> None:
        """Bind to the running loop and make the pool, once; a second call changes nothing."""
        loop = asyncio.get_running_loop()
        if self._loop is loop and self._client is not None and not self._closed:
            return
        self._refuse_if_closed()
        if self._loop is not None and self._loop is not loop:
            raise ConfigurationError(
                "this client was opened in another event loop; make one client in each loop "
                "(inside the coroutine given to asyncio.run). Nothing was sent"
            )
        self._loop = loop
        if self._client is None:
            # Reading the CA file takes ~20 ms, so not on the loop; plain http needs none.
            if isinstance(self._transport, str):
                self._proxies.on_the_way_to(self.base_url)  # raises where it can't be used
            secure = self.base_url.startswith("https")
            context = await asyncio.to_thread(tls_context) if secure else None
            self._refuse_if_closed()
            if self._client is None:  # another first call may have been faster
                self._client = client_on(self._transport, context, self._proxies)

    async def exchange(
        self,
        out: Outgoing,
        timeout: httpx.Timeout | float | None = None,
        progress: Progress | None = None,
    ) -> Answer:
        """Send once and read the whole answer.

        Runs in a task of the wire: a caller that is cancelled leaves it to finish, because tearing
        an exchange in half loses its outcome and, with httpx, places of the pool. If nothing was
        written yet, nothing will be.

        Args:
            out: what to send.
            timeout: for this exchange; default: the one of the client.
            progress: filled in; for a caller that must know how far it came.

        Raises:
            HeldBack: `progress.before_first_byte` said so; nothing was sent.
            NotSentError: no byte of it was written.
            OutcomeUnknownError: it may have been carried out.
        """
        if self._closed or self._client is None or self._loop is not asyncio.get_running_loop():
            await self.open()
        progress = Progress() if progress is None else progress
        progress.reported = self._reports
        if isinstance(out.content, Media):
            body = await body_of(out.content)
            await self.open()  # closed meanwhile?
        else:
            body = out.content
        assert self._client is not None  # open() made both
        assert self._loop is not None
        current.set(progress)
        request = self._builder.request(out, body, timeout, progress)
        sending = self._client.send(request, follow_redirects=False, stream=True)
        task = asyncio.create_task(whole_answer(sending, self._redactor))
        self._under_way.add(task)
        answered: asyncio.Future[Answer] = self._loop.create_future()
        size_bytes = body.size_bytes if isinstance(body, FileBody) else len(body)
        overdue = due_within(self._loop, request, size_bytes, task, progress, self._context)
        task.add_done_callback(partial(self._ended, answered, sending, overdue))
        try:
            return await answered
        except asyncio.CancelledError:  # the caller is, and nobody else
            self._leave(task, progress, out)
            raise
        except _BrokenOffError:
            what = "the client was closed" if self._closed else "the exchange was cancelled"
            what = progress.overdue or f"{what} before the answer came"
            raise lost_or_not_sent(progress, what) from None
        except (HeldBack, KlingError):
            raise
        except Exception as exc:  # aiohttp's own errors come through httpx-aiohttp, too
            failure = body.problem or exc if isinstance(body, FileBody) else exc
        failure = harmless(failure, self._redactor)
        raise meaning(progress, failure) from failure

    @asynccontextmanager
    async def stream(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        timeout: httpx.Timeout | float | None = None,
    ) -> AsyncGenerator[ResponseStream, None]:
        """The file at `url`: its head, its body still to be read. Redirects are not followed.

        Files have a pool of their own, so that downloads never take the places of calls. The token
        goes along only where `url` lies below the base URL: never to a file server.

        Args:
            url: an address that `unfetchable` has nothing against.
            headers: to add.
            timeout: per step; default: 10 s to connect, 60 s to read.

        Raises:
            NotSentError: nothing was sent.
            OutcomeUnknownError: the answer was lost, or cut short.
        """
        await self.open()
        client = await self._file_client()
        if isinstance(self._transport, str):
            self._proxies.on_the_way_to(url)  # raises where it can't be used
        progress = Progress(self._reports)
        ours = self._headers if _lies_below(url, self.base_url) else {}
        request = httpx.Request(
            "GET",
            url,
            # As it is: a length, a range and an ETag of a compressed form would mean other bytes.
            headers={
                "user-agent": self._headers["user-agent"],
                **ours,
                "accept": "*/*",
                "accept-encoding": "identity",
                **(headers or {}),
            },
            extensions={
                "timeout": httpx.Timeout(timeout or file_timeout()).as_dict(),
                "trace": progress.on_httpcore,
            },
        )

        def failure(exc: Exception | None) -> KlingError:
            if exc is None:
                return lost_or_not_sent(progress, "the client was closed before the file was read")
            return meaning(progress, harmless(exc, self._redactor))

        stream = ResponseStream(self._streams, failure)
        current.set(progress)
        try:
            await stream.open(client.send(request, stream=True, follow_redirects=False, auth=None))
            yield stream
        finally:
            await stream.close()

    def unfetchable(self, url: str) -> str | None:
        """Why a file at `url` can't be fetched; None where it can.

        `http://` would let anybody on the way change the file, so it is for this machine only (as
        with the emulator), or for a transport or client of the user's own.
        """
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, TypeError, ValueError) as exc:
            return f"it can't be read as an address: {exc}"
        if not parsed.host or parsed.scheme not in ("https", "http"):
            return "it is no http or https address"
        if parsed.scheme == "https" or not isinstance(self._transport, str):
            return None
        own = httpx.URL(self.base_url).host
        if settings.is_loopback(parsed.host) and settings.is_loopback(own):
            return None
        return f"{parsed.host} would send it unencrypted (http://)"

    async def _file_client(self) -> httpx.AsyncClient:
        """The pool for files; the user's own transport or client serves for them, too."""
        assert self._client is not None  # open() made it
        if not isinstance(self._transport, str):
            return self._client
        if self._files is None:
            context = await asyncio.to_thread(tls_context)
            if self._files is None:  # another download may have been faster
                await self.open()  # closed meanwhile?
                self._files = client_on(self._transport, context, self._proxies)
        return self._files

    async def aclose(self) -> None:
        """Wait up to `close_within_s` for exchanges under way, end the rest, and close the pool.

        Streams end at once: nothing is lost with them. The pool of the user's own client stays
        open.
        """
        self._closed = True
        files, self._files = self._files, None
        client, self._client = self._client, None
        try:
            await asyncio.gather(*(stream.end() for stream in tuple(self._streams)))
            if self._under_way:
                await asyncio.wait(set(self._under_way), timeout=self.close_within_s)
        finally:  # where closing is cancelled, nothing is waited for any more
            owned = [one for one in (files, client if self._owned else None) if one is not None]
            # In a task: anyio cancels each wait of a cancelled scope, and these would stay open.
            await finished(asyncio.create_task(self._end(owned)))

    async def _end(self, clients: Sequence[httpx.AsyncClient]) -> None:
        late = tuple(self._under_way)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        for one in clients:
            await one.aclose()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise ConfigurationError("this client is closed; make a new one. Nothing was sent")

    def _ended(
        self,
        answered: asyncio.Future[Answer],
        sending: Coroutine[Any, Any, httpx.Response],
        overdue: asyncio.TimerHandle | None,
        task: asyncio.Task[Answer],
    ) -> None:
        """Hand the outcome to the caller: `asyncio.shield`, in one step of the loop, not two."""
        self._under_way.discard(task)
        sending.close()  # where the task was cancelled before its first step
        if overdue is not None:
            overdue.cancel()
        if answered.done():
            return  # the caller was cancelled; `_leave` tells of the outcome
        if task.cancelled():
            answered.set_exception(_BrokenOffError())  # its caller is not cancelled
        elif (error := task.exception()) is not None:
            answered.set_exception(error)
        else:
            answered.set_result(task.result())

    def _leave(self, task: asyncio.Task[Answer], progress: Progress, out: Outgoing) -> None:
        """The caller was cancelled: stop what has not begun, let the rest finish, tell of it."""
        progress.abandoned = True
        progress.left_behind = task
        if not progress.may_have_begun and self._transport == "aiohttp":
            task.cancel()  # aiohttp takes this well, and has no hook that may raise

        def ended(task: asyncio.Task[Answer]) -> None:
            error = None if task.cancelled() else task.exception()  # which counts as having looked
            if task.cancelled() or not progress.may_have_begun:
                return
            log.info(
                "%s %s: its caller was cancelled; the exchange ended with %s",
                out.method,
                out.route,
                self._redactor.text(in_words(error))
                if error is not None
                else f"status {task.result().status_code}",
            )
            if error is None and progress.on_late is not None:
                progress.on_late(task.result())

        task.add_done_callback(ended)


def _lies_below(url: str, base_url: str) -> bool:
    """Whether `url` has the origin of `base_url`, and a path below its path."""
    one, base = httpx.URL(url), httpx.URL(base_url)
    same = (one.scheme, one.host, one.port) == (base.scheme, base.host, base.port)
    return same and one.path.startswith(base.path + "/")

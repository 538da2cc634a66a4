"""How does a file come down whole? In attempts that go on where the last one ended.

`downloads.py` asks for one file at one address; the bytes go to a `PartFile`. An attempt goes on
only where the server says that it is the same file still (a validator in If-Range, and 206), and
the result counts only if it has the length that was announced.
"""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Collection
from contextlib import aclosing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from attrs import frozen

from .. import errors
from .._calls.retry import RetryPolicy, backoff_s, may_resend
from .._limits.throttle import pause_s
from .._transport.protocol import with_context
from .._transport.retry_after import retry_after_s
from .._transport.streams import ResponseStream
from .._transport.wire import Wire
from ..aio import in_thread
from ..clock import Clock
from ..errors import APIError, CallContext, KlingError, OutcomeUnknownError, UnexpectedResponseError
from ..models.requests import Safety
from .expected import mismatch
from .part_file import HEAD_BYTES, PartFile

if TYPE_CHECKING:
    from httpx import Timeout

log = logging.getLogger("kling_async")

WRITE_BYTES = 512 * 1024  # gathered before a thread writes them
MORE_BYTES = 1024 * 1024  # an attempt that brought so much does not count as failed
MOST_REDIRECTS = 5

_BY_STATUS = {404: errors.NotFoundError, 410: errors.GoneError, 429: errors.RateLimitedError}
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)\s*", re.IGNORECASE)


@frozen
class Fetched:
    """A file that came down whole."""

    url: str
    """Where it was in the end, after redirects."""
    content_type: str | None
    """As the server says."""
    disposition: str | None
    resumed: bool
    """Whether an attempt went on where another had ended."""


class Fetch:
    """One file at one address.

    Args:
        wire: reads it.
        clock: sleeps between attempts.
        retry: how often, and how patiently; an attempt that brought 1 MB more is not counted.
        timeout: per step; None: the wire's own.
        wanted: which kinds of file were asked for; see `expected.mismatch`.
    """

    def __init__(
        self,
        wire: Wire,
        clock: Clock,
        retry: RetryPolicy,
        timeout: Timeout | float | None,
        wanted: Collection[str] = (),
    ) -> None:
        self._wire = wire
        self._clock = clock
        self._retry = retry
        self._timeout = timeout
        self._wanted = wanted
        self._attempts = 0
        self._pages = 0
        """Answers that were no file; who answers so twice means it."""
        self._goes_on = False
        """This attempt adds to what earlier ones brought."""
        self._resumed = False
        self._hopeless = False
        """Another attempt would end the same way."""
        self._validator: str | None = None
        self._size_bytes: int | None = None

    async def into(self, part: PartFile, url: str, account: str | None) -> Fetched:
        """Everything at `url`, written to `part`.

        Raises:
            APIError: the file server refused it.
            OutcomeUnknownError, NotSentError: it could not be read, or not to its end.
            LocalFileError: the disk is full, or the like.
        """
        began_s = self._clock.monotonic()
        failed = 0
        while True:
            self._attempts += 1
            before_bytes = part.size_bytes
            try:
                return await self._attempt(part, url)
            except KlingError as exc:
                more = self._goes_on and part.size_bytes - before_bytes >= MORE_BYTES
                failed = 1 if more else failed + 1
                again = not self._hopeless and may_resend(Safety.READ, exc, self._retry)
                if not again or failed >= self._retry.attempts:
                    spent_s = self._clock.monotonic() - began_s
                    route = f"a file on {_host(url)}"  # its address may be signed: a secret
                    context = CallContext("GET", route, account, self._attempts, spent_s)
                    raise with_context(exc, context) from exc.__cause__
                wait_s = max(pause_s(exc), backoff_s(self._retry, failed, random.random()))
                log.info(
                    "GET a file on %s: attempt %d failed (%s) at %d bytes, next in %.1f s",
                    _host(url), self._attempts, type(exc).__name__, part.size_bytes, wait_s,
                )  # fmt: skip
                await self._clock.sleep(wait_s)

    async def _attempt(self, part: PartFile, url: str) -> Fetched:
        self._goes_on = False
        headers: dict[str, str] = {}
        if part.size_bytes and self._validator is not None:
            headers = {"range": f"bytes={part.size_bytes}-", "if-range": self._validator}
        for _ in range(1 + MOST_REDIRECTS):
            if (problem := self._wire.unfetchable(url)) is not None:
                self._hopeless = True
                raise UnexpectedResponseError(f"the file's address can't be used: {problem}")
            async with self._wire.stream(url, headers, self._timeout) as stream:
                if stream.moved_to is None:
                    await self._receive(stream, part, asked=bool(headers))
                    return Fetched(
                        url,
                        stream.headers.get("content-type"),
                        stream.headers.get("content-disposition"),
                        self._resumed,
                    )
                url = stream.moved_to
        self._hopeless = True
        raise UnexpectedResponseError(f"more than {MOST_REDIRECTS} redirects")

    async def _receive(self, stream: ResponseStream, part: PartFile, *, asked: bool) -> None:
        if stream.status_code == 206 and asked:
            self._continue(stream, part)
        elif stream.status_code == 416 and asked:
            self._validator = None
            raise UnexpectedResponseError("the file is another one by now", status_code=416)
        elif stream.status_code != 200:
            raise _refusal(stream, self._clock.wall())
        else:
            self._begins(stream)
            await in_thread(part.restart)
        await self._write(stream, part)
        if self._size_bytes is not None and part.size_bytes != self._size_bytes:
            raise OutcomeUnknownError(
                f"the file was cut short: {part.size_bytes} of {self._size_bytes} bytes came"
            )
        if part.size_bytes == 0:
            raise UnexpectedResponseError("the file is empty", status_code=stream.status_code)
        self._look_at_head(stream, await in_thread(part.head))

    def _look_at_head(self, stream: ResponseStream, head: bytes) -> None:
        """Refuse what is no file, or another kind than was asked for."""
        kind = stream.headers.get("content-type")
        if (problem := mismatch(head[:HEAD_BYTES], kind, self._wanted)) is not None:
            self._validator = None
            raise self._no_file(problem)

    def _no_file(self, problem: str) -> UnexpectedResponseError:
        """What to raise where something else came; one more try is made, in case it was passing."""
        self._pages += 1
        self._hopeless = self._pages > 1
        return UnexpectedResponseError(f"no file came: {problem}", status_code=200)

    def _begins(self, stream: ResponseStream) -> None:
        """Note what the whole file is."""
        # Asked not to, a server that compresses all the same gives lengths and ranges of
        # something else than what is written here.
        plain = stream.headers.get("content-encoding", "identity").lower() == "identity"
        self._validator = _validator(stream) if plain else None
        length = stream.headers.get("content-length", "")
        self._size_bytes = int(length) if plain and length.isascii() and length.isdigit() else None

    def _continue(self, stream: ResponseStream, part: PartFile) -> None:
        """Go on where the answer is the rest of the very file; else the next begins anew."""
        found = _RANGE.fullmatch(stream.headers.get("content-range", ""))
        plain = stream.headers.get("content-encoding", "identity").lower() == "identity"
        # A 206 names the file that it is a part of. Where it names another one, the two do not
        # belong together, whatever If-Range asked for. A date may be left out of it (RFC 9110).
        theirs, strict = _validator(stream), (self._validator or "").startswith('"')
        same = theirs == self._validator or (theirs is None and not strict)
        if found is not None and plain and same and int(found[1]) == part.size_bytes:
            size_bytes = None if found[3] == "*" else int(found[3])
            if None in (size_bytes, self._size_bytes) or size_bytes == self._size_bytes:
                self._size_bytes = size_bytes if self._size_bytes is None else self._size_bytes
                self._goes_on = self._resumed = True
                return
        self._validator = None
        raise UnexpectedResponseError("another part came than was asked for", status_code=206)

    async def _write(self, stream: ResponseStream, part: PartFile) -> None:
        held: list[bytes] = []
        held_bytes = 0
        try:
            async with aclosing(stream.pieces()) as pieces:
                async for piece in pieces:
                    if part.size_bytes == held_bytes == 0:
                        self._look_at_head(stream, piece)
                    held.append(piece)
                    held_bytes += len(piece)
                    if held_bytes >= WRITE_BYTES:
                        writing, held, held_bytes = held, [], 0
                        await in_thread(part.write, writing)
        except KlingError:
            await in_thread(part.write, held)  # the next attempt goes on behind it
            raise
        await in_thread(part.write, held)


def _validator(stream: ResponseStream) -> str | None:
    """What tells this very file from a later one of the same name; weak ETags don't."""
    etag = stream.headers.get("etag", "")
    if etag.startswith('"'):
        return etag
    return None if etag else stream.headers.get("last-modified")


def _refusal(stream: ResponseStream, now_s: float) -> KlingError:
    status = stream.status_code
    text = f"the file server answered {status}"
    if status < 400:
        return UnexpectedResponseError(text, status_code=status)
    cls = _BY_STATUS.get(status, errors.ServerError if status >= 500 else APIError)
    wait_s = retry_after_s(stream.headers, None, now_s)
    return cls(text, status_code=status, retry_after_s=wait_s)


def _host(url: str) -> str:
    return urlsplit(url).hostname or "?"

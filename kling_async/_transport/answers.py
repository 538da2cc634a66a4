"""How is a whole answer read, and what may it be at most? Its size and its time have bounds.

A server that sends one byte a second never runs into a read timeout, and a megabyte of gzip may
stand for gigabytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from contextvars import Context
from functools import partial

import httpx

from .. import settings
from ..errors import UnexpectedResponseError
from ..models.redactor import Redactor
from .progress import Progress
from .protocol import Answer

_READ = httpx.ByteStream(b"")  # what is left of a stream that was read to its end


class NoCookies(httpx.Cookies):
    """Keeps none and sends none; looking for them costs 16 us per answer."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """None."""


async def whole_answer(sending: Awaitable[httpx.Response], redactor: Redactor) -> Answer:
    """Send, and read the answer to its end; what is secret in it is blanked.

    Raises:
        UnexpectedResponseError: it is larger than any answer of the API can be.
    """
    response = await sending
    parts, size_bytes = list[bytes](), 0
    stream: object = response.stream
    # Two generators and a decoder around it are for what is compressed, or was read by a hook.
    as_sent = not response.is_stream_consumed and "content-encoding" not in response.headers
    if not as_sent or not isinstance(stream, httpx.AsyncByteStream):
        stream = response.aiter_bytes()
    try:
        async for part in stream:
            size_bytes += len(part)
            if size_bytes > settings.MOST_ANSWER_BYTES:
                raise UnexpectedResponseError(
                    f"status {response.status_code}, but the body is larger than "
                    f"{settings.MOST_ANSWER_BYTES // 2**20} MiB, so it was not read to its end",
                    status_code=response.status_code,
                )
            parts.append(part)
    finally:
        if not response.is_closed:
            await response.aclose()
    # A response and its stream hold each other. Left to the garbage collector, that costs 50 us per
    # request where 500 are in flight.
    response.stream = _READ
    content = redactor.content(parts[0] if len(parts) == 1 else b"".join(parts))
    headers: Mapping[str, str] = response.headers
    if not response.is_success:  # errors show them
        headers = {name: redactor.text(value) for name, value in headers.items()}
    return Answer(response.status_code, headers, content)


def due_within(
    loop: asyncio.AbstractEventLoop,
    request: httpx.Request,
    size_bytes: int,
    task: asyncio.Task[Answer],
    progress: Progress,
    context: Context,
) -> asyncio.TimerHandle | None:
    """Ends the exchange when its total time is over; None where its user wants no limit.

    What goes out, of this size, may take as long as a slow line needs for it. `context` is not the
    call's: a loop keeps what was cancelled for a while, and the whole call with it.
    """
    read_s = request.extensions.get("timeout", {}).get("read")
    if read_s is None:
        return None
    total_s = max(settings.EXCHANGE_WITHIN_S, 2 * read_s)
    total_s += size_bytes / settings.SLOWEST_UPLOAD_BYTES_PER_S
    return loop.call_later(total_s, partial(_end, task, progress, total_s), context=context)


def _end(task: asyncio.Task[Answer], progress: Progress, total_s: float) -> None:
    progress.overdue = f"no whole answer came within {total_s:.1f} s"
    task.cancel()

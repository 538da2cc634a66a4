"""What does an httpx client make of these bytes? For answers that are not whole.

Feeds what arrives, and how it ends, to h11 in the client's role and raises what httpx would raise.
Used by the in-process transport only; over a socket the caller's own client does all this.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import cast

import h11
import httpx

from .clock import EmulatorClock
from .messages import Delivery

_CHUNK_BYTES = 64 * 1024


class Arrivals:
    """Bytes as a client would read them, with the client's read timeout.

    Args:
        clock: whose time passes.
        limit_s: longest wait of one read in seconds, None for no limit.
    """

    def __init__(self, clock: EmulatorClock, limit_s: float | None) -> None:
        self._clock = clock
        self._limit_s = limit_s

    async def pause(self, seconds: float, *, already_s: float = 0.0) -> None:
        """A read that takes `seconds`, `already_s` of its limit being used up; or ReadTimeout."""
        left_s = None if self._limit_s is None else max(0.0, self._limit_s - already_s)
        if left_s is not None and seconds > left_s:
            await self._clock.sleep(left_s)
            raise httpx.ReadTimeout("nothing came within the read timeout")
        if seconds > 0:
            await self._clock.sleep(seconds)

    async def of(self, delivery: Delivery) -> AsyncGenerator[bytes, None]:
        """The pieces in the order they come; `b""` is the end of an orderly close."""
        if delivery.byte_interval_s > 0:
            for at in range(len(delivery.raw)):
                await self.pause(delivery.byte_interval_s)
                yield delivery.raw[at : at + 1]
        elif delivery.raw:
            yield delivery.raw
        if delivery.ending == "reset":
            raise httpx.ReadError("connection reset by peer")
        if delivery.ending == "stall":
            if self._limit_s is None:
                await asyncio.get_running_loop().create_future()
            await self.pause(float("inf"))
        yield b""


async def read_response(method: str, arrivals: AsyncGenerator[bytes, None]) -> httpx.Response:
    """The response as soon as its head is there; its body fails, if it does, while being read."""
    parser = h11.Connection(h11.CLIENT)
    parser.send(h11.Request(method=method, target="/", headers=[("Host", "emulator.local")]))
    parser.send(h11.EndOfMessage())
    try:
        event = await _next_event(parser, arrivals)
        while not isinstance(event, h11.Response):
            event = await _next_event(parser, arrivals)
    except BaseException:
        await arrivals.aclose()
        raise
    return httpx.Response(
        event.status_code,
        headers=event.headers.raw_items(),
        stream=_WireBody(parser, arrivals),
        extensions={"http_version": b"HTTP/1.1", "reason_phrase": bytes(event.reason)},
    )


class WholeBody(httpx.AsyncByteStream):
    """A body that is all there, in pieces."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Up to 64 KiB at a time."""
        for at in range(0, len(self._content), _CHUNK_BYTES):
            yield self._content[at : at + _CHUNK_BYTES]


class _WireBody(httpx.AsyncByteStream):
    def __init__(self, parser: h11.Connection, arrivals: AsyncGenerator[bytes, None]) -> None:
        self._parser = parser
        self._arrivals = arrivals

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            event = await _next_event(self._parser, self._arrivals)
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            else:
                return

    async def aclose(self) -> None:
        await self._arrivals.aclose()


async def _next_event(parser: h11.Connection, arrivals: AsyncIterator[bytes]) -> h11.Event:
    while True:
        try:
            event = parser.next_event()
        except h11.RemoteProtocolError as exc:
            raise httpx.RemoteProtocolError(str(exc)) from exc
        if event is not h11.NEED_DATA:
            return cast(h11.Event, event)
        data = await anext(arrivals)
        if data == b"" and parser.their_state is h11.SEND_RESPONSE:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        parser.receive_data(data)

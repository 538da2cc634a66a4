"""How is the emulator an httpx transport? No sockets, the same errors.

What a fault would do to a connection becomes the httpx exception a real one gives. Odd bytes go
through the very parser httpx uses, see `wirereader.py`, so a cut body fails where it really would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import httpx

from .messages import Delivery, Exchange, Handler, Request
from .records import IN_PROCESS_ORIGIN
from .wirereader import Arrivals, WholeBody, read_response

_REFUSALS: Mapping[str, Callable[[str], httpx.TransportError]] = {
    "refused": httpx.ConnectError,
    "dns": httpx.ConnectError,
    "timeout": httpx.ConnectTimeout,
    "pool": httpx.PoolTimeout,
}
_SENT = (
    "http11.send_request_headers.complete",
    "http11.send_request_body.started",
    "http11.send_request_body.complete",
    "http11.receive_response_headers.started",
)


class EmulatorTransport(httpx.AsyncBaseTransport):
    """Hands requests to an emulator; see `Emulator.transport`.

    A request that has been handed over is worked on even when its sender is cancelled or times
    out, as a server would; closing the transport ends what is still waiting, webhooks included.
    Read timeouts are honoured on the emulator's clock, and the `trace` extension reports the usual
    steps.

    Args:
        handler: answers the requests.
        default_token: what a client takes that is given no token of its own.
    """

    default_base_url = "http://localhost/v1/kling"
    """What a client takes that is given no address of its own; never connected to."""

    def __init__(self, handler: Handler, default_token: str = "user:1-emulator") -> None:
        self._handler = handler
        self.default_token = default_token
        self._under_way: set[asyncio.Task[Any]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request to the emulator."""
        body = await request.aread()
        trace = _tracer(request)
        await trace("connection.connect_tcp.started", {})
        await asyncio.sleep(0)  # a sender cancelled by now has sent nothing
        asked = _translated(request, body)
        if (form := self._handler.refusal(asked)) is not None:
            error = _REFUSALS[form](f"connection failed: {form}")
            await trace("connection.connect_tcp.failed", {"exception": error})
            raise error
        await trace("connection.connect_tcp.complete", {})
        await trace("http11.send_request_headers.started", {})  # who raises here has sent nothing
        exchange = self._handler.receive(asked)
        if exchange.refused:  # by a fault that another call was meant for while this one connected
            raise httpx.ReadError("connection reset")
        for step in _SENT:
            await trace(step, {})
        limit_s = _read_timeout_s(request)
        try:
            response = await self._response(request, exchange, limit_s)
        except BaseException as exc:
            await trace("http11.receive_response_headers.failed", {"exception": exc})
            raise
        await trace("http11.receive_response_headers.complete", {})
        return response

    async def aclose(self) -> None:
        """End the requests that still wait for their work, and the webhooks still to come."""
        waiting = tuple(self._under_way)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    async def _response(
        self, request: httpx.Request, exchange: Exchange, limit_s: float | None
    ) -> httpx.Response:
        arrivals = Arrivals(self._handler.clock, limit_s)
        delivery = await self._worked(exchange, arrivals)
        await asyncio.sleep(0)  # a sender cancelled here loses the answer, not the work
        await arrivals.pause(delivery.wait_s, already_s=exchange.wait_s)
        if delivery.reply is None:
            return await read_response(request.method, arrivals.of(delivery))
        is_head = request.method == "HEAD"
        return httpx.Response(
            delivery.reply.status,
            headers=list(delivery.reply.headers),
            stream=WholeBody(b"" if is_head else delivery.reply.body),
            extensions={
                "http_version": b"HTTP/1.1",
                "reason_phrase": delivery.reply.reason.encode(),
            },
        )

    async def _worked(self, exchange: Exchange, arrivals: Arrivals) -> Delivery:
        if exchange.wait_s <= 0:
            return self._work(exchange)
        task = asyncio.create_task(self._work_later(exchange))
        self._own(task)
        await arrivals.pause(exchange.wait_s)
        return await asyncio.shield(task)

    async def _work_later(self, exchange: Exchange) -> Delivery:
        await self._handler.clock.sleep(exchange.wait_s)
        return self._work(exchange)

    def _work(self, exchange: Exchange) -> Delivery:
        delivery = exchange.work()
        if delivery.follow_up is not None:
            self._own(asyncio.create_task(delivery.follow_up()))
        return delivery

    def _own(self, task: asyncio.Task[Any]) -> None:
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)


def _translated(request: httpx.Request, body: bytes) -> Request:
    headers = tuple((name.lower(), value) for name, value in request.headers.multi_items())
    target = request.url.raw_path.decode("ascii")
    return Request.parse(request.method, target, headers, body, origin=IN_PROCESS_ORIGIN)


def _read_timeout_s(request: httpx.Request) -> float | None:
    timeouts = cast("Mapping[str, float | None]", request.extensions.get("timeout", {}))
    return timeouts.get("read")


def _tracer(request: httpx.Request) -> Callable[[str, dict[str, object]], Awaitable[None]]:
    """What tells the `trace` extension, where the caller gave one, what has happened."""
    listener = cast(
        "Callable[[str, dict[str, object]], Awaitable[None]] | None",
        request.extensions.get("trace"),
    )

    async def trace(step: str, info: dict[str, object]) -> None:
        if listener is not None:
            await listener(step, info)

    return trace

"""What happens on one connection? Requests read, answers written, faults at the socket.

h11 keeps the rules of HTTP/1.1 (keep-alive, pipelining, chunked bodies, HTTP/1.0); answers a fault
has bent are written past it, byte for byte, and end the connection.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import cast

import h11

from .messages import Delivery, FollowUp, Handler, Reply, Request, is_plain_host

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 128 * 1024 * 1024  # above the largest upload, so its own limit answers first
_READ_BYTES = 64 * 1024
_LINGER_BYTES = 256 * 1024 * 1024
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 seconds: close() sends RST


class _BodyTooLarge(Exception):
    """The request goes on beyond the limit."""


class Connection:
    """A conversation with one client, from its first byte to its last.

    Args:
        handler: answers the requests.
        reader: the client's bytes.
        writer: ours.
        origin: where media URLs point when a request names no host.
        local: whether the pages under `/_emulator` may be asked for.
        own: takes over a follow-up that outlives the connection.
    """

    def __init__(
        self,
        handler: Handler,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        origin: str,
        local: bool,
        own: Callable[[FollowUp], None],
    ) -> None:
        self._handler = handler
        self._reader = reader
        self._writer = writer
        self._origin = origin
        self._local = local
        self._own = own
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)

    async def run(self) -> None:
        """Talk until either side ends it; leaves the socket closed, cancelled or not."""
        try:
            while await self._exchange():
                self._h11.start_next_cycle()
            self._writer.close()
            await self._writer.wait_closed()
        except OSError:
            pass  # the client is gone: nothing left to tell it
        finally:
            self._writer.transport.abort()

    async def _exchange(self) -> bool:
        """One request and its answer; whether another may follow."""
        try:
            request = await self._read_request()
        except h11.RemoteProtocolError as exc:
            await self._turn_away(exc.error_status_hint, f"Bad request: {exc}")
            return False
        except _BodyTooLarge:
            await self._turn_away(413, f"The body is larger than {MAX_BODY_BYTES} bytes")
            return False
        if request is None:
            return False
        exchange = self._handler.receive(request)
        if exchange.refused:
            self._reset()
            return False
        if exchange.wait_s > 0:
            await self._handler.clock.sleep(exchange.wait_s)
        delivery = exchange.work()
        if delivery.follow_up is not None:
            self._own(delivery.follow_up)
        if delivery.wait_s > 0:
            await self._handler.clock.sleep(delivery.wait_s)
        return await self._deliver(delivery, head_only=request.method == "HEAD")

    # Reading

    async def _read_request(self) -> Request | None:
        """The next request, whole; None when the client has gone instead."""
        head: h11.Request | None = None
        body = bytearray()
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Request):
                head = event
                _check_length(head)
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_BODY_BYTES:
                    raise _BodyTooLarge
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                return self._translated(head, bytes(body))
            else:
                return None

    async def _next_event(self) -> h11.Event:
        while True:
            event = self._h11.next_event()
            if event is not h11.NEED_DATA:
                return cast(h11.Event, event)
            if self._h11.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            self._h11.receive_data(await self._reader.read(_READ_BYTES))

    def _translated(self, head: h11.Request, body: bytes) -> Request:
        headers = tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers
        )
        host = next((value for name, value in headers if name == "host" and value), None)
        return Request.parse(
            head.method.decode("ascii"),
            head.target.decode("latin-1"),
            headers,
            body,
            origin=self._origin if host is None else f"http://{host}",
            local=self._local and is_plain_host(host),
        )

    # Writing

    async def _deliver(self, delivery: Delivery, *, head_only: bool) -> bool:
        if delivery.reply is not None:
            at_once = b"" if delivery.surplus_after_s > 0 else delivery.surplus
            await self._reply(delivery.reply, head_only=head_only, surplus=at_once)
            if delivery.surplus and not at_once:
                self._own(lambda: self._write_later(delivery.surplus, delivery.surplus_after_s))
            return self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE
        await self._write_raw(delivery)
        if delivery.ending == "reset":
            self._reset()
        elif delivery.ending == "stall":
            await self._read_on()
        else:
            await self._finish()
        return False

    async def _write_later(self, surplus: bytes, after_s: float) -> None:
        await self._handler.clock.sleep(after_s)
        if not self._writer.is_closing():
            self._writer.write(surplus)

    async def _reply(self, reply: Reply, *, head_only: bool, surplus: bytes = b"") -> None:
        await self._send(
            h11.Response(
                status_code=reply.status,
                reason=reply.reason.encode(),
                headers=[
                    (name.encode("latin-1"), value.encode("latin-1"))
                    for name, value in reply.headers
                ],
            ),
            *(() if head_only or not reply.body else (h11.Data(data=reply.body),)),
            h11.EndOfMessage(),
            surplus=surplus,
        )

    async def _write_raw(self, delivery: Delivery) -> None:
        if delivery.byte_interval_s <= 0:
            self._writer.write(delivery.raw)
            await self._writer.drain()
            return
        for at in range(len(delivery.raw)):
            await self._handler.clock.sleep(delivery.byte_interval_s)
            self._writer.write(delivery.raw[at : at + 1])
            await self._writer.drain()

    async def _turn_away(self, status: int, text: str) -> None:
        """Answer something that never became a request, where that is still possible."""
        if self._h11.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        reply = Reply.of_json({"error": text}, status)
        length = ("Content-Length", str(len(reply.body)))
        await self._reply(reply.with_headers(length, ("Connection", "close")), head_only=False)
        await self._finish()

    async def _send(self, *events: h11.Event, surplus: bytes = b"") -> None:
        self._writer.write(b"".join(self._h11.send(event) or b"" for event in events) + surplus)
        await self._writer.drain()

    # Ending

    def _reset(self) -> None:
        """RST instead of FIN."""
        raw = cast(socket.socket, self._writer.get_extra_info("socket"))
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._writer.transport.abort()

    async def _finish(self) -> None:
        """FIN, then read what is still coming: a close over unread bytes would send RST."""
        if self._writer.can_write_eof():
            self._writer.write_eof()
        await self._read_on(_LINGER_BYTES)

    async def _read_on(self, limit_bytes: int | None = None) -> None:
        """Read and forget until the client ends it, or `limit_bytes` have come."""
        seen = 0
        while data := await self._reader.read(_READ_BYTES):
            seen += len(data)
            if limit_bytes is not None and seen > limit_bytes:
                return


def _check_length(head: h11.Request) -> None:
    """Turn a body away before it is sent, where its length is told in advance."""
    for name, value in head.headers:
        if name == b"content-length" and int(value) > MAX_BODY_BYTES:
            raise _BodyTooLarge

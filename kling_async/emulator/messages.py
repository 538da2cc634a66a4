"""What goes in and out? One request, one reply, and how the reply meets the wire.

Plain values shared by every room of the emulator. The server and the in-process transport build
a `Request` and carry out a `Delivery`; everything between them is free of I/O.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from ipaddress import ip_address
from typing import Literal, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from attrs import evolve, frozen

from .clock import EmulatorClock
from .tasks import Task

Ending = Literal["keep", "close", "reset", "stall"]
"""What happens to the connection afterwards.

`keep` as HTTP says; `close` an orderly FIN; `reset` an RST (zero-linger close); `stall` nothing is
ever sent again.
"""

FollowUp = Callable[[], Coroutine[object, object, None]]
"""Work that goes on after an answer; whoever carries out the delivery owns and ends it."""


@frozen
class Request:
    """One request as it arrived, whole.

    Args:
        method: upper case.
        path: still percent-encoded, without the query.
        query: decoded pairs in order; a `+` has become a space, as in every form decoder.
        headers: pairs with lower-case names.
        body: raw bytes.
        origin: scheme, host and port that media URLs in the answer should point to.
        local: whether the emulator's own pages under `/_emulator` may be asked for.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: tuple[tuple[str, str], ...]
    body: bytes
    origin: str
    local: bool = True

    @classmethod
    def parse(
        cls,
        method: str,
        target: str,
        headers: tuple[tuple[str, str], ...],
        body: bytes,
        *,
        origin: str,
        local: bool = True,
    ) -> Request:
        """The request behind a request target: `/path?query` or the absolute form proxies use."""
        if not target.startswith("/"):
            parts = urlsplit(target)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        path, _, query = target.partition("?")
        pairs = tuple(parse_qsl(query.partition("#")[0], keep_blank_values=True))
        return cls(method.upper(), path, pairs, headers, body, origin, local)

    def header(self, name: str) -> str | None:
        """The first value of a header (`name` in lower case), or None."""
        return next((value for key, value in self.headers if key == name), None)

    def parameter(self, name: str) -> str | None:
        """The first value of a query parameter, or None."""
        return next((value for key, value in self.query if key == name), None)

    @property
    def segments(self) -> tuple[str, ...]:
        """The decoded parts of the path; a single trailing slash makes no difference."""
        trimmed = self.path[:-1] if self.path.endswith("/") else self.path
        return tuple(unquote(part) for part in trimmed.split("/")[1:])


def is_plain_host(host: str | None) -> bool:
    """Whether a Host header names no domain: an address, a word without dots, or `.localhost`.

    Any page of the web can have its own domain mean this machine, and is then of one origin with
    what is served here; it can't have an address or a plain word.
    """
    try:
        name = urlsplit(f"//{host or ''}").hostname or ""
        return "." not in name.removesuffix(".localhost") or bool(ip_address(name))
    except ValueError:
        return False


@frozen
class Reply:
    """A whole and well-formed answer; `started` is the task that began with it."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    started: Task | None = None

    @classmethod
    def of_json(
        cls, value: object, status: int = 200, headers: tuple[tuple[str, str], ...] = ()
    ) -> Reply:
        """`value` as JSON."""
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        body = text.encode("utf-8", "backslashreplace")  # half a surrogate pair becomes an escape
        return cls(status, body, (("Content-Type", "application/json; charset=utf-8"), *headers))

    @classmethod
    def of_text(cls, text: str, status: int, content_type: str = "text/plain") -> Reply:
        """`text` as it stands, UTF-8."""
        return cls(status, text.encode(), (("Content-Type", f"{content_type}; charset=utf-8"),))

    def with_headers(self, *headers: tuple[str, str]) -> Reply:
        """The same answer with more headers."""
        return evolve(self, headers=(*self.headers, *headers))

    @property
    def reason(self) -> str:
        """The reason phrase; empty for codes outside the standard, 596 for one."""
        try:
            return HTTPStatus(self.status).phrase
        except ValueError:
            return ""

    def encoded(self, *, head_only: bool = False) -> bytes:
        """The bytes of a HTTP/1.1 answer, headers as they are."""
        lines = [f"HTTP/1.1 {self.status} {self.reason}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        return head if head_only else head + self.body


@frozen
class Delivery:
    """How an answer meets the wire: either a whole `reply` or exact `raw` bytes, or neither.

    Args:
        reply: sent properly framed, keep-alive included.
        raw: sent as they are; then `ending` follows.
        byte_interval_s: pause before each byte of `raw`; 0 sends it at once.
        wait_s: pause on the emulator's clock before anything is sent.
        ending: see `Ending`.
        status: what a call record shows: the status that went out, None where none did.
        follow_up: what goes on afterwards, None for nothing.
        surplus: bytes that nobody asked for, sent after a `reply` on the same connection.
        surplus_after_s: pause before them; 0 sends them together with the reply.
    """

    reply: Reply | None = None
    raw: bytes = b""
    byte_interval_s: float = 0.0
    wait_s: float = 0.0
    ending: Ending = "keep"
    status: int | None = None
    follow_up: FollowUp | None = None
    surplus: bytes = b""
    surplus_after_s: float = 0.0

    @classmethod
    def of(cls, reply: Reply) -> Delivery:
        """The ordinary case."""
        return cls(reply=reply, status=reply.status)


@frozen
class Exchange:
    """A request that has arrived, with its fault already chosen and its place in the log taken.

    Args:
        wait_s: pause on the emulator's clock before the work.
        work: does the work, once, without waiting; gives what to send.
        refused: whether the connection should not even have come about (see `refuse_connection`);
            whoever has accepted it by then resets it instead.
    """

    wait_s: float
    work: Callable[[], Delivery]
    refused: bool = False


class Handler(Protocol):
    """What server and transport need of the emulator."""

    @property
    def clock(self) -> EmulatorClock:
        """The clock all waiting goes by."""
        ...

    def refusal(self, request: Request) -> str | None:
        """How the connection for a request fails; None where it does not."""
        ...

    def receive(self, request: Request) -> Exchange:
        """Take in one request."""
        ...

"""How far did an exchange come? One `Progress` each, filled in while it happens. Pure.

The transport fills it in; `wire.py` and `call.py` read it: whether a byte of the request may have
been written decides what a failure means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

from .silence import NotSilentError


class Progress:
    """How far one exchange has come, kept where caller and transport both see it.

    Args:
        reported: whether the transport under it tells when writing begins. Where it does not, the
            worst is assumed.
    """

    def __init__(self, reported: bool = False) -> None:
        self.reported: bool = reported
        self.before_first_byte: Callable[[], None] | None = None
        """Called right before writing begins, where the transport tells; it may raise HeldBack."""
        self.is_silent: Callable[[], bool] | None = None
        """Whether nothing is unread on its connection; None: its transport sees to that."""
        self.overdue: str | None = None
        """Why it was ended, where its total time was over."""
        self.began: bool = False
        self.abandoned = False
        """The caller has left: writing must not begin any more."""
        self.left_behind: asyncio.Future[Any] | None = None
        """The exchange, where it goes on although the caller has left."""
        self.on_late: Callable[[Any], None] | None = None
        """Given the answer that came after the caller had left."""

    @property
    def may_have_begun(self) -> bool:
        """Whether a byte of the request may have been written."""
        return self.began or not self.reported

    async def on_httpcore(self, event: str, info: Mapping[str, Any]) -> None:
        """Hear of httpcore's steps; it calls this before it takes each of them."""
        self.reported = True
        if event.endswith(".send_request_headers.started"):
            if getattr(info.get("request"), "method", None) == b"CONNECT":
                return  # what is asked of a proxy: the server hears nothing of the request yet
            if self.is_silent is not None and not self.is_silent():
                raise NotSilentError
            self.begin()

    def begin(self) -> None:
        """The first byte goes out now.

        Raises:
            AbandonedError: the caller has left.
            HeldBack: it must wait after all.
        """
        if self.abandoned:
            raise AbandonedError
        if self.before_first_byte is not None:
            self.before_first_byte()
        self.began = True


class AbandonedError(Exception):
    """Ends an exchange whose caller was cancelled before anything was written.

    Cancelling httpcore instead loses places of its pool (25,000 cancels wedge a pool of 10).
    """


class HeldBack(Exception):
    """Ends an exchange right before its first byte: it must wait after all, and go again.

    An account's pause began, say, while its connection was made. No KlingError: the attempt turns
    it into waiting.
    """


current: ContextVar[Progress | None] = ContextVar("kling_async_progress", default=None)
"""Of the exchange this task carries out; for a transport that knows the task only."""

"""What is known about one call while it is under way? Its context, and what errors mean for it.

`pipeline.py` makes one per call and asks it what an error means for the caller.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .._limits.throttle import pause_s
from .._transport.protocol import what_was_lost, with_context
from ..clock import Clock
from ..errors import (
    CallContext,
    DeadlineExceededError,
    KlingError,
    OutcomeUnknownError,
)
from ..models.requests import Request, Safety
from ..models.responses import Meta, with_meta
from .reconcile import Lookup, PendingCreate

if TYPE_CHECKING:
    from .attempt import Attempt

R = TypeVar("R")
log = logging.getLogger("kling_async")


class Call(Generic[R]):
    """One call, from choosing its account to its result.

    Args:
        request: what was asked; replaced once its attachments are uploaded.
        account: whose it is; None where the server decides.
        clock: tells the time.
    """

    def __init__(self, request: Request[R], account: str | None, clock: Clock) -> None:
        self.request = request
        self.account = account
        self.attempts = 0
        """How many went out; one that was held back before its first byte counts for nothing."""
        self.attempt: Attempt[R] | None = None
        """The latest one, from when it began to wait; none after a success."""
        self.sent_s: float = 0.0
        """Wall clock of the latest attempt."""
        self.pending: PendingCreate[R] | None = None
        self.may_be_done = False
        """An earlier attempt may have been carried out, so "not found" may be what it left."""
        self._clock = clock
        self._started = clock.monotonic()
        self._doubt: OutcomeUnknownError | None = None
        self._lost = False

    @property
    def lost(self) -> bool:
        """Whether it may have been carried out, and its caller does not know the result."""
        return self._lost or (self.attempt is not None and self._may_have_begun())

    def result(self, result: R, status_code: int, *, adopted: bool = False) -> R:
        """`result`, knowing how it came about."""
        self._lost = False
        elapsed_s = self._clock.monotonic() - self._started
        return with_meta(result, Meta(self.account, status_code, self.attempts, elapsed_s, adopted))

    def judged(self, error: KlingError, *, nothing_happened: bool) -> KlingError:
        """`error` with its context; for a paid request, what is not a clear no becomes unknown.

        Args:
            error: how the latest attempt ended.
            nothing_happened: whether it certainly did nothing.
        """
        if isinstance(error, OutcomeUnknownError):
            return self._unknown(error.text)
        if self.request.safety is Safety.PAID and not nothing_happened:
            return self._unknown(f"no clear answer came: {error.text}")
        return with_context(error, self._context())

    def in_doubt(self, error: OutcomeUnknownError) -> None:
        """The answer is lost, and is being looked for."""
        self._doubt = error

    def not_found(self, error: OutcomeUnknownError, lookup: Lookup[Any]) -> OutcomeUnknownError:
        """`error` after looking in vain."""
        ids = [str(one.id) for one in lookup.candidates]
        shown = ", ".join(ids[:5]) + (", ..." if ids[5:] else "")
        looked = f"its account lists {len(ids)} that could be it ({shown})"
        if not lookup.listed:
            looked = "no listing of its account was had"
        elif not ids:
            looked = "its account lists nothing that could be it"
        more = self._unknown(f"{error.text}; {looked}")
        more.candidates = lookup.candidates
        return more

    def out_of_time(self, deadline_s: float) -> KlingError:
        """What a spent deadline means: unknown if a paid request was under way, else a timeout."""
        text = f"the deadline of {deadline_s:g} s ran out"
        if self._doubt is not None:
            more = self._unknown(f"{text} while it was looked for: {self._doubt.text}")
            more.candidates = () if self.pending is None else self.pending.candidates
            return more
        if self._may_have_begun() and self.request.safety is Safety.PAID:
            return self._unknown(f"{text} while the answer was awaited")
        if self.attempt is not None and self.attempt.waits_for is not None:
            text += f" while it waited for {self.attempt.waits_for}"
            text += "; nothing was sent" if self.attempts == 0 else ""
        return DeadlineExceededError(text, context=self._context())

    def log_retry(self, attempt: int, error: KlingError, wait_s: float) -> None:
        """Tell the log of another attempt; the route's template, never what is in it."""
        log.info(
            "%s %s: attempt %d failed (%s), next in %.1f s",
            self.request.method,
            self.request.route,
            attempt,
            type(error).__name__,
            max(wait_s, pause_s(error)),
        )

    def _may_have_begun(self) -> bool:
        """Whether an attempt is under way that may have written a byte."""
        progress = None if self.attempt is None else self.attempt.progress
        return progress is not None and progress.may_have_begun

    def _unknown(self, text: str) -> OutcomeUnknownError:
        self._lost = True
        remedy = what_was_lost(self.request)
        return OutcomeUnknownError(
            text if remedy in text else f"{text}; {remedy}",
            request=self.request.without_secrets(),
            account=self.account,
            sent_at=datetime.fromtimestamp(self.sent_s, UTC),
            context=self._context(),
        )

    def _context(self) -> CallContext:
        request, elapsed_s = self.request, self._clock.monotonic() - self._started
        return CallContext(request.method, request.route, self.account, self.attempts, elapsed_s)

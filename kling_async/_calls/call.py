"""What is known about one call while it is under way? Its context, its progress, and its errors.

`pipeline.py` makes one per call and asks it what an error means for the caller.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from .._limits.job_slots import JobSlot
from .._limits.throttle import pause_s
from .._transport.progress import Progress
from .._transport.protocol import Answer, is_refusal, what_was_lost, with_context
from ..clock import Clock
from ..errors import (
    APIError,
    CallContext,
    ConfigurationError,
    DeadlineExceededError,
    KlingError,
    NotSentError,
    OutcomeUnknownError,
    UnexpectedResponseError,
)
from ..models.requests import Request, Safety
from ..models.responses import Meta, with_meta
from ..stats import AttemptEvent
from .reconcile import Lookup, PendingCreate

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
        self.sent_s = 0.0
        """Wall clock of the latest attempt."""
        self.pending: PendingCreate[R] | None = None
        self._clock = clock
        self._started = clock.monotonic()
        self._progress: Progress | None = None
        self._doubt: OutcomeUnknownError | None = None
        self._lost = False
        self.may_be_done = False
        """An earlier attempt may have been carried out, so "not found" may be what it left."""
        self.job_slot: JobSlot | None = None
        """The latest attempt's, where the request starts a job."""
        self.asked_s = 0.0
        """Monotonic: when the latest attempt began to wait for its turn."""
        self.waits_for: str | None = None
        """What keeps the next attempt from going out, in words."""

    @property
    def lost(self) -> bool:
        """Whether it may have been carried out, and its caller does not know the result."""
        return self._lost or self.may_have_begun

    @property
    def may_have_begun(self) -> bool:
        """Whether an attempt is under way that may have written a byte."""
        return self._progress is not None and self._progress.may_have_begun

    @property
    def left_behind(self) -> asyncio.Future[Any] | None:
        """The exchange that goes on although its caller was cancelled."""
        return None if self._progress is None else self._progress.left_behind

    def begin_exchange(self, on_begin: Callable[[], None] | None = None) -> Progress:
        """The attempt goes out now; the wire fills in how far it comes, and calls `on_begin`."""
        self._progress = Progress()
        self._progress.on_begin = on_begin
        self.sent_s = self._clock.wall()
        return self._progress

    def when_late(self, told: Callable[[Answer], None]) -> None:
        """Have `told` given the answer to the exchange that was left behind, if one comes."""
        assert self._progress is not None
        self._progress.on_late = told

    def end_exchange(self) -> None:
        """The attempt is over."""
        self._progress = None

    def result(self, result: R, status_code: int, *, adopted: bool = False) -> R:
        """`result`, knowing how it came about."""
        self.end_exchange()
        self._lost = False
        meta = Meta(self.account, status_code, self.attempts, self._elapsed_s(), adopted)
        return with_meta(result, meta)

    def certainly_nothing(self, error: KlingError) -> bool:
        """Whether the attempt that ended with `error` certainly did nothing."""
        return isinstance(error, (NotSentError, ConfigurationError)) or is_refusal(error)

    def judged(self, error: KlingError) -> KlingError:
        """`error` with its context; for a paid request, what is not a clear no becomes unknown."""
        if isinstance(error, OutcomeUnknownError):
            return self._unknown(error.text)
        if self.request.safety is Safety.PAID and not self.certainly_nothing(error):
            return self._unknown(f"no clear answer came: {error.text}")
        return with_context(error, self._context())

    def in_doubt(self, error: OutcomeUnknownError) -> None:
        """The answer is lost, and is being looked for."""
        self._doubt = error

    def not_found(self, error: OutcomeUnknownError, lookup: Lookup[Any]) -> OutcomeUnknownError:
        """`error` after looking in vain."""
        ids = [str(one.id) for one in lookup.candidates]
        shown = ", ".join(ids[:5]) + (", ..." if ids[5:] else "")
        looked = f"{len(ids)} that could be it ({shown})" if ids else "nothing that could be it"
        more = self._unknown(f"{error.text}; its account lists {looked}")
        more.candidates = lookup.candidates
        return more

    def out_of_time(self, deadline_s: float) -> KlingError:
        """What a spent deadline means: unknown if a paid request was under way, else a timeout."""
        text = f"the deadline of {deadline_s:g} s ran out"
        if self._doubt is not None:
            more = self._unknown(f"{text} while it was looked for: {self._doubt.text}")
            more.candidates = () if self.pending is None else self.pending.candidates
            return more
        if self.may_have_begun and self.request.safety is Safety.PAID:
            return self._unknown(f"{text} while the answer was awaited")
        if self.waits_for is not None:
            text += f" while it waited for {self.waits_for}"
            text += "; nothing was sent" if self.attempts == 0 else ""
        return DeadlineExceededError(text, context=self._context())

    def event(self, sent_s: float, status: int | None, error: BaseException | None) -> AttemptEvent:
        """What hooks are told of the latest attempt, which went out at `sent_s`, monotonic."""
        answered = self.may_have_begun  # else it was held back: "429" is what we told its caller
        if answered and isinstance(error, (APIError, UnexpectedResponseError)):
            status = error.status_code
        return AttemptEvent(
            operation=self.request.operation,
            method=self.request.method,
            route=self.request.route,
            account=self.account,
            attempt=self.attempts,
            status=status,
            error=None if error is None else type(error).__name__,
            waited_s=sent_s - self.asked_s,
            elapsed_s=self._clock.monotonic() - sent_s,
        )

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
        request = self.request
        return CallContext(
            request.method, request.route, self.account, self.attempts, self._elapsed_s()
        )

    def _elapsed_s(self) -> float:
        return self._clock.monotonic() - self._started

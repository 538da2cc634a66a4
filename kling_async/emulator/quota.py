"""May this account ask again yet? A sliding window per account, and the 429 that says no.

Only admitted requests count: a refused one does not push the next opening further away (what the
vendor does is unknown). What a caller should do about it is none of our business here.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Literal, get_args

from .clock import EmulatorClock, http_date, iso_date
from .messages import Reply

if TYPE_CHECKING:
    from kling_async._limits.limits import RateLimit

RetryForm = Literal["seconds", "date", "body", "none"]
RETRY_FORMS: tuple[str, ...] = get_args(RetryForm)

_ROUNDING_S = 1e-6  # a caller spaced by exactly the window must not fail by a float's last digit


class Quota:
    """At most `requests` in any window of `per_s` seconds, for each account by itself.

    Args:
        limits: one RateLimit for every account, or by e-mail (accounts not named are free), or
            None. `burst` is a matter of the caller's pacing and has no meaning here.
        form: how the 429 says when to come back: `seconds` or `date` in Retry-After, each with
            the ISO timestamp `retryAfter` in the body; `body` the latter alone; `none` neither.
        operations: names the window counts; None: every one that belongs to an account.
    """

    def __init__(
        self,
        limits: RateLimit | Mapping[str, RateLimit] | None,
        clock: EmulatorClock,
        *,
        form: RetryForm = "seconds",
        operations: Collection[str] | None = None,
    ) -> None:
        if form not in RETRY_FORMS:
            raise ValueError(f"quota form {form!r} is unknown; allowed: {', '.join(RETRY_FORMS)}")
        self._limits = limits
        self._clock = clock
        self._form: RetryForm = form
        self._operations = None if operations is None else frozenset(operations)
        self._admitted_s: dict[str, deque[float]] = {}

    @property
    def form(self) -> RetryForm:
        """How a 429 says when to come back."""
        return self._form

    def admit(self, operation: str, account: str) -> Reply | None:
        """None when the request may go on, else the 429."""
        limit = self._limit_of(account)
        if limit is None or (self._operations is not None and operation not in self._operations):
            return None
        now_s = self._clock.monotonic()
        window = self._admitted_s.setdefault(account, deque())
        while window and window[0] <= now_s - limit.per_s + _ROUNDING_S:
            window.popleft()
        if len(window) < limit.requests:
            window.append(now_s)
            return None
        wait_s = window[len(window) - limit.requests] + limit.per_s - now_s
        return too_many(wait_s, self._clock.now_ms(), self._form)

    def forget(self) -> None:
        """Start with empty windows."""
        self._admitted_s.clear()

    def _limit_of(self, account: str) -> RateLimit | None:
        if self._limits is None or not isinstance(self._limits, Mapping):
            return self._limits
        return self._limits.get(account)


def no_free_slot(wait_s: float, now_ms: int, form: RetryForm) -> Reply:
    """The 429 of a generation without a job slot; its body and headers are unknown."""
    return too_many(wait_s, now_ms, form, "No free job slots, see GET /scheduler/available")


def too_many(wait_s: float, now_ms: int, form: RetryForm, text: str = "Too many requests") -> Reply:
    """A 429 that opens in `wait_s` seconds; whole seconds and dates are rounded up."""
    open_ms = now_ms + math.ceil(wait_s * 1000)
    body: dict[str, object] = {"error": text}
    if form != "none":
        body["retryAfter"] = iso_date(open_ms)
    if form == "seconds":
        headers = (("Retry-After", str(max(1, math.ceil(wait_s)))),)
        return Reply.of_json(body, 429, headers)
    if form == "date":
        return Reply.of_json(body, 429, (("Retry-After", http_date(open_ms + 999)),))
    return Reply.of_json(body, 429)

"""How long does the server ask us to wait? Pure.

It may say so in `Retry-After`, in each of HTTP's forms, or in the body.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from ..errors import JSON
from ..settings import RETRY_AFTER_ABSURD_S


def retry_after_s(headers: Mapping[str, str], body: JSON, now_s: float) -> float | None:
    """How long the server asks us to wait, in seconds; None where it does not say.

    Reads `Retry-After` as seconds (whole or decimal) or as an HTTP date, measured against the
    reply's own `Date` if it has one; then `retryAfter` in the body as an ISO 8601 timestamp or
    epoch milliseconds. What is negative, long past, or no number at all becomes 30 s. A time past
    by seconds only was rounded down, or told by a clock a little behind: 1 s.
    """
    header = headers.get("retry-after")
    if header is not None:
        seconds = _seconds(header)
        if seconds is None and (date := http_date(header)) is not None:
            sent = http_date(headers.get("date", ""))
            seconds = _ahead(date, now_s if sent is None else sent)
        return _sane(seconds)
    stated = body.get("retryAfter") if isinstance(body, Mapping) else None
    if stated is None:
        return None
    until = _moment(stated)
    return _sane(None if until is None else _ahead(until, now_s))


def _seconds(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def http_date(text: str) -> float | None:
    """Epoch seconds of an HTTP date, in each of its forms; None where it is none."""
    try:
        moment = parsedate_to_datetime(text)
        # Always UTC (RFC 9110), also in asctime's form, which names no zone.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _moment(stated: Any) -> float | None:
    """Epoch seconds of an ISO 8601 text or of epoch milliseconds."""
    if isinstance(stated, bool):
        return None
    if isinstance(stated, (int, float)):
        return stated / 1000 if abs(stated) < 1e18 else None  # 10**400 is JSON, too
    if not isinstance(stated, str):
        return None
    try:
        moment = datetime.fromisoformat(stated.strip())
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return moment.timestamp()
    except OverflowError:
        return None


def _ahead(until_s: float, now_s: float) -> float:
    seconds = until_s - now_s
    return 1.0 if -_JUST_PAST_S <= seconds < 0 else seconds


_JUST_PAST_S = 60.0


def _sane(seconds: float | None) -> float:
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return RETRY_AFTER_ABSURD_S
    return seconds

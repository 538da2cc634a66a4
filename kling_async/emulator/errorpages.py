"""What does an injected error answer say? Status and form to reply, documented bodies first.

Asked by the `status` fault alone; refusals with a cause of their own are in `envelopes.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from attrs import evolve

from .clock import http_date, iso_date
from .envelopes import (
    error,
    error_with_code,
    error_with_message,
    moderated,
    nested_error,
    unauthorized,
)
from .messages import Reply
from .quota import too_many

WEB_PAGE = (
    "<!DOCTYPE html>\n<html><head><title>{title}</title></head>"
    "<body><center><h1>{title}</h1></center></body></html>\n"
)
_ABSURD_S = 1_000_000_000

_TEXTS: Mapping[int, str] = {
    400: "Invalid parameters",
    402: "Subscription required",
    403: "Access denied",
    404: "Not found",
    408: "Timed out waiting for the result",
    409: "Conflict",
    410: "Expired",
    412: "Not enough credits",
    413: "The file is too large",
    422: "The prompt can't be used",
    500: "Something went wrong",
    502: "Bad gateway",
    503: "Service temporarily unavailable",
    504: "Gateway timeout",
    522: "Connection timed out",
    596: "The account is in error state: session refresh was rejected",
}


def error_page(settings: Mapping[str, object], now_ms: int) -> Reply:
    """The reply a `status` fault asks for; its settings are in `faultkinds.py`."""
    status = cast(int, settings["status"])
    reply = _page(status, cast("str | None", settings.get("form")), settings, now_ms)
    if status in (204, 304):  # HTTP has no body there
        return Reply(status)
    if "body" in settings:
        reply = evolve(reply, body=cast(str, settings["body"]).encode())
    extra = cast("Mapping[str, str]", settings.get("headers", {}))
    lower = {name.lower() for name in extra}
    kept = tuple(pair for pair in reply.headers if pair[0].lower() not in lower)
    return evolve(reply, headers=(*kept, *extra.items()))


def _page(status: int, form: str | None, settings: Mapping[str, object], now_ms: int) -> Reply:
    wait_s = cast(float, settings.get("retry_after_s", 1.0))
    text = _TEXTS.get(status, f"Status {status}")
    if status == 429 and form not in _PLAIN:
        return _RETRY_LATER[form or "seconds"](wait_s, now_ms)
    if form == "moderation":
        return moderated()
    # 502 and 522 come from the edge, which speaks HTML.
    reply = _PLAIN[form or ("html" if status in (502, 522) else "json")](text, status)
    if status == 503:
        reply = reply.with_headers(("Retry-After", _decimal(wait_s)))
    return reply


def _json(text: str, status: int) -> Reply:
    if status == 401:
        return unauthorized()
    if status == 402:
        return error_with_code(text, status)
    if status == 500:
        return error_with_message(text, "Service busy, please try again later")
    return error(text, status)


def _html(text: str, status: int) -> Reply:
    return Reply.of_text(WEB_PAGE.format(title=f"{status} {text}"), status, "text/html")


_PLAIN: Mapping[str | None, Callable[[str, int], Reply]] = {
    "json": _json,
    "text": Reply.of_text,
    "html": _html,
    "empty": lambda text, status: Reply(status),
    "nested": nested_error,
}


def _later(header: str | None, retry_after: object = None) -> Reply:
    """A 429 with exactly these two hints, None standing for a missing one."""
    body: dict[str, object] = {"error": "Too many requests"}
    if retry_after is not None:
        body["retryAfter"] = retry_after
    reply = Reply.of_json(body, 429)
    return reply if header is None else reply.with_headers(("Retry-After", header))


def _decimal(seconds: float) -> str:
    return f"{seconds:g}"


def _absurd(wait_s: float, now_ms: int) -> Reply:
    return _later(str(_ABSURD_S), iso_date(now_ms + _ABSURD_S * 1000))


_RETRY_LATER: Mapping[str, Callable[[float, int], Reply]] = {
    "seconds": lambda wait_s, now_ms: too_many(wait_s, now_ms, "seconds"),
    "decimal": lambda wait_s, now_ms: _later(_decimal(wait_s)),
    "date": lambda wait_s, now_ms: too_many(wait_s, now_ms, "date"),
    "body": lambda wait_s, now_ms: too_many(wait_s, now_ms, "body"),
    "epoch_ms": lambda wait_s, now_ms: _later(None, now_ms + int(wait_s * 1000)),
    "none": lambda wait_s, now_ms: too_many(wait_s, now_ms, "none"),
    "absurd": _absurd,
    "negative": lambda wait_s, now_ms: _later("-1"),
    "past": lambda wait_s, now_ms: _later(http_date(0), iso_date(0)),
    "garbage": lambda wait_s, now_ms: _later("soon", "not a date"),
}

"""What does a request look like on the wire, and what does an answer mean? Pure: no I/O, no loop.

`pipeline.py` calls `encode` before an exchange and `decode` after it. The errors made here are
complete but for the call's context, which only the pipeline knows.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from attrs import field, fields, frozen

from .. import errors
from ..errors import JSON, APIError, CallContext, KlingError, UnexpectedResponseError
from ..models.fields import Numbers, has_wire_name
from ..models.media import Media
from ..models.requests import Request, Safety
from ..models.text import encodable_json, on_one_line, printable
from .retry_after import retry_after_s

R = TypeVar("R")


@frozen
class Outgoing:
    """One request as bytes: what every attempt of a call sends, but for the token."""

    method: str
    route: str
    """The template, for logs: nothing private sits in it."""
    path: str = field(repr=False)
    """Below the base URL, percent-encoded, with the query string."""
    content: bytes | Media = field(default=b"", repr=False)
    """A file is read while it goes out, by each attempt anew."""
    content_type: str | None = None


@frozen
class Answer:
    """A complete HTTP answer."""

    status_code: int
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case."""
    content: bytes = field(repr=False)


def encode(request: Request[Any], email: str | None) -> Outgoing:
    """`request` as it goes out for account `email` (None: left out, the server decides).

    Only fields that were given are sent. E-mails and ids are percent-encoded, `+` included.
    """
    body: dict[str, JSON] = {}
    query: dict[str, str] = {}
    parts: dict[str, str] = {}
    for name, wire, place, numbers in _WIRED.get(type(request)) or _wire_fields(type(request)):
        value = getattr(request, name)
        if value is None:
            continue
        if numbers is not None:
            body.update(numbers.spread(value))
        elif place == "body":
            body[wire] = value
        elif place == "query":
            query[wire] = _query_text(value)
        else:
            parts[wire] = quote(str(value), safe="@")
    if email is not None and request.email_in == "query":
        query["email"] = email
    elif email is not None and request.email_in == "body":
        body["email"] = email
    sends_json = request.method == "POST" and request.email_in != "query"
    if request.extra and sends_json:
        body.update(request.extra)
    elif request.extra:
        query.update({name: _query_text(value) for name, value in request.extra.items()})
    target = request.route.format_map(parts)
    if query:
        target += "?" + urlencode(query)
    if not sends_json:
        return Outgoing(request.method, request.route, target)
    content = _COMPACT.encode(body).encode()
    return Outgoing(request.method, request.route, target, content, "application/json")


def decode(request: Request[R], answer: Answer, now_s: float, *, repeated: bool = False) -> R:
    """The result that `answer` stands for, or the error it means, without its context.

    Args:
        request: what was asked.
        answer: what came back.
        now_s: wall clock, seconds since the epoch, for a Retry-After that is a date.
        repeated: there was an earlier attempt, so "not found" may be what that one left behind.
    """
    body = request.redacted(_json(answer))
    if (failed := request.error_in(body)) is not None:
        raise failed
    gone = request.missing_means_deleted and repeated and answer.status_code == 404
    if gone or answer.status_code == request.empty_status:
        return request.decode(None)
    if not 200 <= answer.status_code < 300:
        raise _api_error(request, answer, body, now_s)
    if isinstance(body, _NotJSON) and answer.content.strip():
        if request.accepts_text and not body.lstrip().startswith("<"):  # no page of a proxy's
            return request.decode(body.text)
        raise UnexpectedResponseError(
            f"status {answer.status_code}, but the body is not JSON: {body.excerpt!r}",
            status_code=answer.status_code,
            body=body.text,
        )
    try:
        return request.decode(None if isinstance(body, _NotJSON) else body)
    except KlingError:
        raise
    except (ValueError, TypeError, KeyError) as exc:
        raise UnexpectedResponseError(
            f"status {answer.status_code}, but the body is not what the API documents: {exc}",
            status_code=answer.status_code,
            body=None if isinstance(body, _NotJSON) else body,
        ) from None


def is_refusal(error: KlingError) -> bool:
    """Whether `error` is a complete, well-formed "no": the request was certainly not carried out.

    Everything else that follows a sent request is ambiguous: 3xx, 408, 409, 5xx, 596, and a success
    whose body can't be read. 410 and 412 are not listed in the reliability design, but their
    documented meaning (expired; too few credits) is a refusal too.
    """
    if isinstance(error, (errors.ContentModeratedError, errors.AvatarFailedError)):
        return True
    return isinstance(error, APIError) and error.status_code in _REFUSALS


def speaks_of_moderation(text: str) -> bool:
    """Whether a server's text has a known mark of refused content; it has no status of its own."""
    return any(mark.lower() in text.lower() for mark in _MODERATION_MARKS)


def with_context(error: KlingError, context: CallContext) -> KlingError:
    """`error`, knowing the call it belongs to."""
    error.context = context
    return error


def what_was_lost(request: Request[Any]) -> str:
    """What may have happened, for the text of `OutcomeUnknownError`."""
    if request.safety is Safety.PAID:
        where = "" if request.where_to_look is None else f": {request.where_to_look}"
        return f"it may have been carried out; look before you send it again{where}"
    return "doing it again is safe"


# --- encoding ---------------------------------------------------------------------------------

_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)

_WIRED: dict[
    type, tuple[tuple[str, str, str, Numbers | None], ...]
] = {}  # looked up once per request type


def _wire_fields(
    cls: type[Request[Any]],
) -> tuple[tuple[str, str, str, Numbers | None], ...]:
    _WIRED[cls] = tuple(
        (one.name, one.metadata["wire"], one.metadata["place"], one.metadata.get("numbers"))
        for one in fields(cls)
        if has_wire_name(one)
    )
    return _WIRED[cls]


def _query_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(map(_query_text, value))
    return value if isinstance(value, str) else json.dumps(value)


# --- meaning ----------------------------------------------------------------------------------

_REFUSALS = frozenset({400, 401, 402, 403, 404, 410, 412, 413, 422, 429})

_BY_STATUS: dict[int, type[APIError]] = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    402: errors.SubscriptionError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    410: errors.GoneError,
    412: errors.InsufficientCreditsError,
    422: errors.ContentModeratedError,
    429: errors.RateLimitedError,
    596: errors.AccountBrokenError,
}

_REMEDY: dict[type[APIError], str] = {
    errors.AuthenticationError: "check the token (USEAPI_TOKEN), whole, including 'user:'",
    errors.SubscriptionError: "renew the useapi.net subscription",
    errors.AccountBrokenError: "Kling rejects this account's session: add the account again",
    errors.InsufficientCreditsError: "top up the Kling account",
    errors.ContentModeratedError: "the content was refused by moderation: change it",
    errors.RateLimitedError: "too many requests, or no free job slot",
}

_MODERATION_MARKS = ("CM_EXT", "community guidelines")


class _NotJSON(str):
    """A body that is not JSON; empty bodies too."""

    @property
    def text(self) -> str:
        return str(self)

    @property
    def excerpt(self) -> str:
        return on_one_line(self, 200)


def _json(answer: Answer) -> Any:
    """The body; what is no JSON in it (NaN, broken characters) becomes what JSON can carry."""
    content = answer.content.removeprefix(codecs.BOM_UTF8)
    text = content.decode("utf-8", "replace")
    try:
        body = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return _NotJSON(text)
    # Only an escape can bring half a surrogate pair: decoding has replaced all else.
    return encodable_json(body) if b"\\ud" in content or b"\\uD" in content else body


_DECODER = json.JSONDecoder(parse_constant=lambda _: None)


def _api_error(request: Request[Any], answer: Answer, body: JSON, now_s: float) -> APIError:
    message, code = _message(body)
    status = answer.status_code
    cls = _BY_STATUS.get(status)
    if cls is None:
        cls = errors.ServerError if 500 <= status < 600 else APIError
    # 500 is also how Kling refuses content; only known markers count as that.
    if status == 500 and speaks_of_moderation(message):
        cls = errors.ContentModeratedError
    text = f"the server answered {status}" + (f": {printable(message[:500])}" if message else "")
    if cls in _REMEDY:
        text += f" ({_REMEDY[cls]})"
    return cls(
        text,
        status_code=status,
        message=message,
        code=code,
        body=str(body) if isinstance(body, _NotJSON) else body,
        retry_after_s=retry_after_s(answer.headers, body, now_s),
        headers=_shown_headers(request, answer),
    )


def _shown_headers(request: Request[Any], answer: Answer) -> dict[str, str]:
    shown = request.redacted(dict(answer.headers))
    assert isinstance(shown, Mapping)
    return {name: value for name, value in shown.items() if name not in _SESSIONS}


_SESSIONS = ("set-cookie", "set-cookie2", "authorization", "proxy-authorization")


def _message(body: JSON) -> tuple[str, int | str | None]:
    """The meaningful text and the code of an error body, in any of its documented shapes."""
    if isinstance(body, _NotJSON):
        return body.excerpt, None
    if not isinstance(body, Mapping):
        return "", None
    found, code = body.get("error"), body.get("code")
    if isinstance(found, Mapping):  # an upstream error passed through
        code = found.get("code", code)
        found = found.get("message") or found.get("status")
    if not isinstance(found, str) or not found:
        found = body.get("message")
    return (
        found if isinstance(found, str) else "",
        code if isinstance(code, (int, str)) and not isinstance(code, bool) else None,
    )

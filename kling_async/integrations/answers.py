"""What does an HTTP service answer when a call of ours failed? One table for all frameworks. Pure.

| error | answer | why |
| --- | --- | --- |
| InvalidRequestError | 422, each field's problem | what the caller gave can't be sent |
| ContentModeratedError, BadRequestError | 422 | Kling refused what the caller gave |
| NotFoundError, GoneError | 404, 410 | |
| RateLimitedError | 429, Retry-After | |
| NotSentError | 503, Retry-After | nothing happened; the same again may work |
| ServerError, UnexpectedResponseError, AvatarFailedError | 502 | |
| AuthenticationError, SubscriptionError, PermissionDeniedError, InsufficientCreditsError, \
AccountBrokenError | 502 | the service's own account; the caller can't mend it |
| TaskModeratedError, TaskFailedError | 422, 502 | |
| OutcomeUnknownError | 504, or 502 where an unclear answer came; `"outcome": "unknown"` | |
| DeadlineExceededError | 504, `"task_id"` where there is one | |
| ConfigurationError, AccountRequiredError, all others | 500 | the service is set up wrong |

Bodies follow RFC 9457 (problem+json), with the member `error` to be read by programs. Field
problems have the form of FastAPI's own. Neither e-mails nor tokens nor paths are in them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from attrs import field, frozen

from ..errors import (
    JSON,
    AccountBrokenError,
    APIError,
    AuthenticationError,
    AvatarFailedError,
    BadRequestError,
    ContentModeratedError,
    DeadlineExceededError,
    GoneError,
    InsufficientCreditsError,
    InvalidRequestError,
    KlingError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    SubscriptionError,
    TaskFailedError,
    TaskModeratedError,
    UnexpectedResponseError,
)
from ..settings import RETRY_AFTER_ABSENT_S
from .hidden import without_paths, without_secrets

NOT_SENT_RETRY_AFTER_S = 5.0  # a refused connection or a lost name server; nobody knows how long
MOST_OF_A_REASON = 500  # characters of Kling's own words


@frozen
class ErrorAnswer:
    """An HTTP answer to somebody whose request made a call of ours fail."""

    status: int
    body: Mapping[str, JSON]
    headers: Mapping[str, str] = field(factory=dict)
    media_type: str = "application/problem+json"

    @property
    def content(self) -> bytes:
        """The body's bytes."""
        return json.dumps(self.body, ensure_ascii=False).encode("utf-8", "replace")


def answer_to(error: KlingError) -> ErrorAnswer:
    """The answer that `error` deserves; see the table above."""
    if isinstance(error, InvalidRequestError):
        return _unprocessable(error)
    status, name, text = _meaning(error)
    more: dict[str, JSON] = {}
    headers: dict[str, str] = {}
    if isinstance(error, OutcomeUnknownError):
        more["outcome"] = "unknown"
    task_id = getattr(getattr(error, "task", None), "id", None)
    if isinstance(task_id, int):
        more["task_id"] = task_id
    if (wait_s := _wait_s(error)) is not None:
        more["retry_after_s"] = whole_s = max(1, math.ceil(wait_s))
        headers["Retry-After"] = str(whole_s)
    title = HTTPStatus(status).phrase
    body = {"title": title, "status": status, "detail": text, "error": name, **more}
    return ErrorAnswer(status, body, headers)


def openapi_responses() -> dict[int | str, dict[str, Any]]:
    """All that `answer_to` may answer, by status, in OpenAPI's words; without references."""
    meanings = [meaning for _, meaning in _MEANINGS]
    meanings += [_MISCONFIGURED, _TASK_FAILED, (422, "invalid_request", "A field can't be sent.")]
    meanings += [(status, "outcome_unknown", _UNKNOWN) for status in (502, 504)]
    texts: dict[int, dict[str, str]] = {}
    for status, name, text in meanings:
        texts.setdefault(status, {})[name] = text
    answers: dict[int | str, dict[str, Any]] = {}
    for status, named in sorted(texts.items()):
        content = {"application/problem+json": {"schema": _problem_schema(status, list(named))}}
        if status == 422:
            content["application/json"] = {"schema": _FIELD_PROBLEMS}
        text = " ".join(f"`{name}`: {text}" for name, text in named.items())
        answers[status] = {"description": text, "content": content}
    return answers


def log_line(error: KlingError, answer: ErrorAnswer) -> str:
    """What the service's own log says of it: everything but the secrets."""
    return f"answered {answer.status} to {type(error).__name__}: {without_secrets(str(error))}"


def _unprocessable(error: InvalidRequestError) -> ErrorAnswer:
    # FastAPI's own shape, which its clients read; `detail` is a list there, which RFC 9457 is not.
    problems: list[JSON] = [
        {"type": "value_error", "loc": ["body", name], "msg": _safe(text)}
        for name, text in error.problems.items()
    ]
    if not problems:
        problems.append({"type": "value_error", "loc": ["body"], "msg": "can't be sent as it is"})
    body: dict[str, JSON] = {"detail": problems, "error": "invalid_request"}
    return ErrorAnswer(422, body, media_type="application/json")


def _problem_schema(status: int, names: list[str]) -> dict[str, Any]:
    texts = {one: {"type": "string"} for one in ("title", "detail")}
    own = {"status": {"const": status}, "error": {"enum": names}}
    more = {"outcome": {"const": "unknown"}, "task_id": _INTEGER, "retry_after_s": _INTEGER}
    required = ["title", "status", "detail", "error"]
    return {"type": "object", "properties": {**texts, **own, **more}, "required": required}


_INTEGER = {"type": "integer"}
_FIELD_PROBLEM = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
        "msg": {"type": "string"},
    },
    "required": ["type", "loc", "msg"],
}
_FIELD_PROBLEMS = {
    "type": "object",
    "properties": {"detail": {"type": "array", "items": _FIELD_PROBLEM}},
}


def _meaning(error: KlingError) -> tuple[int, str, str]:
    """Status, name for programs, text for people."""
    if isinstance(error, OutcomeUnknownError):
        answered = isinstance(error.__cause__, (APIError, UnexpectedResponseError))
        return 502 if answered else 504, "outcome_unknown", _UNKNOWN
    if isinstance(error, TaskFailedError):
        return _task_failed(error)
    for kind, meaning in _MEANINGS:
        if isinstance(error, kind):
            status, name, text = meaning
            said = error.message if isinstance(error, _TELLS_WHY) else ""
            return status, name, f"{text} {_shortened(said)}".rstrip()
    return _MISCONFIGURED


_UNKNOWN = "It may have been carried out: no clear answer came. Look before you repeat it."
_MISCONFIGURED = (500, "misconfigured", "This service is not set up to do that.")
_TASK_FAILED = (502, "task_failed", "Kling could not finish the job.")
_TELLS_WHY = (BadRequestError, ContentModeratedError)

_OWN_ACCOUNT = (502, "upstream_account", "This service's own account at Kling can't be used now.")
_MEANINGS: tuple[tuple[type[KlingError], tuple[int, str, str]], ...] = (
    (ContentModeratedError, (422, "content_moderated", "Kling refused the content.")),
    (BadRequestError, (422, "refused", "Kling refused the request.")),
    (NotFoundError, (404, "not_found", "Kling knows no such thing.")),
    (GoneError, (410, "gone", "It has expired at Kling.")),
    (RateLimitedError, (429, "rate_limited", "Kling takes no more for now.")),
    (NotSentError, (503, "not_sent", "Kling can't be reached; nothing was done.")),
    (DeadlineExceededError, (504, "deadline_exceeded", "It took longer than this service waits.")),
    (AuthenticationError, _OWN_ACCOUNT),
    (SubscriptionError, _OWN_ACCOUNT),
    (PermissionDeniedError, _OWN_ACCOUNT),
    (InsufficientCreditsError, _OWN_ACCOUNT),
    (AccountBrokenError, _OWN_ACCOUNT),
    (AvatarFailedError, (502, "avatar_failed", "Kling could not make the avatar.")),
    (ServerError, (502, "upstream_failed", "Kling has a fault.")),
    (APIError, (502, "upstream_failed", "Kling answered with an error.")),
    (UnexpectedResponseError, (502, "upstream_failed", "Kling's answer can't be understood.")),
)


def _task_failed(error: TaskFailedError) -> tuple[int, str, str]:
    if isinstance(error, TaskModeratedError):
        return 422, "content_moderated", "Kling refused the content."
    return _TASK_FAILED


def _wait_s(error: KlingError) -> float | None:
    if isinstance(error, RateLimitedError):
        return RETRY_AFTER_ABSENT_S if error.retry_after_s is None else error.retry_after_s
    if isinstance(error, NotSentError):
        return NOT_SENT_RETRY_AFTER_S
    return error.retry_after_s if isinstance(error, ServerError) else None


def _shortened(text: str) -> str:
    text = _safe(" ".join(text.split()))
    return text if len(text) <= MOST_OF_A_REASON else text[: MOST_OF_A_REASON - 1] + "…"


def _safe(text: str) -> str:
    return without_paths(without_secrets(text))

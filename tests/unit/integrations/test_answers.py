"""Does each of our errors become an honest HTTP answer, without anything private in it?"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async import (
    AccountRequiredError,
    APIError,
    BadRequestError,
    CallContext,
    CreateAvatar,
    DeadlineExceededError,
    InvalidRequestError,
    KlingError,
    NotSentError,
    OutcomeUnknownError,
    RateLimitedError,
    ServerError,
    TaskFailedError,
)
from kling_async.integrations.answers import answer_to, log_line, openapi_responses
from kling_async.integrations.hidden import without_secrets

CONTEXT = CallContext("POST", "/avatars", "ada@example.com", 2, 1.5)
STATUSES = {
    "KlingError": 500,
    "ConfigurationError": 500,
    "AccountRequiredError": 500,
    "LedgerError": 500,
    "InputError": 500,
    "InvalidRequestError": 422,
    "NotSentError": 503,
    "OutcomeUnknownError": 504,
    "APIError": 502,
    "BadRequestError": 422,
    "AuthenticationError": 502,
    "SubscriptionError": 502,
    "PermissionDeniedError": 502,
    "NotFoundError": 404,
    "GoneError": 410,
    "InsufficientCreditsError": 502,
    "ContentModeratedError": 422,
    "RateLimitedError": 429,
    "ServerError": 502,
    "AccountBrokenError": 502,
    "UnexpectedResponseError": 502,
    "AvatarFailedError": 502,
    "TaskFailedError": 502,
    "TaskModeratedError": 422,
    "DeadlineExceededError": 504,
}


def classes(root: type[KlingError] = KlingError) -> Iterator[type[KlingError]]:
    yield root
    for one in root.__subclasses__():
        if one.__module__ == KlingError.__module__:  # those of bulk jobs reach no service
            yield from classes(one)


@pytest.mark.parametrize("kind", sorted(set(classes()), key=lambda one: one.__name__))
def test_each_class_has_its_answer(kind: type[KlingError]) -> None:
    answer = answer_to(kind("private text", context=CONTEXT))
    expected = STATUSES.get(kind.__name__)
    if expected is None:  # a newer class is answered as the one it refines, or as moderation
        assert answer.status in (answer_to(kind.__mro__[1]("x")).status, 422)
    else:
        assert answer.status == expected
    assert "private" not in answer.content.decode()
    assert "ada@" not in answer.content.decode()


@pytest.mark.parametrize("kind", sorted(set(classes()), key=lambda one: one.__name__))
def test_openapi_has_each_answer(kind: type[KlingError]) -> None:
    answer = answer_to(kind("x"))
    said = openapi_responses()[answer.status]
    schema = said["content"][answer.media_type]["schema"]
    assert f"`{answer.body['error']}`" in said["description"]
    assert set(schema.get("required", ())) <= set(answer.body)
    names = schema["properties"].get("error", {"enum": ["invalid_request"]})["enum"]
    assert answer.body["error"] in names


def test_a_problem_is_described_as_rfc_9457_says() -> None:
    answer = answer_to(RateLimitedError("x", status_code=429, retry_after_s=6.2))
    assert answer.media_type == "application/problem+json"
    assert json.loads(answer.content) == {
        "title": "Too Many Requests",
        "status": 429,
        "detail": "Kling takes no more for now.",
        "error": "rate_limited",
        "retry_after_s": 7,
    }


@pytest.mark.parametrize(
    ("error", "retry_after"),
    [
        (RateLimitedError("x", retry_after_s=6.2), "7"),
        (RateLimitedError("x", retry_after_s=0.0), "1"),
        (RateLimitedError("x"), "10"),
        (NotSentError("x"), "5"),
        (ServerError("x", retry_after_s=30), "30"),
        (ServerError("x"), None),
        (OutcomeUnknownError("x"), None),  # nobody shall be told to send that again
    ],
)
def test_when_to_come_back(error: KlingError, retry_after: str | None) -> None:
    assert answer_to(error).headers.get("Retry-After") == retry_after


def test_a_lost_outcome_says_so_to_programs() -> None:
    lost, unclear = OutcomeUnknownError("x"), OutcomeUnknownError("x")
    unclear.__cause__ = ServerError("x", status_code=500)
    assert [answer_to(one).status for one in (lost, unclear)] == [504, 502]
    for one in (lost, unclear):
        assert answer_to(one).body["outcome"] == "unknown"
        assert answer_to(one).body["error"] == "outcome_unknown"


def test_field_problems_have_fastapis_form() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        CreateAvatar(image_url="https://x.y/a.png", nickname="x" * 31, tts_speed=9)
    answer = answer_to(caught.value)
    assert answer.status == 422
    assert answer.media_type == "application/json"
    problems = {tuple(one["loc"]): one for one in json.loads(answer.content)["detail"]}
    assert set(problems) == {("body", "nickname"), ("body", "tts_speed")}
    assert "31 characters" in problems["body", "nickname"]["msg"]
    assert problems["body", "nickname"]["type"] == "value_error"


class _Task:
    id = 42


def test_a_task_can_be_asked_for_later() -> None:
    for error in (DeadlineExceededError("x", task=_Task()), TaskFailedError("x", task=_Task())):
        assert answer_to(error).body["task_id"] == 42


def test_kling_s_reason_is_passed_on_without_what_is_private() -> None:
    said = "speakerId x of ada+1@example.com (user:12-abc) in /srv/app/a.png is wrong " + "y" * 900
    detail = str(answer_to(BadRequestError("t", message=said)).body["detail"])
    assert "speakerId x of (e-mail) ((token)) in (path) is wrong" in detail
    assert len(detail) < 600
    invalid = InvalidRequestError("x", {"image": "/srv/a/b.png can't be read: Permission denied"})
    assert "srv" not in answer_to(invalid).content.decode()


def test_the_log_tells_the_operator_more_than_the_caller() -> None:
    error = AccountRequiredError("2 accounts: ada@example.com", context=CONTEXT)
    line = log_line(error, answer_to(error))
    assert "AccountRequiredError" in line
    assert "POST /avatars" in line  # a route's template is no path of this machine
    assert "ada@" not in line


@given(st.text(max_size=20), st.sampled_from(["a.b+c@x-y.example", "ada%40example.com"]))
def test_no_email_stays_whatever_is_around_it(around: str, email: str) -> None:
    assert email not in without_secrets(f"{around}{email}{around}")


def test_what_is_not_secret_stays() -> None:
    text = "GET /accounts/{email}: https://api.useapi.net/v1/kling 404"
    assert without_secrets(text) == text


def test_an_api_error_without_a_class_is_still_502() -> None:
    assert answer_to(APIError("x", status_code=418)).status == 502

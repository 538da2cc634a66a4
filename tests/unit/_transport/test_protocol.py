"""Which bytes go out, and what does each answer mean?"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async import (
    CreateAvatar,
    DeleteAvatar,
    GetAccount,
    ListAccounts,
    ListAvatars,
    ListVoices,
    OmniImage,
    Request,
    Safety,
    UploadAsset,
    errors,
)
from kling_async._transport import protocol
from kling_async._transport.protocol import Answer, decode, encode, is_refusal
from kling_async._transport.retry_after import retry_after_s
from kling_async.models.text import printable

NOW = datetime(2026, 7, 14, 9, 30, tzinfo=UTC)
NOW_S = NOW.timestamp()
URL = "https://x.y/a.png"


def answer(status: int, body: Any = None, *, raw: bytes | None = None, **headers: str) -> Answer:
    content = json.dumps(body).encode() if raw is None else raw
    return Answer(status, {name.replace("_", "-"): text for name, text in headers.items()}, content)


def error_of(reply: Answer, request: Request[Any] | None = None) -> errors.KlingError:
    with pytest.raises(errors.KlingError) as caught:
        decode(CreateAvatar(image_url=URL) if request is None else request, reply, NOW_S)
    return caught.value


# --- encode -----------------------------------------------------------------------------------


def test_only_given_fields_are_sent() -> None:
    out = encode(CreateAvatar(image_url=URL), None)
    assert (out.method, out.path) == ("POST", "/avatars")
    assert out.route == "/avatars"
    assert out.content == b'{"imageUrl":"https://x.y/a.png"}'
    assert out.content_type == "application/json"


def test_every_field_under_the_apis_own_name() -> None:
    request = CreateAvatar(
        image_url=URL,
        nickname="Zoë 🙂",
        prompt="p",
        scene="education",
        tts_speaker="moss_audio_1",
        tts_speed=1,
        tts_emotion="happy",
        extra={"newField": {"a": [1, None]}},
    )
    assert encode(request, "a@b.c").content.decode() == (
        '{"imageUrl":"https://x.y/a.png","nickname":"Zoë 🙂","prompt":"p","scene":"education",'
        '"ttsSpeaker":"moss_audio_1","ttsSpeed":1,"ttsEmotionKey":"happy","email":"a@b.c",'
        '"newField":{"a":[1,null]}}'
    )


@pytest.mark.parametrize(("request_", "method", "path"), [
    (ListAvatars(), "GET", "/avatars?email=a%2Bb%40x.y"),
    (ListAvatars(type="templates"), "GET", "/avatars?type=templates&email=a%2Bb%40x.y"),
    (DeleteAvatar(avatar_id="300137233318846"), "DELETE",
     "/avatars/300137233318846?email=a%2Bb%40x.y"),
    (ListVoices(), "GET", "/tts/voices?email=a%2Bb%40x.y"),
    (ListAccounts(), "GET", "/accounts"),
    (GetAccount(email="a+b@x.y"), "GET", "/accounts/a%2Bb@x.y"),
    (GetAccount(email="a/b?c#d@x.y"), "GET", "/accounts/a%2Fb%3Fc%23d@x.y"),
    (UploadAsset(file=b"ID3" + b"\0" * 9), "POST", "/assets/?email=a%2Bb%40x.y"),
])  # fmt: skip
def test_where_the_email_goes(request_: Request[Any], method: str, path: str) -> None:
    out = encode(request_, "a+b@x.y")
    assert (out.method, out.path) == (method, path)
    assert out.route == request_.route
    assert out.content == b""
    assert out.content_type is None


@pytest.mark.parametrize(("request_", "path"), [
    (ListAvatars(), "/avatars"),
    (DeleteAvatar(avatar_id="300137233318846"), "/avatars/300137233318846"),
    (UploadAsset(file=b"ID3" + b"\0" * 9), "/assets/"),
    (ListVoices(), "/tts/voices"),
])  # fmt: skip
def test_no_account_leaves_the_email_out(request_: Request[Any], path: str) -> None:
    assert encode(request_, None).path == path


@pytest.mark.parametrize(("request_", "path"), [
    (ListAvatars(extra={"a": "b+ c", "n": 5, "f": 1.5, "t": True, "l": [1]}),
     "/avatars?a=b%2B+c&n=5&f=1.5&t=true&l=%5B1%5D"),
    (UploadAsset(file=b"ID3" + b"\0" * 9, extra={"a": "b"}), "/assets/?a=b"),
    (ListAccounts(extra={"dryRun": False}), "/accounts?dryRun=false"),
    (DeleteAvatar(avatar_id="300137233318846", extra={"x": None}),
     "/avatars/300137233318846?x=null"),
])  # fmt: skip
def test_extra_of_bodyless_requests_goes_into_the_query(request_: Request[Any], path: str) -> None:
    assert encode(request_, None).path == path


def test_fields_are_looked_up_once_for_each_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "_WIRED", {})
    several = OmniImage(images=[URL, URL + "2"], prompt="p")
    body = json.loads(encode(several, None).content)
    assert {name: body[name] for name in ("image_1", "image_2")} == {
        "image_1": URL,
        "image_2": URL + "2",
    }
    assert encode(GetAccount(email="a@b.c"), None).path == "/accounts/a@b.c"
    assert encode(ListAvatars(type="templates"), None).path == "/avatars?type=templates"
    known = protocol._WIRED[GetAccount]
    assert encode(GetAccount(email="b@b.c"), None).path == "/accounts/b@b.c"
    assert protocol._WIRED[GetAccount] is known


@pytest.mark.parametrize(("value", "text"), [
    (("a", True, 5), "a,true,5"), (False, "false"), ("b c", "b c"), (1.5, "1.5"), (None, "null"),
])  # fmt: skip
def test_values_of_a_query(value: Any, text: str) -> None:
    assert protocol._query_text(value) == text


def test_an_error_is_told_its_call() -> None:
    context = errors.CallContext("POST", "/avatars")
    assert protocol.with_context(errors.KlingError("x"), context).context is context


def test_bytes_are_not_in_the_repr() -> None:
    assert "secret" not in repr(encode(CreateAvatar(image_url=URL, prompt="secret"), None))
    assert "secret" not in repr(answer(200, "secret"))


# --- decode: success --------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202])
def test_any_2xx_is_a_success(status: int) -> None:
    made = decode(
        CreateAvatar(image_url=URL), answer(status, {"id": "3", "status": "SUCCESS"}), NOW_S
    )
    assert (made.id, made.status) == ("3", "SUCCESS")


@pytest.mark.parametrize("content", [b"", b" \r\n", b'{"deleted":null}', b"null", b"{}"])
@pytest.mark.parametrize("status", [200, 204])
def test_a_delete_is_judged_by_its_status(status: int, content: bytes) -> None:
    request = DeleteAvatar(avatar_id="300137233318846")
    assert decode(request, answer(status, raw=content), NOW_S) is not None


@pytest.mark.parametrize("content", [b"No account is configured", b"", b'{"error":"none"}'])
def test_empty_status_is_an_empty_list(content: bytes) -> None:
    assert decode(ListAccounts(), answer(404, raw=content), NOW_S) == []


def test_empty_status_of_others_is_an_error() -> None:
    assert type(error_of(answer(404, {}), GetAccount(email="a@b.c"))) is errors.NotFoundError


@pytest.mark.parametrize("body", [
    None, [], "SUCCESS", 5, {}, {"id": "3"}, {"status": "SUCCESS"}, {"id": "", "status": "SUCCESS"},
    {"id": None, "status": "SUCCESS"}, {"id": ["3"], "status": "SUCCESS"},
    {"id": "3", "status": "PENDING"}, {"id": "3", "status": None},
])  # fmt: skip
def test_a_create_without_a_usable_id_is_unexpected(body: Any) -> None:
    error = error_of(answer(200, body))
    assert type(error) is errors.UnexpectedResponseError
    assert (error.status_code, error.body) == (200, body)


@pytest.mark.parametrize("content", [b"<html>Welcome</html>", b'{"id": "3", "sta', b"\xff\xfe\0"])
@pytest.mark.parametrize("request_", [CreateAvatar(image_url=URL), ListAvatars(), ListAccounts(),
                                      DeleteAvatar(avatar_id="300137233318846")])  # fmt: skip
def test_2xx_that_is_not_json_is_unexpected(request_: Request[Any], content: bytes) -> None:
    error = error_of(answer(200, raw=content), request_)
    assert type(error) is errors.UnexpectedResponseError
    assert (error.status_code, error.body) == (200, content.decode("utf-8", "replace"))
    assert "not JSON" in str(error)


def test_no_body_at_all_is_unexpected_where_one_was_due() -> None:
    error = error_of(answer(200, raw=b" "), ListAvatars())
    assert type(error) is errors.UnexpectedResponseError
    assert (error.body, "an array was expected, not NoneType" in str(error)) == (None, True)


def test_a_mark_of_the_encoding_is_no_content() -> None:
    listed = b'[{"id": "1", "prompt": "p", "imageResources": []}]'
    (avatar,) = decode(ListAvatars(), answer(200, raw=b"\xef\xbb\xbf" + listed), NOW_S)
    assert avatar.id == "1"


@pytest.mark.parametrize(("repeated", "status", "cls"), [
    (None, 404, errors.NotFoundError), (False, 404, errors.NotFoundError), (True, 404, None),
    (True, 405, errors.APIError), (True, 400, errors.BadRequestError), (True, 200, None),
])  # fmt: skip
def test_what_is_gone_after_an_earlier_attempt_was_deleted_by_it(
    repeated: bool | None, status: int, cls: type | None
) -> None:
    more = {} if repeated is None else {"repeated": repeated}
    request = DeleteAvatar(avatar_id="300137233318846")
    if cls is None:
        assert decode(request, answer(status, {}), NOW_S, **more) is not None
    else:
        with pytest.raises(errors.KlingError) as caught:
            decode(request, answer(status, {}), NOW_S, **more)
        assert type(caught.value) is cls
    with pytest.raises(errors.NotFoundError):  # nothing of it is said of what is no delete
        decode(ListAvatars(), answer(404, {}), NOW_S, repeated=True)


class Told(ListAvatars):
    """Its answer may be a line of text."""

    accepts_text = True

    def decode(self, body: Any) -> Any:
        return body


@pytest.mark.parametrize(("content", "told"), [
    (b"Deleted", "Deleted"), (b" gone <b>", " gone <b>"), (b"<html>hello", None),
    (b" \n<!doctype html>", None),
])  # fmt: skip
def test_a_line_of_text_is_an_answer_where_it_may_be_and_a_page_is_none(
    content: bytes, told: str | None
) -> None:
    if told is None:
        assert type(error_of(answer(200, raw=content), Told())) is errors.UnexpectedResponseError
    else:
        assert decode(Told(), answer(200, raw=content), NOW_S) == told


@pytest.mark.parametrize(("headers", "body", "wait_s"), [
    ({"retry_after": "7"}, {}, 7), ({}, {"retryAfter": "2026-07-14T09:30:10Z"}, 10),
    ({"retry_after": "Tue, 14 Jul 2026 09:30:30 GMT"}, {}, 30), ({}, {}, None),
])  # fmt: skip
def test_an_error_says_how_long_to_wait(
    headers: dict[str, str], body: Any, wait_s: float | None
) -> None:
    error = error_of(answer(429, body, **headers))
    assert isinstance(error, errors.RateLimitedError)
    assert error.retry_after_s == wait_s


def test_json_nested_beyond_the_recursion_limit_is_unexpected() -> None:
    error = error_of(answer(200, raw=b"[" * 200_000), ListAvatars())
    assert type(error) is errors.UnexpectedResponseError


def test_an_upload_without_any_url_is_unexpected() -> None:
    error = error_of(answer(200, {"status": 3, "message": "odd"}), UploadAsset(file=b"ID3\0\0\0"))
    assert type(error) is errors.UnexpectedResponseError
    assert "odd" in str(error)


# --- decode: statuses -------------------------------------------------------------------------

STATUSES: dict[int, type[errors.APIError]] = {
    300: errors.APIError,
    301: errors.APIError,
    304: errors.APIError,
    307: errors.APIError,
    308: errors.APIError,
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    402: errors.SubscriptionError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    405: errors.APIError,
    408: errors.APIError,
    409: errors.APIError,
    410: errors.GoneError,
    412: errors.InsufficientCreditsError,
    413: errors.APIError,
    418: errors.APIError,
    422: errors.ContentModeratedError,
    429: errors.RateLimitedError,
    500: errors.ServerError,
    501: errors.ServerError,
    502: errors.ServerError,
    503: errors.ServerError,
    504: errors.ServerError,
    522: errors.ServerError,
    596: errors.AccountBrokenError,
    599: errors.ServerError,
    600: errors.APIError,
}

# A clear "no": nothing was carried out. Everything else after a sent request is ambiguous.
REFUSED = {400, 401, 402, 403, 404, 410, 412, 413, 422, 429}


@pytest.mark.parametrize("status", STATUSES)
def test_status_to_error(status: int) -> None:
    body = {"error": "what it says", "code": 7}
    error = error_of(answer(status, body))
    assert type(error) is STATUSES[status]
    assert error.status_code == status
    assert error.message == "what it says"
    assert error.code == 7
    assert error.body == body
    assert error.retry_after_s is None
    assert error.context is None
    assert f"the server answered {status}: what it says" in str(error)


@pytest.mark.parametrize("status", STATUSES)
def test_which_statuses_are_a_clear_no(status: int) -> None:
    assert is_refusal(error_of(answer(status, {"error": "no"}))) is (status in REFUSED)


@pytest.mark.parametrize(("status", "remedy"), [
    (401, "USEAPI_TOKEN"), (402, "renew"), (412, "top up"), (422, "change it"),
    (429, "too many requests"), (596, "add the account again"),
])  # fmt: skip
def test_the_text_says_what_to_do(status: int, remedy: str) -> None:
    assert remedy in str(error_of(answer(status, {})))


@pytest.mark.parametrize(("content", "message", "code"), [
    (b'{"error":"text"}', "text", None),
    (b'{"error":"Unauthorized","code":401}', "Unauthorized", 401),
    (b'{"error":"real","message":"generic"}', "real", None),
    (b'{"error":{"code":7,"message":"deep","status":"S","details":[]}}', "deep", 7),
    (b'{"error":{"status":"ABORTED"},"code":"X.1"}', "ABORTED", "X.1"),
    (b'{"error":{"code":"INNER","message":"m"},"code":1}', "m", "INNER"),
    (b'{"error":{}, "message":"outer"}', "outer", None),
    (b'{"error":null,"message":"only"}', "only", None),
    (b'{"error":5,"code":true}', "", None),
    (b'{"error":5,"message":"m"}', "m", None),
    (b'{"error":"","message":"m"}', "m", None),
    (b'{"error":"","message":["x"]}', "", None),
    (b'{"error":{"message":{"a":1}},"code":[1]}', "", None),
    (b"{}", "", None),
    (b"null", "", None),
    (b'["error"]', "", None),
    (b'"plain JSON text"', "", None),
    (b"plain text\n of two lines", "plain text of two lines", None),
    (b"", "", None),
    (b"<html>" + b"x" * 900, "<html>" + "x" * 194, None),
    (b"\xff\xfebroken", "\ufffd\ufffdbroken", None),
])  # fmt: skip
def test_error_envelopes(content: bytes, message: str, code: int | str | None) -> None:
    error = error_of(answer(400, raw=content))
    assert type(error) is errors.BadRequestError
    assert (error.message, error.code) == (message, code)


def test_an_error_has_the_answers_headers_but_for_sessions() -> None:
    error = error_of(answer(500, {}, x_request_id="r1", set_cookie="s=1", date="today"))
    assert isinstance(error, errors.APIError)
    assert error.headers == {"x-request-id": "r1", "date": "today"}
    with pytest.raises(TypeError):
        error.headers["x"] = "y"  # type: ignore[index]


def test_a_long_message_is_cut_in_the_text_only() -> None:
    error = error_of(answer(400, {"error": "x" * 5000}))
    assert str(error) == "the server answered 400: " + "x" * 500
    assert str(error_of(answer(418, {}))) == "the server answered 418"
    assert error.message == "x" * 5000


def test_body_of_an_error_that_is_not_json_is_plain_text() -> None:
    error = error_of(answer(502, raw=b"<html>Bad\n gateway</html>"))
    assert type(error.body) is str
    assert error.body == "<html>Bad\n gateway</html>"


# --- decode: what the answer says in its own words --------------------------------------------


@pytest.mark.parametrize("content", [
    b'{"error":"violates (CM_EXT.POther)","message":"Service busy (CM_EXT.POther)"}',
    b'{"error":"against the Community Guidelines"}',
    b'{"error":{"message":"cm_ext.x"}}',
    b'{"message":"CM_EXT.PImage"}',
    b"content violates community guidelines",
])  # fmt: skip
def test_moderation_by_500(content: bytes) -> None:
    error = error_of(answer(500, raw=content))
    assert type(error) is errors.ContentModeratedError
    assert error.status_code == 500
    assert is_refusal(error)


@pytest.mark.parametrize(("status", "cls"), [
    (400, errors.BadRequestError), (502, errors.ServerError), (503, errors.ServerError),
])  # fmt: skip
def test_moderation_markers_count_with_500_only(status: int, cls: type) -> None:
    assert type(error_of(answer(status, {"error": "CM_EXT.POther"}))) is cls


def test_500_without_a_marker_is_a_fault() -> None:
    error = error_of(answer(500, {"error": "service busy", "message": "try again"}))
    assert type(error) is errors.ServerError
    assert not is_refusal(error)


@pytest.mark.parametrize("status", [200, 201, 400, 404, 429, 500, 503])
@pytest.mark.parametrize("avatar_id", ["", None, "300137233318846"])
def test_failed_raises_whatever_the_status(status: int, avatar_id: str | None) -> None:
    body = {"id": avatar_id, "status": "FAILED"}
    error = error_of(answer(status, body))
    assert type(error) is errors.AvatarFailedError
    assert error.body == body
    assert is_refusal(error)


def test_failed_means_nothing_elsewhere() -> None:
    assert type(error_of(answer(400, {"status": "FAILED"}), ListAvatars())) is (
        errors.BadRequestError
    )


class Unlisted(ListAvatars):
    """Paid, and shown by no listing."""

    safety = Safety.PAID


LOOK = "it may have been carried out; look before you send it again"


@pytest.mark.parametrize(("request_", "said"), [
    (CreateAvatar(image_url=URL), f"{LOOK}: kling.avatars.list()"),
    (Unlisted(), LOOK),
    (ListAvatars(), "doing it again is safe"),
    (DeleteAvatar(avatar_id="300137233318846"), "doing it again is safe"),
])  # fmt: skip
def test_what_may_have_happened(request_: Request[Any], said: str) -> None:
    assert protocol.what_was_lost(request_) == said


# --- texts that break whoever shows them ---


@pytest.mark.parametrize(("body", "message"), [
    (rb'{"error": "no \ud83d face"}', "no \N{REPLACEMENT CHARACTER} face"),
    (rb'{"error": "no \uDE00 face"}', "no \N{REPLACEMENT CHARACTER} face"),
    (b'{"error": "no \xed\xa0\xbd face"}', "no \N{REPLACEMENT CHARACTER}"),
    (b'{"error": "pi\xe8ce"}', "pi\N{REPLACEMENT CHARACTER}ce"),
    (rb'{"error": "\ud83d\ude00"}', "\N{GRINNING FACE}"),
    (rb'{"error": {"message": "a", "status": "\udc00"}, "\ud800": ["\ud800"]}', "a"),
])  # fmt: skip
def test_what_can_not_be_encoded_is_replaced(body: bytes, message: str) -> None:
    """And the answer stays the plain refusal that it is."""
    error = error_of(Answer(400, {}, body))
    assert type(error) is errors.BadRequestError
    assert message in error.message
    for text in (str(error), error.message, json.dumps(error.body, ensure_ascii=False)):
        text.encode()


def test_listed_texts_are_replaced_too() -> None:
    listed = rb'[{"id": "1", "prompt": "\ud83d", "nickname": "\ud83d", "imageResources": []}]'
    (avatar,) = decode(ListAvatars(), Answer(200, {}, listed), NOW_S)
    assert avatar.nickname == avatar.prompt == "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_does_not_have_are_none(number: str) -> None:
    listed = f'[{{"id": "1", "prompt": "a", "imageResources": [], "ttsSpeed": {number}}}]'
    (avatar,) = decode(ListAvatars(), Answer(200, {}, listed.encode()), NOW_S)
    assert avatar.tts_speed is None
    json.dumps(avatar.raw, allow_nan=False)


@pytest.mark.parametrize(("unseen", "shown"), [
    ("\x1b[2J", "\\x1b[2J"), ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"), ("a\rb", "a\\x0db"),
    ("\x9b1A", "\\x9b1A"), ("\u202egnp.exe", "\\u202egnp.exe"), ("a\u200bb", "a\\u200bb"),
    ("\ufeffa", "\\ufeffa"), ("\U000e0041", "\\U000e0041"),
])  # fmt: skip
def test_control_characters_are_shown_and_not_obeyed(unseen: str, shown: str) -> None:
    assert shown in str(error_of(answer(500, {"error": unseen})))
    text = str(error_of(answer(500, raw=f"oh {unseen}".encode())))  # no JSON: an excerpt of it
    assert printable(text) == text
    assert "\r" not in text


# --- Retry-After ------------------------------------------------------------------------------


def http_date(offset_s: float) -> str:
    return format_datetime(datetime.fromtimestamp(NOW_S + offset_s, UTC), usegmt=True)


@pytest.mark.parametrize(("header", "expected"), [
    ("7", 7), ("1.5", 1.5), (" 3 ", 3), ("0", 0), ("1e9", 1e9), ("86400", 86400),
    ("-1", 30), ("-0.5", 30), ("nan", 30), ("inf", 30), ("-inf", 30), ("1e999", 30),
    ("soon", 30), ("", 30), ("Tue", 30), ("Tue, 99 Jul 2026 99:99:99 GMT", 30),
    ("Thu, 01 Jan 1970 00:00:00 GMT", 30),
    (http_date(90), 90), (http_date(0), 0), ("Tue, 14 Jul 2026 11:31:30 +0200", 90),
    (http_date(-5), 1), (http_date(-60), 1), (http_date(-61), 30),  # just past, long past
])  # fmt: skip
def test_retry_after_header(header: str, expected: float) -> None:
    assert retry_after_s({"retry-after": header}, None, NOW_S) == expected


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("shape", [
    "%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y",
    "%a, %d %b %Y %H:%M:%S -0000", "%a, %d %b %Y %H:%M:%S",
])  # fmt: skip
@pytest.mark.usefixtures("in_new_york")
def test_each_form_of_http_date_is_utc(shape: str) -> None:
    """IMF-fixdate, RFC 850 and asctime; a date without a zone is not one of this machine's."""
    until, sent = ((NOW + timedelta(seconds=offset)).strftime(shape) for offset in (2, 0))
    assert retry_after_s({"retry-after": until}, None, NOW_S) == 2
    assert retry_after_s({"retry-after": until, "date": sent}, None, NOW_S + 999) == 2
    assert retry_after_s({}, {"retryAfter": "2026-07-14T09:30:10"}, NOW_S) == 10


@pytest.mark.parametrize("skew_s", [-600, 0, 600])
def test_a_date_is_measured_against_the_replys_own_date(skew_s: float) -> None:
    headers = {"retry-after": http_date(skew_s + 40), "date": http_date(skew_s)}
    assert retry_after_s(headers, None, NOW_S) == 40


def test_an_unreadable_date_header_falls_back_to_our_clock() -> None:
    headers = {"retry-after": http_date(40), "date": "yesterday"}
    assert retry_after_s(headers, None, NOW_S) == 40


@pytest.mark.parametrize(("stated", "expected"), [
    ("2026-07-14T09:30:10Z", 10),
    ("2026-07-14T09:30:10.250Z", 10.25),
    ("2026-07-14T09:30:10.5Z", 10.5),
    ("2026-07-14T09:30:10.123456789Z", 10.123456),
    ("2026-07-14T09:30:10.25+00:00", 10.25),
    ("2026-07-14T11:30:10+02:00", 10),
    ("2026-07-14T04:00:10.5-05:30", 10.5),
    ("2026-07-14T09:30:10", 10),
    (" 2026-07-14T09:30:10Z ", 10),
    (int(NOW_S * 1000) + 2500, 2.5),
    (NOW_S * 1000 + 2500.0, 2.5),
    ("2026-07-14T09:29:59Z", 1),
    ("2026-07-14T09:28:59Z", 30),
    ("1970-01-01T00:00:00Z", 30),
    ("0001-01-01T00:00:00+14:00", 30),
    ("9999-12-31T23:59:59-14:00", 251618329799.0),
    (0, 30), (-5, 30), (1e400, 30), (1e18, 30),
    (10**400, 30), (-(10**400), 30), (float("nan"), 30), (True, 30),
    ("not a date", 30), ("", 30), (".", 30), ([], 30), ({}, 30),
    (None, None),
])  # fmt: skip
def test_retry_after_in_the_body(stated: Any, expected: float | None) -> None:
    found = retry_after_s({}, {"retryAfter": stated}, NOW_S)
    assert found == (None if expected is None else pytest.approx(expected, abs=1e-6))


def test_the_header_wins_over_the_body() -> None:
    body = {"retryAfter": "2026-07-14T09:31:00Z"}
    assert retry_after_s({"retry-after": "5"}, body, NOW_S) == 5
    assert retry_after_s({"retry-after": "soon"}, body, NOW_S) == 30


@pytest.mark.parametrize("body", [None, [], "text", {}, {"other": 1}])
def test_no_statement_is_none(body: Any) -> None:
    assert retry_after_s({}, body, NOW_S) is None


@pytest.mark.parametrize("status", [429, 503, 500, 400])
def test_errors_carry_it(status: int) -> None:
    assert error_of(answer(status, {}, retry_after="12.5")).retry_after_s == 12.5  # type: ignore[attr-defined]


# --- anything at all --------------------------------------------------------------------------

KEYS = st.sampled_from(
    ["error", "message", "code", "status", "id", "retryAfter", "url", "ttsList", "ttsSpeed",
     "imageResources", "prompt", "createTime", "email", "session", "maxJobs", "balance", "emotions",
     "speakerId", "resourceUrl", "typeList", "extra", "raw", "meta", "self"]
) | st.text(max_size=5)  # fmt: skip
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["FAILED", "SUCCESS", "2026-07-14T09:30:10Z", "1e999", "nan"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=12,
)
REQUESTS = st.sampled_from(
    [
        CreateAvatar(image_url=URL),
        ListAvatars(),
        DeleteAvatar(avatar_id="300137233318846"),
        GetAccount(email="a@b.c"),
        ListAccounts(),
        ListVoices(),
        UploadAsset(file=b"ID3\0\0\0"),
    ]
)
STATUS = st.sampled_from([200, 201, 204]) | st.integers(200, 699)
HEADERS = st.dictionaries(st.sampled_from(["retry-after", "date"]), st.text(max_size=40))


def decodes_or_raises_ours(request: Request[Any], reply: Answer) -> None:
    with suppress(errors.KlingError):
        decode(request, reply, NOW_S)


@given(REQUESTS, STATUS, HEADERS, JSON)
def test_any_json_decodes_or_raises_ours(
    request: Request[Any], status: int, headers: dict[str, str], body: Any
) -> None:
    decodes_or_raises_ours(request, Answer(status, headers, json.dumps(body).encode()))


@given(REQUESTS, STATUS, st.binary())
def test_any_bytes_decode_or_raise_ours(request: Request[Any], status: int, content: bytes) -> None:
    decodes_or_raises_ours(request, Answer(status, {}, content))


@given(st.text() | st.from_regex(r"[0-9TZ:.+ -]{1,30}"), JSON)
def test_any_retry_after_is_finite_and_not_negative(header: str, stated: Any) -> None:
    for headers, body in (({"retry-after": header}, None), ({}, {"retryAfter": stated})):
        found = retry_after_s(headers, body, NOW_S)
        assert found is None or 0 <= found < float("inf")

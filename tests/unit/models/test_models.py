"""Which values does each request take, at every edge; and under which names do they go out?"""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import picture_operations
import pytest
from video_calls import CALLS, SPARE

from kling_async import (
    AddAccount,
    CreateAvatar,
    CreateAvatarVideo,
    CreateSpeech,
    DeleteAvatar,
    DeleteTask,
    DeleteUploads,
    ForgetTask,
    GetAccount,
    GetAvailable,
    GetDownload,
    GetTask,
    InvalidRequestError,
    ListAccounts,
    ListAvatars,
    ListGenerated,
    ListRunning,
    ListTasks,
    ListUploads,
    ListVoices,
    RemoveAccount,
    Request,
    Text2Video,
    UploadAsset,
)
from kling_async._transport.protocol import encode
from kling_async.models.operations import operations

URL = "https://x.y/a.png"
SCENES = (
    "all", "social_media", "entertainment", "advertising_marketing", "business", "education",
    "virtual_idol",
)  # fmt: skip
EMOTIONS = ("neutral", "happy", "angry", "sad", "fearful", "disgusted", "surprised")


def problems(cls: type[Request[Any]], **fields: Any) -> dict[str, str]:
    """What the request says is wrong; empty when it can be built."""
    if cls is CreateAvatar and not {"image", "image_url"} & set(fields):
        fields["image_url"] = URL
    try:
        cls(**fields)
    except InvalidRequestError as error:
        return error.problems
    return {}


GOOD: list[tuple[type[Request[Any]], str, Any]] = [
    (CreateAvatar, "nickname", "x"),
    (CreateAvatar, "nickname", "x" * 30),
    (CreateAvatar, "nickname", "é🙂" * 15),
    (CreateAvatar, "prompt", "x"),
    (CreateAvatar, "prompt", "x" * 2000),
    *((CreateAvatar, "scene", scene) for scene in SCENES),
    *((CreateAvatar, "tts_emotion", emotion) for emotion in EMOTIONS),
    *((CreateAvatar, "tts_speed", speed) for speed in (0.8, 1, 1.0, 2, 2.0)),
    (CreateAvatar, "tts_speaker", "moss_audio_0f"),
    *(
        (CreateAvatar, "image_url", url)
        for url in ("http://a", "https://a.b:8443/c?d=e#f", "https://[::1]/x", "HTTPS://A.B/c")
    ),
    *((CreateAvatar, "email", email) for email in ("a@b", "a+b@c.de", '"a@b"@c')),
    (CreateAvatar, "extra", {"brandNew": 1}),
    (CreateAvatar, "extra", {}),
    (ListAvatars, "type", "personal"),
    (ListAvatars, "type", "templates"),
    (ListAvatars, "email", "a@b"),
    (DeleteAvatar, "avatar_id", "123456789"),
    (DeleteAvatar, "avatar_id", "869218167527833688"),
    (GetAccount, "email", "a@b"),
]

BAD: list[tuple[type[Request[Any]], str, Any, str]] = [
    (CreateAvatar, "nickname", "x" * 31, "31 characters; at most 30"),
    (CreateAvatar, "nickname", "", "blank"),
    (CreateAvatar, "nickname", " \t", "blank"),
    (CreateAvatar, "nickname", 5, "must be text, not int"),
    (CreateAvatar, "nickname", b"Ada", "must be text, not bytes"),
    (CreateAvatar, "prompt", "x" * 2001, "2001 characters; at most 2000"),
    (CreateAvatar, "prompt", "", "blank"),
    (CreateAvatar, "scene", "ALL", "allowed are all, social_media"),
    (CreateAvatar, "scene", "", "allowed are"),
    (CreateAvatar, "scene", ["all"], "allowed are"),
    (CreateAvatar, "tts_emotion", "joyful", "allowed are neutral, happy"),
    (CreateAvatar, "tts_emotion", 1, "allowed are"),
    (CreateAvatar, "tts_speaker", "", "blank"),
    (CreateAvatar, "tts_speaker", 7, "must be text"),
    (CreateAvatar, "tts_speed", 0.79, "0.79; it must be from 0.8 to 2"),
    (CreateAvatar, "tts_speed", 2.01, "2.01; it must be from 0.8 to 2"),
    (CreateAvatar, "tts_speed", math.nextafter(0.8, 0), "must be from"),
    (CreateAvatar, "tts_speed", math.nextafter(2, 3), "must be from"),
    (CreateAvatar, "tts_speed", math.nan, "must be from"),
    (CreateAvatar, "tts_speed", math.inf, "must be from"),
    (CreateAvatar, "tts_speed", -1, "must be from"),
    (CreateAvatar, "tts_speed", 0, "must be from"),
    (CreateAvatar, "tts_speed", True, "must be a number"),
    (CreateAvatar, "tts_speed", "1", "must be a number"),
    *(
        (CreateAvatar, "image_url", url, "URL")
        for url in (
            "", "a.png", "ftp://a/b", "file:///a", "data:image/png;base64,x", "https://", "http:///a",
            "https://a b/c", "https://a/b\n", "//a/b", "http://[", 5, Path("a.png"),
        )
    ),
    *(
        (cls, "email", email, "e-mail")
        for cls in (CreateAvatar, ListAvatars, ListVoices, GetAccount, ListAccounts)
        for email in ("", "a", "@b", "a@", "a b@c", "a@b\n", 5)
    ),
    (GetAccount, "email", None, "is required"),
    (CreateAvatar, "extra", {"nickname": "x"}, "nickname (use nickname=)"),
    (CreateAvatar, "extra", {"ttsSpeed": 1}, "ttsSpeed (use tts_speed=)"),
    (CreateAvatar, "extra", {"email": "a@b"}, "email (use email=)"),
    (CreateAvatar, "extra", {"imageUrl": URL}, "imageUrl (use image_url=)"),
    (CreateAvatar, "extra", {1: 2}, "mapping"),
    (CreateAvatar, "extra", ["a"], "mapping"),
    (CreateAvatar, "extra", "a", "mapping"),
    (ListAvatars, "extra", {"type": "x"}, "type (use type=)"),
    (ListAvatars, "extra", {"email": "x"}, "email (use email=)"),
    (ListAvatars, "type", "template", "allowed are personal, templates"),
    (DeleteAvatar, "avatar_id", None, "is required"),
    (DeleteAvatar, "avatar_id", "", "string of digits"),
    (DeleteAvatar, "avatar_id", 300137233318846, "string of digits"),
    (DeleteAvatar, "avatar_id", "30013723331884x", "string of digits"),
    (DeleteAvatar, "avatar_id", "٣٠٠١٣٧٢٣٣٣١٨٨٤٦", "string of digits"),
    (DeleteAvatar, "avatar_id", "../accounts", "string of digits"),
    (DeleteAvatar, "avatar_id", "12345678", "template"),
    (DeleteAvatar, "avatar_id", "1", "template"),
]  # fmt: skip


@pytest.mark.parametrize(("cls", "name", "value"), GOOD)
def test_is_taken(cls: type[Request[Any]], name: str, value: Any) -> None:
    assert problems(cls, **{name: value}) == {}


@pytest.mark.parametrize(("cls", "name", "value", "text"), BAD)
def test_is_refused(cls: type[Request[Any]], name: str, value: Any, text: str) -> None:
    found = problems(cls, **{name: value})
    assert list(found) == [name]
    assert text in found[name]


@pytest.mark.parametrize(("fields", "given"), [
    ({}, "neither"), ({"image_url": URL, "image": b""}, "both"),
])  # fmt: skip
def test_exactly_one_image(
    fields: dict[str, Any], given: str, png: Callable[[int, int], bytes]
) -> None:
    if "image" in fields:
        fields = {**fields, "image": png(300, 300)}
    with pytest.raises(InvalidRequestError) as caught:
        CreateAvatar(**fields)
    assert caught.value.problems == {
        "image_url": f"exactly one of image_url and image is needed, {given} given"
    }


def test_every_fault_is_reported_at_once() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        CreateAvatar(
            image=b"GIF89a",
            nickname="x" * 31,
            prompt="x" * 2001,
            scene="mars",
            tts_speaker="",
            tts_speed=9,
            tts_emotion="bored",
            email="nobody",
            extra={"nickname": 1},
        )
    assert set(caught.value.problems) == {
        "image", "nickname", "prompt", "scene", "tts_speaker", "tts_speed", "tts_emotion", "email",
        "extra",
    }  # fmt: skip
    for name, text in caught.value.problems.items():
        assert f"{name}: {text}" in str(caught.value)
    assert str(caught.value).startswith("CreateAvatar was not sent: ")


REQUESTS = [
    CreateAvatar(image_url=URL, nickname="Ada", tts_speed=1.5, email="a@b"),
    ListAvatars(type="templates"),
    DeleteAvatar(avatar_id="300137233318846"),
    GetAccount(email="a@b"),
    ListAccounts(),
    ListVoices(email="a@b"),
    AddAccount(email="a@b", password="p", max_jobs=5),
    GetTask(task_id="7"),
    GetDownload(work_ids=[1, "2"], file_types="MP4"),
    DeleteUploads(ids=["1"]),
    CreateSpeech(speaker_id="s", text="t"),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: type(one).__name__)
def test_requests_are_immutable_values(request_: Request[Any]) -> None:
    for one in attrs.fields(type(request_)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(request_, one.name, "changed")
    assert not hasattr(request_, "__dict__")
    again = pickle.loads(pickle.dumps(request_))
    assert again == request_
    assert type(again) is type(request_)


def test_requests_take_keywords_only() -> None:
    with pytest.raises(TypeError):
        ListAvatars("templates")  # type: ignore[misc]


def test_a_speed_of_400_digits_is_refused() -> None:
    assert list(problems(CreateAvatar, tts_speed=10**400)) == ["tts_speed"]


@pytest.mark.parametrize("value", [math.nan, math.inf, object(), b"x", {1, 2}])
def test_extra_must_hold_json(value: Any) -> None:
    assert list(problems(CreateAvatar, extra={"brandNew": value})) == ["extra"]


@pytest.mark.parametrize("name", ["nickname", "prompt", "tts_speaker"])
def test_text_that_utf8_cannot_carry_is_refused(name: str) -> None:
    assert list(problems(CreateAvatar, **{name: "\ud83d"})) == [name]


# --- the API's own names ----------------------------------------------------------------------


def names_of(one: picture_operations.Known) -> tuple[str, str, set[str], set[str], set[str]]:
    """Of an operation on images or elements, which are in a table of their own."""
    method, target = one.sends.format(email="").split(" ")
    parts = urlsplit(target.replace("u_309377170505500", "{elementId}"))
    in_path = {"elementId"} if "{" in parts.path else set[str]()
    email = {"email"}
    in_query = set(parse_qs(parts.query)) | (email if one.body is None else set())
    in_body = set(one.body) | email if one.body is not None else set[str]()
    return method, parts.path, in_path, in_query, in_body


# Copied by hand from the API reference: verb, route, names in path, query and body. A new operation
# belongs here before it is sent anywhere.
OPERATIONS: dict[str, tuple[str, str, set[str], set[str], set[str]]] = {
    "avatars.create": ("POST", "/avatars", set(), set(), {
        "email", "imageUrl", "nickname", "prompt", "scene", "ttsSpeaker", "ttsSpeed",
        "ttsEmotionKey"}),
    # avatarId and imageUrl, text and audioUrl exclude each other; others: resources/test_videos.py.
    "avatars.video": ("POST", "/avatars/video", set(), set(), {
        "email", "avatarId", "text", "speakerId", "speed", "emotion", "prompt", "mode", "maxJobs",
        "replyUrl", "replyRef"}),
    # prompt and duration exclude shots: test_text2video.py sends those.
    "videos.text2video": ("POST", "/videos/text2video", set(), set(), {
        "email", "prompt", "negative_prompt", "model_name", "duration", "aspect_ratio", "mode",
        "cfg_scale", "enable_audio", "maxJobs", "replyUrl", "replyRef"}),
    "avatars.list": ("GET", "/avatars", set(), {"email", "type"}, set()),
    "avatars.delete": ("DELETE", "/avatars/{avatarId}", {"avatarId"}, {"email"}, set()),
    "assets.upload": ("POST", "/assets/", set(), {"email"}, set()),
    "tts.voices": ("GET", "/tts/voices", set(), {"email"}, set()),
    "accounts.list": ("GET", "/accounts", set(), set(), set()),
    "accounts.get": ("GET", "/accounts/{email}", {"email"}, set(), set()),
    "accounts.add": ("POST", "/accounts", set(), set(), {
        "email", "password", "maxJobs", "passToken", "did", "userId", "dryRun"}),
    "accounts.remove": ("DELETE", "/accounts/{email}", {"email"}, set(), set()),
    "assets.uploaded": ("GET", "/assets/uploaded/", set(), {
        "email", "pageNum", "pageSize", "contentType", "fileName", "sort"}, set()),
    "assets.delete_uploaded": ("DELETE", "/assets/uploaded/", set(), {"email", "id"}, set()),
    "assets.generated": ("GET", "/assets", set(), {
        "email", "pageNum", "pageSize", "contentType", "sort"}, set()),
    "assets.download_link": (
        "GET", "/assets/download", set(), {"email", "workIds", "fileTypes"}, set()),
    "tts.create": (
        "POST", "/tts/create", set(), set(), {"email", "speakerId", "text", "speed", "emotion"}),
    "tasks.get": ("GET", "/tasks/{task_id}", {"task_id"}, {"email"}, set()),
    # createdBefore and createdAfter exclude each other: test_operations.py sends either.
    "tasks.list": (
        "GET", "/tasks", set(), {"email", "pageSize", "contentType", "createdBefore"}, set()),
    "tasks.delete": ("DELETE", "/tasks/{task_id}", {"task_id"}, {"email"}, set()),
    "scheduler.running": ("GET", "/scheduler", set(), set(), set()),
    "scheduler.available": ("GET", "/scheduler/available", set(), set(), set()),
    "scheduler.forget": ("DELETE", "/scheduler/{task_id}", {"task_id"}, set(), set()),
    **{one.operation: names_of(one) for one in picture_operations.ALL},
}  # fmt: skip

FULL: dict[str, Request[Any]] = {
    "avatars.create": CreateAvatar(
        image_url=URL, nickname="n", prompt="p", scene="all", tts_speaker="s", tts_speed=1,
        tts_emotion="happy"),
    "avatars.video": CreateAvatarVideo(
        avatar_id="300137233318846", text="t", speaker_id="s", speed=1, emotion="happy",
        prompt="p", mode="pro", max_jobs=3, reply_url=URL, reply_ref="r"),
    "videos.text2video": Text2Video(
        prompt="p", negative_prompt="n", model_name="kling-v1-6", duration_s=5, aspect_ratio="1:1",
        mode="std", cfg_scale=0.5, enable_audio=False, max_jobs=3, reply_url=URL, reply_ref="r"),
    "avatars.list": ListAvatars(type="personal"),
    "avatars.delete": DeleteAvatar(avatar_id="300137233318846"),
    "assets.upload": UploadAsset(file=b"ID3\x04\0\0"),
    "tts.voices": ListVoices(),
    "accounts.list": ListAccounts(),
    "accounts.get": GetAccount(email="a@b"),
    "accounts.add": AddAccount(
        email="a@b", password="p", max_jobs=5, pass_token="t", did="d", user_id="u", dry_run=True),
    "accounts.remove": RemoveAccount(email="a@b"),
    "assets.uploaded": ListUploads(
        page_num=1, page_size=5, content_type="image", file_name="a.png", sort="asc"),
    "assets.delete_uploaded": DeleteUploads(ids=("1", "2")),
    "assets.generated": ListGenerated(page_num=1, page_size=5, content_type="video", sort="asc"),
    "assets.download_link": GetDownload(work_ids=(1, 2), file_types=("MP4", "PNG")),
    "tts.create": CreateSpeech(speaker_id="s", text="t", speed=1, emotion="happy"),
    "tasks.get": GetTask(task_id=7),
    "tasks.list": ListTasks(page_size=5, content_type="video", created_before_ms=1),
    "tasks.delete": DeleteTask(task_id=7),
    "scheduler.running": ListRunning(),
    "scheduler.available": GetAvailable(),
    "scheduler.forget": ForgetTask(task_id=7),
    **{one.operation: one.requests[0] for one in picture_operations.ALL},
}  # fmt: skip

for _video in CALLS:
    _in = set(parse_qs(urlsplit(_video.sends).query))
    _route = urlsplit(_video.sends.partition(" ")[2]).path
    OPERATIONS[_video.operation] = (
        _video.sends.split()[0], _route, set(), _in, set(_video.body or {})
    )  # fmt: skip
    FULL[_video.operation] = _video.request()


def test_the_table_is_complete() -> None:
    assert set(operations()) == set(OPERATIONS) == set(FULL)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_is_sent_has_the_apis_names(operation: str) -> None:
    method, route, _, in_query, in_body = OPERATIONS[operation]
    request = FULL[operation]
    out = encode(request, "a@b")
    parts = urlsplit(out.path)
    assert (out.method, request.route) == (method, route)
    assert parts.path == route.format(
        avatarId="300137233318846", email="a@b", task_id=7, elementId="u_309377170505500"
    )
    assert set(parse_qs(parts.query, strict_parsing=bool(parts.query))) == in_query
    assert set(json.loads(out.content) if out.content else {}) == in_body


@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_field_of_a_full_request_is_left_empty(operation: str) -> None:
    request = FULL[operation]
    spare = {"email", "extra", "image", "created_after_ms"} - OPERATIONS[operation][2]
    if operation == "assets.upload":
        spare.add("content_type")
    if operation == "avatars.video":
        spare |= {"image_url", "audio_url", "audio"}
    if operation == "videos.text2video":
        spare.add("shots")
    spare |= SPARE.get(operation, set())
    for known in picture_operations.ALL:
        if known.operation == operation:  # what excludes those of the full one
            spare |= {name for other in known.others for name in other}
    spare |= {one.name for one in attrs.fields(type(request)) if one.metadata.get("into")}
    for one in attrs.fields(type(request)):
        assert one.name in spare or getattr(request, one.name) is not None

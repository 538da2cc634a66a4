"""What does each answer of each operation mean? Successes in every documented shape, and errors.

The errors are one table for all operations: a status means the same wherever it comes from, but
for the few that an operation gives a meaning of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from attrs import evolve
from picture_operations import ELEMENT
from picture_operations import A as PICTURE
from test_operations import REPLIES, ROWS, TASK, URL, Act, client

from kling_async import KlingError, RetryPolicy, Safety, errors
from kling_async.models.operations import operations

FIRST: dict[str, Act] = {}
for _operation, _act, *_ in ROWS:
    FIRST.setdefault(_operation, _act)


class Scripted(httpx.AsyncBaseTransport):
    """Gives its answers in turn; an exception is raised as the network would."""

    def __init__(self, *answers: tuple[int, bytes] | Exception) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.asked += 1
        answer = self.answers[min(self.asked, len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer[0], content=answer[1])


async def outcome(operation: str, *answers: tuple[int, Any] | Exception, **options: Any) -> Any:
    """What the call returns or raises when these answers come; JSON but for bytes."""
    script = [
        one if isinstance(one, Exception) or isinstance(one[1], bytes)
        else (one[0], json.dumps(one[1]).encode())
        for one in answers
    ]  # fmt: skip
    async with client(Scripted(*script), **options) as kling:
        try:
            return await FIRST[operation](kling)
        except KlingError as error:
            return error


# --- errors -----------------------------------------------------------------------------------

CM = "The content violates our community guidelines (CM_EXT.POther)"
BUSY = "Service busy (CM_EXT.POther)"
ERRORS: list[tuple[int, Any, type[KlingError], str]] = [
    (400, {"error": "Invalid parameters"}, errors.BadRequestError, "Invalid parameters"),
    (401, {"error": "Unauthorized", "code": 401}, errors.AuthenticationError, "Unauthorized"),
    (402, {"error": "Subscription required", "code": 402}, errors.SubscriptionError,
     "Subscription required"),
    (403, {"error": "Not yours"}, errors.PermissionDeniedError, "Not yours"),
    (404, {"error": "Not found"}, errors.NotFoundError, "Not found"),
    (404, b"Nothing of the sort", errors.NotFoundError, "Nothing of the sort"),
    (408, {"error": "Polling ran out of time"}, errors.APIError, "Polling ran out"),
    (410, {"error": "Job expired"}, errors.GoneError, "expired"),
    (412, {"error": "Few credits"}, errors.InsufficientCreditsError, "Few credits"),
    (422, {"error": "Moderated"}, errors.ContentModeratedError, "Moderated"),
    (429, {"error": "Busy", "retryAfter": "2000-01-01T00:00:00Z"}, errors.RateLimitedError, "Busy"),
    (429, b"", errors.RateLimitedError, "429"),
    (500, {"error": CM, "message": BUSY}, errors.ContentModeratedError, "community guidelines"),
    (500, {"error": "Login failed", "message": "misleading"}, errors.ServerError, "Login failed"),
    (500, {"error": {"code": 13, "message": "Inner", "status": "X", "details": []}},
     errors.ServerError, "Inner"),
    (502, b"<html>Bad gateway</html>", errors.ServerError, "Bad gateway"),
    (503, {"error": "Unavailable"}, errors.ServerError, "Unavailable"),
    (504, b"", errors.ServerError, "504"),
    (522, b"", errors.ServerError, "522"),
    (596, {"error": "Session refresh failed"}, errors.AccountBrokenError, "add the account again"),
]  # fmt: skip
PAID = {name for name, cls in operations().items() if cls.safety is Safety.PAID}
AMBIGUOUS = (408, 500, 502, 503, 504, 522, 596)


@pytest.mark.parametrize("operation", sorted(FIRST))
@pytest.mark.parametrize(("status", "body", "kind", "text"), ERRORS)
async def test_an_error(
    operation: str, status: int, body: Any, kind: type[KlingError], text: str
) -> None:
    found = await outcome(operation, (status, body))
    if (operation, status) == ("accounts.list", 404):
        assert found == []  # none is configured: documented as 404
        return
    moderated = kind is errors.ContentModeratedError
    if operation in PAID and status in AMBIGUOUS and not moderated:
        kind = errors.OutcomeUnknownError  # it makes something: no clear no
    assert type(found) is kind, found
    assert text in str(found)
    assert found.context is not None
    if isinstance(found, errors.APIError):
        assert found.status_code == status


DELETES = [
    "avatars.delete", "assets.delete_uploaded", "tasks.delete", "scheduler.forget",
    "accounts.remove", "elements.delete",
]  # fmt: skip


@pytest.mark.parametrize("operation", DELETES)
async def test_gone_after_an_attempt_of_ours_is_done(operation: str, no_waiting: Any) -> None:
    lost, gone = httpx.ReadError("cut"), (404, {"error": "not found"})
    options = {"retry": RetryPolicy(attempts=3), "clock": no_waiting}
    found = await outcome(operation, lost, gone, **options)
    assert not isinstance(found, Exception), found
    assert found.meta.attempts == 2
    refused = await outcome(operation, (429, {}), gone, **options)  # did nothing, so it is not ours
    assert type(refused) is errors.NotFoundError


@pytest.mark.parametrize("operation", sorted(FIRST))
@pytest.mark.parametrize("body", [b"<html>Welcome</html>", b"{", b"\xff"])
async def test_a_success_that_is_no_json(operation: str, body: bytes) -> None:
    found = await outcome(operation, (200, body))
    if operation in ("scheduler.forget", "accounts.remove") and not body.startswith(b"<"):
        assert found.raw == body.decode("utf-8", "replace")  # a line of text is documented
    elif operation in PAID:
        assert type(found) is errors.OutcomeUnknownError
    else:
        assert type(found) is errors.UnexpectedResponseError


# --- successes --------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", DELETES)
@pytest.mark.parametrize("status", [200, 202, 204])
@pytest.mark.parametrize(
    "body", [b"", b"  ", b"null", b"{}", b'{"deleted": null}', b'{"deleted": 0}', b"[]", b"true"]
)
async def test_a_delete_is_judged_by_its_status(operation: str, status: int, body: bytes) -> None:
    found = await outcome(operation, (status, body))
    assert not isinstance(found, Exception), found
    assert found.meta.status_code == status


@pytest.mark.parametrize(("operation", "said"), [
    ("scheduler.forget", "Task 77 is no longer tracked"), ("accounts.remove", "Deleted."),
])  # fmt: skip
async def test_a_confirmation_may_be_text(operation: str, said: str) -> None:
    assert (await outcome(operation, (200, said.encode()))).raw == said


@pytest.mark.parametrize("operation", sorted(FIRST))
@pytest.mark.parametrize("status", [200, 201])
async def test_a_success_tells_how_it_came_about(operation: str, status: int) -> None:
    found = await outcome(operation, (status, REPLIES[operation]))
    assert not isinstance(found, Exception), found
    if not isinstance(found, list):
        assert (found.meta.status_code, found.meta.attempts) == (status, 1)
        assert found.raw == REPLIES[operation] or operation in ("accounts.get", "accounts.add")


WORK = {
    "workId": 5, "workItemId": 6, "taskId": 77, "userId": 8, "type": "m2v", "status": 99,
    "status_name": "succeed", "status_final": True, "contentType": "video",
    "resource": {"resource": "https://k/v.mp4", "height": 720, "width": 1280, "duration": 5041,
                 "resourceKey": ""},
    "cover": {"resource": "https://k/c.png", "height": 720, "width": 1280, "duration": 0},
    "createTime": 1_767_225_600_123, "selfAttitude": "unknown",
}  # fmt: skip
RUNNING = {"id": 77, "email": "a@b", "started": "2026-07-20T10:00:00.000Z", "elapsed": "02:05",
           "replyUrl": "https://me/x", "replyRef": "ref-1"}  # fmt: skip
UPLOAD = {
    "id": "869218167527833688", "name": "a.mp4", "userId": 8, "contentType": "video",
    "resource": {"resource": "https://k/a.mp4", "height": 1, "width": 2, "duration": 3000,
                 "resourceKey": ""},
    "cover": {"resource": "", "height": 0, "width": 0, "duration": 0, "resourceKey": ""},
    "createTime": 1, "updateTime": 2, "favored": False, "extraInfo": "{}", "entrance": "",
}  # fmt: skip

Look = Callable[[Any], Any]
SHAPES: list[tuple[str, Any, Look, Any]] = [
    ("assets.uploaded", {"uploadAssetsList": [UPLOAD]},
     lambda r: [(one.id, one.name, one.content_type, one.url, one.resource.duration_ms,
                 one.cover.url, one.create_time_ms, one.favored) for one in r],
     [("869218167527833688", "a.mp4", "video", "https://k/a.mp4", 3000, "", 1, False)]),
    ("assets.uploaded", {"uploadAssetsList": [{"id": 12}], "new": 1},
     lambda r: [(one.id, one.url) for one in r], [("12", None)]),
    ("assets.delete_uploaded", {"deleted": 2, "ids": ["1", "2"]},
     lambda r: (r.deleted, r.ids), (2, ("1", "2"))),
    ("assets.generated", {
        "limitations": [{"type": "video", "remaining": 3, "limit": 10}],
        "history": [{"works": [WORK]}, {"works": []}], "more": True},
     lambda r: (r.limitations[0].remaining, [one.id for one in r.tasks],
                r.tasks[0].works[0].url, dict(r.extra)),
     (3, [77], "https://k/v.mp4", {"more": True})),
    ("assets.generated", {"history": []}, lambda r: (r.tasks, r.limitations), ((), ())),
    ("assets.download_link", {"cdnUrl": "https://k/a.zip", "status": "success"},
     lambda r: (r.cdn_url, r.status), ("https://k/a.zip", "success")),
    ("assets.download_link", {"cdnUrl": "https://k/a.zip"}, lambda r: r.status, None),
    ("tts.create", REPLIES["tts.create"],
     lambda r: (r.url, r.is_final, r.succeeded, r.failed), ("https://k/a.mp3", True, True, False)),
    ("tts.create", {"resource": "https://k/a.mp3", "duration": 3.5},
     lambda r: (r.url, r.is_final, r.extra["duration"]), ("https://k/a.mp3", False, 3.5)),
    ("tts.create", {"status": 5, "status_name": "processing", "status_final": False},
     lambda r: (r.url, r.is_final, r.status_name), (None, False, "processing")),
    ("tasks.list", {"history": [{"works": [WORK]}, {"task": {"id": 9, "status": 5}, "works": []},
                                {"works": []}, {}]},
     lambda r: [(one.id, one.is_final) for one in r], [(77, True), (9, False)]),
    ("tasks.delete", {"deleted": 1, "workIds": [5, "6"]},
     lambda r: (r.deleted, r.work_ids), (1, (5, 6))),
    ("scheduler.running", [RUNNING, {"email": "no id"}],
     lambda r: [(one.id, one.email, one.started, one.elapsed_s, one.reply_url, one.reply_ref)
                for one in r],
     [(77, "a@b", "2026-07-20T10:00:00.000Z", 125.0, "https://me/x", "ref-1")]),
    ("scheduler.available", {
        "executing": [RUNNING],
        "available": [{"email": "a@b", "maxJobs": 5, "executing": 1, "available": 4}]},
     lambda r: (r.executing[0].id,
                [(one.email, one.max_jobs, one.executing, one.available) for one in r.available]),
     (77, [("a@b", 5, 1, 4)])),
    ("accounts.add", {"email": "A@B", "maxJobs": 5, "password": "…secured…",
                      "session": {"userId": "7"}, "error": "login is slow"},
     lambda r: (r.email, r.max_jobs, r.error, r.session.user_id, "password" in r.extra),
     ("ada+1@example.com", 5, "login is slow", "7", False)),
    ("accounts.get", {"maxJobs": 3, "balance": {"total": 10, "points": [], "tickets": []}},
     lambda r: (r.email, r.max_jobs, r.balance.total), ("ada+1@example.com", 3, 10)),
    ("elements.get", {"element": ELEMENT}, lambda r: (r.id, r.cover.url, r.raw),
     (ELEMENT["id"], PICTURE, {"element": ELEMENT})),  # the page of January 2026
    ("elements.get", {"id": "u_1", "name": "A b", "coverImage": PICTURE, "imageResources": [URL],
                      "tag": {"id": "1", "tagKey": "prop"}},
     lambda r: (r.given_name, r.cover.url, [one.url for one in r.resources], r.tags[0].tag_key,
                r.urls, r.created_at),
     ("A b", PICTURE, [URL], "prop", {PICTURE, URL}, None)),  # pages before it
    *(("elements.create", body, lambda r: (r.id, [one.id for one in r.elements], len(r.raw)),
       ("u_1", ids, len(body)))
      for body, ids in (
          ({"id": "u_1"}, ["u_1"]), ({"element": {"id": "u_1"}}, ["u_1"]),
          ({"elementsList": [{"id": "u_1"}, {"id": "u_2"}], "total": 2}, ["u_1", "u_2"]),
          ([{"id": "u_1"}, {"id": "u_2"}, {"id": "u_3"}], ["u_1", "u_2", "u_3"]))),
    ("elements.voices", [{"id": "7"}], lambda r: [one.id for one in r], ["7"]),
    ("images.recognize_faces", {"status": 0, "faceItems": []}, lambda r: r.faces, ()),
    ("images.recognize_faces", {"faceItems": [{"name": "face_0", "arguments": [
        {"name": "face_bound", "value": "odd"}]}]}, lambda r: r.faces[0].bounds_px, None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("operation", "body", "look", "seen"), SHAPES, ids=[row[0] for row in SHAPES]
)
async def test_a_shape(operation: str, body: Any, look: Look, seen: Any) -> None:
    found = await outcome(operation, (200, body))
    assert not isinstance(found, Exception), found
    assert look(found) == seen


@pytest.mark.parametrize(("operation", "body"), [
    ("assets.upload", {"status": 3, "message": ""}),
    ("assets.uploaded", []), ("assets.uploaded", {"uploadAssetsList": {}}),
    ("assets.uploaded", {"uploadAssetsList": [{"name": "no id"}]}),
    ("assets.generated", {"limitations": []}), ("assets.generated", {"history": [5]}),
    ("assets.download_link", {"status": "success"}), ("assets.download_link", {"cdnUrl": ""}),
    ("tts.create", {"status": 99, "status_name": "succeed", "status_final": True}),
    ("tts.create", []),
    ("tasks.list", []), ("tasks.list", {}), ("tasks.list", {"history": ["x"]}),
    ("tasks.get", []), ("tasks.get", {"task": {"id": "x"}}),
    ("scheduler.running", {}), ("scheduler.running", None), ("scheduler.running", [5]),
    ("scheduler.available", {"executing": []}), ("scheduler.available", []),
    ("accounts.add", []), ("accounts.get", []), ("accounts.list", []),
    ("elements.list", []), ("elements.tags", {}), ("elements.get", {"name": "no id"}),
    ("images.recognize_faces", {"status": 7, "message": "No", "faceItems": []}),
])  # fmt: skip
async def test_what_is_no_such_answer(operation: str, body: Any) -> None:
    assert type(await outcome(operation, (200, body))) is errors.UnexpectedResponseError


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("name", ["failed", "brand_new"])
async def test_speech_that_failed_raises_with_the_reason(status: int, name: str) -> None:
    body = {"status": 50, "status_name": name, "status_final": True, "message": "too odd"}
    found = await outcome("tts.create", (status, body))
    assert type(found) is errors.TaskFailedError
    assert "too odd" in str(found)
    assert found.task.failed


@pytest.mark.parametrize("body", [{}, {"task": {}}, {"task": {"status": 5}}, [], {"id": None}])
async def test_a_video_without_a_task_id_is_nothing_to_build_on(body: Any) -> None:
    for operation in ("avatars.video", "images.kolors", "elements.create"):
        found = await outcome(operation, (200, body))
        assert type(found) is errors.OutcomeUnknownError  # it may be running, and it is paid


async def test_a_record_without_its_id_is_that_of_the_task_asked_for() -> None:
    found = await outcome("tasks.get", (200, {"status": 5, "status_name": "submitted"}))
    assert (found.id, found.is_final) == (77, False)


async def test_meta_reaches_the_works() -> None:
    task = await outcome("tasks.get", (200, TASK), accounts=["a@b"])
    assert [one.meta.account for one in task.works] == ["a@b", "a@b"]
    assert evolve(task, meta=None).works == task.works

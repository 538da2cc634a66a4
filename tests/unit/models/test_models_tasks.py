"""Is every shape in which the API speaks of a job the same `Task`, and is nothing lost?"""

from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async import (
    AddAccount,
    Availability,
    CreateSpeech,
    DeleteTask,
    DeleteUploads,
    ForgetTask,
    GetAccount,
    GetAvailable,
    GetDownload,
    GetTask,
    InvalidRequestError,
    KlingError,
    ListAccounts,
    ListGenerated,
    ListRunning,
    ListTasks,
    ListUploads,
    Model,
    RemoveAccount,
    Request,
    RunningTask,
    Task,
    TaskArgument,
    TaskInput,
    Work,
    WorkResource,
)
from kling_async._transport.protocol import Answer, decode

INFO = {
    "type": "m2v_avatar", "inputs": [
        {"name": "image", "inputType": "URL", "token": None, "blobStorage": None,
         "url": "https://k/i.png", "cover": None, "fromWorkId": None}],
    "arguments": [{"name": "prompt", "value": "Natural speaking"}],
    "extraArgs": {}, "callbackPayloads": [], "scene": "NORMAL_CREATION",
}  # fmt: skip
CREATED = {"task": {
    "id": 77, "userId": 8, "type": "m2v_avatar", "scene": "NORMAL_CREATION", "status": 5,
    "status_name": "submitted", "status_final": False, "taskInfo": INFO, "favored": False,
}, "limitation": {"remaining": 3}}  # fmt: skip
WORK = {
    "workId": 5, "taskId": 77, "status": 99, "status_name": "succeed", "status_final": True,
    "contentType": "video", "createTime": 1_767_225_600_124,
    "resource": {"resource": "https://k/v.mp4", "height": 720, "width": 1280, "duration": 5041},
}  # fmt: skip
RECORD = {
    "status": 99, "status_name": "succeed", "status_final": True, "etaTime": 90,
    "etaTimeOverSla": False, "queuingEtaTime": 0, "originEtaTime": 91, "message": "",
    "task": {**CREATED["task"], "createTime": 1_767_225_600_123, "updateTime": 1_767_225_700_000,
             "deleted": False},
    "works": [WORK],
}  # fmt: skip
APRIL = {"id": 77, "created": 1_744_000_000_000, "status": "submitted", "status_final": False,
         "type": "m2v_avatar", "taskInfo": INFO}  # fmt: skip


def test_a_create_reply() -> None:
    task = Task.from_api(CREATED)
    assert (task.id, task.user_id, task.type, task.status) == (77, 8, "m2v_avatar", 5)
    assert (task.is_final, task.succeeded, task.failed) == (False, False, False)
    assert task.inputs == (
        TaskInput(
            name="image", input_type="URL", url="https://k/i.png",
            extra={"token": None, "blobStorage": None, "cover": None},
        ),
    )  # fmt: skip
    assert task.arguments == (TaskArgument(name="prompt", value="Natural speaking"),)
    assert task.works == ()
    assert dict(task.extra) == {
        "limitation": {"remaining": 3},
        "taskInfo": {key: INFO[key] for key in ("type", "extraArgs", "callbackPayloads", "scene")},
    }
    assert task.raw is CREATED


def test_a_record() -> None:
    task = Task.from_api(RECORD)
    assert (task.id, task.status_name, task.is_final, task.succeeded) == (77, "succeed", True, True)
    assert (task.eta_time, task.eta_time_over_sla, task.update_time_ms) == (
        90, False, 1_767_225_700_000,
    )  # fmt: skip
    assert task.created_at == datetime(2026, 1, 1, 0, 0, 0, 123000, tzinfo=UTC)
    (work,) = task.works
    assert (work.work_id, work.task_id, work.url) == (5, 77, "https://k/v.mp4")
    assert work.resource == WorkResource(
        url="https://k/v.mp4", width=1280, height=720, duration_ms=5041
    )
    # What the inner task says of its state is older news: kept, but not used.
    assert task.extra["task"] == {
        "status": 5, "status_name": "submitted", "status_final": False, "deleted": False,
    }  # fmt: skip


def test_the_form_of_april_2025() -> None:
    task = Task.from_api(APRIL)
    assert (task.id, task.status, task.status_name) == (77, None, "submitted")
    assert (task.is_final, task.create_time_ms) == (False, 1_744_000_000_000)
    assert task.inputs[0].url == "https://k/i.png"
    assert Task.from_api({**APRIL, "status": "succeed", "status_final": True}).succeeded


@pytest.mark.parametrize(("entry", "task_id", "final"), [
    ({"works": [WORK]}, 77, True),
    ({"task": {"id": 9}, "works": [WORK]}, 9, True),
    ({"task": {"id": 9, "status_name": "processing", "status_final": False}, "works": [WORK]}, 9,
     False),
    ({"works": [WORK, {**WORK, "status_final": False}]}, 77, False),
    ({"works": [{"workId": 5, "taskId": "77", "status": 99}]}, 77, True),
    ({"works": [{"workId": 5, "taskId": "77"}]}, 77, False),
])  # fmt: skip
def test_an_entry_of_the_history(entry: dict[str, Any], task_id: int, final: bool) -> None:
    task = Task.from_api(entry)
    assert (task.id, task.is_final, task.succeeded) == (task_id, final, final)


@pytest.mark.parametrize("body", [
    {}, {"task": {}}, {"task": None}, {"works": []}, {"works": [{"workId": 5}]}, {"id": True},
    {"task": {"id": "x"}}, {"task": {"id": [1]}}, [], None, 5, "77",
])  # fmt: skip
def test_without_an_id_it_is_no_task(body: Any) -> None:
    with pytest.raises(ValueError, match=r"id|object"):
        Task.from_api(body)


@pytest.mark.parametrize(("said", "final", "succeeded"), [
    ((99, "succeed", True), True, True),
    ((None, "succeed", True), True, True),
    ((99, None, True), True, True),
    ((99, None, None), True, True),
    ((None, "succeed", None), True, True),
    ((None, "failed", None), True, False),
    ((50, "failed", True), True, False),
    ((7, "brand_new", True), True, False),
    ((99, "failed", True), True, False),
    ((None, None, True), True, False),
    ((50, "failed", False), False, False),
    ((99, "succeed", False), False, False),
    ((7, "brand_new", False), False, False),
    ((7, "brand_new", None), False, False),
    ((10, None, None), False, False),
    ((50, None, None), False, False),
    ((None, None, None), False, False),
])  # fmt: skip
@pytest.mark.parametrize("kind", [Task, Work])
def test_the_servers_flag_counts_then_the_name_then_99(
    kind: type[Task] | type[Work], said: tuple[Any, Any, Any], final: bool, succeeded: bool
) -> None:
    names = ("status", "status_name", "status_final")
    one = kind.from_api({"id": 1, "workId": 1, **dict(zip(names, said, strict=True))})
    assert (one.is_final, one.succeeded, one.failed) == (final, succeeded, final and not succeeded)


def test_states_are_not_mixed() -> None:
    task = Task.from_api({"status": 5, "task": {"id": 7, "status": 99, "status_final": True}})
    assert not task.is_final
    task = Task.from_api({"status": None, "task": {"id": 7, "status": 99, "status_final": True}})
    assert task.is_final


@pytest.mark.parametrize(("more", "reason"), [
    ({"error": "moderated", "message": "busy"}, "moderated"),
    ({"error": {"message": "inner"}, "message": "busy"}, "inner"),
    ({"error": {"status": "BAD"}}, "BAD"), ({"error": {}, "message": "busy"}, "busy"),
    ({"error": "", "message": "busy"}, "busy"), ({"message": ""}, None), ({}, None),
    ({"error": [1], "message": "busy"}, "busy"),
])  # fmt: skip
def test_the_reason_is_the_error_before_the_message(more: Any, reason: str | None) -> None:
    assert Task.from_api({"id": 1, **more}).reason == reason


@pytest.mark.parametrize("ms", [10**18, -(10**18), 10**400])
def test_a_time_beyond_time_is_none(ms: int) -> None:
    assert Task.from_api({"id": 1, "createTime": ms}).created_at is None


@pytest.mark.parametrize("body", [CREATED, RECORD, APRIL, {"works": [WORK]}])
def test_tasks_pickle_whole_and_stay_as_they_are(body: Any) -> None:
    task = Task.from_api(body)
    again = pickle.loads(pickle.dumps(task))
    assert (again, again.raw, again.works) == (task, task.raw, task.works)
    assert not hasattr(task, "__dict__")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        task.id = 5  # type: ignore[misc]


@pytest.mark.parametrize(("elapsed", "seconds"), [
    ("00:00", 0), ("02:05", 125), ("59:59", 3599), ("60:00", 3600), ("1:00:01", 3601),
    ("soon", None), ("", None), (None, None), ("5", None),
])  # fmt: skip
def test_elapsed(elapsed: str | None, seconds: float | None) -> None:
    assert RunningTask(id=1, elapsed=elapsed).elapsed_s == seconds


def test_a_running_task_without_its_number_leaves_the_places_readable() -> None:
    slots = Availability.from_api({"executing": [{}], "available": [{"email": "a@b"}]})
    assert slots.available[0].email == "a@b"
    assert (slots.executing, slots.extra["executing"]) == ((), [{}])


# --- what is asked ----------------------------------------------------------------------------

ACCOUNT: dict[str, Any] = {"email": "a@b", "password": "p", "max_jobs": 5}
TEXT: dict[str, Any] = {"speaker_id": "s", "text": "t"}
BAD: list[tuple[type[Request[Any]], dict[str, Any], dict[str, str]]] = [
    (GetTask, {}, {"task_id": "is required"}),
    *((kind, {"task_id": odd}, {"task_id": said})
      for kind in (GetTask, DeleteTask, ForgetTask)
      for odd, said in ((0, "1 or more"), (-1, "1 or more"), (True, "whole"), (1.0, "whole"),
                        ("", "whole"), ("7a", "whole"), ("\u0667", "whole"), ("../x", "whole"),
                        ("9" * 5000, "whole"))),
    (ListTasks, {"page_size": 0}, {"page_size": "1 or more"}),
    (ListTasks, {"page_size": True}, {"page_size": "whole"}),
    (ListTasks, {"content_type": "text"}, {"content_type": "video, image, audio"}),
    (ListTasks, {"created_before_ms": -1}, {"created_before_ms": "0 or more"}),
    (ListTasks, {"created_after_ms": 1.5}, {"created_after_ms": "whole"}),
    (ListTasks, {"created_before_ms": 1, "created_after_ms": 1},
     {"created_after_ms": "excludes created_before_ms"}),
    (ListUploads, {"page_num": 0, "page_size": 0, "content_type": "x", "sort": "ASC",
                   "file_name": "a b"},
     {"page_num": "1 or more", "page_size": "1 or more", "content_type": "video", "sort": "desc",
      "file_name": "letters"}),
    (ListUploads, {"file_name": ""}, {"file_name": "letters"}),
    (ListUploads, {"file_name": "é"}, {"file_name": "letters"}),
    (ListGenerated, {"page_num": 0, "sort": ""}, {"page_num": "1 or more", "sort": "asc"}),
    (DeleteUploads, {}, {"ids": "is required"}),
    (DeleteUploads, {"ids": []}, {"ids": "at least one"}),
    (DeleteUploads, {"ids": ["1"] * 11}, {"ids": "names 11; at most 10"}),
    (DeleteUploads, {"ids": ["1", "x"]}, {"ids": "digits"}),
    (DeleteUploads, {"ids": ["1,2"]}, {"ids": "digits"}),
    (GetDownload, {}, {"work_ids": "is required"}),
    (GetDownload, {"work_ids": []}, {"work_ids": "at least one"}),
    (GetDownload, {"work_ids": ["x"]}, {"work_ids": "whole"}),
    (GetDownload, {"work_ids": 1, "file_types": "GIF"}, {"file_types": "MP4, MOV, MP3, WAV, PNG"}),
    (GetDownload, {"work_ids": 1, "file_types": []}, {"file_types": "at least one"}),
    (CreateSpeech, {}, {"speaker_id": "is required", "text": "is required"}),
    (CreateSpeech, {**TEXT, "text": " "}, {"text": "blank"}),
    (CreateSpeech, {**TEXT, "speed": 0.79}, {"speed": "0.8"}),
    (CreateSpeech, {**TEXT, "speed": 2.01}, {"speed": "0.8"}),
    (AddAccount, {}, {"email": "required", "password": "required", "max_jobs": "required"}),
    *((AddAccount, {**ACCOUNT, "max_jobs": jobs}, {"max_jobs": "from 1 to 50"})
      for jobs in (0, 51, -1, True, "5", 2.0)),
    (AddAccount, {**ACCOUNT, "password": ""}, {"password": "not empty"}),
    (AddAccount, {**ACCOUNT, "pass_token": "t"},
     {"did": "all three or none", "user_id": "all three or none"}),
    (AddAccount, {**ACCOUNT, "did": "t", "user_id": "u"}, {"pass_token": "all three or none"}),
    (AddAccount, {**ACCOUNT, "dry_run": 1}, {"dry_run": "True or False"}),
    (RemoveAccount, {}, {"email": "required"}),
    (RemoveAccount, {"email": "x"}, {"email": "e-mail"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "fields", "said"), BAD)
def test_is_refused(kind: type[Request[Any]], fields: dict[str, Any], said: dict[str, str]) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        kind(**fields)
    assert set(caught.value.problems) == set(said)
    for name, text in said.items():
        assert text in caught.value.problems[name]


@pytest.mark.parametrize("request_", [
    GetTask(task_id=1), GetTask(task_id="869218167527833688"), ListTasks(page_size=1000),
    ListTasks(created_before_ms=0), ListTasks(created_after_ms=0), ListUploads(file_name="A.b_c-1"),
    DeleteUploads(ids="1"), DeleteUploads(ids=tuple("1234567890")),
    CreateSpeech(speaker_id="s", text="x" * 20_000), CreateSpeech(**TEXT, speed=0.8),
    CreateSpeech(**TEXT, speed=2, emotion="whatever a voice has"),
    AddAccount(email="a@b", password=" ", max_jobs=1), AddAccount(**{**ACCOUNT, "max_jobs": 50}),
    AddAccount(**ACCOUNT, pass_token="t", did="d", user_id="u", dry_run=False),
])  # fmt: skip
def test_is_taken(request_: Request[Any]) -> None:
    assert pickle.loads(pickle.dumps(request_)) == request_


@pytest.mark.parametrize(("ids", "types", "zipped"), [
    (1, "MP4", False), ("1", ["MP4"], False), (1, None, True), (1, ["MP4", "WAV"], True),
    ([1, 2], "MP4", True),
])  # fmt: skip
def test_what_is_zipped(ids: Any, types: Any, zipped: bool) -> None:
    assert GetDownload(work_ids=ids, file_types=types).gives_zip is zipped


# --- laws -------------------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
NAMES = st.sampled_from([
    "id", "task", "works", "status", "status_name", "status_final", "taskInfo", "inputs",
    "arguments", "workId", "taskId", "type", "created", "createTime", "history", "resource",
    "uploadAssetsList", "executing", "available", "email", "cdnUrl", "error", "name", "value",
    "limitations", "url", "message", "session", "balance", "password", "deleted", "ids", "new",
])  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)
REQUESTS: list[Request[Any]] = [
    GetTask(task_id=7), ListTasks(), DeleteTask(task_id=7), ListRunning(), GetAvailable(),
    ForgetTask(task_id=7), ListUploads(), DeleteUploads(ids="1"), ListGenerated(),
    GetDownload(work_ids=1), CreateSpeech(**TEXT), AddAccount(**ACCOUNT), GetAccount(email="a@b"),
    RemoveAccount(email="a@b"), ListAccounts(),
]  # fmt: skip


@given(st.sampled_from(REQUESTS), VALUES)
def test_any_json_is_a_result_or_a_clear_error(request_: Request[Any], body: Any) -> None:
    answer = Answer(200, {}, json.dumps(body).encode())
    try:
        found = decode(request_, answer, 0.0)
    except KlingError:
        return
    for one in found if isinstance(found, list) else [found]:
        assert isinstance(one, Model)
        assert pickle.loads(pickle.dumps(one)) == one
        if isinstance(one, Task):
            assert one.failed is (one.is_final and not one.succeeded)
            assert one.reason is None or one.reason
            assert one.created_at is None or one.created_at.tzinfo


OBJECTS = st.dictionaries(NAMES, VALUES, max_size=8)


@given(OBJECTS, OBJECTS, st.lists(OBJECTS, max_size=2), st.integers(1, 2**70), st.booleans())
def test_known_fields_and_extra_are_the_input(
    top: dict[str, Any], inner: dict[str, Any], works: list[Any], task_id: int, flat: bool
) -> None:
    sent: dict[str, Any] = {**top, "task": inner}
    if works:
        sent["works"] = [{"workId": number, **one} for number, one in enumerate(works, 1)]
    (sent if flat else inner)["id"] = task_id
    try:
        task = Task.from_api(sent)
    except ValueError:  # an id of another kind stands where it counts first
        assert not flat
        return
    assert task.raw is sent
    lost = Counter(leaves(sent)) - Counter(leaves(shown(task)))
    assert lost == Counter()


def shown(value: Any) -> Any:
    """A model as plain values: its known fields and what is left in extra."""
    if isinstance(value, Model):
        names = [one.name for one in attrs.fields(type(value)) if one.name not in ("raw", "meta")]
        return [shown(getattr(value, name)) for name in names]
    if isinstance(value, tuple):
        return [shown(one) for one in value]
    return dict(value) if hasattr(value, "keys") else value


def leaves(value: Any) -> Iterator[str]:
    """Each value that is no container, the same for `7`, `7.0` and `"7"`; what is null is left."""
    if isinstance(value, dict):
        for one in value.values():
            yield from leaves(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from leaves(one)
    elif isinstance(value, bool):
        yield str(value)
    elif value is not None:
        try:
            yield repr(float(value) + 0.0)
        except (ValueError, OverflowError):
            yield str(value)

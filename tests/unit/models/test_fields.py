"""Checks as values, fields that go out under several names, and results that stand for their id."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import frozen
from attrs.exceptions import FrozenInstanceError

from kling_async import (
    Avatar,
    CreateAvatarVideo,
    CreatedAvatar,
    CreateSpeech,
    DeleteAvatar,
    Element,
    FramesToVideo,
    GetDownload,
    GetTask,
    InvalidRequestError,
    ListRunning,
    RunningTask,
    Shot,
    Task,
    Text2Video,
    UploadedAsset,
    Voice,
    Work,
)
from kling_async._transport.protocol import encode
from kling_async.models import (
    Boolean,
    Digits,
    Integer,
    ListOf,
    Number,
    OneOf,
    TaskRequest,
    Text,
    Url,
    body,
    exactly_one,
    numbered,
)
from kling_async.models.fields import wire_names

SHOT = {"prompt": "A kite", "duration_s": 3}


def sent(request: Any) -> Any:
    content = encode(request, None).content
    assert isinstance(content, bytes)
    return json.loads(content)


def problems(kind: type, **given: Any) -> dict[str, str]:
    with pytest.raises(InvalidRequestError) as caught:
        kind(**given)
    return dict(caught.value.problems)


# --- checks -----------------------------------------------------------------------------------


def test_checks_are_values() -> None:
    assert Integer(1, 5) == Integer(1, 5) != Integer(1, 6)
    assert ListOf(Text(3), "name", 2) == ListOf(Text(3), "name", 2) != ListOf(Text(4), "name", 2)
    assert repr(Number(0, 1)) == "Number(low=0, high=1)"
    with pytest.raises(FrozenInstanceError):
        Text(5).most = 6  # type: ignore[misc]


@pytest.mark.parametrize(("check", "fine", "wrong"), [
    (Text(3), ["abc", " a "], ["abcd", " ", "", 3, "\ud800"]),
    (Number(0, 1), [0, 1, 0.5], [-0.1, 1.1, True, "1", float("nan"), 10**400]),
    (Integer(1, 3), [1, 3], [0, 4, 1.0, True, "2"]),
    (Integer(2), [2, 10**30], [1, None.__class__]),
    (Boolean(), [True, False], [1, "true"]),
    (OneOf(("a", "b")), ["a", "b"], ["c", 1]),
    (OneOf(("a", "b"), open=True), ["a", "b", "newer"], ["", 1, "\ud800"]),
    (Url(), ["https://x.y/a"], ["ftp://x.y", "x.y", "https://", "https://x. y", 1]),
    (Digits(), ["12"], ["1a", 12, "", "\u0661"]),
    (ListOf(Text(2), "word", 2), [("a",), ("a", "bb")], [(), ("a",) * 3, ("abc",), "a"]),
    (ListOf(Text(2), "word", 3, 2), [("a", "b")], [("a",), ("a",) * 4]),
])  # fmt: skip
def test_what_a_check_lets_pass(check: Any, fine: list[Any], wrong: list[Any]) -> None:
    assert [check(value) for value in fine] == [None] * len(fine)
    assert all(check(value) for value in wrong)


def test_exactly_one() -> None:
    assert exactly_one(a=None, b=1) == {}
    assert exactly_one(a=None, b=None) == {"a": "exactly one of a and b is needed, none given"}
    told = "exactly one of a, b and c is needed, a and c given"
    assert exactly_one(a=1, b=None, c=2) == {"a": told}


# --- results stand for their ids --------------------------------------------------------------


@pytest.mark.parametrize(("request_", "field", "value"), [
    (DeleteAvatar(avatar_id=CreatedAvatar(id="300137233318846", status="SUCCESS")), "avatar_id",
     "300137233318846"),
    (DeleteAvatar(avatar_id=Avatar(id="300137233318846", prompt="", image_resources=())),
     "avatar_id", "300137233318846"),
    (GetTask(task_id=Task(id=7)), "task_id", 7),
    (GetTask(task_id=RunningTask(id=7)), "task_id", 7),
    (GetTask(task_id="7"), "task_id", 7),
    (CreateSpeech(text="t", speaker_id=Voice(speaker_id="s")), "speaker_id", "s"),
    (GetDownload(work_ids=[Work(work_id=5), "6", 7]), "work_ids", (5, 6, 7)),  # type: ignore[arg-type]
    (CreateAvatarVideo(avatar_id=CreatedAvatar(id="12345678", status="SUCCESS"), text="t",
                       speaker_id=Voice(speaker_id="s")), "avatar_id", "12345678"),
    (FramesToVideo(image_url="https://a.b/c", elements=[Element(id="u_1"), "u_2"]), "elements",
     ("u_1", "u_2")),
])  # fmt: skip
def test_a_result_stands_for_its_id(request_: Any, field: str, value: Any) -> None:
    assert getattr(request_, field) == value


def test_a_result_of_another_kind_does_not() -> None:
    upload = UploadedAsset(id="300137233318846")
    assert "string of digits" in problems(DeleteAvatar, avatar_id=upload)["avatar_id"]
    assert "whole number" in problems(GetTask, task_id=upload)["task_id"]
    assert "whole number" in problems(GetTask, task_id=Work(work_id=5))["task_id"]


def test_an_email_for_all_accounts_at_once_is_refused() -> None:
    assert "all accounts" in problems(ListRunning, email="a@b.c")["email"]


# --- one field, several names -----------------------------------------------------------------


@frozen(kw_only=True)
class Pictures(TaskRequest):
    """As an operation with numbered images would be."""

    operation = "tests.pictures"
    route = "/tests/pictures"

    images: tuple[str, ...] | None = numbered("image_{n}", Url(), most=3, first=0)
    elements: tuple[str, ...] | None = numbered("element_{n}", Text(), most=2)
    extra_images: tuple[str, ...] | None = numbered("extraImage{n}", Url(), most=3)
    prompt: str | None = body("prompt", Text())


def test_a_tuple_goes_out_as_numbered_fields() -> None:
    made = Pictures(images=("https://x/0", "https://x/1"), elements=["u_1"],  # type: ignore[arg-type]
                    extra_images="https://x/2", prompt="p")  # type: ignore[arg-type]  # fmt: skip
    assert sent(made) == {
        "image_0": "https://x/0", "image_1": "https://x/1", "element_1": "u_1",
        "extraImage1": "https://x/2", "prompt": "p"}  # fmt: skip


def test_numbered_fields_are_checked_one_by_one() -> None:
    found = problems(Pictures, images=("https://x/0",) * 4, elements=("u_1", ""))
    assert "at most 3 images" in found["images"]
    assert "blank" in found["elements"]


def test_all_numbers_are_known_to_extra() -> None:
    assert "image_2 (use images=)" in problems(Pictures, extra={"image_2": "x"})["extra"]
    assert "shot_6_prompt (use shots=)" in problems(
        Text2Video, prompt="p", extra={"shot_6_prompt": "x"})["extra"]  # fmt: skip
    assert sent(Text2Video(prompt="p", extra={"shot_7_prompt": "x"}))["shot_7_prompt"] == "x"


def test_parts_go_out_field_by_field() -> None:
    shots = [Shot(prompt="A kite", duration_s=3), SHOT]
    made = Text2Video(shots=shots)
    assert made.shots == (Shot(prompt="A kite", duration_s=3),) * 2
    assert sent(made) == {
        "shot_1_prompt": "A kite", "shot_1_duration": 3,
        "shot_2_prompt": "A kite", "shot_2_duration": 3}  # fmt: skip


def test_the_names_that_a_field_may_have() -> None:
    from attrs import fields

    names = wire_names(fields(Text2Video).shots)
    assert names[:3] == ("shot_1_prompt", "shot_1_duration", "shot_2_prompt")
    assert len(names) == 12
    assert wire_names(fields(Text2Video).prompt) == ("prompt",)
    assert wire_names(fields(Text2Video).email) == ()


# --- text2video -------------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "said"), [
    ({}, {"prompt": "none given"}),
    ({"prompt": "p", "shots": [SHOT, SHOT]}, {"prompt": "prompt and shots given"}),
    ({"shots": [SHOT]}, {"shots": "at least 2 shots"}),
    ({"shots": [SHOT] * 7}, {"shots": "at most 6 shots"}),
    ({"shots": [SHOT, SHOT], "duration_s": 5}, {"duration_s": "excludes shots"}),
    ({"shots": [{**SHOT, "duration_s": 1}] * 2}, {"shots": "take 2 s together; 3 to 15"}),
    ({"shots": [{**SHOT, "duration_s": 8}] * 2}, {"shots": "take 16 s together; 3 to 15"}),
    ({"shots": [SHOT, {"prompt": "p"}]}, {"shots": "duration_s is required"}),
    ({"shots": [SHOT, {"promt": "p"}]}, {"shots": "its fields are prompt, duration_s"}),
    ({"shots": [SHOT, "A kite"]}, {"shots": "must be a Shot"}),
    ({"prompt": "x" * 2501, "mode": "8k", "aspect_ratio": "4:3", "duration_s": 31, "cfg_scale": 2,
      "enable_audio": "yes", "max_jobs": 51},
     {"prompt": "2500", "mode": "std, pro, 4k", "aspect_ratio": "21:9", "duration_s": "3 to 30",
      "cfg_scale": "0 to 1", "enable_audio": "True or False", "max_jobs": "1 to 50"}),
])  # fmt: skip
def test_text2video_says_all_that_is_wrong(given: dict[str, Any], said: dict[str, str]) -> None:
    found = problems(Text2Video, **given)
    assert set(found) == set(said)
    for name, text in said.items():
        assert text in found[name]


def test_a_model_newer_than_this_library_is_asked_for() -> None:
    assert sent(Text2Video(prompt="p", model_name="kling-v5"))["model_name"] == "kling-v5"


def test_a_shot_is_checked_by_itself() -> None:
    assert set(problems(Shot)) == {"prompt", "duration_s"}
    assert "from 1 to 15" in problems(Shot, prompt="p", duration_s=16)["duration_s"]

"""What does an answer's JSON become, oddities included?"""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async import (
    AccountBalance,
    AccountSession,
    Asset,
    Avatar,
    BalancePoints,
    CreatedAvatar,
    DeleteAvatar,
    DeletedAvatar,
    ImageResource,
    ListAccounts,
    ListAvatars,
    Meta,
    Model,
    ServerAccount,
    UploadAsset,
    Voice,
    VoiceEmotion,
    VoiceList,
)
from kling_async.models.responses import with_meta

URL = "https://x.y/a.png"
PERSONAL = {
    "id": "300137233318846",
    "nickname": "Ada",
    "prompt": "Natural speaking",
    "scene": "education",
    "imageResources": [{"url": "https://c.d/1.png", "sourceFrom": 2}],
    "ttsSpeaker": "moss_audio_1",
    "ttsSpeed": "1",
    "ttsEmotionKey": "neutral",
    "createTime": 1767225600123,
    "updateTime": 1767225600124,
}
TEMPLATE = {"id": "12345", "name": "Emma", "imageResources": [{"url": URL}], "prompt": "p"}
ACCOUNT = {
    "email": "a@b",
    "session": {"userId": "77", "ExpireTime": 1.5, "ExpireTimeUTC": "2026-01-01T00:00:00Z"},
    "maxJobs": 5,
    "password": "…secured…",
    "balance": {"points": [], "tickets": [], "nextApplyTime": 9, "total": 100},
}
VOICES = {
    "ttsList": [
        {"name": "V", "speakerId": "moss_audio_1", "exampleUrl": URL, "new": True, "emotions": [
            {"name": "Happy", "key": "happy", "enable": True},
            {"name": "Sad", "key": "sad", "enable": False},
        ]},
        {"name": "W", "speakerId": "s2", "exampleUrl": "", "new": False, "emotions": []},
    ],
    "lastSpeakerId": "moss_audio_1",
    "typeList": ["a", "b"],
}  # fmt: skip
UPLOADED = {"status": 1, "url": "https://u/v", "message": "", "fileName": "f.mp4",
            "resourceUrl": "https://u/r", "coverUrl": "https://u/c"}  # fmt: skip

SAMPLES: list[Model] = [
    Avatar.from_api(PERSONAL),
    Avatar.from_api({**PERSONAL, "brandNew": {"a": [1]}}),
    Avatar.from_api(TEMPLATE),
    CreatedAvatar.from_api({"id": "3", "status": "SUCCESS"}),
    DeletedAvatar.from_api({"deleted": None}),
    ServerAccount.from_api(ACCOUNT),
    VoiceList.from_api(VOICES),
    Asset.from_api(UPLOADED),
]


def test_personal_avatar() -> None:
    avatar = Avatar.from_api(PERSONAL)
    assert avatar == Avatar(
        id="300137233318846",
        prompt="Natural speaking",
        image_resources=(ImageResource(url="https://c.d/1.png", source_from=2),),
        nickname="Ada",
        scene="education",
        tts_speaker="moss_audio_1",
        tts_speed=1.0,
        tts_emotion="neutral",
        create_time_ms=1767225600123,
        update_time_ms=1767225600124,
    )
    assert not avatar.is_template
    assert avatar.image_url == "https://c.d/1.png"
    assert avatar.created_at == datetime(2026, 1, 1, 0, 0, 0, 123000, tzinfo=UTC)
    assert dict(avatar.extra) == {}
    assert avatar.raw == PERSONAL


def test_template() -> None:
    avatar = Avatar.from_api(TEMPLATE)
    assert avatar.is_template
    assert (avatar.name, avatar.nickname, avatar.created_at) == ("Emma", None, None)


@pytest.mark.parametrize(("avatar_id", "is_template"), [("12345678", True), ("123456789", False)])
def test_eight_digits_are_a_template(avatar_id: str, is_template: bool) -> None:
    assert Avatar.from_api({**TEMPLATE, "id": avatar_id}).is_template is is_template


def test_account() -> None:
    account = ServerAccount.from_api(ACCOUNT)
    assert (account.email, account.max_jobs) == ("a@b", 5)
    assert account.session == AccountSession(
        user_id="77", expire_time=1.5, expire_time_utc="2026-01-01T00:00:00Z"
    )
    assert account.balance is not None
    assert attrs.evolve(account.balance, extra={}) == AccountBalance(
        total=100.0, next_apply_time=9.0
    )
    assert dict(account.balance.extra) == {"tickets": []}
    assert dict(account.extra) == {"password": "…secured…"}
    assert "77" not in repr(account)


def test_the_points_of_a_balance() -> None:
    plan = {"orderId": "7", "type": "plan", "amount": 660, "balance": 12.5, "startTime": 1,
            "endTime": 2}  # fmt: skip
    account = ServerAccount.from_api({"email": "a@b", "balance": {"points": [plan], "total": 12}})
    assert account.balance is not None
    assert account.balance.points == (
        BalancePoints(
            order_id="7", type="plan", amount=660, balance=12.5, start_time=1, end_time=2
        ),
    )


def test_accounts_are_keyed_by_email() -> None:
    listed = ListAccounts().decode({"a@b": {"maxJobs": 3}, "c@d": {"email": "C@D"}})
    assert [(one.email, one.max_jobs) for one in listed] == [("a@b", 3), ("C@D", None)]
    with pytest.raises(ValueError, match="keyed by e-mail"):
        ListAccounts().decode([ACCOUNT])


def test_voices() -> None:
    voices = VoiceList.from_api(VOICES)
    assert (len(voices), voices[0], list(voices)) == (2, voices.voices[0], list(voices.voices))
    assert voices.type_list == ("a", "b")
    assert voices[0].emotions[1] == VoiceEmotion(key="sad", name="Sad", enable=False)
    assert [voices[0].speaks(one) for one in ("happy", "sad", "angry")] == [True, False, False]
    assert voices[1].speaks("happy") is None
    assert voices[1] == Voice(speaker_id="s2", name="W", example_url="", new=False)


@pytest.mark.parametrize(("body", "url"), [
    (UPLOADED, "https://u/r"),
    ({"url": "https://u/v"}, "https://u/v"),
    ({"url": "https://u/v", "resourceUrl": ""}, "https://u/v"),
])  # fmt: skip
def test_usable_url(body: dict[str, Any], url: str) -> None:
    assert UploadAsset(file=b"ID3\x04\0\0").decode(body).usable_url == url


@pytest.mark.parametrize(("name", "sent", "attribute", "expected"), [
    ("id", 869218167527833688, "id", "869218167527833688"),
    ("id", "869218167527833688", "id", "869218167527833688"),
    ("ttsSpeed", "0.8", "tts_speed", 0.8),
    ("ttsSpeed", 1, "tts_speed", 1.0),
    ("ttsSpeaker", 7, "tts_speaker", "7"),
    ("createTime", "1767225600123", "create_time_ms", 1767225600123),
    ("createTime", 1767225600123.0, "create_time_ms", 1767225600123),
    ("imageResources", [], "image_url", None),
])  # fmt: skip
def test_strings_and_numbers_stand_for_each_other(
    name: str, sent: Any, attribute: str, expected: Any
) -> None:
    found = getattr(Avatar.from_api({**PERSONAL, name: sent}), attribute)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize("name", ["nickname", "scene", "ttsSpeed", "createTime", "ttsEmotionKey"])
@pytest.mark.parametrize("odd", [{"a": 1}, [1], True, "", "fast", 1.5, 10**400])
def test_an_odd_optional_field_stays_in_extra_instead_of_failing(name: str, odd: Any) -> None:
    avatar = Avatar.from_api({**PERSONAL, name: odd})
    plain = Avatar.from_api(PERSONAL)
    assert avatar.id == plain.id
    assert dict(avatar.extra) in ({}, {name: odd})


@pytest.mark.parametrize("name", ["prompt", "nickname", "imageResources", "scene", "createTime"])
@pytest.mark.parametrize("odd", [None, {"a": 1}, True, 1.5, [None]])
def test_a_null_in_one_record_hides_no_other(name: str, odd: Any) -> None:
    """And the record is shown with what it has."""
    first, second = ListAvatars().decode([{**PERSONAL, name: odd}, PERSONAL])
    assert first.id == second.id == PERSONAL["id"]
    assert second == Avatar.from_api(PERSONAL)


@pytest.mark.parametrize("broken", [None, {}, {"id": None}, {**PERSONAL, "id": [1]}])
def test_a_record_without_its_id_hides_no_other(
    broken: Any, caplog: pytest.LogCaptureFixture
) -> None:
    listed = ListAvatars().decode([PERSONAL, broken, TEMPLATE])
    assert [one.id for one in listed] == [PERSONAL["id"], TEMPLATE["id"]]
    assert "1 of 3 entries" in caplog.text
    with pytest.raises((ValueError, TypeError)):
        ListAvatars().decode([broken])  # then it is no list of avatars at all


def test_what_can_not_be_read_of_a_list_stays_in_extra() -> None:
    avatar = Avatar.from_api(
        {**PERSONAL, "imageResources": [{"url": None}, {"url": "https://x/y"}]}
    )
    assert [one.url for one in avatar.image_resources] == ["https://x/y"]
    assert avatar.extra["imageResources"] == [{"url": None}]


@pytest.mark.parametrize("name", ["id"])
@pytest.mark.parametrize("odd", [None, {"a": 1}, [1], True, 1.5])
def test_an_odd_required_field_fails(name: str, odd: Any) -> None:
    with pytest.raises(ValueError, match=name):
        Avatar.from_api({**PERSONAL, name: odd})


@pytest.mark.parametrize("name", ["id"])
def test_a_missing_required_field_fails(name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' is missing"):
        Avatar.from_api({key: value for key, value in PERSONAL.items() if key != name})


@pytest.mark.parametrize("body", [None, {}, "text", 5, {"0": PERSONAL}])
def test_a_list_must_be_a_list(body: Any) -> None:
    with pytest.raises(ValueError, match="array"):
        ListAvatars().decode(body)


def test_a_list_keeps_the_servers_order() -> None:
    listed = ListAvatars().decode([TEMPLATE, PERSONAL])
    assert [one.id for one in listed] == ["12345", "300137233318846"]
    assert ListAvatars().decode([]) == []


@pytest.mark.parametrize("model", SAMPLES, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("meta", [None, Meta("a@b", 200, 2, 1.5)])
def test_responses_pickle_whole(model: Model, meta: Meta | None) -> None:
    model = model if meta is None else with_meta(model, meta)
    again = pickle.loads(pickle.dumps(model))
    assert again == model
    assert (again.raw, again.meta, again.extra) == (model.raw, model.meta, model.extra)


def test_a_response_built_by_hand_pickles() -> None:
    made = CreatedAvatar(id="3", status="SUCCESS", extra={"a": 1}, meta=Meta("a@b", 200, 1, 0.0))
    again = pickle.loads(pickle.dumps(made))
    assert (again, again.meta) == (made, made.meta)


def test_a_changed_copy_pickles_as_it_is() -> None:
    changed = attrs.evolve(SAMPLES[0], nickname="Bob")
    assert pickle.loads(pickle.dumps(changed)) == changed


@pytest.mark.parametrize("body", [5, "deleted", [], True])
def test_a_delete_with_an_odd_body_pickles(body: Any) -> None:
    deleted = DeleteAvatar(avatar_id="300137233318846").decode(body)
    assert pickle.loads(pickle.dumps(deleted)) == deleted


@pytest.mark.parametrize("model", SAMPLES, ids=lambda one: type(one).__name__)
def test_responses_are_immutable(model: Model) -> None:
    for one in attrs.fields(type(model)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(model, one.name, "changed")
    with pytest.raises(TypeError):
        model.extra["new"] = 1  # type: ignore[index]
    assert not hasattr(model, "__dict__")


def test_meta_goes_onto_every_member_of_a_list() -> None:
    meta = Meta("a@b", 200, 1, 0.0)
    listed = with_meta(ListAvatars().decode([PERSONAL, TEMPLATE]), meta)
    assert [one.meta for one in listed] == [meta, meta]
    assert listed == ListAvatars().decode([PERSONAL, TEMPLATE])  # equality is about content


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)
NAMES = {
    "nickname": "nickname", "name": "name", "scene": "scene", "ttsSpeaker": "tts_speaker",
    "ttsSpeed": "tts_speed", "ttsEmotionKey": "tts_emotion", "createTime": "create_time_ms",
    "updateTime": "update_time_ms",
}  # fmt: skip


def test_a_result_becomes_plain_json() -> None:
    avatar = Avatar.from_api({**PERSONAL, "newer": {"a": [1]}})
    told = avatar.to_dict()
    assert json.loads(json.dumps(told)) == told
    assert (told["id"], told["tts_emotion"], told["extra"]) == (
        avatar.id,
        "neutral",
        {"newer": {"a": [1]}},
    )
    assert told["image_resources"][0]["url"] == "https://c.d/1.png"
    assert not {"raw", "meta"} & {*told, *told["image_resources"][0]}


@given(
    st.dictionaries(st.sampled_from(sorted(NAMES)) | st.text(max_size=6), VALUES, max_size=9),
    st.text(),
    st.text(),
)
def test_known_fields_and_extra_are_the_input(
    fields: dict[str, Any], avatar_id: str, prompt: str
) -> None:
    sent = {**fields, "id": avatar_id, "prompt": prompt, "imageResources": [{"url": URL, "u": 1}]}
    avatar = Avatar.from_api(sent)
    found: dict[str, Any] = {"id": avatar.id, "prompt": avatar.prompt}
    found["imageResources"] = [{"url": one.url, **one.extra} for one in avatar.image_resources]
    for wire, attribute in NAMES.items():
        value = getattr(avatar, attribute)
        if value is not None:
            assert wire not in avatar.extra
            found[wire] = _as_sent(value, sent[wire])
        elif wire in sent and sent[wire] is None:
            found[wire] = None
    assert {**found, **avatar.extra} == sent
    assert avatar.raw is sent


def _as_sent(value: Any, sent: Any) -> Any:
    """`value` where it says the same as `sent`: 1.0 and "1", "7" and 7."""
    return sent if type(value)(sent) == value else value

"""The same fields in JSON and in forms; bodies that can't be read; what no body may break."""

from __future__ import annotations

import json

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kling_async.emulator import Emulator
from kling_async.emulator.bodies import parse_fields
from kling_async.emulator.envelopes import Refusal
from kling_async.emulator.fields import Fields
from kling_async.emulator.messages import Request

FIELDS = {
    "imageUrl": "https://pictures.example/ada.png?a=1&b=2",
    "nickname": 'Ada; "Käte" = 100 %',
    "prompt": "two\r\nlines — and ümläuts",
    "ttsSpeed": "1.5",
    "scene": "business",
}


def request(content_type: str, body: bytes) -> Request:
    headers = (("content-type", content_type),) if content_type else ()
    return Request.parse("POST", "/v1/kling/avatars", headers, body, origin="http://x")


def multipart(fields: dict[str, str]) -> tuple[str, bytes]:
    made = httpx.Request("POST", "http://x", files={k: (None, v) for k, v in fields.items()})
    return made.headers["content-type"], made.read()


async def test_json_and_both_forms_make_the_same_avatar(connect):
    emulator = Emulator()
    async with connect(emulator) as client:
        replies = [
            await client.post("/avatars", json=FIELDS),
            await client.post("/avatars", data=FIELDS),
            await client.post("/avatars", files={k: (None, v) for k, v in FIELDS.items()}),
            await client.post("/avatars", json={**FIELDS, "ttsSpeed": 1.5}),
            await client.post(
                "/avatars",
                content=json.dumps(FIELDS),
                headers={"Content-Type": "application/json; charset=utf-8"},
            ),
        ]
    assert [reply.status_code for reply in replies] == [200] * 5, replies[2].text
    made = {
        (a.image_url, a.nickname, a.prompt, a.tts_speed, a.scene, a.tts_speaker)
        for a in emulator.avatars
    }
    assert len(made) == 1
    assert next(iter(made))[:4] == (
        FIELDS["imageUrl"],
        FIELDS["nickname"],
        FIELDS["prompt"],
        1.5,
    )


async def test_a_file_part_is_an_unknown_field(in_process):
    emulator = Emulator()
    async with in_process(emulator) as client:
        reply = await client.post(
            "/avatars",
            data={"imageUrl": FIELDS["imageUrl"]},
            files={"nickname": ("ada.png", b"\x89PNG\xff\xfe")},
        )
    assert reply.status_code == 200
    assert emulator.calls[0].fields == {"imageUrl": FIELDS["imageUrl"]}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"imageUrl": "https://x.org/a'),
        ("application/json", b"[1]"),
        ("application/json", b'"text"'),
        ("application/json", b"null"),
        ("application/json", b'{"other": NaN}'),
        ("application/json", b"\xff\xfe\xfd"),
        ("application/json", b"[" * 100_000),
        ("", b"imageUrl=x"),
        ("application/x-www-form-urlencoded", b"a=\xff\xfe"),
        ("multipart/form-data", b"--x--"),
        ("multipart/form-data; boundary=x", b"no boundary here"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n'),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nv\r\n--x\r\n',
        ),
        ("text/plain", b"imageUrl=x"),
        ("image/png", b"\x89PNG"),
    ],
)
async def test_bodies_that_cannot_be_read(in_process, content_type, body):
    async with in_process(Emulator()) as client:
        headers = {"Content-Type": content_type} if content_type else {}
        reply = await client.post("/avatars", content=body, headers=headers)
        anonymous = await client.post(
            "/avatars", content=body, headers={**headers, "Authorization": "Bearer no"}
        )
    assert reply.status_code == 400
    assert set(reply.json()) == {"error"}
    assert "imageUrl" not in reply.json()["error"]  # it is the body that is wrong, not a field
    assert anonymous.status_code == 401


async def test_half_a_surrogate_pair_can_be_echoed(connect):
    async with connect(Emulator()) as client:
        body = json.dumps({"imageUrl": "https://x.org/a", "email": "\ud83d@x.org"})
        reply = await client.post("/avatars", content=body)
    assert reply.status_code == 404
    assert "\ud83d@x.org" in reply.json()["error"]


def test_json_needs_no_content_type():
    assert parse_fields(request("", b'{"a": 1}')) == {"a": 1}
    assert parse_fields(request("application/json", b"  ")) == {}


NAMES = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=20)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(NAMES.filter(lambda name: '"' not in name and "\\" not in name), TEXTS))
def test_all_encodings_give_the_same_fields(fields):
    form = httpx.Request("POST", "http://x", data=fields)
    as_json = parse_fields(request("application/json", json.dumps(fields).encode()))
    assert as_json == fields
    if fields:
        assert parse_fields(request(form.headers["content-type"], form.read())) == fields
        assert parse_fields(request(*multipart(fields))) == fields


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["application/json", "x", "multipart/form-data"]))
def test_no_bytes_do_more_than_be_refused(body, kind):
    boundary = "; boundary=x" if kind.startswith("multipart") else ""
    for prefix in (b"", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n', b"--x\r\n"):
        outcome: object
        try:
            outcome = parse_fields(request(kind + boundary, prefix + body))
        except Refusal as refusal:
            outcome = refusal.reply.status
        assert outcome == 400 or isinstance(outcome, dict)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NAMED = st.sampled_from(
    ["imageUrl", "nickname", "prompt", "scene", "ttsSpeaker", "ttsSpeed", "ttsEmotionKey", "email"]
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(NAMED, JSON | st.just("https://x.org/a")))
def test_no_field_does_more_than_be_refused(fields):
    emulator = Emulator()
    body = json.dumps(fields).encode()
    headers = (("content-type", "application/json"), ("authorization", "Bearer user:1-a"))
    target = "/v1/kling/avatars"
    delivery = emulator.receive(
        Request.parse("POST", target, headers, body, origin="http://x")
    ).work()
    assert delivery.status in (200, 400, 404)
    assert len(emulator.avatars) == (delivery.status == 200)
    state = Request.parse("GET", "/_emulator/state", (), b"", origin="http://x")
    shown = emulator.receive(state).work().reply
    assert shown is not None
    json.loads(shown.body)


@pytest.mark.parametrize(
    ("value", "number"),
    [(1, 1.0), ("1.5", 1.5), (" 2 ", 2.0), ("", None), (None, None), (0.8, 0.8)],
)
def test_numbers_are_coerced(value, number):
    assert Fields({"n": value}).number("n", low=0.8, high=2) == number


@pytest.mark.parametrize(
    "value", ["inf", "nan", float("inf"), "1e999", "0x1", [], {}, False, "2.1"]
)
def test_numbers_that_are_none(value):
    with pytest.raises(Refusal):
        Fields({"n": value}).number("n", low=0.8, high=2)


def test_whole_numbers():
    assert Fields({"n": "3"}).whole("n", low=1, high=5) == 3
    with pytest.raises(Refusal):
        Fields({"n": 2.5}).whole("n", low=1, high=5)

"""Each kind of fault: what the client meets, whether the work was done, whether it was consumed."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest

from kling_async.emulator import Emulator, EmulatorClock, Fault, faultkinds
from kling_async.emulator.effects import EFFECTS
from kling_async.emulator.faultkinds import KINDS
from kling_async.emulator.operation import API_ROOT
from kling_async.emulator.operations import CREATES, OPERATIONS

PICTURE = {"imageUrl": "https://pictures.example/ada.png"}

LOST = {
    "reset_before": (httpx.ReadError, False, {}),
    "reset_after": (httpx.ReadError, True, {}),
    "close_without_reply": (httpx.RemoteProtocolError, True, {}),
    "close_without_reply, before_work": (httpx.RemoteProtocolError, False, {"before_work": True}),
    "stall": (httpx.ReadTimeout, True, {}),
    "stall, before_work": (httpx.ReadTimeout, False, {"before_work": True}),
    "slow_loris": (httpx.ReadTimeout, True, {"interval_s": 5}),
    "truncated_body": (httpx.RemoteProtocolError, True, {}),
    "truncated_body, 0": (httpx.RemoteProtocolError, True, {"sent_bytes": 0}),
    "bad_chunk": (httpx.RemoteProtocolError, True, {}),
    "bad_chunk, malformed": (httpx.RemoteProtocolError, True, {"malformed": True}),
    "garbage": (httpx.RemoteProtocolError, True, {}),
    "garbage, before_work": (httpx.RemoteProtocolError, False, {"before_work": True}),
    "latency": (httpx.ReadTimeout, True, {"delay_s": 5, "after_work": True}),
}


@pytest.mark.parametrize("name", LOST)
async def test_answers_that_get_lost(connect, name):
    error, worked, settings = LOST[name]
    kind = name.partition(",")[0]
    emulator = Emulator(faults=[Fault("avatars.create", kind, at=1, **settings)])
    read_s = 0.05 if error is httpx.ReadTimeout else 5  # a busy machine is no lost answer
    async with connect(emulator, timeout=httpx.Timeout(5, read=read_s)) as client:
        with pytest.raises(error) as caught:
            await client.post("/avatars", json=PICTURE)
        assert type(caught.value) is error
        assert len(emulator.avatars) == worked
        assert emulator.unconsumed_faults() == []
        again = await client.post("/avatars", json=PICTURE, timeout=5)
    assert again.status_code == 200
    lost, fine = emulator.calls
    assert (lost.fault, lost.worked) == (kind, worked)
    assert (fine.fault, fine.worked, fine.status) == (None, True, 200)


ODD = {
    "latency": (200, True, {"delay_s": 0.002}),
    "slow_loris": (200, True, {"interval_s": 0.0002}),
    "wrong_length": (200, True, {}),
    "invalid_json": (200, True, {}),
    "html_200": (200, True, {}),
    "html_200, before_work": (200, False, {"before_work": True}),
    "failed_status": (200, False, {}),
    "failed_status, after_work": (200, True, {"after_work": True}),
    "redirect": (307, False, {}),
    "redirect, after_work": (308, True, {"status": 308, "after_work": True}),
    "status": (503, False, {"status": 503}),
    "status, after_work": (502, True, {"status": 502, "after_work": True}),
}


@pytest.mark.parametrize("name", ODD)
async def test_answers_that_come_and_are_odd(connect, name):
    status, worked, settings = ODD[name]
    kind = name.partition(",")[0]
    emulator = Emulator(faults=[Fault("avatars.create", kind, times=1, **settings)])
    async with connect(emulator) as client:
        reply = await client.post("/avatars", json=PICTURE)
        again = await client.post("/avatars", json=PICTURE)
    assert reply.status_code == status
    assert emulator.calls[0].status == status
    assert emulator.calls[0].worked is worked
    assert again.json()["status"] == "SUCCESS"
    assert len(emulator.avatars) == 1 + worked
    assert emulator.unconsumed_faults() == []
    made = emulator.avatars[0].id
    if kind in ("latency", "slow_loris"):
        assert reply.json() == {"id": made, "status": "SUCCESS"}
    elif kind in ("wrong_length", "invalid_json"):
        assert reply.text
        with pytest.raises(json.JSONDecodeError):
            reply.json()
    elif kind == "html_200":
        assert reply.headers["content-type"].startswith("text/html")
        assert "<html>" in reply.text
    elif kind == "failed_status":
        assert reply.json() == {"id": "", "status": "FAILED"}
    elif kind == "redirect":
        assert reply.headers["location"] == "/v1/kling/avatars/"


def test_every_kind_is_tested_and_in_the_table():
    tested = {name.partition(",")[0] for name in (*LOST, *ODD)} | {"refuse_connection"}
    elsewhere = {kind for kind, row in KINDS.items() if row.only}  # test_emulator_task_faults.py
    elsewhere.add("surplus")  # test_emulator_surplus.py
    assert tested | elsewhere == set(KINDS)
    assert not tested & elsewhere
    assert set(EFFECTS) | {"refuse_connection"} == set(KINDS)
    doc = faultkinds.__doc__ or ""
    rows = dict(re.findall(r"^\| `(\w+)` \| (yes|no) \|", doc, re.M))
    assert {kind: row.works for kind, row in KINDS.items()} == {
        kind: works == "yes" for kind, works in rows.items()
    }
    for kind, row in KINDS.items():
        line = next(line for line in doc.splitlines() if line.startswith(f"| `{kind}`"))
        assert set(re.findall(r"`(\w+)`", line.split("|")[4])) == set(row.settings)


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ("refused", httpx.ConnectError),
        ("dns", httpx.ConnectError),
        ("timeout", httpx.ConnectTimeout),
        ("pool", httpx.PoolTimeout),
    ],
)
async def test_a_connection_that_never_was(in_process, form, error):
    emulator = Emulator(faults=[Fault("avatars.create", "refuse_connection", form=form, times=1)])
    async with in_process(emulator) as client:
        with pytest.raises(error):
            await client.post("/avatars", json=PICTURE)
        assert emulator.calls == []
        assert (await client.post("/avatars", json=PICTURE)).status_code == 200
    assert emulator.unconsumed_faults() == []


async def test_a_socket_is_reset_instead_of_refused(over_socket):
    emulator = Emulator(faults=[Fault("avatars.create", "refuse_connection", times=1)])
    async with over_socket(emulator) as client:
        with pytest.raises(httpx.ReadError):
            await client.post("/avatars", json=PICTURE)
    assert (emulator.calls, emulator.avatars) == ([], [])


@pytest.mark.parametrize(
    ("status", "settings", "body"),
    [
        (400, {}, {"error": "Invalid parameters"}),
        (401, {}, {"error": "Unauthorized", "code": 401}),
        (402, {}, {"error": "Subscription required", "code": 402}),
        (403, {}, {"error": "Access denied"}),
        (404, {}, {"error": "Not found"}),
        (408, {}, {"error": "Timed out waiting for the result"}),
        (409, {}, {"error": "Conflict"}),
        (410, {}, {"error": "Expired"}),
        (412, {}, {"error": "Not enough credits"}),
        (413, {}, {"error": "The file is too large"}),
        (422, {}, {"error": "The prompt can't be used"}),
        (503, {}, {"error": "Service temporarily unavailable"}),
        (504, {}, {"error": "Gateway timeout"}),
        (418, {}, {"error": "Status 418"}),
        (204, {}, None),
        (500, {"body": "oops"}, None),
        (502, {}, None),
        (522, {}, None),
        (404, {"form": "text"}, None),
        (500, {"form": "empty"}, None),
    ],
)
async def test_statuses(connect, status, settings, body):
    emulator = Emulator(faults=[Fault("avatars.create", "status", status=status, **settings)])
    async with connect(emulator) as client:
        reply = await client.post("/avatars", json=PICTURE)
    assert reply.status_code == status
    assert emulator.avatars == []
    if body is not None:
        assert reply.json() == body
    elif status in (502, 522):
        assert reply.headers["content-type"].startswith("text/html")
        assert str(status) in reply.text
    else:
        assert reply.text == {204: "", 404: "Not found"}.get(status, settings.get("body", ""))


async def test_500_in_three_forms(connect):
    faults = [
        Fault("avatars.create", "status", status=500, form="moderation", at=1),
        Fault("avatars.create", "status", status=500, at=2),
        Fault("avatars.create", "status", status=500, form="nested", at=3),
    ]
    async with connect(Emulator(faults=faults)) as client:
        moderated, plain, nested = [
            (await client.post("/avatars", json=PICTURE)).json() for _ in faults
        ]
    assert set(moderated) == set(plain) == {"error", "message"}
    assert moderated["error"].endswith("(CM_EXT.POther)")
    assert "community guidelines" in moderated["error"]
    assert moderated["message"].endswith("(CM_EXT.POther)")
    assert "CM_EXT" not in str(plain)
    assert set(nested["error"]) == {"code", "message", "status", "details"}


@pytest.mark.parametrize("form", ["json", "text", "html", "empty", "nested"])
async def test_596_in_all_forms(connect, form):
    emulator = Emulator(faults=[Fault("*", "status", status=596, form=form)])
    async with connect(emulator) as client:
        reply = await client.get("/avatars")
    assert reply.status_code == 596
    assert (reply.text == "") == (form == "empty")
    assert ("error" in reply.text) or form == "empty"


NOW_MS = 1_780_000_000_000
NOW = datetime(2026, 5, 28, 20, 26, 40).astimezone()


@pytest.mark.parametrize("form", [None, *faultkinds.RETRY_AFTER_FORMS])
async def test_429_in_all_forms(in_process, form):
    settings = {} if form is None else {"form": form}
    fault = Fault("avatars.create", "status", status=429, retry_after_s=2.5, **settings)
    emulator = Emulator(faults=[fault], clock=EmulatorClock(start_ms=NOW_MS))
    async with in_process(emulator) as client:
        reply = await client.post("/avatars", json=PICTURE)
    assert reply.status_code == 429
    header, stamp = reply.headers.get("retry-after"), reply.json().get("retryAfter")
    served = parsedate_to_datetime(reply.headers["date"])
    expected = {
        None: "3",
        "seconds": "3",
        "decimal": "2.5",
        "body": None,
        "epoch_ms": None,
        "none": None,
        "absurd": "1000000000",
        "negative": "-1",
        "past": "Thu, 01 Jan 1970 00:00:00 GMT",
        "garbage": "soon",
    }
    if form == "date":
        gap = parsedate_to_datetime(header) - served
        assert timedelta(seconds=2.5) <= gap <= timedelta(seconds=4)
    else:
        assert header == expected[form]
    if form in (None, "seconds", "date", "body"):
        told = datetime.fromisoformat(stamp.replace("Z", "+00:00"))
        assert 2 <= (told - served).total_seconds() <= 4
    elif form == "epoch_ms":
        assert 2000 <= stamp - NOW_MS <= 3500
    elif form == "past":
        assert stamp.startswith("1970-01-01T00:00:00")
    elif form == "absurd":
        assert stamp.startswith("205")
    elif form == "garbage":
        assert stamp == "not a date"
    else:
        assert stamp is None


async def test_503_names_a_wait_and_headers_can_be_set(connect):
    faults = [
        Fault("avatars.list", "status", status=503, retry_after_s=7, at=1),
        Fault("avatars.list", "status", status=503, headers={"retry-AFTER": "8", "X-A": "b"}, at=2),
    ]
    async with connect(Emulator(faults=faults)) as client:
        first, second = await client.get("/avatars"), await client.get("/avatars")
    assert first.headers.get_list("retry-after") == ["7"]
    assert second.headers.get_list("retry-after") == ["8"]
    assert second.headers["x-a"] == "b"


async def test_a_redirect_elsewhere(connect):
    fault = Fault("avatars.list", "redirect", location="https://elsewhere.example/", status=301)
    async with connect(Emulator(faults=[fault])) as client:
        reply = await client.get("/avatars")
    assert (reply.status_code, reply.headers["location"]) == (301, "https://elsewhere.example/")


async def test_a_redirect_that_is_followed_does_the_work(connect):
    emulator = Emulator(faults=[Fault("avatars.create", "redirect", times=1)])
    async with connect(emulator) as client:
        reply = await client.post("/avatars", json=PICTURE, follow_redirects=True)
    assert reply.status_code == 200
    assert len(emulator.avatars) == 1


async def test_a_fault_after_a_refusal_changes_nothing(connect):
    emulator = Emulator(faults=[Fault("avatars.create", "reset_after", times=1)])
    async with connect(emulator) as client:
        with pytest.raises(httpx.ReadError):
            await client.post("/avatars", json={})
    (call,) = emulator.calls
    assert (call.worked, call.status, emulator.avatars) == (False, None, [])


CREATE_PATHS = [
    one.path.removeprefix(API_ROOT)
    for one in OPERATIONS
    if one.name in CREATES and one.name != "avatars.create"
]


async def test_every_fault_fits_every_answer(in_process):
    """No kind breaks on an empty, a HEAD, a media or a 404 answer."""
    wanted = {"status": {"status": 500}, "latency": {"delay_s": 0}, "slow_loris": {"interval_s": 0}}
    for kind in KINDS:
        names = KINDS[kind].only or ("*", "media.voice")
        faults = [Fault(name, kind, **wanted.get(kind, {})) for name in names]
        emulator = Emulator(faults=faults)
        voice = "/media/voices/moss_audio_5b6f2c1e-7d3a-11f0-9c45-3e8a1d7b6f20.wav"
        async with in_process(emulator, timeout=0.001) as client:
            host = str(client.base_url.copy_with(path=""))
            for method, path in (
                ("HEAD", "/avatars"),
                ("GET", "/avatars"),
                ("GET", host + voice),
                ("GET", "/nowhere"),
                ("POST", "/tts/create"),
                *(("POST", path) for path in CREATE_PATHS),
            ):
                with suppress(httpx.TransportError):
                    await client.request(method, path)
        assert emulator.unconsumed_faults() == [], kind


def test_the_table_is_in_the_docstring_of_its_module():
    assert "work done" in Path(faultkinds.__file__).read_text(encoding="utf-8")[:400]

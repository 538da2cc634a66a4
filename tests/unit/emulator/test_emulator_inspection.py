"""The pages under /_emulator, for tests that run the emulator in another process."""

from __future__ import annotations

import re

import httpx
import pytest

from kling_async.emulator import Emulator, EmulatorClock, Fault, sample_png

PICTURE = {"imageUrl": "https://pictures.example/ada.png"}


def page(client, name: str) -> str:
    return str(client.base_url.copy_with(path=f"/_emulator/{name}"))


async def test_the_state_is_the_truth(connect):
    emulator = Emulator(faults=[Fault("avatars.create", "status", status=503, at=2)])
    async with connect(emulator) as client:
        made = await client.post("/avatars", json=PICTURE)
        await client.get("/avatars")
        state = (await client.get(page(client, "state"), headers={"Authorization": ""})).json()
        again = (await client.get(page(client, "state"))).json()
    (avatar,) = state["avatars"]
    assert avatar["id"] == made.json()["id"]
    assert avatar["image_url"] == PICTURE["imageUrl"]
    assert state["uploads"] == state["deleted_avatars"] == []
    assert [(call["number"], call["operation"], call["status"]) for call in state["calls"]] == [
        (1, "avatars.create", 200),
        (2, "avatars.list", 200),
    ]
    assert state["calls"][0]["fields"] == PICTURE
    assert state["counts"] == {"avatars.create": 1, "avatars.list": 1}
    assert {"operation": "avatars.list", "status": 200, "count": 1} in state["status_counts"]
    assert state["faults"] == [{"fault": "avatars.create:status=503@at=2", "struck": 0}]
    assert state["unconsumed_faults"] == ["avatars.create:status=503@at=2"]
    assert again == state  # looking changes nothing


@pytest.mark.parametrize("as_json", [True, False])
async def test_faults_can_be_added(connect, as_json):
    text = "avatars.list:status=500@at=1; avatars.list:html_200@times=1"
    emulator = Emulator()
    async with connect(emulator) as client:
        given = {"json": {"faults": text}} if as_json else {"content": text}
        reply = await client.post(page(client, "faults"), **given)
        statuses = [(await client.get("/avatars")).status_code for _ in range(3)]
    assert reply.json() == {
        "added": ["avatars.list:status=500@at=1", "avatars.list:html_200@times=1"]
    }
    assert statuses == [500, 200, 200]
    assert emulator.unconsumed_faults() == []


@pytest.mark.parametrize(
    "body", ["avatars.list:explode", '{"faults": 5}', "{", '{"x": 1}', b"\xff", '{"faults": ["a"]}']
)
async def test_faults_that_make_no_sense(connect, body):
    emulator = Emulator()
    async with connect(emulator) as client:
        reply = await client.post(page(client, "faults"), content=body)
    assert reply.status_code == 400
    assert "error" in reply.json()
    assert emulator.strikes() == []


async def test_faults_are_taken_back_and_others_stay_as_they_are(connect):
    emulator = Emulator(faults=[Fault("avatars.list", "status", status=500, at=2)])
    async with connect(emulator) as client:
        added = "avatars.list:html_200; avatars.list:html_200; tts.voices:latency=1"
        await client.post(page(client, "faults"), content=added)
        await client.get("/avatars")
        where = page(client, "faults")
        reply = await client.request("DELETE", where, json={"faults": "avatars.list:html_200"})
        status = (await client.get("/avatars")).status_code
        rest = await client.request("DELETE", where)
        wrong = await client.request("DELETE", where, content="nonsense")
    assert reply.json() == {"removed": ["avatars.list:html_200"] * 2}
    assert status == 500  # the second call; the first one was counted
    assert rest.json() == {"removed": ["avatars.list:status=500@at=2", "tts.voices:latency=1.0"]}
    assert emulator.strikes() == []
    assert wrong.status_code == 400


async def test_the_clock_is_moved(connect):
    emulator = Emulator(clock=EmulatorClock(start_ms=0))
    async with connect(emulator) as client:
        await client.post(page(client, "clock"), json={"advance_s": 7200})
        reply = await client.post(page(client, "clock"), json={"skew_s": -3600})
        shown = (await client.get(page(client, "clock"))).json()
        for wrong in ({}, [], {"advance_s": -1}, {"advance_s": "x"}, {"skew_s": 1e12}, {"x": 1}):
            assert (await client.post(page(client, "clock"), json=wrong)).status_code == 400
        nan = await client.post(page(client, "clock"), content='{"advance_s": NaN}')
    assert nan.status_code == 400
    assert reply.json()["now"].startswith("1970-01-01T01:00:0")
    assert shown["now_ms"] >= reply.json()["now_ms"] >= 3_600_000
    assert shown["skew_s"] == emulator.clock.skew_s == -3600


async def test_files_are_shown_without_a_call(connect):
    emulator = Emulator(faults=[Fault("media.get", "reset_before")])
    async with connect(emulator) as client:
        png, kind = sample_png(), {"Content-Type": "image/png"}
        name = (await client.post("/assets", content=png, headers=kind)).json()["fileName"]
        whole = await client.get(page(client, f"media/{name}"))
        part = await client.get(page(client, f"media/{name}"), headers={"Range": "bytes=0-7"})
        absent = [
            (await client.get(page(client, f"media/{one}"))).status_code
            for one in ("nothing.png", "v1/kling/accounts", "")
        ]
    assert (whole.content, part.status_code, part.content) == (png, 206, png[:8])
    assert whole.headers["content-type"] == "image/png"
    assert absent == [404, 404, 404]
    assert emulator.counts == {"assets.upload": 1}


async def test_the_page_for_people(connect):
    emulator = Emulator(faults=[Fault("*", "reset_before")])
    emulator.foreign_avatar("javascript:alert(1)", nickname="<b>", prompt="\ud800")
    for number in range(70):
        emulator.foreign_task({"image": "https://x.example"}, {"text": f"&{number}"}, age_s=9)
    async with connect(emulator) as client:
        reply = await client.get(str(client.base_url.copy_with(path="/")))
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert "javascript:" not in reply.text
    assert "&lt;b&gt;" in reply.text
    assert "&amp;69" in reply.text
    assert "and 10 older" in reply.text
    assert not re.search("https?://(?!127.0.0.1|emulator.local)", reply.text)
    assert emulator.calls == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:80"}, 200),
        ({"Host": "[::1]"}, 200),
        ({"Host": "emulator:80", "Origin": "http://emulator:80"}, 200),
        ({"Host": "kling.localhost"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "[::1"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[::1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
    ],
    ids=str,
)
async def test_pages_of_other_origins_change_nothing(over_socket, headers, status):
    emulator = Emulator()
    async with over_socket(emulator) as client:
        reply = await client.post(page(client, "faults"), content="*:reset_before", headers=headers)
    assert reply.status_code == status
    assert len(emulator.strikes()) == (status == 200)


async def test_reset(connect):
    emulator = Emulator()
    async with connect(emulator) as client:
        await client.post("/avatars", json=PICTURE)
        reply = await client.post(page(client, "reset"))
        state = (await client.get(page(client, "state"))).json()
    assert reply.json() == {"reset": True}
    assert (state["avatars"], state["calls"], state["counts"]) == ([], [], {})


async def test_other_pages_and_methods(connect):
    async with connect(Emulator()) as client:
        statuses = [
            (await client.request(method, page(client, name))).status_code
            for method, name in (
                ("GET", "states"),
                ("GET", ""),
                ("POST", "state"),
                ("GET", "reset"),
                ("HEAD", "state"),
            )
        ]
    assert statuses == [404, 404, 405, 405, 200]


async def test_no_fault_strikes_them(connect):
    emulator = Emulator(faults=[Fault("*", "reset_before")])
    async with connect(emulator) as client:
        assert (await client.get(page(client, "state"))).status_code == 200
    assert emulator.calls == []


async def test_closed_to_the_outside():
    emulator = Emulator()
    async with (
        emulator.serve(host="0.0.0.0") as base_url,
        httpx.AsyncClient(verify=False, trust_env=False) as client,
    ):
        origin = base_url.removesuffix("/v1/kling").replace("0.0.0.0", "127.0.0.1")
        for method, name in (("GET", "state"), ("POST", "reset"), ("POST", "faults")):
            reply = await client.request(method, f"{origin}/_emulator/{name}")
            assert reply.status_code == 403
        assert (await client.get(origin)).status_code == 403
        assert (await client.get(f"{origin}/v1/kling/accounts")).status_code == 401
    async with (
        emulator.serve(host="0.0.0.0", is_open=True) as base_url,
        httpx.AsyncClient(verify=False, trust_env=False) as client,
    ):
        origin = base_url.removesuffix("/v1/kling").replace("0.0.0.0", "127.0.0.1")
        assert (await client.get(origin)).status_code == 200
        assert (await client.post(f"{origin}/_emulator/reset")).status_code == 200

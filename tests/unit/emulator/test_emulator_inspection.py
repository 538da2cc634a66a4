"""The pages under /_emulator, for tests that run the emulator in another process."""

from __future__ import annotations

import httpx
import pytest

from kling_async.emulator import Emulator, Fault

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
        assert (await client.get(f"{origin}/v1/kling/accounts")).status_code == 401

"""Does a world outlast its emulator, and is a file that is no world left alone?"""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path

import pytest
from attrs import fields

from kling_async.emulator import Avatar, EmulatedAccount, Emulator, EmulatorClock, sample_png
from kling_async.emulator.inspection import state
from kling_async.emulator.state import _Saved
from kling_async.emulator.statefile import kept_in
from kling_async.emulator.world import World

KIND = {"Content-Type": "image/png"}


async def lived(in_process) -> Emulator:
    """An emulator with one of each: what a world can hold."""
    emulator = Emulator(
        [EmulatedAccount("ada@example.com", 7, password="sesame")],
        seed=5,
        job_s=1000,  # so that none goes on while it is looked at
        rehost_images=True,
        rehost_inputs=True,
    )
    async with in_process(emulator) as client:
        image = (await client.post("/assets", content=sample_png(), headers=KIND)).json()["url"]
        made = [await client.post("/avatars", json={"imageUrl": image}) for _ in range(2)]
        await client.delete(f"/avatars/{made[0].json()['id']}")
        voice = (await client.get("/tts/voices")).json()["lastSpeakerId"]
        speech = await client.post("/tts/create", json={"speakerId": voice, "text": "Hi"})
        job = {"avatarId": made[1].json()["id"], "audioUrl": speech.json()["resource"]}
        task = (await client.post("/avatars/video", json=job)).json()["task"]["id"]
        emulator.clock.advance(2000)
        work = (await client.get(f"/tasks/{task}")).json()["works"][0]["workId"]
        await client.get("/assets/download", params={"workIds": work})
        await client.post("/avatars/video", json=job)
        emulator.foreign_task(
            {"image": image}, {"text": "\ud800"}, age_s=9, job_s=math.inf, tracked=True
        )
        await client.post("/elements", json={"name": "Cat", "coverImage": image})
        reply = await client.post("/elements", json={"name": "Dog", "coverImage": image})
        await client.delete(f"/elements/{reply.json()['id']}")
    assert emulator.avatars and emulator.deleted_avatars and emulator.elements  # noqa: PT018
    assert emulator.uploads and emulator.speeches and len(emulator.tasks) == 3  # noqa: PT018
    return emulator


def told(emulator: Emulator) -> dict[str, object]:
    asked = ("calls", "counts", "status_counts", "faults", "unconsumed_faults", "webhooks")
    return {name: value for name, value in state(emulator).items() if name not in asked}


def text_of(emulator: Emulator, **changed: object) -> bytes:
    return json.dumps({**emulator.dump_state()[0], **changed}).encode()


async def test_all_that_exists_is_there_again(in_process):
    old = await lived(in_process)
    text, contents = text_of(old), old.dump_state()[1].values()
    new = Emulator(accounts=["ben@example.com"])
    new.restore_state(text, contents)
    accounts = {"accounts": [*told(old)["accounts"], {"email": "ben@example.com", "max_jobs": 5}]}
    assert told(new) == {**told(old), **accounts}
    assert b"sesame" not in text
    assert json.loads(text)["tasks"][2]["job_s"] == "inf"
    async with in_process(old) as there, in_process(new) as here:
        email = {"email": "ada@example.com"}
        for path in (
            "/avatars",
            "/tasks",
            "/elements",
            "/scheduler",
            "/assets",
            "/assets/uploaded/",
            "/accounts/ada@example.com",
            f"/tasks/{old.tasks[0].id}",
            *(str(httpx_url) for httpx_url in (old.uploads[0].url, old.avatars[0].listed_url)),
        ):
            first, second = [await one.get(path, params=email) for one in (there, here)]
            assert (first.status_code, second.status_code) == (200, 200), path
            if not path.endswith(("scheduler", "com")):  # which tell how long ago
                assert steady(first) == steady(second), path
        picture = {"imageUrl": "https://x.example/a.png"}
        ids = [
            (await one.post("/avatars", json={**picture, **email})).json()["id"]
            for one in (there, here)
        ]
    assert ids[0] == ids[1]  # the series goes on, so nothing gets an id a second time
    new.reset()
    assert [one.email for one in new.accounts] == ["ada@example.com", "ben@example.com"]


def test_what_a_world_holds_is_saved():
    made_of_others = {"works", "tasks_of", "tracked", "blobs", "blob_bytes"}
    not_kept = {"looks", "keep_media_bytes"}
    held = {one.name.lstrip("_") for one in fields(World)} - made_of_others - not_kept
    of_the_text = {"format", "version", "saved_at_s", "now_ms", "elapsed_s", "skew_s"}
    assert {one.name for one in fields(_Saved)} - of_the_text == (
        held - {"ids"} | {"seed", "made", "given"}
    )


def steady(reply) -> object:
    """An answer without what changes by itself, the time that a running job still takes."""
    text = reply.text if reply.headers["content-type"].startswith("application/json") else "{}"
    return json.loads(
        text, object_hook=lambda one: {k: v for k, v in one.items() if not k.endswith("taTime")}
    ) or (reply.content, reply.headers["etag"])


async def test_the_clock_runs_on_while_nobody_serves(monkeypatch):
    old = Emulator(clock=EmulatorClock(start_ms=1_000_000, skew_s=-30))
    task = old.foreign_task({}, job_s=50)
    old.clock.advance(20)
    saved = json.loads(text_of(old))
    new = Emulator()
    for away_s, state_then in ((5, "processing"), (31, "succeed"), (-99, "processing")):
        text = json.dumps({**saved, "saved_at_s": saved["saved_at_s"] - away_s})
        new.restore_state(text.encode(), [])
        moved_s = (new.clock.now_ms() - (1_000_000 - 30_000)) / 1000
        assert 20 + max(0, away_s) <= moved_s < 40 + max(0, away_s)
        assert new.clock.skew_s == -30
        assert [(one.id, one.state) for one in new.tasks] == [(task.id, state_then)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "not written by this emulator"),
        (b'{"version": 1}', "not written by this emulator"),
        ({"version": 2}, "version 2"),
        ({"avatars": [{}]}, "damaged"),
        ({"surprise": 1}, "damaged"),
        ({"elapsed_s": "soon"}, "damaged"),
        ({"accounts": [{"email": "nobody"}]}, "damaged .*nobody"),
        ({"downloads": {"x.mp4": [[5, "MP4"]]}}, "damaged"),
    ],
    ids=lambda one: str(one)[:20],
)
async def test_what_is_no_state_is_refused_and_left_alone(tmp_path: Path, text, said):
    path = tmp_path / "world.json"
    path.write_bytes(text if isinstance(text, bytes) else text_of(Emulator(), **text))
    before, emulator = path.read_bytes(), Emulator()
    world = told(emulator)
    with pytest.raises(ValueError, match=said):
        async with kept_in(path, emulator, print):
            pass
    assert path.read_bytes() == before
    assert told(emulator) == world
    assert list(tmp_path.iterdir()) == [path]


def avatars_in(path: Path) -> list[str]:
    return [one["nickname"] for one in json.loads(path.read_bytes())["avatars"]]


async def test_the_file_is_written_while_it_lasts_and_at_the_end(in_process, tmp_path: Path):
    path, heard = tmp_path / "world.json", list[str]()
    emulator = Emulator()
    async with kept_in(path, emulator, heard.append, every_s=0.001), in_process(emulator) as client:
        first = path.read_bytes()  # at once, so that a wrong place is known at the beginning
        upload = await client.post("/assets", content=sample_png(), headers=KIND)
        await client.post("/avatars", json={"imageUrl": upload.json()["url"], "nickname": "Ada"})
        async with asyncio.timeout(60):
            while avatars_in(path) != ["Ada"]:
                await asyncio.sleep(0.001)
        (blob,) = (tmp_path / "world.json.files").iterdir()
        await client.delete(
            "/assets/uploaded/", params={"id": emulator.uploads[0].id, "email": "demo@example.com"}
        )
        where = str(client.base_url.copy_with(path="/_emulator/foreign"))
        await client.post(where, json={"image_url": "https://x.example/b.png", "nickname": "Ben"})
    assert json.loads(first)["avatars"] == []
    assert avatars_in(path) == ["Ada", "Ben"]
    assert blob.read_bytes() == sample_png()
    again = Emulator()
    async with kept_in(path, again, heard.append):
        assert [type(one) for one in again.avatars] == [Avatar, Avatar]
        assert again.dump_state()[1] == {blob.name: sample_png()}
        blob.write_bytes(b"damaged")
    before = path.stat()
    third = Emulator()
    async with kept_in(path, third, heard.append), in_process(third) as client:
        assert third.dump_state()[1] == {}
        assert path.stat() == before  # nobody's file changes before anything was asked
        await client.get("/avatars")
    assert not blob.exists()
    assert heard == []
    assert sorted(one.name for one in tmp_path.iterdir()) == ["world.json", "world.json.files"]


async def test_who_writes_it_meanwhile_is_not_written_over(in_process, tmp_path: Path):
    path, heard = tmp_path / "world.json", list[str]()
    emulator = Emulator()
    with pytest.raises(FileExistsError):  # noqa: PT012
        async with kept_in(path, emulator, heard.append, every_s=0.001):
            path.write_text("mine now")
            async with in_process(emulator) as client:
                await client.get("/avatars")
                async with asyncio.timeout(60):
                    while not heard:
                        await asyncio.sleep(0.001)
                await client.get("/avatars")
                await asyncio.sleep(0.01)
    assert path.read_text() == "mine now"
    assert len(heard) == 1  # the same trouble is told once
    assert "another program has written it" in heard[0]

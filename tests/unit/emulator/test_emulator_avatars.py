"""Avatars: every answer and error, each limit on both sides of its edge."""

from __future__ import annotations

import itertools
import json

import pytest

from kling_async.emulator import Emulator, EmulatorClock, sample_png

PICTURE = "https://pictures.example/ada.png"
CLARA = "moss_audio_5b6f2c1e-7d3a-11f0-9c45-3e8a1d7b6f20"
MEI = "moss_audio_c7e03f54-7d3b-11f0-b6d9-0c71e8a4952d"
NOOR = "moss_audio_6d29e7b0-7d3c-11f0-9e58-71fa03bc4d96"


async def test_a_full_create_is_listed_as_given(connect):
    emulator = Emulator(clock=EmulatorClock(start_ms=1_780_000_000_000))
    given = {
        "imageUrl": PICTURE,
        "nickname": "Ada",
        "prompt": "Calm",
        "scene": "education",
        "ttsSpeaker": MEI,
        "ttsSpeed": 1.25,
        "ttsEmotionKey": "sad",
        "email": "demo@example.com",
        "somethingNew": [1, 2],
    }
    async with connect(emulator) as client:
        made = await client.post("/avatars", json=given)
        listed = (await client.get("/avatars")).json()
    assert made.status_code == 200
    assert made.headers["content-type"].startswith("application/json")
    assert set(made.json()) == {"id", "status"}
    assert made.json()["status"] == "SUCCESS"
    (entry,) = listed
    created_ms = entry["createTime"]
    assert 1_780_000_000_000 <= created_ms < 1_780_000_005_000
    assert entry == {
        "id": made.json()["id"],
        "nickname": "Ada",
        "prompt": "Calm",
        "scene": "education",
        "imageResources": [{"url": PICTURE, "sourceFrom": 2}],
        "ttsSpeaker": MEI,
        "ttsSpeed": "1.25",
        "ttsEmotionKey": "sad",
        "createTime": created_ms,
        "updateTime": created_ms,
    }
    (truth,) = emulator.avatars
    assert (truth.id, truth.account, truth.tts_speed, truth.call_number) == (
        entry["id"],
        "demo@example.com",
        1.25,
        1,
    )


async def test_what_is_left_out_is_filled_in(connect):
    async with connect(Emulator()) as client:
        await client.post("/avatars", json={"imageUrl": PICTURE})
        (entry,) = (await client.get("/avatars")).json()
        voices = (await client.get("/tts/voices")).json()["ttsList"]
    assert entry["nickname"]
    assert len(entry["nickname"]) <= 30
    assert entry["prompt"]
    assert entry["scene"] not in ("", "all")
    assert entry["ttsSpeaker"] in [voice["speakerId"] for voice in voices]
    assert entry["ttsSpeed"] == "1"
    assert entry["ttsEmotionKey"] == "neutral"


async def test_the_voice_filled_in_can_speak_the_emotion(in_process):
    emulator = Emulator()
    async with in_process(emulator) as client:
        for number in range(20):
            body = {"imageUrl": f"{PICTURE}?{number}", "ttsEmotionKey": "disgusted"}
            assert (await client.post("/avatars", json=body)).status_code == 200
        voices = (await client.get("/tts/voices")).json()["ttsList"]
    able = {
        voice["speakerId"]
        for voice in voices
        if {"name": "Disgusted", "key": "disgusted", "enable": True} in voice["emotions"]
    }
    assert {avatar.tts_speaker for avatar in emulator.avatars} <= able


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("nickname", "x" * 30, "x" * 31),
        ("nickname", "é" * 30, 5),
        ("nickname", None, ["x"]),
        ("nickname", "", "\ud83d"),
        ("prompt", "x" * 2000, "x" * 2001),
        ("ttsSpeed", 0.8, 0.79),
        ("ttsSpeed", 2.0, 2.01),
        ("ttsSpeed", "1.5", "fast"),
        ("ttsSpeed", "", True),
        ("ttsSpeed", None, [1]),
        ("ttsSpeed", 1, 10**400),
        ("scene", "all", "ALL"),
        ("scene", "virtual_idol", "beach"),
        ("ttsEmotionKey", "surprised", "bored"),
        ("ttsSpeaker", CLARA, "moss_audio_nobody"),
        ("imageUrl", "http://pictures.example/a", "ftp://pictures.example/a"),
        ("imageUrl", "https://pictures.example:8443/a?b=c", "https://pictures.example:x/a"),
        ("imageUrl", PICTURE, "https:///a.png"),
        ("imageUrl", PICTURE, "ada.png"),
        ("imageUrl", PICTURE, "https://pictures.example/a b.png"),
        ("imageUrl", PICTURE, ""),
        ("imageUrl", PICTURE, None),
        ("imageUrl", PICTURE, 7),
    ],
)
async def test_both_sides_of_each_limit(in_process, field, good, bad):
    emulator = Emulator()
    async with in_process(emulator) as client:
        # Not httpx's own JSON: it can't write half a surrogate pair, other clients can.
        accepted, refused = [
            await client.post("/avatars", content=json.dumps({"imageUrl": PICTURE, field: value}))
            for value in (good, bad)
        ]
    assert accepted.status_code == 200, accepted.text
    assert refused.status_code == 400
    assert set(refused.json()) == {"error"}
    assert field in refused.json()["error"]
    assert len(emulator.avatars) == 1


async def test_the_image_is_required(connect):
    async with connect(Emulator()) as client:
        reply = await client.post("/avatars", json={"nickname": "Ada"})
        empty = await client.post("/avatars")
    assert reply.status_code == empty.status_code == 400
    assert reply.json() == {"error": "Parameter imageUrl is required"}


@pytest.mark.parametrize(
    ("speaker", "emotion", "status"),
    [
        (CLARA, "surprised", 200),
        (MEI, "happy", 200),
        (MEI, "angry", 400),  # listed, but disabled
        (MEI, "surprised", 400),  # not listed
        (NOOR, "neutral", 200),  # lists nothing; neutral is what everybody can
        (NOOR, "happy", 400),
    ],
)
async def test_emotions_of_a_speaker(in_process, speaker, emotion, status):
    async with in_process(Emulator()) as client:
        body = {"imageUrl": PICTURE, "ttsSpeaker": speaker, "ttsEmotionKey": emotion}
        reply = await client.post("/avatars", json=body)
    assert reply.status_code == status


@pytest.mark.parametrize(
    ("speed", "shown"), [(1, "1"), (1.0, "1"), ("2", "2"), (0.8, "0.8"), (1.1, "1.1")]
)
async def test_the_listing_shows_speed_as_a_string(in_process, speed, shown):
    async with in_process(Emulator()) as client:
        await client.post("/avatars", json={"imageUrl": PICTURE, "ttsSpeed": speed})
        (entry,) = (await client.get("/avatars")).json()
    assert entry["ttsSpeed"] == shown


async def test_the_picture_may_be_an_upload(connect):
    emulator = Emulator()
    async with connect(emulator) as client:
        upload = await client.post(
            "/assets/", content=sample_png(), headers={"Content-Type": "image/png"}
        )
        url = upload.json()["url"]
        made = await client.post("/avatars", json={"imageUrl": url})
        (entry,) = (await client.get("/avatars")).json()
        missing = await client.post("/avatars", json={"imageUrl": url.replace(".png", "0.png")})
    assert made.status_code == 200
    assert entry["imageResources"] == [{"url": url, "sourceFrom": 1}]
    assert emulator.avatars[0].upload_name == upload.json()["fileName"]
    assert missing.status_code == 400
    assert "no such file" in missing.json()["error"]


async def test_an_upload_that_is_no_image_or_not_yours(in_process):
    async with in_process(Emulator(accounts=["a@x.org", "b@x.org"])) as client:

        async def uploaded(content: bytes, kind: str) -> str:
            reply = await client.post(
                "/assets/?email=a@x.org", content=content, headers={"Content-Type": kind}
            )
            return reply.json()["url"]

        sound = await uploaded(b"ID3 sound", "audio/mpeg")
        picture = await uploaded(sample_png(), "image/png")
        for url, email, status in (
            (sound, "a@x.org", 400),
            (picture, "b@x.org", 400),
            (picture, "a@x.org", 200),
        ):
            reply = await client.post("/avatars", json={"imageUrl": url, "email": email})
            assert reply.status_code == status


async def test_the_listing_is_newest_first_and_of_one_account(connect):
    async with connect(Emulator(accounts=["a@x.org", "b@x.org"])) as client:
        for nickname, email in (("1", "a@x.org"), ("2", "b@x.org"), ("3", "a@x.org")):
            await client.post(
                "/avatars", json={"imageUrl": PICTURE, "nickname": nickname, "email": email}
            )
        listed = (await client.get("/avatars/", params={"email": "a@x.org"})).json()
        personal = await client.get("/avatars", params={"email": "a@x.org", "type": "personal"})
        wrong = await client.get("/avatars", params={"email": "a@x.org", "type": "public"})
    assert [entry["nickname"] for entry in listed] == ["3", "1"]
    assert personal.json() == listed
    assert wrong.status_code == 400


async def test_an_empty_listing_is_an_empty_array(connect):
    async with connect(Emulator()) as client:
        reply = await client.get("/avatars")
    assert (reply.status_code, reply.json()) == (200, [])


async def test_templates(connect):
    async with connect(Emulator()) as client:
        templates = (await client.get("/avatars?type=templates")).json()
        picture = await client.get(templates[0]["imageResources"][0]["url"])
        refused = await client.delete(f"/avatars/{templates[0]['id']}")
        after = (await client.get("/avatars?type=templates")).json()
    assert len(templates) >= 3
    for template in templates:
        assert set(template) == {"id", "name", "imageResources", "prompt"}
        assert len(template["id"]) <= 8
    assert picture.content.startswith(b"\x89PNG")
    assert refused.status_code == 400
    assert after == templates


async def test_delete(connect):
    emulator = Emulator(accounts=["a@x.org", "b@x.org"])
    async with connect(emulator) as client:
        made = await client.post("/avatars", json={"imageUrl": PICTURE, "email": "a@x.org"})
        path = f"/avatars/{made.json()['id']}"
        foreign = await client.delete(path, params={"email": "b@x.org"})
        deleted = await client.delete(path + "/", params={"email": "a@x.org"})
        again = await client.delete(path, params={"email": "a@x.org"})
    assert foreign.status_code == again.status_code == 404
    assert set(again.json()) == {"error"}
    assert (deleted.status_code, deleted.json()) == (200, {"deleted": None})
    assert emulator.avatars == []
    assert [avatar.id for avatar in emulator.deleted_avatars] == [made.json()["id"]]


async def test_ids_are_long_unique_and_out_of_order(in_process):
    emulator = Emulator()
    async with in_process(emulator) as client:
        for _ in range(50):
            await client.post("/avatars", json={"imageUrl": PICTURE})
    ids = [avatar.id for avatar in emulator.avatars]
    assert len(set(ids)) == 50
    assert all(len(avatar_id) >= 9 and avatar_id.isdigit() for avatar_id in ids)
    assert ids != sorted(ids)
    steps = {int(b) - int(a) for a, b in itertools.pairwise(ids)}
    assert len(steps) == 49  # no constant step to guess from


async def _run(in_process, seed: int) -> tuple[list[object], ...]:
    emulator = Emulator(seed=seed, clock=EmulatorClock(start_ms=0))
    async with in_process(emulator) as client:
        for number in range(6):
            reply = await client.post(
                "/assets/", content=sample_png(number % 3), headers={"Content-Type": "image/png"}
            )
            await client.post("/avatars", json={"imageUrl": reply.json()["url"]})
    choices = [(a.nickname, a.prompt, a.scene, a.tts_speaker) for a in emulator.avatars]
    return [a.id for a in emulator.avatars], [u.name for u in emulator.uploads], choices


async def test_the_seed_decides_names_and_choices(in_process):
    first, again, other = [await _run(in_process, seed) for seed in (7, 7, 8)]
    assert first == again
    ids, names, choices = first
    assert not set(ids) & set(other[0])
    assert not set(names) & set(other[1])
    assert choices != other[2]
    assert choices[:3] == choices[3:]  # equal bytes are seen alike, under whatever name
    assert len(set(choices)) == 3


async def test_rehosted_images(connect):
    emulator = Emulator(rehost_images=True)
    async with connect(emulator) as client:
        upload = await client.post(
            "/assets/", content=sample_png(3), headers={"Content-Type": "image/png"}
        )
        url = upload.json()["url"]
        await client.post("/avatars", json={"imageUrl": url})
        await client.post("/avatars", json={"imageUrl": PICTURE})
        foreign, own = (await client.get("/avatars")).json()
        shown = own["imageResources"][0]["url"]
        fetched = await client.get(shown)
        stand_in = await client.get(foreign["imageResources"][0]["url"])
    assert upload.json()["fileName"] not in shown
    assert fetched.content == sample_png(3)
    assert foreign["imageResources"][0]["url"] != PICTURE
    assert stand_in.content.startswith(b"\x89PNG")
    assert [avatar.image_url for avatar in emulator.avatars] == [url, PICTURE]


async def test_listing_lag(connect):
    emulator = Emulator(listing_lag_s=60)
    async with connect(emulator) as client:
        made = await client.post("/avatars", json={"imageUrl": PICTURE})
        assert (await client.get("/avatars")).json() == []
        emulator.clock.advance(55)
        assert (await client.get("/avatars")).json() == []
        emulator.clock.advance(5)
        listed = (await client.get("/avatars")).json()
    assert [entry["id"] for entry in listed] == [made.json()["id"]]


async def test_listing_cut_and_shuffled(in_process):
    cut, shuffled = Emulator(listing_limit=2), Emulator(listing_shuffled=True)
    for emulator in (cut, shuffled):
        async with in_process(emulator) as client:
            for number in range(8):
                await client.post("/avatars", json={"imageUrl": PICTURE, "nickname": str(number)})
            listed = (await client.get("/avatars")).json()
        names = [entry["nickname"] for entry in listed]
        if emulator is cut:
            assert names == ["7", "6"]
        else:
            assert names != sorted(names, reverse=True)
            assert sorted(names) == [str(number) for number in range(8)]

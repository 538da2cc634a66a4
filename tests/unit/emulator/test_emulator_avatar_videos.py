"""POST /avatars/video: what it takes, what it refuses, what it starts, and its slots."""

from __future__ import annotations

import json
from datetime import datetime

import httpx
import pytest

from kling_async.emulator import EmulatedAccount, Emulator, EmulatorClock, sample_png

PICTURE = "https://pictures.example/ada.png"
SOUND = "https://sounds.example/ada.mp3"
CLARA = "moss_audio_5b6f2c1e-7d3a-11f0-9c45-3e8a1d7b6f20"
MEI = "moss_audio_c7e03f54-7d3b-11f0-b6d9-0c71e8a4952d"
NOOR = "moss_audio_6d29e7b0-7d3c-11f0-9e58-71fa03bc4d96"
HEARD = {"imageUrl": PICTURE, "audioUrl": SOUND}
SPOKEN = {"imageUrl": PICTURE, "text": "Hello", "speakerId": CLARA}


async def video(client: httpx.AsyncClient, **fields: object) -> httpx.Response:
    # Not httpx's own JSON: it can't write half a surrogate pair, other clients can.
    return await client.post("/avatars/video", content=json.dumps(fields))


async def test_a_full_create(connect):
    emulator = Emulator(clock=EmulatorClock(start_ms=1_780_000_000_000), seed=3)
    given = {
        "email": "demo@example.com",
        "imageUrl": PICTURE,
        "text": "Good morning, everybody",
        "speakerId": MEI,
        "speed": 1.25,
        "emotion": "happy",
        "prompt": "Waves a hand",
        "mode": "pro",
        "maxJobs": 50,
        "replyRef": "order 7",
        "somethingNew": {},
    }
    async with connect(emulator) as client:
        reply = await video(client, **given)
    answer = reply.json()
    assert reply.status_code == 200
    task = answer["task"]
    assert isinstance(task["id"], int)
    assert task["id"] < 2**53
    assert (task["status"], task["status_name"], task["status_final"]) == (5, "submitted", False)
    assert 1_780_000_000_000 <= task["createTime"] < 1_780_000_005_000
    (picture,) = task["taskInfo"]["inputs"]
    assert (picture["name"], picture["inputType"], picture["url"]) == ("image", "URL", PICTURE)
    assert {one["name"]: one["value"] for one in task["taskInfo"]["arguments"]} == {
        "text": "Good morning, everybody",
        "speakerId": MEI,
        "speed": "1.25",
        "emotion": "happy",
        "prompt": "Waves a hand",
        "mode": "pro",
    }
    assert answer["works"] == []
    (truth,) = emulator.tasks
    assert (truth.id, truth.account, truth.state) == (task["id"], "demo@example.com", "submitted")
    assert (truth.reply_ref, truth.reply_url, truth.input_urls) == ("order 7", None, (PICTURE,))
    assert (truth.call_number, truth.works, truth.credits > 0) == (1, (), True)


async def test_numbers_in_forms_are_texts(connect):
    emulator = Emulator()
    form = {**SPOKEN, "speed": "0.8", "maxJobs": "3", "mode": "std", "audioUrl": "", "email": ""}
    async with connect(emulator) as client:
        multipart = await client.post(
            "/avatars/video", files={name: (None, value) for name, value in form.items()}
        )
        encoded = await client.post("/avatars/video", data=form)
    assert (multipart.status_code, encoded.status_code) == (200, 200)
    assert [task.arguments["speed"] for task in emulator.tasks] == ["0.8", "0.8"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({**HEARD, "avatarId": "300137233318846"}, "avatarId and imageUrl exclude"),
        ({"audioUrl": SOUND}, "One of avatarId and imageUrl"),
        ({**SPOKEN, "audioUrl": SOUND}, "audioUrl and text exclude"),
        ({"imageUrl": PICTURE}, "One of audioUrl and text"),
        ({"imageUrl": PICTURE, "text": "Hello"}, "speakerId is required"),
        ({"avatarId": "10482201", "text": "Hello"}, "speakerId is required"),
        ({**SPOKEN, "speakerId": "moss_audio_nobody"}, "is not one of the voices"),
        ({**SPOKEN, "speakerId": MEI, "emotion": "angry"}, "not available"),  # switched off
        ({**SPOKEN, "speakerId": NOOR, "emotion": "happy"}, "not available"),  # has none
        ({**SPOKEN, "emotion": "bored"}, "Parameter emotion (bored) has incorrect format"),
    ],
)
async def test_what_does_not_go_together(in_process, fields, said):
    emulator = Emulator()
    async with in_process(emulator) as client:
        reply = await video(client, **fields)
    assert reply.status_code == 400
    assert set(reply.json()) == {"error"}
    assert said in reply.json()["error"]
    assert emulator.tasks == []


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("text", "x" * 5000, "x" * 5001),
        ("text", "é" * 5000, 5),
        ("text", "Hi", "\ud83d"),
        ("speed", 0.8, 0.79),
        ("speed", 2, 2.01),
        ("speed", "1.5", "fast"),
        ("emotion", "surprised", "Surprised"),
        ("prompt", "x" * 2000, "x" * 2001),
        ("prompt", "", ["x"]),
        ("mode", "pro", "4k"),
        ("mode", None, True),
        ("maxJobs", 50, 51),
        ("maxJobs", "1", 0),
        ("maxJobs", 2.0, 2.5),
        ("maxJobs", 10, True),
        ("replyUrl", "http://127.0.0.1:1/hook?a=b", "127.0.0.1/hook"),
        ("replyUrl", "", "ftp://127.0.0.1/hook"),
        ("replyUrl", None, 5),
        ("replyRef", "x" * 10_000, 5),
        ("imageUrl", PICTURE, "ada.png"),
    ],
)
async def test_both_sides_of_each_limit(in_process, field, good, bad):
    emulator = Emulator()
    async with in_process(emulator) as client:
        accepted = await video(client, **{**SPOKEN, field: good})
        refused = await video(client, **{**SPOKEN, field: bad})
    assert accepted.status_code == 200, accepted.text
    assert refused.status_code == 400
    assert field in refused.json()["error"]
    assert len(emulator.tasks) == 1


async def test_an_avatar_brings_defaults(connect):
    emulator = Emulator()
    saved = {"imageUrl": PICTURE, "prompt": "Calm", "ttsSpeaker": MEI, "ttsSpeed": 1.5}
    async with connect(emulator) as client:
        made = await client.post("/avatars", json={**saved, "ttsEmotionKey": "sad"})
        avatar_id = made.json()["id"]
        for fields in ({}, {"speakerId": CLARA, "speed": 2, "emotion": "angry", "prompt": "Wild"}):
            assert (await video(client, avatarId=avatar_id, text="Hi", **fields)).status_code == 200
        # The saved emotion is kept with another speaker, and Noor can't do it.
        unable = await video(client, avatarId=avatar_id, text="Hi", speakerId=NOOR)
    kept, changed = [
        {
            name: task.arguments[name]
            for name in ("avatarId", "speakerId", "speed", "emotion", "prompt")
        }
        for task in emulator.tasks
    ]
    assert list(kept.values()) == [avatar_id, MEI, "1.5", "sad", "Calm"]
    assert list(changed.values()) == [avatar_id, CLARA, "2", "angry", "Wild"]
    assert emulator.tasks[0].input_urls == (PICTURE,)
    assert unable.status_code == 400


async def test_templates_and_pictures_have_defaults_of_their_own(in_process):
    emulator = Emulator()
    async with in_process(emulator) as client:
        await video(client, avatarId="10482201", audioUrl=SOUND)
        await video(client, **HEARD)
        await video(client, **SPOKEN)
    template, heard, spoken = emulator.tasks
    assert template.arguments["prompt"] == "Calm and upright, speaks to the camera"
    assert template.input_urls[0].endswith("/media/templates/10482201.png")
    assert heard.arguments == {"prompt": "Natural speaking", "mode": "std"}
    assert heard.input_urls == (PICTURE, SOUND)
    assert (spoken.arguments["speed"], spoken.arguments["emotion"]) == ("1", "neutral")


@pytest.mark.parametrize("avatar_id", ["300137233318846", "12345678", "ada"])
async def test_an_avatar_that_is_not_there(in_process, avatar_id):
    async with in_process(Emulator()) as client:
        reply = await video(client, avatarId=avatar_id, audioUrl=SOUND)
    assert reply.status_code == 404
    assert avatar_id in reply.json()["error"]


async def test_files_and_avatars_belong_to_one_account(in_process):
    emulator = Emulator(accounts=["a@x.org", "b@x.org"])
    wav = b"RIFF\0\0\0\0WAVEfmt "
    async with in_process(emulator) as client:
        urls = {}
        for kind, content in (("image/png", sample_png()), ("audio/wav", wav)):
            reply = await client.post(
                "/assets/?email=a@x.org", content=content, headers={"Content-Type": kind}
            )
            urls[kind] = reply.json()["url"]
        spoken = await client.post(
            "/tts/create", json={"email": "a@x.org", "speakerId": CLARA, "text": "Hi"}
        )
        avatar = await client.post("/avatars", json={"email": "a@x.org", "imageUrl": PICTURE})
        picture, sound, speech = urls["image/png"], urls["audio/wav"], spoken.json()["resource"]
        for fields, status in (
            ({"imageUrl": picture, "audioUrl": sound}, (200, 400)),
            ({"imageUrl": PICTURE, "audioUrl": sound}, (200, 400)),
            ({"imageUrl": PICTURE, "audioUrl": speech}, (200, 400)),
            ({"avatarId": avatar.json()["id"], "audioUrl": SOUND}, (200, 404)),
            ({"imageUrl": sound, "audioUrl": SOUND}, (400, 400)),
            ({"imageUrl": PICTURE, "audioUrl": picture}, (400, 400)),
            ({"imageUrl": PICTURE, "audioUrl": sound.replace(".wav", "0.wav")}, (400, 400)),
        ):
            for email, expected in zip(("a@x.org", "b@x.org"), status, strict=True):
                reply = await video(client, email=email, **fields)
                assert reply.status_code == expected, (fields, email, reply.text)
        missing = await video(client, **HEARD)
    assert missing.status_code == 400
    assert "email" in missing.json()["error"]
    assert {task.account for task in emulator.tasks} == {"a@x.org"}


# Slots


async def test_a_job_takes_a_slot_until_it_is_over(connect):
    emulator = Emulator(
        [EmulatedAccount("a@x.org", max_jobs=2), EmulatedAccount("b@x.org", max_jobs=1)],
        job_s=600,
    )
    async with connect(emulator) as client:
        statuses = [
            (await video(client, email=email, **HEARD)).status_code
            for email in ("a@x.org", "a@x.org", "a@x.org", "b@x.org", "b@x.org")
        ]
        assert statuses == [200, 200, 429, 200, 429]
        full = await video(client, email="a@x.org", **HEARD)
        wrong = await video(client, email="a@x.org", imageUrl=PICTURE)
        emulator.clock.advance(600)
        after = await video(client, email="a@x.org", **HEARD)
    assert "job slot" in full.json()["error"]
    assert 595 <= int(full.headers["retry-after"]) <= 600
    told = datetime.fromisoformat(full.json()["retryAfter"].replace("Z", "+00:00"))
    assert told.timestamp() > 0
    assert wrong.status_code == 400  # a mistake is told even when there is no slot
    assert after.status_code == 200
    assert len(emulator.tasks) == 4


@pytest.mark.parametrize(("form", "hints"), [("none", 0), ("body", 1), ("date", 2)])
async def test_the_429_takes_the_form_of_the_quota(in_process, form, hints):
    emulator = Emulator([EmulatedAccount("a@x.org", max_jobs=1)], job_s=60, quota_form=form)
    async with in_process(emulator) as client:
        await video(client, **HEARD)
        full = await video(client, **HEARD)
    assert full.status_code == 429
    assert ("retryAfter" in full.json()) + ("retry-after" in full.headers) == hints


async def test_max_jobs_of_a_call_overrides_the_account(in_process):
    emulator = Emulator([EmulatedAccount("a@x.org", max_jobs=2)], job_s=600)
    async with in_process(emulator) as client:
        statuses = [
            (await video(client, maxJobs=number, **HEARD)).status_code
            for number in (1, 1, 3, 3, 3, None)
        ]
    assert statuses == [200, 429, 200, 200, 429, 429]


async def test_slots_of_hanging_jobs_are_free_after_an_hour(in_process):
    emulator = Emulator([EmulatedAccount("a@x.org", max_jobs=1)], job_s=float("inf"))
    async with in_process(emulator) as client:
        task = (await video(client, **HEARD)).json()["task"]
        emulator.clock.advance(3599)
        assert (await video(client, **HEARD)).status_code == 429
        emulator.clock.advance(2)
        assert (await client.get("/scheduler")).json() == []
        state = (await client.get(f"/tasks/{task['id']}")).json()
        assert (await video(client, **HEARD)).status_code == 200
    assert (state["status_name"], state["status_final"]) == ("processing", False)


@pytest.mark.parametrize("wrong", [-1, (2, 1), (-1, 1), float("nan")])
def test_job_times_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match="job_s"):
        Emulator(job_s=wrong)


async def test_job_times_come_from_the_seed(in_process):
    spans = []
    for seed in (1, 1, 2):
        emulator = Emulator(job_s=(10, 20), seed=seed)
        async with in_process(emulator) as client:
            for _ in range(5):
                await video(client, **HEARD)
        spans.append([task.job_s for task in emulator.tasks])
    assert spans[0] == spans[1] != spans[2]
    assert all(10 <= span <= 20 for one in spans for span in one)
    assert len(set(spans[0])) == 5

"""POST /tts/create: text to an MP3."""

from __future__ import annotations

import pytest

from kling_async.emulator import Emulator, Fault

CLARA = "moss_audio_5b6f2c1e-7d3a-11f0-9c45-3e8a1d7b6f20"
NOOR = "moss_audio_6d29e7b0-7d3c-11f0-9e58-71fa03bc4d96"
SPEECH = {"speakerId": CLARA, "text": "Good morning"}


async def test_speech(connect):
    emulator = Emulator()
    async with connect(emulator) as client:
        given = {**SPEECH, "text": "word " * 60, "speed": "1.25", "emotion": "sad"}
        reply = await client.post("/tts/create", data=given)
        fetched = await client.get(reply.json()["resource"], headers={"Authorization": ""})
        missing = await client.get(reply.json()["resource"] + "x")
    assert reply.json() == {
        "resource": emulator.speeches[0].url,
        "status": 99,
        "status_name": "succeed",
        "status_final": True,
    }
    assert fetched.headers["content-type"] == "audio/mpeg"
    assert fetched.content.startswith(b"ID3")
    assert missing.status_code == 404
    (truth,) = emulator.speeches
    assert (truth.speaker_id, truth.speed, truth.emotion) == (CLARA, 1.25, "sad")
    assert (truth.duration_ms, truth.call_number) == (16_000, 1)
    assert "word" not in repr(truth)


async def test_equal_texts_get_addresses_of_their_own(in_process):
    async with in_process(Emulator()) as client:
        urls = {
            (await client.post("/tts/create", json=SPEECH)).json()["resource"] for _ in range(5)
        }
    assert len(urls) == 5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"speakerId": None}, "speakerId is required"),
        ({"speakerId": "moss_audio_nobody"}, "is not one of the voices"),
        ({"text": ""}, "text is required"),
        ({"text": 5}, "Parameter text (5) has incorrect format"),
        ({"speed": 0.79}, "speed"),
        ({"speed": 2.01}, "speed"),
        ({"emotion": "bored"}, "emotion"),
        ({"speakerId": NOOR, "emotion": "sad"}, "not available"),
    ],
)
async def test_refusals(in_process, changes, said):
    emulator = Emulator()
    async with in_process(emulator) as client:
        reply = await client.post("/tts/create", json={**SPEECH, **changes})
    assert reply.status_code == 400
    assert said in reply.json()["error"]
    assert emulator.speeches == []


async def test_long_texts_are_taken(in_process):
    async with in_process(Emulator()) as client:
        reply = await client.post("/tts/create", json={**SPEECH, "text": "x" * 100_000})
    assert reply.status_code == 200


async def test_moderation(in_process):
    emulator = Emulator(faults=[Fault("tts.create", "task_moderated", times=1)])
    async with in_process(emulator) as client:
        reply = await client.post("/tts/create", json=SPEECH)
        again = await client.post("/tts/create", json=SPEECH)
    assert reply.status_code == 500
    assert reply.json()["error"].endswith("(CM_EXT.POther)")
    assert set(reply.json()) == {"error", "message"}
    assert again.status_code == 200
    assert len(emulator.speeches) == 1

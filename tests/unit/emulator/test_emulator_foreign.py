"""Others on the same account: made by hand, over HTTP, or for each k-th create that comes."""

from __future__ import annotations

from collections import Counter

import pytest

from kling_async.emulator import Emulator, Fault, ForeignWriter
from kling_async.emulator.voices import VOICES

URL = "https://pictures.example/ada.png"
SENT = {
    "imageUrl": URL,
    "nickname": "Ada",
    "prompt": "Calm",
    "scene": "business",
    "ttsSpeaker": VOICES[0].speaker_id,
    "ttsSpeed": 1.5,
    "ttsEmotionKey": "happy",
}
SPOKEN = {"imageUrl": URL, "text": "Hello", "speakerId": VOICES[0].speaker_id, "replyRef": "r"}


async def test_an_avatar_of_somebody_else_looks_like_any_other(connect):
    emulator = Emulator()
    made = emulator.foreign_avatar(URL, nickname="Eve", prompt="Loud", age_s=60)
    async with connect(emulator) as client:
        await client.post("/avatars", json=SENT)
        newest, oldest = (await client.get("/avatars")).json()
    assert (newest["nickname"], oldest["id"], oldest["nickname"]) == ("Ada", made.id, "Eve")
    assert newest.keys() == oldest.keys()
    assert newest["imageResources"] == oldest["imageResources"] or URL in str(oldest)
    assert 59_900 <= newest["createTime"] - oldest["createTime"] < 65_000
    assert [one.foreign for one in emulator.avatars] == [True, False]
    assert (made.call_number, emulator.counts["avatars.create"]) == (0, 1)


@pytest.mark.parametrize("tracked", [False, True])
async def test_a_job_of_somebody_else(connect, tracked):
    emulator = Emulator(job_s=600)
    made = emulator.foreign_task(
        {"image": URL}, {"text": "Mine"}, reply_ref="theirs", job_s=600, tracked=tracked
    )
    async with connect(emulator) as client:
        (entry,) = (await client.get("/tasks")).json()["history"]
        scheduler = (await client.get("/scheduler")).json()
        found = await client.get(f"/tasks/{made.id}")
    assert entry["task"]["id"] == found.json()["task"]["id"] == made.id
    assert entry["task"]["taskInfo"]["inputs"][0]["url"] == URL
    assert [one["replyRef"] for one in scheduler] == (["theirs"] if tracked else [])
    assert made.foreign


async def test_over_http(connect):
    emulator = Emulator(["a@x.org", "b@x.org"])
    async with connect(emulator) as client:
        page = str(client.base_url.copy_with(path="/_emulator/foreign"))
        given = {"image_url": URL, "account": "b@x.org", "nickname": "Eve", "age_s": 5}
        avatar = (await client.post(page, json=given)).json()
        task = (await client.post(page, json={"inputs": {"image": URL}, "tracked": True})).json()
        wrong = [
            (await client.post(page, content=body)).status_code
            for body in ("", "[]", "{}", '{"image_url": "x", "account": "c@x.org"}', '{"x": 1}')
        ]
        state = (await client.get(page.replace("foreign", "state"))).json()
        not_so = await client.get(page)
    assert (avatar["account"], avatar["nickname"], avatar["foreign"]) == ("b@x.org", "Eve", True)
    assert (task["account"], task["foreign"]) == ("a@x.org", True)
    assert wrong == [400] * 5
    assert not_so.status_code == 405
    assert state["avatars"] == [avatar]
    assert [one["id"] for one in state["tasks"]] == [task["id"]]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_writer_for_each_third_create(connect, when):
    emulator = Emulator(foreign=f"every=3,when={when},within_s=30")
    async with connect(emulator) as client:
        for number in range(7):
            await client.post("/avatars", json={**SENT, "nickname": f"n{number}"})
        ours = {one.nickname: one for one in emulator.avatars if not one.foreign}
        theirs = [one for one in emulator.avatars if one.foreign]
        soon = len((await client.get("/avatars")).json())
        emulator.clock.advance(30)
        later = (await client.get("/avatars")).json()
    assert (len(ours), len(theirs), len(later)) == (7, 2, 9)
    assert soon == (9 if when == "before" else 7)
    times = [one["createTime"] for one in later]
    assert times == sorted(times, reverse=True)
    for one, nickname in zip(theirs, ("n2", "n5"), strict=True):
        ahead_ms = one.create_time_ms - ours[nickname].create_time_ms
        assert 0 < (ahead_ms if when == "after" else -ahead_ms) <= 30_000
        assert one.image_url == URL
        assert one.nickname not in ours
        assert one.prompt != "Calm"
        assert (one.scene, one.tts_speed) == ("business", 1.5)
        assert one.tts_speaker == VOICES[0].speaker_id


async def test_a_writer_acts_whatever_becomes_of_the_create(connect):
    fault = Fault("avatars.create", "status", status=500)
    emulator = Emulator(foreign="texts=equal,when=before", faults=[fault])
    async with connect(emulator) as client:
        await client.post("/avatars", json=SENT)
    (theirs,) = emulator.avatars
    assert theirs.foreign
    assert (theirs.nickname, theirs.prompt, theirs.tts_emotion_key) == ("Ada", "Calm", "happy")


async def test_equal_texts_and_another_voice(in_process):
    emulator = Emulator(foreign=ForeignWriter(texts="equal", voice="other"))
    async with in_process(emulator) as client:
        await client.post("/avatars", json=SENT)
        await client.post("/avatars/video", json=SPOKEN)
    theirs = next(one for one in emulator.avatars if one.foreign)
    assert theirs.nickname == "Ada"
    assert theirs.tts_speaker != SENT["ttsSpeaker"]
    assert theirs.tts_speed != 1.5
    task = next(one for one in emulator.tasks if one.foreign)
    assert task.arguments["text"] == "Hello"
    assert task.arguments["speakerId"] != SPOKEN["speakerId"]


@pytest.mark.parametrize("tracked", [False, True])
async def test_a_writer_begins_jobs_of_the_same_picture(connect, tracked):
    emulator = Emulator(foreign=f"when=before,tracked={tracked}".lower(), job_s=600)
    async with connect(emulator) as client:
        made = (await client.post("/avatars", json=SENT)).json()["id"]
        given = {**SPOKEN, "avatarId": made}
        del given["imageUrl"]
        ours = (await client.post("/avatars/video", json=given)).json()["task"]["id"]
        await client.post("/videos/text2video", json={"prompt": "A kite"})
        history = (await client.get("/tasks")).json()["history"]
        listed = (await client.get("/scheduler")).json()
    theirs = [one for one in emulator.tasks if one.foreign]
    assert [one.input_urls for one in theirs] == [(URL,), ()]
    assert [one.type for one in theirs] == ["avatar_video", "videos.text2video"]
    assert "Hello" not in theirs[0].arguments.values()
    assert "replyRef" not in theirs[0].arguments
    assert {one["task"]["id"] for one in history} >= {ours, theirs[0].id}
    assert ("r" in [one.get("replyRef") for one in listed]) is True
    assert (len(listed) == 4) is tracked


def test_equal_seeds_equal_strangers():
    def times() -> list[float]:
        ids = Emulator(seed=4)._world.ids
        return [ids.between("foreign", f"avatars.create {n}", 0, 1) for n in range(5)]

    assert times() == times()
    assert max(Counter(times()).values()) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("every=0", "every"),
        ("when=never", "when"),
        ("texts=some", "texts"),
        ("often", "foreign know no 'often'; allowed: every="),
        ("every", "foreign know no 'every'"),
        ("every=x", "every must be a number"),
        ("tracked=maybe", "tracked must be true or false"),
        ("every=2,every=3", "every is set twice"),
        ("within_s=-1", "within_s"),
    ],
)
def test_options_that_make_no_sense(text, said):
    with pytest.raises(ValueError, match=said):
        Emulator(foreign=text)


def test_nobody_unless_asked_for():
    assert ForeignWriter.parse(" ") is None
    assert ForeignWriter.parse("every=2,tracked") == ForeignWriter(every=2, tracked=True)

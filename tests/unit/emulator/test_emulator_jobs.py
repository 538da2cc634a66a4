"""The table of paid jobs; its first row is text to video."""

from __future__ import annotations

import pytest

from kling_async.emulator import Emulator
from kling_async.emulator.faultkinds import KINDS
from kling_async.emulator.operations.video_jobs import JOBS, TEXT

KITE = {"prompt": "A kite over the sea"}
PATH = "/videos/text2video"


def shots(*lengths_s: int, **more: object) -> dict[str, object]:
    found: dict[str, object] = {"model_name": "kling-v3-0", **more}
    for number, length_s in enumerate(lengths_s, 1):
        found |= {f"shot_{number}_prompt": f"Shot {number}", f"shot_{number}_duration": length_s}
    return found


async def test_a_job_from_create_to_file(connect):
    emulator = Emulator()
    async with connect(emulator) as client:
        made = await client.post(PATH, json={**KITE, "replyRef": "r-1", "aspect_ratio": "9:16"})
        task = made.json()["task"]
        running = (await client.get("/scheduler")).json()
        emulator.clock.advance(2)
        record = (await client.get(f"/tasks/{task['id']}")).json()
        (work,) = record["works"]
        film = await client.get(work["resource"]["resource"])
    assert made.status_code == 200
    assert (task["type"], task["status_name"], task["status_final"]) == (
        "m2v_txt2video_hq",
        "submitted",
        False,
    )
    assert task["taskInfo"]["inputs"] == []
    assert {one["name"]: one["value"] for one in task["taskInfo"]["arguments"]} == {
        "prompt": "A kite over the sea",
        "kling_version": "1.6",
        "duration": "5",
        "aspect_ratio": "9:16",
        "model_mode": "std",
    }
    assert [(one["id"], one["replyRef"]) for one in running] == [(task["id"], "r-1")]
    assert (record["status_name"], work["contentType"]) == ("succeed", "video")
    assert (work["resource"]["width"], work["resource"]["height"]) == (720, 1280)
    assert work["resource"]["duration"] == 5000
    assert film.content[4:8] == b"ftyp"
    assert emulator.tasks[0].credits == 20


REFUSED = [
    ({}, "Parameter prompt is required"),
    ({"prompt": "x" * 2501}, "has incorrect format"),
    ({**KITE, "negative_prompt": "x" * 2501}, "Parameter negative_prompt (x"),
    ({**KITE, "model_name": "kling-v9"}, "Parameter model_name (kling-v9) has incorrect format"),
    ({**KITE, "cfg_scale": 1.01}, "Parameter cfg_scale (1.01) has incorrect format"),
    ({**KITE, "cfg_scale": -0.01}, "Parameter cfg_scale (-0.01)"),
    ({**KITE, "duration": 7}, "Parameter duration (7) has incorrect format"),
    ({**KITE, "duration": "long"}, "Parameter duration (long)"),
    ({**KITE, "model_name": "kling-v4-0", "duration": 31}, "Parameter duration (31)"),
    ({**KITE, "model_name": "kling-v3-0", "duration": 2}, "Parameter duration (2)"),
    ({**KITE, "aspect_ratio": "4:3"}, "Parameter aspect_ratio (4:3)"),
    ({**KITE, "aspect_ratio": "21:9"}, "Parameter aspect_ratio (21:9)"),
    ({**KITE, "mode": "4k"}, "Parameter mode (4k)"),
    ({**KITE, "model_name": "kling-v2-5", "mode": "std"}, "Parameter mode (std)"),
    ({**KITE, "model_name": "kling-v2-1-master", "mode": "std"}, "Parameter mode (std)"),
    ({**KITE, "model_name": "kling-v2-6", "enable_audio": True}, "enable_audio needs mode pro"),
    ({**KITE, "model_name": "kling-v3-0-turbo", "enable_audio": True}, "enable_audio"),
    ({**KITE, "model_name": "kling-v2-6", "negative_prompt": "fog"}, "negative_prompt"),
    ({**KITE, "model_name": "kling-v3-0", "negative_prompt": "fog"}, "negative_prompt"),
    ({**KITE, "model_name": "kling-v2-5", "cfg_scale": 0.5}, "cfg_scale"),
    ({**KITE, "maxJobs": 51}, "Parameter maxJobs (51)"),
    (shots(5), "Parameter shot_2_prompt is required"),
    (shots(5, 11), "The shots take 16 s"),
    (shots(1, 1), "The shots take 2 s"),
    (shots(3, 3, prompt="A kite"), "prompt excludes"),
    (shots(3, 3, duration=5), "duration excludes"),
    (shots(3, 3, model_name="kling-v3-0-turbo"), "not supported"),
    ({"model_name": "kling-v3-0", "shot_1_prompt": "a", "shot_2_prompt": "b"}, "shot_1_duration"),
    (
        {"model_name": "kling-v3-0", "shot_1_prompt": "a", "shot_1_duration": 3,
         "shot_3_prompt": "c", "shot_3_duration": 3},
        "Parameter shot_2_prompt is required",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("given", "said"), REFUSED)
async def test_what_is_refused(in_process, given, said):
    emulator = Emulator()
    async with in_process(emulator) as client:
        reply = await client.post(PATH, json=given)
    assert reply.status_code == 400
    assert set(reply.json()) == {"error"}
    assert said in reply.json()["error"]
    assert emulator.tasks == []


TAKEN = [
    {"prompt": "x" * 2500, "negative_prompt": "x" * 2500, "cfg_scale": 0, "duration": 10},
    {**KITE, "duration": "10", "cfg_scale": "1", "enable_audio": "true"},  # forms are text
    {**KITE, "model_name": "kling-v4-0", "duration": 30, "aspect_ratio": "21:9", "mode": "pro"},
    {**KITE, "model_name": "kling-v3-0", "duration": 3, "mode": "4k", "enable_audio": True},
    {**KITE, "model_name": "kling-v3-0-turbo", "duration": 15},
    {**KITE, "model_name": "kling-v2-6", "mode": "pro", "enable_audio": True},
    {**KITE, "model_name": "kling-v2-5"},  # pro only, and not said
    {**KITE, "model_name": "kling-v2-1-master", "mode": "pro", "negative_prompt": "fog"},
    {**KITE, "maxJobs": 50, "replyUrl": "http://127.0.0.1/x", "brandNew": 1},
    shots(3, 12),
    shots(2, 2, 2, 2, 2, 5),
]


@pytest.mark.parametrize("given", TAKEN)
async def test_what_is_taken(in_process, given):
    emulator = Emulator(webhooks="off")
    async with in_process(emulator) as client:
        reply = await client.post(PATH, json=given)
    assert reply.status_code == 200, reply.text
    (task,) = emulator.tasks
    length_s = sum(int(str(v)) for k, v in given.items() if k.endswith("_duration"))
    length_s = length_s or int(str(given.get("duration", 5)))
    assert task.arguments["duration"] == str(length_s)
    assert task.planned_works[0].duration_ms == length_s * 1000
    assert task.credits > 0


async def test_slots_are_shared_with_other_jobs(connect):
    emulator = Emulator(job_s=60)
    async with connect(emulator) as client:
        statuses = [(await client.post(PATH, json=KITE)).status_code for _ in range(6)]
        talking = await client.post(
            "/avatars/video",
            json={"imageUrl": "https://x.y/a.png", "audioUrl": "https://x.y/a.mp3"},
        )
    assert statuses == [200] * 5 + [429]
    assert talking.status_code == 429


def test_each_job_can_be_struck_by_the_faults_of_jobs():
    for kind in ("task_failed", "task_moderated", "task_lost", "task_hidden", "no_task_id",
                 "no_slot"):  # fmt: skip
        assert all(KINDS[kind].is_for(job.name) for job in JOBS), kind


def test_the_table_names_the_fields_of_the_reference():
    names = [field.name for field in TEXT.fields]
    assert names[:8] == [
        *("prompt", "model_name", "negative_prompt", "cfg_scale", "duration"),
        *("aspect_ratio", "mode", "enable_audio"),
    ]
    assert len(names) == len(set(names)) == 8 + 12

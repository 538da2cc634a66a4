"""Faults that bend what becomes of a task, and creates without a slot or an id."""

from __future__ import annotations

import pytest

from kling_async.emulator import Emulator, Fault, format_fault, parse_faults

HEARD = {
    "imageUrl": "https://pictures.example/ada.png",
    "audioUrl": "https://sounds.example/ada.mp3",
}
TESTED = {"task_failed", "task_moderated", "task_lost", "task_hidden", "no_task_id", "no_slot"}


def struck(kind: str, **settings: object) -> Emulator:
    return Emulator(faults=[Fault("avatars.video", kind, times=1, **settings)], job_s=60)


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        ("task_failed", {}, "could not be generated"),
        ("task_failed", {"message": "No face found"}, "No face found"),
        ("task_moderated", {}, "(CM_EXT.POther)"),
        ("task_moderated", {"form": "task"}, "community guidelines"),
    ],
)
async def test_a_task_that_fails(connect, kind, settings, said):
    emulator = struck(kind, **settings)
    async with connect(emulator) as client:
        made = await client.post("/avatars/video", json=HEARD)
        path = f"/tasks/{made.json()['task']['id']}"
        before = (await client.get(path)).json()
        emulator.clock.advance(60)
        after = (await client.get(path)).json()
        deleted = await client.delete(path)
        fine = (await client.post("/avatars/video", json=HEARD)).json()
        emulator.clock.advance(60)
        succeeded = (await client.get(f"/tasks/{fine['task']['id']}")).json()
    assert made.status_code == 200
    assert (before["status_name"], before["message"]) == ("submitted", "")
    assert (after["status_name"], after["status_final"], after["works"]) == ("failed", True, [])
    assert said in after["message"]
    assert deleted.status_code == 404  # no works
    assert succeeded["status_name"] == "succeed"
    assert [task.state for task in emulator.tasks] == ["failed", "succeed"]
    assert [call.fault for call in emulator.calls if call.fault] == [kind]
    assert emulator.unconsumed_faults() == []


async def test_a_create_that_is_moderated_starts_nothing(connect):
    emulator = struck("task_moderated", form="create")
    async with connect(emulator) as client:
        reply = await client.post("/avatars/video", json=HEARD)
    assert reply.status_code == 500
    assert reply.json()["error"].endswith("(CM_EXT.POther)")
    assert reply.json()["message"].endswith("(CM_EXT.POther)")
    assert emulator.tasks == []
    assert emulator.calls[0].worked is False


@pytest.mark.parametrize(("settings", "until_s"), [({}, 60), ({"after_s": 5}, 5)])
async def test_a_task_that_gets_lost(connect, settings, until_s):
    emulator = struck("task_lost", **settings)
    async with connect(emulator) as client:
        made = await client.post("/avatars/video", json=HEARD)
        path = f"/tasks/{made.json()['task']['id']}"
        emulator.clock.advance(until_s - 2)
        assert (await client.get(path)).status_code == 200
        emulator.clock.advance(2)
        lost = await client.get(path)
        history = (await client.get("/tasks")).json()["history"]
    assert (lost.status_code, set(lost.json())) == (404, {"error"})
    assert history == []
    assert len(emulator.tasks) == 1  # it was started, and paid


@pytest.mark.parametrize(
    ("settings", "known"),  # after 0, 2, 5, 7 and 9 seconds; it is known after 9
    [
        ({}, [False, False, False, False, True]),
        ({"for_s": 3, "after_s": 2}, [True, False, True, True, True]),
    ],
)
async def test_a_task_whose_id_is_not_known_for_a_while(connect, settings, known):
    emulator = struck("task_hidden", **settings)
    statuses = []
    async with connect(emulator) as client:
        number = (await client.post("/avatars/video", json=HEARD)).json()["task"]["id"]
        for step_s in (0, 2, 3, 2, 2):
            emulator.clock.advance(step_s)
            statuses.append((await client.get(f"/tasks/{number}")).status_code)
            (running,) = (await client.get("/scheduler")).json()
            (entry,) = (await client.get("/tasks")).json()["history"]
            assert running["id"] == entry["task"]["id"] == number
        other = (await client.post("/avatars/video", json=HEARD)).json()["task"]["id"]
        assert (await client.get(f"/tasks/{other}")).status_code == 200
    assert [one == 200 for one in statuses] == known


@pytest.mark.parametrize("before_work", [False, True])
async def test_an_answer_without_an_id(connect, before_work):
    emulator = struck("no_task_id", before_work=before_work)
    async with connect(emulator) as client:
        reply = await client.post("/avatars/video", json=HEARD)
        refused = await client.post("/avatars/video", json={})
    assert reply.status_code == 200
    assert "id" not in reply.json()["task"]
    assert len(emulator.tasks) == (not before_work)
    assert refused.status_code == 400


async def test_no_slot(connect):
    faults = [
        Fault("avatars.video", "no_slot", at=1),
        Fault("avatars.video", "no_slot", form="none", at=2),
        Fault("avatars.video", "no_slot", form="date", retry_after_s=7, at=3),
    ]
    emulator = Emulator(faults=faults)
    async with connect(emulator) as client:
        replies = [await client.post("/avatars/video", json=HEARD) for _ in range(4)]
    assert [reply.status_code for reply in replies] == [429, 429, 429, 200]
    assert [reply.headers.get("retry-after", "-")[:1].isdigit() for reply in replies[:3]] == [
        True,
        False,
        False,
    ]
    assert "retryAfter" not in replies[1].json()
    assert replies[2].headers["retry-after"].endswith("GMT")
    assert all("job slot" in reply.json()["error"] for reply in replies[:3])
    assert len(emulator.tasks) == 1


async def test_they_strike_only_what_starts_a_task(in_process):
    emulator = Emulator(faults=[Fault("*", "task_failed"), Fault("avatars.*", "no_slot", at=2)])
    async with in_process(emulator) as client:
        for _ in range(3):
            assert (await client.get("/avatars")).status_code == 200
        statuses = [(await client.post("/avatars/video", json=HEARD)).status_code for _ in range(3)]
    assert statuses == [200, 200, 200]  # the first fault takes them all
    assert [one for _, one in emulator.strikes()] == [3, 0]
    assert {task.failure for task in emulator.tasks} != {None}


@pytest.mark.parametrize("kind", sorted(TESTED))
def test_naming_something_else_is_an_error(kind):
    with pytest.raises(ValueError, match=f"{kind} can't strike tasks.get"):
        Emulator(faults=[Fault("tasks.get", kind)])
    with pytest.raises(ValueError, match="allowed: avatars"):
        parse_faults(f"tasks.get:{kind}")


@pytest.mark.parametrize(
    "text",
    [
        "avatars.video:task_failed=No%20face@at=2",
        "avatars.video:task_moderated=create@every=3",
        "avatars.video:task_lost=5.0@p=0.5",
        "videos.text2video:task_hidden=9.0,after_s=1.0@p=0.5",
        "avatars.video:no_task_id,before_work",
        "avatars.video:no_slot=none,retry_after_s=3.0@times=2",
    ],
)
def test_in_one_line_of_text(text):
    (fault,) = parse_faults(text)
    assert format_fault(fault) == text
    assert parse_faults(format_fault(fault)) == [fault]


@pytest.mark.parametrize(("kind", "form"), [("no_slot", "absurd"), ("task_moderated", "json")])
def test_forms_are_checked(kind, form):
    with pytest.raises(ValueError, match="allowed here"):
        Fault("avatars.video", kind, form=form)

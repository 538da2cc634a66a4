"""/tasks and /scheduler: the life of a task, the history, forgetting and deleting."""

from __future__ import annotations

from datetime import datetime

import httpx
import pytest

from kling_async.emulator import EmulatedAccount, Emulator, EmulatorClock

HEARD = {
    "imageUrl": "https://pictures.example/ada.png",
    "audioUrl": "https://sounds.example/ada.mp3",
}
TWO = ["a@x.org", "b@x.org"]


async def start(client: httpx.AsyncClient, **fields: object) -> int:
    reply = await client.post("/avatars/video", json={**HEARD, "maxJobs": 50, **fields})
    assert reply.status_code == 200, reply.text
    return reply.json()["task"]["id"]


async def history(client: httpx.AsyncClient, **query: object) -> list[int]:
    reply = await client.get("/tasks", params={name: str(value) for name, value in query.items()})
    assert reply.status_code == 200, reply.text
    return [entry["task"]["id"] for entry in reply.json()["history"]]


async def test_a_life(connect):
    emulator = Emulator(job_s=100, clock=EmulatorClock(start_ms=1_780_000_000_000))
    async with connect(emulator) as client:
        number = await start(client)
        seen = []
        for advance_s in (0, 50, 49, 2):
            emulator.clock.advance(advance_s)
            reply = await client.get(f"/tasks/{number}/")
            assert reply.status_code == 200
            seen.append(reply.json())
    assert [one["status_name"] for one in seen] == [
        "submitted",
        "processing",
        "processing",
        "succeed",
    ]
    assert [one["status_final"] for one in seen] == [False, False, False, True]
    assert (seen[0]["status"], seen[3]["status"]) == (5, 99)
    for one in seen:
        assert one["task"]["id"] == number
        for key in ("status", "status_name", "status_final"):
            assert one["task"][key] == one[key]
        for key in ("etaTime", "queuingEtaTime", "originEtaTime", "originQueuingEtaTime"):
            assert isinstance(one[key], int)
    assert [len(one["works"]) for one in seen] == [0, 0, 0, 1]
    assert seen[0]["etaTime"] > seen[1]["etaTime"] > seen[3]["etaTime"] == 0
    updates = [one["task"]["updateTime"] - one["task"]["createTime"] for one in seen]
    assert updates == [0, 20_000, 20_000, 100_000]
    (work,) = seen[3]["works"]
    assert (work["taskId"], work["contentType"], work["status_final"]) == (number, "video", True)
    assert work["resource"]["duration"] == 5000
    assert (work["resource"]["width"], work["resource"]["height"]) == (720, 720)
    assert work["createTime"] == seen[3]["task"]["createTime"]
    assert work["taskInfo"] == seen[3]["task"]["taskInfo"]
    (truth,) = emulator.tasks
    assert (truth.state, [one.id for one in truth.works]) == ("succeed", [work["workId"]])


async def test_the_results_can_be_fetched_and_are_videos(connect):
    emulator = Emulator(job_s=60)
    async with connect(emulator) as client:
        numbers = [await start(client) for _ in range(2)]
        early = emulator.tasks[0].planned_works[0].id
        host = client.base_url.copy_with(path="/media/works/")
        assert (await client.get(f"{host}{early}.mp4")).status_code == 404
        emulator.clock.advance(60)
        files = []
        for number in numbers:
            (work,) = (await client.get(f"/tasks/{number}")).json()["works"]
            reply = await client.get(work["resource"]["resource"], headers={"Authorization": ""})
            cover = await client.get(work["cover"]["resource"])
            assert reply.headers["content-type"] == "video/mp4"
            assert cover.content.startswith(b"\x89PNG")
            files.append(reply.content)
        for name in ("1.mp4", "x.mp4", f"{early}0.mp4", "covers/1.png"):
            assert (await client.get(f"{host}{name}")).status_code == 404
    assert all(content[4:8] == b"ftyp" for content in files)
    assert files[0] != files[1]


@pytest.mark.parametrize("number", ["x", "1x", "-1", "1.5", "٣", "9" * 30])
async def test_ids_that_are_no_numbers(in_process, number):
    async with in_process(Emulator()) as client:
        replies = [
            await client.get(f"/tasks/{number}"),
            await client.delete(f"/tasks/{number}"),
            await client.delete(f"/scheduler/{number}"),
        ]
    for reply in replies:
        assert (reply.status_code, reply.json()) == (400, {"error": "Invalid task_id parameter"})


async def test_tasks_belong_to_one_account(connect):
    emulator = Emulator(TWO, job_s=0)
    async with connect(emulator) as client:
        number = await start(client, email="a@x.org")
        for method in ("GET", "DELETE"):
            unnamed = await client.request(method, f"/tasks/{number}")
            foreign = await client.request(method, f"/tasks/{number}?email=b@x.org")
            unknown = await client.request(method, "/tasks/123?email=a@x.org")
            assert (unnamed.status_code, foreign.status_code) == (400, 404)
            assert unknown.status_code == 404
            assert set(unknown.json()) == {"error"}
        assert await history(client, email="b@x.org") == []
        assert await history(client, email="a@x.org") == [number]
        assert (await client.get("/tasks")).status_code == 400


async def test_delete(connect):
    emulator = Emulator(job_s=60)
    async with connect(emulator) as client:
        number = await start(client)
        early = await client.delete(f"/tasks/{number}")
        emulator.clock.advance(60)
        (work,) = (await client.get(f"/tasks/{number}")).json()["works"]
        deleted = await client.delete(f"/tasks/{number}")
        again = await client.delete(f"/tasks/{number}")
        gone = await client.get(f"/tasks/{number}")
        file = await client.get(work["resource"]["resource"])
        assert await history(client) == []
    assert (early.status_code, set(early.json())) == (404, {"error"})
    assert deleted.json() == {"deleted": 1, "workIds": [work["workId"]]}
    assert again.status_code == gone.status_code == file.status_code == 404
    (truth,) = emulator.tasks
    assert (truth.deleted, truth.credits > 0) == (True, True)


async def test_a_task_may_show_late(connect):
    emulator = Emulator(job_s=100, task_visible_after_s=10)
    async with connect(emulator) as client:
        number = await start(client)
        assert (await client.get(f"/tasks/{number}")).status_code == 404
        assert await history(client) == [number]
        emulator.clock.advance(10)
        assert (await client.get(f"/tasks/{number}")).status_code == 200


# History


async def filled(client: httpx.AsyncClient, emulator: Emulator, count: int) -> list[int]:
    """Tasks a second apart, newest first."""
    numbers = []
    for _ in range(count):
        numbers.append(await start(client))
        emulator.clock.advance(1)
    return numbers[::-1]


async def test_history_is_newest_first_and_pages_by_time(in_process):
    emulator = Emulator(job_s=0)
    async with in_process(emulator) as client:
        made = await filled(client, emulator, 25)
        assert await history(client) == made[:20]
        assert await history(client, pageSize=7) == made[:7]
        times = {task.id: task.create_time_ms for task in emulator.tasks}
        assert await history(client, pageSize=7, createdBefore=times[made[6]]) == made[7:14]
        assert await history(client, createdAfter=times[made[3]]) == made[:3]
        assert await history(client, createdBefore=0) == []
        assert await history(client, contentType="video") == made[:20]
        assert await history(client, contentType="audio") == []
        entry = (await client.get("/tasks?pageSize=1")).json()["history"][0]
        record = (await client.get(f"/tasks/{made[0]}")).json()
    assert entry == record


async def test_history_bounds_may_be_inclusive(in_process):
    emulator = Emulator(job_s=0, history_inclusive=True)
    async with in_process(emulator) as client:
        made = await filled(client, emulator, 4)
        times = {task.id: task.create_time_ms for task in emulator.tasks}
        assert await history(client, createdBefore=times[made[1]]) == made[1:]
        assert await history(client, createdAfter=times[made[1]]) == made[:2]


async def test_a_page_is_cut_at_a_hundred(in_process):
    emulator = Emulator([EmulatedAccount("a@x.org", max_jobs=50)], job_s=0)
    async with in_process(emulator) as client:
        made = await filled(client, emulator, 105)
        assert await history(client, pageSize=1000) == made[:100]


@pytest.mark.parametrize(
    "query",
    [
        "createdBefore=5&createdAfter=4",
        "createdBefore=x",
        "createdAfter=-1",
        "createdBefore=1.5",
        "pageSize=0",
        "pageSize=many",
        "contentType=text",
    ],
)
async def test_history_filters_that_make_no_sense(in_process, query):
    async with in_process(Emulator()) as client:
        reply = await client.get(f"/tasks?{query}")
    assert reply.status_code == 400
    assert set(reply.json()) == {"error"}


async def test_history_lag_limit_and_disorder(in_process):
    late = Emulator(job_s=0, history_lag_s=30)
    cut = Emulator(job_s=0, history_limit=3)
    shuffled = Emulator(job_s=0, history_shuffled=True)
    for emulator in (late, cut, shuffled):
        async with in_process(emulator) as client:
            made = await filled(client, emulator, 8)
            seen = await history(client)
            if emulator is cut:
                assert seen == made[:3]
                assert await history(client, createdBefore=10**14, pageSize=2) == made[:2]
            elif emulator is shuffled:
                assert seen != made
                assert sorted(seen) == sorted(made)
            else:
                assert seen == []
                emulator.clock.advance(25)
                assert seen != await history(client) == made[-4:]


async def test_history_of_works_alone(in_process):
    emulator = Emulator(job_s=10, history_works_only=True)
    async with in_process(emulator) as client:
        number = await start(client)
        assert (await client.get("/tasks")).json() == {"history": []}
        emulator.clock.advance(10)
        (entry,) = (await client.get("/tasks")).json()["history"]
    assert set(entry) == {"works"}
    assert entry["works"][0]["taskId"] == number
    assert entry["works"][0]["taskInfo"]["inputs"][0]["url"] == HEARD["imageUrl"]


async def test_inputs_may_be_rehosted(connect):
    emulator = Emulator(rehost_inputs=True)
    async with connect(emulator) as client:
        number = await start(client)
        record = (await client.get(f"/tasks/{number}")).json()
        inputs = [one["url"] for one in record["task"]["taskInfo"]["inputs"]]
        fetched = [(await client.get(url)).status_code for url in inputs]
    assert not set(inputs) & set(HEARD.values())
    assert fetched == [200, 200]
    assert set(emulator.tasks[0].input_urls) == set(HEARD.values())


# Scheduler


async def test_the_scheduler_shows_what_runs(connect):
    emulator = Emulator(TWO, job_s=600, clock=EmulatorClock(start_ms=1_780_000_000_000))
    async with connect(emulator) as client:
        assert (await client.get("/scheduler")).json() == []
        hook = "http://127.0.0.1:9/hook"
        first = await start(client, email="a@x.org", replyRef="one", replyUrl=hook)
        emulator.clock.advance(125)
        second = await start(client, email="b@x.org")
        running = (await client.get("/scheduler")).json()
        available = (await client.get("/scheduler/available/")).json()
        emulator.clock.advance(480)
        later = (await client.get("/scheduler")).json()
        emulator.clock.advance(600)
        assert (await client.get("/scheduler")).json() == []
    one, two = running
    assert (one["id"], one["email"]) == (first, "a@x.org")
    assert one["elapsed"] in ("02:05", "02:06")  # a busy machine takes its time
    assert (one["replyUrl"], one["replyRef"]) == (hook, "one")
    started = datetime.fromisoformat(one["started"].replace("Z", "+00:00")).timestamp()
    assert round(started * 1000) == emulator.tasks[0].create_time_ms
    assert two["id"] == second
    assert two["elapsed"] in ("00:00", "00:01")
    assert set(two) == {"id", "email", "started", "elapsed"}
    assert [one["id"] for one in available["executing"]] == [first, second]
    assert available["available"] == [
        {"email": email, "maxJobs": 5, "executing": 1, "available": 4} for email in TWO
    ]
    assert [one["id"] for one in later] == [second]
    assert later[0]["elapsed"] in ("08:00", "08:01")


async def test_forgetting_frees_the_slot_and_the_job_runs_on(connect):
    emulator = Emulator([EmulatedAccount("a@x.org", max_jobs=1)], job_s=600)
    async with connect(emulator) as client:
        number = await start(client, maxJobs=None)
        gone = await client.delete(f"/scheduler/{number}")
        again = await client.delete(f"/scheduler/{number}")
        assert (await client.get("/scheduler")).json() == []
        other = await start(client, maxJobs=None)
        emulator.clock.advance(600)
        record = (await client.get(f"/tasks/{number}")).json()
        over = await client.delete(f"/scheduler/{other}")
    assert gone.status_code == 200
    assert gone.text == "Task was successfully canceled."
    assert not gone.headers["content-type"].startswith("application/json")
    assert again.status_code == over.status_code == 404
    assert again.json() == {"error": f"Unable to locate running task_id {number}"}
    assert record["status_name"] == "succeed"
    assert [task.forgotten for task in emulator.tasks] == [True, False]


async def test_more_than_the_account_allows_leaves_none_and_no_fewer(in_process):
    emulator = Emulator([EmulatedAccount("a@x.org", max_jobs=1)], job_s=600)
    async with in_process(emulator) as client:
        for _ in range(3):
            await start(client, maxJobs=50)
        (one,) = (await client.get("/scheduler/available")).json()["available"]
    assert (one["executing"], one["available"]) == (3, 0)


async def test_the_scheduler_may_lag(in_process):
    emulator = Emulator(job_s=600, scheduler_lag_s=20)
    async with in_process(emulator) as client:
        number = await start(client)
        assert (await client.get("/scheduler")).json() == []
        assert (await client.get("/scheduler/available")).json()["executing"] == []
        emulator.clock.advance(20)
        assert [one["id"] for one in (await client.get("/scheduler")).json()] == [number]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/avatars/video"),
        ("POST", "/tts/create"),
        ("GET", "/tasks"),
        ("GET", "/tasks/1"),
        ("DELETE", "/tasks/1"),
        ("GET", "/scheduler"),
        ("GET", "/scheduler/available"),
        ("DELETE", "/scheduler/1"),
    ],
)
async def test_no_route_without_a_token(in_process, method, path):
    async with in_process(Emulator(), headers={}) as client:
        reply = await client.request(method, path)
    assert (reply.status_code, reply.json()) == (401, {"error": "Unauthorized", "code": 401})

"""Long runs: without records, memory grows by what exists and by nothing else."""

from __future__ import annotations

import gc
import json
import tracemalloc

from kling_async.emulator import Emulator, Fault
from kling_async.emulator.messages import Request

HEADERS = (("authorization", "Bearer user:1-a"), ("content-type", "application/json"))
HEARD = json.dumps({"imageUrl": "https://p.example/a.png", "audioUrl": "https://p.example/a.mp3"})


def ask(emulator: Emulator, method: str, path: str, body: str = "") -> dict[str, object]:
    """One request without any transport."""
    request = Request.parse(
        method, f"/v1/kling{path}", HEADERS, body.encode(), origin="http://emulator.local"
    )
    delivery = emulator.receive(request).work()
    assert delivery.reply is not None
    return json.loads(delivery.reply.body) if delivery.reply.body else {}


def test_requests_that_make_nothing_leave_nothing():
    emulator = Emulator(record_calls=False, job_s=0, faults=[Fault("tts.voices", "html_200", p=0)])
    task_id = ask(emulator, "POST", "/avatars/video", HEARD)["task"]["id"]
    work_id = emulator.tasks[0].works[0].id
    paths = (
        ("GET", f"/tasks/{task_id}"),
        ("GET", "/tasks"),
        ("GET", "/assets"),
        ("GET", f"/assets/download?workIds={work_id}"),
        ("GET", "/scheduler/available"),
        ("GET", "/tts/voices"),
        ("GET", "/nowhere"),
        ("DELETE", "/tasks/1"),
        ("POST", "/avatars/video"),  # a 400
    )

    def round_trip(times: int) -> None:
        for _ in range(times):
            for method, path in paths:
                ask(emulator, method, path)

    round_trip(20)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        round_trip(300)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    # 2,700 requests. About 25 KB stay with caches of the interpreter, however many follow.
    assert grown < 50_000
    assert emulator.counts["tasks.get"] == 320
    assert len(emulator.tasks) == 1


def test_a_task_costs_about_a_kilobyte_once_it_is_over():
    emulator = Emulator(record_calls=False, job_s=0)
    ask(emulator, "POST", "/avatars/video", HEARD)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(500):
            ask(emulator, "POST", "/avatars/video", HEARD)
        gc.collect()
        each = (tracemalloc.get_traced_memory()[0] - before) / 500
    finally:
        tracemalloc.stop()
    assert each < 2_500

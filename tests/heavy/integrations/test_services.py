"""The example services on real servers, against the emulator over sockets, when things go wrong.

Ground truth is the emulator's: which avatars and jobs were really made, and for whom. Nothing may
be lost (each job of ours has its own) and nothing doubled (there is none beside them).
KLING_OUTAGE_S=30 in the environment makes the vendor's outage that long.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
from services import SPEAKER, TOKEN, Service, free_port, running, until

from kling_async.bulk.sqlite import read_ledger
from kling_async.emulator import EmulatedAccount, Emulator, Fault, sample_png

KINDS = ["fastapi", "aiohttp"]
HELD_S = 600.0  # until the test moves the emulator's clock; so no machine is too slow for it
OUTAGE_S = float(os.environ.get("KLING_OUTAGE_S", "3"))


def make_emulator(**options: Any) -> Emulator:
    account = EmulatedAccount("demo@example.com", max_jobs=50)
    return Emulator([account], token=TOKEN, **{"job_s": 0.5, **options})


def check_truth(emulator: Emulator, jobs: list[dict[str, Any]]) -> None:
    """Each job has an avatar and a task of its own, and there are no others."""
    assert [one["state"] for one in jobs] == ["done"] * len(jobs)
    assert sorted(one["avatar_id"] for one in jobs) == sorted(one.id for one in emulator.avatars)
    assert sorted(one["task_id"] for one in jobs) == sorted(one.id for one in emulator.tasks)


async def in_ledger(folder: Path) -> list[tuple[str, ...]]:
    """The states of each job's two steps, as the service's ledger keeps them."""
    async with read_ledger(folder / "kling.sqlite") as book:
        return sorted([tuple(one.state for one in row.steps) async for row in book.rows()])


def check_output(service: Service) -> None:
    for secret in (TOKEN.encode(), b"demo@example.com", b"demo%40example", b"Traceback"):
        assert secret not in service.output, service.output.decode()
    assert not re.search(rb"/kling-webhook/[A-Za-z0-9_-]", service.output)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_portrait_becomes_a_video(kind: str, tmp_path: Path) -> None:
    emulator = make_emulator()
    async with emulator.serve() as base_url, running(kind, tmp_path, base_url) as service:
        first, again = await asyncio.gather(service.post("order-1"), service.post("order-1"))
        assert [first.status_code, again.status_code] == [202, 202]
        assert first.json()["id"] == again.json()["id"]
        assert (await service.post("order-1", "Something else")).status_code == 409
        assert (await service.post("order-2", "")).status_code == 422
        job = await service.final(first.json()["id"])
        video = await service.http.get(f"/jobs/{job['id']}/video")
        assert video.headers["content-type"] == "video/mp4"
        assert video.content[4:8] == b"ftyp"
        unknown = await service.http.get("/jobs/unknown")
        bad = await service.http.post(
            "/jobs",
            headers={"Idempotency-Key": "order-2"},
            files={"portrait": ("a.png", b"no image")},
            data={"text": "x", "speaker_id": SPEAKER},
        )
        assert (unknown.status_code, bad.status_code) == (404, 422)
        assert bad.json()["detail"][0]["loc"] == ["body", "portrait"]
        assert await service.end() in (0, -signal.SIGTERM)
    check_truth(emulator, [job])
    check_output(service)
    assert {one.status for one in emulator.webhooks} == {204}


@pytest.mark.heavy
@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_that_disconnects_loses_nothing(kind: str, tmp_path: Path) -> None:
    emulator = make_emulator(latency_s=0.3)
    async with emulator.serve() as base_url, running(kind, tmp_path, base_url) as service:
        request = service.http.build_request(
            "POST",
            "/jobs",
            headers={"Idempotency-Key": "order-1"},
            files={"portrait": ("ada.png", sample_png())},
            data={"text": "Hello!", "speaker_id": SPEAKER},
        )
        netloc = urllib.parse.urlsplit(service.url).netloc
        lines = [f"POST /jobs HTTP/1.1\r\nHost: {netloc}"]
        lines += [f"{name}: {value}" for name, value in request.headers.items() if name != "host"]
        for _ in range(3):  # rude three times over
            _, writer = await asyncio.open_connection("127.0.0.1", service.port)
            writer.write("\r\n".join([*lines, "", ""]).encode() + request.read())
            await writer.drain()
            writer.transport.abort()
        answer = await service.http.send(request)
        job = await service.final(answer.json()["id"])
    check_truth(emulator, [job])


@pytest.mark.heavy
@pytest.mark.parametrize("kind", KINDS)
async def test_an_outage_of_the_vendor_is_sat_out(kind: str, tmp_path: Path) -> None:
    """Whatever came before it, was under way when it began, or is asked for while it lasts."""
    late = Fault("avatars.create", "latency", delay_s=HELD_S, after_work=True, at=range(2, 7))
    emulator, port = make_emulator(faults=[late]), free_port()
    base_url = f"http://127.0.0.1:{port}/v1/kling"
    async with running(kind, tmp_path, base_url) as service:
        async with emulator.serve(port=port):
            done = await service.final((await service.post("before")).json()["id"])
            begun = [(await service.post(f"under-way-{one}")).json()["id"] for one in range(5)]
            await until(lambda: len(emulator.avatars) == 6)  # made, but not answered
        begun += [(await service.post(f"during-{one}")).json()["id"] for one in range(5)]
        await asyncio.sleep(OUTAGE_S)
        assert len(emulator.avatars) == 6
        async with emulator.serve(port=port):
            jobs = [await service.final(one, OUTAGE_S * 2 + 60) for one in begun]
    check_truth(emulator, [done, *jobs])


@pytest.mark.heavy
@pytest.mark.parametrize("stage", ["avatars", "videos"])
@pytest.mark.parametrize("kind", KINDS)
async def test_sigterm_with_ten_creates_in_flight(kind: str, stage: str, tmp_path: Path) -> None:
    """It ends within its time, and the next start finds everything: nothing lost or doubled."""
    operation = {"avatars": "avatars.create", "videos": "avatars.video"}[stage]
    emulator = make_emulator(faults=[Fault(operation, "latency", delay_s=HELD_S)])
    async with emulator.serve() as base_url, running(kind, tmp_path, base_url) as service:
        answers = await asyncio.gather(*(service.post(f"order-{one}") for one in range(10)))
        ids = [one.json()["id"] for one in answers]
        await until(lambda: emulator.counts[operation] == 10)
        state = {"avatars": ("intent", "planned"), "videos": ("done", "intent")}[stage]
        assert await in_ledger(tmp_path) == [state] * 10
        ending = asyncio.create_task(service.end())
        await until(lambda: not service.listens())
        assert len(emulator.avatars if stage == "avatars" else emulator.tasks) == 0
        emulator.clock.advance(HELD_S)  # now they are answered
        assert await ending in (0, -signal.SIGTERM)
        check_output(service)
        await service.start()
        jobs = [await service.final(one) for one in ids]
    check_truth(emulator, jobs)
    assert emulator.counts[operation] == 10  # not even tried twice


@pytest.mark.heavy
@pytest.mark.parametrize("stage", ["avatars", "videos"])
@pytest.mark.parametrize("kind", KINDS)
async def test_sigkill_with_ten_creates_in_flight(kind: str, stage: str, tmp_path: Path) -> None:
    """Even that doubles nothing: what was carried out is found, though its answer never came."""
    operation = {"avatars": "avatars.create", "videos": "avatars.video"}[stage]
    emulator = make_emulator(
        job_s={"avatars": 0.5, "videos": HELD_S}[stage],
        faults=[Fault(operation, "latency", delay_s=HELD_S, after_work=True)],
    )
    async with emulator.serve() as base_url, running(kind, tmp_path, base_url) as service:
        answers = await asyncio.gather(*(service.post(f"order-{one}") for one in range(10)))
        ids = [one.json()["id"] for one in answers]
        made = {"avatars": lambda: emulator.avatars, "videos": lambda: emulator.tasks}[stage]
        await until(lambda: len(made()) == 10)
        await service.end(signal.SIGKILL)
        await service.start()
        if stage == "videos":  # found while they run
            while await in_ledger(tmp_path) != [("done", "running")] * 10:
                await asyncio.sleep(0.05)
            emulator.clock.advance(HELD_S)
        jobs = [await service.final(one) for one in ids]
    check_truth(emulator, jobs)
    assert emulator.counts[operation] == 10


@pytest.mark.heavy
async def test_an_order_that_waits_for_its_turn_when_it_ends_is_not_taken_for_sent(
    tmp_path: Path,
) -> None:
    """Two job slots and six videos: four are still to be ordered at SIGTERM."""
    account = EmulatedAccount("demo@example.com", max_jobs=2)
    emulator = Emulator([account], token=TOKEN, job_s=HELD_S)
    async with emulator.serve() as base_url, running("aiohttp", tmp_path, base_url) as service:
        answers = await asyncio.gather(*(service.post(f"order-{one}") for one in range(6)))
        assert {one.status_code for one in answers} == {202}
        await until(lambda: len(emulator.avatars) == 6 and len(emulator.tasks) == 2)
        assert await service.end() == 0
        kept = await in_ledger(tmp_path)
        assert kept == [("done", "ready")] * 4 + [("done", "running")] * 2

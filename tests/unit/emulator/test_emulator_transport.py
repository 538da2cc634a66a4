"""The in-process transport: httpx's timeouts, traces, cancellation, and virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import suppress

import httpx
import pytest

from kling_async.emulator import Emulator, EmulatorTransport, Fault, sample_png

PICTURE = {"imageUrl": "https://pictures.example/ada.png"}


async def test_any_host_will_do_and_media_can_be_fetched(in_process):
    emulator = Emulator()
    async with in_process(emulator) as client:
        reply = await client.post(
            "https://api.useapi.net/v1/kling/assets/",
            content=sample_png(),
            headers={"Content-Type": "image/png"},
        )
        picture = await client.get(reply.json()["url"])
    assert reply.json()["url"].startswith("http://emulator.local/media/")
    assert picture.content == sample_png()
    assert picture.http_version == "HTTP/1.1"
    assert picture.reason_phrase == "OK"


async def test_a_streamed_request_and_a_streamed_answer(in_process):
    async def pieces() -> AsyncGenerator[bytes, None]:
        body = json.dumps(PICTURE).encode()
        yield body[:10]
        yield body[10:]

    emulator = Emulator()
    big = sample_png(width=3000, height=3000) + bytes(300_000)
    async with in_process(emulator) as client:
        assert (await client.post("/avatars", content=pieces())).status_code == 200
        upload = await client.post("/assets", content=big, headers={"Content-Type": "image/png"})
        async with client.stream("GET", upload.json()["url"]) as reply:
            chunks = [chunk async for chunk in reply.aiter_raw()]
    assert emulator.calls[0].fields == PICTURE
    assert len(chunks) > 4
    assert b"".join(chunks) == big


async def test_a_truncated_body_hits_the_reader(connect):
    emulator = Emulator(faults=[Fault("avatars.list", "truncated_body", sent_bytes=1)])
    async with connect(emulator) as client, client.stream("GET", "/avatars") as reply:
        assert reply.status_code == 200
        got = b""
        with pytest.raises(httpx.RemoteProtocolError, match=r"incomplete|without sending"):  # noqa: PT012
            async for chunk in reply.aiter_raw():
                got += chunk
    assert got == b"["


async def test_an_answer_may_be_left_unread(connect):
    emulator = Emulator(faults=[Fault("accounts.list", "slow_loris", interval_s=0.0001, times=1)])
    async with connect(emulator) as client:
        async with client.stream("GET", "/accounts") as reply:
            assert reply.status_code == 200
        assert (await client.get("/accounts")).status_code == 200


async def _steps(client: httpx.AsyncClient) -> list[str]:
    steps: list[str] = []

    async def trace(name: str, info: dict[str, object]) -> None:
        assert isinstance(info, dict)
        steps.append(name)

    with suppress(httpx.TransportError):
        await client.post("/avatars", json=PICTURE, extensions={"trace": trace})
    end = next(
        (
            number
            for number, step in enumerate(steps)
            if step.startswith("http11.receive_response_headers") and not step.endswith("started")
        ),
        len(steps),
    )
    return steps[: end + 1]


@pytest.mark.parametrize(
    "kind", [None, "reset_after", "close_without_reply", "stall", "garbage", "truncated_body"]
)
async def test_traces_are_those_of_a_real_connection(in_process, over_socket, kind):
    seen: list[list[str]] = []
    for way in (in_process, over_socket):
        emulator = Emulator(faults=[Fault("*", kind)] if kind else [])
        read_s = 0.05 if kind == "stall" else 5
        async with way(emulator, timeout=httpx.Timeout(5, read=read_s)) as client:
            seen.append(await _steps(client))
    assert seen[0] == seen[1]
    assert len(seen[0]) == 8


async def test_the_trace_of_a_refused_connection(in_process):
    emulator = Emulator(faults=[Fault("*", "refuse_connection")])
    async with in_process(emulator) as client:
        steps = await _steps(client)
    async with httpx.AsyncClient(base_url="http://127.0.0.1:1", verify=False) as client:
        real = await _steps(client)
    assert steps == real == ["connection.connect_tcp.started", "connection.connect_tcp.failed"]


async def _held_back(step: str, info: dict[str, object]) -> None:
    if step == "http11.send_request_headers.started":
        raise RuntimeError("not now")


@pytest.mark.parametrize(
    "fault", [{"kind": "status", "status": 500, "at": 1}, {"kind": "refuse_connection", "at": 2}]
)
async def test_who_is_held_back_before_the_first_byte_never_arrives(in_process, fault):
    """Nothing is recorded, and no fault counts it, as on a socket."""
    emulator = Emulator(faults=[Fault("avatars.create", **fault)])
    async with in_process(emulator) as client:
        for _ in range(3):
            with pytest.raises(RuntimeError, match="not now"):
                await client.post("/avatars", json=PICTURE, extensions={"trace": _held_back})
        assert emulator.calls == []
        assert emulator.strikes()[0][1] == 0
        ends = [await _end(client) for _ in range(3)]
    assert ends == ([500, 200, 200] if fault["kind"] == "status" else [200, "ConnectError", 200])
    assert len(emulator.calls) == sum(isinstance(one, int) for one in ends)


async def _end(client: httpx.AsyncClient) -> int | str:
    try:
        return (await client.post("/avatars", json=PICTURE)).status_code
    except httpx.TransportError as exc:
        return type(exc).__name__


async def test_a_refused_connection_is_counted_by_every_fault(in_process):
    faults = [
        Fault("avatars.create", "refuse_connection", at=1),
        Fault("avatars.create", "status", status=500, at=2),
        Fault("avatars.create", "refuse_connection", at=2),  # the one before it comes first
    ]
    async with in_process(Emulator(faults=faults)) as client:
        assert [await _end(client) for _ in range(3)] == ["ConnectError", 500, 200]


async def test_a_refusal_that_comes_too_late_resets_the_connection(in_process):
    """Another call arrived meanwhile, so that this one is the second."""
    emulator = Emulator(faults=[Fault("avatars.create", "refuse_connection", at=2)])
    async with in_process(emulator) as client:

        async def overtaken(step: str, info: dict[str, object]) -> None:
            if step == "http11.send_request_headers.started":
                assert (await client.post("/avatars", json=PICTURE)).status_code == 200

        with pytest.raises(httpx.ReadError):
            await client.post("/avatars", json=PICTURE, extensions={"trace": overtaken})
    assert len(emulator.calls) == 1


async def test_the_read_timeout_goes_by_the_clock_of_the_emulator(in_process):
    emulator = Emulator(faults=[Fault("avatars.create", "stall")])
    async with in_process(emulator, timeout=600) as client:
        task = asyncio.create_task(client.post("/avatars", json=PICTURE))
        while not emulator.avatars:
            await asyncio.sleep(0)
        await asyncio.sleep(0.002)
        emulator.clock.advance(599)
        await asyncio.sleep(0.002)
        assert not task.done()
        emulator.clock.advance(1)
        with pytest.raises(httpx.ReadTimeout):
            await task


@pytest.mark.parametrize(
    ("before_s", "after_s", "in_time"),
    [(6, 3, True), (6, 4.5, False), (11, 0, False), (0, 11, False)],
)
async def test_waits_before_and_after_the_work_add_up(in_process, before_s, after_s, in_time):
    fault = Fault("*", "latency", delay_s=after_s, after_work=True)
    emulator = Emulator(latency_s=before_s, faults=[fault])
    async with in_process(emulator, timeout=10) as client:
        task = asyncio.create_task(client.get("/avatars"))
        for _ in range(int(before_s + after_s) + 2):
            for _ in range(10):
                await asyncio.sleep(0)
            emulator.clock.advance(1)
        if in_time:
            assert (await task).status_code == 200
        else:
            with pytest.raises(httpx.ReadTimeout):
                await task


async def test_without_a_timeout_a_stall_lasts(in_process):
    emulator = Emulator(faults=[Fault("*", "stall")])
    async with in_process(emulator, timeout=None) as client:
        task = asyncio.create_task(client.get("/avatars"))
        await asyncio.sleep(0.005)
        emulator.clock.advance(1e6)
        await asyncio.sleep(0.002)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_cancelled_before_it_was_sent(in_process):
    emulator = Emulator()
    async with in_process(emulator) as client:
        task = asyncio.create_task(client.post("/avatars", json=PICTURE))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert emulator.calls == []


async def test_cancelled_while_it_is_worked_on(in_process):
    emulator = Emulator(latency_s=50)
    async with in_process(emulator) as client:
        task = asyncio.create_task(client.post("/avatars", json=PICTURE))
        while not emulator.calls:
            await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert emulator.avatars == []
        emulator.clock.advance(50)
        while not emulator.avatars:
            await asyncio.sleep(0)
    assert emulator.calls[0].status == 200


async def test_every_moment_of_cancellation_is_consistent(in_process):
    """Cancelled after any number of turns: what was not done has left no trace of success."""
    outcomes = set()
    for turns in range(12):
        emulator = Emulator()
        async with in_process(emulator) as client:
            task = asyncio.create_task(client.post("/avatars", json=PICTURE))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            try:
                await task
                got = True
            except asyncio.CancelledError:
                got = False
        outcomes.add((len(emulator.calls), len(emulator.avatars), got))
    assert outcomes == {(0, 0, False), (1, 1, False), (1, 1, True)}


async def test_once_taken_in_it_is_worked_on_whenever_the_sender_goes(in_process):
    for turns in range(6):
        emulator = Emulator(latency_s=50)
        async with in_process(emulator) as client:
            task = asyncio.create_task(client.post("/avatars", json=PICTURE))
            while not emulator.calls:
                await asyncio.sleep(0)
            await asyncio.sleep(0.001)
            emulator.clock.advance(50)
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await asyncio.sleep(0.001)
        assert len(emulator.avatars) == 1


async def test_closing_ends_what_is_waiting(in_process):
    emulator = Emulator(latency_s=50)
    before = asyncio.all_tasks()
    async with in_process(emulator) as client:
        task = asyncio.create_task(client.post("/avatars", json=PICTURE))
        while not emulator.calls:
            await asyncio.sleep(0)
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert asyncio.all_tasks() == before
    emulator.clock.advance(100)
    await asyncio.sleep(0.002)
    assert emulator.avatars == []


async def test_several_clients_share_one_emulator(in_process):
    emulator = Emulator()
    assert isinstance(emulator.transport(), EmulatorTransport)
    async with in_process(emulator) as one, in_process(emulator) as other:
        made = await one.post("/avatars", json=PICTURE)
        (entry,) = (await other.get("/avatars")).json()
    assert entry["id"] == made.json()["id"]


@pytest.mark.looptime
async def test_an_hour_in_virtual_time(in_process):
    emulator = Emulator(latency_s=60, listing_lag_s=1800)
    async with in_process(emulator, timeout=120) as client:
        started_ms = emulator.clock.now_ms()
        await client.post("/avatars", json=PICTURE)
        assert 60_000 <= emulator.clock.now_ms() - started_ms < 61_000
        assert (await client.get("/avatars")).json() == []
        await asyncio.sleep(1800)
        assert len((await client.get("/avatars")).json()) == 1

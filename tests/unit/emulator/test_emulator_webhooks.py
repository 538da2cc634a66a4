"""Callbacks: what they say, when, how often and how wrong; who brings them, and who ends them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
import pytest

from kling_async.emulator import Emulator, Fault, Webhook, Webhooks

HEARD = {
    "imageUrl": "https://pictures.example/ada.png",
    "audioUrl": "https://sounds.example/ada.mp3",
}
NOWHERE = "http://127.0.0.1:9/hook"


async def start(client: httpx.AsyncClient, **fields: object) -> int:
    reply = await client.post(
        "/avatars/video", json={**HEARD, "replyUrl": NOWHERE, "maxJobs": 50, **fields}
    )
    return reply.json()["task"]["id"]


class Hook:
    """An `on_webhook` that remembers."""

    def __init__(self) -> None:
        self.got: list[Webhook] = []

    def __call__(self, webhook: Webhook) -> int:
        self.got.append(webhook)
        return 202

    @property
    def records(self) -> list[dict[str, object]]:
        return [json.loads(webhook.body) for webhook in self.got]

    @property
    def states(self) -> list[object]:
        return [record["status_name"] for record in self.records]


async def let_go(emulator: Emulator, seconds: float = 0.0) -> None:
    """Push the clock and let everybody who is due have a turn."""
    emulator.clock.advance(seconds)
    for _ in range(20):
        await asyncio.sleep(0.0005)


async def told(emulator: Emulator, count: int) -> None:
    """Return once that many callbacks have ended, or fail."""
    for _ in range(5000):
        if len(emulator.webhooks) >= count:
            return
        await asyncio.sleep(0.001)
    raise AssertionError(f"{len(emulator.webhooks)} callbacks instead of {count}")


@asynccontextmanager
async def receiver(
    answer: bytes = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
) -> AsyncGenerator[tuple[str, list[tuple[str, bytes]]], None]:
    """A bare HTTP server; gives its URL, and head and body of all it gets."""
    got: list[tuple[str, bytes]] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        got.append((head, await reader.readexactly(length)))
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/secret/path", got
    finally:
        server.close()
        await server.wait_closed()


async def test_progress_and_result_over_http(connect):
    emulator = Emulator(job_s=100)
    async with connect(emulator) as client, receiver() as (url, got):
        number = await start(client, replyUrl=url, replyRef="order 7")
        await let_go(emulator, 10)
        assert got == []
        for seconds, count in ((15, 1), (80, 2)):
            emulator.clock.advance(seconds)
            await told(emulator, count)
        record = (await client.get(f"/tasks/{number}")).json()
    first, last = [json.loads(body) for _, body in got]
    head = got[0][0]
    assert head.startswith("post /secret/path http/1.1\r\n")
    assert "content-type: application/json\r\n" in head
    assert "authorization" not in head
    assert (first["status_name"], first["works"]) == ("processing", [])
    assert first["replyRef"] == last["replyRef"] == "order 7"
    assert first["task"]["id"] == last["task"]["id"] == number
    assert (last["status_name"], last["status_final"]) == ("succeed", True)
    address = last["works"][0]["resource"]["resource"]
    assert address == record["works"][0]["resource"]["resource"]
    sent = emulator.webhooks
    assert [(one.number, one.task_id, one.state, one.status, one.error) for one in sent] == [
        (1, number, "processing", 204, None),
        (2, number, "succeed", 204, None),
    ]


async def test_only_those_who_ask_are_called(in_process):
    hook = Hook()
    emulator = Emulator(job_s=10, on_webhook=hook)
    async with in_process(emulator) as client:
        await start(client, replyUrl=None)
        await start(client, replyUrl="", replyRef="x")
        before = len(asyncio.all_tasks())
        await start(client)
        assert len(asyncio.all_tasks()) == before + 1
        await let_go(emulator, 20)
        assert len(asyncio.all_tasks()) == before
    assert len(hook.got) == 2
    assert all("replyRef" not in record for record in hook.records)
    assert [webhook.status for webhook in emulator.webhooks] == [202, 202]
    assert hook.got[0].url == NOWHERE


async def test_a_hook_may_be_async_and_may_fail(in_process):
    calls: list[int] = []

    async def hook(webhook: Webhook) -> None:
        await asyncio.sleep(0)
        calls.append(webhook.number)
        if webhook.number == 1:
            raise RuntimeError("busy")

    emulator = Emulator(job_s=10, on_webhook=hook)
    async with in_process(emulator) as client:
        await start(client)
        await let_go(emulator, 20)
    assert calls == [1, 2]
    assert [(one.status, one.error) for one in emulator.webhooks] == [(None, "busy"), (None, None)]


@pytest.mark.looptime
async def test_the_moments_in_virtual_time(in_process):
    times: list[tuple[float, str]] = []
    emulator = Emulator(
        job_s=100,
        webhooks=Webhooks(progress=4, delay_s=5),
        on_webhook=lambda webhook: times.append((emulator.clock.monotonic(), webhook.state)),
    )
    async with in_process(emulator) as client:
        started_s = emulator.clock.monotonic()
        await start(client)
        await asyncio.sleep(200)
    seen = [(round(at_s - started_s), state) for at_s, state in times]
    assert seen == [
        (25, "processing"),
        (45, "processing"),
        (65, "processing"),
        (85, "processing"),
        (105, "succeed"),
    ]


@pytest.mark.parametrize(
    ("text", "states"),
    [
        ("", ["processing", "succeed"]),
        ("progress=0", ["succeed"]),
        ("twice", ["processing", "processing", "succeed", "succeed"]),
        ("reversed", ["succeed", "processing"]),
        ("reversed,copies=2", ["succeed", "succeed", "processing", "processing"]),
        ("off", []),
    ],
)
async def test_how_often_and_in_which_order(in_process, text, states):
    hook = Hook()
    emulator = Emulator(job_s=10, webhooks=text, on_webhook=hook)
    async with in_process(emulator) as client:
        await start(client)
        await let_go(emulator, 5)
        if "reversed" in text:
            assert hook.got == []  # what has not happened can't be told first
        await let_go(emulator, 10)
    assert hook.states == states


async def test_shuffled(in_process):
    hook = Hook()
    emulator = Emulator(job_s=10, webhooks="shuffled,progress=9", on_webhook=hook)
    async with in_process(emulator) as client:
        for _ in range(4):
            await start(client)
        await let_go(emulator, 20)
    etas = [record["etaTime"] for record in hook.records]
    assert len(etas) == 40
    assert etas != sorted(etas, reverse=True)
    assert hook.states[9::10] != ["succeed"] * 4


@pytest.mark.parametrize(("text", "known"), [("unknown_task", False), ("other_task", True)])
async def test_about_the_wrong_task(in_process, text, known):
    hook = Hook()
    emulator = Emulator(job_s=10, webhooks=text, on_webhook=hook)
    async with in_process(emulator) as client:
        other = await start(client, replyUrl=None)
        number = await start(client)
        await let_go(emulator, 20)
    ids = {record["task"]["id"] for record in hook.records}
    assert len(ids) == 1
    assert number not in ids
    assert (ids == {other}) == known
    assert {webhook.task_id for webhook in emulator.webhooks} == {number}


@pytest.mark.parametrize(
    ("text", "size", "content_type"),
    [
        ("broken", range(100, 5000), "application/json"),
        ("empty", range(1), "application/json"),
        ("huge", range(8 * 1024 * 1024, 9 * 1024 * 1024), "application/json"),
        ("content_type=text/plain", range(100, 5000), "text/plain"),
    ],
)
async def test_bodies_that_are_wrong(in_process, text, size, content_type):
    emulator = Emulator(job_s=10, webhooks=text)
    answer = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    async with in_process(emulator) as client, receiver(answer) as (url, got):
        await start(client, replyUrl=url)
        emulator.clock.advance(20)
        await told(emulator, 2)
    head, body = got[0]
    assert len(body) in size
    assert f"content-type: {content_type}\r\n" in head
    (first, _) = emulator.webhooks
    assert (first.status, first.body_size_bytes) == (500, len(body))
    assert first.body == body[: 64 * 1024]
    if text == "broken":
        with pytest.raises(json.JSONDecodeError):
            json.loads(body)


@pytest.mark.parametrize(
    "url", ["http://hooks.example/a", "https://10.0.0.1/a", "http://0.0.0.0/a", "http://[::2]/a"]
)
async def test_beyond_loopback_nothing_is_sent(in_process, url):
    emulator = Emulator(job_s=10)
    async with in_process(emulator) as client:
        await start(client, replyUrl=url)
        await let_go(emulator, 20)
    assert [(one.status, one.error) for one in emulator.webhooks] == [
        (None, "not sent: the receiver is not on loopback")
    ] * 2


async def test_beyond_loopback_when_asked(in_process, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # never gone through
    emulator = Emulator(job_s=10, webhooks="anywhere")
    async with in_process(emulator) as client, receiver() as (url, got):
        await start(client, replyUrl=url.replace("127.0.0.1", "0.0.0.0"))  # any of this machine's
        emulator.clock.advance(20)
        await told(emulator, 2)
    assert len(got) == 2
    assert [webhook.status for webhook in emulator.webhooks] == [204, 204]


async def test_nobody_listens(in_process):
    emulator = Emulator(job_s=10)
    async with in_process(emulator) as client:
        await start(client)
        emulator.clock.advance(20)
        await told(emulator, 2)
    assert all(one.error and one.status is None for one in emulator.webhooks)


async def test_forgotten_deleted_and_lost_tasks_are_not_told_of(in_process):
    hook = Hook()
    emulator = Emulator(
        job_s=100, on_webhook=hook, faults=[Fault("avatars.video", "task_lost", at=2)]
    )
    async with in_process(emulator) as client:
        forgotten, lost, fine = [await start(client) for _ in range(3)]
        await let_go(emulator, 30)
        await client.delete(f"/scheduler/{forgotten}")
        await let_go(emulator, 100)
    told = sorted(webhook.task_id for webhook in hook.got)
    assert told == sorted([forgotten, lost, fine, fine])


async def test_tracking_ends_after_an_hour(in_process):
    hook = Hook()
    emulator = Emulator(job_s=4000, on_webhook=hook, webhooks="progress=4")
    hanging = Emulator(job_s=float("inf"), on_webhook=hook)
    async with in_process(emulator) as client, in_process(hanging) as other:
        await start(client)
        await start(other)
        for one in (emulator, hanging):
            await let_go(one, 3999)
            await let_go(one, 10_000)
    assert hook.states == ["processing"] * 5


async def test_failures_are_told_too(in_process):
    hook = Hook()
    emulator = Emulator(
        job_s=10, on_webhook=hook, faults=[Fault("avatars.video", "task_moderated")]
    )
    async with in_process(emulator) as client:
        await start(client)
        await let_go(emulator, 20)
    assert hook.states == ["processing", "failed"]
    assert "CM_EXT" in hook.records[1]["message"]


async def test_a_create_whose_answer_got_lost_is_called_back(connect):
    hook = Hook()
    faults = [Fault("avatars.video", "reset_after", at=1)]
    emulator = Emulator(job_s=10, on_webhook=hook, faults=faults)
    async with connect(emulator) as client:
        with pytest.raises(httpx.ReadError):
            await start(client)
        await let_go(emulator, 20)
    assert hook.states == ["processing", "succeed"]


async def test_whoever_took_the_request_in_ends_its_webhooks(connect):
    hook = Hook()
    emulator = Emulator(job_s=10, on_webhook=hook, latency_s=0.001)
    before = asyncio.all_tasks()
    async with connect(emulator) as client:
        await start(client)
    assert asyncio.all_tasks() == before
    await let_go(emulator, 20)
    assert hook.got == []


async def test_a_receiver_that_hangs_is_left_behind(connect):
    started = asyncio.Event()

    async def hook(webhook: Webhook) -> None:
        started.set()
        await asyncio.Event().wait()

    emulator = Emulator(job_s=10, on_webhook=hook)
    before = asyncio.all_tasks()
    async with connect(emulator) as client:
        await start(client)
        emulator.clock.advance(20)
        await asyncio.wait_for(started.wait(), 30)
    assert asyncio.all_tasks() == before
    assert emulator.webhooks == []


async def test_reset_brings_nothing_more(in_process):
    hook = Hook()
    emulator = Emulator(job_s=10, on_webhook=hook)
    async with in_process(emulator) as client:
        await start(client)
        await let_go(emulator, 5)
        emulator.reset()
        await let_go(emulator, 20)
    assert len(hook.got) == 1
    assert emulator.webhooks == []


async def test_kept_records_are_limited(in_process):
    for keep, numbers in ((False, []), (3, [2, 3, 4])):
        emulator = Emulator(job_s=1, on_webhook=Hook(), record_calls=keep)
        async with in_process(emulator) as client:
            for _ in range(2):
                await start(client)
            await let_go(emulator, 5)
        assert [webhook.number for webhook in emulator.webhooks] == numbers


async def test_the_state_page_shows_them(in_process):
    emulator = Emulator(job_s=1, on_webhook=Hook())
    async with in_process(emulator) as client:
        number = await start(client, replyRef="x")
        await let_go(emulator, 5)
        page = client.base_url.copy_with(path="/_emulator/state")
        state = (await client.get(page)).json()
    assert [one["state"] for one in state["webhooks"]] == ["processing", "succeed"]
    (task,) = state["tasks"]
    assert (task["id"], task["state"], task["reply_ref"]) == (number, "succeed", "x")
    assert len(task["works"]) == 1


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", Webhooks()),
        (" twice , shuffled ", Webhooks(copies=2, order="shuffled")),
        ("on", Webhooks()),
        ("off", Webhooks(off=True)),
        ("progress=0,delay_s=1.5,huge", Webhooks(progress=0, delay_s=1.5, body="huge")),
        ("order=reversed,anywhere=true", Webhooks(order="reversed", anywhere=True)),
        ("content_type=text/html", Webhooks(content_type="text/html")),
    ],
)
def test_options_in_a_text(text, options):
    assert Webhooks.parse(text) == options


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("thrice", "know no 'thrice'; allowed: on, off, twice"),
        ("twice,copies=3", "copies is set twice"),
        ("copies", "know no 'copies'"),
        ("copies=0", "copies"),
        ("copies=x", "copies must be a number"),
        ("delay_s=-1", "delay_s must be 0 or more"),
        ("delay_s=inf", "delay_s must be 0 or more"),
        ("order=up", "order"),
        ("body=", "body"),
        ("anywhere=maybe", "anywhere must be true or false"),
    ],
)
def test_options_that_make_no_sense(text, said):
    with pytest.raises(ValueError, match=r"webhooks|must be|in") as caught:
        Emulator(webhooks=text)
    assert said in str(caught.value)

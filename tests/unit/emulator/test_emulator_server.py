"""The real server, spoken to byte by byte: HTTP's rules, broken connections, a clean end."""

from __future__ import annotations

import asyncio
import gc
import json
import shutil
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import httpx
import pytest

from kling_async.emulator import Emulator, Fault, connection, run_server, sample_png

AUTH = "Authorization: Bearer user:1-a\r\n"
PICTURE = {"imageUrl": "https://pictures.example/ada.png"}
BODY = json.dumps(PICTURE).encode()


def get(path: str = "/v1/kling/avatars", *, more: str = "", version: str = "1.1") -> bytes:
    return f"GET {path} HTTP/{version}\r\nHost: emulator\r\n{AUTH}{more}\r\n".encode()


def create(more: str = "") -> bytes:
    head = f"POST /v1/kling/avatars HTTP/1.1\r\nHost: emulator\r\n{AUTH}{more}"
    return f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY


class Wire:
    """A raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self) -> tuple[int, dict[str, str], bytes]:
        """One framed answer."""
        raw = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 30)
        head = raw.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(head[0].split()[1]), headers, body

    async def rest(self) -> bytes:
        """All that comes until the end."""
        async with _deadline():
            return await self.reader.read()


@asynccontextmanager
async def _deadline() -> AsyncGenerator[None, None]:
    task = asyncio.current_task()
    assert task is not None
    timer = asyncio.get_running_loop().call_later(5, task.cancel)
    yield
    timer.cancel()


@asynccontextmanager
async def wired(emulator: Emulator) -> AsyncGenerator[Wire, None]:
    async with emulator.serve() as base_url, wire_to(base_url) as wire:
        yield wire


@asynccontextmanager
async def wire_to(base_url: str) -> AsyncGenerator[Wire, None]:
    parts = urlsplit(base_url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def test_the_base_url():
    async with Emulator().serve() as base_url:
        parts = urlsplit(base_url)
        assert (parts.scheme, parts.hostname, parts.path) == ("http", "127.0.0.1", "/v1/kling")
        assert parts.port


async def test_keep_alive():
    async with wired(Emulator()) as wire:
        for _ in range(3):
            await wire.send(create())
            status, headers, body = await wire.reply()
            assert (status, headers.get("connection")) == (200, None)
            assert json.loads(body)["status"] == "SUCCESS"


async def test_pipelining_answers_in_order():
    emulator = Emulator()
    async with wired(emulator) as wire:
        await wire.send(create() + get() + get("/v1/kling/nowhere") + get("/v1/kling/accounts"))
        statuses = [(await wire.reply())[0] for _ in range(4)]
    assert statuses == [200, 200, 404, 200]
    assert [call.number for call in emulator.calls] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "request_bytes",
    [
        get(version="1.0"),
        get(more="Connection: close\r\n"),
        get(version="1.0").replace(b"Host", b"X"),
    ],
)
async def test_old_or_closing_clients_get_one_answer(request_bytes):
    async with wired(Emulator()) as wire:
        await wire.send(request_bytes)
        status, headers, body = await wire.reply()
        assert (status, headers["connection"], body) == (200, "close", b"[]")
        assert await wire.rest() == b""


async def test_a_client_that_half_closes_still_gets_its_answer():
    async with wired(Emulator()) as wire:
        await wire.send(get())
        wire.writer.write_eof()
        assert (await wire.rest()).endswith(b"\r\n\r\n[]")


async def test_bytes_may_come_one_by_one():
    async with wired(Emulator()) as wire:
        for byte in create():
            await wire.send(bytes([byte]))
        assert (await wire.reply())[0] == 200


async def test_a_chunked_request():
    emulator = Emulator()
    head = create().partition(b"Content-Length")[0] + b"Transfer-Encoding: chunked\r\n\r\n"
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in (BODY[:5], BODY[5:]))
    async with wired(emulator) as wire:
        await wire.send(head + chunks)
        await asyncio.sleep(0.002)
        assert emulator.calls == []
        await wire.send(b"0\r\n\r\n")
        assert (await wire.reply())[0] == 200
    assert emulator.calls[0].fields == PICTURE


async def test_expect_100_continue():
    request = create("Expect: 100-continue\r\n")
    async with wired(Emulator()) as wire:
        await wire.send(request.removesuffix(BODY))
        assert (
            await asyncio.wait_for(wire.reader.readuntil(b"\r\n\r\n"), 30)
            == b"HTTP/1.1 100 \r\n\r\n"
        )
        await wire.send(BODY)
        assert (await wire.reply())[0] == 200


async def test_a_body_announced_too_large_is_not_waited_for():
    size = connection.MAX_BODY_BYTES + 1
    head = f"POST /v1/kling/assets/ HTTP/1.1\r\nHost: e\r\n{AUTH}Content-Length: {size}\r\n"
    for more in ("", "Expect: 100-continue\r\n"):
        async with wired(Emulator()) as wire:
            await wire.send(f"{head}{more}\r\n".encode() + b"x" * 1000)
            status, headers, _ = await wire.reply()
            assert (status, headers["connection"]) == (413, "close")
            assert await wire.rest() == b""


async def test_a_body_that_grows_too_large(monkeypatch):
    monkeypatch.setattr(connection, "MAX_BODY_BYTES", 10_000)
    emulator = Emulator()
    head = create().partition(b"Content-Length")[0] + b"Transfer-Encoding: chunked\r\n\r\n"
    async with wired(emulator) as wire:
        await wire.send(head + b"".join(b"3e8\r\n%s\r\n" % (b"x" * 1000) for _ in range(30)))
        assert (await wire.reply())[0] == 413
    assert emulator.calls == []


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"nonsense\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 200_000 + b"\r\n\r\n", 431),
    ],
)
async def test_what_is_not_http(data, status):
    emulator = Emulator()
    async with wired(emulator) as wire:
        await wire.send(data)
        answer = await wire.reply()
        assert answer[0] == status
        assert "error" in json.loads(answer[2])
        assert await wire.rest() == b""
    assert emulator.calls == []


async def test_an_absolute_target_and_a_query():
    emulator = Emulator(accounts=["a@x.org", "b@x.org"])
    async with wired(emulator) as wire:
        await wire.send(get("http://proxied.example/v1/kling/avatars?email=b%40x.org"))
        assert (await wire.reply())[0] == 200
        await wire.send(get("http://proxied.example"))
        assert (await wire.reply())[0] == 200  # the page
    assert emulator.calls[0].account == "b@x.org"


async def test_media_urls_point_to_the_host_that_was_asked():
    upload = (
        f"POST /v1/kling/assets HTTP/1.0\r\n{AUTH}Content-Type: image/png\r\n%sContent-Length: "
    )
    content = sample_png()
    async with Emulator().serve() as base_url:
        origin = base_url.removesuffix("/v1/kling")
        for host, expected in (("Host: kling.test:81\r\n", "http://kling.test:81"), ("", origin)):
            async with wire_to(base_url) as wire:
                await wire.send(f"{upload % host}{len(content)}\r\n\r\n".encode() + content)
                url = json.loads((await wire.reply())[2])["url"]
            assert url.startswith(f"{expected}/media/")


# Broken on purpose


@pytest.mark.parametrize(
    ("kind", "ending"),
    [
        ("reset_before", "RST"),
        ("reset_after", "RST"),
        ("refuse_connection", "RST"),
        ("close_without_reply", "FIN"),
    ],
)
async def test_reset_and_close_are_told_apart(kind, ending):
    async with wired(Emulator(faults=[Fault("avatars.create", kind)])) as wire:
        await wire.send(create())
        if ending == "RST":
            with pytest.raises(ConnectionResetError):
                await wire.rest()
        else:
            assert await wire.rest() == b""


async def _raw(kind: str, **settings: object) -> tuple[bytes, bytes]:
    """Head and body of a listing, as they come, up to FIN."""
    async with wired(Emulator(faults=[Fault("accounts.list", kind, **settings)])) as wire:
        await wire.send(get("/v1/kling/accounts"))
        head, _, body = (await wire.rest()).partition(b"\r\n\r\n")
    return head.lower() + b"\r\n", body


async def test_bytes_of_bent_answers():
    _, whole = await _raw("slow_loris", interval_s=0)
    head, body = await _raw("truncated_body")
    assert b"content-length: %d\r\n" % len(whole) in head
    assert len(body) == len(whole) // 2
    head, body = await _raw("truncated_body", sent_bytes=len(whole) + 5)
    assert b"content-length: %d\r\n" % (len(whole) + 6) in head
    head, body = await _raw("wrong_length", sent_bytes=7)
    assert b"content-length: 7\r\n" in head
    assert len(body) == len(whole)
    head, body = await _raw("bad_chunk")
    assert b"transfer-encoding: chunked" in head
    assert b"content-length" not in head
    size, _, data = body.partition(b"\r\n")
    assert int(size, 16) > len(data) > 0
    head, body = await _raw("bad_chunk", malformed=True)
    assert body.startswith(b"not hex\r\n")
    head, body = await _raw("garbage")
    assert not head.startswith(b"http")


async def test_slow_loris_comes_byte_by_byte():
    emulator = Emulator(faults=[Fault("avatars.list", "slow_loris", interval_s=100)])
    async with wired(emulator) as wire:
        await wire.send(get())
        got = b""
        while len(got) < 9:
            await asyncio.sleep(0.002)
            emulator.clock.advance(100)
            got += await wire.reader.read(100)
            assert got == b"HTTP/1.1 200"[: len(got)]


async def test_a_stall_ends_when_the_client_leaves():
    emulator = Emulator(faults=[Fault("avatars.create", "stall")])
    async with emulator.serve() as base_url:
        before = len(asyncio.all_tasks())
        async with wire_to(base_url) as wire:
            await wire.send(create())
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(wire.reader.read(1), 0.01)
            assert len(asyncio.all_tasks()) == before + 1
        while len(asyncio.all_tasks()) > before:
            await asyncio.sleep(0.001)
    assert len(emulator.avatars) == 1


async def test_the_work_is_done_though_the_client_has_left():
    emulator = Emulator(faults=[Fault("avatars.create", "latency", delay_s=100)])
    async with emulator.serve() as base_url:
        async with wire_to(base_url) as wire:
            await wire.send(create())
            while not emulator.calls:
                await asyncio.sleep(0.001)
        assert emulator.avatars == []
        emulator.clock.advance(100)
        while not emulator.avatars:
            await asyncio.sleep(0.001)


# Many at once, and the end


async def test_many_connections_at_once():
    emulator = Emulator(latency_s=0.002)
    async with emulator.serve() as base_url:

        async def one() -> str:
            async with wire_to(base_url) as wire:
                await wire.send(create())
                return json.loads((await wire.reply())[2])["id"]

        ids = await asyncio.gather(*(one() for _ in range(300)))
    assert len(set(ids)) == 300
    assert {avatar.id for avatar in emulator.avatars} == set(ids)
    assert [call.number for call in emulator.calls] == list(range(1, 301))


async def test_connections_that_have_ended_are_forgotten():
    async with Emulator().serve() as base_url:
        for _ in range(30):
            async with wire_to(base_url) as wire:
                await wire.send(get(version="1.0"))
                await wire.rest()
        gc.collect()
        left = [
            task
            for task in gc.get_objects()
            if isinstance(task, asyncio.Task) and "Connection.run" in repr(task.get_coro())
        ]
    assert len(left) < 5


async def test_a_clean_end_with_connections_in_every_state():
    faults = [
        Fault("avatars.create", "stall", at=1),
        Fault("avatars.create", "latency", delay_s=1000, at=2),
        Fault("avatars.create", "latency", delay_s=1000, after_work=True, at=3),
        Fault("avatars.create", "slow_loris", interval_s=1000, at=4),
        Fault("avatars.create", "truncated_body", at=5),
    ]
    emulator = Emulator(faults=faults)
    before = asyncio.all_tasks()
    wires: list[Wire] = []
    async with emulator.serve() as base_url:
        parts = urlsplit(base_url)
        for data in [*[create()] * 5, create()[:60], create()[:-5], b"", get()]:
            wires.append(Wire(*await asyncio.open_connection(parts.hostname, parts.port)))
            await wires[-1].send(data)
        while emulator.counts.total() < 6:
            await asyncio.sleep(0.001)
        assert len(asyncio.all_tasks() - before) == len(wires)
        started_s = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - started_s < 1
    assert asyncio.all_tasks() == before
    for wire in wires:
        with suppress(ConnectionResetError):
            await wire.rest()
        wire.writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(parts.hostname, parts.port)


async def test_an_error_inside_the_context_comes_out():
    with pytest.raises(KeyError):
        async with Emulator().serve():
            raise KeyError


async def test_a_port_can_be_chosen_and_used_again():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    emulator = Emulator()
    for _ in range(2):
        async with emulator.serve(port=port) as base_url, emulator.serve() as other:
            assert base_url == f"http://127.0.0.1:{port}/v1/kling"
            assert other != base_url
            with pytest.raises(OSError, match="in use"):
                async with emulator.serve(port=port):
                    pass
            async with wire_to(base_url) as wire:
                await wire.send(create())
                assert (await wire.reply())[0] == 200
    assert len(emulator.avatars) == 2


async def test_ipv6():
    try:
        context = Emulator().serve(host="::1")
        base_url = await context.__aenter__()
    except OSError:
        pytest.skip("no IPv6 here")
    assert base_url.startswith("http://[::1]:")
    async with httpx.AsyncClient(verify=False, trust_env=False) as client:
        assert (await client.get(base_url + "/accounts")).status_code == 401
    await context.__aexit__(None, None, None)


async def test_run_server_serves_until_cancelled():
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    emulator = Emulator()
    task = asyncio.create_task(run_server(emulator, "127.0.0.1", 0, on_ready=ready.set_result))
    base_url = await ready
    async with wire_to(base_url) as wire:
        await wire.send(get())
        assert (await wire.reply())[0] == 200
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", urlsplit(base_url).port)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
async def test_curl():
    emulator = Emulator()
    async with emulator.serve() as base_url:

        async def curl(*words: str, content: bytes = b"") -> object:
            process = await asyncio.create_subprocess_exec(
                "curl",
                "-sS",
                "--noproxy",
                "*",
                "-H",
                "Authorization: Bearer user:1-a",
                *words,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            out, _ = await process.communicate(content)
            return json.loads(out)

        upload = await curl(
            "--data-binary",
            "@-",
            "-H",
            "Content-Type: image/png",
            f"{base_url}/assets/",
            content=sample_png(width=2000, height=2000),
        )
        assert isinstance(upload, dict)
        for form in ("-F", "-d"):
            made = await curl(f"{base_url}/avatars", form, f"imageUrl={upload['url']}")
            assert isinstance(made, dict)
            assert made["status"] == "SUCCESS"
    assert [avatar.upload_name for avatar in emulator.avatars] == [upload["fileName"]] * 2

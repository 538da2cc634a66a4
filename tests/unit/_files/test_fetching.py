"""Does a file come down whole, whatever the line does? Over sockets, on both transports."""

from __future__ import annotations

import asyncio
import os
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import httpx
import pytest

from kling_async import (
    APIError,
    AsyncKlingClient,
    ConfigurationError,
    DeadlineExceededError,
    InvalidRequestError,
    KlingError,
    NotFoundError,
    OutcomeUnknownError,
    RetryPolicy,
    Task,
    UnexpectedResponseError,
    Work,
    WorkResource,
    settings,
)
from kling_async.emulator import Emulator, Fault

Open = Callable[..., Awaitable[AsyncKlingClient]]
MB = 1024 * 1024
MP4 = b"\0\0\0\x18ftypisom" + b"\0" * 12
BODY = MP4 + os.urandom(3 * MB)
ETAG = '"v1"'


class FileServer:
    """One file, and a script: what each request in turn is answered with.

    A step is a status with options, or "cut:N" (the connection ends after N bytes of the body).
    Without any step left, the file is served as a good server would.
    """

    def __init__(self) -> None:
        self.body = BODY
        self.etag: str | None = ETAG
        self.modified: str | None = None
        self.type = "video/mp4"
        self.ranges = True
        self.extra = ""
        self.steps: list[str] = []
        self.heads: list[str] = []
        self.gate: asyncio.Event | None = None
        self.open = 0
        self.origin = ""

    @property
    def url(self) -> str:
        return self.origin + "/files/ada%20one.mp4?signature=secret"

    def asked(self, name: str) -> list[str | None]:
        """What each request had under this header."""
        found = []
        for head in self.heads:
            lines = dict(line.split(": ", 1) for line in head.splitlines()[1:] if ": " in line)
            found.append({key.lower(): value for key, value in lines.items()}.get(name))
        return found

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            await self.answer(head, writer)
            writer.close()
            await writer.wait_closed()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1

    async def answer(self, head: str, writer: asyncio.StreamWriter) -> None:
        step = self.steps.pop(0) if self.steps else "serve"
        if step[0].isdigit():
            status, _, more = step.partition(" ")
            writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n{more}\r\n\r\n".encode())
            return
        first, status = 0, "200 OK"
        asked, valid = self.asked("range")[-1], self.asked("if-range")[-1]
        lines = [f"Content-Type: {self.type}"]
        if asked and self.ranges and valid in (self.etag, self.modified):
            first, status = int(asked.removeprefix("bytes=").rstrip("-")), "206 Partial Content"
            lines.append(f"Content-Range: bytes {first}-{len(self.body) - 1}/{len(self.body)}")
        if self.etag is not None:
            lines.append(f"ETag: {self.etag}")
        if self.modified is not None:
            lines.append(f"Last-Modified: {self.modified}")
        content = self.body[first:]
        if step == "long":
            content += b"more"
        if step == "chunked":
            lines.append("Transfer-Encoding: chunked")
        else:
            lines.append(f"Content-Length: {len(content)}")
        top = f"HTTP/1.1 {status}\r\n" + "\r\n".join(lines) + f"\r\n{self.extra}\r\n"
        writer.write(top.encode())
        if step == "chunked":
            for at in range(0, len(content), 60_000):
                piece = content[at : at + 60_000]
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            writer.write(b"0\r\n\r\n")
        elif step.startswith("cut:"):
            writer.write(content[: int(step.removeprefix("cut:"))])
        elif step.startswith("hold:"):
            writer.write(content[: int(step.removeprefix("hold:"))])
            await writer.drain()
            assert self.gate is not None
            await self.gate.wait()
            writer.write(content[int(step.removeprefix("hold:")) :])
        else:
            for at in range(0, len(content), MB):  # what this server holds is measured, too
                writer.write(content[at : at + MB])
                await writer.drain()
        await writer.drain()


@pytest.fixture
async def files() -> AsyncIterator[FileServer]:
    server = FileServer()
    async with await asyncio.start_server(server.talk, "127.0.0.1", 0) as listening:
        server.origin = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        yield server
        listening.close()


@pytest.fixture(params=["httpx", "aiohttp"])
def transport(request: pytest.FixtureRequest) -> str:
    if request.param == "aiohttp":
        pytest.importorskip("httpx_aiohttp")
    return str(request.param)


@pytest.fixture
async def kling(open_client: Open, transport: str, no_waiting: Any) -> AsyncKlingClient:
    return await open_client(
        transport=transport,
        clock=no_waiting,
        base_url="http://127.0.0.1:9/v1/kling",
        retry=RetryPolicy(attempts=3),
    )


def only(directory: Path) -> list[str]:
    return sorted(one.name for one in directory.iterdir())


async def error_of(call: Awaitable[Any]) -> KlingError:
    with pytest.raises(KlingError) as caught:
        await call
    assert "secret" not in f"{caught.value}{caught.value.context}"
    return caught.value


# --- whole ------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["serve", "chunked"])
async def test_a_file_comes_down(
    kling: AsyncKlingClient, files: FileServer, tmp_path: Path, step: str
) -> None:
    files.steps = [step]
    done = await kling.assets.download(files.url, tmp_path / "a.mp4")
    assert done.path == tmp_path / "a.mp4"
    assert done.path.read_bytes() == BODY
    assert (done.size_bytes, done.content_type) == (len(BODY), "video/mp4")
    assert (done.clean, done.resumed, done.reason) == (False, False, None)
    assert only(tmp_path) == ["a.mp4"]
    with open(done, "rb") as file:  # noqa: PTH123  (it is path-like)
        assert file.read(4) == BODY[:4]
    umask = os.umask(0)
    os.umask(umask)
    assert done.path.stat().st_mode & 0o777 == 0o666 & ~umask


async def test_no_token_goes_to_a_file_server(
    kling: AsyncKlingClient, files: FileServer, tmp_path: Path
) -> None:
    await kling.assets.download(files.url, tmp_path / "a.mp4")
    assert files.asked("authorization") == [None]
    assert "12345" not in files.heads[0]
    assert files.asked("accept-encoding") == ["identity"]
    assert str(files.asked("user-agent")[0]).startswith("kling-async/")


async def test_memory_stays_flat(
    kling: AsyncKlingClient, files: FileServer, tmp_path: Path
) -> None:
    files.body = bytes(40 * MB)
    tracemalloc.start()
    try:
        await kling.assets.download(files.url, tmp_path / "a.mp4")
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 8 * MB


# --- cut, and gone on with --------------------------------------------------------------------


async def test_the_next_attempt_goes_on(
    kling: AsyncKlingClient, files: FileServer, tmp_path: Path
) -> None:
    files.steps = ["cut:1000000", "cut:600000"]
    done = await kling.assets.download(files.url, tmp_path / "a.mp4")
    assert done.path.read_bytes() == BODY
    assert done.resumed
    first, second, third = [int((one or "bytes=0-")[6:-1]) for one in files.asked("range")]
    # aiohttp drops what it has read ahead when the line breaks, 256 KiB or so.
    assert first == 0 < 700_000 < second <= 1_000_000 < third <= 1_600_000
    assert files.asked("if-range") == [None, ETAG, ETAG]


async def test_attempts_that_bring_much_are_not_counted(
    kling: AsyncKlingClient, files: FileServer, tmp_path: Path
) -> None:
    files.body = bytes(20 * MB)
    files.steps = [f"cut:{2 * MB}"] * 9
    done = await kling.assets.download(files.url, tmp_path / "a.mp4")
    assert (len(files.heads), done.size_bytes) == (10, 20 * MB)
    files.steps = ["cut:1000"] * 9
    assert type(await error_of(kling.assets.download(files.url, tmp_path / "b.mp4"))) is (
        OutcomeUnknownError
    )
    assert len(files.heads) == 13
    assert only(tmp_path) == ["a.mp4"]


@pytest.mark.parametrize("how", ["no ranges", "no validator", "weak etag", "another file"])
async def test_it_begins_anew_where_it_must(
    kling: AsyncKlingClient, files: FileServer, tmp_path: Path, how: str
) -> None:
    files.steps = ["cut:2000000"]
    files.ranges = how != "no ranges"
    files.etag = {"no validator": None, "weak etag": 'W/"v1"'}.get(how, ETAG)
    if how == "another file":

        async def changed(head: str, writer: asyncio.StreamWriter) -> None:
            await FileServer.answer(files, head, writer)
            files.body, files.etag = bytes(3_000_000), '"v2"'

        files.answer = changed  # type: ignore[method-assign]
    done = await kling.assets.download(files.url, tmp_path / "a.mp4")
    assert done.path.read_bytes() == files.body
    assert not done.resumed
    asks = how in ("no ranges", "another file")
    assert files.asked("range") == [None, ANY if asks else None]


async def test_a_date_is_a_validator_too(
    kling: AsyncKlingClient, files: FileServer, tmp_path: Path
) -> None:
    files.etag, files.modified = None, "Mon, 23 Nov 2026 07:00:00 GMT"
    files.steps = ["cut:2000000"]
    done = await kling.assets.download(files.url, tmp_path / "a.mp4")
    assert done.path.read_bytes() == BODY
    assert done.resumed


@pytest.mark.parametrize("answer", [
    "206 Content-Range: bytes 5-9/3000000", "206 Content-Range: bytes 1000000-2999999/3000000",
    "206 Content-Range: nonsense", "206 X: y", "416 X: y",
])  # fmt: skip
async def test_a_wrong_part_is_not_taken(
    kling: AsyncKlingClient, files: FileServer, tmp_path: Path, answer: str
) -> None:
    files.steps = ["cut:1000000", answer]
    done = await kling.assets.download(files.url, tmp_path / "a.mp4")
    assert done.path.read_bytes() == BODY
    assert not done.resumed
    assert files.asked("range") == [None, ANY, None]


async def test_a_part_that_is_too_long_makes_no_file(
    kling: AsyncKlingClient, files: FileServer, tmp_path: Path
) -> None:
    files.steps = ["cut:1000000", "long", "416 X: y"]
    done = await kling.assets.download(files.url, tmp_path / "a.mp4")
    assert done.path.read_bytes() == BODY


async def test_bytes_of_a_compressed_form_are_not_mixed(
    kling: AsyncKlingClient, files: FileServer, tmp_path: Path
) -> None:
    import gzip

    files.body, files.extra = gzip.compress(BODY), "Content-Encoding: gzip\r\n"
    files.steps = ["cut:100000"]
    done = await kling.assets.download(files.url, tmp_path / "a.mp4")
    assert done.path.read_bytes() == BODY
    assert files.asked("range") == [None, None]


# --- refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "ending", "sends"), [
    ("404", NotFoundError, 1), ("403", APIError, 1), ("503", KlingError, 3), ("429", KlingError, 3),
    ("204", UnexpectedResponseError, 3), ("302", UnexpectedResponseError, 3),
])  # fmt: skip
async def test_what_the_file_server_refuses(
    kling: AsyncKlingClient,
    files: FileServer,
    tmp_path: Path,
    status: str,
    ending: type,
    sends: int,
) -> None:
    files.steps = [f"{status} X: y"] * 5
    error = await error_of(kling.assets.download(files.url, tmp_path / "a.mp4"))
    assert isinstance(error, ending)
    assert len(files.heads) == sends
    assert error.context is not None
    assert error.context.attempts == sends
    assert error.context.route == "a file on 127.0.0.1"
    assert only(tmp_path) == []


@pytest.mark.parametrize(("type_", "body"), [("text/html", b"<html>"), ("video/mp4", b"")])
async def test_what_is_no_file(
    kling: AsyncKlingClient, files: FileServer, tmp_path: Path, type_: str, body: bytes
) -> None:
    files.type, files.body = type_, body
    error = await error_of(kling.assets.download(files.url, tmp_path / "a.mp4"))
    assert type(error) is UnexpectedResponseError
    assert only(tmp_path) == []


@pytest.mark.parametrize(("type_", "body"), [
    ("application/xml", b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"),
    ("text/plain", b"gone"), ("text/plain", b"\xff\0" * 99),
    ("video/mp4", b"<html>sign in</html>"),
    ("application/octet-stream", b'{"error": "expired"}'), ("image/png", b"Access denied."),
    ("application/problem+json", b"{}"), ("binary/octet-stream", b"  <!DOCTYPE html>"),
])  # fmt: skip
async def test_a_page_under_a_file_s_address_is_a_failed_download(
    kling: AsyncKlingClient, files: FileServer, tmp_path: Path, type_: str, body: bytes
) -> None:
    files.type, files.body = type_, body
    error = await error_of(kling.assets.download(files.url, tmp_path / "a.mp4"))
    assert type(error) is UnexpectedResponseError
    assert only(tmp_path) == []
    assert len(files.heads) == 2  # one more look, and no patience of minutes


async def test_a_page_that_passes_is_looked_past(
    kling: AsyncKlingClient, files: FileServer, tmp_path: Path
) -> None:
    files.steps = ["200 Content-Type: text/html"]
    got = await kling.assets.download(files.url, tmp_path / "a.mp4")
    assert got.path.read_bytes() == BODY


@pytest.mark.parametrize(("type_", "body", "good"), [
    ("video/mp4", b"\xff" * 99, True), ("application/octet-stream", b"\xff\0" * 99, True),
    ("application/octet-stream", BODY, True), ("text/plain", BODY, True), ("", BODY, True),
    ("image/png", b"\xff\0" * 99, False), ("video/mp4", b"\x89PNG\r\n\x1a\n" + bytes(90), False),
    ("audio/mpeg", b"ID3\x04" + bytes(90), False),
])  # fmt: skip
async def test_what_comes_is_what_was_asked_for(
    kling: AsyncKlingClient,
    files: FileServer,
    tmp_path: Path,
    type_: str,
    body: bytes,
    good: bool,
) -> None:
    """By its bytes, or by its type where they tell nothing."""
    files.type, files.body = type_, body
    work = Work(work_id=7, content_type="video", resource=WorkResource(url=files.url))
    bringing = kling.assets.download(work, tmp_path / "a.mp4", clean=False)
    if good:
        assert (await bringing).path.read_bytes() == body
    else:
        assert "came" in str(await error_of(bringing))
        assert only(tmp_path) == []


@pytest.mark.parametrize("answer", [
    '206 ETag: "v2"', "206 ETag: W/x", "206 X: y",
])  # fmt: skip
async def test_the_rest_of_another_file_is_not_joined(
    kling: AsyncKlingClient, files: FileServer, tmp_path: Path, answer: str
) -> None:
    """A 206 that says, or does not deny, that it is a part of another file than was begun."""
    rest = f"\r\nContent-Range: bytes 1000000-{len(BODY) - 1}/{len(BODY)}"
    files.steps = ["cut:1000000", answer + rest]
    done = await kling.assets.download(files.url, tmp_path / "a.mp4")
    assert done.path.read_bytes() == BODY
    assert not done.resumed
    assert files.asked("range") == [None, ANY, None]


async def test_an_old_file_survives_a_failure(
    kling: AsyncKlingClient, files: FileServer, tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").write_bytes(b"old")
    files.steps = ["cut:9"] * 3
    await error_of(kling.assets.download(files.url, tmp_path / "a.mp4"))
    assert (tmp_path / "a.mp4").read_bytes() == b"old"
    assert only(tmp_path) == ["a.mp4"]
    await kling.assets.download(files.url, tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").read_bytes() == BODY


# --- redirects and addresses ------------------------------------------------------------------


async def test_redirects_are_followed_a_few_times(
    kling: AsyncKlingClient, files: FileServer, tmp_path: Path
) -> None:
    there = f"302 Location: {files.origin}/elsewhere/b.mp4"
    files.steps = [there] * 5
    done = await kling.assets.download(files.url, tmp_path)
    assert done.path.name == "b.mp4"
    files.steps = [there] * 6
    error = await error_of(kling.assets.download(files.url, tmp_path / "x"))
    assert "redirects" in str(error)
    assert len(files.heads) == 12  # and no further attempt


@pytest.mark.parametrize("to", ["http://example.com/a", "ftp://127.0.0.1/a", "http://[", "data:,x"])
async def test_a_redirect_into_the_open_is_not_followed(
    kling: AsyncKlingClient, files: FileServer, tmp_path: Path, to: str
) -> None:
    files.steps = [f"302 Location: {to}"] * 5
    assert isinstance(
        await error_of(kling.assets.download(files.url, tmp_path / "a")),
        (UnexpectedResponseError, OutcomeUnknownError),
    )


async def test_unencrypted_addresses_are_refused(kling: AsyncKlingClient, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="unencrypted"):
        await kling.assets.download("http://example.com/a.mp4", tmp_path / "a.mp4")


async def test_this_machine_is_no_exception_for_a_client_of_the_vendors(
    open_client: Open, transport: str, tmp_path: Path
) -> None:
    # Else a redirect could make it read what other programs on this machine serve.
    kling = await open_client(transport=transport, base_url="https://api.useapi.net/v1/kling")
    with pytest.raises(InvalidRequestError, match="unencrypted"):
        await kling.assets.download("http://127.0.0.1:1/a.mp4", tmp_path / "a.mp4")


async def test_the_token_goes_below_the_base_url_only(
    open_client: Open, files: FileServer, transport: str, tmp_path: Path
) -> None:
    kling = await open_client(transport=transport, base_url=f"{files.origin}/v1/kling")
    for path in ("/v1/kling/file.mp4", "/v1/klingon/file.mp4", "/file.mp4"):
        await kling.assets.download(files.origin + path, tmp_path / "a.mp4")
    assert [one is not None for one in files.asked("authorization")] == [True, False, False]


# --- given up ---------------------------------------------------------------------------------


async def ended(files: FileServer, directory: Path) -> bool:
    for _ in range(200):
        if only(directory) == [] and files.open == 0:
            return True
        await asyncio.sleep(0.01)
    return False


async def test_a_cancelled_download_leaves_nothing(
    kling: AsyncKlingClient, files: FileServer, tmp_path: Path
) -> None:
    for held in (0, 10, 100_000, 2_000_000):
        files.steps, files.gate = [f"hold:{held}"], asyncio.Event()
        task = asyncio.create_task(kling.assets.download(files.url, tmp_path / "a.mp4"))
        while not files.heads:
            await asyncio.sleep(0)
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert only(tmp_path) == []
        files.gate.set()
        assert await ended(files, tmp_path)
        files.heads.clear()


async def test_cancelled_at_any_moment(
    kling: AsyncKlingClient, files: FileServer, tmp_path: Path
) -> None:
    files.body = BODY[:200_000]
    whole = 0
    for turns in range(60):
        task = asyncio.create_task(kling.assets.download(files.url, tmp_path / "a.mp4"))
        for _ in range(turns):
            await asyncio.sleep(0.0003 if turns % 2 else 0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        left = only(tmp_path)
        assert left in ([], ["a.mp4"])
        if left:
            whole += 1
            assert (tmp_path / "a.mp4").read_bytes() == files.body
            (tmp_path / "a.mp4").unlink()
    assert await ended(files, tmp_path)
    await kling.assets.download(files.url, tmp_path / "a.mp4")


async def test_the_deadline_ends_it(
    kling: AsyncKlingClient, files: FileServer, tmp_path: Path
) -> None:
    files.steps, files.gate = ["hold:100000"], asyncio.Event()
    hasty = kling.with_options(deadline_s=0.1)
    error = await error_of(hasty.assets.download(files.url, tmp_path / "a.mp4"))
    assert type(error) is DeadlineExceededError
    assert only(tmp_path) == []
    files.gate.set()


async def test_a_silent_server_is_left(
    kling: AsyncKlingClient, files: FileServer, tmp_path: Path
) -> None:
    files.steps, files.gate = ["hold:100000"], asyncio.Event()
    hasty = kling.with_options(timeout=httpx.Timeout(5, read=0.1))
    done = await hasty.assets.download(files.url, tmp_path / "a.mp4")
    assert done.resumed
    assert files.asked("range") == [None, ANY]
    files.gate.set()


async def test_closing_the_client_ends_downloads(
    open_client: Open, files: FileServer, transport: str, tmp_path: Path
) -> None:
    kling = await open_client(transport=transport, base_url="http://127.0.0.1:9/v1/kling")
    files.steps, files.gate = ["hold:100000"], asyncio.Event()
    task = asyncio.create_task(kling.assets.download(files.url, tmp_path / "a.mp4"))
    while not files.heads:
        await asyncio.sleep(0)
    await asyncio.sleep(0.02)
    await asyncio.wait_for(kling.aclose(), 30)
    assert isinstance(await error_of(task), ConfigurationError)
    assert only(tmp_path) == []
    files.gate.set()


async def test_many_at_once_wait_in_turn(
    kling: AsyncKlingClient, files: FileServer, tmp_path: Path
) -> None:
    files.body = BODY[:50_000]
    gate = asyncio.Event()

    async def held(head: str, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        await FileServer.answer(files, head, writer)

    files.answer = held  # type: ignore[method-assign]
    names = [tmp_path / f"{number}.mp4" for number in range(60)]
    all_of_them = asyncio.gather(*(kling.assets.download(files.url, name) for name in names))
    while files.open < settings.DOWNLOADS_AT_ONCE:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)  # more would come, if they were let
    at_once = files.open
    gate.set()
    assert at_once == settings.DOWNLOADS_AT_ONCE
    assert all(one.path.read_bytes() == files.body for one in await all_of_them)


# --- with the emulator behind it --------------------------------------------------------------


async def made(kling: AsyncKlingClient, emulator: Emulator, base_url: str) -> Task:
    body = {"imageUrl": "https://x.y/a.png", "audioUrl": "https://x.y/a.mp3"}
    async with httpx.AsyncClient() as plain:
        headers = {"authorization": "Bearer user:12345-abcdefghi"}
        reply = await plain.post(f"{base_url}/avatars/video", json=body, headers=headers)
    emulator.clock.advance(60)
    return await kling.tasks.get(reply.json()["task"]["id"])


KINDS: list[dict[str, Any]] = [
    {}, {"kind": "truncated_body", "sent_bytes": 700_000}, {"kind": "reset_after"},
    {"kind": "close_without_reply"}, {"kind": "bad_chunk"}, {"kind": "garbage"},
    {"kind": "html_200"}, {"kind": "status", "status": 503}, {"kind": "refuse_connection"},
    {"kind": "stall"},
]  # fmt: skip


@pytest.mark.parametrize("fault", KINDS, ids=lambda fault: fault.get("kind", "none"))
async def test_a_video_of_the_emulator(
    open_client: Open, transport: str, no_waiting: Any, tmp_path: Path, fault: dict[str, Any]
) -> None:
    emulator = Emulator(job_s=60, result_bytes=2 * MB)
    async with emulator.serve() as base_url:
        kling = await open_client(transport=transport, clock=no_waiting, base_url=base_url)
        task = await made(kling, emulator, base_url)
        hasty = kling.with_options(
            timeout=httpx.Timeout(5, read=0.2 if "stall" in fault.values() else 5)
        )
        whole = await kling.assets.download(task, tmp_path / "whole.mp4")
        assert (whole.clean, whole.resumed, whole.content_type) == (True, False, "video/mp4")
        if fault:
            emulator.add_faults([Fault("media.*", at=1, **fault)])
        again = await hasty.assets.download(task, tmp_path / "again.mp4")
        assert again.path.read_bytes() == whole.path.read_bytes()
        assert again.clean
        assert again.resumed or "truncated_body" not in fault.values()
        assert emulator.unconsumed_faults() == []
        emulator.add_faults([Fault("assets.download_link", "status", status=500)])
        marked = await kling.assets.download(task, tmp_path / "marked.mp4")
        assert not marked.clean
        assert marked.path.read_bytes() != whole.path.read_bytes()

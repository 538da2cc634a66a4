"""Do files go out piece by piece, whole, and as they were checked?"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from kling_async import (
    AsyncKlingClient,
    InvalidRequestError,
    OutcomeUnknownError,
    RetryPolicy,
    UploadAsset,
)
from kling_async._transport import uploads
from kling_async._transport.uploads import PIECE_BYTES, FileBody, body_of
from kling_async.emulator import Emulator, Fault
from kling_async.models.media import Media

Open = Callable[..., Awaitable[AsyncKlingClient]]
MB = 1024 * 1024
MP4 = b"\0\0\0\x18ftypisom" + b"\0" * 12
DONE = b'{"status":1,"url":"https://x.y/a.mp4","message":""}'


def video(path: Path, size_bytes: int) -> Path:
    """An MP4 as far as its head goes; every piece of it is different."""
    with path.open("wb") as file:
        file.write(MP4)
        for number in range(size_bytes // PIECE_BYTES + 1):
            file.write(number.to_bytes(8, "big") * 32)
            file.seek(PIECE_BYTES * (number + 1))
        file.truncate(size_bytes)
    return path


@pytest.fixture(params=["httpx", "aiohttp"])
def transport(request: pytest.FixtureRequest) -> str:
    if request.param == "aiohttp":
        pytest.importorskip("httpx_aiohttp")
    return str(request.param)


class Counting:
    """Takes uploads without keeping them: what was declared, how much came, its hash."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.sizes: list[int] = []
        self.hashes: list[str] = []
        self.on_body: Callable[[], None] | None = None

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        self.sizes.append(0)
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        seen = hashlib.sha256()
        while self.sizes[-1] < length and (piece := await reader.read(64 * 1024)):
            if self.on_body is not None:
                self.on_body()
            self.sizes[-1] += len(piece)
            seen.update(piece)
        self.hashes.append(seen.hexdigest())
        if self.sizes[-1] == length:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(DONE), DONE))
        writer.close()


@pytest.fixture
async def counting(
    open_client: Open, transport: str, no_waiting: Any
) -> AsyncIterator[tuple[AsyncKlingClient, Counting]]:
    taking = Counting()
    async with await asyncio.start_server(taking.talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield (
            await open_client(
                base_url=f"http://127.0.0.1:{port}/v1/kling",
                transport=transport,
                clock=no_waiting,
                retry=RetryPolicy(attempts=3),
            ),
            taking,
        )


async def test_a_large_file_goes_out_whole_in_little_memory(
    counting: tuple[AsyncKlingClient, Counting], tmp_path: Path
) -> None:
    kling, server = counting
    size_bytes = 40 * MB + 17
    path = video(tmp_path / "a.mp4", size_bytes)
    tracemalloc.start()
    try:
        asset = await kling.assets.upload(path)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert asset.usable_url == "https://x.y/a.mp4"
    head = server.heads[0].lower()
    assert b"content-type: video/mp4\r\n" in head
    assert b"content-length: %d\r\n" % size_bytes in head
    assert b"transfer-encoding" not in head
    assert server.sizes == [size_bytes]
    assert server.hashes == [hashlib.sha256(path.read_bytes()).hexdigest()]
    assert peak_bytes < 8 * MB


@pytest.mark.parametrize("size_bytes", [PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 30])
async def test_sizes_around_a_piece(
    counting: tuple[AsyncKlingClient, Counting], tmp_path: Path, size_bytes: int
) -> None:
    kling, server = counting
    path = video(tmp_path / "a.mp4", size_bytes)
    await kling.assets.upload(path)
    assert server.hashes == [hashlib.sha256(path.read_bytes()).hexdigest()]


@pytest.mark.parametrize("size_bytes", [100, 2 * MB])
async def test_a_file_that_grew_since_it_was_checked_is_not_sent(
    counting: tuple[AsyncKlingClient, Counting], tmp_path: Path, size_bytes: int
) -> None:
    kling, server = counting
    path = video(tmp_path / "a.mp4", size_bytes)
    request = UploadAsset(file=path)
    os.truncate(path, size_bytes + 1)
    with pytest.raises(InvalidRequestError, match=rf"had {size_bytes} bytes .* now") as caught:
        await kling.send(request)
    assert list(caught.value.problems) == ["file"]
    assert caught.value.context is not None
    assert server.heads == []


async def test_a_file_that_is_gone_is_not_sent(
    counting: tuple[AsyncKlingClient, Counting], tmp_path: Path
) -> None:
    kling, server = counting
    request = UploadAsset(file=video(tmp_path / "a.mp4", 2 * MB))
    (tmp_path / "a.mp4").unlink()
    with pytest.raises(InvalidRequestError, match=r"a.mp4 can't be read any more: No such file"):
        await kling.send(request)
    assert server.heads == []


@pytest.mark.parametrize("how", ["grows", "replaced", "shrinks"])
async def test_a_file_that_changes_on_its_way_never_arrives_whole(
    counting: tuple[AsyncKlingClient, Counting], tmp_path: Path, how: str
) -> None:
    kling, server = counting
    path = video(tmp_path / "a.mp4", 30 * MB)
    other = video(tmp_path / "b.mp4", 30 * MB)

    def change() -> None:
        server.on_body = None
        if how == "replaced":
            other.replace(path)
        else:
            os.truncate(path, 31 * MB if how == "grows" else MB)

    server.on_body = change
    once = kling.with_options(retry=RetryPolicy(attempts=1))
    with pytest.raises(OutcomeUnknownError, match=r"FileChangedError: a\.mp4"):
        await once.assets.upload(path)
    await asyncio.sleep(0.05)
    assert [size < 30 * MB for size in server.sizes] == [True]


async def test_the_next_attempt_begins_anew(
    counting: tuple[AsyncKlingClient, Counting], tmp_path: Path
) -> None:
    kling, server = counting
    path = video(tmp_path / "a.mp4", 10 * MB)
    other = video(tmp_path / "b.mp4", 10 * MB)
    with other.open("r+b") as file:
        file.seek(5 * MB)
        file.write(b"another")

    def change() -> None:
        server.on_body = None
        other.replace(path)

    server.on_body = change
    asset = await kling.assets.upload(path)
    assert asset.meta.attempts == 2
    assert server.hashes[-1] == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "truncated_body"])
async def test_an_upload_is_repeated(
    open_client: Open, emulator: Emulator, transport: str, tmp_path: Path, kind: str,
    no_waiting: Any,
) -> None:  # fmt: skip
    emulator.add_faults([Fault("assets.upload", kind, at=1)])
    path = video(tmp_path / "a.mp4", 3 * MB)
    async with emulator.serve() as base_url:
        kling = await open_client(base_url=base_url, transport=transport, clock=no_waiting)
        asset = await kling.assets.upload(path)
    assert asset.meta.attempts == 2
    assert emulator.uploads[-1].size_bytes == 3 * MB


async def test_in_process(kling: AsyncKlingClient, emulator: Emulator, tmp_path: Path) -> None:
    path = video(tmp_path / "a.mp4", 3 * MB + 1)
    await kling.assets.upload(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert [(one.size_bytes, one.sha256) for one in emulator.uploads] == [(3 * MB + 1, digest)]
    assert emulator.calls[0].headers["content-type"] == "video/mp4"


async def test_reading_is_not_done_on_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = video(tmp_path / "a.mp4", 2 * MB)
    body = await body_of(Media(path, "a.mp4", "video/mp4", 2 * MB))
    assert isinstance(body, FileBody)

    def read(start: int) -> bytes:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return FileBody.read(body, start)

    monkeypatch.setattr(body, "read", read)
    assert b"".join([piece async for piece in body]) == path.read_bytes()
    assert uploads.PIECE_BYTES == 256 * 1024


async def test_bytes_stay_bytes(kling: AsyncKlingClient, emulator: Emulator) -> None:
    content = MP4 + bytes(MB)
    await kling.assets.upload(content)
    assert emulator.uploads[0].size_bytes == len(content)
    assert await body_of(Media(content, "x", "video/mp4", len(content))) is content

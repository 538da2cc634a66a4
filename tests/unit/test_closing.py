"""What if the client is closed in the middle of something, or its closing is cancelled?"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from kling_async import (
    AsyncKlingClient,
    ConfigurationError,
    Download,
    NotFoundError,
    OutcomeUnknownError,
    RetryPolicy,
)
from kling_async._transport.uploads import FileBody
from kling_async.emulator import sample_png

TOKEN, BASE_URL = "user:12345-abcdefghi", "http://127.0.0.1/v1/kling"
URL = "https://x.y/a.png"
ONCE = RetryPolicy(attempts=1, reconcile_within_s=0)

pytestmark = pytest.mark.filterwarnings("error")


class Held(httpx.AsyncBaseTransport):
    """Answers when it is let, and its bodies take a moment to close."""

    def __init__(self) -> None:
        self.asked = 0
        self.began, self.go = asyncio.Event(), asyncio.Event()
        self.closed = False
        self.open_bodies = 0
        self.body = b"[]"
        self.status = 200

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        self.began.set()
        await self.go.wait()
        if self.status == 1000:
            raise httpx.RemoteProtocolError("no answer")
        return httpx.Response(self.status, stream=Body(self))

    async def aclose(self) -> None:
        await asyncio.sleep(0)  # aiohttp's session takes a few steps, too
        self.closed = True


class Body(httpx.AsyncByteStream):
    def __init__(self, transport: Held) -> None:
        self.transport = transport
        self.transport.open_bodies += 1

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.transport.body

    async def aclose(self) -> None:
        await asyncio.sleep(0.01)
        self.transport.open_bodies -= 1


@pytest.fixture
async def transport() -> Held:
    return Held()


@pytest.fixture
async def kling(transport: Held) -> AsyncKlingClient:
    return client(transport)


def client(transport: Held, base_url: str = BASE_URL) -> AsyncKlingClient:
    return AsyncKlingClient(
        TOKEN, base_url=base_url, transport=transport, rate_limit=None, retry=ONCE
    )


async def test_while_a_file_is_read(
    kling: AsyncKlingClient, transport: Held, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(sample_png(7))
    began, go = threading.Event(), threading.Event()
    read = FileBody.read

    def slowly(body: FileBody, start: int) -> bytes:
        began.set()
        assert go.wait(10)
        return read(body, start)

    monkeypatch.setattr(FileBody, "read", slowly)
    upload = asyncio.create_task(kling.assets.upload(file))
    await asyncio.to_thread(began.wait)
    await kling.aclose()
    go.set()
    with pytest.raises(ConfigurationError, match="Nothing was sent"):
        await upload
    assert transport.asked == 0


async def test_while_it_is_opened(transport: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS takes a moment to set up; what is made after that would never be closed."""
    began, go = threading.Event(), threading.Event()

    def slowly(**_: Any) -> None:
        began.set()
        assert go.wait(10)

    monkeypatch.setattr(httpx, "create_ssl_context", slowly)
    kling = client(transport, "https://example.com/v1/kling")
    opening = asyncio.create_task(kling.__aenter__())
    await asyncio.to_thread(began.wait)
    await kling.aclose()
    go.set()
    with pytest.raises(ConfigurationError, match="closed"):
        await opening
    assert kling._wire._client is None


async def test_while_the_first_download_is_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files have a pool of their own, and it takes a moment, too."""
    began, go = threading.Event(), threading.Event()
    made = httpx.create_ssl_context

    def slowly(**options: Any) -> Any:
        if not options:  # as wire.py asks, in a thread
            began.set()
            assert go.wait(10)
        return made(verify=False)

    monkeypatch.setattr(httpx, "create_ssl_context", slowly)
    kling = AsyncKlingClient(TOKEN, base_url=BASE_URL, transport="aiohttp", retry=ONCE)
    download = asyncio.create_task(kling.assets.download(URL, tmp_path / "a.mp4"))
    await asyncio.to_thread(began.wait)
    await kling.aclose()
    go.set()
    with pytest.raises(ConfigurationError, match="closed"):
        await download
    assert kling._wire._files is None


async def test_closing_that_is_cancelled_closes_at_once(
    kling: AsyncKlingClient, transport: Held
) -> None:
    create = asyncio.create_task(kling.avatars.create(image_url=URL))
    await transport.began.wait()
    closing = asyncio.create_task(kling.aclose())
    await asyncio.sleep(0.01)
    assert not closing.done()  # it would wait for the answer
    closing.cancel()
    await asyncio.wait({closing})
    assert closing.cancelled()
    assert transport.closed
    with pytest.raises(OutcomeUnknownError, match="closed before the answer came"):
        await create
    assert kling._wire._under_way == set()


async def test_closing_that_is_cancelled_while_waiting_ends_closes_too(
    kling: AsyncKlingClient, transport: Held
) -> None:
    wait = asyncio.create_task(kling.tasks.wait(7))
    await transport.began.wait()
    closing = asyncio.create_task(kling.aclose())
    for _ in range(2):
        await asyncio.sleep(0)  # it ends the poller now
    closing.cancel()
    await asyncio.wait({closing, wait}, timeout=5)
    assert closing.cancelled()
    assert transport.closed
    assert isinstance(wait.exception(), ConfigurationError)


async def test_closing_in_a_cancelled_scope_of_anyio_closes_all(transport: Held) -> None:
    """There every wait is cancelled, again and again; web frameworks use such scopes."""
    with anyio.CancelScope() as scope:
        async with client(transport) as kling:
            create = asyncio.create_task(kling.avatars.create(image_url=URL))
            await transport.began.wait()
            scope.cancel()
            await asyncio.sleep(0)
    assert transport.closed
    assert kling._wire._under_way == set()
    with pytest.raises(OutcomeUnknownError, match="closed before the answer came"):
        await create


@pytest.mark.parametrize("what", ["call", "download"])
async def test_a_caller_who_is_cancelled_in_that_very_moment_is_cancelled(
    what: str, kling: AsyncKlingClient, transport: Held, tmp_path: Path
) -> None:
    """Not told that the client was closed: who cancels a task relies on its end."""
    if what == "call":
        call: Any = asyncio.create_task(kling.avatars.list())
    else:
        call = asyncio.create_task(kling.assets.download(URL, tmp_path / "a.mp4"))
    await transport.began.wait()
    kling._wire.close_within_s = 0
    (*_, under_way) = (*kling._wire._under_way, *(one._latest for one in kling._wire._streams))
    assert under_way is not None
    under_way.add_done_callback(lambda _: call.cancel())
    await kling.aclose()
    await asyncio.wait({call})
    assert call.cancelled()


async def test_an_exchange_that_somebody_cancels_is_lost(
    kling: AsyncKlingClient, transport: Held
) -> None:
    """And its caller, whom nobody cancelled, hears of it."""
    create = asyncio.create_task(kling.avatars.create(image_url=URL))
    await transport.began.wait()
    (under_way,) = kling._wire._under_way
    under_way.cancel()
    with pytest.raises(OutcomeUnknownError, match="exchange was cancelled"):
        await create
    await kling.aclose()


async def test_what_fails_after_its_caller_left_is_no_complaint_of_the_loop(
    kling: AsyncKlingClient, transport: Held, tmp_path: Path
) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, one: complaints.append(one))
    transport.status = 1000  # what comes is no answer
    calls: list[asyncio.Task[Any]] = [
        asyncio.create_task(kling.avatars.list()),
        asyncio.create_task(kling.assets.download(URL, tmp_path / "a.mp4")),
    ]
    while transport.asked < 2:
        await asyncio.sleep(0)
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    del call, calls  # their tracebacks hold what is to be collected
    transport.go.set()
    await asyncio.sleep(0.02)
    gc.collect()
    assert complaints == []
    await kling.aclose()


@pytest.mark.parametrize("status", [200, 404])
async def test_a_downloads_connection_is_closed_before_it_ends(
    status: int, kling: AsyncKlingClient, transport: Held, tmp_path: Path
) -> None:
    """Also where its body was not read, and httpx has not closed it by itself."""
    transport.status, transport.body = status, b"\0\0\0\x18ftypisom"
    transport.go.set()
    download = kling.assets.download(URL, tmp_path / "a.mp4")
    (ended,) = await asyncio.gather(download, return_exceptions=True)
    assert isinstance(ended, NotFoundError if status == 404 else Download)
    assert transport.open_bodies == 0
    assert kling._wire._streams == set()
    await kling.aclose()

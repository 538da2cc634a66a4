"""What does the client own, when does it open it, and what exactly goes out?"""

from __future__ import annotations

import asyncio
import io
import json
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

import kling_async
from kling_async import (
    AsyncKlingClient,
    Avatar,
    ConfigurationError,
    CreateAvatar,
    CreatedAvatar,
    DeleteAvatar,
    GetAccount,
    InvalidRequestError,
    KlingClient,
    ListAccounts,
    ListAvatars,
    ListVoices,
    RetryPolicy,
    ServerAccount,
    UploadAsset,
    VoiceList,
    errors,
)
from kling_async.emulator import Emulator, Fault, sample_png

TOKEN, BASE_URL = "user:12345-abcdefghi", "http://127.0.0.1/v1/kling"
DEMO = "demo@example.com"
URL = "https://x.y/a.png"
Open = Callable[..., Awaitable[AsyncKlingClient]]

pytestmark = pytest.mark.filterwarnings("error")


# --- lifecycle --------------------------------------------------------------------------------


class Counted(httpx.AsyncBaseTransport):
    """Lists nothing; counts what it is asked and how often it is closed."""

    def __init__(self) -> None:
        self.asked = self.closed = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        return httpx.Response(200, json=[])

    async def aclose(self) -> None:
        self.closed += 1


def client(transport: Any, **options: Any) -> AsyncKlingClient:
    given = {"base_url": BASE_URL, "rate_limit": None, **options}
    return AsyncKlingClient(TOKEN, transport=transport, **given)


@pytest.mark.parametrize("transport", [None, "httpx", "aiohttp"])
def test_a_client_made_without_a_loop_works_in_one(transport: str | None) -> None:
    if transport == "aiohttp":
        pytest.importorskip("httpx_aiohttp")
    kling = client(transport)  # nothing is bound to a loop: there is none
    kling.with_options(deadline_s=5)
    assert kling.avatars is kling.avatars

    async def use() -> None:
        async with Emulator().serve() as url, client(transport, base_url=url) as served:
            assert await served.avatars.list() == []

    asyncio.run(use())
    asyncio.run(kling.aclose())


def test_a_client_that_is_never_opened_leaves_nothing_to_close() -> None:
    del client("httpx")._wire  # a warning about something unclosed would be an error here


async def test_the_first_call_opens_and_aclose_closes() -> None:
    transport = Counted()
    kling = client(transport)
    assert await kling.avatars.list() == []
    assert transport.closed == 0
    await kling.aclose()
    await kling.aclose()
    assert (transport.asked, transport.closed) == (1, 1)


async def test_a_closed_client_says_so() -> None:
    transport = Counted()
    async with client(transport) as kling:
        view = kling.with_options(deadline_s=9)
    for one in (kling, view):
        with pytest.raises(ConfigurationError, match=r"closed.*Nothing was sent"):
            await one.avatars.list()
    with pytest.raises(ConfigurationError, match="closed"):
        await kling.__aenter__()
    assert transport.asked == 0


def test_a_second_event_loop_is_refused() -> None:
    transport = Counted()
    kling = client(transport)

    async def use() -> None:
        await kling.avatars.list()

    asyncio.run(use())
    with pytest.raises(ConfigurationError, match=r"another event loop.*Nothing was sent"):
        asyncio.run(use())
    assert transport.asked == 1
    asyncio.run(kling.aclose())


async def test_your_own_http_client_stays_open() -> None:
    transport = Counted()
    async with httpx.AsyncClient(transport=transport) as own:
        async with client(None, http_client=own) as kling:
            await kling.avatars.list()
        assert (own.is_closed, transport.closed) == (False, 0)
        async with client(None, http_client=own) as again:
            await again.avatars.list()
    assert (transport.asked, transport.closed) == (2, 1)


async def test_closing_ends_exchanges_under_way(emulator: Emulator) -> None:
    emulator.add_faults([Fault("avatars.create", "stall")])
    kling = await client(emulator.transport(), timeout=None).__aenter__()
    call = asyncio.create_task(kling.avatars.create(image_url=URL))
    while not emulator.calls:
        await asyncio.sleep(0)
    kling._wire.close_within_s = 0.01
    await kling._wire.aclose()
    with pytest.raises(errors.OutcomeUnknownError, match="closed"):
        await call


def test_repr_is_short() -> None:
    assert repr(client("httpx")) == f"AsyncKlingClient({BASE_URL!r}, accounts=0)"


# --- options ----------------------------------------------------------------------------------


async def test_with_options_shares_everything_but_the_options(emulator: Emulator) -> None:
    emulator.add_faults([Fault("avatars.list", "status", status=500)])
    transport = emulator.transport()
    async with client(transport, accounts=[DEMO]) as kling:
        view = kling.with_options(retry=RetryPolicy(attempts=1))
        with pytest.raises(errors.ServerError):
            await view.avatars.list()
        assert emulator.counts["avatars.list"] == 1
        assert view._pipeline is kling._pipeline
        assert view.accounts.registry is kling.accounts.registry
        assert view._options.retry.attempts == 1
        assert kling._options.retry == RetryPolicy()


async def test_options_not_given_stay(emulator: Emulator) -> None:
    retry = RetryPolicy(attempts=2)
    async with client(emulator.transport(), retry=retry, deadline_s=50) as kling:
        view = kling.with_options(timeout=3.0).with_options(deadline_s=7)
    assert (view._options.retry, view._options.deadline_s, view._options.timeout) == (retry, 7, 3.0)
    assert (kling._options.deadline_s, kling._options.timeout) == (50, None)


@pytest.mark.parametrize("deadline_s", [0, -1, True, "5"])
def test_with_options_checks_them(deadline_s: Any) -> None:
    with pytest.raises(ConfigurationError, match="deadline_s"):
        client("httpx").with_options(deadline_s=deadline_s)


@pytest.mark.parametrize(("of_client", "of_view", "expected"), [
    (None, None, {"connect": 10.0, "read": 180.0, "write": 60.0, "pool": 60.0}),
    (7.0, None, dict.fromkeys(("connect", "read", "write", "pool"), 7.0)),
    (7.0, httpx.Timeout(3, read=4), {"connect": 3, "read": 4, "write": 3, "pool": 3}),
    (httpx.Timeout(None), None, dict.fromkeys(("connect", "read", "write", "pool"))),
])  # fmt: skip
async def test_timeouts_reach_httpx(of_client: Any, of_view: Any, expected: Any) -> None:
    class Seeing(Counted):
        seen: Any = None

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            self.seen = request.extensions["timeout"]
            return await super().handle_async_request(request)

    transport = Seeing()
    async with client(transport, timeout=of_client) as kling:
        await kling.with_options(timeout=of_view).avatars.list()
    assert transport.seen == expected


# --- send -------------------------------------------------------------------------------------


async def test_send_returns_what_the_request_stands_for(kling: AsyncKlingClient) -> None:
    made = await kling.send(CreateAvatar(image_url=URL, nickname="Ada"))
    assert isinstance(made, CreatedAvatar)
    listed = await kling.send(ListAvatars())
    assert [type(one) for one in listed] == [Avatar]
    assert listed[0].nickname == "Ada"
    assert isinstance(await kling.send(ListVoices()), VoiceList)
    assert isinstance(await kling.send(GetAccount(email=DEMO)), ServerAccount)
    assert [one.email for one in await kling.send(ListAccounts())] == [DEMO]
    assert (await kling.send(UploadAsset(file=sample_png()))).usable_url.startswith("http")
    await kling.send(DeleteAvatar(avatar_id=made.id))
    assert await kling.send(ListAvatars()) == []


async def test_results_carry_meta(kling: AsyncKlingClient) -> None:
    made = await kling.avatars.create(image_url=URL, email=DEMO)
    assert (made.meta.account, made.meta.status_code, made.meta.attempts) == (DEMO, 200, 1)
    assert made.meta.elapsed_s >= 0
    (listed,) = await kling.avatars.list(email=DEMO)
    assert listed.meta.account == DEMO


async def test_templates_are_found_in_their_own_list(kling: AsyncKlingClient) -> None:
    template = (await kling.avatars.list("templates"))[0]
    assert template.is_template
    assert await kling.avatars.get(template) == template


async def test_an_avatar_that_is_not_listed_is_not_found(kling: AsyncKlingClient) -> None:
    with pytest.raises(errors.NotFoundError, match="300137233318846"):
        await kling.avatars.get("300137233318846")


# --- upload first -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["path", "text", "bytes", "file", "buffer"])
async def test_an_image_goes_up_first_and_to_the_same_account(
    kind: str, open_client: Open, tmp_path: Path
) -> None:
    emulator = Emulator(accounts=["ada@example.com", "ben@example.com"])
    kling = await open_client(transport=emulator.transport())
    png = sample_png(3)
    path = tmp_path / "ben.png"
    path.write_bytes(png)
    with path.open("rb") as file:
        image: Any = {
            "path": path, "text": str(path), "bytes": png, "file": file, "buffer": io.BytesIO(png)
        }[kind]  # fmt: skip
        made = await kling.avatars.create(image=image, nickname="Ben", email="ben@example.com")
    upload, create = emulator.calls
    assert (upload.operation, create.operation) == ("assets.upload", "avatars.create")
    assert upload.query == {"email": "ben@example.com"}
    assert upload.headers["content-type"] == "image/png"
    assert upload.body_size_bytes == len(png)
    assert create.fields == {
        "imageUrl": emulator.uploads[0].url,
        "nickname": "Ben",
        "email": "ben@example.com",
    }
    assert made.meta.account == "ben@example.com"


async def test_a_failed_upload_makes_no_avatar(kling: AsyncKlingClient, emulator: Emulator) -> None:
    emulator.add_faults([Fault("assets.upload", "status", status=401)])
    with pytest.raises(errors.AuthenticationError, match="POST /assets/"):
        await kling.avatars.create(image=sample_png())
    assert emulator.counts == {"assets.upload": 1}


async def test_a_file_that_vanishes_makes_no_avatar(
    kling: AsyncKlingClient, emulator: Emulator, tmp_path: Path
) -> None:
    path = tmp_path / "gone.png"
    path.write_bytes(sample_png())
    request = CreateAvatar(image=path)
    path.unlink()
    with pytest.raises(
        errors.InvalidRequestError, match=r"gone.png can't be read any more"
    ) as caught:
        await kling.send(request)
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert emulator.calls == []


async def test_an_invalid_request_sends_nothing(
    kling: AsyncKlingClient, emulator: Emulator
) -> None:
    with pytest.raises(errors.InvalidRequestError) as caught:
        await kling.avatars.create(image=b"GIF89a", nickname="x" * 31)
    assert set(caught.value.problems) == {"image", "nickname"}
    assert emulator.calls == []


# --- on the wire, byte for byte ---------------------------------------------------------------


def parsed(content: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = content.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    headers = [(name.lower(), value) for name, value in pairs]
    assert len({name for name, _ in headers}) == len(headers)
    return first, dict(headers), body


async def answer(writer: asyncio.StreamWriter, request: bytes) -> None:
    body = b'{"id":"300137233318846","status":"SUCCESS"}' if b"POST" in request else b"[]"
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


@pytest.mark.parametrize("transport", ["httpx", "aiohttp"])
@pytest.mark.parametrize("accounts", [[], ["a+b@example.com"]])
async def test_a_create_byte_for_byte(
    open_client: Open, raw_server: Any, transport: str, accounts: list[str]
) -> None:
    if transport == "aiohttp":
        pytest.importorskip("httpx_aiohttp")
    async with raw_server(answer) as server:
        kling = await open_client(transport=transport, base_url=server.base_url, accounts=accounts)
        await kling.avatars.create(image_url=URL, nickname="Zoë", tts_speed=1.5)
        await kling.avatars.list()
    first, headers, body = parsed(server.requests[0])
    assert first == "POST /v1/kling/avatars HTTP/1.1"
    assert headers == {
        "host": f"127.0.0.1:{server.port}",
        "authorization": f"Bearer {TOKEN}",
        "content-type": "application/json",
        "content-length": str(len(body)),
        "accept": "application/json",
        "user-agent": f"kling-async/{kling_async.__version__}",
        **{name: headers[name] for name in ("accept-encoding", "connection") if name in headers},
    }
    expected = {"imageUrl": URL, "nickname": "Zoë", "ttsSpeed": 1.5}
    if accounts:
        expected["email"] = accounts[0]
    assert json.loads(body) == expected
    first, headers, body = parsed(server.requests[1])
    query = "?email=a%2Bb@example.com" if accounts else ""
    assert first.replace("%40", "@") == f"GET /v1/kling/avatars{query} HTTP/1.1"  # either is right
    assert "content-type" not in headers
    assert body == b""
    assert server.connections == 1  # kept alive


@pytest.mark.parametrize("transport", ["httpx", "aiohttp"])
async def test_an_upload_byte_for_byte(open_client: Open, raw_server: Any, transport: str) -> None:
    if transport == "aiohttp":
        pytest.importorskip("httpx_aiohttp")

    async def stored(writer: asyncio.StreamWriter, request: bytes) -> None:
        body = b'{"status":3,"url":"https://u/v","message":""}'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    png = sample_png(1)
    async with raw_server(stored) as server:
        kling = await open_client(
            transport=transport, base_url=server.base_url, accounts=["a+b@c.de"]
        )
        await kling.assets.upload(png)
    first, headers, body = parsed(server.requests[0])
    assert first.replace("%40", "@") == "POST /v1/kling/assets/?email=a%2Bb@c.de HTTP/1.1"
    assert (headers["content-type"], headers["content-length"]) == ("image/png", str(len(png)))
    assert "transfer-encoding" not in headers
    assert body == png


@pytest.mark.parametrize("transport", ["httpx", "aiohttp"])
async def test_a_plus_in_the_path_byte_for_byte(
    open_client: Open, raw_server: Any, transport: str
) -> None:
    if transport == "aiohttp":
        pytest.importorskip("httpx_aiohttp")

    async def account(writer: asyncio.StreamWriter, request: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    async with raw_server(account) as server:
        kling = await open_client(transport=transport, base_url=server.base_url)
        await kling.accounts.get("a+b@c.de")
    first, _, _ = parsed(server.requests[0])
    assert first.replace("%40", "@") == "GET /v1/kling/accounts/a%2Bb@c.de HTTP/1.1"


# --- wrong arguments --------------------------------------------------------------------------


async def async_hook(event: object) -> None:
    """What a hook can't be."""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"retry": 3}, "RetryPolicy(attempts=3)"),
        ({"rate_limit": 3}, "RateLimit(10, per_s=1)"),
        ({"client_rate_limit": "5/s"}, "client_rate_limit='5/s'"),
        ({"timeout": "5"}, "timeout='5': give seconds"),
        ({"timeout": -1}, "timeout=-1"),
        ({"timeout": math.inf}, "httpx.Timeout(None) for no limit"),
        ({"deadline_s": "5"}, "deadline_s must be seconds"),
        ({"http_client": httpx.Client()}, "httpx.AsyncClient, not httpx.Client"),
        ({"hooks": print}, "hooks=["),
        ({"hooks": [async_hook]}, "async_hook"),
        ({"hooks": ["log"]}, "'log' is no plain function"),
        ({"accounts": [7]}, "not int"),
        ({"base_url": 7}, "text, not int"),
        ({"token": 7}, "text, not int"),
    ],
    ids=lambda one: one if isinstance(one, str) else ",".join(one),
)
def test_wrong_options_are_named_when_the_client_is_made(
    options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        AsyncKlingClient(**{"token": TOKEN, **options})
    assert said in str(refused.value)


async def test_a_view_without_a_deadline(emulator: Emulator) -> None:
    emulator.add_faults([Fault("tts.voices", "latency", delay_s=0.03)])
    kling = client(emulator.transport(), deadline_s=0.01)
    assert await kling.with_options(deadline_s=math.inf).tts.voices()
    await kling.aclose()


@pytest.mark.parametrize("options", [{"retry": 3}, {"timeout": "5"}], ids=str)
def test_a_view_names_wrong_options_too(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        AsyncKlingClient(TOKEN).with_options(**options)


@pytest.mark.parametrize("avatar", [1, None, "ada"], ids=str)
async def test_what_is_no_avatar_is_named(
    kling: AsyncKlingClient, emulator: Emulator, avatar: Any
) -> None:
    for act in (kling.avatars.get, kling.avatars.delete):
        with pytest.raises(InvalidRequestError, match=r"string of digits|is required"):
            await act(avatar)
    assert not emulator.counts


@pytest.mark.parametrize(
    ("request_", "what"), [("GET /avatars", "str"), (CreateAvatar, "the class itself")], ids=str
)
async def test_what_is_no_request_is_named(
    kling: AsyncKlingClient, request_: Any, what: str
) -> None:
    with pytest.raises(InvalidRequestError, match=f"not {what}"):
        await kling.send(request_)


async def test_waiting_takes_seconds(kling: AsyncKlingClient) -> None:
    with pytest.raises(InvalidRequestError, match="deadline_s: must be seconds above 0"):
        await kling.tasks.wait(1, deadline_s="5")  # type: ignore[arg-type]


@pytest.mark.parametrize("token", [None, "user:7-mine"])
async def test_on_the_emulator_no_token_is_needed_and_none_of_the_environment_taken(
    monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    monkeypatch.setenv("USEAPI_TOKEN", "user:1-real")
    monkeypatch.setenv("KLING_BASE_URL", "https://real.example/v1/kling")
    emulator = Emulator(token=token)
    async with AsyncKlingClient(transport=emulator.transport()) as kling:
        assert repr(kling) == "AsyncKlingClient('http://localhost/v1/kling', accounts=0)"
        await kling.avatars.list()
    with KlingClient(transport=emulator.transport()) as waiting:
        waiting.avatars.list()
    assert emulator.status_counts["avatars.list", 200] == 2
    other = AsyncKlingClient("user:8-a", base_url="http://[::1]/x", transport=emulator.transport())
    assert repr(other) == "AsyncKlingClient('http://[::1]/x', accounts=0)"
    monkeypatch.delenv("USEAPI_TOKEN")
    with pytest.raises(ConfigurationError, match="no API token"):
        AsyncKlingClient(transport=httpx.AsyncHTTPTransport(verify=False))

"""Does the token show anywhere but in the Authorization header, or a password but in its body?

One run through many kinds of failure, on both transports and in process; then every text that
came of it is searched: reprs, errors with all their causes, log records of any logger, the ledger.
"""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import traceback
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

from kling_async import (
    AddAccount,
    APIError,
    AsyncKlingClient,
    CreateAvatar,
    KlingError,
    RetryPolicy,
)
from kling_async._transport.protocol import encode
from kling_async.emulator import Emulator, Fault, sample_png

MARK = "marked0secret0token0marked"
TOKEN = f"user:4711-{MARK}"
URL = "https://x.y/a.png"
ONCE = RetryPolicy(attempts=2, reconcile_within_s=0)
Open = Callable[..., Awaitable[AsyncKlingClient]]


def tokens_in(*things: object) -> list[object]:
    """Those that show the token, in any form."""
    shown = (TOKEN, MARK, "user%3A4711", "user:4711")
    return [one for one in things if any(part in str(one) for part in shown)]


def chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    todo = [error]
    while todo:
        one = todo.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            todo += [one.__cause__, one.__context__]
            yield one


def texts_of(error: BaseException) -> Iterator[str]:
    for one in chain(error):
        yield from (str(one), repr(one), repr(one.args))
        yield from (f"{name}={value!r}" for name, value in vars(one).items())
        yield "".join(traceback.format_exception(type(one), one, one.__traceback__))


class Heard(logging.Handler):
    """Keeps every record of every logger, formatted and with its arguments."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.loggers: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.loggers.add(record.name.partition(".")[0])
        self.lines.append(f"{self.format(record)} {record.args!r} {record.__dict__!r}")


@pytest.fixture
def heard() -> Iterator[Heard]:
    handler, root = Heard(), logging.getLogger()
    level, ours = root.level, logging.getLogger("kling_async")
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    ours.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)
    ours.setLevel(logging.NOTSET)


FAULTS = [
    Fault("avatars.create", "refuse_connection", at=(1, 2)),
    Fault("avatars.create", "reset_after", at=3),
    Fault("avatars.create", "status", status=401, at=4),
    Fault("avatars.create", "status", status=500, at=5),
    Fault("avatars.create", "html_200", at=6),
    Fault("avatars.create", "garbage", at=7),
    Fault("avatars.create", "truncated_body", at=8),
    Fault("avatars.create", "stall", at=9),
    Fault("avatars.create", "status", status=429, form="none", at=(10, 11)),
    Fault("avatars.create", "failed_status", at=12),
    Fault("avatars.create", "redirect", at=13),
    Fault("avatars.create", "bad_chunk", at=14),
]
CREATES = 13  # the two refusals in a row are one call, and so are the two 429


async def failures(kling: AsyncKlingClient) -> list[KlingError]:
    """What goes wrong in a run through all of the faults."""
    found: list[KlingError] = []

    async def note(call: Awaitable[Any]) -> None:
        try:
            await call
        except KlingError as error:
            found.append(error)

    for _ in range(CREATES):
        await note(kling.avatars.create(image_url=URL, nickname="Ada"))
    await note(kling.avatars.delete("300137233318846"))
    await note(kling.avatars.create(image=b"no image"))
    await note(kling.with_options(deadline_s=0.001).avatars.list())
    return found


@pytest.mark.parametrize("way", ["in process", "httpx", "aiohttp"])
async def test_the_token_shows_nowhere(
    way: str, open_client: Open, no_waiting: Any, heard: Heard
) -> None:
    if way == "aiohttp":
        pytest.importorskip("httpx_aiohttp")
    emulator = Emulator(token=TOKEN, faults=FAULTS)
    options = {"retry": ONCE, "clock": no_waiting, "timeout": httpx.Timeout(5, read=0.2)}
    async with emulator.serve() as base_url:
        if way != "in process":
            options.update(base_url=base_url, transport=way)
        else:
            options.update(transport=emulator.transport())
        kling = await open_client(token=TOKEN, **options)
        found = await failures(kling)
        made = await kling.avatars.create(image=sample_png())
    assert emulator.calls[-1].headers["authorization"] != f"Bearer {TOKEN}"  # masked there, too
    assert len({type(error) for error in found}) >= 6
    for error in found:
        assert tokens_in(*texts_of(error)) == []
        assert TOKEN.encode() not in pickle.dumps(error)
    things = [kling, kling._wire, kling._pipeline, kling._options, kling.avatars, made, made.meta]
    things += [kling.accounts.registry, kling._pipeline.admission]
    assert tokens_in(*map(repr, things), *map(str, things)) == []
    assert "kling_async" in heard.loggers
    assert tokens_in(*heard.lines) == []


async def test_nor_in_a_ledger(open_client: Open, tmp_path: Path, no_waiting: Any) -> None:
    going_on = [
        one for one in FAULTS if one.settings.get("status") != 401
    ]  # that parks the account
    emulator = Emulator(token=TOKEN, faults=going_on)
    kling = await open_client(
        token=TOKEN, transport=emulator.transport(), retry=ONCE, clock=no_waiting, timeout=0.2
    )
    rows = [CreateAvatar(image_url=f"https://x.y/{number}.png") for number in range(16)]
    path = tmp_path / "avatars.sqlite"
    states = [row async for row in kling.avatars.create_many(rows, ledger=path, concurrency=2)]
    assert {row.state for row in states} >= {"unknown", "failed"}
    assert tokens_in(*map(repr, states)) == []
    written = [file for file in tmp_path.iterdir() if file.is_file()]
    assert path in written
    for file in written:
        assert MARK.encode() not in file.read_bytes(), file.name


async def test_nor_in_the_headers_that_an_error_shows(open_client: Open) -> None:
    def echo_head(request: httpx.Request) -> httpx.Response:
        return httpx.Response(400, headers={"x-echo": request.headers["authorization"]})

    kling = await open_client(token=TOKEN, transport=httpx.MockTransport(echo_head), retry=ONCE)
    with pytest.raises(APIError) as caught:
        await kling.accounts.list()
    assert caught.value.headers["x-echo"] == "Bearer ***"
    assert tokens_in(*texts_of(caught.value)) == []


async def test_nor_where_a_client_is_refused() -> None:
    bad = f"{TOKEN}\n"
    with pytest.raises(KlingError) as caught:
        AsyncKlingClient(bad)
    assert tokens_in(*texts_of(caught.value)) == []
    with pytest.raises(KlingError) as caught:
        AsyncKlingClient(TOKEN, base_url="http://elsewhere.example")
    assert tokens_in(str(caught.value), repr(caught.value)) == []


# --- passwords --------------------------------------------------------------------------------

PASSWORD, PASS_TOKEN, DID = "marked0password", "marked0pass0token", "marked0did"
SECRETS = (PASSWORD, PASS_TOKEN, DID)


def secrets_in(*things: object) -> list[object]:
    return [one for one in things if any(secret in str(one) for secret in SECRETS)]


def echo(request: httpx.Request) -> dict[str, Any]:
    """The worst answer: all that was sent, in each place where an answer has text."""
    sent = json.loads(request.content)
    text = f"login failed for {sent['password']} {sent['passToken']}: {sent}"
    return {"error": text, "message": text, "password": sent["password"], "email": sent["email"],
            "session": {"userId": sent["did"], "more": [sent]}, "new": [text]}  # fmt: skip


def html(request: httpx.Request) -> httpx.Response:
    return httpx.Response(500, text=f"<pre>{request.content.decode()}</pre>")


def cut(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError(f"lost after {len(request.content)} bytes", request=request)


ADDED: list[tuple[str, Callable[[httpx.Request], httpx.Response], str]] = [
    ("stored", lambda request: httpx.Response(201, json=echo(request)), ""),
    ("refused", lambda request: httpx.Response(400, json=echo(request)), "BadRequestError"),
    ("nested", lambda request: httpx.Response(500, json={"error": echo(request)}), "ServerError"),
    ("html", html, "ServerError"),
    ("text", lambda request: httpx.Response(200, content=request.content[1:]),
     "UnexpectedResponseError"),
    ("a list", lambda request: httpx.Response(200, json=[echo(request)]),
     "UnexpectedResponseError"),
    ("headers", lambda request: httpx.Response(400, headers={"x-echo": request.content.decode()}),
     "BadRequestError"),
    ("lost", cut, "OutcomeUnknownError"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "react", "kind"), ADDED, ids=[one[0] for one in ADDED])
async def test_a_password_shows_nowhere(
    name: str,
    react: Callable[[httpx.Request], httpx.Response],
    kind: str,
    open_client: Open,
    no_waiting: Any,
    heard: Heard,
) -> None:
    sent: list[bytes] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request.content)
        return react(request)

    kling = await open_client(transport=httpx.MockTransport(handle), retry=ONCE, clock=no_waiting)
    found: Any = None
    try:
        found = await kling.accounts.add(
            "a@b.c", PASSWORD, max_jobs=3, pass_token=PASS_TOKEN, did=DID, user_id="7"
        )
    except KlingError as error:
        found = error
    assert type(found).__name__ == (kind or "ServerAccount")
    assert all(secret.encode() in sent[0] for secret in SECRETS)  # there it belongs
    if isinstance(found, KlingError):
        assert secrets_in(*texts_of(found)) == []
        for one in chain(found):
            request = getattr(one, "_request", None)  # httpx's errors would keep it
            assert request is None, one
        if kind == "OutcomeUnknownError":
            asked = found.request  # type: ignore[attr-defined]
            assert (asked.email, asked.max_jobs) == ("a@b.c", 3)
            assert (
                secrets_in(*(getattr(asked, one.name) for one in attrs.fields(type(asked)))) == []
            )
    else:
        assert secrets_in(found.raw, dict(found.extra), found.error, found.session.extra) == []
    pickled = pickle.dumps(found)
    assert [one for one in SECRETS if one.encode() in pickled] == []
    assert secrets_in(repr(found), *heard.lines, repr(kling.accounts.registry)) == []
    assert "kling_async" in heard.loggers


def test_an_account_to_add_shows_no_password() -> None:
    request = AddAccount(
        email="a@b.c", password=PASSWORD, max_jobs=3, pass_token=PASS_TOKEN, did=DID, user_id="7"
    )
    assert secrets_in(repr(request), str(request), repr(encode(request, "a@b.c"))) == []
    with pytest.raises(KlingError) as caught:
        AddAccount(email="no e-mail", password=PASSWORD, max_jobs=99, pass_token=PASS_TOKEN)
    assert secrets_in(*texts_of(caught.value)) == []
    with pytest.raises(KlingError) as caught:
        AddAccount(email="a@b.c", password=PASSWORD.encode(), max_jobs=3)  # type: ignore[arg-type]
    assert secrets_in(*texts_of(caught.value)) == []


def test_the_search_finds_what_is_there() -> None:
    error = ValueError("outside")
    error.__cause__ = RuntimeError({"authorization": f"Bearer {TOKEN}"})
    assert tokens_in(*texts_of(error))
    assert asyncio.run(asyncio.sleep(0, tokens_in("nothing"))) == []

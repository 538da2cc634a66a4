"""aiohttp's server: one client per app, honest answers, uploads and callbacks."""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from kling_async import (
    AsyncKlingClient,
    InvalidRequestError,
    NotSentError,
    RetryPolicy,
    WebhookReceiver,
)
from kling_async.emulator import Emulator, Fault, sample_png
from kling_async.integrations.aiohttp import (
    KLING,
    kling_context,
    kling_errors,
    kling_of,
    media_of,
    webhook_route,
)
from kling_async.webhooks import MOST_BYTES

OPTIONS: dict[str, Any] = {
    "token": "user:12345-abcdefghi",
    "base_url": "http://127.0.0.1/v1/kling",
    "retry": RetryPolicy(attempts=1, reconcile_within_s=0),
}
receiver = WebhookReceiver()


async def create(request: web.Request) -> web.Response:
    form = await request.post()
    media = await media_of(form.get("portrait"))
    avatar = await kling_of(request).avatars.create(image=media)
    return web.json_response(avatar.id)


async def broken_stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"half")
    raise NotSentError("in the middle")


def make_app(emulator: Emulator, *, client: bool = True) -> web.Application:
    app = web.Application(middlewares=[kling_errors])
    if client:
        app.cleanup_ctx.append(kling_context(transport=emulator.transport(), **OPTIONS))
    app.router.add_routes(
        [
            web.post("/avatars", create),
            web.get("/broken", broken_stream),
            webhook_route(receiver),
        ]
    )
    return app


@asynccontextmanager
async def talking_to(app: web.Application) -> AsyncIterator[TestClient[Any, Any]]:
    async with TestClient(TestServer(app)) as client:
        yield client


def portrait(content: bytes) -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("portrait", content, filename="ada.png")
    return form


async def test_one_client_per_app_closed_at_the_end(emulator: Emulator) -> None:
    app = make_app(emulator)
    async with talking_to(app):
        kling = app[KLING]
        await kling.accounts.list()
    with pytest.raises(Exception, match="closed"):
        await kling.accounts.list()


async def test_an_uploaded_file_becomes_an_avatar_in_a_nested_app(emulator: Emulator) -> None:
    nested = web.Application()
    nested.router.add_post("/avatars", create)
    app = make_app(emulator)
    app.add_subapp("/v1", nested)
    async with talking_to(app) as client:
        for path in ("/avatars", "/v1/avatars"):
            answer = await client.post(path, data=portrait(sample_png()))
            assert answer.status == 200
            assert await answer.json() == emulator.avatars[-1].id


async def test_what_the_api_would_refuse_is_422(emulator: Emulator) -> None:
    async with talking_to(make_app(emulator)) as client:
        cases: list[tuple[Any, str]] = [
            (portrait(b"no image"), "portrait"),
            ({"portrait": "text"}, "file"),
            ({"other": "x"}, "file"),
        ]
        for data, name in cases:
            answer = await client.post("/avatars", data=data)
            assert answer.status == 422
            assert (await answer.json())["detail"][0]["loc"] == ["body", name]
    with pytest.raises(InvalidRequestError, match="portrait: must be a file"):
        await media_of(None, name="portrait")
    assert emulator.calls == []


@pytest.mark.parametrize(
    ("fault", "status", "error"),
    [
        (Fault("avatars.create", "status", status=429, retry_after_s=7), 429, "rate_limited"),
        (Fault("avatars.create", "status", status=402), 502, "upstream_account"),
        (Fault("avatars.create", "reset_after"), 504, "outcome_unknown"),
        (Fault("avatars.create", "refuse_connection"), 503, "not_sent"),
    ],
)
async def test_errors_become_honest_answers(
    fault: Fault, status: int, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kling_async")
    emulator = Emulator(["ada@example.com"], faults=[fault])
    app = make_app(emulator)
    async with talking_to(app) as client:
        await app[KLING].accounts.sync()
        answer = await client.post("/avatars", data=portrait(sample_png()))
        content = await answer.json(content_type="application/problem+json")
    assert (answer.status, content["error"]) == (status, error)
    assert answer.headers.get("retry-after") == ({429: "7", 503: "5"}.get(status))
    assert "ada@" not in str(content) + caplog.text
    assert f"answered {status}" in caplog.text


async def test_an_answer_that_has_begun_is_cut_not_completed(emulator: Emulator) -> None:
    async with talking_to(make_app(emulator)) as client:
        answer = await client.get("/broken")
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_without_a_context_the_answer_is_500_and_the_log_says_why(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    async with talking_to(make_app(emulator, client=False)) as client:
        answer = await client.post("/avatars", data=portrait(sample_png()))
        assert answer.status == 500
    assert "kling_context" in caplog.text


async def test_callbacks(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    monkeypatch.setattr(receiver, "receive", lambda body, tasks: seen.append(body))
    async with talking_to(make_app(emulator)) as client:
        good = await client.post(receiver.path, data=b'{"task": {"id": 42}}')
        wrong = await client.post("/kling-webhook/guessed", data=b"x")
        elsewhere = await client.post("/nowhere", data=b"x")
        huge = await client.post(receiver.path, data=b"x" * (MOST_BYTES + 1))
        assert [one.status for one in (good, wrong, huge)] == [204, 404, 413]
        assert await wrong.text() == await elsewhere.text()
    assert seen == [b'{"task": {"id": 42}}']


def test_the_context_takes_what_the_client_takes() -> None:
    ours = inspect.signature(kling_context).parameters
    assert ours == inspect.signature(AsyncKlingClient).parameters

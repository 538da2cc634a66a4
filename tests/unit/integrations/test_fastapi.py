"""FastAPI: one client per app, its dependency, honest answers, uploads and callbacks."""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, UploadFile, WebSocket

from kling_async import AsyncKlingClient, InvalidRequestError, RetryPolicy, WebhookReceiver
from kling_async.emulator import Emulator, Fault, sample_png
from kling_async.integrations.fastapi import (
    KLING_RESPONSES,
    Kling,
    get_kling,
    install_error_handlers,
    kling_lifespan,
    media_of,
    webhook_router,
)
from kling_async.webhooks import MOST_BYTES

OPTIONS: dict[str, Any] = {
    "token": "user:12345-abcdefghi",
    "base_url": "http://127.0.0.1/v1/kling",
    "retry": RetryPolicy(attempts=1, reconcile_within_s=0),
}
receiver = WebhookReceiver()


def make_app(emulator: Emulator) -> FastAPI:
    app = FastAPI(lifespan=kling_lifespan(transport=emulator.transport(), **OPTIONS))
    install_error_handlers(app)
    app.include_router(webhook_router(receiver))

    @app.post("/avatars", responses=KLING_RESPONSES)
    async def create(portrait: UploadFile, kling: Kling, nickname: str | None = None) -> str:
        return (await kling.avatars.create(image=await media_of(portrait), nickname=nickname)).id

    @app.websocket("/live")
    async def live(websocket: WebSocket, kling: Kling) -> None:
        await websocket.accept()
        await websocket.send_json(len(await kling.accounts.list()))
        await websocket.close()

    @app.get("/same")
    async def same(kling: Kling) -> bool:
        return kling is app.state.kling

    return app


@asynccontextmanager
async def talking_to(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield client


def portrait(content: bytes) -> dict[str, tuple[str, bytes]]:
    return {"portrait": ("ada.png", content)}


async def test_one_client_per_app_closed_at_the_end(emulator: Emulator) -> None:
    app = make_app(emulator)
    async with talking_to(app) as client:
        kling: AsyncKlingClient = app.state.kling
        assert (await client.get("/same")).json() is True
    assert not hasattr(app.state, "kling")
    with pytest.raises(Exception, match="closed"):
        await kling.accounts.list()


async def test_it_nests_in_a_lifespan_of_ones_own(emulator: Emulator) -> None:
    turns: list[str] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        async with kling_lifespan(transport=emulator.transport(), **OPTIONS)(app):
            turns.append("open")
            yield {"mine": "too"}
            await app.state.kling.accounts.list()  # still there while mine ends
            turns.append("ended")

    app = FastAPI(lifespan=lifespan)
    async with app.router.lifespan_context(app):
        pass
    assert turns == ["open", "ended"]


async def test_without_a_lifespan_the_answer_is_500_and_the_log_says_why(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    transport = httpx.ASGITransport(make_app(emulator))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get("/same")
    assert answer.status_code == 500
    assert answer.json()["error"] == "misconfigured"
    assert "lifespan=kling_lifespan" in caplog.text


async def test_tests_can_replace_the_client(emulator: Emulator, open_client: Any) -> None:
    app = make_app(emulator)
    other = await open_client()
    app.dependency_overrides[get_kling] = lambda: other
    async with talking_to(app) as client:
        assert (await client.get("/same")).json() is False


async def test_an_uploaded_file_becomes_an_avatar(emulator: Emulator) -> None:
    async with talking_to(make_app(emulator)) as client:
        answer = await client.post("/avatars", files=portrait(sample_png()))
    assert answer.status_code == 200
    assert [one.id for one in emulator.avatars] == [answer.json()]


def test_the_schema_tells_what_a_failed_call_is_answered_with(emulator: Emulator) -> None:
    answers = make_app(emulator).openapi()["paths"]["/avatars"]["post"]["responses"]
    assert set(answers) == {"200", *map(str, KLING_RESPONSES)}
    assert "`outcome_unknown`" in answers["504"]["description"]


async def test_what_the_api_would_refuse_is_422_in_fastapis_form(emulator: Emulator) -> None:
    async with talking_to(make_app(emulator)) as client:
        no_image = await client.post("/avatars", files=portrait(b"no image"))
        long_name = await client.post(
            "/avatars", files=portrait(sample_png()), params={"nickname": "x" * 31}
        )
        own = await client.post("/avatars")
    assert {no_image.status_code, long_name.status_code, own.status_code} == {422}
    assert no_image.json()["detail"][0]["loc"] == ["body", "portrait"]
    assert long_name.json()["detail"][0]["loc"] == ["body", "nickname"]
    assert set(own.json()["detail"][0]) >= set(long_name.json()["detail"][0])
    assert emulator.avatars == []


@pytest.mark.parametrize(
    ("fault", "status", "error"),
    [
        (Fault("avatars.create", "status", status=429, retry_after_s=7), 429, "rate_limited"),
        (Fault("avatars.create", "status", status=401), 502, "upstream_account"),
        (Fault("avatars.create", "status", status=404), 404, "not_found"),
        (Fault("avatars.create", "status", status=500), 502, "outcome_unknown"),
        (Fault("avatars.create", "reset_after"), 504, "outcome_unknown"),
        (Fault("avatars.create", "refuse_connection"), 503, "not_sent"),
    ],
)
async def test_errors_become_honest_answers(
    fault: Fault, status: int, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    emulator = Emulator(["ada@example.com"], faults=[fault])
    caplog.set_level(logging.INFO, "kling_async")
    app = make_app(emulator)
    async with talking_to(app) as client:
        await app.state.kling.accounts.sync()
        answer = await client.post("/avatars", files=portrait(sample_png()))
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers.get("retry-after") == ({429: "7", 503: "5"}.get(status))
    assert "ada@" not in answer.text + caplog.text
    assert f"answered {status}" in caplog.text
    assert "(e-mail)" in caplog.text  # it was there to be hidden


async def test_a_file_is_read_in_a_thread() -> None:
    threads: list[int] = []

    class Watched(BytesIO):
        def read(self, *args: Any) -> bytes:
            threads.append(threading.get_ident())
            return super().read(*args)

    media = await media_of(UploadFile(Watched(sample_png()), filename="ada.png"))
    assert media.content_type == "image/png"
    assert threads
    assert threading.get_ident() not in threads
    wav = b"RIFF....WAVE"
    with pytest.raises(InvalidRequestError):
        await media_of(UploadFile(BytesIO(wav), filename="a.wav"))
    assert (await media_of(UploadFile(BytesIO(wav)), only="audio")).size_bytes == len(wav)


async def test_callbacks(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    monkeypatch.setattr(receiver, "receive", lambda body, tasks: seen.append(body))
    app = make_app(emulator)
    async with talking_to(app) as client:
        good = await client.post(receiver.path, content=b'{"task": {"id": 42}}')
        wrong = await client.post("/kling-webhook/guessed", content=b"x")
        elsewhere = await client.post("/nowhere", content=b"x")
        huge = await client.post(receiver.path, content=b"x" * (MOST_BYTES + 1))
    assert [one.status_code for one in (good, wrong, huge)] == [204, 404, 413]
    assert wrong.json() == elsewhere.json()
    assert seen == [b'{"task": {"id": 42}}']
    assert "kling-webhook" not in str(app.openapi())


async def test_a_guess_is_answered_before_its_body_is_read(emulator: Emulator) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"x" * 65536

    # ASGITransport takes the body chunk by chunk, as the app asks for it.
    async with talking_to(make_app(emulator)) as client:
        assert (await client.post("/kling-webhook/guessed", content=endless())).status_code == 404
        assert read == 0
        assert (await client.post(receiver.path, content=endless())).status_code == 413
        assert read <= 6


def test_the_lifespan_takes_what_the_client_takes() -> None:
    ours = inspect.signature(kling_lifespan).parameters
    assert ours == inspect.signature(AsyncKlingClient).parameters


async def test_an_endless_upload_is_not_read_to_its_end() -> None:
    asked: list[int] = []

    class Endless(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            assert size is not None
            assert size > 0, "the whole of it"
            asked.append(size)
            return sample_png() + b"x" * (size - len(sample_png()))

    with pytest.raises(InvalidRequestError, match="MB"):
        await media_of(UploadFile(Endless(), filename="ada.png"))
    assert sum(asked) <= 101 * 1024 * 1024


async def test_a_websocket_has_the_client_too(emulator: Emulator) -> None:
    app = make_app(emulator)
    sent: list[Any] = []
    coming = [{"type": "websocket.connect"}]
    scope = {"type": "websocket", "path": "/live", "headers": [], "query_string": b"", "app": app}

    async def receive() -> Any:
        return coming.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    async with app.router.lifespan_context(app):
        await app(scope, receive, send)
    assert sent[1] == {"type": "websocket.send", "text": "1"}

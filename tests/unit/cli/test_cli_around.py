"""What helps around a job: is all there, what became of one row, what a shell completes?"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from kling_async.cli.doctor import _date_of, clock_finding


def found(result: Result) -> dict[str, dict[str, Any]]:
    return {one["what"]: one for one in map(json.loads, result.stdout.splitlines())}


def test_doctor_says_that_all_is_there(invoke: Callable[..., Result], service: Any) -> None:
    done = invoke("doctor")
    assert done.exit_code == 0, done.stdout
    said = found(done)
    assert said["token"]["state"] == said["disk"]["state"] == "fine"
    assert "credits" in said["account demo@example.com"]["said"]
    assert "USEAPI_TOKEN" in said["environment"]["said"]


@pytest.mark.parametrize(("env", "what"), [
    ({"USEAPI_TOKEN": "user:1-wrong"}, "token"),
    ({"USEAPI_TOKEN": None}, "client"),
    ({"KLING_ACCOUNTS": "gone@example.com"}, "account gone@example.com"),
    ({"KLING_BASE_URL": "http://example.com"}, "client"),
])  # fmt: skip
def test_doctor_finds_what_is_wrong(
    invoke: Callable[..., Result], service: Any, env: dict[str, str | None], what: str
) -> None:
    done = invoke("doctor", env=env)
    assert done.exit_code == 1
    assert found(done)[what]["state"] == "wrong"


def test_a_clock_that_is_wrong_is_noticed() -> None:
    now_s = time.time()
    assert clock_finding(formatdate(now_s), now_s).state == "fine"
    assert clock_finding(formatdate(now_s + 3600), now_s).state == "wrong"
    assert clock_finding(None, now_s).state == clock_finding("soon", now_s).state == "look"


def test_a_clock_that_names_no_zone_tells_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = time.time()
    shape = time.strftime("%a %b %d %H:%M:%S %Y", time.gmtime(now_s))
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert clock_finding(shape, now_s).state == "fine"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(("answer", "date"), [
    (b"HTTP/1.1 404 No\r\nDate: today\r\nContent-Length: 0\r\n\r\n", "today"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", None),
    (b"SSH-2.0-OpenSSH_9.6\r\n", None),
    (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", None),
    (b"", None),
])  # fmt: skip
async def test_whatever_answers_is_asked_without_a_proxy(
    raw_server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, answer: bytes, date: str | None
) -> None:
    async def react(writer: asyncio.StreamWriter, _: bytes) -> None:
        writer.write(answer)
        await writer.drain()
        writer.close()

    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with raw_server(react) as server:
        assert await asyncio.to_thread(_date_of, server.base_url) == date


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_each_shell(invoke: Callable[..., Result], shell: str) -> None:
    done = invoke("completion", shell)
    assert done.exit_code == 0
    assert "_KLING_ASYNC_COMPLETE" in done.stdout
    assert "kling-async" in done.stdout


def test_history_tells_what_happened_to_a_row(
    invoke: Callable[..., Result], url_csv: Callable[..., Path]
) -> None:
    words = ["--ledger", "a.sqlite", "--emulator", "--rate", "none"]
    assert invoke("bulk", "run", url_csv(2), *words).exit_code == 0
    done = invoke("bulk", "history", "a.sqlite", "k2")
    assert done.exit_code == 0
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert {one["step"] for one in events} <= {1}
    refused = invoke("bulk", "history", "a.sqlite", "k9")
    assert (refused.exit_code, "has no row 'k9'" in refused.stderr) == (2, True)

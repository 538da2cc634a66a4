"""Does `kling-async emulator` serve other programs, and say why where it can't?"""

from __future__ import annotations

import json
import os
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from emulator_process import listening, post

from kling_async.cli.streams import is_read


def test_obeys_its_options(start: Callable[..., Any], invoke: Callable[..., Any]) -> None:
    process = start(
        "emulator", "--port", "0", "--token", "user:7-mine", "--quota", "1/h",
        "--account", "ada@example.com",
        "--faults", "tts.voices:status=404@at=1; accounts.get:refuse_connection",
    )  # fmt: skip
    base_url, token = listening(process)
    assert token == "user:7-mine"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        post(base_url, "user:7-other")
    env = {"KLING_BASE_URL": base_url, "USEAPI_TOKEN": token}
    assert "404" in invoke("tts", "voices", env=env).stderr
    assert json.loads(invoke("accounts", "list", env=env).stdout)["email"] == "ada@example.com"
    assert invoke("avatars", "list", env=env).exit_code == 0
    with pytest.raises(urllib.error.HTTPError, match="429"):
        post(base_url, token)
    with pytest.raises(OSError, match="reset"):
        urllib.request.urlopen(f"{base_url}/accounts/user:7-mine%1B%5B2J%0Ax")
    process.kill()
    lines = [
        re.fullmatch(r"\d\d:\d\d:\d\d (.*?) \d+ ms(.*)", line)
        for line in process.communicate()[1].splitlines()
    ]
    assert [line and line.groups() for line in lines] == [
        ("POST /v1/kling/avatars ada@example.com 401", ""),
        ("GET /v1/kling/tts/voices ada@example.com 404", "  fault: status"),
        ("GET /v1/kling/accounts - 200", ""),
        ("GET /v1/kling/avatars ada@example.com 200", ""),
        ("POST /v1/kling/avatars ada@example.com 429", ""),
        (
            r"GET /v1/kling/accounts/…\x1b[2J x …\x1b[2J x no answer",
            "  fault: refuse_connection",
        ),
    ]


def test_a_log_that_nobody_reads_holds_up_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with os.fdopen(reading, "rb"), os.fdopen(writing, "w") as stream:
        monkeypatch.setattr("sys.stderr", stream)
        assert is_read(err=True)
        with suppress(BlockingIOError):
            while True:
                os.write(writing, bytes(4096))
        assert not is_read(err=True)
        os.read(reading, 1 << 20)
        assert is_read(err=True)


def test_a_busy_port(invoke: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = invoke("emulator", "--port", str(port))
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"kling-async: can't listen on 127.0.0.1:{port}: ")
    assert "in use" in line.lower()
    assert line.endswith("choose another --port")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--faults", "nonsense"], "fault 'nonsense'"),
        (["--faults", "avatars.create:status=42"], "status must be from 200 to 599"),
        (["--quota", "many"], "'many' is not a rate"),
        (["--account", "nobody"], "nobody"),
        (["--job-s", "soon"], "'soon' is no time"),
        (["--job-s", "3-1"], "job_s must be seconds"),
        (["--max-jobs", "51"], "51"),
        (["--webhooks", "thrice"], "webhooks know no 'thrice'"),
        (["--account", "a@b.c", "--account", "a@b.c"], "named twice"),
        (["--port", "http"], "'http' is not a valid integer"),
        (["--port", "70000"], "70000"),
        (["--host", "no.such.host.invalid"], "can't listen on no.such.host.invalid"),
    ],
)
def test_wrong_use(invoke: Callable[..., Any], words: list[str], said: str) -> None:
    done = invoke("emulator", "--port", "0", *words)
    assert done.exit_code == 2
    assert said in done.stderr

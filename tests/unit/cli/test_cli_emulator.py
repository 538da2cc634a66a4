"""Does `kling-async emulator` serve other programs, and say why where it can't?"""

from __future__ import annotations

import json
import re
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

BODY = json.dumps({"imageUrl": "https://example.com/a.png"}).encode()


def post(base_url: str, token: str) -> Any:
    request = urllib.request.Request(f"{base_url}/avatars", BODY, method="POST")
    request.add_header("Authorization", f"Bearer {token}")
    request.add_header("Content-Type", "application/json")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as reply:
        return json.load(reply)


def listening(process: Any) -> tuple[str, str]:
    """The base URL and the token that it prints, ready to be pasted into a shell."""
    first, second = process.stdout.readline(), process.stdout.readline()
    found = re.fullmatch(r"export KLING_BASE_URL=(\S+) USEAPI_TOKEN=(\S+)\n", second)
    assert found is not None, (first, second)
    assert first == f"listening on {found[1]}\n"
    return found[1], found[2]


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_serves_until_it_is_stopped(start: Callable[..., Any], kind: signal.Signals) -> None:
    process = start("emulator", "--port", "0", env={"USEAPI_TOKEN": None})
    base_url, token = listening(process)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1/kling", base_url)
    assert post(base_url, token)["status"] == "SUCCESS"
    process.send_signal(kind)
    _, stderr = process.communicate(timeout=10)
    assert process.returncode == (130 if kind is signal.SIGINT else -signal.SIGTERM)
    assert stderr == ""


@pytest.mark.parametrize(("words", "ids"), [([], 2), (["--seed", "5"], 1)], ids=str)
def test_ids_of_one_emulator_are_not_those_of_another(
    start: Callable[..., Any], words: list[str], ids: int
) -> None:
    served = [listening(start("emulator", "--port", "0", *words)) for _ in range(2)]
    assert len({post(*one)["id"] for one in served}) == ids


def test_obeys_its_options(start: Callable[..., Any], invoke: Callable[..., Any]) -> None:
    process = start(
        "emulator", "--port", "0", "--token", "user:7-mine", "--quota", "1/h",
        "--account", "ada@example.com", "--faults", "tts.voices:status=404@at=1",
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

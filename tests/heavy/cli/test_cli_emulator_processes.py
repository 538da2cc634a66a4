"""Does `kling-async emulator` end when told to, and is each of them a service of its own?"""

from __future__ import annotations

import json
import re
import signal
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from emulator_process import listening, post


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_serves_until_it_is_stopped(start: Callable[..., Any], kind: signal.Signals) -> None:
    process = start("emulator", "--port", "0", "--quiet", env={"USEAPI_TOKEN": None})
    base_url, token = listening(process)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1/kling", base_url)
    assert post(base_url, token)["status"] == "SUCCESS"
    process.send_signal(kind)
    _, stderr = process.communicate(timeout=10)
    assert process.returncode == (130 if kind is signal.SIGINT else 143)
    assert stderr == ""


@pytest.mark.parametrize(("words", "ids"), [([], 2), (["--seed", "5"], 1)], ids=str)
def test_ids_of_one_emulator_are_not_those_of_another(
    start: Callable[..., Any], words: list[str], ids: int
) -> None:
    served = [listening(start("emulator", "--port", "0", *words)) for _ in range(2)]
    assert len({post(*one)["id"] for one in served}) == ids


def test_a_state_outlasts_the_emulator(start: Callable[..., Any], tmp_path: Path) -> None:
    words = ("emulator", "--port", "0", "--quiet", "--state", tmp_path / "world.json")
    made = []
    for kind in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        process = start(*words, env={"USEAPI_TOKEN": None})
        base_url, token = listening(process)
        origin = base_url.removesuffix("/v1/kling")
        with urllib.request.urlopen(f"{origin}/_emulator/state") as reply:
            assert [one["id"] for one in json.load(reply)["avatars"]] == made
        made.append(post(base_url, token)["id"])
        process.send_signal(kind)
        assert process.communicate(timeout=20)[1] == ""
    assert len(set(made)) == 3
    (tmp_path / "world.json").write_text("{}")
    refused = start(*words)
    stderr = refused.communicate(timeout=20)[1]
    assert refused.returncode == 2
    assert stderr.startswith(f"kling-async: can't use {tmp_path}/world.json: it was not written by")
    assert stderr.count("\n") == 1

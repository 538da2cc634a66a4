"""Does `kling-async emulator` end when told to, and is each of them a service of its own?"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
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
    assert process.returncode == (130 if kind is signal.SIGINT else -signal.SIGTERM)
    assert stderr == ""


@pytest.mark.parametrize(("words", "ids"), [([], 2), (["--seed", "5"], 1)], ids=str)
def test_ids_of_one_emulator_are_not_those_of_another(
    start: Callable[..., Any], words: list[str], ids: int
) -> None:
    served = [listening(start("emulator", "--port", "0", *words)) for _ in range(2)]
    assert len({post(*one)["id"] for one in served}) == ids

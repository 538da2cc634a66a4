"""Do clients that know only the vendor's documentation work against `kling-async emulator`?

The two scripts in `plain/` are such clients: one of curl, one of Python's standard library.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PLAIN = Path(__file__).with_name("plain")
CURL = pytest.mark.skipif(
    shutil.which("curl") is None or shutil.which("bash") is None,
    reason="the plain client of curl needs curl and bash, which are not here",
)
CLIENTS = [
    pytest.param(["bash", str(PLAIN / "talk.sh")], marks=CURL, id="curl"),
    pytest.param([sys.executable, str(PLAIN / "talk.py")], id="urllib"),
]


@pytest.fixture
def base_url(start: Callable[..., Any]) -> str:
    process = start(
        "emulator", "--port", "0", "--job-s", "0.2-0.4", "--account", "a+b@example.com",
        "--account", "b@example.com", "--max-jobs", "3",
    )  # fmt: skip
    return str(process.stdout.readline()).removeprefix("listening on ").strip()


def seen(base_url: str) -> Any:
    """The truth, from the pages under /_emulator."""
    url = base_url.replace("/v1/kling", "/_emulator/state")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url) as reply:
        return json.load(reply)


@pytest.mark.parametrize("encoding", ["json", "form"])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_plain_client_gets_its_video(
    base_url: str, client: list[str], encoding: str, folder: Path
) -> None:
    done = subprocess.run(
        [*client, base_url, "user:1-plain", encoding, "out.mp4"],
        env={**os.environ, "POLL_S": "0.05"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    email, task_id, work_id = done.stdout.split()
    video = (folder / "out.mp4").read_bytes()
    assert video[4:8] == b"ftyp"
    assert f"work {work_id}, clean".encode() in video
    state = seen(base_url)
    (task,) = state["tasks"]
    assert email == task["account"] == "a+b@example.com"
    assert str(task["id"]) == task_id
    assert task["works"] == [int(work_id)]
    assert state["status_counts"][-1] == {"operation": "media.download", "status": 200, "count": 1}
    assert state["counts"]["tasks.get"] >= 2
    (made,) = [call for call in state["calls"] if call["operation"] == "avatars.video"]
    assert made["fields"]["maxJobs"] == (5 if encoding == "json" else "5")

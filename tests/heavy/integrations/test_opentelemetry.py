"""What do the real SDK's spans and metrics say of our calls? As the page sets them up.

Each transport is asked, and a server that fails once; each is a process, as a tracer is global.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("opentelemetry.sdk", reason="pip install opentelemetry-sdk")

DOCS = Path(__file__).parents[3] / "docs"
TOKEN = "user:4711-telemetry"
TRACES, METRICS = re.findall(
    r"^```python\n(.*?)^```", (DOCS / "opentelemetry.md").read_text("utf-8"), re.DOTALL | re.M
)
SERVED = """
import json
from kling_async.emulator import Emulator, Fault

fault = Fault("accounts.get", "status", status=503, at=1)
emulator = Emulator(token=kling_token, faults=[fault])

async def served(client, main):
    async with emulator.serve() as base_url:
        global AsyncKlingClient
        AsyncKlingClient = lambda **given: client(
            base_url=base_url, transport=kling_transport, **given
        )
        await main()
"""
SPANS = """
spans = exporter.get_finished_spans()
print(json.dumps([json.loads(one.to_json()) for one in spans]))
"""


def run(page: str, folder: Path, transport: str, tail: str) -> str:
    """The last line printed by the page's program, over an emulator of its own."""
    head = f"kling_token, kling_transport = {TOKEN!r}, {transport!r}\n"
    program = page.replace(
        "asyncio.run(main())", f"{SERVED}\nasyncio.run(served(AsyncKlingClient, main))"
    )
    (folder / "program.py").write_text(head + program + tail, "utf-8")
    shutil.copy(DOCS / "examples" / "portraits" / "ada.jpg", folder)
    done = subprocess.run(
        [sys.executable, "-W", "error", "program.py"],
        cwd=folder,
        env={**os.environ, "USEAPI_TOKEN": TOKEN},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert TOKEN not in done.stdout
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("transport", ["httpx", "aiohttp"])
def test_each_attempt_is_a_span_below_its_callers(transport: str, tmp_path: Path) -> None:
    said = run(TRACES, tmp_path, transport, SPANS)
    assert not re.search("@|%40", said)  # no e-mail
    *attempts, order = json.loads(said)
    assert order["name"] == "order 4711"
    assert {one["parent_id"] for one in attempts} == {order["context"]["span_id"]}
    paths = [one["attributes"]["http.url"].partition("/v1/kling")[2] for one in attempts]
    assert [one.partition("?")[0] for one in paths] == [
        *("/assets/", "/avatars", "/accounts/(e-mail)", "/accounts/(e-mail)")
    ]
    statuses = [one["status"]["status_code"] for one in attempts]
    assert statuses == ["UNSET", "UNSET", "ERROR", "UNSET"]  # 503, then sent again


def test_the_metrics_are_told_by_operation(tmp_path: Path) -> None:
    said = run(METRICS, tmp_path, "httpx", "print(reader.get_metrics_data())")
    for operation in ("assets.upload", "avatars.create"):
        assert said.count(f"'kling.operation': '{operation}'") == 2, operation
    assert "kling.attempt.duration" in said

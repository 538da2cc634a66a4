"""Does the short program go all the way, from a portrait file to a video file?

As its reader runs it: two processes, the program and `kling-async emulator`, and the environment
between them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "docs" / "examples" / "talking_video.py"
TOKEN = "user:4711-example"


def test_it_is_short() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) <= 25


def test_a_portrait_becomes_a_talking_video(tmp_path: Path) -> None:
    shutil.copy(EXAMPLE.parent / "portraits" / "ada.jpg", tmp_path)
    command = [sys.executable, "-m", "kling_async", "emulator", "--port", "0", "--job-s", "0.3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            base_url = server.stdout.readline().rpartition(" ")[2].strip()
            done = subprocess.run(
                [sys.executable, "-W", "error", str(EXAMPLE)],
                cwd=tmp_path,
                env={**os.environ, "USEAPI_TOKEN": TOKEN, "KLING_BASE_URL": base_url},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        finally:
            server.kill()
    assert (done.returncode, done.stderr) == (0, "")
    video = (tmp_path / "talking.mp4").read_bytes()
    assert video[4:8] == b"ftyp"
    assert done.stdout.endswith(f"talking.mp4: {len(video)} bytes\n")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["ada.jpg", "talking.mp4"]

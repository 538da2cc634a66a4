"""Does a command reach its end, with its own exit code, when what it prints goes nowhere?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROW = {"key": "a", "image_url": "https://x.y/a.png", "x_note": "\U0001f388 é \x9b"}
RUN = "bulk run in.jsonl --ledger l.sqlite --emulator"
LOST = b"what was printed is lost"
linux = pytest.mark.skipif(sys.platform != "linux", reason="has no /dev/full")


def shell(words: str, folder: Path, **more: str) -> subprocess.CompletedProcess[bytes]:
    (folder / "in.jsonl").write_text(json.dumps(ROW))
    command = ["bash", "-c", f"set -o pipefail; {sys.executable} -m kling_async {words}"]
    environment = {**os.environ, **more}
    return subprocess.run(
        command, cwd=folder, env=environment, timeout=120, capture_output=True, check=False
    )


@linux
@pytest.mark.parametrize("where", [">/dev/full 2>/dev/full", "<&- >&- 2>&-", "2>&1 | exec true"])
def test_a_run_goes_on_to_its_end(where: str, tmp_path: Path) -> None:
    done = shell(f"{RUN} {where}", tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    kept = shell("bulk status l.sqlite", tmp_path)
    assert kept.stdout == b"1 rows: 1 done\n"


@linux
@pytest.mark.parametrize("where", [">/dev/full", ">&-"])
def test_lost_results_are_said_once(where: str, tmp_path: Path) -> None:
    done = shell(f"tts voices --emulator {where}", tmp_path)
    assert done.returncode == 1
    assert done.stderr.count(LOST) == len(done.stderr.splitlines()) == 1


def test_a_reader_that_has_enough_is_no_trouble(tmp_path: Path) -> None:
    done = shell("tts voices --emulator | exec true", tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_json_stays_json_in_any_encoding(encoding: str, tmp_path: Path) -> None:
    done = shell(f"{RUN} --json", tmp_path, PYTHONIOENCODING=encoding)
    assert done.returncode == 0
    text = done.stdout.decode("utf-8" if encoding == "ascii" else encoding)  # click's choice
    assert json.loads(text.splitlines()[0])["x_note"] == ROW["x_note"]
    assert "\x9b" not in text

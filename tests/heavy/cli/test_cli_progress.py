"""What does a running job show: plain lines in a pipe, JSON for programs, a live bar for people?"""

from __future__ import annotations

import json
import os
import pty
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jobs import in_ledger

from kling_async.emulator import Emulator, Fault

LEDGER = Path("avatars.sqlite")


def test_plain_lines_in_a_pipe(execute: Callable[..., Any], url_csv: Callable[..., Path]) -> None:
    words = ["bulk", "run", url_csv(30), "--ledger", LEDGER, "--emulator", "--rate", "none"]
    done = execute(*words)
    assert done.code == 0
    assert re.fullmatch(r"30/30 rows \(100%\), [\d.]+/s: 30 created\n", done.stderr)
    assert "\x1b" not in done.stdout + done.stderr


def test_lines_keep_coming_while_it_runs(
    execute: Callable[..., Any], url_csv: Callable[..., Path]
) -> None:
    words = ["bulk", "run", url_csv(30), "--ledger", LEDGER, "--emulator", "--rate", "12/s"]
    lines = execute(*words).stderr.splitlines()
    assert len(lines) >= 2
    first = re.fullmatch(
        r"(\d+)/30 rows \(\d+%\), [\d.]+/s, \d+ s left: .* waiting for the limit", lines[0]
    )
    assert first is not None, lines
    assert 0 < int(first[1]) < 30


def test_a_server_that_is_waited_for(
    execute: Callable[..., Any], url_csv: Callable[..., Path]
) -> None:
    words = ["bulk", "run", url_csv(1), "--ledger", LEDGER, "--emulator", "--json"]
    done = execute(*words, "--faults", "avatars.create:refuse_connection@times=2")
    assert done.code == 0
    progress = [json.loads(line) for line in done.stderr.splitlines()]
    assert any(one["unreachable"] for one in progress)
    assert not progress[-1]["unreachable"]


def test_json_lines(
    execute: Callable[..., Any], url_csv: Callable[..., Path], service: Any, emulator: Emulator
) -> None:
    emulator.add_faults([Fault("avatars.create", "status", status=400, at=7)])
    done = execute(
        "bulk", "run", url_csv(20, header=",x_team", cell=",7"), "--ledger", LEDGER,
        "--rate", "none", "--json",
    )  # fmt: skip
    assert done.code == 1
    *rows, summary = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["type"] for row in rows} == {"row"}
    assert {row["key"] for row in rows} == {f"k{n}" for n in range(1, 21)}
    made = {one.nickname: one.id for one in emulator.avatars}
    assert {row["key"]: row["avatar_id"] for row in rows if row["state"] == "created"} == made
    (failed,) = (row for row in rows if row["state"] == "failed")
    assert "the server answered 400" in failed["error"]
    assert failed["x_team"] == "7"
    assert summary["type"] == "summary"
    assert (summary["total"], summary["created"], summary["failed"]) == (20, 19, 1)
    assert (summary["interrupted"], summary["stopped_because"]) == (False, None)
    progress = [json.loads(line) for line in done.stderr.splitlines()]
    assert progress[-1]["type"] == "progress"
    assert (progress[-1]["settled"], progress[-1]["total"]) == (20, 20)


def test_a_rate_that_is_found_is_shown(
    execute: Callable[..., Any], url_csv: Callable[..., Path], service: Any
) -> None:
    done = execute(
        "bulk", "run", url_csv(5), "--ledger", LEDGER, "--rate", "auto", "--json"
    )  # fmt: skip
    assert done.code == 0
    progress = [json.loads(line) for line in done.stderr.splitlines()]
    assert 10 <= progress[-1]["found_per_s"] <= 1000
    again = execute("bulk", "run", url_csv(5), "--ledger", "other.sqlite", "--rate", "auto")
    assert "requests/s found" in again.stderr


def on_terminal(
    start: Callable[..., Any], *words: str | Path, **more: str | None
) -> tuple[int, str, str]:
    """The exit code, stdout, and what a terminal at stderr was shown."""
    ours, theirs = pty.openpty()
    env = {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "24", "NO_COLOR": None, "CI": None}
    env |= more
    process = start(*words, stderr=theirs, env=env)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:  # Linux says so when the other side is gone
        pass
    finally:
        os.close(ours)
    stdout, _ = process.communicate(timeout=30)
    return process.returncode, stdout, shown.decode()


def test_a_live_bar_on_a_terminal(start: Callable[..., Any], url_csv: Callable[..., Path]) -> None:
    path = url_csv(30)
    code, stdout, shown = on_terminal(
        start, "bulk", "run", path, "--ledger", LEDGER, "--emulator", "--rate", "40/s"
    )
    assert code == 0
    assert stdout.startswith("30 of 30 rows created in ")
    assert "100%" in shown
    assert "30/30 rows (100%)" in shown
    seen = {int(percent) for percent in re.findall(r"(\d+)%", shown)}
    assert len(seen) > 3, "it was drawn again and again"
    assert re.search(r"\x1b\[\d*[AK]|\r", shown), "in the same place"
    assert "━" in shown


@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_how_far_and_how_long_is_seen_at_any_width(
    start: Callable[..., Any], url_csv: Callable[..., Path], columns: str
) -> None:
    code, _, shown = on_terminal(
        start, "bulk", "run", url_csv(30), "--ledger", LEDGER, "--emulator", "--rate", "15/s",
        COLUMNS=columns, NO_COLOR="1",
    )  # fmt: skip
    assert code == 0
    lines = re.split(r"\r|\n", re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", shown))
    assert max(map(len, lines)) <= int(columns)
    drawn = [one for one in lines if "left" in one]
    assert drawn
    for one in drawn:
        assert re.fullmatch(r"[━╸╺ ]{8,} +\d+/30 rows \(\d+%\), [\d.]+/s, \d+ s left *", one), one
    assert any(re.match(r"\d+ created", one) for one in lines)


def test_a_dumb_terminal_gets_plain_lines(
    start: Callable[..., Any], url_csv: Callable[..., Path]
) -> None:
    words = ["bulk", "run", url_csv(3), "--ledger", LEDGER, "--emulator", "--rate", "none"]
    code, _, shown = on_terminal(start, *words, TERM="dumb")
    assert code == 0
    assert re.fullmatch(r"3/3 rows \(100%\), [\d.]+/s: 3 created\r\n", shown)


def test_failures_of_earlier_runs_are_marked(
    execute: Callable[..., Any], url_csv: Callable[..., Path], service: Any, emulator: Emulator
) -> None:
    emulator.add_faults([Fault("avatars.create", "status", status=400, at=2)])
    words = ["bulk", "run", url_csv(3), "--ledger", LEDGER, "--rate", "none", "--concurrency", "1"]
    first, again = execute(*words), execute(*words)
    assert (first.code, again.code) == (1, 1)
    assert "line 3 (k2, 2.png) failed: the server answered 400" in first.stderr
    assert "line 3 (k2, 2.png) failed in an earlier run: the server answered 400" in again.stderr
    assert "1 failed (1 in earlier runs)" in again.stderr
    assert "in earlier runs)" not in first.stderr


def test_failed_rows_stand_above_the_bar(
    start: Callable[..., Any], url_csv: Callable[..., Path]
) -> None:
    code, _, shown = on_terminal(
        start, "bulk", "run", url_csv(9), "--ledger", LEDGER, "--emulator", "--rate", "none",
        "--faults", "avatars.create:status=400,body=[bold]no@at=4",
    )  # fmt: skip
    assert code == 1
    assert re.search(r"line \d \(k\d, \d.png\) failed: the server answered 400: \[bold\]no", shown)


def test_a_reader_that_goes_away_does_not_end_the_run(
    start: Callable[..., Any], url_csv: Callable[..., Path], service: Any
) -> None:
    """As in `kling-async bulk run ... --json | head -1`."""
    words = ["bulk", "run", url_csv(80), "--ledger", LEDGER, "--rate", "none"]
    process = start(*words, "--json")
    assert process.stdout.readline().startswith("{")
    process.stdout.close()
    stderr = process.stderr.read()
    assert process.wait(30) == 0  # it had what it wanted, so nothing is lost
    assert "Traceback" not in stderr
    states = Counter(row.state for row in in_ledger(LEDGER).values())
    assert states == {"done": 80}
    assert len(service.creates) == len(set(service.creates)) == 80

"""Do whole runs as processes of their own, on the emulator that is built in, do the job once?"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs import avatars

from kling_async.bulk.records import Step
from kling_async.emulator.voices import VOICES

LEDGER = Path("avatars.sqlite")
VOICE = VOICES[0].speaker_id


def in_ledger() -> dict[str, Step]:
    return avatars(LEDGER)


def speaking(count: int, silent: int = 0) -> Path:
    """A CSV of rows k1, k2 ... that speak, and some behind them that don't."""
    lines = ["key,image_url,text,speaker_id,x_team"]
    for n in range(1, count + silent + 1):
        said = f"I am k{n},{VOICE}" if n <= count else ","
        lines.append(f"k{n},https://example.com/{n}.png,{said},7")
    Path("in.csv").write_text("\n".join(lines) + "\n")
    return Path("in.csv")


def run(input: Path, *more: str) -> list[Any]:
    return ["bulk", "run", input, "--ledger", LEDGER, "--rate", "none", *more]


def test_200_rows_on_the_emulator_and_then_the_same_again(
    execute: Callable[..., Any], url_csv: Callable[..., Path]
) -> None:
    words = ["bulk", "run", url_csv(200), "--ledger", LEDGER, "--emulator", "--rate", "none"]
    first = execute(*words, env={"USEAPI_TOKEN": None})
    assert first.code == 0, first.stderr
    assert first.stdout.startswith("200 of 200 rows created in ")
    assert execute("bulk", "export", LEDGER, "--to", "first.csv").code == 0
    rows = list(csv.DictReader(Path("first.csv").read_text("utf-8-sig").splitlines()))
    assert [row["key"] for row in rows] == [f"k{n}" for n in range(1, 201)]
    assert {row["state"] for row in rows} == {"created"}
    assert len({row["avatar_id"] for row in rows}) == 200

    kept = in_ledger()
    second = execute(*words, env={"USEAPI_TOKEN": None})
    assert second.code == 0
    assert "nothing was sent" in second.stdout
    assert in_ledger() == kept
    assert execute("bulk", "export", LEDGER, "--to", "second.csv").code == 0
    assert Path("second.csv").read_bytes() == Path("first.csv").read_bytes()


def test_on_the_built_in_emulator(execute: Callable[..., Any]) -> None:
    words = run(speaking(2), "--video", "--video-dir", "films", "--emulator")
    done = execute(*words, env={"USEAPI_TOKEN": None})
    assert done.code == 0, done.stdout + done.stderr
    assert {one.name for one in Path("films").iterdir()} == {"k1.mp4", "k2.mp4"}
    again = execute(*words, env={"USEAPI_TOKEN": None})
    assert again.code == 0
    assert "nothing was sent" in again.stdout
    last = done.stderr.splitlines()[-1]
    assert re.fullmatch(r"2/2 rows \(100%\), [\d.]+/s: 2 created, 2 videos saved", last)


def test_the_built_in_emulator_begins_empty_each_time(execute: Callable[..., Any]) -> None:
    words, env = run(speaking(3), "--emulator"), {"USEAPI_TOKEN": None}
    assert execute(*words, env=env).code == 0
    failing = ["--faults", "avatars.video:task_failed=no face@at=2"]
    first = execute(*words, "--video", *failing, env=env)
    assert first.code == 1
    assert "2 videos saved in " in first.stdout
    retry = execute("bulk", "retry", LEDGER, "--video", "--emulator", env=env)
    assert retry.code == 0, retry.stderr
    last = execute(*words, "--video", env=env)
    assert (last.code, "3 videos saved" in last.stdout) == (0, True)

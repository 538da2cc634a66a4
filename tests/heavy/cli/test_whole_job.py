"""From a folder of photos to the results, by the commands that stand in docs/bulk.md."""

from __future__ import annotations

import csv
import os
import re
import shlex
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kling_async
from kling_async.emulator import Emulator, Fault, sample_png

DOCS = Path(kling_async.__file__).parents[1] / "docs" / "bulk.md"
ROWS = int(os.environ.get("WHOLE_JOB_ROWS", "150"))
BAD, REFUSED, LOST = ROWS // 15, ROWS // 12, ROWS // 10
EXIT_CODES = (0, 2, 1, 1, 1, 0, 0, 0, 0, 0)
"""Of the commands, in their order."""


def commands() -> list[list[str]]:
    section = DOCS.read_text().partition("## A whole job")[2]
    block = re.search(r"```text\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return [shlex.split(line)[1:] for line in block[1].splitlines()]


def photos(folder: Path) -> None:
    """Pictures of people, of which some are too small; the bad ones come last by name and first."""
    folder.mkdir()
    good, small = sample_png(), sample_png(width=200)
    for n in range(ROWS):
        is_bad = n % (ROWS // BAD) == 1
        (folder / f"p{n:05}.png").write_bytes((small if is_bad else good) + n.to_bytes(4, "big"))


def mend() -> None:
    """What a person does with the table of faults: other pictures for the rows that it names."""
    with Path("faults.csv").open(encoding="utf-8-sig", newline="") as file:
        faults = list(csv.DictReader(file))
    assert len(faults) >= BAD
    for n, one in enumerate(faults):
        assert one["column"] == "image"
        Path(one["value"]).write_bytes(sample_png() + (ROWS + n).to_bytes(4, "big"))


def test_nothing_is_doubled_and_nothing_lost(
    invoke: Callable[..., Any], folder: Path, service: Any, emulator: Emulator
) -> None:
    photos(folder / "photos")
    lost = range(10, 10 + 2 * LOST, 2)
    refused = range(11, 11 + 2 * REFUSED, 2)
    emulator.add_faults(
        [
            Fault("avatars.create", "status", status=502, at=lost),  # nothing was made
            Fault("avatars.create", "status", status=400, at=refused),
        ]
    )
    done = commands()
    assert len(done) <= 10
    for words, code in zip(done, EXIT_CODES, strict=True):
        more = ["--rate", "none", "--reconcile-within", "0"] if words[1] == "run" else []
        if "--retry-failed" in words:
            mend()
        ended = invoke(*words, *more)
        assert ended.exit_code == code, (words, ended.stdout, ended.stderr)
    page = Path("report.html").read_text()
    assert all(f"p{n:05}" in page for n in range(ROWS))
    made = Counter(one.nickname for one in emulator.avatars)
    assert (len(made), set(made.values())) == (ROWS, {1})
    with Path("results.csv").open(encoding="utf-8-sig", newline="") as file:
        results = list(csv.DictReader(file))
    assert len(results) == ROWS
    assert {one["state"] for one in results} == {"created"}
    assert {one["avatar_id"] for one in results} == {one.id for one in emulator.avatars}

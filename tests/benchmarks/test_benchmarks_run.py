"""Does each benchmark still run? Once, small; nothing is asserted of what it measures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SCRIPTS = sorted(HERE.glob("bench_*.py"))
sys.path.insert(0, str(HERE))


@pytest.mark.parametrize("script", SCRIPTS, ids=[one.stem for one in SCRIPTS])
def test_it_runs(script: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(script), "--small", "--json"],
        stdout=subprocess.PIPE, text=True, check=True, timeout=120,
    )  # fmt: skip
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows
    for row in rows:
        assert row["what"]
        assert row["measured"]
        assert row["met"] is None  # so short a run is not judged
        if row["measured"].startswith("not measured"):
            assert "not installed" in row["measured"]


def test_the_table_names_every_script() -> None:
    from run_all import ORDER

    assert {f"bench_{name}" for name in ORDER} == {one.stem for one in SCRIPTS}

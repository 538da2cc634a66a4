"""What does `import kling_async` cost above the packages it needs anyway?

    python tests/benchmarks/bench_import.py            15 rounds
    python tests/benchmarks/bench_import.py --small    2 rounds

Each import is a process of its own; what Python itself takes to start is taken off. What counts is
CPU time: on a machine that others use as well, the clock on the wall shows three times as much.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from statistics import median

from peers import missing
from table import Options, Row, at_most, run

CORE = "import httpx, attrs, cattrs, tenacity, aiolimiter"
CLOCKED = "import time; began = time.process_time(); {}; print(time.process_time() - began)"


def import_ms(statement: str, bytecode: str) -> float:
    """CPU time of the statement in a fresh process, its bytecode kept in that folder."""
    env = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    words = [sys.executable, "-c", CLOCKED.format(statement)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=env)
    return float(done.stdout) * 1000


def measure(options: Options) -> Iterator[Row]:
    """One row, and the peers."""
    statements = {"core": CORE, "ours": f"{CORE}, kling_async"}
    if not options.small:
        sdks = ("openai", "anthropic")
        statements |= {name: f"import {name}" for name in sdks if missing(name) is None}
    found: dict[str, list[float]] = {name: [] for name in statements}
    with tempfile.TemporaryDirectory() as bytecode:
        for statement in statements.values():
            import_ms(statement, bytecode)  # compiles it
        for _ in range(1 if options.small else 15):
            for name, statement in statements.items():
                found[name].append(import_ms(statement, bytecode))
    typical = {name: median(ms) for name, ms in found.items()}
    differences = [one - core for one, core in zip(found["ours"], found["core"], strict=True)]
    peers = ", ".join(f"{name} {typical[name]:,.0f}" for name in statements if name not in
                      ("core", "ours"))  # fmt: skip
    yield at_most(
        "`import kling_async` above its core dependencies",
        20,
        median(differences),
        "ms of CPU",
        f"best {min(found['ours']) - min(found['core']):.0f}, those {typical['core']:.0f}"
        + (f"; whole SDKs: {peers}" if peers else ""),
    )


if __name__ == "__main__":
    run(measure, __doc__)

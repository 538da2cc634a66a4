"""All benchmarks, one after the other, and one table in Markdown at the end.

    python tests/benchmarks/run_all.py                   about a quarter of an hour
    python tests/benchmarks/run_all.py --small           does each still run? 25 s
    python tests/benchmarks/run_all.py layers requests   some of them

Nothing is asserted. Let nothing else run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from table import HEAD, Row

HERE = Path(__file__).parent
ORDER = ("requests", "layers", "silent", "loop", "limits", "bulk", "slots", "concurrency", "import")
NAMED = ("httpx", "httpx-aiohttp", "aiohttp", "openai", "anthropic", "fastapi", "uvicorn")


def rows_of(name: str, *, small: bool) -> Iterator[Row]:
    """What one script finds, in a process of its own."""
    words = [sys.executable, str(HERE / f"bench_{name}.py"), "--json"]
    done = subprocess.run(
        words + (["--small"] if small else []), stdout=subprocess.PIPE, text=True, check=True
    )
    for line in done.stdout.splitlines():
        yield Row(**json.loads(line))


def machine() -> str:
    """What it ran on, in one line."""
    found = []
    for name in NAMED:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    return (
        f"Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} cores; "
        + ", ".join(found)
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=ORDER, metavar="NAME", help=", ".join(ORDER))
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    found: list[Row] = []
    for name in options.names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        found += rows_of(name, small=options.small)
    print(f"{machine()}.\n\n{HEAD}")
    for row in found:
        print(row)


if __name__ == "__main__":
    main()

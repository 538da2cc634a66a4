"""How much memory and time does a row of a bulk run cost? Prints a table; asserts nothing.

    python tests/benchmarks/bench_memory.py                    1,000 and 100,000 rows
    python tests/benchmarks/bench_memory.py --small            200 and 2,000, for CI
    python tests/benchmarks/bench_memory.py --rows 500 50000   others

Each run is a process of its own against a transport that answers at once, so that neither the
emulator's state nor an earlier run counts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from kling_async import AsyncKlingClient

RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024
HEADINGS = ("rows", "seconds", "ms per row", "rows/s", "peak RSS MiB", "above start", "ledger MiB")


class Stub(httpx.AsyncBaseTransport):
    """Makes every avatar at once, and lists none."""

    def __init__(self) -> None:
        self._numbers = count(300_000_000_000_000)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "POST":
            return httpx.Response(200, content=b"[]")
        number = next(self._numbers)
        return httpx.Response(200, content=b'{"id": "%d", "status": "SUCCESS"}' % number)


def rows(total: int) -> Iterator[dict[str, Any]]:
    """Rows as a real input has them, one at a time."""
    for n in range(total):
        yield {
            "key": f"person-{n}",
            "image_url": f"https://example.com/portraits/{n}.png",
            "nickname": f"Person {n}",
            "prompt": f"Speaks calmly and clearly, with a friendly smile; number {n} of them all.",
        }


def peak_bytes() -> int:
    """The most memory this process has ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT_BYTES


async def measured(total: int, concurrency: int) -> dict[str, float]:
    """One run, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Path(folder) / "avatars.sqlite"
        async with AsyncKlingClient(
            "user:1-benchmark",
            base_url="http://127.0.0.1/v1/kling",
            transport=Stub(),
            rate_limit=None,
        ) as kling:
            before, began, created = peak_bytes(), time.perf_counter(), 0
            async for row in kling.avatars.create_many(
                rows(total), ledger=ledger, concurrency=concurrency
            ):
                created += row.state == "created"
            seconds = time.perf_counter() - began
        if created != total:
            sys.exit(f"{created} of {total} rows were created")
        return {
            "rows": total,
            "seconds": seconds,
            "peak_bytes": peak_bytes(),
            "start_bytes": before,
            "ledger_bytes": ledger.stat().st_size,
        }


def in_own_process(total: int, concurrency: int) -> dict[str, float]:
    words = [sys.executable, __file__, "--one", str(total), "--concurrency", str(concurrency)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def shown(run: dict[str, float]) -> str:
    mib = 1024 * 1024
    cells = (
        f"{run['rows']:,.0f}",
        f"{run['seconds']:.1f}",
        f"{run['seconds'] / run['rows'] * 1000:.2f}",
        f"{run['rows'] / run['seconds']:,.0f}",
        f"{run['peak_bytes'] / mib:.1f}",
        f"{(run['peak_bytes'] - run['start_bytes']) / mib:.1f}",
        f"{run['ledger_bytes'] / mib:.1f}",
    )
    return line(cells)


def line(cells: tuple[str, ...]) -> str:
    return "  ".join(f"{cell:>12}" for cell in cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 100_000], metavar="N")
    parser.add_argument("--small", action="store_true", help="200 and 2,000 rows")
    parser.add_argument("--concurrency", type=int, default=8, metavar="N")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one is not None:
        print(json.dumps(asyncio.run(measured(given.one, given.concurrency))))
        return
    print(f"Python {sys.version.split()[0]}, concurrency {given.concurrency}")
    print(line(HEADINGS), flush=True)
    for total in [200, 2_000] if given.small else given.rows:
        print(shown(in_own_process(total, given.concurrency)), flush=True)


if __name__ == "__main__":
    main()

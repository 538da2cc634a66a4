"""What does a row of a bulk run cost, in memory, time and CPU, as the rows become many?

    python tests/benchmarks/bench_bulk.py                          1,000, 10,000 and 30,000 rows
    python tests/benchmarks/bench_bulk.py --small                  200 and 1,000
    python tests/benchmarks/bench_bulk.py --rows 10000 1000000     others; a million: five minutes

Each size runs in a process of its own, against a server that answers at once: what is left is the
SDK, the transport, and the ledger with its synced commits.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import stub
from table import Options, Row, at_most, run

from kling_async import AsyncKlingClient

RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024
MIB = 1024 * 1024
CONCURRENCY = 8


@dataclass
class Run:
    """One bulk run."""

    rows: int
    seconds: float
    above_start_bytes: int
    """How far the peak of memory rose over what the imports and the client take."""
    ledger_bytes: int
    cpu_s: float
    ledger_cpu_s: float
    """Of the ledger's thread."""

    @property
    def per_row_ms(self) -> float:
        return self.seconds / self.rows * 1000


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


def ledger_thread_cpu_s() -> float:
    """CPU of the ledger's thread so far; it has a name."""
    for thread in threading.enumerate():
        if thread.name.startswith("kling-ledger") and thread.ident is not None:
            return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
    return 0.0


async def one_run(total: int, server: str) -> Run:
    """One run, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Path(folder) / "avatars.sqlite"
        async with AsyncKlingClient(
            "user:1-benchmark", base_url=f"{server}/v1/kling", rate_limit=None
        ) as kling:
            before, began, cpu_began_s = peak_bytes(), time.perf_counter(), time.process_time()
            created, ledger_cpu_s = 0, 0.0
            async for row in kling.avatars.create_many(
                rows(total), ledger=ledger, concurrency=CONCURRENCY
            ):
                created += row.state == "created"
                if created == total:  # its thread is gone when the loop ends
                    ledger_cpu_s = ledger_thread_cpu_s()
            seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began_s
        if created != total:
            sys.exit(f"{created} of {total} rows were created")
        size = ledger.stat().st_size
        return Run(total, seconds, peak_bytes() - before, size, cpu_s, ledger_cpu_s)


def in_own_process(total: int, server: str) -> Run:
    """`one_run` in a fresh process."""
    words = [sys.executable, __file__, "--one", str(total), server]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return Run(**json.loads(done.stdout))


def measure(options: Options) -> Iterator[Row]:
    """What each size takes, then what that means."""
    with stub.serving() as server:
        totals = [200, 1_000] if options.small else options.rows
        runs = [in_own_process(total, server) for total in totals]
    for one in runs:
        cpu_ms, peak_mib = one.cpu_s / one.rows * 1000, one.above_start_bytes / MIB
        yield Row(
            f"bulk of {one.rows:,} rows",
            "",
            f"{one.seconds:,.1f} s, {one.per_row_ms:.2f} ms a row, {cpu_ms:.2f} of it CPU; memory "
            f"{peak_mib:.1f} MiB above the start, ledger {one.ledger_bytes / MIB:.1f} MiB",
        )
    first, before, last = runs[0], runs[-2] if len(runs) > 1 else runs[0], runs[-1]
    yield at_most(
        f"bulk of {last.rows:,} rows: memory above a bulk of {first.rows:,}",
        50,
        (last.above_start_bytes - first.above_start_bytes) / MIB,
        "MiB",
    )
    yield at_most(
        f"time per row at {last.rows:,} rows, beside {before.rows:,}",
        1.1,
        last.per_row_ms / before.per_row_ms,
        "times",
    )
    yield at_most(
        "the ledger's thread in a bulk run's CPU", 10, last.ledger_cpu_s / last.cpu_s * 100, "%"
    )


def options(parser: argparse.ArgumentParser) -> None:
    """Of this script alone."""
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 10_000, 30_000], metavar="N")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        stub.pin(0)
        print(json.dumps(vars(asyncio.run(one_run(int(sys.argv[2]), sys.argv[3])))))
    else:
        run(measure, __doc__, options)

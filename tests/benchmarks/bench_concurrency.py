"""How many rows a second does a bulk run make of a service that takes its time?

    python tests/benchmarks/bench_concurrency.py               10/s, answers after 2 s, 300 rows
    python tests/benchmarks/bench_concurrency.py --small       the same with 40 rows

In real time, as the ledger's commits are: with as many rows under way as the rate asks for ("auto",
the default), and with eight.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from table import Options, Row, at_least, run, shown

from kling_async import AsyncKlingClient, RateLimit
from kling_async.emulator import Emulator

RATE_PER_S, ANSWER_S = 10, 2.0


class Slow(httpx.AsyncBaseTransport):
    """An emulator whose creates take two seconds."""

    def __init__(self) -> None:
        self.inner = Emulator(record_calls=False).transport()
        self.in_flight = self.most = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        answer = await self.inner.handle_async_request(request)  # it reports the first byte
        if request.method == "POST":
            await asyncio.sleep(ANSWER_S)
        self.in_flight -= 1
        return answer


async def measured(rows: int, concurrency: Any) -> tuple[float, int]:
    """Rows a second, and how many requests were in flight at most."""
    slow = Slow()
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncKlingClient(
            "user:1-a",
            base_url="http://127.0.0.1/v1/kling",
            transport=slow,
            rate_limit=RateLimit(RATE_PER_S),
        ) as kling:
            given = [{"image_url": f"https://example.com/{n}.png"} for n in range(rows)]
            ledger = Path(folder) / "rows.sqlite"
            began_s = time.perf_counter()
            made = kling.avatars.create_many(given, ledger=ledger, concurrency=concurrency)
            states = [one.state async for one in made]
            took_s = time.perf_counter() - began_s
    assert states == ["created"] * rows
    # The last row's answer takes its two seconds whatever is done before.
    return rows / (took_s - ANSWER_S), slow.most


def measure(options: Options) -> Iterator[Row]:
    """With as many rows under way as the rate asks for, and with eight."""
    rows = 40 if options.small else 300
    for concurrency in ("auto", 8):
        per_s, most = asyncio.run(measured(rows, concurrency))
        what = f"{RATE_PER_S}/s, answers after {ANSWER_S:g} s, concurrency {concurrency}"
        more = f"{most} in flight"
        if concurrency == "auto":
            yield at_least(what, 9, per_s, "rows/s", more)
        else:
            yield Row(what, "", shown(per_s, "rows/s", more))


if __name__ == "__main__":
    run(measure, __doc__)

"""What do several machines cost? A claim among 100,000 rows, CPU a row, the rate across processes.

python tests/benchmarks/distributed.py [claim|growth|rows|windows|found]
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path += [str(Path(__file__).parents[1] / one) for one in ("support", "heavy/distributed")]

from crew import ACCOUNTS, crew
from ledgers import row_input

from kling_async import RateLimit
from kling_async.bulk.launcher import TrialServer
from kling_async.bulk.postgres import PostgresLedger, open_postgres
from kling_async.bulk.postgres_sql import CLAIM
from kling_async.bulk.records import Change
from kling_async.emulator import Emulator

HEAD = ("what", "measured")
ALL_DONE = "UPDATE steps SET state = 'done', remote_id = id::text WHERE state = 'planned'"


async def carried_out(ledger: PostgresLedger, rows: int, size: int = 32) -> None:
    """So many rows from their claim to their end, without a request."""
    for _ in range(rows // size):
        claimed = await ledger.claim(size, made=None, saves=True)
        changes = []
        for row in claimed:
            step = row.steps[0]
            changes += [
                Change(step_id=step.id, event="intended"),
                Change(step_id=step.id, event="answered", to="done", claim=str(step.id)),
            ]
        for event in ("intended", "answered"):
            await asyncio.gather(*(ledger.post(one) for one in changes if one.event == event))


async def registered(ledger: PostgresLedger, first: int, end: int) -> None:
    """Rows of these numbers."""
    for at in range(first, end, 1000):
        await ledger.register([row_input(f"k{n}", n + 1) for n in range(at, min(at + 1000, end))])


async def claim(server: TrialServer, rows: int = 100_000) -> list[tuple[str, str]]:
    """What a claim of 32 costs, most of the rows done and not vacuumed."""
    async with open_postgres(f"{server.address}#claim", service="x") as ledger:
        await registered(ledger, 0, rows)
        await carried_out(ledger, rows - 6_400)
        times, spent_s = [], -cpu_of(server) - time.process_time()
        for _ in range(200):
            began = time.perf_counter()
            claimed = await ledger.claim(32, made=None, saves=True)
            times.append(time.perf_counter() - began)
            assert len(claimed) == 32
        spent_s += cpu_of(server) + time.process_time()
        one = ledger._store._identity
        values = {"size": 32, "made": 1, "saves": True, "away": [], "me": one.me, "now": one.now}

        def explained(store: Any) -> float:
            found = store._db.execute(
                f"EXPLAIN (ANALYZE) {CLAIM}", {**values, "host": one.host}
            ).fetchall()
            return float(found[-1][0].split()[-2])

        await registered(ledger, rows, rows + 1_000)
        alone = sorted([await ledger._submit(explained, writes=True) for _ in range(21)])
        times.sort()
        waits = f"median {times[100] * 1e3:.1f} ms, with its commit"
        return [
            (f"a claim of 32 among {rows:,} rows", waits),
            ("its statement alone", f"median {alone[10]:.1f} ms, worst {alone[-1]:.1f} ms"),
            ("CPU of that claim, client and database", f"{spent_s / 200 * 1e3:.2f} ms"),
        ]


async def growth(
    server: TrialServer, sizes: tuple[int, ...] = (10_000, 200_000)
) -> list[tuple[str, str]]:
    """CPU a row, client and database, without requests: in ledgers of these sizes."""
    said, part = [], 6_400
    async with open_postgres(f"{server.address}#growth", service="x") as ledger:
        total = 1_000
        await registered(ledger, 0, total)
        await carried_out(ledger, total)  # else the first ones pay for what is done once
        for size in sizes:
            await registered(ledger, total, size - part)
            await ledger._submit(lambda store: store._db.execute(ALL_DONE), writes=True)
            spent_s = -cpu_of(server) - time.process_time()
            await registered(ledger, size - part, size)
            await carried_out(ledger, part)
            spent_s += cpu_of(server) + time.process_time()
            cost = f"{spent_s / part * 1e3:.3f} ms"
            said.append((f"CPU a row of {size:,}, without requests", cost))
            total = size
    return said


def cpu_of(server: TrialServer) -> float:
    """Seconds of CPU of the server and of all it has started."""
    assert server.process is not None
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(server.process.pid)], capture_output=True, text=True
    ).stdout.split()
    total = 0
    for pid in (server.process.pid, *listed):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12]) + int(fields[13]) + int(fields[14])
    return total / os.sysconf("SC_CLK_TCK")


async def rows(server: TrialServer, n: int = 1500) -> list[tuple[str, str]]:
    """Whole rows against the emulator on a socket, no rate, three workers of 8 at once."""
    emulator = Emulator(ACCOUNTS, latency_s=0.05)
    async with crew(emulator, f"{server.address}#rows", rate=0, workers=0) as one:
        at = [cpu_of(server), time.process_time()]
        await one.submit(n)
        registering_s = cpu_of(server) - at[0], time.process_time() - at[1]
        await asyncio.gather(*(one.start(CREW_USUAL="1") for _ in range(3)))
        await one.over(within_s=300, look_every_s=3)  # each look is a new connection
        sent_s = [one.at_s for one in emulator.calls if one.operation == "avatars.create"]
        took_s = max(sent_s) - min(sent_s)
        database_s = cpu_of(server) - at[0] - registering_s[0]
        verdict = await one.verdict()
    assert verdict.states == {"done": n}, verdict
    assert not verdict.faults
    workers_s = sum(float(report.split()[-1]) for report in one.reports)
    starts_s = sum(float(report.split()[-3]) for report in one.reports)
    parts = {
        "workers": workers_s - starts_s,
        "database for them": database_s,
        "registering": registering_s[1],
        "database for that": registering_s[0],
    }
    said = [(f"CPU a row, {name}", f"{1e3 * part / n:.2f} ms") for name, part in parts.items()]
    return [
        (f"{n} rows, three workers", f"{n / took_s:.0f} rows/s"),
        *said,
        ("CPU a row, all of these", f"{1e3 * sum(parts.values()) / n:.2f} ms"),
        ("CPU of a worker's start", f"{starts_s / 3:.2f} s"),
    ]


async def windows(address: str, seconds: float = 12) -> list[tuple[str, str]]:
    """20 per 2 s over four processes, one clock 3 s ahead: the most in any window."""
    emulator = Emulator(["a@x.y"])
    async with crew(emulator, f"{address}#windows", rate=10, workers=0) as one:
        await asyncio.gather(*(one.start(CREW_SKEW_S="3" if at == 0 else "0") for at in range(4)))
        await one.submit(round(seconds * 10))
        await one.over(within_s=seconds * 4)
        verdict = await one.verdict(window_s=2.0)
    settled = sorted(int(report.split()[1]) for report in one.reports)
    return [
        ("20 per 2 s, four processes, one clock skewed: most in a window",
         str(verdict.most_in_window)),
        ("rows of each process", f"{settled[0]} to {settled[-1]}"),
    ]  # fmt: skip


async def found(address: str, quota: int = 20, n: int = 600) -> list[tuple[str, str]]:
    """A quota that nobody published, found by one worker and by three."""
    said = []
    for workers in (1, 3):
        emulator = Emulator(["a@x.y"], quota=RateLimit(quota), latency_s=0.05)
        ledger = f"{address}#found{workers}"
        async with crew(emulator, ledger, rate=1000, workers=workers, CREW_ADAPTIVE="1") as one:
            await one.submit(n)
            await one.over(within_s=300)
            verdict = await one.verdict()
        assert verdict.states == {"done": n}, verdict
        rate = f"{n / verdict.took_s:.1f} rows/s, {verdict.refused} times 429"
        said.append((f"{n} rows, quota {quota}/s not named, {workers} workers", rate))
    return said


async def main() -> None:
    """Print what was asked for."""
    wanted = sys.argv[1:] or ["claim", "growth", "rows", "windows", "found"]
    folder = Path(tempfile.mkdtemp(prefix="kling-bench-"))
    folder.chmod(0o755)
    server = TrialServer(folder / "data")
    address = server.start()
    try:
        for name in wanted:
            if name == "claim":
                measured = await claim(server)
            elif name == "growth":
                measured = await growth(server)
            elif name == "rows":
                measured = await rows(server)
            elif name == "found":
                measured = await found(address)
            else:
                measured = await windows(address)
            for what, came in measured:
                print(f"{what}: {came}", flush=True)
    finally:
        server.stop()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"peak memory of this process: {peak} MiB")


if __name__ == "__main__":
    asyncio.run(main())

"""A worker as its own process, with a short lease, and perhaps a place where it stops.

python worker_process.py DATABASE RATE_PER_S CONCURRENCY     in the environment: see `crew.py`
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from attrs import evolve

from kling_async import AsyncKlingClient, RateLimit, RetryPolicy, settings
from kling_async.bulk import outgoing, postgres
from kling_async.bulk.jobs import Equipment
from kling_async.bulk.postgres_session import address_of
from kling_async.bulk.records import Change
from kling_async.bulk.worker import Worker

LEASE_S = 3.0


def shorten() -> None:
    """Everything that is waited for; the order of the times stays."""
    postgres.open_postgres.__wrapped__.__kwdefaults__["lease_s"] = LEASE_S  # type: ignore[attr-defined]
    postgres.SWEEP_EVERY_S = 0.5
    outgoing.FRESH_S = 1.0
    settings.LOOK_AFTER_S = (0.1, 0.3, 0.6)


def stop_at(event: str, passes: int) -> None:
    """SIGSTOP this process once right after so many changes of this event are on disk."""
    apply, left = postgres.PostgresLedger.apply, [passes]

    async def stopping(self: postgres.PostgresLedger, change: Change) -> object:
        applied = await apply(self, change)
        if change.event == event:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGSTOP)
        return applied

    postgres.PostgresLedger.apply = stopping  # type: ignore[method-assign, assignment]


async def main() -> None:
    database, rate, concurrency = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    if skew := float(os.environ.get("CREW_SKEW_S", "0")):
        wall = time.time
        time.time = lambda: wall() + skew
    if "CREW_STOP" in os.environ:
        event, passes = os.environ["CREW_STOP"].split()
        stop_at(event, int(passes))
    limit = RateLimit(round(rate), adaptive="CREW_ADAPTIVE" in os.environ) if rate else None
    retry = RetryPolicy(reconcile_within_s=float(os.environ.get("CREW_LOOKS_S", "3")))
    folder = os.environ.get("CREW_FOLDER")
    async with AsyncKlingClient("user:1-crew", rate_limit=limit, retry=retry) as kling:
        later = kling._later
        where = address_of(database)
        worker = Worker(
            Equipment(kling._pipeline, evolve(kling._options), later.waiting, later.downloads),
            where,
            names=[where.name],  # other tests have ledgers in this database
            folder=None if folder is None else Path(folder),
            concurrency=concurrency,
        )
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        begun = time.process_time()
        print("ready", flush=True)
        with suppress(asyncio.CancelledError):
            await worker.work()
    cpu = time.process_time()
    print(f"settled {worker.settled} start {begun:.3f} cpu {cpu:.3f}", flush=True)


if __name__ == "__main__":
    if "CREW_USUAL" not in os.environ:
        shorten()
    asyncio.run(main())

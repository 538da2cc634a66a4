"""How long does a job slot stand empty between two jobs, and how many GETs does a job take?

    python tests/benchmarks/bench_slots.py            both cases, some seconds
    python tests/benchmarks/bench_slots.py --small

A bulk job of texts to videos runs against the emulator in the same process, on simulated time: what
takes seconds here takes none, and figures are those of the emulator's clock. Each request takes
0.15 s there, as a real service's does. A slot's gap is the time from the end of its job to the
create of the next one on the same account. GETs are those of the API; files come from elsewhere.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from table import Options, Row, at_least, at_most, run

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from virtual_time import SimulatedLoop

from kling_async import AccountRegistry, AsyncKlingClient
from kling_async.emulator import EmulatedAccount, Emulator
from kling_async.emulator.tasks import Task

LATENCY_S = 0.15


@dataclass
class Case:
    """One job: how many rows, on which slots, of how long jobs."""

    rows: int
    accounts: int
    slots: int
    job_s: tuple[float, float]

    def __str__(self) -> str:
        least_s, most_s = self.job_s
        slots = f"{self.accounts} accounts of {self.slots} slots"
        return f"{self.rows} jobs of {least_s:g} to {most_s:g} s on {slots}"


@dataclass
class Seen:
    """What came of it, on the emulator's clock."""

    gaps_s: Sequence[float]
    took_s: float
    worked_s: float
    gets: int
    jobs: int
    slots: int

    @property
    def used(self) -> float:
        """The share of the slots' time, from the first create to the last end, in percent."""
        return 100 * self.worked_s / (self.took_s * self.slots)


async def run_case(case: Case, folder: Path, seed: int) -> Seen:
    """The job from its first create to its last file."""
    accounts = [f"user{n}@example.com" for n in range(case.accounts)]
    emulator = Emulator(
        [EmulatedAccount(one, max_jobs=case.slots) for one in accounts],
        job_s=case.job_s,
        latency_s=LATENCY_S,
        seed=seed,
    )
    rows = [{"key": f"k{n}", "prompt": f"A cat, {n}"} for n in range(case.rows)]
    async with AsyncKlingClient(
        "user:1-a",
        base_url="http://127.0.0.1/v1/kling",
        transport=emulator.transport(),
        accounts=AccountRegistry(accounts, choose="round_robin"),
    ) as kling:
        results = kling.bulk.run(
            rows,
            ledger=folder / f"{seed}.sqlite",
            operation="videos.text2video",
            save_to=folder / str(seed),
            concurrency=case.accounts * case.slots,
        )
        states = [one.state async for one in results]
    assert states == ["done"] * case.rows, states
    tasks = emulator.tasks
    gets = sum(
        one.method == "GET" and not one.operation.startswith("media") for one in emulator.calls
    )
    gaps_s = [gap for one in accounts for gap in gaps(tasks, one, case.slots)]
    took_s = max(one.final_s for one in tasks) - min(one.started_s for one in tasks)
    worked_s = sum(one.job_s for one in tasks)
    return Seen(gaps_s, took_s, worked_s, gets, len(tasks), case.accounts * case.slots)


def gaps(tasks: Sequence[Task], account: str, slots: int) -> Iterator[float]:
    """Seconds for which each slot of an account stood empty before its next job."""
    mine = sorted((one for one in tasks if one.account == account), key=lambda one: one.started_s)
    free = sorted(one.final_s for one in mine[:slots])
    for task in mine[slots:]:
        yield task.started_s - free.pop(0)  # whichever has been free longest
        free = sorted([*free, task.final_s])


def measure(options: Options) -> Iterator[Row]:
    cases = [
        (Case(12 if options.small else 72, 3, 4, (8.0, 16.0)), 1.5),
        (Case(15 if options.small else 90, 3, 5, (30.0, 60.0)), None),
    ]
    for case, goal_s in cases:
        with tempfile.TemporaryDirectory() as folder:
            seen = [one_run(case, Path(folder), seed) for seed in range(1 if options.small else 3)]
        gaps_s = [gap for one in seen for gap in one.gaps_s]
        if goal_s is not None and gaps_s:
            more = f"{max(gaps_s):.1f} at most"
            yield at_most(f"a slot stands empty, {case}", goal_s, mean(gaps_s), "s", more)
        per_job = mean(one.gets / one.jobs for one in seen)
        yield at_most(f"GETs of the API a job, {case}", 6, per_job, "GETs")
        used = mean(one.used for one in seen)
        took = f"{mean(one.took_s for one in seen):.0f} s in all"
        what = f"of the slots' time used, {case}"
        # Of the shorter jobs the last ones, which leave slots empty for want of rows, are a tenth.
        yield at_least(what, 75 if goal_s is not None else 85, used, "%", took)


def one_run(case: Case, folder: Path, seed: int) -> Seen:
    """One run on a loop of its own."""
    loop = SimulatedLoop()
    try:
        return loop.run_until_complete(run_case(case, folder, seed))
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


if __name__ == "__main__":
    run(measure, __doc__)

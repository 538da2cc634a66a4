"""Chaos: a real `bulk run`, a server that loses answers, SIGKILL at random, again and again.

    python tests/heavy/chaos/run.py --runs 1000 --seed 1 --jobs 2
    python tests/heavy/chaos/run.py --runs 100 --rehost
    python tests/heavy/chaos/run.py --only 4711           one run again, kept for looking into

Each run has its own emulator, in this process and behind a real port, so that the truth outlives
the runner. At the end the truth is compared with the ledger. Exit code 1: an avatar was made twice,
was lost, or was given to the wrong row.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from attrs import asdict, define, field
from chaos_plan import STRANGE_URL, Kill, Plan, decidable, plan_of
from chaos_stage import Runner, Stage, stage
from chaos_truth import Findings

LAST_RUNS = 8
"""Runs at most that are left to end; each parked account and each hour-long 429 costs one."""
LONGEST_S = 60.0


@define
class Outcome:
    """What one run came to."""

    seed: int
    found: Findings = field(factory=Findings)
    codes: list[int] = field(factory=list)
    kills: int = 0
    calls: int = 0
    took_s: float = 0.0
    trouble: str | None = None
    """Why the run itself could not be carried out."""

    @property
    def failed(self) -> bool:
        """Whether this run shows a fault."""
        return self.found.faults > 0 or self.trouble is not None


async def play(plan: Plan, folder: Path, runner: Runner) -> Outcome:
    """One run, from an empty ledger to the comparison."""
    outcome = Outcome(plan.seed)
    started_s = time.monotonic()
    async with stage(plan, folder, runner) as here:
        here.set_up()
        strangers = asyncio.create_task(_strangers(here))
        try:
            for kill in plan.kills:
                if here.open_rows():
                    outcome.kills += await _killed(here, kill, outcome)
            for _ in range(LAST_RUNS):
                await _to_its_end(here, outcome)
                if not here.open_rows():
                    break
            if plan.patient:
                await asyncio.sleep(plan.listing_lag_s)
                await _to_its_end(here, outcome)
        except TimeoutError:
            outcome.trouble = f"a run did not end within {LONGEST_S:.0f} s"
        finally:
            strangers.cancel()
            await asyncio.gather(strangers, return_exceptions=True)
        if bad := [one for one in outcome.codes if one not in (0, 1, 130, -9)]:
            outcome.trouble = f"exit codes {bad}"
        outcome.found = here.findings()
        outcome.calls = here.calls
    outcome.took_s = time.monotonic() - started_s
    return outcome


async def _killed(here: Stage, kill: Kill, outcome: Outcome) -> bool:
    """A run that dies at its time, if it has not ended before; whether SIGKILL struck."""
    goal = here.calls + kill.after_calls
    ended = await here.start()
    late_s = time.monotonic() + LONGEST_S
    while not ended.done() and here.calls < goal and time.monotonic() < late_s:
        await asyncio.sleep(0.002)
    await asyncio.wait({ended}, timeout=kill.wait_s)
    struck = not ended.done()
    if struck:
        if kill.signal == "INT":
            here.runner.kill(signal.SIGINT)
            await asyncio.wait({ended}, timeout=LONGEST_S)
        if not ended.done():
            here.runner.kill(signal.SIGKILL)
    outcome.codes.append(await ended)
    return struck and kill.signal == "KILL"


async def _to_its_end(here: Stage, outcome: Outcome) -> None:
    ended = await here.start()
    try:
        outcome.codes.append(await asyncio.wait_for(asyncio.shield(ended), LONGEST_S))
    except TimeoutError:
        here.runner.kill(signal.SIGKILL)
        await ended
        raise


async def _strangers(here: Stage) -> None:
    for one in sorted(here.plan.strangers, key=lambda one: one.after_calls):
        while here.calls < one.after_calls:
            await asyncio.sleep(0.005)
        row = here.plan.rows[one.row]
        account = row.account or here.plan.accounts[0]
        here.make(account, f"{STRANGE_URL}{one.after_calls}.png", row.nickname, row.prompt)


@define
class Sum:
    """Many runs."""

    runs: int = 0
    rows: int = 0
    made: int = 0
    kills: int = 0
    calls: int = 0
    real_cli: int = 0
    adopted: int = 0
    unknown_made: int = 0
    unknown_unmade: int = 0
    doubled: int = 0
    lost: int = 0
    wrong: int = 0
    states: Counter[str] = field(factory=Counter)
    struck: Counter[str] = field(factory=Counter)
    failed_seeds: list[int] = field(factory=list)

    def add(self, plan: Plan, outcome: Outcome) -> None:
        """One more."""
        found = outcome.found
        self.runs += 1
        self.real_cli += plan.real_cli
        self.kills += outcome.kills
        self.calls += outcome.calls
        for name in ("rows", "made", "adopted", "unknown_made", "unknown_unmade"):
            setattr(self, name, getattr(self, name) + getattr(found, name))
        for name in ("doubled", "lost", "wrong"):
            setattr(self, name, getattr(self, name) + len(getattr(found, name)))
        self.states.update(found.states)
        if outcome.failed:
            self.failed_seeds.append(outcome.seed)

    def __str__(self) -> str:
        rows = max(1, self.rows)
        unknown = self.states["unknown"]
        return (
            f"{self.runs} runs ({self.real_cli} of the command from a cold start), "
            f"{self.rows} rows, {self.made} avatars, {self.kills} SIGKILLs, {self.calls} requests; "
            f"doubled {self.doubled}, lost {self.lost}, wrong {self.wrong}; "
            f"{self.adopted} adopted; unknown {unknown} ({unknown / rows:.2%}; "
            f"{self.unknown_made} of them exist); states {dict(sorted(self.states.items()))}"
        )


async def play_all(args: argparse.Namespace) -> Sum:
    """The runs, `--jobs` at a time."""
    total = Sum()
    seeds = iter(range(args.seed, args.seed + args.runs) if args.only is None else [args.only])

    async def some() -> None:
        runner = Runner()
        try:
            for seed in seeds:
                plan = plan_of(seed, args.rows, rehost=args.rehost)
                plan = decidable(plan) if args.decidable else plan
                folder = Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-"))
                outcome = await play(plan, folder, runner)
                total.add(plan, outcome)
                _tell(args, plan, outcome, total, folder)
                if not outcome.failed and args.only is None:
                    shutil.rmtree(folder)
        finally:
            await runner.close()

    await asyncio.gather(*(some() for _ in range(args.jobs)))
    return total


def _tell(args: argparse.Namespace, plan: Plan, outcome: Outcome, total: Sum, folder: Path) -> None:
    found = outcome.found
    if args.json:
        told = {**asdict(outcome), "real_cli": plan.real_cli, "transport": plan.transport}
        print(json.dumps({"type": "run", **told}), flush=True)
    elif args.only is not None or args.verbose:
        states = dict(found.states)
        print(
            f"seed {plan.seed}: {states}, {outcome.kills} kills, {outcome.calls} calls, "
            f"codes {outcome.codes}, {'cli' if plan.real_cli else 'fork'} {plan.transport}, "
            f"{outcome.took_s:.1f} s",
            flush=True,
        )
    elif total.runs % 50 == 0:
        print(total, flush=True)
    if outcome.failed:
        rehost = " --rehost" if plan.rehost else ""
        print(
            f"FAILED seed {plan.seed}: {outcome.trouble or ''} doubled {found.doubled}, lost "
            f"{found.lost}, wrong {found.wrong}; kept in {folder}\n  again: python "
            f"tests/heavy/chaos/run.py --only {plan.seed} --rows {args.rows}{rehost}",
            file=sys.stderr,
            flush=True,
        )


def main() -> int:
    """Run and tell."""
    about, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument(
        "--seed", type=int, default=1, help="of the first run; the next has one more"
    )
    parser.add_argument("--rows", type=int, default=24)
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time")
    parser.add_argument("--rehost", action="store_true", help="listings show other addresses")
    parser.add_argument(
        "--decidable",
        action="store_true",
        help="every lost answer was of a create that worked and is listed in time",
    )
    parser.add_argument("--only", type=int, help="the run of this seed alone; its folder is kept")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--verbose", action="store_true", help="a line for each run")
    args = parser.parse_args()
    started_s = time.monotonic()
    total = asyncio.run(play_all(args))
    took_s = time.monotonic() - started_s
    if args.json:
        print(json.dumps({"type": "sum", **asdict(total), "took_s": took_s}))
    else:
        print(f"seeds from {args.seed}: {total}; {took_s:.0f} s")
    if total.failed_seeds:
        print(f"failed: {total.failed_seeds}", file=sys.stderr)
    return 1 if total.failed_seeds else 0


if __name__ == "__main__":
    sys.exit(main())

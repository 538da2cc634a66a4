"""The bad days of several machines, each with its numbers: `python run.py SCENARIO [--rows N]`.

`all` runs each once. Exit 1 where anything is doubled, lost or wrongly adopted.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "support"))

from crew import ACCOUNTS, Crew, Verdict, chance, crew

from kling_async.bulk.launcher import TrialServer
from kling_async.emulator import Emulator, Fault

Scene = Callable[[Crew, TrialServer, int, int], Awaitable[None]]


async def quiet(one: Crew, server: TrialServer, rows: int, seed: int) -> None:
    """Nothing happens."""


async def kills(one: Crew, server: TrialServer, rows: int, seed: int) -> None:
    """Four times a worker is killed, and another one started."""
    for part in range(1, 5):
        await one.done(rows * part // 6)
        await one.kill(chance(seed + part).choice(one.workers))
        await one.start()


async def stops(one: Crew, server: TrialServer, rows: int, seed: int) -> None:
    """Two workers are stopped beyond their lease, and go on."""
    await one.done(rows // 6)
    stopped = chance(seed).sample(one.workers, 2)
    for worker in stopped:
        one.signal(worker, signal.SIGSTOP)
    await asyncio.sleep(5)
    for worker in stopped:
        one.signal(worker, signal.SIGCONT)


async def fence(one: Crew, server: TrialServer, rows: int, seed: int) -> None:
    """Workers are stopped right between intent and first byte, and go on beyond their lease."""
    sound = one.workers[1:]
    for worker in sound:  # else nothing is left for those that stop themselves
        await one.kill(worker)
    for part in range(3):
        waits = [await one.start(CREW_STOP=f"intended {5 + part}") for _ in range(3)]
        await one.stopped(waits)
        await asyncio.sleep(5)
        for worker in waits:
            one.signal(worker, signal.SIGCONT)
    await asyncio.gather(*(one.start() for _ in sound))


async def database(one: Crew, server: TrialServer, rows: int, seed: int) -> None:
    """The database is restarted, then killed, then both."""
    for part, end in enumerate((server.stop, server.kill, server.stop, server.kill), 1):
        await one.done(rows * part // 6)
        end()
        await asyncio.sleep(1.0)
        server.start()


async def mixed(one: Crew, server: TrialServer, rows: int, seed: int) -> None:
    """All of it, with one create in 14 without an answer."""
    dice = chance(seed)
    for part in range(1, 7):
        await one.done(rows * part // 9)
        what = dice.choice(("kill", "stop", "database"))
        if what == "database":
            server.kill()
            await asyncio.sleep(dice.random())
            server.start()
            continue
        worker = dice.choice(one.workers)
        if what == "kill":
            await one.kill(worker)
            await one.start()
        else:
            one.signal(worker, signal.SIGSTOP)
            await asyncio.sleep(4.5)
            one.signal(worker, signal.SIGCONT)


SCENES: dict[str, Scene] = {
    one.__name__: one for one in (quiet, kills, stops, fence, database, mixed)
}


async def played(name: str, rows: int, seed: int, rate: float) -> Verdict:
    """What a scenario came to."""
    folder = Path(tempfile.mkdtemp(prefix="kling-crew-"))
    folder.chmod(0o755)
    server = TrialServer(folder / "data")
    faults = [Fault("avatars.create", "close_without_reply", every=14)] if name == "mixed" else []
    emulator = Emulator(ACCOUNTS, seed=seed, latency_s=0.05, faults=faults)
    try:
        address = f"{server.start()}#crew"
        async with crew(emulator, address, rate=rate) as one:
            await one.submit(rows)
            await SCENES[name](one, server, rows, seed)
            await one.over(within_s=120 + rows / 5)
            verdict = await one.verdict()
        for report in one.reports:
            print("  ", report.strip())
        return verdict
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Run, print one line each."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("scenario", choices=[*SCENES, "all"])
    options.add_argument("--rows", type=int, default=600)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--rate", type=float, default=20)
    given = options.parse_args()
    faults = 0
    for name in SCENES if given.scenario == "all" else [given.scenario]:
        found = asyncio.run(played(name, given.rows, given.seed, given.rate))
        faults += found.faults
        for story in found.stories:
            print("  ", story)
        print(
            f"{name}: {dict(found.states)}, adopted {found.adopted}, doubled {found.doubled}, "
            f"lost {found.lost}, wrong {found.wrong}, missed {found.missed}, "
            f"unknown and made {found.unknown_made}, "
            f"at most {found.most_in_window} in a second, {found.refused} times 429, "
            f"{found.took_s:.1f} s",
            flush=True,
        )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

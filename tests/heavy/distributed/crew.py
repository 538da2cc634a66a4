"""Workers as processes over one ledger, what is done to them, and whether it tells the truth.

The emulator runs here, on a socket; so does the trial PostgreSQL, which a scenario may kill.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from attrs import define, field

from kling_async import AsyncKlingClient, LedgerError
from kling_async.bulk.jobs import Equipment, job_over
from kling_async.bulk.postgres import open_postgres, read_postgres
from kling_async.bulk.recipes import AVATARS, TALKING
from kling_async.bulk.rows import RowBuilder
from kling_async.bulk.sources import built, registered
from kling_async.emulator import Emulator

HERE = Path(__file__).parent
ACCOUNTS = ("a@x.y", "b@x.y", "c@x.y")
EXCUSES = (
    "no listing was had",
    # It had as many avatars as a page may have: 20, 25, 30, ...
    "the listing may be cut",
)
OPEN = {"planned", "ready", "intent", "doubt", "running", "made"}


@define
class Verdict:
    """What the comparison of ledger and truth came to."""

    states: Counter[str] = field(factory=Counter)
    doubled: list[str] = field(factory=list)
    lost: list[str] = field(factory=list)
    wrong: list[str] = field(factory=list)
    adopted: int = 0
    unknown_made: int = 0
    most_in_window: int = 0
    refused: int = 0
    took_s: float = 0.0
    missed: list[str] = field(factory=list)
    """Rows that were made and stayed unknown, and none of `EXCUSES` says why."""
    stories: list[str] = field(factory=list)
    """Of rows that stayed unknown: what happened to each."""

    @property
    def faults(self) -> int:
        return len(self.doubled) + len(self.lost) + len(self.wrong) + len(self.missed)


class Crew:
    """Workers over one ledger of one database."""

    def __init__(self, emulator: Emulator, base_url: str, address: str, rate: float) -> None:
        self.emulator = emulator
        self.address = address
        self.workers: list[asyncio.subprocess.Process] = []
        self.reports: list[str] = []
        self.base_url = base_url
        self._rate = rate
        self._rows = 0
        self._begun_s = 0.0

    async def submit(self, rows: int, *, images: Sequence[Path] = (), talk: bool = False) -> None:
        """Rows for the workers; their pictures are addresses, or files of this machine."""
        accounts = [one.email for one in self.emulator.accounts]

        def row(number: int) -> dict[str, Any]:
            given: dict[str, Any] = {"key": f"k{number}", "nickname": f"N{number}"}
            given["email"] = accounts[number % len(accounts)]
            if images:
                given["image"] = images[number % len(images)]
            else:
                given["image_url"] = f"https://x.y/{number}.png"
            if talk:
                given["audio_url"] = f"https://x.y/{number}.mp3"
            return given

        self._rows = rows
        recipe = TALKING if talk else AVATARS
        async with (
            AsyncKlingClient("user:1-crew", base_url=self.base_url) as kling,
            open_postgres(self.address, service=kling._pipeline.service) as ledger,
        ):
            later = kling._later
            equipment = Equipment(kling._pipeline, kling._options, later.waiting, later.downloads)
            job = job_over(
                equipment, ledger, recipe, folder="films" if talk else None, concurrency=1
            )
            with RowBuilder(recipe) as builder:
                chunks = registered(ledger, job.requests, built(builder, map(row, range(rows))))
                assert await job.submitted(chunks) == rows
        self._begun_s = asyncio.get_running_loop().time()

    async def start(self, concurrency: int = 8, **environment: str) -> asyncio.subprocess.Process:
        """One worker more."""
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, str(HERE / "worker_process.py")),
            *(self.address, str(self._rate), str(concurrency)),
            env={
                **os.environ, "KLING_BASE_URL": self.base_url, "USEAPI_TOKEN": "user:1-crew",
                **environment,
            },
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert worker.stdout is not None
        assert await worker.stdout.readline() == b"ready\n"
        self.workers.append(worker)
        return worker

    def signal(self, worker: asyncio.subprocess.Process, number: int) -> None:
        if worker.returncode is None:
            os.kill(worker.pid, number)

    async def kill(self, worker: asyncio.subprocess.Process) -> None:
        self.signal(worker, signal.SIGKILL)
        await worker.wait()
        self.workers.remove(worker)

    async def counts(self) -> dict[str, int]:
        async with read_postgres(self.address) as reader:
            return {str(state): n for state, n in (await reader.counts()).items()}

    async def done(self, at_least: int) -> None:
        """Return when so many rows are done."""
        while True:
            with suppress(LedgerError):
                counts = await self.counts()
                if counts.get("done", 0) >= at_least or not OPEN & counts.keys():
                    return
            await asyncio.sleep(0.1)

    async def stopped(self, workers: Sequence[asyncio.subprocess.Process]) -> None:
        """Return when these have stopped themselves, or there is nothing left that makes them."""
        while OPEN & (await self.counts()).keys():
            states = [
                Path(f"/proc/{one.pid}/stat").read_text().rpartition(")")[2] for one in workers
            ]
            if all(state.split()[0] == "T" for state in states):
                return
            await asyncio.sleep(0.1)

    async def over(self, within_s: float, look_every_s: float = 0.2) -> None:
        """Return when no row is to be worked on any more."""
        async with asyncio.timeout(within_s):
            while True:
                with suppress(LedgerError):  # the database is away
                    counts = await self.counts()
                    if not OPEN & counts.keys():
                        return
                await asyncio.sleep(look_every_s)

    async def end(self) -> None:
        """Stop the workers cleanly; what they report is kept."""
        for worker in self.workers:
            self.signal(worker, signal.SIGCONT)
            self.signal(worker, signal.SIGTERM)
        for worker in self.workers:
            assert worker.stdout is not None
            try:
                async with asyncio.timeout(30):
                    self.reports.append((await worker.stdout.read()).decode())
                    await worker.wait()
            except TimeoutError:
                worker.kill()
                self.reports.append("killed: it did not end\n")

    async def verdict(self, window_s: float = 1.0) -> Verdict:
        """Ledger against truth."""
        found = Verdict(took_s=asyncio.get_running_loop().time() - self._begun_s)
        made: dict[str, list[str]] = {}
        for avatar in self.emulator.avatars:
            made.setdefault(avatar.nickname, []).append(avatar.id)
        async with read_postgres(self.address) as reader:
            rows = [row async for row in reader.rows()]
            for row in rows:
                if row.state == "unknown":
                    turns = [f"{one.event}: {one.text}" for one in await reader.history(row.id)]
                    found.stories.append(f"{row.key}, attempt {row.steps[0].attempts}: {turns}")
        assert len(rows) == self._rows
        for row in rows:
            step = row.steps[0]
            there = made.pop(f"N{row.key[1:]}", [])
            found.states[row.state] += 1
            found.adopted += (step.evidence or "").startswith("adopted")
            if len(there) > 1:
                found.doubled.append(row.key)
            if step.state == "done" and there != [step.remote_id]:
                found.wrong.append(f"{row.key}: {step.remote_id} and not {there}")
            elif step.state in ("planned", "ready", "failed") and there:
                found.lost.append(f"{row.key} is {step.state}, and {there} was made")
            if step.state == "unknown" and there:
                found.unknown_made += 1
                if not any(why in (step.error or "") for why in EXCUSES):
                    found.missed.append(f"{row.key}: {step.error}")
        found.wrong += [f"of no row: {one}" for one in made]
        tasks = Counter(
            task.audio_url for task in self.emulator.tasks if hasattr(task, "audio_url")
        )
        found.doubled += [f"video {url}" for url, n in tasks.items() if n > 1]
        creates: dict[str | None, list[float]] = {}
        for call in self.emulator.calls:
            if call.operation == "avatars.create":
                found.refused += call.status == 429
            if call.account is not None:
                creates.setdefault(call.account, []).append(call.at_s)
        for times in creates.values():
            times.sort()
            for at, first in enumerate(times):
                inside = sum(1 for one in times[at : at + 200] if one < first + window_s)
                found.most_in_window = max(found.most_in_window, inside)
        return found


@asynccontextmanager
async def crew(
    emulator: Emulator, address: str, *, rate: float = 20, workers: int = 3, **environment: str
) -> AsyncIterator[Crew]:
    """A crew whose workers are running; `submit` gives them work."""
    async with emulator.serve() as base_url:
        one = Crew(emulator, base_url, address, rate)
        try:
            await asyncio.gather(*(one.start(**environment) for _ in range(workers)))
            yield one
        finally:
            await one.end()


def chance(seed: int) -> random.Random:
    return random.Random(seed)

"""Where do runs with videos take place, and does the ledger say what really was paid for?

As in `chaos_stage.py` and `chaos_truth.py`: the emulator lives here, behind a real port; runners
are processes that may be killed. Whose a job is, is told by the portrait of its avatar, which is
one row's alone.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from attrs import define, field
from chaos_stage import TOKEN, Runner, arrived, as_if_dead
from engine import LedgerRow, rows_of

from kling_async.emulator import EmulatedAccount, Emulator, Task, parse_faults, sample_png
from kling_async.emulator.sounds import wav
from kling_async.emulator.voices import VOICES

ACCOUNTS = ("ada@example.com", "bob@example.com", "eve@example.com")
MAY_BE_PAID = ("intent", "doubt", "unknown", "running", "made", "saved")
PORTRAIT = "https://pictures.example/{}.png"


@define
class Findings:
    """What the comparison came to; the first three must stay empty."""

    doubled: list[str] = field(factory=list)
    lost: list[str] = field(factory=list)
    wrong: list[str] = field(factory=list)
    paid: int = 0
    unknown_paid: int = 0
    unknown_unpaid: int = 0
    states: Counter[str] = field(factory=Counter)

    @property
    def faults(self) -> int:
        """How many promises were broken."""
        return len(self.doubled) + len(self.lost) + len(self.wrong)


@define
class FilmStage:
    """One job's server and files."""

    folder: Path
    emulator: Emulator
    base_url: str
    runner: Runner
    rows: int
    accounts: tuple[str, ...]
    concurrency: int = 4
    within_s: float = 0.6
    transport: str = "aiohttp"
    real_cli: bool = False

    @property
    def ledger(self) -> Path:
        """The file."""
        return self.folder / "ledger.sqlite"

    @property
    def films(self) -> Path:
        """The folder."""
        return self.folder / "films"

    @property
    def keys(self) -> list[str]:
        """Of all rows."""
        return [f"row-{n}" for n in range(self.rows)]

    def set_up(self) -> None:
        """Write the input: short texts, long ones (whose portraits go up) and audio in turn."""
        with (self.folder / "rows.jsonl").open("w") as file:
            for n, key in enumerate(self.keys):
                row = {"key": key, "image_url": PORTRAIT.format(key), "nickname": key}
                row |= {"account": self.accounts[n % len(self.accounts)]}
                if n % 5 == 3:
                    (self.folder / f"{n}.wav").write_bytes(wav(key, 400))
                    row |= {"audio": f"{n}.wav"}
                else:
                    said = f"I am {key}"
                    if n % 5 == 4:
                        (self.folder / f"{n}.png").write_bytes(sample_png(n, 300, 300))
                        row |= {"image": f"{n}.png"}
                        del row["image_url"]
                        said = "x" * 151
                    row |= {"text": said, "speaker_id": VOICES[0].speaker_id}
                file.write(json.dumps(row) + "\n")

    async def start(self, failpoint: tuple[str, int] | None = None) -> asyncio.Task[int]:
        """Begin a run; the task gives the exit status, negative for a signal."""
        args = ["bulk", "run", str(self.folder / "rows.jsonl"), "--ledger", str(self.ledger)]
        args += ["--reconcile-within", str(self.within_s), "--rate", "none", "--video"]
        args += ["--video-dir", str(self.films), "--transport", self.transport]
        args += ["--concurrency", str(self.concurrency)]
        return await self.order(args, failpoint)

    async def order(
        self, args: list[str], failpoint: tuple[str, int] | None = None
    ) -> asyncio.Task[int]:
        """Begin any command."""
        env = {"KLING_BASE_URL": self.base_url, "USEAPI_TOKEN": TOKEN, "KLING_ACCOUNTS": ""}
        if failpoint is not None:
            env["CHAOS_FAILPOINT"] = "{} {}".format(*failpoint)
        log = self.folder / "log.txt"
        return await self.runner.start(args, env, log, real_cli=self.real_cli)

    def records(self) -> dict[str, LedgerRow]:
        """What the ledger says."""
        return {one.key: one for one in rows_of(self.ledger)}

    def unsent(self) -> set[str]:
        """Rows whose intent a run would find, were it to begin now, and whose create has not come.

        To be asked while the process is stopped.
        """
        records, came = as_if_dead(self.ledger), arrived(self.emulator)
        making = {one.key for one in records if one.state == "intent"} - came
        filming = {
            one.key
            for one in records
            if one.video and one.video.state == "intent" and one.video.reply_ref not in came
        }
        return making | filming

    def open_rows(self) -> int:
        """Rows that another run would work on."""
        settled = 0
        for one in self.records().values():
            over = one.video is not None and one.video.state in ("saved", "failed", "unknown")
            settled += over or one.state in ("failed", "unknown")
        return self.rows - settled

    def jobs(self) -> dict[str, list[Task]]:
        """What was really begun, by row."""
        whose = {one.image_url: one.nickname for one in self.emulator.avatars}
        found: dict[str, list[Task]] = {}
        for task in self.emulator.tasks:
            (key,) = (whose[one] for one in task.input_urls if one in whose)
            found.setdefault(key, []).append(task)
        return found

    def findings(self) -> Findings:
        """The truth and the ledger, compared."""
        found, jobs, records = Findings(), self.jobs(), self.records()
        for key in self.keys:
            self._compare(found, key, records.get(key), jobs.pop(key, []))
        found.wrong += [f"a job of no row: {one}" for one in jobs]
        if self.films.is_dir():
            there = {one.name for one in self.films.iterdir() if not one.name.startswith(".")}
            parts = [one for one in there if not one.endswith(".mp4")]
            found.wrong += [f"a file of no row: {one}" for one in there - set(parts)
                            if one.removesuffix(".mp4") not in self.keys]  # fmt: skip
        return found

    def _compare(
        self, found: Findings, key: str, record: LedgerRow | None, jobs: list[Task]
    ) -> None:
        video = None if record is None else record.video
        state = "missing" if video is None else video.state
        if record is not None and record.state == "unknown":
            state = "no avatar"  # killed on the way to it, as in `test_sigkill.py`
        found.states[state] += 1
        found.paid += len(jobs)
        if len(jobs) > 1:
            found.doubled.append(f"{key}: {[one.id for one in jobs]}, {state}")
        if jobs and state not in MAY_BE_PAID:
            found.lost.append(f"{key}: {jobs[0].id} was paid for, the video is {state}")
        if state == "unknown":
            found.unknown_paid += bool(jobs)
            found.unknown_unpaid += not jobs
        if video is None or video.task_id is None:
            return
        if [video.task_id] != [one.id for one in jobs]:
            found.wrong.append(f"{key}: task {video.task_id}, truly {[one.id for one in jobs]}")
        if state == "saved":
            file = Path(str(video.file))
            content = file.read_bytes() if file.is_file() else b""
            if len(content) != video.size_bytes or content[4:8] != b"ftyp":
                found.wrong.append(f"{key}: {file} has {len(content)} of {video.size_bytes} bytes")


@asynccontextmanager
async def film_stage(
    folder: Path,
    runner: Runner,
    *,
    rows: int,
    accounts: int = 1,
    max_jobs: int = 3,
    faults: str = "",
    job_s: float | tuple[float, float] = (0.02, 0.2),
    seed: int = 0,
    **options: object,
) -> AsyncIterator[FilmStage]:
    """All that a job needs."""
    names = ACCOUNTS[:accounts]
    emulator = Emulator(
        [EmulatedAccount(email=one, max_jobs=max_jobs) for one in names], job_s=job_s, seed=seed
    )
    async with emulator.serve() as base_url:
        here = FilmStage(folder, emulator, base_url, runner, rows, names, **options)  # type: ignore[arg-type]
        here.set_up()
        emulator.add_faults(parse_faults(faults))
        yield here

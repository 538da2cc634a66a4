"""What if the process dies while rows of any operation are made? Nothing doubled, nothing lost.

Real `bulk run --operation` commands are killed with SIGKILL when so many jobs have begun, among
lost answers and full accounts, and begun again until all is settled; then ledger and truth are
compared.
CHAOS_SEEDS=20 sweeps that many seeds; the default is one.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from jobs import in_ledger
from pictures import png

from kling_async.emulator import Emulator
from kling_async.emulator.faulttext import parse_faults

SEEDS = int(os.environ.get("CHAOS_SEEDS", "1"))
ROWS = 12
FAULTS = "{0}:reset_after@every=5 ; {0}:no_slot=seconds,retry_after_s=0.05@every=7"
INPUTS = {
    "videos.text2video": "key,prompt,duration_s\n{rows}",
    "images.kolors": "key,prompt,image_count,images\n{rows}",
}
CELLS = {"videos.text2video": "5", "images.kolors": "2,picture.png"}
FILES = {"videos.text2video": 1, "images.kolors": 2}


async def run(base_url: str, folder: Path, operation: str) -> asyncio.subprocess.Process:
    """The command, begun."""
    words = [
        "bulk", "run", "rows.csv", "--operation", operation, "--save-to", "files",
        "--ledger", "job.sqlite", "--reconcile-within", "3", "--choose", "round_robin",
    ]  # fmt: skip
    env = {
        **os.environ,
        "KLING_BASE_URL": base_url,
        "USEAPI_TOKEN": "user:1-a",
        "KLING_ACCOUNTS": "a@example.com,b@example.com",
    }
    with (folder / "log.txt").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "kling_async", *words,
            cwd=folder, env=env, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip


async def killed(process: asyncio.subprocess.Process, emulator: Emulator, jobs: int) -> None:
    """Kill it once so many jobs have begun in all, unless it is over before."""
    over = asyncio.create_task(process.wait())
    while len(emulator.tasks) < jobs and not over.done():
        await asyncio.sleep(0.005)
    if not over.done():
        process.send_signal(signal.SIGKILL)
    await over


@pytest.mark.parametrize("operation", INPUTS)
@pytest.mark.parametrize("seed", range(SEEDS))
async def test_kills_double_and_lose_nothing(operation: str, seed: int, tmp_path: Path) -> None:
    dice = random.Random(f"{operation} {seed}")
    (tmp_path / "picture.png").write_bytes(png())
    rows = "".join(f"k{n},k{n},{CELLS[operation]}\n" for n in range(ROWS))
    (tmp_path / "rows.csv").write_text(INPUTS[operation].format(rows=rows))
    emulator = Emulator(
        ["a@example.com", "b@example.com"], job_s=(0.3, 1.5), seed=seed,
        faults=parse_faults(FAULTS.format(operation)), record_calls=False,
    )  # fmt: skip
    async with emulator.serve() as base_url:
        for jobs in sorted(dice.sample(range(1, ROWS), 3)):
            await killed(await run(base_url, tmp_path, operation), emulator, jobs)
        last = await run(base_url, tmp_path, operation)
        code = await asyncio.wait_for(last.wait(), 120)
    said = (tmp_path / "log.txt").read_text()
    kept = {key: row.steps[0] for key, row in in_ledger(tmp_path / "job.sqlite").items()}
    states = Counter(one.state for one in kept.values())
    made = Counter(one.arguments["prompt"] for one in emulator.tasks)
    ids: dict[str, Any] = {one.arguments["prompt"]: str(one.id) for one in emulator.tasks}
    told = f"{operation}, seed {seed}, exit {code}, {states}, {tmp_path}\n{said}"
    assert max(made.values()) == 1, told  # none was paid for twice
    assert set(states) <= {"done", "unknown"}, told
    assert len(kept) == ROWS, told
    for key, one in kept.items():
        if one.state == "done":
            assert one.remote_id == ids[key], told  # its own, and nobody else's
            assert len(one.works) == FILES[operation], told
            assert all(Path(str(work.file)).stat().st_size == work.size_bytes for work in one.works)
    # What is unknown was never begun, killed between its intent and its first byte; or it has no
    # file of its own, and was over before anybody looked.
    unknown = {key for key, one in kept.items() if one.state == "unknown"}
    if operation == "images.kolors":
        assert not unknown & made.keys(), told
    assert made.keys() - unknown == {key for key, one in kept.items() if one.state == "done"}, told

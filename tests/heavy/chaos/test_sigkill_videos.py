"""What if the process dies on the way from an avatar to its video? SIGKILL at each step of it.

Each trial runs a real `bulk run --video` with a failpoint (see `failpoints.py`), then the same
command again. CHAOS_SEEDS=50 sweeps that many seeds per failpoint; the default is one.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest
from chaos_films import FilmStage, film_stage
from chaos_stage import Runner
from deaths import SLOW_S, at_work, death, finished, killed, runners, sweep
from failpoints import VIDEO_NAMES

SEEDS = int(os.environ.get("CHAOS_SEEDS", "1"))
FAULTS = (
    "avatars.video:reset_after@every=4 ; avatars.video:no_slot=seconds,retry_after_s=0.01@every=5"
)
# A job that begins when nobody looks for it any more, so that a video becomes unknown as well.
SLOW = f"avatars.video:reset_after,delay_s={SLOW_S}@at=2 ; "


async def trial(name: str, seed: int, folder: Path, runner: Runner) -> tuple[bool, str | None]:
    """One death at one point: whether it came to that, and what was wrong afterwards."""
    dice = random.Random(f"{name} {seed}")
    seldom = ("video.given_up", "video.found", "video.planned", "video.retracted")
    passes = 1 + dice.randrange(1 if name.partition(":")[0] in seldom else 4)
    faults = (SLOW if name.startswith("video.given_up") else "") + FAULTS
    concurrency = dice.choice((1, 3, 8))
    async with film_stage(
        folder,
        runner,
        rows=10,
        accounts=dice.choice((1, 2)),
        faults=faults,
        seed=seed,
        concurrency=concurrency,
        transport=dice.choice(("aiohttp", "httpx")),
    ) as here:
        code = await death(here, (name, passes), slow=SLOW in faults)
        found = here.findings()
        for _ in range(3):
            # On a busy machine each look may time out within the 0.6 s; a later run looks again.
            if not found.unknown_paid:
                break
            await finished(here)
            found = here.findings()
    died = code == -signal.SIGKILL
    # What was paid for is never left unknown. What was not may be, after a death between
    # `intended:committed` and `create:sent`: the intent is on disk, and nobody can know whether
    # the bytes arrived.
    at_once = 2 * (3 + 4)  # of both accounts: job slots, and what is made ready ahead
    wrong = found.faults or found.unknown_paid or found.unknown_unpaid > at_once * died
    over = ("saved", "unknown", "no avatar")
    settled = sum(found.states[state] for state in over) == here.rows
    single = found.paid == found.states["saved"]
    if wrong or not settled or not single or code not in (0, 1, -9):
        return died, f"{name} at pass {passes}, seed {seed}, exit {code}: {found}; {folder}"
    return died, None


@pytest.mark.parametrize("part", range(3))
async def test_death_at_each_point_of_a_video(part: int, tmp_path: Path) -> None:
    # Not each pass comes to each point: on a busy machine what was lost may be found in time.
    await sweep(trial, VIDEO_NAMES[part::3], tmp_path, seeds=SEEDS, more_seeds=4)


async def killed_at(here: FilmStage, jobs: int) -> None:
    """A run that dies when so many jobs have begun in all."""
    assert await killed(here, lambda: len(here.emulator.tasks) >= jobs)


async def resent_by_the_user(here: FilmStage) -> int:
    """What stayed unknown is sent again by the user's word, who knows that nothing was made."""
    made, jobs = {one.nickname for one in here.emulator.avatars}, here.jobs()
    unknown = {key: "--resend" for key, one in here.records().items() if one.state == "unknown"}
    unknown |= {
        key: "--resend-video"
        for key, one in here.records().items()
        if one.video and one.video.state == "unknown"
    }
    for key, option in unknown.items():
        assert key not in (made if option == "--resend" else jobs)
        args = ["bulk", "settle", str(here.ledger), key, option]
        assert await asyncio.wait_for(await here.order(args), 60) == 0
    if unknown:
        await finished(here)
    return len(unknown)


@pytest.mark.parametrize("real_cli", [True, False], ids=["command", "fork"])
async def test_50_rows_over_three_accounts_killed_twice(tmp_path: Path, real_cli: bool) -> None:
    async with (
        runners(1) as pool,
        film_stage(
            tmp_path,
            await pool.get(),
            rows=50,
            accounts=3,
            job_s=(0.2, 1.0),
            real_cli=real_cli,
            within_s=2.0,
        ) as here,
    ):
        await killed_at(here, 11)
        await killed_at(here, 29)
        await finished(here)
        # Killed between the intent and the first byte: it never began, which only the user can say.
        unsent = await resent_by_the_user(here)
        found = here.findings()
    files = sorted(one.name for one in here.films.iterdir())
    print(f"\n50 rows, 2 SIGKILLs: {found.paid} jobs, {len(files)} files, {unsent} unsent")
    assert found.faults == 0
    assert found.states == {"saved": 50}
    assert files == sorted(f"{key}.mp4" for key in here.keys)
    assert found.paid == 50
    assert unsent <= 2


async def test_lost_answers_and_many_kills(tmp_path: Path) -> None:
    async with (
        runners(1) as pool,
        film_stage(
            tmp_path,
            await pool.get(),
            rows=40,
            accounts=3,
            faults="avatars.video:reset_after@every=4 ; avatars.create:reset_after@every=7",
            within_s=2.0,
        ) as here,
    ):
        for jobs in (5, 12, 18, 25, 31):
            await killed_at(here, jobs)
        await finished(here)
        found = here.findings()
        unknown = {key for key, one in here.records().items() if one.state == "unknown"}
        made = {one.nickname for one in here.emulator.avatars}
    print(f"\n40 rows, 5 SIGKILLs, every 4th answer lost: {found.states}, {found.paid} jobs")
    assert found.faults == 0
    assert found.unknown_paid == 0
    assert unknown.isdisjoint(made)
    assert found.paid == found.states["saved"] >= 40 - 5  # one unsent at each kill, at most


def under_way(here: FilmStage) -> int:
    """How many creates have come and are not answered yet."""
    return sum(
        one.operation == "avatars.video" and one.status is None for one in here.emulator.calls
    )


@pytest.mark.parametrize("transport", ["httpx", "aiohttp"])
async def test_a_process_that_is_stopped_and_continued_pays_once(
    tmp_path: Path, transport: str
) -> None:
    async with (
        runners(1) as pool,
        film_stage(
            tmp_path,
            await pool.get(),
            rows=20,
            max_jobs=6,
            faults="avatars.video:reset_after@at=2 ; avatars.video:latency=0.2@every=1",
            transport=transport,
        ) as here,
    ):
        async with at_work(here) as ended:
            while len(here.emulator.tasks) < 4 or not under_way(here):
                assert not ended.done()
                await asyncio.sleep(0.002)
            here.runner.kill(signal.SIGSTOP)
            await asyncio.sleep(1.5)  # longer than any of its time-outs, and than its jobs
            begun, unsent = len(here.emulator.tasks), here.unsent()
            here.runner.kill(signal.SIGCONT)
            assert await asyncio.wait_for(asyncio.shield(ended), 60) in (0, 1)
        await finished(here)
        found = here.findings()
    assert 0 < begun < 20
    # Stopped between intent and sending, a create may be given up unsent, which nobody can know.
    assert (found.faults, found.unknown_paid) == (0, 0)
    assert found.paid == found.states["saved"] >= 20 - len(unsent)

"""Is each row made once, whatever is done to the workers and to the database?

The whole forms, with their numbers: `python tests/heavy/distributed/run.py all`.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner
from crew import ACCOUNTS, crew
from databases import database
from ledgers import SERVICE, planned
from run import SCENES, played

from kling_async import AsyncKlingClient
from kling_async.bulk.jobs import Equipment
from kling_async.bulk.places import open_ledger, read_ledger
from kling_async.bulk.postgres import open_postgres
from kling_async.bulk.postgres_session import address_of
from kling_async.bulk.worker import Worker
from kling_async.cli.app import cli
from kling_async.distributed import work_once
from kling_async.emulator import EmulatedAccount, Emulator, sample_png

ROOT = Path(__file__).parents[3]
BASE_URL = "http://127.0.0.1/v1/kling"


@pytest.fixture
def address(request: pytest.FixtureRequest) -> str:
    return f"{database()}#{request.node.nodeid}"


@pytest.mark.parametrize("name", [one for one in SCENES if one != "quiet"])
async def test_a_bad_day(name: str) -> None:
    found = await played(name, rows=90, seed=3, rate=20)
    # A row stays unknown that was not made: its worker died, or stood still, between `intended` on
    # disk and the first byte. One that was made is found by any look that is answered; on a busy
    # machine the last of the 3 s may time out, and a listing of just 20 or 30 may be a page of a
    # longer one: the ledger says so then.
    assert (found.doubled, found.lost, found.wrong) == ([], [], [])
    assert found.missed == [], found.stories
    assert found.states["done"] + found.states["unknown"] == 90


async def test_videos_and_files_go_through_workers(address: str, tmp_path: Path) -> None:
    pictures = [tmp_path / f"{n}.png" for n in range(3)]
    for n, picture in enumerate(pictures):
        picture.write_bytes(sample_png(seed=n))
    accounts = [EmulatedAccount(one, max_jobs=1) for one in ACCOUNTS]
    emulator = Emulator(accounts, job_s=0.2)
    films = str(tmp_path / "films")
    async with crew(emulator, address, rate=0, workers=2, CREW_FOLDER=films) as one:
        await one.submit(6, images=pictures, talk=True)
        await one.over(within_s=120)
        found = await one.verdict()
    assert found.states == {"done": 6}
    assert found.faults == 0
    assert len(emulator.tasks) == 6
    videos = [one.status for one in emulator.calls if one.operation == "avatars.video"]
    assert videos == [200] * 6  # none was one job too many for its account
    assert len(list(Path(films).glob("*.mp4"))) == 6


# --- in a program -----------------------------------------------------------------------------


def rows(*names: str) -> list[dict[str, str]]:
    return [{"key": one, "image_url": f"https://x.y/{one}.png", "nickname": one} for one in names]


async def test_two_programs_are_told_of_all_rows(address: str) -> None:
    emulator = Emulator()

    async def told(names: str) -> list[str]:
        async with AsyncKlingClient(
            "user:1-a", base_url=BASE_URL, transport=emulator.transport(), rate_limit=None
        ) as kling:
            found = kling.avatars.create_many(rows(*names), ledger=address, concurrency=4)
            return [row.key async for row in found if row.state == "created"]

    first, second = await asyncio.gather(told("abcdefgh"), told("efghijkl"))
    assert (sorted(first), sorted(second)) == (list("abcdefgh"), list("efghijkl"))
    assert len(emulator.avatars) == 12
    assert await told("abc") == list("abc")  # from the ledger
    assert len(emulator.avatars) == 12


async def test_bytes_are_refused(address: str) -> None:
    emulator = Emulator()
    async with AsyncKlingClient(
        "user:1-a", base_url=BASE_URL, transport=emulator.transport()
    ) as kling:
        given = [{"key": "k1", "image": sample_png()}]
        (row,) = [one async for one in kling.avatars.create_many(given, ledger=address)]
    assert row.state == "failed"
    assert "needs a path or an address" in (row.error or "")
    assert emulator.avatars == []


async def test_a_portion_at_a_time(address: str) -> None:
    async with crew(Emulator(ACCOUNTS), address, workers=0) as one:
        await one.submit(5)
        async with AsyncKlingClient("user:1-a", base_url=one.base_url, rate_limit=None) as kling:
            sizes = [len(await work_once(kling, address, rows=3)) for _ in range(3)]
    assert sizes == [3, 2, 0]
    async with read_ledger(address) as reader:
        assert await reader.counts() == {"done": 5}


async def test_a_ledger_of_others_is_no_harm_to_the_rest(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    apart = f"kling_{request.node.name}"
    with psycopg.connect(database(), autocommit=True) as db:
        db.execute(f'CREATE DATABASE "{apart}"')
    address = f"{database().rpartition('/')[0]}/{apart}"
    for name, service, layout in [("other", "else.where", None), ("old", "127.0.0.1", "0")]:
        async with open_ledger(f"{address}#{name}", service=service) as ledger:
            if layout:
                await ledger.set_fact("layout", layout)
    emulator = Emulator(ACCOUNTS)
    async with crew(emulator, f"{address}#ours", workers=0) as one:
        await one.submit(3)
        async with AsyncKlingClient("user:1-a", base_url=one.base_url, rate_limit=None) as kling:
            later = kling._later
            worker = Worker(
                Equipment(kling._pipeline, kling._options, later.waiting, later.downloads),
                address_of(address),
            )
            working = asyncio.create_task(worker.work())
            await one.over(within_s=60)
            worker.stop()
            await working
        assert await one.counts() == {"done": 3}
    told = [one.getMessage() for one in caplog.records if "left alone" in one.getMessage()]
    assert len(told) == 2
    assert "else.where" in "".join(told)
    assert "ledger upgrade" in "".join(told)


# --- commands ---------------------------------------------------------------------------------


def test_the_trial_of_the_readme() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "examples" / "two_workers.py")],
        capture_output=True, text=True, timeout=240, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "200 of 200 rows created" in done.stdout


def test_the_page_of_a_shared_ledger(address: str, tmp_path: Path) -> None:
    async def filled() -> None:
        async with open_postgres(address, service=SERVICE) as ledger:
            await planned(ledger, "k1", "k2")

    asyncio.run(filled())
    page = tmp_path / "page.html"
    done = CliRunner().invoke(cli, ["bulk", "report", address, "--to", str(page)])
    assert done.exit_code == 0, done.output
    assert "2 rows shown" in done.output
    assert "k2" in page.read_text("utf-8")


@pytest.mark.parametrize(("words", "said"), [
    (["worker", "people.sqlite"], "is no database"),
    (["worker"], "or --trial DIR"),
    (["worker", "postgresql://a:hidden@127.0.0.1:1/x"], "a@127.0.0.1:1/x"),
    (["worker", "postgresql://a:hid den%zz@h/x"], "is not of the form"),
    (["bulk", "status", "postgresql://a:hidden@127.0.0.1:1/x"], "check the address"),
    (["bulk", "copy", "postgresql://a@127.0.0.1:1/x", "b.sqlite"], "pg_dump"),
    (["bulk", "run", "docs/examples/avatars.csv", "--ledger", "a.sqlite", "--submit"],
     "need a ledger in PostgreSQL"),
    (["bulk", "run", "docs/examples/avatars.csv", "--ledger", "postgresql://a@127.0.0.1:1/x",
      "--emulator"], "within one process"),
])  # fmt: skip
def test_what_commands_refuse(words: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USEAPI_TOKEN", "user:1-a")
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 2, done.output
    assert said in done.output
    assert "hid" not in done.output

"""Does the chaos program run, see what it must see, and find nothing? A small share of its runs.

The large runs are `nox -s chaos`.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from chaos_plan import plan_of
from chaos_stage import Runner, Stage, stage

from kling_async.bulk.records import RowInput, StepInput
from kling_async.bulk.sqlite import open_ledger

RUN = Path(__file__).with_name("run.py")


def chaos(*args: str) -> dict[str, Any]:
    """The last line of the program, which must have found nothing."""
    done = subprocess.run(
        [sys.executable, str(RUN), "--json", *args], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summary: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return summary


def test_kills_and_lost_answers_double_and_lose_nothing() -> None:
    found = chaos("--runs", "6", "--seed", "50", "--rows", "12")
    assert (found["doubled"], found["lost"], found["wrong"]) == (0, 0, 0)
    assert (found["runs"], found["rows"]) == (6, 72)
    assert found["kills"] >= 5
    assert found["adopted"] >= 5


def test_an_image_address_that_changes_doubles_nothing() -> None:
    found = chaos("--runs", "2", "--seed", "42", "--rows", "12", "--rehost")
    assert (found["doubled"], found["lost"], found["wrong"]) == (0, 0, 0)
    assert found["kills"] >= 2


@pytest.mark.parametrize("rehost", [False, True])
def test_a_seed_gives_the_same_plan_again(rehost: bool) -> None:
    plans = [plan_of(seed, rehost=rehost) for seed in range(50)]
    assert plans == [plan_of(seed, rehost=rehost) for seed in range(50)]
    assert len({plan.faults for plan in plans}) == 50
    assert {one.signal for plan in plans for one in plan.kills} == {"KILL", "INT"}
    assert {plan.real_cli for plan in plans} == {True, False}


class TestTheComparisonSees:
    """Each of the faults that must never be, made by hand."""

    @staticmethod
    def answered(here: Stage, *, truly: int = 1) -> list[str]:
        """One row that was made, `truly` times, and is done in the ledger; the avatars' ids."""
        row = here.plan.rows[0]
        for _ in range(truly):
            here.make(here.plan.accounts[0], row.image_url or "", row.nickname, row.prompt)
        made = [one.id for one in here.emulator.avatars if one.id in here.strange]
        here.strange.clear()  # it is the row's own after all
        return made

    @pytest.mark.parametrize(
        ("truly", "act", "seen"),
        [
            (1, "", (0, 0, 0)),
            (2, "", (1, 0, 0)),
            (1, "UPDATE steps SET state = 'unknown', remote_id = NULL", (0, 0, 0)),
            (1, "UPDATE steps SET state = 'ready', remote_id = NULL", (0, 1, 0)),
            (1, "UPDATE steps SET state = 'failed', remote_id = NULL", (0, 1, 0)),
            (1, "DELETE FROM rows", (0, 1, 0)),
            (1, "UPDATE steps SET remote_id = '300000000000000'", (0, 0, 1)),
        ],
    )
    async def test_each_fault(
        self, tmp_path: Path, truly: int, act: str, seen: tuple[int, int, int]
    ) -> None:
        plan = next(one for one in map(plan_of, range(99)) if one.rows[0].image is None)
        async with stage(plan, tmp_path, Runner()) as here:
            made = self.answered(here, truly=truly)
            async with open_ledger(here.ledger, service="x") as ledger:
                step = StepInput(
                    number=1, operation="avatars.create", kind="avatar", digest="", payload={}
                )
                key = plan.rows[0].key
                await ledger.register([RowInput(key=key, position=1, steps=[step])])
            with closing(sqlite3.connect(here.ledger)) as db, db:
                done = "UPDATE steps SET state = 'done', evidence = 'answer', remote_id = ?"
                db.execute(done, (made[0],))
                if act:
                    db.execute(act)
            found = here.findings()
        assert (len(found.doubled), len(found.lost), len(found.wrong)) == seen

    async def test_an_avatar_that_is_nobodys(self, tmp_path: Path) -> None:
        plan = plan_of(1)
        async with stage(plan, tmp_path, Runner()) as here:
            here.make(plan.accounts[0], "https://x.example/a.png", "Nobody", "Speaks")
            assert here.findings().faults == 0
            here.strange.clear()
            assert here.findings().faults == 1

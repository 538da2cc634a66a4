"""Does the SQLite ledger write in groups, and tell each writer how it went?"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from ledgers import SERVICE, planned, tried, yes

from kling_async import LedgerError
from kling_async.bulk.groups import FULL
from kling_async.bulk.records import Applied, Change
from kling_async.bulk.sqlite import SqliteLedger, open_ledger
from kling_async.bulk.sqlite_store import Writing


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqliteLedger]:
    async with open_ledger(tmp_path / "jobs.sqlite", service=SERVICE) as opened:
        yield opened


@pytest.fixture
def groups(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many writes each commit had."""
    found: list[int] = []
    carry_out = ledger._carry_out

    def counted(group: Any, due: bool) -> Any:
        found.append(len(group))
        return carry_out(group, due)

    monkeypatch.setattr(ledger, "_carry_out", counted)
    return found


async def test_writes_that_come_together_share_a_commit(
    ledger: SqliteLedger, groups: list[int]
) -> None:
    steps = await planned(ledger, *(f"k{n}" for n in range(20)))
    await ledger.settled()
    groups.clear()

    async def late(turns: int, step: Any) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        await yes(ledger, step, "intended")

    await asyncio.gather(*(late(at % 2 * 3, step) for at, step in enumerate(steps)))
    assert groups == [20]


async def test_a_busy_loop_does_not_hold_a_group_back(
    ledger: SqliteLedger, groups: list[int]
) -> None:
    steps = await planned(ledger, *(f"k{n}" for n in range(200)))
    await ledger.settled()  # its checkpoint as well
    groups.clear()
    posted = []
    for step in steps:
        posted.append(ledger.post(Change(step_id=step.id, event="intended")))
        await asyncio.sleep(0)
    assert {one.value for one in await asyncio.gather(*posted)} == {"yes"}
    assert groups[0] == FULL
    assert sum(groups) == 200


async def test_writes_that_come_while_one_is_written_share_the_next(
    ledger: SqliteLedger, groups: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = await planned(ledger, *(f"k{n}" for n in range(9)))
    await ledger.settled()
    groups.clear()
    began, go = threading.Event(), threading.Event()

    def blocked(_: Writing) -> None:
        began.set()
        assert go.wait(10)

    holding = ledger._submit(blocked, writes=True)
    while not began.is_set():
        await asyncio.sleep(0)
    posted = []
    for step in steps:
        posted.append(ledger.post(Change(step_id=step.id, event="intended")))
        for _ in range(10):
            await asyncio.sleep(0)
    assert not any(one.done() for one in posted)
    go.set()
    await holding
    assert set(await asyncio.gather(*posted)) == {Applied.YES}
    assert groups == [1, 9]


@pytest.mark.parametrize("text", ["database or disk is full", "disk I/O error"])
async def test_a_failed_group_fails_each_writer(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    steps = await planned(ledger, "k1", "k2", "k3")
    apply = Writing.apply

    def failing(store: Writing, change: Change) -> Applied:
        if change.step_id == steps[1].id:
            raise sqlite3.OperationalError(text)
        return apply(store, change)

    with monkeypatch.context() as patched:
        patched.setattr(Writing, "apply", failing)
        results = await asyncio.gather(
            *(tried(ledger, step, "intended") for step in steps), return_exceptions=True
        )
    assert [type(one) for one in results] == [LedgerError] * 3
    assert "free some space and run it again" in str(results[0])
    assert [(await ledger.step(step.id)).state for step in steps] == ["planned"] * 3
    with pytest.raises(LedgerError, match="nothing is sent any more"):
        await tried(ledger, steps[0], "intended")
    await yes(ledger, steps[0], "failed")  # what is no sending is still written down


async def test_an_error_that_nobody_waits_for_ends_the_sending(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = await planned(ledger, "k1", "k2")
    await yes(ledger, one, "intended")

    def failing(*_: Any) -> Applied:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(Writing, "apply", failing)
        ledger.post(Change(step_id=one.id, event="answered", to="done", claim="1"))
        await ledger.settled()
    with pytest.raises(LedgerError, match="nothing is sent any more"):
        await tried(ledger, other, "intended")


async def test_a_question_that_fails_fails_alone(ledger: SqliteLedger) -> None:
    (step,) = await planned(ledger)
    results = await asyncio.gather(
        tried(ledger, step, "intended"), ledger.step(99), ledger.step(step.id),
        return_exceptions=True,
    )  # fmt: skip
    assert results[0] is Applied.YES
    assert isinstance(results[1], LedgerError)
    assert getattr(results[2], "state", None) == "intent"


async def test_closing_writes_what_was_posted(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    async with open_ledger(path, service=SERVICE) as ledger:
        steps = await planned(ledger, *(f"k{n}" for n in range(100)))
        for step in steps:
            ledger.post(Change(step_id=step.id, event="failed"))
    async with open_ledger(path, service=SERVICE) as ledger:
        assert await ledger.counts() == {"failed": 100}

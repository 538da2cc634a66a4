"""Does the journal write each thing, in order and in groups, and tell each writer how it went?"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kling_async import LedgerError
from kling_async.bulk.journal import FULL, Journal, open_journal
from kling_async.bulk.ledger import Ledger
from kling_async.bulk.ledgerview import LedgerView
from kling_async.bulk.records import Record
from kling_async.bulk.rows import row_of

SERVICE = "api.example.com"


def adding(*keys: str) -> Callable[[Ledger], list[Record]]:
    """A write that registers rows."""
    rows = [row_of({"key": key, "image_url": "https://example.com/a.png"}, 1) for key in keys]
    return partial(Ledger.register, rows=rows)


def failing(_: Ledger) -> None:
    raise LedgerError("this write can't be")


def on_disk(path: Path) -> list[str]:
    """The keys that another reader finds, in the order they were written."""
    with closing(LedgerView.read(path)) as ledger:
        return [one.key for one in ledger.each()]


class Blocked:
    """A write that holds the journal's thread until it is let go."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.go = threading.Event()

    def __call__(self, ledger: Ledger) -> str:
        self.began.set()
        assert self.go.wait(10)
        adding("blocked")(ledger)
        return "let go"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "avatars.sqlite"


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that SQLite carries out from now on."""
    traced: list[str] = []
    connect = sqlite3.connect

    def traced_connect(*args: Any, **options: Any) -> sqlite3.Connection:
        db = connect(*args, **options)
        db.set_trace_callback(traced.append)
        return db

    monkeypatch.setattr(sqlite3, "connect", traced_connect)
    return traced


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[Journal]:
    async with open_journal(path, service=SERVICE) as made:
        yield made


async def test_writes_that_wait_share_one_commit(
    statements: list[str], path: Path, journal: Journal
) -> None:
    statements.clear()
    blocked = Blocked()
    first = journal.submit(blocked)
    await asyncio.to_thread(blocked.began.wait)
    others = [asyncio.create_task(journal.write(adding(f"k{n}"))) for n in range(50)]
    await asyncio.sleep(0)  # the loop runs while the thread is held
    assert not first.done()
    blocked.go.set()
    records = await asyncio.gather(*others)
    assert [one.key for (one,) in records] == [f"k{n}" for n in range(50)]
    assert await first == "let go"
    assert statements.count("COMMIT") == 2
    assert on_disk(path) == ["blocked", *(f"k{n}" for n in range(50))]


async def test_writes_that_come_soon_after_each_other_share_one_commit(
    statements: list[str], journal: Journal
) -> None:
    """As answers do: each takes a few turns of the loop from its socket to its write."""
    statements.clear()

    async def later(turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        await journal.write(adding(f"k{turns}"))

    await asyncio.gather(*(later(turns) for turns in (1, 2, 5, 6, 9)))
    assert statements.count("COMMIT") == 1


async def test_a_stream_of_writes_does_not_hold_up_the_first(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, sizes = Journal._commit, list[int]()

    def counted(self: Journal, group: Any) -> Any:
        sizes.append(len(group))
        return commit(self, group)

    monkeypatch.setattr(Journal, "_commit", counted)
    for n in range(3 * FULL):
        journal.submit(adding(f"k{n}"))
        await asyncio.sleep(0)
    await journal.settle()
    assert sizes[0] <= FULL + 1


async def test_a_write_returns_when_it_is_committed(path: Path, journal: Journal) -> None:
    async def one(key: str) -> None:
        await journal.write(adding(key))
        assert key in on_disk(path)

    await asyncio.gather(*(one(f"k{n}") for n in range(20)))


async def test_a_write_does_not_return_before(path: Path, journal: Journal) -> None:
    blocked = Blocked()
    write = asyncio.create_task(journal.write(blocked))
    await asyncio.to_thread(blocked.began.wait)
    for _ in range(10):
        await asyncio.sleep(0)
    assert not write.done()
    assert on_disk(path) == []
    blocked.go.set()
    await write
    assert on_disk(path) == ["blocked"]


async def test_a_failing_group_fails_each_of_its_writers_and_writes_nothing(
    path: Path, journal: Journal
) -> None:
    blocked = Blocked()
    before = journal.submit(blocked)
    await asyncio.to_thread(blocked.began.wait)
    group = [journal.submit(act) for act in (adding("a"), failing, adding("b"))]
    blocked.go.set()
    outcomes = await asyncio.gather(*group, return_exceptions=True)
    assert [str(one) for one in outcomes] == ["this write can't be"] * 3
    assert all(isinstance(one, LedgerError) for one in outcomes)
    assert await before == "let go"  # an earlier group stays
    await journal.write(adding("after"))  # a later one goes on
    assert on_disk(path) == ["blocked", "after"]


async def test_a_failing_group_with_a_cancelled_writer_fails_the_others_all_the_same(
    path: Path, journal: Journal
) -> None:
    blocked = Blocked()
    journal.submit(blocked)
    await asyncio.to_thread(blocked.began.wait)
    gone, broken, other = (journal.submit(act) for act in (adding("a"), failing, adding("b")))
    gone.cancel()
    blocked.go.set()
    told = asyncio.gather(broken, other, return_exceptions=True)
    outcomes = await asyncio.wait_for(told, 5)
    assert [str(one) for one in outcomes] == ["this write can't be"] * 2
    await journal.write(adding("after"))
    assert on_disk(path) == ["blocked", "after"]


async def test_a_cancelled_writer_stops_waiting_and_its_write_is_carried_out(
    path: Path, journal: Journal
) -> None:
    blocked = Blocked()
    journal.submit(blocked)
    await asyncio.to_thread(blocked.began.wait)
    write = asyncio.create_task(journal.write(adding("ada")))
    other = asyncio.create_task(journal.write(adding("ben")))
    await asyncio.sleep(0)
    write.cancel()
    with pytest.raises(asyncio.CancelledError):
        await write
    assert on_disk(path) == []
    blocked.go.set()
    await other
    assert on_disk(path) == ["blocked", "ada", "ben"]


async def test_the_writer_of_the_group_under_way_may_be_cancelled_too(
    path: Path, journal: Journal
) -> None:
    blocked = Blocked()
    write = asyncio.create_task(journal.write(blocked))
    await asyncio.to_thread(blocked.began.wait)
    write.cancel()
    with pytest.raises(asyncio.CancelledError):
        await write
    blocked.go.set()
    await journal.settle()
    assert on_disk(path) == ["blocked"]


async def test_order_is_kept_within_groups_and_across(path: Path, journal: Journal) -> None:
    keys = [f"k{n}" for n in range(200)]
    done: list[str] = []
    for key in keys:
        journal.submit(adding(key)).add_done_callback(lambda _, key=key: done.append(key))
        if int(key[1:]) % 7 == 0:  # lets some groups begin
            await asyncio.sleep(0)
    await journal.settle()
    await asyncio.sleep(0)
    assert on_disk(path) == done == keys


async def test_reading_sees_every_earlier_commit(journal: Journal) -> None:
    for n in range(5):
        await journal.write(adding(f"k{n}"))
        assert await journal.read(Ledger.count) == n + 1


async def test_a_failing_read_fails_its_reader_alone(path: Path, journal: Journal) -> None:
    with pytest.raises(LedgerError, match="no row 'zoe'"):
        await journal.read(lambda ledger: ledger.get("zoe"))
    await journal.write(adding("ada"))
    assert on_disk(path) == ["ada"]


async def test_settle_waits_for_all_and_has_nothing_to_wait_for_afterwards(
    path: Path, journal: Journal
) -> None:
    for n in range(20):
        journal.submit(adding(f"k{n}"))
    await journal.settle()
    assert len(on_disk(path)) == 20
    await journal.settle()


@pytest.mark.parametrize("error", [None, ZeroDivisionError, asyncio.CancelledError])
async def test_closing_waits_for_what_was_submitted(
    path: Path, error: type[BaseException] | None
) -> None:
    async def work() -> None:
        async with open_journal(path, service=SERVICE) as journal:
            for n in range(20):
                journal.submit(adding(f"k{n}"))
            if error is not None:
                raise error

    outcome = (await asyncio.gather(work(), return_exceptions=True))[0]
    assert isinstance(outcome, error or type(None))
    assert len(on_disk(path)) == 20
    async with open_journal(path, service=SERVICE):  # and the lock is free
        pass


async def test_a_ledger_that_can_not_be_opened_leaves_nothing_behind(path: Path) -> None:
    path.mkdir()
    threads = threading.active_count()
    with pytest.raises(LedgerError):
        async with open_journal(path, service=SERVICE):
            pytest.fail("it was opened")
    for thread in threading.enumerate():
        if thread.name.startswith("kling-ledger"):
            await asyncio.to_thread(thread.join, 10)
    assert not any(one.name.startswith("kling-ledger") for one in threading.enumerate())
    assert threading.active_count() <= threads + 1  # to_thread's own


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_a_journal_that_is_cancelled_while_it_is_opened_gives_up_its_lock(
    times: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = Blocked()
    opened = Ledger.open

    def slowly(*args: Any, **options: Any) -> Ledger:
        ledger = opened(*args, **options)
        blocked(ledger)
        return ledger

    async def use() -> None:
        async with open_journal(path, service=SERVICE):
            pass

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "open", slowly)
        task = asyncio.create_task(use())
        await asyncio.to_thread(blocked.began.wait)
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0.01)
        blocked.go.set()
        await asyncio.wait({task})
        assert task.cancelled()
    await use()  # it is not "in use by another process"


async def test_nothing_that_was_written_is_lost_however_often_its_end_is_cancelled(
    path: Path,
) -> None:
    blocked = Blocked()

    async def use() -> None:
        async with open_journal(path, service=SERVICE) as journal:
            journal.submit(blocked)
            await asyncio.to_thread(blocked.began.wait)
            journal.submit(adding("later"))  # it is in the next group

    task = asyncio.create_task(use())
    while not blocked.began.is_set():
        await asyncio.sleep(0.001)
    for _ in range(3):
        await asyncio.sleep(0.01)
        task.cancel()
    await asyncio.sleep(0.01)
    blocked.go.set()
    await asyncio.wait({task})
    assert task.cancelled()
    assert on_disk(path) == ["blocked", "later"]

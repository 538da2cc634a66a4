"""How does a run of `create_many` end before its rows do, and what is left for the next run?"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from jobs import (
    JumpClock,
    Watched,
    assert_all_made_once,
    avatars,
    creates,
    job,
    results,
    sent_keys,
    until,
    until_quiet,
    url_rows,
)

from kling_async import AsyncKlingClient, KlingError, LedgerError
from kling_async.bulk.recipes import AVATARS
from kling_async.bulk.results import RowResult
from kling_async.bulk.rows import RowBuilder
from kling_async.bulk.sources import built, registered
from kling_async.emulator import Emulator, Fault

TOKEN = "user:12345-abcdefghi"
OpenClient = Callable[..., Awaitable[AsyncKlingClient]]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "avatars.sqlite"


class Gate:
    """Lets the first `free` creates pass and holds the others until it is opened."""

    def __init__(self, free: int) -> None:
        self.held = 0
        self.opened = asyncio.Event()
        self._free = free

    async def __call__(self) -> None:
        if self._free > 0:
            self._free -= 1
            return
        self.held += 1
        await self.opened.wait()


def assert_nothing_is_open(emulator: Emulator, ledger: Path) -> None:
    """Each create that was sent has its avatar in the ledger; no other row was touched."""
    kept = avatars(ledger)
    assert {one.nickname: one.id for one in emulator.avatars} == {
        key: one.remote_id for key, one in kept.items() if one.state == "done"
    }
    assert {one.state for one in kept.values()} <= {"done", "planned", "ready"}


class TestLeavingEarly:
    async def test_what_is_in_flight_is_finished_and_the_next_run_completes(
        self, open_client: OpenClient, emulator: Emulator, ledger: Path
    ) -> None:
        gate = Gate(free=1)
        kling = await open_client(transport=Watched(emulator.transport(), gate))
        found = kling.avatars.create_many(url_rows(50), ledger=ledger, concurrency=4)
        assert (await anext(found)).key == "k1"
        await until(lambda: gate.held == 4)
        leaving = asyncio.create_task(found.aclose())  # type: ignore[arg-type]
        await until_quiet(lambda: gate.held)
        assert not leaving.done()
        gate.opened.set()
        await leaving
        assert len(creates(emulator)) == 5
        assert_nothing_is_open(emulator, ledger)

        again = await results(kling, url_rows(50), ledger)
        assert len(again) == 50
        assert_all_made_once(emulator, ledger, 50)
        assert len(creates(emulator)) == 50

    async def test_breaking_off_again_and_again_makes_each_row_once(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        runs = 0
        while len(emulator.avatars) < 30:
            runs += 1
            known = len(emulator.avatars)
            made = kling.avatars.create_many(url_rows(30), ledger=ledger, concurrency=3)
            seen = 0
            async with aclosing(made) as found:
                async for _ in found:
                    seen += 1
                    if seen > known:
                        break
            assert_nothing_is_open(emulator, ledger)
        assert 5 <= runs <= 30  # it was broken off in the middle, and came forward each time
        assert_all_made_once(emulator, ledger, 30)
        assert len(creates(emulator)) == 30

    async def test_a_plain_break_frees_the_ledger_soon(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        async for _ in kling.avatars.create_many(url_rows(30), ledger=ledger):
            break
        await until_quiet(lambda: len(emulator.calls))
        assert_nothing_is_open(emulator, ledger)
        await results(kling, url_rows(30), ledger)
        assert_all_made_once(emulator, ledger, 30)

    @pytest.mark.parametrize("transport", ["httpx", "aiohttp"])
    async def test_closing_the_client_after_a_plain_break_loses_no_answer(
        self, emulator: Emulator, ledger: Path, transport: str
    ) -> None:
        async with emulator.serve() as base_url:
            async with AsyncKlingClient(
                TOKEN, base_url=base_url, transport=transport, rate_limit=None
            ) as kling:
                async for _ in kling.avatars.create_many(url_rows(9), ledger=ledger, concurrency=3):
                    emulator.latency_s = 0.1  # a real socket, so real time
                    await until(lambda: [one.status for one in creates(emulator)].count(None) == 3)
                    break
            await until(lambda: all(one.status for one in creates(emulator)))
            await until_quiet(lambda: len(emulator.avatars))
        assert 4 <= len(emulator.avatars) <= 7
        assert_nothing_is_open(emulator, ledger)

    async def test_a_cancelled_scope_of_anyio_leaves_no_task_behind(
        self, open_client: OpenClient, emulator: Emulator, ledger: Path
    ) -> None:
        """There every wait is cancelled, also those of an end; web frameworks use such scopes."""
        gate = Gate(free=1)
        before = asyncio.all_tasks()
        with anyio.CancelScope() as scope:
            async with AsyncKlingClient(
                TOKEN,
                base_url="http://localhost/v1/kling",
                transport=Watched(emulator.transport(), gate),
                rate_limit=None,
            ) as kling:
                made = kling.avatars.create_many(url_rows(20), ledger=ledger, concurrency=4)
                async with aclosing(made) as found:
                    async for _ in found:
                        await until(lambda: gate.held == 4)
                        scope.cancel()
        assert asyncio.all_tasks() == before
        gate.opened.set()
        kling = await open_client(clock=JumpClock(emulator))
        assert len(await results(kling, url_rows(20), ledger)) == 20
        assert len(creates(emulator)) == len(set(sent_keys(emulator)))

    async def test_the_rows_that_were_given_are_closed(
        self, kling: AsyncKlingClient, ledger: Path
    ) -> None:
        ended = False

        async def rows() -> AsyncIterator[dict[str, Any]]:
            nonlocal ended
            try:
                for row in url_rows(1000):
                    yield row
            finally:
                await asyncio.sleep(0)  # as one that closes a file or a cursor
                ended = True

        made = kling.avatars.create_many(rows(), ledger=ledger)
        async with aclosing(made) as found:
            await anext(found)
        assert ended

    async def test_a_refusal_after_the_stop_is_not_waited_out(
        self, open_client: OpenClient, emulator: Emulator, ledger: Path
    ) -> None:
        emulator.add_faults(
            [Fault("avatars.create", "status", status=429, retry_after_s=600, at=2)]
        )
        gate = Gate(free=1)
        clock = JumpClock(emulator)
        kling = await open_client(transport=Watched(emulator.transport(), gate), clock=clock)
        found = kling.avatars.create_many(url_rows(5), ledger=ledger, concurrency=1)
        await anext(found)
        await until(lambda: gate.held == 1)
        leaving = asyncio.create_task(found.aclose())  # type: ignore[arg-type]
        await until_quiet(lambda: gate.held)
        gate.opened.set()
        await leaving
        assert sent_keys(emulator) == ["k1", "k2"]
        assert sum(clock.slept_s) < 60
        assert avatars(ledger)["k2"].state == "ready"

    async def test_nor_is_one_before_it(
        self, open_client: OpenClient, emulator: Emulator, ledger: Path
    ) -> None:
        """A row that was refused, and waits for the end of the pause, may be interrupted."""
        emulator.add_faults(
            [Fault("avatars.create", "status", status=429, retry_after_s=600, at=2)]
        )
        kling = await open_client()
        found = kling.avatars.create_many(url_rows(5), ledger=ledger, concurrency=1)
        await anext(found)
        await until(lambda: kling.stats.waiting == 1)
        await asyncio.wait_for(found.aclose(), 30)  # type: ignore[arg-type]
        assert sent_keys(emulator) == ["k1", "k2"]
        assert avatars(ledger)["k2"].state == "ready"


class TestCancelled:
    async def test_what_is_in_flight_is_finished_and_recorded(
        self, open_client: OpenClient, emulator: Emulator, ledger: Path
    ) -> None:
        gate = Gate(free=1)
        kling = await open_client(transport=Watched(emulator.transport(), gate))
        run = asyncio.create_task(results(kling, url_rows(9), ledger, concurrency=2))
        await until(lambda: gate.held == 2)
        run.cancel()
        await until_quiet(lambda: gate.held)
        gate.opened.set()
        await asyncio.wait({run})
        assert run.cancelled()
        assert sent_keys(emulator) == ["k1", "k2", "k3"]
        assert_nothing_is_open(emulator, ledger)

    async def test_a_deadline_before_the_first_byte_leaves_the_row_to_be_done(
        self, open_client: OpenClient, emulator: Emulator, ledger: Path
    ) -> None:
        """Its intent is in the ledger; but its connection was still being made."""
        inner = emulator.transport()
        connected = asyncio.Event()

        class Connecting(httpx.AsyncBaseTransport):
            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                if request.method == "POST":
                    await request.extensions["trace"]("connection.connect_tcp.started", {})
                    await connected.wait()
                return await inner.handle_async_request(request)

        kling = await open_client(transport=Connecting(), deadline_s=0.2)
        row = (await results(kling, url_rows(1), ledger))["k1"]
        assert row.state == "skipped"
        assert "deadline of 0.2 s" in (row.error or "")
        assert avatars(ledger)["k1"].state == "ready"
        connected.set()
        await until_quiet(lambda: len(emulator.calls))
        assert creates(emulator) == []

    async def test_a_lost_answer_of_a_broken_account_parks_it(
        self, open_client: OpenClient, emulator: Emulator, ledger: Path
    ) -> None:
        """Whether the create was carried out is unknown; that no further one can be is not."""
        emulator.add_faults([Fault("avatars.create", "status", status=596, at=1)])
        kling = await open_client(clock=JumpClock(emulator))
        found = await results(kling, url_rows(4), ledger, concurrency=1)
        assert sorted(one.state for one in found.values()) == ["skipped"] * 3 + ["unknown"]
        assert len(creates(emulator)) == 1


class TestStopped:
    async def test_rows_in_flight_are_handed_out_too(
        self, open_client: OpenClient, emulator: Emulator, ledger: Path
    ) -> None:
        gate = Gate(free=1)
        kling = await open_client(transport=Watched(emulator.transport(), gate))
        async with job(kling, ledger, AVATARS, concurrency=4) as opened:
            run, rows = opened.run, built(RowBuilder(AVATARS), url_rows(50))
            found = run.results(registered(opened.ledger, opened.requests, rows))
            taking = asyncio.create_task(_keys(found))
            await until(lambda: gate.held == 4)
            run.stop("it was interrupted")
            await until_quiet(lambda: gate.held)
            gate.opened.set()
            assert sorted(await taking) == ["k1", "k2", "k3", "k4", "k5"]
        assert (run.counts.of(1).done, run.counts.settled, run.counts.under_way) == (5, 5, 0)
        assert_nothing_is_open(emulator, ledger)


async def _keys(rows: AsyncIterator[RowResult]) -> list[str]:
    return [one.row.key async for one in rows if one.row.state == "done"]


class TestClosedClient:
    async def test_no_row_is_in_doubt_for_it(self, open_client: OpenClient, ledger: Path) -> None:
        kling = await open_client()
        await kling.aclose()
        with suppress(KlingError):
            await results(kling, url_rows(5), ledger)
        assert {one.state for one in avatars(ledger).values()} <= {"planned", "ready"}


class TestRowsThatBreak:
    @pytest.mark.parametrize("is_async", [False, True])
    async def test_their_error_reaches_the_caller_and_the_next_run_completes(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path, is_async: bool
    ) -> None:
        def broken() -> Iterator[dict[str, Any]]:
            for n, row in enumerate(url_rows(200)):
                if n == 150:
                    raise ZeroDivisionError("the database went away")
                yield row

        async def async_broken() -> AsyncIterator[dict[str, Any]]:
            for row in broken():
                yield row

        with pytest.raises(ZeroDivisionError, match="the database went away"):
            await results(kling, async_broken() if is_async else broken(), ledger)
        assert_nothing_is_open(emulator, ledger)
        await results(kling, url_rows(200), ledger)
        assert_all_made_once(emulator, ledger, 200)
        assert len(creates(emulator)) == 200


class Disk(sqlite3.Connection):
    """Refuses all commits after the first `commits`."""

    commits = 10**9

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        if sql == "COMMIT":
            if Disk.commits <= 0:
                raise sqlite3.OperationalError("database or disk is full")
            Disk.commits -= 1
        return super().execute(sql, *args)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> type[Disk]:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, factory=Disk, **k))
    monkeypatch.setattr(Disk, "commits", 10**9)
    return Disk


class TestLedgerFirst:
    async def test_each_create_finds_its_intent_on_disk(
        self, open_client: OpenClient, emulator: Emulator, ledger: Path
    ) -> None:
        found: list[set[str]] = []

        def look() -> None:
            kept = avatars(ledger).values()
            found.append({one.key for one in kept if one.state == "intent" and one.attempts == 1})

        transport = Watched(emulator.transport(), look)
        kling = await open_client(transport=transport)
        await results(kling, url_rows(20), ledger, concurrency=3)
        for key, intents in zip(sent_keys(emulator), found, strict=True):
            assert key in intents

    async def test_each_result_is_on_disk_when_it_is_handed_out(
        self, kling: AsyncKlingClient, ledger: Path
    ) -> None:
        async for row in kling.avatars.create_many(url_rows(30), ledger=ledger, concurrency=3):
            kept = avatars(ledger)[row.key]
            assert (kept.state, kept.remote_id) == ("done", row.avatar_id)

    @pytest.mark.parametrize("commits", range(2, 16))
    async def test_a_ledger_that_fails_ends_the_run_and_nothing_was_sent_without_it(
        self,
        kling: AsyncKlingClient,
        emulator: Emulator,
        ledger: Path,
        disk: type[Disk],
        commits: int,
    ) -> None:
        async def run() -> None:
            made = kling.avatars.create_many(url_rows(40), ledger=ledger, concurrency=2)
            async for _ in made:
                pass

        disk.commits = commits
        with pytest.raises(LedgerError, match=r"disk is full.*free some space"):
            await run()
        disk.commits = 10**9
        await until_quiet(lambda: len(emulator.calls))
        kept = avatars(ledger)
        sent = sent_keys(emulator)
        assert len(sent) == len(set(sent))
        assert len(sent) <= 2 * commits  # a commit serves both rows that are under way
        for key in sent:
            assert kept[key].attempts == 1, f"{key} was sent, and the ledger knows of no intent"

    async def test_a_ledger_that_is_in_use_is_refused_and_nothing_is_sent(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        async with aclosing(kling.avatars.create_many(url_rows(9), ledger=ledger)) as found:
            await anext(found)
            sent = await until_quiet(lambda: len(creates(emulator)))
            with pytest.raises(LedgerError, match="in use"):
                await results(kling, url_rows(9), ledger)
            assert len(creates(emulator)) == sent

    async def test_a_ledger_of_another_service_is_refused_and_nothing_is_sent(
        self, open_client: OpenClient, emulator: Emulator, ledger: Path
    ) -> None:
        await results(await open_client(), url_rows(3), ledger)
        kept = avatars(ledger)
        other = await open_client(base_url="https://kling.example.com/v1/kling")
        with pytest.raises(LedgerError, match=r"kling\.example\.com"):
            await results(other, url_rows(9), ledger)
        assert len(creates(emulator)) == 3
        assert avatars(ledger) == kept

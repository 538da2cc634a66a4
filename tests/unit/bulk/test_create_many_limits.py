"""Does `create_many` keep its bounds: rows in flight, rows in memory, the server's pauses?"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from jobs import (
    JumpClock,
    Unreachable,
    Watched,
    assert_all_made_once,
    avatars,
    blocks_after,
    creates,
    results,
    sent_keys,
    until_quiet,
    url_rows,
)

from kling_async import AsyncKlingClient, RateLimit
from kling_async.emulator import Emulator, Fault

OpenClient = Callable[..., Awaitable[AsyncKlingClient]]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "avatars.sqlite"


class TestConcurrency:
    @pytest.mark.parametrize("concurrency", [1, 4])
    async def test_no_more_creates_are_in_flight_than_allowed(
        self, open_client: OpenClient, emulator: Emulator, ledger: Path, concurrency: int
    ) -> None:
        full = asyncio.Event()

        async def slowly() -> None:
            if transport.in_flight >= concurrency:
                full.set()
            await full.wait()
            for _ in range(10):  # turns in which one too many would get here
                await asyncio.to_thread(lambda: None)

        transport = Watched(emulator.transport(), slowly)
        kling = await open_client(transport=transport)
        await results(kling, url_rows(24), ledger, concurrency=concurrency)
        assert transport.most_in_flight == concurrency
        assert_all_made_once(emulator, ledger, 24)

    @pytest.mark.parametrize("concurrency", [0, -1])
    async def test_below_one_is_an_error(
        self, kling: AsyncKlingClient, ledger: Path, concurrency: int
    ) -> None:
        with pytest.raises(ValueError, match="concurrency must be at least 1"):
            await results(kling, url_rows(1), ledger, concurrency=concurrency)


class TestMemory:
    @pytest.mark.parametrize("is_async", [False, True])
    async def test_a_slow_consumer_holds_the_reading_back(
        self, kling: AsyncKlingClient, ledger: Path, is_async: bool
    ) -> None:
        read = 0

        def rows() -> Iterator[dict[str, Any]]:
            nonlocal read
            for row in url_rows(10_000):
                read += 1
                yield row

        async def async_rows() -> AsyncIterator[dict[str, Any]]:
            for row in rows():
                yield row

        given = async_rows() if is_async else rows()
        made = kling.avatars.create_many(given, ledger=ledger, concurrency=2)
        async with aclosing(made) as found:
            await anext(found)
            first = await until_quiet(lambda: read)
            assert first < 200
            for _ in range(100):
                await anext(found)
            assert first < await until_quiet(lambda: read) <= first + 200

    @pytest.mark.heavy
    async def test_memory_does_not_grow_with_the_rows(
        self, open_client: OpenClient, ledger: Path
    ) -> None:
        numbers = count(300_000_000_000_000)

        async def made(request: httpx.Request) -> httpx.Response:
            if request.method != "POST":
                return httpx.Response(200, json=[])
            return httpx.Response(200, json={"id": str(next(numbers)), "status": "SUCCESS"})

        kling = await open_client(transport=httpx.MockTransport(made))
        blocks = await blocks_after(
            url_rows(1_000),
            lambda rows: kling.avatars.create_many(rows, ledger=ledger, concurrency=2),
            (*range(150, 351, 50), *range(650, 851, 50)),
        )
        # The least of five readings: what is kept of the last rows comes and goes.
        early, late = min(blocks[:5]), min(blocks[5:])
        assert late - early < 500, f"500 rows left {late - early} objects behind"


class TestPauses:
    async def test_retry_after_is_honoured_and_the_row_is_made(
        self, open_client: OpenClient, emulator: Emulator, ledger: Path
    ) -> None:
        emulator.add_faults(
            [Fault("avatars.create", "status", status=429, retry_after_s=120, at=2)]
        )
        kling = await open_client(clock=JumpClock(emulator))
        found = await results(kling, url_rows(4), ledger, concurrency=1)
        assert [found[f"k{n}"].state for n in range(1, 5)] == ["created"] * 4
        assert found["k2"].attempts == 2
        assert sent_keys(emulator) == ["k1", "k2", "k2", "k3", "k4"]
        calls = creates(emulator)
        assert [one.status for one in calls] == [200, 429, 200, 200, 200]
        assert 120 <= calls[2].at_s - calls[1].at_s < 180
        assert_all_made_once(emulator, ledger, 4)

    async def test_all_rows_of_the_account_wait(
        self, open_client: OpenClient, emulator: Emulator, ledger: Path
    ) -> None:
        emulator.add_faults(
            [Fault("avatars.create", "status", status=429, retry_after_s=120, at=10)]
        )
        kling = await open_client(clock=JumpClock(emulator))
        found = await results(kling, url_rows(40), ledger, concurrency=4)
        assert {one.state for one in found.values()} == {"created"}
        calls = creates(emulator)
        refused = calls[9]
        assert refused.status == 429
        # up to three were on their way already; none begins during the pause
        during = [c for c in calls[10:] if c.at_s - refused.at_s < 120]
        assert len(during) <= 3
        assert len(calls) == 41
        assert_all_made_once(emulator, ledger, 40)

    async def test_many_refusals_in_a_row_are_waited_out(
        self, open_client: OpenClient, emulator: Emulator, ledger: Path
    ) -> None:
        """More of them than a single call has attempts."""
        emulator.add_faults(
            [Fault("avatars.create", "status", status=429, retry_after_s=60, times=20)]
        )
        kling = await open_client(clock=JumpClock(emulator))
        found = await results(kling, url_rows(1), ledger)
        assert (found["k1"].state, found["k1"].attempts) == ("created", 21)
        assert_all_made_once(emulator, ledger, 1)

    async def test_a_quota_is_kept_to_until_all_is_made(
        self, open_client: OpenClient, ledger: Path
    ) -> None:
        emulator = Emulator(quota=RateLimit(5, per_s=60.0), quota_operations=["avatars.create"])
        kling = await open_client(transport=emulator.transport(), clock=JumpClock(emulator))
        found = await results(kling, url_rows(30), ledger, concurrency=3)
        assert {one.state for one in found.values()} == {"created"}
        assert_all_made_once(emulator, ledger, 30)

    async def test_a_pause_of_hours_parks_the_account(
        self, open_client: OpenClient, emulator: Emulator, ledger: Path
    ) -> None:
        emulator.add_faults(
            [Fault("avatars.create", "status", status=429, retry_after_s=7200, at=2)]
        )
        clock = JumpClock(emulator)
        kling = await open_client(clock=clock)
        found = await results(kling, url_rows(5), ledger, concurrency=1)
        assert [found[f"k{n}"].state for n in range(1, 6)] == ["created"] + ["skipped"] * 4
        assert "the server answered 429" in str(found["k3"].error)
        assert sent_keys(emulator) == ["k1", "k2"]
        assert sum(clock.slept_s) < 60  # it did not wait for that
        emulator.clock.advance(7200)
        again = await results(await open_client(), url_rows(5), ledger)
        assert {one.state for one in again.values()} == {"created"}
        assert_all_made_once(emulator, ledger, 5)


class TestUnreachable:
    async def test_the_run_stops_and_nothing_is_lost(
        self, open_client: OpenClient, emulator: Emulator, ledger: Path
    ) -> None:
        clock = JumpClock(emulator)
        kling = await open_client(transport=Unreachable(), clock=clock)
        found = await results(kling, url_rows(200), ledger, concurrency=4)
        assert 1 <= len(found) < 200
        assert {one.state for one in found.values()} == {"skipped"}
        assert all("nothing was sent" in str(one.error) for one in found.values())
        assert 1 < max(clock.slept_s) <= 60  # it was patient first
        states = {one.state for one in avatars(ledger).values()}
        assert states <= {"planned", "ready"}
        await results(await open_client(), url_rows(200), ledger)
        assert_all_made_once(emulator, ledger, 200)
        assert len(creates(emulator)) == 200

    async def test_in_mid_run_it_is_waited_for_and_then_the_run_stops(
        self, open_client: OpenClient, emulator: Emulator, ledger: Path
    ) -> None:
        emulator.add_faults([Fault("avatars.create", "refuse_connection", at=range(11, 1000))])
        clock = JumpClock(emulator)
        found = await results(await open_client(clock=clock), url_rows(50), ledger, concurrency=3)
        states = Counter(one.state for one in found.values())
        assert states["created"] == 10
        assert 1 <= states["skipped"] <= 3
        assert sum(clock.slept_s) > 30
        assert 10 < max(clock.slept_s) <= 60
        assert Counter(one.state for one in avatars(ledger).values())["done"] == 10

    async def test_a_short_outage_is_waited_out(
        self, open_client: OpenClient, emulator: Emulator, ledger: Path
    ) -> None:
        emulator.add_faults([Fault("avatars.create", "refuse_connection", at=(2, 3, 4, 5, 6))])
        kling = await open_client(clock=JumpClock(emulator))
        found = await results(kling, url_rows(5), ledger, concurrency=1)
        assert {one.state for one in found.values()} == {"created"}
        assert found["k2"].attempts == 6
        assert_all_made_once(emulator, ledger, 5)


async def test_rows_are_json_in_the_ledger_and_hold_no_token(
    kling: AsyncKlingClient, ledger: Path
) -> None:
    await results(kling, url_rows(3), ledger)
    assert b"user:12345" not in ledger.read_bytes()
    assert json.dumps(dict(avatars(ledger)["k1"].payload))

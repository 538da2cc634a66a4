"""Do all workers keep the limits of an account together: its pauses, and that it is given up?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import psycopg
import pytest
from attrs import define
from databases import database

from kling_async import AsyncKlingClient, RateLimit
from kling_async.bulk import shared_limits as module
from kling_async.bulk import shared_rate
from kling_async.bulk.health import AccountHealth
from kling_async.bulk.places import read_ledger
from kling_async.bulk.postgres import PostgresLedger, open_postgres
from kling_async.bulk.postgres_session import address_of, translated
from kling_async.bulk.shared_limits import SharedLimits, shared_limits
from kling_async.bulk.shared_rate import RateKeeper
from kling_async.distributed import work_once
from kling_async.emulator import Emulator, Fault
from kling_async.errors import (
    AccountBrokenError,
    AuthenticationError,
    InsufficientCreditsError,
    KlingError,
    RateLimitedError,
)

BASE_URL = "http://127.0.0.1/v1/kling"


@pytest.fixture
def address(request: pytest.FixtureRequest) -> str:
    return f"{database()}#{request.node.nodeid}"


@pytest.fixture
def account(request: pytest.FixtureRequest) -> str:
    """An account of this test alone: what is known of one is the whole database's."""
    return f"{abs(hash(request.node.nodeid))}@x.y"


@define
class Party:
    """A worker, as far as accounts go."""

    kling: AsyncKlingClient
    limits: SharedLimits
    health: AccountHealth

    @property
    def paused_s(self) -> Callable[[str], float]:
        return self.kling._pipeline.admission.paused_s


@pytest.fixture
async def parties(address: str) -> AsyncIterator[tuple[Party, Party, PostgresLedger]]:
    """Two workers and a ledger of theirs; both know what there is to know."""
    async with AsyncExitStack() as stack:
        service = "127.0.0.1"
        ledger = await stack.enter_async_context(open_postgres(address, service=service))
        found = []
        for _ in range(2):
            kling = AsyncKlingClient("user:1-a", base_url=BASE_URL)
            health = AccountHealth(900, lambda because: None)
            limits = await stack.enter_async_context(
                shared_limits(address_of(address), kling._pipeline.admission, service)
            )
            limits.join(health)
            stack.callback(limits.leave, health)
            await limits.looked.wait()
            found.append(Party(kling, limits, health))
        yield found[0], found[1], ledger


Parties = tuple[Party, Party, PostgresLedger]


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)


async def test_a_pause_is_told_to_all(parties: Parties, account: str) -> None:
    one, other, ledger = parties
    for tell in one.kling._pipeline.admission.on_pause:
        tell(account, 60.0)
    await until(lambda: other.paused_s(account))
    assert one.paused_s(account) == 0  # it paused itself already, where it was told
    kling = AsyncKlingClient("user:1-a", base_url=BASE_URL)  # whoever comes later hears of it, too
    async with shared_limits(ledger.path, kling._pipeline.admission, "127.0.0.1"):
        await until(lambda: kling._pipeline.admission.paused_s(account))
    elsewhere = AsyncKlingClient("user:1-a", base_url=BASE_URL)  # accounts of another server
    async with shared_limits(ledger.path, elsewhere._pipeline.admission, "else.where") as limits:
        await limits.looked.wait()
        assert elsewhere._pipeline.admission.paused_s(account) == 0


REASONS: list[tuple[KlingError, bool]] = [
    (AccountBrokenError("its session was refused", status_code=596), False),
    (RateLimitedError("wait for an hour", status_code=429, retry_after_s=3600), False),
    (InsufficientCreditsError("too few credits", status_code=412), True),
]


@pytest.mark.parametrize(("error", "credits_only"), REASONS)
async def test_an_account_that_one_gave_up_is_given_up_by_all(
    parties: Parties, account: str, error: KlingError, credits_only: bool
) -> None:
    one, other, ledger = parties
    give_up = one.health.no_credits if credits_only else one.health.park
    why = give_up(account, error)
    await until(lambda: other.health.given_up)
    assert other.health.given_up == one.health.given_up == [why]
    assert other.health.put_off(account, costs_credits=True) == why
    assert (other.health.put_off(account, costs_credits=False) is None) == credits_only
    await ledger.unpark()  # the next `bulk run`
    await until(lambda: not one.health.given_up and not other.health.given_up)


async def test_a_wrong_token_is_its_workers_own(parties: Parties, account: str) -> None:
    one, other, ledger = parties
    one.health.park(account, AuthenticationError("wrong token", status_code=401))
    one.health.park(f"b{account}", AccountBrokenError("refused", status_code=596))
    await until(lambda: f"b{account}" in other.health.parked)
    assert account not in other.health.parked
    assert account in one.health.parked
    await ledger.unpark()
    await until(lambda: f"b{account}" not in one.health.parked)
    assert account in one.health.parked


async def test_who_gave_it_up_tries_first(
    parties: Parties, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, _ = parties
    one.health.park(account, RateLimitedError("wait", status_code=429, retry_after_s=0.2))
    await until(lambda: account in other.health.parked)
    await until(lambda: account not in one.health.parked)
    assert account in other.health.parked
    monkeypatch.setattr(module, "FIRST_S", 0.0)
    other.limits._look_again()
    await until(lambda: account not in other.health.parked)


async def test_rows_of_an_account_that_was_given_up_stay(address: str, account: str) -> None:
    faults = [Fault("avatars.create", "status", status=402, times=1, account=account)]
    emulator = Emulator([account, f"b{account}"], faults=faults)

    def client() -> AsyncKlingClient:
        return AsyncKlingClient("user:1-a", base_url=BASE_URL, transport=emulator.transport())

    def row(key: str, email: str) -> dict[str, str]:
        return {"key": key, "image_url": "https://x.y/a.png", "nickname": key, "email": email}

    async with client() as one, client() as other:
        rows = [row(f"k{n}", account) for n in range(3)]
        first = [r async for r in one.avatars.create_many(rows, ledger=address, concurrency=1)]
        assert sorted(r.state for r in first) == ["failed", "skipped", "skipped"]
        assert await work_once(other, address) == []
        assert emulator.avatars == []
        rows = [row("l1", f"b{account}")]  # a further run tries it again
        assert [r.state async for r in one.avatars.create_many(rows, ledger=address)] == ["created"]
        assert {r.state for r in await work_once(other, address)} <= {"created"}
    async with read_ledger(address) as reader:
        assert await reader.counts() == {"done": 3, "failed": 1}


# --- a rate that is to be found -------------------------------------------------------------------


async def test_one_keeper_finds_the_rate_for_all(address: str, account: str) -> None:
    limit = RateLimit(100, adaptive=True)
    named = {"service": "127.0.0.1", "account": account}
    async with open_postgres(address, service="127.0.0.1"), AsyncExitStack() as stack:
        connections = [
            await stack.enter_async_context(
                await psycopg.AsyncConnection.connect(database(), autocommit=True)
            )
            for _ in range(3)
        ]
        db, *others = connections
        keeper, other = [RateKeeper(one, "127.0.0.1", limit) for one in others]

        async def row(statement: str) -> Any:
            done = await db.execute(translated(f"{statement} {shared_rate._THIS}"), named)
            return (await done.fetchone())[0] if done.description else None  # type: ignore[index]

        async def happened(places: int, *, refused: bool = False) -> float:
            """The rate after so many requests that had waited, over what counts as a second."""
            refusal = "extract(epoch FROM clock_timestamp())" if refused else "refused_at"
            await row(
                f"UPDATE kling.accounts SET places = places + {places}, waited = waited + {places},"
                f" refused_at = {refusal}"
            )
            for one in (keeper, other):
                for counts in one._kept.values():
                    counts.at_s -= 1
                await one.look(account)
            interval_s = await row("SELECT interval_s FROM kling.accounts")
            return 1 / interval_s if interval_s else 0.0

        await db.execute(translated(module._KNOWN), named)
        assert await happened(0) == 0.0  # the keeper looks for the first time
        rates = [await happened(20) for _ in range(4)]
        assert rates == sorted(rates)
        assert rates[-1] > 12
        fallen = await happened(20, refused=True)
        assert fallen < rates[-1]
        assert other._kept == {}  # it waits until the keeper is gone
        await others[0].close()
        while not other._kept:
            await other.look(account)
        assert other._kept[account].law.per_s == pytest.approx(fallen)


async def test_workers_find_a_quota_together(address: str, account: str) -> None:
    emulator = Emulator([account], quota=RateLimit(30), quota_operations=["avatars.create"])

    async def created(first: int) -> list[str]:
        limit = RateLimit(100, adaptive=True)
        async with AsyncKlingClient(
            "user:1-a", base_url=BASE_URL, transport=emulator.transport(), rate_limit=limit
        ) as kling:
            rows = [
                {"key": f"k{n}", "image_url": f"https://x.y/{n}.png", "nickname": f"k{n}"}
                for n in range(first, first + 30)
            ]
            found = kling.avatars.create_many(rows, ledger=address, concurrency=4)
            return [row.state async for row in found]

    assert await asyncio.gather(created(0), created(30)) == [["created"] * 30] * 2
    assert len(emulator.avatars) == 60

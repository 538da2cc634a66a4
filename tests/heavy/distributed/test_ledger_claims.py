"""Does a step belong to one worker at a time, and does each word about it count as it should?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import psycopg
import pytest
from databases import database
from ledgers import ACCOUNT, SERVICE, planned, row_input, step_input, tried, yes

from kling_async import ConfigurationError, LedgerError
from kling_async._transport.progress import HeldBack
from kling_async.bulk import outgoing, postgres_session
from kling_async.bulk.outgoing import StepIntent
from kling_async.bulk.places import open_ledger, read_ledger
from kling_async.bulk.postgres import PostgresLedger, open_postgres
from kling_async.bulk.postgres_session import address_of
from kling_async.bulk.records import Applied, Step
from kling_async.bulk.task_group import Hold

TWO_STEPS = (step_input(1), step_input(2))


@pytest.fixture
def address(request: pytest.FixtureRequest) -> str:
    return f"{database()}#{request.node.nodeid}"


@pytest.fixture
async def workers(address: str) -> AsyncIterator[tuple[PostgresLedger, PostgresLedger]]:
    """Two workers of one ledger."""
    async with AsyncExitStack() as stack:
        one, other = [
            await stack.enter_async_context(open_postgres(address, service=SERVICE))
            for _ in range(2)
        ]
        yield one, other


Two = tuple[PostgresLedger, PostgresLedger]


async def claimed(ledger: PostgresLedger, size: int = 10, **options: Any) -> list[str]:
    given = {"made": None, "saves": True, **options}
    return [row.key for row in await ledger.claim(size, **given)]


async def lose_lease(ledger: PostgresLedger) -> None:
    """As if it had said nothing for a minute."""
    me = ledger._store._identity.me

    def expire(store: Any) -> None:
        store._db.execute("UPDATE workers SET lease_until = 0 WHERE id = :me", {"me": me})

    await ledger._submit(expire, writes=True)


async def test_a_row_is_claimed_once(workers: Two) -> None:
    one, other = workers
    await planned(one, *(f"k{n}" for n in range(20)))
    found = await asyncio.gather(*(claimed(ledger, 7) for ledger in (one, other, one, other)))
    assert sorted(len(keys) for keys in found) == [0, 6, 7, 7] or sum(map(len, found)) == 20
    assert len({key for keys in found for key in keys}) == 20
    assert await claimed(one) == []


async def test_a_row_belongs_to_its_worker_with_all_its_steps(workers: Two) -> None:
    one, other = workers
    (row,) = await one.register([row_input("k1", 1, *TWO_STEPS)])
    assert await claimed(one) == ["k1"]
    first, second = row.steps
    await yes(one, first, "intended")
    await yes(one, first, "answered", "done", claim="1")
    assert await claimed(other) == []
    assert await tried(other, second, "intended") is Applied.STALE
    await one.release(row.id)
    assert await claimed(other, made=1) == []  # it was to make no second step
    assert await claimed(other, saves=False) == []  # nor tasks
    assert await claimed(other) == ["k1"]
    assert await tried(one, second, "intended") is Applied.STALE


async def test_what_was_put_off_waits(workers: Two) -> None:
    one, other = workers
    (step,) = await planned(one)
    await claimed(one)
    await one.release(step.row_id, after_s=60)
    assert await claimed(other) == []


async def test_rows_of_accounts_that_are_away_stay(workers: Two) -> None:
    one, _ = workers
    await planned(one, "k1", payload={"email": ACCOUNT})
    await planned(one, "k2", payload={"email": "b@x.y"})
    assert await claimed(one, away=[ACCOUNT]) == ["k2"]
    assert await claimed(one) == ["k1"]


async def test_files_are_sent_from_their_own_machine(workers: Two) -> None:
    one, other = workers
    await planned(one, "k1", has_files=True)
    other._store._identity.host = "another"
    assert await claimed(other) == []
    assert await claimed(one) == ["k1"]


async def test_steps_of_a_dead_worker_are_taken_over(workers: Two) -> None:
    one, other = workers
    sent, unsent = await planned(one, "k1", "k2")
    assert await claimed(one) == ["k1", "k2"]
    await yes(one, sent, "intended")
    attempt = (await one.step(sent.id)).attempt
    assert await other.sweep() == 0
    await lose_lease(one)
    assert await other.sweep() == 1
    after = await other.step(sent.id)
    assert (after.state, after.owner, after.attempt) == ("doubt", None, attempt)
    assert [note.event for note in await other.history(sent.row_id)] == ["lost"]
    assert await claimed(other) == ["k1", "k2"]  # the first one to look for it
    assert await tried(one, unsent, "intended") is Applied.STALE
    assert await other.sweep() == 0  # once


LATE: list[tuple[str, str | None, dict[str, Any], str]] = [
    ("answered", "done", {"claim": "9"}, "done"),
    ("retracted", None, {}, "ready"),
    ("contested", None, {"error": "another's", "candidates": ["9"]}, "unknown"),
]


@pytest.mark.parametrize(("event", "to", "fields", "state"), LATE, ids=[one[0] for one in LATE])
@pytest.mark.parametrize("given_up", [False, True])
async def test_the_late_word_of_an_attempt_counts(
    workers: Two, event: str, to: str | None, fields: Any, state: str, given_up: bool
) -> None:
    one, other = workers
    step = await swept(one, other)
    if given_up:
        await yes(other, step, "given_up", error="not found")
    await yes(one, step, event, to, **fields)
    assert (await other.step(step.id)).state == state


@pytest.mark.parametrize(("event", "to", "fields", "state"), LATE, ids=[one[0] for one in LATE])
async def test_after_the_users_word_it_counts_no_more(
    workers: Two, event: str, to: str | None, fields: Any, state: str
) -> None:
    one, other = workers
    step = await swept(one, other)
    await yes(other, step, "resent")
    await yes(other, step, "intended")  # somebody else sends it now
    assert await tried(one, step, event, to, **fields) is Applied.STALE
    after = await other.step(step.id)
    assert (after.state, after.remote_id) == ("intent", None)
    assert await other.owners(None, "avatar", ["9"]) == {}
    await yes(other, step, "answered", "done", claim="10")


async def swept(one: PostgresLedger, other: PostgresLedger) -> Step:
    """A step that `one` had sent when its lease was lost; `other` looks for it."""
    (step,) = await planned(one)
    await claimed(one)
    await yes(one, step, "intended")
    await lose_lease(one)
    assert await other.sweep() == 1
    assert await claimed(other) == ["k1"]
    return step


# --- many changes in one statement --------------------------------------------------------------


async def test_together_comes_to_the_same_as_one_by_one(
    workers: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = workers
    steps = await planned(one, *(f"k{n}" for n in range(9)))
    await one.register([row_input("k9\0", 10, step_input(paths=("/a\0", "/b")))])  # NUL is no text
    execute, sent = postgres_session.Connected.execute, []

    def noting(self: Any, statement: str, values: Any = (), /) -> Any:
        sent.append(statement.split(" SET ")[0] if " SET " in statement else statement[:18])
        return execute(self, statement, values or {})

    monkeypatch.setattr(postgres_session.Connected, "execute", noting)
    await yes(other, steps[7], "intended")
    sent.clear()
    intents = await asyncio.gather(
        *(tried(one, step, "intended", account=ACCOUNT) for step in steps[:6]),
        tried(one, steps[6], "intended", digest="of another content"),
        tried(one, steps[7], "intended", account=ACCOUNT),
        tried(one, steps[8], "intended", mark="m", account=ACCOUNT),
    )
    assert intents == [Applied.YES] * 6 + [Applied.STALE] * 2 + [Applied.YES]
    assert sent.count("UPDATE steps") == 4  # six and one together; again that one, and two alone
    sent.clear()
    claims = ["1", "2", "3", "3", "1", "5"]
    await yes(one, steps[8], "answered", "done", claim="5")
    answers = await asyncio.gather(*(
        tried(one, step, "answered", "done", claim=claim)
        for step, claim in zip(steps[:6], claims, strict=True)
    ))  # fmt: skip
    yes_, taken = Applied.YES, Applied.CLAIMED
    assert answers == [yes_, yes_, yes_, taken, taken, taken]
    after = [await other.step(step.id) for step in steps]
    assert [step.remote_id for step in after[:6]] == ["1", "2", "3", None, None, None]
    assert [step.account for step in after[:6]] == [ACCOUNT] * 6
    assert len({step.attempt for step in after[:6]}) == 6
    assert [step.state for step in after] == [
        *("done", "done", "done", "intent", "intent", "intent", "planned", "intent", "done"),
    ]  # fmt: skip


# --- job slots ----------------------------------------------------------------------------------


async def test_job_slots_are_counted_over_all_ledgers(workers: Two, address: str) -> None:
    one, other = workers
    account = f"{abs(hash(address))}@x.y"

    async def takes(ledger: PostgresLedger, step: Step) -> bool:
        return await ledger.take_job_slot(step.id, account, 2)

    first, second, third = await planned(one, "k1", "k2", "k3", kind="task")
    assert await takes(one, first)
    assert await takes(one, first)  # it has one
    async with open_postgres(f"{address} too", service=SERVICE) as too:
        (elsewhere,) = await planned(too)
        taken = await asyncio.gather(takes(too, elsewhere), takes(other, second))
        assert sorted(taken) == [False, True]
        assert not await takes(one, third)
        assert await too.take_job_slot(elsewhere.id, f"b{account}", 1)  # another account's
    # The job of a worker that died goes on; what it had not sent has no slot any more.
    assert await takes(other, second)
    await claimed(one)
    await yes(one, first, "intended")
    await yes(one, first, "answered", "running", claim="1")
    await one.release(second.row_id)
    assert await takes(one, third)
    await lose_lease(one)
    assert await other.sweep() == 1
    assert await takes(other, second)
    assert not await takes(other, third)
    assert await claimed(other) == ["k1", "k2", "k3"]
    await yes(other, first, "finished", "done")
    assert await takes(other, third)


# --- the look at the clock ----------------------------------------------------------------------


async def test_an_old_intent_is_held_back(workers: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    one, _ = workers
    (step,) = await planned(one)
    now_s = [100.0]
    monkeypatch.setattr(outgoing, "_awake_or_not_s", lambda: now_s[0])
    intent = StepIntent(one, step, {}, Hold(), lambda: False)
    await intent.record(None, 1)
    now_s[0] += outgoing.FRESH_S
    intent.check_before_write()
    now_s[0] += 0.1  # it was stopped
    with pytest.raises(HeldBack):
        intent.check_before_write()
    await intent.retract(None)
    await intent.record(None, 1)
    intent.check_before_write()


async def test_a_slow_commit_takes_a_new_place(
    workers: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = workers
    (step,) = await planned(one)
    now_s = [100.0]

    def later() -> float:
        now_s[0] += 2 * outgoing.LAPSE_S
        return now_s[0]

    monkeypatch.setattr(outgoing, "_awake_or_not_s", later)
    intent = StepIntent(one, step, {}, Hold(), lambda: False)
    for _ in range(outgoing.MOST_LAPSES):
        await intent.record(None, 1)
        with pytest.raises(HeldBack):
            intent.check_before_write()
        await intent.retract(None)
    await intent.record(None, 1)
    intent.check_before_write()  # where each commit is so slow, it goes some time


# --- a connection that is lost ------------------------------------------------------------------


@pytest.mark.parametrize("happened", [False, True])
@pytest.mark.parametrize("event", ["intended", "retracted", "answered", "lost"])
async def test_a_commit_whose_answer_is_lost(
    workers: Two, monkeypatch: pytest.MonkeyPatch, happened: bool, event: str
) -> None:
    one, other = workers
    (step,) = await planned(one)
    if event != "intended":
        await yes(one, step, "intended")
    execute, lost = postgres_session.Connected.execute, [1]

    def losing(self: Any, statement: str, values: Any = (), /) -> Any:
        if statement != "COMMIT" or not lost:
            return execute(self, statement, values or {})
        lost.clear()
        if happened:
            execute(self, statement)
        self.raw.close()
        raise psycopg.OperationalError("the connection was lost")

    monkeypatch.setattr(postgres_session.Connected, "execute", losing)
    fields = {"to": "done", "claim": "1"} if event == "answered" else {}
    await yes(one, step, event, **fields)
    assert not lost
    after = await other.step(step.id)
    states = {"intended": "intent", "retracted": "ready", "answered": "done", "lost": "doubt"}
    assert (after.state, after.attempts) == (states[event], 1)  # once, whether it happened or not


async def test_a_lost_connection_is_made_again(workers: Two) -> None:
    one, other = workers
    (step,) = await planned(one)

    def cut(store: Any) -> None:
        store._db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )

    await other._submit(cut, writes=False)
    await yes(one, step, "intended")
    assert (await other.step(step.id)).state == "intent"


async def test_a_database_that_stays_away_is_given_up(address: str) -> None:
    async with open_postgres(address, service=SERVICE, wait_s=0.5) as ledger:
        (step,) = await planned(ledger)
        ledger._session.close()
        ledger._session.address = address_of("postgresql://nobody:hidden@127.0.0.1:1/db#x")
        with pytest.raises(LedgerError, match=r"nobody@127\.0\.0\.1:1/db#x can't be used") as told:
            await tried(ledger, step, "intended")
        assert "hidden" not in str(told.value)
        with pytest.raises(LedgerError, match="nothing is sent any more"):
            await tried(ledger, step, "intended")


# --- what is refused ----------------------------------------------------------------------------


async def test_a_ledger_of_another_service_is_refused(address: str) -> None:
    async with open_ledger(address, service=SERVICE):
        pass
    with pytest.raises(LedgerError, match="belongs to runs against"):
        async with open_ledger(address, service="elsewhere"):
            pass


async def test_another_layout_names_the_command(address: str) -> None:
    async with open_ledger(address, service=SERVICE) as ledger:
        await ledger.set_fact("layout", "2")
    with pytest.raises(LedgerError, match="ledger upgrade"):
        async with read_ledger(address):
            pass


async def test_a_ledger_that_is_not_there_is_not_made_by_reading(address: str) -> None:
    with pytest.raises(LedgerError, match="there is no ledger"):
        async with read_ledger(address):
            pass


@pytest.mark.parametrize("text", [
    "postgresql://u:hidden@h:port/db", "postgresql://u:hid%zzden@h/db", "postgres://h/db?hidden=1",
])  # fmt: skip
def test_an_address_that_is_none_is_not_shown(text: str) -> None:
    with pytest.raises(ConfigurationError) as told:
        address_of(text)
    assert "hid" not in str(told.value)


def test_an_address_shows_no_password() -> None:
    found = address_of("postgresql://ann:hidden@h:5/db?password=hidden&sslmode=require#people")
    assert "hidden" not in f"{found} {found!r}"
    assert str(found) == "postgresql://ann@h:5/db#people"
    assert address_of("postgresql://h/db").name == "main"

"""Does every form of a ledger keep its promises? One suite for all of them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from ledgers import (
    ACCOUNT,
    FORMS,
    Opener,
    all_rows,
    brought_to,
    in_state,
    planned,
    row_input,
    step_input,
    tried,
    yes,
)

from kling_async import LedgerError
from kling_async.bulk.ledger import Ledger
from kling_async.bulk.machine import ARROWS, EVENTS, STATES, WRITES
from kling_async.bulk.records import Applied, Change, Listed, WorkRecord

FORM_NAMES = [
    pytest.param(one, marks=[pytest.mark.heavy] if one == "postgres" else []) for one in FORMS
]
OTHER = "b@example.com"


@pytest.fixture(params=FORM_NAMES)
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Opens the ledger of this test, each time the same."""
    return FORMS[request.param](tmp_path)


@pytest.fixture
async def ledger(opener: Opener) -> AsyncIterator[Ledger]:
    async with opener() as opened:
        yield opened


# --- the arrows -------------------------------------------------------------------------------

# Written by hand, apart from the machine's own table: event: from -> to.
POSSIBLE = """
prepared:  planned -> ready
intended:  planned ready -> intent
retracted: intent -> ready
answered:  intent -> done running
contested: intent -> unknown
lost:      intent -> doubt
found:     doubt unknown -> done running
given_up:  doubt -> unknown
resent:    doubt unknown -> ready
abandoned: doubt unknown -> failed
finished:  running -> made done
reserved:  made -> made
saved:     made -> made done
file_lost: done -> made
failed:    planned ready intent running made -> failed
reopened:  failed -> planned made running
"""


def possible() -> set[tuple[str, str, str]]:
    found = set()
    for line in POSSIBLE.strip().splitlines():
        event, _, way = line.partition(":")
        starts, _, ends = way.partition("->")
        found |= {(event, start, end) for start in starts.split() for end in ends.split()}
    return found


def change_of(step_id: int, event: Any, to: Any, **more: Any) -> Change:
    """A change with what this event needs."""
    values: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    if event == "found":
        values["evidence"] = "adopted"
    if event in ("found", "answered"):
        fields["claim"] = "thing"
    if event == "finished":
        fields["works"] = (WorkRecord(number=1),)
    if event in ("reserved", "saved"):
        values |= {"work": 1, "file": "/videos/k1.mp4"}
    return Change(step_id=step_id, event=event, to=to, values={**values, **more}, **fields)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("event", [one for one in EVENTS if one != "put_off"])
async def test_every_event_in_every_state(ledger: Ledger, event: Any, state: Any) -> None:
    arrows = possible()
    for at, end in enumerate(STATES):
        step = await in_state(ledger, f"k{at}", state)
        change = change_of(step.id, event, end)
        if "claim" in WRITES[event] or change.claim:
            change = Change(
                step_id=step.id, event=event, to=end, values=change.values, claim=f"new-{at}"
            )
        if not any((event, start, end) in arrows for start in STATES):
            with pytest.raises(ValueError, match="does not lead to"):
                await ledger.apply(change)
            result = None
        else:
            result = await ledger.apply(change)
        after = await ledger.step(step.id)
        if (event, state, end) in arrows:
            assert (result, after.state) == (Applied.YES, end)
        else:
            assert result in (None, Applied.STALE)
            assert after == step
            if change.claim:
                assert await ledger.owners(None, "avatar", [change.claim]) == {}


@pytest.mark.parametrize("state", STATES)
async def test_put_off_says_why_and_leaves_the_state(ledger: Ledger, state: Any) -> None:
    step = await in_state(ledger, "k1", state)
    result = await tried(ledger, step, "put_off", error="later")
    after = await ledger.step(step.id)
    assert after.state == state
    if state in ("planned", "ready", "running", "made"):
        assert (result, after.error) == (Applied.YES, "later")
    else:
        assert (result, after) == (Applied.STALE, step)


def test_the_machine_has_no_arrow_beyond_the_table() -> None:
    arrows = {
        (event, start, end)
        for event, ways in ARROWS.items()
        for start, ends in ways.items()
        for end in ends
        if event != "put_off"
    }
    recovered = {
        ("found", start, end) for start in ("planned", "ready") for end in ("done", "running")
    }
    assert arrows == possible() | recovered


@pytest.mark.parametrize("state", ["planned", "ready"])
async def test_what_was_never_sent_is_found_only_as_recovered(ledger: Ledger, state: Any) -> None:
    step = await in_state(ledger, "k1", state)
    stale = await tried(ledger, step, "found", "done", claim="7", evidence="adopted")
    assert (stale, (await ledger.step(step.id)).state) == (Applied.STALE, state)
    await yes(ledger, step, "found", "done", claim="7", evidence="recovered")
    assert (await ledger.step(step.id)).remote_id == "7"


@pytest.mark.parametrize(("event", "fields"), [
    ("answered", {"claim": "1"}),  # two ways, none chosen
    ("answered", {"claim": "1", "to": "failed"}),
    ("prepared", {"to": "intent"}),
    ("prepared", {"values": {"remote_id": "1"}}),
    ("prepared", {"claim": "1"}),
    ("found", {"to": "done", "values": {"evidence": "adopted"}}),
    ("found", {"to": "done", "claim": "1"}),
    ("lost", {"works": (WorkRecord(number=1),)}),
])  # fmt: skip
async def test_what_no_arrow_says_is_a_mistake(ledger: Ledger, event: Any, fields: Any) -> None:
    (step,) = await planned(ledger)
    with pytest.raises(ValueError, match=r"event|found"):
        await ledger.apply(Change(step_id=step.id, event=event, **fields))
    assert await ledger.step(step.id) == step


async def test_what_the_events_write(ledger: Ledger) -> None:
    (step,) = await planned(ledger)
    made_for_it = {"image": "https://x.y/up.png"}
    await yes(
        ledger, step, "prepared", account=ACCOUNT, addresses=made_for_it, own=["image"],
        tokens={"/up.png": True}, mark="ka-1",
    )  # fmt: skip
    ready = await ledger.step(step.id)
    assert (ready.account, ready.addresses, ready.own, ready.mark) == (
        ACCOUNT, made_for_it, {"image"}, "ka-1",
    )  # fmt: skip
    assert (ready.attempts, ready.intent_at, ready.attempt) == (0, None, None)
    await yes(ledger, step, "intended", deadline_at=5.0)
    sent = await ledger.step(step.id)
    assert sent.attempts == 1
    assert sent.intent_at is not None
    assert sent.attempt is not None
    assert (sent.deadline_at, sent.mark) == (5.0, "ka-1")
    await yes(ledger, step, "lost", error="no answer")
    await yes(ledger, step, "given_up", error="not there", candidates=["8", "7"])
    unknown = await ledger.step(step.id)
    assert (unknown.error, unknown.candidates) == ("not there", ("8", "7"))
    await yes(ledger, step, "resent")
    again = await ledger.step(step.id)
    assert (again.error, again.candidates, again.mark) == (None, (), "ka-1")
    assert (again.addresses, again.own) == (made_for_it, {"image"})
    await yes(ledger, step, "intended")
    await yes(ledger, step, "answered", "running", claim="9")
    running = await ledger.step(step.id)
    assert (running.remote_id, running.evidence, running.attempts) == ("9", "answer", 2)
    assert running.attempt != sent.attempt
    await yes(ledger, step, "failed", error="Kling failed it")
    failed = await ledger.step(step.id)
    assert (failed.state, failed.error, failed.evidence) == ("failed", "Kling failed it", None)


async def test_a_sending_that_was_taken_back_leaves_no_time(ledger: Ledger) -> None:
    (step,) = await planned(ledger)
    await yes(ledger, step, "intended")
    await yes(ledger, step, "retracted", error="429")
    never = await ledger.step(step.id)
    assert (never.state, never.intent_at, never.first_intent_at) == ("ready", None, None)
    await yes(ledger, step, "intended")
    await yes(ledger, step, "lost")
    first = (await ledger.step(step.id)).intent_at
    await yes(ledger, step, "resent")
    await yes(ledger, step, "intended")
    await yes(ledger, step, "retracted")
    again = await ledger.step(step.id)  # its first sending may have done something
    assert again.intent_at == again.first_intent_at == first


async def test_other_content_is_stale(ledger: Ledger) -> None:
    (step,) = await planned(ledger, digest="new")
    assert await tried(ledger, step, "intended", digest="old") is Applied.STALE
    assert await ledger.step(step.id) == step
    await yes(ledger, step, "intended", digest="new")
    assert await tried(ledger, step, "answered", "done", claim="1", digest="old") is Applied.STALE
    assert await ledger.owners(None, "avatar", ["1"]) == {}


async def test_of_two_at_once_one_goes(ledger: Ledger) -> None:
    (step,) = await planned(ledger)
    results = await asyncio.gather(*(tried(ledger, step, "intended") for _ in range(5)))
    assert sorted(one.value for one in results) == ["stale"] * 4 + ["yes"]
    assert (await ledger.step(step.id)).attempts == 1


async def test_a_mark_belongs_to_one_step(ledger: Ledger) -> None:
    one, other = await planned(ledger, "k1", "k2")
    await yes(ledger, one, "prepared", mark="ka-1")
    assert await tried(ledger, other, "prepared", mark="ka-1") is Applied.CLAIMED
    assert (await ledger.step(other.id)).state == "planned"


# --- claims -----------------------------------------------------------------------------------


@pytest.mark.parametrize("event", ["answered", "found"])
async def test_a_thing_belongs_to_one_step_for_ever(ledger: Ledger, event: Any) -> None:
    first = await in_state(ledger, "k1", "running")
    assert first.remote_id is not None
    await yes(ledger, first, "failed", error="ended badly")
    await yes(ledger, first, "reopened", "planned")  # it lets go of it, and keeps it
    assert (await ledger.step(first.id)).remote_id is None
    second = await in_state(ledger, "k2", "intent" if event == "answered" else "doubt")
    values = {} if event == "answered" else {"evidence": "adopted"}
    taken = await tried(ledger, second, event, "running", claim=first.remote_id, **values)
    assert taken is Applied.CLAIMED
    assert await ledger.step(second.id) == second
    assert await ledger.owners(None, "avatar", [first.remote_id, "?"]) == {
        first.remote_id: first.id
    }


async def test_its_own_thing_may_be_found_again(ledger: Ledger) -> None:
    (step,) = await planned(ledger)
    await brought_to(ledger, step, "running", claim="9")
    await yes(ledger, step, "failed")
    await yes(ledger, step, "reopened", "planned")
    await yes(ledger, step, "intended")
    await yes(ledger, step, "lost")
    await yes(ledger, step, "found", "running", claim="9", evidence="adopted")


async def test_ids_are_of_an_account_and_a_kind(ledger: Ledger) -> None:
    steps = await planned(ledger, "k1", "k2", "k3", "k4")
    other_kind = (await planned(ledger, "k5", kind="task"))[0]
    accounts = [ACCOUNT, OTHER, None, ACCOUNT]  # who names none may be on any
    results = []
    for step, account in zip(steps, accounts, strict=True):
        await yes(ledger, step, "intended", account=account)
        results.append(await tried(ledger, step, "answered", "done", claim="9"))
    await yes(ledger, other_kind, "intended", account=ACCOUNT)
    results.append(await tried(ledger, other_kind, "answered", "done", claim="9"))
    yes_, claimed = Applied.YES, Applied.CLAIMED
    assert results == [yes_, yes_, claimed, claimed, yes_]
    assert await ledger.owners(OTHER, "avatar", ["9"]) == {"9": steps[1].id}
    assert (await ledger.owners(None, "avatar", ["9"])).keys() == {"9"}
    assert await ledger.owners("c@d.e", "avatar", ["9"]) == {}
    assert await ledger.owners(ACCOUNT, "task", ["9"]) == {"9": other_kind.id}


async def test_what_a_step_of_no_account_has_is_nobody_elses_on_any(ledger: Ledger) -> None:
    none, named = await planned(ledger, "k1", "k2")
    await yes(ledger, none, "intended")
    await yes(ledger, none, "answered", "done", claim="9")
    await yes(ledger, named, "intended", account=ACCOUNT)
    assert await tried(ledger, named, "answered", "done", claim="9") is Applied.CLAIMED
    assert await ledger.owners(ACCOUNT, "avatar", ["9"]) == {"9": none.id}


async def test_what_was_given_is_no_claim(ledger: Ledger) -> None:
    given = [row_input(f"g{at}", at, step_input(given_id="7")) for at in (1, 2)]
    rows = await ledger.register(given)
    assert [(row.state, row.steps[0].evidence) for row in rows] == [("done", "given")] * 2
    assert await ledger.owners(None, "avatar", ["7"]) == {}
    step = await in_state(ledger, "k1", "intent")
    await yes(ledger, step, "answered", "done", claim="7")


async def test_a_contested_answer_is_unknown(ledger: Ledger) -> None:
    step = await in_state(ledger, "k1", "intent")
    await yes(ledger, step, "contested", error="7 is another row's", candidates=["7"])
    after = await ledger.step(step.id)
    assert (after.state, after.candidates, after.remote_id) == ("unknown", ("7",), None)


# --- works ------------------------------------------------------------------------------------


async def test_works_become_files(ledger: Ledger) -> None:
    step = await in_state(ledger, "k1", "running")
    works = [WorkRecord(number=n, work_id=f"w{n}", url=f"https://x.y/{n}") for n in (1, 2)]
    await yes(ledger, step, "finished", "made", works=works)
    assert list((await ledger.step(step.id)).works) == works
    await yes(ledger, step, "reserved", work=1, file="/v/k1.mp4", name_key="k1.mp4")
    await yes(ledger, step, "saved", "made", work=1, file="/v/k1.mp4", size_bytes=10)
    await yes(ledger, step, "reserved", work=2, file="/v/k1-2.mp4", name_key="k1-2.mp4")
    await yes(ledger, step, "saved", "done", work=2, size_bytes=20)
    kept = (await ledger.step(step.id)).works
    assert [(one.file, one.size_bytes) for one in kept] == [("/v/k1.mp4", 10), ("/v/k1-2.mp4", 20)]
    await yes(ledger, step, "file_lost", work=2)
    lost = await ledger.step(step.id)
    assert (lost.state, [one.size_bytes for one in lost.works]) == ("made", [10, None])


async def test_a_files_name_belongs_to_one_work(ledger: Ledger) -> None:
    one, other = [await in_state(ledger, key, "made") for key in ("k1", "k2")]
    await yes(ledger, one, "reserved", work=1, file="/v/a.mp4", name_key="a.mp4")
    await yes(ledger, one, "reserved", work=1, file="/v/a.mp4", name_key="a.mp4")
    taken = await tried(ledger, other, "reserved", work=1, file="/v/A.mp4", name_key="a.mp4")
    assert taken is Applied.CLAIMED
    assert (await ledger.step(other.id)).works[0].file is None


# --- rows come in -----------------------------------------------------------------------------


async def test_new_rows_are_planned_in_order(ledger: Ledger) -> None:
    rows = [
        row_input(f"k{n}", n, step_input(1), step_input(2, paths=["/a.mp3"])) for n in (1, 2, 3)
    ]
    registered = await ledger.register(rows)
    assert [row.key for row in registered] == ["k1", "k2", "k3"]
    assert [[step.state for step in row.steps] for row in registered] == [["planned"] * 2] * 3
    assert await all_rows(ledger) == registered
    assert await ledger.known(["k3", "nobody"]) == {"k3": registered[2]}
    assert await ledger.row("k2") == await ledger.row_of(registered[1].id) == registered[1]
    for lookup in (ledger.row("nobody"), ledger.row_of(99), ledger.step(99)):
        with pytest.raises(LedgerError, match="has no"):
            await lookup


async def test_a_row_that_cannot_be_sent_is_failed(ledger: Ledger) -> None:
    problems = {"nickname": "is too long", "": "is no row"}
    wrong = row_input("k1", 1, problems=problems)
    empty = row_input("k2", 2, problems={"": "is no row"})
    (first, second) = await ledger.register([wrong, empty])
    assert (first.state, first.steps[0].error) == ("failed", "nickname: is too long; is no row")
    assert (second.state, second.steps[0].error) == ("failed", "is no row")
    (mended,) = await ledger.register([row_input("k1", 1)])
    assert (mended.state, mended.steps[0].error, mended.differs) == ("planned", None, False)
    (broken,) = await ledger.register([wrong])
    assert broken.state == "failed"


HELD = ("intent", "doubt", "unknown", "running", "made", "done")


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("change", ["nothing", "content", "columns", "operation"])
async def test_a_known_row_again(opener: Opener, state: Any, change: str) -> None:
    async with opener() as ledger:
        step = await in_state(ledger, "k1", state)
    async with opener() as ledger:
        step = await ledger.step(step.id)  # an intent is in doubt
        content = {"digest": "other", "payload": {"nickname": "Bea"}} if change == "content" else {}
        if change == "operation":
            content = {"operation": "avatars.create_other"}
        columns = {"key": "k1", "x_note": "new"} if change != "nothing" else {"key": "k1"}
        again = row_input("k1", 5, step_input(**content), columns=columns)
        (row,) = await ledger.register([again])
        found = await ledger.row("k1")
    assert found.steps == row.steps
    assert (row.duplicate, row.position) == (False, 5)
    changed = change in ("content", "operation")
    assert row.differs == (changed and state in HELD)
    (after,) = row.steps
    if changed and state not in HELD:
        assert (after.state, after.digest) == ("planned", again.steps[0].digest)
        assert after.payload == again.steps[0].payload
        assert (after.id, after.attempts) == (step.id, step.attempts)
        cleared = (after.error, after.evidence, after.remote_id, after.intent_at, after.mark)
        assert cleared == (None,) * 5
    else:
        assert after == step
    assert row.columns == ({"key": "k1"} if row.differs else columns)


@pytest.mark.parametrize(("way", "differs"), [
    ([("failed", None, {})], False),  # its upload was refused
    ([("intended", None, {}), ("failed", None, {})], False),  # refused by the server
    ([("intended", None, {}), ("lost", None, {}), ("abandoned", None, {})], False),
    ([("intended", None, {}), ("answered", "running", {"claim": "1"}),
      ("failed", None, {})], False),
    ([("intended", None, {}), ("answered", "running", {"claim": "1"}),
      ("failed", None, {"evidence": "missing"})], True),  # its task may still end
    ([("prepared", None, {"tokens": {"/up.png": True}, "own": ["image"], "mark": "ka-1",
                          "addresses": {"image": "https://x.y/up.png"},
                          "account": ACCOUNT})], False),
    ([("intended", None, {}), ("retracted", None, {})], False),
])  # fmt: skip
async def test_a_failed_or_unsent_row_takes_its_new_content(
    ledger: Ledger, way: Any, differs: bool
) -> None:
    (step,) = await planned(ledger, paths=["/old.png"])
    for event, to, fields in way:
        await yes(ledger, step, event, to, **fields)
    before = await ledger.step(step.id)
    (row,) = await ledger.register([row_input("k1", 1, step_input(digest="n", paths=["/new.png"]))])
    assert row.differs is differs
    if differs:
        assert row.steps == (before,)
        return
    (after,) = row.steps
    assert (after.state, after.digest, after.account, after.mark) == ("planned", "n", None, None)
    assert (dict(after.addresses), after.own) == ({}, frozenset())
    uses = await ledger.uses(None, "avatar", ["/old.png", "/up.png"])
    assert uses == []
    assert [one.id for one in await ledger.uses(None, "avatar", ["/new.png"])] == [step.id]


async def test_a_failed_row_of_the_same_content_stays_failed(ledger: Ledger) -> None:
    step = await in_state(ledger, "k1", "failed")
    (row,) = await ledger.register([row_input("k1", 1)])
    assert (row.steps, row.differs) == ((step,), False)


async def test_a_later_step_may_come_change_and_go(ledger: Ledger) -> None:
    (row,) = await ledger.register([row_input("k1", 1, step_input(1))])
    await brought_to(ledger, row.steps[0], "done")
    (row,) = await ledger.register([row_input("k1", 1, step_input(1), step_input(2))])
    assert [step.state for step in row.steps] == ["done", "planned"]
    assert row.state == "planned"
    (row,) = await ledger.register([row_input("k1", 1, step_input(1), step_input(2, digest="b"))])
    assert (row.steps[1].digest, row.differs) == ("b", False)
    (row,) = await ledger.register([row_input("k1", 1, step_input(1))])
    assert [step.number for step in row.steps] == [1]
    (row,) = await ledger.register([row_input("k1", 1, step_input(1), step_input(2))])
    await brought_to(ledger, row.steps[1], "running")
    (row,) = await ledger.register([row_input("k1", 1, step_input(1))])
    assert [step.state for step in row.steps] == ["done", "running"]  # it was sent: it stays
    assert not row.differs


async def test_what_a_later_step_was_made_of_stays(ledger: Ledger) -> None:
    def given(avatar_id: str) -> Any:
        first = step_input(1, digest=f"given {avatar_id}", given_id=avatar_id)
        return row_input("k1", 1, first, step_input(2))

    await ledger.register([given("1")])
    (row,) = await ledger.register([given("2")])
    assert (row.steps[0].remote_id, row.differs) == ("2", False)
    await brought_to(ledger, row.steps[1], "running")
    (row,) = await ledger.register([given("3")])
    assert (row.steps[0].remote_id, row.differs) == ("2", True)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("digest", ["content 1", "other"])
async def test_a_second_row_of_a_key_is_told(ledger: Ledger, apart: bool, digest: str) -> None:
    rows = [row_input("k1", 1), row_input("k1", 2, step_input(digest=digest))]
    if apart:
        first, second = [(await ledger.register([one]))[0] for one in rows]
    else:
        first, second = await ledger.register(rows)
    assert (first.duplicate, second.duplicate) == (False, True)
    assert second.steps == first.steps
    assert (await ledger.row("k1")).position == 1
    await ledger.begin_run()
    (moved,) = await ledger.register([row_input("k1", 2)])
    assert (moved.duplicate, moved.position) == (False, 2)


async def test_the_input_may_be_read_again_in_another_order(opener: Opener) -> None:
    async with opener() as ledger:
        await planned(ledger, "a", "b", "c")
    async with opener() as ledger:
        rows = await ledger.register([row_input(key, at) for at, key in enumerate("cab", 1)])
        assert not any(row.duplicate or row.differs for row in rows)
        assert [row.key for row in await all_rows(ledger)] == ["c", "a", "b"]


# --- reading ----------------------------------------------------------------------------------


async def test_rows_come_in_pages_and_by_state(ledger: Ledger) -> None:
    states = {f"k{at}": state for at, state in enumerate(STATES * 3)}
    for key, state in states.items():
        await in_state(ledger, key, state)
    assert [row.key for row in await all_rows(ledger, page=4)] == list(states)
    for wanted in ({"done"}, {"planned", "failed"}, {"done", "doubt"}, set(STATES)):
        found = await all_rows(ledger, states=wanted, page=2)
        assert [row.key for row in found] == [key for key in states if states[key] in wanted]
    assert await ledger.counts() == dict.fromkeys(STATES, 3)
    assert await ledger.step_counts() == {(1, state): 3 for state in STATES}


async def test_a_row_is_where_its_first_open_step_is(ledger: Ledger) -> None:
    rows = [row_input(f"k{n}", n, step_input(1), step_input(2)) for n in range(1, 5)]
    both = [row.steps for row in await ledger.register(rows)]
    await brought_to(ledger, both[1][0], "done")
    for one in (0, 1):
        await brought_to(ledger, both[2][one], "done")
    await brought_to(ledger, both[3][0], "failed")
    assert await ledger.counts() == {"planned": 2, "done": 1, "failed": 1}
    assert [row.key for row in await all_rows(ledger, states={"planned"})] == ["k1", "k2"]
    assert [row.key for row in await all_rows(ledger, states={"done"})] == ["k3"]
    assert [row.key for row in await all_rows(ledger, states={"failed"})] == ["k4"]


async def test_reading_sees_what_was_posted(ledger: Ledger) -> None:
    step = await in_state(ledger, "k1", "intent")
    posted = ledger.post(Change(step_id=step.id, event="answered", to="done", claim="1"))
    assert (await ledger.step(step.id)).state == "done"
    assert posted.result() is Applied.YES


async def test_changes_keep_their_order(ledger: Ledger) -> None:
    (step,) = await planned(ledger)
    events: list[tuple[Any, Any]] = [("intended", None), ("retracted", None)] * 100
    posted = [ledger.post(Change(step_id=step.id, event=event, to=to)) for event, to in events]
    await ledger.settled()
    assert {one.result() for one in posted} == {Applied.YES}
    assert (await ledger.step(step.id)).attempts == 100


async def test_whoever_is_cancelled_has_written_all_the_same(ledger: Ledger) -> None:
    (step,) = await planned(ledger)
    writing = asyncio.create_task(tried(ledger, step, "intended"))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await ledger.settled()
    assert (await ledger.step(step.id)).state == "intent"


async def test_history_tells_the_unusual_turns(ledger: Ledger) -> None:
    (step,) = await planned(ledger)
    await yes(ledger, step, "intended")
    await yes(ledger, step, "lost", error="reset by peer")
    await yes(ledger, step, "found", "done", claim="7", evidence="adopted")
    notes = await ledger.history(step.row_id)
    assert [(one.event, one.text) for one in notes] == [
        ("lost", "reset by peer"),
        ("found", "adopted: 7"),
    ]
    assert notes[0].at <= notes[1].at


# --- for doubts -------------------------------------------------------------------------------


async def test_unsettled_steps_of_an_account(ledger: Ledger) -> None:
    for at, account in enumerate((ACCOUNT, OTHER, None)):
        (step,) = await planned(ledger, f"k{at}")
        await yes(ledger, step, "intended", account=account)
        await yes(ledger, step, "lost")
    await in_state(ledger, "k3", "intent")
    (task,) = await planned(ledger, "k4", kind="task")
    await brought_to(ledger, task, "unknown")

    async def found(account: str | None, kind: str = "avatar", **options: Any) -> list[str]:
        return [one.key for one in await ledger.unsettled(account, kind, **options)]

    assert await found(ACCOUNT) == ["k0", "k2"]
    assert await found(OTHER) == ["k1", "k2"]
    assert await found(None) == ["k0", "k1", "k2"]
    assert await found(None, "task") == ["k4"]
    assert await found(None, states=["intent"]) == ["k3"]


async def test_steps_that_may_have_made_something_no_step_has(ledger: Ledger) -> None:
    for state in STATES:
        await in_state(ledger, state, state)
    abandoned = await in_state(ledger, "abandoned", "doubt")
    await yes(ledger, abandoned, "abandoned")
    resent = await in_state(ledger, "resent", "doubt")
    await yes(ledger, resent, "resent")
    await yes(ledger, resent, "intended")
    await yes(ledger, resent, "answered", "done", claim="2")
    expected = {"intent", "doubt", "unknown", "abandoned", "resent"}
    assert {one.key for one in await ledger.sent(None, "avatar")} == expected
    assert await ledger.sent(None, "task") == []


async def test_uses_of_a_path(ledger: Ledger) -> None:
    one, other = await planned(ledger, "k1", "k2", paths=["/p.png"])
    (task,) = await planned(ledger, "k3", kind="task", paths=["/p.png", "/q.png"])
    await yes(ledger, other, "prepared", account=OTHER, tokens={"/up.png": True})

    async def uses(account: str | None, *paths: str, kind: str = "avatar") -> list[int]:
        return [step.id for step in await ledger.uses(account, kind, paths)]

    assert await uses(None, "/p.png") == [one.id, other.id]
    assert await uses(ACCOUNT, "/p.png") == [one.id]
    assert await uses(OTHER, "/p.png", "/up.png") == [one.id, other.id]
    assert await uses(OTHER, "/up.png") == [other.id]
    assert await uses(None, "/p.png", "/q.png", kind="task") == [task.id]
    many = [f"/{n}.png" for n in range(2000)]
    assert await uses(None, *many, "/p.png") == [one.id, other.id]


async def test_what_was_listed_before(ledger: Ledger) -> None:
    listed = [
        Listed(remote_id="1", paths=["/p.png", "/q.png"], shown={"nickname": "Ann"}, made_at_s=5.0),
        Listed(remote_id="2"),
    ]
    assert not await ledger.was_listed(ACCOUNT, "avatar")
    await ledger.keep_listing(ACCOUNT, "avatar", listed)
    await ledger.keep_listing(ACCOUNT, "avatar", [Listed(remote_id="3")])  # the first counts
    await ledger.keep_listing(OTHER, "avatar", [])
    assert await ledger.was_listed(ACCOUNT, "avatar")
    assert await ledger.was_listed(OTHER, "avatar")
    assert not await ledger.was_listed(None, "avatar")
    assert not await ledger.was_listed(ACCOUNT, "task")
    assert await ledger.listed_before(ACCOUNT, "avatar", ["1", "2", "3"]) == {"1", "2"}
    assert await ledger.listed_before(OTHER, "avatar", ["1"]) == set()
    assert await ledger.alike_before(ACCOUNT, "avatar", ["/q.png", "/x.png"]) == listed[:1]
    assert await ledger.alike_before(ACCOUNT, "avatar", ["/x.png"]) == []


async def test_unsent_rows_that_look_like_what_was_there(ledger: Ledger) -> None:
    things = [Listed(remote_id=str(n), paths=[f"/{n % 2}.png"]) for n in range(3)]
    await ledger.keep_listing(ACCOUNT, "avatar", things)
    same = await planned(ledger, "a", "b", paths=["/0.png"])
    (elsewhere,) = await planned(ledger, "c", paths=["/0.png"])
    await yes(ledger, elsewhere, "prepared", account=OTHER)
    await planned(ledger, "d", paths=["/9.png"])
    (sent,) = await planned(ledger, "e", paths=["/0.png"])
    await yes(ledger, sent, "intended", account=ACCOUNT)
    (held_back,) = await planned(ledger, "f", paths=["/1.png"])
    await yes(ledger, held_back, "intended", account=ACCOUNT)
    await yes(ledger, held_back, "retracted")

    async def pairs(after: int = 0, size: int = 200) -> list[tuple[str, str]]:
        found = await ledger.never_sent_alike(ACCOUNT, "avatar", after=after, size=size)
        return [(step.key, thing.remote_id) for step, thing in found]

    everything = [("a", "0"), ("a", "2"), ("b", "0"), ("b", "2"), ("f", "1")]
    assert await pairs() == everything
    assert await pairs(size=1) == everything[:2]
    assert await pairs(after=same[0].id, size=1) == everything[2:4]


# --- turns ------------------------------------------------------------------------------------


async def test_steps_wait_for_their_turn(ledger: Ledger) -> None:
    steps = {step.key: step for step in await planned(ledger, "a", "b", "c", "d")}
    paid = await in_state(ledger, "paid", "running")
    for key in ("b", "a", "d"):
        await ledger.queue(steps[key].id, ACCOUNT)
    await ledger.queue(steps["c"].id, None)
    await ledger.queue(paid.id, ACCOUNT)
    await ledger.queue(steps["b"].id, ACCOUNT)  # once more: later
    turns = []
    while (step := await ledger.next_step(ACCOUNT)) is not None:
        turns.append(step.key)
        assert step.account == ACCOUNT
    assert turns == ["paid", "a", "d", "b"]
    alone = await ledger.next_step(None)
    assert alone is not None
    assert (alone.key, alone.account) == ("c", None)
    assert await ledger.next_step(None) is None


async def test_nothing_waits_at_the_start(opener: Opener) -> None:
    async with opener() as ledger:
        (step,) = await planned(ledger)
        await ledger.queue(step.id, ACCOUNT)
    async with opener() as ledger:
        assert await ledger.next_step(ACCOUNT) is None


# --- trying again -----------------------------------------------------------------------------


async def test_failed_rows_are_opened_again(ledger: Ledger) -> None:
    begun: list[tuple[Any, Any, dict[str, Any]]] = [
        ("intended", None, {}),
        ("answered", "running", {"claim": "9"}),
    ]
    ways: dict[str, list[tuple[Any, Any, dict[str, Any]]]] = {
        "upload": [
            ("prepared", None, {"own": ["image"], "tokens": {"/up.png": True}, "mark": "ka-1"}),
            ("failed", None, {"error": "gone"}),
        ],
        "missing": [*begun, ("failed", None, {"evidence": "missing"})],
        "abandoned": [("intended", None, {}), ("lost", None, {}), ("abandoned", None, {})],
    }
    steps = {step.key: step for step in await planned(ledger, *ways, paths=["/given.png"])}
    for key, way in ways.items():
        for event, to, fields in way:
            await yes(ledger, steps[key], event, to, **fields)
    download = await in_state(ledger, "download", "made")
    await yes(ledger, download, "failed", error="410")
    await in_state(ledger, "fine", "done")
    assert await ledger.to_reopen() == 3
    first = await ledger.reopen(0, 2)
    rest = await ledger.reopen(first[-1].id, 2)
    states = {row.key: (row.state, row.steps[0].evidence) for row in (*first, *rest)}
    assert states == {
        "upload": ("planned", "reopened"),
        "missing": ("running", "reopened"),
        "download": ("made", "reopened"),
    }
    assert first[0].steps[0].mark is None
    assert first[1].steps[0].remote_id == "9"
    used = await ledger.uses(None, "avatar", ["/up.png", "/given.png"])
    assert [one.key for one in used] == ["upload", "missing", "abandoned"]
    assert await ledger.uses(None, "avatar", ["/up.png"]) == []
    assert await ledger.to_reopen() == 3  # none was sent since
    await yes(ledger, steps["upload"], "intended")
    assert await ledger.to_reopen() == 2
    assert await ledger.reopen(rest[-1].id, 10) == []


async def test_only_steps_of_a_number_are_opened_again(ledger: Ledger) -> None:
    rows = [row_input(f"k{n}", n, step_input(1), step_input(2)) for n in (1, 2)]
    first, second = [row.steps for row in await ledger.register(rows)]
    await brought_to(ledger, first[0], "failed")
    await brought_to(ledger, second[0], "done")
    await brought_to(ledger, second[1], "failed")
    assert await ledger.to_reopen(numbers={2}) == 1
    assert [row.key for row in await ledger.reopen(0, 10, numbers={2})] == ["k2"]
    assert (await ledger.step(first[0].id)).state == "failed"


async def test_a_server_that_forgot_all(ledger: Ledger) -> None:
    rows = [row_input(f"k{n}", n, step_input(1), step_input(2)) for n in (1, 2, 3)]
    whole, half, given = [row.steps for row in await ledger.register(rows)]
    for step in whole:
        await brought_to(ledger, step, "done")
    await brought_to(ledger, half[0], "done")
    await brought_to(ledger, half[1], "running")
    await brought_to(ledger, given[0], "failed")
    await in_state(ledger, "k4", "ready")
    assert await ledger.forget_server() == 4
    states = [[step.state for step in row.steps] for row in await all_rows(ledger)]
    assert states == [["done", "done"], ["planned", "planned"], ["failed", "planned"], ["planned"]]


# --- the ledger itself ------------------------------------------------------------------------


async def test_facts_are_kept(opener: Opener) -> None:
    async with opener() as ledger:
        await ledger.set_fact("folder", "/videos")
        await ledger.set_fact("folder", "/elsewhere")
        born = await ledger.fact("born_at")
    async with opener() as ledger:
        assert await ledger.fact("folder") == "/elsewhere"
        assert await ledger.fact("nothing") is None
        assert await ledger.fact("born_at") == born is not None
        written = await ledger.fact("last_written_at")
    assert written is not None
    assert float(born) <= float(written)


async def test_an_intent_of_a_run_that_is_over_is_in_doubt(opener: Opener) -> None:
    async with opener() as ledger:
        steps = [await in_state(ledger, state, state) for state in STATES]
    async with opener() as ledger:
        after = [(await ledger.step(step.id)).state for step in steps]
        assert after == ["doubt" if state == "intent" else state for state in STATES]
        doubt = await ledger.step(steps[STATES.index("intent")].id)
        assert "died" in (doubt.error or "")
        assert [one.event for one in await ledger.history(doubt.row_id)] == ["lost"]


CHILD = """
import asyncio, sys
sys.path[:0] = sys.argv[3:]
from pathlib import Path
from ledgers import ACCOUNT, FORMS, planned, tried

async def main():
    async with FORMS[sys.argv[1]](Path(sys.argv[2]))() as ledger:
        steps = await planned(ledger, *(f"k{n}" for n in range(200)))
        print("open", flush=True)
        for step in steps:
            await tried(ledger, step, "intended", account=ACCOUNT)
            print("intent", step.id, flush=True)
            await tried(ledger, step, "answered", "done", claim=str(step.id))
            print("done", step.id, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [1, 2, 3, 60, 61])
@pytest.mark.parametrize("form", FORM_NAMES)
async def test_what_was_said_to_be_written_outlives_its_process(
    form: str, tmp_path: Path, lines: int
) -> None:
    support = Path(__file__).parent.parent / "support"
    words = [textwrap.dedent(CHILD), form, str(tmp_path), str(support), *sys.path]
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", *words, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    heard = [(await child.stdout.readline()).decode().split() for _ in range(lines)]
    with suppress(ProcessLookupError):
        os.kill(child.pid, signal.SIGKILL)
    heard += [line.decode().split() for line in (await child.stdout.read()).splitlines()]
    await child.wait()
    said = {int(one[1]): one[0] for one in heard if len(one) == 2}
    async with FORMS[form](tmp_path)() as ledger:
        for step_id, word in said.items():
            step = await ledger.step(step_id)
            assert step.state == "done" if word == "done" else step.state in ("doubt", "done")
            assert step.attempts == 1
        counts = await ledger.counts()
        assert sum(counts.values()) == 200
        assert counts.get("done", 0) >= list(said.values()).count("done")

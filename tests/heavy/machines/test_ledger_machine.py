"""Does a ledger say what a plain dict would, whatever befalls its rows, in any order?

Hypothesis drives a real ledger and a model of a few lines: registering, every event in every state,
claims, turns, and deaths between two writes.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from ledgers import FORMS, row_input, step_input

from kling_async.bulk.ledger import Ledger
from kling_async.bulk.records import Applied, Change, Step, WorkRecord

# Written by hand, apart from the machine's own table.
WAYS = {
    "prepared": {"planned": ["ready"]},
    "intended": {"planned": ["intent"], "ready": ["intent"]},
    "retracted": {"intent": ["ready"]},
    "answered": {"intent": ["running", "done"]},
    "contested": {"intent": ["unknown"]},
    "lost": {"intent": ["doubt"]},
    "found": {"doubt": ["running", "done"], "unknown": ["running", "done"]},
    "given_up": {"doubt": ["unknown"]},
    "resent": {"doubt": ["ready"], "unknown": ["ready"]},
    "abandoned": {"doubt": ["failed"], "unknown": ["failed"]},
    "finished": {"running": ["made", "done"]},
    "file_lost": {"done": ["made"]},
    "failed": {one: ["failed"] for one in ("planned", "ready", "intent", "running", "made")},
    "reopened": {"failed": ["planned", "running", "made"]},
}
ENDS = sorted(
    {(event, end) for event, ways in WAYS.items() for ends in ways.values() for end in ends}
)
KEYS = ["a", "b", "c"]
IDS = ["1", "2", "3"]
DIGESTS = ["x", "y"]


@define
class Known:
    """A step as the model has it."""

    digest: str
    state: str = "planned"
    attempts: int = 0
    remote_id: str | None = None
    evidence: str | None = None
    never_sent: bool = True
    waits: bool = False


@define
class Model:
    """What a ledger has to say."""

    steps: dict[str, Known] = field(factory=dict)
    claims: dict[str, str] = field(factory=dict)
    queue: list[str] = field(factory=list)


class LedgerMachine(RuleBasedStateMachine):
    """Three rows of one step each, and everything that may befall them."""

    form = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.loop = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.model = Model()
        self.ids: dict[str, int] = {}
        self.ledger: Ledger = self.run(self.open())

    def run(self, doing: Any) -> Any:
        return self.loop.run(doing)

    async def open(self) -> Ledger:
        self.stack = AsyncExitStack()
        return await self.stack.enter_async_context(FORMS[self.form](self.folder)())

    def teardown(self) -> None:
        self.run(self.stack.aclose())
        self.loop.close()
        shutil.rmtree(self.folder)

    # --- what befalls it ---

    @rule(key=st.sampled_from(KEYS), digest=st.sampled_from(DIGESTS), position=st.integers(1, 9))
    def register(self, key: str, digest: str, position: int) -> None:
        self.run(self.ledger.begin_run())
        (row,) = self.run(
            self.ledger.register([row_input(key, position, step_input(digest=digest))])
        )
        self.ids[key] = row.steps[0].id
        known = self.model.steps.get(key)
        if known is None:
            self.model.steps[key] = Known(digest)
            assert not row.differs
            return
        held = known.state not in ("planned", "ready", "failed") or known.evidence == "missing"
        assert row.differs == (held and known.digest != digest)
        if known.digest != digest and not held:
            waits = known.waits
            self.model.steps[key] = Known(digest, attempts=known.attempts, waits=waits)

    @rule(
        key=st.sampled_from(KEYS), way=st.sampled_from(ENDS), remote_id=st.sampled_from(IDS),
        digest=st.sampled_from([None, *DIGESTS]), missing=st.booleans(),
    )  # fmt: skip
    @precondition(lambda self: self.model.steps)
    def happens(
        self, key: str, way: tuple[Any, Any], remote_id: str, digest: str | None, missing: bool
    ) -> None:
        known = self.model.steps.get(key)
        if known is None:
            return
        event, end = way
        claim = remote_id if event in ("answered", "found") else None
        values: dict[str, Any] = {}
        if event == "found":
            values["evidence"] = "adopted"
        if event == "failed" and missing:
            values["evidence"] = "missing"
        works = (WorkRecord(number=1),) if event == "finished" else ()
        change = Change(
            step_id=self.ids[key], event=event, to=end, values=values, digest=digest, claim=claim,
            works=works,
        )  # fmt: skip
        result = self.run(self.ledger.apply(change))
        possible = end in WAYS[event].get(known.state, ()) and digest in (None, known.digest)
        if not possible:
            assert result is Applied.STALE
        elif claim is not None and self.model.claims.get(claim, key) != key:
            assert result is Applied.CLAIMED
        else:
            assert result is Applied.YES
            self.follow(known, key, event, end, claim, values)

    def follow(
        self,
        known: Known,
        key: str,
        event: str,
        end: str,
        claim: str | None,
        values: dict[str, Any],
    ) -> None:
        known.state = end
        if claim is not None:
            self.model.claims[claim] = key
            known.remote_id = claim
            known.evidence = values.get("evidence", "answer")
        if event == "intended":
            known.attempts += 1
            known.evidence = None
        if event == "failed":
            known.evidence = values.get("evidence")
        if event == "abandoned":
            known.evidence = "abandoned"
        if event == "resent":
            known.evidence = None
        if event == "reopened":
            known.evidence = "reopened"
            if end == "planned":
                known.remote_id = None

    @rule(key=st.sampled_from(KEYS))
    def queue(self, key: str) -> None:
        if key in self.model.steps:
            self.run(self.ledger.queue(self.ids[key], None))
            if key in self.model.queue:
                self.model.queue.remove(key)
            self.model.queue.append(key)
            self.model.steps[key].waits = self.model.steps[key].state in ("running", "made")

    @rule()
    def turn(self) -> None:
        step: Step | None = self.run(self.ledger.next_step(None))
        first = sorted(self.model.queue, key=lambda key: not self.model.steps[key].waits)
        assert (step.key if step else None) == (first[0] if first else None)
        if first:
            self.model.queue.remove(first[0])

    @rule(kill=st.booleans())
    def open_again(self, kill: bool) -> None:
        """A clean end, or what a death leaves: the files as they lie, in another folder."""
        kill = kill and self.form != "postgres"  # it has no files here that could lie anywhere
        other = Path(tempfile.mkdtemp())
        if kill:
            self.run(self.ledger.settled())
            shutil.copytree(self.folder, other, dirs_exist_ok=True)
        self.run(self.stack.aclose())
        if kill:
            shutil.rmtree(self.folder)
            self.folder = other
        else:
            other.rmdir()
        self.ledger = self.run(self.open())
        self.model.queue.clear()
        for known in self.model.steps.values():
            if known.state == "intent":
                known.state = "doubt"

    # --- what has to hold ---

    @invariant()
    def it_says_what_the_model_says(self) -> None:
        for key, known in self.model.steps.items():
            step: Step = self.run(self.ledger.step(self.ids[key]))
            assert (step.key, step.digest, step.state) == (key, known.digest, known.state)
            assert (step.attempts, step.remote_id) == (known.attempts, known.remote_id)
            assert step.evidence == known.evidence
        owners = {id_: self.ids[key] for id_, key in self.model.claims.items()}
        assert self.run(self.ledger.owners(None, "avatar", IDS)) == owners
        counts: dict[str, int] = {}
        for known in self.model.steps.values():
            counts[known.state] = counts.get(known.state, 0) + 1
        assert self.run(self.ledger.counts()) == counts


@pytest.mark.parametrize("form", sorted(FORMS))
def test_a_ledger_is_as_good_as_a_dict(form: str) -> None:
    machine = type("Machine", (LedgerMachine,), {"form": form})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40, stateful_step_count=30, deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )  # fmt: skip

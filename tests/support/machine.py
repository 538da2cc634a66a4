"""What may befall the rows of a ledger, in any order? For avatars, and for their videos.

Hypothesis drives a real ledger and the real judge against a model of the server, on a clock of its
own. A request that was lost may still arrive, at any later time; a look shows what it shows. What
is paid for, and how it is seen and kept, is said by `test_doubt_machine.py` for avatars and by
`test_video_machine.py` for videos.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

from attrs import define
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kling_async import LedgerError
from kling_async.bulk.ledger import Ledger
from kling_async.bulk.records import Record

OPEN = ("planned", "ready")
MAY_EXIST = ("intent", "doubt", "unknown")
EXAMPLES = settings(
    max_examples=80,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@define(kw_only=True)
class Sent:
    """A create on its way: it arrives at some time, or never; its sender waits, or has gone."""

    key: str
    waiting: bool = True
    made: Any = None
    """The id of what it made, once it has arrived."""


class LedgerMachine(RuleBasedStateMachine):
    """One account, a few rows, and everything that may befall the step that is paid for."""

    clocked: ClassVar[ModuleType]
    """Asks for the time."""
    known: ClassVar[Collection[str]]
    """States in which it is known what was made."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.now_s = 1_784_000_000.0
        self.clocked.time = SimpleNamespace(time=lambda: self.now_s)  # type: ignore[attr-defined]
        self.sent: list[Any] = []
        self.again: Counter[str] = Counter()
        """Times that the user had a row sent again."""
        self.ledger: Ledger | None = None

    def teardown(self) -> None:
        self.clocked.time = time  # type: ignore[attr-defined]
        if self.ledger is not None:
            self.ledger.close()
        shutil.rmtree(self.folder)

    # --- what is paid for ---

    def half(self, ledger: Ledger) -> Any:
        """The half of the ledger that has its state machine."""
        raise NotImplementedError

    def made_of(self, row: Record) -> Any:
        """The id of what the ledger says was made of a row; None: nothing that it knows of."""
        raise NotImplementedError

    def state_of(self, row: Record) -> str:
        """The state of what is paid for."""
        raise NotImplementedError

    def truth(self) -> Mapping[Any, str | None]:
        """All that the server was made to make: id -> whose; None: a stranger's."""
        raise NotImplementedError

    def excused(self, row: Record) -> bool:
        """Whether nothing that was made for it need be known, without a word of the user's."""
        raise NotImplementedError

    def answered(self, ledger: Ledger, row: Record, made: Any) -> None:
        """The arrow of a good answer."""
        raise NotImplementedError

    def adopt(self, ledger: Ledger, row: Record, made: Any) -> None:
        """The arrow of the user's word."""
        raise NotImplementedError

    def first_look(self, ledger: Ledger) -> Any:
        """What a run does before it sends anything."""
        raise NotImplementedError

    def judge(self, ledger: Ledger) -> Any:
        """A look at what is shown now."""
        raise NotImplementedError

    def given_up(self, ledger: Ledger, row_ids: list[int]) -> None:
        """The time of these doubts is over."""
        raise NotImplementedError

    # --- means ---

    def open(self) -> None:
        self.ledger = Ledger.open(self.folder / "a.sqlite", service="model")

    def write(self, act: Callable[[Ledger], Any]) -> None:
        assert self.ledger is not None
        with self.ledger.transaction():
            act(self.ledger)

    def record(self, key: str) -> Record:
        assert self.ledger is not None
        return self.ledger.get(key)

    def rows(self, *states: str) -> list[Record]:
        """Those in one of the states; without any, all."""
        assert self.ledger is not None
        return [one for one in self.ledger.each() if not states or self.state_of(one) in states]

    def picked(self, data: st.DataObject, among: list[Any]) -> Any:
        return data.draw(st.sampled_from(among))

    def waiting(self, *, arrived: bool | None = None) -> list[Any]:
        """What is on its way and waited for; of those, what has arrived, or has not."""
        return [one for one in self.sent if one.waiting and arrived in (None, one.made is not None)]

    def hear(self, one: Any) -> None:
        self.sent.remove(one)
        self.write(lambda ledger: self.answered(ledger, ledger.get(one.key), one.made))

    # --- the runner ---

    @rule(data=st.data())
    @precondition(lambda self: self.waiting(arrived=True))
    def answer(self, data: st.DataObject) -> None:
        self.hear(self.picked(data, self.waiting(arrived=True)))

    @rule(data=st.data())
    @precondition(lambda self: self.waiting(arrived=False))
    def refuse(self, data: st.DataObject) -> None:
        """429, or it was never sent."""
        one = self.picked(data, self.waiting(arrived=False))
        self.sent.remove(one)
        row_id = self.record(one.key).id
        self.write(lambda ledger: self.half(ledger).not_carried_out(row_id, "too many"))

    @rule(data=st.data())
    @precondition(lambda self: self.waiting())
    def lose(self, data: st.DataObject) -> None:
        one = self.picked(data, self.waiting())
        one.waiting = False
        row_id = self.record(one.key).id
        self.write(lambda ledger: self.half(ledger).doubt(row_id, "lost"))

    @rule()
    def die(self) -> None:
        assert self.ledger is not None
        for one in self.sent:
            one.waiting = False
        self.ledger.close()
        self.open()
        self.write(self.first_look)

    @rule()
    def look(self) -> None:
        self.write(self.judge)

    @rule()
    @precondition(lambda self: self.rows("doubt"))
    def give_up(self) -> None:
        ids = [one.id for one in self.rows("doubt")]
        self.write(lambda ledger: self.given_up(ledger, ids))

    # --- the world ---

    @rule(seconds=st.sampled_from((1, 10, 6000)))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    # --- the user ---

    @rule(data=st.data())
    @precondition(lambda self: self.rows("unknown"))
    def resend(self, data: st.DataObject) -> None:
        row = self.picked(data, self.rows("unknown"))
        self.again[row.key] += 1
        self.write(lambda ledger: self.half(ledger).resend(row.id, "by the user's word"))

    @rule(data=st.data())
    @precondition(lambda self: self.rows("unknown"))
    def abandon(self, data: st.DataObject) -> None:
        row = self.picked(data, self.rows("unknown"))
        self.write(lambda ledger: self.half(ledger).abandon(row.id))

    @rule(data=st.data())
    @precondition(lambda self: self.rows("unknown") and self.rows(*self.known))
    def adopt_anothers(self, data: st.DataObject) -> None:
        row = self.picked(data, self.rows("unknown"))
        made = self.made_of(self.picked(data, self.rows(*self.known)))
        try:
            self.write(lambda ledger: self.adopt(ledger, row, made))
        except LedgerError:
            assert self.rows("unknown").count(row) == 1
        else:
            raise AssertionError("one thing, two rows")

    @rule(data=st.data())
    @precondition(lambda self: self.rows("unknown"))
    def adopt_its_own(self, data: st.DataObject) -> None:
        row = self.picked(data, self.rows("unknown"))
        own = [made for made, key in self.truth().items() if key == row.key]
        if own:
            self.write(lambda ledger: self.adopt(ledger, row, own[0]))

    # --- the promise ---

    @invariant()
    def nothing_is_paid_twice(self) -> None:
        paid = Counter(key for key in self.truth().values() if key is not None)
        assert all(count <= 1 + self.again[key] for key, count in paid.items())

    @invariant()
    def what_is_known_is_true(self) -> None:
        if self.ledger is None:
            return
        truth, rows = self.truth(), self.rows(*self.known)
        for row in rows:
            assert truth[self.made_of(row)] == row.key, row
        assert len({self.made_of(row) for row in rows}) == len(rows)

    @invariant()
    def what_was_paid_for_is_not_forgotten(self) -> None:
        if self.ledger is None:
            return
        paid = set(self.truth().values())
        for row in self.rows():
            if row.key in paid and self.state_of(row) not in (*self.known, *MAY_EXIST):
                assert self.again[row.key] or self.excused(row), row

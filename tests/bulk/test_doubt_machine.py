"""Can any order of sends, losses, deaths, looks and decisions double, lose or mistake an avatar?

Hypothesis drives a real ledger and the real judge against a model of the server, on a clock of its
own. A request that was lost may still arrive, at any later time; a listing shows what it shows.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from attrs import define
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kling_async import LedgerError
from kling_async.bulk import ledger as ledger_module
from kling_async.bulk.doubts import _given_up, _prepared
from kling_async.bulk.judge import Rules, judge
from kling_async.bulk.ledger import Ledger
from kling_async.bulk.records import Record, State
from kling_async.bulk.rows import row_of
from kling_async.models.avatars import Avatar, ImageResource, url_path

MAY_EXIST: tuple[State, ...] = ("intent", "doubt", "unknown")
ROWS = st.lists(
    st.tuples(st.sampled_from(("upload", "url", "shared url", "known url")), st.integers(0, 2)),
    min_size=1,
    max_size=5,
)


@define
class Sent:
    """A create on its way: it arrives at some time, or never; its sender waits, or has gone."""

    key: str
    path: str
    nickname: str
    waiting: bool = True
    avatar_id: str | None = None


class DoubtMachine(RuleBasedStateMachine):
    """One account, a few rows, and everything that may befall them."""

    texts_alone = False
    """Addresses are re-hosted, the account has a single writer, and one row was answered."""

    def __init__(self) -> None:
        super().__init__()
        self.rehost = False
        self.folder = Path(tempfile.mkdtemp())
        self.now_s = 1_784_000_000.0
        ledger_module.time = SimpleNamespace(time=lambda: self.now_s)  # type: ignore[assignment]
        self.sent: list[Sent] = []
        self.listed: list[tuple[float, str | None, Avatar]] = []
        """(when it shows, whose, what)."""
        self.resends: Counter[str] = Counter()
        self.ledger: Ledger | None = None

    def teardown(self) -> None:
        import time

        ledger_module.time = time
        if self.ledger is not None:
            self.ledger.close()
        shutil.rmtree(self.folder)

    @initialize(rows=ROWS, naming=st.booleans(), rehost=st.booleans(), single=st.booleans())
    def begin(self, rows: list[Any], naming: bool, rehost: bool, single: bool) -> None:
        """A job; what its account had before; its first listing."""
        if self.texts_alone:
            rehost = single = True
            rows = [("upload", 9), *((kind.replace("known ", ""), n % 2) for kind, n in rows)]
        self.rehost, self.rules = rehost, Rules(single)
        self.account = "ada@example.com" if naming else None
        self.urls, given = {}, []
        for n, (kind, texts) in enumerate(rows):
            key, place = str(n), "shared" if kind == "shared url" else str(n)
            self.urls[key] = f"https://pictures.example/{place}.png"
            fields = {"key": key, "nickname": f"Name {texts}", "prompt": "Speaks"}
            given.append(row_of({**fields, "image_url": self.urls[key]}, n + 1))
            if kind == "known url":
                self.make(None, url_path(self.urls[key]), f"Name {texts}")
        self.kinds = {str(n): kind for n, (kind, _) in enumerate(rows)}
        self.now_s += 10_000
        self.open()
        self.write(lambda ledger: ledger.register(given))
        self.write(lambda ledger: _prepared(ledger, self.account, self.listing(), self.rules))
        if self.texts_alone:
            self.send_row(self.rows()[0])
            self.sent[0].avatar_id = self.make("0", self.sent[0].path, "Name 9")
            self.hear(self.sent[0])

    # --- what the others are ---

    def open(self) -> None:
        self.ledger = Ledger.open(self.folder / "a.sqlite", service="model")

    def write(self, act: Callable[[Ledger], Any]) -> None:
        assert self.ledger is not None
        with self.ledger.transaction():
            act(self.ledger)

    def rows(self, *states: State) -> list[Record]:
        assert self.ledger is not None
        return list(self.ledger.each(states))

    def listing(self) -> list[Avatar]:
        return [one for shows_s, _, one in self.listed if shows_s <= self.now_s]

    def make(self, key: str | None, path: str, nickname: str, lag_s: float = 0) -> str:
        number = len(self.listed)
        shown = f"/portraits/{number}.png" if self.rehost else path
        made = Avatar(
            id=str(300_000_000_000 + number),
            prompt="Speaks",
            image_resources=(ImageResource(url=f"https://cdn.example{shown}"),),
            nickname=nickname,
            create_time_ms=int(self.now_s * 1000),
        )
        self.listed.append((self.now_s + lag_s, key, made))
        return made.id

    def picked(self, data: st.DataObject, among: list[Any]) -> Any:
        return data.draw(st.sampled_from(among))

    # --- the runner ---

    @rule(data=st.data())
    @precondition(lambda self: self.rows("planned", "ready"))
    def send(self, data: st.DataObject) -> None:
        self.send_row(self.picked(data, self.rows("planned", "ready")))

    def send_row(self, row: Record) -> None:
        asset = f"https://cdn.example/uploads/{row.key}.png"
        upload = asset if self.kinds[row.key] == "upload" else None
        url = upload or self.urls[row.key]
        self.write(lambda ledger: ledger.ready(row.id, self.account, upload, url))
        self.write(lambda ledger: ledger.intent(row.id, self.account))
        self.sent.append(Sent(row.key, url_path(url), str(row.payload["nickname"])))

    @rule(data=st.data(), lag_s=st.sampled_from((0, 0, 5, 5000)))
    @precondition(lambda self: any(one.avatar_id is None for one in self.sent))
    def arrive(self, data: st.DataObject, lag_s: float) -> None:
        one = self.picked(data, [one for one in self.sent if one.avatar_id is None])
        one.avatar_id = self.make(one.key, one.path, one.nickname, lag_s)

    @rule(data=st.data())
    @precondition(lambda self: any(one.waiting and one.avatar_id for one in self.sent))
    def answer(self, data: st.DataObject) -> None:
        self.hear(self.picked(data, [one for one in self.sent if one.waiting and one.avatar_id]))

    def hear(self, one: Sent) -> None:
        self.sent.remove(one)
        self.write(lambda ledger: ledger.done(ledger.get(one.key).id, one.avatar_id or ""))

    @rule(data=st.data())
    @precondition(lambda self: any(one.waiting and not one.avatar_id for one in self.sent))
    def refuse(self, data: st.DataObject) -> None:
        """429, or it was never sent."""
        one = self.picked(data, [one for one in self.sent if one.waiting and not one.avatar_id])
        self.sent.remove(one)
        self.write(lambda ledger: ledger.not_carried_out(ledger.get(one.key).id, "too many"))

    @rule(data=st.data())
    @precondition(lambda self: any(one.waiting for one in self.sent))
    def lose(self, data: st.DataObject) -> None:
        one = self.picked(data, [one for one in self.sent if one.waiting])
        one.waiting = False
        self.write(lambda ledger: ledger.doubt(ledger.get(one.key).id, "lost"))

    @rule()
    def die(self) -> None:
        assert self.ledger is not None
        for one in self.sent:
            one.waiting = False
        self.ledger.close()
        self.open()
        self.write(lambda ledger: _prepared(ledger, self.account, self.listing(), self.rules))

    @rule()
    def look(self) -> None:
        self.write(lambda ledger: judge(ledger, self.account, self.listing(), self.rules))

    @rule()
    @precondition(lambda self: self.rows("doubt"))
    def give_up(self) -> None:
        ids = [one.id for one in self.rows("doubt")]
        self.write(
            lambda ledger: _given_up(ledger, self.account, ids, self.listing(), False, 120.0)
        )

    # --- the world ---

    @rule(seconds=st.sampled_from((1, 10, 6000)))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(texts=st.integers(0, 2))
    @precondition(lambda self: not self.rules.single_writer)
    def stranger(self, texts: int) -> None:
        self.make(None, f"/strangers/{len(self.listed)}.png", f"Name {texts}")

    # --- the user ---

    @rule(data=st.data())
    @precondition(lambda self: self.rows("unknown"))
    def resend(self, data: st.DataObject) -> None:
        row = self.picked(data, self.rows("unknown"))
        self.resends[row.key] += 1
        self.write(lambda ledger: ledger.resend(row.id, "by the user's word"))

    @rule(data=st.data())
    @precondition(lambda self: self.rows("unknown"))
    def abandon(self, data: st.DataObject) -> None:
        row = self.picked(data, self.rows("unknown"))
        self.write(lambda ledger: ledger.abandon(row.id))

    @rule(data=st.data())
    @precondition(lambda self: self.rows("unknown") and self.rows("done"))
    def adopt_anothers(self, data: st.DataObject) -> None:
        row, other = self.picked(data, self.rows("unknown")), self.picked(data, self.rows("done"))
        try:
            self.write(lambda ledger: ledger.adopt(row.id, str(other.avatar_id), "settled"))
        except LedgerError:
            assert self.rows("unknown").count(row) == 1
        else:
            raise AssertionError("one avatar, two rows")

    @rule(data=st.data())
    @precondition(lambda self: self.rows("unknown"))
    def adopt_its_own(self, data: st.DataObject) -> None:
        row = self.picked(data, self.rows("unknown"))
        own = [one.id for _, key, one in self.listed if key == row.key]
        if own:
            self.write(lambda ledger: ledger.adopt(row.id, own[0], "settled"))

    # --- the promise ---

    @invariant()
    def nothing_is_made_twice(self) -> None:
        made = Counter(key for _, key, _ in self.listed if key is not None)
        assert all(count <= 1 + self.resends[key] for key, count in made.items())

    @invariant()
    def what_is_done_is_true(self) -> None:
        if self.ledger is None:
            return
        truth = {one.id: key for _, key, one in self.listed}
        done = self.rows("done")
        assert {one.key: truth[one.avatar_id or ""] for one in done} == {
            one.key: one.key for one in done
        }
        assert len({one.avatar_id for one in done}) == len(done)

    @invariant()
    def what_exists_is_not_forgotten(self) -> None:
        if self.ledger is None:
            return
        made = {key for _, key, _ in self.listed if key is not None}
        for row in self.rows():
            if row.key in made and row.state not in ("done", *MAY_EXIST):
                # The user has said so: to be sent again, or abandoned.
                assert self.resends[row.key] or row.evidence == "abandoned", row


class TextsMachine(DoubtMachine):
    """Where nothing but the texts can be evidence."""

    texts_alone = True


EXAMPLES = settings(
    max_examples=80,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestDoubts = DoubtMachine.TestCase
TestDoubts.settings = EXAMPLES
TestTexts = TextsMachine.TestCase
TestTexts.settings = EXAMPLES

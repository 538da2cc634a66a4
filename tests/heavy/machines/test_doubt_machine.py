"""Can any order of sends, losses, deaths, looks and decisions double, lose or mistake an avatar?

The rules that avatars share with videos are in `machine.py`.
"""

from __future__ import annotations

from typing import Any

from attrs import define
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule
from machine import EXAMPLES, OPEN, LedgerMachine, Sent

from kling_async.bulk import ledger as ledger_module
from kling_async.bulk.doubts import _given_up, _prepared
from kling_async.bulk.judge import Rules, judge
from kling_async.bulk.ledger import Ledger
from kling_async.bulk.records import Record
from kling_async.bulk.rows import row_of
from kling_async.models.avatars import Avatar, ImageResource
from kling_async.models.sightings import url_path

ROWS = st.lists(
    st.tuples(st.sampled_from(("upload", "url", "shared url", "known url")), st.integers(0, 2)),
    min_size=1,
    max_size=5,
)


@define(kw_only=True)
class SentAvatar(Sent):
    """The create of an avatar."""

    path: str
    nickname: str


class DoubtMachine(LedgerMachine):
    """The avatars of rows."""

    clocked = ledger_module
    known = ("done",)
    texts_alone = False
    """Addresses are re-hosted, the account has a single writer, and one row was answered."""

    def __init__(self) -> None:
        super().__init__()
        self.rehost = False
        self.listed: list[tuple[float, str | None, Avatar]] = []
        """(when it shows, whose, what)."""

    @initialize(rows=ROWS, naming=st.booleans(), rehost=st.booleans(), single=st.booleans())
    def begin(self, rows: list[Any], naming: bool, rehost: bool, single: bool) -> None:
        """A job; what its account had before; its first listing."""
        if self.texts_alone:
            rehost = single = True
            rows = [("upload", 9), *((kind.replace("known ", ""), n % 2) for kind, n in rows)]
        self.rehost, self.evidence = rehost, Rules(single)
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
        self.write(self.first_look)
        if self.texts_alone:
            self.send_row(self.rows()[0])
            self.sent[0].made = self.make("0", self.sent[0].path, "Name 9")
            self.hear(self.sent[0])

    # --- what is paid for ---

    def half(self, ledger: Ledger) -> Ledger:
        return ledger

    def made_of(self, row: Record) -> str | None:
        return row.avatar_id

    def state_of(self, row: Record) -> str:
        return row.state

    def truth(self) -> dict[str, str | None]:
        return {one.id: key for _, key, one in self.listed}

    def excused(self, row: Record) -> bool:
        return row.evidence == "abandoned"

    def answered(self, ledger: Ledger, row: Record, made: str) -> None:
        ledger.done(row.id, made)

    def adopt(self, ledger: Ledger, row: Record, made: str) -> None:
        ledger.adopt(row.id, made, "settled")

    def first_look(self, ledger: Ledger) -> None:
        _prepared(ledger, self.account, self.listing(), self.evidence)

    def judge(self, ledger: Ledger) -> None:
        judge(ledger, self.account, self.listing(), self.evidence)

    def given_up(self, ledger: Ledger, row_ids: list[int]) -> None:
        _given_up(ledger, self.account, row_ids, self.listing(), False, 120.0)

    # --- the server ---

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

    @rule(data=st.data(), lag_s=st.sampled_from((0, 0, 5, 5000)))
    @precondition(lambda self: any(one.made is None for one in self.sent))
    def arrive(self, data: st.DataObject, lag_s: float) -> None:
        one = self.picked(data, [one for one in self.sent if one.made is None])
        one.made = self.make(one.key, one.path, one.nickname, lag_s)

    @rule(texts=st.integers(0, 2))
    @precondition(lambda self: not self.evidence.single_writer)
    def stranger(self, texts: int) -> None:
        self.make(None, f"/strangers/{len(self.listed)}.png", f"Name {texts}")

    # --- the runner ---

    @rule(data=st.data())
    @precondition(lambda self: self.rows(*OPEN))
    def send(self, data: st.DataObject) -> None:
        self.send_row(self.picked(data, self.rows(*OPEN)))

    def send_row(self, row: Record) -> None:
        asset = f"https://cdn.example/uploads/{row.key}.png"
        upload = asset if self.kinds[row.key] == "upload" else None
        url = upload or self.urls[row.key]
        self.write(lambda ledger: ledger.ready(row.id, self.account, upload, url))
        self.write(lambda ledger: ledger.intent(row.id, self.account))
        nickname = str(row.payload["nickname"])
        self.sent.append(SentAvatar(key=row.key, path=url_path(url), nickname=nickname))


class TextsMachine(DoubtMachine):
    """Where nothing but the texts can be evidence."""

    texts_alone = True


TestDoubts = DoubtMachine.TestCase
TestDoubts.settings = EXAMPLES
TestTexts = TextsMachine.TestCase
TestTexts.settings = EXAMPLES

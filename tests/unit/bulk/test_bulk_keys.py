"""By what is a row without a key known? By what it says, wherever it stands, on a real ledger."""

from __future__ import annotations

import itertools
import random
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kling_async.bulk.recipes import AVATARS, TALKING, Recipe
from kling_async.bulk.records import Applied, Change, Row, RowInput
from kling_async.bulk.rows import RowBuilder
from kling_async.bulk.sqlite import SqliteLedger, open_ledger
from kling_async.models.avatars import CreateAvatar

URL = "https://example.com/a.png"
Content = Mapping[str, Any]


def built(given: Iterable[object], recipe: Recipe = TALKING) -> list[RowInput]:
    with RowBuilder(recipe) as builder:
        return [builder.row(one, position) for position, one in enumerate(given, start=1)]


def keys(*given: object) -> list[str]:
    return [row.key for row in built(given)]


class Job:
    """A ledger, and runs that make all that it has to be made."""

    def __init__(self, ledger: SqliteLedger) -> None:
        self.ledger = ledger
        self.paid = Counter[str]()
        """What was sent, by its digest."""
        self._ids = itertools.count(1)

    async def run(self, given: Sequence[object], recipe: Recipe = TALKING) -> list[Row]:
        await self.ledger.begin_run()
        rows = list[Row]()
        for chunk in _chunks(given, recipe):
            rows += await self.ledger.register(chunk)
        for row in rows:
            assert (row.differs, row.duplicate) == (False, False), row
            for step in (await self.ledger.row_of(row.id)).steps:
                if step.state == "planned":
                    self.paid[step.digest] += 1
                    one = Change(step_id=step.id, event="intended", values={"account": "a@b.c"})
                    assert await self.ledger.apply(one) is Applied.YES
                    made = str(next(self._ids))
                    one = Change(step_id=step.id, event="answered", to="done", claim=made)
                    assert await self.ledger.apply(one) is Applied.YES
        return [await self.ledger.row_of(row.id) for row in rows]


def _chunks(given: Sequence[object], recipe: Recipe) -> Iterable[list[RowInput]]:
    rows = built(given, recipe)
    return (rows[at : at + 3] for at in range(0, len(rows), 3))


@asynccontextmanager
async def job() -> AsyncIterator[Job]:
    with tempfile.TemporaryDirectory() as folder:
        async with open_ledger(Path(folder) / "a.sqlite", service="example.com") as ledger:
            yield Job(ledger)


# Few contents, so that many rows are equal; with and without a text.
CONTENTS: list[Content] = [
    {"image_url": URL},
    {"image_url": URL, "nickname": "Ada"},
    {"image_url": URL, "nickname": "Ada", "text": "Hi", "speaker_id": "v1"},
    {"image_url": URL, "nickname": "Ada", "text": "Ho", "speaker_id": "v1"},
    {"avatar_id": "300137233318846", "text": "Hi", "speaker_id": "v1"},
    {"avatar_id": "300137233318846", "text": "Ho", "speaker_id": "v1"},
]
INPUTS = st.lists(st.sampled_from(range(len(CONTENTS))), max_size=9)


@settings(max_examples=60, deadline=None)
@given(first=INPUTS, second=INPUTS, third=INPUTS)
async def test_rows_that_come_go_and_move_are_never_paid_for_twice(
    first: list[int], second: list[int], third: list[int]
) -> None:
    """Each run's input is any other: a permutation, with rows put in and taken out."""
    most = Counter[int]()
    async with job() as work:
        for numbers in (first, second, third):
            rows = await work.run([CONTENTS[one] for one in numbers])
            wanted = [built([CONTENTS[one]])[0] for one in numbers]
            for row, one in zip(rows, wanted, strict=True):
                assert [step.digest for step in row.steps] == [step.digest for step in one.steps]
                assert row.state == "done"
            assert len({row.id for row in rows}) == len(rows)  # none has another's
            most |= Counter(numbers)
            # Every content was made as often as it was ever there at once, and no more than that.
            expected = Counter[str]()
            for number, count in most.items():
                for step in built([CONTENTS[number]])[0].steps:
                    expected[step.digest] += 0 if step.given_id is not None else count
            for digest, count in work.paid.items():
                assert count <= expected[digest]


@settings(max_examples=30, deadline=None)
@given(shuffled=st.randoms(use_true_random=False))
async def test_the_order_of_an_input_is_nothing_to_its_ledger(shuffled: random.Random) -> None:
    given = [CONTENTS[n % len(CONTENTS)] for n in range(9)]
    async with job() as work:
        await work.run(given)
        paid = work.paid.copy()
        shuffled.shuffle(given)
        await work.run(given)
        assert work.paid == paid


async def test_texts_that_are_added_later_make_no_second_avatar() -> None:
    avatars: list[Content] = [{"image_url": URL, "nickname": n} for n in ("Ada", "Ben", "Ada")]
    spoken = [{**one, "text": f"I am {n}", "speaker_id": "v1"} for n, one in enumerate(avatars)]
    async with job() as work:
        before = await work.run(avatars)
        after = await work.run(spoken)
        assert [row.steps[0].remote_id for row in after] == [
            row.steps[0].remote_id for row in before
        ]
        assert all(row.state == "done" and len(row.steps) == 2 for row in after)
        paid = work.paid.copy()
        assert sum(paid.values()) == 6
        await work.run(spoken[::-1])
        assert work.paid == paid


async def test_a_row_as_it_was_keeps_its_avatar_beside_one_with_a_text() -> None:
    bare: Content = {"image_url": URL}
    spoken = {**bare, "text": "Hi", "speaker_id": "v1"}
    async with job() as work:
        (before,) = await work.run([bare])
        kept, new = await work.run([bare, spoken])
        assert kept.id == before.id
        assert new.steps[0].remote_id != before.steps[0].remote_id
        assert sum(work.paid.values()) == 3


async def test_a_row_has_one_key_with_its_video_and_without() -> None:
    spoken = {"image_url": URL, "text": "Hi", "speaker_id": "v1"}
    async with job() as work:
        (before,) = await work.run([spoken], AVATARS)
        assert len(before.steps) == 1
        (after,) = await work.run([spoken], TALKING)
        assert (after.id, len(after.steps)) == (before.id, 2)
        assert after.steps[0] == before.steps[0]


KEYS = [
    "row-1311e0552ff1",
    "row-b2f205670c0b",
    "row-865f583d47e4",
    "row-c760b0235279",
    "row-bc1ce3cd6913",
    "row-e37ad9af5f5b",
]


class TestKeys:
    def test_is_a_digest_of_what_the_row_says_and_a_count(self) -> None:
        first, second, other = keys(
            {"image_url": URL}, {"image_url": URL}, {"image_url": URL + "b"}
        )
        assert first.startswith("row-")
        assert len(first) == len("row-") + 12
        assert second == f"{first}-2"
        assert other[:16] != first

    def test_is_the_same_in_every_version(self) -> None:
        # A change of how keys are made would make every row of an existing ledger again.
        assert keys(*CONTENTS) == KEYS

    def test_of_a_request_is_that_of_its_fields(self) -> None:
        given = {"image_url": URL, "nickname": "Ada", "tts_speed": 1}
        request = CreateAvatar(image_url=URL, nickname="Ada", tts_speed=1.0)
        one, other = keys(given, request)
        assert other == f"{one}-2"

    @pytest.mark.parametrize("ignored", [{"nickname": None}, {"x_note": "a"}])
    def test_is_not_made_of_what_is_not_sent(self, ignored: Content) -> None:
        one, other = keys({"image_url": URL}, {"image_url": URL, **ignored})
        assert other == f"{one}-2"

    @pytest.mark.parametrize("other", [
        {"email": "a@b.c"}, {"nickname": "Ada"}, {"extra": {"new": 1}}, {"tts_speed": 1.1},
    ])  # fmt: skip
    def test_is_made_of_all_that_is_sent(self, other: Content) -> None:
        one, changed = keys({"image_url": URL}, {"image_url": URL, **other})
        assert changed[:16] != one

    def test_a_key_of_its_own_counts_among_no_equal_ones(self) -> None:
        one, own, two = keys({"image_url": URL}, {"image_url": URL, "key": "k"}, {"image_url": URL})
        assert (own, two) == ("k", f"{one}-2")

"""Which task does a step wait for, whatever its kind and whatever the ledger says?"""

from __future__ import annotations

import pytest

from kling_async import LedgerError
from kling_async.bulk.records import Step, StepInput, new_step


def step(kind: str, made: str | None) -> Step:
    one = StepInput(number=1, operation="clips.make", kind=kind, digest="", payload={})
    values = {"state": "running", "remote_id": made, "evidence": None, "error": None, "now": 0.0}
    return new_step(1, 1, "k1", values, one)


@pytest.mark.parametrize(("kind", "made", "number", "task_id"), [
    ("task", "7", 7, 7), ("clip", "7", 7, None), ("task", None, 0, None),
])  # fmt: skip
def test_its_task(kind: str, made: str | None, number: int, task_id: int | None) -> None:
    """A request of the user's own may be of another kind, and its task is waited for as well."""
    one = step(kind, made)
    assert (one.task_number, one.task_id) == (number, task_id)


@pytest.mark.parametrize("made", ["", "..", "-1", "٣", "7a"])
def test_what_is_no_number_is_refused(made: str) -> None:
    with pytest.raises(LedgerError, match="row k1: the ledger says that its task is"):
        _ = step("task", made).task_number
    with pytest.raises(LedgerError):
        _ = step("task", made).task_id

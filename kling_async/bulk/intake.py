"""What becomes of a row that the ledger knows, when an input has it again? Pure."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from .machine import HELD, State
from .records import ABANDONED, GIVEN, INVALID, MISSING, Row, RowInput, Step, StepInput


@frozen(kw_only=True)
class Merge:
    """How a known row changes."""

    replace: Sequence[tuple[Step, StepInput]] = ()
    """Steps that are planned anew, with their new content."""
    add: Sequence[StepInput] = ()
    drop: Sequence[Step] = ()
    """Steps that were never sent and that the input has no more."""
    columns: bool = False
    """Whether the row's columns are the new ones."""
    differs: bool = False
    """Whether the input says something else than what is made; then nothing changes."""


def merge(old: Row, new: RowInput) -> Merge:
    """What changes in `old` so that it says what `new` says, without touching what is paid for."""
    known = {step.number: step for step in old.steps}
    replace: list[tuple[Step, StepInput]] = []
    add: list[StepInput] = []
    given = new.kept_steps
    for one in given:
        step = known.get(one.number)
        if step is None:
            add.append(one)
        elif _is_new(step, one):
            if is_held(step):
                return Merge(differs=True)
            replace.append((step, one))
    numbers = {one.number for one in given}
    drop = [step for step in old.steps if step.number not in numbers and not step.attempts]
    drop = [step for step in drop if not is_held(step)]
    changed = [step.number for step, _ in replace] + [one.number for one in add]
    if any(is_held(step) and step.number > min(changed) for step in old.steps if changed):
        return Merge(differs=True)  # a later step used what this one gave
    return Merge(replace=replace, add=add, drop=drop, columns=old.columns != new.columns)


def is_held(step: Step) -> bool:
    """Whether a step's content can't change any more: something of it exists, or may."""
    if step.state == "failed":
        return step.evidence == MISSING
    return step.state in HELD and step.evidence != GIVEN


def _is_new(step: Step, one: StepInput) -> bool:
    """Whether the input says of a step what the ledger does not."""
    if (step.digest, step.operation, step.kind) != (one.digest, one.operation, one.kind):
        return True
    if (step.remote_id if step.evidence == GIVEN else None) != one.given_id:
        return True
    if step.state == "failed" and step.evidence == INVALID:
        return step.error != one.problem  # mended, or wrong in another way
    return one.problem is not None and step.state == "planned"


def reopened_as(step: Step) -> State:
    """Where a failed step goes on when it is tried again."""
    if step.evidence == MISSING and step.remote_id is not None:
        return "running"  # its task may still end: nothing is paid again
    return "made" if step.works else "planned"


def may_be_reopened(step: Step) -> bool:
    """Whether a step has failed in a way that another try may mend: not by what its input says."""
    stays = step.evidence in (ABANDONED, INVALID) or not step.operation
    return step.state == "failed" and not stays

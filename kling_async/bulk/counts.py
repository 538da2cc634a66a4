"""What has a run done so far? Counted step by step, cheap to read at any time."""

from __future__ import annotations

from attrs import define, field

from .machine import State
from .records import Step
from .results import RowResult


@define
class StepCounts:
    """What became of the steps of one number."""

    done: int = 0
    failed: int = 0
    unknown: int = 0
    left: int = 0
    """What the next run goes on with."""
    found: int = 0
    """Done, with the answer lost: found in what the account lists."""

    def add(self, step: Step, state: State) -> None:
        """One more, that is in `state` for the user."""
        if state == "done":
            self.done += 1
            self.found += (step.evidence or "").startswith("adopted")
        elif state == "failed":
            self.failed += 1
        elif state in ("unknown", "doubt", "intent"):
            self.unknown += 1
        else:
            self.left += 1


@define
class RunCounts:
    """What a run has done so far."""

    steps: dict[int, StepCounts] = field(factory=dict)
    """Step number -> what became of those steps."""
    resumed: int = 0
    """Rows that were settled before this run began."""
    under_way: int = 0
    settled: int = 0
    """Rows whose result is known, those of earlier runs included."""
    done: int = 0
    """Rows that have all that this run was to make of them."""

    def of(self, number: int) -> StepCounts:
        """The counts of the steps of this number."""
        found = self.steps.get(number)
        if found is None:
            found = self.steps[number] = StepCounts()
        return found

    def row(self, result: RowResult, counted: int, made: int | None) -> None:
        """A row is settled.

        Args:
            result: of the row.
            counted: how many of its steps were counted before.
            made: how many of them this run carries out; None: all.
        """
        self.settled += 1
        current = result.current
        for step in result.row.steps[counted:made]:
            state = step.state
            if step is current and result.state is not None:
                state = result.state
            self.of(step.number).add(step, state)
            if state != "done":
                return
        self.done += 1

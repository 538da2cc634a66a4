"""What has a run done so far? Counted step by step, cheap to read at any time."""

from __future__ import annotations

from attrs import define, field

from .machine import State
from .records import Row, Step


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

    def row(self, row: Row, counted: int, made: int, state: State | None) -> None:
        """A row is settled.

        Args:
            row: which.
            counted: how many of its steps were counted before.
            made: how many of them this run carries out.
            state: of its first open step, as the user sees it; None: as the ledger says.
        """
        self.settled += 1
        for step in row.steps[counted:made]:
            shown = step.state if state is None or step.state == "done" else state
            self.of(step.number).add(step, shown)
            if step.state != "done":
                return
        self.done += state is None

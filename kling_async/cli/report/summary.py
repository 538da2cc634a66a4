"""What does the page say of all rows together? Counts, causes, times, costs; one pass."""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Sequence

from attrs import define, evolve, field, frozen

from ...bulk.flat import SHOWN, is_avatar
from ...bulk.ledger import LedgerReader
from ...bulk.outgoing import StepRequests
from ...bulk.recipes import TALKING
from ...bulk.records import GIVEN, Row, Step
from ...bulk.rows import has_file, request_of
from ...errors import KlingError
from ...models.prices import HUNDREDTHS, credits
from ...models.text import on_one_line
from ..causes import NO_CAUSE, Cause, Causes
from .facts import STATES

BARS = 48
"""Of the chart."""
CAUSES = 20
"""That are shown, those of most rows first."""
_SETTLED = ("done", "failed", "unknown")


@frozen
class Bar:
    """How many rows were settled within one part of the time; in hundredths of the chart."""

    x: float
    width: float
    parts: Sequence[tuple[str, float, float]]
    """State, top and height."""
    said: str


@define
class Summary:
    """The rows of a ledger, counted."""

    counts: Counter[str] = field(factory=Counter)
    causes: Causes = field(factory=lambda: Causes(0))
    accounts: Counter[str] = field(factory=Counter)
    videos: int = 0
    adopted: int = 0
    """Steps whose answer was lost, and that were found."""
    spent: int = 0
    """In hundredths of a credit, as far as prices are known."""
    unpriced: Counter[str] = field(factory=Counter)
    """Operation -> jobs of it whose price is not known."""
    times: dict[str, array[float]] = field(
        factory=lambda: {state: array("d") for state in _SETTLED}
    )

    @property
    def rows(self) -> int:
        """How many there are."""
        return self.counts.total()

    @property
    def states(self) -> list[tuple[str, str, int]]:
        """State, its word, and its rows, where there are any."""
        return [(one, word, n) for one, word in STATES.items() if (n := self.counts[one])]

    @property
    def notes(self) -> list[str]:
        """What else is to be said, in sentences."""
        said = []
        if self.spent:
            said.append(f"About {self.spent / HUNDREDTHS:,g} credits by the vendor's prices.")
        said += [
            f"What {n} of {one} cost is not known, as the vendor names no price."
            for one, n in sorted(self.unpriced.items())
        ]
        if self.adopted:
            said.append(f"{self.adopted} lost their answer and were found.")
        if len(self.accounts) > 1:
            rows = ", ".join(f"{one}: {n}" for one, n in self.accounts.most_common())
            said.append(f"Rows by account: {rows}.")
        return said

    def charge(self, operation: str, price: int | None) -> None:
        """Something of this price was made or begun; None: nobody knows it."""
        if price is None:
            self.unpriced[operation] += 1
        else:
            self.spent += price

    @property
    def worst(self) -> list[Cause]:
        """The causes of most rows."""
        shown = self.causes.worst[:CAUSES]
        return [evolve(one, text=on_one_line(one.text or NO_CAUSE, 300)) for one in shown]

    @property
    def span(self) -> tuple[str, str] | None:
        """When the first and the last row were settled; None: none was."""
        found = [one for times in self.times.values() for one in times]
        return (moment(min(found)), moment(max(found))) if found else None

    @property
    def bars(self) -> list[Bar]:
        """The chart of rows over time."""
        found = [one for times in self.times.values() for one in times]
        if not found:
            return []
        first, last = min(found), max(found)
        width_s = max((last - first) / BARS, 0.1)
        count = int((last - first) / width_s) + 1
        heights = {state: [0] * count for state in _SETTLED}
        for state, times in self.times.items():
            for at in times:
                heights[state][min(int((at - first) / width_s), count - 1)] += 1
        top = max(map(sum, zip(*heights.values(), strict=True)))
        bars = []
        for at in range(count):
            parts, base, said = [], 100.0, []
            for state in _SETTLED:
                if n := heights[state][at]:
                    base -= 100 * n / top
                    parts.append((state, round(base, 2), round(100 * n / top, 2)))
                    said.append(f"{n} {state}")
            if parts:
                x, width = round(100 * at / count, 2), round(100 / count, 2)
                when = moment(first + at * width_s)
                bars.append(Bar(x, width, parts, f"from {when}: {', '.join(said)}"))
        return bars


async def summary_of(ledger: LedgerReader) -> Summary:
    """All rows of a ledger, counted."""
    found, requests = Summary(), StepRequests(None, saves=False)
    async for row in ledger.rows():
        state = SHOWN[row.state]
        found.counts[state] += 1
        if state in found.times:
            found.times[state].append(max(step.changed_at for step in row.steps))
        if state in ("failed", "unknown"):
            found.causes.add(row)
        for step in row.steps:
            found.videos += any((one.content_type or "").startswith("video") for one in step.works)
            found.adopted += (step.evidence or "").startswith("adopted")
            if step.remote_id is not None and step.evidence != GIVEN:
                found.charge(step.operation, _price(requests, row, step))
        if account := next((step.account for step in row.steps if step.account), None):
            found.accounts[account] += 1
    return found


def _price(requests: StepRequests, row: Row, step: Step) -> int | None:
    """What the step cost, in hundredths of a credit; None: it is not known."""
    try:
        recipe = TALKING if is_avatar(row) else requests.recipe(step)
        if has_file(recipe, step):  # which would be looked into, and nothing of it went out
            return None
        request = request_of(recipe, step, earlier=row.steps[: step.number - 1])
    except KlingError:  # a file is gone, or an operation is not known here
        return None
    return credits(request)


def moment(seconds: float) -> str:
    """A time as people read it, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))

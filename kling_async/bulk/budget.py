"""How much may a job cost? At most so many videos, or credits, of all runs over its ledger."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define

from ..errors import JSON, InvalidRequestError
from ..models.prices import credits
from .ledger import LedgerReader
from .machine import HELD, OPEN
from .outgoing import StepRequests
from .recipes import Recipe, StepSpec
from .records import Step
from .stepinputs import PLACEHOLDERS

ADDRESS = "https://example.com/file"
"""In place of a file, which is not looked into again for its price."""


def price_of(spec: StepSpec, payload: Mapping[str, JSON]) -> int | None:
    """What a step costs, in hundredths of a credit; None: nobody says."""
    values = dict(payload)
    for name, into in spec.attachments.items():
        if values.pop(name, None) is not None:
            values[into] = ADDRESS
    values |= {n: spec.as_field(n, PLACEHOLDERS[one.what]) for n, one in spec.takes.items()}
    try:
        return credits(spec.request(**spec.typed(values)))
    except InvalidRequestError:
        return None


@define
class Budget:
    """What is left to begin jobs with.

    Args:
        videos: jobs that may still be begun; None: any number.
        hundredths: of a credit that they may cost; None: any. What has no known price begins then
            only if that is not asked for.
    """

    videos: int | None = None
    hundredths: int | None = None
    refused: int = 0
    """Jobs that were not begun."""

    def take(self, step: Step, requests: StepRequests) -> str | None:
        """Why a job is not begun; None: it is paid for from here."""
        if step.state not in OPEN:
            return None  # it is begun, and goes on
        if self.videos is not None and self.videos < 1:
            self.refused += 1
            return "not begun: as many videos are made, or on their way, as --max-videos allows"
        if self.hundredths is not None:
            price = price_of(requests.spec(step), step.payload)
            if price is None or price > self.hundredths:
                self.refused += 1
                return "not begun: with it the job would cost more than --max-credits allows"
            self.hundredths -= price
        if self.videos is not None:
            self.videos -= 1
        return None

    async def less_spent(self, ledger: LedgerReader, recipe: Recipe) -> None:
        """Take off what earlier runs have begun."""
        if self.videos is not None:
            for (number, state), count in (await ledger.step_counts()).items():
                begun = state in HELD and number <= len(recipe.steps)
                if begun and recipe.step(number).request.starts_task:
                    self.videos -= count
        if self.hundredths is None:
            return
        async for row in ledger.rows():
            for step in row.steps:
                spec = recipe.step(min(step.number, len(recipe.steps)))
                if step.state in HELD and spec.request.starts_task:
                    self.hundredths -= price_of(spec, step.payload) or 0

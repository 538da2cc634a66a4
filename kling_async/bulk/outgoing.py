"""What goes out for a step of a ledger? Its request; and before it, its intent onto the disk."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import evolve

from .._transport.progress import HeldBack
from ..errors import JSON, KlingError
from ..models.operations import request_type
from ..models.requests import Request
from .ledger import Ledger
from .recipes import TALKING, Recipe, StepSpec, recipe_of
from .records import Applied, Change, Step, StepInput
from .rows import has_file, request_of
from .task_group import Hold


class StepRequests:
    """The requests of one run's steps.

    Args:
        recipe: of the run's rows; steps of other operations are rows of one step each.
        saves: whether works become files.
    """

    def __init__(self, recipe: Recipe | None, *, saves: bool) -> None:
        self._recipe = recipe
        self._saves = saves
        self._recipes: dict[str, Recipe] = {}
        self._given: dict[int, Request[Any]] = {}
        """Requests that the input gave whole, by step, until they go out."""

    @property
    def makes_avatars(self) -> bool:
        """Whether the rows are avatars, and perhaps their videos."""
        return self._recipe is not None and self._recipe.steps is TALKING.steps

    def recipe(self, step: Step | StepInput) -> Recipe:
        """The recipe of the step's row."""
        known = self._recipe
        if (
            known is not None
            and step.number <= len(known.steps)
            and known.steps[step.number - 1].request.operation == step.operation
        ):
            return known
        found = self._recipes.get(step.operation)
        if found is None:
            found = recipe_of(request_type(step.operation), saves=self._saves)
            self._recipes[step.operation] = found
        return found

    def spec(self, step: Step | StepInput) -> StepSpec:
        """Its place in the recipe."""
        return self.recipe(step).step(step.number)

    def type_of(self, step: Step) -> type[Request[Any]]:
        """The type of its request."""
        return self.spec(step).request

    def starts_task(self, step: Step) -> bool:
        """Whether the step is still to take a job slot."""
        return step.state not in ("done", "failed") and self.type_of(step).starts_task

    def saves(self, step: Step) -> bool:
        """Whether its works become files."""
        return self._saves and self.spec(step).saves

    def keep(self, step: Step, request: Request[Any]) -> None:
        """The input gave this request; it need not be made again, and perhaps can't be."""
        self._given[step.id] = request

    def forget(self, step: Step) -> None:
        """It is not needed any more."""
        self._given.pop(step.id, None)

    def named_account(self, step: Step, earlier: Sequence[Step]) -> str | None:
        """The account that the row names."""
        for one in (step, *earlier):
            if isinstance(named := one.payload.get("email"), str):
                return named
        return None

    async def of(
        self, step: Step, account: str | None, earlier: Sequence[Step] = ()
    ) -> Request[Any]:
        """The request as the input and the ledger say, for `account`.

        Raises:
            InvalidRequestError: it can't be sent: a file is gone, say.
        """
        recipe = self.recipe(step)
        if (given := self._given.get(step.id)) is not None and not step.addresses:
            request = given
        elif has_file(recipe, step):
            request = await asyncio.to_thread(request_of, recipe, step, earlier=earlier)
        else:
            request = request_of(recipe, step, earlier=earlier)
        changes: dict[str, Any] = {}
        if request.email != account:
            changes["email"] = account
        if step.mark is not None:
            changes["reply_ref"] = step.mark
        speech = recipe.step(step.number).speech
        if speech is not None and speech.into not in step.addresses:
            text = getattr(request, speech.text)
            changes[speech.flag] = text is not None and len(text) <= speech.most_chars
        return evolve(request, **changes) if changes else request


class StaleStepError(KlingError):
    """A step is not what was going to be sent: it was settled, or given anew, meanwhile."""


class StoppingError(KlingError):
    """What was held back may go again, but not in this run."""


FRESH_S = 5.0
"""How old an intent may be at its first byte, in a ledger that others share; far below a lease."""
LAPSE_S = 0.1
"""How long its commit may take; beyond, it takes a new place in the rate."""
MOST_LAPSES = 3


def _awake_or_not_s() -> float:
    clock = getattr(time, "CLOCK_BOOTTIME", None)  # goes on while a machine sleeps
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class StepIntent:
    """The intent log of one step: its intent is on disk before the first byte goes out.

    Args:
        ledger: where it is written.
        step: which goes out, with this content.
        values: what else the intent says.
        hold: of the worker.
        stopping: whether the run begins nothing any more.
        keeps_rate: whether there is a rate, in which a slow commit gives its place back.
    """

    def __init__(
        self,
        ledger: Ledger,
        step: Step,
        values: Mapping[str, JSON],
        hold: Hold,
        stopping: Callable[[], bool],
        *,
        keeps_rate: bool = True,
    ) -> None:
        self.attempts: int = step.attempts
        """How often the step was about to go out by now."""
        self._ledger = ledger
        self._step_id = step.id
        self._change = Change(step_id=step.id, event="intended", values=values, digest=step.digest)
        self._hold = hold
        self._stopping = stopping
        self._until_s = math.inf
        """When it is too old for a first byte, by a clock that never stands still."""
        self._lapses_left = MOST_LAPSES if keeps_rate else 0

    async def record(self, account: str | None, attempt: int) -> None:
        """The intent is on disk when this returns; if cancelled here, it is taken back."""
        asked_s = _awake_or_not_s()
        try:
            applied = await self._ledger.apply(self._change)
        except asyncio.CancelledError:  # nothing was sent, and nothing will be
            self._ledger.post(Change(step_id=self._step_id, event="retracted"))
            raise
        if applied is not Applied.YES:
            raise StaleStepError("nothing was sent: the ledger says otherwise of it by now")
        self._hold.in_flight = True
        self.attempts += 1
        if self._ledger.shared:
            self._until_s = asked_s + FRESH_S
            # Its place in the rate is as old as the commit took. A restarted database would let
            # all who wait go at once; but where each commit is that slow, it has to go some time.
            if _awake_or_not_s() - asked_s > LAPSE_S and self._lapses_left > 0:
                self._lapses_left -= 1
                self._until_s = -math.inf

    def check_before_write(self) -> None:
        """See `Fence`: after `FRESH_S` others may have taken the step, as its worker was silent."""
        if _awake_or_not_s() > self._until_s:
            raise HeldBack

    async def retract(self, error: KlingError | None) -> None:
        """The step may go again."""
        values = {} if error is None else {"error": str(error)}
        self._hold.in_flight = False
        await self._ledger.apply(Change(step_id=self._step_id, event="retracted", values=values))
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            return  # that passes on by itself, and says enough
        if self._stopping():
            raise StoppingError("the run ends; nothing was sent")

"""How is the intent of a step on disk before its first byte goes out, and taken back again?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from ..errors import JSON, KlingError
from .ledger import Ledger
from .records import Applied, Change, Step
from .task_group import Hold


class StaleStepError(KlingError):
    """A step is not what was going to be sent: it was settled, or given anew, meanwhile."""


class StoppingError(KlingError):
    """What was held back may go again, but not in this run."""


class StepIntent:
    """The intent log of one step: its intent is on disk before the first byte goes out.

    Args:
        ledger: where it is written.
        step: which goes out, with this content.
        values: what else the intent says.
        hold: of the worker.
        stopping: whether the run begins nothing any more.
    """

    def __init__(
        self,
        ledger: Ledger,
        step: Step,
        values: Mapping[str, JSON],
        hold: Hold,
        stopping: Callable[[], bool],
    ) -> None:
        self.attempts = step.attempts
        """How often the step was about to go out by now."""
        self._ledger = ledger
        self._step_id = step.id
        self._change = Change(step_id=step.id, event="intended", values=values, digest=step.digest)
        self._hold = hold
        self._stopping = stopping

    async def record(self, account: str | None, attempt: int) -> None:
        """The intent is on disk when this returns; if cancelled here, it is taken back."""
        try:
            applied = await self._ledger.apply(self._change)
        except asyncio.CancelledError:  # nothing was sent, and nothing will be
            self._ledger.post(Change(step_id=self._step_id, event="retracted"))
            raise
        if applied is not Applied.YES:
            raise StaleStepError("nothing was sent: the ledger says otherwise of it by now")
        self._hold.in_flight = True
        self.attempts += 1

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

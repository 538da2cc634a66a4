"""What becomes of a step for now? It is over, or waits for doubts, the next run or the user."""

from __future__ import annotations

import asyncio

from attrs import frozen

from .records import Applied, Step


@frozen
class Done:
    """It is over, and well. Nobody is told before `written`, where there is such, has come true."""

    step: Step
    written: asyncio.Future[Applied] | None = None


@frozen
class Failed:
    """It was refused, or its task failed; `step.error` says why."""

    step: Step


@frozen
class Unknown:
    """It may have been carried out, and was not found; the user decides."""

    step: Step


@frozen
class InDoubt:
    """It may have been carried out, and is looked for; `Doubts` tells when that is known."""

    step: Step


@frozen
class PutOff:
    """Nothing is wrong with it, and it can't go on in this run; the next one does."""

    step: Step
    why: str


@frozen
class Stopped:
    """The run ends, and it stays as it is."""

    step: Step


Outcome = Done | Failed | Unknown | InDoubt | PutOff | Stopped


def outcome_of(step: Step) -> Outcome | None:
    """What a step's state says of it; None: it goes on."""
    if step.state == "intent":  # of another worker, which says what comes of it
        return PutOff(step, "another worker sends it at this moment")
    if step.state == "done":
        return Done(step)
    if step.state == "failed":
        return Failed(step)
    return Unknown(step) if step.state == "unknown" else None

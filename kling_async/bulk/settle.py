"""What did the user decide of a step whose outcome stayed unknown? Nobody else may."""

from __future__ import annotations

from typing import Literal

from ..errors import InvalidRequestError, LedgerError
from ..models.checks import Digits
from ..models.operations import request_type
from .machine import UNSETTLED, State
from .places import Place, open_ledger, read_ledger
from .records import MISSING, Applied, Change, Row, Step
from .results import noun_of

Decision = Literal["adopt", "resend", "abandon"]
_ID = Digits()
_MOST_DIGITS = 40


async def settle(
    path: Place,
    key: str,
    decision: Decision,
    *,
    adopt: str | None = None,
    step: int | None = None,
    service: str | None = None,
) -> Row:
    """The row as it is after the user's word on one of its steps.

    Args:
        path: the ledger's file or address.
        key: the row's.
        decision: "adopt": it exists, and is `adopt`. "resend": the next run sends it again; it
            duplicates if it exists after all. "abandon": leave it, whatever became of it.
        adopt: the id of what exists.
        step: its number in the row; default: the first whose outcome is unknown.
        service: whom the ledger must belong to; default: to whomever it does.

    Raises:
        InvalidRequestError: `adopt` can't be an id of what the step makes.
        LedgerError: there is nothing to settle, the id is another row's, or the ledger can't be
            used now.
    """
    if service is None:
        async with read_ledger(path) as reader:
            service = await reader.fact("service") or ""
    async with open_ledger(path, service=service) as ledger:
        row = await ledger.row(key)
        chosen = _chosen(row, step)
        applied = await ledger.apply(_change(row, chosen, decision, adopt))
        if applied is Applied.CLAIMED:
            raise LedgerError(f"{noun_of(chosen)} {adopt} belongs to another row of {path}")
        if applied is Applied.STALE:
            raise LedgerError(f"row {key} is settled by now; there is nothing to settle")
        return await ledger.row(key)


def _chosen(row: Row, number: int | None) -> Step:
    """The step that the user means."""
    if number is None:
        return next((one for one in row.steps if one.state != "done"), row.steps[0])
    for one in row.steps:
        if one.number == number:
            return one
    what = "video" if number == 2 else f"step {number}"
    raise LedgerError(f"the {what} of row {row.key} is not known here; there is nothing to settle")


def _change(row: Row, step: Step, decision: Decision, adopt: str | None) -> Change:
    if decision == "resend" and step.state == "failed" and step.evidence == MISSING:
        return Change(step_id=step.id, event="reopened", to="planned")
    if step.state not in UNSETTLED:
        of = f"row {row.key}"
        if step.number > 1:
            of = f"the {noun_of(step)} of row {row.key}"
        raise LedgerError(f"{of} is {step.state}, not unknown; there is nothing to settle")
    if decision == "adopt":
        if (problem := _problem_of(adopt)) is not None:
            raise InvalidRequestError("settle()", {"adopt": problem})
        to: State = "running" if request_type(step.operation).starts_task else "done"
        values = {"evidence": "settled"}
        return Change(step_id=step.id, event="found", to=to, values=values, claim=adopt)
    if decision == "resend":
        return Change(step_id=step.id, event="resent")
    error = f"abandoned by the user; {_article(noun_of(step))} of it may exist"
    return Change(step_id=step.id, event="abandoned", values={"error": error})


def _problem_of(adopt: str | None) -> str | None:
    """Why this can be no id; each later run would fail with it."""
    if adopt is None:
        return "is missing"
    if (problem := _ID(adopt)) is not None:
        return problem
    if not adopt.strip("0") or len(adopt) > _MOST_DIGITS:
        return f"is {adopt[:_MOST_DIGITS]}; no id is"
    return None


def _article(noun: str) -> str:
    return f"an {noun}" if noun[:1] in "aeiou" else f"a {noun}"

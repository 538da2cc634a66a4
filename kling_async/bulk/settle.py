"""What did the user decide of a step whose outcome stayed unknown? Nobody else may."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from ..errors import InvalidRequestError, LedgerError
from ..models.checks import Digits
from ..models.operations import request_type
from .cells import as_it_was
from .decisions import REMEDY, Decision, Word, read_decisions
from .ledger import Ledger
from .machine import UNSETTLED, State
from .places import Place, open_ledger, place_of, read_ledger
from .problems import InputProblem, Problems, StrPath
from .records import MISSING, Applied, Change, Row, Step
from .results import noun_of

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
    place = place_of(path) if isinstance(path, str) else path  # its text shows no password
    async with open_ledger(place, service=service or await _service_of(place)) as ledger:
        row = await ledger.row(key)
        chosen = _chosen(row, step)
        applied = await ledger.apply(_change(row, chosen, decision, adopt))
        if applied is Applied.CLAIMED:
            raise LedgerError(f"{noun_of(chosen)} {adopt} belongs to another row of {place}")
        if applied is Applied.STALE:
            raise LedgerError(f"row {key} is settled by now; there is nothing to settle")
        return await ledger.row(key)


async def words_of(
    path: Place,
    *,
    decision: Decision | None = None,
    keys: Iterable[str] | None = None,
    decisions: Mapping[str, str] | StrPath | None = None,
    step: int | None = None,
) -> list[Word]:
    """What the user says of each row: of `decisions`, `keys`, or else all that are unknown.

    Args:
        path: the ledger's file or address.
        decision: of all of them, where `decisions` does not say it for each.
        keys: the rows'.
        decisions: a file of them, or the decision of each key.
        step: which request of each row; default: the first that is unknown.

    Raises:
        InputError: `decisions` can't be read.
        LedgerError: the ledger can't be read.
    """
    if decisions is not None:
        return await asyncio.to_thread(read_decisions, decisions, step=step)
    assert decision is not None
    if keys is not None:
        return [Word(key, decision, step=step) for key in dict.fromkeys(keys)]
    async with read_ledger(path) as reader:
        return [
            Word(row.key, decision, step=row.current.number)
            async for row in reader.rows(states=UNSETTLED)
            if row.current is not None and step in (None, row.current.number)
        ]


async def settle_many(
    path: Place,
    words: Sequence[Word],
    *,
    file: StrPath | None = None,
    again: bool = False,
    service: str | None = None,
) -> list[tuple[Row, Step, Decision]]:
    """Each row that was settled, its step, and how; all of the words, or none.

    Args:
        path: the ledger's file or address, which no run may be using.
        words: what the user says, each of one row.
        file: where it was said, for messages; default: the ledger.
        again: rows that are settled already are passed over: the same words may be said twice.
        service: whom the ledger must belong to; default: to whomever it does.

    Raises:
        InputError: with each word that can't be carried out, and nothing was settled.
        LedgerError: the ledger can't be used now.
    """
    if not words:
        return []
    place = place_of(path) if isinstance(path, str) else path
    async with open_ledger(place, service=service or await _service_of(place)) as ledger:
        problems, changes = Problems(), list[tuple[Step, Word, Change]]()
        claimed: dict[tuple[str | None, str, str], str] = {}
        for word in words:
            try:
                found = await _checked(ledger, word, claimed, again=again)
            except (LedgerError, InvalidRequestError) as exc:
                column = "decision" if word.line is not None else None
                named = str(place if file is None else file)
                problems.add(InputProblem(named, word.line, column, exc.text, word.key))
            else:
                changes += found
        if problems.count:
            raise problems.error(REMEDY)
        settled = list[tuple[Row, Step, Decision]]()
        for step, word, change in changes:
            if await ledger.apply(change) is not Applied.YES:
                raise LedgerError(
                    f"row {step.key} could not be settled: its id is another's by now; "
                    f"{len(settled)} rows were settled before it"
                )
            row = await ledger.row(step.key)
            settled.append((row, await ledger.step(step.id), word.decision))
        return settled


async def _service_of(place: Place) -> str:
    async with read_ledger(place) as reader:
        return await reader.fact("service") or ""


async def _checked(
    ledger: Ledger,
    word: Word,
    claimed: dict[tuple[str | None, str, str], str],
    *,
    again: bool,
) -> list[tuple[Step, Word, Change]]:
    """The change that a word asks for; none where that is settled already."""
    key = as_it_was(word.key)  # an export makes keys harmless for spreadsheets
    known = await ledger.known([key, word.key])
    row = known.get(key) or known.get(word.key) or await ledger.row(word.key)
    at = next((one.number for one in row.steps if one.state in UNSETTLED), None)
    step = _chosen(row, at if word.step is None else word.step)
    if again and step.state not in UNSETTLED:
        return []
    adopt = word.adopt
    if word.decision == "adopt" and adopt is None:
        if len(step.candidates) != 1:
            raise LedgerError(
                f"row {row.key} has {len(step.candidates)} candidates; write adopt and an id"
            )
        adopt = step.candidates[0]
    change = _change(row, step, word.decision, adopt)
    if adopt is not None:
        owners = await ledger.owners(step.account, step.kind, [adopt])
        before = claimed.setdefault((step.account, step.kind, adopt), row.key)
        if owners.get(adopt, step.id) != step.id or before != row.key:
            raise LedgerError(f"{noun_of(step)} {adopt} is another row's, and not row {row.key}'s")
    return [(step, word, change)]


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

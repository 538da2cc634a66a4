"""What does a ledger know of rows and steps? Values, and how they are read from SQL."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, cast

from attrs import evolve, field, frozen

from ..errors import JSON, LedgerError
from ..models.requests import Request
from .machine import STATES, Event, State

GIVEN = "given"
"""Evidence: the thing was there already, and the row names it. It is no claim."""
ANSWER = "answer"
"""Evidence: the server answered with it."""
RECOVERED = "recovered"
"""Evidence: found for a step that an old copy of the ledger does not know as sent."""
ABANDONED = "abandoned"
"""Evidence of a failed step that the user gave up; `reopen` leaves it alone."""
REOPENED = "reopened"
"""Evidence: it failed, is to be tried again, and was not sent since."""
MISSING = "missing"
"""Evidence of a failed step: its task was begun, and how it ended is not certain (only 404s)."""
INVALID = "invalid"
"""Evidence of a failed step: its input could not be sent. A mended input is planned anew."""


# --- what comes in ---


@frozen(kw_only=True)
class StepInput:
    """One paid request of a row, as it was read."""

    number: int
    """Its place in the row, from 1."""
    operation: str
    """Which request it is, such as `avatars.create`."""
    kind: str
    """What it makes, as its evidence calls it: "avatar", "task", "element". Ids are claimed within
    a kind."""
    digest: str
    """Equal for equal content."""
    payload: Mapping[str, JSON] = field(repr=False)
    """The request's fields as JSON; a file by its absolute path."""
    paths: Sequence[str] = ()
    """The paths of the addresses that the user gave, as a listing would show them."""
    given_id: str | None = None
    """The thing exists already, so that nothing is sent."""
    problem: str | None = None
    """Why it can't be sent."""
    has_files: bool = False
    """Whether it names files of this machine. In a ledger of several machines this one sends it."""
    request: Request[Any] | None = field(default=None, repr=False, eq=False)
    """The request itself, where the input gave it whole; kept nowhere. Files were looked into."""


@frozen(kw_only=True)
class RowInput:
    """One row as it was read: its name in the ledger, and its steps."""

    key: str
    position: int
    """Its number in the input, from 1."""
    former_key: str | None = None
    """Of a row without a key of its own: the one it had before it asked for more than its first
    step. A row of that name that has no further steps is this one, and gets the new name."""
    columns: Mapping[str, JSON] = field(factory=dict, repr=False)
    """What the export shows of the input."""
    steps: Sequence[StepInput] = ()
    problems: Mapping[str, str] = field(factory=dict)
    """Field -> what is wrong with it. Where there are any, nothing of the row is sent."""
    line: int | None = None
    """The line of the file on which it begins."""

    @property
    def kept_steps(self) -> Sequence[StepInput]:
        """The steps to be kept: at least one; the first holds what is wrong with the row."""
        steps = self.steps or (StepInput(number=1, operation="", kind="", digest="", payload={}),)
        if not self.problems:
            return steps
        text = "; ".join(f"{one}: {what}" if one else what for one, what in self.problems.items())
        return (evolve(steps[0], problem=steps[0].problem or text), *steps[1:])


# --- what is kept ---


@frozen(kw_only=True)
class WorkRecord:
    """One result of a task; it becomes a file."""

    number: int
    """Its place among the results, from 1."""
    work_id: str | None = None
    url: str | None = None
    content_type: str | None = None
    file: str | None = None
    """The absolute path that is reserved for it; where `size_bytes` is set, it is there."""
    size_bytes: int | None = None


@frozen(kw_only=True)
class Step:
    """One paid request of a row, as the ledger has it."""

    id: int
    row_id: int
    key: str
    """Of its row."""
    number: int
    operation: str
    kind: str
    digest: str
    payload: Mapping[str, JSON] = field(repr=False)
    state: State
    account: str | None
    addresses: Mapping[str, str]
    """Field -> the address that was made for it: an upload, a rendered speech."""
    own: frozenset[str]
    """Those fields whose address was made for this step alone."""
    mark: str | None
    """What the request carries so that its task is known again."""
    attempts: int
    """How often it was about to go out."""
    intent_at: float | None
    """When it was last about to go out with this content; epoch seconds. None: it was never sent,
    or certainly did nothing."""
    sent_since: float | None
    """When it first was, where it was sent again after its first outcome stayed unknown."""
    deadline_at: float | None
    owner: str | None
    """The worker that has it; always None in SQLite."""
    attempt: str | None
    """The id of the last sending."""
    remote_id: str | None
    """What it made: an avatar's id, a task's."""
    evidence: str | None
    """How `remote_id` is known, or what is special about its state; the names are above."""
    candidates: Sequence[str]
    """Ids of things that could be this step's."""
    error: str | None
    changed_at: float
    """When its state last changed; epoch seconds."""
    works: Sequence[WorkRecord] = ()

    @property
    def first_intent_at(self) -> float | None:
        """The earliest time at which something of it may have been made; None: nothing was."""
        return self.intent_at if self.sent_since is None else self.sent_since

    @property
    def task_id(self) -> int | None:
        """The id of its task; None where it has none, or is told by its own kind."""
        return None if self.kind != "task" or self.remote_id is None else self.task_number

    @property
    def task_number(self) -> int:
        """What it made, as the id of the task it started, whatever its kind; 0: nothing yet."""
        made = "0" if self.remote_id is None else self.remote_id
        if not (made.isascii() and made.isdecimal()):
            raise LedgerError(
                f"row {self.key}: the ledger says that its task is {made!r}, which is no "
                "number of Kling's; put back a copy of the ledger"
            )
        return int(made)


@frozen(kw_only=True)
class Row:
    """One row as the ledger has it, its steps in turn."""

    id: int
    key: str
    position: int
    columns: Mapping[str, JSON] = field(repr=False)
    steps: Sequence[Step]
    differs: bool = False
    """From `register`: the input says something else than what was made or is being made; the
    ledger's content stays."""
    differs_in: int = 1
    """Where it does: the number of the first step of which something else is said."""
    duplicate: bool = False
    """From `register`: an earlier row of the same input has this key; that one counts."""

    @property
    def current(self) -> Step | None:
        """The first step that is not done; None: all are."""
        return next((step for step in self.steps if step.state != "done"), None)

    def with_step(self, step: Step) -> Row:
        """The row with this step as it is now."""
        steps = [step if one.number == step.number else one for one in self.steps]
        return evolve(self, steps=tuple(steps))

    @property
    def state(self) -> State:
        """`done` where all steps are; else the state of the first that is not."""
        return "done" if (step := self.current) is None else step.state


@frozen(kw_only=True)
class Listed:
    """A thing that an account listed before the first create of this ledger."""

    remote_id: str
    paths: Sequence[str] = ()
    """The paths of its images and inputs."""
    shown: Mapping[str, JSON] = field(factory=dict)
    """Field of the request -> what the listing shows of it."""
    made_at_s: float | None = None


@frozen
class Note:
    """One entry of a step's history."""

    step_id: int
    at: float
    """Epoch seconds."""
    event: str
    text: str | None = None


# --- what changes ---


class Applied(Enum):
    """What became of a change."""

    YES = "yes"
    """It is on disk."""
    STALE = "stale"
    """Nothing changed: the step is in another state, or has other content by now."""
    CLAIMED = "claimed"
    """Nothing changed: the remote id, or the file's name, is another step's."""


@frozen(kw_only=True)
class Change:
    """One arrow of the state machine for one step."""

    step_id: int
    event: Event
    to: State | None = None
    """Where the event may lead to several states: which."""
    values: Mapping[str, JSON] = field(factory=dict)
    """What it writes; `machine.WRITES` names what each event may. `tokens` is path -> whether it
    was made for this step alone; a mark, an error, an account are texts; `own` and `candidates` are
    lists; `work` is a result's number."""
    digest: str | None = None
    """Of the content that goes out; where the step has another by now, the change is STALE."""
    claim: str | None = None
    """The remote id that becomes this step's; another step's: CLAIMED."""
    works: Sequence[WorkRecord] = ()
    """Of `finished`: what the task made."""


# --- how they are read from SQL, and kept there ---

_JSON = json.JSONEncoder(separators=(",", ":"))  # kept: `json.dumps` makes one a call
_ENCODED = frozenset({"addresses", "own", "candidates"})
"""Columns that hold JSON."""


def as_text(value: JSON) -> str:
    """JSON as the ledger keeps it. ASCII: it holds even what can't be sent."""
    return _JSON.encode(value)


def as_column(name: str, value: object) -> object:
    """A value of a `Change` as its column keeps it; what is empty is NULL."""
    if name not in _ENCODED:
        return value
    if not value:
        return None
    return as_text(value if isinstance(value, Mapping) else list(cast("Sequence[str]", value)))


def step_of(columns: Sequence[str], found: Sequence[Any], works: Sequence[WorkRecord]) -> Step:
    """The step that a row of SQL stands for: `sql.STEP_COLUMNS`, then the row's key.

    ValueError where there is something that no ledger writes.
    """
    values = dict(zip(columns, found, strict=False))
    values["key"] = found[-1]
    for name, value in values.items():
        if type(value) not in _TYPES.get(name, _TEXT_OR_NONE):
            raise ValueError(f"the {name} of step {found[0]} is a {type(value).__name__}")
    if values["state"] not in STATES:
        raise ValueError(f"the state of step {found[0]} is {values['state']!r}")
    values["payload"] = object_of(values["payload"])
    values["addresses"] = object_of(values["addresses"] or "{}", of=str)
    values["own"] = frozenset(_list_of_texts(values["own"] or "[]"))
    values["candidates"] = tuple(_list_of_texts(values["candidates"] or "[]"))
    return Step(works=works, **values)


_TEXT_OR_NONE = (str, type(None))
_TYPES: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("id", "row_id", "number", "attempts"), (int,)),
    **dict.fromkeys(("key", "operation", "kind", "digest", "payload", "state"), (str,)),
    **dict.fromkeys(("intent_at", "sent_since", "deadline_at"), (float, type(None))),
    "changed_at": (float,),
}
"""Of a step's columns; all others hold a text or nothing. SQLite keeps whatever it is given."""


def object_of(text: str, of: type = object) -> dict[str, Any]:
    """A JSON object, its values of this type; ValueError where the text is none."""
    found = json.loads(text)
    if not isinstance(found, dict) or not all(isinstance(one, of) for one in found.values()):
        raise ValueError("a value is not the JSON object that it was")
    return found


def _list_of_texts(text: str) -> list[str]:
    found = json.loads(text)
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ValueError("a value is not the JSON list that it was")
    return found


def new_step(
    step_id: int, row_id: int, key: str, values: Mapping[str, Any], one: StepInput
) -> Step:
    """A step as it would be read, that was just written with these values of its columns."""
    return Step(
        id=step_id,
        row_id=row_id,
        key=key,
        number=one.number,
        operation=one.operation,
        kind=one.kind,
        digest=one.digest,
        payload=one.payload,
        state=values["state"],
        account=None,
        addresses={},
        own=frozenset(),
        mark=None,
        attempts=0,
        intent_at=None,
        sent_since=None,
        deadline_at=None,
        owner=None,
        attempt=None,
        remote_id=values["remote_id"],
        evidence=values["evidence"],
        candidates=(),
        error=values["error"],
        changed_at=values["now"],
    )

"""What tests of ledgers share: rows, forms of ledgers, steps brought to a state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from databases import database

from kling_async.bulk.ledger import Ledger
from kling_async.bulk.machine import State
from kling_async.bulk.records import (
    Applied,
    Change,
    Row,
    RowInput,
    Step,
    StepInput,
    WorkRecord,
)
from kling_async.bulk.sqlite import open_ledger

SERVICE = "api.example.com"
ACCOUNT = "a@example.com"

Opener = Callable[[], AbstractAsyncContextManager[Ledger]]


def in_postgres(folder: Path) -> Opener:
    """A ledger of this name in the PostgreSQL of this test session."""
    from kling_async.bulk.postgres import open_postgres

    address = f"{database()}#{folder}"
    return lambda: open_postgres(address, service=SERVICE)


FORMS: dict[str, Callable[[Path], Opener]] = {
    "sqlite": lambda folder: lambda: open_ledger(folder / "jobs.sqlite", service=SERVICE),
    "postgres": in_postgres,
}
"""Each form of a ledger: what opens one and the same again and again."""

PATHS: dict[State, Sequence[dict[str, Any]]] = {
    "planned": (),
    "ready": ({"event": "prepared"},),
    "intent": ({"event": "intended"},),
    "doubt": ({"event": "intended"}, {"event": "lost"}),
    "unknown": ({"event": "intended"}, {"event": "lost"}, {"event": "given_up"}),
    "running": ({"event": "intended"}, {"event": "answered", "to": "running", "claim": "made"}),
    "made": (
        {"event": "intended"},
        {"event": "answered", "to": "running", "claim": "made"},
        {"event": "finished", "to": "made", "works": (WorkRecord(number=1),)},
    ),
    "done": ({"event": "intended"}, {"event": "answered", "to": "done", "claim": "made"}),
    "failed": ({"event": "failed"},),
}
"""How a new step comes to each state."""


def step_input(number: int = 1, **fields: Any) -> StepInput:
    """A step of a row; its digest says what it asks for."""
    kind = "avatar" if number == 1 else "task"
    operation = "avatars.create" if number == 1 else "avatars.create_video"
    content = {"digest": f"content {number}", "payload": {"nickname": "Ann"}}
    return StepInput(
        **{"number": number, "operation": operation, "kind": kind, **content, **fields}
    )


def row_input(key: str = "k1", position: int = 1, *steps: StepInput, **fields: Any) -> RowInput:
    """A row of one step, or of these."""
    columns = fields.pop("columns", {"key": key})
    return RowInput(
        key=key, position=position, columns=columns, steps=steps or (step_input(),), **fields
    )


async def planned(ledger: Ledger, *keys: str, **fields: Any) -> list[Step]:
    """The steps of new rows with these keys."""
    known = [row async for row in ledger.rows()]
    start = 1 + max((row.position for row in known), default=0)
    rows = [
        row_input(key, at, step_input(**fields)) for at, key in enumerate(keys or ("k1",), start)
    ]
    return [row.steps[0] for row in await ledger.register(rows)]


async def yes(ledger: Ledger, step: Step | int, event: Any, to: Any = None, **fields: Any) -> None:
    """Apply a change that has to be possible."""
    assert await tried(ledger, step, event, to, **fields) is Applied.YES


async def tried(
    ledger: Ledger, step: Step | int, event: Any, to: Any = None, **fields: Any
) -> Applied:
    """Apply a change; what else it has goes into its values."""
    step_id = step if isinstance(step, int) else step.id
    own = {name: fields.pop(name) for name in ("digest", "claim", "works") if name in fields}
    return await ledger.apply(Change(step_id=step_id, event=event, to=to, values=fields, **own))


async def brought_to(ledger: Ledger, step: Step, state: State, claim: str | None = None) -> Step:
    """A planned step, after the usual way to a state."""
    for one in PATHS[state]:
        change = dict(one)
        if "claim" in change:
            change["claim"] = claim or f"thing-{step.id}"
        assert await ledger.apply(Change(step_id=step.id, **change)) is Applied.YES
    found = await ledger.step(step.id)
    assert found.state == state
    return found


async def in_state(ledger: Ledger, key: str, state: State, **fields: Any) -> Step:
    """A new row's step in a state."""
    (step,) = await planned(ledger, key, **fields)
    return await brought_to(ledger, step, state)


async def all_rows(ledger: Any, **options: Any) -> list[Row]:
    """Every row."""
    return [row async for row in ledger.rows(**options)]

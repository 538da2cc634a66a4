"""How do many rows, and the changes of many steps, go into one statement? As arrays, in PostgreSQL.

A statement costs client and server some 0.2 ms together, mostly for its way there and back. So new
rows, and the two events that every paid request has, are not written one by one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from . import sql
from .records import Change, Row, RowInput, Step, StepInput, new_step
from .sqlite_reading import Database

_USUAL = frozenset({"intended", "answered"})
_FOR_ALL = frozenset({"me", "now"})
"""Parameters that are the same for all steps of a group."""
_NUMBERS = frozenset({"step_id", "row_id", "number", "position", "run", "own"})
_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")


def usual(changes: Iterable[tuple[int, Change]]) -> list[tuple[int, Change]]:
    """Those of a group's changes, by their places in it, that may go together, in any order."""
    listed = list(changes)
    steps = Counter(one.step_id for _, one in listed)
    claims = Counter(one.claim for _, one in listed)
    return [
        (at, one)
        for at, one in listed
        if one.event in _USUAL
        and all(value is None or type(value) is str for value in one.values.values())
        and "mark" not in one.values
        and steps[one.step_id] == 1
        and (one.claim is None or claims[one.claim] == 1)
    ]


@cache
def for_many(statement: str) -> str:
    """The statement over arrays, a value a step; a change returns the ids of those it reached."""
    own = sorted(set(_PARAMETER.findall(statement)) - _FOR_ALL)
    arrays = ", ".join(f":{one}::{'bigint' if one in _NUMBERS else 'text'}[]" for one in own)
    given = f"unnest({arrays}) AS given({', '.join(f'_{one}' for one in own)})"
    each = _PARAMETER.sub(lambda f: f[0] if f[1] in _FOR_ALL else f"given._{f[1]}", statement)
    if each.startswith("UPDATE"):
        return each.replace(" WHERE ", f" FROM {given} WHERE ", 1) + " RETURNING id"
    if " VALUES (" in each:
        into, values = each.split(" VALUES (", 1)
        values, _, conflict = values.partition(")")
        return f"{into} SELECT {values} FROM {given}{conflict}"
    each = each.replace(" FROM steps WHERE ", f" FROM steps, {given} WHERE ", 1)
    return f"{each} RETURNING step_id"


def arrays_of(statement: str, bound: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The values of `for_many(statement)`, of the steps' own."""
    names = set(_PARAMETER.findall(statement))
    return {
        one: bound[0][one] if one in _FOR_ALL else [values[one] for values in bound]
        for one in names
    }


def inserted(
    db: Database,
    rows: Sequence[RowInput],
    row_values: Callable[[RowInput], dict[str, Any]],
    step_values: Callable[[int, StepInput], dict[str, Any]],
) -> dict[str, Row]:
    """The rows, which are new and of different keys, as the ledger has them from now on; by key."""
    if not rows:
        return {}
    values = arrays_of(sql.INSERT_ROW, [row_values(row) for row in rows])
    done = db.execute(f"{for_many(sql.INSERT_ROW)} RETURNING key, id", values)
    ids = dict(done.fetchall())
    steps = [
        (row.key, one, step_values(ids[row.key], one)) for row in rows for one in row.kept_steps
    ]
    values = arrays_of(sql.INSERT_STEP, [given for _, _, given in steps])
    done = db.execute(f"{for_many(sql.INSERT_STEP)} RETURNING row_id, number, id", values)
    step_ids = {(row_id, number): step_id for row_id, number, step_id in done.fetchall()}
    of_rows: dict[str, list[Step]] = {row.key: [] for row in rows}
    tokens: list[dict[str, Any]] = []
    for key, one, given in steps:
        step = new_step(step_ids[ids[key], one.number], ids[key], key, given, one)
        of_rows[key].append(step)
        paths = dict.fromkeys(one.paths)  # each once
        tokens += [{"path": path, "step_id": step.id, "own": 0} for path in paths]
    if tokens:
        db.execute(for_many(sql.KEEP_TOKEN), arrays_of(sql.KEEP_TOKEN, tokens))
    return {
        row.key: Row(
            id=ids[row.key], key=row.key, position=row.position, columns=row.columns,
            steps=tuple(of_rows[row.key]),
        )
        for row in rows
    }  # fmt: skip

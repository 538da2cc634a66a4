"""Why are rows as they are? `bulk status --state`: those of one cause together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import define, field

from ..bulk.flat import SHOWN, ResultState, first_error, flat
from ..bulk.ledger import LedgerReader
from ..bulk.machine import State
from ..bulk.problems import cause_of
from ..bulk.records import Row
from ..models.text import printable
from .streams import echo, echo_json

SHOWN_ROWS = 20
"""Rows of a cause that are named where not all are wanted."""


NO_CAUSE = "no cause is recorded"


@define
class Cause:
    """Rows that are in their state for the same reason."""

    text: str
    """Of the first of them."""
    first: int
    """The first row's number in the input."""
    rows: list[Row] = field(factory=list)
    count: int = 0


class Causes:
    """Counts rows by cause, and keeps so many of each; None: all."""

    def __init__(self, kept: int | None) -> None:
        self._kept = kept
        self._found: dict[str, Cause] = {}

    def add(self, row: Row) -> None:
        """One more that is not done."""
        text = first_error(row) or ""
        cause = self._found.setdefault(cause_of(text, row.key), Cause(text, row.position))
        cause.count += 1
        if self._kept is None or len(cause.rows) < self._kept:
            cause.rows.append(row)

    @property
    def worst(self) -> list[Cause]:
        """The most frequent one first."""
        return sorted(self._found.values(), key=lambda one: -one.count)


async def causes(book: LedgerReader, state: ResultState, *, every: bool) -> list[Cause]:
    """The causes of rows being in this state, the most frequent one first.

    Args:
        book: the ledger.
        state: as users see it.
        every: keep all rows, and not only the first of each cause.
    """
    found = Causes(None if every else SHOWN_ROWS)
    states: list[State] = [one for one, shown in SHOWN.items() if shown == state]
    async for row in book.rows(states=states):
        found.add(row)
    return found.worst


def say(found: list[Cause], state: ResultState, *, as_json: bool) -> None:
    """Show them: each cause, and its rows."""
    if as_json:
        rows = [_row(row) for cause in found for row in cause.rows]
        groups = [
            {"cause": one.text, "rows": one.count, "keys": [row.key for row in one.rows]}
            for one in found
        ]
        total = sum(one.count for one in found)
        said = {"state": state, "count": total, "causes": groups, "rows": rows}
        echo_json(said)
        return
    if not found:
        echo(f"no row is {state}")
    for line in _lines(found, state):
        echo(line)


def _lines(found: list[Cause], state: ResultState) -> Iterator[str]:
    for one in found:
        rows = "1 row" if one.count == 1 else f"{one.count} rows"
        yield f"{state}, {rows}: {printable(one.text) or NO_CAUSE}"
        for row in one.rows:
            step = row.current
            could_be = ", ".join(() if step is None else step.candidates)
            yield f"  {printable(row.key)}{f'   could be: {could_be}' if could_be else ''}"
        if one.count > len(one.rows):
            yield f"  ... and {one.count - len(one.rows)} more; --all shows them"


def _row(row: Row) -> dict[str, Any]:
    step = row.current
    said: dict[str, Any] = {"step": None, "candidates": []}
    if step is not None:
        said = {"step": step.number, "candidates": list(step.candidates)}
    return {**flat(row), **said}

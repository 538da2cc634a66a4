"""What does a ledger say? Asked on one connection, of SQLite or PostgreSQL, synchronously.

`sqlite_store.py` adds what changes it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from ..errors import LedgerError
from . import sql
from .machine import STATES, State
from .records import Listed, Note, Row, Step, WorkRecord, object_of, step_of
from .values import mended

_PART = 500
"""Values in one statement; SQLite bounds them."""
_WITH_WORKS = ("made", "done", "failed")
_STATE = sql.STEP_COLUMNS.index("state")


class Cursor(Protocol):
    """What a statement found or did."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""
        ...

    def fetchone(self) -> Any:
        """The next row; None: there is none."""
        ...

    def fetchall(self) -> list[Any]:
        """All rows."""
        ...


class Database(Protocol):
    """A connection that takes the statements of `sql.py` and `arrows.py`."""

    def execute(self, statement: str, values: Mapping[str, Any] = ..., /) -> Cursor:
        """Carry a statement out; its parameters are written `:name`."""
        ...


@contextmanager
def as_written(path: object) -> Iterator[None]:
    """LedgerError where something was read that no ledger writes."""
    try:
        yield
    except (ValueError, TypeError, RecursionError) as exc:
        raise LedgerError(
            f"the ledger {path} is damaged ({exc}): put back a copy of it; nothing was sent that "
            f"is not recorded there"
        ) from exc


class Reading:
    """What a ledger says; `Writing` adds what changes it.

    Args:
        path: where it is, for messages.
        db: the connection.
    """

    def __init__(self, path: object, db: Database) -> None:
        self.path = path
        self._db = db

    # --- rows and steps ---

    def row(self, key: str) -> Row:
        """See `LedgerReader.row`."""
        if (row := self.known([key]).get(key)) is None:
            raise LedgerError(f"{self.path} has no row {key!r}")
        return row

    def row_of(self, row_id: int) -> Row:
        """See `LedgerReader.row_of`."""
        found = self._db.execute(sql.ROW_OF_ID, {"id": row_id}).fetchall()
        if not found:
            raise LedgerError(f"{self.path} has no row of number {row_id}")
        return self._rows(found)[0]

    def step(self, step_id: int) -> Step:
        """See `LedgerReader.step`."""
        found = self._db.execute(sql.STEP, {"id": step_id}).fetchall()
        if not found:
            raise LedgerError(f"{self.path} has no step of number {step_id}")
        return self._steps(found)[0]

    def known(self, keys: Sequence[str]) -> dict[str, Row]:
        """See `LedgerReader.known`."""
        found = self.among(sql.ROWS_OF_KEYS, [mended(key) for key in keys])
        return {row.key: row for row in self._rows(found)}

    def page(self, states: frozenset[State], after: tuple[int, int], size: int) -> list[Row]:
        """The next rows in these states after (position, id)."""
        values = {"position": after[0], "id": after[1], "size": size}
        return self._rows(self._db.execute(sql.rows_page(states), values).fetchall())

    def counts(self) -> dict[State, int]:
        """See `LedgerReader.counts`."""
        counts: dict[State, int] = dict(self._db.execute(sql.COUNTS_OPEN).fetchall())
        self._check_states(counts)
        (total,) = self._db.execute(sql.COUNT_ROWS).fetchone()
        if done := total - sum(counts.values()):
            counts["done"] = done
        return counts

    def step_counts(self) -> dict[tuple[int, State], int]:
        """See `LedgerReader.step_counts`."""
        found = self._db.execute(sql.STEP_COUNTS).fetchall()
        self._check_states(state for _, state, _ in found)
        return {(number, state): n for number, state, n in found}

    def to_reopen(self, numbers: Collection[int]) -> int:
        """See `LedgerReader.to_reopen`."""
        statement = sql.to_reopen(frozenset(numbers), count=True)
        found: int = self._db.execute(statement).fetchone()[0]
        return found

    def accounts(self) -> list[str]:
        """See `LedgerReader.accounts`."""
        return [one for (one,) in self._db.execute(sql.ACCOUNTS).fetchall()]

    def history(self, row_id: int) -> list[Note]:
        """See `LedgerReader.history`."""
        found = self._db.execute(sql.HISTORY, {"row_id": row_id}).fetchall()
        return [Note(*one) for one in found]

    def fact(self, name: str) -> str | None:
        """See `LedgerReader.fact`."""
        found = self._db.execute(sql.FACT, {"name": name}).fetchone()
        if found is None:
            return None
        if not isinstance(found[0], str) or (name == "born_at" and not _is_moment(found[0])):
            raise self._damaged(f"its {name!r}")
        return found[0]

    def whole_number(self, name: str) -> int:
        """The fact `name` as a number; 0 where the ledger does not know it."""
        with as_written(self.path):
            return int(self.fact(name) or 0)

    # --- for doubts ---

    def unsettled(self, account: str | None, kind: str, states: Collection[State]) -> list[Step]:
        """See `LedgerReader.unsettled`."""
        return self._steps(self.among(sql.UNSETTLED, states, **place_of(account, kind)))

    def sent(self, account: str | None, kind: str) -> list[Step]:
        """See `LedgerReader.sent`."""
        return self._steps(self._db.execute(sql.SENT, place_of(account, kind)).fetchall())

    def uses(self, account: str | None, kind: str, paths: Collection[str]) -> list[Step]:
        """See `LedgerReader.uses`."""
        found = self.among(sql.USES, paths, **place_of(account, kind))
        return self._steps(list({one[0]: one for one in found}.values()))

    def owners(self, account: str | None, kind: str, ids: Collection[str]) -> dict[str, int]:
        """See `LedgerReader.owners`."""
        return dict(self.among(sql.OWNERS, ids, **place_of(account, kind)))

    # --- what was there before ---

    def was_listed(self, account: str | None, kind: str) -> bool:
        """See `LedgerReader.was_listed`."""
        return self.fact(listed_fact(account, kind)) is not None

    def listed_before(self, account: str | None, kind: str, ids: Collection[str]) -> set[str]:
        """See `LedgerReader.listed_before`."""
        found = self.among(sql.LISTED_BEFORE, ids, **place_of(account, kind))
        return {one for (one,) in found}

    def alike_before(self, account: str | None, kind: str, paths: Collection[str]) -> list[Listed]:
        """See `LedgerReader.alike_before`."""
        place = place_of(account, kind)
        ids = {one for (one,) in self.among(sql.LISTED_WITH_PATHS, paths, **place)}
        return list(self._listed(place, ids).values())

    def never_sent_alike(
        self, account: str | None, kind: str, after: int, size: int
    ) -> list[tuple[Step, Listed]]:
        """See `LedgerReader.never_sent_alike`."""
        place = place_of(account, kind)
        page = {**place, "after": after, "size": size}
        found = self._db.execute(sql.NEVER_SENT_ALIKE, page).fetchall()
        step_ids = [one for (one,) in found]
        pairs = self.among(sql.ALIKE_OF_STEPS, step_ids, **place)
        listed = self._listed(place, {remote_id for _, remote_id in pairs})
        steps = {step_id: self.step(step_id) for step_id in step_ids}
        return [(steps[step_id], listed[remote_id]) for step_id, remote_id in pairs]

    def _listed(self, place: Mapping[str, str], ids: Collection[str]) -> dict[str, Listed]:
        paths: dict[str, list[str]] = {}
        for remote_id, path in self.among(sql.PATHS_OF_LISTED, ids, **place):
            paths.setdefault(remote_id, []).append(path)
        return {
            remote_id: Listed(
                remote_id=remote_id,
                paths=paths.get(remote_id, ()),
                shown=self._object(shown),
                made_at_s=made_at,
            )
            for remote_id, shown, made_at in self.among(sql.LISTED, ids, **place)
        }

    # --- inside ---

    def among(self, statement: str, among: Collection[Any], **values: Any) -> list[Any]:
        """What a statement finds among these values, which stand at its `%s`."""
        found: list[Any] = []
        for part in _parts(among):
            names = {f"v{at}": value for at, value in enumerate(part)}
            marks = ", ".join(f":{name}" for name in names)
            found += self._db.execute(statement % marks, {**values, **names}).fetchall()
        return found

    def _rows(self, found: Sequence[Any]) -> list[Row]:
        steps: dict[int, list[Step]] = {}
        for step in self._steps(self.among(sql.STEPS_OF_ROWS, [one[0] for one in found])):
            steps.setdefault(step.row_id, []).append(step)
        rows = [
            Row(
                id=row_id,
                key=key,
                position=position,
                columns=self._object(columns),
                steps=tuple(steps.get(row_id, ())),
            )
            for row_id, key, position, columns, _ in found
        ]
        for row_id, key, position, _, _ in found:
            numbers = [step.number for step in steps.get(row_id, ())]
            whole = numbers != [] and numbers == [*range(1, len(numbers) + 1)]
            if not whole or not isinstance(key, str) or not isinstance(position, int):
                raise self._damaged(f"row {row_id}")
        return rows

    def _damaged(self, what: str) -> LedgerError:
        return LedgerError(
            f"the ledger {self.path} is damaged ({what} can't be read): put back a copy of it; "
            f"nothing was sent that is not recorded there"
        )

    def _object(self, text: str) -> dict[str, Any]:
        with as_written(self.path):
            return object_of(text)

    def _check_states(self, found: Iterable[State]) -> None:
        if strange := [one for one in found if one not in STATES]:
            raise LedgerError(f"the ledger {self.path} is damaged: no step is {strange[0]!r}")

    def _steps(self, found: Sequence[Any]) -> list[Step]:
        finished = [one[0] for one in found if one[_STATE] in _WITH_WORKS]
        works: dict[int, list[WorkRecord]] = {}
        for step_id, number, work_id, url, content_type, file, size in self.among(
            sql.WORKS_OF_STEPS, finished
        ):
            texts, sizes = (work_id, url, content_type, file), (number, size or 0)
            if not all(one is None or type(one) is str for one in texts) or any(
                type(one) is not int for one in sizes
            ):
                raise self._damaged(f"the works of step {step_id}")
            works.setdefault(step_id, []).append(
                WorkRecord(
                    number=number,
                    work_id=work_id,
                    url=url,
                    content_type=content_type,
                    file=file,
                    size_bytes=size,
                )
            )
        with as_written(self.path):
            return [step_of(sql.STEP_COLUMNS, one, tuple(works.get(one[0], ()))) for one in found]


def place_of(account: str | None, kind: str) -> dict[str, str]:
    """An account and a kind as parameters."""
    return {"account": account or "", "kind": kind}


def listed_fact(account: str | None, kind: str) -> str:
    """The name of the fact that an account was listed before its first create."""
    return f"listed before, {kind} of account {account or ''}"


def _is_moment(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _parts(values: Collection[Any]) -> Iterator[Sequence[Any]]:
    """In parts that one statement can take."""
    listed = list(values)
    return (listed[start : start + _PART] for start in range(0, len(listed), _PART))

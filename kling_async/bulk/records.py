"""What does the ledger know of one row? Values and their reading; no SQL, no files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from attrs import field, fields, frozen

from ..errors import JSON
from .rows import BulkRow, RowState

State = Literal["planned", "ready", "intent", "doubt", "done", "failed", "unknown"]
TokenKind = Literal["upload", "url"]
OPEN_STATES: tuple[State, ...] = ("planned", "ready")
"""A create may be sent."""
UNSETTLED: tuple[State, ...] = ("doubt", "unknown")
"""A create was sent, and its outcome is not known."""
ABANDONED = "abandoned"
REOPENED = "reopened"
"""As evidence: a failed row that is to be tried again, and was not sent since."""


@frozen
class Record:
    """One row as the ledger has it."""

    id: int
    key: str
    position: int
    digest: str
    payload: Mapping[str, JSON] = field(repr=False)
    columns: Mapping[str, JSON] = field(repr=False)
    state: State
    account: str | None
    asset_url: str | None
    token: str | None
    """The path of its image's address, by which it is known again in a listing."""
    token_kind: TokenKind | None
    """"upload": made for this row alone. "url": the user's own address."""
    attempts: int
    intent_at: float | None
    doubt_at: float | None
    avatar_id: str | None
    evidence: str | None
    """How `avatar_id` is known: answer, adopted, adopted-by-fields, adopted-late, settled."""
    candidates: Sequence[str]
    """Ids that could be this row's."""
    error: str | None

    def result(self) -> BulkRow:
        """What the user sees of it."""
        return BulkRow(
            key=self.key,
            state=_SHOWN[self.state],
            avatar_id=self.avatar_id,
            account=self.account,
            error=self.error,
            attempts=self.attempts,
            evidence=self.evidence,
            columns=self.columns,
        )


_SHOWN: dict[State, RowState] = {
    "done": "created",
    "failed": "failed",
    "unknown": "unknown",
    "intent": "unknown",
    "doubt": "unknown",
    "planned": "skipped",
    "ready": "skipped",
}


ROW_COLUMNS = tuple(one.name for one in fields(Record))
_JSON_COLUMNS = frozenset({"payload", "columns", "candidates"})


def record_of(found: Sequence[Any]) -> Record:
    """The record that a row of SQL, in the order of `ROW_COLUMNS`, stands for."""
    values = dict(zip(ROW_COLUMNS, found, strict=True))
    values["candidates"] = values["candidates"] or "[]"
    return Record(**{n: json.loads(v) if n in _JSON_COLUMNS else v for n, v in values.items()})


def as_text(value: Mapping[str, JSON] | Sequence[str]) -> str:
    """JSON as the ledger keeps it."""
    return json.dumps(value, separators=(",", ":"))  # ASCII: holds even what can't be sent

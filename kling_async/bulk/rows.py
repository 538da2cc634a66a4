"""What is a row, before and after? Values only; who reads, keeps or sends them is elsewhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from attrs import asdict, field, fields, frozen

from ..errors import JSON, InvalidRequestError
from ..media import Media
from ..models import checks
from ..models.avatars import CreateAvatar

RowState = Literal["created", "failed", "unknown", "skipped"]


@frozen(kw_only=True)
class BulkRow:
    """What became of one row of a bulk job.

    `state` is "created" (with its `avatar_id`, in this run or an earlier one), "failed" (the server
    or a check refused it; `error` says why), "unknown" (it may have been made: its answer was lost)
    or "skipped" (nothing was sent in this run, and the next run will do it; `error` says why).
    """

    key: str
    state: RowState
    avatar_id: str | None = None
    account: str | None = None
    error: str | None = None
    attempts: int = 0
    evidence: str | None = None
    """How the avatar is known: "answer", or "adopted" and its like where the answer was lost."""
    columns: Mapping[str, JSON] = field(factory=dict, repr=False)
    """The input's own columns."""


@frozen(kw_only=True)
class RowInput:
    """One row as it was read: what to make, and its name in the ledger.

    Where the row can't be sent, `problems` (field -> what is wrong) is filled and `request` None.
    """

    key: str
    position: int
    """Its number in the input, from 1."""
    digest: str
    """Tells this row's content from another's, whatever its key."""
    payload: Mapping[str, JSON]
    """The request's fields as JSON; a file by its absolute path, bytes by their digest."""
    columns: Mapping[str, JSON] = field(factory=dict, repr=False)
    request: CreateAvatar | None = field(default=None, repr=False)
    problems: Mapping[str, str] = field(factory=dict)
    line: int | None = None
    """The line of the file it begins on, where it came from one."""


def row_of(
    given: CreateAvatar | Mapping[str, Any],
    position: int,
    *,
    columns: Mapping[str, JSON] | None = None,
    line: int | None = None,
) -> RowInput:
    """The row that a request, or a mapping of its fields and perhaps a `key`, stands for.

    Looks into image files: call it in a thread. What can't be a request becomes a `problem`.

    Args:
        given: `CreateAvatar`, or its fields by name.
        position: its number in the input, from 1.
        columns: what the export shows of the input; default: the fields that were given.
        line: of the file it came from.
    """
    if isinstance(given, CreateAvatar):
        request: CreateAvatar | None = given
        fields_given: dict[str, Any] = asdict(given, recurse=False)
        key, problems = None, dict[str, str]()
    else:
        fields_given = dict(given)
        key = fields_given.pop("key", None)
        request, problems = _request_of(fields_given)
    as_given = {name: plain(value) for name, value in fields_given.items() if value is not None}
    payload = as_given if request is None else _payload_of(request)
    shown = as_given if columns is None else columns
    if key is not None and (problem := checks.text()(key)) is not None:
        problems = {"key": problem, **problems}
        key = None
    return RowInput(
        key=key if key is not None else f"row-{position}-{_digest(shown)[:8]}",
        position=position,
        digest=_digest(shown),
        payload=payload,
        columns=shown,
        request=None if problems else request,
        problems=problems,
        line=line,
    )


def _payload_of(request: CreateAvatar) -> dict[str, JSON]:
    given = asdict(request, recurse=False)
    return {name: plain(value) for name, value in given.items() if value is not None}


def _digest(content: Mapping[str, JSON]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def plain(value: Any) -> JSON:
    """`value` as JSON: a file that was looked into by its absolute path, bytes by their digest."""
    if isinstance(value, Media):
        value = value.source.absolute() if isinstance(value.source, Path) else value.source
    if hasattr(value, "__fspath__"):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "sha256:" + hashlib.sha256(value).hexdigest()
    if value is None or isinstance(value, (str, int, float, bool, list, dict)):
        return value
    return repr(value)  # not a field's type, so the row has a problem that says so


_FIELDS = frozenset(one.name for one in fields(CreateAvatar))


def _request_of(given: dict[str, Any]) -> tuple[CreateAvatar | None, dict[str, str]]:
    known = f"known are {', '.join(sorted(_FIELDS))}"
    problems = dict.fromkeys(set(given) - _FIELDS, f"is no field of an avatar; {known}")
    try:
        request = CreateAvatar(**{name: given[name] for name in given if name in _FIELDS})
    except InvalidRequestError as exc:
        return None, {**problems, **exc.problems}
    return request, problems

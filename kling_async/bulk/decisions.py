"""What did the user write beside rows whose outcome stayed unknown? A filled-in export, read back.

The file has the columns `key` and `decision`, perhaps `step`; all others are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from attrs import frozen

from .inputs import records_of
from .problems import InputError, InputProblem, Problems, StrPath
from .readers import Record
from .rows import WHOLE_ROW

Decision = Literal["adopt", "resend", "abandon"]
REMEDY = "Nothing was settled. Mend it and try again."
_ADOPT = re.compile(r"(?:adopt[\s:]+)?([0-9]{1,40})", re.IGNORECASE)


@frozen
class Word:
    """What the user decided of one row."""

    key: str
    decision: Decision
    adopt: str | None = None
    """What to adopt; None: the row's only candidate."""
    step: int | None = None
    """Which request of the row; None: the first whose outcome is unknown."""
    line: int | None = None


class _Columns:
    """Any columns, of which two are needed."""

    names = ("key", "decision")
    decimal_comma = False

    def is_known(self, name: str) -> bool:
        return True

    def unknown(self, name: str, *, further: Sequence[str] = ()) -> str:
        return ""

    def lacking(self, names: Sequence[str]) -> str | None:
        if missing := [one for one in self.names if one not in names]:
            return f"the header needs a column {' and '.join(missing)}"
        return None


def read_decisions(given: Mapping[str, str] | StrPath, *, step: int | None = None) -> list[Word]:
    """The decisions of a file or a mapping, without the rows that have none.

    Args:
        given: the file (.csv, .tsv, .jsonl or .xlsx), or the decision of each key.
        step: which request of each row, where the file does not say.

    Raises:
        InputError: with all that can't be read.
        ConfigurationError: the extra that reads such files is not installed.
    """
    words, problems = list[Word](), Problems()
    records = _pairs(given) if isinstance(given, Mapping) else _records(Path(given))
    for record in records:
        text = str(record.cells.get("decision") or "").strip()
        if not text:
            continue
        said = _word(record, text, step)
        key, value = str(record.cells.get("key") or ""), text[:200]
        if isinstance(said, Word):
            words.append(said)
        elif isinstance(given, Mapping):
            problems.add(InputProblem(f"decisions[{key!r}]", None, None, said[1], key, value))
        else:
            problems.add(InputProblem(str(given), record.line, *said, key, value))
    if problems.count:
        raise problems.error(REMEDY)
    return words


def _pairs(given: Mapping[str, str]) -> Iterator[Record]:
    return (Record(None, {"key": key, "decision": text}, {}) for key, text in given.items())


def _records(path: Path) -> Iterator[Record]:
    try:
        yield from records_of(path, _Columns())
    except InputError as exc:
        raise InputError(exc.problems, exc.more, remedy=REMEDY) from None


def _word(record: Record, text: str, step: int | None) -> Word | tuple[str | None, str]:
    """The decision, or the column and what is wrong with it."""
    if WHOLE_ROW in record.problems:
        return None, record.problems[WHOLE_ROW]
    key = str(record.cells.get("key") or "").strip()
    if not key:
        return "key", "is missing"
    number = str(record.cells.get("step") or "").strip()
    if number and not re.fullmatch(r"[1-9][0-9]?", number):
        return "step", f"is {number[:20]!r}; it must be 1, 2, ..."
    at = int(number) if number else step
    word = text.lower()
    if word == "resend":
        return Word(key, "resend", None, at, record.line)
    if word == "abandon":
        return Word(key, "abandon", None, at, record.line)
    if word == "adopt":
        return Word(key, "adopt", None, at, record.line)
    if (found := _ADOPT.fullmatch(text)) is not None:
        return Word(key, "adopt", found[1], at, record.line)
    return "decision", f"is {text[:40]!r}; it must be resend, abandon, adopt ID, or adopt"

"""What rows does this file hold? CSV, TSV or JSON Lines, read one row at a time.

`check.py` and the runner call `read_rows`, in a thread: it reads the file and looks into images.
A fault of one row stays with that row; only a fault of the whole file raises. Whether rows agree
with each other, the ledger or the voices is asked elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import evolve

from ..errors import JSON
from ..models.checks import SPEED
from .columns import OWN_PREFIX, WHOLE_ROW
from .inputforms import Record, csv_records, json_records
from .located import InputError, Located, StrPath
from .rows import RowInput, row_of
from .textlines import Lines
from .videorows import VIDEO_FIELDS

FILES = ("image", "audio")
NUMBERS = ("tts_speed", "speed")


def read_rows(path: StrPath) -> Iterator[RowInput]:
    """The rows of the file in its order, one at a time; a row that can't be sent has `problems`.

    Args:
        path: ends in .csv, .tsv, .jsonl or .ndjson; UTF-8. Files are relative to its folder.

    Raises:
        InputError: while iterating, where the file as a whole can't be read.
    """
    form = _FORMS.get(Path(path).suffix.lower())
    if form is None:
        raise InputError([Located(str(path), None, None, f"must end in {', '.join(_FORMS)}")])
    records, typed = form
    folder = Path(path).parent
    position = 0
    with Lines(path) as lines:
        for record in records(lines):
            position += 1
            yield _row(record, position, folder, typed)
        if position == 0:
            raise lines.fault(None, "has no rows")


def _row(record: Record, position: int, folder: Path, typed: _Typed) -> RowInput:
    problems = dict(record.problems)
    given = dict[str, Any]()
    account = "email" if "email" in record.cells else "account"
    for name, cell in record.cells.items():
        if name.startswith(OWN_PREFIX):
            continue
        try:
            value = typed(name, cell)
            field = "email" if name == "account" else name
            given[field] = _file(name, value, folder) if name in FILES else value
        except ValueError as exc:
            problems.setdefault(name, str(exc))
    row = row_of(given, position, columns=record.cells, line=record.line)
    if WHOLE_ROW in problems:
        # Its cells may sit in the wrong columns, so what is wrong with each would mislead.
        return evolve(row, request=None, problems={WHOLE_ROW: problems[WHOLE_ROW]})
    for field, text in row.problems.items():
        problems.setdefault(account if field == "email" else field, text)
    _of_files(problems, record.cells, given)
    return evolve(row, request=None, problems=problems) if problems else row


def _of_files(
    problems: dict[str, str], cells: Mapping[str, JSON], given: Mapping[str, JSON]
) -> None:
    """Say what is wrong with a row's files and addresses as the columns name them."""
    images = {"image", "image_url"} & set(cells)
    if "avatar_id" not in cells and len(images) != 1:
        said = "and image_url are both given; keep one of the two" if images else _NO_IMAGE
        problems.pop("image_url", None)
        problems["image"] = said
    elif "image" in images and "image" not in given:
        problems.pop("image_url", None)  # says that no image is given, as the request saw none
    if "audio" in cells and "audio" not in given:
        for name in set(VIDEO_FIELDS) - set(FILES):  # likewise, of no speech
            problems.pop(name, None)


_NO_IMAGE = "is missing; give a file here, or an address in image_url"


def _file(name: str, value: Any, folder: Path) -> Path:
    """The file that a cell means; ValueError where it means none."""
    if not isinstance(value, str):
        raise ValueError(f"must be a path as text, not {type(value).__name__}")
    if not value.strip():
        raise ValueError("must not be blank; leave it out instead")
    if re.match(r"https?://", value, re.IGNORECASE):
        raise ValueError(f"is an address, not a file; put it into {name}_url")
    try:
        return folder / Path(value).expanduser()
    except RuntimeError:
        raise ValueError(f"{value!r} names a home folder that is not there") from None


def _as_given(_name: str, value: JSON) -> JSON:
    return value


def _from_text(name: str, cell: JSON) -> JSON:
    """What a CSV cell stands for; outer white space is an accident of typing."""
    text = str(cell).strip()
    if name not in NUMBERS:
        return text
    if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)", text):
        return float(text)
    comma = re.fullmatch(r"[+-]?[0-9]*,[0-9]+", text)
    hint = f", written with a point: {text.replace(',', '.')}" if comma else ""
    raise ValueError(
        f"is {text[:40]!r}; it must be a number from {SPEED.low:g} to {SPEED.high:g}{hint}"
    )


_Typed = Callable[[str, JSON], JSON]
_Form = tuple[Callable[[Lines], Iterator[Record]], _Typed]
_FORMS: dict[str, _Form] = {
    ".csv": (csv_records, _from_text),
    ".tsv": (csv_records, _from_text),
    ".jsonl": (json_records, _as_given),
    ".ndjson": (json_records, _as_given),
}

"""What rows does this file hold? CSV, TSV or JSON Lines, read one row at a time.

`check.py` and the runner call `read_rows`, in a thread: it reads the file and looks into images.
A fault of one row stays with that row; only a fault of the whole file raises. Whether rows agree
with each other, the ledger or the voices is asked elsewhere.
"""

from __future__ import annotations

import csv
import difflib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, cast

from attrs import evolve, frozen

from ..errors import JSON
from ..models.checks import SPEED_MAX, SPEED_MIN
from .located import InputError, Located, StrPath
from .rows import RowInput, row_of
from .textlines import Lines

WHOLE_ROW = ""
"""The name under which `RowInput.problems` holds what is wrong with no column in particular."""

COLUMNS = (
    "key",
    "image",
    "image_url",
    "nickname",
    "prompt",
    "scene",
    "tts_speaker",
    "tts_speed",
    "tts_emotion",
    "account",
    "email",
)
OWN_PREFIX = "x_"


def read_rows(path: StrPath) -> Iterator[RowInput]:
    """The rows of the file in its order, one at a time; a row that can't be sent has `problems`.

    Args:
        path: ends in .csv, .tsv, .jsonl or .ndjson; UTF-8. Images are relative to its folder.

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


@frozen
class _Record:
    """What stands in the file for one row: names as `_name` makes them, values as they are read."""

    line: int
    cells: Mapping[str, JSON]
    problems: Mapping[str, str]


def _csv_records(lines: Lines) -> Iterator[_Record]:
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        raise lines.fault(None, "is empty")
    header_line = lines.number
    # csv's limit of 131,072 characters a cell stays: it is one for the whole process, so raising
    # it would change other people's reading, and a spreadsheet's cell holds 32,767 at most.
    reader = csv.reader(chain([first], lines), delimiter=_delimiter(first, lines.path), strict=True)
    names = _header(_next_cells(reader, lines, header_line) or [], header_line, str(lines.path))
    while True:
        line = lines.begin_record()
        cells = _next_cells(reader, lines, line)
        if cells is None:
            return
        if not any(cell.strip() for cell in cells):
            continue  # a blank line, or the bare delimiters a spreadsheet leaves of a cleared row
        # Missing cells at the end count as blank: spreadsheets and scripts leave them out.
        # Surplus ones are a fault unless blank: most often a delimiter in a cell without quotes.
        surplus = any(cell.strip() for cell in cells[len(names) :])
        given = {name: cell for name, cell in zip(names, cells, strict=False) if cell.strip()}
        problem = (
            f"has {len(cells)} cells, but the header names {len(names)} columns; a cell that holds "
            "the delimiter needs quotes around it"
        )
        yield _Record(line, given, {WHOLE_ROW: problem} if surplus else {})


def _next_cells(reader: Iterator[list[str]], lines: Lines, line: int) -> list[str] | None:
    """The cells of the record that begins on `line`, None at the end of the file."""
    try:
        return next(reader, None)
    except csv.Error as exc:
        if "field limit" in str(exc):
            text = (
                f"a cell has more than {csv.field_size_limit()} characters; perhaps a quote is "
                "opened and never closed"
            )
        else:
            text = (
                f"the quotes of this row don't match ({exc}); a cell with quotes in it is written "
                '"like ""this"" one"'
            )
        raise lines.fault(line, text) from None


def _delimiter(header: str, path: Path) -> str:
    """Tab in .tsv; in .csv the comma, or what Excel writes in its place in much of Europe."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    bare = re.sub(r'"[^"]*"', "", header)
    if "," in bare:
        return ","
    return max(",;\t", key=bare.count)


def _header(cells: Sequence[str], line: int, file: str) -> list[str]:
    names = [_name(cell) for cell in cells]
    while names and not names[-1]:  # a delimiter at the line's end
        names.pop()
    if not any(name in COLUMNS for name in names):
        text = f"no header: the first line must name the columns, which are {', '.join(COLUMNS)}"
        raise InputError([Located(file, line, None, text)])
    problems = list[Located]()
    for index, name in enumerate(names):
        if not name:
            where, text = None, f"column {index + 1} has no name; give it one that begins with x_"
        elif name in names[:index]:
            where, text = name, "is in the header twice; keep one"
        elif name == "email" and "account" in names:
            where, text = name, "means the same as account; keep one of the two"
        elif not _is_known(name):
            where, text = name, _unknown(name, COLUMNS)
        else:
            continue
        problems.append(Located(file, line, where, text))
    if not {"image", "image_url"} & set(names):
        text = "the header needs a column image (files) or image_url (addresses)"
        problems.append(Located(file, line, None, text))
    if problems:
        raise InputError(problems)
    return names


def _json_records(lines: Lines) -> Iterator[_Record]:
    while True:
        number = lines.begin_record()
        text = next(lines, None)
        if text is None:
            break
        if text.strip():
            yield _json_record(text, number)
    if lines.number == 0:
        raise lines.fault(None, "is empty")


def _json_record(text: str, line: int) -> _Record:
    try:
        value = _JSON.decode(text.rstrip())
    except json.JSONDecodeError as exc:
        said = f"is not JSON: {exc.msg} at character {exc.pos + 1}; each line is one JSON object"
        return _Record(line, {}, {WHOLE_ROW: said})
    except RecursionError:
        return _Record(line, {}, {WHOLE_ROW: _TOO_DEEP})
    except ValueError as exc:
        return _Record(line, {}, {WHOLE_ROW: str(exc)})
    if not isinstance(value, dict):
        said = f"must be a JSON object, {{...}}, not {type(value).__name__}"
        return _Record(line, {}, {WHOLE_ROW: said})
    unusable = _unusable(value)
    if unusable:
        return _Record(line, {}, {WHOLE_ROW: unusable})
    cells, problems = dict[str, JSON](), dict[str, str]()
    for written, cell in cast("dict[str, JSON]", value).items():
        name = _name(written)
        if name in cells or name in problems:
            problems[name] = "is given twice; keep one"
        elif not (_is_known(name) or name == "extra"):
            problems[name] = _unknown(name, (*COLUMNS, "extra"))
        elif cell is not None:
            cells[name] = cell
    if "account" in cells and "email" in cells:
        problems["email"] = "means the same as account; keep one of the two"
    return _Record(line, cells, problems)


_DEPTH = 20
_TOO_DEEP = f"is nested more than {_DEPTH} deep"
_UNSENDABLE = re.compile("[\0\ud800-\udfff]")


def _unusable(value: Any, depth: int = 0) -> str | None:
    """Why what JSON allows could be neither sent nor kept; None where it could."""
    if isinstance(value, str):
        bad = _UNSENDABLE.search(value)
        return f"holds the character \\u{ord(bad[0]):04x}, which is no text" if bad else None
    if isinstance(value, dict):
        inside = chain[Any](value, value.values())
    elif isinstance(value, list):
        inside = chain[Any](value)
    else:
        return None
    if depth > _DEPTH:
        return _TOO_DEEP
    return next((said for one in inside if (said := _unusable(one, depth + 1))), None)


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"has {next(n for n in names if names.count(n) > 1)!r} twice; keep one")
    return made


def _finite(text: str) -> float:
    value = float(text) if text[-1].isdigit() else math.nan  # NaN, Infinity: Python's, not JSON's
    if not math.isfinite(value):
        raise ValueError(f"holds {text[:40]}, which is no number of JSON")
    return value


def _short_int(text: str) -> int:
    if len(text) > 20:  # 64 bits have 20 digits; checks of ranges turn numbers into floats
        raise ValueError(f"holds a number of {len(text)} digits; 20 are the most")
    return int(text)


_JSON = json.JSONDecoder(
    object_pairs_hook=_no_twins, parse_float=_finite, parse_constant=_finite, parse_int=_short_int
)


def _name(written: str) -> str:
    """A column's name in one spelling: `TTS-Speed ` is `tts_speed`."""
    return re.sub(r"[-\s]", "_", written.strip()).lower()


def _is_known(name: str) -> bool:
    return name in COLUMNS or name.startswith(OWN_PREFIX)


def _unknown(name: str, known: Sequence[str]) -> str:
    if name == "extra":
        return "is taken from JSON Lines only"
    close = difflib.get_close_matches(name, known, n=2)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(known)}."
    return f"is no column of an input; {hint} Columns of your own begin with x_"


def _row(record: _Record, position: int, folder: Path, typed: _Typed) -> RowInput:
    problems = dict(record.problems)
    given = dict[str, Any]()
    account = "email" if "email" in record.cells else "account"
    for name, cell in record.cells.items():
        if name.startswith(OWN_PREFIX):
            continue
        try:
            value = typed(name, cell)
            field = "email" if name == "account" else name
            given[field] = _image(value, folder) if name == "image" else value
        except ValueError as exc:
            problems.setdefault(name, str(exc))
    row = row_of(given, position, columns=record.cells, line=record.line)
    if WHOLE_ROW in problems:
        # Its cells may sit in the wrong columns, so what is wrong with each would mislead.
        return evolve(row, request=None, problems={WHOLE_ROW: problems[WHOLE_ROW]})
    for field, text in row.problems.items():
        problems.setdefault(account if field == "email" else field, text)
    images = {"image", "image_url"} & set(record.cells)
    if len(images) != 1:
        said = "and image_url are both given; keep one of the two" if images else _NO_IMAGE
        problems.pop("image_url", None)
        problems["image"] = said
    elif "image" in images and "image" not in given:
        problems.pop("image_url", None)  # says that no image is given, as the request saw none
    return evolve(row, request=None, problems=problems) if problems else row


_NO_IMAGE = "is missing; give a file here, or an address in image_url"


def _image(value: Any, folder: Path) -> Path:
    """The file that an image cell means; ValueError where it means none."""
    if not isinstance(value, str):
        raise ValueError(f"must be a path as text, not {type(value).__name__}")
    if not value.strip():
        raise ValueError("must not be blank; leave it out instead")
    if re.match(r"https?://", value, re.IGNORECASE):
        raise ValueError("is an address, not a file; put it into image_url")
    try:
        return folder / Path(value).expanduser()
    except RuntimeError:
        raise ValueError(f"{value!r} names a home folder that is not there") from None


def _as_given(_name: str, value: JSON) -> JSON:
    return value


def _from_text(name: str, cell: JSON) -> JSON:
    """What a CSV cell stands for; outer white space is an accident of typing."""
    text = str(cell).strip()
    if name != "tts_speed":
        return text
    if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)", text):
        return float(text)
    comma = re.fullmatch(r"[+-]?[0-9]*,[0-9]+", text)
    hint = f", written with a point: {text.replace(',', '.')}" if comma else ""
    raise ValueError(
        f"is {text[:40]!r}; it must be a number from {SPEED_MIN:g} to {SPEED_MAX:g}{hint}"
    )


_Typed = Callable[[str, JSON], JSON]
_Form = tuple[Callable[[Lines], Iterator[_Record]], _Typed]
_FORMS: dict[str, _Form] = {
    ".csv": (_csv_records, _from_text),
    ".tsv": (_csv_records, _from_text),
    ".jsonl": (_json_records, _as_given),
    ".ndjson": (_json_records, _as_given),
}

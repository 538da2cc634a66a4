"""What does a file hold for each row? CSV, TSV and JSON Lines, one record at a time.

`inputs.py` makes rows of the records. What keeps the whole file from being read raises; what is
wrong with one record stays with it. A further form is a further generator in `inputs.py`.
"""

from __future__ import annotations

import codecs
import csv
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from io import TextIOWrapper
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, cast

from attrs import frozen

from ..errors import JSON
from ..models.media import open_regular
from .columns import name_of
from .problems import InputError, InputProblem, StrPath
from .rows import WHOLE_ROW

RECORD_CHARS = 1024 * 1024
"""The longest row that is read: far beyond any real one, so that a broken file stays small here."""


class HeaderColumns(Protocol):
    """What a reader asks of the columns that a file may have; `Columns` is one."""

    decimal_comma: bool
    """Is set where the file's cells are not separated by commas."""

    @property
    def names(self) -> Sequence[str]:
        """Some of them must be in a header."""
        ...

    def is_known(self, name: str) -> bool:
        """Whether a file may have it."""
        ...

    def unknown(self, name: str, *, further: Sequence[str] = ()) -> str:
        """Why not."""
        ...

    def lacking(self, names: Sequence[str]) -> str | None:
        """What a header of these lacks."""
        ...


@frozen
class Record:
    """What stands in the file for one row: names by `name_of`, values as they are read."""

    line: int | None
    cells: Mapping[str, JSON]
    problems: Mapping[str, str]
    is_text: bool = False
    """Each cell is text and stands for what its column holds; else it has its type."""


class Lines:
    """The lines of a file, counted; what keeps them from being read becomes an InputError."""

    def __init__(self, path: StrPath) -> None:
        self.path: Path = Path(path)
        self.number: int = 0
        """Of the line that was handed out last, from 1."""
        self._record_line = 1
        self._record_chars = 0
        try:
            # newline="" keeps the line ends inside quoted cells as they are.
            self._text = TextIOWrapper(open_regular(self.path), "utf-8-sig", newline="")
        except OSError as exc:
            raise self.fault(None, f"can't be read: {exc.strerror or exc}") from None

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        self._text.close()

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        try:
            line = self._text.readline(RECORD_CHARS + 1)
        except UnicodeDecodeError:
            raise InputError([_not_utf8(self.path)]) from None
        except OSError as exc:
            raise self.fault(None, f"can't be read: {exc.strerror or exc}") from None
        if not line:
            raise StopIteration
        self.number += 1
        self._record_chars += len(line)
        if self._record_chars > RECORD_CHARS:
            raise self.fault(
                self._record_line,
                f"a row has more than {RECORD_CHARS} characters; perhaps a quote is opened and "
                "never closed, or this is another kind of file",
            )
        if "\0" in line:  # csv takes it, and no field may hold it
            raise self.fault(self.number, "has a NUL character: it is damaged, or not UTF-8 text")
        return line

    def begin_record(self) -> int:
        """The number of the line on which the next record begins."""
        self._record_chars = 0
        self._record_line = self.number + 1
        return self._record_line

    def fault(self, line: int | None, text: str) -> InputError:
        """What is wrong with the file as a whole, and where that showed."""
        return InputError([InputProblem(str(self.path), line, None, text)])


def csv_records(lines: Lines, columns: HeaderColumns) -> Iterator[Record]:
    """The records of comma, semicolon or tab separated lines below a header."""
    first, separator = _first(lines)
    if not first:
        raise lines.fault(None, "is empty")
    header_line = lines.number
    delimiter = separator or _delimiter(first, lines.path)
    columns.decimal_comma = delimiter != ","
    # csv's limit of 131,072 characters a cell stays: it is one for the whole process, so raising
    # it would change other people's reading, and a spreadsheet's cell holds 32,767 at most.
    reader = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
    written = _next_cells(reader, lines, header_line) or []
    names = header_names(written, header_line, str(lines.path), columns)
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
        yield Record(line, given, {WHOLE_ROW: problem} if surplus else {}, is_text=True)


def _first(lines: Lines) -> tuple[str, str | None]:
    """The first line that says something, and what Excel's `sep=;` above it says of the cells."""
    first = next((line for line in lines if line.strip()), "")
    named = re.fullmatch(r'"?sep=(.)"?', first.strip("\r\n"))
    if named is None:
        return first, None
    return next((line for line in lines if line.strip()), ""), named[1]


def first_names(lines: Lines) -> Sequence[str]:
    """The names of the columns as they are written: those of the header, or of the first object."""
    first, separator = _first(lines)
    if lines.path.suffix.lower() in (".csv", ".tsv"):
        delimiter = separator or _delimiter(first, lines.path)
        return next(csv.reader([first], delimiter=delimiter), [])
    try:
        value = _JSON.decode(first.rstrip())
    except (ValueError, RecursionError):
        return ()
    return tuple(value) if isinstance(value, dict) else ()


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


def header_names(cells: Sequence[str], line: int, file: str, columns: HeaderColumns) -> list[str]:
    """The columns that a header names; InputError where it can't be one."""
    names = [name_of(cell) for cell in cells]
    while names and not names[-1]:  # a delimiter at the line's end
        names.pop()
    if not any(name in columns.names for name in names):
        text = (
            f"{', '.join(cells)[:80]!r} is no header: the first line must name the columns, which "
            f"are {', '.join(columns.names)}"
        )
        raise InputError([InputProblem(file, line, None, text)])
    # All that is wrong with the header is told at once.
    problems = list[InputProblem]()
    for index, name in enumerate(names):
        if not name:
            where, text = None, f"column {index + 1} has no name; give it one that begins with x_"
        elif name in names[:index]:
            where, text = name, "is in the header twice; keep one"
        elif name == "email" and "account" in names:
            where, text = name, "means the same as account; keep one of the two"
        elif not columns.is_known(name):
            where, text = name, columns.unknown(name)
        else:
            continue
        problems.append(InputProblem(file, line, where, text))
    if (lacking := columns.lacking(names)) is not None:
        problems.append(InputProblem(file, line, None, lacking))
    if problems:
        raise InputError(problems)
    return names


def json_records(lines: Lines, columns: HeaderColumns) -> Iterator[Record]:
    """The records of lines that are one JSON object each."""
    while True:
        number = lines.begin_record()
        text = next(lines, None)
        if text is None:
            break
        if text.strip():
            yield _json_record(text, number, columns)
    if lines.number == 0:
        raise lines.fault(None, "is empty")


def _json_record(text: str, line: int, columns: HeaderColumns) -> Record:
    try:
        value = _JSON.decode(text.rstrip())
    except json.JSONDecodeError as exc:
        said = f"is not JSON: {exc.msg} at character {exc.pos + 1}; each line is one JSON object"
        return Record(line, {}, {WHOLE_ROW: said})
    except RecursionError:
        return Record(line, {}, {WHOLE_ROW: _TOO_DEEP})
    except ValueError as exc:
        return Record(line, {}, {WHOLE_ROW: str(exc)})
    if not isinstance(value, dict):
        said = f"must be a JSON object, {{...}}, not {type(value).__name__}"
        return Record(line, {}, {WHOLE_ROW: said})
    unusable = _unusable(value)
    if unusable:
        return Record(line, {}, {WHOLE_ROW: unusable})
    cells, problems = dict[str, JSON](), dict[str, str]()
    for written, cell in cast("dict[str, JSON]", value).items():
        name = name_of(written)
        if name in cells or name in problems:
            problems[name] = "is given twice; keep one"
        elif not (columns.is_known(name) or name == "extra"):
            problems[name] = columns.unknown(name, further=["extra"])
        elif cell is not None:
            cells[name] = cell
    if "account" in cells and "email" in cells:
        problems["email"] = "means the same as account; keep one of the two"
    return Record(line, cells, problems)


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


def _not_utf8(path: Path) -> InputProblem:
    """Where the first byte is that is not UTF-8. Reads the file again, so only after a failure."""
    offset, line, held = 0, 1, b""
    save = "save it as UTF-8 (Excel: CSV UTF-8)"
    with path.open("rb") as file:
        while True:
            chunk = file.read(64 * 1024)
            data = held + chunk
            if offset == 0 and data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                return InputProblem(str(path), None, None, f"is UTF-16; {save}")
            try:
                used = codecs.utf_8_decode(data, "strict", not chunk)[1]
            except UnicodeDecodeError as exc:
                line += _line_ends(data[: exc.start])
                at = f"byte 0x{data[exc.start]:02x} at offset {offset + exc.start}"
                return InputProblem(str(path), line, None, f"is not UTF-8: {at}; {save}")
            if not chunk:  # it was mended under our hands
                return InputProblem(
                    str(path), None, None, f"is not UTF-8, or is being written; {save}"
                )
            used -= data[:used].endswith(b"\r")  # its \n may begin the next chunk
            line += _line_ends(data[:used])
            offset, held = offset + used, data[used:]


def _line_ends(data: bytes) -> int:
    return data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")

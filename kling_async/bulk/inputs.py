"""What rows does this file hold? Read one row at a time, by the recipe's columns.

`preflight.py` and the runner call `read_rows`, in a thread: it reads the file and looks into those
that it names. A fault of one row stays with that row; only a fault of the whole file raises.
Whether rows agree with each other, the ledger or the voices is asked elsewhere.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from ..errors import JSON, ConfigurationError
from ..models.media import is_address
from ..models.operations import operations
from .columns import Columns, name_of
from .problems import InputError, InputProblem, StrPath
from .readers import HeaderColumns, Lines, Record, csv_records, first_names, json_records
from .recipes import Recipe
from .records import RowInput
from .rows import WHOLE_ROW, RowBuilder, with_problems

ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".xlsx")
"""Of the names of files that can be read."""


def read_rows(path: StrPath, recipe: Recipe, *, keep_columns: bool = False) -> Generator[RowInput]:
    """The rows of the file in its order, one at a time; a row that can't be sent has `problems`.

    Args:
        path: ends in .csv, .tsv, .jsonl, .ndjson (UTF-8) or .xlsx. Files are relative to its
            folder.
        recipe: of each row.
        keep_columns: columns that belong to no field are kept as the user's own.

    Raises:
        InputError: while iterating, where the file as a whole can't be read.
        ConfigurationError: the temporary folder can't hold what equal rows are counted with; or
            the extra that reads such files is not installed.
    """
    file = Path(path)
    columns = Columns(recipe, keep=keep_columns)
    position = 0
    with closing(records_of(file, columns)) as records, RowBuilder(recipe) as builder:
        for record in records:
            position += 1
            yield _row(record, position, file.parent, columns, builder)
        if position == 0:
            raise InputError([InputProblem(str(path), None, None, "has no rows")])


def records_of(path: Path, columns: HeaderColumns) -> Generator[Record]:
    """The records of a file, by the ending of its name."""
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise InputError([InputProblem(str(path), None, None, f"must end in {', '.join(ENDINGS)}")])
    if ending == ".xlsx":
        from .sheets import sheet_records

        yield from sheet_records(path, columns)
        return
    with Lines(path) as lines:
        form = json_records if ending in (".jsonl", ".ndjson") else csv_records
        yield from form(lines, columns)


def steps_in(path: StrPath) -> tuple[str, ...]:
    """The operations that the columns of an input name, `videos.add_sound.prompt`, in their order.

    Empty where none does, and where the file can't be read: `read_rows` says why.
    """
    known = operations()
    try:
        if Path(path).suffix.lower() == ".xlsx":
            from .sheets import sheet_names

            written: Sequence[str] = sheet_names(Path(path))
        else:
            with Lines(path) as lines:
                written = first_names(lines)
    except (InputError, ConfigurationError):
        return ()
    names = [name_of(one).rpartition(".")[0] for one in written]
    return tuple(dict.fromkeys(name for name in names if name in known))


def _row(
    record: Record, position: int, folder: Path, columns: Columns, builder: RowBuilder
) -> RowInput:
    problems = dict(record.problems)
    given = dict[str, Any]()
    for name, cell in record.cells.items():
        if columns.is_own(name):
            continue
        field = "email" if name == "account" else name
        try:
            value = columns.typed(name, str(cell)) if record.is_text else cell
            given[field] = _file(name, value, folder) if columns.is_file(name) else value
            if columns.has_files(name):
                given[field] = _files(name, value, folder)
        except ValueError as exc:
            problems.setdefault(name, str(exc))
            if columns.is_file(name) or columns.has_files(name):
                given[field] = folder  # so that it does not count as missing
            elif columns.is_text(name):
                given[field] = str(cell)
    row = builder.row(given, position, columns=record.cells, line=record.line)
    if WHOLE_ROW in problems:
        # Its cells may sit in the wrong columns, so what is wrong with each would mislead.
        return with_problems(row, {WHOLE_ROW: problems[WHOLE_ROW]})
    account = "email" if "email" in record.cells else "account"
    for field, text in row.problems.items():
        problems.setdefault(account if field == "email" else field, text)
    _of_alternatives(problems, record.cells, columns)
    return with_problems(row, problems) if problems else row


def _of_alternatives(problems: dict[str, str], cells: Mapping[str, JSON], columns: Columns) -> None:
    """Say in the columns' words that a row gives none, or several, of what it needs one of."""
    spec = columns.recipe.step(1)
    if not spec.needs or spec.given_by in cells:
        return
    file, address, *_ = spec.needs
    named = [name for name in (file, address) if name in cells]
    if len(named) == 1:
        return
    said = f"is missing; give a file here, or an address in {address}"
    if named:
        said = f"and {address} are both given; keep one of the two"
    problems.pop(address, None)
    problems[file] = said


def _files(name: str, value: Any, folder: Path) -> list[str | Path]:
    members = value if isinstance(value, list) else [value]
    return [one if is_address(one) else _file(name, one, folder) for one in members]


def _file(name: str, value: Any, folder: Path) -> Path:
    """The file that a cell means; ValueError where it means none."""
    if not isinstance(value, str):
        raise ValueError(f"must be a path as text, not {type(value).__name__}")
    if not value.strip():
        raise ValueError("must not be blank; leave it out instead")
    if is_address(value):
        raise ValueError(f"is an address, not a file; put it into {name}_url")
    try:
        return folder / Path(value).expanduser()
    except RuntimeError:
        raise ValueError(f"{value!r} names a home folder that is not there") from None

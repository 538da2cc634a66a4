"""What does an Excel workbook hold for each row? Its first visible sheet, read by python-calamine.

Excel keeps numbers of 15 digits at most, so an id that was entered as a number may be another one
by now; it is a fault.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from ..models.media import open_regular
from .problems import InputError, InputProblem
from .readers import HeaderColumns, Record, header_names
from .rows import WHOLE_ROW

EXACT_BELOW = 1e15
"""Whole numbers from here on have lost digits in Excel."""
NEEDS = "Excel files need an extra: pip install 'kling-async[excel]'. Or save it as CSV UTF-8"


def sheet_records(path: Path, columns: HeaderColumns) -> Iterator[Record]:
    """The records below the header of the first visible sheet.

    Raises:
        InputError: it can't be read, or has no header.
        ConfigurationError: the extra is not installed.
    """
    header: list[str] = []
    for line, cells in enumerate(_cells(path), start=1):
        if not any(cell != "" for cell in cells):
            continue
        if not header:
            header = header_names([str(cell) for cell in cells], line, str(path), columns)
            continue
        given, problems = dict[str, str](), dict[str, str]()
        for at, cell in enumerate(cells):
            text = _text(cell)
            if not text.strip():
                continue
            if at >= len(header):
                problems[WHOLE_ROW] = (
                    f"has a cell behind the last column that the header names: {text[:40]!r}; "
                    "give the column a name, or clear the cell"
                )
                continue
            given[header[at]] = text
            if isinstance(cell, float) and abs(cell) >= EXACT_BELOW:
                problems[header[at]] = (
                    f"is {text}, a number of which Excel keeps 15 digits only; set the column's "
                    "format to text there, and enter it again"
                )
        yield Record(line, given, problems, is_text=True)
    if not header:
        raise InputError([InputProblem(str(path), None, None, "is empty")])


def sheet_names(path: Path) -> list[str]:
    """The names in the header, as they are written."""
    rows = (cells for cells in _cells(path) if any(cell != "" for cell in cells))
    return [str(cell) for cell in next(rows, [])]


def _cells(path: Path) -> list[list[Any]]:
    try:
        from python_calamine import CalamineError, CalamineWorkbook, SheetVisibleEnum
    except ImportError:
        raise ConfigurationError(NEEDS) from None
    try:
        open_regular(path).close()  # a named pipe would be waited for
        with CalamineWorkbook.from_path(path) as book:
            visible = [
                one.name for one in book.sheets_metadata if one.visible == SheetVisibleEnum.Visible
            ]
            if not visible:
                raise InputError([InputProblem(str(path), None, None, "has no visible sheet")])
            return book.get_sheet_by_name(visible[0]).to_python(skip_empty_area=False)
    except (CalamineError, OSError) as exc:
        text = f"can't be read as an Excel workbook: {getattr(exc, 'strerror', None) or exc}"
        raise InputError([InputProblem(str(path), None, None, text)]) from None


def _text(cell: Any) -> str:
    """A cell as a CSV would have it."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else repr(cell)
    if isinstance(cell, (datetime.datetime, datetime.date, datetime.time)):
        return cell.isoformat()
    return str(cell)

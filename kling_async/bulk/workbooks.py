"""How does a table become an Excel workbook? XlsxWriter writes it row by row, so memory stays flat.

Each text is a text, never a formula or a link, and numbers of more than 15 digits are texts too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from .sheets import EXACT_BELOW, NEEDS

MOST_CHARS = 32_767
"""What a cell of Excel holds."""


class Workbook:
    """One sheet with a header that stays in view. Close it at the end.

    Args:
        path: a file that is ours to write.
        columns: the header.

    Raises:
        ConfigurationError: the extra is not installed.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        try:
            import xlsxwriter  # type: ignore[import-untyped]
        except ImportError:
            raise ConfigurationError(NEEDS) from None
        self._book: Any = xlsxwriter.Workbook(str(path), {"constant_memory": True})
        self._sheet: Any = self._book.add_worksheet("rows")
        self._sheet.freeze_panes(1, 0)
        self._columns = columns
        self._row = 0
        bold = self._book.add_format({"bold": True})
        for at, name in enumerate(columns):
            self._sheet.set_column(at, at, min(40, max(12, len(name) + 2)))
            self._sheet.write_string(0, at, name, bold)

    def write(self, cells: dict[str, Any]) -> None:
        """One row; columns without a cell stay blank."""
        self._row += 1
        for at, name in enumerate(self._columns):
            value = cells.get(name)
            if value is None or value == "":
                continue
            if isinstance(value, bool):
                self._sheet.write_boolean(self._row, at, value)
            elif isinstance(value, (int, float)) and abs(value) < EXACT_BELOW:
                self._sheet.write_number(self._row, at, value)
            else:
                self._sheet.write_string(self._row, at, str(value)[:MOST_CHARS])

    def close(self) -> None:
        """Write it out."""
        self._book.close()

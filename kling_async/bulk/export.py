"""What does a spreadsheet see of a ledger? Every row's result with the input's own columns.

Streamed in two passes (names, then rows), so that memory stays flat. A CSV file is for people: it
has a byte order mark, by which Excel knows UTF-8, and no formulas (`cells.py`), unless it is raw.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field

from .._files.beside import write_beside
from ..aio import in_thread
from ..errors import ConfigurationError
from .cells import harmless
from .flat import OF_ANY, OF_AVATARS, OF_VIDEOS, flat, is_avatar
from .ledger import LedgerReader
from .values import mended, plain
from .workbooks import Workbook

CHUNK_ROWS = 200
"""Rows that are written at once."""


async def export(
    ledger: LedgerReader,
    to: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    raw: bool = False,
    kept: Iterable[Path] = (),
) -> int:
    """How many rows were written to `to` (.csv, .jsonl or .xlsx, by its ending).

    A row that was not made yet has the state "skipped". Input columns named like a result's are
    left out: the ledger's word counts. Half a character becomes U+FFFD.

    Args:
        ledger: of the rows.
        to: the file; it appears whole, or not at all.
        overwrite: replace a file that is there.
        raw: leave each cell of a CSV file as it is, and leave out the byte order mark.
        kept: files that are never replaced.

    Raises:
        ConfigurationError: another ending, or a file that may not be replaced.
        LedgerError: the file can't be written, or the ledger not read.
    """
    target = Path(to)
    form = FORMS.get(target.suffix.lower())
    is_workbook = target.suffix.lower() == ".xlsx"
    if form is None and not is_workbook:
        raise ConfigurationError(
            f"can't export to {target.name}: end it with .csv, .jsonl or .xlsx"
        )
    async with write_beside(target, overwrite=overwrite, kept=kept) as unfinished:
        if form is None:
            return await _write_workbook(ledger, unfinished)
        lines = form(await _names(ledger), raw)
        await in_thread(_append, unfinished, lines.head())
        return await _write(ledger, lines, unfinished)


async def _write(ledger: LedgerReader, lines: CsvLines | JsonLines, unfinished: Path) -> int:
    written, chunk = 0, list[str]()
    async for row in ledger.rows():
        chunk.append(lines.line(mended(flat(row, videos=lines.names.videos))))
        written += 1
        if len(chunk) == CHUNK_ROWS:
            await in_thread(_append, unfinished, "".join(chunk))
            chunk.clear()
    await in_thread(_append, unfinished, "".join(chunk))
    return written


async def _write_workbook(ledger: LedgerReader, unfinished: Path) -> int:
    names = await _names(ledger)
    written = 0
    book = await in_thread(Workbook, unfinished, list({**names.results, **names.own}))
    try:
        async for row in ledger.rows():
            shown = mended(plain(flat(row, videos=names.videos)))
            book.write({name: _cell(value) for name, value in shown.items()})
            written += 1
    finally:
        await in_thread(book.close)
    return written


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(text)


@define
class Names:
    """The columns of an export, in their order."""

    results: dict[str, None] = field(factory=dict)
    own: dict[str, None] = field(factory=dict)
    videos: bool = False


async def _names(ledger: LedgerReader) -> Names:
    names = Names()
    async for row in ledger.rows():
        names.results.update(dict.fromkeys(OF_AVATARS if is_avatar(row) else OF_ANY))
        names.videos = names.videos or (is_avatar(row) and len(row.steps) > 1)
        names.own.update(dict.fromkeys(mended(list(row.columns))))
    if not names.results:
        names.results.update(dict.fromkeys(OF_AVATARS))
    if names.videos:
        names.results.update(dict.fromkeys(OF_VIDEOS))
    return names


class JsonLines:
    """One JSON object a row."""

    def __init__(self, names: Names, raw: bool = True) -> None:
        self.names = names

    def head(self) -> str:
        """What stands before the rows."""
        return ""

    def line(self, result: Mapping[str, Any]) -> str:
        """One row."""
        return json.dumps(plain(result), ensure_ascii=False, allow_nan=False) + "\n"


class CsvLines:
    """Comma separated cells below a header; lists and objects as JSON in a cell."""

    def __init__(self, names: Names, raw: bool) -> None:
        self.names = names
        self._raw = raw
        self._text = io.StringIO(newline="")
        self._columns = {**names.results, **names.own}
        # Up to Python 3.12 a lone \r is quoted only where the end of a line has it.
        self._writer = csv.writer(self._text, lineterminator="\r\n")

    def head(self) -> str:
        """What stands before the rows."""
        if not self._raw:
            self._text.write("\ufeff")
        return self._record(self._columns)

    def line(self, result: Mapping[str, Any]) -> str:
        """One row."""
        return self._record(_cell(result.get(name)) for name in self._columns)

    def _record(self, cells: Iterable[Any]) -> str:
        if not self._raw:
            cells = (harmless(one) if isinstance(one, str) else one for one in cells)
        self._writer.writerow(cells)
        text = self._text.getvalue()
        self._text.seek(0)
        self._text.truncate()
        return text.removesuffix("\r\n") + "\n"


def _cell(value: Any) -> Any:
    if value == []:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value


FORMS: Mapping[str, Callable[[Names, bool], CsvLines | JsonLines]] = {
    ".csv": CsvLines,
    ".jsonl": JsonLines,
    ".ndjson": JsonLines,
}
"""The ending of a file's name -> how its rows are written."""

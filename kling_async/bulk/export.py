"""What does a spreadsheet see of a ledger? Every row's result with the input's own columns.

Streamed in two passes (names, then rows), so that memory stays flat; written beside the target and
moved into place, so that a reader never meets half a file.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import define, field

from ..aio import in_thread
from ..errors import ConfigurationError, LedgerError
from .flat import OF_ANY, OF_AVATARS, OF_VIDEOS, flat, is_avatar
from .ledger import LedgerReader
from .values import mended

CHUNK_ROWS = 200
"""Rows that are written at once."""


async def export(ledger: LedgerReader, to: str | os.PathLike[str]) -> int:
    """How many rows were written to `to` (.csv or .jsonl, by its ending).

    A row that was not made yet has the state "skipped". Input columns named like a result's are
    left out: the ledger's word counts. Half a character becomes U+FFFD.

    Raises:
        ConfigurationError: another ending.
        LedgerError: the file can't be written, or the ledger not read.
    """
    target = Path(to)
    form = FORMS.get(target.suffix.lower())
    if form is None:
        raise ConfigurationError(f"can't export to {target.name}: end it with .csv or .jsonl")
    lines = form(await _names(ledger))
    beside = target.with_name(f".{target.name}.part")
    try:
        await in_thread(beside.write_text, lines.head(), "utf-8", newline="")
        written = await _write(ledger, lines, beside)
        await in_thread(beside.replace, target)
    except OSError as exc:
        raise LedgerError(f"can't write {target}: {exc.strerror or exc}") from None
    finally:
        with suppress(OSError):  # what was wrong with it has been said
            await in_thread(beside.unlink, missing_ok=True)
    return written


async def _write(ledger: LedgerReader, lines: CsvLines | JsonLines, beside: Path) -> int:
    written, chunk = 0, list[str]()
    async for row in ledger.rows():
        chunk.append(lines.line(mended(flat(row, videos=lines.names.videos))))
        written += 1
        if len(chunk) == CHUNK_ROWS:
            await in_thread(_append, beside, "".join(chunk))
            chunk.clear()
    await in_thread(_append, beside, "".join(chunk))
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

    def __init__(self, names: Names) -> None:
        self.names = names

    def head(self) -> str:
        """What stands before the rows."""
        return ""

    def line(self, result: Mapping[str, Any]) -> str:
        """One row."""
        return json.dumps(result, ensure_ascii=False) + "\n"


class CsvLines:
    """Comma separated cells below a header; lists and objects as JSON in a cell."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self._text = io.StringIO(newline="")
        columns = {**names.results, **names.own}
        self._writer = csv.DictWriter(self._text, columns, lineterminator="\n")

    def head(self) -> str:
        """What stands before the rows."""
        self._writer.writeheader()
        return self._taken()

    def line(self, result: Mapping[str, Any]) -> str:
        """One row."""
        self._writer.writerow({name: _cell(value) for name, value in result.items()})
        return self._taken()

    def _taken(self) -> str:
        text = self._text.getvalue()
        self._text.seek(0)
        self._text.truncate()
        return text


def _cell(value: Any) -> Any:
    if value == []:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value


FORMS: Mapping[str, Callable[[Names], CsvLines | JsonLines]] = {
    ".csv": CsvLines,
    ".jsonl": JsonLines,
    ".ndjson": JsonLines,
}
"""The ending of a file's name -> how its rows are written."""

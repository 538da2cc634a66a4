"""What may a cell of a spreadsheet hold? No text that is carried out as a formula. Pure."""

from __future__ import annotations

import re

# What Excel, LibreOffice and Google Sheets begin a formula with, full-width forms included; a tab
# or an end of line in front is dropped by some of them. A plain number does no harm.
_FORMULA = re.compile(
    "'*(?![+-]?\\d+([.,]\\d+)?\\Z)(\\s*[=+\\-@\uff0b\uff0d\uff1d\uff20]|[\t\r\n])"
)


def harmless(text: str) -> str:
    """`text` as a cell shows it and does not carry it out: a formula has an apostrophe in front."""
    return f"'{text}" if _FORMULA.match(text) else text


def as_it_was(cell: str) -> str:
    """The text of which `harmless` made this cell."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell

"""How is a list shown to people? As a table that fits the terminal; programs get JSON lines."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ..models.text import on_one_line
from .streams import echo, echo_json

MOST_COLUMNS = 8
"""More do not fit any terminal; a list in a pipe has all."""
MOST_CHARS = 60
"""Of a cell in a list: a prompt has up to 2000."""


def on_terminal() -> bool:
    """Whether what is printed is read by people."""
    return sys.stdout.isatty()


def print_list(rows: Sequence[Any]) -> None:
    """Print JSON objects: as a table on a terminal, else one a line."""
    if not rows and on_terminal():
        echo("none", err=True)
    if rows and on_terminal() and all(isinstance(one, Mapping) for one in rows):
        print_table(rows, most_chars=MOST_CHARS)
        return
    for one in rows:
        echo_json(one)


def print_table(rows: Sequence[Mapping[str, Any]], *, most_chars: int | None = None) -> None:
    """Print objects of the same members, one a line; lists and objects in them are left out.

    Args:
        rows: the objects.
        most_chars: what is longer is cut; None: nothing is.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    plain = [
        name
        for name in dict.fromkeys(name for row in rows for name in row)
        if any(row.get(name) not in (None, "") for row in rows)
        and not any(isinstance(row.get(name), (list, dict)) for row in rows)
    ]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in plain[:MOST_COLUMNS]:
        table.add_column(Text(on_one_line(name)), overflow="fold")
    for row in rows:
        cells = (row.get(name) for name in plain[:MOST_COLUMNS])
        table.add_row(*(Text("" if one is None else _cell(str(one), most_chars)) for one in cells))
    Console(highlight=False, markup=False).print(table)


def _cell(text: str, most_chars: int | None) -> str:
    shown = on_one_line(text)
    if most_chars is None or len(shown) <= most_chars:
        return shown
    return shown[: most_chars - 1] + "…"

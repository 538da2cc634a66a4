"""How is a list shown to people? As a table that fits the terminal; programs get JSON lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..models.text import on_one_line

MOST_COLUMNS = 8
"""More do not fit any terminal; a list in a pipe has all."""


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print objects of the same members, one a line; lists and objects in them are left out."""
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
        table.add_row(*(Text("" if one is None else on_one_line(str(one))) for one in cells))
    Console(highlight=False, markup=False).print(table)

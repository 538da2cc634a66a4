"""What happened to one row? `bulk history` tells it from the ledger, event by event."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..bulk.results import row_name
from ..bulk.sqlite import read_ledger
from .ledger import INPUT, moment
from .session import run
from .streams import echo, echo_json
from .tables import on_terminal, print_table


@click.command("history")
@click.argument("ledger", type=INPUT)
@click.argument("key")
@click.option("--json", "as_json", is_flag=True, help="As JSON lines, also on a terminal.")
def history_command(ledger: Path, key: str, as_json: bool) -> None:
    """Show all that LEDGER recorded of the row KEY, oldest first: a table, or JSON in a pipe."""

    async def work() -> int:
        async with read_ledger(ledger) as book:
            row = await book.row(key)
            notes = await book.history(row.id)
        numbers = {step.id: step.number for step in row.steps}
        told: list[dict[str, Any]] = [
            {
                "at": moment(one.at),
                "step": numbers.get(one.step_id),
                "event": one.event,
                "text": one.text,
            }
            for one in notes
        ]
        if as_json or not on_terminal():
            for one in told:
                echo_json(one)
        else:
            echo(f"{row_name(row)}: {row.state}")
            print_table(told)
        return 0

    run(work())

"""What does `kling-async bulk report` do? It writes the page of a job that people look through."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...bulk.places import read_ledger
from ..ledger import LEDGER, never_replaced, overwrite_option
from ..session import run
from ..streams import echo

if TYPE_CHECKING:
    from ...bulk.postgres_session import LedgerAddress


@click.command("report")
@click.argument("ledger", type=LEDGER)
@click.option(
    "--to", required=True, type=click.Path(path_type=Path), help="The page, such as report.html."
)
@overwrite_option
def report_command(ledger: Path | LedgerAddress, to: Path, overwrite: bool) -> None:
    """Write one HTML page of LEDGER: portraits, videos, states, errors, times and costs.

    It opens from disk in any browser. Pictures that are files here are in it as small copies;
    videos are played from their files, so keep them beside it where both are moved.
    """
    from .page import write_report  # which loads Jinja and Pillow

    async def work() -> int:
        async with read_ledger(ledger) as book:
            with click.progressbar(
                length=sum((await book.counts()).values()),
                label="reading pictures",
                file=sys.stderr,
                hidden=not sys.stderr.isatty(),
            ) as bar:
                rows = await write_report(
                    *(book, ledger.name, to),
                    overwrite=overwrite,
                    kept=await never_replaced(book, ledger),
                    told=bar.update,
                )
        echo(f"{rows} rows shown in {to}; open it in a browser")
        return 0

    run(work())

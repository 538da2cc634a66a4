"""How does a folder of photos become a job? `bulk init` writes the table to be filled in."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from .._files.beside import write_beside
from ..bulk.template import pictures, rows_of, write_template
from .ledger import INPUT, overwrite_option
from .progress import many
from .session import run
from .streams import echo


@click.command("init")
@click.argument("pictures_named", nargs=-1, required=True, metavar="FOLDER|GLOB...")
@click.option(
    "--to", type=INPUT, default=Path("rows.csv"), show_default=True, help="A .csv or .xlsx."
)
@overwrite_option
def init_command(pictures_named: tuple[str, ...], to: Path, overwrite: bool) -> None:
    """Write an input with a row for each picture: key, image, nickname, and columns to fill in.

    Folders are searched with those inside, but for hidden ones. Paths are relative to the table.
    """
    ending = to.suffix.lower()
    if ending not in (".csv", ".xlsx"):
        raise click.UsageError(f"--to {to}: end it with .csv or .xlsx")

    async def work() -> int:
        found = await asyncio.to_thread(pictures, pictures_named)
        if not found.files:
            raise click.UsageError(
                f"no picture was found ({many(found.others, 'other file')}): they end in .jpg, "
                ".png and the like"
            )
        async with write_beside(to, overwrite=overwrite) as unfinished:
            rows = rows_of(found.files, to.parent)
            workbook = ending == ".xlsx"
            written = await asyncio.to_thread(write_template, unfinished, rows, workbook=workbook)
        others = f"; {many(found.others, 'other file')} left out" if found.others else ""
        echo(f"{many(written, 'row')} written to {to}{others}")
        echo(f"Check it: kling-async bulk run {to} --ledger {to.stem}.sqlite --dry-run")
        return 0

    run(work())

"""Which rows of an input shall a run take, and what of its faults? The options that say it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click
from attrs import frozen

from ..bulk.selection import Selection
from .faults import FaultTable

F = TypeVar("F", bound=Callable[..., Any])


@frozen
class Choice:
    """What the options say."""

    limit: int | None
    only: frozenset[str]
    skip_bad: bool
    faults_to: Path | None
    keep_columns: bool

    def selection(self) -> Selection:
        """The rows that are wanted, for one run."""
        return Selection(self.limit, self.only, self.skip_bad)

    def faults(self, input: Path, ledger: object, *, as_json: bool) -> FaultTable:
        """Where every fault of the input goes."""
        files = [input, ledger] if isinstance(ledger, Path) else [input]
        return FaultTable(self.faults_to, as_json=as_json, apart_from=files)


def check_met(selection: Selection, input: Path) -> None:
    """UsageError where the input lacks a row that was asked for by its key."""
    if missing := sorted(set(selection.only) - selection.met):
        named = ", ".join(missing[:3]) + (" ..." if len(missing) > 3 else "")
        raise click.UsageError(f"--only: no row of {input} has the key {named}")


def with_choice(command: F) -> F:
    """Give a command these options, as its argument `choice`."""

    @wraps(command)
    def wrapped(
        *,
        limit: int | None,
        only: tuple[str, ...],
        skip_bad: bool,
        faults_to: Path | None,
        keep_columns: bool,
        **options: Any,
    ) -> Any:
        choice = Choice(limit, frozenset(only), skip_bad, faults_to, keep_columns)
        return command(choice=choice, **options)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


_OPTIONS = (
    click.option(
        "--limit",
        type=click.IntRange(1),
        metavar="N",
        help="Take the first N rows only, to try them first.",
    ),
    click.option(
        "--only", multiple=True, metavar="KEY", help="Take the row of this key only; repeatable."
    ),
    click.option(
        "--skip-bad",
        is_flag=True,
        help="Leave out rows that have faults, and make the others. Exit code 1 then.",
    ),
    click.option(
        "--faults-to",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Write every fault to this CSV: line, key, column, value, fault, remedy.",
    ),
    click.option(
        "--keep-columns",
        is_flag=True,
        help="Keep columns of your own under their own names, and give them back in the export.",
    ),
)

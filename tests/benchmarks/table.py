"""One row per question: what was measured, what it should be, and whether it is.

A benchmark is a script with a function that yields rows, ended by `table.run(measure, __doc__)`. It
prints its rows as they come; with `--json` one JSON object a line, for `run_all.py`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        what: the question.
        goal: what the answer should be; "" where nothing is asked.
        measured: the answer.
        met: whether it is; None where nothing is asked, or it could not be measured.
    """

    what: str
    goal: str
    measured: str
    met: bool | None = None

    def __str__(self) -> str:
        word = {True: "yes", False: "**no**", None: ""}[self.met]
        return f"| {self.what} | {self.goal} | {self.measured} | {word} |"


HEAD = "| what | goal | measured | met |\n| --- | --- | --- | --- |"
Options = argparse.Namespace


def at_least(what: str, goal: float, found: float, unit: str = "times", more: str = "") -> Row:
    """A row whose number should be as large as `goal` or larger."""
    return Row(what, f"at least {goal:g} {unit}", shown(found, unit, more), found >= goal)


def at_most(what: str, goal: float, found: float, unit: str, more: str = "") -> Row:
    """A row whose number should be as small as `goal` or smaller."""
    return Row(what, f"at most {goal:,g} {unit}", shown(found, unit, more), found <= goal)


def shown(number: float, unit: str, more: str = "") -> str:
    """A number with as many digits as mean something."""
    digits = 0 if number >= 100 else 1 if number >= 10 else 2
    return f"{number:,.{digits}f} {unit}" + (f" ({more})" if more else "")


def absent(what: str, goal: str, why: str) -> Row:
    """A row that can't be measured here."""
    return Row(what, goal, f"not measured: {why}")


def run(
    measure: Callable[[Options], Iterable[Row]],
    doc: str | None,
    add_options: Callable[[argparse.ArgumentParser], Any] = lambda parser: None,
) -> None:
    """The script: read the options, print each row when it is known."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", action="store_true", help="some seconds: does it still run?")
    parser.add_argument("--json", action="store_true", help="one JSON object per row")
    add_options(parser)
    options = parser.parse_args()
    if not options.json:
        print(f"Python {sys.version.split()[0]}\n\n{HEAD}", flush=True)
    for row in measure(options):
        if options.small:  # too little to be judged
            row = replace(row, what=f"(small) {row.what}", met=None)
        print(json.dumps(asdict(row)) if options.json else row, flush=True)

"""What is wrong with an input, and where? Values, equal ones counted, and the error that carries
them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Union

from attrs import define, field, frozen

from ..errors import JSON, KlingError
from .values import mended

PROBLEMS_KEPT = 20
REMEDY = "Nothing was sent. Mend the file and run the command again."
GROUPED_FROM = 3
"""So many equal faults are told in one line."""
LINES_SHOWN = 3
GROUPS_KEPT = 1000
_CHANGING = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\S*[\d/]\S*""")

StrPath = Union[str, "os.PathLike[str]"]


def cause_of(text: str, value: str | None = None) -> str:
    """A text without what differs from row to row: the value, quotes, numbers, paths, addresses."""
    if value:
        text = re.sub(rf"\S*{re.escape(value)}", "…", text)
    return _CHANGING.sub("…", text)


@frozen
class InputProblem:
    """A problem and its place, `avatars.csv, line 7, column tts_speed: is 3; it must be ...`."""

    file: str
    line: int | None
    column: str | None
    text: str
    key: str | None = None
    """Of the row, where it has one of its own."""
    value: str | None = None
    """What stands in the cell."""

    def __str__(self) -> str:
        line = "" if self.line is None else f", line {self.line}"
        return f"{mended(self.file)}{line}{self.what}"

    @property
    def what(self) -> str:
        """The problem without its place in the file."""
        column = "" if self.column is None else f", column {self.column}"
        return str(mended(f"{column}: {self.text}"))

    @property
    def remedy(self) -> str:
        """What to do, in a text of its own."""
        _, _, said = self.text.rpartition("; ")
        if said == self.text:
            said = _WHAT_TO_DO.get(self.column or "", _CHANGE)
        return str(mended(said))

    def as_json(self) -> dict[str, JSON]:
        """What a program, or a table of faults, says of it."""
        fault = self.text.rpartition("; ")[0] or self.text
        given = {"line": self.line, "key": self.key, "column": self.column, "value": self.value}
        said: dict[str, JSON] = {**given, "fault": fault, "remedy": self.remedy}
        return dict(mended(said))


_CHANGE = "change the cell so, or take the row out"
_WHAT_TO_DO: Mapping[str, str] = {
    "image": "put another picture there, or change the path",
    "audio": "put another sound there, or change the path",
}


@define
class EqualProblems:
    """Problems of one column that are the same but for the value and the place."""

    firsts: list[InputProblem] = field(factory=list)
    """The first of them, fewer than are told in one line."""
    count: int = 0
    lines: list[int] = field(factory=list)
    """Where the first ones are."""

    def told(self) -> list[tuple[float, str, int]]:
        """Texts to show, each with its line and how many problems it stands for."""
        if self.count < GROUPED_FROM:
            return [(_place(one), str(one), 1) for one in self.firsts]
        first, lines = self.firsts[0], ", ".join(map(str, self.lines))
        where = f" (lines {lines}{', ...' if self.count > len(self.lines) else ''})"
        rows = f"{self.count} rows{where if lines else ''}"
        return [(_place(first), f"{mended(first.file)}, {rows}{first.what}", self.count)]

    def as_json(self) -> dict[str, JSON]:
        """What a program is told of it, with the first one as an example."""
        said = self.firsts[0].as_json()
        names = ("column", "fault", "remedy", "value")
        return {"rows": self.count, "lines": list(self.lines), **{n: said[n] for n in names}}


def _place(problem: InputProblem) -> float:
    """Where it stands among others; what is wrong with the whole file comes last."""
    return float("inf") if problem.line is None else problem.line


class Problems:
    """Counts problems; keeps the first ones, and some of each kind, so that memory stays flat."""

    def __init__(self) -> None:
        self.count: int = 0
        self.kept: list[InputProblem] = []
        self._groups: dict[tuple[str | None, str], EqualProblems] = {}

    def add(self, problem: InputProblem) -> None:
        """One more."""
        self.count += 1
        if len(self.kept) < PROBLEMS_KEPT:
            self.kept.append(problem)
        kind = (problem.column, cause_of(problem.text, problem.value))
        group = self._groups.get(kind)
        if group is None:
            if len(self._groups) == GROUPS_KEPT:
                return
            group = self._groups[kind] = EqualProblems()
        group.count += 1
        if group.count < GROUPED_FROM:
            group.firsts.append(problem)
        if problem.line is not None and len(group.lines) < LINES_SHOWN:
            group.lines.append(problem.line)

    @property
    def groups(self) -> list[EqualProblems]:
        """The kinds of problems, in the order in which they came."""
        return list(self._groups.values())

    def lines(self) -> list[str]:
        """What to tell of them: each by itself, or in one line where many are equal."""
        told = sorted(one for group in self.groups for one in group.told())[:PROBLEMS_KEPT]
        rest = self.count - sum(count for *_, count in told)
        return [*(text for _, text, _ in told), *([f"... and {rest} more"] if rest else [])]

    def error(self, remedy: str = REMEDY) -> InputError:
        """What to raise."""
        more = self.count - len(self.kept)
        return InputError(self.kept, more, lines=self.lines(), remedy=remedy)


class InputError(KlingError):
    """An input can't be used as it is; nothing was sent. Mend what the text lists.

    `.problems` holds the first `PROBLEMS_KEPT`, `.more` counts those beyond.
    """

    def __init__(
        self,
        problems: Iterable[InputProblem],
        more: int = 0,
        *,
        lines: Sequence[str] = (),
        remedy: str = REMEDY,
    ) -> None:
        found = tuple(problems)
        self.problems: tuple[InputProblem, ...] = found[:PROBLEMS_KEPT]
        self.more: int = more + len(found) - len(self.problems)
        beyond = [f"... and {self.more} more"] if self.more else []
        super().__init__("\n".join([*(lines or [*map(str, self.problems), *beyond]), remedy]))

"""What is wrong with an input, and where? Values and the error that carries them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Union

from attrs import frozen

from ..errors import KlingError
from .values import mended

PROBLEMS_KEPT = 20
REMEDY = "Nothing was sent. Mend the file and run the command again."

StrPath = Union[str, "os.PathLike[str]"]


@frozen
class InputProblem:
    """A problem and its place, `avatars.csv, line 7, column tts_speed: is 3; it must be ...`."""

    file: str
    line: int | None
    column: str | None
    text: str

    def __str__(self) -> str:
        line = "" if self.line is None else f", line {self.line}"
        column = "" if self.column is None else f", column {self.column}"
        return str(mended(f"{self.file}{line}{column}: {self.text}"))


class InputError(KlingError):
    """An input can't be used as it is; nothing was sent. Mend what the text lists.

    `.problems` holds the first `PROBLEMS_KEPT`, `.more` counts those beyond.
    """

    def __init__(self, problems: Iterable[InputProblem], more: int = 0) -> None:
        found = tuple(problems)
        self.problems: tuple[InputProblem, ...] = found[:PROBLEMS_KEPT]
        self.more: int = more + len(found) - len(self.problems)
        beyond = [f"... and {self.more} more"] if self.more else []
        super().__init__("\n".join([*map(str, self.problems), *beyond, REMEDY]))

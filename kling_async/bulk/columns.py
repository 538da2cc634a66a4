"""Which columns may an input have, how are they spelled, and what does a cell of each hold?"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence

from ..errors import JSON
from .recipes import Recipe
from .requesttypes import Kind
from .stepinputs import OWN_PREFIX


def name_of(written: str) -> str:
    """A column's name in one spelling: `TTS-Speed ` is `tts_speed`."""
    return re.sub(r"[-\s]", "_", written.strip()).lower()


class Columns:
    """The columns of one recipe's inputs.

    Args:
        recipe: of the rows.
        keep: columns that no field has are the user's own, whatever they are called.
    """

    def __init__(self, recipe: Recipe, *, keep: bool = False) -> None:
        self.recipe = recipe
        self.keep = keep
        self.decimal_comma = False
        """Whether 1,2 stands for 1.2: in a file whose cells are not separated by commas."""
        self.names: tuple[str, ...] = recipe.columns
        """All that belong to a field, or to the row."""
        self._near: dict[str, list[str]] = {}
        self._kinds: dict[str, Kind] = {name: recipe.kind_of(name) for name in self.names}

    def is_known(self, name: str) -> bool:
        """Whether an input may have this column."""
        return name in self._kinds or self.is_own(name)

    def is_own(self, name: str) -> bool:
        """Whether it is the user's: kept, and given back. What may be a slip of the pen is not."""
        if name.startswith(OWN_PREFIX):
            return True
        return self.keep and name not in self._kinds and not self._close(name)

    def _close(self, name: str) -> list[str]:
        if name not in self._near:  # asked for each cell
            self._near[name] = difflib.get_close_matches(name, self.names, n=2, cutoff=0.8)
        return self._near[name]

    def is_file(self, name: str) -> bool:
        """Whether a cell of this column is the path of a file."""
        return self._kinds.get(name) == "file"

    def has_files(self, name: str) -> bool:
        """Whether a cell of this column is a list of files and addresses, or one of them."""
        return self._kinds.get(name) == "files"

    def is_text(self, name: str) -> bool:
        """Whether a cell of this column is a text as it stands."""
        return self._kinds.get(name) == "text"

    def unknown(self, name: str, *, further: Sequence[str] = ()) -> str:
        """Why an input may not have this column.

        Args:
            name: of the column.
            further: names that are known here beside the columns.
        """
        if name == "extra":
            return "is taken from JSON Lines only"
        known = (*self.names, *further)
        close = difflib.get_close_matches(name, known, n=2)
        hint = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(known)}."
        if self.keep:
            return f"is near a column's name; {hint} One of your own that looks so begins with x_"
        own = "Columns of your own begin with x_, or --keep-columns keeps them"
        return f"is no column of an input; {hint} {own}"

    def lacking(self, names: Sequence[str]) -> str | None:
        """What a header of these names lacks, without which no row can be sent."""
        first = self.recipe.step(1)
        if first.needs:
            if first.needs.keys() & set(names):
                return None
            *others, last = (f"{name} ({what})" for name, what in first.needs.items())
            return f"the header needs a column {', '.join(others)} or {last}"
        lacking = [name for name in first.required if name not in names]
        return f"the header needs a column {' and '.join(lacking)}" if lacking else None

    def typed(self, name: str, text: str) -> JSON:
        """What a cell of a CSV stands for; outer white space is an accident of typing.

        Raises:
            ValueError: it is none that the column holds; the text says what it must be.
        """
        text = text.strip()
        kind = self._kinds.get(name, "text")
        if kind in ("number", "whole"):
            return self._number(name, kind, text)
        if kind == "flag":
            flag = _FLAGS.get(text.lower())
            if flag is None:
                raise ValueError(f"is {text[:40]!r}; it must be true or false")
            return flag
        if kind in ("list", "files", "object"):
            return _structure(kind, text)
        if text in SPREADSHEET_ERRORS:
            raise ValueError(f"is {text!r}, an error of the spreadsheet; mend the cell there")
        if (name == "key" or name.endswith("_id")) and _CUT.fullmatch(text):
            raise ValueError(
                f"is {text!r}: the spreadsheet has cut digits off a long number; set the "
                "column's format to text there, and enter the number again"
            )
        return text

    def _number(self, name: str, kind: Kind, text: str) -> JSON:
        if kind == "number" and re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)", text):
            return float(text)
        if kind == "whole" and re.fullmatch(r"[+-]?[0-9]{1,20}(\.0*)?", text):
            return int(text.partition(".")[0])
        comma = re.fullmatch(r"[+-]?[0-9]*,[0-9]+", text) if kind == "number" else None
        if comma and self.decimal_comma:
            return float(text.replace(",", "."))
        hint = f", written with a point: {text.replace(',', '.')}" if comma else ""
        what = ", with a decimal comma" if comma else ""
        wanted = self.recipe.problem_of(name, text) or "must be a number"
        raise ValueError(f"is {text[:40]!r}{what}; it {wanted.partition(', not ')[0]}{hint}")


SPREADSHEET_ERRORS = frozenset(
    ("#N/A", "#NAME?", "#REF!", "#VALUE!", "#DIV/0!", "#NULL!", "#NUM!", "#SPILL!", "#CALC!")
)
_CUT = re.compile(r"[0-9][.,][0-9]+E\+[0-9]+")
"""How a spreadsheet writes a number of more digits than fit."""
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _structure(kind: Kind, text: str) -> JSON:
    """A list or an object that is written as JSON in a cell; one value is a list of one."""
    try:
        value: JSON = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    if kind == "object" or isinstance(value, list):
        return value
    return [text]

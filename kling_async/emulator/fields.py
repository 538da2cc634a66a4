"""Does each field hold what the reference allows? Reading one field at a time, or 400.

Operations read their fields through a `Fields`; names nobody asks for are ignored, as unknown
fields are. A null and an empty string count as absent: unknown in the reference, and the only
reading under which a form with blank inputs works.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from .envelopes import Refusal, invalid_parameters, malformed, missing

_HALF_PAIR = re.compile("[\ud800-\udfff]")
_SPACE = re.compile(r"\s")


class Fields:
    """The named values of a body or a query string."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    def has(self, name: str) -> bool:
        """Whether a field was given at all."""
        return self._values.get(name) not in (None, "")

    def text(self, name: str, *, max_chars: int | None = None) -> str | None:
        """A string, None where absent; more than `max_chars` code points are refused."""
        value = self._values.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise malformed(name, value)
        too_long = max_chars is not None and len(value) > max_chars
        if too_long or _HALF_PAIR.search(value):
            raise malformed(name, value)
        return value

    def needed_text(self, name: str, *, max_chars: int | None = None) -> str:
        """A string that may not be absent."""
        value = self.text(name, max_chars=max_chars)
        if value is None:
            raise missing(name)
        return value

    def digits(self, name: str) -> str:
        """A required id: digits, as text or as a number."""
        value = self._values.get(name)
        is_number = isinstance(value, int) and not isinstance(value, bool)
        shown = str(value) if is_number else self.needed_text(name)
        if not shown.isascii() or not shown.isdigit():
            raise malformed(name, value)
        return shown

    def choice(self, name: str, allowed: Sequence[str]) -> str | None:
        """One of the `allowed` strings, None where absent."""
        value = self.text(name)
        if value is not None and value not in allowed:
            raise malformed(name, value)
        return value

    def number(self, name: str, *, low: float, high: float) -> float | None:
        """A number from `low` to `high`, both included; numeric strings count as numbers."""
        value = self._values.get(name)
        if value is None or value == "":
            return None
        try:
            if isinstance(value, bool) or not isinstance(value, (int, float, str)):
                raise ValueError
            number = float(value)
        except (ValueError, OverflowError):
            raise malformed(name, value) from None
        if not math.isfinite(number) or not low <= number <= high:
            raise malformed(name, value)
        return number

    def whole(self, name: str, *, low: int, high: int) -> int | None:
        """A whole number from `low` to `high`, both included."""
        number = self.number(name, low=low, high=high)
        if number is not None and number != int(number):
            raise malformed(name, self._values.get(name))
        return None if number is None else int(number)

    def flag(self, name: str) -> bool:
        """True or false, as JSON or as text; False where absent."""
        value = self._values.get(name)
        if value is None or value == "":
            return False
        known = {"true": True, "false": False}.get(str(value).lower())
        if known is None or not isinstance(value, (bool, str)):
            raise malformed(name, value)
        return known

    def page(self, default_size: int) -> tuple[int, int, bool]:
        """`pageNum`, `pageSize` and whether `sort` is newest first; the largest size is unknown."""
        try:
            page = self.whole("pageNum", low=1, high=1_000_000) or 1
            size = self.whole("pageSize", low=1, high=1000) or default_size
            return page, size, self.choice("sort", ("asc", "desc")) != "asc"
        except Refusal:
            raise invalid_parameters() from None

    def web_url(self, name: str) -> str:
        """A required http or https URL with a host."""
        value = self.needed_text(name)
        try:
            parts = urlsplit(value)
            fine = parts.scheme in ("http", "https") and bool(parts.hostname)
            _ = parts.port  # raises where it is no number
        except ValueError:
            fine = False
        if not fine or _SPACE.search(value):
            raise malformed(name, value)
        return value

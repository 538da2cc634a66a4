"""Is this value allowed in this field? One small function per rule, each answering with a problem.

Request types name these in their fields; `requests.py` runs them all and reports every problem at
once. A check gets a value that is not None and returns None or what is wrong, in words for users.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import urlsplit

Check = Callable[[Any], "str | None"]


def text(*, most: int | None = None) -> Check:
    """A string that is not blank, of at most `most` characters.

    Characters are counted as Python counts them. Whether the server counts UTF-16 units (an emoji
    would be two) is unknown; a local check must not refuse what the server may take.
    """

    def check(value: Any) -> str | None:
        if not isinstance(value, str):
            return f"must be text, not {type(value).__name__}"
        if not value.strip():
            return "must not be blank; leave it out instead"
        if not _is_sendable(value):
            return "holds half a character (a lone surrogate), which can't be sent"
        if most is not None and len(value) > most:
            return f"has {len(value)} characters; at most {most} are allowed"
        return None

    return check


def number(lowest: float, highest: float) -> Check:
    """A finite number from `lowest` to `highest`, both included."""

    def check(value: Any) -> str | None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return f"must be a number from {lowest:g} to {highest:g}, not {value!r}"
        if not (lowest <= value <= highest):  # which NaN never is; huge integers have no float
            shown = f"{value:g}" if isinstance(value, float) else str(value)[:40]
            return f"is {shown}; it must be from {lowest:g} to {highest:g}"
        return None

    return check


SPEED_MIN, SPEED_MAX = 0.8, 2.0
speed = number(SPEED_MIN, SPEED_MAX)
"""How fast a voice speaks; 1 is its own speed."""


def whole(lowest: int, highest: int | None = None) -> Check:
    """A whole number from `lowest` to `highest`, both included; no upper bound if None."""
    span = f"of {lowest} or more" if highest is None else f"from {lowest} to {highest}"

    def check(value: Any) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int):
            return f"must be a whole number {span}, not {str(value)[:40]!r}"
        if value < lowest or (highest is not None and value > highest):
            return f"is {str(value)[:40]}; it must be {span}"
        return None

    return check


def secret(value: Any) -> str | None:
    """A text that must not be shown, so the problem does not quote it either."""
    if not isinstance(value, str) or not value or not _is_sendable(value):
        return "must be text, and not empty"
    return None


def flag(value: Any) -> str | None:
    """True or False."""
    return None if isinstance(value, bool) else f"must be True or False, not {value!r}"


def several(one: Check, what: str, *, most: int | None = None) -> Check:
    """A tuple of at least one and at most `most` values which all pass `one`."""

    def check(values: Any) -> str | None:
        if not isinstance(values, tuple) or not values:
            return f"must name at least one {what}"
        if most is not None and len(values) > most:
            return f"names {len(values)}; at most {most} {what}s go into one call"
        problems = (problem for value in values if (problem := one(value)) is not None)
        return next(problems, None)

    return check


def one_of(allowed: Collection[str]) -> Check:
    """Exactly one of the names in `allowed`."""

    def check(value: Any) -> str | None:
        if value in allowed:
            return None
        return f"is {value!r}; allowed are {', '.join(allowed)}"

    return check


def url(value: Any) -> str | None:
    """An absolute http or https address with a host."""
    if not isinstance(value, str):
        return f"must be an http or https URL, not {type(value).__name__}"
    try:
        parts = urlsplit(value)
        host = parts.hostname
    except ValueError:
        host = None
    else:
        if parts.scheme not in ("http", "https"):
            host = None
    if not host or _has_space(value) or not _is_sendable(value):
        return f"{value[:80]!r} is not an http or https URL"
    return None


def email(value: Any) -> str | None:
    """An e-mail address, as far as the shape tells."""
    if not isinstance(value, str):
        return f"must be an e-mail address, not {type(value).__name__}"
    name, _, host = value.rpartition("@")
    if not name or not host or _has_space(value) or not _is_sendable(value):
        return f"{value[:80]!r} is not an e-mail address"
    return None


def digits(value: Any) -> str | None:
    """An id as the API writes it: a string of digits."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return None
    return f"is {value!r}; an id is a string of digits"


def file_name(value: Any) -> str | None:
    """A part of a file's name, as the API looks for it."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9._-]+", value):
        return None
    return f"is {value!r}; letters, digits, '.', '_' and '-' can be looked for"


def _is_sendable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _has_space(value: str) -> bool:
    return value.split() != [value]  # looking at each character would take ten times as long

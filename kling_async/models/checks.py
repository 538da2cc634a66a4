"""Is this value allowed in this field? Checks are small values, each answering with a problem.

Request types name these in their fields; `requests.py` runs them all and reports every problem at
once. As values they can be read, too: by the command line, and by tests.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, get_args
from urllib.parse import urlsplit

from attrs import field, frozen


class Check:
    """May this value stand in this field? A check gets what is not None.

    Checks of one type with equal limits are equal.

    Examples:
        >>> Text(3)("Ada!")
        'has 4 characters; ...'
    """

    def __call__(self, value: Any) -> str | None:
        """What is wrong with `value`, in words for users; None if nothing is."""
        raise NotImplementedError

    def convert(self, value: Any) -> Any:
        """`value` as the field keeps it; what can't be converted stays as it is, for the check."""
        return value


@frozen
class Text(Check):
    """A string that is not blank, of at most `most` characters; or a result that has it.

    Characters are counted as Python counts them. Whether the server counts UTF-16 units (an emoji
    would be two) is unknown; a local check must not refuse what the server may take.

    Args:
        most: characters; None: no limit.
        of: result types which may stand for it.
        by: their attribute that is meant.

    Examples:
        >>> Text(3)("Ada!")
        '...'
    """

    most: int | None = None
    of: type | tuple[type, ...] = ()
    by: str = "id"

    def __call__(self, value: Any) -> str | None:
        if not isinstance(value, str):
            return f"must be text, not {type(value).__name__}"
        if not value.strip():
            return "must not be blank; leave it out instead"
        if not _is_sendable(value):
            return "holds half a character (a lone surrogate), which can't be sent"
        if self.most is not None and len(value) > self.most:
            return f"has {len(value)} characters; at most {self.most} are allowed"
        return None

    def convert(self, value: Any) -> Any:
        """The text that a result stands for."""
        return _stands_for(value, self.of, self.by)


@frozen
class Number(Check):
    """A finite number from `low` to `high`, both included.

    Examples:
        >>> Number(0.8, 2)(3)
        '...'
    """

    low: float
    high: float

    def __call__(self, value: Any) -> str | None:
        low, high = self.low, self.high
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return f"must be a number from {low:g} to {high:g}, not {value!r}"
        if not (low <= value <= high):  # which NaN never is; huge integers have no float
            shown = f"{value:g}" if isinstance(value, float) else str(value)[:40]
            return f"is {shown}; it must be from {low:g} to {high:g}"
        return None


SPEED = Number(0.8, 2.0)
"""How fast a voice speaks; 1 is its own speed."""


@frozen
class Integer(Check):
    """A whole number from `low` to `high`, both included; None for no upper bound.

    Args:
        low: the lowest.
        high: the highest.
        of: result types which may stand for it; if any, digits may, too.
        by: their attribute that is meant.

    Examples:
        >>> Integer(1, 50)(99)
        '...'
    """

    low: int
    high: int | None = None
    of: type | tuple[type, ...] = ()
    by: str = "id"

    def __call__(self, value: Any) -> str | None:
        low, high = self.low, self.high
        span = f"of {low} or more" if high is None else f"from {low} to {high}"
        if isinstance(value, bool) or not isinstance(value, int):
            return f"must be a whole number {span}, not {str(value)[:40]!r}"
        if value < low or (high is not None and value > high):
            return f"is {str(value)[:40]}; it must be {span}"
        return None

    def convert(self, value: Any) -> Any:
        """The number that digits, or a result, stand for."""
        if self.of == ():
            return value
        value = _stands_for(value, self.of, self.by)
        is_number = isinstance(value, str) and value.isascii() and value.isdigit()
        return int(value) if is_number and len(value) < 40 else value


class Boolean(Check):
    """True or False.

    Examples:
        >>> Boolean()("yes")
        "must be True or False, not 'yes'"
    """

    def __call__(self, value: Any) -> str | None:
        return None if isinstance(value, bool) else f"must be True or False, not {value!r}"


def _names(given: Any) -> Collection[str]:
    return get_args(given) or given


@frozen
class OneOf(Check):
    """Exactly one of `names`, which may be a Literal's.

    Where the list is `open`, any text: the server may know more.

    Examples:
        >>> OneOf(("std", "pro"))("best")
        "is 'best'; allowed are std, pro"
    """

    names: Collection[str] = field(converter=_names)
    open: bool = False

    def __call__(self, value: Any) -> str | None:
        if self.open:
            return Text()(value)
        if value in self.names:
            return None
        return f"is {value!r}; allowed are {', '.join(self.names)}"


class Url(Check):
    """An absolute http or https address with a host.

    Examples:
        >>> Url()("ada.jpg")
        "'ada.jpg' is not an http or https URL"
    """

    def __call__(self, value: Any) -> str | None:
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
        if not host or value.split() != [value] or not _is_sendable(value):
            return f"{value[:80]!r} is not an http or https URL"
        return None


def url_path(url: str) -> str:
    """The path of an address: what stays the same where hosts and queries change."""
    return urlsplit(url).path or url


class Email(Check):
    """An e-mail address, as far as the shape tells.

    Examples:
        >>> Email()("ada")
        "'ada' is not an e-mail address"
    """

    def __call__(self, value: Any) -> str | None:
        if not isinstance(value, str):
            return f"must be an e-mail address, not {type(value).__name__}"
        name, _, host = value.rpartition("@")
        if not name or not host or value.split() != [value] or not _is_sendable(value):
            return f"{value[:80]!r} is not an e-mail address"
        if not value.isprintable():  # as pasted from a web page; repr() shows it
            return f"has an invisible character: {value[:80]!r}; type the address anew"
        return None


@frozen
class Digits(Check):
    """An id as the API writes it, a string of digits; or one of the results `of`, which has it.

    Args:
        of: result types which may stand for it.
        by: their attribute that is meant.
        numbers: whether numbers may stand for it, too.

    Examples:
        >>> Digits()("12a")
        "is '12a'; an id is a string of digits"
    """

    of: type | tuple[type, ...] = ()
    by: str = "id"
    numbers: bool = False

    def __call__(self, value: Any) -> str | None:
        if isinstance(value, str) and value.isascii() and value.isdigit():
            return None
        return f"is {value!r}; an id is a string of digits"

    def convert(self, value: Any) -> Any:
        """The id of a result."""
        value = _stands_for(value, self.of, self.by)
        is_number = self.numbers and isinstance(value, int) and not isinstance(value, bool)
        return str(value) if is_number else value


class FileNamePart(Check):
    """A part of a file's name, as the API looks for it."""

    def __call__(self, value: Any) -> str | None:
        if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9._-]+", value):
            return None
        return f"is {value!r}; letters, digits, '.', '_' and '-' can be looked for"


class Secret(Check):
    """A text that must not be shown, so the problem does not quote it either."""

    def __call__(self, value: Any) -> str | None:
        if not isinstance(value, str) or not value or not _is_sendable(value):
            return "must be text, and not empty"
        return None


@frozen
class ListOf(Check):
    """A tuple of `least` to `most` values which all pass `check`; what is one value counts as one.

    Args:
        check: of each value.
        what: what a value is called in problems.
        most: how many at most; None: no limit.
        least: how many at least.

    Examples:
        >>> ListOf(Url(), "image", most=1)(("https://a.example/1.png", "https://a.example/2.png"))
        '...'
    """

    check: Check
    what: str
    most: int | None = None
    least: int = 1

    def __call__(self, values: Any) -> str | None:
        if not isinstance(values, tuple) or not values:
            return f"must name at least {_count(self.least, self.what)}"
        if len(values) < self.least:
            return f"names {len(values)}; at least {_count(self.least, self.what)} are needed"
        if self.most is not None and len(values) > self.most:
            return f"names {len(values)}; at most {self.most} {self.what}s go into one call"
        problems = (problem for value in values if (problem := self.check(value)) is not None)
        return next(problems, None)

    def convert(self, value: Any) -> Any:
        """A tuple of what is one value or several."""
        if value is None:
            return None
        values = value if isinstance(value, (tuple, list)) else (value,)
        return tuple(self.check.convert(one) for one in values)


def exactly_one(**choices: Any) -> dict[str, str]:
    """The problem of fields of which exactly one is needed, for `cross_problems`; may be empty.

    Examples:
        >>> exactly_one(image=None, image_url=None)
        {...}
    """
    given = [name for name, value in choices.items() if value is not None]
    if len(given) == 1:
        return {}
    *others, last = choices
    told = f"{' and '.join(given)} given" if given else "none given"
    return {others[0]: f"exactly one of {', '.join(others)} and {last} is needed, {told}"}


def _stands_for(value: Any, types: type | tuple[type, ...], attribute: str) -> Any:
    return getattr(value, attribute) if types != () and isinstance(value, types) else value


def _count(number: int, what: str) -> str:
    return f"one {what}" if number == 1 else f"{number} {what}s"


def _is_sendable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True

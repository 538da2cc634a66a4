"""How is a field of a request declared? By the place where it is sent, its name there, its check.

`protocol.py` reads the places and names, `requests.py` runs the checks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from attrs import Attribute, field, fields, frozen

from ..errors import JSON, InvalidRequestError
from .checks import Check, ListOf, Secret, Url
from .media import Media, MediaProblem, MediaSource, inspect, is_address

Place = Literal["body", "query", "path"]


def body(wire: str, check: Check, *, required: bool = False) -> Any:
    """A field of the JSON body, under the API's name `wire`; left out when None.

    Examples:
        >>> name: str | None = body("name", Text(20))
    """
    return _field(wire, "body", check, required)


def query(wire: str, check: Check, *, required: bool = False) -> Any:
    """A field of the query string; a tuple goes out with commas between its members.

    Examples:
        >>> page_size: int | None = query("pageSize", Integer(1))
    """
    return _field(wire, "query", check, required)


def path(wire: str, check: Check) -> Any:
    """A field of the route, always required.

    Examples:
        >>> element_id: str = path("elementId", Text())
    """
    return _field(wire, "path", check, True)


def secret(wire: str, *, required: bool = False) -> Any:
    """A body field that no repr shows; `without_secrets` and `redacted` must know of it, too."""
    return _field(wire, "body", Secret(), required, repr=False)


def unlogged(wire: str, check: Check) -> Any:
    """A field of the JSON body that no repr shows: not secret, but nothing for a log either.

    Examples:
        >>> reply_url: str | None = unlogged("replyUrl", Url())
    """
    return _field(wire, "body", check, False, repr=False)


def numbered(
    wire: str, check: Check | type[Part], *, most: int, least: int = 1, first: int = 1
) -> Any:
    """A tuple that goes out as several fields of the JSON body, with a number in their names.

    Args:
        wire: `image_{n}`; for parts, whose fields go out one by one, `shot_{n}_{field}`.
        check: of each value, or the type of the parts.
        most: how many values there may be.
        least: how many there must be, if any is given.
        first: the number of the first.

    Examples:
        >>> elements: tuple[str, ...] | None = numbered("element_{n}", Text(), most=2)
    """
    each = check if isinstance(check, Check) else PartOf(check)
    what = (
        each.of.__name__.lower() if isinstance(each, PartOf) else wire.partition("{")[0].strip("_")
    )
    listed = ListOf(each, what, most, least)
    return _field(wire, "body", listed, False, numbers=Numbers(wire, first))


def file(into: str, kind: str, *, required: bool = False) -> Any:
    """A file that goes up before the request; its address then fills the field `into`.

    It is looked into once, on construction, which blocks: what was given becomes a `Media`, or the
    reason why the API would refuse it, which is then reported with all other problems.

    Args:
        into: the field for its address.
        kind: "image", "video" or "audio".
        required: whether it, or its address, must be there.

    Examples:
        >>> image_url: str | None = body("imageUrl", Url())
        >>> image: MediaSource | None = file("image_url", "image")
    """

    def looked_into(source: MediaSource | Media | None) -> Media | MediaProblem | None:
        if source is None:
            return None
        if is_address(source):
            return MediaProblem(f"is an address, not a file: give it as {into}")
        return _looked_into(source, kind)

    metadata = {"file": True, "into": into, "kind": kind, "check": IsFile(), "needed": required}
    return field(default=None, converter=looked_into, metadata=metadata)


def files(wire: str, kind: str, *, most: int, first: int = 1, required: bool = False) -> Any:
    """Several files or addresses, which go out as several fields in their order, as `numbered`.

    Each file goes up before the request, and its address takes its place.

    Args:
        wire: `image_{n}`.
        kind: "image", "video" or "audio".
        most: how many there may be.
        first: the number of the first.
        required: whether there must be one.

    Examples:
        >>> images: tuple[MediaSource, ...] | None = files("image_{n}", "image", most=3)
    """

    def looked_into(given: Any) -> tuple[str | Media | MediaProblem, ...] | None:
        if given is None:
            return None
        members = given if isinstance(given, (tuple, list)) else (given,)
        return tuple(one if is_address(one) else _looked_into(one, kind) for one in members)

    what = re.sub(r"(?=[A-Z])", " ", wire.partition("{")[0].strip("_")).lower()
    listed = ListOf(FileOrAddress(), what, most)
    metadata = {
        "wire": wire, "place": "body", "check": listed, "numbers": Numbers(wire, first),
        "kind": kind, "into": "", "required": required,
    }  # fmt: skip
    return field(default=None, converter=looked_into, metadata=metadata)


def _looked_into(source: MediaSource | Media, kind: str) -> Media | MediaProblem:
    try:
        return inspect(source, only=kind)
    except MediaProblem as exc:
        return exc


class IsFile(Check):
    """A file that was looked into, and that the API would take."""

    def __call__(self, value: Any) -> str | None:
        return str(value) if isinstance(value, MediaProblem) else None


class FileOrAddress(IsFile):
    """Such a file, or the address of one."""

    def __call__(self, value: Any) -> str | None:
        return Url()(value) if isinstance(value, str) else super().__call__(value)


@frozen(kw_only=True)
class Part:
    """A group of fields that a request holds several of, as the shots of a video.

    Raises:
        InvalidRequestError: on construction, with every fault at once.

    Examples:
        >>> Shot(prompt="A kite", duration_s=5).duration_s
        5
    """

    def __attrs_post_init__(self) -> None:
        if problems := field_problems(self):
            raise InvalidRequestError(type(self).__name__, problems)


@frozen
class PartOf(Check):
    """A `Part` of the type `of`, or a mapping of its fields."""

    of: type[Part]

    def __call__(self, value: Any) -> str | None:
        if isinstance(value, self.of):
            return None
        if not isinstance(value, Mapping):
            return f"must be a {self.of.__name__}, not {type(value).__name__}"
        try:
            self.of(**value)
        except InvalidRequestError as exc:
            return "; ".join(f"{name} {problem}" for name, problem in exc.problems.items())
        except TypeError:
            known = ", ".join(one.name for one in fields(self.of))
            return f"is {dict(value)!r}; its fields are {known}"
        return None

    def convert(self, value: Any) -> Any:
        """The part that a mapping says, if it does."""
        return self.of(**value) if isinstance(value, Mapping) and self(value) is None else value


@frozen
class Numbers:
    """How the values of one field go out as several, named as `image_{n}` or `shot_{n}_{field}`."""

    wire: str
    first: int

    def spread(self, values: tuple[Any, ...]) -> Iterator[tuple[str, JSON]]:
        """The names on the wire, and what each says."""
        for number, value in enumerate(values, self.first):
            if not isinstance(value, Part):
                yield self.wire.format(n=number), value
                continue
            for one in fields(type(value)):
                if (said := getattr(value, one.name)) is not None:
                    yield self.wire.format(n=number, field=one.metadata["wire"]), said

    def names(self, check: ListOf) -> Iterator[str]:
        """All names on the wire that there can be."""
        parts = fields(check.check.of) if isinstance(check.check, PartOf) else (None,)
        for number in range(self.first, self.first + (check.most or 1)):
            for part in parts:
                part_name = "" if part is None else part.metadata["wire"]
                yield self.wire.format(n=number, field=part_name)


def has_wire_name(one: Attribute[Any]) -> bool:
    """Whether the field has a name of its own on the wire."""
    return "wire" in one.metadata


def wire_names(one: Attribute[Any]) -> tuple[str, ...]:
    """The names that a field may have on the wire; more than one where it is numbered."""
    if (numbers := one.metadata.get("numbers")) is not None:
        return tuple(numbers.names(one.metadata["check"]))
    return (one.metadata["wire"],) if has_wire_name(one) else ()


def field_problems(thing: Any) -> dict[str, str]:
    """What is wrong with each field of a request, or part, by the field's name."""
    problems = {}
    for name, check, required in _plan(type(thing)):
        value = getattr(thing, name)
        if value is None:
            problem = "is required" if required else None
        else:
            problem = check(value) if check is not None else None
        if problem:
            problems[name] = problem
    return problems


_PLANS: dict[type, tuple[tuple[str, Check | None, bool], ...]] = {}  # made once per type


def _plan(cls: type) -> tuple[tuple[str, Check | None, bool], ...]:
    """What to look at in a new request: each field's name, its check, and whether it must be."""
    found = _PLANS.get(cls)
    if found is None:
        found = _PLANS[cls] = tuple(
            (one.name, one.metadata.get("check"), one.metadata.get("required", False))
            for one in fields(cls)
        )
    return found


def _field(
    wire: str,
    place: Place,
    check: Check,
    required: bool,
    *,
    repr: bool = True,
    numbers: Numbers | None = None,
) -> Any:
    converts = type(check).convert is not Check.convert and getattr(check, "of", None) != ()
    metadata = {"wire": wire, "place": place, "check": check, "required": required}
    if numbers is not None:
        metadata["numbers"] = numbers
    return field(
        default=None, repr=repr, converter=check.convert if converts else None, metadata=metadata
    )

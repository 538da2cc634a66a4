"""What is an answer's JSON as a value? The base of all response types, and their decoding. Pure.

What a class knows becomes its fields; what it does not know stays in `extra`, the whole in `raw`.
An optional field of an unexpected type is left in `extra` rather than failing the answer; a
required one raises, and the caller gets `UnexpectedResponseError`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from types import MappingProxyType
from typing import Any, ClassVar, Final, Generic, TypeVar, get_args, get_origin, get_type_hints

from attrs import NOTHING, Attribute, field, fields, frozen, has
from cattrs import Converter

from ..errors import JSON

log: Final = logging.getLogger("kling_async")

M = TypeVar("M", bound="Model")
T = TypeVar("T")


@frozen
class Meta:
    """How a result came about: whose account, which status, how many sends, how long.

    `adopted` says that the answer was lost and the result was found in the account's list. A value
    that no call has brought, as you build one for a test, says 0 attempts.
    """

    account: str | None = None
    status_code: int = 0
    attempts: int = 0
    elapsed_s: float = 0.0
    adopted: bool = False


@frozen(kw_only=True)
class Model:
    """The base of all response types.

    `extra` holds the fields this version does not know (read-only), `raw` the whole JSON, `meta`
    how the result came about.
    """

    nested: ClassVar[tuple[str, ...]] = ()
    """The fields whose members are results of their own: `meta` goes onto them, too."""

    extra: Mapping[str, JSON] = field(factory=dict, repr=False, hash=False)
    raw: JSON = field(default=None, repr=False, eq=False)
    meta: Meta = field(default=Meta(), repr=False, eq=False)

    @classmethod
    def from_api(cls: type[M], value: JSON) -> M:
        """The value that this JSON stands for; ValueError where it breaks the contract."""
        return _converter().structure(value, cls)

    def to_dict(self) -> dict[str, Any]:
        """What is known of it as plain JSON values: its fields by our names, `extra` among them.

        `raw` has the answer in the API's own names; neither it nor `meta` is in here.

        Examples:
            >>> (await kling.avatars.get(avatar)).to_dict()["nickname"]
            'Ada'
        """
        return plain(self)

    @classmethod
    def _flattened(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """`value` with the fields where `from_api` looks for them; what moves is not copied."""
        return value

    def __reduce__(self) -> tuple[object, ...]:
        # `extra` is a read-only view, which can't be pickled.
        known = {one.name: getattr(self, one.name) for one in fields(type(self))}
        return _rebuild, (type(self), {**known, "extra": dict(self.extra)})


@frozen(kw_only=True)
class Listing(Model, Generic[T]):
    """A result of several: iterate over it or index it. `nested` names the field they are in."""

    def __iter__(self) -> Iterator[T]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, index: int) -> T:
        return self._members[index]

    @property
    def _members(self) -> tuple[T, ...]:
        members: tuple[T, ...] = getattr(self, self.nested[0])
        return members


def plain(result: Any) -> dict[str, Any]:
    """A result's fields as what JSON can carry: dicts and lists, members that are results too."""
    kept = (one.name for one in fields(type(result)) if one.name not in ("raw", "meta"))
    return {name: _plain(getattr(result, name)) for name in kept}


def _plain(value: Any) -> Any:
    if has(type(value)):
        return plain(value)
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def list_of(cls: type[M], value: JSON) -> list[M]:
    """A JSON array of `cls`; ValueError where it is not one."""
    if not isinstance(value, list):
        raise ValueError(f"an array was expected, not {type(value).__name__}")
    return _readable(cls.from_api, value)[0]


def structured(kind: Any, value: JSON) -> Any:
    """The value of a JSON answer, of a model's type or as a list of one."""
    return list_of(get_args(kind)[0], value) if get_origin(kind) is list else kind.from_api(value)


def _readable(read: Callable[[Any], T], entries: list[Any]) -> tuple[list[T], list[Any]]:
    """The entries that can be read, and the others: one without its id, or null, hides none.

    What is no object at all, or where none can be read, breaks the contract: ValueError.
    """
    found: list[T] = []
    unreadable: list[Any] = []
    problem: Exception | None = None
    for entry in entries:
        try:
            found.append(read(entry))
        except (ValueError, TypeError, KeyError, OverflowError) as exc:
            if entry is not None and not isinstance(entry, Mapping):
                raise
            unreadable.append(entry)
            problem = problem or exc
    if problem is not None:
        if not found:
            raise problem
        count = len(unreadable)
        log.warning("%d of %d entries of a list can't be read: %s", count, len(entries), problem)
    return found, unreadable


def with_meta(result: T, meta: Meta) -> T:
    """`result` with `meta` on it, and on each member where it is a list or remembers for them.

    It is written into the value, so only for one that was decoded just now: nobody has seen it yet,
    and a copy would cost 3 us per value.
    """
    if isinstance(result, Model):
        object.__setattr__(result, "meta", meta)
        for name in result.nested:
            with_meta(list(getattr(result, name)), meta)
    elif isinstance(result, list):
        for one in result:
            with_meta(one, meta)
    return result


def moment(ms: int | None) -> datetime | None:
    """Epoch milliseconds as a time in UTC; None where there are none, or none that can be."""
    try:
        return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def named(wire: str, **options: Any) -> Any:
    """A response field whose name on the wire is `wire`; `options` go to `attrs.field`.

    Examples:
        >>> nickname: str | None = named("avatarName", default=None)
    """
    return field(metadata={"wire": wire}, **options)


def _rebuild(cls: type[M], known: dict[str, Any]) -> M:
    return cls(**{**known, "extra": MappingProxyType(known["extra"])})


# --- decoding ---------------------------------------------------------------------------------


def _text(value: Any, _: Any = None) -> str:
    # Ids above 2**53 arrive as strings; should one arrive as a number, it becomes its digits.
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"text was expected, not {type(value).__name__}")


def _decimal(value: Any, _: Any = None) -> float:
    # ttsSpeed is a string in GET /avatars and a number in POST /avatars.
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"a number was expected, not {type(value).__name__}")
    return float(value)


def _whole(value: Any, _: Any = None) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"a whole number was expected, not {type(value).__name__}")
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"a whole number was expected, not {value}")
    return int(value)


def _flag(value: Any, _: Any = None) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"true or false was expected, not {type(value).__name__}")
    return value


def _model_hook(cls: type[M]) -> Callable[[Any, Any], M]:
    hints = get_type_hints(cls)
    plan = [
        (one.name, _wire_name(one), one.default is not NOTHING, *_member_hook(hints[one.name]))
        for one in fields(cls)
        if one.name not in ("extra", "raw", "meta")
    ]

    as_it_is = cls._flattened.__func__ is Model._flattened.__func__  # type: ignore[attr-defined]

    def structure(value: Any, _: Any) -> M:
        if not isinstance(value, Mapping):
            raise ValueError(f"an object was expected, not {type(value).__name__}")
        known: dict[str, Any] = {}
        extra = dict(value if as_it_is else cls._flattened(value))
        for name, wire, optional, hook, hint in plan:
            if wire not in extra:
                if not optional:
                    raise ValueError(f"{wire!r} is missing")
                continue
            if (found := extra[wire]) is None and optional:
                del extra[wire]
                continue
            try:
                structured = hook(found, hint)
            except (ValueError, TypeError, KeyError, OverflowError) as exc:
                if not optional:
                    raise ValueError(f"{wire!r}: {exc}") from None
                continue
            if type(structured) is _Members:
                extra[wire], structured = structured.unreadable, tuple(structured)
            else:
                del extra[wire]
            known[name] = structured
        return cls(**known, extra=MappingProxyType(extra), raw=value)

    return structure


class _Members(tuple[Any, ...]):
    """The members of an array that can be read, and what the others were."""

    unreadable: list[Any]


def _member_hook(hint: Any) -> tuple[Callable[[Any, Any], Any], Any]:
    """What structures a member, and the type to hand it; cattrs is asked once, not per value."""
    if get_origin(hint) is not tuple:
        return _converter().get_structure_hook(hint), hint
    entry_hint = get_args(hint)[0]
    entry_hook = _converter().get_structure_hook(entry_hint)

    def members(value: Any, _: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise ValueError(f"an array was expected, not {type(value).__name__}")
        found, unreadable = _readable(lambda entry: entry_hook(entry, entry_hint), value)
        if not unreadable:
            return tuple(found)
        members = _Members(found)
        members.unreadable = unreadable
        return members

    return members, hint


def _wire_name(one: Attribute[Any]) -> str:
    given: str | None = one.metadata.get("wire")
    if given is not None:
        return given
    first, *rest = one.name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _is_model(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, Model)


@cache
def _converter() -> Converter:
    made = Converter(detailed_validation=False)  # takes 0.4 ms, so not at import
    hooks: Mapping[type, Callable[[Any, Any], Any]] = {
        str: _text,
        float: _decimal,
        int: _whole,
        bool: _flag,
    }
    for cls, hook in hooks.items():
        made.register_structure_hook(cls, hook)
    made.register_structure_hook_factory(_is_model, _model_hook)
    return made

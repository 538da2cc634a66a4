"""How are options read from one line of text? `name=value` words, separated by commas.

The type of a field's default says how its value is read: a flag needs none.
"""

from __future__ import annotations

from typing import Any

from attrs import NOTHING, AttrsInstance, fields


def read_options(kind: type[AttrsInstance], text: str, *, called: str) -> dict[str, Any]:
    """The values in a text, by field of `kind`; none for a blank text.

    Args:
        kind: the class of the options; each field has a default.
        text: `name=value` words; the name of a flag may stand alone.
        called: what messages call the options.

    Raises:
        ValueError: says which word makes no sense, and what is allowed.
    """
    known = {one.name: one.default for one in fields(kind)}
    values: dict[str, Any] = {}
    for word in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (part.strip() for part in word.partition("="))
        default = known.get(name, NOTHING)
        if default is NOTHING or (not equals and not isinstance(default, bool)):
            raise ValueError(f"{called} know no {word!r}; allowed: {', '.join(_shown(known))}")
        if name in values:
            raise ValueError(f"{called}: {name} is set twice")
        values[name] = _read(name, value if equals else "true", default)
    return values


def _shown(known: dict[str, Any]) -> list[str]:
    return [name if isinstance(one, bool) else f"{name}=…" for name, one in known.items()]


def _read(name: str, text: str, default: object) -> object:
    if isinstance(default, bool):
        found = {"true": True, "false": False}.get(text.lower())
        if found is None:
            raise ValueError(f"{name} must be true or false, not {text!r}")
        return found
    if isinstance(default, str):
        return text
    try:
        return float(text) if isinstance(default, float) else int(text)
    except ValueError:
        raise ValueError(f"{name} must be a number, not {text!r}") from None

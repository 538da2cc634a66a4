"""Which operations are there? The request types say it, and are loaded when they are asked for.

attrs takes half a millisecond to make a class, and requests and responses are sixty, so importing
the package loads none of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any

from ..errors import ConfigurationError
from .requests import Request

MODULES = (
    *("accounts", "assets", "avatars", "tts", "tasks", "scheduler"),
    *("videos", "omni", "video_edits", "video_voices"),
    *("images", "elements"),
)
"""The files of this room that have request types; a new part of the API is a new name here."""


@cache
def operations() -> Mapping[str, type[Request[Any]]]:
    """Every operation of this library: `avatars.create` -> its request type, by file."""
    found: dict[str, type[Request[Any]]] = {}
    for name in MODULES:
        module = import_module(f".{name}", __package__)
        for cls in vars(module).values():
            if (
                isinstance(cls, type)
                and issubclass(cls, Request)
                and "operation" in vars(cls)
                and cls.__module__ == module.__name__
            ):
                found[cls.operation] = cls
    return found


def request_type(operation: str) -> type[Request[Any]]:
    """The request type of an operation by its name, `videos.text2video`; also a user's own.

    Raises:
        ConfigurationError: there is none of that name; it lists those that there are.
    """
    known = operations()
    if operation in known:
        return known[operation]
    for cls in _below(Request):
        if vars(cls).get("operation") == operation:
            return cls
    raise ConfigurationError(
        f"there is no operation {operation!r}; there are {', '.join(sorted(known))}"
    )


def _below(base: type[Request[Any]]) -> Iterator[type[Request[Any]]]:
    for cls in base.__subclasses__():
        # attrs makes a class with slots anew; its first form may be around for a while.
        if "__attrs_attrs__" in vars(cls):
            yield cls
        yield from _below(cls)

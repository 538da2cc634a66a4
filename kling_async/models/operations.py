"""Which operations are there? The request types say it, and are loaded when they are asked for.

attrs takes half a millisecond to make a class, and requests and responses are sixty, so importing
the package loads none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

from ..errors import ConfigurationError
from .requests import Request

MODULES = ("accounts", "assets", "avatars", "tts", "tasks", "scheduler", "videos")
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
    """The request type of an operation, by its name.

    Raises:
        ConfigurationError: there is none of that name; it lists those that there are.
    """
    known = operations()
    if operation not in known:
        raise ConfigurationError(
            f"there is no operation {operation!r}; there are {', '.join(sorted(known))}"
        )
    return known[operation]

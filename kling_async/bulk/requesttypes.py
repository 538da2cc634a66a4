"""Which request is an operation, and what do its fields hold? Looked up from the classes."""

from __future__ import annotations

import os
import pkgutil
from collections.abc import Collection, Iterator, Mapping
from importlib import import_module
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from attrs import fields

from ..errors import ConfigurationError
from ..models.requests import Request, Safety, file_fields

Kind = Literal["text", "number", "whole", "flag", "file", "list", "object"]
"""What a column holds, so that a cell of a CSV can be read as it."""


def request_type(operation: str) -> type[Request[Any]]:
    """The request type of an operation by its name, `videos.text2video`; also a user's own.

    Raises:
        ConfigurationError: there is none of this name.
    """
    types = {one.operation: one for one in _request_types(Request)}
    if operation not in types:
        models = import_module(Request.__module__.rpartition(".")[0])
        for module in pkgutil.iter_modules(models.__path__):
            import_module(f"{models.__name__}.{module.name}")
        types = {one.operation: one for one in _request_types(Request)}
    if operation not in types:
        paid = sorted(name for name, one in types.items() if one.safety is Safety.PAID)
        raise ConfigurationError(
            f"there is no operation {operation!r}; those that a bulk job can carry out are "
            f"{', '.join(paid)}"
        )
    return types[operation]


def _request_types(base: type[Request[Any]]) -> Iterator[type[Request[Any]]]:
    for one in base.__subclasses__():
        # A class with slots is made anew by attrs; the first form may be around for a while.
        if "__attrs_attrs__" in vars(one) and hasattr(one, "operation"):
            yield one
        yield from _request_types(one)


_KINDS: dict[type, Mapping[str, Kind]] = {}  # looked up once per request type
_DEFAULTS: dict[type, Mapping[str, Any]] = {}


def field_kinds(request: type[Request[Any]]) -> Mapping[str, Kind]:
    """Field -> what it holds, for all fields of a request type."""
    found = _KINDS.get(request)
    if found is None:
        # What its and its bases' hints name, but do not import at run time.
        hints = get_type_hints(request, localns={"os": os, "Evidence": object})
        files = dict(file_fields(request))
        found = _KINDS[request] = {
            one.name: "file" if one.name in files else _kind(hints[one.name])
            for one in fields(request)
        }
    return found


def field_defaults(request: type[Request[Any]]) -> Mapping[str, Any]:
    """Field -> its default, for all fields of a request type."""
    found = _DEFAULTS.get(request)
    if found is None:
        found = _DEFAULTS[request] = {one.name: one.default for one in fields(request)}
    return found


def _kind(hint: Any) -> Kind:
    if get_origin(hint) in (Union, UnionType):
        options = [one for one in get_args(hint) if one is not NoneType]
        kinds: set[Kind] = {_kind(one) for one in options}
        return kinds.pop() if len(kinds) == 1 else "text"
    plain: dict[Any, Kind] = {bool: "flag", int: "whole", float: "number"}
    if hint in plain:
        return plain[hint]
    origin = get_origin(hint)
    if origin in (tuple, list) or (isinstance(origin, type) and issubclass(origin, Collection)):
        return "object" if issubclass(origin, Mapping) else "list"
    return "text"

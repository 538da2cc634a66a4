"""What do the fields of a request hold? Looked up from its class."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from attrs import fields

from ..models.requests import Request, file_fields

Kind = Literal["text", "number", "whole", "flag", "file", "files", "list", "object"]
"""What a column holds, so that a cell of a CSV can be read as it."""


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
            one.name: _kind(hints[one.name])
            if one.name not in files
            else "files"
            if files[one.name] == one.name
            else "file"
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

"""What is kept of a value that a row gave? JSON that any file can hold, and a digest of it."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from typing import Any

from ..errors import JSON
from ..models.media import Media

HALF = re.compile("[\ud800-\udfff]")
"""Half a character: no text file, database or terminal can hold it."""
OF_BYTES = "sha256:"
"""How the ledger names a file of which it was given the bytes, which it does not keep."""
_DEPTH = 30
_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"))  # json.dumps makes one a call


def digest_of(content: Mapping[str, JSON]) -> str:
    """A digest of the content: equal for equal content, 1.0 and 1 being equal."""
    text = _JSON.encode(_normal(content))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _normal(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, (dict, Mapping)):  # a dict is known at once, an abstract class is asked
        return {n: one if isinstance(one, str) else _normal(one) for n, one in value.items()}
    return [_normal(one) for one in value] if isinstance(value, list) else value


def plain(value: Any, depth: int = 0) -> JSON:
    """`value` as JSON: a file that was looked into by its path, bytes by their digest."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Media):
        value = value.source
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return OF_BYTES + hashlib.sha256(value).hexdigest()
    if depth < _DEPTH and isinstance(value, Mapping):
        return {str(name): plain(one, depth + 1) for name, one in value.items()}
    if depth < _DEPTH and isinstance(value, (list, tuple)):
        return [plain(one, depth + 1) for one in value]
    return f"<{type(value).__name__}>"  # not a field's type, so the row has a problem that says so


def mended(value: Any) -> Any:
    """The JSON value with U+FFFD in place of each half character."""
    if isinstance(value, str):
        return value if value.isascii() else HALF.sub("\ufffd", value)
    if isinstance(value, Mapping):
        return {mended(name): mended(one) for name, one in value.items()}
    return [mended(one) for one in value] if isinstance(value, list) else value


def has_half(value: Any) -> bool:
    """Whether the JSON value holds half a character anywhere."""
    if isinstance(value, str):
        return not value.isascii() and HALF.search(value) is not None
    if isinstance(value, (dict, Mapping)):
        for pair in value.items():
            for one in pair:
                if not (isinstance(one, str) and one.isascii()) and has_half(one):
                    return True
        return False
    return isinstance(value, list) and any(has_half(one) for one in value)

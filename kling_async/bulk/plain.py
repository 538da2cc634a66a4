"""What is kept of a value that a row gave? JSON, and a short name for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import JSON
from ..models.media import Media


def digest_of(content: Mapping[str, JSON]) -> str:
    """A short name of the content, the same for the same content."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def plain(value: Any) -> JSON:
    """`value` as JSON: a file that was looked into by its absolute path, bytes by their digest."""
    if isinstance(value, Media):
        value = value.source.absolute() if isinstance(value.source, Path) else value.source
    if hasattr(value, "__fspath__"):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "sha256:" + hashlib.sha256(value).hexdigest()
    if value is None or isinstance(value, (str, int, float, bool, list, dict)):
        return value
    return repr(value)  # not a field's type, so the row has a problem that says so

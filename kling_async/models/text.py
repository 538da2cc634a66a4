"""What may a text from outside hold? Nothing that breaks whoever keeps, prints or sends it. Pure.

A server, a proxy or a file's name may bring half surrogate pairs, which no encoding takes, and
control characters, which a terminal obeys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ..errors import JSON

_HALVES = re.compile("[\ud800-\udfff]")
# Control characters but for the tab and the line's end; what is invisible, or turns the direction.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def encodable(text: str) -> str:
    """`text` with U+FFFD in place of what can't be encoded."""
    return text if text.isascii() else _HALVES.sub("\N{REPLACEMENT CHARACTER}", text)


def encodable_json(value: JSON) -> JSON:
    """`value` with `encodable` texts, names of members included."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, Mapping):
        return {encodable(name): encodable_json(member) for name, member in value.items()}
    if isinstance(value, list):
        return [encodable_json(member) for member in value]
    return value


def printable(text: str) -> str:
    r"""`text` as it can be shown anywhere: control and invisible characters as `\x1b` or `\u200b`.

    Tabs and ends of lines stay as they are.
    """
    return _UNSEEN.sub(_escaped, encodable(text))


def json_shown(value: Any, indent: int | None = None) -> str:
    """`value` as JSON that can be shown anywhere: what is not seen is escaped, as JSON does it."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _UNSEEN.sub(lambda found: json.dumps(found[0])[1:-1], _HALVES.sub(_half, text))


def on_one_line(text: str, most_chars: int | None = None) -> str:
    """`text` as it can be shown within a line, cut to `most_chars` characters."""
    return printable(" ".join(text.split()))[:most_chars]


def _half(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _escaped(found: re.Match[str]) -> str:
    code: int = ord(found[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

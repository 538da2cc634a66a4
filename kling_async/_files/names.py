"""What may a file be called that a server names? One plain name, on every system. Pure."""

from __future__ import annotations

import re
import unicodedata
from email.message import Message
from pathlib import PurePath
from urllib.parse import unquote, urlsplit

LONGEST_NAME_BYTES = 150  # systems take 255; the part file and a number need some of it

ENDINGS = {
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
    "audio/mpeg": ".mp3",
    "audio/wav": ".wav",
    "audio/mp4": ".m4a",
    "audio/flac": ".flac",
    "audio/aac": ".aac",
    "audio/ogg": ".ogg",
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "application/zip": ".zip",
}
"""Content type -> how a file of it ends."""

_FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f\x7f-\x9f\ud800-\udfff]')
_EXTENDED = re.compile(
    r"(?:^|[;\s])filename\*\s*=\s*(?P<charset>[\w-]+)'[^']*'(?P<name>[^;\s]+)", re.IGNORECASE
)
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # on Windows


def served_name(disposition: str | None, url: str) -> str | None:
    """What the server calls the file: in Content-Disposition, else at the end of its address."""
    if disposition is not None:
        header = Message()
        header["content-disposition"] = disposition
        stated = (_extended_name(disposition), header.get_filename())
        for found in stated:
            if found and (name := safe_name(found)) is not None:
                return name
    return safe_name(unquote(urlsplit(url).path))


def _extended_name(disposition: str) -> str | None:
    """The name in `filename*`, which wins over `filename` (RFC 6266); None without one."""
    found = _EXTENDED.search(disposition)
    if found is None:
        return None
    try:
        return unquote(found["name"], encoding=found["charset"], errors="replace")
    except LookupError:  # no charset of that name
        return None


def safe_name(given: str) -> str | None:
    """The last part of `given` as a name that means one file in one directory; None if empty."""
    last = re.split(r"[/\\]", given)[-1]
    name = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", last))
    name = name.strip(". ")  # a dot in front hides it; Windows drops both at the end
    if _DEVICES.match(name):
        name = "_" + name
    ending = PurePath(name).suffix
    if len(name.encode()) > LONGEST_NAME_BYTES:
        ending = ending if len(ending.encode()) <= 10 else ""
        name = _cut(name.removesuffix(ending), LONGEST_NAME_BYTES - len(ending.encode())) + ending
    return name or None


def with_ending(name: str, content_type: str) -> str:
    """`name` ending as files of `content_type` do; unchanged where it ends in anything sensible.

    A zip always ends in `.zip`: no program would know it under another name.
    """
    ending = ENDINGS.get(content_type, "")
    path = PurePath(name)
    if content_type == "application/zip" and path.suffix.lower() != ".zip":
        stem = path.stem if path.suffix.lower() in ENDINGS.values() else name
        return stem + ending
    return name if path.suffix or not ending else name + ending


def _cut(text: str, most_bytes: int) -> str:
    return text.encode()[:most_bytes].decode(errors="ignore").rstrip(". ")

"""Is what came the kind of file that was asked for? Pure.

File servers answer with status 200 and a page where they mean no: a login, "expired", an XML error.
Saved under a video's name, it would count as the video.
"""

from __future__ import annotations

from collections.abc import Collection

from ..models.sniff import is_text, sniff

_PAGES = (
    "text/",
    "application/json",
    "application/xml",
    "application/xhtml",
    "application/problem",
)
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")


def kind_of(head: bytes, content_type: str | None) -> str:
    """What it is: by its first bytes, else by what the server says."""
    if head.startswith(_ZIP):
        return "application/zip"
    return sniff(head) or plain_type(content_type) or "application/octet-stream"


def mismatch(head: bytes, content_type: str | None, wanted: Collection[str]) -> str | None:
    """Why it is not what was asked for; None where its bytes or its type say that it may be.

    Args:
        head: its first bytes.
        content_type: as the server says.
        wanted: "video", "audio", "image" or "zip"; empty: any file, but no page.
    """
    kind = kind_of(head, content_type)
    seen = "zip" if kind == "application/zip" else kind.partition("/")[0]
    if head.startswith(_ZIP) or sniff(head) is not None:
        # A zip came where a single file was expected: it is kept under a name of its own.
        return None if not wanted or seen in wanted or seen == "zip" else f"{kind} came"
    stated = plain_type(content_type)
    if stated.startswith(_PAGES) or is_text(head):
        return f"a page or a message came ({stated or 'of no stated type'})"
    if wanted and seen in ("video", "audio", "image") and seen not in wanted:
        return f"{kind} came"
    return None


def plain_type(content_type: str | None) -> str:
    """The type without its parameters, in lower case; empty where none was stated."""
    return (content_type or "").partition(";")[0].strip().lower()

"""Which part of a file was asked for? `Range` and `If-Range` as HTTP defines them, for media.

Files come with ETag, Last-Modified and Accept-Ranges. One range is answered with 206 or 416;
several ranges, and what can't be read, with the whole file, as HTTP allows.
"""

from __future__ import annotations

import hashlib
import re

from attrs import evolve

from .clock import http_date
from .messages import Reply, Request

_ONE_RANGE = re.compile(r"bytes=\s*(\d*)-(\d*)\s*")
_FIRST_MS = 1_767_225_600_000  # 2026-01-01: the age of files that nobody uploaded


def file_reply(
    content: bytes, content_type: str, *, tag: str = "", modified_ms: int = _FIRST_MS
) -> Reply:
    """A whole file with its validators.

    Args:
        content: all of it.
        content_type: as the header says it.
        tag: names exactly these bytes; made of them where empty.
        modified_ms: wall time of its latest change.
    """
    etag = tag or hashlib.sha256(content).hexdigest()[:32]
    headers = (
        ("Content-Type", content_type),
        ("Accept-Ranges", "bytes"),
        ("ETag", f'"{etag}"'),
        ("Last-Modified", http_date(modified_ms)),
    )
    return Reply(200, content, headers)


def in_part(reply: Reply, request: Request) -> Reply:
    """What the request asks of a whole file: all of it, a part, or 416."""
    headers = dict(reply.headers)
    found = _ONE_RANGE.fullmatch(request.header("range") or "")
    if found is None or request.method != "GET" or "Accept-Ranges" not in headers:
        return reply
    if request.header("if-range") not in (None, headers["ETag"], headers["Last-Modified"]):
        return reply
    bounds = _bounds(found[1], found[2], len(reply.body))
    if bounds is None:
        return reply
    first, end = bounds
    size = len(reply.body)
    if first >= end:
        return Reply(416, headers=(("Content-Range", f"bytes */{size}"),))
    told = ("Content-Range", f"bytes {first}-{end - 1}/{size}")
    return evolve(reply, status=206, body=reply.body[first:end], headers=(*reply.headers, told))


def without_ranges(reply: Reply) -> Reply:
    """The file of a server that knows nothing of parts."""
    kept = tuple(pair for pair in reply.headers if pair[0] != "Accept-Ranges")
    return evolve(reply, headers=kept)


def changed(reply: Reply, now_ms: int) -> Reply:
    """The same file after somebody has put other bytes of the same number in its place."""
    body = reply.body[:-1] + bytes([reply.body[-1] ^ 0xFF]) if reply.body else b""
    return file_reply(body, dict(reply.headers)["Content-Type"], modified_ms=now_ms)


def _bounds(first: str, last: str, size: int) -> tuple[int, int] | None:
    """Start and end of a range, empty where it can't be had; None for one that means nothing."""
    if not first:
        return None if not last else (max(0, size - int(last)), size) if int(last) else (0, 0)
    if last and int(last) < int(first):
        return None
    return int(first), min(size, int(last) + 1) if last else size

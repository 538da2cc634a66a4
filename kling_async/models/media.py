"""What is in this file, and does the API take it? Pure but for reading what it is asked to look at.

Request types call `inspect` when they are built, so a wrong file is refused before anything is
sent. Only heads of files are read here; the bytes are read when they go out.
"""

from __future__ import annotations

import os
import struct
from inspect import iscoroutine
from pathlib import Path
from typing import BinaryIO, Union

from attrs import field, frozen

MediaSource = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, BinaryIO]
"""A path, the bytes themselves, or an open binary file."""

MB = 1024 * 1024
MIN_IMAGE_SIDE_PX = 300

# Content type -> (file name endings, largest size). Source: POST /assets/ (2025-10).
UPLOADABLE: dict[str, tuple[tuple[str, ...], int]] = {
    "image/png": ((".png",), 10 * MB),
    "image/jpeg": ((".jpg", ".jpeg"), 10 * MB),
    "video/mp4": ((".mp4",), 100 * MB),
    "video/quicktime": ((".mov",), 100 * MB),
    "audio/wav": ((".wav",), 20 * MB),
    "audio/wave": ((), 20 * MB),
    "audio/mpeg": ((".mp3",), 20 * MB),
    "audio/mp4": ((".m4a",), 20 * MB),
    "audio/flac": ((".flac",), 20 * MB),
    "audio/aac": ((".aac",), 20 * MB),
    "audio/ogg": ((".ogg", ".oga"), 20 * MB),
}
_BY_ENDING = {ending: kind for kind, (endings, _) in UPLOADABLE.items() for ending in endings}
_LARGEST_BYTES = max(largest for _, largest in UPLOADABLE.values())
_HEAD_BYTES = 256 * 1024  # a JPEG may carry this much EXIF and colour profile before its size


@frozen
class Media:
    """A file that the API would take: where its bytes are, and what they are."""

    source: Path | bytes = field(repr=False)
    name: str
    content_type: str
    size_bytes: int
    width: int | None = None
    height: int | None = None

    def read(self) -> bytes:
        """The bytes. Blocks while it reads a file: call it in a thread."""
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()


class MediaProblem(ValueError):
    """Why the API would not take the file, and what to do; for `InvalidRequestError.problems`."""


def inspect(
    source: MediaSource | Media, *, content_type: str | None = None, only: str | None = None
) -> Media:
    """What `source` is; MediaProblem where the API would refuse it.

    Args:
        source: path, bytes or open binary file (read to its end). A path's head is read: blocking,
            though small; the methods of the client do it in a thread.
        content_type: what to send as Content-Type; default: found from the bytes, else the ending.
        only: "image", "video" or "audio" where nothing else will do.
    """
    if isinstance(source, Media):
        return source
    kept, name, head, size_bytes = _open(source)
    if size_bytes == 0:
        raise MediaProblem(f"{name} is empty")
    seen = sniff(head)
    kind = content_type or seen or _BY_ENDING.get(Path(name).suffix.lower())
    if kind not in UPLOADABLE or (only is not None and not kind.startswith(only + "/")):
        wanted = sorted(k for k in UPLOADABLE if only is None or k.startswith(only + "/"))
        raise MediaProblem(
            f"{name} is {'of an unknown type' if kind is None else kind}; the API takes "
            f"{', '.join(wanted)}"
        )
    if kind.startswith("image/") and seen != kind:
        raise MediaProblem(
            f"{name} can't be read as {kind}"
            + (f": its bytes are {seen}" if seen else ": it is damaged or something else")
        )
    largest = UPLOADABLE[kind][1]
    if size_bytes > largest:
        raise MediaProblem(
            f"{name} has {size_bytes / MB:.1f} MB; the API takes {largest // MB} MB of {kind}"
        )
    if not kind.startswith("image/"):
        return Media(kept, name, kind, size_bytes)
    size = image_size(head)
    if size is None:
        raise MediaProblem(f"{name} can't be read as {kind}: its size is missing or damaged")
    if min(size) < MIN_IMAGE_SIDE_PX:
        raise MediaProblem(
            f"{name} is {size[0]} x {size[1]} px; each side needs {MIN_IMAGE_SIDE_PX} px or more"
        )
    return Media(kept, name, kind, size_bytes, *size)


def is_address(source: object) -> bool:
    """Whether a path was expected and the address of something on the web was given."""
    return isinstance(source, str) and source.lower().startswith(("http://", "https://"))


def sniff(head: bytes) -> str | None:
    """The content type that the first bytes show, or None; also of types the API refuses."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[4:8] == b"ftyp":
        return {b"M4A ": "audio/mp4", b"qt  ": "video/quicktime", b"avif": "image/avif"}.get(
            head[8:12], "video/mp4"
        )
    if head[:4] == b"RIFF":
        return {b"WAVE": "audio/wav", b"WEBP": "image/webp"}.get(head[8:12])
    return None


_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf1", "audio/aac"),
    (b"\xff\xf9", "audio/aac"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
)


def image_size(head: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels of a PNG or JPEG, from its first bytes; None where unreadable."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        if len(head) < 24 or head[12:16] != b"IHDR":
            return None
        width, height = struct.unpack(">II", head[16:24])
        return width, height
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", head[at + 5 : at + 9])
            return width, height
        at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return None


def _open(source: MediaSource) -> tuple[Path | bytes, str, bytes, int]:
    """What to keep, what to call it, its head, its size in bytes."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        given = bytes(source)
        return given, "the given file", given[:_HEAD_BYTES], len(given)
    if isinstance(source, (str, os.PathLike)):
        if is_address(source):
            raise MediaProblem("is an address, not a file")
        path = Path(source)
        try:
            with path.open("rb") as file:
                return path, path.name, file.read(_HEAD_BYTES), os.fstat(file.fileno()).st_size
        except (OSError, ValueError) as exc:  # ValueError: a NUL in the path
            why = getattr(exc, "strerror", None) or exc
            raise MediaProblem(f"{path} can't be read: {why}") from None
    read = getattr(source, "read", None)
    try:
        # One byte more than the API ever takes: who knows what somebody uploaded.
        content = read(_LARGEST_BYTES + 1) if callable(read) else None
    except (OSError, ValueError) as exc:  # ValueError: it is closed
        raise MediaProblem(f"the given file can't be read: {exc}") from None
    if not isinstance(content, bytes):  # not a file at all, or one opened in text mode
        hint = ""
        if iscoroutine(content):  # of aiofiles, or FastAPI's UploadFile
            content.close()
            hint = "; give what its read() returns"
        raise MediaProblem(
            "must be a path, bytes or a file opened in binary mode, not "
            f"{type(source).__name__}{hint}"
        )
    name = getattr(source, "name", None)
    shown = Path(name).name if isinstance(name, str) else "the given file"
    return content, shown, content[:_HEAD_BYTES], len(content)

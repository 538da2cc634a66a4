"""Does the API take this file? Pure but for reading what it is asked to look at.

Request types call `inspect` when they are built, so a wrong file is refused before anything is
sent. What a file is, `sniff.py` tells; its bytes are read when they go out.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import ExitStack
from inspect import iscoroutine
from pathlib import Path
from typing import BinaryIO, Union

from attrs import field, frozen

from .sniff import NAMES, Read, image_size, is_cut, kind_of

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


@frozen
class Media:
    """A file that the API would take: where its bytes are, and what they are.

    Examples:
        >>> CreateAvatar(image="ada.jpg").image.content_type
        'image/jpeg'
    """

    source: Path | bytes = field(repr=False)
    name: str
    content_type: str
    size_bytes: int
    width: int | None = None
    height: int | None = None

    def read(self) -> bytes:
        """The bytes. Blocks while it reads a file: call it in a thread.

        Examples:
            >>> len(CreateAvatar(image="ada.jpg").image.read()) > 1000
            True
        """
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()


Files = Sequence[MediaSource | Media]
"""Files or addresses; a single one need not be in a list."""


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
    with ExitStack() as opened:
        kept, name, read, size_bytes = _open(source, opened)
        try:
            return _inspected(kept, name, read, size_bytes, content_type, only)
        except OSError as exc:
            raise MediaProblem(f"{name} can't be read: {exc.strerror or exc}") from None


def _inspected(
    kept: Path | bytes,
    name: str,
    read: Read,
    size_bytes: int,
    content_type: str | None,
    only: str | None,
) -> Media:
    if size_bytes == 0:
        raise MediaProblem(f"{name} is empty")
    seen, by_ending = kind_of(read), _BY_ENDING.get(Path(name).suffix.lower())
    if seen == "video/mp4" and by_ending == "audio/mp4":
        seen = by_ending  # no track was found that says otherwise, and its maker calls it a sound
    kind = content_type or seen or by_ending
    if kind not in UPLOADABLE or (only is not None and not kind.startswith(only + "/")):
        raise _not_taken(name, kind, only)
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
    size = image_size(read)
    if size is None:
        raise MediaProblem(f"{name} can't be read as {kind}: its size is missing or damaged")
    if min(size) < MIN_IMAGE_SIDE_PX:
        raise MediaProblem(
            f"{name} is {size[0]} x {size[1]} px; each side needs {MIN_IMAGE_SIDE_PX} px or more"
        )
    if is_cut(read, size_bytes):
        raise MediaProblem(
            f"{name} is cut: the end of the picture is missing. Copy or export it once more"
        )
    return Media(kept, name, kind, size_bytes, *size)


def _not_taken(name: str, kind: str | None, only: str | None) -> MediaProblem:
    wanted = sorted(k for k in UPLOADABLE if only is None or k.startswith(only + "/"))
    shown = "of an unknown type" if kind is None else kind
    if kind in NAMES:
        remedy = "JPEG or PNG" if not kind.startswith("video/") else "MP4"
        shown = f"{kind} ({NAMES[kind]}): save it as {remedy}"
    return MediaProblem(f"{name} is {shown}; the API takes {', '.join(wanted)}")


def is_address(source: object) -> bool:
    """Whether a path was expected and the address of something on the web was given."""
    return isinstance(source, str) and source.lower().startswith(("http://", "https://"))


def open_regular(path: Path) -> BinaryIO:
    """The file, open for reading; OSError where it is no plain one. Blocking, but never for long.

    Opening a named pipe waits for its other end, and reading a terminal for its user.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            kind = next((name for is_it, name in _NO_FILES if is_it(mode)), "no plain file")
            raise OSError(0, f"it is {kind}, not a file")
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


_NO_FILES = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def _open(source: MediaSource, opened: ExitStack) -> tuple[Path | bytes, str, Read, int]:
    """What to keep, what to call it, what reads a piece of it, its size in bytes."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        given = bytes(source)
        return given, "the given file", _reader(given), len(given)
    if isinstance(source, (str, os.PathLike)):
        if is_address(source):
            raise MediaProblem("is an address, not a file")
        path = Path(source)
        try:
            file = opened.enter_context(open_regular(path))
        except (OSError, ValueError) as exc:  # ValueError: a NUL in the path
            why = getattr(exc, "strerror", None) or exc
            raise MediaProblem(f"{path} can't be read: {why}") from None

        def read_file(at: int, count: int) -> bytes:
            file.seek(at)
            return file.read(count)

        return path, path.name, read_file, os.fstat(file.fileno()).st_size
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
    return content, shown, _reader(content), len(content)


def _reader(content: bytes) -> Read:
    return lambda at, count: content[at : at + count]

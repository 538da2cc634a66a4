"""How does a file go out? Piece by piece, read in a thread, and only as it was when checked.

`wire.py` asks for the body of a file once per attempt. What was checked is size and kind; a file
that has another size by now is refused before anything is sent. One that changes while it goes out
is never sent whole: its last piece is kept back, the attempt fails, and the next begins anew.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

from ..errors import InvalidRequestError
from ..models.media import Media, open_regular

PIECE_BYTES = 256 * 1024  # 100 MB are 400 reads; 64 KiB cost a third more CPU, 1 MiB save nothing


class FileChangedError(Exception):
    """The file is another one than when its first piece went out; ends the attempt."""


async def body_of(media: Media) -> bytes | FileBody:
    """What to send: the bytes of a small file, else pieces that are read as they go out.

    Raises:
        InvalidRequestError: the file is gone, or has another size than when it was checked.
    """
    if isinstance(media.source, bytes):
        return media.source
    body = FileBody(media.source, media.name, media.size_bytes)
    try:
        first = await asyncio.to_thread(body.read, 0)
    except (FileChangedError, OSError) as exc:
        why = str(exc)
        if isinstance(exc, OSError):
            why = f"{media.name} can't be read any more: {exc.strerror or exc}"
        raise InvalidRequestError("UploadAsset", {"file": why}) from exc
    return first if len(first) == media.size_bytes else body


class FileBody:
    """The pieces of a file, in order; iterating begins at its first byte.

    Every piece is read by opening the file again, so that an exchange which ends anywhere leaves
    no open file behind, however it ends.

    Args:
        path: the file.
        name: what to call it.
        size_bytes: what it must have.
    """

    def __init__(self, path: Path, name: str, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.problem: FileChangedError | OSError | None = None
        """Why iterating ended early; transports wrap it beyond recognition."""
        self._path = path
        self._name = name
        self._seen: tuple[int, int, int] | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Pieces of `PIECE_BYTES`."""
        for start in range(0, self.size_bytes, PIECE_BYTES):
            try:
                piece = await asyncio.to_thread(self.read, start)
            except (FileChangedError, OSError) as exc:
                self.problem = exc
                raise
            yield piece

    def read(self, start: int) -> bytes:
        """The piece that begins at `start`; blocking.

        Raises:
            FileChangedError: its size is not what was checked, or it was written to or replaced
                since the first piece was read.
        """
        with open_regular(self._path) as file:
            file.seek(start)
            piece = file.read(PIECE_BYTES)
            now = os.fstat(file.fileno())
        seen = (now.st_ino, now.st_mtime_ns, now.st_size)
        if start == 0:
            self._seen = seen
        if now.st_size != self.size_bytes:
            raise FileChangedError(
                f"{self._name} had {self.size_bytes} bytes when it was checked, now {now.st_size}"
            )
        if seen != self._seen or len(piece) != min(PIECE_BYTES, self.size_bytes - start):
            raise FileChangedError(f"{self._name} was written to or replaced while it went out")
        return piece

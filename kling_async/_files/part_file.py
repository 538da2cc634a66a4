"""Where do a download's bytes lie until it is whole? In a file of their own beside the target.

Everything here blocks: `fetching.py` calls it in threads. The target's own name shows only the
whole file: it is synced first, then moved into place.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import BinaryIO

HEAD_BYTES = 512  # as many as `sniff` and a look for text need


class PartFile:
    """The bytes so far: `.NAME.RANDOM.part`.

    Two downloads to one target have a part each, and the later one to end wins. A process that is
    killed leaves its part behind; nothing reads it again, so it may be deleted.

    Args:
        directory: where the target will be.
        name: the target's, or what is known of it.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self.path = directory / f".{name[:80]}.{secrets.token_hex(4)}.part"
        self.size_bytes = 0
        self._opened: BinaryIO | None = None

    def create(self) -> None:
        """Make the file; from now on, `discard` must be called in the end."""
        # Not tempfile's: its files are for their owner only, and so would be the target.
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
        self._opened = os.fdopen(handle, "r+b", buffering=0)

    def write(self, pieces: Sequence[bytes]) -> None:
        """Add the pieces at the end."""
        content = memoryview(b"".join(pieces))
        while content:  # an unbuffered write may take a part of it
            taken = self._file.write(content)
            self.size_bytes += taken
            content = content[taken:]

    def restart(self) -> None:
        """Forget all bytes."""
        self._file.seek(0)
        self._file.truncate()
        self.size_bytes = 0

    def head(self) -> bytes:
        """The first bytes."""
        self._file.seek(0)
        head = self._file.read(HEAD_BYTES)
        self._file.seek(0, os.SEEK_END)
        return head

    def place(self, target: Path, *, replace: bool) -> Path:
        """Sync, then give it the name `target`; the path it has now.

        Args:
            target: in the same directory.
            replace: an existing file of that name goes; else this one is called `NAME-2.mp4`,
                `NAME-3.mp4` and so on.
        """
        os.fsync(self._file.fileno())
        self._file.close()  # Windows moves no open files
        if replace:
            self.path.replace(target)
        else:
            target = self._placed_beside(target)
        _sync_directory(target.parent)
        return target

    def discard(self) -> None:
        """Remove what is left of it: all, unless it has been placed."""
        if self._opened is not None:
            self._opened.close()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()

    @property
    def _file(self) -> BinaryIO:
        assert self._opened is not None  # create() was called
        return self._opened

    def _placed_beside(self, target: Path) -> Path:
        for number in count(1):
            free = target if number == 1 else target.with_name(_numbered(target, number))
            try:
                os.link(self.path, free)  # unlike a rename, it fails where the name is taken
            except FileExistsError:
                continue
            except OSError:  # a file system without hard links: the check has a gap there
                if free.exists():
                    continue
                self.path.replace(free)
            return free
        raise AssertionError("count() has no end")  # pragma: no cover


def _numbered(target: Path, number: int) -> str:
    return f"{target.stem}-{number}{target.suffix}"


def _sync_directory(directory: Path) -> None:
    """Make the new name survive a power cut, where the system can."""
    with contextlib.suppress(OSError):  # Windows opens no directories
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


_BINARY = getattr(os, "O_BINARY", 0)  # Windows would translate line ends

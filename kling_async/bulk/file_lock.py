"""Which process owns a ledger? The one that holds a lock on the file itself, whatever its names.

The lock is the system's and belongs to the open file: to its device and inode, not to a name. It
dies with its process, however that dies, and a stopped process keeps it. SQLite locks bytes of the
same file by itself and forgets its locks when any other handle of the process on the file is
closed, so this lock is of a kind of its own and far away from SQLite's bytes:

- Linux: an "open file description" lock on one byte. On a network file system it is the server's.
- Windows: a lock on one byte.
- elsewhere (where such locks and SQLite's would meet): a lock on a file named after device and
  inode, in the folder for temporary files.

Within a process a table says which files are held, so that a second opening never makes a handle
whose closing would take SQLite's own locks away.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
import tempfile
from pathlib import Path

LOCKED_BYTE = 1 << 40
"""Far behind the end of any ledger and behind the bytes that SQLite locks (from 1 << 30)."""
_held: set[tuple[int, int]] = set()


class FileLock:
    """A lock that is held until `release`; `acquire` makes one."""

    def __init__(self, fd: int, beside: int | None, identity: tuple[int, int]) -> None:
        self.fd = fd
        """The locked file, open for reading and writing. Close it by `release` only."""
        self.identity = identity
        """Device and inode."""
        self._beside = beside

    def release(self) -> None:
        """Free the file for others. Close SQLite's connections before."""
        for fd in (self.fd, self._beside):
            if fd is not None:
                os.close(fd)
        _held.discard(self.identity)


class LockTakenError(Exception):
    """Another process, or another part of this one, holds the lock."""


class NoLocksError(Exception):
    """The file system has no locks."""


def acquire(path: Path) -> FileLock:
    """The lock of an existing file; it is opened for reading and writing.

    Raises:
        LockTakenError: it is held.
        NoLocksError: there are no locks here.
        OSError: the file can't be opened.
    """
    if _identity(path.stat()) in _held:
        raise LockTakenError
    fd = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        identity = _identity(os.fstat(fd))
        beside = _lock(fd, identity)
    except BaseException:
        os.close(fd)
        raise
    _held.add(identity)
    return FileLock(fd, beside, identity)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


_TAKEN = frozenset({errno.EAGAIN, errno.EACCES, errno.EDEADLK})
_WITHOUT = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})


def _lock(fd: int, identity: tuple[int, int]) -> int | None:
    """Lock the open file; a second handle that holds the lock, where there is one."""
    beside = None
    try:
        if sys.platform == "linux":
            import fcntl

            # struct flock: type, whence, start, length, and no process: the handle owns it.
            whole = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, LOCKED_BYTE, 1, 0)
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, whole)
        elif sys.platform == "win32":
            import msvcrt

            os.lseek(fd, LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            name = Path(tempfile.gettempdir(), f"kling-async-{identity[0]}-{identity[1]}.lock")
            beside = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(beside, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        if beside is not None:
            os.close(beside)
        if exc.errno in _TAKEN:
            raise LockTakenError from None
        if exc.errno in _WITHOUT:
            raise NoLocksError(str(exc)) from None
        raise
    return beside


def host_name() -> str:
    """What this machine is called."""
    return os.uname().nodename if sys.platform != "win32" else os.environ.get("COMPUTERNAME", "")


def is_alive(pid: object) -> bool:
    """Whether a process of this id lives here; where that can't be told, it does."""
    if not isinstance(pid, int) or sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True

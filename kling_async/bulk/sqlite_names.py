"""Where may a ledger be, and what do SQLite's errors mean for its user?"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import LedgerError

BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a file that is open."""
_NO_DISK = ("/dev", "/proc", "/sys")


def real_path(path: str | os.PathLike[str]) -> Path:
    """The ledger's file, its links followed; LedgerError where it would leave nothing on a disk."""
    name = os.fspath(path)
    if not isinstance(name, str):
        raise LedgerError(f"a ledger's name must be text, not {type(name).__name__}")
    if name == "" or name.startswith((":memory:", "file:")) or "\0" in name:
        raise LedgerError(
            f"{name!r} is not the name of a file: the ledger would be gone with this process, and "
            f"the next run would make everything again. Name a file on a disk"
        )
    try:
        real = Path(os.path.realpath(name))
    except UnicodeEncodeError:
        raise LedgerError(f"{name!r} is no name that a file can have; name another one") from None
    in_memory = any(real.is_relative_to(folder) for folder in _NO_DISK)
    if in_memory and not real.is_relative_to("/dev/shm"):
        raise LedgerError(f"{name} is no place for a ledger: nothing stays there. Name a file")
    if name.endswith(("/", os.sep)) or real.is_dir():
        raise LedgerError(f"{name} is a folder; name a file in it")
    if name.endswith(BESIDE):
        raise LedgerError(f"{name} belongs to another file, whose ledger it completes; name that")
    try:
        mode = real.stat().st_mode
    except FileNotFoundError:
        return real
    except OSError as exc:
        raise LedgerError(f"{name}: no ledger can be made or read there ({exc})") from None
    if not stat.S_ISREG(mode):
        raise LedgerError(f"{name} is not a regular file; a ledger has to stay on a disk")
    return real


def traces(path: Path) -> list[Path]:
    """What SQLite left beside a ledger that is, or was, here."""
    return [one for end in BESIDE if (one := path.with_name(path.name + end)).exists()]


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """SQLite's and the system's errors as ours, with what to do."""
    try:
        yield
    except (sqlite3.Error, OSError) as exc:
        raise _explanation(path, exc) from exc
    except UnicodeDecodeError as exc:  # SQLite's text of an error names what the file has broken
        raise _explanation(path, sqlite3.DatabaseError(f"malformed: {exc}")) from exc


def _explanation(path: Path, error: sqlite3.Error | OSError) -> LedgerError:
    """An error of SQLite's or the system's as ours, with what to do."""
    text = str(error)
    if isinstance(error, OSError):
        return LedgerError(f"the ledger {path} can't be used ({text})")
    if "not a database" in text or "no such" in text:
        remedy = "it is not a ledger of kling-async; name another file"
    elif "full" in text or "I/O" in text:
        remedy = "free some space and run it again; nothing was sent that is not recorded"
    elif "malformed" in text:
        remedy = "put back a copy of it; nothing was sent that is not recorded there"
    else:
        remedy = "run it again when that is mended; nothing was sent that is not recorded"
    return LedgerError(f"the ledger {path} can't be used ({text}): {remedy}")

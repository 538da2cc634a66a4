"""How is a ledger's file owned, watched and closed by a running job? SQLite's side of it.

The file is the ledger, not its name. While a job runs, the newest rows are in a second file beside
it (`NAME-wal`); they are brought into the first within seconds, and a clean end leaves that alone.
A mark in the file's head says that a job has it open, so that a file which was moved or copied
without its newest rows is known for that.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

from attrs import frozen

from ..errors import LedgerError
from . import sql
from .file_lock import (
    FileLock,
    LockTakenError,
    NoLocksError,
    acquire,
    host_name,
    is_alive,
)
from .sqlite_copy import IN_USE, check_layout, check_size, fact, make, open_as_it_lies
from .sqlite_names import explained, traces

_HEAD_BYTES = 100
_MAGIC = b"SQLite format 3\x00"


class OwnedFile:
    """A ledger's file that this process has alone, and watches; `own` makes one."""

    def __init__(self, path: Path, lock: FileLock | None, db: sqlite3.Connection) -> None:
        self.path = path
        self.db = db
        self._lock = lock
        self._beside = path.with_name(path.name + "-wal")
        self._main, self._wal = _Seen.of(path), _Seen.of(self._beside)
        self._lost: str | None = None

    def check(self) -> None:
        """LedgerError where the file is not what it was: gone, replaced, cut, or without its wal.

        What is written from then on may never be read again.
        """
        if self._lost is None:
            self._lost = self._difference()
        if self._lost is not None:
            raise LedgerError(
                f"the ledger {self.path} {self._lost} while the job was running. Nothing more is "
                f"sent, as it would not be remembered: put the ledger back and run it again"
            )

    def checkpoint(self) -> None:
        """Bring what was committed into the file itself."""
        self.check()
        self.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def close(self) -> None:
        """Close it, whole and alone; what can't be brought into the file stays beside it."""
        try:
            if self._lost is None:
                self._lost = self._difference()
            if self._lost in (None, _MOVED):  # where it was moved, it is whole at its new place
                with contextlib.suppress(sqlite3.Error):
                    self._finish()
            elif sys.version_info >= (3, 12):
                self.db.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
        finally:
            self.db.close()
            if self._lock is not None:
                self._lock.release()

    def _finish(self) -> None:
        self.db.execute("PRAGMA busy_timeout = 200")
        self.db.execute(sql.DROP_FACT, {"name": "owner"})
        self.db.execute("PRAGMA user_version = 0")
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        self.db.execute("PRAGMA journal_mode = DELETE").fetchone()  # busy while others look

    def _difference(self) -> str | None:
        before = self._main, self._wal
        try:
            self._main = _Seen.of(self.path)
        except FileNotFoundError:
            return _MOVED
        except OSError as exc:
            return f"can't be reached any more ({exc})"
        try:
            self._wal = _Seen.of(self._beside)
        except OSError:
            return _WAL_GONE
        if self._main.identity != before[0].identity:
            return "was replaced by another file"
        if self._wal.identity != before[1].identity:
            return _WAL_GONE
        if self._main.size < before[0].size or self._wal.size < before[1].size:
            return "was cut"
        return None


@frozen
class _Seen:
    """What a file was when it was last looked at."""

    identity: tuple[int, int]
    size: int

    @classmethod
    def of(cls, path: Path) -> _Seen:
        """LedgerError is for the caller: this raises what the system says."""
        status = os.stat(path)  # noqa: PTH116 - the hot path: a third of `Path.stat`
        return cls((status.st_dev, status.st_ino), status.st_size)


_MOVED = "was removed or moved"
_WAL_GONE = "lost the file with its newest rows (-wal)"


def own(path: Path, service: str, now_s: float, *, despite_loss: bool) -> OwnedFile:
    """The ledger at `path`, made where there is none, for this process alone.

    Raises:
        LedgerError: it is in use, is no ledger of this layout and service, or rows are missing.
    """
    with explained(path):
        if not path.exists():
            _make_first(path, service, now_s)
        try:
            lock: FileLock | None = acquire(path)
        except LockTakenError:
            raise _in_use(path, _owner(path)) from None
        except NoLocksError:
            lock = None
            _check_owner(path)
        try:
            return _opened(path, lock, service, now_s, despite_loss=despite_loss)
        except BaseException:
            if lock is not None:
                lock.release()
            raise


def _make_first(path: Path, service: str, now_s: float) -> None:
    if left := traces(path):
        raise LedgerError(
            f"there is no ledger at {path}, but {left[0].name} lies beside it: a ledger was there, "
            f"and its newest rows are in that file. Put the ledger back beside it; or, if it is to "
            f"be forgotten, remove {', '.join(one.name for one in left)}"
        )
    with contextlib.suppress(FileExistsError):  # another process was quicker: it has the lock
        make(path, service, now_s)


def _opened(
    path: Path, lock: FileLock | None, service: str, now_s: float, *, despite_loss: bool
) -> OwnedFile:
    """Look at the file before SQLite touches it, then open it."""
    status = path.stat()
    if lock is not None and (status.st_dev, status.st_ino) != lock.identity:
        raise LedgerError(f"{path} was replaced while it was being opened; run it again")
    in_use = _check_head(path, None if lock is None else lock.fd)
    if (names := _names(path)) > 1:
        raise LedgerError(
            f"{path} has {names} names (hard links), and its newest rows are kept beside "
            f"one of them: under another name they would be missed, and sent again. Remove the "
            f"other names, or copy the ledger and use the copy"
        )
    wal = path.with_name(path.name + "-wal")
    loss = in_use and not (wal.exists() and wal.stat().st_size)
    if loss and not despite_loss:
        raise LedgerError(
            f"{path} was not closed by its last run, and {wal.name}, with its newest rows, is not "
            f"beside it: it was moved or copied without it, and rows that were sent would be sent "
            f"again. Put {wal.name} back beside it, or use the ledger where it was; only if you "
            f"know that nothing is missing, go on with `bulk run --despite-loss`"
        )
    db = sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, timeout=30, isolation_level=None,
        check_same_thread=False,
    )  # fmt: skip
    try:
        check_layout(db, path)
        if (recorded := fact(db, "service")) != service:
            raise LedgerError(
                f"{path} belongs to a run against {recorded}, and this one goes to {service}: its "
                f"rows would look done where nothing was made. Use another ledger"
            )
        _begin(db, now_s, loss=loss)
        return OwnedFile(path, lock, db)
    except BaseException:
        db.close()
        raise


def _begin(db: sqlite3.Connection, now_s: float, *, loss: bool) -> None:
    """From now on it is in use: so says its head, also where the wal is not beside it."""
    (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise LedgerError("a ledger can't be kept on this file system; use one of a local disk")
    # In WAL mode only FULL syncs every commit; without it a power cut forgets intents.
    db.execute("PRAGMA synchronous = FULL")
    owner = {"host": host_name(), "pid": os.getpid(), "since": now_s}
    db.execute("BEGIN IMMEDIATE")
    db.execute(f"PRAGMA user_version = {IN_USE}")
    db.execute(sql.SET_FACT, {"name": "owner", "value": json.dumps(owner)})
    if loss:
        db.execute(sql.SET_FACT, {"name": "opened_despite_loss_at", "value": str(now_s)})
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


def _names(path: Path) -> int:
    """How many names the file has; while it is being made, it has two for a moment."""
    for _ in range(20):
        if path.stat().st_nlink <= 1:
            break
        time.sleep(0.01)
    return path.stat().st_nlink


def _check_head(path: Path, fd: int | None) -> bool:
    """Whether the ledger was not closed; LedgerError where it is none, or was cut to nothing.

    Read from the disk, before SQLite looks, and through the lock's own handle: the closing of
    another one would take away the locks that SQLite has on the file in this process.
    """
    check_size(path)
    if fd is None or sys.platform == "win32":
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    else:
        head = os.pread(fd, _HEAD_BYTES, 0)
    if not head.startswith(_MAGIC):
        raise LedgerError(f"{path} is not a ledger of kling-async; name another file")
    return int.from_bytes(head[60:64], "big") == IN_USE


# --- who has it ---


def _owner(path: Path) -> dict[str, object]:
    """What the ledger says of the process that has it open; empty where it can't be read."""
    try:
        with closing(open_as_it_lies(path)) as db:
            found: object = json.loads(fact(db, "owner") or "{}")
    except (sqlite3.Error, ValueError, TypeError, RecursionError, OSError):
        return {}
    return found if isinstance(found, dict) and {"pid", "host"} <= found.keys() else {}


def _in_use(path: Path, owner: dict[str, object]) -> LedgerError:
    who = f"process {owner['pid']} on {owner['host']}" if owner else "another process"
    return LedgerError(
        f"{path} is in use by {who}; wait for it to end, or stop it. Two runs on one ledger would "
        f"make everything twice"
    )


def _check_owner(path: Path) -> None:
    """Where the file system has no locks, the ledger's own word must do."""
    owner = _owner(path)
    if (
        _check_head(path, None)
        and owner
        and not (owner.get("host") == host_name() and not is_alive(owner.get("pid")))
    ):
        raise _in_use(path, owner)

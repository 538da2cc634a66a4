"""How is a ledger's file named, made, owned, watched, closed and copied? SQLite's side of it.

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
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from attrs import frozen

from ..errors import LedgerError
from . import sql
from .file_lock import FileLock, LockTakenError, NoLocksError, acquire

BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a file that is open."""
IN_USE = 1
"""The head's mark (`user_version`) while a job has the ledger open; 0 after a clean end."""
_HEAD_BYTES = 100
_MAGIC = b"SQLite format 3\x00"
_NO_DISK = ("/dev", "/proc", "/sys")


# --- names ---


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
    real = Path(os.path.realpath(name))
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


# --- errors ---


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """SQLite's and the system's errors as ours, with what to do."""
    try:
        yield
    except sqlite3.DatabaseError as exc:
        text = str(exc)
        if "not a database" in text or "no such table" in text:
            remedy = "it is not a ledger of kling-async; name another file"
        elif "full" in text or "I/O" in text:
            remedy = "free some space and run it again; nothing was sent that is not recorded"
        elif "malformed" in text:
            remedy = "put back a copy of it; nothing was sent that is not recorded there"
        else:
            remedy = "run it again when that is mended; nothing was sent that is not recorded"
        raise LedgerError(f"the ledger {path} can't be used ({text}): {remedy}") from exc
    except OSError as exc:
        raise LedgerError(f"the ledger {path} can't be used ({exc})") from exc


# --- making one ---


def make(path: Path, service: str, now_s: float) -> None:
    """Make a ledger under a name of its own, and put it whole where it belongs.

    So there is never a file without its tables; FileExistsError where somebody was quicker.
    """
    facts = {"layout": sql.LAYOUT, "service": service, "born_at": str(now_s)}
    with _new_file(path) as unfinished, closing(sqlite3.connect(unfinished)) as db:
        db.execute("PRAGMA synchronous = FULL")
        with db:
            db.execute("BEGIN")
            for statement in sql.TABLES.replace("{keyed}", " WITHOUT ROWID").split(";\n"):
                db.execute(statement)
            for name, value in facts.items():
                db.execute(sql.SET_FACT, {"name": name, "value": value})


@contextmanager
def _new_file(path: Path) -> Iterator[Path]:
    """A name beside `path`; what is written there becomes `path`, or is gone."""
    fd, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".new", dir=path.parent)
    os.close(fd)
    unfinished = Path(name)
    try:
        yield unfinished
        _sync(unfinished)
        _put(unfinished, path)
        _sync(path.parent)
    finally:
        for one in (unfinished, *traces(unfinished)):
            one.unlink(missing_ok=True)


def _put(unfinished: Path, path: Path) -> None:
    """Give a finished file its name; FileExistsError where there is one of that name."""
    try:
        os.link(unfinished, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if path.exists():
            raise FileExistsError(path) from None
        unfinished.rename(path)


def _sync(path: Path) -> None:
    if path.is_dir() and sys.platform == "win32":
        return  # a folder can't be opened there
    fd = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


# --- owning one ---


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
    if in_use and not despite_loss and not (wal.exists() and wal.stat().st_size):
        raise LedgerError(
            f"{path} was not closed by its last run, and {wal.name}, with its newest rows, is not "
            f"beside it: it was moved or copied without it, and rows that were sent would be sent "
            f"again. Put {wal.name} back beside it, or use the ledger where it was; only if you "
            f"know that nothing is missing, open it despite the loss"
        )
    db = sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, timeout=30, isolation_level=None,
        check_same_thread=False,
    )  # fmt: skip
    try:
        check_layout(db, path)
        if (recorded := _fact(db, "service")) != service:
            raise LedgerError(
                f"{path} belongs to a run against {recorded}, and this one goes to {service}: its "
                f"rows would look done where nothing was made. Use another ledger"
            )
        _begin(db, now_s)
        return OwnedFile(path, lock, db)
    except BaseException:
        db.close()
        raise


def _begin(db: sqlite3.Connection, now_s: float) -> None:
    """From now on it is in use: so says its head, also where the wal is not beside it."""
    (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise LedgerError("a ledger can't be kept on this file system; use one of a local disk")
    # In WAL mode only FULL syncs every commit; without it a power cut forgets intents.
    db.execute("PRAGMA synchronous = FULL")
    owner = {"host": _host(), "pid": os.getpid(), "since": now_s}
    db.execute("BEGIN IMMEDIATE")
    db.execute(f"PRAGMA user_version = {IN_USE}")
    db.execute(sql.SET_FACT, {"name": "owner", "value": json.dumps(owner)})
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


def check_size(path: Path) -> None:
    """LedgerError where the file is empty: SQLite would take it for an empty database."""
    if path.stat().st_size == 0:
        raise LedgerError(
            f"{path} is empty: it was most likely cut, and what it remembered is gone. Put back a "
            f"copy of it; or, if there never was a ledger, remove it and run again"
        )


def check_layout(db: sqlite3.Connection, path: Path) -> None:
    """LedgerError where the file was written by another version, or is no ledger."""
    if db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None:
        raise LedgerError(
            f"{path} has no tables: it is not the ledger it was. Put back a copy of it; or, if "
            f"there never was a ledger, remove it and run again"
        )
    if (found := _fact(db, "layout")) != sql.LAYOUT:
        raise LedgerError(
            f"{path} was written by another version of kling-async (layout {found}, this one reads "
            f"{sql.LAYOUT}); finish it with that version, or use another ledger"
        )


def _fact(db: sqlite3.Connection, name: str) -> str | None:
    found = db.execute(sql.FACT, {"name": name}).fetchone()
    return None if found is None else found[0]


# --- who has it ---


def _host() -> str:
    return os.uname().nodename if sys.platform != "win32" else os.environ.get("COMPUTERNAME", "")


def _owner(path: Path) -> dict[str, object]:
    """What the ledger says of the process that has it open; empty where it can't be read."""
    try:
        with closing(open_to_read(path)) as db:
            found: dict[str, object] = json.loads(_fact(db, "owner") or "{}")
            return found
    except (sqlite3.Error, ValueError, OSError):
        return {}


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
        and not (owner.get("host") == _host() and not _is_alive(owner.get("pid")))
    ):
        raise _in_use(path, owner)


def _is_alive(pid: object) -> bool:
    if not isinstance(pid, int) or sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


# --- looking ---


def open_to_read(path: Path) -> sqlite3.Connection:
    """A connection that only reads; works without the right to write, the folder's included."""
    uri = path.as_uri()

    def connected(how: str) -> sqlite3.Connection:
        db = sqlite3.connect(
            f"{uri}?{how}", uri=True, timeout=30, isolation_level=None, check_same_thread=False
        )
        try:
            db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        except BaseException:
            db.close()
            raise
        return db

    try:
        return connected("mode=ro")
    except sqlite3.OperationalError:
        if traces(path):
            raise
        return connected("mode=ro&immutable=1")  # nobody writes it, and nobody can from here


def look(path: Path) -> sqlite3.Connection:
    """The ledger at `path`, to look at while others may write; LedgerError where there is none."""
    if not path.exists():
        raise LedgerError(f"there is no ledger at {path}; `bulk run` makes one")
    with explained(path):
        check_size(path)
        db = open_to_read(path)
        try:
            check_layout(db, path)
        except BaseException:
            db.close()
            raise
    return db


# --- copying ---


def copy(source: Path, target: Path) -> None:
    """Copy a ledger into one new file, whole or not at all; also while a job writes it."""
    if target.exists() or traces(target):
        raise LedgerError(f"there is something at {target} already; name a new file")
    with explained(target), closing(look(source)) as db:
        try:
            with _new_file(target) as unfinished, closing(sqlite3.connect(unfinished)) as new:
                db.backup(new)
                new.execute("PRAGMA journal_mode = DELETE").fetchone()
                new.execute("PRAGMA synchronous = FULL")
                with new:
                    new.execute("BEGIN")
                    new.execute("PRAGMA user_version = 0")
                    fact = {"name": "copied_at", "value": str(time.time())}
                    new.execute(sql.SET_FACT, fact)
                    new.execute(sql.DROP_FACT, {"name": "owner"})
        except FileExistsError:
            raise LedgerError(f"there is something at {target} already; name a new file") from None

"""How is a ledger's file made, looked at and copied? Whole, or not at all."""

from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from .._files.beside import put_new
from ..errors import LedgerError
from . import sql
from .sqlite_names import explained, traces

IN_USE = 1
"""The mark in the file's head (`user_version`) while a job has the ledger open; 0 after a clean
end."""

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
        put_new(unfinished, path)
        _sync(path.parent)
    finally:
        for one in (unfinished, *traces(unfinished)):
            one.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    if path.is_dir() and sys.platform == "win32":
        return  # a folder can't be opened there
    fd = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


# --- looking ---


def open_to_read(path: Path) -> sqlite3.Connection:
    """A connection that only reads; works without the right to write, the folder's included."""
    with closing(open_as_it_lies(path)) as db:
        in_use = db.execute("PRAGMA user_version").fetchone() == (IN_USE,)
    if in_use and not path.with_name(path.name + "-wal").exists():
        # Moved, or under a second name: SQLite would begin another wal beside this one.
        return open_as_it_lies(path)
    try:
        return _connected(path, "mode=ro")
    except sqlite3.OperationalError:
        if traces(path):
            raise
        return open_as_it_lies(path)  # nobody writes it, and nobody can from here


def open_as_it_lies(path: Path) -> sqlite3.Connection:
    """A connection to the file alone, whatever lies beside it; makes and locks nothing."""
    return _connected(path, "mode=ro&immutable=1")


def _connected(path: Path, how: str) -> sqlite3.Connection:
    db = sqlite3.connect(
        f"{path.as_uri()}?{how}",
        uri=True,
        timeout=30,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except BaseException:
        db.close()
        raise
    return db


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
    foreign = "SELECT name FROM sqlite_master WHERE type IN ('view', 'trigger') LIMIT 1"
    if (name := db.execute(foreign).fetchone()) is not None:
        raise LedgerError(
            f"{path} is no ledger of kling-async: it has a view or a trigger, {name[0]!r}, which "
            f"could change what is read and written. Remove that, or name another file"
        )
    if (found := fact(db, "layout")) != sql.LAYOUT:
        raise LedgerError(
            f"{path} was written by another version of kling-async (layout {found}, this one reads "
            f"{sql.LAYOUT}); finish it with that version, or use another ledger"
        )


def fact(db: sqlite3.Connection, name: str) -> str | None:
    """What the ledger remembers of itself."""
    found = db.execute(sql.FACT, {"name": name}).fetchone()
    return None if found is None else found[0]


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

"""How is a ledger's file opened, locked and read for its errors? SQLite's side of `ledger.py`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ..errors import LedgerError

LAYOUT = "2"
READABLE = ("1", LAYOUT)
"""Layouts that can be looked at as they are; opened for a run, an older one is brought up."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (
    id        INTEGER PRIMARY KEY,
    key       TEXT NOT NULL UNIQUE,
    position  INTEGER NOT NULL,
    digest    TEXT NOT NULL,
    payload   TEXT NOT NULL,
    columns   TEXT NOT NULL,
    state     TEXT NOT NULL,
    account   TEXT,
    asset_url TEXT,
    token     TEXT,
    token_kind TEXT,
    attempts  INTEGER NOT NULL DEFAULT 0,
    intent_at REAL,
    doubt_at  REAL,
    avatar_id TEXT,
    evidence  TEXT,
    candidates TEXT,
    error     TEXT,
    changed_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS history (
    row_id INTEGER NOT NULL, at REAL NOT NULL, event TEXT NOT NULL
);
-- What each account listed before the first create of this ledger.
CREATE TABLE IF NOT EXISTS listed_before (
    account TEXT NOT NULL, avatar_id TEXT NOT NULL, path TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS listed_before_by_account ON listed_before (account);
CREATE INDEX IF NOT EXISTS rows_by_token ON rows (token) WHERE token IS NOT NULL;
CREATE INDEX IF NOT EXISTS rows_by_state ON rows (state, id);
-- One avatar belongs to one row, whatever goes wrong above; one that was given may serve several.
CREATE UNIQUE INDEX IF NOT EXISTS one_row_per_made_avatar
    ON rows (coalesce(account, ''), avatar_id)
    WHERE avatar_id IS NOT NULL AND evidence IS NOT 'given';
CREATE TABLE IF NOT EXISTS videos (
    row_id    INTEGER PRIMARY KEY,
    digest    TEXT NOT NULL,
    payload   TEXT NOT NULL,
    state     TEXT NOT NULL,
    queued    TEXT,  -- the account whose turn it waits for in this run
    turn      INTEGER,
    audio_url TEXT,
    token     TEXT,
    token_kind TEXT,
    reply_ref TEXT UNIQUE,
    attempts  INTEGER NOT NULL DEFAULT 0,
    intent_at REAL,
    doubt_at  REAL,
    task_id   INTEGER,
    work_id   INTEGER,
    work_url  TEXT,
    file_name TEXT NOT NULL,
    name_key  TEXT NOT NULL UNIQUE,
    file      TEXT,
    size_bytes INTEGER,
    evidence  TEXT,
    candidates TEXT,
    error     TEXT,
    changed_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS videos_by_token ON videos (token) WHERE token IS NOT NULL;
CREATE INDEX IF NOT EXISTS videos_by_state ON videos (state, row_id);
CREATE INDEX IF NOT EXISTS videos_queued ON videos (queued, turn, row_id) WHERE queued IS NOT NULL;
-- Every job that a row ever began: one job belongs to one row, also when the row begins another.
CREATE TABLE IF NOT EXISTS tasks (
    account TEXT NOT NULL, task_id INTEGER NOT NULL, row_id INTEGER NOT NULL,
    PRIMARY KEY (account, task_id)
) WITHOUT ROWID;
"""

FROM_LAYOUT_1 = """
DROP INDEX IF EXISTS one_row_per_avatar;
UPDATE facts SET value = '2' WHERE name = 'layout'
"""
"""What brings a ledger of layout 1 up, before `SCHEMA` adds what is new."""


def own(path: Path) -> sqlite3.Connection:
    """Hold the ledger's lock: an open exclusive transaction on the file beside it.

    A lock of the system's rather than a time-out: no clock, and it dies with its process.
    """
    beside = path.with_name(path.name + "-owner")
    try:
        lock = sqlite3.connect(beside, timeout=0, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as exc:
        raise LedgerError(f"{path}: no ledger can be made there ({exc})") from None
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as exc:
        lock.close()
        if "locked" not in str(exc):
            raise LedgerError(f"{path}: no ledger can be made there ({exc})") from None
        raise LedgerError(
            f"{path} is in use by another process; wait for it to end, or stop it. Two runs on "
            f"one ledger would make avatars twice"
        ) from None
    return lock


def connect(path: Path) -> sqlite3.Connection:
    """An open connection; its errors are for `explained`."""
    try:
        return sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as exc:
        raise LedgerError(f"{path} can't be opened: {exc}") from None


def is_begun(path: Path) -> bool:
    """Whether there is a ledger; a process may die between making the file and its tables."""
    if not path.is_file():
        return False
    with explained(path), closing(connect(path)) as db:
        return has_tables(db)


def has_tables(db: sqlite3.Connection) -> bool:
    """Whether anything was ever made in this file."""
    return db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """SQLite's errors as ours, with what to do."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.DatabaseError as exc:
        text = str(exc)
        if "not a database" in text or "no such table" in text:
            remedy = "it is not a ledger of kling-async; name another file with --ledger"
        elif "full" in text or "I/O" in text:
            remedy = "free some space and run it again; nothing was sent that is not recorded"
        else:
            remedy = "run it again when that is mended; nothing was sent that is not recorded"
        raise LedgerError(f"the ledger {path} can't be used ({text}): {remedy}") from exc

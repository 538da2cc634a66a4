"""Whatever is in a ledger's file: it is shown, or a `KlingError` says why not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from films import speaking
from fuzzing import ODD_JSON, TOKEN, came_to, examples
from hypothesis import given
from hypothesis import strategies as st
from jobs import JumpClock

from kling_async import AsyncKlingClient, KlingError
from kling_async.bulk.export import FORMS
from kling_async.bulk.machine import STATES
from kling_async.cli.app import cli
from kling_async.emulator import Emulator

SEEDS = st.integers(0, 2**32)
ENDINGS = sorted([*FORMS, ".xlsx"])
VALUES = st.one_of(
    st.sampled_from([
        None, "", "x", -1, 0, 3, 10**18, -1.5, 1e300, float("inf"), b"", b"\xff\xfe", "9" * 5000,
        "[]", "{}", "null", '{"image": 5}', '["x"]', "[1]", '{"a": {}}', '"x"', "[" * 100_000,
        "\0", "/dev/zero", "..", "avatars.create", "videos.text2video", "task", "avatar", *STATES,
    ]),
    ODD_JSON.map(json.dumps), st.text(max_size=8), st.integers(-(2**63), 2**63 - 1), st.floats(),
)  # fmt: skip
FOREIGN = [
    "DROP TABLE {table}", "ALTER TABLE {table} RENAME TO other", "DELETE FROM {table}",
    "ALTER TABLE {table} RENAME COLUMN {column} TO other",
    "ALTER TABLE {table} RENAME TO other; CREATE VIEW {table} AS SELECT * FROM other",
    "ALTER TABLE {table} RENAME TO other; CREATE TABLE {table} AS SELECT * FROM other",
    "ALTER TABLE {table} RENAME TO other; CREATE VIEW {table} AS WITH RECURSIVE c(id) AS "
    "(SELECT 1 UNION ALL SELECT id + 1 FROM c) SELECT other.* FROM other, c",
    "CREATE TRIGGER t AFTER UPDATE ON {table} BEGIN DELETE FROM facts; END",
    "CREATE TRIGGER t BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END",
    "CREATE UNIQUE INDEX u ON {table} (length({column}))",
    "UPDATE facts SET value = '2' WHERE name = 'layout'", "PRAGMA user_version = 1",
    "PRAGMA user_version = 99", "PRAGMA application_id = 5", "CREATE TABLE more (x)",
    "DROP INDEX steps_by_state", "PRAGMA encoding = 'UTF-16'; VACUUM", "PRAGMA journal_mode = WAL",
]  # fmt: skip


async def gone_on_with(ledger: Path, folder: Path) -> list[Any]:
    """A run over the ledger to its end, against an emulator of its own."""
    emulator = Emulator()
    kling = AsyncKlingClient(
        TOKEN, base_url="http://127.0.0.1/v1/kling", transport=emulator.transport(),
        rate_limit=None, accounts=[one.email for one in emulator.accounts],
        clock=JumpClock(emulator),
    )  # fmt: skip
    async with kling, asyncio.timeout(60):  # it hangs; no bound on speed
        run = kling.avatars.create_many(
            speaking(10), ledger=ledger, videos=folder, retry_failed=True
        )
        async with aclosing(run) as found:
            return [one async for one in found]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with steps in each state."""
    folder = tmp_path_factory.mktemp("ledger")
    path = folder / "sound.sqlite"
    assert {one.state for one in asyncio.run(gone_on_with(path, folder))} == {"created"}
    with closing(sqlite3.connect(path)) as db, db:
        for number, state in enumerate(STATES, 1):
            change = "UPDATE steps SET state = ? WHERE row_id = ? AND number = 2"
            db.execute(change, (state, number))
    return path


@contextlib.contextmanager
def copied(sound: Path, folder: Path) -> Iterator[Path]:
    place = folder / "one"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    path = place / "jobs.sqlite"
    shutil.copy(sound, path)
    yield path


def looked_at(ledger: Path, way: str) -> None:
    """Look at it in one of the ways there are, or go on with it: a `KlingError` at most."""
    if way == "run":
        try:
            came_to(asyncio.run(gone_on_with(ledger, ledger.parent / "videos")))
        except KlingError as error:
            came_to(error)
        return
    out = ledger.parent / f"out{way if way in ENDINGS else '.html'}"
    words = {
        "status": ["status", ledger], "json": ["status", ledger, "--json"],
        "history": ["history", ledger, "k3"],
        "failed": ["status", ledger, "--state", "failed", "--all"],
        "report": ["report", ledger, "--to", out], "settle": ["settle", ledger],
        "copy": ["copy", ledger, ledger.with_name("copy.sqlite")],
    }.get(way, ["export", ledger, "--to", out])  # fmt: skip
    result = CliRunner().invoke(cli, ["bulk", *map(str, words)], env={"USEAPI_TOKEN": TOKEN})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert "Traceback" not in result.output
    came_to(result.exception or result)


WAYS = [
    "run",
    "run",
    "run",
    "history",
    "status",
    "json",
    "failed",
    "report",
    "copy",
    "settle",
    *ENDINGS,
]


@given(seed=SEEDS, way=st.sampled_from(WAYS))
@examples(5)
def test_damaged_pages(sound: Path, tmp_path: Path, seed: int, way: str) -> None:
    rng = random.Random(seed)
    with copied(sound, tmp_path) as path:
        content = bytearray(path.read_bytes())
        pages = len(content) // 4096
        for _ in range(rng.choice([1, 1, 3, 20])):
            start = rng.randrange(pages) * 4096
            match rng.randrange(6):
                case 0:
                    del content[rng.randrange(len(content) + 1) :]
                case 1:
                    content[start : start + 4096] = bytes(4096)
                case 2:
                    other = rng.randrange(pages) * 4096
                    content[start : start + 4096] = content[other : other + 4096]
                case 3:  # the head of a page, where its cells are counted
                    at = start + rng.randrange(40)
                    content[at : at + 1] = rng.randbytes(1)
                case 4:
                    content[start : start + 4096] = rng.randbytes(4096)
                case _:
                    at = rng.randrange(len(content) + 1)
                    content[at : at + 1] = rng.randbytes(1)
        path.write_bytes(content)
        looked_at(path, way)


@given(data=st.data(), way=st.sampled_from(WAYS))
@examples(5)
def test_odd_values(sound: Path, tmp_path: Path, data: st.DataObject, way: str) -> None:
    with copied(sound, tmp_path) as path:
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA writable_schema = ON")
            tables = "UPDATE sqlite_schema SET sql = replace(sql, ' NOT NULL', '')"
            db.execute(f"{tables} WHERE type = 'table'")
            db.commit()
        with closing(sqlite3.connect(path)) as db:
            for _ in range(data.draw(st.integers(1, 3))):
                change(db, data)
            db.commit()
        looked_at(path, way)


def change(db: sqlite3.Connection, data: st.DataObject) -> None:
    tables = ["steps", "steps", "rows", "works", "facts", "claims", "history"]
    table = data.draw(st.sampled_from(tables))
    column = data.draw(st.sampled_from(columns_of(db, table)))
    value = data.draw(VALUES)
    keys = [one for (one,) in db.execute(f"SELECT {columns_of(db, table)[0]} FROM {table}")]
    which = data.draw(st.sampled_from([*keys[:20], None]))
    where = "" if which is None else f" WHERE {columns_of(db, table)[0]} = ?"
    given_values = (value,) if which is None else (value, which)
    with contextlib.suppress(sqlite3.IntegrityError, UnicodeEncodeError):
        db.execute(f"UPDATE {table} SET {column} = ?{where}", given_values)


def columns_of(db: sqlite3.Connection, table: str) -> list[str]:
    return [one[1] for one in db.execute(f"PRAGMA table_info({table})")]


@given(data=st.data(), way=st.sampled_from(WAYS))
@examples(5)
def test_foreign_tables(sound: Path, tmp_path: Path, data: st.DataObject, way: str) -> None:
    with copied(sound, tmp_path) as path:
        with closing(sqlite3.connect(path)) as db:
            found = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
            tables = [one for (one,) in found]
            table = data.draw(st.sampled_from(sorted(tables)))
            column = data.draw(st.sampled_from(columns_of(db, table)))
            statements = data.draw(st.sampled_from(FOREIGN)).format(table=table, column=column)
            with contextlib.suppress(sqlite3.OperationalError, sqlite3.IntegrityError):
                db.executescript(statements)
        looked_at(path, way)


@pytest.mark.parametrize("way", sorted(set(WAYS)))
def test_the_sound_one_is_taken(sound: Path, tmp_path: Path, way: str) -> None:
    with copied(sound, tmp_path) as path:
        looked_at(path, way)

"""Is a ledger the file and not its name: one owner, nothing forgotten, no new start unseen?"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from ledgers import SERVICE, all_rows, in_state, planned, tried, yes

from kling_async import LedgerError
from kling_async.bulk import sqlite_copy, sqlite_file
from kling_async.bulk.file_lock import NoLocksError
from kling_async.bulk.recipes import TALKING
from kling_async.bulk.sqlite import copy_ledger, open_ledger, read_ledger

SUPPORT = Path(__file__).parent.parent.parent / "support"


def opened(path: Path | str, **options: Any) -> Any:
    return open_ledger(path, service=SERVICE, **options)


async def refusal(path: Path | str, **options: Any) -> str:
    """What an opening is refused with."""
    with pytest.raises(LedgerError) as caught:
        async with opened(path, **options):
            pass
    return str(caught.value)


def in_shell(*words: str | Path) -> None:
    """A command in a process of its own: closing a file here would free SQLite's locks on it."""
    subprocess.run([str(one) for one in words], check=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.sqlite"


# --- one file, and whole ----------------------------------------------------------------------


async def test_a_clean_end_leaves_one_file(path: Path) -> None:
    async with opened(path) as ledger:
        await in_state(ledger, "k1", "done")
        assert path.with_name("jobs.sqlite-wal").exists()
    assert [one.name for one in path.parent.iterdir()] == ["jobs.sqlite"]
    assert path.read_bytes()[18:20] == b"\1\1"  # no wal is asked for: it can be read anywhere
    async with opened(path) as ledger:
        assert await ledger.counts() == {"done": 1}
    assert [one.name for one in path.parent.iterdir()] == ["jobs.sqlite"]


async def in_main_file(path: Path) -> int:
    """How many rows the file has without what lies beside it."""
    alone = path.parent / "alone" / path.name
    alone.parent.mkdir(exist_ok=True)
    in_shell("cp", path, alone)
    with closing(sqlite3.connect(f"{alone.as_uri()}?immutable=1", uri=True)) as db:
        found: int = db.execute("SELECT count(*) FROM rows").fetchone()[0]
    return found


async def test_what_is_committed_is_in_the_file_soon(path: Path) -> None:
    async with opened(path) as ledger:
        await planned(ledger, "k1")
        await planned(ledger, "k2", "k3")  # too soon for a second checkpoint: in a quiet moment
        for _ in range(200):
            if await in_main_file(path) == 3:
                break
            await asyncio.sleep(0.05)
        else:
            pytest.fail("not in the main file after 10 s")


@asynccontextmanager
async def child(path: Path, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that has the ledger and made rows; stopped by whoever asks for it."""
    script = (
        "import asyncio, sys\n"
        "sys.path[:0] = sys.argv[2:]\n"
        "from ledgers import SERVICE, in_state, open_ledger\n"
        "async def main():\n"
        "    async with open_ledger(sys.argv[1], service=SERVICE) as ledger:\n"
        "        for state in ('done', 'intent', 'planned'):\n"
        "            await in_state(ledger, state, state)\n"
        "        print('open', flush=True)\n"
        "        await asyncio.to_thread(sys.stdin.read)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(path), str(SUPPORT), *sys.path,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        assert await process.stdout.readline() == b"open\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process.stdin.close()


async def killed(path: Path) -> None:
    """Leave a ledger as a killed process leaves it."""
    async with child(path) as process:
        process.kill()
        await process.wait()


async def test_a_killed_job_is_gone_on_with(path: Path) -> None:
    await killed(path)
    async with opened(path) as ledger:
        assert await ledger.counts() == {"done": 1, "doubt": 1, "planned": 1}


@pytest.mark.parametrize("how", ["moved", "copied"])
async def test_a_ledger_without_its_newest_rows_is_refused(path: Path, how: str) -> None:
    await killed(path)
    elsewhere = path.with_name("elsewhere.sqlite")
    shutil.move(path, elsewhere) if how == "moved" else shutil.copy(path, elsewhere)
    text = await refusal(elsewhere)
    assert "elsewhere.sqlite-wal, with its newest rows, is not beside it" in text
    if how == "moved":
        text = await refusal(path)
        assert "jobs.sqlite-wal lies beside it" in text
        assert not path.exists()
        shutil.move(f"{path}-wal", f"{elsewhere}-wal")
        async with opened(elsewhere) as ledger:
            assert await ledger.counts() == {"done": 1, "doubt": 1, "planned": 1}
    else:
        async with opened(elsewhere, despite_loss=True) as ledger:
            assert await ledger.fact("opened_despite_loss_at") is not None


async def test_a_copy_of_a_running_ledgers_file_alone_is_refused(path: Path) -> None:
    elsewhere = path.with_name("elsewhere.sqlite")
    async with opened(path) as ledger:
        await planned(ledger)
        in_shell("cp", path, elsewhere)
    assert "was not closed by its last run" in await refusal(elsewhere)


@pytest.mark.parametrize("end", ["-wal", "-shm", "-journal"])
@pytest.mark.parametrize("content", [b"", b"x" * 100])
async def test_no_ledger_begins_beside_traces_of_one(path: Path, end: str, content: bytes) -> None:
    left = path.with_name(path.name + end)
    left.write_bytes(content)
    assert f"{left.name} lies beside it" in await refusal(path)
    assert [one.name for one in path.parent.iterdir()] == [left.name]


async def test_an_emptied_ledger_is_refused(path: Path) -> None:
    path.touch()
    assert "is empty: it was most likely cut" in await refusal(path)
    with pytest.raises(LedgerError, match="is empty"):
        async with read_ledger(path):
            pass
    assert path.stat().st_size == 0


async def test_a_ledger_without_tables_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE one (a)")
        db.execute("DROP TABLE one")
    assert "has no tables" in await refusal(path)


async def test_other_files_are_refused_as_they_are(path: Path) -> None:
    path.write_bytes(b"key,image\nk1,a.png\n" * 100)
    before = path.read_bytes()
    assert "is not a ledger of kling-async" in await refusal(path)
    with pytest.raises(LedgerError, match="not a ledger of kling-async"):
        async with read_ledger(path):
            pass
    assert path.read_bytes() == before
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE one (a)")
    assert "is not a ledger of kling-async" in await refusal(path)


@pytest.mark.parametrize("layout", ["1", "2", "4"])
async def test_other_layouts_are_refused(path: Path, layout: str) -> None:
    with closing(sqlite3.connect(path)) as old, old:
        old.execute("CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
        old.execute("INSERT INTO facts VALUES ('layout', ?), ('service', ?)", (layout, SERVICE))
    text = (
        f"another version of kling-async (layout {layout}, this one reads 3); finish it with that"
    )
    assert text in await refusal(path)
    with pytest.raises(LedgerError, match="another version"):
        async with read_ledger(path):
            pass


@pytest.mark.parametrize("born", ["soon", "nan", "-inf", ""])
async def test_a_birth_that_is_no_time_is_refused(path: Path, born: str) -> None:
    async with opened(path):
        pass
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE facts SET value = ? WHERE name = 'born_at'", (born,))
    async with opened(path) as ledger:
        with pytest.raises(LedgerError, match=r"is damaged \(its 'born_at' can't be read\)"):
            await ledger.fact("born_at")


async def test_a_schema_that_is_no_text_is_refused(path: Path) -> None:
    """SQLite repeats it in its error, which Python then can't decode."""
    async with opened(path):
        pass
    content = path.read_bytes().replace(b"CREATE TABLE rows", b"CREATE TABLF rows")
    path.write_bytes(content.replace(b"tablerowsrows", b"tablero\x9esrows"))
    assert "malformed" in await refusal(path)
    with pytest.raises(LedgerError, match="put back a copy"):
        async with read_ledger(path):
            pass


def test_a_step_that_nothing_asks_for_is_the_ledgers_fault() -> None:
    with pytest.raises(LedgerError, match="a step 3 of a row"):
        TALKING.step(3)


async def test_a_ledger_belongs_to_one_service(path: Path) -> None:
    async with opened(path):
        pass
    with pytest.raises(LedgerError, match=r"run against api\.example\.com, and this one goes to x"):
        async with open_ledger(path, service="x"):
            pass
    async with opened(path):
        pass


async def test_a_ledger_is_made_whole_or_not_at_all(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(sqlite_copy, "_sync", failing)
        assert "disk full" in await refusal(path)
    assert list(path.parent.iterdir()) == []
    async with opened(path):
        pass


# --- under a running job ----------------------------------------------------------------------


def removed(path: Path) -> None:
    path.unlink()


def moved(path: Path) -> None:
    path.rename(path.with_name("moved.sqlite"))


def replaced(path: Path) -> None:
    in_shell("cp", path, f"{path}.new")
    Path(f"{path}.new").rename(path)


def cut(path: Path) -> None:
    os.truncate(path, 0)


def without_wal(path: Path) -> None:
    Path(f"{path}-wal").unlink()


def wal_cut(path: Path) -> None:
    os.truncate(f"{path}-wal", 0)


@pytest.mark.parametrize("harm", [removed, moved, replaced, cut, without_wal, wal_cut])
async def test_a_ledger_that_is_no_more_stops_the_job(
    path: Path, harm: Callable[[Path], None]
) -> None:
    async with opened(path) as ledger:
        one, other = await planned(ledger, "k1", "k2")
        await yes(ledger, one, "intended")
        await asyncio.sleep(0.05)
        harm(path)
        with pytest.raises(LedgerError, match=r"while the job was running\. Nothing more is sent"):
            await tried(ledger, other, "intended")
        with pytest.raises(LedgerError, match=r"nothing is sent any more|while the job was"):
            await tried(ledger, other, "intended")
        with pytest.raises(LedgerError):
            await tried(ledger, one, "lost")


async def test_a_moved_ledger_is_whole_where_it_is(path: Path) -> None:
    async with opened(path) as ledger:
        step = await in_state(ledger, "k1", "done")
        moved(path)
        with pytest.raises(LedgerError, match="removed or moved"):
            await tried(ledger, step, "file_lost")
    assert not path.exists()
    async with opened(path.with_name("moved.sqlite")) as ledger:
        assert sum((await ledger.counts()).values()) == 1


async def test_what_took_the_ledgers_place_is_left_alone(path: Path) -> None:
    other = path.with_name("other.sqlite")
    async with opened(other) as ledger:
        await planned(ledger, "o1")
    async with opened(path) as ledger:
        (step,) = await planned(ledger, "k1")
        other.rename(path)
        with pytest.raises(LedgerError, match="was replaced"):
            await tried(ledger, step, "intended")
    with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as db:
        assert db.execute("SELECT key FROM rows").fetchall() == [("o1",)]
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


# --- names that leave nothing -----------------------------------------------------------------


@pytest.mark.parametrize("name", [
    "", ":memory:", ":memory:x", "file::memory:", "file:a.sqlite?mode=memory", "a\0b", "/dev/null",
    "/dev/stdin", "/proc/self/fd/0", "/proc/self/mem", "/", ".", "folder", "folder/",
    "new-folder/", "a.sqlite-wal", "a.sqlite-shm", "a.sqlite-journal", "pipe", "to-null",
    "no-folder/a.sqlite", "file/a.sqlite", "a\ud83d",
])  # fmt: skip
async def test_names_that_leave_no_ledger_are_refused(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("file").write_text("x")
    os.mkfifo("pipe")
    Path("to-null").symlink_to("/dev/null")
    before = sorted(tmp_path.rglob("*"))
    await refusal(name)
    with pytest.raises(LedgerError):
        async with read_ledger(name):
            pass
    assert sorted(tmp_path.rglob("*")) == before


async def test_what_is_no_file_is_named_as_such(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "is not a regular file" in await refusal(tmp_path / "pipe")
    assert "is a folder" in await refusal(tmp_path)
    assert "the next run would make everything again" in await refusal(":memory:")
    assert "nothing stays there" in await refusal("/dev/null")


async def test_other_names_are_names(tmp_path: Path) -> None:
    for name in ("a?mode=memory", "a#b %41.sqlite", "ä ö", "-", "memory:", os.fsdecode(b"\xff.db")):
        async with opened(tmp_path / name) as ledger:
            await planned(ledger)
        async with read_ledger(tmp_path / name) as reader:
            assert await reader.counts() == {"planned": 1}
        assert [one.name for one in tmp_path.iterdir()] == [name]
        (tmp_path / name).unlink()


# --- one owner --------------------------------------------------------------------------------


def same(path: Path) -> Path:
    return path


def linked(path: Path) -> Path:
    other = path.with_name("linked.sqlite")
    other.hardlink_to(path)
    return other


def symlinked(path: Path) -> Path:
    other = path.with_name("symlinked.sqlite")
    other.symlink_to(path)
    return other


def by_another_folder(path: Path) -> Path:
    folder = path.parent / "folder"
    folder.symlink_to(path.parent)
    return folder / path.name


def without_what_lies_beside(path: Path) -> Path:
    for one in path.parent.iterdir():
        if one != path and "wal" not in one.name:
            one.unlink()
    return path


NAMES = [same, linked, symlinked, by_another_folder, without_what_lies_beside]


@pytest.mark.parametrize("named", NAMES)
@pytest.mark.parametrize("stopped", [False, True])
async def test_two_processes_never_have_one_ledger(
    path: Path, named: Callable[[Path], Path], stopped: bool
) -> None:
    async with child(path) as process:
        if stopped:
            process.send_signal(signal.SIGSTOP)
        name = named(path)
        before = {one.name for one in path.parent.iterdir()}
        assert "is in use by" in await refusal(name)
        assert "is in use by" in await refusal(name)  # a refusal frees nothing
        assert {one.name for one in path.parent.iterdir()} == before  # nothing was opened
        process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("named", NAMES)
async def test_nor_do_two_parts_of_one_process(path: Path, named: Callable[[Path], Path]) -> None:
    async with opened(path) as ledger:
        (step,) = await planned(ledger)
        name = named(path)
        assert "is in use by" in await refusal(name)
        if named is not without_what_lies_beside:
            # SQLite's own locks are all there: another program's end does not take the wal away.
            in_shell(sys.executable, "-c", (
                "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); "
                "db.execute('SELECT count(*) FROM rows').fetchall(); db.close()"
            ), path)  # fmt: skip
            assert path.with_name("jobs.sqlite-wal").exists()
        await yes(ledger, step, "intended")


async def test_the_lock_dies_with_its_process(path: Path) -> None:
    async with child(path) as process:
        text = await refusal(path)
        assert f"process {process.pid} on " in text
        process.kill()
        await process.wait()
        async with opened(path) as ledger:
            assert await ledger.counts() == {"done": 1, "doubt": 1, "planned": 1}


async def test_a_second_name_of_a_ledger_at_rest_is_refused(path: Path) -> None:
    await killed(path)
    other = linked(path)
    for name in (path, other):
        assert "has 2 names (hard links)" in await refusal(name)
    other.unlink()
    async with opened(path) as ledger:
        assert await ledger.counts() == {"done": 1, "doubt": 1, "planned": 1}


async def test_an_opening_that_is_cancelled_leaves_no_lock(path: Path) -> None:
    async def hold() -> None:
        async with opened(path):
            await asyncio.sleep(60)

    for turns in range(1, 6):
        holding = asyncio.create_task(hold())
        for _ in range(turns):
            await asyncio.sleep(0)
        holding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await holding
    async with opened(path):
        pass
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without locks."""

    def none(_: Path) -> None:
        raise NoLocksError

    monkeypatch.setattr(sqlite_file, "acquire", none)


@pytest.mark.usefixtures("no_locks")
async def test_without_locks_the_ledgers_own_word_counts(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with child(path) as process:
        assert f"process {process.pid} on " in await refusal(path)
        process.kill()
        await process.wait()
        with monkeypatch.context() as patched:
            patched.setattr(sqlite_file, "host_name", lambda: "another")
            assert "is in use by" in await refusal(path)
        async with opened(path) as ledger:
            assert await ledger.counts() == {"done": 1, "doubt": 1, "planned": 1}
    async with opened(path):
        pass


# --- looking ----------------------------------------------------------------------------------


@contextmanager
def nobody_who_only_reads(folder: Path) -> Iterator[None]:
    """This process as a user who may not write in `folder`."""
    for one in folder.iterdir():
        one.chmod(0o444)
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.mark.parametrize("state", ["at rest", "killed", "in use"])
async def test_looking_needs_no_right_to_write(open_folder: Path, state: str) -> None:
    path = open_folder / "jobs.sqlite"

    async def look() -> None:
        before = sorted((one.name, one.stat().st_mtime_ns) for one in open_folder.iterdir())
        with nobody_who_only_reads(open_folder):
            with pytest.raises(PermissionError):
                (open_folder / "new").touch()
            async with read_ledger(path) as reader:
                assert [row.key for row in await all_rows(reader)] == ["done", "intent", "planned"]
        assert sorted((one.name, one.stat().st_mtime_ns) for one in open_folder.iterdir()) == before

    if state == "in use":
        async with child(path):
            await look()
        return
    await killed(path)
    if state == "at rest":
        async with opened(path):
            pass
        assert [one.name for one in open_folder.iterdir()] == ["jobs.sqlite"]
    await look()


async def test_looking_changes_nothing_and_makes_nothing(path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no ledger at"):
        async with read_ledger(path):
            pass
    assert list(path.parent.iterdir()) == []
    async with opened(path) as ledger:
        await in_state(ledger, "k1", "intent")
        async with read_ledger(path) as reader:
            assert (await reader.row("k1")).state == "intent"
            await in_state(ledger, "k2", "done")
            assert await reader.counts() == {"intent": 1, "done": 1}


async def test_an_onlooker_does_not_keep_a_job_from_its_end(path: Path) -> None:
    async with opened(path) as ledger:
        await planned(ledger, "k1")
    async with read_ledger(path) as reader:
        async with opened(path) as ledger:
            await planned(ledger, "k2")
        assert await reader.counts() == {"planned": 2}
    async with opened(path) as ledger:
        assert await ledger.counts() == {"planned": 2}
    assert [one.name for one in path.parent.iterdir()] == [path.name]


# --- copies -----------------------------------------------------------------------------------


async def test_a_copy_of_a_running_ledger(path: Path) -> None:
    target = path.with_name("copy.sqlite")
    async with opened(path) as ledger:
        await in_state(ledger, "k1", "done")
        await in_state(ledger, "k2", "intent")
        await copy_ledger(path, target)
        await in_state(ledger, "k3", "done")
    assert sorted(one.name for one in path.parent.iterdir()) == ["copy.sqlite", "jobs.sqlite"]
    async with opened(target) as copied:
        assert await copied.counts() == {"done": 1, "doubt": 1}
        assert await copied.fact("copied_at") is not None
    async with read_ledger(path) as reader:
        assert await reader.fact("copied_at") is None


async def test_a_copy_never_takes_anothers_place(path: Path) -> None:
    target = path.with_name("copy.sqlite")
    async with opened(path):
        pass
    target.write_text("mine")
    with pytest.raises(LedgerError, match="there is something at"):
        await copy_ledger(path, target)
    assert target.read_text() == "mine"
    target.unlink()
    with pytest.raises(LedgerError, match="there is no ledger at"):
        await copy_ledger(target, path.with_name("b.sqlite"))
    with pytest.raises(LedgerError, match="can't be used"):
        await copy_ledger(path, path.parent / "no-folder" / "copy.sqlite")
    assert [one.name for one in path.parent.iterdir()] == [path.name]


async def test_half_a_copy_is_none(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(path):
        pass

    def failing(_: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(sqlite_copy, "_sync", failing)
    with pytest.raises(LedgerError, match="disk full"):
        await copy_ledger(path, path.with_name("copy.sqlite"))
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("made", ["copy", "ledger"])
async def test_what_came_meanwhile_keeps_its_place(
    path: Path, monkeypatch: pytest.MonkeyPatch, made: str
) -> None:
    target = path.with_name("copy.sqlite")
    async with opened(path):
        pass
    sync = sqlite_copy._sync

    def meanwhile(one: Path) -> None:
        sync(one)
        if not target.exists():
            in_shell("cp", path, target)

    monkeypatch.setattr(sqlite_copy, "_sync", meanwhile)
    if made == "copy":
        with pytest.raises(LedgerError, match="there is something at"):
            await copy_ledger(path, target)
    else:
        async with opened(target) as ledger:  # another process was quicker: its ledger is used
            assert await ledger.fact("born_at") is not None
    async with read_ledger(target) as reader, read_ledger(path) as first:
        assert await reader.fact("born_at") == await first.fact("born_at")
        assert await reader.fact("copied_at") is None

"""What does the ledger remember, and whom does it refuse? Each arrow, each lock, each bad file."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kling_async import LedgerError
from kling_async.bulk.ledger import Ledger
from kling_async.bulk.ledgerview import LedgerView
from kling_async.bulk.records import Record
from kling_async.bulk.rows import RowInput, row_of
from kling_async.emulator import sample_png

SERVICE = "api.example.com"
URL = "https://example.com/{}.png"


def row(key: str, position: int = 1, **changes: Any) -> RowInput:
    return row_of({"key": key, "image_url": URL.format(key), **changes}, position)


def opened(path: Path, service: str = SERVICE) -> Ledger:
    return Ledger.open(path, service=service)


def seen(path: Path) -> dict[str, Record]:
    """What another process would read of the ledger now."""
    with closing(LedgerView.read(path)) as ledger:
        return {one.key: one for one in ledger.each()}


def registered(ledger: Ledger, *rows: RowInput) -> list[Record]:
    with ledger.transaction():
        return ledger.register(rows)


def sent(ledger: Ledger, key: str, account: str | None = "a@b.c") -> Record:
    """A row whose create is under way."""
    (record,) = registered(ledger, row(key))
    with ledger.transaction():
        readied(ledger, record.id, account, None)
        ledger.intent(record.id, account)
    return ledger.get(key)


def readied(ledger: Ledger, row_id: int, account: str | None, asset_url: str | None) -> None:
    ledger.ready(row_id, account, asset_url, asset_url or URL.format("given"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "avatars.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with closing(opened(path)) as made:
        yield made


class TestArrows:
    def test_a_new_row_is_planned_with_all_that_was_given(self, ledger: Ledger, path: Path) -> None:
        given = row("ada", 7, nickname="Ada", tts_speed=1.25)
        (record,) = registered(ledger, given)
        assert seen(path) == {"ada": record}
        assert (record.state, record.attempts, record.position) == ("planned", 0, 7)
        assert (record.payload, record.columns) == (given.payload, given.columns)
        assert record.payload == {
            "image_url": URL.format("ada"),
            "nickname": "Ada",
            "tts_speed": 1.25,
        }
        assert record.result().state == "skipped"

    def test_a_row_with_problems_is_failed_and_says_them(self, ledger: Ledger, path: Path) -> None:
        registered(ledger, row("ada", tts_speed=9, scene="beach"))
        record = seen(path)["ada"]
        assert record.state == "failed"
        assert record.result().state == "failed"
        assert "tts_speed: " in str(record.error)
        assert "scene: " in str(record.error)

    def test_ready_keeps_the_account_and_the_upload(self, ledger: Ledger, path: Path) -> None:
        (record,) = registered(ledger, row("ada"))
        with ledger.transaction():
            readied(ledger, record.id, "a@b.c", URL.format("upload"))
        found = seen(path)["ada"]
        assert (found.state, found.account) == ("ready", "a@b.c")
        assert (found.asset_url, found.attempts) == (URL.format("upload"), 0)
        assert found.result().state == "skipped"

    def test_intent_counts_the_attempt_and_the_time(self, ledger: Ledger, path: Path) -> None:
        sent(ledger, "ada")
        found = seen(path)["ada"]
        assert (found.state, found.account, found.attempts) == ("intent", "a@b.c", 1)
        assert found.intent_at is not None
        assert found.intent_at > 1.7e9

    def test_a_row_with_an_address_goes_out_from_planned(self, ledger: Ledger, path: Path) -> None:
        (record,) = registered(ledger, row("ada"))
        with ledger.transaction():
            assert ledger.intent(record.id, "a@b.c", record.digest)
        found = seen(path)["ada"]
        assert (found.state, found.account, found.attempts) == ("intent", "a@b.c", 1)
        assert (found.token, found.token_kind) == ("/ada.png", "url")

    def test_nothing_goes_out_that_could_not_be_known_again(
        self, ledger: Ledger, path: Path
    ) -> None:
        (record,) = registered(ledger, row("ada", image_url=None, image=sample_png()))
        with ledger.transaction():
            assert not ledger.intent(record.id, "a@b.c", record.digest)
        assert seen(path) == {"ada": record}
        with ledger.transaction():
            assert ledger.ready(record.id, None, URL.format("up"), URL.format("up"), record.digest)
            assert ledger.intent(record.id, "a@b.c", record.digest)
        assert (seen(path)["ada"].state, seen(path)["ada"].token) == ("intent", "/up.png")

    @pytest.mark.parametrize("then", ["intent", "doubt", "unknown", "done", "failed"])
    def test_nothing_goes_out_of_a_row_that_is_not_open(
        self, ledger: Ledger, path: Path, then: str
    ) -> None:
        record = sent(ledger, "ada")
        with ledger.transaction():
            if then == "done":
                ledger.done(record.id, "300000000000001")
            elif then != "intent":
                getattr(ledger, then)(record.id, "no answer")
        before = seen(path)
        with ledger.transaction():
            assert not ledger.intent(record.id, "a@b.c", record.digest)
            assert not ledger.ready(record.id, "a@b.c", None, URL.format("up"), record.digest)
            if then != "intent":
                ledger.not_carried_out(record.id, "cancelled")
        assert seen(path) == before

    def test_nothing_goes_out_of_a_row_that_says_something_else_by_now(
        self, ledger: Ledger, path: Path
    ) -> None:
        (old,) = registered(ledger, row("ada"))
        (new,) = registered(ledger, row("ada", nickname="Another"))
        with ledger.transaction():
            assert not ledger.ready(old.id, "a@b.c", URL.format("up"), URL.format("up"), old.digest)
            assert not ledger.intent(old.id, "a@b.c", old.digest)
        assert seen(path) == {"ada": new}

    def test_not_carried_out_makes_ready_again_and_keeps_the_count(
        self, ledger: Ledger, path: Path
    ) -> None:
        record = sent(ledger, "ada")
        for attempts in (1, 2):
            with ledger.transaction():
                ledger.not_carried_out(record.id, "too many requests")
            found = seen(path)["ada"]
            assert (found.state, found.attempts) == ("ready", attempts)
            assert found.error == "too many requests"
            with ledger.transaction():
                ledger.intent(record.id, "a@b.c")

    def test_done_keeps_the_id_and_forgets_the_error(self, ledger: Ledger, path: Path) -> None:
        record = sent(ledger, "ada")
        with ledger.transaction():
            ledger.not_carried_out(record.id, "too many requests")
            ledger.intent(record.id, "a@b.c")
            ledger.done(record.id, "300000000000001")
        found = seen(path)["ada"]
        assert (found.state, found.avatar_id, found.error) == ("done", "300000000000001", None)
        assert found.result().state == "created"
        assert found.result().avatar_id == "300000000000001"

    def test_failed_keeps_the_reason(self, ledger: Ledger, path: Path) -> None:
        record = sent(ledger, "ada")
        with ledger.transaction():
            ledger.failed(record.id, "the server answered 400")
        found = seen(path)["ada"]
        assert (found.state, found.error) == ("failed", "the server answered 400")
        assert found.result().error == "the server answered 400"

    def test_reopening_takes_failed_rows_only_in_pages(self, ledger: Ledger, path: Path) -> None:
        for key in "abcde":
            (record,) = registered(ledger, row(key))
            with ledger.transaction():
                readied(ledger, record.id, "a@b.c", URL.format("upload"))
                ledger.intent(record.id, "a@b.c")
                if key == "c":
                    ledger.done(record.id, "300000000000001")
                else:
                    ledger.failed(record.id, "the server answered 400")
        with ledger.transaction():
            first = ledger.reopen_failed(0, 2)
            second = ledger.reopen_failed(first[-1].id, 1)
        assert [one.key for one in first] == ["a", "b"]
        assert [one.key for one in second] == ["d"]
        found = seen(path)
        assert {key: one.state for key, one in found.items()} == {
            "a": "planned", "b": "planned", "c": "done", "d": "planned", "e": "failed",
        }  # fmt: skip
        # What was uploaded may be what was wrong.
        assert [found[key].asset_url for key in "abd"] == [None] * 3
        assert [found[key].error for key in "abd"] == [None] * 3
        assert [found[key].attempts for key in "abd"] == [1] * 3

    def test_forgetting_uploads_plans_ready_rows_anew_and_no_others(
        self, ledger: Ledger, path: Path
    ) -> None:
        records = registered(ledger, *(row(key) for key in "ab"))
        under_way = sent(ledger, "c")
        with ledger.transaction():
            for one in records:
                readied(ledger, one.id, "a@b.c", URL.format("upload"))
            assert ledger.forget_uploads() == 2
        found = seen(path)
        assert [(found[key].state, found[key].asset_url) for key in "ab"] == [("planned", None)] * 2
        assert found["c"] == under_way


class TestRegisteringAgain:
    def test_the_same_row_keeps_its_record(self, ledger: Ledger) -> None:
        first = registered(ledger, row("ada"), row("ben", 2))
        assert registered(ledger, row("ada"), row("ben", 2)) == first
        assert ledger.count() == 2

    def test_records_come_in_the_order_asked_for(self, ledger: Ledger) -> None:
        registered(ledger, row("ada"), row("ben", 2), row("chidi", 3))
        again = registered(ledger, row("chidi", 3), row("dana", 4), row("ada"))
        assert [one.key for one in again] == ["chidi", "dana", "ada"]

    def test_of_rows_with_one_key_given_together_the_first_counts(self, ledger: Ledger) -> None:
        first, second = row("ada"), row("ada", 2, nickname="Another")
        records = registered(ledger, first, row("ben", 3), second)
        assert [(one.key, one.digest) for one in records][::2] == [("ada", first.digest)] * 2
        assert registered(ledger, second, first)[0].digest == second.digest

    def test_a_changed_row_that_never_went_out_takes_the_new_content(self, ledger: Ledger) -> None:
        (first,) = registered(ledger, row("ada", nickname="Ada"))
        with ledger.transaction():
            readied(ledger, first.id, "a@b.c", URL.format("upload"))
        changed = row("ada", nickname="Ada Lovelace", prompt="Calm")
        (second,) = registered(ledger, changed)
        assert (second.id, second.state) == (first.id, "planned")
        assert (second.digest, second.payload) == (changed.digest, changed.payload)
        # The upload was of the old picture, and perhaps to another account.
        assert (second.asset_url, second.account) == (None, None)

    def test_a_mended_row_that_never_went_out_is_planned(self, ledger: Ledger) -> None:
        registered(ledger, row("ada", tts_speed=9))
        (mended,) = registered(ledger, row("ada", tts_speed=1.5))
        assert (mended.state, mended.error) == ("planned", None)

    @pytest.mark.parametrize("then", ["intent", "not_carried_out", "done", "failed"])
    def test_a_changed_row_that_went_out_keeps_its_record(self, ledger: Ledger, then: str) -> None:
        record = sent(ledger, "ada")
        with ledger.transaction():
            if then == "not_carried_out":
                ledger.not_carried_out(record.id, "too many requests")
            elif then == "done":
                ledger.done(record.id, "300000000000001")
            elif then == "failed":
                ledger.failed(record.id, "the server answered 400")
        before = ledger.get("ada")
        changed = row("ada", nickname="Another")
        assert registered(ledger, changed) == [before]
        assert before.digest != changed.digest


class TestOneRowPerAvatar:
    @pytest.mark.parametrize("account", ["a@b.c", None])
    def test_an_id_that_another_row_has_is_not_taken(
        self, ledger: Ledger, path: Path, account: str | None
    ) -> None:
        ada, ben = sent(ledger, "ada", account), sent(ledger, "ben", account)
        with ledger.transaction():
            ledger.done(ada.id, "300000000000001")
            ledger.done(ben.id, "300000000000001")
        found = seen(path)
        assert (found["ada"].state, found["ada"].avatar_id) == ("done", "300000000000001")
        assert found["ben"].state != "done"
        assert found["ben"].avatar_id is None
        assert "300000000000001" in str(found["ben"].error)

    def test_the_rest_of_the_transaction_is_kept(self, ledger: Ledger, path: Path) -> None:
        ada, ben, eve = (sent(ledger, key) for key in ("ada", "ben", "eve"))
        with ledger.transaction():
            ledger.done(ada.id, "300000000000001")
            ledger.done(ben.id, "300000000000001")
            ledger.done(eve.id, "300000000000002")
        assert seen(path)["eve"].state == "done"

    def test_two_accounts_may_have_the_same_id(self, ledger: Ledger, path: Path) -> None:
        ada, ben = sent(ledger, "ada", "a@b.c"), sent(ledger, "ben", "d@e.f")
        with ledger.transaction():
            ledger.done(ada.id, "300000000000001")
            ledger.done(ben.id, "300000000000001")
        assert {one.state for one in seen(path).values()} == {"done"}


class TestTransactions:
    def test_all_of_the_writes_or_none(self, ledger: Ledger, path: Path) -> None:
        record = sent(ledger, "ada")
        before = seen(path)

        def breaks() -> None:
            with ledger.transaction():
                ledger.done(record.id, "300000000000001")
                ledger.register([row("ben", 2)])
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            breaks()
        assert seen(path) == before
        with ledger.transaction():  # and it can go on
            ledger.done(record.id, "300000000000001")
        assert seen(path)["ada"].state == "done"

    def test_every_commit_is_synced(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """In WAL mode NORMAL would let a power cut forget intents; only FULL syncs each commit."""
        made = []
        connect = sqlite3.connect
        monkeypatch.setattr(
            sqlite3, "connect", lambda *a, **k: made.append(connect(*a, **k)) or made[-1]
        )
        with closing(opened(path)):
            (db,) = (one for one in made if _file_of(one) == str(path))
            assert db.execute("PRAGMA synchronous").fetchone() == (2,)
            assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)

    def test_a_reader_sees_what_is_committed_while_another_writes(
        self, ledger: Ledger, path: Path
    ) -> None:
        registered(ledger, row("ada"))
        with closing(LedgerView.read(path)) as reader:
            with ledger.transaction():
                ledger.register([row("ben", 2)])
                assert reader.counts() == {"planned": 1}
            assert reader.counts() == {"planned": 2}
            pages = reader.each()  # and a slow reader does not hold the writer up
            assert next(pages).key == "ada"
            registered(ledger, row("chidi", 3))
            assert [one.key for one in pages][:1] == ["ben"]


def _file_of(db: sqlite3.Connection) -> str:
    return db.execute("PRAGMA database_list").fetchone()[2]


class TestLooking:
    def test_what_is_asked_for(self, ledger: Ledger) -> None:
        ada, ben = sent(ledger, "ada"), sent(ledger, "ben")
        registered(ledger, *(row(f"k{n}", n) for n in range(3, 6)))
        with ledger.transaction():
            ledger.done(ada.id, "300000000000001")
            ledger.failed(ben.id, "no")
        assert ledger.counts() == {"done": 1, "failed": 1, "planned": 3}
        assert ledger.count() == 5
        assert [one.key for one in ledger.page(0)] == ["ada", "ben", "k3", "k4", "k5"]
        assert [one.key for one in ledger.page(ben.id, size=2)] == ["k3", "k4"]
        assert [one.key for one in ledger.page(0, ("done", "planned"), 2)] == ["ada", "k3"]
        assert ledger.page(10_000) == []
        assert [one.key for one in ledger.each(("planned",))] == ["k3", "k4", "k5"]
        assert ledger.fact("service") == SERVICE
        assert ledger.fact("colour") is None

    def test_each_goes_through_all_pages(self, ledger: Ledger) -> None:
        registered(ledger, *(row(f"k{n}", n) for n in range(1, 451)))
        assert [one.position for one in ledger.each()] == list(range(1, 451))

    def test_lookup_of_more_keys_than_sqlite_takes_at_once(self, ledger: Ledger) -> None:
        rows = [row(f"k{n}", n) for n in range(1, 1201)]
        registered(ledger, *rows)
        wanted = [f"k{n}" for n in range(1, 1201)] + [f"none-{n}" for n in range(900)]
        random.Random(0).shuffle(wanted)
        assert ledger.lookup(wanted) == {one.key: one.digest for one in rows}
        assert ledger.lookup([]) == {}

    def test_an_unknown_key(self, ledger: Ledger) -> None:
        with pytest.raises(LedgerError, match="no row 'zoe'"):
            ledger.get("zoe")

    def test_an_empty_ledger(self, ledger: Ledger) -> None:
        assert (ledger.count(), ledger.counts(), list(ledger.each())) == (0, {}, [])

    def test_text_of_any_kind_comes_back_as_it_was(self, ledger: Ledger, path: Path) -> None:
        nickname = "Zoë 🎈 'q' \"d\" \n; DROP TABLE rows"
        registered(ledger, row("' OR 1=1 --", nickname=nickname, prompt="\\"))
        record = seen(path)["' OR 1=1 --"]
        assert (record.payload["nickname"], record.payload["prompt"]) == (nickname, "\\")


OWNER = """
import sys
from kling_async.bulk.ledger import Ledger
ledger = Ledger.open(sys.argv[1], service=sys.argv[2])
print("open", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def owner(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the ledger open."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(path), SERVICE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.kill()


class TestOwners:
    def test_a_second_owner_in_this_process_is_refused(self, ledger: Ledger, path: Path) -> None:
        with pytest.raises(LedgerError, match=r"avatars\.sqlite is in use by another"):
            opened(path)
        registered(ledger, row("ada"))  # the first one is not disturbed
        assert seen(path)["ada"].state == "planned"

    def test_another_process_keeps_it_until_it_dies(
        self, owner: subprocess.Popen[str], path: Path
    ) -> None:
        with pytest.raises(LedgerError, match="in use by another process; wait for it to end"):
            opened(path)
        assert seen(path) == {}  # looking is allowed
        owner.send_signal(signal.SIGKILL)
        assert owner.wait(10) == -signal.SIGKILL
        with closing(opened(path)) as ledger:
            registered(ledger, row("ada"))

    def test_closing_frees_it(self, path: Path) -> None:
        for _ in range(2):
            with closing(opened(path)) as ledger:
                registered(ledger, row("ada"))
        assert seen(path)["ada"].state == "planned"

    def test_a_refused_open_does_not_keep_the_lock(self, ledger: Ledger, path: Path) -> None:
        ledger.close()
        with pytest.raises(LedgerError):
            opened(path, "another.example.com")
        with closing(opened(path)):
            pass


class TestRefused:
    def test_another_service(self, ledger: Ledger, path: Path) -> None:
        sent(ledger, "ada")
        before = seen(path)
        ledger.close()
        with pytest.raises(LedgerError) as caught:
            opened(path, "another.example.com")
        text = str(caught.value)
        assert SERVICE in text
        assert "another.example.com" in text
        assert "Use another --ledger" in text
        assert seen(path) == before

    @pytest.mark.parametrize("content", [b"key,image\nada,a.png\n" * 100, os.urandom(5000)])
    @pytest.mark.parametrize("way", [opened, LedgerView.read])
    def test_a_file_that_is_no_database(
        self, path: Path, content: bytes, way: Callable[[Path], Any]
    ) -> None:
        path.write_bytes(content)
        with pytest.raises(LedgerError, match=r"not a ledger of kling-async.*--ledger"):
            way(path)
        assert path.read_bytes() == content

    def test_a_database_of_somebody_else_is_not_read(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE songs (title)")
        with pytest.raises(LedgerError, match=r"not a ledger of kling-async.*--ledger"):
            LedgerView.read(path)

    def test_a_database_of_somebody_else_is_not_written_to(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE songs (title)")
        with suppress(LedgerError):
            opened(path).close()
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("songs",)]

    @pytest.mark.parametrize("way", [opened, LedgerView.read])
    def test_another_layout(self, ledger: Ledger, path: Path, way: Callable[[Path], Any]) -> None:
        registered(ledger, row("ada"))
        ledger.close()
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("UPDATE facts SET value = '999' WHERE name = 'layout'")
        with pytest.raises(LedgerError, match=r"another version of kling-async \(layout 999"):
            way(path)

    def test_nothing_to_read(self, path: Path) -> None:
        with pytest.raises(LedgerError, match="there is no ledger at"):
            LedgerView.read(path)
        assert not path.exists()

    @pytest.mark.parametrize("place", ["gone/avatars.sqlite", "file/avatars.sqlite"])
    def test_a_place_that_can_not_be(self, tmp_path: Path, place: str) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(LedgerError, match="no ledger can be made there"):
            opened(tmp_path / place)

    def test_a_folder_instead_of_a_file(self, path: Path) -> None:
        path.mkdir()
        with pytest.raises(LedgerError, match=r"avatars\.sqlite can't be opened"):
            opened(path)

    def test_a_folder_that_may_not_be_written_to(self, read_only_folder: Path) -> None:
        with pytest.raises(LedgerError, match="no ledger can be made there"):
            opened(read_only_folder / "avatars.sqlite")
        assert list(read_only_folder.iterdir()) == []


@pytest.fixture
def read_only_folder() -> Iterator[Path]:
    """A folder this process may not write to; root may write anywhere, so it steps down."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o555)
        was = os.geteuid()
        if was == 0:
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            os.seteuid(was)
            Path(name).chmod(0o755)


class TestNothingStaysOpen:
    """Python 3.13 warns of a database that nobody closed; Windows can't delete its file."""

    @pytest.fixture
    def made(self, monkeypatch: pytest.MonkeyPatch) -> list[sqlite3.Connection]:
        """Every connection from now on."""
        made: list[sqlite3.Connection] = []
        connect = sqlite3.connect

        def noted(*args: Any, **options: Any) -> sqlite3.Connection:
            made.append(connect(*args, **options))
            return made[-1]

        monkeypatch.setattr(sqlite3, "connect", noted)
        return made

    def open_ones(self, made: list[sqlite3.Connection]) -> int:
        count = 0
        for db in made:
            with suppress(sqlite3.ProgrammingError):  # which says that it is closed
                db.execute("SELECT 1")
                count += 1
                db.close()
        return count

    def test_after_closing(self, made: list[sqlite3.Connection], path: Path) -> None:
        opened(path).close()
        LedgerView.read(path).close()
        assert made
        assert self.open_ones(made) == 0

    @pytest.mark.parametrize("why", ["service", "layout", "layout, to look", "no database"])
    def test_after_a_refusal(self, made: list[sqlite3.Connection], path: Path, why: str) -> None:
        way: Callable[[Path], Any] = opened
        if why == "no database":
            path.write_bytes(b"notes" * 500)
        else:
            opened(path).close()
        if why == "service":
            way = partial(opened, service="another.example.com")
        elif why.startswith("layout"):
            with closing(sqlite3.connect(path)) as db, db:
                db.execute("UPDATE facts SET value = '999' WHERE name = 'layout'")
            way = LedgerView.read if "look" in why else opened
        with pytest.raises(LedgerError):
            way(path)
        assert self.open_ones(made) == 0


class TestDiskFull:
    @pytest.fixture
    def small_disk(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every database may have 30 pages, 120 KB."""
        connect = sqlite3.connect

        def small(*args: Any, **options: Any) -> sqlite3.Connection:
            db = connect(*args, **options)
            db.execute("PRAGMA max_page_count = 30")
            return db

        monkeypatch.setattr(sqlite3, "connect", small)

    def test_nothing_is_half_written(self, small_disk: None, path: Path) -> None:
        with closing(opened(path)) as ledger:
            record = sent(ledger, "ada")
            before = seen(path)

            def write_too_much() -> None:
                with ledger.transaction():
                    ledger.done(record.id, "300000000000001")
                    ledger.register(row(f"k{n}", n, prompt="p" * 1500) for n in range(2, 200))

            with pytest.raises(LedgerError) as caught:
                write_too_much()
            assert "full" in str(caught.value)
            assert "free some space and run it again" in str(caught.value)
            assert isinstance(caught.value.__cause__, sqlite3.Error)
            assert seen(path) == before
            with ledger.transaction():  # what fits is still written
                ledger.done(record.id, "300000000000001")
        assert [one.state for one in seen(path).values()] == ["done"]

    def test_a_disk_that_fills_while_committing(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class FullAtCommit(sqlite3.Connection):
            full = False

            def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
                if self.full and sql == "COMMIT":
                    raise sqlite3.OperationalError("disk I/O error")
                return super().execute(sql, *args)

        connect = sqlite3.connect
        monkeypatch.setattr(
            sqlite3, "connect", lambda *a, **k: connect(*a, factory=FullAtCommit, **k)
        )
        with closing(opened(path)) as ledger:
            record = sent(ledger, "ada")
            monkeypatch.setattr(FullAtCommit, "full", True)
            with pytest.raises(LedgerError, match=r"disk I/O error.*free some space"):
                registered(ledger, row("ben", 2))
            monkeypatch.setattr(FullAtCommit, "full", False)
            with ledger.transaction():
                ledger.done(record.id, "300000000000001")
        assert {key: one.state for key, one in seen(path).items()} == {"ada": "done"}


KEYS = st.sampled_from("abcd")
ACCOUNTS = st.sampled_from(["a@b.c", "d@e.f", None])
CONTENTS = st.integers(0, 2)


class Arrows(RuleBasedStateMachine):
    """Any legal sequence of arrows against a plain dict; each step reads through another eye."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "avatars.sqlite"
        self.ledger = opened(self.path)
        self.reader = LedgerView.read(self.path)
        self.model: dict[str, dict[str, Any]] = {}
        self.known: dict[str, Record] = {}
        self.disputed: set[str] = set()

    def teardown(self) -> None:
        self.reader.close()
        self.ledger.close()
        self.folder.cleanup()

    def rows(self, *states: str) -> list[str]:
        return [
            key
            for key, one in self.model.items()
            if one["state"] in states and key not in self.disputed
        ]

    def pick(self, data: st.DataObject, *states: str) -> tuple[int, dict[str, Any]]:
        key = data.draw(st.sampled_from(self.rows(*states)))
        return self.ledger.get(key).id, self.model[key]

    @rule(key=KEYS, content=CONTENTS)
    def register(self, key: str, content: int) -> None:
        given = row(key, nickname=f"N{content}", tts_speed=9 if content == 2 else 1.0)
        (record,) = registered(self.ledger, given)
        old = self.model.get(key)
        if old is None or (old["attempts"] == 0 and old["digest"] != given.digest):
            self.model[key] = {
                "state": "failed" if content == 2 else "planned",
                "digest": given.digest,
                "account": None,
                "asset_url": None,
                "token": None if content == 2 else f"/{key}.png",
                "attempts": 0,
                "avatar_id": None,
                "evidence": None,
            }
        assert record == self.ledger.get(key)
        self.known[key] = record

    @precondition(lambda self: self.rows("planned", "ready"))
    @rule(data=st.data(), account=ACCOUNTS, uploaded=st.booleans())
    def ready(self, data: st.DataObject, account: str | None, uploaded: bool) -> None:
        row_id, model = self.pick(data, "planned", "ready")
        asset_url = URL.format("upload") if uploaded else None
        with self.ledger.transaction():
            readied(self.ledger, row_id, account, asset_url)
        token = "/upload.png" if uploaded else "/given.png"
        model.update(state="ready", account=account, asset_url=asset_url, token=token)

    @precondition(lambda self: self.rows("planned", "ready"))
    @rule(data=st.data(), account=ACCOUNTS)
    def intent(self, data: st.DataObject, account: str | None) -> None:
        row_id, model = self.pick(data, "planned", "ready")
        with self.ledger.transaction():
            goes = self.ledger.intent(row_id, account, model["digest"])
        assert goes == (model["token"] is not None)
        if goes:
            model.update(state="intent", account=account, attempts=model["attempts"] + 1)

    @precondition(lambda self: self.rows("intent", "done", "failed"))
    @rule(data=st.data())
    def refused(self, data: st.DataObject) -> None:
        row_id, _ = self.pick(data, "intent", "done", "failed")
        with self.ledger.transaction():
            assert not self.ledger.intent(row_id, None)
            assert not self.ledger.ready(row_id, None, None, URL.format("up"))

    @precondition(lambda self: self.rows("intent"))
    @rule(data=st.data())
    def not_carried_out(self, data: st.DataObject) -> None:
        row_id, model = self.pick(data, "intent")
        with self.ledger.transaction():
            self.ledger.not_carried_out(row_id, "no")
        model.update(state="ready")

    @precondition(lambda self: self.rows("intent"))
    @rule(data=st.data(), number=st.integers(1, 3))
    def done(self, data: st.DataObject, number: int) -> None:
        row_id, model = self.pick(data, "intent")
        avatar_id = f"30000000000000{number}"
        taken = any(
            (one["account"], one["avatar_id"]) == (model["account"], avatar_id)
            for one in self.model.values()
        )
        before = next(one for one in self.known.values() if one.id == row_id)
        with self.ledger.transaction():
            self.ledger.done(row_id, avatar_id)
        assert self.ledger.now(before) == self.ledger.row(row_id)
        if taken:
            self.disputed |= {key for key, one in self.model.items() if one is model}
        else:
            model.update(state="done", evidence="answer", avatar_id=avatar_id)

    @precondition(lambda self: self.rows("planned", "ready", "intent"))
    @rule(data=st.data())
    def failed(self, data: st.DataObject) -> None:
        row_id, model = self.pick(data, "planned", "ready", "intent")
        with self.ledger.transaction():
            self.ledger.failed(row_id, "no")
        model.update(state="failed", evidence=None)

    @rule(size=st.integers(1, 3))
    def reopen_failed(self, size: int) -> None:
        with self.ledger.transaction():
            opened_again = self.ledger.reopen_failed(0, size)
        again = [
            key
            for key in self.rows("planned", "ready")
            if self.model[key]["evidence"] == "reopened"
        ]
        eligible = {*self.rows("failed"), *again}
        assert len(opened_again) == min(size, len(eligible))
        for one in opened_again:
            assert one.key in eligible
            self.model[one.key].update(state="planned", asset_url=None, evidence="reopened")

    @rule()
    def forget_uploads(self) -> None:
        ready = self.rows("ready")
        with self.ledger.transaction():
            assert self.ledger.forget_uploads() == len(ready)
        for key in ready:
            self.model[key].update(state="planned", asset_url=None)

    @rule()
    def a_transaction_that_fails(self) -> None:
        with suppress(ZeroDivisionError), self.ledger.transaction():
            for key in self.rows("planned", "ready", "intent"):
                self.ledger.failed(self.ledger.get(key).id, "no")
            self.ledger.reopen_failed(0, 9)
            raise ZeroDivisionError

    @precondition(lambda self: not self.rows("intent") and not self.disputed)
    @rule()
    def close_and_open(self) -> None:
        self.ledger.close()
        self.ledger = opened(self.path)

    @invariant()
    def agrees_with_the_model(self) -> None:
        found = {one.key: one for one in self.reader.each()}
        assert set(found) == set(self.model)
        for key, model in self.model.items():
            if key in self.disputed:
                assert found[key].state != "done"
                assert found[key].avatar_id is None
            else:
                assert {name: getattr(found[key], name) for name in model} == model
        ids = [(one.account, one.avatar_id) for one in found.values() if one.avatar_id]
        assert len(ids) == len(set(ids))


TestArrowsAgainstAModel = Arrows.TestCase
TestArrowsAgainstAModel.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, database=None
)

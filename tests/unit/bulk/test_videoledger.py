"""What does the ledger remember of videos, and what of an older ledger?"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from kling_async import LedgerError
from kling_async.bulk.ledger import Ledger
from kling_async.bulk.ledgerview import LedgerView
from kling_async.bulk.records import Record
from kling_async.bulk.rows import BulkRow, RowInput, row_of
from kling_async.bulk.videorecords import VideoRecord

SERVICE = "api.example.com"
ACCOUNT = "a@b.c"
AUDIO = "https://cdn.example/uploads/{}.mp3"


def row(key: str, position: int = 1, **changes: Any) -> RowInput:
    fields = {"key": key, "image_url": f"https://example.com/{key}.png", "text": "Hello"}
    return row_of({**fields, "speaker_id": "v1", **changes}, position)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "avatars.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with closing(Ledger.open(path, service=SERVICE)) as made:
        yield made


def seen(path: Path) -> dict[str, Record]:
    """What another process would read of the ledger now."""
    with closing(LedgerView.read(path)) as ledger:
        return {one.key: one for one in ledger.each()}


def video(ledger: LedgerView, key: str) -> VideoRecord:
    found = ledger.get(key).video
    assert found is not None
    return found


def made(ledger: Ledger, *keys: str, account: str = ACCOUNT) -> list[int]:
    """Rows whose avatars are there and whose videos wait."""
    with ledger.transaction():
        for n, record in enumerate(ledger.register(map(row, keys), videos=True)):
            ledger.ready(record.id, account, None, f"https://example.com/{record.key}.png")
            ledger.intent(record.id, account)
            ledger.done(record.id, f"30000000000{n}{account[0]}")
    return [ledger.get(key).id for key in keys]


def sent(ledger: Ledger, key: str, account: str = ACCOUNT) -> int:
    """A row whose video's job is on its way."""
    (row_id,) = made(ledger, key, account=account)
    with ledger.transaction():
        ledger.videos.ready(row_id, AUDIO.format(key), AUDIO.format(key), "speech")
        ledger.videos.intent(row_id, account)
    return row_id


class TestArrows:
    def test_a_video_is_planned_only_where_videos_are_wanted(self, ledger: Ledger) -> None:
        with ledger.transaction():
            (record,) = ledger.register([row("ada")])
            assert (record.video, record.columns["text"]) == (None, "Hello")
            assert record.result().video_state is None
            (record,) = ledger.register([row("ada")], videos=True)
        assert record.video is not None
        assert record.video.state == "planned"
        assert record.video.payload == {"text": "Hello", "speaker_id": "v1"}
        assert record.result().video_state == "skipped"

    def test_all_the_way(self, ledger: Ledger, path: Path) -> None:
        row_id = sent(ledger, "ada")
        at_work = seen(path)["ada"].video
        assert at_work is not None
        assert (at_work.state, at_work.attempts, at_work.token_kind) == ("intent", 1, "speech")
        assert at_work.token == "/uploads/ada.mp3"
        assert at_work.reply_ref is not None
        with ledger.transaction():
            ledger.videos.running(row_id, ACCOUNT, 77)
        running = ledger.get("ada").result()
        assert (running.video_state, running.task_id, running.is_done) == ("running", 77, False)
        with ledger.transaction():
            ledger.videos.made(row_id, 88, "https://cdn.example/88.mp4")
            ledger.videos.claim_file(row_id, "/v/ada.mp4")
        assert ledger.get("ada").result().video_file is None  # not there yet
        with ledger.transaction():
            ledger.videos.saved(row_id, "/v/ada.mp4", 1234)
        assert seen(path)["ada"].result() == BulkRow(
            key="ada",
            state="created",
            avatar_id="300000000000a",
            account=ACCOUNT,
            attempts=1,
            evidence="answer",
            video_state="saved",
            task_id=77,
            video_file="/v/ada.mp4",
            video_attempts=1,
            columns=row("ada").columns,
        )

    def test_a_refusal_keeps_the_name_of_the_job_and_the_audio(self, ledger: Ledger) -> None:
        row_id = sent(ledger, "ada")
        before = video(ledger, "ada")
        with ledger.transaction():
            ledger.videos.not_carried_out(row_id, "too many")
            ledger.videos.intent(row_id, ACCOUNT)
        again = video(ledger, "ada")
        assert (again.reply_ref, again.audio_url) == (before.reply_ref, before.audio_url)
        assert (again.state, again.attempts) == ("intent", 2)

    def test_no_job_goes_out_but_of_what_is_ready_and_says_the_same(self, ledger: Ledger) -> None:
        (row_id,) = made(ledger, "ada")
        digest = video(ledger, "ada").digest
        with ledger.transaction():
            assert not ledger.videos.intent(row_id, ACCOUNT, digest)
            ledger.videos.ready(row_id, None, None, None)
            assert not ledger.videos.intent(row_id, ACCOUNT, "another")
            assert ledger.videos.intent(row_id, ACCOUNT, digest)
            assert not ledger.videos.intent(row_id, ACCOUNT, digest)
            ledger.videos.running(row_id, ACCOUNT, 77)
            ledger.videos.not_carried_out(row_id, "cancelled")
        now = video(ledger, "ada")
        assert (now.state, now.attempts, now.error) == ("running", 1, None)

    def test_what_died_in_flight_is_in_doubt(self, ledger: Ledger, path: Path) -> None:
        sent(ledger, "ada")
        ledger.close()
        with closing(Ledger.open(path, service=SERVICE)) as again:
            assert video(again, "ada").state == "doubt"
            assert "died" in str(video(again, "ada").error)
            assert again.get("ada").result().video_state == "unknown"

    def test_one_job_belongs_to_one_row(self, ledger: Ledger) -> None:
        one, other = sent(ledger, "ada"), sent(ledger, "ben")
        with ledger.transaction():
            ledger.videos.running(one, ACCOUNT, 77)
            ledger.videos.running(other, ACCOUNT, 77)
        assert video(ledger, "ada").state == "running"
        assert (video(ledger, "ben").state, video(ledger, "ben").candidates) == ("unknown", ["77"])
        with pytest.raises(LedgerError, match="another row"), ledger.transaction():
            ledger.videos.adopt(other, ACCOUNT, 77, "settled")
        assert video(ledger, "ben").task_id is None

    def test_accounts_number_their_jobs_by_themselves(self, ledger: Ledger) -> None:
        one, other = sent(ledger, "ada"), sent(ledger, "ben", account="d@e.f")
        with ledger.transaction():
            ledger.videos.running(one, ACCOUNT, 77)
            ledger.videos.running(other, "d@e.f", 77)
        assert {video(ledger, key).state for key in ("ada", "ben")} == {"running"}

    @pytest.mark.parametrize("act", ["resend", "abandon"])
    def test_the_users_word(self, ledger: Ledger, act: str) -> None:
        row_id = sent(ledger, "ada")
        with ledger.transaction():
            ledger.videos.doubt(row_id, "lost")
            ledger.videos.unknown(row_id, "not found", ["5"])
            if act == "resend":
                ledger.videos.resend(row_id, "by the user's word")
            else:
                ledger.videos.abandon(row_id)
        assert video(ledger, "ada").state == ("ready" if act == "resend" else "failed")
        assert len(ledger.history(row_id)) == 3


class TestRetry:
    def test_a_job_that_failed_begins_again_and_stays_the_rows(self, ledger: Ledger) -> None:
        row_id = sent(ledger, "ada")
        with ledger.transaction():
            ledger.videos.running(row_id, ACCOUNT, 77)
            ledger.videos.failed(row_id, "the server's reason")
        before = video(ledger, "ada")
        assert (ledger.to_retry(), ledger.to_retry(videos=True)) == (0, 1)
        with ledger.transaction():
            assert ledger.reopen_failed(0, 9) == []
            (again,) = ledger.reopen_failed(0, 9, videos=True)
        assert again.state == "done"
        now = video(ledger, "ada")
        assert (now.state, now.task_id, now.audio_url) == ("planned", None, None)
        assert ledger.videos.owner_of(ACCOUNT, 77) == row_id
        assert ledger.to_retry(videos=True) == 1  # as long as it was not sent
        with ledger.transaction():
            ledger.videos.ready(row_id, None, None, None)
        assert video(ledger, "ada").reply_ref not in (None, before.reply_ref)

    def test_a_download_that_failed_is_only_downloaded(self, ledger: Ledger) -> None:
        row_id = sent(ledger, "ada")
        with ledger.transaction():
            ledger.videos.running(row_id, ACCOUNT, 77)
            ledger.videos.made(row_id, 88, None)
            ledger.videos.failed(row_id, "no space")
            ledger.reopen_failed(0, 9, videos=True)
        now = video(ledger, "ada")
        assert (now.state, now.task_id, now.work_id) == ("made", 77, 88)

    def test_what_was_abandoned_stays(self, ledger: Ledger) -> None:
        row_id = sent(ledger, "ada")
        with ledger.transaction():
            ledger.videos.doubt(row_id, "lost")
            ledger.videos.abandon(row_id)
            assert ledger.reopen_failed(0, 9, videos=True) == []
        assert ledger.to_retry(videos=True) == 0


class TestAnotherContent:
    def test_a_text_is_added_to_a_row_that_is_done(self, ledger: Ledger) -> None:
        (row_id,) = made(ledger, "ada")
        silent = row("ben", text=None, speaker_id=None)
        with ledger.transaction():
            ledger.register([silent], videos=True)
            (record,) = ledger.register([row("ben")], videos=True)
        assert record.video is not None
        assert record.columns["text"] == "Hello"
        assert ledger.row(row_id).video is not None

    @pytest.mark.parametrize("was_sent", [False, True])
    def test_another_text(self, ledger: Ledger, was_sent: bool) -> None:
        (row_id,) = [sent(ledger, "ada")] if was_sent else made(ledger, "ada")
        before = ledger.get("ada")
        with ledger.transaction():
            (now,) = ledger.register([row("ada", text="Other")], videos=True)
        assert now.video is not None
        assert now.video.payload["text"] == ("Hello" if was_sent else "Other")
        assert (now.avatar_id, now.state) == (before.avatar_id, "done")
        assert now.id == row_id

    @pytest.mark.parametrize("was_sent", [False, True])
    def test_no_text_any_more(self, ledger: Ledger, was_sent: bool) -> None:
        _ = [sent(ledger, "ada")] if was_sent else made(ledger, "ada")
        with ledger.transaction():
            (now,) = ledger.register([row("ada", text=None, speaker_id=None)], videos=True)
        assert (now.video is not None) == was_sent

    def test_a_row_whose_video_was_at_fault_is_mended(self, ledger: Ledger) -> None:
        with ledger.transaction():
            (bad,) = ledger.register([row("ada", speaker_id=None)], videos=True)
            assert (bad.state, bad.video) == ("failed", None)
            (good,) = ledger.register([row("ada")], videos=True)
        assert good.state == "planned"
        assert good.video is not None

    def test_an_avatar_that_is_given_may_serve_several_rows(self, ledger: Ledger) -> None:
        given = {"image_url": None, "avatar_id": "300137233318846"}
        with ledger.transaction():
            one, other = ledger.register([row("ada", **given), row("ben", **given)], videos=True)
        for record in (one, other):
            assert (record.state, record.evidence) == ("done", "given")
            assert record.result().avatar_id == "300137233318846"

    def test_another_given_avatar_after_the_video_was_sent_is_refused(self, ledger: Ledger) -> None:
        given = {"image_url": None, "avatar_id": "300137233318846"}
        with ledger.transaction():
            (record,) = ledger.register([row("ada", **given)], videos=True)
            ledger.videos.queue(record.id, ACCOUNT)
            ledger.videos.ready(record.id, None, None, None)
            ledger.videos.intent(record.id, ACCOUNT)
            other = row("ada", **{**given, "avatar_id": "300137233318847"})
            (now,) = ledger.register([other], videos=True)
        assert (now.avatar_id, now.digest == other.digest) == ("300137233318846", False)


class TestNames:
    def test_each_row_has_a_file_of_its_own(self, ledger: Ledger) -> None:
        keys = ["ada", "ADA", "Ada", "a/b", "a_b", "a:b"]
        made(ledger, *keys)
        names = [video(ledger, key).file_name for key in keys]
        assert names[0] == "ada.mp4"
        assert len({name.casefold() for name in names}) == len(keys)


class TestQueue:
    def test_each_account_has_its_own_in_the_order_of_the_rows(self, ledger: Ledger) -> None:
        one = made(ledger, "a1", "a2", "a3")
        other = made(ledger, "d1", "d2", account="d@e.f")
        with ledger.transaction():
            for row_id in reversed(one):
                ledger.videos.queue(row_id, ACCOUNT)
            for row_id in other:
                ledger.videos.queue(row_id, "d@e.f")
            taken = [ledger.videos.next_of("d@e.f") for _ in range(3)]
            assert [None if one is None else one.key for one in taken] == ["d1", "d2", None]
            assert [getattr(ledger.videos.next_of(ACCOUNT), "key", None) for _ in range(4)] == [
                "a1", "a2", "a3", None,
            ]  # fmt: skip

    def test_what_was_paid_for_comes_first(self, ledger: Ledger) -> None:
        (early,) = made(ledger, "early")
        paid = sent(ledger, "paid")
        with ledger.transaction():
            ledger.videos.running(paid, ACCOUNT, 77)
            ledger.videos.queue(early, ACCOUNT)
            ledger.videos.queue(paid, ACCOUNT)
            first = ledger.videos.next_of(ACCOUNT)
        assert first is not None
        assert first.key == "paid"

    def test_nothing_waits_in_the_next_run(self, ledger: Ledger, path: Path) -> None:
        (row_id,) = made(ledger, "ada")
        with ledger.transaction():
            ledger.videos.queue(row_id, ACCOUNT)
        ledger.close()
        with closing(Ledger.open(path, service=SERVICE)) as again, again.transaction():
            assert again.videos.next_of(ACCOUNT) is None

    def test_a_given_avatars_account_is_settled_there(self, ledger: Ledger) -> None:
        given = row("ada", image_url=None, avatar_id="300137233318846")
        with ledger.transaction():
            (record,) = ledger.register([given], videos=True)
            assert record.account is None
            ledger.videos.queue(record.id, ACCOUNT)
        assert ledger.get("ada").account == ACCOUNT


# As it was written by the version before videos, byte for byte of its SQL.
LAYOUT_1 = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE rows (
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
CREATE TABLE history (row_id INTEGER NOT NULL, at REAL NOT NULL, event TEXT NOT NULL);
CREATE TABLE listed_before (account TEXT NOT NULL, avatar_id TEXT NOT NULL, path TEXT NOT NULL);
CREATE INDEX listed_before_by_account ON listed_before (account);
CREATE INDEX rows_by_token ON rows (token) WHERE token IS NOT NULL;
CREATE INDEX rows_by_state ON rows (state, id);
CREATE UNIQUE INDEX one_row_per_avatar
    ON rows (coalesce(account, ''), avatar_id) WHERE avatar_id IS NOT NULL;
INSERT INTO facts VALUES ('layout', '1'), ('service', 'api.example.com');
INSERT INTO rows VALUES (1, 'ada', 1, '{digest}',
    '{{"image_url":"https://example.com/ada.png"}}',
    '{{"image_url":"https://example.com/ada.png"}}', 'done', 'a@b.c', NULL, '/ada.png', 'url', 1,
    1784000000.0, NULL, '300000000000001', 'answer', NULL, NULL, 1784000001.0);
INSERT INTO rows VALUES (2, 'ben', 2, 'x', '{{}}', '{{}}', 'intent', 'a@b.c', NULL, '/ben.png',
    'url', 1, 1784000000.0, NULL, NULL, NULL, NULL, NULL, 1784000001.0);
"""


class TestLayout1:
    @pytest.fixture
    def old(self, path: Path) -> Path:
        digest = row("ada", text=None, speaker_id=None).digest
        with closing(sqlite3.connect(path)) as db:
            db.executescript(LAYOUT_1.format(digest=digest))
        return path

    def test_it_can_be_looked_at_and_stays_as_it_is(self, old: Path) -> None:
        before = old.read_bytes()
        found = seen(old)
        assert found["ada"].result() == BulkRow(
            key="ada",
            state="created",
            avatar_id="300000000000001",
            account="a@b.c",
            attempts=1,
            evidence="answer",
            columns={"image_url": "https://example.com/ada.png"},
        )
        with closing(LedgerView.read(old)) as view:
            assert (view.has_videos, view.to_retry(videos=True)) == (False, 0)
            assert view.videos_sent(["ada"]) == {}
        assert old.read_bytes() == before

    def test_it_goes_on_with_videos(self, old: Path) -> None:
        with closing(Ledger.open(old, service=SERVICE)) as ledger:
            assert ledger.fact("layout") == "2"
            assert ledger.get("ben").state == "doubt"
            with ledger.transaction():
                (record,) = ledger.register([row("ada")], videos=True)
                assert (record.state, record.avatar_id) == ("done", "300000000000001")
                assert record.video is not None
                given = row("eve", image_url=None, avatar_id="300000000000001", email="a@b.c")
                ledger.register([given], videos=True)
                ledger.videos.queue(ledger.get("eve").id, "a@b.c")  # the same account and avatar
        with closing(Ledger.open(old, service=SERVICE)) as ledger:
            assert ledger.fact("layout") == "2"
            assert ledger.count() == 3

    def test_an_avatar_that_was_made_is_still_one_rows(self, old: Path) -> None:
        with (
            closing(Ledger.open(old, service=SERVICE)) as ledger,
            pytest.raises(LedgerError, match="another row"),
            ledger.transaction(),
        ):
            ledger.adopt(2, "300000000000001", "settled")

    def test_a_death_in_the_middle_leaves_it_as_it_was(
        self, old: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from kling_async.bulk import ledger as module

        before = seen(old)
        broken = module.SCHEMA.replace("CREATE TABLE IF NOT EXISTS tasks", "CREATE TALBE tasks")
        with monkeypatch.context() as patch:
            patch.setattr(module, "SCHEMA", broken)
            with pytest.raises(LedgerError):
                Ledger.open(old, service=SERVICE)
        assert seen(old) == before
        with closing(Ledger.open(old, service=SERVICE)) as ledger:
            assert ledger.fact("layout") == "2"

    def test_a_newer_one_is_refused(self, ledger: Ledger, path: Path) -> None:
        with ledger.transaction():
            ledger.remember("layout", "3")
        ledger.close()
        with pytest.raises(LedgerError, match="another version"):
            Ledger.open(path, service=SERVICE)
        with pytest.raises(LedgerError, match="another version"):
            LedgerView.read(path)

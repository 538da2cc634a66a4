"""Which lost jobs are found again, by what, and what is never done without the user?"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from films import assert_all_filmed_once, calls, filmed, speaking
from jobs import JumpClock, in_ledger
from kling_async.bulk.videojudge import Jobs, Verdicts, judge_videos, video_candidates
from kling_async.bulk.videorecords import VideoRecord

from kling_async import AsyncKlingClient
from kling_async.bulk.ledger import Ledger
from kling_async.bulk.rows import row_of
from kling_async.emulator import Emulator, Fault
from kling_async.models.scheduler import RunningTask
from kling_async.models.tasks import Task

ACCOUNT = "a@b.c"
NOW_MS = 1_784_000_000_000


@pytest.fixture
def ledger_path(tmp_path: Path) -> Path:
    return tmp_path / "avatars.sqlite"


@pytest.fixture
def kling_options(emulator: Emulator) -> dict[str, Any]:
    return {"clock": JumpClock(emulator)}


def task(task_id: int, audio: str | None = None, at_ms: int = NOW_MS + 1000) -> Task:
    inputs = [{"name": "audio", "inputType": "URL", "url": audio}] if audio else []
    return Task.from_api(
        {"task": {"id": task_id, "createTime": at_ms, "taskInfo": {"inputs": inputs}}, "works": []}
    )


class Book:
    """A ledger whose videos were sent and whose answers were lost."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def sent(self, key: str, audio: str | None, kind: Any = "upload", state: str = "doubt") -> int:
        row = row_of(
            {"key": key, "image_url": f"https://x.y/{key}.png", "text": "Hi", "speaker_id": "v"}, 1
        )
        with self.ledger.transaction():
            (record,) = self.ledger.register([row], videos=True)
            self.ledger.ready(record.id, ACCOUNT, None, f"https://x.y/{key}.png")
            self.ledger.done(record.id, f"30000000{record.id}")
            self.ledger.videos.ready(record.id, audio, audio, kind)
            self.ledger.videos.intent(record.id, ACCOUNT)
            sent_s = NOW_MS / 1000
            self.ledger._db.execute("UPDATE videos SET intent_at = ?", (sent_s,))
            if state in ("doubt", "unknown"):
                self.ledger.videos.doubt(record.id, "lost")
            if state == "unknown":
                self.ledger.videos.unknown(record.id, "not found")
            if state == "ready":
                self.ledger.videos.not_carried_out(record.id, "refused")
        return record.id

    def video(self, key: str) -> VideoRecord:
        found = self.ledger.get(key).video
        assert found is not None
        return found

    def judge(
        self, running: Any = (), tasks: Any = (), account: str | None = ACCOUNT, **options: Any
    ) -> Verdicts:
        with self.ledger.transaction():
            return judge_videos(self.ledger, account, Jobs(running, tasks), **options)


@pytest.fixture
def book(ledger_path: Path) -> Any:
    with closing(Ledger.open(ledger_path, service="x")) as ledger:
        yield Book(ledger)


AUDIO = "https://cdn.example/u/1.mp3"


class TestEvidence:
    @pytest.mark.parametrize("email", [None, ACCOUNT, "A@B.C"])
    def test_the_scheduler_shows_our_name(self, book: Book, email: str | None) -> None:
        row_id = book.sent("ada", None, None)
        ref = book.video("ada").reply_ref
        verdicts = book.judge([RunningTask(id=7, email=email, reply_ref=ref)])
        assert (verdicts.adopted, verdicts.surplus) == ([row_id], [])
        assert (book.video("ada").state, book.video("ada").task_id) == ("running", 7)
        assert book.video("ada").evidence == "adopted"

    @pytest.mark.parametrize(
        ("email", "ref"), [("other@b.c", None), (ACCOUNT, "another"), (ACCOUNT, "")]
    )
    def test_what_is_not_ours(self, book: Book, email: str, ref: str | None) -> None:
        book.sent("ada", None, None)
        named = book.video("ada").reply_ref if ref is None else ref
        assert book.judge([RunningTask(id=7, email=email, reply_ref=named)]).adopted == []
        assert book.video("ada").state == "doubt"

    @pytest.mark.parametrize(
        "shown", [AUDIO, "https://other.host/u/1.mp3?x=1", "http://cdn.example/u/1.mp3"]
    )
    def test_the_tasks_show_audio_of_our_own(self, book: Book, shown: str) -> None:
        row_id = book.sent("ada", AUDIO)
        assert book.judge(tasks=[task(7, shown)]).adopted == [row_id]

    def test_audio_of_the_users_own_proves_nothing(self, book: Book) -> None:
        row_id = book.sent("ada", AUDIO, "url")
        jobs = Jobs((), [task(8), task(7, AUDIO), task(6, AUDIO, NOW_MS - 10**9)])
        assert book.judge(jobs.running, jobs.tasks).adopted == []
        row = book.ledger.row(row_id)
        assert video_candidates(book.ledger.videos, ACCOUNT, row, jobs) == ["7", "8"]

    def test_a_portrait_that_was_uploaded_for_the_row(self, book: Book) -> None:
        portrait = "https://cdn.example/u/p.png"
        for key, state in (("ada", "doubt"), ("ben", "doubt")):
            book.sent(key, None, None, state=state)
        row_id = book.ledger.get("ada").id
        of = "UPDATE rows SET token = '/u/p.png', token_kind = 'upload' WHERE key = ?"
        book.ledger._db.execute(of, ("ada",))
        assert book.judge(tasks=[task(7, portrait)]).adopted == [row_id]

    @pytest.mark.parametrize("kind", ["upload", "url"])
    def test_a_portrait_of_two_rows_or_the_users_own_proves_nothing(
        self, book: Book, kind: str
    ) -> None:
        for key in ("ada", "ben") if kind == "upload" else ("ada",):
            book.sent(key, None, None)
        book.ledger._db.execute("UPDATE rows SET token = '/u/p.png', token_kind = ?", (kind,))
        assert book.judge(tasks=[task(7, "https://cdn.example/u/p.png")]).adopted == []

    def test_audio_that_two_rows_have_proves_nothing(self, book: Book) -> None:
        book.sent("ada", AUDIO)
        book.sent("ben", AUDIO)
        assert book.judge(tasks=[task(7, AUDIO)]).adopted == []

    def test_a_task_that_is_older_than_the_row_is_another_ones(self, book: Book) -> None:
        book.sent("ada", AUDIO)
        assert book.judge(tasks=[task(7, AUDIO, NOW_MS - 700_000)]).adopted == []
        assert book.judge(tasks=[task(7, AUDIO, NOW_MS - 500_000)]).adopted != []  # clocks differ

    def test_the_oldest_of_several_is_taken_and_the_others_are_told(self, book: Book) -> None:
        book.sent("ada", AUDIO)
        ref = book.video("ada").reply_ref
        verdicts = book.judge([RunningTask(id=9, reply_ref=ref)], [task(7, AUDIO), task(8, AUDIO)])
        assert book.video("ada").task_id == 7
        assert verdicts.surplus == [8, 9]

    def test_what_another_row_has_is_not_taken(self, book: Book) -> None:
        one, _ = book.sent("ada", AUDIO), book.sent("ben", "https://cdn.example/u/2.mp3")
        with book.ledger.transaction():
            book.ledger.videos.adopt(one, ACCOUNT, 7, "settled")
        ref = book.video("ben").reply_ref
        assert book.judge([RunningTask(id=7, reply_ref=ref)]).adopted == []

    def test_an_unknown_video_is_found_late(self, book: Book) -> None:
        book.sent("ada", AUDIO, state="unknown")
        book.judge(tasks=[task(7, AUDIO)])
        assert book.video("ada").evidence == "adopted-late"

    def test_a_restored_ledger(self, book: Book) -> None:
        book.sent("ada", AUDIO, state="ready")
        ref = book.video("ada").reply_ref
        running = [RunningTask(id=7, reply_ref=ref)]
        assert book.judge(running).adopted == []
        assert book.judge(running, restored=True).adopted != []

    def test_another_accounts_rows_are_left_alone(self, book: Book) -> None:
        book.sent("ada", AUDIO)
        ref = book.video("ada").reply_ref
        found = book.judge([RunningTask(id=7, reply_ref=ref)], account="d@e.f")
        assert found.adopted == []


LOST = ["reset_after", "close_without_reply", "truncated_body", "html_200", "no_task_id"]


class TestRuns:
    @pytest.mark.parametrize("kind", [*LOST, "stall"])
    async def test_a_lost_answer_is_found_and_nothing_is_paid_twice(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger_path: Path, kind: str
    ) -> None:
        if kind == "stall":
            kling = kling.with_options(timeout=0.05)
        emulator.add_faults([Fault("avatars.video", kind, every=2)])
        found = await filmed(kling, speaking(4), ledger_path)
        assert {one.video_state for one in found.values()} == {"saved"}
        assert_all_filmed_once(emulator, ledger_path, 4)
        evidence = {one.video.evidence for one in in_ledger(ledger_path).values() if one.video}
        assert evidence == {"answer", "adopted"}

    @pytest.mark.parametrize("shows", ["scheduler", "tasks"])
    async def test_either_place_is_enough(
        self,
        open_client: Callable[..., Any],
        ledger_path: Path,
        shows: str,
    ) -> None:
        hidden = "history_lag_s" if shows == "scheduler" else "scheduler_lag_s"
        emulator = Emulator(**{hidden: 1e6}, job_s=20.0)  # type: ignore[arg-type]
        emulator.add_faults([Fault("avatars.video", "reset_after", at=1)])
        kling = await open_client(transport=emulator.transport(), clock=JumpClock(emulator))
        found = await filmed(kling, speaking(1), ledger_path)
        assert found["k1"].video_state == "saved"
        assert_all_filmed_once(emulator, ledger_path, 1)

    async def test_what_never_arrived_stays_unknown_and_is_not_sent_again(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger_path: Path
    ) -> None:
        emulator.add_faults([Fault("avatars.video", "reset_before", at=1)])
        for _ in range(3):
            found = await filmed(kling, speaking(2), ledger_path)
            states = sorted(str(one.video_state) for one in found.values())
            assert states == ["saved", "unknown"]
        assert len(calls(emulator, "avatars.video")) == 2
        (unknown,) = (one for one in found.values() if one.video_state == "unknown")
        assert "its job was looked for, for 120 s" in str(unknown.error)

    async def test_a_later_run_finds_what_shows_late(
        self, open_client: Callable[..., Any], ledger_path: Path
    ) -> None:
        emulator = Emulator(history_lag_s=9000.0, scheduler_lag_s=9000.0)
        emulator.add_faults([Fault("avatars.video", "reset_after", at=1)])
        kling = await open_client(transport=emulator.transport(), clock=JumpClock(emulator))
        first = await filmed(kling, speaking(1), ledger_path)
        assert first["k1"].video_state == "unknown"
        emulator.clock.advance(9000)
        later = await filmed(kling, speaking(1), ledger_path)
        assert later["k1"].video_state == "saved"
        assert in_ledger(ledger_path)["k1"].video.evidence == "adopted-late"  # type: ignore[union-attr]
        assert_all_filmed_once(emulator, ledger_path, 1)

    async def test_many_tasks_of_others_are_paged_through(
        self, open_client: Callable[..., Any], ledger_path: Path
    ) -> None:
        emulator = Emulator(history_lag_s=30.0, scheduler_lag_s=1e6)
        kling = await open_client(transport=emulator.transport(), clock=JumpClock(emulator))
        emulator.add_faults([Fault("avatars.video", "reset_after", at=1)])
        await filmed(
            kling.with_options(retry=evolve(kling._options.retry, reconcile_within_s=0)),
            speaking(1),
            ledger_path,
        )
        assert in_ledger(ledger_path)["k1"].video.state == "unknown"  # type: ignore[union-attr]
        avatar = emulator.avatars[0].id
        for n in range(60):  # they push it off the first page
            emulator.clock.advance(10)
            await kling.avatars.video(avatar_id=avatar, audio_url=f"https://x.y/{n}.mp3")
        found = await filmed(kling, speaking(1), ledger_path)
        assert found["k1"].video_state == "saved"

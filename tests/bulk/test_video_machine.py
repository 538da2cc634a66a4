"""Can any order of sends, losses, deaths, looks and decisions pay twice for a video, or lose one?

Hypothesis drives a real ledger and the real judge against a model of the server, as
`test_doubt_machine.py` does for avatars. A job that was lost may still begin, at any later time.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from attrs import define
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kling_async import LedgerError
from kling_async.bulk import videoledger as videoledger_module
from kling_async.bulk.ledger import Ledger
from kling_async.bulk.records import Record
from kling_async.bulk.rows import row_of
from kling_async.bulk.videodoubts import _given_up
from kling_async.bulk.videojudge import Jobs, judge_videos
from kling_async.bulk.videorecords import State
from kling_async.models.scheduler import RunningTask
from kling_async.models.tasks import Task

ACCOUNT = "a@b.c"
ROWS = st.lists(st.sampled_from(("speech", "text", "shared")), min_size=1, max_size=4)
MAY_EXIST: tuple[State, ...] = ("intent", "doubt", "unknown")
HAS_JOB: tuple[State, ...] = ("running", "made", "saved")


@define
class Sent:
    """A create on its way: it arrives at some time, or never; its sender waits, or has gone."""

    key: str
    ref: str
    audio: str | None
    waiting: bool = True
    task_id: int | None = None


@define
class Job:
    """What the server was made to begin."""

    id: int
    key: str | None
    ref: str | None
    audio: str | None
    begun_s: float
    over: bool = False


class VideoMachine(RuleBasedStateMachine):
    """One account, a few rows with avatars, and everything that may befall their videos."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.now_s = 1_784_000_000.0
        videoledger_module.time = SimpleNamespace(time=lambda: self.now_s)  # type: ignore[assignment]
        self.sent: list[Sent] = []
        self.jobs: list[Job] = []
        self.again: Counter[str] = Counter()
        """Times that the user had a row's job sent again."""
        self.ledger: Ledger | None = None

    def teardown(self) -> None:
        import time

        videoledger_module.time = time
        if self.ledger is not None:
            self.ledger.close()
        shutil.rmtree(self.folder)

    @initialize(
        kinds=st.lists(st.sampled_from(("speech", "text", "shared")), min_size=1, max_size=4)
    )
    def begin(self, kinds: list[str]) -> None:
        self.kinds = dict(enumerate(kinds))
        self.open()
        for n in self.kinds:
            row = row_of(
                {"key": str(n), "image_url": f"https://x.y/{n}.png", "text": "Hi",
                 "speaker_id": "v"}, n + 1
            )  # fmt: skip
            self.write(lambda ledger, row=row: ledger.register([row], videos=True))
            row_id = self.record(str(n)).id
            url = f"https://x.y/{n}.png"
            self.write(lambda ledger, i=row_id, u=url: ledger.ready(i, ACCOUNT, None, u))
            self.write(lambda ledger, i=row_id, n=n: ledger.done(i, f"30000000{n}"))

    def open(self) -> None:
        self.ledger = Ledger.open(self.folder / "a.sqlite", service="model")

    def write(self, act: Callable[[Ledger], Any]) -> None:
        assert self.ledger is not None
        with self.ledger.transaction():
            act(self.ledger)

    def record(self, key: str) -> Record:
        assert self.ledger is not None
        return self.ledger.get(key)

    def rows(self, *states: State) -> list[Record]:
        assert self.ledger is not None
        return [
            one for one in self.ledger.each() if one.video and one.video.state in (states or ALL)
        ]

    def picked(self, data: st.DataObject, among: list[Any]) -> Any:
        return data.draw(st.sampled_from(among))

    def seen(self) -> Jobs:
        """The scheduler shows running jobs with their names, the tasks those that are over."""
        running = [
            RunningTask(id=one.id, email=ACCOUNT, reply_ref=one.ref)
            for one in self.jobs if not one.over
        ]  # fmt: skip
        tasks = [
            Task.from_api({
                "task": {"id": one.id, "createTime": int(one.begun_s * 1000), "taskInfo": {
                    "inputs": [{"url": one.audio}] if one.audio else []}}})
            for one in self.jobs
        ]  # fmt: skip
        return Jobs(running, tasks)

    # --- the runner ---

    @rule(data=st.data())
    @precondition(lambda self: self.rows("planned", "ready"))
    def send(self, data: st.DataObject) -> None:
        record = self.picked(data, self.rows("planned", "ready"))
        assert record.video is not None
        kind = self.kinds[int(record.key)]
        if record.video.state == "planned":
            name = "shared" if kind == "shared" else f"{record.key}-{self.again[record.key]}"
            audio = None if kind == "text" else f"https://cdn.example/{name}.mp3"
            self.write(
                lambda ledger: ledger.videos.ready(
                    record.id, audio, audio, None if audio is None else "speech"
                )
            )
        self.write(lambda ledger: ledger.videos.intent(record.id, ACCOUNT))
        video = self.record(record.key).video
        assert video is not None
        self.sent.append(Sent(record.key, str(video.reply_ref), video.audio_url))

    @rule(data=st.data())
    @precondition(lambda self: any(one.task_id is None for one in self.sent))
    def arrive(self, data: st.DataObject) -> None:
        one = self.picked(data, [one for one in self.sent if one.task_id is None])
        one.task_id = 700 + len(self.jobs)
        self.jobs.append(Job(one.task_id, one.key, one.ref, one.audio, self.now_s))

    @rule(data=st.data())
    @precondition(lambda self: any(one.waiting and one.task_id for one in self.sent))
    def answer(self, data: st.DataObject) -> None:
        one = self.picked(data, [one for one in self.sent if one.waiting and one.task_id])
        self.sent.remove(one)
        row_id = self.record(one.key).id
        self.write(lambda ledger: ledger.videos.running(row_id, ACCOUNT, one.task_id or 0))

    @rule(data=st.data())
    @precondition(lambda self: any(one.waiting and not one.task_id for one in self.sent))
    def refuse(self, data: st.DataObject) -> None:
        """429, or it was never sent."""
        one = self.picked(data, [one for one in self.sent if one.waiting and not one.task_id])
        self.sent.remove(one)
        row_id = self.record(one.key).id
        self.write(lambda ledger: ledger.videos.not_carried_out(row_id, "too many"))

    @rule(data=st.data())
    @precondition(lambda self: any(one.waiting for one in self.sent))
    def lose(self, data: st.DataObject) -> None:
        one = self.picked(data, [one for one in self.sent if one.waiting])
        one.waiting = False
        row_id = self.record(one.key).id
        self.write(lambda ledger: ledger.videos.doubt(row_id, "lost"))

    @rule()
    def die(self) -> None:
        assert self.ledger is not None
        for one in self.sent:
            one.waiting = False
        self.ledger.close()
        self.open()
        self.write(lambda ledger: judge_videos(ledger, ACCOUNT, self.seen(), restored=True))

    @rule()
    def look(self) -> None:
        self.write(lambda ledger: judge_videos(ledger, ACCOUNT, self.seen()))

    @rule()
    @precondition(lambda self: self.rows("doubt"))
    def give_up(self) -> None:
        ids = [one.id for one in self.rows("doubt")]
        self.write(lambda ledger: _given_up(ledger, ACCOUNT, ids, self.seen(), 120.0))

    @rule(data=st.data(), well=st.booleans())
    @precondition(lambda self: self.rows("running"))
    def end(self, data: st.DataObject, well: bool) -> None:
        record = self.picked(data, self.rows("running"))
        assert record.video is not None
        (job,) = (one for one in self.jobs if one.id == record.video.task_id)
        job.over = True
        if well:
            self.write(lambda ledger: ledger.videos.made(record.id, job.id + 1, None))
        else:
            self.write(lambda ledger: ledger.videos.failed(record.id, "no face"))

    # --- the world ---

    @rule(seconds=st.sampled_from((1, 10, 6000)))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(data=st.data())
    @precondition(lambda self: any(not one.over for one in self.jobs))
    def over(self, data: st.DataObject) -> None:
        """A job ends, and the scheduler forgets it."""
        self.picked(data, [one for one in self.jobs if not one.over]).over = True

    @rule()
    def stranger(self) -> None:
        number = 700 + len(self.jobs)
        self.jobs.append(Job(number, None, f"theirs-{number}", None, self.now_s))

    # --- the user ---

    @rule(data=st.data())
    @precondition(lambda self: self.rows("unknown"))
    def resend(self, data: st.DataObject) -> None:
        record = self.picked(data, self.rows("unknown"))
        self.again[record.key] += 1
        self.write(lambda ledger: ledger.videos.resend(record.id, "by the user's word"))

    @rule()
    @precondition(lambda self: self.rows("failed"))
    def retry(self) -> None:
        for one in self.rows("failed"):
            self.again[one.key] += one.video is not None and one.video.evidence != "abandoned"
        self.write(lambda ledger: ledger.reopen_failed(0, 99, videos=True))

    @rule(data=st.data())
    @precondition(lambda self: self.rows("unknown"))
    def abandon(self, data: st.DataObject) -> None:
        record = self.picked(data, self.rows("unknown"))
        self.write(lambda ledger: ledger.videos.abandon(record.id))

    @rule(data=st.data())
    @precondition(lambda self: self.rows("unknown") and self.rows(*HAS_JOB))
    def adopt_anothers(self, data: st.DataObject) -> None:
        record = self.picked(data, self.rows("unknown"))
        other = self.picked(data, self.rows(*HAS_JOB))
        assert other.video is not None
        task_id = other.video.task_id or 0
        try:
            self.write(lambda ledger: ledger.videos.adopt(record.id, ACCOUNT, task_id, "settled"))
        except LedgerError:
            assert self.rows("unknown").count(record) == 1
        else:
            raise AssertionError("one job, two rows")

    # --- the promise ---

    @invariant()
    def nothing_is_paid_twice(self) -> None:
        paid = Counter(one.key for one in self.jobs if one.key is not None)
        assert all(count <= 1 + self.again[key] for key, count in paid.items())

    @invariant()
    def what_is_known_is_true(self) -> None:
        if self.ledger is None:
            return
        truth = {one.id: one.key for one in self.jobs}
        for record in self.rows(*HAS_JOB):
            assert record.video is not None
            assert truth[record.video.task_id or 0] == record.key, record

    @invariant()
    def what_was_paid_for_is_not_forgotten(self) -> None:
        if self.ledger is None:
            return
        paid = {one.key for one in self.jobs if one.key is not None}
        for record in self.rows():
            assert record.video is not None
            if record.key in paid and record.video.state not in (*HAS_JOB, *MAY_EXIST):
                # It failed at Kling, or the user has said so: to be sent again, or abandoned.
                failed = record.video.state == "failed"
                assert failed or self.again[record.key], record


ALL: tuple[State, ...] = ("planned", "ready", "failed", *MAY_EXIST, *HAS_JOB)
TestVideos = VideoMachine.TestCase
TestVideos.settings = settings(
    max_examples=80,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

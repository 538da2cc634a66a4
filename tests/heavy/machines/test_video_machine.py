"""Can any order of sends, losses, deaths, looks and decisions pay twice for a video, or lose one?

The rules that videos share with avatars are in `machine.py`.
"""

from __future__ import annotations

from attrs import define
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule
from machine import EXAMPLES, OPEN, LedgerMachine, Sent

from kling_async.bulk import videoledger as videoledger_module
from kling_async.bulk.ledger import Ledger
from kling_async.bulk.records import Record
from kling_async.bulk.rows import row_of
from kling_async.bulk.videodoubts import _given_up
from kling_async.bulk.videojudge import Jobs, judge_videos
from kling_async.bulk.videoledger import VideoLedger
from kling_async.bulk.videorecords import VideoRecord
from kling_async.models.scheduler import RunningTask
from kling_async.models.tasks import Task

ACCOUNT = "a@b.c"


@define(kw_only=True)
class SentJob(Sent):
    """The create of a video."""

    ref: str
    audio: str | None


@define
class Job:
    """What the server was made to begin."""

    id: int
    key: str | None
    ref: str | None
    audio: str | None
    begun_s: float
    over: bool = False


class VideoMachine(LedgerMachine):
    """The videos of rows whose avatars are there."""

    clocked = videoledger_module
    known = ("running", "made", "saved")

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[Job] = []

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

    # --- what is paid for ---

    def half(self, ledger: Ledger) -> VideoLedger:
        return ledger.videos

    def made_of(self, row: Record) -> int | None:
        return video(row).task_id

    def state_of(self, row: Record) -> str:
        return video(row).state

    def truth(self) -> dict[int, str | None]:
        return {one.id: one.key for one in self.jobs}

    def excused(self, row: Record) -> bool:
        """It failed at Kling, or was abandoned."""
        return video(row).state == "failed"

    def answered(self, ledger: Ledger, row: Record, made: int) -> None:
        ledger.videos.running(row.id, ACCOUNT, made)

    def adopt(self, ledger: Ledger, row: Record, made: int) -> None:
        ledger.videos.adopt(row.id, ACCOUNT, made, "settled")

    def first_look(self, ledger: Ledger) -> None:
        judge_videos(ledger, ACCOUNT, self.seen(), restored=True)

    def judge(self, ledger: Ledger) -> None:
        judge_videos(ledger, ACCOUNT, self.seen())

    def given_up(self, ledger: Ledger, row_ids: list[int]) -> None:
        _given_up(ledger, ACCOUNT, row_ids, self.seen(), 120.0)

    # --- the server ---

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

    @rule(data=st.data())
    @precondition(lambda self: any(one.made is None for one in self.sent))
    def arrive(self, data: st.DataObject) -> None:
        one = self.picked(data, [one for one in self.sent if one.made is None])
        one.made = 700 + len(self.jobs)
        self.jobs.append(Job(one.made, one.key, one.ref, one.audio, self.now_s))

    @rule(data=st.data())
    @precondition(lambda self: any(not one.over for one in self.jobs))
    def over(self, data: st.DataObject) -> None:
        """A job ends, and the scheduler forgets it."""
        self.picked(data, [one for one in self.jobs if not one.over]).over = True

    @rule()
    def stranger(self) -> None:
        number = 700 + len(self.jobs)
        self.jobs.append(Job(number, None, f"theirs-{number}", None, self.now_s))

    # --- the runner ---

    @rule(data=st.data())
    @precondition(lambda self: self.rows(*OPEN))
    def send(self, data: st.DataObject) -> None:
        record = self.picked(data, self.rows(*OPEN))
        kind = self.kinds[int(record.key)]
        if video(record).state == "planned":
            name = "shared" if kind == "shared" else f"{record.key}-{self.again[record.key]}"
            audio = None if kind == "text" else f"https://cdn.example/{name}.mp3"
            self.write(
                lambda ledger: ledger.videos.ready(
                    record.id, audio, audio, None if audio is None else "speech"
                )
            )
        self.write(lambda ledger: ledger.videos.intent(record.id, ACCOUNT))
        now = video(self.record(record.key))
        self.sent.append(SentJob(key=record.key, ref=str(now.reply_ref), audio=now.audio_url))

    @rule(data=st.data(), well=st.booleans())
    @precondition(lambda self: self.rows("running"))
    def end(self, data: st.DataObject, well: bool) -> None:
        record = self.picked(data, self.rows("running"))
        (job,) = (one for one in self.jobs if one.id == video(record).task_id)
        job.over = True
        if well:
            self.write(lambda ledger: ledger.videos.made(record.id, job.id + 1, None))
        else:
            self.write(lambda ledger: ledger.videos.failed(record.id, "no face"))

    # --- the user ---

    @rule()
    @precondition(lambda self: self.rows("failed"))
    def retry(self) -> None:
        for one in self.rows("failed"):
            self.again[one.key] += video(one).evidence != "abandoned"
        self.write(lambda ledger: ledger.reopen_failed(0, 99, videos=True))


def video(record: Record) -> VideoRecord:
    """A row's video; all of these have one."""
    assert record.video is not None
    return record.video


TestVideos = VideoMachine.TestCase
TestVideos.settings = EXAMPLES

"""What becomes of a task, and when? Its life is a function of the time; nothing runs for it.

A task is submitted, then processed, then final after its `job_s`. Whoever looks reads the state of
that moment, so a clock pushed forward finishes jobs and a stopped one does not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from attrs import define, field, frozen

from .clock import EmulatorClock

State = Literal["submitted", "processing", "succeed", "failed"]
STATUS: Mapping[str, int] = {
    "submitted": 5,
    "processing": 10,  # this number and that of failed circulate, but no vendor page confirms them
    "failed": 50,
    "succeed": 99,
}
TRACKED_S = 3600.0  # how long the scheduler follows a task, documented
_SUBMITTED_SHARE = 0.2  # of the job, spent waiting for its turn; the vendor's is unknown


@frozen
class TaskInput:
    """A file a task was made from; `url` is the one of the create, `shown_url` what records say.

    `work_id` is of the work it is, None for other files.
    """

    name: str
    url: str
    shown_url: str
    work_id: int | None = None


@frozen
class Work:
    """A file a task makes; the address belongs to `id`, the bytes to id and kind."""

    id: int
    task_id: int
    account: str
    kind: Literal["video", "audio", "image"]
    width: int
    height: int
    duration_ms: int


@define(kw_only=True, eq=False)
class Task:
    """A job that was really started, and paid.

    Args:
        id: what the create answered.
        account: e-mail it belongs to.
        type: the vendor's name of what it does.
        inputs: the files it was made from.
        arguments: the other values, as texts.
        payloads: what its record says in `callbackPayloads`.
        reply_url: where its webhooks go, None for nowhere.
        reply_ref: the caller's own reference, None where none was given.
        credits: what it has cost, in an invented unit; given back to nobody.
        create_time_ms: wall time of the create.
        call_number: number of the creating call in `Emulator.calls`.
        origin: where the addresses in its webhooks point.
        started_s: clock time of the create.
        job_s: seconds from there to the final state; infinite for a job that hangs.
        planned_works: what it will have made by then, unless it fails.
        failure: why it fails, None for a job that succeeds.
        lost_after_s: seconds after which nobody finds it any more, None for never.
        hidden_s: from when to when after the create it is not known by its id; listings show it.
        foreign: whether somebody else on the account started it.
        tracked: whether it was started through this token, so that the scheduler follows it.
        forgotten: whether its tracking was stopped; the job runs on.
        deleted: whether its results were deleted.
        clock: what its state goes by.
    """

    id: int
    account: str
    type: str
    inputs: tuple[TaskInput, ...]
    arguments: Mapping[str, str]
    reply_url: str | None
    reply_ref: str | None
    credits: int
    create_time_ms: int
    call_number: int
    origin: str = field(repr=False)
    started_s: float
    job_s: float
    planned_works: tuple[Work, ...] = field(repr=False)
    payloads: tuple[Mapping[str, object], ...] = ()
    failure: str | None = None
    lost_after_s: float | None = None
    hidden_s: tuple[float, float] = (0.0, 0.0)
    foreign: bool = False
    tracked: bool = True
    forgotten: bool = False
    deleted: bool = False
    clock: EmulatorClock = field(repr=False)

    @property
    def state(self) -> State:
        """submitted, processing, succeed or failed, at this moment."""
        return self.state_at(self.clock.monotonic())

    @property
    def works(self) -> tuple[Work, ...]:
        """What it has made by now; nothing before it has succeeded."""
        return self.planned_works if self.state == "succeed" else ()

    @property
    def input_urls(self) -> tuple[str, ...]:
        """The addresses of its inputs, as the create gave them."""
        return tuple(one.url for one in self.inputs)

    @property
    def final_s(self) -> float:
        """Clock time of the final state."""
        return self.started_s + self.job_s

    @property
    def processing_s(self) -> float:
        """Clock time at which processing begins."""
        return self.started_s + (self.job_s if math.isfinite(self.job_s) else 1) * _SUBMITTED_SHARE

    def state_at(self, now_s: float) -> State:
        """The state at a clock time."""
        if now_s >= self.final_s:
            return "succeed" if self.failure is None else "failed"
        return "processing" if now_s >= self.processing_s else "submitted"

    def is_final_at(self, now_s: float) -> bool:
        """Whether it is over at a clock time."""
        return now_s >= self.final_s

    def is_there_at(self, now_s: float) -> bool:
        """Whether anybody can find it: neither deleted nor lost."""
        lost = self.lost_after_s is not None and now_s >= self.started_s + self.lost_after_s
        return not self.deleted and not lost

    def is_hidden_at(self, now_s: float) -> bool:
        """Whether its id is not known just now, although it is there."""
        return self.hidden_s[0] <= now_s - self.started_s < self.hidden_s[1]

    def is_tracked_at(self, now_s: float) -> bool:
        """Whether it takes a job slot: not final, not forgotten, not older than an hour."""
        return (
            not self.forgotten
            and not self.is_final_at(now_s)
            and now_s - self.started_s < TRACKED_S
        )

    def updated_ms(self, now_s: float) -> int:
        """Wall time of its latest change, as seen at a clock time."""
        state = self.state_at(now_s)
        if state == "submitted":
            return self.create_time_ms
        since_s = (self.processing_s if state == "processing" else self.final_s) - self.started_s
        return self.create_time_ms + int(since_s * 1000)

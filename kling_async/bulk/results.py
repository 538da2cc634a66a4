"""What does a user see of rows that were carried out? A result of each, and counts of them all.

`BulkResult` is of any operation, `BulkRow` of avatars.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from attrs import define, field, frozen

from ..errors import JSON
from ..models.responses import plain
from .flat import OF_ANY, OF_AVATARS, OF_VIDEOS, SHOWN, ResultState, is_avatar
from .machine import State
from .records import Row, Step

RowState = Literal["created", "failed", "unknown", "skipped"]
VideoState = Literal["saved", "failed", "unknown", "running", "made", "skipped"]


@frozen
class RowResult:
    """What became of a row in this run.

    Args:
        row: as the ledger has it now.
        state: of its first open step, as the user shall see it; None: as the ledger says.
        why: what to say of it; default: the step's error.
        account: whose it would have been, where the ledger does not say.
        step: the number of the step that `state` is of; default: the first that is not done.
    """

    row: Row
    state: State | None = None
    why: str | None = None
    account: str | None = None
    step: int | None = None

    @property
    def current(self) -> Step | None:
        """The step that the row is at; None: all are done."""
        if self.step is not None:
            return self.row.steps[self.step - 1]
        return self.row.current


@define
class StepCounts:
    """What became of the steps of one number."""

    done: int = 0
    failed: int = 0
    unknown: int = 0
    left: int = 0
    """What the next run goes on with."""
    found: int = 0
    """Done, with the answer lost: found in what the account lists."""

    def add(self, step: Step, state: State) -> None:
        """One more, that is in `state` for the user."""
        if state == "done":
            self.done += 1
            self.found += (step.evidence or "").startswith("adopted")
        elif state == "failed":
            self.failed += 1
        elif state in ("unknown", "doubt", "intent"):
            self.unknown += 1
        else:
            self.left += 1


@define
class RunCounts:
    """What a run has done so far."""

    steps: dict[int, StepCounts] = field(factory=dict)
    """Step number -> what became of those steps."""
    resumed: int = 0
    """Rows that were settled before this run began."""
    under_way: int = 0
    settled: int = 0
    """Rows whose result is known, those of earlier runs included."""
    done: int = 0
    """Rows that have all that this run was to make of them."""

    def of(self, number: int) -> StepCounts:
        """The counts of the steps of this number."""
        found = self.steps.get(number)
        if found is None:
            found = self.steps[number] = StepCounts()
        return found

    def row(self, result: RowResult, counted: int, made: int | None) -> None:
        """A row is settled.

        Args:
            result: of the row.
            counted: how many of its steps were counted before.
            made: how many of them this run carries out; None: all.
        """
        self.settled += 1
        current = result.current
        for step in result.row.steps[counted:made]:
            state = step.state
            if step is current and result.state is not None:
                state = result.state
            self.of(step.number).add(step, state)
            if state != "done":
                return
        self.done += 1


def given_before(row: Row) -> RowResult:
    """What is said of a second row of the same key."""
    text = "its key was given before; keys must differ. Nothing was sent for this row"
    return RowResult(row, "failed", text, step=1)


def given_otherwise(row: Row) -> RowResult:
    """What is said of a row that differs from what was made of it; the ledger's record stays."""
    text = (
        f"this row differs from what the ledger recorded under the key {row.key!r}, and that was "
        "made or sent; nothing was sent for it now. Restore it, give it another key, or use "
        "another ledger"
    )
    return RowResult(row, "failed", text, step=row.differs_in)


@frozen(kw_only=True)
class BulkRow:
    """What became of one row of a bulk job.

    `state` is "created" (with its `avatar_id`, in this run or an earlier one), "failed" (the server
    or a check refused it; `error` says why), "unknown" (it may have been made: its answer was lost)
    or "skipped" (nothing was sent in this run, and the next run will do it; `error` says why).

    `video_state` is None where the ledger knows of no video for the row, else "saved" (the file is
    `video_file`), "failed" (refused, failed at Kling, or not to be downloaded; `error` says why),
    "unknown" (the job may have begun: its answer was lost), "running" (the job `task_id` goes on at
    Kling), "made" (it is there and not downloaded yet) or "skipped" (nothing was sent for it). What
    is running, made or skipped goes on in the next run.
    """

    key: str
    state: RowState
    avatar_id: str | None = None
    account: str | None = None
    error: str | None = None
    attempts: int = 0
    evidence: str | None = None
    """How the avatar is known: "answer", "given" with the row, or "adopted" and its like where the
    answer was lost."""
    video_state: VideoState | None = None
    task_id: int | None = None
    """The video's job at Kling."""
    video_file: str | None = None
    """Where the video is, an absolute path."""
    video_attempts: int = 0
    """How often the video's job was about to go out; a pause may have held it back even then."""
    columns: Mapping[str, JSON] = field(factory=dict, repr=False)
    """The input's own columns."""

    @property
    def is_done(self) -> bool:
        """Whether all of it is there: its avatar, and its video if the ledger knows of one."""
        return self.state == "created" and self.video_state in (None, "saved")

    def to_dict(self) -> dict[str, Any]:
        """Its fields as plain JSON values.

        Examples:
            >>> rows = kling.avatars.create_many([{"image": "ada.jpg"}], ledger="ada.sqlite")
            >>> [row.to_dict()["state"] async for row in rows]
            ['created']
        """
        return plain(self)


@frozen(kw_only=True)
class StepResult:
    """What became of one request of a row."""

    number: int
    """Its place in the row, from 1."""
    operation: str
    state: ResultState
    remote_id: str | None = None
    """What it made: an avatar's id, a task's."""
    files: tuple[str, ...] = ()
    error: str | None = None
    attempts: int = 0
    evidence: str | None = None
    candidates: tuple[str, ...] = ()
    """Ids of things that could be it, where its outcome is unknown."""


@frozen(kw_only=True)
class BulkResult:
    """What became of one row of a bulk job, whatever its operation.

    `state` is "done" (all of it is there), "failed" (`error` says why), "unknown" (it may have been
    carried out: an answer was lost), "running" (its task goes on at Kling, or its file is still to
    be fetched) or "skipped" (nothing was sent in this run; the next run does it). The other values
    are those of the row's last step that was begun, or else of its first.
    """

    key: str
    state: ResultState
    operation: str
    remote_id: str | None = None
    """What was made: an avatar's id, a task's."""
    task_id: int | None = None
    account: str | None = None
    files: tuple[str, ...] = ()
    """Where the results are, absolute paths."""
    error: str | None = None
    attempts: int = 0
    """How often it was about to go out; a pause may have held it back even then."""
    evidence: str | None = None
    """How `remote_id` is known: "answer", "given" with the row, or "adopted" and its like where the
    answer was lost."""
    columns: Mapping[str, JSON] = field(factory=dict, repr=False)
    """The input's own columns."""
    steps: tuple[StepResult, ...] = ()

    @property
    def is_done(self) -> bool:
        """Whether all of it is there."""
        return self.state == "done"

    def to_dict(self) -> dict[str, Any]:
        """Its fields as plain JSON values, its steps among them.

        Examples:
            >>> [one.to_dict()["state"] async for one in kling.bulk.results("avatars.sqlite")]
            ['unknown']
        """
        return plain(self)


def bulk_result(result: RowResult) -> BulkResult:
    """A row's result as users see it."""
    steps = tuple(_step_result(one, result) for one in result.row.steps)
    open_step = result.current
    shown = next((one for one in reversed(result.row.steps) if one.attempts or one.remote_id), None)
    step = open_step or shown or result.row.steps[-1]
    known = steps[step.number - 1]
    return BulkResult(
        key=result.row.key,
        state=known.state if result.state is None else SHOWN[result.state],
        operation=step.operation,
        remote_id=step.remote_id,
        task_id=step.task_id,
        account=_account(result),
        files=tuple(file for one in steps for file in one.files),
        error=result.why or step.error,
        attempts=step.attempts,
        evidence=step.evidence,
        columns=result.row.columns,
        steps=steps,
    )


def bulk_row(result: RowResult, *, made: int | None = None) -> BulkRow:
    """A row of avatars, and perhaps videos, as users see it.

    Args:
        result: of the runner, or the ledger's row alone.
        made: how many steps the run carries out; a video that none was to make is not mentioned.
    """
    row = result.row
    avatar = row.steps[0]
    video = row.steps[1] if len(row.steps) > 1 else None
    if video is not None and made == 1 and video.state == "planned" and not video.attempts:
        video = None
    first_open = result.current
    state = SHOWN[avatar.state]
    if result.state is not None and first_open is avatar:
        state = SHOWN[result.state]
    video_state: VideoState | None = None
    file = None
    if video is not None:
        named: dict[State, VideoState] = {"done": "saved", "made": "made"}
        of_video = video.state
        if result.state is not None and first_open is video:
            of_video = result.state
        shown = SHOWN[of_video]
        video_state = named.get(of_video) or (shown if shown != "done" else "saved")
        file = video.works[0].file if video.state == "done" and video.works else None
    error = result.why or avatar.error
    if error is None and video is not None:
        error = video.error
    return BulkRow(
        key=row.key,
        state="created" if state == "done" else "skipped" if state == "running" else state,
        avatar_id=avatar.remote_id,
        account=_account(result),
        error=error,
        attempts=avatar.attempts,
        evidence=avatar.evidence,
        video_state=video_state,
        task_id=None if video is None else video.task_id,
        video_file=file,
        video_attempts=0 if video is None else video.attempts,
        columns=row.columns,
    )


def flat_result(result: RowResult) -> dict[str, Any]:
    """The row as one flat JSON object, as `flat` gives it, with what this run has to say of it."""
    row = result.row
    told: dict[str, Any] = dict(row.columns)
    if is_avatar(row):
        of_avatar = bulk_row(result)
        told |= {name: getattr(of_avatar, name) for name in OF_AVATARS}
        if of_avatar.video_state is not None:
            told |= {name: getattr(of_avatar, name) for name in OF_VIDEOS}
    else:
        of_any = bulk_result(result)
        told |= {name: getattr(of_any, name) for name in OF_ANY}
        told["files"] = list(of_any.files)
    return told


def trouble_of(result: RowResult, *, line: int | None = None, before: float = 0.0) -> str | None:
    """A line for a row that did not come out as it should; None: it did, or goes on.

    Args:
        result: of the row.
        line: of the input on which the row begins; None: its number among the rows is said.
        before: epoch seconds; what is older was said in an earlier run, and is marked as such.
    """
    known = bulk_result(result)
    if known.state not in ("failed", "unknown"):
        return None
    step = result.current
    of = row_name(result.row, line)
    if step is not None and step.number > 1:
        of = f"{noun_of(step)} of {of}"
    when = " in an earlier run" if is_earlier(result, before) else ""
    return f"{of} {known.state}{when}: {known.error}"


def is_earlier(result: RowResult, before: float) -> bool:
    """Whether the row came to its state before that time, and this run did nothing with it."""
    step = result.current
    return result.state is None and step is not None and step.changed_at < before


def row_name(row: Row, line: int | None = None) -> str:
    """How people find a row: by its line, its key, and the name of its picture."""
    given = (step.payload.get(name) for step in row.steps for name in ("image", "image_url"))
    picture = next((one.rpartition("/")[2] for one in given if isinstance(one, str)), "")
    place = f"row {row.position}" if line is None else f"line {line}"
    return f"{place} ({row.key}{', ' if picture else ''}{picture})"


def noun_of(step: Step) -> str:
    """What the step makes, in a word."""
    return "video" if step.operation == "avatars.video" else step.kind


def _account(result: RowResult) -> str | None:
    known = (one.account for one in reversed(result.row.steps) if one.account is not None)
    return next(known, result.account)


def _step_result(step: Step, result: RowResult) -> StepResult:
    is_open = result.current is step
    return StepResult(
        number=step.number,
        operation=step.operation,
        state=SHOWN[result.state if is_open and result.state is not None else step.state],
        remote_id=step.remote_id,
        files=tuple(one.file for one in step.works if one.file and one.size_bytes is not None),
        error=(result.why if is_open else None) or step.error,
        attempts=step.attempts,
        evidence=step.evidence,
        candidates=tuple(step.candidates),
    )

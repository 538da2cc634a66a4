"""What is a row, before and after? Values only; who reads, keeps or sends them is elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

from attrs import asdict, field, fields, frozen

from ..errors import JSON, InvalidRequestError
from ..models.avatars import CreateAvatar
from ..models.checks import Digits, Email, Text
from .plain import digest_of, plain
from .videorows import VIDEO_FIELDS, VideoInput, video_of

RowState = Literal["created", "failed", "unknown", "skipped"]
VideoState = Literal["saved", "failed", "unknown", "running", "made", "skipped"]


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


@frozen(kw_only=True)
class RowInput:
    """One row as it was read: what to make, and its name in the ledger.

    Where the row can't be sent, `problems` (field -> what is wrong) is filled and `request` None.
    """

    key: str
    position: int
    """Its number in the input, from 1."""
    digest: str
    """Tells this row's avatar from another's, whatever its key; the video has a digest of its own,
    so that a text may be added to a row whose avatar is there."""
    payload: Mapping[str, JSON]
    """The request's fields as JSON; a file by its absolute path, bytes by their digest."""
    columns: Mapping[str, JSON] = field(factory=dict, repr=False)
    request: CreateAvatar | None = field(default=None, repr=False)
    avatar_id: str | None = None
    """An avatar that exists already, so that none is made."""
    video: VideoInput | None = None
    problems: Mapping[str, str] = field(factory=dict)
    line: int | None = None
    """The line of the file it begins on, where it came from one."""


def row_of(
    given: CreateAvatar | Mapping[str, Any],
    position: int,
    *,
    columns: Mapping[str, JSON] | None = None,
    line: int | None = None,
) -> RowInput:
    """The row that a request, or a mapping of its fields and perhaps a `key`, stands for.

    Looks into image and audio files: call it in a thread. What can't be a request becomes a
    `problem`.

    Args:
        given: `CreateAvatar`, or its fields by name; a mapping may hold `avatar_id` in their place,
            and those of a video.
        position: its number in the input, from 1.
        columns: what the export shows of the input; default: the fields that were given.
        line: of the file it came from.
    """
    key: Any = None
    avatar_id: str | None = None
    video = None
    if isinstance(given, CreateAvatar):
        request: CreateAvatar | None = given
        fields_given: dict[str, Any] = asdict(given, recurse=False)
        problems = dict[str, str]()
    elif not isinstance(given, Mapping):
        text = f"must be a CreateAvatar, or a mapping of its fields, not {type(given).__name__}"
        request, fields_given, problems = None, {}, {"row": text}
    else:
        fields_given = dict(given)
        key = fields_given.pop("key", None)
        made = fields_given.get("avatar_id")
        if isinstance(made, int) and not isinstance(made, bool):
            made = fields_given["avatar_id"] = str(made)  # JSON may hold it as a number
        avatar_id = cast("str | None", made)  # `_given` says what is wrong with anything else
        request, problems = _made(fields_given) if avatar_id is None else _given(fields_given)
        video, of_video = video_of(fields_given)
        if avatar_id is not None and video is None and not of_video:
            of_video = {"avatar_id": "needs a text, audio or audio_url: it has its avatar already"}
        problems = {**problems, **of_video}
    as_given = {name: plain(value) for name, value in fields_given.items() if value is not None}
    payload = _without_video(as_given) if request is None else _payload_of(request)
    shown = as_given if columns is None else columns
    if key is not None and (problem := Text()(key)) is not None:
        problems = {"key": problem, **problems}
        key = None
    digest = digest_of(_without_video(shown))
    return RowInput(
        key=key if key is not None else f"row-{position}-{digest[:8]}",
        position=position,
        digest=digest,
        payload=payload,
        columns=shown,
        request=None if problems else request,
        avatar_id=None if problems else avatar_id,
        video=video,
        problems=problems,
        line=line,
    )


def _payload_of(request: CreateAvatar) -> dict[str, JSON]:
    given = asdict(request, recurse=False)
    return {name: plain(value) for name, value in given.items() if value is not None}


def _without_video(content: Mapping[str, JSON]) -> dict[str, JSON]:
    return {name: value for name, value in content.items() if name not in VIDEO_FIELDS}


_FIELDS = frozenset(one.name for one in fields(CreateAvatar))
_BESIDE_GIVEN = frozenset({"avatar_id", "email", *VIDEO_FIELDS})


def _made(given: Mapping[str, Any]) -> tuple[CreateAvatar | None, dict[str, str]]:
    """The request for a new avatar, and what is wrong with it."""
    known = f"known are {', '.join(sorted({*_FIELDS, 'avatar_id', *VIDEO_FIELDS}))}"
    strange = set(given) - _FIELDS - _BESIDE_GIVEN
    problems = dict.fromkeys(strange, f"is no field of an avatar; {known}")
    try:
        request = CreateAvatar(**{name: given[name] for name in given if name in _FIELDS})
    except InvalidRequestError as exc:
        return None, {**problems, **exc.problems}
    return request, problems


def _given(given: Mapping[str, Any]) -> tuple[None, dict[str, str]]:
    """No request, as the avatar exists; what is wrong with naming it."""
    problems = {
        name: "is for a new avatar, and avatar_id names one that exists; keep one of the two"
        for name, value in given.items()
        if name not in _BESIDE_GIVEN and value is not None
    }
    for name, check in (("avatar_id", Digits()), ("email", Email())):
        if given.get(name) is not None and (problem := check(given[name])) is not None:
            problems[name] = problem
    return None, problems

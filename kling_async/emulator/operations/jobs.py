"""How is a paid job described, by what it takes and what it makes? A table has one row for each.

A row says its fields and their limits, which of them are files, what no single field can say
(`rules`), and the works it makes; the rest is the same for all and stands below the table. The
scheduler trio and `email` belong to every row and are not listed. The rows are in `video_jobs.py`
and `image_jobs.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from attrs import frozen

from ..messages import Reply
from ..operation import API_ROOT, Context, Operation
from .media import upload_behind
from .starting import Input, Job, WorkPlan, read_tracking, start
from .video_models import DEFAULT_S, MOST_SHOTS, size_px

MAX_PROMPT_CHARS = 2500

Values = Mapping[str, object]
"""The fields a create gave, read; those it left out are not there."""
FieldKind = Literal["text", "choice", "number", "whole", "flag", "image", "video", "audio"]


@frozen
class JobField:
    """One field of a job.

    Args:
        name: as the API spells it.
        kind: how it is read; image, video and audio are addresses of such files.
        required: whether it must be there.
        max_chars: of a text.
        values: of a choice.
        low: least number.
        high: largest number.
        read: what it stands for, where that is to be looked up; raises Refusal.
    """

    name: str
    kind: FieldKind
    required: bool = False
    max_chars: int | None = None
    values: tuple[str, ...] = ()
    low: float = 0
    high: float = 0
    read: Callable[[Context, str], object] | None = None

    @property
    def is_file(self) -> bool:
        """Whether it is the address of a file the job is made from."""
        return self.kind in ("image", "video", "audio")


@frozen
class JobSpec:
    """One row of the table.

    Args:
        name: what faults and call records say; its address follows from it.
        task_type: the vendor's name of the task.
        fields: what it takes besides `email` and the scheduler trio.
        arguments: what the task's record says of them; files are its inputs.
        works: the kind, size and length of each work.
        credits: what it costs; default: an invented price.
        rules: what no single field can say; each raises Refusal.
        inputs: names, addresses and works of its inputs; default: its files.
        payloads: what its record says in `callbackPayloads`.
        bare_status: whether the task in the answer has a number alone for its status.
    """

    name: str
    task_type: str
    fields: tuple[JobField, ...]
    arguments: Callable[[Values], Mapping[str, object]] = lambda given: {}
    works: Callable[[Values], tuple[WorkPlan, ...]] = lambda given: (one_video(),)
    credits: Callable[[Values], float] = lambda given: 20
    rules: tuple[Callable[[Values], object], ...] = ()
    inputs: Callable[[Values], tuple[Input, ...]] | None = None
    payloads: Callable[[Values], tuple[Mapping[str, object], ...]] = lambda given: ()
    bare_status: bool = False

    @property
    def path(self) -> str:
        """Behind the root of the API."""
        return "/" + self.name.replace(".", "/").replace("_", "-")


def one_video(mode: str = "std", ratio: str = "16:9", seconds: float = DEFAULT_S) -> WorkPlan:
    """A video of that size and length."""
    width, height = size_px(mode, ratio if ratio != "auto" else "16:9")
    return WorkPlan("video", width, height, round(seconds * 1000))


def text(name: str, *, required: bool = False) -> JobField:
    """A text of at most 2500 characters."""
    return JobField(name, "text", required, max_chars=MAX_PROMPT_CHARS)


def choice(name: str, *values: str) -> JobField:
    """One of the values."""
    return JobField(name, "choice", values=values)


def whole(name: str, low: int, high: int) -> JobField:
    """A whole number from `low` to `high`."""
    return JobField(name, "whole", low=low, high=high)


SHOTS = tuple(
    field
    for number in range(1, MOST_SHOTS + 1)
    for field in (text(f"shot_{number}_prompt"), whole(f"shot_{number}_duration", 1, 15))
)
"""Several shots instead of `prompt` and `duration`."""


def work_of(spec: JobSpec) -> Callable[[Context], Reply]:
    """What carries out a row."""

    def work(context: Context) -> Reply:
        given: dict[str, object] = {}
        for field in spec.fields:
            value = _read(field, context)
            if value is not None:
                given[field.name] = value
        tracking = read_tracking(context.fields)
        for rule in spec.rules:
            rule(given)
        files = [field.name for field in spec.fields if field.is_file and field.name in given]
        named = spec.inputs(given) if spec.inputs else [(n, str(given[n]), None) for n in files]
        job = Job(
            type=spec.task_type,
            inputs=tuple(named),
            arguments={name: _shown(value) for name, value in spec.arguments(given).items()},
            works=spec.works(given),
            credits=round(spec.credits(given)),
            payloads=spec.payloads(given),
            bare_status=spec.bare_status,
        )
        return start(job, tracking, context)

    return work


def _read(field: JobField, context: Context) -> object | None:
    """The value of a field, None where it was left out."""
    given, name = context.fields, field.name
    if field.required or given.has(name):
        if field.read is not None:
            return field.read(context, name)
        if field.kind == "flag":
            return given.flag(name)
        if field.is_file:
            url = given.web_url(name)
            upload_behind(url, context, name, field.kind)
            return url
        if field.kind == "text" and field.required:
            return given.needed_text(name, max_chars=field.max_chars)
    if field.kind == "text":
        return given.text(name, max_chars=field.max_chars)
    if field.kind == "choice":
        return given.choice(name, field.values)
    if field.kind == "whole":
        return given.whole(name, low=int(field.low), high=int(field.high))
    if field.kind == "number":
        return given.number(name, low=field.low, high=field.high)
    return None


def _shown(value: object) -> str:
    """Arguments of a record are texts."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def operations_of(*specs: JobSpec) -> tuple[Operation, ...]:
    """The operations of some rows."""
    return tuple(
        Operation(spec.name, "POST", f"{API_ROOT}{spec.path}", work_of(spec), email="body")
        for spec in specs
    )

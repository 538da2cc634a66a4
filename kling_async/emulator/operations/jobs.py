"""How is a paid job described, by what it takes and what it makes? A table has one row for each.

A row says its fields and their limits, which of them are files, what no single field can say
(`rules`), and the works it makes; the rest is the same for all and stands below the table. The
scheduler trio and `email` belong to every row and are not listed. The rows are in `video_jobs.py`
and `image_jobs.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import frozen

from ..envelopes import bad_request
from ..messages import Reply
from ..operation import API_ROOT, Context, Operation
from .jobfields import JobField, read
from .starting import Input, Job, WorkPlan, read_tracking, start
from .video_models import DEFAULT_S, size_px

Values = Mapping[str, object]
"""The fields a create gave, read; those it left out are not there."""


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


def told(values: Values, *names: str, **more: object) -> dict[str, object]:
    """Arguments of a record: those of the names that were given, and what is said besides."""
    return {**{name: values[name] for name in names if name in values}, **more}


def refuse(*cases: tuple[object, str]) -> None:
    """400 where a case is so: the parameter's name, and what is wrong with it."""
    for is_so, problem in cases:
        if is_so:
            raise bad_request(f"Parameter {problem}")


def work_of(spec: JobSpec) -> Callable[[Context], Reply]:
    """What carries out a row."""

    def work(context: Context) -> Reply:
        given: dict[str, object] = {}
        for field in spec.fields:
            value = read(field, context)
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

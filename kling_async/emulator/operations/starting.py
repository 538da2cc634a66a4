"""How does a paid job begin? Its slot, its task, its works and its answer, the same for each kind.

Everything about the request is checked before the slots are counted; what becomes of the job is in
`tasks.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast
from urllib.parse import urlsplit

from attrs import evolve, frozen

from ..envelopes import MODERATED, Refusal, moderated
from ..faults import Fault
from ..fields import Fields
from ..messages import Reply
from ..operation import Context
from ..quota import no_free_slot
from ..records import task_record
from ..tasks import TRACKED_S, Task, TaskInput, Work
from .media import portrait_url

MAX_MAX_JOBS = 50


@frozen
class Tracking:
    """The three fields every job takes: `maxJobs`, `replyUrl`, `replyRef`."""

    max_jobs: int | None
    reply_url: str | None
    reply_ref: str | None


@frozen
class WorkPlan:
    """A file that a job will have made when it succeeds."""

    kind: Literal["video", "audio", "image"]
    width: int
    height: int
    duration_ms: int = 0


Input = tuple[str, str, int | None]
"""Name and address of a file that a job is made from, and the id of the work it is."""


@frozen
class Job:
    """A job whose request was found in order.

    Args:
        type: the vendor's name of what it does.
        inputs: names and addresses of the files it is made from, each with the work it is, if any.
        arguments: the other values, as texts.
        works: the files it will have made.
        credits: what it costs.
        payloads: what its record says in `callbackPayloads`.
        bare_status: whether the task in the answer has a number alone for its status.
    """

    type: str
    inputs: tuple[Input, ...]
    arguments: Mapping[str, str]
    works: tuple[WorkPlan, ...]
    credits: int
    payloads: tuple[Mapping[str, object], ...] = ()
    bare_status: bool = False


def read_tracking(given: Fields) -> Tracking:
    """The scheduler trio of a create."""
    return Tracking(
        max_jobs=given.whole("maxJobs", low=1, high=MAX_MAX_JOBS),
        reply_url=given.web_url("replyUrl") if given.text("replyUrl") else None,
        reply_ref=given.text("replyRef"),
    )


def start(job: Job, tracking: Tracking, context: Context) -> Reply:
    """Let the job begin; the answer has its id at `task.id`.

    Raises:
        Refusal: 500 where a fault moderates the create, 429 where the account has no free slot.
    """
    struck = context.struck_by("task_moderated")
    if struck is not None and struck.settings.get("form") == "create":
        raise Refusal(moderated())
    _take_slot(tracking.max_jobs, context)
    world, now_s = context.world, context.clock.monotonic()
    number = int(world.ids.number("task", 12, prefix="29"))
    job_s = world.ids.between("job", str(number), *context.job_s)
    task = Task(
        id=number,
        account=context.account,
        type=job.type,
        inputs=tuple(
            TaskInput(name, url, _shown_url(url, context), work_id)
            for name, url, work_id in job.inputs
        ),
        arguments=job.arguments,
        payloads=job.payloads,
        reply_url=tracking.reply_url,
        reply_ref=tracking.reply_ref,
        credits=job.credits,
        create_time_ms=context.upstream_ms(),
        call_number=context.call_number,
        origin=context.request.origin,
        started_s=now_s,
        job_s=job_s,
        planned_works=tuple(_work(plan, number, context) for plan in job.works),
        failure=_failure(context),
        lost_after_s=_lost_after_s(context.struck_by("task_lost"), job_s),
        hidden_s=_hidden_s(context),
        clock=context.clock,
    )
    world.start(task)
    record = task_record(task, now_s, context.request.origin)
    if job.bare_status:
        shown = cast(dict[str, object], record["task"])
        del shown["status_name"], shown["status_final"]
    return evolve(Reply.of_json(record), started=task)


def _work(plan: WorkPlan, task_id: int, context: Context) -> Work:
    return Work(
        id=int(context.world.ids.number("work", 12, prefix="31")),
        task_id=task_id,
        account=context.account,
        kind=plan.kind,
        width=plan.width,
        height=plan.height,
        duration_ms=plan.duration_ms,
    )


def _take_slot(max_jobs: int | None, context: Context) -> None:
    """Refusal 429 where the account has none left; `maxJobs` of the call overrides the account's.

    Whether an override counts for this call alone is unknown; here it does.
    """
    now_s = context.clock.monotonic()
    tracked = context.world.tracked_tasks(now_s)
    running = [task for task in tracked if task.account == context.account]
    if len(running) < (max_jobs or context.world.accounts[context.account].max_jobs):
        return
    free_s = min(min(task.final_s, task.started_s + TRACKED_S) for task in running)
    raise Refusal(no_free_slot(free_s - now_s, context.clock.now_ms(), context.retry_form))


def _failure(context: Context) -> str | None:
    failed, banned = context.struck_by("task_failed"), context.struck_by("task_moderated")
    if failed is not None:
        return cast(str, failed.settings.get("message", "The video could not be generated"))
    return MODERATED if banned is not None else None


def _lost_after_s(fault: Fault | None, job_s: float) -> float | None:
    return None if fault is None else cast(float, fault.settings.get("after_s", job_s))


def _hidden_s(context: Context) -> tuple[float, float]:
    """From when to when after the create `GET /tasks/{id}` does not know the task."""
    fault, views = context.struck_by("task_hidden"), context.views
    if fault is None:
        first_s, for_s = views.task_hidden_from_s, views.task_hidden_for_s
    else:
        first_s = cast(float, fault.settings.get("after_s", 0.0))
        for_s = cast(float, fault.settings.get("for_s", 9.0))
    return first_s, first_s + for_s


def _shown_url(url: str, context: Context) -> str:
    """What records say of an input: its own address, or a re-hosted one."""
    if not context.views.rehost_inputs:
        return url
    name = context.world.ids.token("input", 40)
    context.world.portraits[name] = urlsplit(url).path.rpartition("/")[2]
    return portrait_url(name, context.request.origin)

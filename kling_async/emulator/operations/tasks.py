"""What is in an account's history, what is one task, how does it go? `/tasks`."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice, takewhile

from ..envelopes import Refusal, bad_request, error, not_found
from ..messages import Reply
from ..operation import API_ROOT, Context, Operation
from ..records import task_record
from ..tasks import Task
from ..views import Views, excerpt
from .works import KINDS, shown_works

# Default and largest page are unknown. More is not refused but cut, the harder of the two.
DEFAULT_PAGE, LARGEST_PAGE = 20, 100
_LATEST_MS = 10**15


def list_tasks(context: Context) -> Reply:
    """The history, newest first; running tasks show as well, unless told to show works only."""
    given, views, now_s = context.fields, context.views, context.clock.monotonic()
    page_size = given.whole("pageSize", low=1, high=1_000_000) or DEFAULT_PAGE
    kind = given.choice("contentType", KINDS)
    before_ms = given.whole("createdBefore", low=0, high=_LATEST_MS)
    after_ms = given.whole("createdAfter", low=0, high=_LATEST_MS)
    if before_ms is not None and after_ms is not None:
        raise bad_request("createdBefore and createdAfter exclude each other")
    if context.is_empty_yet("tasks", views.history_empty):
        return Reply.of_json({"history": []})
    # Whether the bounds are in or out is unknown: `history_inclusive` chooses.
    slack_ms = 1 if views.history_inclusive else 0
    visible: Iterable[Task] = (
        task
        for task in context.world.newest_tasks_of(
            context.account, before_ms=_end_ms(before_ms, slack_ms, views)
        )
        if task.is_there_at(now_s) and now_s - task.started_s >= views.history_lag_s
    )
    if views.history_limit is not None:
        visible = islice(visible, views.history_limit)
    if before_ms is not None:
        visible = (task for task in visible if task.create_time_ms < before_ms + slack_ms)
    if after_ms is not None:
        first_ms = after_ms - slack_ms
        visible = takewhile(lambda task: task.create_time_ms > first_ms, visible)
    found = (
        task
        for task in visible
        if (kind is None or any(work.kind == kind for work in task.planned_works))
        and (task.works or not views.history_works_only)
    )
    page = list(islice(found, min(page_size, LARGEST_PAGE)))
    shown = excerpt(page, None, views.history_shuffled, context.call_number)
    return context.shown({"history": [_entry(task, now_s, context) for task in shown]})


def get_task(context: Context) -> Reply:
    """State and results of one task."""
    now_s = context.clock.monotonic()
    task = _task(context, now_s)
    too_new = now_s - task.started_s < context.views.task_visible_after_s
    if too_new or task.is_hidden_at(now_s):
        raise not_found(f"Task {task.id} not found")
    return context.shown(task_record(task, now_s, context.request.origin))


def delete_task(context: Context) -> Reply:
    """Delete all works of a finished task; 404, documented, of an unknown one and while none."""
    number, now_s = task_number(context), context.clock.monotonic()
    task = context.world.tasks.get(number)
    known = task is not None and task.account == context.account and task.is_there_at(now_s)
    works = task.works if task is not None and known else ()
    if task is None or not works:
        raise not_found(f"No works found for task {number}")
    task.deleted = True
    return Reply.of_json({"deleted": len(works), "workIds": [work.id for work in works]})


def task_number(context: Context) -> int:
    """The id in the path; 400 where it is no number."""
    text = context.path["id"]
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise Refusal(error("Invalid task_id parameter", 400))  # documented for DELETE
    return int(text)


def _end_ms(before_ms: int | None, slack_ms: int, views: Views) -> int | None:
    """Where to begin reading; a history cut to its newest is always read from its end."""
    if before_ms is None or views.history_limit is not None:
        return None
    return before_ms + slack_ms


def _task(context: Context, now_s: float) -> Task:
    number = task_number(context)
    task = context.world.tasks.get(number)
    if task is None or task.account != context.account or not task.is_there_at(now_s):
        raise not_found(f"Task {number} not found")
    return task


def _entry(task: Task, now_s: float, context: Context) -> dict[str, object]:
    """Documented is `works` alone; the keys beside it were cut, here they are a record's."""
    if context.views.history_works_only:
        return {"works": shown_works(task, context.request.origin)}
    return task_record(task, now_s, context.request.origin)


OPERATIONS = (
    Operation("tasks.list", "GET", f"{API_ROOT}/tasks", list_tasks, email="query"),
    Operation("tasks.get", "GET", f"{API_ROOT}/tasks/{{id}}", get_task, email="query"),
    Operation("tasks.delete", "DELETE", f"{API_ROOT}/tasks/{{id}}", delete_task, email="query"),
)

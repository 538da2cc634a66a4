"""Which jobs are tracked, how many slots are free, and how is one let go? `/scheduler`."""

from __future__ import annotations

from ..envelopes import not_found
from ..messages import Reply
from ..operation import API_ROOT, Context, Operation
from ..records import scheduler_entry
from ..tasks import Task
from ..views import excerpt
from .tasks import task_number


def list_running(context: Context) -> Reply:
    """The tracked tasks of all accounts, oldest first; an empty array for none."""
    return Reply.of_json(_entries(_shown(context), context))


def get_available(context: Context) -> Reply:
    """The same, and for each account how many more jobs it takes."""
    shown = _shown(context)
    available: list[dict[str, object]] = []
    for account in context.world.accounts.values():
        executing = sum(task.account == account.email for task in shown)
        available.append(
            {
                "email": account.email,
                "maxJobs": account.max_jobs,
                "executing": executing,
                # An override by `maxJobs` of a call can run more than the account's own limit.
                "available": max(0, account.max_jobs - executing),
            }
        )
    return Reply.of_json({"executing": _entries(shown, context), "available": available})


def forget(context: Context) -> Reply:
    """Stop tracking: the slot is free and no callback comes any more; the job itself runs on."""
    number = task_number(context)
    running = context.world.tracked_tasks(context.clock.monotonic())
    task = next((task for task in running if task.id == number), None)
    if task is None:
        raise not_found(f"Unable to locate running task_id {number}")  # documented
    task.forgotten = True
    # The sentence is documented; whether the wire carries it as text, as JSON, or 204 is unknown.
    return Reply.of_text("Task was successfully canceled.", 200)


def _shown(context: Context) -> list[Task]:
    """What the listing has of the tracked tasks, oldest first unless it is shuffled."""
    now_s, views = context.clock.monotonic(), context.views
    if context.is_empty_yet("scheduler", views.scheduler_empty):
        return []
    tracked = context.world.tracked_tasks(now_s)
    listed = [task for task in tracked if now_s - task.started_s >= views.scheduler_lag_s]
    listed.reverse()
    limit, shuffled = views.scheduler_limit, views.scheduler_shuffled
    return excerpt(listed, limit, shuffled, context.call_number)[::-1]


def _entries(tasks: list[Task], context: Context) -> list[dict[str, object]]:
    now_s = context.clock.monotonic()
    return [scheduler_entry(task, now_s) for task in tasks]


OPERATIONS = (
    Operation("scheduler.running", "GET", f"{API_ROOT}/scheduler", list_running),
    Operation("scheduler.available", "GET", f"{API_ROOT}/scheduler/available", get_available),
    Operation("scheduler.forget", "DELETE", f"{API_ROOT}/scheduler/{{id}}", forget),
)

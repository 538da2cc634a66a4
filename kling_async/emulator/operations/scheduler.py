"""`/scheduler`: which jobs are tracked, how many slots are free, and letting one go."""

from __future__ import annotations

from ..envelopes import not_found
from ..messages import Reply
from ..operation import API_ROOT, Context, Operation
from ..records import scheduler_entry
from ..tasks import Task
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
        raise not_found(f"Task {number} is not running")
    task.forgotten = True
    # A one-line confirmation is printed; whether the wire carries text, JSON or 204 is unknown.
    return Reply.of_text(f"Task {number} is no longer tracked", 200)


def _shown(context: Context) -> list[Task]:
    now_s = context.clock.monotonic()
    lag_s = context.views.scheduler_lag_s
    tracked = context.world.tracked_tasks(now_s)
    return [task for task in tracked if now_s - task.started_s >= lag_s]


def _entries(tasks: list[Task], context: Context) -> list[dict[str, object]]:
    now_s = context.clock.monotonic()
    return [scheduler_entry(task, now_s) for task in tasks]


OPERATIONS = (
    Operation("scheduler.running", "GET", f"{API_ROOT}/scheduler", list_running),
    Operation("scheduler.available", "GET", f"{API_ROOT}/scheduler/available", get_available),
    Operation("scheduler.forget", "DELETE", f"{API_ROOT}/scheduler/{{id}}", forget),
)

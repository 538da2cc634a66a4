"""How is a task looked for whose create was not answered? The same for each operation that pays.

A task costs credits, so none is ever taken because it looks alike. A mark shows in the scheduler as
long as the job is tracked; the addresses of its inputs show in the account's history.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from attrs import evolve

from .checks import url_path
from .history import made_ms, next_page
from .requests import Request
from .scheduler import ListRunning, RunningTask
from .sightings import Evidence, Sighting, new_mark
from .tasks import GetTask, ListTasks, Task


class TaskEvidence(Evidence):
    """How a task is looked for whose answer was lost.

    Args:
        makes: the content type of its works; what shows works of another one is not it.
    """

    kind = "task"

    def __init__(self, makes: str = "video") -> None:
        self._makes = makes

    def marked(self, request: Any) -> Any:
        """The same with a `reply_ref` that no other call has, where it has none."""
        if request.reply_ref is not None:
            return request
        return evolve(request, reply_ref=new_mark())

    def stated(self, request: Any) -> Mapping[str, Any]:
        """The prompt, too: no other setting shows under a known name."""
        return {"content_type": self._makes, "prompt": getattr(request, "prompt", None)}

    def listings(self, account: str | None) -> tuple[Request[Any], ...]:
        """The running jobs of all accounts, which show the reply_ref; then the account's tasks."""
        return (ListRunning(), ListTasks(email=account))

    def next_page(
        self, listing: Request[Any], listed: Sequence[Any], since_s: float
    ) -> Request[Any] | None:
        """The account's earlier tasks: a job that is over shows in no other place."""
        if not isinstance(listing, ListTasks):
            return None
        return next_page(listing, listed, since_s * 1000)

    def sighting(self, thing: RunningTask | Task, account: str | None = None) -> Sighting:
        """A tracked job shows its mark, a task its inputs.

        A task whose own time is missing is as old as its oldest work, at least.
        """
        if isinstance(thing, RunningTask):
            return Sighting(
                id=str(thing.id),
                account=thing.email,
                mark=thing.reply_ref,
                made_at_s=_moment_s(thing.started),
                thing=thing,
            )
        at_ms = made_ms(thing)
        return Sighting(
            id=str(thing.id),
            account=account,
            paths=frozenset(input_paths(thing)),
            shown=_shown(thing),
            made_at_s=None if at_ms is None else at_ms / 1000,
            made_at_is_its_own=thing.create_time_ms is not None,
            thing=thing,
        )

    def result(self, thing: RunningTask | Task) -> Task:
        """The task; the scheduler tells no more of it than its id."""
        return thing if isinstance(thing, Task) else Task.from_api({"task": {"id": thing.id}})

    def refetch(self, thing: RunningTask | Task, account: str | None) -> GetTask | None:
        """What asks for the rest of a task that the scheduler showed."""
        return None if isinstance(thing, Task) else GetTask(task_id=thing.id, email=account)


def input_paths(task: Task) -> Iterator[str]:
    """The paths of a task's input addresses; its works repeat them, and may be all there is."""
    for one in task.inputs:
        if one.url:
            yield url_path(one.url)
    for work in task.works:
        info = work.extra.get("taskInfo")
        inputs = info.get("inputs") if isinstance(info, Mapping) else None
        for entry in inputs if isinstance(inputs, list) else ():
            url = entry.get("url") if isinstance(entry, Mapping) else None
            if isinstance(url, str) and url:
                yield url_path(url)


def _shown(task: Task) -> dict[str, Any]:
    kinds = (one.content_type for one in task.works if one.content_type is not None)
    prompts = (one.value for one in task.arguments if one.name == "prompt" and one.value)
    return {"content_type": next(kinds, None), "prompt": next(prompts, None)}


def _moment_s(stated: str | None) -> float | None:
    try:
        moment = datetime.fromisoformat(stated or "")
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()

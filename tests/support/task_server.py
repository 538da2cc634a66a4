"""A server of tasks for tests of waiting: each task is a function of the time since the start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
from attrs import evolve

from kling_async import Meta, PollSchedule, Task

Answer = httpx.Response
State = Callable[[float], Answer]
PLAIN = PollSchedule(jitter=0)


def record(task_id: int, name: str = "processing", **more: Any) -> dict[str, Any]:
    final = name in ("succeed", "failed")
    given = {
        "status_name": name,
        "status_final": final,
        "task": {"id": task_id, "createTime": task_id},
    }
    works = [{"workId": task_id * 10, "taskId": task_id}] if name == "succeed" else []
    return {**given, "works": works, **more}


def submitted(task_id: int, account: str | None = None) -> Task:
    """What a create answers."""
    made = Task.from_api({"task": {"id": task_id, "status": 5, "status_name": "submitted"}})
    return evolve(made, meta=Meta(account, 200, 1, 0.1))


def done_at(task_id: int, seconds: float, name: str = "succeed", **more: Any) -> State:
    def state(now_s: float) -> Answer:
        over = now_s >= seconds
        return Answer(200, json=record(task_id, name if over else "processing", **more))

    return state


def error(status: int, text: str = "no") -> Answer:
    return Answer(status, json={"error": text})


class Server:
    """Tasks, each as a function of the time since the start."""

    def __init__(self) -> None:
        self.tasks: dict[int, State] = {}
        self.looks: list[tuple[float, int, str | None]] = []
        self.lists: list[float] = []
        self.listed: Callable[[float], Answer] | None = None
        self.scheduler_looks: list[float] = []
        self.tracked: Callable[[float], Answer] = lambda _: Answer(200, json=[])
        self.took_s = 0.0

    @property
    def now_s(self) -> float:
        return asyncio.get_running_loop().time()  # looptime begins at 0

    def at(self, task_id: int) -> list[float]:
        return [round(at, 3) for at, one, _ in self.looks if one == task_id]

    async def __call__(self, request: httpx.Request) -> Answer:
        now_s = self.now_s
        if request.url.path == "/v1/kling/scheduler":
            self.scheduler_looks.append(now_s)
            await asyncio.sleep(self.took_s)
            return self.tracked(now_s)
        if request.url.path == "/v1/kling/tasks":
            self.lists.append(now_s)
            if self.listed is not None:
                return self.listed(now_s)
            before = int(request.url.params.get("createdBefore", 10**9))
            newest = sorted((one for one in self.tasks if one < before), reverse=True)[:100]
            shown = [
                answer.json() for one in newest if (answer := self.tasks[one](now_s)).is_success
            ]
            return Answer(200, json={"history": shown})
        task_id = int(request.url.path.rpartition("/")[2])
        self.looks.append((now_s, task_id, request.url.params.get("email")))
        answer = self.tasks[task_id](now_s)  # as it was when the request came
        await asyncio.sleep(self.took_s)
        return answer


def tasks_left() -> set[str]:
    mine = asyncio.current_task()
    return {str(one.get_coro()) for one in asyncio.all_tasks() if one is not mine}


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)

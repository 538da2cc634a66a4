"""How does a task look on the wire? Records, works, history and scheduler entries.

One shape each, asked by the operations and by the webhooks. Keys whose presence or meaning the
reference leaves open are named where they are written.
"""

from __future__ import annotations

import hashlib
from urllib.parse import quote

from .clock import iso_date
from .tasks import STATUS, Task, Work

IN_PROCESS_ORIGIN = "http://emulator.local"
CDN_ORIGIN = "http://cdn.emulator.local"
FILE_ENDING = {"video": "mp4", "audio": "mp3", "image": "png"}
_MAX_ETA_MS = 10**9


def task_record(task: Task, now_s: float, origin: str) -> dict[str, object]:
    """The answer of `GET /tasks/{task_id}`, of creates and of webhooks.

    Of the create's answer only `task` is documented, what follows was cut. Works before the final
    state are unknown: none here.
    """
    left_ms = int(min(max(0.0, task.final_s - now_s) * 1000, _MAX_ETA_MS))
    state = task.state_at(now_s)
    works = task.planned_works if state == "succeed" else ()
    return {
        **_status(state),
        "etaTime": left_ms,  # the unit of the four is unknown
        "etaTimeOverSla": False,
        "queuingEtaTime": left_ms if state == "submitted" else 0,
        "originEtaTime": int(min(task.job_s * 1000, _MAX_ETA_MS)),
        "originQueuingEtaTime": 0,
        "message": (task.failure or "") if state == "failed" else "",
        "task": _task(task, now_s),
        "works": [work_entry(work, task, origin) for work in works],
    }


def work_entry(
    work: Work, task: Task, origin: str, *, with_names: bool = True
) -> dict[str, object]:
    """A finished work; `GET /assets` shows its status without name and finality."""
    size = {"height": work.height, "width": work.width}
    status = _status("succeed") if with_names else {"status": STATUS["succeed"]}
    return {
        "workId": work.id,
        "workItemId": work.id + 1,
        "taskId": task.id,
        "userId": user_id(task.account),
        "type": task.type,
        **status,
        "contentType": work.kind,
        "resource": {
            "resource": work_url(work, origin),
            **size,
            "duration": work.duration_ms,
            "resourceKey": "",
        },
        "cover": {
            "resource": work_cover_url(work, origin),
            **size,
            "duration": 0,
            "resourceKey": "",
        },
        "starNum": 0,
        "cloneCount": 0,
        "reportNum": 0,
        "createTime": task.create_time_ms,
        "taskInfo": _task_info(task),
        "selfAttitude": "unknown",
        "selfComment": {"rate": 0, "tags": [], "content": ""},
    }


def scheduler_entry(task: Task, now_s: float) -> dict[str, object]:
    """A tracked task; reply fields only where the create gave them."""
    elapsed_s = int(now_s - task.started_s)
    entry: dict[str, object] = {
        "id": task.id,
        "email": task.account,
        "started": iso_date(task.create_time_ms),
        "elapsed": f"{elapsed_s // 60:02d}:{elapsed_s % 60:02d}",
    }
    if task.reply_url is not None:
        entry["replyUrl"] = task.reply_url
    if task.reply_ref is not None:
        entry["replyRef"] = task.reply_ref
    return entry


def cdn_host(origin: str) -> str:
    """Where files are served that come from a CDN: in-process another host than the API's."""
    return CDN_ORIGIN if origin == IN_PROCESS_ORIGIN else origin


def work_url(work: Work, origin: str) -> str:
    """Where a finished work can be fetched, with its watermark; what it ends in is documented."""
    name = f"{work.id}-output.{FILE_ENDING[work.kind]}"
    return f"{cdn_host(origin)}/media/works/{name}?x-kcdn-pid=112452"


def work_cover_url(work: Work, origin: str) -> str:
    """Where the cover picture of a work can be fetched."""
    return f"{cdn_host(origin)}/media/works/covers/{work.id}.png"


def download_url(name: str, origin: str) -> str:
    """Where a clean file or a zip of several can be fetched."""
    return f"{cdn_host(origin)}/media/downloads/{quote(name)}"


def user_id(account: str) -> int:
    """The Kling user behind an account."""
    return int(digits_of(account, 8))


def digits_of(email: str, count: int) -> str:
    """A number that belongs to an account, `count` digits."""
    low = 10 ** (count - 1)
    return str(low + int(hashlib.sha256(email.encode()).hexdigest(), 16) % (9 * low))


def _status(state: str) -> dict[str, object]:
    final = state in ("succeed", "failed")  # of failed only implied, documented of succeed
    return {"status": STATUS[state], "status_name": state, "status_final": final}


def _task(task: Task, now_s: float) -> dict[str, object]:
    return {
        "id": task.id,
        "userId": user_id(task.account),
        "type": task.type,
        "scene": "NORMAL_CREATION",
        **_status(task.state_at(now_s)),
        "taskInfo": _task_info(task),
        "favored": False,
        "deleted": task.deleted,
        "viewed": False,
        "createTime": task.create_time_ms,
        "updateTime": task.updated_ms(now_s),
        "viewTime": 0,
    }


def _task_info(task: Task) -> dict[str, object]:
    inputs = [
        {
            "name": one.name,
            "inputType": "URL",
            "token": None,
            "blobStorage": None,
            "url": one.shown_url,
            "cover": None,
            "fromWorkId": one.work_id,
        }
        for one in task.inputs
    ]
    return {
        "type": task.type,
        "inputs": inputs,
        "arguments": [{"name": name, "value": value} for name, value in task.arguments.items()],
        "extraArgs": {},
        "callbackPayloads": list(task.payloads),
        "scene": "NORMAL_CREATION",
    }

"""What do tests see that run the emulator in another process? `/_emulator/...`.

    GET  /openapi.json        the operations; served to anybody
    GET  /_emulator/state     what exists, what was asked, which faults are left
    POST /_emulator/faults    add faults: the text of `faulttext.py`, or {"faults": text}
    POST /_emulator/foreign   somebody else makes something: the arguments of `foreign_avatar`
                              as JSON, or, where `inputs` are among them, of `foreign_task`
    POST /_emulator/reset     back to the start

No token is needed, so a server that listens beyond loopback refuses all of it. These requests are
neither numbered nor recorded, and no fault strikes them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from attrs import asdict

from . import openapi
from .calls import Call
from .envelopes import Refusal, bad_request, error, not_found
from .faulttext import format_fault, parse_faults
from .messages import Reply, Request
from .tasks import Task
from .truth import Truth
from .webhooks import Webhook
from .world import EmulatedAccount

if TYPE_CHECKING:
    from .emulator import Emulator

ROOT = "_emulator"
OPENAPI = "openapi.json"


def answer(emulator: Emulator, request: Request) -> Reply:
    """The page asked for; Refusal 403 from afar, 404 or 405 where there is none."""
    method = "GET" if request.method == "HEAD" else request.method
    if request.segments == (OPENAPI,) and method == "GET":
        return Reply.of_json(openapi.document())
    if not request.local:
        raise Refusal(error("Only served to a server that listens on loopback", 403))
    page = "/".join(request.segments[1:])
    if (method, page) == ("GET", "state"):
        return Reply.of_json(state(emulator))
    if (method, page) == ("POST", "faults"):
        return _add_faults(emulator, request)
    if (method, page) == ("POST", "foreign"):
        return _make_foreign(emulator, request)
    if (method, page) == ("POST", "reset"):
        emulator.reset()
        return Reply.of_json({"reset": True})
    if page in ("state", "faults", "foreign", "reset"):
        raise Refusal(error(f"{request.method} is not allowed here", 405))
    raise not_found("There are: GET state, POST faults, POST foreign, POST reset")


def state(emulator: Truth) -> dict[str, object]:
    """Everything a test compares with, ready for JSON."""
    return {
        "accounts": [_account(account) for account in emulator.accounts],
        "avatars": [asdict(avatar) for avatar in emulator.avatars],
        "deleted_avatars": [asdict(avatar) for avatar in emulator.deleted_avatars],
        "elements": [asdict(element) for element in emulator.elements],
        "uploads": [asdict(upload) for upload in emulator.uploads],
        "speeches": [asdict(speech) for speech in emulator.speeches],
        "tasks": [_task(task) for task in emulator.tasks],
        "webhooks": [_webhook(webhook) for webhook in emulator.webhooks],
        "calls": [_summary(call) for call in emulator.calls],
        "counts": emulator.counts,
        "status_counts": [
            {"operation": operation, "status": status, "count": count}
            for (operation, status), count in emulator.status_counts.items()
        ],
        "faults": [
            {"fault": format_fault(fault), "struck": struck} for fault, struck in emulator.strikes()
        ],
        "unconsumed_faults": [format_fault(fault) for fault in emulator.unconsumed_faults()],
    }


def _add_faults(emulator: Emulator, request: Request) -> Reply:
    try:
        text = request.body.decode()
        if text.lstrip().startswith("{"):
            text = json.loads(text)["faults"]
        faults = parse_faults(text)
        emulator.add_faults(faults)
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise bad_request(f"Can't add that: {exc}") from None
    return Reply.of_json({"added": [format_fault(fault) for fault in faults]})


def _make_foreign(emulator: Emulator, request: Request) -> Reply:
    try:
        given = json.loads(request.body)
        if given.get("account", "") not in ("", *(one.email for one in emulator.accounts)):
            raise ValueError(f"account {given['account']} is not configured")
        if "inputs" in given:
            return Reply.of_json(_task(emulator.foreign_task(**given)))
        return Reply.of_json(asdict(emulator.foreign_avatar(**given)))
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise bad_request(f"Can't make that: {exc}") from None


def _account(account: EmulatedAccount) -> dict[str, object]:
    return {"email": account.email, "max_jobs": account.max_jobs}


def _task(task: Task) -> dict[str, object]:
    return {
        "id": task.id,
        "account": task.account,
        "state": task.state,
        "inputs": list(task.input_urls),
        "arguments": dict(task.arguments),
        "reply_url": task.reply_url,
        "reply_ref": task.reply_ref,
        "credits": task.credits,
        "create_time_ms": task.create_time_ms,
        "call_number": task.call_number,
        "failure": task.failure,
        "foreign": task.foreign,
        "forgotten": task.forgotten,
        "deleted": task.deleted,
        "works": [work.id for work in task.works],
    }


def _webhook(webhook: Webhook) -> dict[str, object]:
    shown = asdict(webhook)
    del shown["body"]  # bytes, and told by the rest
    return shown


def _summary(call: Call) -> dict[str, object]:
    return {
        "number": call.number,
        "operation": call.operation,
        "method": call.method,
        "path": call.path,
        "query": call.query,
        "fields": call.fields,
        "body_size_bytes": call.body_size_bytes,
        "account": call.account,
        "at_ms": call.at_ms,
        "at_s": call.at_s,
        "status": call.status,
        "took_s": call.took_s,
        "worked": call.worked,
        "fault": call.fault,
    }

"""What can a person's page, or a test in another process, ask of the emulator? `/_emulator/...`.

Each endpoint is a row of `ENDPOINTS`, of which `/openapi.json` is made, too. Who may ask is in
`ownpages.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from attrs import asdict, frozen

from .calls import Call
from .clock import iso_date
from .envelopes import bad_request
from .faults import Fault
from .faulttext import format_fault, parse_faults
from .messages import Request
from .tasks import Task
from .truth import Truth
from .webhooks import Webhook
from .world import EmulatedAccount

if TYPE_CHECKING:
    from .emulator import Emulator

_MOST_S = 10.0 * 365 * 86_400


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


def _clock(emulator: Truth) -> dict[str, object]:
    now_ms = emulator.clock.now_ms()
    return {"now_ms": now_ms, "now": iso_date(now_ms), "skew_s": emulator.clock.skew_s}


def _move_clock(emulator: Emulator, request: Request) -> object:
    try:
        given = json.loads(request.body)
        unknown = given.keys() - {"advance_s", "skew_s"}
        numbers = [float(one) for one in given.values()]
        if unknown or not numbers or not all(abs(one) <= _MOST_S for one in numbers):
            raise ValueError(f"give advance_s or skew_s, in seconds up to {_MOST_S:.0f}")
        emulator.clock.advance(float(given.get("advance_s", 0)))
        emulator.clock.skew_s = float(given.get("skew_s", emulator.clock.skew_s))
    except (ValueError, TypeError, AttributeError) as exc:
        raise bad_request(f"Can't do that: {exc}") from None
    return _clock(emulator)


def _reset(emulator: Emulator, _: Request) -> object:
    emulator.reset()
    return {"reset": True}


def _faults(request: Request) -> list[Fault]:
    try:
        text = request.body.decode()
        return parse_faults(json.loads(text)["faults"] if text.lstrip().startswith("{") else text)
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise bad_request(f"Can't read that: {exc}") from None


def _add_faults(emulator: Emulator, request: Request) -> object:
    faults = _faults(request)
    try:
        emulator.add_faults(faults)
    except ValueError as exc:
        raise bad_request(f"Can't add that: {exc}") from None
    return {"added": [format_fault(fault) for fault in faults]}


def _remove_faults(emulator: Emulator, request: Request) -> object:
    removed = emulator.remove_faults(_faults(request) if request.body else None)
    return {"removed": [format_fault(fault) for fault in removed]}


def _make_foreign(emulator: Emulator, request: Request) -> object:
    try:
        given = json.loads(request.body)
        if given.get("account", "") not in ("", *(one.email for one in emulator.accounts)):
            raise ValueError(f"account {given['account']} is not configured")
        if "inputs" in given:
            return _task(emulator.foreign_task(**given))
        return asdict(emulator.foreign_avatar(**given))
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


@frozen
class Endpoint:
    """A row of the table.

    Args:
        does: what comes of it, in a line.
        work: does it.
        body: what it takes, as JSON Schema; None: nothing.
    """

    does: str
    work: Callable[[Emulator, Request], object]
    body: Mapping[str, object] | None = None


_NUMBER, _TEXT, _OBJECT = {"type": "number"}, {"type": "string"}, {"type": "object"}
_FAULTS = {"type": "object", "properties": {"faults": _TEXT}}

ENDPOINTS: Mapping[tuple[str, str], Endpoint] = {
    ("GET", "state"): Endpoint(
        "what exists, what was asked, which faults are left", lambda emulator, _: state(emulator)
    ),
    ("GET", "clock"): Endpoint("the time there", lambda emulator, _: _clock(emulator)),
    ("POST", "clock"): Endpoint(
        "move the time there forward, or put it wrong",
        _move_clock,
        {
            "type": "object",
            "properties": {"advance_s": {**_NUMBER, "minimum": 0}, "skew_s": _NUMBER},
        },
    ),
    ("POST", "faults"): Endpoint("add faults", _add_faults, {**_FAULTS, "required": ["faults"]}),
    ("DELETE", "faults"): Endpoint("take faults back, all without a body", _remove_faults, _FAULTS),
    ("POST", "foreign"): Endpoint("somebody else makes an avatar or a job", _make_foreign, _OBJECT),
    ("POST", "reset"): Endpoint("back to the start", _reset),
}
"""Method and page below `/_emulator/`."""

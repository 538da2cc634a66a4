"""What does a fault do to the answer?

One function per kind, from the right answer (None where the work was not done) to what really
meets the wire. `strike` is the way in; the schedule is in `faults.py`. Broken answers do not
announce the close that follows them: clients read on as they would from a healthy server.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import cast

from attrs import evolve, frozen

from .clock import http_date
from .errorpages import WEB_PAGE, error_page
from .faults import Fault
from .messages import Delivery, Reply, Request
from .quota import RetryForm, no_free_slot


@frozen
class _Strike:
    fault: Fault
    request: Request
    reply: Reply
    now_ms: int

    def number(self, name: str, default: float) -> float:
        return cast(float, self.fault.settings.get(name, default))

    def encoded(self, reply: Reply, claimed_bytes: int, body: bytes) -> bytes:
        """A head that claims a length of its own, then `body`; HEAD requests get the head alone."""
        headers = tuple(
            (name, str(claimed_bytes)) if name == "Content-Length" else (name, value)
            for name, value in self.dressed(reply).headers
        )
        told = evolve(reply, headers=headers, body=body)
        return told.encoded(head_only=self.request.method == "HEAD")

    def dressed(self, reply: Reply) -> Reply:
        return dressed(reply, self.now_ms)


def strike(fault: Fault, request: Request, reply: Reply | None, now_ms: int) -> Delivery:
    """What is sent instead of `reply`, or how it is sent."""
    given = Reply.of_json({}) if reply is None else reply
    delivery = EFFECTS[fault.kind](_Strike(fault, request, given, now_ms))
    if delivery.reply is not None:
        whole = dressed(delivery.reply, now_ms)
        delivery = evolve(delivery, reply=whole, status=whole.status)
    return evolve(delivery, wait_s=fault.delay_after_s)


def dressed(reply: Reply, now_ms: int) -> Reply:
    """The reply with the headers every reply has."""
    return evolve(
        reply,
        headers=(
            ("Date", http_date(now_ms)),
            ("Server", "kling-async-emulator"),
            *reply.headers,
            ("Content-Length", str(len(reply.body))),
        ),
    )


def _latency(strike: _Strike) -> Delivery:
    return Delivery(reply=strike.reply)


def _status(strike: _Strike) -> Delivery:
    return Delivery(reply=error_page(strike.fault.settings, strike.now_ms))


def _redirect(strike: _Strike) -> Delivery:
    path = strike.request.path
    default = path[:-1] if path.endswith("/") else path + "/"  # works when followed, and shows
    location = cast(str, strike.fault.settings.get("location", default))
    status = int(strike.number("status", 307))
    return Delivery(reply=Reply(status, headers=(("Location", location),)))


def _failed_status(strike: _Strike) -> Delivery:
    # Whether FAILED comes with 200, and what id then holds, is unknown.
    return Delivery(reply=Reply.of_json({"id": "", "status": "FAILED"}))


def _reset(strike: _Strike) -> Delivery:
    return Delivery(ending="reset")


def _close(strike: _Strike) -> Delivery:
    return Delivery(ending="close")


def _stall(strike: _Strike) -> Delivery:
    return Delivery(ending="stall")


def _slow_loris(strike: _Strike) -> Delivery:
    reply = strike.dressed(strike.reply).with_headers(("Connection", "close"))
    return Delivery(
        raw=reply.encoded(head_only=strike.request.method == "HEAD"),
        byte_interval_s=strike.number("interval_s", 0.3),
        ending="close",
        status=strike.reply.status,
    )


def _truncated_body(strike: _Strike) -> Delivery:
    body = strike.reply.body
    sent = int(strike.number("sent_bytes", len(body) // 2))
    raw = strike.encoded(strike.reply, max(len(body), sent + 1), body[:sent])
    return Delivery(raw=raw, ending="close", status=strike.reply.status)


def _wrong_length(strike: _Strike) -> Delivery:
    body = strike.reply.body
    claimed = int(strike.number("sent_bytes", len(body) // 2))
    raw = strike.encoded(strike.reply, min(claimed, len(body)), body)
    return Delivery(raw=raw, ending="close", status=strike.reply.status)


def _bad_chunk(strike: _Strike) -> Delivery:
    reply = strike.dressed(strike.reply)
    kept = tuple(pair for pair in reply.headers if pair[0] != "Content-Length")
    head = evolve(reply, headers=(*kept, ("Transfer-Encoding", "chunked"))).encoded(head_only=True)
    body = reply.body
    size = b"not hex" if strike.fault.settings.get("malformed") else f"{len(body) + 1:x}".encode()
    raw = head + size + b"\r\n" + body[: len(body) // 2]
    return Delivery(raw=raw, ending="close", status=reply.status)


def _invalid_json(strike: _Strike) -> Delivery:
    body = strike.reply.body
    return Delivery(reply=evolve(strike.reply, status=200, body=body[: max(1, len(body) // 2)]))


def _html_200(strike: _Strike) -> Delivery:
    return Delivery(reply=Reply.of_text(WEB_PAGE.format(title="Welcome"), 200, "text/html"))


def _garbage(strike: _Strike) -> Delivery:
    return Delivery(raw=b"\x15\x03\x01\x00\x02\x02\x28 this is not HTTP\r\n\r\n", ending="close")


def _no_task_id(strike: _Strike) -> Delivery:
    try:
        answer = json.loads(strike.reply.body)
        answer["task"].pop("id")
    except (ValueError, LookupError, AttributeError, TypeError):
        answer = {"task": {}}
    return Delivery(reply=Reply.of_json(answer))


def _no_slot(strike: _Strike) -> Delivery:
    form = cast(RetryForm, strike.fault.settings.get("form", "seconds"))
    return Delivery(reply=no_free_slot(strike.number("retry_after_s", 1), strike.now_ms, form))


def _surplus(strike: _Strike) -> Delivery:
    settings, extra = strike.fault.settings, strike.reply
    if "body" in settings:
        extra = evolve(extra, status=200, body=cast(str, settings["body"]).encode())
    elif settings.get("form", "invented") == "invented":
        extra = evolve(extra, body=_of_nothing(extra.body))
    return Delivery(
        reply=strike.reply,
        surplus=strike.dressed(extra).encoded(head_only=strike.request.method == "HEAD"),
        surplus_after_s=strike.number("after_s", 0),
    )


def _of_nothing(body: bytes) -> bytes:
    """The same answer with ids of things that were never made: those begin with 7."""
    try:
        answer = json.loads(body)
    except ValueError:
        return body
    for entry in (answer, answer.get("task")) if isinstance(answer, dict) else ():
        if isinstance(entry, dict) and "id" in entry:
            number = f"7{str(entry['id'])[1:]}"
            entry["id"] = number if isinstance(entry["id"], str) else int(number)
    return Reply.of_json(answer).body


EFFECTS: Mapping[str, Callable[[_Strike], Delivery]] = {
    "latency": _latency,
    "status": _status,
    "redirect": _redirect,
    "failed_status": _failed_status,
    "reset_before": _reset,
    "reset_after": _reset,
    "close_without_reply": _close,
    "stall": _stall,
    "slow_loris": _slow_loris,
    "truncated_body": _truncated_body,
    "wrong_length": _wrong_length,
    "bad_chunk": _bad_chunk,
    "invalid_json": _invalid_json,
    "html_200": _html_200,
    "garbage": _garbage,
    "surplus": _surplus,
    # These bend the work, see `Context.struck_by`; its answer stays as it is.
    "task_failed": _latency,
    "task_moderated": _latency,
    "task_lost": _latency,
    "task_hidden": _latency,
    "no_task_id": _no_task_id,
    "no_range": _latency,
    "changed_file": _latency,
    "no_slot": _no_slot,
}

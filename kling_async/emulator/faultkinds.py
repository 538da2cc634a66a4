"""Which faults are there, what may be set on each, and is the work done when it strikes?

| kind | work done | what the client meets | settings (first one: main) |
| --- | --- | --- | --- |
| `latency` | yes | the right answer, late | `delay_s`; `after_work` |
| `status` | no | an error answer of that status | `status`, `form`, `retry_after_s`, `body`, `headers`; `after_work` |
| `redirect` | no | 307 or 308 with Location | `status`=307, `location`; `after_work` |
| `failed_status` | no | 200 `{"id": "", "status": "FAILED"}` | `after_work` |
| `reset_before` | no | RST, nothing sent | |
| `reset_after` | yes | RST, nothing sent | |
| `close_without_reply` | yes | FIN, nothing sent | `before_work` |
| `stall` | yes | silence on an open connection | `before_work` |
| `slow_loris` | yes | the right answer, byte by byte | `interval_s`=0.3 |
| `truncated_body` | yes | Content-Length larger than what comes, FIN | `sent_bytes`=half |
| `wrong_length` | yes | Content-Length too small: a cut body in a good answer | `sent_bytes`=half |
| `bad_chunk` | yes | a chunked body that breaks off, FIN | `malformed`: nonsense as chunk size |
| `invalid_json` | yes | 200 with half of the JSON | |
| `html_200` | yes | 200 with a web page | `before_work` |
| `garbage` | yes | bytes that are not HTTP, FIN | `before_work` |
| `surplus` | yes | the right answer, and then one that nobody asked for on the same connection | `form`=invented or repeated; `after_s`=0, `body` |
| `refuse_connection` | no | no connection (a socket is reset instead) | `form`=refused, timeout, dns or pool |
| `task_failed` | yes | a task that ends as failed | `message` |
| `task_moderated` | yes | the same, for moderation; with `form`=create the create itself is refused with 500 | `form`=task |
| `task_lost` | yes | a task that nobody finds any more: 404 while polling | `after_s`=when the job ends |
| `task_hidden` | yes | `GET /tasks/{id}` answers 404 for a while; scheduler and history show the task | `for_s`=9; `after_s`=0 |
| `no_task_id` | yes | 200 without `task.id` | `before_work` |
| `no_slot` | no | 429: no free job slot | `form`=seconds, date, body or none; `retry_after_s`=1 |
| `no_range` | yes | the whole file, from a server that knows no ranges | |
| `changed_file` | yes | other bytes, as many, under another ETag | |

A `surplus` answer follows in the same packet, or after `after_s`; an `invented` one names ids of things
that were never made, `body` is one word for word. There is none without a socket.

The last two are for media, the six before them for creates that start a task, and they strike
nothing else, whatever pattern names them. `task_moderated` is also for `tts.create`, which it
refuses in any form.

Every kind also takes `delay_s` (default 0): a pause on the emulator's clock before the work, or
after it with `after_work`. Flags default to False and name the exception to the column "work done".

`form` of `status`: `json` (default), `text`, `html`, `empty`, `nested`. For 429 (default `seconds`)
also `seconds`, `decimal`, `date`, `body`, `epoch_ms`, `none`, `absurd` (1e9 s), `negative` (-1),
`past` (1970), `garbage`; for 500 also `moderation`. `retry_after_s` (default 1) is what 429 and 503
name. `body` and `headers` replace and add.
"""  # noqa: E501 - table rows do not wrap

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import cast

from attrs import frozen

PLAIN_FORMS = ("json", "text", "html", "empty", "nested")
RETRY_AFTER_FORMS = (
    "seconds",
    "decimal",
    "date",
    "body",
    "epoch_ms",
    "none",
    "absurd",
    "negative",
    "past",
    "garbage",
)
NO_SLOT_FORMS = ("seconds", "date", "body", "none")
SURPLUS_FORMS = ("invented", "repeated")
MODERATED_FORMS = ("task", "create")
REFUSAL_FORMS = ("refused", "timeout", "dns", "pool")


@frozen
class Kind:
    """One row of the table above.

    Args:
        works: whether the operation is carried out.
        settings: names it takes, the main one first.
        required: names that have no default.
        only: the operations it is for, all of them where empty; a `*` at the end stands for any.
    """

    works: bool
    settings: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    only: tuple[str, ...] = ()

    def is_for(self, operation: str) -> bool:
        """Whether it can strike that operation."""
        return not self.only or any(fits(pattern, operation) for pattern in self.only)

    @property
    def main(self) -> str | None:
        """The setting that `kind=value` in a text sets."""
        first = self.settings[0] if self.settings else None
        return None if first in ("after_work", "before_work") else first


# Of each job in `operations/`, too; a test compares them.
_TASK_CREATES = (
    "avatars.video",
    *("videos.text2video", "videos.image2video_*", "videos.omni", "videos.extend"),
    *("videos.lipsync", "videos.add_sound", "videos.motion_create", "videos.motion_upload"),
    *("images.virtual_try_on", "images.kolors*", "images.upscale", "images.omni", "images.enhance"),
)

KINDS: Mapping[str, Kind] = {
    "latency": Kind(True, ("delay_s", "after_work"), ("delay_s",)),
    "status": Kind(
        False,
        ("status", "form", "retry_after_s", "body", "headers", "after_work"),
        ("status",),
    ),
    "redirect": Kind(False, ("status", "location", "after_work")),
    "failed_status": Kind(False, ("after_work",)),
    "reset_before": Kind(False),
    "reset_after": Kind(True),
    "close_without_reply": Kind(True, ("before_work",)),
    "stall": Kind(True, ("before_work",)),
    "slow_loris": Kind(True, ("interval_s",)),
    "truncated_body": Kind(True, ("sent_bytes",)),
    "wrong_length": Kind(True, ("sent_bytes",)),
    "bad_chunk": Kind(True, ("malformed",)),
    "invalid_json": Kind(True),
    "html_200": Kind(True, ("before_work",)),
    "garbage": Kind(True, ("before_work",)),
    "surplus": Kind(True, ("form", "after_s", "body")),
    "refuse_connection": Kind(False, ("form",)),
    "task_failed": Kind(True, ("message",), only=_TASK_CREATES),
    "task_moderated": Kind(True, ("form",), only=(*_TASK_CREATES, "tts.create")),
    "task_lost": Kind(True, ("after_s",), only=_TASK_CREATES),
    "task_hidden": Kind(True, ("for_s", "after_s"), only=_TASK_CREATES),
    "no_task_id": Kind(True, ("before_work",), only=_TASK_CREATES),
    "no_slot": Kind(False, ("form", "retry_after_s"), only=_TASK_CREATES),
    "no_range": Kind(True, only=("media.*",)),
    "changed_file": Kind(True, only=("media.*",)),
}


def fits(pattern: str, operation: str) -> bool:
    """Whether a name, or a part of one with a `*` behind, means that operation."""
    return operation.startswith(pattern[:-1]) if pattern.endswith("*") else operation == pattern


def checked(kind: str, settings: Mapping[str, object]) -> dict[str, object]:
    """The settings with their right types; texts are converted.

    Raises:
        ValueError: an unknown kind or setting, a missing one, or a value that makes no sense; says
            what is allowed.
    """
    row = KINDS.get(kind)
    if row is None:
        raise ValueError(f"unknown kind {kind!r}; allowed: {', '.join(KINDS)}")
    allowed = dict.fromkeys((*row.settings, "delay_s"))
    for name in settings:
        if name not in allowed:
            raise ValueError(f"{kind} has no setting {name!r}; allowed: {', '.join(allowed)}")
    for name in row.required:
        if name not in settings:
            raise ValueError(f"{kind} needs {name}")
    values = {name: _READERS[name](name, value) for name, value in settings.items()}
    if "form" in values:
        forms = _forms(kind, values.get("status"))
        if values["form"] not in forms:
            raise ValueError(f"form is {values['form']!r}; allowed here: {', '.join(forms)}")
    if kind == "redirect" and values.get("status", 307) not in (301, 302, 303, 307, 308):
        raise ValueError("status of a redirect must be 301, 302, 303, 307 or 308")
    return values


def _forms(kind: str, status: object) -> tuple[str, ...]:
    if kind == "refuse_connection":
        return REFUSAL_FORMS
    if kind == "surplus":
        return SURPLUS_FORMS
    if kind == "no_slot":
        return NO_SLOT_FORMS
    if kind == "task_moderated":
        return MODERATED_FORMS
    if status == 429:
        return (*PLAIN_FORMS, *RETRY_AFTER_FORMS)
    return (*PLAIN_FORMS, "moderation") if status == 500 else PLAIN_FORMS


def _number(name: str, value: object) -> float:
    try:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValueError
        number = float(value)
    except ValueError:
        raise ValueError(f"{name} must be a number, not {value!r}") from None
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"{name} must be 0 or more, not {value!r}")
    return number


def _whole(name: str, value: object) -> int:
    number = _number(name, value)
    if number != int(number):
        raise ValueError(f"{name} must be a whole number, not {value!r}")
    return int(number)


def _status(name: str, value: object) -> int:
    status = _whole(name, value)
    if not 200 <= status <= 599:
        raise ValueError(f"{name} must be from 200 to 599, not {value!r}")
    return status


def _flag(name: str, value: object) -> bool:
    flag = {"true": True, "false": False}.get(str(value).lower())
    if flag is None:
        raise ValueError(f"{name} must be true or false, not {value!r}")
    return flag


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a string, not {value!r}")
    return value


def _header_text(name: str, value: object) -> str:
    text = _text(name, value)
    if not (text and text.isascii() and text.isprintable()):
        raise ValueError(f"{name} must be printable ASCII, not {value!r}")
    return text


def _headers(name: str, value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must be a mapping, not {value!r}")
    pairs = cast("Mapping[object, object]", value).items()
    return {_header_text(name, key): _header_text(name, text) for key, text in pairs}


_READERS: Mapping[str, Callable[[str, object], object]] = {
    "delay_s": _number,
    "status": _status,
    "form": _text,
    "message": _text,
    "after_s": _number,
    "for_s": _number,
    "retry_after_s": _number,
    "body": _text,
    "headers": _headers,
    "location": _header_text,
    "interval_s": _number,
    "sent_bytes": _whole,
    "malformed": _flag,
    "after_work": _flag,
    "before_work": _flag,
}

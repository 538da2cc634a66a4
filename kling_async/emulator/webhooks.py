"""What do webhooks say, when, and how wrong? Options, the plan of one task, and what was sent.

Sending is left to `delivery.py`. Of the vendor's webhooks only that they POST the task record is
known; order, repeats, retries and the place of `replyRef` are not. Here it is a key at top level.
"""

from __future__ import annotations

import json
import math
import random
from typing import Any, Literal, get_args

from attrs import Attribute, define, field, fields_dict, frozen
from attrs.validators import ge, in_, instance_of

from .records import task_record
from .tasks import TRACKED_S, Task
from .world import World

Order = Literal["kept", "reversed", "shuffled"]
Body = Literal["record", "broken", "huge", "empty"]
Named = Literal["own", "other", "unknown"]

HUGE_BYTES = 8 * 1024 * 1024
_NOBODYS_ID = 987_654_321_098
# Words that may stand alone in a text.
_WORDS: dict[str, tuple[str, object]] = {
    "on": ("off", False),
    "off": ("off", True),
    "twice": ("copies", 2),
    "reversed": ("order", "reversed"),
    "shuffled": ("order", "shuffled"),
    "broken": ("body", "broken"),
    "huge": ("body", "huge"),
    "empty": ("body", "empty"),
    "other_task": ("task_id", "other"),
    "unknown_task": ("task_id", "unknown"),
    "anywhere": ("anywhere", True),
}


def _finite(_: object, attribute: Attribute[float], value: float) -> None:
    if isinstance(value, bool) or not 0 <= value < math.inf:
        raise ValueError(f"{attribute.name} must be 0 or more, not {value!r}")


@frozen(kw_only=True)
class Webhooks:
    """How the emulator calls back those who gave a `replyUrl`.

    Args:
        off: True sends none.
        copies: how often each is sent; default 1.
        progress: how many come before the result; default 1, at the start of processing.
        order: `kept`, or `reversed` or `shuffled`, for which all wait until the task is final.
        delay_s: seconds between what happens and the callback about it.
        task_id: whose id the record carries: its `own`, that of an`other` task, or an `unknown`.
        body: the `record`, a `broken` one, a `huge` one (8 MiB) or an `empty` one.
        content_type: of the callback.
        anywhere: True also calls hosts beyond loopback; without it such calls are only recorded.

    Raises:
        ValueError: a value that makes no sense.

    Examples:
        >>> twice = Emulator(webhooks=Webhooks(copies=2))
    """

    off: bool = field(default=False, validator=instance_of(bool))
    copies: int = field(default=1, validator=[instance_of(int), ge(1)])
    progress: int = field(default=1, validator=[instance_of(int), ge(0)])
    order: Order = field(default="kept", validator=in_(get_args(Order)))
    delay_s: float = field(default=0.0, validator=_finite)
    task_id: Named = field(default="own", validator=in_(get_args(Named)))
    body: Body = field(default="record", validator=in_(get_args(Body)))
    content_type: str = "application/json"
    anywhere: bool = field(default=False, validator=instance_of(bool))

    @classmethod
    def parse(cls, text: str) -> Webhooks:
        """The options in a text: `twice,shuffled`, `progress=3,delay_s=2`, `off`; empty: default.

        Words that stand alone: on, off, twice, reversed, shuffled, broken, huge, empty,
        other_task, unknown_task, anywhere. The others are name=value.

        Raises:
            ValueError: says which word makes no sense.
        """
        values: dict[str, Any] = {}
        for word in filter(None, (part.strip() for part in text.split(","))):
            name, equals, value = (part.strip() for part in word.partition("="))
            if not equals and name in _WORDS:
                name, found = _WORDS[name]
            elif equals and name in fields_dict(cls):
                found = _read(name, value)
            else:
                allowed = ", ".join((*_WORDS, *(f"{one}=…" for one in fields_dict(cls))))
                raise ValueError(f"webhooks know no {word!r}; allowed: {allowed}")
            if name in values:
                raise ValueError(f"webhooks: {name} is set twice")
            values[name] = found
        return cls(**values)


@frozen(kw_only=True)
class Webhook:
    """One callback that was due.

    Args:
        number: 1 for the first.
        task_id: the task it is about, whatever its body says.
        account: the task's.
        url: where it went.
        state: of the task, as the body tells it.
        at_ms: wall time of sending.
        body: the first 64 KiB; `body_size_bytes` counts all.
        content_type: of the body.
        status: of the receiver's answer, None where none came.
        error: why none came, None where one did.
    """

    number: int
    task_id: int
    account: str
    url: str
    state: str
    at_ms: int
    body: bytes = field(repr=False)
    body_size_bytes: int
    content_type: str
    status: int | None = None
    error: str | None = None


@define
class Moment:
    """A callback to come: clock time when it is due, and clock time whose state it tells."""

    due_s: float
    told_s: float


def moments(task: Task, options: Webhooks) -> list[Moment]:
    """The callbacks of a task in the order they go out; tracking ends them after an hour."""
    if options.off or task.reply_url is None:
        return []
    end_s = task.final_s if math.isfinite(task.job_s) else task.started_s + TRACKED_S
    step_s = (end_s - task.processing_s) / max(1, options.progress)
    told = [task.processing_s + step_s * number for number in range(options.progress)]
    told.append(task.final_s)
    told = [one_s for one_s in told if one_s - task.started_s < TRACKED_S]
    told = [one_s for one_s in told for _ in range(options.copies)]
    if options.order == "kept":
        return [Moment(one_s + options.delay_s, one_s) for one_s in told]
    if options.order == "reversed":
        told.reverse()
    else:
        random.Random(task.id).shuffle(told)
    return [Moment(max(told, default=0.0) + options.delay_s, one_s) for one_s in told]


def content(task: Task, told_s: float, options: Webhooks, world: World) -> bytes:
    """The body of a callback."""
    if options.body == "empty":
        return b""
    record = task_record(task, told_s, task.origin)
    if task.reply_ref is not None:
        record["replyRef"] = task.reply_ref
    if options.task_id != "own":
        others = (one.id for one in world.tasks.values() if one is not task)
        wrong = _NOBODYS_ID if options.task_id == "unknown" else next(others, _NOBODYS_ID)
        record["task"] = {**_mapping(record["task"]), "id": wrong}
    if options.body == "huge":
        record["padding"] = "x" * HUGE_BYTES
    data = json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace")
    return data[: len(data) // 2] if options.body == "broken" else data


def _mapping(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value  # pyright: ignore[reportUnknownVariableType] - made by task_record


def _read(name: str, text: str) -> object:
    if name in ("off", "anywhere"):
        found = {"true": True, "false": False}.get(text.lower())
        if found is None:
            raise ValueError(f"{name} must be true or false, not {text!r}")
        return found
    if name not in ("copies", "progress", "delay_s"):
        return text
    try:
        return float(text) if name == "delay_s" else int(text)
    except ValueError:
        raise ValueError(f"{name} must be a number, not {text!r}") from None

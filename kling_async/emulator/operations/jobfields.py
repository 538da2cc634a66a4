"""How is one field of a paid job described, and read?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from attrs import frozen

from ..operation import Context
from .media import upload_behind
from .video_models import MOST_SHOTS

MAX_PROMPT_CHARS = 2500

FieldKind = Literal["text", "choice", "number", "whole", "flag", "image", "video", "audio"]


@frozen
class JobField:
    """One field of a job.

    Args:
        name: as the API spells it.
        kind: how it is read; image, video and audio are addresses of such files.
        required: whether it must be there.
        max_chars: of a text.
        values: of a choice.
        low: least number.
        high: largest number.
        read: what it stands for, where that is to be looked up; raises Refusal.
    """

    name: str
    kind: FieldKind
    required: bool = False
    max_chars: int | None = None
    values: tuple[str, ...] = ()
    low: float = 0
    high: float = 0
    read: Callable[[Context, str], object] | None = None

    @property
    def is_file(self) -> bool:
        """Whether it is the address of a file the job is made from."""
        return self.kind in ("image", "video", "audio")


def text(name: str, *, required: bool = False) -> JobField:
    """A text of at most 2500 characters."""
    return JobField(name, "text", required, max_chars=MAX_PROMPT_CHARS)


def choice(name: str, *values: str) -> JobField:
    """One of the values."""
    return JobField(name, "choice", values=values)


def whole(name: str, low: int, high: int) -> JobField:
    """A whole number from `low` to `high`."""
    return JobField(name, "whole", low=low, high=high)


def flag(name: str) -> JobField:
    """True or false."""
    return JobField(name, "flag")


def image(name: str, *, required: bool = False) -> JobField:
    """The address of a picture."""
    return JobField(name, "image", required)


def numbered(
    make: Callable[[str], JobField], name: str, last: int, first: int = 1
) -> list[JobField]:
    """Several, which end in their numbers."""
    return [make(f"{name}{n}") for n in range(first, last + 1)]


SHOTS = tuple(
    field
    for number in range(1, MOST_SHOTS + 1)
    for field in (text(f"shot_{number}_prompt"), whole(f"shot_{number}_duration", 1, 15))
)
"""Several shots instead of `prompt` and `duration`."""


def read(field: JobField, context: Context) -> object | None:
    """The value of a field, None where it was left out."""
    given, name = context.fields, field.name
    if field.required or given.has(name):
        if field.read is not None:
            return field.read(context, name)
        if field.kind == "flag":
            return given.flag(name)
        if field.is_file:
            url = given.web_url(name)
            upload_behind(url, context, name, field.kind)
            return url
        if field.kind == "text" and field.required:
            return given.needed_text(name, max_chars=field.max_chars)
    if field.kind == "text":
        return given.text(name, max_chars=field.max_chars)
    if field.kind == "choice":
        return given.choice(name, field.values)
    if field.kind == "whole":
        return given.whole(name, low=int(field.low), high=int(field.high))
    if field.kind == "number":
        return given.number(name, low=field.low, high=field.high)
    return None

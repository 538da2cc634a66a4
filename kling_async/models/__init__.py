"""What is asked, and what comes back? Frozen attrs values that do no I/O of their own.

What stands here is public: with it users write request types of their own, and send them with
`kling.send`. Those of the API are in `kling_async` itself.
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from .checks import (
    Boolean,
    Check,
    Digits,
    Email,
    Integer,
    ListOf,
    Number,
    OneOf,
    Text,
    Url,
    exactly_one,
)
from .fields import Part, body, file, files, numbered, path, query, unlogged
from .requests import Request, Safety
from .responses import Model, named

if _TYPE_CHECKING:
    from .prices import credits
    from .task_requests import TaskRequest

__all__ = [
    "Boolean",
    "Check",
    "Digits",
    "Email",
    "Integer",
    "ListOf",
    "Model",
    "Number",
    "OneOf",
    "Part",
    "Request",
    "Safety",
    "TaskRequest",
    "Text",
    "Url",
    "body",
    "credits",
    "exactly_one",
    "file",
    "files",
    "named",
    "numbered",
    "path",
    "query",
    "unlogged",
]

if not _TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        # Loaded when asked for: prices, and a request whose answer is a type loaded later, too.
        if name == "credits":
            from .prices import credits

            return credits
        if name != "TaskRequest":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from .task_requests import TaskRequest

        return TaskRequest

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})

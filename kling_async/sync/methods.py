"""How does an async method become one that waits? `waited(Avatars.get)`, with the same signature.

Type checkers see the arguments and the result of the async one, without its coroutine.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Generator, Mapping
from inspect import Signature, getdoc, signature
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast, overload

from .errand import stream
from .thread import LoopThread

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Resource:
    """Methods of one part of the API. Made by the client.

    Args:
        thread: where its calls are carried out.
        awaited: gives the same part of the async client; called on the loop.
    """

    def __init__(self, thread: LoopThread, awaited: Callable[[], Any]) -> None:
        self._thread = thread
        self._awaited = awaited

    def _on_loop(self, ask: Callable[[Any], T]) -> T:
        """What `ask` says of the async part, on the loop: nothing of it is held by a lock."""

        async def asked() -> T:
            return ask(self._awaited())

        return self._thread.call(asked)


class _Method(Generic[P, R]):
    """A method made of an async one; it has its name, its arguments and its description."""

    def __init__(self, call: Callable[..., R], awaited: Callable[..., Any]) -> None:
        self._call = call
        self._of = awaited

    def __set_name__(self, owner: type, name: str) -> None:
        call, shape = self._call, signature(self._of)
        call.__name__, call.__qualname__ = name, f"{owner.__qualname__}.{name}"
        call.__module__ = owner.__module__
        call.__doc__ = plainly(getdoc(self._of) or "")
        returns = re.sub(r"^AsyncGenerator\[(.*), None\]$", r"Generator[\1, None, None]",
                         str(shape.return_annotation))  # fmt: skip
        call.__signature__ = Signature(  # type: ignore[attr-defined]
            list(shape.parameters.values()), return_annotation=returns
        )

    @overload
    def __get__(self, resource: None, owner: type) -> Callable[Concatenate[Resource, P], R]: ...
    @overload
    def __get__(self, resource: Resource, owner: type) -> Callable[P, R]: ...
    def __get__(self, resource: Resource | None, owner: type) -> Any:
        return self._call if resource is None else cast("Any", self._call).__get__(resource, owner)


class waited(_Method[P, R]):
    """A method that waits for what the async one gives."""

    def __init__(self, awaited: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]) -> None:
        def call(resource: Resource, *args: P.args, **given: P.kwargs) -> R:
            return resource._thread.call(lambda: awaited(resource._awaited(), *args, **given))

        super().__init__(call, awaited)


class iterated(_Method[P, Generator[T, None, None]]):
    """A method for `for`, of an async one for `async for`; `rows` are read in the caller's thread.

    Wrong arguments are refused when it is called, and not when the loop begins.
    """

    def __init__(self, awaited: Callable[Concatenate[Any, P], AsyncGenerator[T, None]]) -> None:
        shape = signature(awaited)

        def call(resource: Resource, *args: P.args, **given: P.kwargs) -> Generator[T, None, None]:
            bound = shape.bind(resource, *args, **given)
            rows = bound.arguments.get("rows")
            ours = rows if _is_read_here(rows) else None

            def begun(read: object) -> AsyncGenerator[T, None]:
                _, *others = bound.args
                if read is not None:
                    others[0] = read
                method = cast("Callable[..., AsyncGenerator[T, None]]", awaited)
                return method(resource._awaited(), *others, **bound.kwargs)

            return stream(resource._thread, begun, ours)

        super().__init__(call, awaited)


def _is_read_here(rows: object) -> bool:
    """Whether reading them may be anybody's code; lists are not, and the job refuses the others."""
    strange = isinstance(rows, (list, tuple, str, bytes, Mapping, AsyncIterable))
    return hasattr(rows, "__iter__") and not strange


def plainly(text: str) -> str:
    """A description for those who don't await."""
    for awaited, plain in (
        ("`async for ", "`for "), ("async for", "for"), ("`await ", "`"),
        ("contextlib.aclosing", "contextlib.closing"),
        (" Call it on the client's event loop.", ""),
    ):  # fmt: skip
        text = text.replace(awaited, plain)
    # An example's lines, and no others: they run as they stand there.
    return re.sub(r"(?m)^ *(?:>>>|\.\.\.) .*", lambda line: line[0].replace("await ", ""), text)

"""How does a request class become a method? `operation(CreateAvatar)` builds it and sends it.

Methods whose shape is not their request's are written out; they build with `Resource._built`, too.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterable
from inspect import Parameter, Signature, cleandoc, formatannotation, signature
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast, overload

from attrs import fields

from .._calls.pipeline import Options, Pipeline
from ..errors import InvalidRequestError
from ..models.checks import ListOf
from ..models.media import Media
from ..models.requests import Request, result_type
from ..models.responses import Model
from ..models.scheduler import RunningTask

P = ParamSpec("P")
R = TypeVar("R")
Q = TypeVar("Q", bound=Request[Any])

_OF_ALL = """
`email` names the Kling account; default: that of a result that is given, else chosen by the
registry. `extra` holds fields newer than this library, under the API's names. What is not allowed
raises InvalidRequestError, with all faults at once, before anything is sent."""
_OF_PAID = """
It is never sent twice by itself. OutcomeUnknownError says that the answer was lost and nothing
proves what became of it: look at its `candidates`; see docs/lost-answers.md."""


class Resource:
    """Builds requests of one part of the API and sends them. Made by the client."""

    def __init__(self, pipeline: Pipeline, options: Options) -> None:
        self._pipeline = pipeline
        self._options = options

    async def _built(self, request: Callable[P, Q], *args: P.args, **given: P.kwargs) -> Q:
        """The request of these fields, for the account of the results that are among them.

        It looks into files, which blocks, so in a thread; all requests with files are built here.
        """
        if _reads_files(request, given):
            return await asyncio.to_thread(request, *args, **given)
        return request(*args, **given)

    async def _sent(self, request: Callable[P, Request[R]], *args: P.args, **given: P.kwargs) -> R:
        """The result of the request of these fields."""
        built = await self._built(request, *args, **given)
        return await self._pipeline.send(built, self._options)


class operation(Generic[P, R]):
    """A method that takes a request's fields, by their names, and gives the request's result.

    Args:
        request: the class of the request, whose docstring the method has, too.
    """

    def __init__(self, request: Callable[P, Request[R]]) -> None:
        async def call(resource: Resource, *args: P.args, **given: P.kwargs) -> R:
            # As `_built`, written out: a coroutine of its own costs a third of a microsecond.
            if _reads_files(request, given):
                built = await asyncio.to_thread(request, *args, **given)
            else:
                built = request(*args, **given)
            return await resource._pipeline.send(built, resource._options)

        self._call = call
        self._request = cast("type[Request[R]]", request)

    def __set_name__(self, owner: type, name: str) -> None:
        call, request = self._call, self._request
        call.__name__, call.__qualname__ = name, f"{owner.__qualname__}.{name}"
        call.__module__ = owner.__module__
        paid = _OF_PAID if request.safety.value == "paid" else ""
        call.__doc__ = f"{cleandoc(request.__doc__ or '')}\n{_OF_ALL}{paid}"
        built = signature(request).parameters
        own = sorted(fields(request), key=lambda one: one.inherited)
        itself = Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)
        result = re.sub(r"\w+\.", "", formatannotation(result_type(request)))
        call.__signature__ = Signature(  # type: ignore[attr-defined]
            [itself, *(built[one.name].replace(annotation=one.type) for one in own)],
            return_annotation=result,
        )

    @overload
    def __get__(
        self, resource: None, owner: type
    ) -> Callable[Concatenate[Resource, P], Coroutine[Any, Any, R]]: ...
    @overload
    def __get__(self, resource: Resource, owner: type) -> Callable[P, Coroutine[Any, Any, R]]: ...
    def __get__(self, resource: Resource | None, owner: type) -> Any:
        return self._call if resource is None else self._call.__get__(resource, owner)


def account_of(*things: object) -> str | None:
    """The account that results belong to; None for plain ids, which do not know it.

    Raises:
        InvalidRequestError: they belong to different ones, so no single call is about them.
    """
    owners = {found for one in _flat(things) if (found := _owner(one)) is not None}
    if len(owners) > 1:
        raise InvalidRequestError(
            "The call", {"email": f"what is given belongs to {', '.join(sorted(owners))}"}
        )
    return owners.pop() if owners else None


def _flat(things: Iterable[object]) -> Iterable[object]:
    for one in things:
        yield from one if isinstance(one, (tuple, list)) else (one,)


def _owner(thing: object) -> str | None:
    if isinstance(thing, RunningTask):  # listed for all accounts at once: each says its own
        return thing.email
    return thing.meta.account if isinstance(thing, Model) else None


def _reads_files(request: Callable[..., Any], given: dict[str, Any]) -> bool:
    """Whether building it looks into a file; and the account of results is filled in."""
    results, files = _SPECIAL.get(request) or _special(request)
    if results and given.get("email") is None:
        given["email"] = account_of(*map(given.get, results))
    for name in files:  # noqa: SIM110  (a generator costs as much as the rest)
        if name in given and not isinstance(given[name], _LOOKED_INTO):
            return True
    return False


_LOOKED_INTO = (Media, type(None))
_SPECIAL: dict[Callable[..., Any], tuple[tuple[str, ...], tuple[str, ...]]] = {}


def _special(request: Callable[..., Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the fields for which a result may stand, and of those that take a file; kept."""
    results, files = [], []
    for one in fields(cast("type[Any]", request)):
        check = one.metadata.get("check")
        check = check.check if isinstance(check, ListOf) else check
        if getattr(check, "of", ()) != ():
            results.append(one.name)
        if "into" in one.metadata or one.metadata.get("file"):
            files.append(one.name)
    found = _SPECIAL[request] = tuple(results), tuple(files)
    return found

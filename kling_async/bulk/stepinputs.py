"""What does a row say of one of its steps? Its columns, checked like a request before any is sent.

The digest is of what the row says, files by the path it gives; the payload is what will be sent,
files by their absolute path.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import JSON, InvalidRequestError
from ..models.checks import Digits, Email, url_path
from ..models.media import Media, is_address
from ..models.requests import Request
from .recipes import Given, Recipe, StepSpec
from .records import StepInput
from .values import digest_of, has_half, mended, plain

OWN_PREFIX = "x_"
"""Columns of the user's own begin with it: they are shown again and never sent."""
_ID, _EMAIL = Digits(), Email()
_OF_ROW = ("email", "extra")
"""Fields that the first step takes, and that no column of a step holds."""
PLACEHOLDERS: Mapping[Given, str] = {  # for checks, of what an earlier step has yet to make
    "remote_id": "100000000",
    "work_url": "https://example.com/work",
    "work_id": "100000000",
}


def step_of(
    recipe: Recipe,
    number: int,
    said: Mapping[str, Any],
    *,
    request: Request[Any] | None = None,
    written: Mapping[str, JSON],
) -> tuple[StepInput | None, dict[str, str]]:
    """One step of a row, None where the row does not ask for it; and what is wrong, by column.

    Looks into files: call it in a thread.

    Args:
        recipe: of the row.
        number: of the step, from 1.
        said: the row's fields by column.
        request: the step's request, where the row gave it whole.
        written: column -> file as it stands in the input, where it was read from one.
    """
    spec = recipe.step(number)
    asked, default = dict[str, Any](), spec.own_fields
    for column, name in spec.columns.items():
        value = said.get(column)
        if value is not None and value is not default[name]:
            asked[column] = value
    if number == 1 and spec.given_by is not None and said.get(spec.given_by) is not None:
        return _given(recipe, said)
    if spec.optional:
        if not asked:
            return None, {}
        named = [name for name in spec.optional if name in asked]
        if not named:
            lost = (
                f"is for {spec.thing}, and the row has none of {', '.join(spec.optional)}; add one "
                "or leave it out"
            )
            return None, dict.fromkeys(asked, lost)
        if len(named) > 1:
            several = f"and {', '.join(named[1:])} are both given; keep one of the two"
            values = _fields(spec, number, said, asked)
            return _made(spec, number, said, asked, values, None, written), {named[0]: several}
    problems, values = dict[str, str](), _fields(spec, number, said, asked)
    if request is None:
        request, problems = _checked(spec, number, values)
    elif "reply_ref" in spec.own_fields and said.get("reply_ref") is not None:
        problems = {"reply_ref": "is the ledger's own mark in a bulk job; leave it out"}
    step = _made(spec, number, said, asked, values, request, written)
    return step, problems or _unkept(spec, step)


def _fields(
    spec: StepSpec, number: int, said: Mapping[str, Any], asked: Mapping[str, Any]
) -> dict[str, Any]:
    """What the request is made of: the asked columns, and others that stand in for one."""
    values = {spec.columns[name]: value for name, value in asked.items()}
    if spec.defaults_with is None or spec.defaults_with in values:
        for name, column in spec.defaults.items():
            if name not in values and said.get(column) is not None:
                values[name] = said[column]
    if number == 1:
        values |= {name: said[name] for name in _OF_ROW if said.get(name) is not None}
    return values


def _checked(
    spec: StepSpec, number: int, values: Mapping[str, Any]
) -> tuple[Request[Any] | None, dict[str, str]]:
    """The request, or what is wrong with it by column."""
    if number > 1:
        for name in spec.attachments:
            if not all(isinstance(one, (str, os.PathLike)) for one in _members(values.get(name))):
                text = "must be a path: a ledger keeps where the file is, not what is in it"
                return None, {spec.column_of(name): text}
    taken = {n: spec.as_field(n, PLACEHOLDERS[one.what]) for n, one in spec.takes.items()}
    try:
        return spec.request(**spec.typed({**values, **taken})), {}
    except InvalidRequestError as exc:
        problems = dict(exc.problems)
    for name, text in spec.missing.items():
        if name in problems and values.get(name) is None:
            problems[name] = text
    return None, {spec.column_of(name): text for name, text in problems.items()}


def _made(
    spec: StepSpec,
    number: int,
    said: Mapping[str, Any],
    asked: Mapping[str, Any],
    values: Mapping[str, Any],
    request: Request[Any] | None,
    written: Mapping[str, JSON],
) -> StepInput:
    payload = {n: one if isinstance(one, str) else plain(one) for n, one in values.items()}
    content = _content(spec, number, said, asked)
    content = {n: one if isinstance(one, str) else plain(one) for n, one in content.items()}
    for name in spec.attachments:
        if (file := getattr(request, name, None) or values.get(name)) is not None:
            payload[name] = _absolute(file)
            if (column := spec.column_of(name)) in content:
                content[column] = _as_written(written.get(column, file))
    return StepInput(
        number=number,
        operation=spec.operation,
        kind=spec.kind,
        digest=digest_of({"operation": spec.operation, **content}),
        payload=payload,
        paths=() if request is None else _paths(spec, payload),
        request=request if number == 1 and not spec.takes else None,
    )


def _unkept(spec: StepSpec, step: StepInput) -> dict[str, str]:
    """What no ledger can hold, though the request takes it: a file whose name is no text."""
    for value in step.payload.values():  # the names are of fields
        if not (isinstance(value, str) and value.isascii()) and has_half(value):
            break
    else:
        return {}
    text = "its path is not UTF-8 text, which can't be kept; rename the file or its folder"
    return {spec.column_of(n): text for n, value in step.payload.items() if has_half(value)}


def _content(
    spec: StepSpec, number: int, said: Mapping[str, Any], asked: Mapping[str, Any]
) -> dict[str, Any]:
    """What a step's digest is of: what its columns say, without those that stand in for them."""
    if number > 1:
        return dict(asked)
    return {**asked, **{name: said[name] for name in _OF_ROW if said.get(name) is not None}}


def _given(recipe: Recipe, said: Mapping[str, Any]) -> tuple[StepInput, dict[str, str]]:
    """The first step of a row that names its result."""
    spec = recipe.step(1)
    column = spec.given_by
    assert column is not None
    named = said[column]
    if isinstance(named, int) and not isinstance(named, bool):
        named = str(named)  # JSON may hold it as a number
    text = f"is for a new {spec.noun}, and {column} names one that exists; keep one of the two"
    problems = {n: text for n in (*spec.columns, "extra") if said.get(n) is not None}
    if (problem := _ID(named)) is not None:
        problems[column] = problem
    email = said.get("email")
    if email is not None and (problem := _EMAIL(email)) is not None:
        problems["email"] = problem
    content: dict[str, JSON] = {column: plain(named)}
    payload: dict[str, JSON] = {}
    if email is not None:
        content["email"] = payload["email"] = plain(email)
    step = StepInput(
        number=1,
        operation=spec.operation,
        kind=spec.kind,
        digest=digest_of({"operation": spec.operation, **content}),
        payload=mended(payload),
        given_id=None if problems else str(named),
    )
    return step, problems


def _paths(spec: StepSpec, payload: Mapping[str, JSON]) -> tuple[str, ...]:
    """The paths of the addresses that the user gave, by which a listing shows them again."""
    return tuple(
        [
            url_path(one)
            for name, into in spec.attachments.items()
            for one in _members(payload.get(into))
            if isinstance(one, str) and (name != into or is_address(one))
        ]
    )


def files_in(spec: StepSpec, payload: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The files that a payload names, by their fields; in a list of files by `images.2`."""
    for name, into in spec.attachments.items():
        for number, one in enumerate(_members(payload.get(name)), 1):
            if name != into:
                yield name, str(one)
            elif not is_address(one):
                yield f"{name}.{number}", str(one)


def _members(value: Any) -> Sequence[Any]:
    """The members of a list of files, or the one that is given."""
    if value is None:
        return ()
    return value if isinstance(value, (tuple, list)) else (value,)


def _absolute(file: Any) -> JSON:
    if isinstance(file, (tuple, list)):
        return [_absolute(one) for one in file]
    if isinstance(file, Media) and isinstance(file.source, Path):
        return str(file.source.absolute())
    return plain(file)


def _as_written(file: Any) -> JSON:
    """A file by the path that the input gives, in one spelling: `./a.png` is `a.png`."""
    if isinstance(file, (tuple, list)):
        return [_as_written(one) for one in file]
    if isinstance(file, Media):
        file = file.source
    if is_address(file):
        return plain(file)
    if isinstance(file, (str, os.PathLike)):
        return str(Path(os.fsdecode(file).strip()))
    return plain(file)

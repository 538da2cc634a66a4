"""What is a row before it is carried out? A request, or a mapping of its fields, as a `RowInput`.

Each step that the row asks for is checked and gets a digest and a payload of its own, from which
`request_of` makes the request again in any later run. A row without a key is known by what it says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from attrs import asdict, evolve

from ..errors import JSON, ConfigurationError, InvalidRequestError
from ..models.checks import Text
from ..models.operations import request_type
from ..models.requests import Request, put
from .recipes import Recipe, recipe_of
from .records import RowInput, Step, StepInput
from .seen import Seen
from .stepinputs import OWN_PREFIX, files_in, step_of
from .values import OF_BYTES, digest_of, has_half, mended, plain

WHOLE_ROW = ""
"""The name in `RowInput.problems` of what is wrong with no column in particular."""
KEY_HEX = 12
_KEY = Text()
_HALF = "holds half a character (a lone surrogate), which can be neither kept nor sent"


class RowBuilder:
    """Makes rows of one run over one input, in its order. Close it at the end.

    A row's key is its own, or `row-` and a digest of all it says, with `-2`, `-3` ... behind it
    where the input has equal ones: so it is the same wherever the row stands. The user's own
    columns (`x_...`) are no part of it.

    Args:
        recipe: of rows that don't say what they are. None: each must be a request, or a mapping
            with an `operation`.
        mixed: rows may be of other operations than the recipe's.
        saves: works become files, of rows of other operations.
    """

    def __init__(self, recipe: Recipe | None, *, mixed: bool = False, saves: bool = False) -> None:
        self._recipe = recipe
        self._mixed = mixed or recipe is None
        self._saves = saves
        self._recipes: dict[type[Request[Any]], Recipe] = {}
        if recipe is not None and not recipe.is_chain:  # of a chain a request is no whole row
            self._recipes[recipe.step(1).request] = recipe
        self._seen = Seen()

    def __enter__(self) -> RowBuilder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free what equal rows are counted with."""
        self._seen.close()

    def row(
        self,
        given: object,
        position: int,
        *,
        columns: Mapping[str, JSON] | None = None,
        line: int | None = None,
    ) -> RowInput:
        """The row that a request, or a mapping of its fields and perhaps a `key`, stands for.

        Looks into files: call it in a thread. What can't be a request becomes a problem.

        Args:
            given: a request, or its fields by name.
            position: its number in the input, from 1.
            columns: what the export shows of the input, files as they were written there; default:
                the fields that were given.
            line: of the file it came from.
        """
        said: dict[str, Any] = {}
        problems: dict[str, str] = {}
        request = given if isinstance(given, Request) else None
        if request is not None:
            said = asdict(request, recurse=False)
        elif isinstance(given, Mapping):
            said = {str(name): value for name, value in given.items()}
        key = None if request is not None else said.pop("key", None)
        recipe = self._recipe_of(given, said, problems)
        steps = list[StepInput]()
        if recipe is not None and "row" not in problems:
            steps = _steps(recipe, said, request, columns, problems)
        if key is not None and (problem := _KEY(key)) is not None:
            problems, key = {"key": problem, **problems}, None
        former = None
        if not isinstance(key, str):
            key, former = self._key_of(steps)
        if columns is None:
            kept = [(name, one) for name, one in said.items() if one is not None]
            columns = {n: one if isinstance(one, str) else plain(one) for n, one in kept}
        if has_half(columns):
            halves = [name for name, one in columns.items() if has_half(name) or has_half(one)]
            problems = {**dict.fromkeys(halves, _HALF), **problems}
            columns = dict(mended(columns))
        row = RowInput(
            key=key,
            former_key=former,
            position=position,
            columns=columns,
            steps=tuple(steps if recipe is None else steps[: recipe.made]),
            line=line,
        )
        return with_problems(row, problems) if problems else row

    def _recipe_of(
        self, given: object, said: dict[str, Any], problems: dict[str, str]
    ) -> Recipe | None:
        """The row's recipe; where there is none, `problems` says why."""
        chosen: Any = None
        if isinstance(given, Request):
            chosen = type(given)
        elif not isinstance(given, Mapping):
            problems["row"] = self._no_row(given)
            return self._recipe
        elif self._mixed:
            chosen = said.pop("operation", None)
        if chosen is None:
            if self._recipe is None:
                problems["operation"] = "is missing; say here which operation, `avatars.create`"
            return self._recipe
        try:
            kind = request_type(chosen) if isinstance(chosen, str) else chosen
            if not (isinstance(kind, type) and issubclass(kind, Request)):
                name = type(chosen).__name__
                problems["operation"] = f"must be the name of an operation, not {name}"
                return None
            if kind not in self._recipes:
                if not self._mixed:
                    problems["row"] = self._no_row(given)
                    return self._recipe
                self._recipes[kind] = recipe_of(kind, saves=self._saves)
            return self._recipes[kind]
        except ConfigurationError as exc:
            problems["operation"] = f"can't be carried out: {exc}"
            return None

    def _no_row(self, given: object) -> str:
        """Why something that is neither the recipe's request nor a mapping is no row."""
        wanted = "a request"
        if self._recipe is not None and not self._mixed:
            wanted = f"a {self._recipe.step(1).request.__name__}"
        return f"must be {wanted}, or a mapping of its fields, not {type(given).__name__}"

    def _key_of(self, steps: Sequence[StepInput]) -> tuple[str, str | None]:
        """The key of a row without one, and the one it had before it asked for further steps."""
        key = self._counted("", steps)
        return key, self._counted("former ", steps[:1]) if len(steps) > 1 else None

    def _counted(self, group: str, steps: Sequence[StepInput]) -> str:
        name = sha256(" ".join(one.digest for one in steps).encode()).hexdigest()[:KEY_HEX]
        count = self._seen.count(f"{group}{name}")
        return f"row-{name}" if count == 1 else f"row-{name}-{count}"


def with_problems(row: RowInput, problems: Mapping[str, str]) -> RowInput:
    """The row as one of which nothing is sent; its first step says why."""
    problems = mended(problems)
    steps = row.steps or (_nothing(),)
    first, *others = (evolve(one, request=None, payload=mended(one.payload)) for one in steps)
    steps = (evolve(first, problem=problem_text(problems)), *others)
    return evolve(row, steps=steps, problems=problems)


def problem_text(problems: Mapping[str, str]) -> str:
    """What is wrong with a row, in one text: `image: a.png is empty; nickname: has ...`."""
    return "; ".join(f"{name}: {text}" if name else text for name, text in problems.items())


def _nothing() -> StepInput:
    """What is registered of a row that is no row at all."""
    return StepInput(number=1, operation="", kind="", digest=digest_of({}), payload={})


def _steps(
    recipe: Recipe,
    said: Mapping[str, Any],
    request: Request[Any] | None,
    columns: Mapping[str, JSON] | None,
    problems: dict[str, str],
) -> list[StepInput]:
    """The steps that a row asks for; what is wrong with them goes into `problems`."""
    strange = [n for n in said if n not in recipe.fields and not n.startswith(OWN_PREFIX)]
    if request is None and strange:
        thing = recipe.step(1).thing
        text = f"is no field of {thing}; known are {', '.join(sorted(recipe.fields))}"
        problems.update(dict.fromkeys(strange, text))
    steps = list[StepInput]()
    for number in range(1, len(recipe.steps) + 1):
        whole = request if number == 1 else None
        step, wrong = step_of(recipe, number, said, request=whole, written=columns or {})
        for name, text in wrong.items():
            problems.setdefault(name, text)
        if step is not None:
            steps.append(step)
        elif wrong and number > 1:
            return steps  # it can't be told whether it has further steps
    first = recipe.step(1)
    if first.given_by is not None and steps[0].given_id is not None and len(steps) == 1:
        *others, last = recipe.step(2).optional
        text = f"needs a {', '.join(others)} or {last}: it has its {first.noun} already"
        if not any(name in recipe.step(2).columns for name in problems):
            problems.setdefault(first.given_by, text)
    return steps


def request_of(
    recipe: Recipe, step: Step, *, earlier: Sequence[Step] = (), account: str | None = None
) -> Request[Any]:
    """The request that a step of a ledger stands for.

    Looks into its files, if it has any: call it in a thread where `has_file(step)`.

    Args:
        recipe: of its row.
        step: with the addresses that were made for it, which stand for its files and its text.
        earlier: the steps before it, of which it may take something.
        account: whose it is; default: as the input said.

    Raises:
        InvalidRequestError: it can't be sent, as a file is gone.
    """
    spec = recipe.step(step.number)
    values: dict[str, Any] = dict(step.payload)
    for name, taken in spec.takes.items():
        number = step.number - 1 if taken.step is None else taken.step
        source = next(one for one in earlier if one.number == number)
        work = source.works[0] if source.works else None
        left = {"remote_id": source.remote_id}
        if work is not None:
            left |= {"work_url": work.url, "work_id": work.work_id}
        values[name] = spec.as_field(name, left.get(taken.what))
    for into, address in step.addresses.items():
        put(values, into, address)
        for name in spec.replaced_by(into):
            values.pop(name, None)
    of_bytes = [n for n, file in files_in(spec, values) if file.startswith(OF_BYTES)]
    if of_bytes:
        text = "was given as bytes, which no ledger keeps: run your own program again"
        raise InvalidRequestError(spec.request.__name__, dict.fromkeys(of_bytes, text))
    if account is not None:
        values["email"] = account
    return spec.request(**spec.typed(values))


def has_file(recipe: Recipe, step: Step) -> bool:
    """Whether `request_of` looks into a file for this step."""
    spec = recipe.step(step.number)
    gone = {name for into in step.addresses for name in (into, *spec.replaced_by(into))}
    return any(name not in gone for name, _ in files_in(spec, step.payload))

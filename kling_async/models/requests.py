"""What is a request? An attrs class that knows its verb, route, safety, fields and answer. Pure.

Each operation of the API is one subclass, in the file of its part (`avatars.py`, `assets.py`, ...).
`protocol.py` turns a request into bytes; nothing here knows about HTTP libraries or waiting.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from attrs import Attribute, field, fields, frozen

from ..errors import JSON, InvalidRequestError, KlingError
from . import checks
from .checks import Check
from .media import Media, MediaProblem, MediaSource, inspect, is_address

if TYPE_CHECKING:
    from .sightings import Evidence

R = TypeVar("R")
Q = TypeVar("Q", bound="Request[Any]")
Place = Literal["body", "query", "path"]


class Safety(Enum):
    """May a request be sent again when its answer was lost? The money question in one word."""

    READ = "read"
    """Changes nothing: repeat at will."""
    REPEATABLE = "repeatable"
    """Twice leaves the same state as once, or costs nothing: repeat after a fault."""
    PAID = "paid"
    """Each send may make another thing: repeat only if it never left, or was plainly refused."""


@frozen(kw_only=True)
class Request(Generic[R]):
    """The base of all requests; `await kling.send(request)` returns what it stands for.

    Args:
        email: the Kling account; default: chosen by the registry.
        extra: fields newer than this library, under the API's own names, sent as they are.

    Raises:
        InvalidRequestError: on construction, with every fault at once.
    """

    operation: ClassVar[str]
    """The name in this library, `avatars.create`."""
    method: ClassVar[str]
    route: ClassVar[str]
    """The path below the base URL, with `{field}` for path fields."""
    safety: ClassVar[Safety]
    email_in: ClassVar[Literal["query", "body", "path", "nowhere"]] = "query"
    absent_status: ClassVar[int | None] = None
    """A status by which this operation says "there is none": `decode(None)` is the result."""
    gone_is_done: ClassVar[bool] = False
    """A 404 after an earlier attempt of ours means that attempt worked (deletes)."""
    look_at: ClassVar[str | None] = None
    """Where its result would show, should its answer be lost; for the text of the error."""
    starts_job: ClassVar[bool] = False
    """It starts a job, which takes one of its account's job slots until it is final."""
    evidence: ClassVar[Evidence | None] = None
    """How its result is looked for, should its answer be lost; None: nothing lists it."""
    text_is_fine: ClassVar[bool] = False
    """A 2xx answer may be plain text: `decode` is then given that text."""

    email: str | None = field(default=None, metadata={"check": checks.email})
    extra: Mapping[str, JSON] | None = None

    def __attrs_post_init__(self) -> None:
        problems = self._field_problems()
        problems.update(self.cross_problems())
        if problems:
            raise InvalidRequestError(type(self).__name__, problems)

    def cross_problems(self) -> dict[str, str]:
        """Problems that need more than one field (exclusive pairs); overridden where there are."""
        return {}

    def decode(self, body: JSON) -> R:
        """The result that the JSON of a 2xx answer stands for.

        Raises ValueError (or KeyError, TypeError) where it is not what the contract says.
        """
        raise NotImplementedError

    @property
    def media(self) -> Media | None:
        """The file that is sent as it is, instead of a JSON body."""
        return None

    def verdict(self, body: JSON) -> KlingError | None:
        """The failure that a well-formed answer states in its own words, whatever its status."""
        return None

    # --- for job slots; see jobs.py ---

    def started_job(self, result: R) -> int | None:
        """The id of the job that `result` says was started; where `starts_job`."""
        return None

    def finished_jobs(self, result: R) -> Iterable[int]:
        """The ids of the jobs that `result` shows to be final, or gone."""
        return ()

    def missing_job(self) -> int | None:
        """The id of the job that is not there when this request is answered 404."""
        return None

    # --- for requests that carry secrets; see accounts.py ---

    def shown(self: Q) -> Q:
        """The request as errors hold it: without its secrets."""
        return self

    def censored(self, body: JSON) -> JSON:
        """An answer's body without this request's secrets, should the server repeat them."""
        return body

    # --- for requests that need something made before they go out; see pipeline.py ---

    def first(self, account: str | None) -> Request[Any] | None:
        """What to send before it, whose result it needs; None where it needs nothing."""
        return None

    def after(self, result: Any) -> Request[R]:
        """The request, now that the result of `first()` is there."""
        raise NotImplementedError

    def _field_problems(self) -> dict[str, str]:
        problems = {}
        for name, check, required in _plan(type(self)):
            value = getattr(self, name)
            if value is None:
                problem = "is required" if required else None
            else:
                problem = check(value) if check is not None else None
            if problem:
                problems[name] = problem
        if self.extra is not None:
            problems.update(self._extra_problems(self.extra))
        return problems

    def _extra_problems(self, extra: Mapping[str, JSON]) -> dict[str, str]:
        if not _is_json_object(extra):
            return {"extra": "must be a mapping from the API's field names to JSON values"}
        known = {one.metadata["wire"]: one.name for one in fields(type(self)) if is_wired(one)}
        known["email"] = "email"
        if not _is_sendable(extra):
            return {"extra": "holds what JSON can't carry (NaN, bytes, objects or half characters)"}
        clash = [f"{name} (use {known[name]}=)" for name in extra if name in known]
        return {"extra": f"names fields this library knows: {', '.join(clash)}"} if clash else {}


def _is_json_object(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)


def _is_sendable(extra: Mapping[str, JSON]) -> bool:
    try:
        json.dumps(extra, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def body(wire: str, check: Check, *, required: bool = False) -> Any:
    """A field of the JSON body, under the API's name `wire`; left out when None."""
    return _field(wire, "body", check, required)


def query(wire: str, check: Check, *, required: bool = False, converter: Any = None) -> Any:
    """A field of the query string; a tuple goes out with commas between its members."""
    return _field(wire, "query", check, required, converter)


def path(wire: str, check: Check, *, converter: Any = None) -> Any:
    """A field of the route, always required."""
    return _field(wire, "path", check, True, converter)


def secret(wire: str, *, required: bool = False) -> Any:
    """A field of the JSON body that no repr shows; `shown` and `censored` must know of it, too."""
    return field(
        default=None,
        repr=False,
        metadata={"wire": wire, "place": "body", "check": checks.secret, "required": required},
    )


def hidden(wire: str, check: Check) -> Any:
    """A field of the JSON body that no repr shows: not secret, but nothing for a log either."""
    metadata = {"wire": wire, "place": "body", "check": check, "required": False}
    return field(default=None, repr=False, metadata=metadata)


def attachment(into: str, only: str) -> Any:
    """A file that goes up first; its URL then becomes the field `into` of this request.

    It is looked into once, on construction: what was given becomes a `Media`, or the reason why
    the API would refuse it, which is then reported with all other problems.
    """

    def looked_into(source: MediaSource | Media | None) -> Media | MediaProblem | None:
        if source is None:
            return None
        if is_address(source):
            return MediaProblem(f"is an address, not a file: give it as {into}")
        try:
            return inspect(source, only=only)
        except MediaProblem as exc:
            return exc

    def check(value: Media | MediaProblem) -> str | None:
        return str(value) if isinstance(value, MediaProblem) else None

    return field(default=None, converter=looked_into, metadata={"into": into, "check": check})


_ATTACHMENTS: dict[type, tuple[tuple[str, str], ...]] = {}  # looked up once per request type


def attachments(cls: type[Request[Any]]) -> tuple[tuple[str, str], ...]:
    """The fields of a request type that hold files, each with the field its URL goes into."""
    found = _ATTACHMENTS.get(cls)
    if found is None:
        found = _ATTACHMENTS[cls] = tuple(
            (one.name, one.metadata["into"]) for one in fields(cls) if "into" in one.metadata
        )
    return found


def is_wired(one: Attribute[Any]) -> bool:
    """Whether the field has a name of its own on the wire."""
    return "wire" in one.metadata


def _field(wire: str, place: Place, check: Check, required: bool, converter: Any = None) -> Any:
    return field(
        default=None,
        converter=converter,
        metadata={"wire": wire, "place": place, "check": check, "required": required},
    )


_PLANS: dict[type, tuple[tuple[str, Check | None, bool], ...]] = {}  # made once per request type


def _plan(cls: type[Request[Any]]) -> tuple[tuple[str, Check | None, bool], ...]:
    """What to look at in a new request: each field's name, its check, and whether it must be."""
    found = _PLANS.get(cls)
    if found is None:
        found = _PLANS[cls] = tuple(
            (one.name, one.metadata.get("check"), one.metadata.get("required", False))
            for one in fields(cls)
        )
    return found

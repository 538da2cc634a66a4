"""What is a request? An attrs class that knows its verb, route, safety, fields and answer. Pure.

Each operation of the API is one subclass, in the file of its part (`avatars.py`, `assets.py`, ...).
`protocol.py` turns a request into bytes; nothing here knows about HTTP libraries or waiting.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import Enum, IntEnum
from typing import Any, ClassVar, Generic, Literal, TypeVar

from attrs import field, fields, frozen

from ..errors import JSON, InvalidRequestError, KlingError
from .checks import Email
from .fields import field_problems, wire_names
from .media import Media

R = TypeVar("R")
Q = TypeVar("Q", bound="Request[Any]")


class Safety(Enum):
    """May a request be sent again when its answer was lost? The money question in one word."""

    READ = "read"
    """Changes nothing: repeat at will."""
    REPEATABLE = "repeatable"
    """Twice leaves the same state as once, or costs nothing: repeat after a fault."""
    PAID = "paid"
    """Each send may make another thing: repeat only if it never left, or was plainly refused."""


class Evidence(IntEnum):
    """What a listed thing says about a create whose answer was lost, from nothing to everything."""

    NOTHING = 0
    """It is another's."""
    POSSIBLE = 1
    """It could be the result: shown to the caller, never taken."""
    ALIKE = 2
    """It shows what was asked for: taken where nobody else can have made it."""
    PROOF = 3
    """It carries an address that no other call has, as far as their results are remembered."""
    MARK = 4
    """It carries a mark that nobody can guess, made for this call: proof, however old it seems."""


@frozen
class Preparation:
    """Something that a request needs made before it goes out, for the same account.

    Args:
        request: what makes it.
        fills: the field that its address goes into.
        clears: the fields that it stands for, which go back to their defaults.
        address: the address of its result.
    """

    request: Request[Any]
    fills: str
    clears: tuple[str, ...]
    address: Callable[[Any], str]


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
    empty_status: ClassVar[int | None] = None
    """A status by which this operation says "there is none": `decode(None)` is the result."""
    missing_means_deleted: ClassVar[bool] = False
    """A 404 after an earlier attempt of ours means that attempt worked (deletes)."""
    where_to_look: ClassVar[str | None] = None
    """Where its result would show, should its answer be lost; for the text of the error."""
    starts_task: ClassVar[bool] = False
    """It starts a job, which takes one of its account's job slots until it is final."""
    accepts_text: ClassVar[bool] = False
    """A 2xx answer may be plain text: `decode` is then given that text."""

    email: str | None = field(default=None, metadata={"check": Email()})
    extra: Mapping[str, JSON] | None = None

    def __attrs_post_init__(self) -> None:
        problems = field_problems(self)
        if self.extra is not None:
            problems.update(self._extra_problems(self.extra))
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

    def error_in(self, body: JSON) -> KlingError | None:
        """The failure that a well-formed answer states in its own words, whatever its status."""
        return None

    # --- for job slots; see jobs.py ---

    def started_task(self, result: R) -> int | None:
        """The id of the job that `result` says was started; where `starts_task`."""
        return None

    def finished_tasks(self, result: R) -> Iterable[int]:
        """The ids of the jobs that `result` shows to be final, or gone."""
        return ()

    def missing_task(self) -> int | None:
        """The id of the job that is not there when this request is answered 404."""
        return None

    # --- for requests that carry secrets; see accounts.py ---

    def without_secrets(self: Q) -> Q:
        """The request as errors hold it: without its secrets."""
        return self

    def redacted(self, body: JSON) -> JSON:
        """An answer's body without this request's secrets, should the server repeat them."""
        return body

    def preparations(self, account: str | None) -> tuple[Preparation, ...]:
        """What has to be made before it goes out, besides the uploads of its files."""
        return ()

    # --- for creates whose result can be looked for; see reconcile.py ---

    def marked(self) -> Request[R]:
        """The request as one call sends it: with a mark of that call's own, where it can bear one.

        Called once a call, before its first attempt, so that two calls never share a mark.
        """
        return self

    def listings(self, account: str | None) -> tuple[Request[Any], ...]:
        """What lists the results of requests like this one, best evidence first; may be empty."""
        return ()

    def further(
        self, listing: Request[Any], listed: Sequence[Any], since_s: float
    ) -> Request[Any] | None:
        """What lists earlier things than `listed`, where one of them may be looked for, too.

        Args:
            listing: one of `listings`, or what this gave for its last page.
            listed: what it showed.
            since_s: by the server's clock; what was made before is not looked for.
        """
        return None

    def tokens(self) -> Mapping[str, str]:
        """Field -> the form in which a listing shows it again, of fields that may be unique."""
        return {}

    def fingerprint(self) -> tuple[Any, ...]:
        """Equal for requests whose results look alike in the listings; None: left to the server."""
        return ()

    def weigh(
        self, listed: Any, *, account: str | None, own: Collection[str], timely: bool
    ) -> Evidence:
        """What a listed thing says of whether this request made it.

        Args:
            listed: one thing of a listing.
            account: the one that the request went to.
            own: fields of `tokens()` whose value was made for this call and that no other call has.
            timely: it is not from before the request was sent, as far as clocks tell.
        """
        raise NotImplementedError

    def listed_id(self, listed: Any) -> str:
        """The id of a listed thing."""
        raise NotImplementedError

    def listed_at_s(self, listed: Any, default_s: float) -> float:
        """When it was made, by the server's clock, in epoch seconds; `default_s` if not said."""
        raise NotImplementedError

    def result_id(self, result: R) -> str:
        """The id of a result of this request."""
        raise NotImplementedError

    def adopt(self, listed: Any) -> R:
        """The result that a listed thing stands for."""
        raise NotImplementedError

    def whole(self, listed: Any, account: str | None) -> Request[R] | None:
        """What asks for the rest of a result, where its listing shows too little of it."""
        return None

    def _extra_problems(self, extra: Mapping[str, JSON]) -> dict[str, str]:
        if not _is_json_object(extra):
            return {"extra": "must be a mapping from the API's field names to JSON values"}
        known = {wire: one.name for one in fields(type(self)) for wire in wire_names(one)}
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


_FILES: dict[type, tuple[tuple[str, str], ...]] = {}  # looked up once per request type


def file_fields(cls: type[Request[Any]]) -> tuple[tuple[str, str], ...]:
    """The fields of a request type that hold files, each with the field its address goes into."""
    found = _FILES.get(cls)
    if found is None:
        found = _FILES[cls] = tuple(
            (one.name, one.metadata["into"]) for one in fields(cls) if "into" in one.metadata
        )
    return found

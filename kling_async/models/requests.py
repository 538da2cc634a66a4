"""What is a request? An attrs class that knows its verb, route, safety, fields and answer. Pure.

Each operation of the API is one subclass, in the file of its part (`avatars.py`, `assets.py`, ...).
`protocol.py` turns a request into bytes; nothing here knows about HTTP libraries or waiting.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar, get_args

from attrs import field, fields, frozen

from ..errors import JSON, InvalidRequestError, KlingError
from .checks import Email
from .fields import field_problems, wire_names
from .media import Media
from .responses import structured

if TYPE_CHECKING:
    from .sightings import Evidence

EmailIn = Literal["query", "body", "path", "nowhere"]
R = TypeVar("R")
Q = TypeVar("Q", bound="Request[Any]")


class Safety(Enum):
    """May a request be sent again when its answer was lost? The money question in one word.

    Examples:
        >>> CreateAvatar.safety
        <Safety.PAID: 'paid'>
    """

    READ = "read"
    """Changes nothing: repeat at will."""
    REPEATABLE = "repeatable"
    """Twice leaves the same state as once, or costs nothing: repeat after a fault."""
    PAID = "paid"
    """Each send may make another thing: repeat only if it never left, or was plainly refused."""


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

    Examples:
        >>> @frozen(kw_only=True)
        ... class Rename(Request[str]):
        ...     operation, method, route = "elements.rename", "PUT", "/elements/{element_id}"
        ...     safety = Safety.REPEATABLE
        ...     element_id: str = path("elementId", Text())
        ...     name: str = body("name", Text(20), required=True)
        ...     def decode(self, body: JSON) -> str:
        ...         return str(body)
        >>> Rename(element_id="u_1", name="Ada").name
        'Ada'
    """

    operation: ClassVar[str]
    """The name in this library, `avatars.create`."""
    method: ClassVar[str]
    route: ClassVar[str]
    """The path below the base URL, with `{field}` for path fields. Left out it follows from the
    operation's name: `/videos/add-sound` for `videos.add_sound`."""
    safety: ClassVar[Safety]
    email_in: ClassVar[EmailIn] = "query"
    empty_status: ClassVar[int | None] = None
    """A status by which this operation says "there is none": `decode(None)` is the result."""
    missing_means_deleted: ClassVar[bool] = False
    """A 404 after an earlier attempt of ours means that attempt worked (deletes)."""
    where_to_look: ClassVar[str | None] = None
    """Where its result would show, should its answer be lost; for the text of the error."""
    starts_task: ClassVar[bool] = False
    """It starts a job, which takes one of its account's job slots until it is final."""
    evidence: ClassVar[Evidence | None] = None
    """How its result is looked for, should its answer be lost; None: nothing lists it."""
    listed_under: ClassVar[str | None] = None
    """Where the answer has the list that is the result; it may be the list itself, too."""
    accepts_text: ClassVar[bool] = False
    """A 2xx answer may be plain text: `decode` is then given that text."""

    email: str | None = field(default=None, metadata={"check": Email()})
    extra: Mapping[str, JSON] | None = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "operation" in vars(cls) and "route" not in vars(cls):
            cls.route = "/" + cls.operation.replace(".", "/").replace("_", "-")

    def __attrs_post_init__(self) -> None:
        problems = field_problems(self)
        if self.extra is not None:
            problems.update(self._extra_problems(self.extra))
        if self.email is not None and self.email_in == "nowhere":
            problems.setdefault("email", "is not taken: this is about all accounts at once")
        problems.update(self.cross_problems())
        if problems:
            raise InvalidRequestError(type(self).__name__, problems)

    def cross_problems(self) -> dict[str, str]:
        """Problems that need more than one field; by default those of files and their addresses."""
        return files_or_addresses(self)

    def cautions(self) -> dict[str, str]:
        """What the vendor's pages say that its model does not take, by field; overridden.

        It is sent all the same, as the server may know better, and logged once by each client.
        """
        return {}

    def decode(self, body: JSON) -> R:
        """What the JSON of a 2xx answer stands for, by default as `R` says; lists keep their order.

        Raises ValueError (or KeyError, TypeError) where it is not what the contract says.
        """
        if self.listed_under is not None and isinstance(body, Mapping):
            body = body[self.listed_under]
        found: R = structured(result_type(type(self)), body)
        return found

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

    def _extra_problems(self, extra: Mapping[str, JSON]) -> dict[str, str]:
        if not _is_json_object(extra):
            return {"extra": "must be a mapping from the API's field names to JSON values"}
        known = {wire: one.name for one in fields(type(self)) for wire in wire_names(one)}
        known["email"] = "email"
        if not _is_sendable(extra):
            return {"extra": "holds what JSON can't carry (NaN, bytes, objects or half characters)"}
        clash = [f"{name} (use {known[name]}=)" for name in extra if name in known]
        return {"extra": f"names fields this library knows: {', '.join(clash)}"} if clash else {}


@frozen(kw_only=True)
class GetRequest(Request[R]):
    """The base of all requests that only look."""

    method = "GET"
    safety = Safety.READ


@frozen(kw_only=True)
class CreateRequest(Request[R]):
    """The base of all requests that make something at once. It is usually free of credits, but
    every send may make another, so it counts as paid.
    """

    method = "POST"
    safety = Safety.PAID
    email_in: ClassVar[EmailIn] = "body"


@frozen(kw_only=True)
class DeleteRequest(Request[R]):
    """The base of all requests that take something away: what is gone can't be deleted twice."""

    method = "DELETE"
    safety = Safety.REPEATABLE
    missing_means_deleted = True

    def decode(self, body: JSON) -> R:
        """Judged by the HTTP status: a body may be missing, or in a form that is not described."""
        known = isinstance(body, Mapping)
        found: R = super().decode(body) if known else result_type(type(self))(raw=body)
        return found


def result_type(cls: type[Request[Any]]) -> Any:
    """What a request type gives: the `R` of its `Request[R]`."""
    return get_args(getattr(cls, "__orig_bases__")[0])[0]  # noqa: B009


def _is_json_object(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)


def _is_sendable(extra: Mapping[str, JSON]) -> bool:
    try:
        json.dumps(extra, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return True


FILE_FIELDS: dict[type, tuple[tuple[str, str], ...]] = {}
"""What `file_fields` found, by request type."""


def file_fields(cls: type[Request[Any]]) -> tuple[tuple[str, str], ...]:
    """The fields of a request type that hold files, each with the field its address goes into.

    Of a list of files and addresses that is the list itself.
    """
    found = FILE_FIELDS.get(cls)
    if found is None:
        found = FILE_FIELDS[cls] = tuple(
            (one.name, one.metadata["into"] or one.name)
            for one in fields(cls)
            if "into" in one.metadata
        )
    return found


@cache
def _needed(cls: type) -> frozenset[str]:
    return frozenset(one.name for one in fields(cls) if one.metadata.get("needed"))


def files_or_addresses(request: Request[Any], *needed: str) -> dict[str, str]:
    """The problems of files that may be given by their address instead; for `cross_problems`.

    Args:
        request: whose.
        needed: the files that have to be there, besides those whose field says so.
    """
    kind: Any = type(request)  # mypy takes no request type for hashable
    problems = {}
    for name, into in file_fields(kind):
        file, address = getattr(request, name), getattr(request, into)
        if name == into:
            continue
        if file is not None and address is not None:
            problems[name] = f"and {into} are both given; keep one of the two"
        elif file is address is None and name in {*needed, *_needed(kind)}:
            problems[name] = f"is needed: a file here, or its address in {into}"
    return problems


def has(request: Any, name: str) -> bool:
    """Whether a field, or the address of its file, is given; it need not have such a field."""
    pair = (getattr(request, name, None), getattr(request, f"{name}_url", None))
    return any(one is not None for one in pair)


def address_at(request: Request[Any], where: str) -> str:
    """The address in the field `where`, or in a list: `images.2`."""
    name, _, number = where.partition(".")
    value = getattr(request, name)
    return str(value[int(number) - 1] if number else value)


def put(values: dict[str, Any], where: str, address: str) -> None:
    """Put an address into the field `where`, or into a list that is there: `images.2`."""
    name, _, number = where.partition(".")
    if not number:
        values[name] = address
        return
    members = list(values[name])
    members[int(number) - 1] = address
    values[name] = tuple(members)

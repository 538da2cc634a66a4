"""In which terms is a lost create looked for? What a listing shows, and what was sent. Pure.

Each kind of result has one `Evidence`, which turns its listings into `Sighting`s and its requests
into `Sent`; a request names its own in a class variable. `evidence.py` compares the two.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from attrs import evolve, field, fields, frozen

from .checks import Url, url_path

if TYPE_CHECKING:
    from .requests import Request

_LONG_CHARS = 40


@frozen(kw_only=True)
class Sighting:
    """A thing that a listing shows.

    Args:
        id: of the thing.
        account: None: the listing does not say whose it is.
        mark: the `replyRef` it shows.
        paths: of its images and inputs; host and query of an address may change.
        shown: field of the request -> value as it is shown; what is not shown is left out. A
            frozenset holds whole addresses.
        made_at_s: by Kling's clock, epoch seconds; None: it does not say.
        made_at_is_its_own: the time is the thing's, and not that of the oldest part of it.
        thing: the model itself.
    """

    id: str
    account: str | None = None
    mark: str | None = None
    paths: frozenset[str] = frozenset()
    shown: Mapping[str, Any] = field(factory=dict)
    made_at_s: float | None = None
    made_at_is_its_own: bool = True
    thing: Any = None


@frozen(kw_only=True)
class Sent:
    """A create.

    Args:
        kind: of what it makes: "avatar", "task". Things of different kinds never compete.
        account: that it went to; None: the server chose.
        mark: the `replyRef` that it carries.
        own_mark: the mark was made for this create alone.
        paths: field -> path, of each address that it carries.
        own: the fields whose address was made for this create alone.
        stated: field -> value that was sent, of those that a listing may show again.
        since_s: by our clock, epoch seconds: it can't have been made before (its intent; for what
            was never sent, the upload of its own address). None: it can't have been made at all.
        likeness: whether an address that the user gave may ever suffice.
        never_sent: as far as is known; its result is there only if a ledger is an old copy.
    """

    kind: str
    account: str | None = None
    mark: str | None = None
    own_mark: bool = False
    paths: Mapping[str, str] = field(factory=dict)
    own: frozenset[str] = frozenset()
    stated: Mapping[str, Any] = field(factory=dict)
    since_s: float | None = None
    likeness: bool = False
    never_sent: bool = False

    def brief(self) -> Sent:
        """The same with long texts as their hashes: what may be kept for as long as we live."""
        return evolve(self, stated={name: _brief(value) for name, value in self.stated.items()})


@frozen
class Hashed:
    """A long text that was sent, of which only this is remembered."""

    value: int


def _brief(value: Any) -> Any:
    long = isinstance(value, str) and len(value) > _LONG_CHARS
    return Hashed(hash(value)) if long else value


class Evidence:
    """How the result of a lost create of one kind is looked for."""

    kind: ClassVar[str]
    """Of what is made: "avatar", "task"."""
    likeness: ClassVar[bool] = False
    """Whether an address of the user's own may ever suffice. Never for what costs credits."""

    def marked(self, request: Any) -> Any:
        """The request as one call sends it: with a mark of its own, where it can bear one.

        Called once a call, before its first attempt, so that two calls never share a mark.
        """
        raise NotImplementedError

    def own_of(self, request: Any, given: Any) -> frozenset[str]:
        """The fields of `request` whose address was made for it, since `given` has none."""
        return own_addresses(request, given)

    def sent(
        self,
        request: Any,
        *,
        account: str | None,
        own: Collection[str] = (),
        own_mark: bool = False,
        since_s: float | None = None,
        never_sent: bool = False,
    ) -> Sent:
        """The request in the terms of evidence; see `Sent`."""
        mark = getattr(request, "reply_ref", None)
        return Sent(
            kind=self.kind,
            account=account,
            mark=mark,
            own_mark=own_mark and mark is not None,
            paths=addresses(request),
            own=frozenset(own),
            stated={name: one for name, one in self.stated(request).items() if one is not None},
            since_s=since_s,
            likeness=self.likeness,
            never_sent=never_sent,
        )

    def stated(self, request: Any) -> Mapping[str, Any]:
        """Field -> value, of those that a listing may show again."""
        raise NotImplementedError

    def listings(self, account: str | None) -> tuple[Request[Any], ...]:
        """What lists such results, the best evidence first."""
        raise NotImplementedError

    def next_page(
        self, listing: Request[Any], listed: Sequence[Any], since_s: float
    ) -> Request[Any] | None:
        """What lists earlier things, where one of them may be looked for, too.

        Args:
            listing: one of `listings`, or what this gave for its last page.
            listed: what it showed.
            since_s: by Kling's clock; what was made before is not looked for.
        """
        return None

    def sighting(self, thing: Any, account: str | None = None) -> Sighting:
        """A listed thing in the terms of evidence.

        Args:
            thing: what a listing shows.
            account: whose things were asked for, where the listing was one account's.
        """
        raise NotImplementedError

    def result(self, thing: Any) -> Any:
        """The answer that was lost, as far as a listed thing tells it."""
        return thing

    def refetch(self, thing: Any, account: str | None) -> Request[Any] | None:
        """What asks for the rest of it, where its listing shows too little."""
        return None


def is_another_address(url: str, other: str) -> bool:
    """Whether two addresses of one path are told apart by their queries, on the same host."""
    one, two = urlsplit(url), urlsplit(other)
    return one.netloc == two.netloc and one.query != two.query and bool(one.query and two.query)


def new_mark() -> str:
    """A mark that nobody can guess: `ka-` and 32 hex digits."""
    return f"ka-{secrets.token_hex(16)}"


_ADDRESSES: dict[type, tuple[str, ...]] = {}  # looked up once per request type


def address_fields(cls: type[Request[Any]]) -> tuple[str, ...]:
    """The fields of a request type that are declared as addresses of what goes into the result.

    A hidden one is a receiver's, which no listing shows as an input.
    """
    found = _ADDRESSES.get(cls)
    if found is None:
        found = _ADDRESSES[cls] = tuple(
            one.name
            for one in fields(cls)
            if (isinstance(one.metadata.get("check"), Url) and one.repr)
            or one.metadata.get("into") == ""
        )
    return found


def addresses(request: Request[Any]) -> dict[str, str]:
    """Field -> path, of all addresses that a request carries; of a list by `images.2`."""
    return {name: url_path(url) for name, url in _urls(request)}


def own_addresses(request: Request[Any], given: Request[Any]) -> frozenset[str]:
    """The fields whose address was made for `request`: `given`, as the user gave it, has none."""
    if request is given:
        return frozenset()
    theirs = dict(_urls(given))
    return frozenset(name for name, _ in _urls(request) if name not in theirs)


def _urls(request: Request[Any]) -> Iterator[tuple[str, str]]:
    for name in address_fields(type(request)):
        value = getattr(request, name)
        if isinstance(value, str):
            yield name, value
        elif value is not None:
            for number, one in enumerate(value, 1):
                if isinstance(one, str):
                    yield f"{name}.{number}", one

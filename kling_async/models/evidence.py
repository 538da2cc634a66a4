"""What proves that a listed thing is the result of a create whose answer was lost? Pure.

The rules of evidence, once, for single calls and for bulk. A listing is turned into `Sighting`s and
each create into what it `Sent`, both in the same terms; `decide` compares them. It knows no
listing, no ledger and no clock but what it is given.

The rules, where "free" means that nobody else has the thing:

- **An own mark** (`replyRef`, made for this create) on the same account proves by itself.
- **An own address** (of a file that was uploaded, or of speech that was rendered, for this create
  alone) proves, where all else that was sent and is shown again agrees and the thing was made in
  time. Of several, the oldest counts; the others are surplus.
- **Likeness** (an address that the user gave, and all that was sent) suffices for avatars alone,
  where exactly one such thing was made in time, no other create could have made it, the listing
  hides nothing of that time, and nobody else is seen to make things that look like ours.
- **An absence proves nothing.** What was never sent is not found by likeness at all.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable, Generic, Literal, Protocol, TypeVar

from attrs import field, frozen

from ..settings import CLOCK_SLACK_S

if TYPE_CHECKING:
    from .requests import Request

K = TypeVar("K", bound=Hashable)
Found = Literal["adopted", "adopted-by-likeness", "recovered"]
"""By a mark or an address of its own; by likeness; for what was never sent as far as is known."""


@frozen(kw_only=True)
class Sighting:
    """A thing that a listing shows, in the terms in which a lost create is looked for.

    Args:
        id: of the thing.
        account: None: the listing does not say whose it is.
        mark: the `replyRef` it shows.
        paths: of its images and inputs; host and query of an address may change.
        shown: field of the request -> value as it is shown; what is not shown is left out.
        made_at_s: by Kling's clock, epoch seconds; None: it does not say.
        thing: the model itself.
    """

    id: str
    account: str | None = None
    mark: str | None = None
    paths: frozenset[str] = frozenset()
    shown: Mapping[str, Any] = field(factory=dict)
    made_at_s: float | None = None
    thing: Any = None


@frozen(kw_only=True)
class Sent:
    """A create in the same terms.

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
        never_sent: as far as is known; its result can only be there if a ledger is an old copy.
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


def usual_slack(sighting: Sighting) -> tuple[float, float]:
    """Ten minutes either way, where nothing is known of the clocks."""
    return -CLOCK_SLACK_S, CLOCK_SLACK_S


@frozen(kw_only=True)
class Known:
    """What else is known when things are weighed.

    Args:
        now_s: by our clock, epoch seconds.
        claimed: ids of this kind that somebody has: another step of the ledger, another call.
        before: ids that were listed before the job. They are not ours; that is all they say.
        rivals: the other creates, beside `wanted`, whose result nobody has yet: in flight, in
            doubt, unknown, lost for good.
        settled: creates of ours that have their own answer, or were never sent. They can't have
            made what is free: such a thing that agrees with one of them is somebody else's.
        born_s: since when: the ledger's birth, or the client's.
        complete_since_s: the listing shows all that was made since then, by Kling's clock
            (`complete_since`); -inf: all there is; inf: things may be missing.
        slack: sighting -> the least and the most that its time may differ from ours, in seconds.
        forgotten_s: ids of what was made until then may be claimed and forgotten; None: none is.
    """

    now_s: float
    claimed: Container[str] = frozenset()
    before: Container[str] = frozenset()
    rivals: Iterable[Sent] = ()
    settled: Iterable[Sent] = ()
    born_s: float = 0.0
    complete_since_s: float = float("-inf")
    slack: Callable[[Sighting], tuple[float, float]] = usual_slack
    forgotten_s: float | None = None


@frozen(kw_only=True)
class Decided:
    """What was decided of one want.

    Args:
        found: the thing that is its result; None: not decided.
        evidence: by what, where it was found.
        surplus: further things that are its own beyond doubt; reported, never touched.
        candidates: things that could be it, where it was not found; the likeliest first.
        why: why nothing was taken, in words for users.
    """

    found: Sighting | None = None
    evidence: Found | None = None
    surplus: tuple[Sighting, ...] = ()
    candidates: tuple[Sighting, ...] = ()
    why: str = ""


Decisions = Mapping[K, Decided]
"""Want -> what was decided of it, in the order of the wants."""


def decide(
    wanted: Mapping[K, Sent], seen: Sequence[Sighting], known: Known
) -> dict[K, Decided]:
    """What becomes of each create whose result is looked for. Never two of them get one thing.

    Args:
        wanted: the creates, in the order of the input; all of one kind.
        seen: all that the listings of that kind show; a thing may be in several of them.
        known: what else is known.
    """
    raise NotImplementedError


def look_alikes(
    planned: Mapping[K, Sent], seen: Sequence[Sighting], claimed: Container[str]
) -> dict[K, tuple[Sighting, ...]]:
    """Things that are there already and look like creates that were never sent: a second job?

    Args:
        planned: creates that are about to be sent for the first time.
        seen: what is listed.
        claimed: ids that steps of this ledger have.
    """
    raise NotImplementedError


def looks_cut(count: int) -> bool:
    """Whether a listing of so many things looks like a page, behind which there may be more."""
    raise NotImplementedError


def complete_since(listed: Sequence[Sighting]) -> float:
    """Since when, by Kling's clock, one whole listing, in its order, shows all that was made."""
    raise NotImplementedError


class Evidence(Protocol):
    """How the result of a lost create of one kind is looked for. Each request names its own.

    `kind`: "avatar", "task". `likeness`: whether an address of the user's own may ever suffice.
    """

    @property
    def kind(self) -> str: ...
    @property
    def likeness(self) -> bool: ...

    def marked(self, request: Any) -> Any:
        """The request as one call sends it: with a mark of its own, where it can bear one."""

    def is_marked(self, request: Any) -> bool:
        """Whether it carries a mark, whosever."""

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

    def listings(self, account: str | None) -> tuple[Request[Any], ...]:
        """What lists such results, the best evidence first."""

    def next_page(
        self, listing: Request[Any], listed: Sequence[Any], since_s: float
    ) -> Request[Any] | None:
        """What lists earlier things than `listed`, made since `since_s` by Kling's clock."""

    def sighting(self, thing: Any) -> Sighting:
        """A listed thing in the terms of evidence."""

    def result(self, thing: Any) -> Any:
        """The answer that was lost, as far as a listed thing tells it."""

    def refetch(self, thing: Any, account: str | None) -> Request[Any] | None:
        """What asks for the rest of it; None where it is all there."""

    def result_id(self, result: Any) -> str:
        """The id of an answered create's result."""


def url_path(url: str) -> str:
    """The path of an address: what stays the same where hosts and queries change."""
    raise NotImplementedError


def addresses(request: Request[Any]) -> dict[str, str]:
    """Field -> path, of all fields that are declared as addresses of what goes into the result."""
    raise NotImplementedError


def new_mark() -> str:
    """A mark that nobody can guess: `ka-` and 32 hex digits."""
    raise NotImplementedError

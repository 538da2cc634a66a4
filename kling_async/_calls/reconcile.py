"""Was it made after all? Finds the result of a create whose answer was lost, for single calls.

The pipeline opens a `Trail` for each paid call that can be looked for, and follows it when the
answer is lost. Only presence concludes: what is not listed may still come. What a listed thing says
is weighed by the request itself; whether that is enough, next to all other calls of this client, is
decided here. Bulk jobs have their own judge (`bulk/doubts.py`), which knows more: what was listed
before the job began.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import cached_property
from typing import Any, Generic, TypeVar

from attrs import frozen

from .. import settings
from ..clock import Clock
from ..errors import ConfigurationError, KlingError
from ..models.requests import Evidence, Request
from .claims import Claims
from .clock_skew import ClockSkew

R = TypeVar("R")


@frozen
class Verdict(Generic[R]):
    """What looking came to: the result that was found, or what could be it.

    `whole` asks for the rest of a result of which the listing showed only a part.
    """

    found: R | None
    candidates: tuple[Any, ...] = ()
    whole: Request[R] | None = None


class Seen:
    """What the latest looks at a listing showed to a call."""

    def __init__(self) -> None:
        self.possible: dict[str, tuple[float, Evidence, Any]] = {}
        """What could be the call's result, with the time when it was made."""
        self.rivalled = False
        """The latest look showed what may be alike, or an earlier call's that is forgotten."""

    def by_age(self) -> list[tuple[float, Evidence, Any]]:
        """The possible ones, the oldest first."""
        return sorted(self.possible.values(), key=lambda one: one[0])


class Trail(Generic[R]):
    """One paid call, from before its first attempt to its end.

    Args:
        request: as it goes out.
        account: whose listings show the result.
        own: fields of `request.tokens()` whose value was made for this call (a file uploaded for
            it alone, a mark).
        began_s: when it began, by our wall clock.
    """

    def __init__(
        self, request: Request[R], account: str | None, own: Collection[str], began_s: float
    ) -> None:
        self.request = request
        self.account = account
        self.own = own
        self.began_s = began_s
        self.in_doubt = False
        self.seen: dict[str, Seen] = {}
        """By the operation that lists."""

    # Most calls end well and nobody asks for these, so they wait until somebody does.

    @cached_property
    def tokens(self) -> dict[int, str]:
        """Hashes of values that may be unique, and their fields. Equal ones cost only certainty."""
        return {hash(value): name for name, value in self.request.tokens().items()}

    @cached_property
    def fingerprint(self) -> tuple[int | None, ...]:
        """Operation, account, image and texts; None where the server chose."""
        known = (self.request.operation, self.account, *self.request.fingerprint())
        return tuple(None if one is None else hash(one) for one in known)

    @property
    def candidates(self) -> tuple[Any, ...]:
        """What could be its result, each thing once: a later listing tells more of it."""
        shown = [one for seen in self.seen.values() for _, _, one in seen.by_age()]
        return tuple({self.request.listed_id(one): one for one in shown}.values())

    def is_like(self, other: tuple[int | None, ...]) -> bool:
        """Whether its result could be taken for that of a call with this fingerprint."""
        pairs = zip(self.fingerprint, other, strict=False)
        return all(ours == theirs or None in (ours, theirs) for ours, theirs in pairs)


class Reconciler:
    """Follows trails. One per client, so that no two of its calls ever take the same result.

    Args:
        clock: sleeps and tells the time.
        remembers: how many of the latest results at least; see `taken.py`.
    """

    def __init__(self, clock: Clock, remembers: int = settings.RESULTS_REMEMBERED) -> None:
        self._clock = clock
        self._open: dict[Trail[Any], None] = {}
        self._claims = Claims(self._oldest_s, remembers)
        # Of calls that ended without their result. It may show up any time, so no age makes these
        # harmless; they are kept, some 400 bytes for each call whose caller was told (or left).
        self._lost: set[tuple[int | None, ...]] = set()
        self._lost_tokens: set[int] = set()
        self._skew = ClockSkew()

    def begin(
        self, request: Request[R], account: str | None, own: Collection[str]
    ) -> Trail[R] | None:
        """A call goes out; its trail, or None where nothing lists what it makes."""
        if type(request).listings is Request.listings:  # to ask it would build them on every call
            return None
        trail = Trail(request, account, own, self._clock.wall())
        self._open[trail] = None
        return trail

    def end(self, trail: Trail[Any] | None, *, lost: bool) -> None:
        """It is over. `lost`: it may have made something that its caller does not know of."""
        if trail is None:
            return
        if lost:
            self._lost.add(trail.fingerprint)
            self._lost_tokens |= trail.tokens.keys()
        del self._open[trail]

    def answered(self, trail: Trail[Any] | None, result: Any) -> None:
        """It was answered: its result is nobody else's."""
        if trail is None:
            return
        result_id, now_s = trail.request.result_id(result), self._clock.wall()
        self._claims.add(trail.request.operation, result_id, now_s)
        self._skew.answered(result_id, trail.began_s, now_s)

    async def follow(
        self,
        trail: Trail[R],
        sent_s: float,
        within_s: float,
        look: Callable[[Request[Any]], Awaitable[Sequence[Any]]],
    ) -> Verdict[R]:
        """The result, as soon as a listing proves it; else what could be it when time is up.

        Args:
            trail: a call whose answer was lost.
            sent_s: wall clock when the attempt went out whose answer was lost.
            within_s: how long to look, in seconds; 0: not at all.
            look: sends one of the request's listings.
        """
        trail.in_doubt = True
        request = trail.request
        until = self._clock.monotonic() + within_s
        looks = 0
        while (left_s := until - self._clock.monotonic()) > 1e-6:  # less is rounding
            waits = settings.LOOK_AFTER_S
            await self._clock.sleep(min(left_s, waits[min(looks, len(waits) - 1)]))
            looks += 1
            others: set[str] = set()  # what one listing shows to be another's is it in the next
            for listing in request.listings(trail.account):
                try:
                    mine = await self._shown(trail, sent_s, listing, others, until, look)
                except ConfigurationError:
                    raise  # this client can't look any more
                except KlingError:
                    continue  # an account that can't be listed now may be listed later
                if mine is not None:
                    mine_id = request.listed_id(mine)
                    self._claims.add(request.operation, mine_id, self._clock.wall())
                    whole = request.whole(mine, trail.account)
                    return Verdict(request.adopt(mine), trail.candidates, whole)
        return Verdict(None, trail.candidates)

    async def _shown(
        self,
        trail: Trail[Any],
        sent_s: float,
        listing: Request[Any],
        others: set[str],
        until: float,
        look: Callable[[Request[Any]], Awaitable[Sequence[Any]]],
    ) -> Any:
        """The listed thing that is this call's, where that can be decided.

        A listing that goes by pages is read back to the sending, each time: what was made long ago
        may be listed only now, among the things of its time.
        """
        request, seen = trail.request, trail.seen.setdefault(listing.operation, Seen())
        seen.rivalled, shown = False, set[str]()
        for _ in range(settings.LOOK_PAGES):
            listed = await look(listing)
            self._skew.listed(request, listed)
            if (proven := self._proven(trail, sent_s, listed, seen, others)) is not None:
                return proven
            fresh = {request.listed_id(one) for one in listed} - shown
            shown |= fresh
            if not fresh:
                break
            since_s = sent_s + min(map(self._skew.earliest_s, listed))
            if (further := request.further(listing, listed, since_s)) is None:
                break
            if self._clock.monotonic() >= until:
                return None  # likeness would need the whole of it
            listing = further
        else:
            return None  # likewise
        for gone in seen.possible.keys() - shown:
            del seen.possible[gone]
        alike = [one for _, evidence, one in seen.by_age() if evidence is Evidence.ALIKE]
        return None if seen.rivalled else self._unrivalled(trail, alike)

    def _proven(
        self,
        trail: Trail[Any],
        sent_s: float,
        listed: Sequence[Any],
        seen: Seen,
        others: set[str],
    ) -> Any:
        """The one of these that is certainly this call's; what only could be goes into `seen`."""
        request, own = trail.request, self._exclusive(trail)
        for one in listed:
            listed_id = request.listed_id(one)
            seen.possible.pop(listed_id, None)
            if listed_id in others or (request.operation, listed_id) in self._claims:
                continue
            earliest_s = sent_s + self._skew.earliest_s(one)
            at_s = request.listed_at_s(one, earliest_s)
            timely = at_s >= earliest_s
            evidence = request.weigh(one, account=trail.account, own=own, timely=timely)
            if evidence in (Evidence.ALIKE, Evidence.PROOF) and self._may_be_forgotten(trail, one):
                evidence, seen.rivalled = Evidence.POSSIBLE, True  # it may be one of those alike
            if evidence is Evidence.NOTHING:
                others.add(listed_id)
            else:
                seen.possible[listed_id] = (at_s, evidence, one)
        proven = (one for _, evidence, one in seen.by_age() if evidence >= Evidence.PROOF)
        return next(proven, None)  # more than one carry our token: all are ours, the oldest counts

    def _may_be_forgotten(self, trail: Trail[Any], listed: Any) -> bool:
        """Whether it may be that of an earlier call, whose id is not remembered any more."""
        if self._claims.forgotten_s is None:
            return False
        made_s = trail.request.listed_at_s(listed, -math.inf)
        return made_s <= self._claims.forgotten_s + self._skew.latest_s(listed)

    def _oldest_s(self) -> float:
        """When the oldest call under way began."""
        return min((one.began_s for one in self._open), default=self._clock.wall())

    def _exclusive(self, trail: Trail[Any]) -> frozenset[str]:
        """Its own tokens that no other call of this client has or had, and lost.

        The server may give equal files equal addresses; that it does not is not documented.
        """
        others = {token for one in self._open if one is not trail for token in one.tokens}
        return frozenset(
            name
            for token, name in trail.tokens.items()
            if name in trail.own and token not in others and token not in self._lost_tokens
        )

    def _unrivalled(self, trail: Trail[Any], alike: Sequence[Any]) -> Any:
        """The one of these that only this call can have made."""
        if not alike or any(trail.is_like(lost) for lost in self._lost):
            return None  # it may be that of a call like this one, whose caller was told so
        calls = [one for one in self._open if trail.is_like(one.fingerprint)]
        if not all(one.in_doubt and one.fingerprint == trail.fingerprint for one in calls):
            return None  # another call's answer is awaited, or its texts fit as well: it may be its
        if len(alike) > len(calls):
            return None  # somebody else made one like it
        place = calls.index(trail)
        return alike[place] if place < len(alike) else None

"""Was it made after all? Finds the result of a create whose answer was lost, for single calls.

The pipeline opens a `PendingCreate` for each paid call that can be looked for, and follows it when
the answer is lost. What proves that a listed thing is a call's is said in `models/evidence.py`;
here is what this client knows: which calls are open, which were lost, and which results have a
caller. Bulk jobs ask the same rules about what their ledger knows.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from attrs import evolve, frozen

from .. import settings
from ..clock import Clock
from ..errors import ConfigurationError, KlingError
from ..models.evidence import Decided, Known, complete_since, decide
from ..models.requests import Request
from ..models.sightings import Evidence, Sent, Sighting
from .claims import Claims

R = TypeVar("R")
Look = Callable[[Request[Any]], Awaitable[Sequence[Any]]]
_SETTLED = 256  # calls that ended well, of which one knows what they looked like


@frozen
class Lookup(Generic[R]):
    """What looking came to: the result that was found, or what could be it.

    `whole` asks for the rest of a result of which the listing showed only a part; `listed` says
    whether anything could be listed.
    """

    found: R | None
    candidates: tuple[Any, ...] = ()
    whole: Request[R] | None = None
    listed: bool = True


class Sightings:
    """What the latest looks at one listing showed to a call."""

    def __init__(self) -> None:
        self.shown: dict[str, Sighting] = {}
        self.complete_since_s = math.inf
        """The listing shows all that was made since then, by Kling's clock; inf: unknown."""
        self.longest = 0
        """The most that it ever showed at once."""

    def is_whole(self, listed: Sequence[Sighting], fresh: set[str]) -> None:
        """All that it shows now; what it showed before is gone."""
        self.shown = {one: self.shown[one] for one in self.shown if one in fresh}
        self.complete_since_s = complete_since(listed, self.longest)
        self.longest = max(self.longest, len(listed))


class PendingCreate(Generic[R]):
    """One paid call, from before its first attempt to its end.

    Args:
        request: as it goes out.
        evidence: how its result is looked for.
        account: whose listings show the result.
        given: as the user gave it; what it has not was made for this call alone.
        began_s: when it began, by our wall clock.
    """

    def __init__(
        self,
        request: Request[R],
        evidence: Evidence,
        account: str | None,
        given: Request[R],
        began_s: float,
    ) -> None:
        self.request = request
        self.evidence = evidence
        self.account = account
        self.began_s = began_s
        self.in_doubt = False
        self.seen: dict[str, Sightings] = {}
        """By the operation that lists."""
        self.others: set[str] = set()
        """Ids that a listing has shown to be another's, whatever it shows later."""
        self.candidates: tuple[Any, ...] = ()
        """What could be its result, as far as was looked."""
        self._given = given
        self._sent: Sent | None = None

    @property
    def sent(self) -> Sent:
        """What was sent. Most calls end well and nobody asks, so it waits until somebody does."""
        if self._sent is None:
            evidence, given = self.evidence, self._given
            mark = getattr(self.request, "reply_ref", None)
            self._sent = evidence.sent(
                self.request,
                account=self.account,
                own=evidence.own_of(self.request, given),
                own_mark=mark is not None and getattr(given, "reply_ref", None) is None,
                since_s=self.began_s,
            )
        return self._sent


class ClockSkew:
    """What is known of the difference between the clocks: what Kling's shows more than ours, in s.

    Learned from creates of our own that were answered: `createTime` is not after the moment we
    received the answer, so their difference is never more than the true one; the largest seen is
    the closest. Until one was seen: ten minutes either way.

    Only answers that came within `settings.CLOCK_SLACK_S` of their call's beginning teach it, so
    that the true difference is known from above, too.
    """

    def __init__(self) -> None:
        self._received_s: dict[str, float] = {}
        self._closest_s: dict[type, float] = {}
        """By the kind of what is listed: each service has a clock of its own."""

    def slack(self, seen: Sighting) -> tuple[float, float]:
        """The least that its time may differ from our time of sending, and the most from now."""
        closest_s = self._closest_s.get(type(seen.thing))
        if closest_s is None:
            return -settings.CLOCK_SLACK_S, settings.CLOCK_SLACK_S
        return closest_s - 2.0, closest_s + settings.CLOCK_SLACK_S

    def answered(self, result_id: str, began_s: float, received_s: float) -> None:
        """An answered create; a few of the latest are enough."""
        if received_s - began_s > settings.CLOCK_SLACK_S:
            return
        self._received_s[result_id] = received_s
        if len(self._received_s) > 64:
            del self._received_s[next(iter(self._received_s))]

    def listed(self, sightings: Iterable[Sighting]) -> None:
        """Learn from a listing, of what it states a time for."""
        for one in sightings:
            received_s = self._received_s.get(one.id)
            if received_s is None or one.made_at_s is None or not one.made_at_is_its_own:
                continue
            apart_s = one.made_at_s - received_s
            known_s = self._closest_s.get(type(one.thing), apart_s)
            self._closest_s[type(one.thing)] = max(apart_s, known_s)


class Reconciler:
    """Follows pending creates. One per client, so that no two calls ever take the same result.

    Args:
        clock: sleeps and tells the time.
        remembers: how many of the latest results at least; see `claims.py`.
    """

    def __init__(self, clock: Clock, remembers: int = settings.RESULTS_REMEMBERED) -> None:
        self._clock = clock
        self._born_s = clock.wall()
        self._open: dict[PendingCreate[Any], None] = {}
        self.claims: Claims = Claims(self._oldest_s, remembers)
        # Of calls that ended without their result. It may show up any time, so no age makes these
        # harmless; they are kept, about a kilobyte for each kind of call whose caller was told (or
        # left), however often it happened.
        self._lost: dict[tuple[Any, ...], Sent] = {}
        # Of calls that ended otherwise, the latest: what looks like theirs and has no caller, and
        # can be no other call's of ours, was made by somebody else.
        self._settled: deque[tuple[Request[Any], str | None, float]] = deque(maxlen=_SETTLED)
        self.clock_skew: ClockSkew = ClockSkew()

    def begin(
        self, request: Request[R], account: str | None, given: Request[R]
    ) -> PendingCreate[R] | None:
        """A call goes out; None where nothing lists what it makes.

        Args:
            request: as it goes out.
            account: that it goes to.
            given: as the user gave it, before anything was made for it.
        """
        evidence = request.evidence
        if evidence is None:
            return None
        pending = PendingCreate(request, evidence, account, given, self._clock.wall())
        self._open[pending] = None
        return pending

    def end(self, pending: PendingCreate[Any] | None, *, lost: bool) -> None:
        """It is over. `lost`: it may have made something that its caller does not know of."""
        if pending is None:
            return
        if lost:
            sent = pending.sent.brief()
            values = (*sorted(sent.paths.items()), *sorted(sent.stated.items(), key=str))
            # The first of those alike stands for all: whatever it can't have made, none can have.
            self._lost.setdefault((sent.kind, sent.account, values), sent)
        elif pending.evidence.likeness:
            self._settled.append((pending.request, pending.account, pending.began_s))
        del self._open[pending]

    def answered(self, pending: PendingCreate[Any] | None, result: Any) -> None:
        """It was answered: its result is nobody else's."""
        if pending is None:
            return
        result_id, now_s = str(result.id), self._clock.wall()
        self.claims.add(pending.evidence.kind, result_id, now_s)
        self.clock_skew.answered(result_id, pending.began_s, now_s)

    async def follow(
        self, pending: PendingCreate[R], sent_s: float, within_s: float, look: Look
    ) -> Lookup[R]:
        """The result, as soon as a listing proves it; else what could be it when time is up.

        Args:
            pending: a call whose answer was lost.
            sent_s: wall clock when the attempt went out whose answer was lost.
            within_s: how long to look, in seconds; 0: not at all.
            look: sends one of the request's listings.
        """
        pending.in_doubt = True
        evidence = pending.evidence
        until = self._clock.monotonic() + within_s
        looks, listed = 0, False
        while (left_s := until - self._clock.monotonic()) > 1e-6:  # less is rounding
            waits = settings.LOOK_AFTER_S
            await self._clock.sleep(min(left_s, waits[min(looks, len(waits) - 1)]))
            looks += 1
            for listing in evidence.listings(pending.account):
                try:
                    found = await self._shown(pending, sent_s, listing, until, look)
                except ConfigurationError:
                    raise  # this client can't look any more
                except KlingError:
                    continue  # an account that can't be listed now may be listed later
                listed = True
                if found is not None:
                    self.claims.add(evidence.kind, found.id, self._clock.wall())
                    whole = evidence.refetch(found.thing, pending.account)
                    return Lookup(evidence.result(found.thing), pending.candidates, whole)
        return Lookup(None, pending.candidates, listed=listed)

    async def _shown(
        self,
        pending: PendingCreate[Any],
        sent_s: float,
        listing: Request[Any],
        until: float,
        look: Look,
    ) -> Sighting | None:
        """The listed thing that is this call's, where that can be decided.

        A listing that goes by pages is read back to the sending, each time: what was made long ago
        may be listed only now, among the things of its time.
        """
        evidence = pending.evidence
        seen = pending.seen.setdefault(listing.operation, Sightings())
        seen.complete_since_s = math.inf  # before it is read to its end
        all_listed: list[Sighting] = []
        ids: set[str] = set()
        for _ in range(settings.LOOK_PAGES):
            listed = await look(listing)
            page = [evidence.sighting(one, pending.account) for one in listed]
            self.clock_skew.listed(page)
            seen.shown.update((one.id, one) for one in page)
            if (found := self._decided(pending, sent_s, seen).found) is not None:
                return found
            fresh = {one.id for one in page} - ids
            ids |= fresh
            all_listed += page
            if not fresh:
                break
            since_s = sent_s + min(self.clock_skew.slack(one)[0] for one in page)
            if (further := evidence.next_page(listing, listed, since_s)) is None:
                break
            if self._clock.monotonic() >= until:
                return None  # likeness would need the whole of it
            listing = further
        else:
            return None  # likewise
        seen.is_whole(all_listed, ids)
        return self._decided(pending, sent_s, seen).found

    def _decided(self, pending: PendingCreate[Any], sent_s: float, seen: Sightings) -> Decided:
        """What all that is known says of this call now."""
        sent = evolve(pending.sent, since_s=sent_s)
        shown = [one for each in pending.seen.values() for one in each.shown.values()]
        pending.others |= {one.id for one in shown if one.mark not in (None, sent.mark)}
        kind = pending.evidence.kind
        known = Known(
            now_s=self._clock.wall(),
            claimed={one.id for one in shown if (kind, one.id) in self.claims},
            before=pending.others,
            rivals=self._rivals(pending),
            settled=self._settled_alike(pending),
            born_s=self._born_s,
            complete_since_s=seen.complete_since_s,
            slack=self.clock_skew.slack,
            forgotten_s=self.claims.forgotten_s,
        )
        decided = decide({pending: sent}, shown, known)[pending]
        could_be = decided.surplus if decided.found is not None else decided.candidates
        taken = () if decided.found is None else (decided.found.thing,)
        pending.candidates = (*taken, *(one.thing for one in could_be))
        return decided

    def _rivals(self, pending: PendingCreate[Any]) -> list[Sent]:
        """The other calls that may have made what has no caller: open ones, and lost ones."""
        kind = pending.evidence.kind
        others = (one.sent for one in self._open if one is not pending)
        return [one for one in (*others, *self._lost.values()) if one.kind == kind]

    def _settled_alike(self, pending: PendingCreate[Any]) -> list[Sent]:
        if not pending.evidence.likeness:
            return []
        return [
            request.evidence.sent(request, account=account, since_s=began_s)
            for request, account, began_s in self._settled
            if request.evidence is not None and request.evidence.kind == pending.evidence.kind
        ]

    def _oldest_s(self) -> float:
        """When the oldest call under way began."""
        return min((one.began_s for one in self._open), default=self._clock.wall())

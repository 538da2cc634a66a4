"""Was it made after all? Finds the result of a create whose answer was lost, for single calls.

The pipeline opens a `Trail` for each paid call that can be looked for, and follows it when the
answer is lost. Only presence concludes: what is not listed may still come. Bulk jobs have their own
judge (`bulk/doubts.py`), which knows more: what was listed before the job began.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from attrs import define, field, frozen

from . import settings
from .clock import Clock
from .errors import ConfigurationError, KlingError
from .models.requests import Request

R = TypeVar("R")


@frozen
class Verdict(Generic[R]):
    """What looking came to: the result that was found, or what could be it."""

    found: R | None
    candidates: tuple[Any, ...] = ()


@define(eq=False)
class Trail(Generic[R]):
    """One paid call, from before its first attempt to its end.

    Args:
        request: as it goes out.
        account: whose listing shows the result.
        own_token: the request carries something that no other has (a file uploaded for it alone).
    """

    request: Request[R]
    account: str | None
    own_token: bool
    in_doubt: bool = False
    candidates: tuple[Any, ...] = ()
    """What the latest listing shows that could be its result."""

    fingerprint: tuple[int | None, ...] = field(init=False)
    """Account, image and texts; None where the server chose. Hashes, because prompts are long."""

    def __attrs_post_init__(self) -> None:
        known = (self.account, *self.request.fingerprint())
        self.fingerprint = tuple(None if one is None else hash(one) for one in known)

    def is_like(self, other: tuple[int | None, ...]) -> bool:
        """Whether its result could be taken for that of a call with this fingerprint."""
        pairs = zip(self.fingerprint, other, strict=False)
        return all(ours == theirs or None in (ours, theirs) for ours, theirs in pairs)


class Reconciler:
    """Follows trails. One per client, so that no two of its calls ever take the same result.

    Args:
        clock: sleeps and tells the time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[Trail[Any], None] = {}
        self._taken: set[str] = set()
        self._lost: set[tuple[int | None, ...]] = set()
        """Fingerprints of calls that ended without their result, which may show up any time."""
        self._skew = _Skew()

    def begin(self, request: Request[R], account: str | None, own_token: bool) -> Trail[R] | None:
        """A call goes out; its trail, or None where nothing lists what it makes."""
        if request.listing(account) is None:
            return None
        trail = Trail(request, account, own_token)
        self._open[trail] = None
        return trail

    def end(self, trail: Trail[Any] | None, *, lost: bool) -> None:
        """It is over. `lost`: it may have made something that its caller does not know of."""
        if trail is None:
            return
        if lost:
            self._lost.add(trail.fingerprint)
        del self._open[trail]

    def answered(self, trail: Trail[Any] | None, result: Any) -> None:
        """It was answered: its result is nobody else's."""
        if trail is None:
            return
        result_id = trail.request.result_id(result)
        self._taken.add(result_id)
        self._skew.answered(result_id, self._clock.wall())

    async def follow(
        self,
        trail: Trail[R],
        sent_s: float,
        within_s: float,
        look: Callable[[], Awaitable[Sequence[Any]]],
    ) -> Verdict[R]:
        """The result, as soon as a listing proves it; else what could be it when time is up.

        Args:
            trail: a call whose answer was lost.
            sent_s: wall clock when the attempt went out whose answer was lost.
            within_s: how long to look, in seconds; 0: not at all.
            look: lists what the account has now.
        """
        trail.in_doubt = True
        until = self._clock.monotonic() + within_s
        looks = 0
        while (left_s := until - self._clock.monotonic()) > 1e-6:  # less is rounding
            waits = settings.LOOK_AFTER_S
            await self._clock.sleep(min(left_s, waits[min(looks, len(waits) - 1)]))
            looks += 1
            try:
                listed = await look()
            except ConfigurationError:
                raise  # this client can't look any more
            except KlingError:
                continue  # an account that can't be listed now may be listed later
            self._skew.listed(trail.request, listed)
            trail.candidates = self._candidates(trail, sent_s, listed)
            if (mine := self._mine(trail)) is not None:
                self._taken.add(trail.request.listed_id(mine))
                return Verdict(trail.request.adopt(mine), trail.candidates)
        return Verdict(None, trail.candidates)

    def _candidates(
        self, trail: Trail[Any], sent_s: float, listed: Sequence[Any]
    ) -> tuple[Any, ...]:
        """What is listed and could be the result: nobody else's, alike, of the right time."""
        request = trail.request
        earliest_s = sent_s + self._skew.earliest_s
        alike = [
            one
            for one in listed
            if request.listed_id(one) not in self._taken
            and request.resembles(one)
            and (trail.own_token or request.listed_at_s(one, earliest_s) >= earliest_s)
        ]
        return tuple(sorted(alike, key=lambda one: request.listed_at_s(one, earliest_s)))

    def _mine(self, trail: Trail[Any]) -> Any:
        """The one of its candidates that is this call's, where that can be decided."""
        if not (candidates := trail.candidates):
            return None
        if any(trail.is_like(lost) for lost in self._lost):
            return None  # it may be that of a call like this one, whose caller was told so
        alike = [one for one in self._open if trail.is_like(one.fingerprint)]
        if trail.own_token and len(alike) == 1:
            return candidates[0]  # more than one carry our token: all are ours, the oldest counts
        if not all(one.in_doubt and one.fingerprint == trail.fingerprint for one in alike):
            return None  # another call's answer is awaited, or its texts fit as well: it may be its
        if len(candidates) > len(alike):
            return None  # somebody else made one like it
        place = alike.index(trail)
        return candidates[place] if place < len(candidates) else None


@define
class _Skew:
    """How far Kling's clock may be from ours, learned from creates of our own that were answered.

    `createTime` is not after the moment we received the answer, so their difference is never more
    than the true one; the largest seen is the closest. Until one was seen: ten minutes either way.
    """

    _received_s: dict[str, float] = field(factory=dict)
    _closest_s: float | None = None

    @property
    def earliest_s(self) -> float:
        """The least that `createTime` may differ from our time of sending, in seconds."""
        return -settings.CLOCK_SLACK_S if self._closest_s is None else self._closest_s - 2.0

    def answered(self, result_id: str, received_s: float) -> None:
        """An answered create; a few of the latest are enough."""
        self._received_s[result_id] = received_s
        if len(self._received_s) > 64:
            del self._received_s[next(iter(self._received_s))]

    def listed(self, request: Request[Any], listed: Sequence[Any]) -> None:
        """Learn from a listing."""
        for one in listed:
            received_s = self._received_s.pop(request.listed_id(one), None)
            if received_s is not None:
                apart_s = request.listed_at_s(one, received_s) - received_s
                known_s = apart_s if self._closest_s is None else self._closest_s
                self._closest_s = max(apart_s, known_s)

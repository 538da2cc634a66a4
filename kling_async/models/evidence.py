"""What proves that a listed thing is the result of a create whose answer was lost? Pure.

The rules of evidence, once, for single calls and for bulk. A thing is free while nobody has it.

- **An own mark** (a `replyRef` made for this create) on the same account proves by itself.
- **An own address** (of a file that was uploaded, or of speech that was rendered, for this create
  alone, and that no other create has) proves, where all else that was sent and is shown again
  agrees and the thing was made in time. Of several, the oldest counts; the others are surplus.
  Where such an address is seen to be somebody else's as well (equal files with equal addresses), it
  counts as one that the user gave.
- **Likeness** (an address that the user gave, and all that was sent) suffices for avatars and
  elements alone, where exactly one such thing was made in time, no other create could have made
  it, the listing hides nothing of that time, and nobody else is seen to make the like.
- **An absence proves nothing**, nor does a thing that does not say when it was made.
- **What was never sent** is found only by what was made for it alone: then a ledger is an old copy.

Two things can't be known by anybody. Somebody else may make, from an address that the user gave (or
from an equal file, should the server give it an equal address), with all the same texts, in the
very time at which ours was lost and not made, one single thing. It is taken for ours.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Container, Hashable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Literal, TypeVar

from attrs import frozen

from ..settings import CLOCK_SLACK_S
from .listed import Listed, Slack, listed_things
from .sightings import Evidence, Sent, Sighting

__all__ = ["Decided", "Evidence", "Found", "Known", "Sent", "Sighting", "complete_since", "decide",
           "look_alikes", "looks_cut", "usual_slack"]  # fmt: skip

K = TypeVar("K", bound=Hashable)
Found = Literal["adopted", "adopted-by-likeness", "recovered"]
"""By a mark or an address of its own; by likeness; for what was never sent as far as is known."""
_PAGES = frozenset({20, 24, 25, 30, 40, 48, 50, 60, 64, 75, 80, 128})


def usual_slack(sighting: Sighting) -> tuple[float, float]:
    """Ten minutes either way, where nothing is known of the clocks."""
    return -CLOCK_SLACK_S, CLOCK_SLACK_S


@frozen(kw_only=True)
class Known:
    """What else is known when things are weighed.

    Args:
        now_s: by our clock, epoch seconds.
        claimed: ids of this kind that somebody has: another step of the ledger, another call.
        before: ids that are known not to be ours, as what was listed before the job. That is all
            they say.
        rivals: the other creates, beside `wanted`, that may have made something nobody has yet: in
            flight, in doubt, unknown, lost for good.
        settled: creates that have their own answer (or were settled otherwise), or were never sent.
            They made nothing that is free: what agrees with them and is free is somebody else's.
        born_s: since when: the ledger's birth, or the client's.
        complete_since_s: what the listing shows is all that was made since then, by Kling's clock
            (`complete_since`); -inf: all there is; inf: things may be missing.
        slack: sighting -> the least and the most that its time may differ from ours, in seconds.
        forgotten_s: what was made until then may be claimed, and that forgotten; None: nothing is.
    """

    now_s: float
    claimed: Container[str] = frozenset()
    before: Container[str] = frozenset()
    rivals: Collection[Sent] = ()
    settled: Collection[Sent] = ()
    born_s: float = 0.0
    complete_since_s: float = -math.inf
    slack: Slack = usual_slack
    forgotten_s: float | None = None


@frozen(kw_only=True)
class Decided:
    """What was decided of one create.

    Args:
        found: the thing that is its result; None: nothing is.
        evidence: by what it was found.
        surplus: further things that are its own beyond doubt; reported, never touched.
        candidates: things that could be it, where none was taken; the likeliest first.
        why: why none was taken, in words for users.
    """

    found: Sighting | None = None
    evidence: Found | None = None
    surplus: tuple[Sighting, ...] = ()
    candidates: tuple[Sighting, ...] = ()
    why: str = ""


def decide(wanted: Mapping[K, Sent], seen: Iterable[Sighting], known: Known) -> dict[K, Decided]:
    """What becomes of each create whose result is looked for. Never two of them get one thing.

    Args:
        wanted: the creates, all of one kind, in the order of the input.
        seen: all that the listings of that kind show; a thing may be in several of them.
        known: what else is known.
    """
    table = _Table(list(wanted.values()), listed_things(seen, known.slack), known)
    found: dict[K, Decided] = {}
    for proofs in (table.marked, table.of_own_address):
        for key, want in wanted.items():
            if key not in found and (mine := proofs(want)):
                table.taken.update(one.id for one in mine)
                evidence: Found = "recovered" if want.never_sent else "adopted"
                first, *others = (one.latest for one in mine)
                found[key] = Decided(found=first, evidence=evidence, surplus=tuple(others))
    alike = {key: table.alike(want) for key, want in wanted.items() if key not in found}
    for key, (one, _) in alike.items():  # each is one create's alone, so their order is all one
        if one is not None:
            table.taken.add(one.id)
            found[key] = Decided(found=one.latest, evidence="adopted-by-likeness")
    left = {key: why for key, (_, why) in alike.items() if key not in found}
    found |= {key: table.undecided(wanted[key], why) for key, why in left.items()}
    return {key: found[key] for key in wanted}


def look_alikes(
    planned: Mapping[K, Sent], seen: Iterable[Sighting], claimed: Container[str] = frozenset()
) -> dict[K, tuple[Sighting, ...]]:
    """What is there already and looks like creates that were never sent: most likely a second job.

    Args:
        planned: creates that are about to be sent for the first time.
        seen: what is listed.
        claimed: ids that this job's steps have.
    """
    things = _by_path(listed_things(seen, usual_slack))
    found: dict[K, tuple[Sighting, ...]] = {}
    for key, sent in planned.items():
        there = (one for one in _sharing(sent, things) if one.id not in claimed)
        alike = [one for one in there if one.looks_like(sent)]
        if alike:
            found[key] = tuple(one.latest for one in alike)
    return found


def looks_cut(count: int, longest: int = 0) -> bool:
    """Whether a listing of so many things may be a page, behind which there are more.

    Args:
        count: of things in the listing.
        longest: the most that this listing was ever seen to show: its pages are not shorter.
    """
    return count >= longest and (count in _PAGES or (count >= 100 and count % 50 == 0))


def complete_since(listed: Sequence[Sighting], longest: int = 0) -> float:
    """Since when, by Kling's clock, one listing shows all that was made; see `Known`.

    Args:
        listed: the whole of it, in its order.
        longest: the most that this listing was ever seen to show.
    """
    if not looks_cut(len(listed), longest):
        return -math.inf
    times = [one.made_at_s for one in listed]
    stated = [at for at in times if at is not None]
    newest_first = len(stated) == len(times) and sorted(stated, reverse=True) == stated
    return stated[-1] if newest_first else math.inf


class _Table:
    """All that lies on it: creates, things, and who could have made which."""

    def __init__(self, wanted: Sequence[Sent], things: Iterable[Listed], known: Known) -> None:
        self._known = known
        things = list(things)
        self._things = [one for one in things if one.id not in known.before]
        self.taken = {one.id for one in self._things if one.id in known.claimed}
        self._with_path = _by_path(self._things)
        self._with_mark: dict[str | None, list[Listed]] = {}
        for thing in self._things:
            for mark in {one.mark for one in thing.sightings}:
                self._with_mark.setdefault(mark, []).append(thing)
        makers = [*(one for one in wanted if not one.never_sent), *known.rivals]
        self._makers: dict[str, list[Sent]] = {}
        """Who may have made what is free: by their address, or under "" where that is not one."""
        for maker in makers:
            paths = list(maker.paths.values())
            self._makers.setdefault(paths[0] if len(paths) == 1 else "", []).append(maker)
        self._settled = [*known.settled, *(one for one in wanted if one.never_sent)]
        every = [*makers, *self._settled]
        self._uses = Counter(path for one in every for path in set(one.paths.values()))
        self._keeps_addresses = any(path in self._with_path for path in self._uses)
        self._shares_addresses = self._is_shared(things, makers)

    def marked(self, want: Sent) -> list[Listed]:
        """Those that carry its own mark, on its account; the oldest first."""
        there = self._with_mark.get(want.mark, ()) if want.own_mark else ()
        return self._free(one for one in there if one.is_on(want.account))

    def of_own_address(self, want: Sent) -> list[Listed]:
        """Those that carry an address that was made for it alone; the oldest first."""
        own = [path for name, path in want.paths.items() if name in want.own]
        if self._shares_addresses:
            return []  # then it is one of several signs, as an address of the user's
        there = (
            one for path in own if self._uses[path] == 1 for one in self._with_path.get(path, ())
        )
        return self._free(one for one in there if one.may_be_of(want) and self._is_dated(one))

    def _is_shared(self, things: Iterable[Listed], makers: Iterable[Sent]) -> bool:
        """Whether addresses that were made for one create are seen to be others' as well.

        So it is where equal files get equal addresses. Something carries one, and is older than the
        create it was made for; or that create is settled, and has another result.
        """
        made_for = {
            path: (sent, is_open)
            for is_open, group in ((False, self._settled), (True, makers))
            for sent in group
            if is_open or not sent.never_sent  # an old copy of a ledger may not know of it
            for name, path in sent.paths.items()
            if name in sent.own
        }
        for thing in things:
            if thing.id in self.taken or not thing.is_dated:
                continue
            for path in thing.paths & made_for.keys():
                sent, is_open = made_for[path]
                if not is_open or not thing.may_be_since(sent.since_s):
                    return True
        return False

    def alike(self, want: Sent) -> tuple[Listed | None, str]:
        """The one that only this create can have made; else why there is none."""
        if not want.likeness or want.never_sent:
            return None, "only what was made for it alone would prove it"
        there = self._free(
            one
            for one in _sharing(want, self._with_path)
            if one.shows_all_of(want) and one.may_be_of(want) and self._is_there(one)
        )
        if len(there) != 1:
            return None, "several are alike" if there else "nothing agrees with all that was sent"
        (one,) = there
        if not self._is_dated(one):
            return None, "it may be an older one"
        if sum(one.may_be_of(maker) for maker in self._makers_of(one)) > 1:  # itself is among them
            return None, "another create of yours could have made it"
        if any(one.looks_like(other) for other in self._settled if other.never_sent):
            return None, "a row that was not sent yet looks the same, and the ledger may be old"
        if not self._is_complete_for(want, one):
            return None, "the listing may be cut, so it may hide another like it"
        if self._others_make_the_like:
            return None, "somebody else makes things on this account that look like yours"
        return one, ""

    def undecided(self, want: Sent, why: str) -> Decided:
        """What could be it."""
        there = self._things if self._is_sought_widely(want) else _sharing(want, self._with_path)
        could_be = self._free(one for one in there if self._could_be(one, want))
        could_be.sort(key=lambda one: not one.paths.intersection(want.paths.values()))
        candidates = tuple(one.latest for one in could_be)
        return Decided(candidates=candidates, why=why if candidates else "nothing could be it")

    @cached_property
    def _others_make_the_like(self) -> bool:
        """Whether something is there that looks like ours, and that only others can have made."""
        return any(
            thing.id not in self.taken
            and self._is_dated(thing)
            and thing.may_be_since(self._known.born_s)
            and thing.looks_like(one)
            and not any(thing.may_be_of(maker) for maker in self._makers_of(thing))
            for one in self._settled
            for thing in _sharing(one, self._with_path)
        )

    def _makers_of(self, thing: Listed) -> Iterable[Sent]:
        """Those whose result it may be, as far as addresses tell."""
        return (one for path in ("", *thing.paths) for one in self._makers.get(path, ()))

    def _is_there(self, thing: Listed) -> bool:
        """Whether it is not from the future, as far as clocks tell."""
        return thing.made_after_s <= self._known.now_s

    def _is_dated(self, thing: Listed) -> bool:
        """Whether it says when it was made, and that tells it from what is forgotten."""
        forgotten_s = self._known.forgotten_s
        is_young = forgotten_s is None or thing.made_after_s > forgotten_s
        return thing.is_dated and is_young and self._is_there(thing)

    def _is_complete_for(self, want: Sent, thing: Listed) -> bool:
        """Whether the listing shows all that was made since the create went out."""
        assert want.since_s is not None  # else nothing may be its
        least_s, _ = self._known.slack(thing.latest)
        return self._known.complete_since_s <= want.since_s + least_s

    def _is_sought_widely(self, want: Sent) -> bool:
        """Whether what shows another address could be it, too."""
        texts = want.stated.get("nickname"), want.stated.get("prompt")
        return not want.likeness or (not self._keeps_addresses and None not in texts)

    def _could_be(self, thing: Listed, want: Sent) -> bool:
        """Whether the user might recognise it as the result."""
        if thing.carries_mark(want):
            return True  # on another account: later calls about it would go astray
        if not (thing.is_on(want.account) and thing.may_be_since(want.since_s)):
            return False
        if thing.is_anothers(want) or not self._is_there(thing):
            return False
        if thing.shows_own_of(want):
            return True
        sought = self._is_sought_widely(want) or thing.shows_all_of(want)
        return sought and thing.says_the_same_as(want)

    def _free(self, things: Iterable[Listed]) -> list[Listed]:
        """Each of them once, without what somebody has; the oldest first."""
        free = {one.id: one for one in things if one.id not in self.taken}
        return sorted(free.values(), key=lambda one: one.made_at_s)


def _by_path(things: Iterable[Listed]) -> dict[str, list[Listed]]:
    found: dict[str, list[Listed]] = {}
    for one in things:
        for path in one.paths:
            found.setdefault(path, []).append(one)
    return found


def _sharing(sent: Sent, with_path: Mapping[str, list[Listed]]) -> Iterable[Listed]:
    """The things that show one of its addresses, each once."""
    found = (one for path in sent.paths.values() for one in with_path.get(path, ()))
    return {one.id: one for one in found}.values()

"""What do all listings together say of one thing, next to a create that may have made it? Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any

from .checks import url_path
from .sightings import Hashed, Sent, Sighting, is_another_address

Slack = Callable[[Sighting], tuple[float, float]]
"""Sighting -> the least and the most that its time may differ from ours, in seconds."""


class Listed:
    """All that the listings show of one thing."""

    def __init__(self, sightings: Sequence[Sighting], slack: Slack) -> None:
        self.id: str = sightings[0].id
        self.latest: Sighting = sightings[-1]
        """The latest listing tells most of it."""
        self.sightings = sightings
        self.paths: frozenset[str] = frozenset[str]().union(*(one.paths for one in sightings))
        # For each time that is shown: the latest moment of ours at which it may have been asked
        # for, and the earliest at which it was certainly there.
        times = [
            (one.made_at_s - least_s, one.made_at_s - most_s)
            for one in sightings
            if one.made_at_s is not None
            for least_s, most_s in (slack(one),)
        ]
        self.is_dated: bool = bool(times)
        self.asked_by_s: float = min((latest for latest, _ in times), default=math.inf)
        self.made_after_s: float = max((earliest for _, earliest in times), default=-math.inf)

    @cached_property
    def made_at_s(self) -> float:
        """For the order alone."""
        return min((one.made_at_s for one in self.sightings if one.made_at_s), default=math.inf)

    def is_on(self, account: str | None) -> bool:
        """Whether it may be that account's."""
        return all(_same(one.account, account) for one in self.sightings)

    def is_anothers(self, sent: Sent) -> bool:
        """Whether it carries a mark, and another one."""
        return any(one.mark not in (None, sent.mark) for one in self.sightings)

    def carries_mark(self, sent: Sent) -> bool:
        """Whether it carries the create's own mark."""
        return sent.own_mark and any(one.mark == sent.mark for one in self.sightings)

    def may_be_since(self, since_s: float | None) -> bool:
        """Whether its time, if it shows one, lets it be made after `since_s`."""
        return since_s is not None and since_s <= self.asked_by_s

    def shows_all_of(self, sent: Sent) -> bool:
        """Whether it shows each address that was sent."""
        return bool(sent.paths) and self.paths.issuperset(sent.paths.values())

    def shows_own_of(self, sent: Sent) -> bool:
        """Whether it shows an address that was made for the create."""
        return any(path in self.paths for name, path in sent.paths.items() if name in sent.own)

    def replaces_an_address_of(self, sent: Sent) -> bool:
        """Whether it shows another address in the place of one that was sent."""
        asked = set(sent.paths.values())
        missing = asked - self.paths
        return bool(missing) and len(self.paths - asked) >= len(missing)

    def says_the_same_as(self, sent: Sent) -> bool:
        """Whether all values that were sent and are shown again are the same."""
        return all(
            _is_same(value, one.shown[name], is_own=name in sent.own)
            for one in self.sightings
            for name, value in sent.stated.items()
            if name in one.shown
        )

    def agrees_with(self, sent: Sent) -> bool:
        """Whether all that was sent and is shown again is the same, addresses included."""
        return not self.replaces_an_address_of(sent) and self.says_the_same_as(sent)

    def looks_like(self, sent: Sent) -> bool:
        """Whether it is as if the create had made it, whenever that was."""
        return self.is_on(sent.account) and self.shows_all_of(sent) and self.agrees_with(sent)

    def may_be_of(self, sent: Sent) -> bool:
        """Whether this create, of whom all is known that was sent, could have made it."""
        return (
            self.may_be_since(sent.since_s)
            and self.is_on(sent.account)
            and not self.is_anothers(sent)
            and self.agrees_with(sent)
        )


def listed_things(seen: Iterable[Sighting], slack: Slack) -> list[Listed]:
    """Each thing once, with all that is seen of it."""
    shown: dict[str, list[Sighting]] = {}
    for one in seen:
        shown.setdefault(one.id, []).append(one)
    return [Listed(sightings, slack) for sightings in shown.values()]


def _same(one: str | None, other: str | None) -> bool:
    """Whether two accounts may be the same."""
    return one is None or other is None or one.casefold() == other.casefold()


def _is_same(sent: Any, shown: Any, *, is_own: bool) -> bool:
    """Whether a value that is shown may be the one that was sent."""
    if shown is None:
        return True
    if isinstance(shown, frozenset):  # addresses; which of them is meant, its path says
        if is_own or not isinstance(sent, str):
            return True
        places = [one for one in shown if url_path(one) == url_path(sent)]
        return not places or not all(is_another_address(sent, one) for one in places)
    if isinstance(sent, Hashed):
        return hash(shown) == sent.value
    if isinstance(sent, (int, float)) and isinstance(shown, (int, float)):
        return math.isclose(sent, shown, rel_tol=1e-6)
    return bool(sent == shown)

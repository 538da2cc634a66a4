"""Which results have a caller already? Remembered for as long as one could be taken again. Pure.

A client may live for months and make millions of things, so their ids can't all be kept. The
oldest are forgotten, all those before a moment, and that moment is known: what a listing states to
be made after it is none of them, whatever else it resembles.

Why nothing is lost by that. A forgotten result was answered (or found) before `forgotten_s` by our
clock, so Kling's shows at most `forgotten_s` and the most of `ClockSkew.slack` for it: what is
younger can be taken as ever. And nothing is forgotten that is not `_BEHIND_S` older than the oldest
call under way. Its own result is at most `CLOCK_SLACK_S` earlier than its sending by Kling's clock,
which leaves `CLOCK_SLACK_S` for that; so it always is among the younger ones. What states no time,
or one before the call, may be a forgotten one, and is shown as a candidate at most, unless it
carries the call's own mark, which was not in the world before.
"""

from __future__ import annotations

from collections.abc import Callable

from ..settings import CLOCK_SLACK_S

_BEHIND_S = 2 * CLOCK_SLACK_S
_PART_S = CLOCK_SLACK_S / 2


class Claims:
    """The ids of results that have a caller, in parts that are forgotten whole, the oldest first.

    Args:
        oldest_s: when the oldest call under way began, by our wall clock.
        at_least: how many of the latest are remembered whatever their age, so that a client that
            makes few things forgets none of them for days.
    """

    def __init__(self, oldest_s: Callable[[], float], at_least: int) -> None:
        self.forgotten_s: float | None = None
        """All that is forgotten was received until then, by our wall clock; None: nothing is."""
        self._oldest_s = oldest_s
        self._at_least = at_least
        self._latest: set[tuple[str, str]] = set()
        self._latest_s = self._next_part_s = 0.0
        self._earlier: list[tuple[float, set[tuple[str, str]]]] = []
        """Each with the time when its last one was received."""

    def __contains__(self, thing: tuple[str, str]) -> bool:
        return thing in self._latest or any(thing in ids for _, ids in self._earlier)

    def __len__(self) -> int:
        return len(self._latest) + sum(len(ids) for _, ids in self._earlier)

    def add(self, kind: str, result_id: str, now_s: float) -> None:
        """A result has its caller now."""
        self._latest.add((kind, result_id))
        if now_s > self._latest_s:  # a wall clock may be set back
            self._latest_s = now_s
        if now_s >= self._next_part_s and 4 * len(self._latest) > self._at_least:
            self._begin_part(now_s)

    def _begin_part(self, now_s: float) -> None:
        self._earlier.append((self._latest_s, self._latest))
        self._latest = set()
        self._next_part_s = now_s + _PART_S
        until_s, left = self._oldest_s() - _BEHIND_S, len(self)
        while self._earlier and self._earlier[0][0] < until_s:
            if (left := left - len(self._earlier[0][1])) < self._at_least:
                return
            self.forgotten_s, _ = self._earlier.pop(0)

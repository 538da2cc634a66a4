"""How far is Kling's clock from ours? Learned from creates of our own that were answered. Pure.

`createTime` is not after the moment we received the answer, so their difference is never more than
the true one; the largest seen is the closest. Until one was seen: ten minutes either way.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..models.sightings import Sighting
from ..settings import CLOCK_SLACK_S


class ClockSkew:
    """What is known of the difference between the clocks: what Kling's shows more than ours, in s.

    Only answers that came within `CLOCK_SLACK_S` of their call's beginning teach it, so that the
    true difference is known from above, too.
    """

    def __init__(self) -> None:
        self._received_s: dict[str, float] = {}
        self._closest_s: dict[type, float] = {}
        """By the kind of what is listed: each service has a clock of its own."""

    def slack(self, seen: Sighting) -> tuple[float, float]:
        """The least that its time may differ from our time of sending, and the most from now."""
        closest_s = self._closest_s.get(type(seen.thing))
        if closest_s is None:
            return -CLOCK_SLACK_S, CLOCK_SLACK_S
        return closest_s - 2.0, closest_s + CLOCK_SLACK_S

    def answered(self, result_id: str, began_s: float, received_s: float) -> None:
        """An answered create; a few of the latest are enough."""
        if received_s - began_s > CLOCK_SLACK_S:
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

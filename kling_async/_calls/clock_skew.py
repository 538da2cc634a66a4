"""How far is Kling's clock from ours? Learned from creates of our own that were answered. Pure.

`createTime` is not after the moment we received the answer, so their difference is never more than
the true one; the largest seen is the closest. Until one was seen: ten minutes either way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..models.requests import Request
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

    def earliest_s(self, listed: Any) -> float:
        """The least that the time of such a thing may differ from our time of sending."""
        closest_s = self._closest_s.get(type(listed))
        return -CLOCK_SLACK_S if closest_s is None else closest_s - 2.0

    def latest_s(self, listed: Any) -> float:
        """The most that the time of such a thing may differ from our time of receiving it."""
        return self._closest_s.get(type(listed), 0.0) + CLOCK_SLACK_S

    def answered(self, result_id: str, began_s: float, received_s: float) -> None:
        """An answered create; a few of the latest are enough."""
        if received_s - began_s > CLOCK_SLACK_S:
            return
        self._received_s[result_id] = received_s
        if len(self._received_s) > 64:
            del self._received_s[next(iter(self._received_s))]

    def listed(self, request: Request[Any], listed: Sequence[Any]) -> None:
        """Learn from a listing, of what it states a time for."""
        for one in listed:
            received_s = self._received_s.get(request.listed_id(one))
            if received_s is None:
                continue
            apart_s = request.listed_at_s(one, math.nan) - received_s
            if not math.isnan(apart_s):
                known_s = self._closest_s.get(type(one), apart_s)
                self._closest_s[type(one)] = max(apart_s, known_s)

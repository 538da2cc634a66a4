"""How fast may we go, when nobody says? A control law that finds a quota by its refusals. Pure.

The law is CUBIC (RFC 9438, section 4), which the adaptive retry mode of the AWS SDKs uses for
request rates, too (botocore/retries/throttling.py). After a refusal the rate falls to a part of
what got through; it climbs back fast, flattens where the quota must be, and then feels its way
above it:

    rate(t) = flat + (flat - fallen) * (t / K - 1)³          flat is reached after K seconds

Ours differs in three points. K is a time rather than the cube root of the fall, so that quotas of
one and of a thousand requests per second are found equally fast. Time counts only while callers
wait for the rate, so a quiet hour does not raise it. And where the climb ends well above the old
quota, the quota has grown: then, as at the start, the rate grows by half each second until it is
refused (the slow start of RFC 9438, section 4.10; slower, because each request that is under way
when a quota is passed is one refused).
"""

from __future__ import annotations

from collections import deque

FALL = 0.9  # of what got through before a refusal; botocore's 0.7 gives away 30 % each time
FLAT = 0.97  # the flat part, likewise: just below the quota, where most of the time is spent
CLIMB_S = 8.0  # K
GROWN = 1.1  # of the flat part: above it, the quota is no longer the old one
SPEED = 1.5  # times a second while no quota is known; 2 met twice the refusals in simulation
LEAST_PER_S = 1 / 60


class Cubic:
    """The rate for one quota that nobody published.

    Args:
        start_per_s: where to begin.
        most_per_s: never above it.
    """

    def __init__(self, start_per_s: float, most_per_s: float) -> None:
        self.per_s = min(start_per_s, most_per_s)
        """The rate now."""
        self._most_per_s = most_per_s
        self._flat_per_s: float | None = None
        """None while no quota is known."""
        self._fallen_per_s = 0.0
        self._climbing_s = 0.0
        self._fell_s = float("-inf")
        self._sent_s: deque[float] = deque()

    def sent(self, now_s: float, *, waited: bool) -> None:
        """A request goes out.

        Args:
            now_s: monotonic.
            waited: whether the rate held it back; only then there is a reason to raise it.
        """
        if waited and self._sent_s:
            # A gap longer than two steps was not of our making.
            self._grow(min(now_s - self._sent_s[-1], 2 / self.per_s))
        self._sent_s.append(now_s)
        while self._sent_s[0] < now_s - 2 * self._window_s():
            self._sent_s.popleft()

    def refused(self, sent_s: float, now_s: float) -> None:
        """The request that went out at `sent_s` was answered 429 just now."""
        if sent_s <= self._fell_s:
            return  # it was under way when the rate fell, and has the same cause
        self._fell_s = now_s
        # What had gone out until then says what the quota is; but a refusal soon after a pause
        # says little, and must not bring the rate down to nothing.
        window_s = self._window_s()
        went_out = sum(1 for at_s in self._sent_s if sent_s - window_s < at_s <= sent_s)
        through_per_s = min(self.per_s, max(went_out / window_s, self.per_s / 2))
        self._flat_per_s = max(LEAST_PER_S, FLAT * through_per_s)
        self._fallen_per_s = self.per_s = max(LEAST_PER_S, FALL * through_per_s)
        self._climbing_s = 0.0

    def _grow(self, elapsed_s: float) -> None:
        flat = self._flat_per_s
        if flat is None:
            self.per_s *= SPEED**elapsed_s
        else:
            self._climbing_s += elapsed_s
            self.per_s = flat + (flat - self._fallen_per_s) * (self._climbing_s / CLIMB_S - 1) ** 3
            if self.per_s > GROWN * flat:
                self._flat_per_s = None
        self.per_s = min(self.per_s, self._most_per_s)

    def _window_s(self) -> float:
        """Long enough to tell a rate from a chance: a second, or eight requests."""
        return max(1.0, 8 / self.per_s)

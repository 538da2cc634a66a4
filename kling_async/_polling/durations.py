"""How long do jobs take, and when is one likely to be over? Learned from those that ended. Pure.

Kling gives an `etaTime`, whose unit no page says; so it is not used.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from attrs import frozen

_KEPT = 32  # of the newest jobs of a kind: a busy hour at Kling makes them longer
_SPREAD = 0.2  # the next job takes up to this share less or more than one of them


@frozen
class Chances:
    """How many of some jobs will have ended within a time, on the mean.

    Args:
        learned: by the durations of earlier jobs.
        guessed: by how long the job runs already, for the one of which that is said most.
    """

    learned: float = 0.0
    guessed: float = 0.0

    @property
    def total(self) -> float:
        """Both. Guesses are not added up: jobs of which nothing is known may well be alike."""
        return self.learned + self.guessed


class Durations:
    """What was learned of how long jobs take, by their kind (the API's name of a task's type)."""

    def __init__(self) -> None:
        self._of: dict[str | None, deque[float]] = {}

    def learn(self, kind: str | None, took_s: float) -> None:
        """A job of this kind took so long. Each counts for jobs of unknown kinds, too."""
        for one in {kind, None}:
            self._of.setdefault(one, deque(maxlen=_KEPT)).append(max(took_s, 0.1))

    def chances(
        self, running: Iterable[tuple[str | None, float]], within_s: float, *, enough: float
    ) -> Chances:
        """How many of the running jobs will end within the next `within_s` seconds.

        Args:
            running: kind and age in seconds of each, at which it was last seen running.
            within_s: from those ages on.
            enough: the number from which it is not counted any further.
        """
        learned = guessed = 0.0
        for kind, age_s in running:
            later_s = age_s + within_s
            kept = self._of.get(kind) or self._of.get(None) or ()
            longer = ended = 0.0  # of the known jobs: those longer than this age; that end by then
            for took_s in kept:
                if (left := 1 - _ended_by(took_s, age_s)) > 0:
                    longer += left
                    ended += _ended_by(took_s, later_s) - 1 + left
            # One guess beside what is known: half of all jobs that run t seconds are over by 1.4 t.
            guess = 1 - (max(age_s, 1.0) / max(later_s, 1.0)) ** 2
            learned += ended / (longer + 1)
            guessed = max(guessed, guess / (longer + 1))
            if learned + guessed >= enough:
                break
        return Chances(learned, guessed)


def _ended_by(took_s: float, age_s: float) -> float:
    """The chance that a job like one of `took_s` seconds is over at this age."""
    return min(1.0, max(0.0, (age_s / took_s - 1 + _SPREAD) / (2 * _SPREAD)))

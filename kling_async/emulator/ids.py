"""Where do ids, file names and "AI" choices come from? Out of the seed, the same each time.

Names look random, never repeat, and depend only on the seed and on how many were made before;
choices depend only on the seed and on what they are made for.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

T = TypeVar("T")


class Ids:
    """Makes names that are never given twice.

    Args:
        seed: any integer; equal seeds give equal names in equal order.
        made: how many were made for each purpose; default: none yet.
        given: the names that were given.
    """

    def __init__(
        self, seed: int, made: Mapping[str, int] = MappingProxyType({}), given: Iterable[str] = ()
    ) -> None:
        self.seed = seed
        self.made: Counter[str] = Counter(made)
        self.given: set[str] = set(given)

    def token(self, purpose: str, hex_digits: int = 32) -> str:
        """A new hexadecimal name, `hex_digits` long (64 at most)."""
        return self._new(purpose, lambda digest: digest[:hex_digits])

    def number(self, purpose: str, digits: int, prefix: str = "") -> str:
        """A new decimal id of `digits` digits, the first ones being `prefix`."""
        room = digits - len(prefix)
        return self._new(purpose, lambda digest: f"{prefix}{int(digest, 16) % 10**room:0{room}d}")

    def choose(self, purpose: str, key: str, options: Sequence[T]) -> T:
        """One of `options`, always the same for the same purpose and key."""
        return options[int(self._digest(purpose, key), 16) % len(options)]

    def between(self, purpose: str, key: str, low: float, high: float) -> float:
        """A number from `low` to `high`, always the same for the same purpose and key."""
        if low == high:
            return low
        return low + (high - low) * int(self._digest(purpose, key)[:12], 16) / 16**12

    def _new(self, purpose: str, shape: Callable[[str], str]) -> str:
        while True:
            self.made[purpose] += 1
            name = shape(self._digest(purpose, str(self.made[purpose])))
            if name not in self.given:
                self.given.add(name)
                return name

    def _digest(self, purpose: str, key: str) -> str:
        return hashlib.sha256(f"{self.seed}\0{purpose}\0{key}".encode()).hexdigest()

"""Does memory grow with the rows?"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

FEW, MANY = 1_000, 20_000


def growth_bytes(read: Callable[[Callable[[int], None]], None]) -> int:
    """How far the peak of memory rises between rows 1,000 and 20,000.

    The least of three readings: what the rows take is taken each time, but other threads of the
    process allocate as well, those of pytest-xdist's workers for one.

    Args:
        read: reads all rows; calls what it is given with the position of each.
    """
    return min(_once(read) for _ in range(3))


def _once(read: Callable[[Callable[[int], None]], None]) -> int:
    peaks: dict[int, int] = {}

    def measure(position: int) -> None:
        if position in (FEW, MANY):
            peaks[position] = tracemalloc.get_traced_memory()[1]

    tracemalloc.start()
    try:
        read(measure)
    finally:
        tracemalloc.stop()
    return peaks[MANY] - peaks[FEW]

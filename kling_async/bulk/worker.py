"""How does one worker of a run work? One row after the other, never torn from what must be done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from .witness import RowWitness

T = TypeVar("T")


class Worker(Generic[T]):
    """Takes rows until none is left.

    Args:
        take: the next row; None where there is none for it.
        witness: for a row's paid call.
        work: does what is to be done for a row.
    """

    def __init__(
        self,
        take: Callable[[], Awaitable[T | None]],
        witness: Callable[[T], RowWitness],
        work: Callable[[T, RowWitness], Awaitable[None]],
    ) -> None:
        self._take = take
        self._witness = witness
        self._work = work
        self._at: RowWitness | None = None

    def busy(self) -> bool:
        """Whether its row must not be interrupted now."""
        return self._at is not None and self._at.busy

    async def run(self) -> None:
        """Until no row is left."""
        while (row := await self._take()) is not None:
            self._at = self._witness(row)
            await self._work(row, self._at)
            self._at = None

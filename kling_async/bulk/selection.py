"""Which rows of an input does this run take? The same ones each time it is read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence

from attrs import define, field

from .records import RowInput


@define
class Selection:
    """What the user wants of an input.

    Args:
        limit: the first so many rows, of those that are named and have no fault; None: all.
        only: keys of rows; empty: all.
        skip_bad: rows that have a fault are left out, and don't keep the others from being made.
    """

    limit: int | None = None
    only: Collection[str] = ()
    skip_bad: bool = False
    bad: set[int] = field(factory=set)
    """Positions of rows that are left out for their faults."""
    met: set[str] = field(factory=set)
    """Those of `only` that the input has."""
    _taken: int = 0

    def begin(self) -> None:
        """The input is read from its beginning."""
        self._taken = 0

    def wants(self, row: RowInput) -> bool:
        """Whether the row is asked for, whatever is wrong with it."""
        return (not self.only or row.key in self.only) and not self.is_full

    @property
    def is_full(self) -> bool:
        """Whether no further row is wanted."""
        return self.limit is not None and self._taken >= self.limit

    def take(self, row: RowInput, *, is_bad: bool = False) -> bool:
        """Whether a row that is asked for is carried out."""
        if self.only:
            self.met.add(row.key)
        if is_bad and self.skip_bad:
            self.bad.add(row.position)
            return False
        self._taken += 1
        return True

    async def of(
        self, chunks: AsyncIterator[Sequence[RowInput]]
    ) -> AsyncIterator[Sequence[RowInput]]:
        """The rows that are carried out, of an input that was checked before."""
        self.begin()
        async for rows in chunks:
            if chosen := [
                one
                for one in rows
                if one.position not in self.bad and self.wants(one) and self.take(one)
            ]:
                yield chosen
            if self.is_full:
                return

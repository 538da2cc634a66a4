"""How does a ledger learn of a create before it happens? `making.py` and `filming.py` use it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from ..errors import KlingError
from .journal import Journal
from .ledger import Ledger


class Arrows(Protocol):
    """The arrows of a state machine around its paid step."""

    def intent(self, row_id: int, account: str | None, digest: str | None) -> bool:
        """It goes out next, where it is still to be done and has this content; whether it does."""
        ...

    def not_carried_out(self, row_id: int, error: str | None) -> None:
        """It certainly did nothing."""
        ...


class OvertakenError(KlingError):
    """A row is not what was going to be sent: it was settled, or given anew, meanwhile."""


class RowWitness:
    """Writes the turns of one row's paid call into the ledger, before they happen.

    Args:
        journal: the ledger.
        row_id: the row.
        digest: of the content that goes out.
        stopping: whether the run begins nothing any more.
        arrows: of which of the ledger's state machines; default: the avatar's.
    """

    def __init__(
        self,
        journal: Journal,
        row_id: int,
        digest: str | None,
        stopping: Callable[[], bool],
        arrows: Callable[[Ledger], Arrows] = lambda ledger: ledger,
    ) -> None:
        self._journal = journal
        self._row_id = row_id
        self._digest = digest
        self._stopping = stopping
        self._arrows = arrows
        self.in_flight = False
        self.settling = False
        """What became of it is being written down."""

    @property
    def busy(self) -> bool:
        """Whether the row must not be interrupted now."""
        return self.in_flight or self.settling

    async def record(self, account: str | None, attempt: int) -> None:
        """The intent is on disk when this returns; if cancelled here, it is taken back."""
        row_id, digest, arrows = self._row_id, self._digest, self._arrows
        try:
            goes = await self._journal.write(
                lambda ledger: arrows(ledger).intent(row_id, account, digest)
            )
        except asyncio.CancelledError:  # nothing was sent, and nothing will be
            self._journal.submit(lambda ledger: arrows(ledger).not_carried_out(row_id, None))
            raise
        if not goes:
            raise OvertakenError("nothing was sent: the ledger says otherwise of this row by now")
        self.in_flight = True

    async def retract(self, error: KlingError | None) -> None:
        """The row may go again."""
        row_id, arrows, text = self._row_id, self._arrows, None if error is None else str(error)
        self.in_flight = False
        await self._journal.write(lambda ledger: arrows(ledger).not_carried_out(row_id, text))
        if self._stopping():  # it may go again, but not in this run
            raise asyncio.CancelledError

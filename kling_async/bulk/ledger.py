"""What does a bulk job remember, and what does each method of its memory promise?

Two forms keep these promises: SQLite on one machine, PostgreSQL on several. One suite of tests
(`tests/contract/test_ledgers.py`) holds every form to them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from typing import Protocol

from .machine import State
from .records import Applied, Change, Listed, Note, Row, RowInput, Step


class LedgerReader(Protocol):
    """A ledger to look at. Reading sees everything that was committed before it was asked."""

    async def row(self, key: str) -> Row:
        """The row named `key`; LedgerError where there is none."""
        ...

    async def row_of(self, row_id: int) -> Row:
        """The row of this number; LedgerError where there is none."""
        ...

    async def step(self, step_id: int) -> Step:
        """The step of this number as it is now; LedgerError where there is none."""
        ...

    async def known(self, keys: Sequence[str]) -> dict[str, Row]:
        """Those of `keys` that the ledger has."""
        ...

    def rows(self, *, states: Collection[State] = (), page: int = 200) -> AsyncIterator[Row]:
        """Every row in the input's order, read in pages; where given, of these states alone.

        A row's state is that of its first step that is not done.
        """
        ...

    async def counts(self) -> Mapping[State, int]:
        """How many rows are in each state; states without rows are left out."""
        ...

    async def step_counts(self) -> Mapping[tuple[int, State], int]:
        """How many steps of each number are in each state."""
        ...

    async def to_reopen(self, *, numbers: Collection[int] = ()) -> int:
        """How many rows `reopen` would open."""
        ...

    async def accounts(self) -> list[str]:
        """Every account that a step was sent to, or was going to be."""
        ...

    async def unsettled(
        self, account: str | None, kind: str, *, states: Collection[State] = ("doubt", "unknown")
    ) -> list[Step]:
        """The steps of an account and a kind of which it is not known what they did."""
        ...

    async def sent(self, account: str | None, kind: str) -> list[Step]:
        """The steps that may have made a thing which no step has.

        All that were ever sent but those that are done or begun by their only attempt's answer.
        """
        ...

    async def uses(self, account: str | None, kind: str, paths: Collection[str]) -> list[Step]:
        """All steps of a kind that name one of these paths, on this account or on none yet."""
        ...

    async def owners(self, account: str | None, kind: str, ids: Collection[str]) -> dict[str, int]:
        """Remote id -> the id of the step that has claimed it, of those that are claimed."""
        ...

    async def was_listed(self, account: str | None, kind: str) -> bool:
        """Whether `keep_listing` was told of this account and kind."""
        ...

    async def listed_before(self, account: str | None, kind: str, ids: Collection[str]) -> set[str]:
        """Those of `ids` that the account listed before this ledger's first create."""
        ...

    async def alike_before(
        self, account: str | None, kind: str, paths: Collection[str]
    ) -> list[Listed]:
        """What the account listed before the first create that has one of these paths."""
        ...

    async def never_sent_alike(
        self, account: str | None, kind: str, *, after: int = 0, size: int = 200
    ) -> list[tuple[Step, Listed]]:
        """Pairs that share a path: a step that was never sent, and a thing listed before.

        Args:
            account: where the things were listed; steps of it, or of none yet.
            kind: of both.
            after: the last step id of the page before.
            size: steps at most.
        """
        ...

    async def history(self, row_id: int) -> list[Note]:
        """The turns of a row's steps, oldest first."""
        ...

    async def fact(self, name: str) -> str | None:
        """What the ledger remembers of itself under `name`.

        Kept by itself: `layout`, `service`, `born_at`, `last_written_at` and, where it was copied,
        `copied_at` (epoch seconds as text).
        """
        ...

    async def aclose(self) -> None:
        """Close it; what was written is on disk."""
        ...


class Ledger(LedgerReader, Protocol):
    """The ledger of a running job. A method that writes has written, synced, when it returns.

    Every method that writes raises LedgerError where that is not possible, and then nothing of it
    was written. After the first such error no `intended` is taken any more, so nothing is sent.
    """

    service: str
    """The host whose requests it remembers; a ledger belongs to one."""
    shared: bool
    """Whether other workers write it at the same time."""

    async def register(self, rows: Sequence[RowInput]) -> list[Row]:
        """Each row as the ledger has it from now on, in the same order; new ones are planned.

        A known row is held to its record where something of it is done, running, made, in flight,
        in doubt or unknown: other content there is reported (`Row.differs`) and changes nothing. A
        row of which nothing was sent, or that failed, takes its new content and is planned anew; a
        failed row of the same content stays as it is. A step that the input no longer has goes
        where it was never sent. A second row of one key in the same run is reported
        (`Row.duplicate`) and changes nothing. What can't be sent is `failed`, with its problems.
        """
        ...

    async def apply(self, change: Change) -> Applied:
        """Carry out one arrow; it is on disk when this returns YES.

        A caller that is cancelled stops waiting; its change is still carried out.

        Raises:
            ValueError: the state machine knows no such arrow, whatever the step's state.
            LedgerError: it could not be written, and nothing was.
        """
        ...

    def post(self, change: Change) -> asyncio.Future[Applied]:
        """The same, not waited for: carried out after all earlier changes, before all later ones.

        The future may be dropped: after an error of it no `intended` is taken any more.
        """
        ...

    async def queue(self, step_id: int, account: str | None) -> None:
        """Have a step wait for its turn on an account.

        What is paid for (running, made) comes before what is to be begun; then who came first. What
        waits is forgotten when the ledger is closed.
        """
        ...

    async def next_step(self, account: str | None) -> Step | None:
        """The step whose turn it is on an account, out of the queue; None: none waits."""
        ...

    async def take_job_slot(self, step_id: int, account: str, most: int) -> bool:
        """Whether a step may begin a job now: fewer than `most` of the account's are taken.

        Counted over all ledgers that share accounts; on one machine the client alone counts. A slot
        is free again when its step is over or put off, and after an hour in any case.
        """
        ...

    async def keep_listing(self, account: str | None, kind: str, things: Iterable[Listed]) -> None:
        """Remember what an account lists before the first create; the first listing counts."""
        ...

    async def set_fact(self, name: str, value: str) -> None:
        """Keep a fact about the ledger itself."""
        ...

    async def reopen(self, after: int, size: int, *, numbers: Collection[int] = ()) -> list[Row]:
        """Open the next `size` failed rows after the row id `after` again; those rows.

        A step whose task may still end (evidence `missing`) is running again, one of which only a
        download failed is made, any other planned; what the user abandoned stays. Rows that were
        reopened before, and not sent since, are among them.

        Args:
            after: the last row id of the page before; 0 at first.
            size: rows at most.
            numbers: only failed steps of these numbers; default: any.
        """
        ...

    async def begin_run(self) -> None:
        """A further input begins: its rows may have the places that others had. Opening does it."""
        ...

    async def forget_server(self) -> int:
        """The server has forgotten all (a built-in emulator begins empty); how many steps changed.

        Every step of a row that is not done begins anew, but for those that failed or were given.
        """
        ...

    async def settled(self) -> None:
        """Return when every write so far is on disk (or has failed)."""
        ...

"""What becomes of avatars whose answer was lost? Listings are looked at; `judge.py` decides.

The runner tells `Doubts` of each row whose answer was lost, and of those an earlier run left. A row
that is not found within the horizon becomes unknown, and later runs look for it again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from ..clock import Clock
from ..models.avatars import Avatar
from .crew import Crew
from .journal import Journal
from .judge import Rules, candidates, judge, recover
from .ledger import Ledger
from .records import UNSETTLED, Record
from .watch import Watch

ROUND_LENGTHS = frozenset({20, 25, 30, 40, 50, 60, 100, 200, 250, 300, 400, 500, 1000})
"""Lengths of a listing that look like a page's: no paging is documented, so it may be cut."""
ABSENCE_AFTER_S = 1800.0
"""How long an absence must last at least before `resend_after_absence` believes it."""


class Doubts(Watch[Sequence[Avatar]]):
    """Looks for the doubtful avatars of one run.

    Args:
        journal: the ledger.
        look: lists the avatars of an account.
        settled: is given each row when it is settled, one way or another.
        crew: looks.
        clock: sleeps.
        within_s: how long a row is looked for before it is unknown.
        rules: what counts as evidence beyond the exact token.
        resend_after_absence: make a row ready again that was absent long enough.
    """

    def __init__(
        self,
        journal: Journal,
        look: Callable[[str | None], Awaitable[Sequence[Avatar]]],
        settled: Callable[[Record], Awaitable[None]],
        crew: Crew,
        *,
        clock: Clock,
        within_s: float,
        rules: Rules,
        resend_after_absence: bool = False,
    ) -> None:
        longer_s = max(within_s, ABSENCE_AFTER_S) if resend_after_absence else within_s
        super().__init__(crew, clock=clock, within_s=longer_s)
        self._journal = journal
        self._look = look
        self._settled = settled
        self._rules = rules
        self._resend = resend_after_absence
        self.surplus: list[str] = []
        self.found: set[int] = set()
        """Rows that the first looks settled although they were never sent, as far as the ledger
        knew: it is an old copy."""

    async def look(self, account: str | None) -> Sequence[Avatar]:
        """The account's avatars."""
        return await self._look(account)

    async def prepare(self, account: str | None, seen: Sequence[Avatar]) -> None:
        """Keep what is listed before the first create; an earlier run's rows are judged by it."""
        rules = self._rules
        look = partial(_prepared, account=account, listed=seen, rules=rules)
        self.found.update(await self._journal.write(look))

    async def judge(self, account: str | None, seen: Sequence[Avatar]) -> Sequence[int]:
        """Adopt what is proven."""
        rules = self._rules
        verdicts = await self._journal.write(lambda ledger: judge(ledger, account, seen, rules))
        self.surplus += verdicts.surplus
        return verdicts.adopted

    async def give_up(
        self, account: str | None, row_ids: Sequence[int], seen: Sequence[Avatar] | None
    ) -> None:
        """Unknown, or ready where the user wanted absence to count."""
        whole = seen is not None and len(seen) not in ROUND_LENGTHS
        given_up = partial(
            _given_up,
            account=account,
            row_ids=row_ids,
            listed=seen or (),
            resend=self._resend and whole,
            within_s=self._within_s,
        )
        await self._journal.write(given_up)

    async def settled(self, row_id: int) -> None:
        """Hand the row on as the ledger has it."""
        await self._settled(await self._journal.read(lambda ledger: ledger.row(row_id)))


def _prepared(
    ledger: Ledger, account: str | None, listed: Sequence[Avatar], rules: Rules
) -> Sequence[int]:
    """The first look at an account; the rows that it settled although they were never sent."""
    if not ledger.was_listed(account):
        paths = ((one.id, path) for one in listed for path in one.image_paths)
        ledger.keep_listed(account, paths)
        return ()
    found = recover(ledger, account, listed)
    judge(ledger, account, listed, rules)
    return found


def _given_up(
    ledger: Ledger,
    account: str | None,
    row_ids: Sequence[int],
    listed: Sequence[Avatar],
    resend: bool,
    within_s: float,
) -> None:
    """Doubt -> unknown, or ready where the user wanted absence to count."""
    rows = [row for row in map(ledger.row, row_ids) if row.state in UNSETTLED]
    could_be = candidates(ledger, account, rows, listed)
    for row in rows:
        found = could_be[row.id]
        if resend and not found and row.token_kind == "upload":
            why = f"absent from a whole listing for {within_s:.0f} s, as you opted for"
            ledger.resend(row.id, why)
            continue
        text = f"{len(found)} avatars could be it" if found else "nothing listed could be it"
        ledger.unknown(
            row.id, f"{row.error}; it was looked for, for {within_s:.0f} s: {text}", found
        )

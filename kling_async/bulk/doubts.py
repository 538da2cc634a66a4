"""When is looked for rows in doubt? One listing per account serves all of its doubtful rows.

The runner tells `Doubts` of each row whose answer was lost, and of those an earlier run left;
`judge.py` decides. A row that is not found within the horizon becomes unknown, and later runs look
for it again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from ..clock import Clock
from ..errors import KlingError
from ..models.avatars import Avatar
from ..settings import LOOK_AFTER_S
from .journal import Journal
from .judge import Rules, candidates, judge, recover
from .ledger import Ledger
from .records import UNSETTLED, Record

log = logging.getLogger("kling_async")

ROUND_LENGTHS = frozenset({20, 25, 30, 40, 50, 60, 100, 200, 250, 300, 400, 500, 1000})
"""Lengths of a listing that look like a page's: no paging is documented, so it may be cut."""
ABSENCE_AFTER_S = 1800.0
"""How long an absence must last at least before `resend_after_absence` believes it."""


class Doubts:
    """Looks for the doubtful rows of one run.

    Args:
        journal: the ledger.
        look: lists the avatars of an account.
        settled: is given each row when it is settled, one way or another.
        clock: sleeps.
        within_s: how long a row is looked for before it is unknown.
        rules: what counts as evidence beyond the exact token.
        resend_after_absence: make a row ready again that was absent long enough.
    """

    def __init__(
        self,
        journal: Journal,
        look: Callable[[str | None], Awaitable[Sequence[Avatar]]],
        settled: Callable[[Record], None],
        *,
        clock: Clock,
        within_s: float,
        rules: Rules,
        resend_after_absence: bool = False,
    ) -> None:
        self._journal = journal
        self._look = look
        self._settled = settled
        self._clock = clock
        self._within_s = max(within_s, ABSENCE_AFTER_S) if resend_after_absence else within_s
        self._rules = rules
        self._resend = resend_after_absence
        self._waiting: dict[str | None, dict[int, float]] = {}
        """account -> row id -> when to give up, on the monotonic clock."""
        self._watchers: dict[str | None, asyncio.Task[None]] = {}
        self._news: dict[str | None, asyncio.Event] = {}
        self._preparing: dict[str | None, asyncio.Task[None]] = {}
        self.surplus: list[str] = []

    @property
    def open(self) -> int:
        """How many rows are in doubt now."""
        return sum(map(len, self._waiting.values()))

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """The watchers; they end when nothing is in doubt."""
        return list(self._watchers.values())

    async def prepared(self, account: str | None) -> None:
        """Once in a run, before anything is sent for `account`: keep what it lists.

        What an earlier run left unsettled is looked for in the same listing.

        Raises KlingError where the account can't be listed: then nothing may be sent for it. The
        next call tries again.
        """
        task = self._preparing.get(account)
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            task = self._preparing[account] = asyncio.create_task(self._prepare(account))
        await asyncio.shield(task)

    async def _prepare(self, account: str | None) -> None:
        listed = await self._look(account)
        rules = self._rules
        await self._journal.write(lambda ledger: _prepared(ledger, account, listed, rules))

    def add(self, row_id: int, account: str | None) -> None:
        """A row is in doubt from now on."""
        until = self._clock.monotonic() + self._within_s
        self._waiting.setdefault(account, {})[row_id] = until
        self._news.setdefault(account, asyncio.Event()).set()
        watcher = self._watchers.get(account)
        if watcher is None or watcher.done():
            self._watchers[account] = asyncio.create_task(self._watch(account))

    async def give_up(self) -> None:
        """Look no further in this run; the rows stay in doubt for the next one."""
        tasks = (*self._watchers.values(), *self._preparing.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, account: str | None) -> None:
        """Look, patiently and then more patiently; soon again when another row is in doubt."""
        waiting, news, looks = self._waiting[account], self._news[account], 0
        while waiting:
            if news.is_set():
                news.clear()
                looks = 0
            wait_s = LOOK_AFTER_S[min(looks, len(LOOK_AFTER_S) - 1)]
            left_s = min(waiting.values()) - self._clock.monotonic()
            await self._clock.sleep(max(0.0, min(wait_s, left_s)))
            looks += 1
            listed: Sequence[Avatar] = ()
            try:
                listed = await self._look(account)
            except KlingError as exc:
                log.info("rows in doubt could not be looked for: %s", type(exc).__name__)
                await self._expire(account, None)
                continue
            await self._judge(account, listed)
            await self._expire(account, listed)

    async def _judge(self, account: str | None, listed: Sequence[Avatar]) -> None:
        rules = self._rules
        verdicts = await self._journal.write(lambda ledger: judge(ledger, account, listed, rules))
        self.surplus += verdicts.surplus
        for row_id in verdicts.adopted:
            await self._settle(account, row_id)

    async def _expire(self, account: str | None, listed: Sequence[Avatar] | None) -> None:
        """Give up rows whose time is over; None: the account can't be listed now."""
        now = self._clock.monotonic()
        late = [one for one, until in self._waiting.get(account, {}).items() if now >= until]
        if not late:
            return
        whole = listed is not None and len(listed) not in ROUND_LENGTHS
        give_up = partial(
            _given_up,
            account=account,
            row_ids=late,
            listed=listed or (),
            resend=self._resend and whole,
            within_s=self._within_s,
        )
        await self._journal.write(give_up)
        for row_id in late:
            await self._settle(account, row_id)

    async def _settle(self, account: str | None, row_id: int) -> None:
        self._waiting.get(account, {}).pop(row_id, None)
        self._settled(await self._journal.read(lambda ledger: ledger.row(row_id)))


def _prepared(ledger: Ledger, account: str | None, listed: Sequence[Avatar], rules: Rules) -> None:
    if ledger.was_listed(account):
        recover(ledger, account, listed)
        judge(ledger, account, listed, rules)
    else:
        paths = ((one.id, path) for one in listed for path in one.image_paths)
        ledger.keep_listed(account, paths)


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

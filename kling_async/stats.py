"""What is going on? Frozen values that a program reads at any time, and its monitoring counts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Final

from attrs import field, frozen

from .settings import RETRY_BUDGET

log: Final = logging.getLogger("kling_async")


@frozen(kw_only=True)
class AccountStats:
    """One account at one moment.

    Args:
        account: its e-mail; None for calls that named none.
        sent: attempts that went out.
        refused: how many of them were answered 429.
        waiting: calls that wait for a pause, a place or the rate.
        in_flight: attempts that wait for their answer.
        paused_s: seconds until the account goes on; 0 when it is not paused.
        paused_until: the same as a time of day, UTC; None when it is not paused.
        rate_per_s: requests a second that are let through at most, now: the limit, or what an
            adaptive one has found; None without a `RateLimit`.
        places: how many may be in flight so soon after a pause; None: no such bound.
        retry_budget: tokens left of 100; a retry takes 10, a success gives 1 back.
        jobs_running: job slots that are taken.
        jobs_waiting: calls that wait for one.
        jobs_most: how many there are; None where unknown (`accounts.sync()` learns it).
    """

    account: str | None = field(repr=False)
    sent: int = 0
    refused: int = 0
    waiting: int = 0
    in_flight: int = 0
    paused_s: float = 0.0
    paused_until: datetime | None = None
    rate_per_s: float | None = None
    places: int | None = None
    retry_budget: int = RETRY_BUDGET
    jobs_running: int = 0
    jobs_waiting: int = 0
    jobs_most: int | None = None


def _in_order(accounts: Iterable[AccountStats]) -> tuple[AccountStats, ...]:
    return tuple(accounts)


@frozen
class Stats:
    """All accounts that are known or were used, at one moment.

    `kling.stats["ada@example.com"].refused` is one number of one of them. Iterating gives each
    account's `AccountStats`; the totals are over all of them.

    Examples:
        >>> kling.stats.accounts[0].sent
        0
    """

    accounts: tuple[AccountStats, ...] = field(converter=_in_order)

    def __iter__(self) -> Iterator[AccountStats]:
        return iter(self.accounts)

    def __len__(self) -> int:
        return len(self.accounts)

    def __getitem__(self, account: str | None) -> AccountStats:
        for one in self.accounts:
            if one.account == account:
                return one
        return AccountStats(account=account)

    @property
    def sent(self) -> int:
        """Attempts that went out."""
        return sum(one.sent for one in self)

    @property
    def refused(self) -> int:
        """Attempts that were answered 429."""
        return sum(one.refused for one in self)

    @property
    def waiting(self) -> int:
        """Calls that wait for a pause, a place or a rate."""
        return sum(one.waiting for one in self)

    @property
    def in_flight(self) -> int:
        """Attempts that wait for their answer."""
        return sum(one.in_flight for one in self)


@frozen(kw_only=True)
class AttemptEvent:
    """One attempt that is over. Holds no token and nothing of the request's content.

    Args:
        operation: `avatars.create`.
        method: `POST`.
        route: the template, `/accounts/{email}`.
        account: whose; an e-mail, so think before you log it.
        attempt: which one of its call, from 1.
        status: HTTP status of the answer; None where none came.
        error: name of the error's class, `RateLimitedError`, `CancelledError`; None for a result.
        waited_s: seconds from asking for its turn to going out.
        elapsed_s: seconds from going out to its end.

    Examples:
        >>> def told(event: AttemptEvent) -> None:
        ...     print(event.operation, event.status, event.attempt)
        >>> kling = AsyncKlingClient(hooks=[told])
    """

    operation: str
    method: str
    route: str
    account: str | None
    attempt: int
    status: int | None
    error: str | None
    waited_s: float
    elapsed_s: float


Hook = Callable[[AttemptEvent], object]
"""Is told of each attempt when it is over; plain and quick, for it runs on the event loop."""


def tell(hooks: tuple[Hook, ...], event: AttemptEvent) -> None:
    """Call each hook; one that raises is logged, and harms neither the call nor the others."""
    log.debug(
        "%s %s: attempt %d ended with %s after %.3f s",
        event.method,
        event.route,
        event.attempt,
        event.error or event.status,
        event.elapsed_s,
    )
    for hook in hooks:
        try:
            hook(event)
        except (Exception, asyncio.CancelledError):  # the hook's own; its caller is not cancelled
            log.exception("a hook raised; the call goes on")

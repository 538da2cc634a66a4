"""Which accounts are parked, and why does the run stop? What stops more than one step.

One per run: all steps of all operations share it. What an error means for a single step is said by
`steps.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from attrs import evolve, frozen

from .._calls.retry import RetryPolicy
from ..errors import (
    AccountRequiredError,
    AuthenticationError,
    BadRequestError,
    KlingError,
    LedgerError,
    NotFoundError,
)

WAIT_FOR_SERVER_S = 60.0
"""How long a run goes on trying while nobody answers, by default."""
PARKED_S = 300.0
"""After how long workers that share a ledger try an account again that was given up."""
WAIT_FOR_SLOT_S = 3600.0
"""How long a step is refused with 429 before it is left to the next run; jobs of others may hold
all slots of an account."""


_NAMED = 3
"""Rows that an error names."""


class NotKeptError(KlingError):
    """A work was made, and there is no place for its file here.

    Args:
        file: where it was to be.
        error: what the system says.
    """

    def __init__(self, file: Path, error: OSError) -> None:
        self.why: str = f"{file} can't be written: {error.strerror or error}"
        super().__init__(f"{self.why}; it is at Kling, and is fetched by the next run")


class LooksMadeError(KlingError):
    """Rows that were never sent look as if they were made already, by another job.

    Args:
        account: where they are.
        kind: what they are.
        ids: row -> the id of what looks like it.
    """

    def __init__(self, account: str | None, kind: str, ids: Mapping[str, str]) -> None:
        self.problems: dict[str, str] = {
            key: f"looks like {kind} {there}" for key, there in ids.items()
        }
        """Row -> what it looks like."""
        rows = f"{len(ids)} rows look" if len(ids) > 1 else "1 row looks"
        shown = [f"{key} ({kind} {there})" for key, there in list(ids.items())[:_NAMED]]
        more = ", ..." if len(ids) > _NAMED else ""
        super().__init__(
            f"{rows} as if made already: {name_of(account)} lists the same picture and texts for "
            f"{', '.join(shown)}{more}. Nothing was sent for them. Is it the same input with "
            "another ledger? Then use the first one. To make them anyway, say so: --again on the "
            f"command line, again=True in a program; to use what is there, give the rows {kind}_id"
        )


@frozen
class Parked:
    """An account that is given up for a while."""

    account: str | None
    why: str
    for_s: float
    own: bool = False
    """Whether that is a matter of this process alone."""
    credits_only: bool = False
    """Whether only what costs credits is not begun."""


class AccountHealth:
    """What is known of the accounts of one run, and of the server.

    Args:
        retry_after_max_s: the longest wait in seconds that a server may ask for.
        stop: ends the run, with the reason.
    """

    def __init__(self, retry_after_max_s: float, stop: Callable[[str], None]) -> None:
        self.parked: dict[str | None, str] = {}
        """Accounts that were given up in this run, and why."""
        self.without_credits: dict[str | None, str] = {}
        """Accounts that begin nothing that costs credits in this run, and why."""
        self.longest_wait_s = retry_after_max_s
        self.on_park: Callable[[Parked], None] = lambda parked: None
        """Told of each account that is given up here."""
        self._stop = stop

    def park(self, account: str | None, error: KlingError) -> str:
        """Give the account up; why."""
        why = f"{name_of(account)} can't be used now: {error}"
        if isinstance(error, NotFoundError):
            why += ". `kling-async accounts list` shows those that can"
        elif account is None and isinstance(error, BadRequestError):
            why += (
                ". Are there several? `kling-async accounts list` shows them; name those to use "
                "with --account or a column `account`"
            )
        if account not in self.parked:
            self.parked[account] = why
            # A token is its process's own: with a wrong one it must not stop all others.
            own = isinstance(error.__cause__ or error, AuthenticationError)
            for_s = getattr(error, "retry_after_s", None) or PARKED_S
            self.on_park(Parked(account, why, for_s, own=own))
        return self.parked[account]

    def no_credits(self, account: str | None, error: KlingError) -> str:
        """Begin nothing further on the account that costs credits; why."""
        why = f"{name_of(account)} has too few credits: {error}"
        if account in self.without_credits:
            return self.without_credits[account]
        self.without_credits[account] = why
        if account not in self.parked:
            self.on_park(Parked(account, why, PARKED_S, credits_only=True))
        return why

    def heed(self, known: Iterable[Parked]) -> None:
        """These accounts are given up, and no others."""
        self.parked, self.without_credits = {}, {}
        for one in known:
            (self.without_credits if one.credits_only else self.parked)[one.account] = one.why

    @property
    def given_up(self) -> list[str]:
        """Why accounts were given up in this run, one text each."""
        return [*self.parked.values(), *self.without_credits.values()]

    def put_off(self, account: str | None, *, costs_credits: bool) -> str | None:
        """Why nothing is sent for the account in this run; None: it can be used."""
        if (why := self.parked.get(account)) is not None or not costs_credits:
            return why
        return self.without_credits.get(account)

    def server_unreachable(self, error: KlingError) -> str:
        """Nobody answers, so the run ends; nothing is lost by that. What to say of the step."""
        self._stop(
            f"the server can't be reached ({error.text}). Run the same command again when it is "
            "back, or wait for it longer with --wait-for-server"
        )
        return str(error)

    def unwritable(self, error: NotKeptError) -> str:
        """A file can't be written, and the next one could not be either, so the run ends."""
        self._stop(
            f"{error.why}. Make room, or name another folder, and run the same command again"
        )
        return str(error)


def ends_the_run(error: KlingError) -> bool:
    """Whether no step can go on after it."""
    return isinstance(error, (LedgerError, AccountRequiredError, LooksMadeError))


def bulk_retry(retry: RetryPolicy, wait_for_server_s: float) -> RetryPolicy:
    """`retry` for a bulk run: more attempts while the server is out of reach.

    Lost answers are not looked for call by call: a run looks for all steps of an account at once,
    with what the ledger knows. And its workers are few enough to wait an outage out without a retry
    budget. One attempt stays one.
    """
    retry = evolve(retry, reconcile_within_s=0, budget=False)
    if retry.attempts == 1:
        return retry
    waits, waited_s = 0, 0.0
    while waited_s < wait_for_server_s:
        waited_s += min(retry.wait_max_s, retry.wait_initial_s * 2.0 ** min(waits, 64))
        waits += 1
    return evolve(retry, attempts=max(retry.attempts, waits + 1))


def name_of(account: str | None) -> str:
    """An account in a sentence."""
    return "the account" if account is None else f"account {account}"

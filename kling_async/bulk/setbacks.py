"""What stops more than one row? Accounts that can't work now, and a server that is out of reach.

One per run, shared by the making of avatars and of videos.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from attrs import evolve

from .._calls.retry import RetryPolicy, parks
from ..errors import (
    AccountRequiredError,
    BadRequestError,
    ConfigurationError,
    DeadlineExceededError,
    InsufficientCreditsError,
    KlingError,
    LedgerError,
    NotFoundError,
    NotSentError,
    RateLimitedError,
)

WAIT_FOR_SERVER_S = 60.0
"""How long a run goes on trying while nobody answers, by default."""


class NotKeptError(KlingError):
    """A video was made, and there is no place for it here."""


class Setbacks:
    """The setbacks of one run.

    Args:
        retry_after_max_s: the longest wait that a server may ask for.
        stop: ends the run, with the reason.
    """

    def __init__(self, retry_after_max_s: float, stop: Callable[[str], None]) -> None:
        self.parked: dict[str | None, str] = {}
        """Accounts that were given up in this run, and why."""
        self.without_videos: dict[str | None, str] = {}
        """Accounts that make no more videos in this run, and why."""
        self._longest_s = retry_after_max_s
        self._stop = stop

    def park(self, account: str | None, error: KlingError) -> str:
        """Give the account up; why."""
        why = f"{_name(account)} can't be used now: {error}"
        if isinstance(error, NotFoundError):
            why += ". `kling-async accounts list` shows those that can"
        elif account is None and isinstance(error, BadRequestError):
            why += (
                ". Are there several? `kling-async accounts list` shows them; name those to use "
                "with --account or a column `account`"
            )
        return self.parked.setdefault(account, why)

    def stuck(self, account: str | None, error: KlingError) -> str | None:
        """Why the row stays to be done, though nothing is wrong with it; None: it has failed.

        Parks the account or stops the run where others would fare no better.
        """
        if isinstance(error, (NotSentError, ConfigurationError)):
            self.unreachable(error)
            return str(error)
        if isinstance(error, DeadlineExceededError):
            return str(error)
        if isinstance(error, RateLimitedError):
            if (error.retry_after_s or 0) > self._longest_s:
                return self.park(account, error)
            return f"it was refused for now, and stays to be done: {error}"
        if parks(error):
            self.park(account, error)
        return None

    def stuck_video(self, account: str | None, error: KlingError) -> str | None:
        """As `stuck`, for a video."""
        if isinstance(error, NotKeptError):
            return str(error)
        if isinstance(error, InsufficientCreditsError):
            why = f"{_name(account)} has too few credits for videos: {error}"
            return self.without_videos.setdefault(account, why)
        return self.stuck(account, error)

    def unreachable(self, error: KlingError) -> None:
        """Nobody answers, so the run ends; nothing is lost by that."""
        self._stop(
            f"the server can't be reached ({error.text}). Run the same command again when it is "
            "back, or wait for it longer with --wait-for-server"
        )

    def unwritable(self, file: Path, error: OSError) -> NotKeptError:
        """A video can't be written, and the next one could not be either, so the run ends."""
        why = f"{file} can't be written: {error.strerror or error}"
        self._stop(f"{why}. Make room, or name another folder, and run the same command again")
        return NotKeptError(f"{why}; the video is at Kling, and is fetched by the next run")

    def no_videos(self, account: str | None) -> str | None:
        """Why the account makes no more videos in this run; None: it does."""
        return self.parked.get(account) or self.without_videos.get(account)


def fatal(error: KlingError) -> bool:
    """Whether no row can go on after it."""
    return isinstance(error, (LedgerError, AccountRequiredError))


def patient(retry: RetryPolicy, wait_for_server_s: float) -> RetryPolicy:
    """`retry` for a bulk run: more attempts while the server is out of reach.

    Lost answers are not looked for call by call: a run looks for all rows of an account at once,
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


def _name(account: str | None) -> str:
    return "the account" if account is None else f"account {account}"

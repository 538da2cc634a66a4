"""How many steps of an account are at work at once? As many as it has job slots, and a few more."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from .._calls.pipeline import Options, Pipeline
from ..accounts import as_listed
from ..errors import AccountRequiredError, KlingError
from ..models.accounts import ListAccounts
from ..models.requests import Request
from .ledger import Ledger
from .outgoing import StepRequests
from .records import Row, Step

log: Final = logging.getLogger("kling_async")

FREE_WITHIN_S = 0.25
"""How soon it is seen that a job slot is free which another worker had."""
AHEAD = 4
"""Steps of an account that are prepared or downloaded while all its job slots are taken."""


class SharedSlots:
    """The job slots of accounts that several workers use, counted in their ledger.

    Args:
        pipeline: knows how many slots an account has.
        ledger: counts them, where it is shared.
    """

    def __init__(self, pipeline: Pipeline, ledger: Ledger) -> None:
        self._pipeline = pipeline
        self._ledger = ledger
        self._lines: dict[str, asyncio.Lock] = {}

    async def take(self, step: Step, request: Request[Any], account: str | None) -> None:
        """Return when the step has a slot of its account, where it is known how many it has."""
        most = getattr(request, "max_jobs", None) or self._pipeline.accounts.max_jobs(account)
        if not self._ledger.shared or not request.starts_task or account is None or most is None:
            return
        async with self._lines.setdefault(account, asyncio.Lock()):
            while not await self._ledger.take_job_slot(step.id, account, most):
                await self._pipeline.clock.sleep(FREE_WITHIN_S)


class AccountSlots:
    """The job slots of the accounts of one run.

    Args:
        pipeline: asks the server, and counts the slots.
        options: of the call.
        ledger: knows which tasks run.
        unlimited: workers of an account whose job slots are not known.
    """

    def __init__(
        self, pipeline: Pipeline, options: Options, ledger: Ledger, *, unlimited: int
    ) -> None:
        self.among: tuple[str, ...] = ()
        """The server's accounts, where nobody said which ones to use."""
        self._pipeline = pipeline
        self._options = options
        self._ledger = ledger
        self._unlimited = max(unlimited, AHEAD)
        self._learning: asyncio.Task[None] | None = None

    async def learned(self) -> None:
        """Return when the accounts' job slots are known, as far as they can be. Asked once."""
        if self._learning is None:
            self._learning = asyncio.create_task(self._learn())
        await asyncio.shield(self._learning)

    def workers(self, account: str | None) -> int:
        """How many steps of the account are at work at most."""
        slots = self._pipeline.accounts.max_jobs(account)
        return self._unlimited if slots is None else slots + AHEAD

    async def check(self, row: Row, made: int | None, requests: StepRequests) -> None:
        """AccountRequiredError where it is open to which of several accounts a row goes: nothing
        would tell on which one the results of its earlier steps are.

        Args:
            row: which.
            made: how many of its steps are carried out; None: all.
            requests: know which account it names.
        """
        steps = row.steps[:made]
        await self.learned()
        if not self.among or any(step.account is not None for step in steps):
            return
        if requests.named_account(steps[0], steps) is None:
            raise AccountRequiredError(
                f"row {row.key} names no account, and the server has {len(self.among)}: a video "
                "is made where its avatar is. Name an account in the row, or the accounts to "
                "choose from (KLING_ACCOUNTS and --choose)",
                accounts=self.among,
            )

    async def aclose(self) -> None:
        """Ask nothing any more."""
        if self._learning is not None:
            self._learning.cancel()
            await asyncio.gather(self._learning, return_exceptions=True)

    async def _learn(self) -> None:
        """How many jobs each account runs at once; where that can't be learned, answers 429 tell.

        Accounts that only the server knows are not chosen from: which are used is the user's word.
        Only where there is a single one, and nobody named any, it is the one that was meant.
        """
        accounts = self._pipeline.accounts
        try:
            listed = await self._pipeline.send(ListAccounts(), self._options)
        except KlingError as exc:
            log.info("the accounts' job slots are not known: %s", type(exc).__name__)
            return
        learned = as_listed(listed)
        if len(accounts) == 0 and len(learned) == 1:
            accounts.update(learned)
        if len(accounts) == 0:
            self.among = tuple(one.email for one in learned)
        accounts.learn(learned)
        if self._ledger.shared:
            return  # who runs what is counted there
        async for row in self._ledger.rows(states=["running"]):
            for step in row.steps:
                if step.state == "running" and step.account is not None:
                    task_id = step.task_number
                    self._pipeline.attempts.job_slots.runs(step.account, task_id)

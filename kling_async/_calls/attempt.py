"""How does one attempt begin and end? What it waits for, what it gives back, and who is told.

`pipeline.py` calls `begin` before each exchange and `over` after it, whatever became of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from functools import partial
from logging import DEBUG
from typing import Any, Protocol, TypeVar

from attrs import evolve

from .._limits.admission import Admission, Turn
from .._limits.job_slots import JobSlots
from .._transport.protocol import Answer, decode
from ..accounts import AccountRegistry
from ..clock import Clock
from ..errors import APIError, KlingError, NotFoundError
from ..stats import Hook, Stats, log, tell
from .call import Call
from .retry import RetryPolicy

R = TypeVar("R")


class IntentLog(Protocol):
    """Writes down that a paid request is about to be sent, before its first byte is.

    For whoever must know after a crash which calls may have been carried out: a web service's
    table of orders, say. Hand one to `kling.send(request, intent_log=...)`.
    """

    async def record(self, account: str | None, attempt: int) -> None:
        """An attempt goes out for `account` right after this; raise to stop it before it does.

        Args:
            account: whose; None where the server decides.
            attempt: its number, from 1. One that is held back before its first byte is retracted
                and recorded again under the same number.
        """

    async def retract(self, error: KlingError | None) -> None:
        """The attempt that was recorded last certainly did nothing.

        Args:
            error: what came of it (it was never sent, or plainly refused); None where it was held
                back, or its caller was cancelled before the first byte.
        """


class Attempts:
    """The turns of a client's attempts.

    Args:
        accounts: say how many jobs each runs at once.
        admission: says when.
        clock: tells the time.
        hooks: are told of each attempt that is over.
        running: asks the server for the ids of the jobs that run on an account.
    """

    def __init__(
        self,
        accounts: AccountRegistry,
        admission: Admission,
        clock: Clock,
        hooks: tuple[Hook, ...],
        running: Callable[[str], Awaitable[Collection[int] | None]],
    ) -> None:
        self.job_slots = JobSlots(clock)
        self._accounts = accounts
        self._admission = admission
        self._clock = clock
        self._hooks = hooks
        self._running = running

    def stats(self) -> Stats:
        """Where each account is now."""
        return Stats(
            evolve(
                one,
                jobs_running=self.job_slots.running(one.account),
                jobs_waiting=self.job_slots.waiting(one.account),
                jobs_most=self._accounts.max_jobs(one.account),
            )
            for one in self._admission.stats(known.email for known in self._accounts)
        )

    async def begin(
        self, call: Call[Any], retry: RetryPolicy, intent_log: IntentLog | None
    ) -> Turn:
        """Wait for one attempt's turn, and record the intent; the attempt goes out right after."""
        call.asked_s = self._clock.monotonic()
        turn = None
        try:
            if call.request.starts_task:
                call.waits_for = "a free job slot"
                await self._take_job_slot(call)
            call.waits_for = "its turn (the rate, or a pause after a 429)"
            turn = await self._admission.admit(call.account, retry.retry_after_max_s)
            call.waits_for = None
            call.attempts += 1
            if intent_log is not None:
                await intent_log.record(call.account, call.attempts)
        except BaseException as exc:
            self.job_slots.give_back(call.job_slot)
            if turn is not None:
                turn.unsent()
            elif isinstance(exc, APIError):  # told that the pause is longer than it would wait
                call.judged(exc)
            raise
        return turn

    def over(
        self,
        call: Call[Any],
        turn: Turn,
        status: int | None = None,
        error: BaseException | None = None,
    ) -> None:
        """The attempt is over, with a result or with `error`: give back what it held, tell."""
        turn.ended(error, learn=not call.request.starts_task)
        if (left := call.left_behind) is not None:
            left.add_done_callback(turn.landed)
            call.when_late(partial(self._came_late, call, turn))
        else:
            turn.landed()
        if error is not None and not call.may_have_begun:
            self.job_slots.give_back(call.job_slot)
        if self._hooks or log.isEnabledFor(DEBUG):
            tell(self._hooks, call.event(turn.sent_s, status, error))

    async def judged(
        self, call: Call[Any], exc: KlingError, intent_log: IntentLog | None
    ) -> KlingError:
        """The attempt failed with `exc`: what that means for the caller."""
        call.end_exchange()
        call.may_be_done |= not call.certainly_nothing(exc)
        if call.certainly_nothing(exc):
            self.job_slots.give_back(call.job_slot)
        missing = call.request.missing_task() if isinstance(exc, NotFoundError) else None
        if missing is not None:
            self.job_slots.missing(missing)
        error = call.judged(exc)
        if intent_log is not None and call.certainly_nothing(error):
            await intent_log.retract(error)
        return error

    def noted(self, call: Call[Any], result: R) -> R:
        """`result`, after noting which jobs it shows to have started or ended."""
        self._note_jobs(call, result)
        return result

    def _note_jobs(self, call: Call[R], result: R) -> None:
        if call.job_slot is not None:
            self.job_slots.started(call.job_slot, call.request.started_task(result))
        if self.job_slots:
            self.job_slots.finished(call.request.finished_tasks(result))

    def _came_late(self, call: Call[Any], turn: Turn, answer: Answer) -> None:
        """An answer whose caller had left: what it says of the account and of jobs still counts."""
        try:
            result = decode(call.request, answer, self._clock.wall())
        except KlingError as exc:
            turn.heed(exc, learn=not call.request.starts_task)
            if call.certainly_nothing(exc):
                self.job_slots.give_back(call.job_slot)
        else:
            self._note_jobs(call, result)

    async def _take_job_slot(self, call: Call[Any]) -> None:
        """Wait for a free job slot of the call's account, where it is known how many it has."""
        account = call.account
        most = getattr(call.request, "max_jobs", None) or self._accounts.max_jobs(account)
        if account is not None and most is not None:
            call.job_slot = await self.job_slots.take(account, most, lambda: self._running(account))

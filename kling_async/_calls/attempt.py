"""What is one attempt of a call? What it waits for, what it holds, and what came of it.

`pipeline.py` begins one with `Attempts.begin`, sends it, and then calls exactly one of `succeeded`,
`held_back`, `failed` and `broke_off`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from logging import DEBUG
from typing import Generic, Protocol, TypeVar, runtime_checkable

from attrs import evolve

from .._limits.admission import Admission, Permit
from .._limits.job_slots import JobSlot, JobSlots
from .._transport.progress import Progress
from .._transport.protocol import Answer, decode, is_refusal
from ..accounts import AccountRegistry
from ..clock import Clock
from ..errors import (
    APIError,
    ConfigurationError,
    KlingError,
    NotFoundError,
    NotSentError,
    UnexpectedResponseError,
)
from ..stats import AttemptEvent, Hook, Stats, log, tell
from .call import Call
from .reconcile import Reconciler
from .retry import RetryPolicy

R = TypeVar("R")


class IntentLog(Protocol):
    """Writes down that a paid request is about to be sent, before its first byte is.

    For whoever must know after a crash which calls may have been carried out: a web service's
    table of orders, say. Hand one to `kling.send(request, intent_log=...)`. What is recorded and
    not retracted may have been carried out, until the call returns or raises.

    Examples:
        >>> class Printed:
        ...     async def record(self, account: str | None, attempt: int) -> None:
        ...         print("goes out for", account)
        ...     async def retract(self, error: KlingError | None) -> None:
        ...         print("did nothing")
        >>> ada = await kling.send(CreateAvatar(image="ada.jpg"), intent_log=Printed())
        goes out for demo@example.com
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
            error: what came of it: it was never sent, or plainly refused. None where it was held
                back, or its caller was cancelled before the first byte, perhaps within `record`.
        """


@runtime_checkable
class Fence(Protocol):
    """An intent log that has a last word as well."""

    def check_before_write(self) -> None:
        """The first byte goes out now; raise `HeldBack` where the intent is too old for that."""


class Attempts:
    """Makes the attempts of a client's calls.

    Args:
        accounts: say how many jobs each runs at once.
        admission: says when an attempt may go.
        reconciler: is told of each result.
        clock: tells the time.
        hooks: are told of each attempt that is over.
        running: asks the server for the ids of the jobs that run on an account.
    """

    def __init__(
        self,
        accounts: AccountRegistry,
        admission: Admission,
        reconciler: Reconciler,
        clock: Clock,
        hooks: tuple[Hook, ...],
        running: Callable[[str], Awaitable[Collection[int] | None]],
    ) -> None:
        self.accounts = accounts
        self.admission = admission
        self.reconciler = reconciler
        self.clock = clock
        self.hooks = hooks
        self.running = running
        self.job_slots: JobSlots = JobSlots(clock)

    def stats(self) -> Stats:
        """Where each account is now."""
        return Stats(
            evolve(
                one,
                jobs_running=self.job_slots.running(one.account),
                jobs_waiting=self.job_slots.waiting(one.account),
                jobs_most=self.accounts.max_jobs(one.account),
            )
            for one in self.admission.stats(known.email for known in self.accounts)
        )

    async def begin(
        self, call: Call[R], retry: RetryPolicy, intent_log: IntentLog | None
    ) -> Attempt[R]:
        """Return with an attempt that goes out right after: its job slot, permit and intent.

        Raises:
            RateLimitedError: the server named a pause that is longer than the caller waits for.
        """
        attempt: Attempt[R] = Attempt(self, call, intent_log, retry.retry_after_max_s)
        if call.request.starts_task:
            await attempt.take_job_slot()
        await attempt.prepare()
        return attempt

    def note_jobs(self, call: Call[R], result: R) -> None:
        """Note which jobs the result of `call` shows to have started or ended."""
        slot = None if call.attempt is None else call.attempt.job_slot
        if slot is not None:
            self.job_slots.started(slot, call.request.started_task(result))
        if self.job_slots.by_id:
            self.job_slots.finished(call.request.finished_tasks(result))


class Attempt(Generic[R]):
    """One attempt of `call`: it holds a permit, a job slot where it starts a job, its progress.

    Args:
        attempts: of this client.
        call: whose attempt it is.
        intent_log: told before it goes out, and where it certainly did nothing.
        longest_pause_s: the longest pause that its caller waits for.
    """

    __slots__ = (
        "_asked_s",
        "_attempts",
        "_call",
        "_intent_log",
        "_longest_pause_s",
        "_recorded",
        "job_slot",
        "permit",
        "progress",
        "waits_for",
    )

    def __init__(
        self,
        attempts: Attempts,
        call: Call[R],
        intent_log: IntentLog | None,
        longest_pause_s: float,
    ) -> None:
        self._attempts = attempts
        self._call = call
        self._intent_log = intent_log
        self._longest_pause_s = longest_pause_s
        self._asked_s = attempts.clock.monotonic()
        self._recorded = False
        """Whether the intent log holds it, wholly or in part."""
        self.permit: Permit | None = None
        self.job_slot: JobSlot | None = None
        self.progress: Progress | None = None
        """None before it goes out, and when its caller knows what came of it."""
        self.waits_for: str | None = None
        """What keeps it from going out, in words."""
        call.attempt = self

    async def take_job_slot(self) -> None:
        """Wait for a free job slot of its account, where it is known how many it has."""
        attempts, account = self._attempts, self._call.account
        self.waits_for = "a free job slot"
        given = getattr(self._call.request, "max_jobs", None)
        most = given or attempts.accounts.max_jobs(account)
        if account is not None and most is not None:
            self.job_slot = await attempts.job_slots.take(
                account, most, lambda: attempts.running(account)
            )

    async def prepare(self) -> None:
        """Wait for the permit, and record the intent: it goes out right after this."""
        call, attempts = self._call, self._attempts
        try:
            if self._recorded:
                await self._retract_held_back()
            self.waits_for = "its turn (the rate, or a pause after a 429)"
            self.permit = await attempts.admission.admit(call.account, self._longest_pause_s)
            self.waits_for = None
            call.attempts += 1
            if self._intent_log is not None:
                self._recorded = True
                await self._intent_log.record(call.account, call.attempts)
        except BaseException as exc:
            attempts.job_slots.give_back(self.job_slot)
            if self.permit is not None:
                self.permit.cancel()
            elif isinstance(exc, APIError):  # the pause is longer than its caller waits for
                call.judged(exc, nothing_happened=True)
            if isinstance(exc, asyncio.CancelledError):
                await self._retract_cancelled()
            raise
        self.progress = Progress()
        self.progress.before_first_byte = self._before_first_byte
        call.sent_s = attempts.clock.wall()

    def succeeded(self, answer: Answer) -> R:
        """The result that `answer` stands for, or the error it means, which `failed` judges."""
        call, attempts, permit = self._call, self._attempts, self.permit
        assert permit is not None
        status = answer.status_code
        result = decode(call.request, answer, attempts.clock.wall(), repeated=call.may_be_done)
        attempts.reconciler.answered(call.pending, result)
        permit.release(None)
        if attempts.hooks or log.isEnabledFor(DEBUG):
            tell(attempts.hooks, self._event(status, None))
        if self.job_slot is not None or attempts.job_slots.by_id:
            attempts.note_jobs(call, result)
        call.attempt = self.progress = None  # they refer to each other, and are many
        return call.result(result, status)

    async def held_back(self) -> None:
        """It must wait after all, right before its first byte: it is retracted, and goes again.

        It uses up none of its call's attempts, and is in no statistic.
        """
        assert self.permit is not None
        self.permit.cancel()
        self.permit = self.progress = None
        self._call.attempts -= 1
        await self.prepare()

    async def failed(self, error: KlingError) -> KlingError:
        """What it means for the caller that the attempt ended with `error`."""
        call, job_slots = self._call, self._attempts.job_slots
        nothing_happened = _certainly_nothing(error)
        self._over(error)
        self.progress = None
        if nothing_happened:
            job_slots.give_back(self.job_slot)
        else:
            call.may_be_done = True
        if isinstance(error, NotFoundError):
            missing = call.request.missing_task()
            if missing is not None:
                job_slots.missing(missing)
        judged = call.judged(error, nothing_happened=nothing_happened)
        if nothing_happened and self._recorded:
            assert self._intent_log is not None
            await self._intent_log.retract(judged)
        return judged

    async def broke_off(self, error: BaseException) -> None:
        """Its caller was cancelled, or something broke; an exchange that has begun goes on."""
        self._over(error)
        if self.progress is not None and not self.progress.may_have_begun:
            await self._retract_cancelled()  # nor will it begin: the transport knows that we left

    def _before_first_byte(self) -> None:
        """The last word on whether it goes out; the transport calls this, and nothing may wait.

        Raises:
            HeldBack: it must wait after all.
        """
        assert self.permit is not None
        self.permit.check_before_write()
        if isinstance(self._intent_log, Fence):
            self._intent_log.check_before_write()

    def _over(self, error: BaseException) -> None:
        """It ended with `error`: give back what it held, and tell the hooks."""
        permit, progress, attempts = self.permit, self.progress, self._attempts
        assert permit is not None
        assert progress is not None
        begun, left = progress.may_have_begun, progress.left_behind
        permit.release(
            error, learn=not self._call.request.starts_task, connection_freed=left is None
        )
        if left is not None:  # the exchange goes on although its caller was cancelled
            left.add_done_callback(permit.connection_freed)
            progress.on_late = self._came_late
        if not begun:
            attempts.job_slots.give_back(self.job_slot)
        if attempts.hooks or log.isEnabledFor(DEBUG):
            answered = begun and isinstance(error, (APIError, UnexpectedResponseError))
            status = error.status_code if answered else None  # type: ignore[attr-defined]
            tell(attempts.hooks, self._event(status, type(error).__name__))

    async def _retract_held_back(self) -> None:
        assert self._intent_log is not None
        await self._intent_log.retract(None)
        self._recorded = False

    async def _retract_cancelled(self) -> None:
        """Take the intent back while a cancellation passes through, which nothing may hide."""
        if not self._recorded:
            return
        assert self._intent_log is not None
        try:
            await self._intent_log.retract(None)
        except Exception as exc:
            log.warning(
                "a call was cancelled before anything was sent, and its intent could not be "
                "retracted (%s): it stays recorded",
                type(exc).__name__,
            )

    def _came_late(self, answer: Answer) -> None:
        """An answer whose caller had left: what it says of the account and of jobs still counts."""
        call, attempts, permit = self._call, self._attempts, self.permit
        assert permit is not None
        try:
            result = decode(call.request, answer, attempts.clock.wall())
        except KlingError as exc:
            permit.heed(exc, learn=not call.request.starts_task)
            if _certainly_nothing(exc):
                attempts.job_slots.give_back(self.job_slot)
        else:
            attempts.note_jobs(call, result)

    def _event(self, status: int | None, error: str | None) -> AttemptEvent:
        """What the hooks are told of it."""
        call, permit = self._call, self.permit
        assert permit is not None
        return AttemptEvent(
            operation=call.request.operation,
            method=call.request.method,
            route=call.request.route,
            account=call.account,
            attempt=call.attempts,
            status=status,
            error=error,
            waited_s=permit.sent_s - self._asked_s,
            elapsed_s=self._attempts.clock.monotonic() - permit.sent_s,
        )


def _certainly_nothing(error: KlingError) -> bool:
    """Whether an attempt that ended with `error` certainly did nothing."""
    return isinstance(error, (NotSentError, ConfigurationError)) or is_refusal(error)

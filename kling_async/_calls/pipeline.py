"""Which way does a call go, from request to result? Read this first.

    resources/base.py      WHAT     builds a request: verb, route, fields, safety, result type
    pipeline.py            ORDER    account -> what it needs -> attempts -> admission -> exchange
        accounts.py        WHOSE    an account
        retry.py           AGAIN?   asks the request's safety and the error
        attempt.py         NOW?     one attempt: what it waits for, holds, and what came of it
        job_slots.py       ROOM?    a job slot, for what starts a job
        admission.py       WHEN     pause, places in flight, rate: a permit for each attempt
        call.py            SO FAR   context, and what an error means for the caller
        reconcile.py       THERE?   looks for a create whose answer was lost
    wire.py                HOW      bytes over httpx: an Answer, or "not sent", or "lost"
    protocol.py            MEANING  request -> bytes, Answer -> result or error

Three frames of ours lie between the user and httpx: resource, pipeline, wire.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import evolve, frozen

from .. import settings
from .._limits.admission import Admission
from .._transport.progress import HeldBack
from .._transport.protocol import Outgoing, encode
from .._transport.wire import Wire
from ..accounts import AccountRegistry
from ..clock import Clock
from ..errors import ConfigurationError, KlingError, OutcomeUnknownError
from ..models.requests import Request
from ..settings import service_name
from ..stats import Hook
from .attempt import Attempts, IntentLog
from .call import Call
from .claims import Claims
from .preparations import prepared
from .reconcile import ClockSkew, Reconciler
from .retry import RetryLoop, RetryPolicy

if TYPE_CHECKING:
    from types import TracebackType

    from httpx import Timeout

log = logging.getLogger("kling_async")

R = TypeVar("R")


@frozen
class Options:
    """What a call may override. `None` deadline: as long as it takes."""

    retry: RetryPolicy
    deadline_s: float | None = None
    timeout: Timeout | float | None = None


class Pipeline:
    """Carries any request from its object to its result. One per client and its views."""

    def __init__(
        self,
        accounts: AccountRegistry,
        admission: Admission,
        wire: Wire,
        clock: Clock,
        hooks: tuple[Hook, ...] = (),
    ) -> None:
        self.accounts = accounts
        self.admission = admission
        self.clock = clock
        self._wire = wire
        self._reconciler = Reconciler(clock)
        self._cautioned: set[str] = set()
        self.attempts: Attempts = Attempts(
            accounts, admission, self._reconciler, clock, hooks, self._running
        )

    @property
    def service(self) -> str:
        """Whom requests go to; a bulk ledger belongs to one."""
        return service_name(self._wire.base_url)

    @property
    def claims(self) -> Claims:
        """Which results have a caller already."""
        return self._reconciler.claims

    @property
    def clock_skew(self) -> ClockSkew:
        """How far Kling's clock is from ours, as far as is known; who gets answers may teach it."""
        return self._reconciler.clock_skew

    def leave(self) -> None:
        """Closing waits for nothing that is in flight, from now on."""
        self._wire.close_within_s = 0.0

    async def send(
        self, request: Request[R], options: Options, intent_log: IntentLog | None = None
    ) -> R:
        """The result that `request` stands for.

        Args:
            request: any request object.
            options: retries, total time, timeout per attempt.
            intent_log: told before each attempt goes out, and where one certainly did nothing.

        Raises:
            KlingError: one of its classes; see `errors.py` for what each lets the caller do.
        """
        await self._wire.open()  # a closed client says so before anything is prepared
        if type(request).cautions is not Request.cautions:
            self._caution(request)
        of_account = request.email_in != "nowhere"
        account = self.choose(request.email) if of_account else None
        call: Call[R] = Call(request, account, self.clock)
        async with _Span(call, self.accounts, self._reconciler, options.deadline_s):
            call.request = await self._prepared(request, call.account, options)
            if options.retry.reconcile_within_s > 0:
                call.pending = self._reconciler.begin(call.request, call.account, request)
            out = _encoded(call.request, call.account)
            try:
                async for again in RetryLoop(
                    options.retry,
                    request.safety,
                    self.clock.sleep,
                    call.log_retry,
                    lambda: self.admission.may_retry(call.account),
                ):
                    with again:
                        attempt = await self.attempts.begin(call, options.retry, intent_log)
                        while True:  # until it is not held back any more
                            try:
                                answer = await self._wire.exchange(
                                    out, options.timeout, attempt.progress
                                )
                                return attempt.succeeded(answer)
                            except HeldBack:
                                await attempt.held_back()
                            except KlingError as exc:
                                error = await attempt.failed(exc)
                                if error is exc:
                                    raise
                                raise error from exc
                            except BaseException as exc:  # cancelled, first of all
                                await attempt.broke_off(exc)
                                raise
            except OutcomeUnknownError as exc:
                return await self._looked_for(call, exc, options)
        raise AssertionError("the attempts return or raise")  # pragma: no cover

    def choose(self, email: str | None) -> str | None:
        """The account for a call that names `email`, or none: one that is not paused, if any."""
        paused_s = self.admission.paused_s if self.admission.anything_paused else None
        return self.accounts.choose(email, paused_s)

    def _caution(self, request: Request[Any]) -> None:
        """Log what the request's model is not said to take; thousands alike are told once."""
        for name, text in request.cautions().items():
            if (told := f"{request.operation}: {name} {text}") not in self._cautioned:
                self._cautioned.add(told)
                log.warning("%s; it is sent as it is", told)

    async def _running(self, account: str) -> Collection[int] | None:
        """The ids of the jobs that run on `account`; None where the server can't say now."""
        from ..models.scheduler import ListRunning

        once = Options(RetryPolicy(attempts=1), settings.LOOK_WITHIN_S)
        try:
            listed = await self.send(ListRunning(), once)
        except KlingError:
            return None
        return [one.id for one in listed if one.email in (account, None)]

    async def _prepared(
        self, request: Request[R], account: str | None, options: Options
    ) -> Request[R]:
        """The request as it goes out: what it needs is made first, for the same account.

        Files go up, speech is rendered, and their URLs are named instead; all within the deadline
        of the call that needs them.
        """
        ready, _ = await prepared(
            request, account, lambda needed: self.send(needed, evolve(options, deadline_s=None))
        )
        evidence = request.evidence
        marked: Request[R] = ready if evidence is None else evidence.marked(ready)
        return marked

    async def _looked_for(self, call: Call[R], error: OutcomeUnknownError, options: Options) -> R:
        """The result of a create whose answer was lost, found where it is listed; or `error`."""
        if call.pending is None:
            raise error
        call.in_doubt(error)
        once = evolve(options, deadline_s=None)
        try:
            lookup = await self._reconciler.follow(
                call.pending,
                call.sent_s,
                options.retry.reconcile_within_s,
                lambda listing: self.send(listing, once),
            )
        except ConfigurationError:  # the client was closed meanwhile
            raise error from error.__cause__
        if lookup.found is None:
            raise call.not_found(error, lookup)
        found = await self._whole(lookup.found, lookup.whole, options)
        self.attempts.note_jobs(call, found)
        return call.result(found, 200, adopted=True)

    async def _whole(self, found: R, whole: Request[R] | None, options: Options) -> R:
        """All of a result whose listing showed only a part; that part, where it can't be had."""
        if whole is None:
            return found
        try:
            return await self.send(whole, evolve(options, deadline_s=settings.WHOLE_WITHIN_S))
        except KlingError:
            return found  # a task may be unknown in its first seconds; its id is what matters


class _Span:
    """A call's whole span: its account counts as busy, and its total time may run out.

    A class, because contextlib's decorator costs three times as much, on each call.
    """

    __slots__ = ("_busy", "_call", "_deadline_s", "_reconciler", "_timeout")

    def __init__(
        self,
        call: Call[Any],
        accounts: AccountRegistry,
        reconciler: Reconciler,
        deadline_s: float | None,
    ) -> None:
        self._call = call
        self._busy = accounts.busy(call.account)
        self._reconciler = reconciler
        self._deadline_s = deadline_s
        # asyncio's own timeout: it tells its cancellation from the caller's.
        self._timeout = (
            None
            if deadline_s is None
            else asyncio.timeout_at(asyncio.get_running_loop().time() + deadline_s)
        )

    async def __aenter__(self) -> None:
        self._busy.__enter__()
        if self._timeout is not None:
            await self._timeout.__aenter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if self._timeout is not None:
                await self._timeout.__aexit__(exc_type, exc, traceback)
        except TimeoutError:
            assert self._deadline_s is not None
            raise self._call.out_of_time(self._deadline_s) from None
        finally:
            self._busy.__exit__(None, None, None)
            self._reconciler.end(self._call.pending, lost=self._call.lost)


def _encoded(request: Request[Any], account: str | None) -> Outgoing:
    """What goes out; a file is named here, and read by each attempt anew."""
    out = encode(request, account)
    if (media := request.media) is not None:
        out = evolve(out, content=media, content_type=media.content_type)
    return out

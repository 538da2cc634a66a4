"""The whole way of a call, in order. Read this first.

    resources/avatars.py   WHAT     builds a request: verb, route, fields, safety, result type
    pipeline.py            ORDER    account -> attachments -> attempts -> admission -> exchange
        accounts.py        WHOSE    an account
        retry.py           AGAIN?   asks the request's safety and the error
        limits.py          WHEN     pause and rate, entered once per attempt
    wire.py                HOW      bytes over httpx: an Answer, or "not sent", or "lost"
    protocol.py            MEANING  request -> bytes, Answer -> result or error

Three frames of ours lie between the user and httpx: resource, pipeline, wire.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from attrs import evolve, fields, frozen

from .accounts import AccountRegistry
from .clock import Clock
from .errors import (
    CallContext,
    DeadlineExceededError,
    KlingError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
)
from .limits import Admission
from .models.assets import UploadAsset
from .models.requests import Request, Safety
from .models.responses import Meta, with_meta
from .protocol import Outgoing, decode, encode, is_refusal, what_was_lost, with_context
from .retry import RetryPolicy, attempts, pause_s
from .settings import service_name
from .wire import Wire

if sys.version_info >= (3, 11):
    from asyncio import timeout_at
else:
    from async_timeout import timeout_at

if TYPE_CHECKING:
    from httpx import Timeout

R = TypeVar("R")
log = logging.getLogger("kling_async")


class Witness(Protocol):
    """Is told the turns of a call that must be remembered, before they happen.

    A bulk ledger is one: it commits its intent in `sending`, before the first byte is written.
    Raising there stops the call before it is sent.
    """

    async def sending(self, account: str | None, attempt: int) -> None:
        """Attempt number `attempt` (from 1) is admitted and goes out right after this."""

    async def not_carried_out(self, error: KlingError) -> None:
        """The attempt certainly did nothing: it was never sent, or was plainly refused."""


@frozen
class Options:
    """What a call may override. `None` deadline: as long as it takes."""

    retry: RetryPolicy
    deadline_s: float | None = None
    timeout: Timeout | float | None = None


class Pipeline:
    """Carries any request from its object to its result. One per client and its views."""

    def __init__(
        self, accounts: AccountRegistry, admission: Admission, wire: Wire, clock: Clock
    ) -> None:
        self.accounts = accounts
        self.admission = admission
        self._wire = wire
        self._clock = clock

    @property
    def service(self) -> str:
        """Whom requests go to; a bulk ledger belongs to one."""
        return service_name(self._wire.base_url)

    async def send(
        self, request: Request[R], options: Options, witness: Witness | None = None
    ) -> R:
        """The result that `request` stands for.

        Args:
            request: any request object.
            options: retries, total time, timeout per attempt.
            witness: told before anything is sent.

        Raises:
            KlingError: one of its classes; see `errors.py` for what each lets the caller do.
        """
        account = self.accounts.choose(request.email)
        call = _Call(request, account, self._clock)
        async with self._deadline(call, options.deadline_s):
            with self.accounts.busy(account):
                request = await self._attach(request, account, options)
                out = await _encoded(request, account)
                tries = attempts(options.retry, request.safety, self._clock.sleep, call.log_retry)
                async for attempt in tries:
                    with attempt:
                        await self.admission.admit(account)
                        call.attempts += 1
                        if witness is not None:
                            await witness.sending(account, call.attempts)
                        call.begin_exchange()
                        try:
                            answer = await self._wire.exchange(out, options.timeout)
                            call.exchanging = False
                            result = decode(request, answer, self._clock.wall())
                            return with_meta(result, call.meta(answer.status_code))
                        except KlingError as exc:
                            call.exchanging = False
                            if call.was_done_before(exc):
                                return with_meta(request.decode(None), call.meta(404))
                            self.admission.pause(account, pause_s(exc))
                            error = call.judged(exc)
                            if witness is not None and call.certainly_nothing(error):
                                await witness.not_carried_out(error)
                            if error is exc:
                                raise
                            raise error from exc
        raise AssertionError("tenacity returns or raises")  # pragma: no cover

    async def _attach(
        self, request: Request[R], account: str | None, options: Options
    ) -> Request[R]:
        """Upload what the request brings along, to the same account, and name its URL instead."""
        changes: dict[str, Any] = {}
        for one in fields(type(request)):
            file = getattr(request, one.name) if "into" in one.metadata else None
            if file is not None:
                upload = await asyncio.to_thread(UploadAsset, file=file, email=account)
                asset = await self.send(upload, evolve(options, deadline_s=None))
                changes.update({one.name: None, one.metadata["into"]: asset.usable_url})
        return evolve(request, **changes) if changes else request

    @asynccontextmanager
    async def _deadline(self, call: _Call, deadline_s: float | None) -> AsyncIterator[None]:
        """The total time of a call: a wait that runs out, or an exchange that is cut short."""
        if deadline_s is None:
            yield
            return
        try:
            # asyncio's own timeout: it tells its cancellation from the caller's.
            async with timeout_at(asyncio.get_running_loop().time() + deadline_s):
                yield
        except KlingError:
            raise
        except (TimeoutError, asyncio.TimeoutError):
            raise call.out_of_time(deadline_s) from None


class _Call:
    """What is known about one call while it is under way."""

    def __init__(self, request: Request[Any], account: str | None, clock: Clock) -> None:
        self.request = request
        self.account = account
        self.attempts = 0
        self.exchanging = False
        self._clock = clock
        self._started = clock.monotonic()
        self._sent_at: datetime | None = None

    def begin_exchange(self) -> None:
        self.exchanging = True
        self._sent_at = datetime.fromtimestamp(self._clock.wall(), timezone.utc)

    def context(self) -> CallContext:
        elapsed_s = self._clock.monotonic() - self._started
        request = self.request
        return CallContext(request.method, request.route, self.account, self.attempts, elapsed_s)

    def meta(self, status_code: int) -> Meta:
        elapsed_s = self._clock.monotonic() - self._started
        return Meta(self.account, status_code, self.attempts, elapsed_s)

    def was_done_before(self, error: KlingError) -> bool:
        """Whether this 404 says that an earlier attempt of this call worked."""
        return self.request.gone_is_done and self.attempts > 1 and isinstance(error, NotFoundError)

    def certainly_nothing(self, error: KlingError) -> bool:
        return isinstance(error, NotSentError) or is_refusal(error)

    def judged(self, error: KlingError) -> KlingError:
        """`error` with its context; for a paid request, what is not a clear no becomes unknown."""
        if isinstance(error, OutcomeUnknownError):
            return self._unknown(error.text)
        if self.request.safety is Safety.PAID and not self.certainly_nothing(error):
            return self._unknown(f"no clear answer came: {error.text}")
        return with_context(error, self.context())

    def out_of_time(self, deadline_s: float) -> KlingError:
        """What a spent deadline means: unknown if a paid request was under way, else a timeout."""
        text = f"the deadline of {deadline_s:g} s ran out"
        if self.exchanging and self.request.safety is Safety.PAID:
            return self._unknown(f"{text} while the answer was awaited")
        return DeadlineExceededError(text, context=self.context())

    def log_retry(self, attempt: int, error: KlingError, wait_s: float) -> None:
        log.info(
            "%s %s: attempt %d failed (%s), next in %.1f s",
            self.request.method,
            self.request.route,
            attempt,
            type(error).__name__,
            max(wait_s, pause_s(error)),
        )

    def _unknown(self, text: str) -> OutcomeUnknownError:
        return OutcomeUnknownError(
            f"{text}; {what_was_lost(self.request)}",
            request=self.request,
            account=self.account,
            sent_at=self._sent_at,
            context=self.context(),
        )


async def _encoded(request: Request[Any], account: str | None) -> Outgoing:
    """The request's bytes; a file is read in a thread."""
    out = encode(request, account)
    if isinstance(request, UploadAsset):
        content = await asyncio.to_thread(request.media.read)
        out = evolve(out, content=content, content_type=request.media.content_type)
    return out

"""How often is a call sent, and with which error does it end? Safety by fault, in process.

On virtual time. Answers that are lost are not looked for here (`reconcile_within_s=0`): what
counts is what goes over the wire.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
import tenacity

from kling_async import (
    AsyncKlingClient,
    CreateAvatar,
    KlingError,
    RetryPolicy,
    errors,
)
from kling_async._calls import retry as retry_module
from kling_async.clock import LoopClock
from kling_async.emulator import Emulator, Fault, sample_png
from kling_async.emulator.faultkinds import KINDS

pytestmark = pytest.mark.looptime(resolution=1e-9)

TOKEN, BASE_URL = "user:12345-abcdefghi", "http://127.0.0.1/v1/kling"
ADA, BEN = "ada@example.com", "ben@example.com"
URL = "https://x.y/a.png"
PNG = sample_png()
ATTEMPTS = 3


@asynccontextmanager
async def opened(emulator: Emulator, **options: Any) -> AsyncIterator[AsyncKlingClient]:
    """Closed within the test, because only there time is virtual."""
    given = {
        "base_url": BASE_URL,
        "transport": emulator.transport(),
        "rate_limit": None,
        "timeout": httpx.Timeout(5),
        "retry": RetryPolicy(attempts=ATTEMPTS, reconcile_within_s=0),
    }
    async with AsyncKlingClient(TOKEN, **{**given, **options}) as kling:
        yield kling


def now_s() -> float:
    return asyncio.get_running_loop().time()


class EmulatorsWall(LoopClock):
    """The emulator's time of day, so that what this machine takes has no part in what it says."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def wall(self) -> float:
        return self._emulator.clock.now_ms() / 1000


# --- the money test ---------------------------------------------------------------------------

Act = Callable[[AsyncKlingClient], Awaitable[Any]]

# One operation of each safety; a delete is repeatable, and its 404 may be its own doing.
ACTS: dict[str, Act] = {
    "avatars.list": lambda kling: kling.avatars.list(),
    "assets.upload": lambda kling: kling.assets.upload(PNG),
    "avatars.create": lambda kling: kling.avatars.create(image_url=URL),
    "avatars.delete": lambda kling: kling.avatars.delete(kling_avatar(kling)),
    "avatars.video": lambda kling: kling.avatars.video(image_url=URL, audio_url=URL),
}


def kling_avatar(kling: AsyncKlingClient) -> str:
    return kling.made  # type: ignore[attr-defined,no-any-return]


OK = "ok"
UNKNOWN, UNEXPECTED = "OutcomeUnknownError", "UnexpectedResponseError"

Fate = tuple[int, str]  # how often it is sent, and how it ends
Fates = tuple[Fate, Fate, Fate, Fate, Fate]  # list, upload, create, delete, video


def lost(delete: Fate = (3, UNKNOWN)) -> Fates:
    """The answer is lost: repeat what may be repeated, send a create once."""
    return (3, UNKNOWN), (3, UNKNOWN), (1, UNKNOWN), delete, (1, UNKNOWN)


def odd(delete: Fate = (3, UNEXPECTED)) -> Fates:
    """A success that can't be read."""
    return (3, UNEXPECTED), (3, UNEXPECTED), (1, UNKNOWN), delete, (1, UNKNOWN)


def passing(error: str) -> Fates:
    """Trouble that may pass, and that leaves open what was done."""
    return (3, error), (3, error), (1, UNKNOWN), (3, error), (1, UNKNOWN)


def never(error: str) -> Fates:
    """Not to be repeated, and no clear no either."""
    return (1, error), (1, error), (1, UNKNOWN), (1, error), (1, UNKNOWN)


def refused(error: str, times: int = 1) -> Fates:
    """A clear no."""
    return ((times, error),) * 5


MATRIX: dict[str, tuple[dict[str, Any], Fates]] = {
    "connection refused": ({"kind": "refuse_connection"}, refused("NotSentError", 3)),
    "no such host": ({"kind": "refuse_connection", "form": "dns"}, refused("NotSentError", 3)),
    "connect timeout": (
        {"kind": "refuse_connection", "form": "timeout"}, refused("NotSentError", 3)),
    "pool timeout": ({"kind": "refuse_connection", "form": "pool"}, refused("NotSentError", 3)),
    "reset before handling": ({"kind": "reset_before"}, lost()),
    "reset after handling": ({"kind": "reset_after"}, lost()),
    "close without reply": ({"kind": "close_without_reply"}, lost()),
    "close, nothing done": ({"kind": "close_without_reply", "before_work": True}, lost()),
    "read timeout": ({"kind": "stall"}, lost()),
    "read timeout, nothing done": ({"kind": "stall", "before_work": True}, lost()),
    "too late": ({"kind": "latency", "delay_s": 60}, lost()),
    "late": ({"kind": "latency", "delay_s": 4}, ((1, OK),) * 5),
    "slow loris": ({"kind": "slow_loris"}, ((1, OK),) * 5),
    "truncated body": ({"kind": "truncated_body"}, lost()),
    "wrong length": ({"kind": "wrong_length"}, odd(delete=(2, OK))),  # the second is cut, too: 404
    "broken chunk": ({"kind": "bad_chunk"}, lost()),
    "malformed chunk": ({"kind": "bad_chunk", "malformed": True}, lost()),
    "invalid JSON": ({"kind": "invalid_json"}, odd()),
    "HTML 200": ({"kind": "html_200"}, odd()),
    "HTML 200, nothing done": ({"kind": "html_200", "before_work": True}, odd()),
    "garbage": ({"kind": "garbage"}, lost()),
    "307": ({"kind": "redirect", "status": 307}, never("APIError")),
    "308": ({"kind": "redirect", "status": 308, "after_work": True}, never("APIError")),
    "302": ({"kind": "redirect", "status": 302}, never("APIError")),
    "400": ({"status": 400}, refused("BadRequestError")),
    "401": ({"status": 401}, refused("AuthenticationError")),
    "402": ({"status": 402}, refused("SubscriptionError")),
    "403": ({"status": 403}, refused("PermissionDeniedError")),
    "404": ({"status": 404}, refused("NotFoundError")),
    "405": ({"status": 405}, never("APIError")),
    "408": ({"status": 408}, passing("APIError")),
    "409": ({"status": 409}, passing("APIError")),
    "410": ({"status": 410}, refused("GoneError")),
    "412": ({"status": 412}, refused("InsufficientCreditsError")),
    "413": ({"status": 413}, refused("APIError")),
    "422": ({"status": 422}, refused("ContentModeratedError")),
    **{
        f"429 {form}": ({"status": 429, "form": form}, refused("RateLimitedError", 3))
        for form in ("seconds", "decimal", "date", "body", "epoch_ms", "none", "negative", "past",
                     "garbage", "json", "text", "html", "empty", "nested")
    },
    "429 absurd": ({"status": 429, "form": "absurd"}, refused("RateLimitedError")),
    **{
        f"500 {form}": ({"status": 500, "form": form}, passing("ServerError"))
        for form in ("json", "text", "html", "empty", "nested")
    },
    "500 after the work": ({"status": 500, "after_work": True}, (
        (3, "ServerError"), (3, "ServerError"), (1, UNKNOWN), (3, "ServerError"), (1, UNKNOWN))),
    "500 moderation": ({"status": 500, "form": "moderation"}, refused("ContentModeratedError")),
    "502": ({"status": 502}, passing("ServerError")),
    "503": ({"status": 503, "retry_after_s": 20}, passing("ServerError")),
    "503 for an hour": ({"status": 503, "retry_after_s": 3600}, never("ServerError")),
    "504": ({"status": 504}, passing("ServerError")),
    "522": ({"status": 522}, passing("ServerError")),
    "596": ({"status": 596}, never("AccountBrokenError")),
    "FAILED": ({"kind": "failed_status"}, (
        (3, UNEXPECTED), (3, UNEXPECTED), (1, "AvatarFailedError"), (1, OK), (1, UNKNOWN))),
}  # fmt: skip


def test_every_kind_of_fault_is_in_the_matrix() -> None:
    # Those that strike creates of tasks alone are met in the matrix, in its column of videos.
    # A surplus answer needs a socket: nothing is left over on a connection that there is not.
    anywhere = {name for name, kind in KINDS.items() if not kind.only} - {"surplus"}
    assert {fault.get("kind", "status") for fault, _ in MATRIX.values()} == anywhere


@pytest.mark.parametrize("name", MATRIX)
@pytest.mark.parametrize(("column", "operation"), list(enumerate(ACTS)))
async def test_sends_and_error(name: str, column: int, operation: str) -> None:
    settings, fates = MATRIX[name]
    sends, ending = fates[column]
    emulator = Emulator()
    async with opened(emulator) as kling:
        kling.made = (await kling.avatars.create(image_url=URL)).id  # type: ignore[attr-defined]
        fault = Fault(operation, **{"kind": "status", **settings})
        emulator.add_faults([fault])
        outcome = await ending_of(ACTS[operation](kling))
        if isinstance(outcome, KlingError):
            assert type(outcome).__name__ == ending
            check_error(outcome, operation, sends)
        else:
            assert ending == OK
            single = outcome[0] if isinstance(outcome, list) else outcome
            assert single.meta.attempts == sends
        assert dict(emulator.strikes())[fault] == sends
        # The promise: one create, one avatar at most, whatever happened.
        assert len(emulator.avatars) + len(emulator.deleted_avatars) <= (
            2 if operation == "avatars.create" else 1
        )
        assert len(emulator.tasks) <= (1 if operation == "avatars.video" else 0)


async def ending_of(call: Awaitable[Any]) -> Any:
    """The result, or the error instead of it."""
    try:
        return await call
    except KlingError as error:
        return error


def check_error(error: KlingError, operation: str, sends: int) -> None:
    assert error.context is not None
    assert (error.context.attempts, error.context.account) == (sends, None)
    text = str(error)
    assert error.context.method in text
    assert error.context.route in text
    assert not any(isinstance(one, tenacity.RetryError) for one in chain(error))
    if isinstance(error, errors.OutcomeUnknownError):
        assert type(error.request).operation == operation
        assert error.sent_at is not None
        assert error.__cause__ is not None or operation != "avatars.create"


def chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


# --- a few of them to the end -----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["reset_after", "close_without_reply", "stall", "garbage"])
async def test_404_after_an_attempt_that_worked_is_success(kind: str, emulator: Emulator) -> None:
    emulator.add_faults([Fault("avatars.delete", kind, at=1)])
    async with opened(emulator) as kling:
        made = await kling.avatars.create(image_url=URL)
        deleted = await kling.avatars.delete(made)
    assert deleted.meta.attempts == 2
    assert [call.worked for call in emulator.calls[1:]] == [True, False]
    assert emulator.avatars == []


async def test_404_at_once_is_an_error(emulator: Emulator) -> None:
    async with opened(emulator) as kling:
        with pytest.raises(errors.NotFoundError) as caught:
            await kling.avatars.delete("300137233318846")
    assert caught.value.context is not None
    assert caught.value.context.attempts == 1


@pytest.mark.parametrize("fault", [
    Fault("avatars.delete", "refuse_connection", at=1),
    Fault("avatars.delete", "status", status=429, at=1),
])  # fmt: skip
async def test_404_after_attempts_that_did_nothing_is_an_error(
    fault: Fault, emulator: Emulator
) -> None:
    emulator.add_faults([fault])
    async with opened(emulator) as kling:
        with pytest.raises(errors.NotFoundError):
            await kling.avatars.delete("300137233318846")


@pytest.mark.parametrize("fault", [
    Fault("avatars.create", "refuse_connection", times=2),
    Fault("avatars.create", "status", status=429, times=2),
])  # fmt: skip
async def test_a_create_goes_again_when_nothing_was_done(fault: Fault, emulator: Emulator) -> None:
    emulator.add_faults([fault])
    async with opened(emulator) as kling:
        made = await kling.avatars.create(image_url=URL)
    assert [one.id for one in emulator.avatars] == [made.id]
    assert made.meta.attempts == 3


@pytest.mark.parametrize("operation", ACTS)
async def test_attempts_1_sends_once(operation: str, emulator: Emulator) -> None:
    async with opened(emulator, retry=RetryPolicy(attempts=1, reconcile_within_s=0)) as kling:
        kling.made = (await kling.avatars.create(image_url=URL)).id  # type: ignore[attr-defined]
        emulator.add_faults([Fault(operation, "status", status=429)])
        before = emulator.counts[operation]
        with pytest.raises(errors.RateLimitedError):
            await ACTS[operation](kling)
    assert emulator.counts[operation] == before + 1


async def test_a_redirect_is_not_followed(emulator: Emulator) -> None:
    emulator.add_faults([Fault("avatars.create", "redirect", location="/v1/kling/avatars", at=1)])
    async with opened(emulator) as kling:
        with pytest.raises(errors.OutcomeUnknownError):
            await kling.avatars.create(image_url=URL)
    assert (len(emulator.calls), emulator.avatars) == (1, [])


# --- waits ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "at_least_s"), [
    ("seconds", 7), ("decimal", 7), ("date", 7), ("body", 6.9), ("epoch_ms", 6.9), ("none", 10),
    ("negative", 30), ("past", 30), ("garbage", 30),
])  # fmt: skip
async def test_a_429_waits_as_long_as_it_says(form: str, at_least_s: float) -> None:
    emulator = Emulator()
    emulator.add_faults(
        [Fault("avatars.list", "status", status=429, form=form, retry_after_s=7, at=1)]
    )
    async with opened(emulator, clock=EmulatorsWall(emulator)) as kling:
        await kling.avatars.list()
    first, second = emulator.calls
    assert at_least_s - 0.01 <= second.at_s - first.at_s <= at_least_s + 1.1


async def test_a_429_pauses_every_caller_of_the_account_and_no_other() -> None:
    emulator = Emulator(accounts=[ADA, BEN])
    emulator.add_faults([Fault("*", "status", status=429, retry_after_s=50, at=1, account=ADA)])
    async with opened(emulator, accounts=[ADA, BEN]) as kling:
        first = asyncio.create_task(kling.avatars.list(email=ADA))
        await asyncio.sleep(1)
        others = [
            asyncio.create_task(kling.avatars.create(image_url=URL, email=ADA)),
            asyncio.create_task(kling.tts.voices(email=ADA)),
        ]
        await kling.avatars.list(email=BEN)
        assert now_s() < 2
        await asyncio.gather(first, *others)
    start_s = emulator.calls[0].at_s
    assert [call.account for call in emulator.calls] == [ADA, BEN, ADA, ADA, ADA]
    assert all(call.at_s - start_s >= 50 - 0.01 for call in emulator.calls[2:])


async def test_a_503_with_a_time_pauses_and_does_not_resend_a_create(emulator: Emulator) -> None:
    emulator.add_faults([Fault("avatars.create", "status", status=503, retry_after_s=40, at=1)])
    async with opened(emulator) as kling:
        with pytest.raises(errors.OutcomeUnknownError):
            await kling.avatars.create(image_url=URL)
        assert now_s() < 1
        await kling.avatars.list()
    assert now_s() >= 40


async def test_a_call_after_an_absurd_retry_after_is_not_held_for_years(
    emulator: Emulator, no_waiting: Any
) -> None:
    emulator.add_faults([Fault("avatars.list", "status", status=429, form="absurd", at=1)])
    async with opened(emulator, clock=no_waiting) as kling:
        with pytest.raises(errors.RateLimitedError):
            await kling.avatars.list()
        with suppress(errors.RateLimitedError):
            await kling.avatars.list()
    assert no_waiting.now_s < 86_400


async def test_nothing_is_built_for_a_retry_when_the_first_try_succeeds(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Any] = []

    class Counted(tenacity.AsyncRetrying):
        def __init__(self, *args: Any, **options: Any) -> None:
            built.append(self)
            super().__init__(*args, **options)

    monkeypatch.setattr(retry_module, "AsyncRetrying", Counted)
    async with opened(emulator) as kling:
        await kling.avatars.list()
        assert built == []
        emulator.add_faults([Fault("avatars.list", "status", status=500, at=n) for n in (1, 2)])
        listed = await kling.avatars.list()
    assert listed == []
    assert len(built) == 1
    assert emulator.counts["avatars.list"] == 4


async def test_waits_between_attempts_grow(emulator: Emulator) -> None:
    emulator.add_faults([Fault("avatars.list", "status", status=500, times=4)])
    async with opened(emulator, retry=RetryPolicy(attempts=5)) as kling:
        await kling.avatars.list()
    at_s = [call.at_s for call in emulator.calls]
    for number, (before_s, after_s) in enumerate(itertools.pairwise(at_s)):
        assert 0.5 * 2**number - 0.01 <= after_s - before_s <= 2**number + 0.01


# --- deadlines --------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [
    Fault("avatars.*", "status", status=429, retry_after_s=100),
    Fault("avatars.*", "refuse_connection"),
])  # fmt: skip
@pytest.mark.parametrize("operation", ["avatars.list", "avatars.create"])
async def test_a_deadline_ends_a_wait(fault: Fault, operation: str, emulator: Emulator) -> None:
    emulator.add_faults([fault])
    retry = RetryPolicy(attempts=50, wait_initial_s=30)
    async with opened(emulator, retry=retry, deadline_s=7) as kling:
        with pytest.raises(errors.DeadlineExceededError) as caught:
            await ACTS[operation](kling)
        assert now_s() == pytest.approx(7, abs=0.01)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.context is not None
    assert caught.value.context.attempts == 1
    assert "7 s" in str(caught.value)
    assert emulator.avatars == []


async def test_a_deadline_ends_a_wait_for_the_rate(emulator: Emulator) -> None:
    class Closed:
        async def acquire(self, account: str | None) -> None:
            await asyncio.Event().wait()

    async with opened(emulator, rate_limit=Closed(), deadline_s=7) as kling:
        with pytest.raises(errors.DeadlineExceededError, match=r"its turn .*nothing was sent"):
            await kling.avatars.create(image_url=URL)
        assert now_s() == pytest.approx(7, abs=0.01)
    assert emulator.calls == []


@pytest.mark.parametrize(("operation", "ending"), [
    ("avatars.create", errors.OutcomeUnknownError),
    ("avatars.list", errors.DeadlineExceededError),
    ("assets.upload", errors.DeadlineExceededError),
])  # fmt: skip
async def test_a_deadline_in_an_exchange(
    operation: str, ending: type[KlingError], emulator: Emulator
) -> None:
    emulator.add_faults([Fault(operation, "latency", delay_s=4)])
    async with opened(emulator, deadline_s=2) as kling:
        with pytest.raises(ending) as caught:
            await ACTS[operation](kling)
        assert type(caught.value) is ending
        assert "the deadline of 2 s ran out" in str(caught.value)
    assert len(emulator.calls) == 1


async def test_a_deadline_before_anything_is_written_is_no_doubt() -> None:
    class Connecting(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await request.extensions["trace"]("connection.connect_tcp.started", {})
            await asyncio.sleep(60)
            await request.extensions["trace"]("http11.send_request_headers.started", {})
            raise AssertionError("this was written")

    async with opened(Emulator(), transport=Connecting(), deadline_s=2) as kling:
        with pytest.raises(errors.DeadlineExceededError):
            await kling.avatars.create(image_url=URL)


async def test_a_deadline_covers_the_upload_before(emulator: Emulator) -> None:
    emulator.add_faults([Fault("assets.upload", "latency", delay_s=4)])
    async with opened(emulator, deadline_s=2) as kling:
        with pytest.raises(errors.DeadlineExceededError):
            await kling.avatars.create(image=PNG)
    assert emulator.counts == {"assets.upload": 1}


async def test_a_deadline_that_is_kept_does_nothing(emulator: Emulator) -> None:
    emulator.add_faults([Fault("avatars.create", "latency", delay_s=4)])
    async with opened(emulator, deadline_s=4.5) as kling:
        await kling.avatars.create(image_url=URL)
    assert len(emulator.avatars) == 1


async def test_a_timeout_of_others_is_not_called_the_deadline(emulator: Emulator) -> None:
    error = TimeoutError("the shared limiter does not answer")

    class Unreachable:
        async def acquire(self, account: str | None) -> None:
            raise error

    async with opened(emulator, rate_limit=Unreachable(), deadline_s=900) as kling:
        with pytest.raises(TimeoutError) as caught:
            await kling.avatars.list()
    assert caught.value is error


# --- cancellation -----------------------------------------------------------------------------


async def cancelled_after(seconds: float, call: Awaitable[Any]) -> None:
    task = asyncio.ensure_future(call)
    await asyncio.sleep(seconds)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


CANCEL_AT: dict[str, tuple[Fault, int]] = {
    "backoff": (Fault("avatars.*", "refuse_connection"), 0),
    "pause": (Fault("avatars.*", "status", status=429, retry_after_s=100), 1),
    "exchange": (Fault("avatars.*", "latency", delay_s=4), 1),
    "reading": (Fault("avatars.*", "slow_loris"), 1),
}


@pytest.mark.parametrize("stage", CANCEL_AT)
@pytest.mark.parametrize("operation", ["avatars.list", "avatars.create"])
@pytest.mark.parametrize("deadline_s", [None, 900])
async def test_the_callers_cancellation_passes_through(
    stage: str, operation: str, deadline_s: float | None, emulator: Emulator
) -> None:
    fault, sends = CANCEL_AT[stage]
    emulator.add_faults([fault])
    retry = RetryPolicy(attempts=50, wait_initial_s=30)
    async with opened(emulator, retry=retry, deadline_s=deadline_s, accounts=[]) as kling:
        await cancelled_after(1, ACTS[operation](kling))
        assert now_s() == pytest.approx(1, abs=0.01)
        assert kling._pipeline.admission.waiting == 0
    assert len(emulator.calls) == sends


async def test_cancelled_in_the_upload_makes_no_avatar(emulator: Emulator) -> None:
    emulator.add_faults([Fault("assets.upload", "latency", delay_s=4)])
    async with opened(emulator) as kling:
        await cancelled_after(1, kling.avatars.create(image=PNG))
    assert emulator.counts == {"assets.upload": 1}


async def test_cancelled_in_the_limiters_queue_sends_nothing(emulator: Emulator) -> None:
    class Closed:
        async def acquire(self, account: str | None) -> None:
            await asyncio.Event().wait()

    async with opened(emulator, rate_limit=Closed()) as kling:
        await cancelled_after(1, kling.avatars.create(image_url=URL))
    assert emulator.calls == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), ZeroDivisionError()])
async def test_what_is_not_ours_is_neither_caught_nor_repeated(
    error: BaseException, emulator: Emulator
) -> None:
    class Broken:
        asked = 0

        async def acquire(self, account: str | None) -> None:
            self.asked += 1
            raise error

    limiter = Broken()
    async with opened(emulator, rate_limit=limiter) as kling:
        try:
            await kling.avatars.list()
        except BaseException as caught:
            assert caught is error  # noqa: PT017 - pytest.raises lets these two through
        else:
            pytest.fail("nothing was raised")
    assert limiter.asked == 1


# --- intent logs and lost answers ---------------------------------------------------------------


class Notes:
    """An intent log that keeps what it is told."""

    def __init__(self, emulator: Emulator, error: Exception | None = None) -> None:
        self.told: list[tuple[Any, ...]] = []
        self._emulator = emulator
        self._error = error

    async def record(self, account: str | None, attempt: int) -> None:
        self.told.append(("recorded", account, attempt, self._emulator.counts["avatars.create"]))
        if self._error is not None:
            raise self._error

    async def retract(self, error: KlingError | None) -> None:
        self.told.append(("retracted", type(error).__name__))


async def sent_with(emulator: Emulator, notes: Notes) -> Any:
    async with opened(emulator, accounts=["demo@example.com"]) as kling:
        return await kling.send(CreateAvatar(image_url=URL), intent_log=notes)


async def test_an_intent_log_is_told_before_each_attempt(emulator: Emulator) -> None:
    emulator.add_faults([Fault("avatars.create", "status", status=429, at=(1, 2))])
    notes = Notes(emulator)
    await sent_with(emulator, notes)
    assert notes.told == [
        ("recorded", "demo@example.com", 1, 0),
        ("retracted", "RateLimitedError"),
        ("recorded", "demo@example.com", 2, 1),
        ("retracted", "RateLimitedError"),
        ("recorded", "demo@example.com", 3, 2),
    ]


@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "stall", "html_200"])
async def test_an_intent_log_is_not_told_nothing_happened_where_that_is_open(
    kind: str, emulator: Emulator
) -> None:
    emulator.add_faults([Fault("avatars.create", kind)])
    notes = Notes(emulator)
    with pytest.raises(errors.OutcomeUnknownError):
        await sent_with(emulator, notes)
    assert notes.told == [("recorded", "demo@example.com", 1, 0)]


async def test_an_intent_log_that_raises_stops_the_call_unsent(emulator: Emulator) -> None:
    error = OSError("the disk is full")
    async with opened(emulator, accounts=["demo@example.com"]) as kling:
        with pytest.raises(OSError, match="disk is full"):
            await kling.send(CreateAvatar(image_url=URL), intent_log=Notes(emulator, error))
        assert (kling.stats.sent, kling.stats.in_flight) == (0, 0)
    assert emulator.calls == []


async def test_a_caller_who_leaves_while_its_intent_is_recorded_has_it_retracted(
    emulator: Emulator,
) -> None:
    class Slow(Notes):
        async def record(self, account: str | None, attempt: int) -> None:
            await super().record(account, attempt)
            await asyncio.sleep(9)

    notes = Slow(emulator)
    async with opened(emulator, accounts=["demo@example.com"], deadline_s=1) as kling:
        with pytest.raises(errors.DeadlineExceededError):
            await kling.send(CreateAvatar(image_url=URL), intent_log=notes)
        assert (kling.stats.sent, kling.stats.in_flight) == (0, 0)
    assert [one[0] for one in notes.told] == ["recorded", "retracted"]
    assert emulator.calls == []


async def test_an_intent_that_cannot_be_retracted_hides_no_cancellation(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Notes):
        async def record(self, account: str | None, attempt: int) -> None:
            await asyncio.sleep(9)

        async def retract(self, error: KlingError | None) -> None:
            raise OSError("the disk is full")

    async with opened(emulator, accounts=["demo@example.com"]) as kling:
        call = asyncio.create_task(
            kling.send(CreateAvatar(image_url=URL), intent_log=Broken(emulator))
        )
        await asyncio.sleep(1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert "stays recorded" in caplog.text
    assert emulator.calls == []


async def test_a_lost_answer_is_looked_for_and_not_sent_again(emulator: Emulator) -> None:
    emulator.add_faults([Fault("avatars.create", "reset_after", at=1)])
    async with opened(emulator, retry=RetryPolicy(reconcile_within_s=60)) as kling:
        made = await kling.avatars.create(image=PNG)
    assert [one.id for one in emulator.avatars] == [made.id]
    assert (made.meta.adopted, made.meta.attempts) == (True, 1)
    assert emulator.counts["avatars.create"] == 1


async def test_what_is_not_found_in_time_stays_unknown(emulator: Emulator) -> None:
    emulator.add_faults([Fault("avatars.create", "reset_before")])
    async with opened(emulator, retry=RetryPolicy(reconcile_within_s=60)) as kling:
        with pytest.raises(errors.OutcomeUnknownError) as caught:
            await kling.avatars.create(image=PNG)
        assert now_s() == pytest.approx(60, abs=1)
    assert caught.value.candidates == ()
    assert emulator.counts["avatars.create"] == 1


async def test_a_deadline_ends_the_looking(emulator: Emulator) -> None:
    emulator.add_faults([Fault("avatars.create", "reset_before")])
    async with opened(emulator, retry=RetryPolicy(), deadline_s=9) as kling:
        with pytest.raises(errors.OutcomeUnknownError, match="deadline of 9 s"):
            await kling.avatars.create(image_url=URL)
        assert now_s() == pytest.approx(9, abs=0.01)

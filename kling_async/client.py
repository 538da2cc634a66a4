"""What does a user hold? The client: it opens, owns and closes everything bound to a loop.

It only puts the rooms together; the way of a call is in `pipeline.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypeVar

from . import settings
from ._calls.attempt import IntentLog
from ._calls.pipeline import Options, Pipeline
from ._calls.retry import RetryPolicy
from ._limits.admission import Admission
from ._limits.fair import FairSemaphore
from ._limits.limits import Limiter, RateLimit
from ._transport.transports import timeout_of
from ._transport.wire import Wire
from .accounts import Account, AccountRegistry
from .aio import invalid_deadline
from .clock import Clock, LoopClock
from .errors import ConfigurationError, InvalidRequestError
from .models.requests import Request
from .stats import Hook, Stats
from .version import __version__

if TYPE_CHECKING:
    from types import TracebackType

    import httpx

    from ._files.downloads import Downloads
    from ._polling.waiter import TaskWaiter
    from .resources.accounts import Accounts
    from .resources.assets import Assets
    from .resources.avatars import Avatars
    from .resources.bulk import Bulk
    from .resources.elements import Elements
    from .resources.images import Images
    from .resources.scheduler import Scheduler
    from .resources.tasks import Tasks
    from .resources.tts import Tts
    from .resources.videos import Videos

R = TypeVar("R")

DEFAULT_RATE = RateLimit(settings.REQUESTS_PER_S, per_s=1.0)


class AsyncKlingClient:
    """Your Kling accounts behind useapi.net: `async with AsyncKlingClient() as kling: ...`.

    Nothing is opened before `async with` (or the first call); `await kling.aclose()` ends it.

    Args:
        token: default: that of the transport, where it is the emulator's, else USEAPI_TOKEN.
        accounts: e-mails, `Account`s or an `AccountRegistry`; default: KLING_ACCOUNTS, comma
            separated.
        base_url: default: that of the transport, as the token, else KLING_BASE_URL, else the
            vendor's. `http://` only for this machine.
        rate_limit: a `RateLimit` per account (default 10 a second), any `Limiter`, or None.
        client_rate_limit: the same for all accounts together, on top; default: None.
        retry: when and how often a call is repeated.
        timeout: seconds per attempt, or an `httpx.Timeout`; default: 10 to connect, 60 to write,
            180 to read. `httpx.Timeout(None)` for no limit.
        deadline_s: total seconds of a call, waits and attempts together; default: no limit.
        transport: "httpx", "aiohttp" (extra `speed`) or any `httpx.AsyncBaseTransport`; default:
            aiohttp where the extra is installed and no proxy is set in the environment.
        http_client: your own `httpx.AsyncClient` to send through, which stays yours to close.
        hooks: plain functions, each called with an `AttemptEvent` when an attempt is over.
        clock: for tests that hold the time.

    Raises:
        ConfigurationError: no token, or an unusable base URL, account or option.

    Examples:
        >>> async with AsyncKlingClient() as kling:
        ...     ada = await kling.avatars.create(image="ada.jpg", nickname="Ada")
    """

    def __init__(
        self,
        token: str | None = None,
        *,
        accounts: AccountRegistry | Iterable[Account | str] = (),
        base_url: str | None = None,
        rate_limit: RateLimit | Limiter | None = DEFAULT_RATE,
        client_rate_limit: RateLimit | Limiter | None = None,
        retry: RetryPolicy = RetryPolicy(),
        timeout: httpx.Timeout | float | None = None,
        deadline_s: float | None = None,
        transport: httpx.AsyncBaseTransport | str | None = None,
        http_client: httpx.AsyncClient | None = None,
        hooks: Iterable[Hook] = (),
        clock: Clock | None = None,
    ) -> None:
        if transport is not None and http_client is not None:
            raise ConfigurationError("give transport= or http_client=, not both")
        if not isinstance(accounts, AccountRegistry):
            accounts = AccountRegistry(accounts or settings.accounts())
        clock = clock if clock is not None else LoopClock()
        self._wire = Wire(
            settings.base_url(_default(base_url, "default_base_url", transport)),
            settings.token(_default(token, "default_token", transport)),
            user_agent=f"kling-async/{__version__}",
            timeout=timeout_of(timeout),
            transport=transport,
            http_client=http_client,
        )
        admission = Admission(
            _limit("rate_limit", rate_limit),
            clock,
            client_limiter=_limit("client_rate_limit", client_rate_limit),
            places=None
            if self._wire.most_in_flight is None
            else FairSemaphore(self._wire.most_in_flight),
        )
        self._pipeline = Pipeline(accounts, admission, self._wire, clock, _hooks(hooks))
        self._later = _Later(self._pipeline, self._wire, clock)
        self._options = Options(_retry(retry), _deadline(deadline_s))

    def __repr__(self) -> str:
        return f"AsyncKlingClient({self._wire.base_url!r}, accounts={len(self._pipeline.accounts)})"

    async def __aenter__(self) -> AsyncKlingClient:
        await self._wire.open()
        _ = self.avatars, self.tasks  # loads their files now, 25 ms, so that no call has to
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. A second call does nothing; calls after it raise.

        Examples:
            >>> kling = AsyncKlingClient()
            >>> await kling.aclose()
        """
        try:
            await self._later.aclose()
        except BaseException:  # cancelled: then nothing is waited for any more
            self._pipeline.leave()
            raise
        finally:
            await self._wire.aclose()

    def with_options(
        self,
        *,
        retry: RetryPolicy | None = None,
        deadline_s: float | None = None,
        timeout: httpx.Timeout | float | None = None,
    ) -> AsyncKlingClient:
        """A view of this client with other options, over the same connections and limits.

        Args:
            retry: default: as here.
            deadline_s: total seconds of a call; default: as here; `math.inf` for no limit.
            timeout: per attempt; default: as here.

        Raises:
            ConfigurationError: an unusable option.

        Examples:
            >>> voices = await kling.with_options(deadline_s=5).tts.voices()
        """
        here = self._options
        view = object.__new__(type(self))
        view._wire = self._wire
        view._later = self._later
        view._pipeline = self._pipeline
        view._options = Options(
            retry=here.retry if retry is None else _retry(retry),
            deadline_s=here.deadline_s if deadline_s is None else _deadline(deadline_s),
            timeout=here.timeout if timeout is None else timeout_of(timeout),
        )
        return view

    async def send(self, request: Request[R], *, intent_log: IntentLog | None = None) -> R:
        """The result that any request object stands for; the resources below are its readable form.

        Args:
            request: `CreateAvatar(...)`, `ListVoices()`, ...
            intent_log: told before each attempt goes out, and when one certainly did nothing;
                default: none. What its methods raise ends the call.

        Examples:
            >>> voices = await kling.send(ListVoices())
        """
        if not isinstance(request, Request):
            what = "the class itself" if isinstance(request, type) else type(request).__name__
            raise InvalidRequestError(
                f"send() takes a request object, as ListVoices(), not {what}; nothing was sent"
            )
        return await self._pipeline.send(request, self._options, intent_log)

    @property
    def stats(self) -> Stats:
        """What each account has sent, what was refused, who waits and for how long: now."""
        return self._pipeline.attempts.stats()

    @cached_property
    def avatars(self) -> Avatars:
        """Avatars, one by one and in bulk."""
        from .resources.avatars import Avatars

        return Avatars(self._pipeline, self._options, self._later.waiting, self._later.downloads)

    @cached_property
    def bulk(self) -> Bulk:
        """Many rows of any operation that makes something."""
        from .resources.bulk import Bulk

        return Bulk(self._pipeline, self._options, self._later.waiting, self._later.downloads)

    @cached_property
    def tasks(self) -> Tasks:
        """Jobs and their results."""
        from .resources.tasks import Tasks

        return Tasks(self._pipeline, self._options, self._later.waiting)

    @cached_property
    def scheduler(self) -> Scheduler:
        """Which jobs run, and where there is room for more."""
        from .resources.scheduler import Scheduler

        return Scheduler(self._pipeline, self._options)

    @cached_property
    def assets(self) -> Assets:
        """Files on their way to Kling, and what was made there."""
        from .resources.assets import Assets

        return Assets(self._pipeline, self._options, self._later.downloads)

    @cached_property
    def tts(self) -> Tts:
        """Voices, and texts spoken with them."""
        from .resources.tts import Tts

        return Tts(self._pipeline, self._options)

    @cached_property
    def videos(self) -> Videos:
        """Videos of texts and pictures, and what can be done to videos."""
        from .resources.videos import Videos

        return Videos(self._pipeline, self._options)

    @cached_property
    def images(self) -> Images:
        """Pictures of texts and of pictures."""
        from .resources.images import Images

        return Images(self._pipeline, self._options)

    @cached_property
    def elements(self) -> Elements:
        """Persons, animals and things that pictures and videos can name."""
        from .resources.elements import Elements

        return Elements(self._pipeline, self._options)

    @cached_property
    def accounts(self) -> Accounts:
        """The Kling accounts."""
        from .resources.accounts import Accounts

        return Accounts(self._pipeline, self._options)


class _Later:
    """What one client and its views share, each made when it is first needed.

    Like the resources, for the import's sake: attrs takes 0.5 ms to make a class, and their
    requests and responses are sixty.
    """

    def __init__(self, pipeline: Pipeline, wire: Wire, clock: Clock) -> None:
        self._pipeline = pipeline
        self._wire = wire
        self._clock = clock

    @cached_property
    def downloads(self) -> Downloads:
        """Files on their way to the disk."""
        from ._files.downloads import Downloads

        return Downloads(self._pipeline, self._wire, self._clock)

    @cached_property
    def waiting(self) -> TaskWaiter:
        """Who waits for which task."""
        from ._polling.waiter import TaskWaiter

        return TaskWaiter(self._pipeline, self._clock)

    async def aclose(self) -> None:
        """End all waiting, and let no one begin."""
        await self.waiting.aclose()


def _default(given: str | None, name: str, transport: object) -> str | None:
    """What was given; else what the transport brings: the emulator's has a token and an address."""
    return getattr(transport, name, None) if given is None else given


# What is wrong is said when the client is made: later it would be a riddle far from its cause.


def _deadline(deadline_s: float | None) -> float | None:
    if (problem := invalid_deadline(deadline_s)) is not None:
        raise ConfigurationError(f"deadline_s {problem}")
    return deadline_s


def _retry(given: RetryPolicy) -> RetryPolicy:
    if not isinstance(given, RetryPolicy):
        raise ConfigurationError(f"retry={given!r}: give a RetryPolicy, as RetryPolicy(attempts=3)")
    return given


def _limit(name: str, given: RateLimit | Limiter | None) -> RateLimit | Limiter | None:
    if given is None or isinstance(given, RateLimit) or callable(getattr(given, "acquire", None)):
        return given
    raise ConfigurationError(
        f"{name}={given!r}: give a RateLimit, as RateLimit(10, per_s=1), an object with `async def "
        f"acquire(self, account)`, or None"
    )


def _hooks(given: Iterable[Any]) -> tuple[Hook, ...]:
    if callable(given):
        raise ConfigurationError("hooks is a list of functions: hooks=[...]")
    hooks = tuple(given)
    for one in hooks:
        if not callable(one) or iscoroutinefunction(one):
            raise ConfigurationError(f"hooks: {one!r} is no plain function, which each has to be")
    return hooks

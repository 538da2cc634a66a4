"""What does somebody hold who doesn't await? `KlingClient`: the same resources, which wait.

It is safe to share between threads. Importing it costs more than the async one, because all
resources are named at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from .._calls.attempt import IntentLog
from .._calls.retry import RetryPolicy
from .._limits.limits import Limiter, RateLimit
from ..accounts import Account, AccountRegistry
from ..client import DEFAULT_RATE, AsyncKlingClient
from ..clock import Clock
from ..models.requests import Request
from ..stats import Hook, Stats
from . import resources
from .thread import LoopThread

if TYPE_CHECKING:
    from types import TracebackType

    import httpx

R = TypeVar("R")


class KlingClient:
    """`AsyncKlingClient` for code that doesn't await: `with KlingClient() as kling: ...`.

    Each call waits for its result; calls of several threads go out side by side, under one rate
    limit. What has to be awaited runs on a loop in a thread of the client's own, which begins with
    the first call and ends with `close()`. Ctrl-C ends the call under way.

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
        transport: "httpx", "aiohttp" (extra `speed`) or any `httpx.AsyncBaseTransport`, as
            `httpx.AsyncHTTPTransport(proxy=...)`, which is closed with the client; default:
            aiohttp where the extra is installed and no proxy is set in the environment.
        hooks: plain functions, each called with an `AttemptEvent` when an attempt is over, on the
            client's own thread: a hook may not call this client.
        clock: for tests that hold the time.

    Raises:
        ConfigurationError: no token, or an unusable base URL, account or option.

    Examples:
        >>> with KlingClient() as kling:
        ...     ada = kling.avatars.create(image="ada.jpg", nickname="Ada")
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
        hooks: Iterable[Hook] = (),
        clock: Clock | None = None,
    ) -> None:
        # There is no http_client=: nobody who doesn't await could close it.
        self._kling = AsyncKlingClient(
            token,
            accounts=accounts,
            base_url=base_url,
            rate_limit=rate_limit,
            client_rate_limit=client_rate_limit,
            retry=retry,
            timeout=timeout,
            deadline_s=deadline_s,
            transport=transport,
            hooks=hooks,
            clock=clock,
        )
        self._thread = LoopThread(self._kling.aclose)

    def __repr__(self) -> str:
        return repr(self._kling).removeprefix("Async")

    def __enter__(self) -> KlingClient:
        self._thread.call(self._kling.__aenter__)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and end the thread. A second call does nothing; others raise.

        Calls that other threads have under way get up to 10 s to end; jobs record what they have in
        flight, and go on with their ledger another time.

        Examples:
            >>> kling = KlingClient()
            >>> kling.close()
        """
        self._thread.close()

    def with_options(
        self,
        *,
        retry: RetryPolicy | None = None,
        deadline_s: float | None = None,
        timeout: httpx.Timeout | float | None = None,
    ) -> KlingClient:
        """A view of this client with other options, over the same connections and limits.

        Args:
            retry: default: as here.
            deadline_s: total seconds of a call; default: as here; `math.inf` for no limit.
            timeout: per attempt; default: as here.

        Raises:
            ConfigurationError: an unusable option.

        Examples:
            >>> with KlingClient() as kling:
            ...     voices = kling.with_options(deadline_s=5).tts.voices()
        """
        view = object.__new__(type(self))
        view._kling = self._kling.with_options(retry=retry, deadline_s=deadline_s, timeout=timeout)
        view._thread = self._thread
        return view

    def send(self, request: Request[R], *, intent_log: IntentLog | None = None) -> R:
        """The result that any request object stands for; the resources below are its readable form.

        Args:
            request: `CreateAvatar(...)`, `ListVoices()`, ...
            intent_log: told before each attempt goes out, and when one certainly did nothing;
                default: none. What its methods raise ends the call. They are awaited, on the
                client's own loop.

        Examples:
            >>> with KlingClient() as kling:
            ...     voices = kling.send(ListVoices())
        """
        return self._thread.call(lambda: self._kling.send(request, intent_log=intent_log))

    @property
    def stats(self) -> Stats:
        """What each account has sent, what was refused, who waits and for how long: now."""

        async def asked() -> Stats:
            return self._kling.stats

        return self._thread.call(asked)

    # Each resource holds the async client and the thread, and not this object: who holds only
    # `kling.avatars` can use it, and what nobody holds any more goes at once.

    @cached_property
    def avatars(self) -> resources.Avatars:
        """Avatars, one by one and in bulk."""
        kling = self._kling
        return resources.Avatars(self._thread, lambda: kling.avatars)

    @cached_property
    def bulk(self) -> resources.Bulk:
        """Many rows of any operation that makes something."""
        kling = self._kling
        return resources.Bulk(self._thread, lambda: kling.bulk)

    @cached_property
    def tasks(self) -> resources.Tasks:
        """Jobs and their results."""
        kling = self._kling
        return resources.Tasks(self._thread, lambda: kling.tasks)

    @cached_property
    def scheduler(self) -> resources.Scheduler:
        """Which jobs run, and where there is room for more."""
        kling = self._kling
        return resources.Scheduler(self._thread, lambda: kling.scheduler)

    @cached_property
    def assets(self) -> resources.Assets:
        """Files on their way to Kling, and what was made there."""
        kling = self._kling
        return resources.Assets(self._thread, lambda: kling.assets)

    @cached_property
    def tts(self) -> resources.Tts:
        """Voices, and texts spoken with them."""
        kling = self._kling
        return resources.Tts(self._thread, lambda: kling.tts)

    @cached_property
    def videos(self) -> resources.Videos:
        """Videos of texts and pictures, and what can be done to videos."""
        kling = self._kling
        return resources.Videos(self._thread, lambda: kling.videos)

    @cached_property
    def images(self) -> resources.Images:
        """Pictures of texts and of pictures."""
        kling = self._kling
        return resources.Images(self._thread, lambda: kling.images)

    @cached_property
    def elements(self) -> resources.Elements:
        """Persons, animals and things that pictures and videos can name."""
        kling = self._kling
        return resources.Elements(self._thread, lambda: kling.elements)

    @cached_property
    def accounts(self) -> resources.Accounts:
        """The Kling accounts."""
        kling = self._kling
        return resources.Accounts(self._thread, lambda: kling.accounts)

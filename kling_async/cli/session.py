"""How does a command reach the API? Options that all commands share, and the client they make."""

from __future__ import annotations

import asyncio
import random
import re
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click
from attrs import field, frozen

from .. import settings
from .._limits.limits import RateLimit
from ..accounts import Account, AccountRegistry
from ..client import DEFAULT_RATE, AsyncKlingClient
from ..errors import (
    AccountRequiredError,
    ConfigurationError,
    InvalidRequestError,
    KlingError,
    LedgerError,
)
from ..settings import accounts as accounts_of_environment
from ..stats import Hook
from .logs import start_log
from .streams import echo

if TYPE_CHECKING:
    from ..emulator import Emulator

F = TypeVar("F", bound=Callable[..., Any])

DONE, TROUBLE, WRONG_USE, INTERRUPTED = 0, 1, 2, 130
EMULATED_SERVICE = "the built-in emulator"


@frozen
class Session:
    """What the shared options say."""

    accounts: tuple[str, ...]
    choose: str | None
    base_url: str | None
    rate: RateLimit | None
    transport: str | None
    emulated: bool
    faults: str | None = field(default=None)

    def registry(self) -> AccountRegistry:
        """The accounts of `--account`, else of KLING_ACCOUNTS."""
        known = [Account(one) for one in self.accounts or accounts_of_environment()]
        return AccountRegistry(known, choose=self.choose)  # type: ignore[arg-type]

    @asynccontextmanager
    async def client(
        self, also: Sequence[str] = (), hooks: Sequence[Hook] = ()
    ) -> AsyncIterator[AsyncKlingClient]:
        """An open client; with `--emulator`, on an emulator that has the accounts of `also`."""
        registry = self.registry()
        if not self.emulated:
            client = AsyncKlingClient(
                accounts=registry,
                base_url=self.base_url,
                rate_limit=self.rate,
                transport=self.transport,
                hooks=hooks,
            )
        else:
            emulator = self._emulator([*(one.email for one in registry), *also])
            client = AsyncKlingClient(
                accounts=registry,
                rate_limit=self.rate,
                transport=emulator.transport(),
                hooks=hooks,
            )
        async with client:
            yield client

    def _emulator(self, accounts: Sequence[str]) -> Emulator:
        try:
            from ..emulator import Emulator, parse_faults
        except ImportError:
            raise ConfigurationError(
                "--emulator needs an extra: pip install 'kling-async[emulator]'"
            ) from None
        try:
            faults = parse_faults(self.faults) if self.faults else []
        except ValueError as exc:
            raise ConfigurationError(f"--faults: {exc}") from None
        # Each has ids of its own, so that a later run's avatars are not taken for an earlier one's.
        return Emulator(
            list(dict.fromkeys(accounts)) or None,
            faults=faults,
            seed=random.getrandbits(48),
            record_calls=False,
        )


def rate_of(
    context: click.Context | None, option: click.Parameter | None, text: str
) -> RateLimit | None:
    """The limit that an option like `5/s`, `100/m`, `60/10s` or `auto` names; None for `none`."""
    if text == "none":
        return None
    if text == "auto":
        return RateLimit(settings.LEARN_UP_TO_PER_S, adaptive=True)
    found = re.fullmatch(r"(\d+)/(\d+(?:\.\d+)?)?(s|m|h)", text.replace(" ", ""))
    if found is None or int(found[1]) < 1 or (found[2] and float(found[2]) <= 0):
        raise click.BadParameter(f"{text!r} is not a rate; write 5/s, 100/m, 60/10s, auto or none")
    unit_s = {"s": 1.0, "m": 60.0, "h": 3600.0}[found[3]]
    return RateLimit(int(found[1]), per_s=float(found[2] or 1) * unit_s)


def with_session(command: F) -> F:
    """Give a command the shared options, as its argument `session`."""

    @wraps(command)
    def wrapped(
        *,
        accounts: tuple[str, ...],
        choose: str | None,
        base_url: str | None,
        rate: RateLimit | None,
        transport: str | None,
        emulated: bool,
        faults: str | None,
        verbose: int,
        log_file: Path | None,
        **options: Any,
    ) -> Any:
        start_log(verbose, log_file)
        if faults and not emulated:
            raise click.UsageError("--faults works with --emulator only")
        session = Session(accounts, choose, base_url, rate, transport, emulated, faults)
        return command(session=session, **options)

    for option in reversed(_SHARED):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


_SHARED = (
    click.option(
        "--account",
        "accounts",
        multiple=True,
        metavar="EMAIL",
        help="A Kling account to use; may be repeated. Default: KLING_ACCOUNTS.",
    ),
    click.option(
        "--choose",
        type=click.Choice(["round_robin", "least_busy"]),
        help="How to choose among several accounts where none is named.",
    ),
    click.option("--base-url", metavar="URL", help="Default: KLING_BASE_URL, else the vendor's."),
    click.option(
        "--rate",
        metavar="RATE",
        callback=rate_of,
        default=f"{DEFAULT_RATE.requests}/s",
        show_default=True,
        help="Most requests per account: 5/s, 100/m, 60/10s, auto (find it while running) or none.",
    ),
    click.option(
        "--transport",
        type=click.Choice(["httpx", "aiohttp"]),
        help="Default: aiohttp where the extra `speed` is installed.",
    ),
    click.option(
        "--emulator",
        "emulated",
        is_flag=True,
        help="Use the built-in emulator: no token, no costs, nothing leaves this machine.",
    ),
    click.option(
        "--faults", metavar="FAULTS", help="With --emulator: what shall go wrong; see the docs."
    ),
    click.option(
        *("-v", "--verbose"),
        count=True,
        metavar=" ",  # it takes none
        help="Say on stderr what is done; -vv: each attempt, too.",
    ),
    click.option(
        "--log-file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Append what is done to this file; how much, says KLING_LOG (debug, info, warning or "
        "error).",
    ),
)


def run(work: Coroutine[Any, Any, int | None]) -> NoReturn:
    """Run `work` to its end and leave with its exit code; errors become one line and a code."""
    try:
        code = asyncio.run(work)
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(INTERRUPTED)
    except KlingError as exc:
        fail(exc)
    sys.exit(code or DONE)


def fail(error: KlingError) -> NoReturn:
    """Say what went wrong and leave: 2 where the user's input or set-up is at fault, else 1."""
    here = ""
    if isinstance(error, AccountRequiredError) and "--" not in error.text:
        here = ". On the command line: --email, or --choose round_robin"
    echo(f"kling-async: {error}{here}", err=True)
    wrong_use = (InvalidRequestError, ConfigurationError, AccountRequiredError, LedgerError)
    # An InputError is a fault of the user's file; it has problems, as invalid requests do.
    at_fault = isinstance(error, wrong_use) or hasattr(error, "problems")
    sys.exit(WRONG_USE if at_fault else TROUBLE)

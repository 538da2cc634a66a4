"""How does `kling-async emulator` serve any program that speaks HTTP?"""

from __future__ import annotations

import asyncio
import random
import re
import signal
from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import click

from .._limits.limits import RateLimit
from ..errors import ConfigurationError
from ..models.text import on_one_line
from ..settings import is_loopback
from .session import INTERRUPTED, fail, rate_of, run
from .streams import echo, is_read

if TYPE_CHECKING:
    from ..emulator import Call

TERMINATED = 128 + signal.SIGTERM
_TOKENS = re.compile(r"user:[0-9]+-\w+")


def _span_of(context: click.Context, option: click.Parameter, text: str) -> tuple[float, float]:
    """`2` or `1-3`, in seconds; whether they make sense is left to the emulator."""
    least, dash, most = text.partition("-")
    try:
        return float(least), float(most if dash else least)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no time; write 2, 0.5-3 or inf") from None


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8808,
    show_default=True,
    help="0 takes a free one.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback unless you say so.")
@click.option(
    "--open",
    "is_open",
    is_flag=True,
    help="Serve / and /_emulator beyond this machine, too: for containers.",
)
@click.option("--account", "accounts", multiple=True, metavar="EMAIL", help="May be repeated.")
@click.option("--token", help="The only welcome one; default: any of the vendor's form.")
@click.option("--quota", callback=rate_of, default="none", help="Per account: 5/s, 60/m or none.")
@click.option("--latency", "latency_s", default=0.0, help="Seconds each request takes.")
@click.option("--faults", metavar="FAULTS", default="", help="What shall go wrong; see the docs.")
@click.option(
    "--job-s",
    callback=_span_of,
    default="2",
    show_default=True,
    metavar="S|LEAST-MOST",
    help="Seconds until a video is finished; inf: never.",
)
@click.option(
    "--max-jobs",
    type=click.IntRange(1, 50),
    default=5,
    show_default=True,
    help="Videos at once, per account.",
)
@click.option(
    "--webhooks",
    metavar="OPTIONS",
    default="",
    help="Callbacks to replyUrl: off, twice, shuffled, reversed, delay_s=2, progress=3, broken, …",
)
@click.option(
    "--views",
    metavar="OPTIONS",
    default="",
    help="Listings that are late, cut, shuffled, empty: listing_lag_s=2,listing_limit=20, …",
)
@click.option(
    "--foreign",
    metavar="OPTIONS",
    default="",
    help="Somebody else on the account makes things with the same pictures: every=3,texts=other, …",
)
# By default ids differ from those of an emulator before this one: what a ledger has must not come
# a second time.
@click.option("--seed", type=int, help="Equal seeds, equal runs. Default: another one each time.")
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Go on with the world of this file, and keep it there. Default: in memory alone.",
)
@click.option("--quiet", is_flag=True, help="No line on stderr for each call.")
def emulator(
    port: int,
    host: str,
    is_open: bool,
    accounts: tuple[str, ...],
    token: str | None,
    quota: RateLimit | None,
    latency_s: float,
    faults: str,
    job_s: tuple[float, float],
    max_jobs: int,
    webhooks: str,
    views: str,
    foreign: str,
    seed: int | None,
    state: Path | None,
    quiet: bool,
) -> None:
    """Serve the API from this machine: no token needed, nothing costs money."""
    try:
        from ..emulator import EmulatedAccount, Emulator, parse_faults, parse_views, run_server
        from ..emulator.statefile import kept_in
    except ImportError:
        fail(ConfigurationError("the emulator needs an extra: pip install 'kling-async[emulator]'"))
    if not accounts and not (state and state.exists()):
        accounts = ("demo@example.com",)
    try:
        served = Emulator(
            [EmulatedAccount(one, max_jobs) for one in accounts],
            token,
            quota,
            parse_faults(faults) if faults else [],
            random.getrandbits(48) if seed is None else seed,
            latency_s=latency_s,
            record_calls=1000,
            job_s=job_s,
            webhooks=webhooks,
            foreign=foreign,
            on_call=None if quiet else _log(token),
            **parse_views(views),
        )
    except ValueError as exc:
        raise click.UsageError(str(exc)) from None

    def ready(base_url: str) -> None:
        base_url = base_url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
        echo(f"listening on {base_url}")
        echo(f"export KLING_BASE_URL={base_url} USEAPI_TOKEN={token or 'user:1-emulator'}")
        if is_open or is_loopback(host):
            echo(f"its page: {base_url.removesuffix('/v1/kling')}/")

    async def serve() -> None:
        try:
            await run_server(served, host, port, on_ready=ready, is_open=is_open)
        except OSError as exc:
            raise ConfigurationError(
                f"can't listen on {host}:{port}: {exc.strerror or exc}; choose another --port"
            ) from None

    async def work() -> int:
        terminated = asyncio.Event()
        _on_sigterm(terminated.set)
        told = partial(echo, err=True)
        try:
            async with nullcontext() if state is None else kept_in(state, served, told):
                await serve()
        except (ValueError, OSError) as exc:
            reason = exc.strerror or exc if isinstance(exc, OSError) else exc
            raise ConfigurationError(f"can't use {state}: {reason}; name another --state") from None
        except asyncio.CancelledError:
            return TERMINATED if terminated.is_set() else INTERRUPTED
        return 0

    run(work())


def _on_sigterm(note: Callable[[], None]) -> None:
    """SIGTERM ends this task as Ctrl-C does; a container's first process ignores it otherwise."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def end() -> None:
        note()
        task.cancel()

    with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or another thread
        loop.add_signal_handler(signal.SIGTERM, end)


def _log(token: str | None) -> Callable[[Call], None]:
    """What prints a line for each call, without any token; none while nobody reads them."""

    def log(call: Call) -> None:
        if not is_read(err=True):
            return
        account = "-" if call.account is None else on_one_line(call.account, 60)
        answer = "no answer" if call.status is None else call.status
        asked = f"{call.method[:10]} {on_one_line(unquote(call.path), 120)} {account}"
        moment, took_ms = datetime.fromtimestamp(call.at_ms / 1000), 1000 * (call.took_s or 0)
        line = f"{moment:%H:%M:%S} {asked} {answer} {took_ms:.0f} ms"
        line += f"  fault: {call.fault}" if call.fault else ""
        line = line.replace(token, "…") if token else line
        echo(_TOKENS.sub("…", line), err=True)

    return log

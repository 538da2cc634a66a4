"""`kling-async emulator`: the emulator as a server, for any program that speaks HTTP."""

from __future__ import annotations

import asyncio

import click

from ..errors import ConfigurationError
from ..limits import RateLimit
from .session import INTERRUPTED, fail, rate_of, run


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8808,
    show_default=True,
    help="0 takes a free one.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback unless you say so.")
@click.option("--account", "accounts", multiple=True, metavar="EMAIL", help="May be repeated.")
@click.option("--token", help="The only welcome one; default: any of the vendor's form.")
@click.option("--quota", callback=rate_of, default="none", help="Per account: 5/s, 60/m or none.")
@click.option("--latency", "latency_s", default=0.0, help="Seconds each request takes.")
@click.option("--faults", metavar="FAULTS", default="", help="What shall go wrong; see the docs.")
@click.option("--seed", default=0, help="Equal seeds, equal runs.")
def emulator(
    port: int,
    host: str,
    accounts: tuple[str, ...],
    token: str | None,
    quota: RateLimit | None,
    latency_s: float,
    faults: str,
    seed: int,
) -> None:
    """Serve the API from this machine: no token needed, nothing costs money."""
    try:
        from ..emulator import Emulator, parse_faults, run_server
    except ImportError:
        fail(ConfigurationError("the emulator needs an extra: pip install 'kling-async[emulator]'"))
    try:
        served = Emulator(
            accounts or None,
            token,
            quota,
            parse_faults(faults) if faults else [],
            seed,
            latency_s=latency_s,
            record_calls=1000,
        )
    except ValueError as exc:
        raise click.UsageError(str(exc)) from None

    def ready(base_url: str) -> None:
        click.echo(f"listening on {base_url}")
        click.echo(f"export KLING_BASE_URL={base_url} USEAPI_TOKEN={token or 'user:1-emulator'}")

    async def work() -> int:
        try:
            await run_server(served, host, port, on_ready=ready)
        except OSError as exc:
            raise ConfigurationError(
                f"can't listen on {host}:{port}: {exc.strerror or exc}; choose another --port"
            ) from None
        except asyncio.CancelledError:
            return INTERRUPTED
        return 0

    run(work())

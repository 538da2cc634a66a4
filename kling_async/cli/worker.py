"""What do `kling-async worker` and `ledger upgrade` do? Work on ledgers in PostgreSQL."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..bulk.jobs import Equipment, nameable
from ..bulk.results import BulkResult
from ..errors import ConfigurationError
from ..settings import WAIT_FOR_DATABASE_S
from .ledger import LEDGER
from .progress import many
from .session import DONE, Session, run, with_session
from .streams import echo

if TYPE_CHECKING:
    from ..bulk.postgres_session import LedgerAddress
    from ..bulk.worker import Worker


@click.command("worker")
@click.argument("database", type=LEDGER, required=False)
@click.option(
    "--trial",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Start a PostgreSQL of its own in DIR first, for a trial on this machine.",
)
@click.option(
    "--ledger",
    "names",
    multiple=True,
    metavar="NAME",
    help="Work on this ledger only; may be repeated. Default: on all of the database.",
)
@click.option(
    "--video-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where files of works go. Without it, jobs whose results are to be files are left alone.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1000),
    default=16,
    show_default=True,
    help="Rows of a ledger under way at once.",
)
@click.option(
    "--wait-for-database",
    "wait_s",
    type=click.FloatRange(0),
    default=WAIT_FOR_DATABASE_S,
    show_default=True,
    help="Seconds to wait for a database that is lost, before the worker ends.",
)
@with_session
def worker_command(
    session: Session,
    database: Path | LedgerAddress | None,
    trial: Path | None,
    names: tuple[str, ...],
    video_dir: Path | None,
    concurrency: int,
    wait_s: float,
) -> None:
    """Carry out the rows of the ledgers in DATABASE (postgresql://user@host/db), until stopped.

    Start as many as you like, on as many machines. Exit codes: 0 stopped, 1 the database was lost
    for too long, 2 wrong usage.
    """
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)

    folder = None if video_dir is None else nameable(video_dir.absolute())

    async def work() -> int:
        try:
            from ..bulk.worker import Worker
        except ImportError:
            raise ConfigurationError(_EXTRA) from None
        async with session.client() as kling:
            with _database(database, trial) as address:
                later = kling._later
                worker = Worker(
                    Equipment(kling._pipeline, kling._options, later.waiting, later.downloads),
                    address,
                    names=names or ((address.name,) if address.is_named else ()),
                    folder=folder,
                    concurrency=concurrency,
                    wait_s=wait_s,
                    told=_tell,
                )
                echo(f"working on {address.shown}; Ctrl-C ends it cleanly")
                with _signals(worker):
                    await worker.work()
                echo(f"stopped; {many(worker.settled, 'row')} settled here")
        return DONE

    if session.emulated:
        raise click.UsageError("--emulator is within one process; start `kling-async emulator`")
    run(work())


@click.group("ledger")
def ledger_group() -> None:
    """Ledgers in PostgreSQL."""


@ledger_group.command("upgrade")
@click.argument("database", type=LEDGER)
def upgrade_command(database: Path | LedgerAddress) -> None:
    """Make what is missing in DATABASE (postgresql://user@host/db), or bring it up to date."""

    async def work() -> int:
        from ..bulk.postgres import upgrade

        address = _of_database(database)
        names = await asyncio.to_thread(upgrade, address)
        echo(f"{address.shown} is up to date: {many(len(names), 'ledger')}")
        return DONE

    run(work())


_EXTRA = "workers need an extra: pip install 'kling-async[distributed]'"


def _of_database(given: Path | LedgerAddress | None) -> LedgerAddress:
    if given is None or isinstance(given, Path):
        raise ConfigurationError(f"{given} is no database; postgresql://user@host/db is")
    return given


def _tell(ledger: str, result: BulkResult) -> None:
    if result.state in ("failed", "unknown"):
        echo(f"{ledger}: row {result.key} {result.state}: {result.error}")


@contextmanager
def _database(database: Path | LedgerAddress | None, trial: Path | None) -> Iterator[LedgerAddress]:
    if (database is None) == (trial is None):
        raise ConfigurationError("name a database, postgresql://user@host/db, or --trial DIR")
    if trial is None:
        yield _of_database(database)
        return
    from ..bulk.launcher import TrialServer
    from ..bulk.postgres_session import address_of

    server = TrialServer(trial)
    try:
        address = server.start()
        echo(
            f"started a PostgreSQL in {trial}; it trusts everybody on this machine, so it is for "
            f"a trial only. Its address:\nexport KLING_LEDGER={address}"
        )
        yield address_of(address)
    finally:
        server.stop()


@contextmanager
def _signals(worker: Worker) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) stops the worker cleanly, the second leaves at once."""
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()
    assert main is not None

    def stop() -> None:
        if worker.stopping.is_set():
            worker.leave()
            main.cancel()
            return
        echo("stopping: what is on its way is finished and recorded; again to leave at once")
        worker.stop()

    caught = []
    for one in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(one, stop)
            caught.append(one)
        except NotImplementedError:  # Windows
            break
    try:
        yield
    finally:
        for one in caught:
            loop.remove_signal_handler(one)

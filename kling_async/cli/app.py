"""What commands are there? Puts together those of request types, special ones, bulk, emulator."""

from __future__ import annotations

import click

from ..version import __version__
from .bulk import bulk
from .completion import completion_command
from .config import Configured, load
from .doctor import doctor_command
from .emulator import emulator
from .helps import explained
from .history import history_command
from .operations import COMMANDS
from .special import accounts, assets, avatars, elements, images, scheduler, tasks, tts, videos
from .worker import ledger_group, worker_command


@click.group(cls=Configured, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kling-async")
@click.pass_context
def cli(context: click.Context) -> None:
    """Avatars and videos through the Kling API of useapi.net, one by one and in bulk.

    The token is read from USEAPI_TOKEN, the accounts from KLING_ACCOUNTS (comma separated).
    Defaults of options may stand in kling-async.toml; `doctor` shows them.
    """
    load(context)


for _group in (avatars, videos, images, elements, tasks, scheduler, assets, tts, accounts):
    for _command in COMMANDS.get(_group.name or "", ()):
        _group.add_command(_command)
    cli.add_command(_group)
cli.add_command(bulk)
bulk.add_command(history_command)
cli.add_command(emulator)
cli.add_command(worker_command)
cli.add_command(ledger_group)
cli.add_command(doctor_command)
cli.add_command(completion_command)
explained(cli)

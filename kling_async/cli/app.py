"""What commands are there? Puts them together; each lives in a file of its part."""

from __future__ import annotations

import click

from ..version import __version__
from .accounts import accounts
from .assets import assets
from .avatars import avatars
from .bulk import bulk
from .emulator import emulator
from .scheduler import scheduler
from .tasks import tasks
from .tts import tts


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kling-async")
def cli() -> None:
    """Avatars through the Kling API of useapi.net, one by one and in bulk.

    The token is read from USEAPI_TOKEN, the accounts from KLING_ACCOUNTS (comma separated).
    """


for command in (avatars, tasks, scheduler, assets, tts, accounts, bulk, emulator):
    cli.add_command(command)

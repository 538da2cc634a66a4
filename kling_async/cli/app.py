"""What commands are there? Puts them together; each lives in a file of its part."""

from __future__ import annotations

import click

from ..version import __version__
from .bulk import bulk
from .emulator import emulator
from .single import accounts, assets, avatars, tts


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kling-async")
def cli() -> None:
    """Avatars through the Kling API of useapi.net, one by one and in bulk.

    The token is read from USEAPI_TOKEN, the accounts from KLING_ACCOUNTS (comma separated).
    """


for command in (avatars, assets, tts, accounts, bulk, emulator):
    cli.add_command(command)

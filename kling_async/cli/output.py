"""What do the commands of one call have in common? They make it and print its result as JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, NoReturn

import click

from ..client import AsyncKlingClient
from ..models.responses import Model
from .session import Session, run
from .streams import echo, echo_json
from .tables import print_list

email_option: Final = click.option(
    "--email", metavar="EMAIL", help="The Kling account of this call."
)


def show(result: Any) -> None:
    """Print a result as the API gave it; lists as a table on a terminal, else one object a line."""
    if isinstance(result, list):
        print_list([one.raw for one in result])
    elif isinstance(result, Model) and result.raw is not None:  # a delete may have no body
        echo_json(result.raw, indent=2)


def answer(
    session: Session,
    call: Callable[[AsyncKlingClient], Awaitable[Any]],
    shown: Callable[[Any], None] = show,
) -> NoReturn:
    """Make one call with a client of the session, print what comes of it, and leave."""

    async def work() -> None:
        async with session.client() as kling:
            shown(await call(kling))

    run(work())


def say(text: str) -> None:
    """Tell the user something that is not the result."""
    echo(text, err=True)

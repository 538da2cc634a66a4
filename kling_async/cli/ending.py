"""What happens once a run is over? The user's own command hears of it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from attrs import frozen

from .progress import Snapshot
from .streams import echo


@frozen
class Ended:
    """A run that has ended: its exit code, and where it stands."""

    code: int
    now: Snapshot


async def tell(command: str | None, ledger: object, ended: Ended) -> int:
    """Run the command of `--on-done`, if there is one; the run's exit code, whatever it returns.

    It is run by the shell, with stderr as its output, so that a run's `--json` stays JSON. Call it
    when the ledger is closed: the command may use it.
    """
    if command is None:
        return ended.code
    now = ended.now
    said = {
        "LEDGER": await asyncio.to_thread(ledger.absolute) if isinstance(ledger, Path) else ledger,
        "EXIT_CODE": ended.code,
        "TOTAL": now.total,
        "CREATED": now.created,
        "FAILED": now.failed,
        "UNKNOWN": now.unknown,
        "SKIPPED": now.skipped,
        "SAVED": now.saved or 0,
    }
    told = {f"KLING_BULK_{name}": str(value) for name, value in said.items()}
    try:
        process = await asyncio.create_subprocess_shell(
            command, stdin=asyncio.subprocess.DEVNULL, stdout=2, env={**os.environ, **told}
        )
        failed = await process.wait()
    except OSError as exc:
        echo(f"the command of --on-done could not be run: {exc}", err=True)
        return ended.code
    if failed:
        echo(
            f"the command of --on-done ended with exit code {failed}; the run itself ends with "
            f"{ended.code}",
            err=True,
        )
    return ended.code

"""How do several machines share a ledger? Workers of ours, or one function for any other engine.

`kling-async worker` is the usual way. Where Celery, Temporal or cron run your jobs, let one of them
call `work_once` again and again.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .errors import ConfigurationError

if TYPE_CHECKING:
    from .bulk.results import BulkResult
    from .client import AsyncKlingClient

__all__ = ["work_once"]


async def work_once(
    kling: AsyncKlingClient,
    ledger: str,
    *,
    rows: int = 32,
    save_to: str | os.PathLike[str] | None = None,
    concurrency: int = 8,
) -> list[BulkResult]:
    """What became of the rows that were carried out: some that nobody works on, claimed by it.

    Safe to call anywhere, at once and again: a row is claimed by one caller, and one whose caller
    died is looked for before anything is sent again. An empty list: there was nothing to do.

    Args:
        kling: an open client. Its rate limit is kept together with all other workers.
        ledger: `postgresql://user@host/db#name`.
        rows: claim so many at most. Default 32.
        save_to: the folder where works become files. Default: tasks whose works are to be files
            are left to others.
        concurrency: rows under way at once. Default 8.

    Raises:
        ConfigurationError: the extra `distributed` is missing, or the address is none.
        LedgerError: the ledger can't be used.
        KlingError: rows look as if they were made already by another job.
    """
    try:
        from .bulk.worker import portion
    except ImportError:
        raise ConfigurationError(
            "work_once() needs an extra: pip install 'kling-async[distributed]'"
        ) from None
    from .bulk.jobs import Equipment

    later = kling._later
    equipment = Equipment(kling._pipeline, kling._options, later.waiting, later.downloads)
    return await portion(equipment, ledger, rows=rows, folder=save_to, concurrency=concurrency)

"""How does a ledger become one page that holds all it needs? Row by row, so memory stays flat."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from ..._files.beside import write_beside
from ...aio import in_thread
from ...bulk.ledger import LedgerReader
from ...errors import ConfigurationError
from ...models.text import printable
from .facts import ShownRow, shown_row
from .pictures import small_copy
from .summary import moment, summary_of

_AT_ONCE = 100
"""Rows whose pictures are read together."""
_PIECE_CHARS = 1 << 18


async def write_report(
    ledger: LedgerReader,
    title: str,
    to: Path,
    *,
    overwrite: bool = False,
    kept: Iterable[Path] = (),
    told: Callable[[int], None] = lambda rows: None,
) -> int:
    """How many rows the page at `to` shows.

    Args:
        ledger: to read from.
        title: of the page, the ledger's name.
        to: the page, .html or .htm.
        overwrite: whether a file that is there may be replaced.
        kept: files that never are.
        told: hears how many rows more are written, again and again.

    Raises:
        ConfigurationError: another ending, or a file is there.
        LedgerError: the page can't be written, or the ledger not read.
    """
    if to.suffix.lower() not in (".html", ".htm"):
        raise ConfigurationError(f"can't write a report to {to.name}: end it with .html")
    summary = await summary_of(ledger)
    with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="kling-picture") as pool:
        folder = (await in_thread(to.resolve)).parent
        rows = _with_pictures(ledger, folder, pool, told)
        script = _part("page.js")
        page = _template().generate_async(
            title=printable(title),
            made_at=moment(time.time()),
            summary=summary,
            rows=rows,
            style=Markup(_part("page.css")),
            script=Markup(script),
            script_hash=_hash_of(script),
        )
        async with write_beside(to, overwrite=overwrite, kept=kept) as unfinished:
            await _write(page, unfinished)
    return summary.rows


async def _with_pictures(
    ledger: LedgerReader, folder: Path, pool: ThreadPoolExecutor, told: Callable[[int], None]
) -> AsyncIterator[tuple[ShownRow, str | None]]:
    """Each row and the small copy of its picture."""
    loop = asyncio.get_running_loop()

    def prepared(row: ShownRow) -> str | None:
        return None if row.picture_file is None else small_copy(row.picture_file)

    async def finished(rows: Sequence[ShownRow]) -> Sequence[str | None]:
        return await asyncio.gather(*(loop.run_in_executor(pool, prepared, one) for one in rows))

    waiting = list[ShownRow]()
    async for row in ledger.rows():
        waiting.append(await loop.run_in_executor(pool, shown_row, row, folder))
        if len(waiting) == _AT_ONCE:
            for pair in zip(waiting, await finished(waiting), strict=True):
                yield pair
            told(len(waiting))
            waiting.clear()
    for pair in zip(waiting, await finished(waiting), strict=True):
        yield pair
    told(len(waiting))


async def _write(page: AsyncIterator[str], into: Path) -> None:
    with into.open("w", encoding="utf-8", newline="") as file:
        pieces, size = list[str](), 0
        async for piece in page:
            pieces.append(piece)
            size += len(piece)
            if size > _PIECE_CHARS:
                await in_thread(file.write, "".join(pieces))
                pieces, size = [], 0
        await in_thread(file.write, "".join(pieces))


def _template() -> Template:
    known = Environment(
        autoescape=True, enable_async=True, undefined=StrictUndefined, trim_blocks=True
    )
    return known.from_string(_part("page.html"))


def _part(name: str) -> str:
    return files("kling_async.cli.report").joinpath(name).read_text("utf-8")


def _hash_of(script: str) -> str:
    """What the page's own rule allows to run: this script and no other."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()

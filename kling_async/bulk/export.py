"""What does a spreadsheet see of a ledger? Every row's result with the input's own columns.

Streamed in two passes (names, then rows), so that memory stays flat; written beside the target and
moved into place, so that a reader never meets half a file. Synchronous.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from ..errors import ConfigurationError, LedgerError
from .ledgerview import LedgerView
from .rows import BulkRow

RESULT_COLUMNS = ("key", "state", "avatar_id", "account", "error", "attempts", "evidence")
OF_VIDEOS = ("video_state", "video_file", "task_id", "video_attempts")
"""Follow those where the ledger knows of a video."""


def export(ledger: LedgerView, to: str | os.PathLike[str]) -> int:
    """How many rows were written to `to` (.csv or .jsonl, by its ending).

    A row that was not made yet has the state "skipped". Input columns named like a result's are
    left out: the ledger's word counts.

    Raises:
        ConfigurationError: another ending.
        LedgerError: the file can't be written.
    """
    target = Path(to)
    write = {".csv": _csv, ".jsonl": _jsonl, ".ndjson": _jsonl}.get(target.suffix.lower())
    if write is None:
        raise ConfigurationError(f"can't export to {target.name}: end it with .csv or .jsonl")
    beside = target.with_name(f".{target.name}.part")
    try:
        with beside.open("w", encoding="utf-8", newline="") as file:
            written = write(ledger, file)
        beside.replace(target)
    except OSError as exc:
        raise LedgerError(f"can't write {target}: {exc.strerror or exc}") from None
    finally:
        with suppress(OSError):  # what was wrong with it has been said
            beside.unlink(missing_ok=True)
    return written


def flat(row: BulkRow, *, videos: bool = False) -> dict[str, Any]:
    """The result as one flat JSON object, with the input's own columns.

    Args:
        row: of which row.
        videos: say also what became of its video, as is always done where it has one.
    """
    names: tuple[str, ...] = RESULT_COLUMNS
    if videos or row.video_state is not None:
        names = (*names, *OF_VIDEOS)
    result = {name: getattr(row, name) for name in names}
    return {**row.columns, **result} if row.columns else result


def _jsonl(ledger: LedgerView, file: TextIO) -> int:
    written, videos = 0, _has_videos(ledger)
    for row in _results(ledger):
        file.write(json.dumps(flat(row, videos=videos), ensure_ascii=False) + "\n")
        written += 1
    return written


def _csv(ledger: LedgerView, file: TextIO) -> int:
    videos = _has_videos(ledger)
    names: dict[str, None] = dict.fromkeys(RESULT_COLUMNS)
    if videos:
        names.update(dict.fromkeys(OF_VIDEOS))
    for row in _results(ledger):
        names.update(dict.fromkeys(row.columns))
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    written = 0
    for row in _results(ledger):
        writer.writerow({name: _cell(value) for name, value in flat(row, videos=videos).items()})
        written += 1
    return written


def _has_videos(ledger: LedgerView) -> bool:
    return ledger.has_videos and bool(ledger.videos.counts())


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value


def _results(ledger: LedgerView) -> Iterator[BulkRow]:
    return (record.result() for record in ledger.each())

"""What does the chaos know of the bulk engine? This file, and nothing else here.

It reads a ledger's rows for the verdict, says for each event where it is written and where a group
of them is committed, and shortens the waits. Another engine means another form of this file alone.
Where one `apply(change)` writes all events, a place names those it means:

    Place(Writing, "apply", lambda store, change: change.event == "intended")
    COMMIT = Place(SqliteLedger, "_carry_out")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from attrs import frozen

from kling_async import PollSchedule, RetryPolicy, settings
from kling_async._transport import retry_after
from kling_async.bulk import sqlite_file, works
from kling_async.bulk.records import Change, Row, Step
from kling_async.bulk.sqlite import SqliteLedger
from kling_async.bulk.sqlite_copy import look
from kling_async.bulk.sqlite_reading import Reading
from kling_async.bulk.sqlite_store import Writing
from kling_async.client import AsyncKlingClient

# --- what a ledger says -----------------------------------------------------------------------


@frozen
class LedgerVideo:
    """The video of a row, as the ledger has it."""

    state: str
    task_id: int | None
    reply_ref: str | None
    file: str | None
    size_bytes: int | None


@frozen
class LedgerRow:
    """One row, as the ledger has it."""

    key: str
    state: str
    account: str | None
    avatar_id: str | None
    evidence: str | None
    video: LedgerVideo | None


def rows_of(ledger: Path) -> list[LedgerRow]:
    """All rows of a ledger; none where it was not begun."""
    ledger = ledger.absolute()
    if not ledger.exists() or ledger.stat().st_size == 0:
        return []
    with closing(look(ledger)) as db:
        return [_row(one) for one in Reading(ledger, db).page(frozenset(), (-1, 0), 1_000_000)]


def _row(row: Row) -> LedgerRow:
    avatar = row.steps[0]
    video = _video(row.steps[1]) if len(row.steps) > 1 else None
    evidence = avatar.evidence
    return LedgerRow(row.key, avatar.state, avatar.account, avatar.remote_id, evidence, video)


def _video(step: Step) -> LedgerVideo:
    work = step.works[0] if step.works else None
    return LedgerVideo(
        "saved" if step.state == "done" else step.state,
        None if step.remote_id is None else int(step.remote_id),
        step.mark,
        None if work is None else work.file,
        None if work is None else work.size_bytes,
    )


# --- where its events are written ----------------------------------------------------------------


@frozen
class Place:
    """A method to be patched: who has it, what it is called, and which of its calls are meant."""

    owner: Any
    method: str
    concerns: Callable[..., bool] = lambda *_, **__: True


def _event(name: str, number: int) -> Place:
    """Where this event of a row's step is written."""

    def concerns(store: Writing, change: Change) -> bool:
        return change.event == name and store.step(change.step_id).number == number

    return Place(Writing, "apply", concerns)


COMMIT = Place(SqliteLedger, "_carry_out")
"""Writes a group of events and syncs them; what went before it in the group is on disk after it."""
BEGUN = Place(sqlite_file, "_begin")
"""Called when the file is there and its tables are not."""
EVENTS: Mapping[str, Place] = {
    "registered": Place(Writing, "register"),
    "listed": Place(Writing, "keep_listing"),
    **{
        name: _event(name, 1)
        for name in (
            *("prepared", "intended", "retracted", "answered"),
            *("lost", "found", "given_up"),
        )
    },
}
VIDEO_EVENTS: Mapping[str, Place] = {
    "planned": Place(Writing, "register"),
    "queued": Place(Writing, "queue"),
    "picked": Place(Writing, "next_step"),
    **{
        name: _event(name, 2)
        for name in (
            *("prepared", "intended", "retracted", "answered", "lost", "found", "given_up"),
            *("finished", "reserved", "saved"),
        )
    },
}

# --- how long it waits ------------------------------------------------------------------------


def shorten() -> None:
    """Waits of seconds and minutes become fractions of a second, in this process."""
    settings.READ_TIMEOUT_S = 0.6
    settings.RETRY_AFTER_ABSENT_S = 0.4
    retry_after.RETRY_AFTER_ABSURD_S = 0.4
    works.POLL = PollSchedule((0.05,))
    settings.LOOK_AFTER_S = (0.05, 0.2, 0.5)  # type: ignore[assignment]
    defaults = AsyncKlingClient.__init__.__kwdefaults__
    assert defaults is not None
    defaults["retry"] = RetryPolicy(wait_initial_s=0.03, wait_max_s=0.3)

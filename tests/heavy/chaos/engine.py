"""What does the chaos know of the bulk engine? This file, and nothing else here.

It reads a ledger's rows for the verdict, says for each event where it is written and where a group
of them is committed, and shortens the waits. Another engine means another form of this file alone.
Where one `apply(change)` writes all events, a place names those it means:

    Place(Writing, "apply", lambda change: change.event == "intended")
    COMMIT = Place(SqliteLedger, "_carry_out")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from attrs import frozen

from kling_async import PollSchedule, RetryPolicy, settings
from kling_async._transport import protocol
from kling_async.bulk import equipment
from kling_async.bulk.journal import Journal
from kling_async.bulk.ledger import Ledger
from kling_async.bulk.ledgerfile import is_begun
from kling_async.bulk.ledgerview import LedgerView
from kling_async.bulk.records import Record
from kling_async.bulk.videoledger import VideoLedger
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
    if not is_begun(ledger):
        return []
    with closing(LedgerView.read(ledger)) as book:
        return [_row(one) for one in book.each()]


def _row(one: Record) -> LedgerRow:
    video = one.video and LedgerVideo(
        one.video.state,
        one.video.task_id,
        one.video.reply_ref,
        None if one.video.file is None else str(one.video.file),
        one.video.size_bytes,
    )
    return LedgerRow(one.key, one.state, one.account, one.avatar_id, one.evidence, video)


# --- where its events are written ----------------------------------------------------------------


@frozen
class Place:
    """A method to be patched: who has it, what it is called, and which of its calls are meant."""

    owner: type[Any]
    method: str
    concerns: Callable[..., bool] = lambda *_, **__: True


COMMIT = Place(Journal, "_commit")
"""Writes a group of events and syncs them; what went before it in the group is on disk after it."""
BEGUN = Place(Ledger, "_prepare")
"""Called when the file is there and its tables are not."""
EVENTS: Mapping[str, Place] = {
    "registered": Place(Ledger, "register"),
    "listed": Place(Ledger, "keep_listed"),
    "prepared": Place(Ledger, "ready"),
    "intended": Place(Ledger, "intent"),
    "retracted": Place(Ledger, "not_carried_out"),
    "answered": Place(Ledger, "done"),
    "lost": Place(Ledger, "doubt"),
    "found": Place(Ledger, "adopt"),
    "given_up": Place(Ledger, "unknown"),
}
VIDEO_EVENTS: Mapping[str, Place] = {
    "planned": Place(VideoLedger, "plan"),
    "queued": Place(VideoLedger, "queue"),
    "picked": Place(VideoLedger, "next_of"),
    "prepared": Place(VideoLedger, "ready"),
    "intended": Place(VideoLedger, "intent"),
    "retracted": Place(VideoLedger, "not_carried_out"),
    "answered": Place(VideoLedger, "running"),
    "lost": Place(VideoLedger, "doubt"),
    "found": Place(VideoLedger, "adopt"),
    "given_up": Place(VideoLedger, "unknown"),
    "finished": Place(VideoLedger, "made"),
    "reserved": Place(VideoLedger, "claim_file"),
    "saved": Place(VideoLedger, "saved"),
}

# --- how long it waits ------------------------------------------------------------------------


def shorten() -> None:
    """Waits of seconds and minutes become fractions of a second, in this process."""
    settings.READ_TIMEOUT_S = 0.6
    settings.RETRY_AFTER_ABSENT_S = 0.4
    protocol.RETRY_AFTER_ABSURD_S = 0.4
    equipment.POLL = PollSchedule((0.05,))
    settings.LOOK_AFTER_S = (0.05, 0.2, 0.5)  # type: ignore[assignment]
    defaults = AsyncKlingClient.__init__.__kwdefaults__
    assert defaults is not None
    defaults["retry"] = RetryPolicy(wait_initial_s=0.03, wait_max_s=0.3)

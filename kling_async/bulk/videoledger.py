"""What has happened to each row's video? The second half of the ledger. Synchronous.

`Ledger.videos` is one of these; its writes belong inside `ledger.transaction()` as well. Each arrow
of the state machine is one method:

    planned -> ready -> intent -> running -> made -> saved
                 ^---------'  |      |        |
        (never sent, or 429)  |      '--------'--> failed (refused, failed at Kling, no download)
                              '-> doubt -> running (the scheduler or the tasks show it)
                                    '----> unknown (not found in time)
    unknown -> running (found later, or by the user's word) | ready (resend) | failed (abandon)

`intent` is committed and synced before the first byte is written. Between a row's avatar and its
video lies the queue, which is in the ledger too: however many avatars run ahead, none is in memory.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Callable, Sequence

from ..errors import LedgerError
from ..models.sightings import url_path
from .records import ABANDONED, GIVEN, REOPENED, Record, as_text
from .rows import RowInput
from .videonames import file_name, name_key, with_digest
from .videorecords import PAID, State, TokenKind
from .videorows import SPEECH
from .videoview import VideoView

ENDING = ".mp4"
_UNDER_WAY, _TO_BEGIN = 0, 1
"""Turns in the queue: what was paid for comes first."""


class VideoLedger(VideoView):
    """The videos of an open ledger.

    Args:
        db: the ledger's connection.
        rows: reads rows with their videos.
        note: remembers an unusual turn of a row.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        rows: Callable[..., list[Record]],
        note: Callable[[int, str], None],
    ) -> None:
        super().__init__(db, rows)
        self._note = note

    # --- the arrows ---

    def plan(self, row_id: int, row: RowInput) -> None:
        """-> planned. A video of which nothing was ever sent takes the new content, or goes."""
        if row.problems:
            return
        if row.video is None:
            self._db.execute("DELETE FROM videos WHERE row_id = ? AND attempts = 0", (row_id,))
            return
        name = file_name(row.key, ENDING)
        if self._has_name(name, row_id):
            name = with_digest(row.key, name.removesuffix(ENDING), ENDING)
        self._db.execute(
            "INSERT INTO videos (row_id, digest, payload, state, file_name, name_key, changed_at) "
            "VALUES (?, ?, ?, 'planned', ?, ?, ?) "
            "ON CONFLICT (row_id) DO UPDATE SET digest = excluded.digest, "
            "payload = excluded.payload, state = 'planned', audio_url = NULL, token = NULL, "
            "token_kind = NULL, error = NULL, evidence = NULL "
            "WHERE attempts = 0 AND digest <> excluded.digest",
            (
                *(row_id, row.video.digest, as_text(row.video.payload), name),
                *(name_key(name), time.time()),
            ),
        )

    def ready(
        self, row_id: int, audio_url: str | None, token: str | None, kind: TokenKind | None
    ) -> None:
        """Planned -> ready: all that a job needs is there, its own name included.

        Args:
            row_id: which.
            audio_url: what was uploaded or rendered for this row alone; None where there is none.
            token: an address that the job will name.
            kind: whose that is.
        """
        self._db.execute(
            "UPDATE videos SET state = 'ready', audio_url = ?, token = ?, token_kind = ?, "
            "reply_ref = coalesce(reply_ref, ?), error = NULL, changed_at = ? WHERE row_id = ?",
            (
                *(audio_url, None if token is None else url_path(token), kind),
                *(f"kling-async-{uuid.uuid4().hex}", time.time(), row_id),
            ),
        )

    def intent(self, row_id: int, account: str | None, digest: str | None = None) -> bool:
        """Ready -> intent: a job goes out next. `account` is the row's, where its avatar is.

        Whether it may go: it is ready and has the content of this digest; else nothing changes.
        """
        now = time.time()
        written = self._db.execute(
            "UPDATE videos SET state = 'intent', attempts = attempts + 1, intent_at = ?, "
            "evidence = NULL, changed_at = ? "
            "WHERE row_id = ? AND state = 'ready' AND digest = coalesce(?, digest)",
            (now, now, row_id, digest),
        )
        return written.rowcount == 1

    def not_carried_out(self, row_id: int, error: str | None) -> None:
        """Intent -> ready: the job certainly did not begin."""
        self._db.execute(
            "UPDATE videos SET state = 'ready', error = ?, changed_at = ? "
            "WHERE row_id = ? AND state = 'intent'",
            (error, time.time(), row_id),
        )

    def running(self, row_id: int, account: str | None, task_id: int) -> None:
        """Intent -> running. An id that another row has can't be true: it becomes unknown."""
        try:
            self._claim(row_id, account, task_id, "answer")
        except LedgerError:
            text = f"the server answered with task {task_id}, which is another row's"
            self.unknown(row_id, text, [str(task_id)])

    def made(self, row_id: int, work_id: int, work_url: str | None) -> None:
        """Running -> made: the job succeeded, and this is its work."""
        self._set(row_id, "made", work_id=work_id, work_url=work_url, error=None)

    def claim_file(self, row_id: int, file: str) -> None:
        """Made, still: nothing is at `file`, so whatever will be there is this row's video."""
        self._set(row_id, "made", file=file, size_bytes=None)

    def saved(self, row_id: int, file: str, size_bytes: int) -> None:
        """Made -> saved: the whole video is there."""
        self._set(row_id, "saved", file=file, size_bytes=size_bytes, error=None)

    def lost_file(self, row_id: int) -> None:
        """Saved -> made: its file is gone, or has another size; it is fetched again."""
        self._set(row_id, "made")

    def set_back(self, row_id: int, error: str) -> None:
        """Stays as it is for the next run, and says why."""
        self._db.execute(
            "UPDATE videos SET error = ?, changed_at = ? WHERE row_id = ?",
            (error, time.time(), row_id),
        )

    def failed(self, row_id: int, error: str) -> None:
        """Any -> failed; `reopen` tries the failed step again."""
        self._set(row_id, "failed", error=error, evidence=None)

    def doubt(self, row_id: int, error: str) -> None:
        """Intent -> doubt: sent, and no clear answer came."""
        self._set(row_id, "doubt", error=error, doubt_at=time.time())
        self._note(row_id, f"video in doubt: {error}")

    def adopt(self, row_id: int, account: str | None, task_id: int, evidence: str) -> None:
        """Doubt | unknown -> running: its job was found; LedgerError where it is another row's."""
        self._claim(row_id, account, task_id, evidence)
        self._note(row_id, f"video {evidence}: task {task_id}")

    def unknown(self, row_id: int, error: str, candidates: Sequence[str] = ()) -> None:
        """Doubt -> unknown: it could not be decided; only the user may send it again."""
        self._set(row_id, "unknown", error=error, candidates=as_text(list(candidates)))
        self._note(row_id, f"video unknown: {error}")

    def resend(self, row_id: int, why: str) -> None:
        """Doubt | unknown -> ready: it will be sent again, under the same name. May cost twice."""
        self._set(row_id, "ready", error=None, doubt_at=None, candidates=None)
        self._note(row_id, f"video to be sent again: {why}")

    def abandon(self, row_id: int) -> None:
        """Doubt | unknown -> failed, for good: `reopen` leaves it alone."""
        error = "abandoned by the user; a video of it may exist"
        self._set(row_id, "failed", error=error, evidence=ABANDONED)
        self._note(row_id, f"video {error}")

    def reopen(self, record: Record) -> None:
        """Failed -> made where only its download failed, else planned; with audio of its own again.

        A job that failed stays this row's, so that nothing takes it for the next one.
        """
        video = record.video
        if video is None or video.state != "failed" or video.evidence == ABANDONED:
            return
        if video.work_id is not None:
            self._set(record.id, "made", error=None, evidence=REOPENED)
            return
        if video.task_id is not None:
            self._note(record.id, f"video tried again; task {video.task_id} failed: {video.error}")
        self._set(
            record.id,
            "planned",
            error=None,
            evidence=REOPENED,
            task_id=None,
            audio_url=None,
            token=None,
            token_kind=None,
            reply_ref=None,
        )

    # --- the queue ---

    def queue(self, row_id: int, account: str | None) -> None:
        """Have the video of a row whose avatar is there wait for its turn in this run."""
        self._db.execute(
            "UPDATE rows SET account = ? WHERE id = ? AND account IS NULL", (account, row_id)
        )
        self._db.execute(
            "UPDATE videos SET queued = ?, turn = CASE WHEN state IN (?, ?) THEN ? ELSE ? END "
            "WHERE row_id = ?",
            (account or "", *PAID, _UNDER_WAY, _TO_BEGIN, row_id),
        )

    def next_of(self, account: str | None) -> Record | None:
        """The row of `account` whose video has its turn now, out of the queue; None: none waits."""
        found = self._db.execute(
            "SELECT row_id FROM videos WHERE queued = ? ORDER BY turn, row_id LIMIT 1",
            (account or "",),
        ).fetchone()
        if found is None:
            return None
        self._db.execute("UPDATE videos SET queued = NULL WHERE row_id = ?", found)
        return self._rows("rows.id = ?", found[0])[0]

    # --- at the start of a run ---

    def prepare(self) -> None:
        """Jobs that a dead process left in `intent` are in doubt; nothing waits for a turn yet."""
        now = time.time()
        self._db.execute(
            "UPDATE videos SET state = 'doubt', error = ?, doubt_at = ?, changed_at = ? "
            "WHERE state = 'intent'",
            ("the process that sent it died before the answer came", now, now),
        )
        self._db.execute("UPDATE videos SET doubt_at = ? WHERE state = 'doubt'", (now,))
        self._db.execute("UPDATE videos SET queued = NULL WHERE queued IS NOT NULL")

    def forget(self) -> None:
        """The server has forgotten all: what is not saved has to begin again, with its avatar."""
        for record in self._rows("rows.state = 'done' AND rows.evidence IS NOT ?", GIVEN):
            speaks = any(record.columns.get(name) is not None for name in SPEECH)
            if speaks and (record.video is None or record.video.state != "saved"):
                self._db.execute(
                    "UPDATE rows SET state = 'planned', avatar_id = NULL, evidence = NULL, "
                    "asset_url = NULL WHERE id = ?",
                    (record.id,),
                )
        self._db.execute(
            "UPDATE videos SET state = CASE state WHEN 'failed' THEN state ELSE 'planned' END, "
            "audio_url = NULL, token = NULL, token_kind = NULL, reply_ref = NULL, task_id = NULL, "
            "work_id = NULL, work_url = NULL, file = NULL WHERE state <> 'saved'"
        )

    # --- inside ---

    def _has_name(self, name: str, row_id: int) -> bool:
        of = "SELECT 1 FROM videos WHERE name_key = ? AND row_id <> ?"
        return self._db.execute(of, (name_key(name), row_id)).fetchone() is not None

    def _claim(self, row_id: int, account: str | None, task_id: int, evidence: str) -> None:
        owner = self.owner_of(account, task_id)
        if owner not in (None, row_id):
            raise LedgerError(f"task {task_id} belongs to another row of this ledger")
        self._db.execute(
            "INSERT OR IGNORE INTO tasks VALUES (?, ?, ?)", (account or "", task_id, row_id)
        )
        self._set(row_id, "running", task_id=task_id, evidence=evidence, error=None)

    def _set(self, row_id: int, state: State, **columns: str | float | None) -> None:
        changes = {"state": state, "changed_at": time.time(), **columns}
        assigned = ", ".join(f"{name} = ?" for name in changes)
        self._db.execute(
            f"UPDATE videos SET {assigned} WHERE row_id = ?", (*changes.values(), row_id)
        )

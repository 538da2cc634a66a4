"""What has happened to each row? The SQLite file that remembers it across any death. Synchronous.

`journal.py` calls it in a thread of its own and groups the commits. Each arrow of the state machine
is one method here:

    planned -> intent           its image has an address: by that its avatar will be known
    planned -> ready -> intent  its file is up, once: the ledger knows where
    intent  -> done | failed | doubt
    intent  -> ready            never sent, or plainly refused with 429
    doubt   -> done (found in the account's list) | unknown (not found in time)
    unknown -> done (found later, or by the user's word) | ready (resend) | failed (abandon)

`intent` is committed and synced before the first byte is written; a row found in it at the start
belonged to a process that died, so it is in doubt. Who settles doubts is `doubts.py`. A row's video
has a state machine of its own, in `videoledger.py`.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from ..errors import LedgerError
from ..models.sightings import url_path
from .intake import Intake
from .ledgerfile import (
    FROM_LAYOUT_1,
    LAYOUT,
    READABLE,
    SCHEMA,
    connect,
    explained,
    has_tables,
    own,
)
from .ledgerview import TO_RETRY, VIDEO_FOLDER, LedgerView, listed_fact
from .records import ABANDONED, REOPENED, Record, State, as_text
from .rows import RowInput
from .videoledger import VideoLedger
from .videoview import VIDEO_TO_RETRY


class Ledger(LedgerView):
    """An open ledger. Use it from one thread; `Ledger.open` makes or opens it.

    Writes belong inside `with ledger.transaction():`, which commits and syncs at its end.
    """

    def __init__(self, path: Path, db: sqlite3.Connection, lock: sqlite3.Connection | None) -> None:
        super().__init__(path, db)
        self._lock = lock

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, service: str) -> Ledger:
        """The ledger at `path`, made where it is missing, for this process alone.

        Rows that a dead process left in `intent` are in doubt from now on.

        Args:
            path: the file. A second file beside it, `…-owner`, is locked while the ledger is open;
                the system frees the lock when the process dies, however it dies.
            service: whom the rows are sent to. A ledger of one service can't serve another: its
                rows would look done where nothing was made.

        Raises:
            LedgerError: it is in use, is no ledger, or belongs to another service.
        """
        path = Path(path)
        with ExitStack() as opened:
            lock = opened.enter_context(closing(own(path)))
            db = opened.enter_context(closing(connect(path)))
            ledger = cls(path, db, lock)
            with explained(path):
                if has_tables(db):  # before anything is written: it may be somebody else's
                    ledger._check_layout(READABLE)
                ledger._prepare(service)
            opened.pop_all()
        return ledger

    def close(self) -> None:
        """Close the file and free it for others."""
        super().close()
        if self._lock is not None:
            self._lock.close()

    @property
    def videos(self) -> VideoLedger:
        """The rows' videos."""
        return VideoLedger(self._db, self._rows, self._note)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the writes inside, or none; on disk when it ends."""
        with explained(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    # --- the arrows ---

    def register(self, rows: Iterable[RowInput], *, videos: bool = False) -> list[Record]:
        """Each row as the ledger has it, in the same order; new ones are planned.

        A row that can't be sent is `failed`, with its problems; one whose avatar is given is done.
        A known key keeps its record, but a row of which nothing was ever sent takes the new
        content. Of several rows with one key the first counts.

        Args:
            rows: as they were read.
            videos: plan the videos they ask for as well.
        """
        return Intake(self._db, self.of_keys, self.videos).take(tuple(rows), videos=videos)

    def ready(
        self,
        row_id: int,
        account: str | None,
        asset_url: str | None,
        image_url: str,
        digest: str | None = None,
    ) -> bool:
        """Planned -> ready: what was uploaded for it is remembered, and where it goes is settled.

        Args:
            row_id: which.
            account: whose it will be.
            asset_url: what was uploaded for this row alone; None where it has an address already.
            image_url: what the create will name.
            digest: of the content that it was uploaded for; None: of whatever the row says.

        Returns:
            Whether the row is open and has that content; else nothing changes.
        """
        kind = "url" if asset_url is None else "upload"
        written = self._db.execute(
            "UPDATE rows SET state = 'ready', account = ?, asset_url = ?, token = ?, "
            f"token_kind = ?, error = NULL, changed_at = ? WHERE {_OPEN}",
            (account, asset_url, url_path(image_url), kind, time.time(), row_id, digest),
        )
        return written.rowcount == 1

    def intent(self, row_id: int, account: str | None, digest: str | None = None) -> bool:
        """Planned | ready -> intent: a create goes out next.

        From planned at once where the row has an address of its own: by that its avatar will be
        known. A row without a token has no way out.

        Args:
            row_id: which.
            account: whose it will be.
            digest: of the content that goes out; None: of whatever the row says.

        Returns:
            Whether it may go: the row is open and has that content; else nothing changes.
        """
        now = time.time()
        written = self._db.execute(
            "UPDATE rows SET state = 'intent', account = ?, attempts = attempts + 1, "
            f"intent_at = ?, changed_at = ? WHERE {_OPEN} AND token IS NOT NULL",
            (account, now, now, row_id, digest),
        )
        return written.rowcount == 1

    def not_carried_out(self, row_id: int, error: str | None) -> None:
        """Intent -> ready: the create certainly did nothing."""
        self._db.execute(
            "UPDATE rows SET state = 'ready', error = ?, changed_at = ? "
            "WHERE id = ? AND state = 'intent'",
            (error, time.time(), row_id),
        )

    def done(self, row_id: int, avatar_id: str) -> None:
        """Intent -> done. An id that another row has can't be true: the row becomes unknown."""
        try:
            self._claim(row_id, avatar_id, "answer")
        except sqlite3.IntegrityError:
            text = f"the server answered with id {avatar_id}, which is another row's"
            self.unknown(row_id, text, [avatar_id])

    def failed(self, row_id: int, error: str) -> None:
        """Any -> failed: refused by the server or by a check; `reopen_failed` tries again."""
        self._set(row_id, "failed", error=error, evidence=None)

    def doubt(self, row_id: int, error: str) -> None:
        """Intent -> doubt: sent, and no clear answer came."""
        self._set(row_id, "doubt", error=error, doubt_at=time.time())
        self._note(row_id, f"in doubt: {error}")

    def adopt(self, row_id: int, avatar_id: str, evidence: str) -> None:
        """Any open state -> done: the avatar was found; LedgerError where it is another row's."""
        try:
            self._claim(row_id, avatar_id, evidence)
        except sqlite3.IntegrityError:
            raise LedgerError(f"avatar {avatar_id} belongs to another row of {self.path}") from None
        self._note(row_id, f"{evidence}: {avatar_id}")

    def unknown(self, row_id: int, error: str, candidates: Sequence[str] = ()) -> None:
        """Doubt -> unknown: it could not be decided; only the user may send it again."""
        self._set(row_id, "unknown", error=error, candidates=as_text(list(candidates)))
        self._note(row_id, f"unknown: {error}")

    def resend(self, row_id: int, why: str) -> None:
        """Doubt | unknown -> ready: it will be sent again, with the same token. May duplicate."""
        self._set(row_id, "ready", error=None, doubt_at=None, candidates=None)
        self._note(row_id, f"to be sent again: {why}")

    def abandon(self, row_id: int) -> None:
        """Doubt | unknown -> failed, for good: `reopen_failed` leaves it alone."""
        error = "abandoned by the user; an avatar of it may exist"
        self._set(row_id, "failed", error=error, evidence=ABANDONED)
        self._note(row_id, error)

    def keep_listed(self, account: str | None, listed: Iterable[tuple[str, str]]) -> None:
        """Remember what `account` lists before its first create: (avatar id, image path) each."""
        self._db.executemany(
            "INSERT INTO listed_before VALUES (?, ?, ?)",
            ((account or "", avatar_id, path) for avatar_id, path in listed),
        )
        self._db.execute(
            "INSERT OR REPLACE INTO facts VALUES (?, ?)", (listed_fact(account), str(time.time()))
        )

    def reopen_failed(self, after_id: int, size: int, *, videos: bool = False) -> list[Record]:
        """Failed -> planned, for up to `size` failed rows after `after_id`; those rows.

        Rows that were opened again before, and not sent since, are among them. What was uploaded
        for them is uploaded again: it may be what was wrong.

        Args:
            after_id: where the page before ended.
            size: rows at most.
            videos: failed videos as well.
        """
        of = f"({TO_RETRY} OR {VIDEO_TO_RETRY})" if videos else TO_RETRY
        page = self._rows(f"{of} AND rows.id > ?", after_id, size=size)
        for one in page:
            if videos:
                self.videos.reopen(one)
            if one.state != "done":
                self._set(one.id, "planned", error=None, asset_url=None, evidence=REOPENED)
        return [self.get(one.key) for one in page]

    def without_files(self, row_ids: Iterable[int]) -> dict[int, Record]:
        """These rows by their ids, their saved videos to be fetched again."""
        known = {}
        for row_id in row_ids:
            self.videos.lost_file(row_id)
            known[row_id] = self.row(row_id)
        return known

    def remember(self, name: str, value: str) -> None:
        """Keep a fact about the ledger itself."""
        self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def settle_folder(self, named: str | os.PathLike[str] | None) -> Path:
        """Where this run's videos go, remembered for the next one; see `video_folder`."""
        folder = self.video_folder(named)
        self.remember(VIDEO_FOLDER, str(folder))
        return folder

    def forget_uploads(self) -> int:
        """Ready -> planned, for every ready row: what was uploaded is gone; how many."""
        return self._db.execute(
            "UPDATE rows SET state = 'planned', asset_url = NULL WHERE state = 'ready'"
        ).rowcount

    # --- inside ---

    def _prepare(self, service: str) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        # In WAL mode only FULL syncs every commit; without it a power cut forgets intents.
        self._db.execute("PRAGMA synchronous = FULL")
        with self.transaction():
            old = "1" if has_tables(self._db) and self.fact("layout") == "1" else None
            for statement in (*(FROM_LAYOUT_1.split(";\n") if old else ()), *SCHEMA.split(";\n")):
                self._db.execute(statement)
            self._db.execute("INSERT OR IGNORE INTO facts VALUES ('layout', ?)", (LAYOUT,))
            self._db.execute("INSERT OR IGNORE INTO facts VALUES ('service', ?)", (service,))
        self._check_layout()
        if (recorded := self.fact("service")) != service:
            raise LedgerError(
                f"{self.path} belongs to a run against {recorded}, and this one goes to "
                f"{service}: its rows would look done where nothing was made. Use another --ledger"
            )
        with self.transaction():
            self._db.execute(
                "UPDATE rows SET state = 'doubt', error = ?, doubt_at = ?, changed_at = ? "
                "WHERE state = 'intent'",
                ("the process that sent it died before the answer came", time.time(), time.time()),
            )
            # Doubts of an earlier run have the whole time again: nobody looked meanwhile.
            self._db.execute("UPDATE rows SET doubt_at = ? WHERE state = 'doubt'", (time.time(),))
            self.videos.prepare()

    def _claim(self, row_id: int, avatar_id: str, evidence: str) -> None:
        """-> done; sqlite3.IntegrityError, and nothing changed, where another row has the id.

        A statement that fails takes back what it did, and leaves its transaction as it was.
        """
        self._db.execute(
            "UPDATE rows SET state = 'done', avatar_id = ?, evidence = ?, error = NULL, "
            "changed_at = ? WHERE id = ?",
            (avatar_id, evidence, time.time(), row_id),
        )

    def _note(self, row_id: int, event: str) -> None:
        """Remember an unusual turn of a row; `history` tells them."""
        self._db.execute("INSERT INTO history VALUES (?, ?, ?)", (row_id, time.time(), event))

    def _set(self, row_id: int, state: State, **columns: str | float | None) -> None:
        changes = {"state": state, "changed_at": time.time(), **columns}
        assigned = ", ".join(f"{name} = ?" for name in changes)
        self._db.execute(f"UPDATE rows SET {assigned} WHERE id = ?", (*changes.values(), row_id))


_OPEN = "id = ? AND state IN ('planned', 'ready') AND digest = coalesce(?, digest)"

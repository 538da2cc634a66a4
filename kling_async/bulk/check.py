"""Can this whole input be carried out? Asked once, before anything is sent.

The command line calls `check_input`, in a thread, and for a dry run what is in `named.py`.
Rows are judged by `inputs.py`; here they are compared with each other, with the ledger and with
the voices there are. Memory grows with the accounts and voices that are named, not with the rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from typing import Protocol

from attrs import define, evolve, field, frozen

from ..errors import ConfigurationError
from .columns import WHOLE_ROW
from .inputs import read_rows
from .located import PROBLEMS_KEPT, InputError, Located, StrPath
from .rows import RowInput
from .videorows import VideoInput

BATCH_ROWS = 500
"""Rows that the ledger is asked about at once; SQLite takes at least 999 values in a query."""
SPEAKERS_KEPT = 10_000


class KnownRows(Protocol):
    """What a ledger knows of earlier runs."""

    def lookup(self, keys: Sequence[str]) -> Mapping[str, str]:
        """Key -> digest, of those of `keys` (at most `BATCH_ROWS`) that the ledger has."""
        ...

    def videos_sent(self, keys: Sequence[str]) -> Mapping[str, str]:
        """Key -> digest of the video, of those of `keys` whose video was sent."""
        ...

    def count(self) -> int:
        """How many rows the ledger has."""
        ...


@frozen
class VoiceUse:
    """A voice, and perhaps an emotion, that rows of one account ask for."""

    account: str | None
    speaker: str
    emotion: str | None
    for_video: bool = False
    """Whether a video's text is spoken with it; else it is to be an avatar's own."""


@frozen(kw_only=True)
class Checked:
    """What a run needs to know of an input that has no fault."""

    rows: int
    accounts: frozenset[str]
    """All that are named."""
    images: int
    """Rows whose picture has to be uploaded."""
    without_account: int
    """Rows that leave the account to the registry."""
    speakers: Mapping[VoiceUse, int | None]
    """Each distinct use -> the first line it occurs on; at most `SPEAKERS_KEPT`."""
    speakers_unkept: int = 0
    """Rows with a use beyond those, which only the server will judge."""
    videos: int = 0
    """Rows that ask for a video."""
    audios: int = 0
    """Videos whose audio has to be uploaded."""
    avatars: Mapping[tuple[str | None, str], int | None] = field(factory=dict)
    """Each (account, avatar) that rows name as there already -> its first line; bounded alike."""


def check_input(
    path: StrPath,
    *,
    known: KnownRows | None = None,
    on_row: Callable[[int], None] | None = None,
) -> Checked:
    """What is in the input, if every row of it can be sent.

    Args:
        path: the input file.
        known: the ledger's rows; default: there is no ledger yet.
        on_row: told each row's position when it was looked at.

    Raises:
        InputError: with the first problems of all rows, in the order of the file, and their count.
        ConfigurationError: the temporary folder can't hold the list of keys.
    """
    problems, tally = _Problems(str(path)), _Tally()
    rows = read_rows(path)
    broken: InputError | None = None
    with closing(_Keys()) as keys:
        while broken is None:
            batch, broken = _batch(rows)
            named = [row.key for row in batch]
            digests = known.lookup(named) if known is not None and batch else {}
            videos = known.videos_sent(named) if known is not None and batch else {}
            for row in batch:
                problems.note_row(row, keys.first_line(row), digests.get(row.key))
                problems.note_video(row, videos.get(row.key))
                tally.add(row)
                if on_row is not None:
                    on_row(row.position)
            if len(batch) < BATCH_ROWS:
                break
    if broken is not None:
        problems.join(broken)
    elif known is not None:
        problems.note_missing(known.count())
    if problems.kept:
        raise InputError(problems.kept, problems.more)
    return tally.checked()


def _batch(rows: Iterator[RowInput]) -> tuple[list[RowInput], InputError | None]:
    """The next rows, and what broke the file behind them if anything did."""
    batch = list[RowInput]()
    try:
        # Row by row: a list() around it would lose the rows before the fault.
        for row in islice(rows, BATCH_ROWS):
            batch.append(row)
    except InputError as exc:
        return batch, exc
    return batch, None


class _Keys:
    """The keys so far, in a temporary SQLite file: a million of them would not fit in memory."""

    def __init__(self) -> None:
        # "" is a database on disk that is gone when it is closed. Nothing is to be recovered
        # from it, so it does without journal and commits.
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("CREATE TABLE seen (key TEXT PRIMARY KEY, line INT) WITHOUT ROWID")
        self._db.execute("BEGIN")

    def close(self) -> None:
        self._db.close()

    def first_line(self, row: RowInput) -> int | None:
        """The line on which the row's key was used before; None where it is new, and now noted."""
        try:
            values = (row.key, row.line)
            if self._db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", values).rowcount:
                return None
            found = self._db.execute("SELECT line FROM seen WHERE key = ?", (row.key,)).fetchone()
        except sqlite3.Error as exc:
            raise ConfigurationError(
                f"the temporary folder can't hold the list of keys ({exc}); make room there, or "
                "set SQLITE_TMPDIR to another folder"
            ) from exc
        return int(found[0])


@define
class _Problems:
    """The first problems, the count of the others, and what the ledger's count is held against."""

    file: str
    kept: list[Located] = field(factory=list)
    more: int = 0
    known: int = 0
    all_read: bool = True

    def note_row(self, row: RowInput, first_line: int | None, digest: str | None) -> None:
        """What is wrong with the row by itself, beside the others, and by the ledger."""
        for name, text in row.problems.items():
            self._note(row.line, None if name == WHOLE_ROW else name, text)
        if WHOLE_ROW in row.problems or "key" in row.problems:
            self.all_read = False
        if first_line is not None:
            text = f"{row.key!r} is already used on line {first_line}; keys must differ"
            self._note(row.line, "key", text)
        elif digest is not None:
            self.known += 1
            if digest != row.digest and not row.problems:  # a row to be mended differs anyway
                text = (
                    f"this row (key {row.key!r}) was different when the ledger recorded it; use "
                    "another --ledger, or restore the row"
                )
                self._note(row.line, None, text)

    def note_video(self, row: RowInput, digest: str | None) -> None:
        """Whether the row's video is the one that was sent."""
        now = None if row.video is None else row.video.digest
        if digest is not None and digest != now and not row.problems:
            text = (
                f"the video of this row (key {row.key!r}) was different when it was sent; use "
                "another key or --ledger, or restore its text, audio and voice"
            )
            self._note(row.line, None, text)

    def note_missing(self, in_ledger: int) -> None:
        """Rows that the ledger has and the input lacks: known only once every row was read."""
        missing = in_ledger - self.known
        if self.all_read and missing > 0:
            rows = "1 row" if missing == 1 else f"{missing} rows"
            self._note(
                None,
                None,
                f"the ledger has {rows} that this input lacks, so it belongs to another input "
                "(rows may be added at the end of an input, never changed or taken away); put "
                "them back, or use another --ledger",
            )

    def join(self, broken: InputError) -> None:
        """The problems of a file that could not be read to its end."""
        for one in broken.problems:
            self._note(one.line, one.column, one.text)
        self.more += broken.more

    def _note(self, line: int | None, column: str | None, text: str) -> None:
        if len(self.kept) < PROBLEMS_KEPT:
            self.kept.append(Located(self.file, line, column, text))
        else:
            self.more += 1


@define
class _Tally:
    """A `Checked` in the making."""

    rows: int = 0
    accounts: set[str] = field(factory=set)
    images: int = 0
    without_account: int = 0
    speakers: dict[VoiceUse, int | None] = field(factory=dict)
    speakers_unkept: int = 0
    videos: int = 0
    audios: int = 0
    avatars: dict[tuple[str | None, str], int | None] = field(factory=dict)

    def add(self, row: RowInput) -> None:
        self.rows += 1
        if row.problems:  # so no `Checked` will come of this
            return
        request = row.request
        named = row.payload.get("email")
        account = None if named is None else str(named)
        if account is None:
            self.without_account += 1
        else:
            self.accounts.add(account)
        if row.avatar_id is not None and len(self.avatars) < SPEAKERS_KEPT:
            self.avatars.setdefault((account, row.avatar_id), row.line)
        own = None
        if request is not None:
            self.images += request.image is not None
            if request.tts_speaker is not None:
                own = VoiceUse(account, request.tts_speaker, request.tts_emotion)
                self._speaks(own, row.line)
        if row.video is not None:
            self._add_video(row.video, account, own, row.line)

    def _add_video(
        self, video: VideoInput, account: str | None, own: VoiceUse | None, line: int | None
    ) -> None:
        self.videos += 1
        self.audios += "audio" in video.payload
        if "text" not in video.payload:
            return
        emotion = video.payload.get("emotion")
        use = VoiceUse(
            account,
            str(video.payload["speaker_id"]),
            None if emotion is None else str(emotion),
            for_video=True,
        )
        if own is None or evolve(use, for_video=False) != own:  # else it is the avatar's own voice
            self._speaks(use, line)

    def _speaks(self, use: VoiceUse, line: int | None) -> None:
        if use in self.speakers:
            return
        if len(self.speakers) < SPEAKERS_KEPT:
            self.speakers[use] = line
        else:
            self.speakers_unkept += 1

    def checked(self) -> Checked:
        return Checked(
            rows=self.rows,
            accounts=frozenset(self.accounts),
            images=self.images,
            without_account=self.without_account,
            speakers=self.speakers,
            speakers_unkept=self.speakers_unkept,
            videos=self.videos,
            audios=self.audios,
            avatars=self.avatars,
        )

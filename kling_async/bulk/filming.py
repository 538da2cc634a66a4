"""How does a row's avatar become a video on disk? Audio, ready, intent, job, wait, download.

`studio.py` has many of these turns under way at once. Each step is one arrow (or more) of the state
machine in `videoledger.py`, so a run goes on wherever an earlier one ended.
"""

from __future__ import annotations

import asyncio
import glob
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import evolve

from .._calls.pipeline import Options, Pipeline
from .._calls.retry import parks
from ..errors import (
    JSON,
    DeadlineExceededError,
    GoneError,
    InvalidRequestError,
    KlingError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitedError,
    TaskFailedError,
)
from ..models.assets import UploadAsset
from ..models.tasks import Task
from ..models.tts import CreateSpeech
from .equipment import Equipment
from .journal import Journal
from .records import Record
from .rows import BulkRow
from .setbacks import Setbacks, fatal
from .videodoubts import VideoDoubts
from .videorecords import UNSETTLED, TokenKind, VideoRecord
from .videorows import OF_AVATAR, video_request
from .witness import OvertakenError, RowWitness

RENDERED_CHARS = 150
"""Texts up to this length, the only limit documented for it, are rendered to audio first: a job
with audio of its own can be told from all others even after it ended."""
PLACE_WITHIN_S = 3600.0
"""How long a video waits for a free job slot; jobs of others may hold them all."""


class Filming:
    """Makes videos of rows, one call of `film` each.

    Args:
        pipeline: sends.
        options: of each call; a lost answer is not looked for call by call.
        journal: remembers.
        equipment: waits and downloads.
        doubts: looks for what was lost.
        setbacks: knows what stops more than one row.
        stopping: whether the run begins nothing any more.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        options: Options,
        journal: Journal,
        equipment: Equipment,
        doubts: VideoDoubts,
        setbacks: Setbacks,
        stopping: Callable[[], bool],
    ) -> None:
        self.running = 0
        """Jobs at Kling that are waited for."""
        self.left_running = 0
        """Jobs at Kling that were not waited for to their end."""
        self._begun: set[int] = set()
        """Rows whose job began in this run, and is not waited for yet."""
        self._pipeline = pipeline
        self._options = options
        self._journal = journal
        self._equipment = equipment
        self._doubts = doubts
        self._setbacks = setbacks
        self._stopping = stopping
        self._steps: dict[str, Callable[[Record, VideoRecord, RowWitness], Awaitable[None]]] = {
            "planned": self._prepare,
            "ready": self._begin,
            "running": self._await_end,
            "made": self._save,
        }

    async def film(self, record: Record, witness: RowWitness) -> BulkRow | None:
        """One row from its avatar to its file; None where it goes on elsewhere or in another run.

        That is: its job is being looked for, or the run stops.
        """
        if record.video is not None and record.video.state in UNSETTLED:
            record = await self._looked_again(record)
        while (video := record.video) is not None:
            if video.state == "doubt" or self._stopping():
                self.left_running += video.state == "running"
                return None
            step = self._steps.get(video.state)
            if step is None:
                break
            if video.state in ("planned", "ready"):
                why = self._setbacks.no_videos(record.account)
                if why is not None:
                    return evolve(record.result(), error=why)
            try:
                await step(record, video, witness)
            except KlingError as exc:
                if fatal(exc):
                    raise
                witness.settling = True
                if await self._in_doubt(record, witness, exc):
                    return None
                if (why := await self._set_back(record, video, exc)) is not None:
                    return evolve((await self._now(record)).result(), error=why)
            record = await self._now(record)
            witness.settling = False
        return record.result()

    # --- the steps ---

    async def _prepare(self, record: Record, video: VideoRecord, witness: RowWitness) -> None:
        """Planned -> ready: audio of its own goes up, or is rendered, once."""
        row_id, given = record.id, video.payload.get("audio_url")
        own, kind = await self._own_audio(video.payload, record.account)
        named = own
        if own is None and isinstance(given, str):
            named, kind = given, "url"
        await self._journal.write(lambda ledger: ledger.videos.ready(row_id, own, named, kind))

    async def _own_audio(
        self, payload: Mapping[str, JSON], account: str | None
    ) -> tuple[str | None, TokenKind | None]:
        """The address of audio that is there for this row alone, and how it came to be."""
        audio, text = payload.get("audio"), payload.get("text")
        if isinstance(audio, str):
            upload = await asyncio.to_thread(UploadAsset, file=audio, email=account)
            return (await self._pipeline.send(upload, self._options)).usable_url, "upload"
        if isinstance(text, str) and len(text) <= RENDERED_CHARS:
            voice: dict[str, Any] = {name: payload.get(name) for name in OF_AVATAR}
            request = CreateSpeech(text=text, email=account, **voice)
            speech = await self._pipeline.send(request, self._options)
            if speech.url is not None:  # else it is not ready yet: the text goes out as it is
                return speech.url, "speech"
        return None, None

    async def _begin(self, record: Record, video: VideoRecord, witness: RowWitness) -> None:
        """Ready -> running: the paid step."""
        account, row_id = record.account, record.id
        await self._first_look(account)
        if (now := await self._now(record)).video is None or now.video.state != "ready":
            return  # an old ledger that was restored: its job had begun already
        request = await asyncio.to_thread(_request, record, video)
        try:
            task = await self._sent(request, witness)
        except OvertakenError:
            return
        await self._journal.write(lambda ledger: ledger.videos.running(row_id, account, task.id))
        self._begun.add(row_id)
        witness.in_flight = False

    async def _await_end(self, record: Record, video: VideoRecord, witness: RowWitness) -> None:
        """Running -> made."""
        row_id, task_id = record.id, video.task_id or 0
        self.running += 1
        try:
            task = await self._equipment.wait(
                task_id, record.account, self._options, begun_now=row_id in self._begun
            )
        except asyncio.CancelledError:
            self.left_running += 1
            raise
        finally:
            self.running -= 1
            self._begun.discard(row_id)
        if not task.works:
            raise DeadlineExceededError(
                f"task {task_id} has succeeded and shows no work yet", task=task
            )
        work = task.works[0]
        await self._journal.write(lambda ledger: ledger.videos.made(row_id, work.work_id, work.url))

    async def _save(self, record: Record, video: VideoRecord, witness: RowWitness) -> None:
        """Made -> saved: fetched, or there already."""
        row_id = record.id
        target = (self._equipment.folder / video.file_name).absolute()
        try:
            file, size_bytes = await self._fetched(record, video, target)
        except TimeoutError:  # an OSError, and ours: it has its own meaning
            raise
        except OSError as exc:
            witness.settling = True
            raise self._setbacks.unwritable(target, exc) from exc
        await self._journal.write(lambda ledger: ledger.videos.saved(row_id, file, size_bytes))

    async def _fetched(self, record: Record, video: VideoRecord, target: Path) -> tuple[str, int]:
        """Where the whole file is, and its size in bytes."""
        place, there = str(target), await asyncio.to_thread(_size, target)
        if there is not None and video.file != place:
            raise InvalidRequestError(
                f"{target} exists, and this ledger knows nothing of it: it was not overwritten. "
                "Move it away and run `bulk retry --video`, or choose another folder"
            )
        if video.file == place:
            await asyncio.to_thread(_sweep, target)  # it was begun, and its process died
        if there is None:
            row_id = record.id
            await self._journal.write(lambda ledger: ledger.videos.claim_file(row_id, place))
        elif video.size_bytes is None:
            # Claimed and there: it was moved into place as a whole, and the process died before the
            # ledger knew. With a size on record it was whole then, and has another size now.
            return place, there
        got = await self._equipment.fetch(
            video, record.account, target, self._options, overwrite=there is not None
        )
        return str(got.path), got.size_bytes

    # --- around them ---

    async def _sent(self, request: Any, witness: RowWitness) -> Task:
        """The job. Answers 429 mean that no place is free: its turn comes when another ends.

        With one attempt asked for, one is made: the row stays to be done.
        """
        retry, clock = self._options.retry, self._pipeline.clock
        until = clock.monotonic() + PLACE_WITHIN_S
        while True:
            try:
                task: Task = await self._pipeline.send(request, self._options, witness)
            except RateLimitedError as exc:
                too_long = (exc.retry_after_s or 0) > retry.retry_after_max_s
                if retry.attempts == 1 or too_long or clock.monotonic() >= until:
                    raise
            else:
                return task

    async def _first_look(self, account: str | None) -> None:
        """What is at Kling already, once a run. Where that can't be seen, videos are made anyway:
        a lost answer is then only harder to settle.
        """
        try:
            await self._doubts.prepared(account)
        except KlingError as exc:
            if fatal(exc) or parks(exc):
                raise

    async def _looked_again(self, record: Record) -> Record:
        """A video that an earlier run left unsettled: one more look, or many if it is in doubt."""
        await self._first_look(record.account)
        now = await self._now(record)
        if now.video is not None and now.video.state == "doubt":
            self._doubts.add(record.id, record.account)
        return now

    async def _in_doubt(self, record: Record, witness: RowWitness, error: KlingError) -> bool:
        """Whether the job may have begun, and is looked for from now on by somebody else."""
        row_id, account, lost = record.id, record.account, str(error)
        if not witness.in_flight:
            return False
        if isinstance(error, DeadlineExceededError):
            await witness.retract(error)  # it ran out before the first byte
        if not isinstance(error, OutcomeUnknownError):
            return False
        await self._journal.write(lambda ledger: ledger.videos.doubt(row_id, lost))
        if parks(error.__cause__):
            self._setbacks.park(account, error)
        self._doubts.add(row_id, account)
        return True

    async def _set_back(self, record: Record, video: VideoRecord, error: KlingError) -> str | None:
        """Write down what `error` means; why the row goes on in another run, if it does."""
        row_id, account, text = record.id, record.account, str(error)
        why = self._setbacks.stuck_video(account, error)
        over = isinstance(error, (TaskFailedError, NotFoundError, GoneError))
        if why is None and video.state == "running" and not over:
            why = text  # it is paid for: as long as it may end well, it stays
        if why is not None:
            await self._journal.write(lambda ledger: ledger.videos.set_back(row_id, why))
            return why
        await self._journal.write(lambda ledger: ledger.videos.failed(row_id, text))
        return None

    async def _now(self, record: Record) -> Record:
        row_id = record.id
        return await self._journal.read(lambda ledger: ledger.row(row_id))


def _request(record: Record, video: VideoRecord) -> Any:
    """The job as it goes out."""
    known: dict[str, Any] = {
        "avatar_id": record.avatar_id,
        "reply_ref": video.reply_ref,
        "email": record.account,
    }
    if video.audio_url is None:
        return video_request(video.payload, **known)
    of_audio = ("text", "audio", "audio_url", "speaker_id", "speed", "emotion")
    rest = {name: value for name, value in video.payload.items() if name not in of_audio}
    return video_request(rest, audio_url=video.audio_url, **known)


def _sweep(file: Path) -> None:
    """Remove what a process that was killed left of a download; nothing reads it again."""
    for part in file.parent.glob(f".{glob.escape(file.name[:80])}.*.part"):
        part.unlink(missing_ok=True)


def _size(file: Path) -> int | None:
    """The size of what is there in bytes, None for nothing; its folder is, from here on."""
    file.parent.mkdir(parents=True, exist_ok=True)
    return file.stat().st_size if file.exists() else None

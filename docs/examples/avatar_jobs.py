"""What a service must not lose: jobs, from an uploaded portrait to a talking video on disk.

`fastapi_service.py` and `aiohttp_service.py` are the web around it. Two things make it safe:

- a job is a line of the table `jobs` before its caller hears of it, under an id made of the
  caller's own key, so that asking again is never a second job;
- one bulk run carries out all of them, for as long as the service lives, whoever disconnects. Its
  ledger knows what is about to be sent before it is, so that after any death nothing is lost and
  nothing is made twice: what may have been made is looked for, and never ordered again.

A webhook only makes the wait for a video shorter. One process per folder: the ledger is locked, so
that a second one would wait for the first to end.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from attrs import asdict, define

from kling_async import (
    AsyncKlingClient,
    BulkResult,
    CreateAvatar,
    CreateAvatarVideo,
    KlingError,
    Media,
)

TRY_AGAIN_S = 2.0  # while Kling is out of reach or has no place free
FINAL = ("done", "failed", "unknown")
TABLE = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, digest TEXT NOT NULL, text TEXT NOT NULL, speaker_id TEXT NOT NULL,
    reply_url TEXT, state TEXT NOT NULL, avatar_id TEXT, task_id INTEGER, file TEXT, error TEXT
) STRICT
"""
KEEP = """
INSERT OR REPLACE INTO jobs VALUES (
    :id, :digest, :text, :speaker_id, :reply_url, :state, :avatar_id, :task_id, :file, :error
)
"""
log = logging.getLogger(__name__)


class OtherJobError(Exception):
    """The key was used before, for something else."""


@define
class Job:
    """One line of the table. `state`: accepted -> done; failed; unknown.

    Unknown means that it may have been carried out and could not be found: somebody has to look
    (`kling-async bulk status FOLDER/kling.sqlite`). The next start looks again, too.
    """

    id: str
    digest: str
    text: str
    speaker_id: str
    reply_url: str | None
    state: str = "accepted"
    avatar_id: str | None = None
    task_id: int | None = None
    file: str | None = None
    error: str | None = None

    def shown(self) -> dict[str, Any]:
        """What its caller may know."""
        shown = ("id", "state", "avatar_id", "task_id", "error")
        return {name: getattr(self, name) for name in shown}


class Jobs:
    """All jobs of a service: `async with Jobs(kling, folder) as jobs`.

    Args:
        kling: an open client, closed after this.
        folder: where everything is kept; made where it is missing.
        reply_url: where Kling shall tell of progress; None: it is asked from time to time.
    """

    def __init__(
        self, kling: AsyncKlingClient, folder: Path, *, reply_url: str | None = None
    ) -> None:
        self._kling = kling
        self._folder = folder
        self._reply_url = reply_url
        self._jobs: dict[str, Job] = {}
        self._accepting = asyncio.Lock()
        self._changed = asyncio.Condition()
        self._closing = False

    async def __aenter__(self) -> Jobs:
        self._jobs = await asyncio.to_thread(self._read)
        self._run = asyncio.create_task(self._carry_out())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing = True
        async with self._changed:
            self._changed.notify_all()
        self._run.cancel()  # what is in flight may end, and is recorded
        await asyncio.gather(self._run, return_exceptions=True)

    async def accept(self, key: str, portrait: Media, text: str, speaker_id: str) -> Job:
        """The job for this key: a new one, on disk when this returns, or the one there is.

        Args:
            key: the caller's own; asking again with it gives the same job.
            portrait: looked into already.
            text: what the avatar says.
            speaker_id: with which voice.

        Raises:
            OtherJobError: the key belongs to a job with another portrait, text or voice.
        """
        job_id = hashlib.sha256(key.encode()).hexdigest()[:32]
        content = await asyncio.to_thread(portrait.read)
        asked = hashlib.sha256(content)
        asked.update(json.dumps([text, speaker_id]).encode())
        async with self._accepting:
            if (job := self._jobs.get(job_id)) is None:
                job = Job(job_id, asked.hexdigest(), text, speaker_id, self._reply_url)
                await asyncio.to_thread(_write, self._portrait(job), content)
                await self._save(job)
            elif job.digest != asked.hexdigest():
                raise OtherJobError
        return job

    def get(self, job_id: str) -> Job | None:
        """The job of this id."""
        return self._jobs.get(job_id)

    async def settled(self, job: Job, within_s: float) -> None:
        """Return when the job is final, after `within_s`, or when the service ends."""
        async with self._changed:
            over = self._changed.wait_for(lambda: job.state in FINAL or self._closing)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(over, within_s)

    # --- carrying out ---

    async def _carry_out(self) -> None:
        while True:
            try:
                results = self._kling.bulk.run(
                    self._rows(),
                    operation=[CreateAvatar, CreateAvatarVideo],
                    ledger=self._folder / "kling.sqlite",
                    save_to=self._folder / "videos",
                )
                async with aclosing(results):
                    async for result in results:
                        await self._note(result)
            except KlingError as exc:
                log.error("jobs can't be carried out: %s", type(exc).__name__)
            await asyncio.sleep(TRY_AGAIN_S)  # it has stopped; the ledger knows where to go on

    async def _rows(self) -> AsyncIterator[dict[str, Any]]:
        """Every job that is not final, once, and then each new one as it comes."""
        given = set[str]()
        while True:
            for job in [one for one in self._jobs.values() if one.id not in given]:
                given.add(job.id)
                if job.state not in FINAL[:2]:
                    yield {
                        "key": job.id,
                        "avatars.create.image": self._portrait(job),
                        "avatars.video.text": job.text,
                        "avatars.video.speaker_id": job.speaker_id,
                        "avatars.video.reply_url": job.reply_url,
                    }
            async with self._changed:
                await self._changed.wait_for(lambda: len(self._jobs) > len(given))

    async def _note(self, result: BulkResult) -> None:
        if result.state not in FINAL:
            return  # the next run goes on with it
        job = self._jobs[result.key]
        job.state, job.task_id = result.state, result.task_id
        job.avatar_id = result.steps[0].remote_id
        job.file = next(iter(result.files), None)
        if result.state != "done":
            log.warning("job %s is %s: %s", job.id, result.state, result.error)
            job.error = "it was refused" if result.state == "failed" else "it may have been made"
        await self._save(job)

    # --- keeping ---

    def _portrait(self, job: Job) -> Path:
        return self._folder / f"{job.id}.portrait"

    async def _save(self, job: Job) -> None:
        """On disk first, then known to everybody."""
        await asyncio.to_thread(self._keep, asdict(job))
        self._jobs[job.id] = job
        async with self._changed:
            self._changed.notify_all()

    def _table(self) -> sqlite3.Connection:
        return sqlite3.connect(self._folder / "jobs.sqlite", isolation_level=None)

    def _read(self) -> dict[str, Job]:
        self._folder.mkdir(parents=True, exist_ok=True)
        table = self._table()
        table.execute(TABLE)
        jobs = [Job(*one) for one in table.execute("SELECT * FROM jobs")]
        table.close()
        return {job.id: job for job in jobs}

    def _keep(self, line: dict[str, Any]) -> None:
        table = self._table()
        table.execute(KEEP, line)
        table.close()


def _write(path: Path, content: bytes) -> None:
    """On disk when this returns, as the table's line will be that names it."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())

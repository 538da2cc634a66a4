"""What a service must not lose: jobs, from an uploaded portrait to a talking video on disk.

`fastapi_service.py` and `aiohttp_service.py` are the web around it. Three rules make it safe:

- a job is on disk before its caller hears of it, under an id made of the caller's own key, so that
  asking again is never a second job;
- the paid calls go on in tasks of this class, whoever disconnects, and what goes out is on disk
  before it does. Avatars go through `create_many`, whose ledger remembers them across any death;
  a video that was being ordered when the process died is looked for, never ordered again;
- closing lets what is in flight end, for ten seconds; everything else goes on at the next start.

One process per folder; the ledger is locked, so that a second one would wait for the first to end.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing, suppress
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

from attrs import asdict, define

from kling_async import (
    AsyncKlingClient,
    BulkRow,
    CreateAvatarVideo,
    DeadlineExceededError,
    KlingError,
    Media,
    NotSentError,
    OutcomeUnknownError,
    RateLimitedError,
    ServerError,
)

CLOSE_WITHIN_S = 10.0
TRY_AGAIN_S = 2.0  # while Kling is out of reach or has no place free
LOOK_AFTER_S = (0, 1, 2, 5, 15, 30)
PASSING = (NotSentError, RateLimitedError, ServerError, DeadlineExceededError)
FINAL = ("done", "failed", "unknown")
log = logging.getLogger(__name__)


class OtherJobError(Exception):
    """The key was used before, for something else."""


@define
class Job:
    """One job. `state`: accepted -> made (avatar) -> ordering -> filming -> done; failed; unknown.

    Unknown means that it may have been carried out and could not be found: somebody has to look.
    """

    id: str
    digest: str
    text: str
    speaker_id: str
    state: str = "accepted"
    account: str | None = None
    avatar_id: str | None = None
    task_id: int | None = None
    error: str | None = None

    def shown(self) -> dict[str, Any]:
        """What its caller may know."""
        hidden = ("digest", "account", "text", "speaker_id")
        return {name: value for name, value in asdict(self).items() if name not in hidden}


class _Order:
    """Is told when a video's order goes out, before it does: an `IntentLog`."""

    def __init__(self, save: Callable[..., Awaitable[None]], job: Job) -> None:
        self.begun = False
        self._save = save
        self._job = job

    async def record(self, account: str | None, attempt: int) -> None:
        self.begun = True
        await self._save(self._job, state="ordering")

    async def retract(self, error: KlingError | None) -> None:
        await self._save(self._job, state="made")
        self.begun = False


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
        self._tasks: set[asyncio.Task[None]] = set()
        self._orders: dict[asyncio.Task[None], _Order] = {}
        self._closing = False

    async def __aenter__(self) -> Jobs:
        self._jobs = await asyncio.to_thread(_read_all, self._folder)
        self._start(self._make_avatars())
        for job in self._jobs.values():
            if job.avatar_id is not None and job.state not in FINAL:
                self._start(self._film(job))
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
        for task in self._tasks:
            task.cancel()  # create_many lets its own calls in flight end, for as long
        for task, order in self._orders.items():
            if not order.begun:
                task.cancel()
        if self._orders:
            await asyncio.wait(self._orders, timeout=CLOSE_WITHIN_S)
        for task in self._orders:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._orders, return_exceptions=True)

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
                job = Job(job_id, asked.hexdigest(), text, speaker_id)
                await asyncio.to_thread(_write, self._portrait(job), content)
                await self._save(job)
            elif job.digest != asked.hexdigest():
                raise OtherJobError
        return job

    def get(self, job_id: str) -> Job | None:
        """The job of this id."""
        return self._jobs.get(job_id)

    def video(self, job: Job) -> Path:
        """Where its video is, once it is done."""
        return self._folder / f"{job.id}.mp4"

    async def settled(self, job: Job, within_s: float) -> None:
        """Return when the job is final, after `within_s`, or when the service ends."""
        async with self._changed:
            over = self._changed.wait_for(lambda: job.state in FINAL or self._closing)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(over, within_s)

    # --- avatars: one bulk run for as long as the service lives ---

    async def _make_avatars(self) -> None:
        while True:
            try:
                rows = self._kling.avatars.create_many(
                    self._rows(), ledger=self._folder / "avatars.sqlite", concurrency=16
                )
                async with aclosing(rows):
                    async for row in rows:
                        await self._made(row)
            except KlingError as exc:
                log.error("avatars can't be made: %s", type(exc).__name__)
            await asyncio.sleep(TRY_AGAIN_S)  # it has stopped; the ledger knows where to go on

    async def _rows(self) -> AsyncIterator[dict[str, Any]]:
        """Every job without an avatar, once, and then each new one as it comes."""
        given = 0
        while True:
            for job in tuple(islice(self._jobs.values(), given, None)):
                given += 1
                if job.avatar_id is None and job.state != "failed":
                    yield {"key": job.id, "image": self._portrait(job)}
            async with self._changed:
                while len(self._jobs) == given:
                    await self._changed.wait()

    async def _made(self, row: BulkRow) -> None:
        job = self._jobs[row.key]
        if row.state == "created":
            job.avatar_id, job.account = row.avatar_id, row.account
            await self._save(job, state="made", error=None)
            self._start(self._film(job))
        elif row.state == "failed":
            await self._save(job, state="failed", error="its avatar was refused")
        elif row.state == "unknown":  # the next start looks again
            await self._save(job, state="unknown", error="its avatar may exist")

    # --- videos: one task each ---

    async def _film(self, job: Job) -> None:
        if job.state == "ordering":
            await self._look_for(job)
        while job.state not in FINAL:
            try:
                if job.task_id is None:
                    await self._ordered(job)
                else:
                    task = await self._kling.tasks.wait(job.task_id, email=job.account)
                    await self._kling.assets.download(task, self.video(job))
                    await self._save(job, state="done")
            except PASSING:
                await asyncio.sleep(TRY_AGAIN_S)
            except KlingError as exc:
                await self._save(job, state="failed", error=type(exc).__name__)

    async def _ordered(self, job: Job) -> None:
        """Order its video, in a task that outlives this one: it may be cancelled, an order not."""
        order = _Order(self._save, job)
        task = asyncio.create_task(self._order(job, order))
        self._orders[task] = order
        task.add_done_callback(self._orders.pop)
        await asyncio.shield(task)

    async def _order(self, job: Job, order: _Order) -> None:
        video = CreateAvatarVideo(
            avatar_id=job.avatar_id,
            text=job.text,
            speaker_id=job.speaker_id,
            reply_url=self._reply_url,
            reply_ref=job.id,
            email=job.account,
        )
        try:
            # As kling.avatars.video(...), but `order` is told before it goes out.
            task = await self._kling.send(video, intent_log=order)
        except OutcomeUnknownError:
            await self._look_for(job)
        else:
            await self._save(job, state="filming", task_id=task.id)

    async def _look_for(self, job: Job) -> None:
        """Its order went out and no answer came: it is known by its reference, while it runs."""
        for pause_s in LOOK_AFTER_S:
            await asyncio.sleep(pause_s)
            try:
                running = await self._kling.scheduler.running()
            except KlingError:
                continue
            for one in running:
                if one.reply_ref == job.id:
                    await self._save(job, state="filming", task_id=one.id)
                    return
        await self._save(job, state="unknown", error="its video may have been ordered")

    # --- keeping ---

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a job's task ended", exc_info=error)

    def _portrait(self, job: Job) -> Path:
        return self._folder / f"{job.id}.portrait"

    async def _save(self, job: Job, **changes: Any) -> None:
        """On disk first, then known to everybody."""
        as_json = json.dumps({**asdict(job), **changes})
        await asyncio.to_thread(_write, self._folder / f"{job.id}.json", as_json.encode())
        for name, value in changes.items():
            setattr(job, name, value)
        self._jobs[job.id] = job
        async with self._changed:
            self._changed.notify_all()


def _read_all(folder: Path) -> dict[str, Job]:
    folder.mkdir(parents=True, exist_ok=True)
    jobs = (Job(**json.loads(path.read_bytes())) for path in sorted(folder.glob("*.json")))
    return {job.id: job for job in jobs}


def _write(path: Path, content: bytes) -> None:
    """The whole file or none of it, and on disk when this returns."""
    temporary = path.with_suffix(path.suffix + ".new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name, too
    finally:
        os.close(folder)

"""How do a task's works become files? Wait for its end, then one file a work, each under a name of
its own.

A file is reserved in the ledger before it is written, so what is there after a crash is known to be
ours; one that the ledger knows nothing of is never overwritten.
"""

from __future__ import annotations

import asyncio
import glob
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from attrs import evolve

from .. import settings
from .._calls.pipeline import Options
from .._files.downloads import Downloads
from .._polling.waiter import TaskWaiter
from .._polling.watched import PollSchedule
from ..errors import JSON, InvalidRequestError, LedgerError, TaskFailedError
from ..models.tasks import Task, Work, WorkResource
from .filenames import file_name, name_key, with_digest
from .health import NotKeptError
from .ledger import Ledger
from .records import Applied, Change, Row, Step, WorkRecord

POLL = PollSchedule()
"""When a task is looked at."""
_ENDINGS = {
    "video": (".mp4", ".mov", ".webm"),
    "audio": (".mp3", ".wav", ".m4a", ".flac", ".aac", ".ogg"),
    "image": (".png", ".jpg", ".jpeg", ".webp", ".gif"),
}
"""Kind of work -> how its file may end; the first where its address does not say."""


class Works:
    """Brings what tasks made.

    Args:
        ledger: remembers which file is whose.
        waiter: waits for tasks.
        downloads: brings files.
        folder: where the files go, made where it is missing; None: no step saves anything.
    """

    def __init__(
        self,
        ledger: Ledger,
        waiter: TaskWaiter,
        downloads: Downloads,
        folder: Path | None,
    ) -> None:
        self.folder = folder
        self._ledger = ledger
        self._waiter = waiter
        self._downloads = downloads

    async def wait(self, step: Step, options: Options, begun: Task | None) -> Task:
        """The task's final record; `TaskFailedError` where it failed.

        Args:
            step: whose task it is.
            options: of each look.
            begun: what its create answered in this run, so that it takes a while yet.
        """
        task_id = step.task_number
        states = self._waiter.watch(
            task_id,
            begun,
            options,
            email=step.account,
            poll=POLL,
            deadline_s=settings.WAIT_WITHIN_S,
            begun=True,  # its id was answered or found: a 404 is not the end of it
            follow=True,
        )
        return await self._waiter.wait(states)

    @staticmethod
    def records(task: Task) -> tuple[WorkRecord, ...]:
        """What the task made, as the ledger keeps it; without the works that failed.

        Raises:
            TaskFailedError: all of them did.
        """
        if task.works and all(work.failed for work in task.works):
            raise TaskFailedError(
                f"task {task.id} has succeeded, and all {len(task.works)} of its works failed",
                task=task,
            )
        return tuple(
            WorkRecord(
                number=number,
                work_id=str(work.work_id),
                url=work.url,
                content_type=work.content_type,
            )
            for number, work in enumerate(task.works, start=1)
            if not work.failed
        )

    async def save(self, step: Step, options: Options, *, label: str = "") -> None:
        """Made -> done: every work of the step that has no file yet is brought.

        Args:
            step: whose works.
            options: of each call.
            label: what the files' names have behind the row's key.

        Raises:
            KlingError: one could not be; those before it are saved.
            LedgerError: there is none.
        """
        wanted = await asyncio.to_thread(_not_here, step)
        if not wanted:  # the step would be taken up again and again
            raise LedgerError(
                f"the ledger is damaged: the works of row {step.key} are to be fetched, and it has "
                "none of them. Put back a copy of it"
            )
        for work in wanted:
            await self._save(step, work, label, options, last=work is wanted[-1])

    async def _save(
        self, step: Step, work: WorkRecord, label: str, options: Options, *, last: bool
    ) -> None:
        assert self.folder is not None, "a step is made only where there is a folder"
        target = self.folder / _name(step, work, label)
        try:
            file, size_bytes = await self._fetched(step, work, target.absolute(), options)
        except TimeoutError:  # an OSError, and ours: it has its own meaning
            raise
        except OSError as exc:
            raise NotKeptError(target, exc) from exc
        values: dict[str, JSON] = {"work": work.number, "file": file, "size_bytes": size_bytes}
        saved = Change(step_id=step.id, event="saved", to="done" if last else "made", values=values)
        await self._ledger.apply(saved)

    async def _fetched(
        self, step: Step, work: WorkRecord, target: Path, options: Options
    ) -> tuple[str, int]:
        """Where the whole file is, and its size in bytes."""
        kept = None if work.file is None else Path(work.file)
        if kept is not None and kept.parent == target.parent:
            target = kept  # under the name that it was given first
        there = await asyncio.to_thread(_size, target)
        if there is not None and kept != target:
            raise InvalidRequestError(
                f"{target} exists, and this ledger knows nothing of it: it was not overwritten. "
                "Move it away and run `bulk retry --video`, or choose another folder"
            )
        if kept == target:
            await asyncio.to_thread(_sweep, target)  # it was begun, and its process died
        if there is None:
            target = await self._reserve(step, work, target)
        elif work.size_bytes is None:
            # Reserved and there: it was moved into place as a whole, and the process died before
            # the ledger knew. With a size on record it was whole then, and has another size now.
            return str(target), there
        got = await self._downloads.bring(
            Work(
                work_id=_number(work.work_id),
                content_type=work.content_type,
                resource=WorkResource(url=work.url),
            ),
            target,
            options,
            file_type=None,
            clean=None,
            overwrite=there is not None,
            email=step.account,
        )
        return str(got.path), got.size_bytes

    async def _reserve(self, step: Step, work: WorkRecord, target: Path) -> Path:
        """The path that is this work's from now on: no other row's, whatever the file system."""
        stem, ending = target.name.removesuffix(target.suffix), target.suffix
        for name in (target.name, with_digest(step.key, stem, ending), f"{stem}-{step.id}{ending}"):
            path = target.with_name(name)
            values: dict[str, JSON] = {"work": work.number, "file": str(path)}
            values["name_key"] = name_key(name)
            reserved = Change(step_id=step.id, event="reserved", values=values)
            if await self._ledger.apply(reserved) is not Applied.CLAIMED:
                return path
        raise InvalidRequestError(f"{target} is the file of another row of this ledger")


def _name(step: Step, work: WorkRecord, label: str) -> str:
    """The row's key, with the work's number where there are several."""
    kind = work.content_type or "video"
    ending = _ENDINGS.get(kind, (".mp4",))[0]
    if work.url is not None:
        served = PurePosixPath(urlsplit(work.url).path).suffix.lower()
        ending = served if served in _ENDINGS.get(kind, ()) else ending
    number = "" if len(step.works) == 1 else f"-{work.number}"
    return file_name(f"{step.key}{label}{number}", ending)


async def with_files(
    ledger: Ledger, rows: Sequence[Row], saves: Callable[[Step], bool]
) -> Sequence[Row]:
    """The rows; a step whose file is not as it was saved is made, so that it is brought again."""
    saved = [
        step
        for row in rows
        for step in row.steps
        if step.state == "done" and step.works and saves(step)
    ]
    if not saved:
        return rows
    lost = await asyncio.to_thread(_lost, saved)  # and what is left of a cut file is gone
    for step, number in lost:
        change = Change(step_id=step.id, event="file_lost", values={"work": number})
        await ledger.apply(change)
    changed = {step.row_id for step, _ in lost}
    return [
        evolve(await ledger.row_of(row.id), differs=row.differs, duplicate=row.duplicate)
        if row.id in changed
        else row
        for row in rows
    ]


def _lost(steps: list[Step]) -> list[tuple[Step, int]]:
    lost = [
        (step, work)
        for step in steps
        for work in step.works
        if work.size_bytes is not None and not _is_whole(work)
    ]
    for _, work in lost:
        if work.file is not None:
            with suppress(OSError):  # whatever is wrong with it is said when it is written
                Path(work.file).unlink(missing_ok=True)
    return [(step, work.number) for step, work in lost]


def _not_here(step: Step) -> list[WorkRecord]:
    """The works without a whole file; never none, as its last one makes a step done."""
    wanted = [one for one in step.works if one.size_bytes is None or not _is_whole(one)]
    return wanted or list(step.works[-1:])


def _is_whole(work: WorkRecord) -> bool:
    try:
        return Path(work.file or "").stat().st_size == work.size_bytes
    except OSError:
        return False


def _sweep(file: Path) -> None:
    """Remove what a process that was killed left of a download; nothing reads it again."""
    for part in file.parent.glob(f".{glob.escape(file.name[:80])}.*.part"):
        part.unlink(missing_ok=True)


def _size(file: Path) -> int | None:
    """The size of what is there in bytes, None for nothing; its folder is, from here on."""
    file.parent.mkdir(parents=True, exist_ok=True)
    return file.stat().st_size if file.exists() else None


def _number(work_id: str | None) -> int:
    if work_id is None or work_id.isdecimal():
        return int(work_id or 0)
    raise LedgerError(f"the ledger has a work of the id {work_id!r}, which is no number of Kling's")

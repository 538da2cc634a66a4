"""What is paid for a bulk row? What it becomes: asked for, shown, kept and made in truth.

A row is named like its avatar, so that whoever looks at the emulator knows whose a thing is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from pathlib import Path
from typing import Any, Protocol

from attrs import frozen
from bench import Bench, picture
from jobs import in_ledger
from pictures import png

from kling_async import AsyncKlingClient, BulkResult, BulkRow
from kling_async.bulk.records import Row
from kling_async.emulator.voices import VOICES

KEYS = ("row-1", "row-2")
UNDER_SUSPICION = ("intent", "doubt", "unknown")


@frozen
class Kept:
    """What the ledger says of the paid step of one row."""

    state: str
    evidence: str | None
    attempts: int
    made_id: str | None


class Step(Protocol):
    """One of the things that are paid for."""

    turn: int
    """The turn of the first row's create in a run, counted from 1."""
    success: str
    """Its last state in the ledger."""
    deadline_s: float
    """Of each call, for a fault that needs one."""

    async def prepare(self, bench: Bench) -> None:
        """Make what is there before."""

    def rows(self, out: asyncio.Event) -> Iterable[Any] | AsyncIterable[Any]:
        """The two rows; `out` is set when a result has come."""

    def run(self, kling: AsyncKlingClient, rows: Any, path: Path) -> AsyncIterator[Any]:
        """The run whose ledger that is."""

    def shown(self, row: Any) -> str | None:
        """The state that the caller sees."""

    def kept(self, row: Row) -> Kept:
        """What the ledger says."""

    def made(self, bench: Bench) -> dict[str, str]:
        """What was made in truth since, and for which row: id -> key."""


class AvatarStep:
    """Rows that become avatars, one after the other."""

    turn = 2  # after the listing
    success = "done"
    deadline_s = 0.4

    async def prepare(self, bench: Bench) -> None:
        await bench.made_before("old")

    def rows(self, out: asyncio.Event) -> list[dict[str, Any]]:
        return [
            {"key": key, "nickname": key, "prompt": "p", "image_url": picture(key)} for key in KEYS
        ]

    def run(self, kling: AsyncKlingClient, rows: Any, path: Path) -> AsyncIterator[Any]:
        return kling.avatars.create_many(rows, ledger=path, concurrency=1)

    def shown(self, row: BulkRow) -> str | None:
        return row.state

    def kept(self, row: Row) -> Kept:
        one = row.steps[0]
        evidence = one.evidence and one.evidence.removesuffix("-by-likeness")  # or by its address
        return Kept(one.state, evidence, one.attempts, one.remote_id)

    def made(self, bench: Bench) -> dict[str, str]:
        return {one.id: one.nickname for one in bench.emulator.avatars if one.nickname in KEYS}


class FilmStep:
    """Rows whose avatars are there, and whose videos are made.

    The second is given when the first has come out, so that turns can be counted: the videos of an
    account are made side by side.
    """

    turn = 5  # after the accounts, the speech, the running jobs and the tasks
    success = "saved"
    deadline_s = 1.5  # the same one is the download's, too

    def __init__(self) -> None:
        self._avatars: dict[str, str] = {}

    async def prepare(self, bench: Bench) -> None:
        self._avatars = {key: await bench.made_before(key) for key in KEYS}

    async def rows(self, out: asyncio.Event) -> AsyncGenerator[dict[str, Any], None]:
        voice = VOICES[0].speaker_id
        for key, avatar_id in self._avatars.items():
            yield {"key": key, "avatar_id": avatar_id, "text": f"I am {key}", "speaker_id": voice}
            await out.wait()

    def run(self, kling: AsyncKlingClient, rows: Any, path: Path) -> AsyncIterator[Any]:
        videos = path.with_name("films")
        return kling.avatars.create_many(rows, ledger=path, concurrency=1, videos=videos)

    def shown(self, row: BulkRow) -> str | None:
        assert row.state == "created"
        return row.video_state

    def kept(self, row: Row) -> Kept:
        video = row.steps[1]
        if video.state == "done":
            (work,) = video.works
            assert Path(str(work.file)).stat().st_size == work.size_bytes
        state = "saved" if video.state == "done" else video.state
        return Kept(state, video.evidence, video.attempts, video.remote_id)

    def made(self, bench: Bench) -> dict[str, str]:
        whose = {picture(key): key for key in KEYS}
        return {
            str(task.id): key
            for task in bench.emulator.tasks
            for url in task.input_urls
            if (key := whose.get(url)) is not None
        }


class TextStep:
    """Rows that become videos of a text, one after the other."""

    operation = "videos.text2video"
    turn = 4  # after the accounts, the running jobs and the tasks
    success = "saved"
    deadline_s = 1.5  # the same one is the download's, too
    files = 1

    async def prepare(self, bench: Bench) -> None:
        pass

    def row(self, key: str) -> dict[str, Any]:
        """What a row says."""
        return {"prompt": key}

    async def rows(self, out: asyncio.Event) -> AsyncGenerator[dict[str, Any], None]:
        for key in KEYS:
            yield {"key": key, **self.row(key)}
            await out.wait()

    def run(self, kling: AsyncKlingClient, rows: Any, path: Path) -> AsyncIterator[Any]:
        options: dict[str, Any] = {"save_to": path.with_name("files")} if self.files else {}
        return kling.bulk.run(rows, operation=self.operation, ledger=path, concurrency=1, **options)

    def shown(self, row: BulkResult) -> str | None:
        done = "saved" if self.files else "created"
        return done if row.state == "done" else row.state

    def kept(self, row: Row) -> Kept:
        (one,) = row.steps
        state = one.state
        if state == "done" and self.files:
            state = "saved"
            assert len(one.works) == self.files
            for work in one.works:
                assert Path(str(work.file)).stat().st_size == work.size_bytes
        evidence = one.evidence and one.evidence.removesuffix("-by-likeness")
        return Kept(state, evidence, one.attempts, one.remote_id)

    def made(self, bench: Bench) -> dict[str, str]:
        return {str(one.id): one.arguments["prompt"] for one in bench.emulator.tasks}


class FramesStep(TextStep):
    """Rows that become videos of a picture, a file that is uploaded for each."""

    operation = "videos.image2video_frames"
    turn = 5  # after the upload, too

    def __init__(self) -> None:
        self._file = Path()

    async def prepare(self, bench: Bench) -> None:
        self._file = bench.folder / "row.png"
        self._file.write_bytes(png())

    def row(self, key: str) -> dict[str, Any]:
        return {"prompt": key, "image": self._file}


class PictureStep(FramesStep):
    """Rows that become two pictures each, of such a file."""

    operation = "images.kolors"
    files = 2

    def row(self, key: str) -> dict[str, Any]:
        return {"prompt": key, "images": [self._file], "image_count": 2}


class ElementStep(TextStep):
    """Rows that become elements."""

    operation = "elements.create"
    turn = 2  # after the listing
    success = "done"
    deadline_s = 0.4
    files = 0

    def row(self, key: str) -> dict[str, Any]:
        return {"name": key, "cover_image_url": picture(key)}

    def made(self, bench: Bench) -> dict[str, str]:
        return {one.id: one.name.partition(" ")[0] for one in bench.emulator.elements}


STEPS: dict[str, type[Step]] = {
    "avatar in bulk": AvatarStep,
    "video in bulk": FilmStep,
    "text in bulk": TextStep,
    "frames in bulk": FramesStep,
    "picture in bulk": PictureStep,
    "element in bulk": ElementStep,
}


def kept(step: Step, path: Path) -> dict[str, Kept]:
    """What the ledger says of each row."""
    return {key: step.kept(row) for key, row in in_ledger(path).items()}


def assert_true(step: Step, path: Path, bench: Bench) -> None:
    """The ledger's ids are true and nobody's twice; what was made is known or under suspicion."""
    made, rows = step.made(bench), kept(step, path)
    have = {one.made_id: key for key, one in rows.items() if one.made_id is not None}
    assert have.items() <= made.items()
    for key in set(made.values()) & rows.keys() - set(have.values()):
        assert rows[key].state in UNDER_SUSPICION
    assert len(made) == len(set(made.values())), "it was paid for twice"

"""How does the world outlast the emulator? A file that is written anew, and uploads beside it.

`FILE` has all but the bytes of uploads; these are in the folder `FILE.files`, each once, named by
its SHA-256. One that is missing there is told as dropped, as when too many were kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .emulator import Emulator

SAVE_EVERY_S = 5.0


@asynccontextmanager
async def kept_in(
    path: Path, emulator: Emulator, told: Callable[[str], None], every_s: float = SAVE_EVERY_S
) -> AsyncGenerator[None, None]:
    """Give the emulator the world of a file, and keep it there while the context lasts.

    Args:
        path: the file; where there is none, one is begun.
        emulator: nothing was asked of it yet.
        told: hears in one line that the file can't be written; it is tried again.
        every_s: seconds of real time between two looks whether something has changed.

    Raises:
        ValueError: the file is damaged or not the emulator's; it stays as it is.
        OSError: it can't be read, or not be written at the beginning or at the end.
    """
    file = _StateFile(await asyncio.to_thread(path.resolve))
    if not await file.load(emulator):
        await file.save(emulator)
    end = asyncio.Event()
    keeper = asyncio.create_task(_keep(file, emulator, told, every_s, end))
    try:
        yield
    finally:
        end.set()  # and no cancel, which would leave a thread of its own writing
        await keeper
        if emulator.changes != file.has:  # else two of one command would write over each other
            await file.save(emulator)


async def _keep(
    file: _StateFile,
    emulator: Emulator,
    told: Callable[[str], None],
    every_s: float,
    end: asyncio.Event,
) -> None:
    said = ""
    while True:
        with suppress(TimeoutError):
            await asyncio.wait_for(end.wait(), every_s)
            return
        try:
            if emulator.changes != file.has:
                await file.save(emulator)
            said = ""
        except OSError as exc:
            now = f"can't write {file.path}: {exc.strerror or exc}; trying again"
            if now != said:
                told(now)
            said = now


class _StateFile:
    """A file and what of it is on the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.has = -1  # `changes` of the emulator when it was saved
        self._folder = path.with_name(f"{path.name}.files")
        self._mark: tuple[int, int] | None = None

    async def load(self, emulator: Emulator) -> bool:
        """Give the emulator what the file has; False where there is none."""
        found = await asyncio.to_thread(self._read)
        if found is None:
            return False
        emulator.restore_state(*found)
        self.has = emulator.changes
        return True

    async def save(self, emulator: Emulator) -> None:
        """Write all, as of now."""
        changes, (state, files) = emulator.changes, emulator.dump_state()
        await asyncio.to_thread(self._write, state, files)
        self.has = changes

    def _read(self) -> tuple[bytes, list[bytes]] | None:
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return None
        self._mark = self._seen()
        contents = list[bytes]()
        for path in sorted(self._files(), key=lambda one: one.stat().st_mtime_ns):
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() == path.name:
                contents.append(content)
        return text, contents

    def _write(self, state: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
        if self._seen() != self._mark:
            raise FileExistsError(0, "another program has written it meanwhile")
        for name, content in files.items():
            if not (self._folder / name).exists():
                self._folder.mkdir(exist_ok=True)
                _put(self._folder / name, content)
        _put(self.path, json.dumps(state, separators=(",", ":")).encode())
        self._mark = self._seen()
        for path in self._files():
            if path.name not in files:
                path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return [one for one in self._folder.glob("*") if re.fullmatch("[0-9a-f]{64}", one.name)]

    def _seen(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns


def _put(place: Path, content: bytes) -> None:
    """Whole or not at all: written beside its place, synced, and moved there."""
    beside = place.with_name(f".{place.name[:80]}.{secrets.token_hex(4)}.part")
    try:
        with beside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(place)
    finally:
        beside.unlink(missing_ok=True)

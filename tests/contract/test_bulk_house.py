"""How short is the way of a bulk row: through how many files, and frames, of ours?"""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
from films import speaking
from jobs import JumpClock, url_rows

import kling_async
from kling_async import AsyncKlingClient
from kling_async.emulator import Emulator

ROOT = Path(kling_async.__file__).parent
FILES = 45


async def test_one_row_enters_few_files(emulator: Emulator, tmp_path: Path) -> None:
    entered: set[str] = set()
    everywhere = getattr(threading, "setprofile_all_threads", None)  # since Python 3.12
    profile = sys.setprofile if everywhere is None else everywhere

    def watch(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_name != "<module>":
            entered.add(frame.f_code.co_filename)

    made = asyncio.Event()

    async def rows() -> AsyncIterator[dict[str, Any]]:
        for row in url_rows(2):
            yield row
            await made.wait()  # what is imported, opened, and looked up once, is so by then
            profile(watch)

    async with AsyncKlingClient("user:1-a", transport=emulator.transport()) as kling:
        found = kling.avatars.create_many(rows(), ledger=tmp_path / "a.sqlite", concurrency=1)
        async with aclosing(found):
            await anext(found)
            made.set()
            try:
                await anext(found)
            finally:
                profile(None)
    ours = {str(Path(name).relative_to(ROOT)) for name in entered if ROOT in Path(name).parents}
    ours = {name for name in ours if not name.startswith("emulator")}
    assert len(ours) <= FILES, "\n".join(sorted(ours))


async def test_five_frames_of_ours_lie_between_a_worker_and_httpx(
    emulator: Emulator, tmp_path: Path
) -> None:
    seen: list[list[str]] = []

    class Watching(httpx.AsyncClient):
        def send(self, request: httpx.Request, **options: Any) -> Any:
            if request.method == "POST" and "/avatars" in request.url.path:
                names = [Path(one.filename) for one in inspect.stack()]
                seen.append([one.name for one in names if ROOT in one.parents])
            return super().send(request, **options)

    async with Watching(transport=emulator.transport()) as own:
        kling = AsyncKlingClient(
            "user:1-a",
            base_url="http://127.0.0.1/v1/kling",
            http_client=own,
            clock=JumpClock(emulator),
        )
        rows = kling.avatars.create_many(
            speaking(1), ledger=tmp_path / "a.sqlite", videos=tmp_path / "films"
        )
        assert [row.video_state async for row in rows] == ["saved"]
    assert seen == [["wire.py", "pipeline.py", "steps.py", "steps.py", "runner.py"]] * 2

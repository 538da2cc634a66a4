"""Videos of texts from end to end: started, awaited, fetched; found when the answer is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from kling_async import (
    AsyncKlingClient,
    InvalidRequestError,
    OutcomeUnknownError,
    RetryPolicy,
    Shot,
    Text2Video,
)
from kling_async.emulator import Emulator, Fault

ADA, BEN = "ada@example.com", "ben@example.com"


def client(emulator: Emulator, **retry: float) -> AsyncKlingClient:
    return AsyncKlingClient(
        "user:1-a", accounts=[ADA], base_url="http://localhost/v1/kling", rate_limit=None,
        transport=emulator.transport(), retry=RetryPolicy(**retry),  # type: ignore[arg-type]
    )  # fmt: skip


async def test_from_a_text_to_a_file(tmp_path: Path) -> None:
    emulator = Emulator([ADA], job_s=0.0)
    async with client(emulator) as kling:
        task = await kling.videos.text2video(prompt="A kite", model_name="kling-v4-0", duration_s=9)
        assert task.meta.account == ADA
        done = await kling.tasks.wait(task, deadline_s=5)
        resource = done.works[0].resource
        assert resource is not None
        assert resource.duration_ms == 9000
        got = await kling.assets.download(done, tmp_path / "kite.mp4")
        assert got.path.stat().st_size == got.size_bytes > 0


async def test_shots(tmp_path: Path) -> None:
    emulator = Emulator([ADA], job_s=0.0)
    async with client(emulator) as kling:
        shots = [Shot(prompt="A kite", duration_s=3), Shot(prompt="It falls", duration_s=4)]
        task = await kling.videos.text2video(shots=shots, model_name="kling-v3-0")
        (work,) = (await kling.tasks.wait(task, deadline_s=5)).works
        assert work.resource is not None
        assert work.resource.duration_ms == 7000


@pytest.mark.looptime(resolution=1e-9)
@pytest.mark.parametrize("kind", ["reset_after", "close_without_reply"])
async def test_a_lost_answer_is_found_by_its_mark(kind: str) -> None:
    emulator = Emulator([ADA], job_s=60.0, faults=[Fault("videos.text2video", kind)])
    async with client(emulator, reconcile_within_s=5) as kling:
        task = await kling.videos.text2video(prompt="A kite")
    assert task.meta.adopted
    assert [one.id for one in emulator.tasks] == [task.id]


@pytest.mark.looptime(resolution=1e-9)
async def test_what_is_over_before_it_is_looked_for_is_never_guessed() -> None:
    """It has no file of its own, and the history shows no mark: it stays unknown, never doubled."""
    fault = Fault("videos.text2video", "reset_after")
    emulator = Emulator([ADA], job_s=0.0, faults=[fault])
    async with client(emulator, reconcile_within_s=0.2) as kling:
        with pytest.raises(OutcomeUnknownError) as caught:
            await kling.send(Text2Video(prompt="A kite"))
    assert len(emulator.tasks) == 1
    assert isinstance(caught.value.request, Text2Video)


async def test_nothing_is_sent_that_is_refused_here() -> None:
    emulator = Emulator([ADA])
    async with client(emulator) as kling:
        with pytest.raises(InvalidRequestError):
            await kling.videos.text2video(prompt="x" * 2501)
    assert not [one for one in emulator.calls if one.operation == "videos.text2video"]

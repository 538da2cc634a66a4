"""Does a row go through several operations, each once, and does what each made become files?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from films import calls
from jobs import JumpClock

from kling_async import (
    AddSound,
    AsyncKlingClient,
    BulkResult,
    ConfigurationError,
    CreateAvatar,
    CreateAvatarVideo,
    CreateSpeech,
    ExtendVideo,
    FramesToVideo,
    Kolors,
    Lipsync,
    OmniVideo,
    Task,
    TaskFailedError,
    Text2Video,
)
from kling_async.bulk.inputs import read_rows, steps_in
from kling_async.bulk.problems import InputError
from kling_async.bulk.recipes import chain_of
from kling_async.bulk.records import WorkRecord
from kling_async.bulk.works import Works, _name
from kling_async.emulator import Emulator, Fault

OpenClient = Callable[..., Awaitable[AsyncKlingClient]]
STEPS = ["videos.text2video", AddSound, "videos.lipsync"]


@pytest.fixture
def kling_options(emulator: Emulator) -> dict[str, Any]:
    return {"clock": JumpClock(emulator)}


def rows(count: int) -> list[dict[str, Any]]:
    return [
        {
            "key": f"k{n}",
            "videos.text2video.prompt": f"A cat, {n}",
            "videos.lipsync.audio_url": f"https://example.com/{n}.mp3",
        }
        for n in range(1, count + 1)
    ]


async def carried_out(
    kling: AsyncKlingClient, given: Any, tmp_path: Path, **options: Any
) -> dict[str, BulkResult]:
    options = {"operation": STEPS, "save_to": tmp_path / "clips", **options}
    ledger = tmp_path / "job.sqlite"
    return {one.key: one async for one in kling.bulk.run(given, ledger=ledger, **options)}


async def test_each_step_works_on_what_the_one_before_made(
    kling: AsyncKlingClient, emulator: Emulator, tmp_path: Path
) -> None:
    found = await carried_out(kling, rows(3), tmp_path)
    assert {one.state for one in found.values()} == {"done"}
    assert Counter(one.type for one in emulator.tasks).most_common()[0][1] == 3
    assert len(emulator.tasks) == 9
    for key, one in found.items():
        names = [Path(file).name for file in one.files]
        assert names == [f"{key}-step1.mp4", f"{key}-step2.mp4", f"{key}.mp4"]
        assert all(Path(file).stat().st_size > 0 for file in one.files)
        assert [step.operation for step in one.steps] == [
            "videos.text2video", "videos.add_sound", "videos.lipsync",
        ]  # fmt: skip
        made = {task.id: task for task in emulator.tasks}
        first, second, third = (made[int(step.remote_id or 0)] for step in one.steps)
        shown = {task.id: await kling.tasks.get(task.id) for task in (first, second)}
        assert shown[first.id].works[0].url in second.input_urls
        assert shown[second.id].works[0].url in third.input_urls
    before = len(emulator.calls)
    assert await carried_out(kling, rows(3), tmp_path) == found
    assert len(emulator.calls) == before


async def test_a_lost_answer_of_a_later_step_is_found(
    kling: AsyncKlingClient, emulator: Emulator, tmp_path: Path
) -> None:
    emulator.add_faults([Fault("videos.add_sound", "reset_after", at=1)])
    (one,) = (await carried_out(kling, rows(1), tmp_path)).values()
    assert one.state == "done"
    assert len(emulator.tasks) == 3
    assert [step.evidence for step in one.steps] == ["answer", "adopted", "answer"]


async def test_a_row_goes_on_from_the_step_that_failed(
    kling: AsyncKlingClient, emulator: Emulator, tmp_path: Path
) -> None:
    emulator.add_faults([Fault("videos.lipsync", "status", at=1, status=400)])
    (one,) = (await carried_out(kling, rows(1), tmp_path)).values()
    assert (one.state, one.operation) == ("failed", "videos.lipsync")
    assert [step.state for step in one.steps] == ["done", "done", "failed"]
    assert [Path(file).name for file in one.files] == ["k1-step1.mp4", "k1-step2.mp4"]
    assert len(calls(emulator, "videos.text2video")) == 1


async def test_a_lost_file_of_a_step_is_fetched_and_nothing_made(
    kling: AsyncKlingClient, emulator: Emulator, tmp_path: Path
) -> None:
    (one,) = (await carried_out(kling, rows(1), tmp_path)).values()
    Path(one.files[0]).unlink()
    Path(one.files[2]).write_bytes(b"cut")
    assert (await carried_out(kling, rows(1), tmp_path))["k1"].files == one.files
    assert len(emulator.tasks) == 3
    assert all(Path(file).stat().st_size > 3 for file in one.files)


async def test_an_avatar_is_the_one_that_talks(
    kling: AsyncKlingClient, emulator: Emulator, tmp_path: Path
) -> None:
    row = {
        "key": "ada",
        "avatars.create.image_url": "https://x.y/a.png",
        "avatars.video.audio_url": "https://x.y/a.mp3",
    }
    operation = [CreateAvatar, CreateAvatarVideo]
    (one,) = (await carried_out(kling, [row], tmp_path, operation=operation)).values()
    assert one.state == "done"
    assert (calls(emulator, "avatars.video")[0].fields or {})["avatarId"] == one.steps[0].remote_id
    assert [Path(file).name for file in one.files] == ["ada.mp4"]


async def test_the_first_of_several_pictures_moves_and_sounds(
    kling: AsyncKlingClient, emulator: Emulator, tmp_path: Path
) -> None:
    given = [
        {"key": key, "images.kolors.prompt": key, "images.kolors.image_count": 3}
        | {"videos.image2video_frames.prompt": "It moves"}
        for key in ("cat", "fox")
    ]
    operation = [Kolors, FramesToVideo, AddSound]
    found = await carried_out(kling, given, tmp_path, operation=operation)
    made = {task.id: task for task in emulator.tasks}
    assert len(made) == 6
    for key, one in found.items():
        assert one.state == "done"
        assert [Path(file).name for file in one.files] == [
            *(f"{key}-step1-{n}.png" for n in (1, 2, 3)), f"{key}-step2.mp4", f"{key}.mp4",
        ]  # fmt: skip
        pictures, video, sound = [
            await kling.tasks.get(int(step.remote_id or 0)) for step in one.steps
        ]
        assert made[pictures.id].arguments["prompt"] == key
        assert made[video.id].input_urls == (pictures.works[0].url,)
        assert made[sound.id].input_urls == (video.works[0].url,)
    before = len(emulator.calls)
    assert await carried_out(kling, given, tmp_path, operation=operation) == found
    assert len(emulator.calls) == before


async def test_a_request_is_a_row_of_one_step(
    kling: AsyncKlingClient, emulator: Emulator, tmp_path: Path
) -> None:
    found = await carried_out(kling, [*rows(1), Text2Video(prompt="A fox")], tmp_path)
    assert sorted(len(one.steps) for one in found.values()) == [1, 3]
    assert {one.state for one in found.values()} == {"done"}


async def test_a_step_without_what_it_needs_stops_the_row(
    kling: AsyncKlingClient, emulator: Emulator, tmp_path: Path
) -> None:
    given = {"key": "k1", "videos.text2video.prompt": "A cat", "prompt": "none's"}
    (one,) = (await carried_out(kling, [given], tmp_path)).values()
    assert one.state == "failed"
    assert "videos.lipsync.audio" in str(one.error)
    assert "prompt: is no field" in str(one.error)
    assert not emulator.tasks


class TestChains:
    @pytest.mark.parametrize(("steps", "why"), [
        ([Text2Video, Text2Video], "videos.text2video comes twice"),
        ([Text2Video, CreateSpeech], "tts.create makes nothing"),
        ([Text2Video, FramesToVideo], "image2video_frames can't come after videos.text2video"),
        ([CreateAvatar, Lipsync], "videos.lipsync can't come after avatars.create"),
    ])  # fmt: skip
    def test_steps_that_do_not_fit_are_refused(self, steps: Any, why: str) -> None:
        with pytest.raises(ConfigurationError, match=why):
            chain_of(steps)

    def test_what_is_taken_has_no_column(self) -> None:
        recipe = chain_of([Text2Video, ExtendVideo, OmniVideo])
        taken = [dict(step.takes) for step in recipe.steps]
        assert [sorted(one) for one in taken] == [[], ["task_id"], ["videos"]]
        assert "videos.extend.task_id" not in recipe.columns
        assert not {"videos.add_sound.video", "videos.add_sound.video_url"} & set(
            chain_of([Text2Video, AddSound]).columns
        )

    @pytest.mark.parametrize(("name", "text", "steps"), [
        ("a.csv", "key;videos.text2video.prompt;Videos.Add_Sound.keep-original-sound\n",
         ("videos.text2video", "videos.add_sound")),
        ("a.jsonl", '{"videos.text2video.prompt": "A", "videos.lipsync.audio_url": "B"}\n',
         ("videos.text2video", "videos.lipsync")),
        ("b.jsonl", "[1]\n", ()), ("c.jsonl", "{\n", ()), ("d.csv", "", ()),
        ("e.csv", "image,nickname\n", ()), ("f.csv", "nobody.knows.this\n", ()),
    ])  # fmt: skip
    def test_the_header_names_the_steps(
        self, tmp_path: Path, name: str, text: str, steps: tuple[str, ...]
    ) -> None:
        (tmp_path / name).write_text(text)
        assert steps_in(tmp_path / name) == steps
        assert steps_in(tmp_path / "absent.csv") == ()

    def test_a_column_of_no_step_is_a_fault(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text("videos.text2video.prompt,videos.text2video.colour\nA,B\n")
        with pytest.raises(InputError, match=r"videos\.text2video\.colour"):
            list(read_rows(tmp_path / "a.csv", chain_of([Text2Video, AddSound])))


def step_of(*works: WorkRecord) -> Any:
    return SimpleNamespace(key="cat", works=works)


class TestFiles:
    @pytest.mark.parametrize(("kind", "url", "name"), [
        ("video", "https://s.x/a.mp4?s=.mov", "cat.mp4"), ("video", "https://s.x/a.MOV", "cat.mov"),
        ("video", "https://s.x/a.png", "cat.mp4"), ("video", None, "cat.mp4"),
        ("image", "https://s.x/a.png", "cat.png"), ("image", "https://s.x/a.webp?x=1", "cat.webp"),
        ("image", "https://s.x/a", "cat.png"), ("audio", "https://s.x/a.wav", "cat.wav"),
        ("audio", None, "cat.mp3"), (None, "https://s.x/a.mov", "cat.mov"),
    ])  # fmt: skip
    def test_a_file_ends_as_what_it_holds(self, kind: Any, url: str | None, name: str) -> None:
        work = WorkRecord(number=1, work_id="1", url=url, content_type=kind)
        assert _name(step_of(work), work, "") == name

    def test_several_have_numbers_and_failed_ones_are_left_out(self) -> None:
        def task(*states: str) -> Task:
            works = [
                {"workId": n, "contentType": "image", "status_name": state, "status_final": True}
                for n, state in enumerate(states, start=1)
            ]
            final = {"status_name": "succeed", "status_final": True, "works": works}
            return Task.from_api({"task": {"id": 1}, **final})

        works = Works.records(task("succeed", "failed", "succeed", "succeed"))
        assert [_name(step_of(*works), one, "") for one in works] == [
            "cat-1.png",
            "cat-3.png",
            "cat-4.png",
        ]
        with pytest.raises(TaskFailedError, match="all 2 of its works failed"):
            Works.records(task("failed", "failed"))

"""Videos of pictures and videos from end to end: files go up, a lost answer is found, cautions."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from video_calls import FILM, SOUND, A, B

from kling_async import (
    AsyncKlingClient,
    BadRequestError,
    CreateVideoVoice,
    ElementsToVideo,
    FramesToVideo,
    InvalidRequestError,
    Lipsync,
    OmniVideo,
    OutcomeUnknownError,
    RetryPolicy,
    ServerError,
    Text2Video,
)
from kling_async.emulator import Emulator, Fault, sample_png
from kling_async.emulator.mp4 import video
from kling_async.emulator.sounds import wav
from kling_async.models.operations import operations

ADA = "ada@example.com"


def client(emulator: Emulator, **retry: float) -> AsyncKlingClient:
    return AsyncKlingClient(
        "user:1-a", accounts=[ADA], base_url="http://localhost/v1/kling", rate_limit=None,
        transport=emulator.transport(), retry=RetryPolicy(**retry),  # type: ignore[arg-type]
    )  # fmt: skip


CLIP = video("clip", 720, 720, 5000)
MADE: list[tuple[str, dict[str, Any], list[str]]] = [
    ("image2video_frames", {"image": sample_png(), "image_tail": sample_png(1)},
     ["image", "image_tail"]),
    ("image2video_elements", {"prompt": "p", "images": [sample_png(), A]}, ["image_0", "image_1"]),
    ("image2video_effects", {"effect": "rocketrocket_pro", "image": sample_png()}, ["image"]),
    ("omni", {"prompt": "@image_2 @video_1", "images": [A, sample_png()], "videos": CLIP},
     ["image_1", "image_2", "video_1"]),
    ("lipsync", {"video": CLIP, "audio": wav("a", 500)}, ["video", "audio"]),
    ("add_sound", {"video": CLIP}, ["video"]),
    ("motion_create", {"image": sample_png(), "motion": CLIP}, ["imageUrl", "motionUrl"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "given", "inputs"), MADE, ids=[row[0] for row in MADE])
async def test_files_go_up_and_the_result_is_fetched(
    name: str, given: dict[str, Any], inputs: list[str], tmp_path: Path
) -> None:
    emulator = Emulator([ADA], job_s=0.0)
    async with client(emulator) as kling:
        task = await getattr(kling.videos, name)(**given)
        done = await kling.tasks.wait(task, deadline_s=5)
        got = await kling.assets.download(done, tmp_path / "a.mp4")
    assert got.size_bytes > 0
    assert [one.name for one in emulator.tasks[0].inputs] == inputs
    uploaded = [value for value in given.values() if isinstance(value, bytes)]
    assert len(emulator.uploads) == len(uploaded) + (name in ("image2video_elements", "omni"))


@pytest.mark.looptime(resolution=1e-9)
@pytest.mark.parametrize(("name", "given"), [row[:2] for row in MADE], ids=[r[0] for r in MADE])
@pytest.mark.parametrize("job_s", [60.0, 0.0])
async def test_a_lost_answer_is_found_by_its_mark_or_by_its_own_file(
    name: str, given: dict[str, Any], job_s: float
) -> None:
    """While it runs the scheduler shows its mark; afterwards its record shows its inputs."""
    faults = [Fault(f"videos.{name}", "reset_after")]
    emulator = Emulator([ADA], job_s=job_s, faults=faults)
    async with client(emulator, reconcile_within_s=5) as kling:
        task = await getattr(kling.videos, name)(**given)
    assert task.meta.adopted
    assert [one.id for one in emulator.tasks] == [task.id]


async def test_a_chain_of_results() -> None:
    emulator = Emulator([ADA], job_s=0.0)
    async with client(emulator) as kling:
        clip = await kling.videos.text2video(prompt="A kite")
        longer = await kling.tasks.wait(await kling.videos.extend(task_id=clip), deadline_s=5)
        assert longer.works[0].resource is not None
        assert longer.works[0].resource.duration_ms == 10_000
        loud = await kling.tasks.wait(
            await kling.videos.add_sound(video_url=longer.works[0].url, keep_original_sound=True),
            deadline_s=5,
        )
        speaker = (await kling.tts.voices())[0]
        speech = await kling.tts.create("Hi", speaker_id=speaker)
        await kling.videos.lipsync(video_url=loud.works[0].url, audio_url=speech.url)
    assert [one.type for one in emulator.tasks][-1] == "m2v_video_lip_sync"
    payload = emulator.tasks[2].payloads[0]
    assert payload["name"] == "video2audio_payloads"
    assert emulator.tasks[1].inputs[0].work_id == emulator.tasks[0].works[0].id


async def test_only_videos_of_one_model_are_extended() -> None:
    emulator = Emulator([ADA], job_s=0.0)
    async with client(emulator, attempts=3, reconcile_within_s=0) as kling:
        clip = await kling.videos.text2video(prompt="A kite", model_name="kling-v3-0")
        with pytest.raises((ServerError, OutcomeUnknownError), match="InvalidTaskType"):
            await kling.videos.extend(task_id=clip)
    assert len([one for one in emulator.calls if one.operation == "videos.extend"]) == 1


async def test_voices_are_saved_used_and_deleted() -> None:
    emulator = Emulator([ADA], job_s=0.0)
    async with client(emulator) as kling:
        voice = await kling.videos.create_voice(audio=wav("a", 5000), name="Mine")
        there = await kling.videos.voices()
        assert (there[0].id, there[0].is_saved, len(there)) == (voice.id, True, 3)
        await kling.videos.omni(prompt="@voice_1", omni_version="v4", voices=[there[0], "Emma"])
        with pytest.raises(BadRequestError, match="too short"):
            await kling.videos.omni(prompt="@voice_1", omni_version="v4", voices=["Max"])
        assert (await kling.videos.delete_voice(voice_id=voice)).deleted
        assert len(await kling.videos.voices()) == 2


@pytest.mark.looptime(resolution=1e-9)
async def test_a_lost_voice_shows_its_candidates() -> None:
    emulator = Emulator([ADA], faults=[Fault("videos.create_voice", "reset_after")])
    async with client(emulator, reconcile_within_s=5) as kling:
        with pytest.raises(OutcomeUnknownError) as caught:
            await kling.videos.create_voice(audio_url=SOUND, name="Mine")
    assert [one.name for one in caught.value.candidates] == ["Mine"]


async def test_motions_and_effects() -> None:
    emulator = Emulator([ADA], job_s=0.0)
    async with client(emulator) as kling:
        motion = (await kling.videos.motions())[0]
        await kling.videos.motion_create(image_url=A, motion_url=motion.url)
        assert await kling.videos.motions(mine=True) == []
        up = await kling.assets.upload(CLIP)
        await kling.videos.motion_upload(resource_url=up.resource_url, cover_url=up.cover_url)
        assert len(await kling.videos.motions(mine=True)) == 1
        effects = await kling.videos.effects()
        usable = [one.name for one in effects if one.is_usable]
        assert usable == ["rocketrocket_pro", "squish_pro", "paperfold"]
        await kling.videos.image2video_effects(effect=effects[1], image_url=A)
        with pytest.raises(BadRequestError, match="Parameter effect"):
            await kling.videos.image2video_effects(effect="fireworks_2024", image_url=A)


async def test_several_videos_of_one_task() -> None:
    emulator = Emulator([ADA], job_s=0.0)
    async with client(emulator) as kling:
        task = await kling.tasks.wait(await kling.videos.omni(prompt="A", count=3), deadline_s=5)
    assert len(task.works) == 3


WRONG: list[tuple[Any, dict[str, Any], dict[str, str]]] = [
    (FramesToVideo, {}, {"image": "first frame"}),
    (FramesToVideo, {"image_url": A, "image": sample_png()}, {"image": "keep one of the two"}),
    (FramesToVideo, {"image_url": A, "prompt": "p", "shots": [{"prompt": "p", "duration_s": 2}]},
     {"prompt": "exactly one", "shots": "at least"}),
    (ElementsToVideo, {"prompt": "p"}, {"images": "is required"}),
    (ElementsToVideo, {"prompt": "p", "images": [A] * 5}, {"images": "at most 4"}),
    (Lipsync, {"video_url": FILM}, {"audio": "is needed"}),
    (CreateVideoVoice, {"audio_url": SOUND, "name": "x" * 31}, {"name": "at most 30"}),
    (OmniVideo, {}, {"prompt": "none given"}),
    (OmniVideo, {"prompt": "p", "frame_end_url": B}, {"frame_end": "needs frame_start"}),
    (OmniVideo, {"prompt": "p", "frame_start_url": A, "aspect_ratio": "16:9"},
     {"aspect_ratio": "auto"}),
    (OmniVideo, {"prompt": "p", "videos": [FILM], "enable_audio": False},
     {"enable_audio": "excludes videos"}),
    (OmniVideo, {"prompt": "p", "video_mode": "transform", "keep_audio": True},
     {"video_mode": "only with videos", "keep_audio": "only with videos"}),
    (OmniVideo, {"omni_version": "v4", "shots": [{"prompt": "p", "duration_s": 3}] * 2},
     {"shots": "v3 only"}),
]  # fmt: skip


@pytest.mark.parametrize(("cls", "given", "said"), WRONG)
def test_what_is_refused_before_it_is_sent(
    cls: Any, given: dict[str, Any], said: dict[str, str]
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        cls(**given)
    found = caught.value.problems
    assert set(found) == set(said)
    for name, text in said.items():
        assert text in found[name]


CAUTIONS: list[tuple[Any, dict[str, Any], set[str]]] = [
    (Text2Video, {"prompt": "p"}, set()),
    (Text2Video, {"prompt": "p", "model_name": "kling-v2-5"}, {"mode"}),
    (Text2Video, {"prompt": "p", "model_name": "kling-v9", "duration_s": 29}, set()),
    (Text2Video, {"prompt": "p", "duration_s": 7, "mode": "4k"}, {"duration_s", "mode"}),
    (Text2Video, {"prompt": "p", "model_name": "kling-v2-6", "enable_audio": True},
     {"enable_audio"}),
    (Text2Video, {"prompt": "p", "model_name": "kling-v3-0", "negative_prompt": "n"},
     {"negative_prompt"}),
    (FramesToVideo, {"image_tail_url": A}, {"image"}),
    (FramesToVideo, {"image_tail_url": A, "model_name": "kling-v1-6"}, set()),
    (FramesToVideo, {"image_url": A, "image_tail_url": A, "model_name": "kling-v3-0-turbo"},
     {"image_tail"}),
    (FramesToVideo, {"image_url": A, "elements": ["u_1"]}, {"elements"}),
    (ElementsToVideo, {"prompt": "p", "images": [A], "model_name": "kling-v3-0",
                       "aspect_ratio": "1:1"}, {"aspect_ratio"}),
    (OmniVideo, {"prompt": "p"}, set()),
    (OmniVideo, {"prompt": "@image_1 @object_2", "elements": ["u_1"]}, {"prompt"}),
    (OmniVideo, {"prompt": "p" * 1701}, {"prompt"}),
    (OmniVideo, {"prompt": "p" * 1701, "omni_version": "v4"}, set()),
    (OmniVideo, {"prompt": "p", "omni_version": "o1", "duration_s": 11, "enable_audio": True},
     {"duration_s", "enable_audio"}),
    (OmniVideo, {"prompt": "p", "images": [A] * 4, "elements": ["u_1"] * 4}, {"images"}),
    (OmniVideo, {"prompt": "p", "images": [A], "frame_start_url": A}, {"images"}),
    (OmniVideo, {"prompt": "p", "videos": [FILM] * 2, "voices": ["Emma"]}, {"videos", "voices"}),
    (OmniVideo, {"prompt": "p", "omni_version": "v4-flash", "mode": "pro", "frame_start_url": A},
     {"mode", "frame_start"}),
    (OmniVideo, {"prompt": "p", "aspect_ratio": "21:9"}, {"aspect_ratio"}),
]  # fmt: skip


@pytest.mark.parametrize(("cls", "given", "names"), CAUTIONS)
def test_what_a_model_is_said_not_to_take(cls: Any, given: dict[str, Any], names: set[str]) -> None:
    assert set(cls(**given).cautions()) == names


async def test_a_caution_is_logged_and_the_request_is_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    emulator = Emulator([ADA])
    async with client(emulator) as kling:
        with caplog.at_level(logging.WARNING, "kling_async"):
            await kling.videos.image2video_frames(image_url=A, prompt="p", enable_audio=True)
            assert caplog.messages == []
            with pytest.raises(BadRequestError, match="cfg_scale"):
                await kling.videos.image2video_frames(image_url=A, cfg_scale=0.5)
    assert "cfg_scale is not taken by kling-v2-1" in caplog.text


def test_every_operation_on_videos_is_a_method() -> None:
    names = [name for name in operations() if name.startswith("videos.")]
    assert len(names) == 15

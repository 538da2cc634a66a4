"""Pictures from end to end: started, awaited, found when the answer is lost, made in bulk."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from pictures import png

from kling_async import (
    AsyncKlingClient,
    InvalidRequestError,
    Kolors,
    KolorsElements,
    OmniImage,
    Request,
    RetryPolicy,
    UpscaleImage,
    VirtualTryOn,
)
from kling_async._transport.protocol import encode
from kling_async.bulk.inputs import read_rows
from kling_async.bulk.recipes import recipe_of
from kling_async.emulator import Emulator, Fault, sample_png

ADA = "ada@example.com"
A, B = "https://x.y/a.png", "https://x.y/b.png"


def client(emulator: Emulator, **retry: float) -> AsyncKlingClient:
    return AsyncKlingClient(
        "user:1-a", accounts=[ADA], base_url="http://localhost/v1/kling", rate_limit=None,
        transport=emulator.transport(), retry=RetryPolicy(**retry),  # type: ignore[arg-type]
    )  # fmt: skip


async def test_from_a_text_to_several_pictures_and_a_larger_one(tmp_path: Path) -> None:
    emulator = Emulator([ADA], job_s=0.0)
    async with client(emulator) as kling:
        task = await kling.images.kolors(prompt="At sea", image_count=3, aspect_ratio="1:1")
        done = await kling.tasks.wait(task, deadline_s=5)
        assert [one.content_type for one in done.works] == ["image"] * 3
        got = await kling.assets.download(done.works[1], tmp_path / "sea.png")
        assert got.path.read_bytes().startswith(b"\x89PNG")
        larger = await kling.images.upscale(task_id=done, work_id=done.works[1])
        assert larger.meta.account == ADA
        (work,) = (await kling.tasks.wait(larger, deadline_s=5)).works
        first = done.works[1].resource
        assert work.resource is not None
        assert first is not None
        assert (work.resource.width, first.width) == (4096, 2048)
        (said,) = emulator.tasks[1].inputs
        assert said.work_id == done.works[1].work_id


async def test_files_go_up_and_faces_are_found() -> None:
    emulator = Emulator([ADA], job_s=0.0)
    async with client(emulator) as kling:
        found = await kling.images.recognize_faces(image=sample_png())
        assert (len(found.faces), found.faces[0].bounds_px) == (1, (128, 64, 128, 128))
        await kling.images.virtual_try_on(human_image=sample_png(), dress_image_url=A)
        await kling.images.omni(prompt="@image_2", images=[A, sample_png(1)], elements=["u_1"])
        uploads = [one.url for one in emulator.uploads]
        assert [task.input_urls for task in emulator.tasks] == [(uploads[1], A), (A, uploads[2])]


@pytest.mark.looptime(resolution=1e-9)
@pytest.mark.parametrize("job_s", [60.0, 0.0])
async def test_a_lost_answer_is_found_by_its_mark_or_by_its_own_file(job_s: float) -> None:
    """While it runs the mark shows; when it is over, the address of what was uploaded for it."""
    faults = [Fault("images.kolors", "reset_after")]
    emulator = Emulator([ADA], job_s=job_s, faults=faults)
    async with client(emulator, reconcile_within_s=5) as kling:
        task = await kling.images.kolors(prompt="@image_1", images=[A, sample_png()])
    assert task.meta.adopted
    assert [one.id for one in emulator.tasks] == [task.id]


REFUSED: list[tuple[Any, dict[str, Any], dict[str, str]]] = [
    (VirtualTryOn, {}, {"human_image": "is needed", "dress_image": "something to wear"}),
    (VirtualTryOn, {"human_image_url": A, "dress_image_url": A, "lower_image_url": B},
     {"dress_image": "excludes upper_image and lower_image"}),
    (VirtualTryOn, {"human_image_url": A, "human_image": png(), "upper_image_url": A},
     {"human_image": "and human_image_url are both given"}),
    (VirtualTryOn, {"human_image": A, "upper_image_url": A},
     {"human_image": "give it as human_image_url"}),
    (Kolors, {"prompt": "p", "reference": "face"}, {"reference_image": "is needed"}),
    (Kolors, {"prompt": "p", "reference_image_url": A, "face_no": 1, "subject_strength": 1,
              "face_strength": 1},
     dict.fromkeys(("reference_image_url", "face_no", "subject_strength", "face_strength"),
                   "has a meaning only with reference")),
    (Kolors, {"prompt": "p", "reference": "restyle", "reference_image_url": A,
              "aspect_ratio": "1:1"}, {"aspect_ratio": "leave it out"}),
    (Kolors, {"prompt": "p", "images": [A] * 11}, {"images": "at most 10"}),
    (KolorsElements, {"image_count": 2}, {"prompt": "or a picture is needed"}),
    (KolorsElements, {"subject_images": [A] * 5}, {"subject_images": "at most 4"}),
    (OmniImage, {"prompt": "p", "story_mode": True}, {"story_mode": "needs images or elements"}),
    (OmniImage, {"prompt": "p", "omni_version": "o1", "aspect_ratio": "auto", "resolution": "4k"},
     {"aspect_ratio": "auto is not for o1", "resolution": "4k is not for o1"}),
    (UpscaleImage, {"task_id": "u_1", "work_id": True}, {"task_id": "digits", "work_id": "digits"}),
]  # fmt: skip


@pytest.mark.parametrize(("request_type", "given", "said"), REFUSED)
def test_what_is_refused_here(
    request_type: Any, given: dict[str, Any], said: dict[str, str]
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        request_type(**given)
    assert caught.value.problems.keys() == said.keys()
    for name, text in said.items():
        assert text in caught.value.problems[name]


TOLD: list[tuple[Request[Any], set[str]]] = [
    (Kolors(prompt="p"), set()),
    (Kolors(prompt="p", reference="face", reference_image_url=A), set()),
    (Kolors(prompt="p", version="kling-v3-0", reference="face", reference_image_url=A),
     {"reference"}),
    (Kolors(prompt="p", aspect_ratio="auto"), {"aspect_ratio"}),
    (Kolors(prompt="p", version="kling-v2-1", images=[A]), {"images"}),
    (OmniImage(prompt="p" * 1701), set()),  # of o1's page alone
    (OmniImage(prompt="p" * 1701, omni_version="o1", image_count=10), {"prompt", "image_count"}),
    (OmniImage(prompt="p", omni_version="v4", image_count=10), set()),
    (OmniImage(prompt="p", omni_version="o1", story_mode=True, images=[A]), {"story_mode"}),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "names"), TOLD)
def test_what_a_model_is_not_said_to_take_is_told(request_: Request[Any], names: set[str]) -> None:
    assert set(request_.cautions()) == names


async def test_it_is_sent_all_the_same_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    emulator = Emulator([ADA], job_s=0.0)
    with caplog.at_level(logging.WARNING, "kling_async"):
        async with client(emulator) as kling:
            for count in (1, 2):
                with pytest.raises(Exception, match=r"aspect_ratio \(auto\) needs image_1"):
                    await kling.images.kolors(prompt="p", aspect_ratio="auto", image_count=count)
    told = [one.getMessage() for one in caplog.records if "aspect_ratio" in one.getMessage()]
    assert told == ["images.kolors: aspect_ratio auto needs images, the vendor's page says; it is "
                    "sent as it is"]  # fmt: skip
    assert emulator.counts["images.kolors"] == 2


def test_a_reference_chooses_the_version_that_has_one() -> None:
    request = Kolors(prompt="p", reference="restyle", reference_image_url=A)
    assert json.loads(bytes(encode(request, ADA).content or b""))["version"] == "kling-v2-1"
    assert Kolors(prompt="p", reference="none").version is None


async def test_rows_of_files_and_addresses(tmp_path: Path) -> None:
    """A list of files is a column: each goes up once, and a second run sends nothing."""
    (tmp_path / "a.png").write_bytes(png())
    table = tmp_path / "rows.csv"
    table.write_text(f'key,prompt,images\nk1,@image_1,"[""a.png"", ""{A}""]"\nk2,At sea,a.png\n')
    read = list(read_rows(table, recipe_of(Kolors)))
    assert [one.problems for one in read] == [{}, {}]
    assert read[0].steps[0].payload["images"] == [str(tmp_path / "a.png"), A]
    assert read[0].columns["images"] == f'["a.png", "{A}"]'
    rows = [
        {"key": "k1", "prompt": "@image_1", "images": [tmp_path / "a.png", A]},
        {"key": "k2", "prompt": "At sea", "images": tmp_path / "a.png"},
    ]
    emulator = Emulator([ADA], job_s=0.0)
    ledger = tmp_path / "job.sqlite"
    async with client(emulator) as kling:
        for _ in range(2):
            run = kling.bulk.run(rows, operation=Kolors, ledger=ledger)
            found = {one.key: one async for one in run}
            assert {key: one.state for key, one in found.items()} == {"k1": "done", "k2": "done"}
            assert emulator.counts["assets.upload"] == emulator.counts["images.kolors"] == 2
    first = next(one for one in emulator.tasks if len(one.input_urls) == 2)
    assert first.input_urls[1] == A
    assert first.input_urls[0] in {one.url for one in emulator.uploads}


@pytest.mark.parametrize(("size", "resolution", "larger"), [
    ((800, 1200), "2k", (1664, 2496)), ((800, 1200), "4k", (3344, 5008)),
    ((1000, 1000), None, (2048, 2048)),
])  # fmt: skip
async def test_an_enhanced_picture_keeps_its_ratio(
    size: tuple[int, int], resolution: Any, larger: tuple[int, int]
) -> None:
    emulator = Emulator([ADA], job_s=0.0)
    async with client(emulator) as kling:
        task = await kling.images.enhance(image=sample_png(1, *size), resolution=resolution)
    (work,) = emulator.tasks[0].works
    assert (work.width, work.height) == larger
    assert emulator.tasks[0].id == task.id

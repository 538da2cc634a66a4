"""Elements from end to end: made, listed, told apart, found when the answer is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pictures import png

from kling_async import (
    AsyncKlingClient,
    CreateElement,
    InvalidRequestError,
    NotFoundError,
    OutcomeUnknownError,
    RetryPolicy,
)
from kling_async.emulator import Emulator, Fault, sample_png
from kling_async.models.elements import ElementEvidence, ListElements

ADA = "ada@example.com"
A, B, CLIP = "https://x.y/a.png", "https://x.y/b.png", "https://x.y/clip.mp4"


def client(emulator: Emulator, **retry: float) -> AsyncKlingClient:
    return AsyncKlingClient(
        "user:1-a", accounts=[ADA], base_url="http://localhost/v1/kling", rate_limit=None,
        transport=emulator.transport(), retry=RetryPolicy(**retry),  # type: ignore[arg-type]
    )  # fmt: skip


async def test_made_listed_named_in_a_picture_and_deleted() -> None:
    emulator = Emulator([ADA], job_s=0.0)
    async with client(emulator) as kling:
        tags, voices = await kling.elements.tags(), await kling.elements.voices()
        tag = next(one for one in tags if one.tag_key == "character")
        made = await kling.elements.create(
            name="Sailor", cover_image=sample_png(), tag=tag, voice=voices[0], description="Old",
            extra_images=[A, sample_png(1)],
        )  # fmt: skip
        views = await kling.elements.create(name="Dog", cover_image_url=A, generate_views=True)
        assert (len(made.elements), len(views.elements)) == (1, 3)
        assert made.meta.account == made.elements[0].meta.account == ADA
        listed = await kling.elements.list(page_size=2)
        assert (listed.total, len(listed), listed[0].given_name) == (4, 2, "Dog")
        got = await kling.elements.get(made)
        assert (got.given_name, got.tags[0].id, got.voice and got.voice.id) == (
            "Sailor", "o_102", voices[0].id,
        )  # fmt: skip
        assert len(got.name or "") == len("Sailor x7Kq2")
        assert len(got.urls) == 3
        task = await kling.images.omni(prompt="@element_1 at sea", elements=[made, got, "u_7"])
        assert task.meta.account == ADA
        assert (await kling.elements.delete(got)).deleted == 1
        with pytest.raises(NotFoundError):
            await kling.elements.get(made)
        with pytest.raises(NotFoundError):
            await kling.elements.delete(made)


@pytest.mark.looptime(resolution=1e-9)
@pytest.mark.parametrize("given", [
    {"cover_image": png()}, {"cover_image_url": A}, {"type": "VIDEO", "video_url": CLIP},
    {"cover_image_url": A, "extra_images": [B, png()], "description": "Old"},
])  # fmt: skip
async def test_a_lost_answer_is_found_in_the_listing(given: dict[str, Any]) -> None:
    emulator = Emulator([ADA], faults=[Fault("elements.create", "reset_after")])
    async with client(emulator, reconcile_within_s=5) as kling:
        made = await kling.elements.create(name="Sailor", **given)
    assert made.meta.adopted
    assert [one.id for one in emulator.elements] == [made.id]
    assert emulator.counts["elements.create"] == 1


@pytest.mark.looptime(resolution=1e-9)
@pytest.mark.parametrize("other", [
    {"name": "Dog"}, {"description": "Young"}, {"cover_image_url": B}, {"type": "VIDEO"},
])  # fmt: skip
async def test_another_element_is_never_taken_for_it(other: dict[str, Any]) -> None:
    """The create never arrived, and somebody else makes one that differs in one thing."""
    ours: dict[str, Any] = {"name": "Sailor", "cover_image_url": A, "description": "Old"}
    fault = Fault("elements.create", "reset_before", at=1)
    emulator = Emulator([ADA], faults=[fault])
    async with client(emulator, reconcile_within_s=5) as kling, client(emulator) as theirs:
        lost = asyncio.create_task(kling.send(CreateElement(**ours, type="IMAGE")))
        await asyncio.sleep(0.1)
        await theirs.elements.create(**{**ours, **other})
        with pytest.raises(OutcomeUnknownError):
            await lost
    assert len(emulator.elements) == 1


def test_pages_are_read_back_to_the_sending() -> None:
    evidence = ElementEvidence()
    (first,) = evidence.listings(ADA)
    assert isinstance(first, ListElements)
    assert (first.page_size, first.email) == (100, ADA)

    class Thing:
        create_time_ms = 5_000

    full = [Thing()] * 100
    second = evidence.next_page(first, full, since_s=5.0)
    assert isinstance(second, ListElements)
    assert second.page_num == 2
    third = evidence.next_page(second, full, since_s=1.0)
    assert isinstance(third, ListElements)
    assert third.page_num == 3
    assert evidence.next_page(first, full, since_s=5.1) is None  # it goes back far enough
    assert evidence.next_page(first, full[:99], since_s=1.0) is None  # it is the last one


REFUSED: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"name": "x" * 16}, {"name": "at most 15", "cover_image": "is needed"}),
    ({"name": "x", "cover_image": png(), "cover_image_url": A}, {"cover_image": "both given"}),
    ({"name": "x", "cover_image_url": A, "video_url": CLIP}, {"video_url": "for type VIDEO"}),
    ({"name": "x", "type": "VIDEO"}, {"video": "is needed"}),
    ({"name": "x", "type": "VIDEO", "cover_image": png()}, {"cover_image": "give the video"}),
    ({"name": "x", "type": "VIDEO", "cover_image_url": CLIP, "video_url": CLIP},
     {"cover_image_url": "keep one of the two"}),
    ({"name": "x", "type": "VIDEO", "video_url": CLIP, "extra_images": [A],
      "generate_views": True},
     {"extra_images": "for type IMAGE", "generate_views": "exclude each other"}),
    ({"name": "x", "cover_image_url": A, "extra_images": [A], "generate_views": True},
     {"generate_views": "exclude each other"}),
    ({"name": "x", "cover_image_url": A, "extra_images": [A] * 4}, {"extra_images": "at most 3"}),
    ({"name": "x", "cover_image_url": A, "voice": "v", "tag": "animal"},
     {"tag": "must be character"}),
    ({"name": "x", "cover_image_url": A, "description": "x" * 101}, {"description": "at most 100"}),
]  # fmt: skip


@pytest.mark.parametrize(("given", "said"), REFUSED)
def test_what_is_refused_here(given: dict[str, Any], said: dict[str, str]) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        CreateElement(**given)
    assert caught.value.problems.keys() == said.keys()
    for name, text in said.items():
        assert text in caught.value.problems[name]


def test_what_is_taken() -> None:
    CreateElement(name="x", type="VIDEO", cover_image_url=CLIP)  # of July 2026: a video's address
    CreateElement(name="x", cover_image_url=A, extra_images=[A], generate_views=False)
    CreateElement(name="x", cover_image_url=A, voice="v")  # which tag it gets, the server says

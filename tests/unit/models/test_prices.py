"""What does a request cost? Each line of the price list, and what is not on it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from kling_async import CreateAvatar, CreateAvatarVideo, CreateSpeech, ListTasks, Text2Video
from kling_async.models import Boolean, Integer, TaskRequest, Text, body, credits, numbered
from kling_async.models.prices import PRICES
from kling_async.models.requests import Request

FOX = {"prompt": "A fox", "email": "ada@example.com"}


@frozen(kw_only=True)
class Priced(TaskRequest):
    """Fields that prices hang on, under their names in the API."""

    operation = "test.priced"
    route = "/videos/omni"

    omni_version: str | None = body("omni_version", Text())
    mode: str | None = body("mode", Text())
    duration_s: int | None = body("duration", Integer(1, 30))
    resolution: str | None = body("resolution", Text())
    image_count: int | None = body("imageCount", Integer(1, 9))
    count: int | None = body("count", Integer(1, 4))
    videos: Any = numbered("video_{n}", Text(), most=5)
    enable_audio: bool | None = body("enable_audio", Boolean())


@frozen(kw_only=True)
class Picture(Priced):
    operation = "test.picture"
    route = "/images/omni"


@frozen(kw_only=True)
class Enhanced(Priced):
    operation = "test.enhanced"
    route = "/images/enhance"


@pytest.mark.parametrize(("request_", "hundredths"), [
    (Text2Video(**FOX), 2000),  # model 1.6, std, 5 s
    (Text2Video(**FOX, mode="pro", duration_s=10), 7000),
    (Text2Video(**FOX, model_name="kling-v1-5"), None),
    (Text2Video(**FOX, model_name="kling-v2-1-master"), 10_000),  # has pro alone
    (Text2Video(**FOX, model_name="kling-v2-5", mode="std"), None),
    (Text2Video(**FOX, model_name="kling-v2-6"), 1500),
    (Text2Video(**FOX, model_name="kling-v2-6", mode="pro"), 2500),
    (Text2Video(**FOX, model_name="kling-v2-6", mode="pro", enable_audio=True), 3500),
    (Text2Video(**FOX, model_name="kling-v4-0", duration_s=3), 2700),  # 300290 -> 297590
    (Text2Video(**FOX, model_name="kling-v4-0", mode="pro"), None),
    (Text2Video(**FOX, model_name="kling-v3-0"), None),
    (Text2Video(**FOX, model_name="kling-v9", extra={"n": 1}), None),
    (Priced(), 4500),  # omni v3 std: at most 9 credits a second
    (Priced(mode="pro"), None),
    (Priced(omni_version="v4-flash", duration_s=10, count=2), 12_000),
    (Priced(omni_version="v4-flash", videos=["https://x.y/a.mp4"]), None),  # as long as the video
    (Picture(omni_version="v4", resolution="2K", image_count=3), 1200),
    (Picture(omni_version="v4"), None),
    (Enhanced(), 100),
    (Enhanced(resolution="4k"), 200),
    (CreateAvatarVideo(avatar_id="123456789", audio_url="https://x.y/a.mp3"), None),
    (CreateAvatar(image_url="https://x.y/a.png"), 0),
    (CreateSpeech(text="Hello", speaker_id="a"), 0),
    (ListTasks(), 0),
])  # fmt: skip
def test_credits(request_: Request[Any], hundredths: int | None) -> None:
    assert credits(request_) == hundredths


def test_the_shots_of_a_video_are_counted_together() -> None:
    # No model that has shots has a price yet, so one that has is asked for.
    shots = [{"prompt": "A fox", "duration_s": 4}, {"prompt": "It runs", "duration_s": 6}]
    assert credits(Text2Video(shots=shots, model_name="kling-v4-0")) == 9000


def test_the_page_of_prices_says_each_line() -> None:
    page = Path(__file__).parents[3] / "docs/prices.md"
    table = re.findall(r"^\| `(.*?)` \| (.*?) \| (.*?) \| (.*?) \|$", page.read_text(), re.M)
    said = [
        (", ".join(price.routes), _when(price), _amount(price), price.source) for price in PRICES
    ]
    assert [tuple(line) for line in table] == said


def _when(price: Any) -> str:
    words = (
        f"no {name}" if value == "" else f"{name} {value}" for name, value in price.when.items()
    )
    return ", ".join(words) or "any"


def _amount(price: Any) -> str:
    if not price.hundredths:
        return "usually free" if price.about else "free"
    per = "" if price.per == "task" else f" a {price.per}"
    return f"{'at most ' * price.about}{price.hundredths / 100:g}{per}"

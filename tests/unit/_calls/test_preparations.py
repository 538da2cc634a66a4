"""What is made before a request goes out, and what the request says of it then."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from attrs import frozen

from kling_async import (
    Asset,
    CreateAvatar,
    CreateAvatarVideo,
    CreateSpeech,
    InvalidRequestError,
    ListVoices,
    Media,
    NotSentError,
    Request,
    Speech,
    UnexpectedResponseError,
    UploadAsset,
)
from kling_async._calls.preparations import prepared
from kling_async._transport.protocol import encode
from kling_async.emulator import sample_png
from kling_async.models import TaskRequest, files
from kling_async.models.media import MediaSource
from kling_async.models.sightings import addresses, own_addresses

ADA = "ada@example.com"
MP3 = b"ID3\x04\0\0" + b"\0" * 64
HEARD = "https://k/said.mp3"


class Sender:
    """Answers uploads and speech, and keeps what was sent."""

    def __init__(self, speech: Speech | None = None) -> None:
        self.sent: list[Request[Any]] = []
        self._speech = Speech(url=HEARD) if speech is None else speech

    async def __call__(self, request: Request[Any]) -> Any:
        self.sent.append(request)
        if isinstance(request, CreateSpeech):
            return self._speech
        assert isinstance(request, UploadAsset)
        return Asset(url=f"https://k/{len(self.sent)}", resource_url=None)


async def test_what_needs_nothing_stays_itself() -> None:
    for request in (ListVoices(), CreateAvatar(image_url="https://x.y/a.png")):
        send = Sender()
        assert await prepared(request, ADA, send) == (request, ())
        assert (await prepared(request, ADA, send))[0] is request
        assert send.sent == []


@frozen(kw_only=True)
class Mixed(TaskRequest):
    """A request of several files and addresses."""

    operation = "tests.mixed"
    route = "/tests/mixed"
    images: Sequence[MediaSource | Media] | None = files("image_{n}", "image", most=3)


async def test_files_go_up_in_their_places_among_addresses() -> None:
    given = Mixed(images=[sample_png(), "https://x.y/b.png", sample_png(1)])
    assert addresses(given) == {"images.2": "/b.png"}
    send = Sender()
    ready, filled = await prepared(given, ADA, send)
    assert filled == ("images.1", "images.3")
    assert ready == Mixed(images=["https://k/1", "https://x.y/b.png", "https://k/2"])
    assert own_addresses(ready, given) == {"images.1", "images.3"}
    assert addresses(ready) == {"images.1": "/1", "images.2": "/b.png", "images.3": "/2"}
    out = encode(ready, ADA)
    assert json.loads(bytes(out.content or b"")) == {
        "image_1": "https://k/1", "image_2": "https://x.y/b.png", "image_3": "https://k/2",
        "email": ADA,
    }  # fmt: skip
    only = Mixed(images="https://x.y/a.png")  # one counts as one
    assert await prepared(only, ADA, send) == (only, ())


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ([], "must name at least one image"),
        ([sample_png()] * 4, "names 4; at most 3 images go into one call"),
        ([b""], "the given file is empty"),
        (["https://"], "'https://' is not an http or https URL"),
        (["not/there.png"], "can't be read"),
    ],
)
def test_what_is_wrong_with_one_of_several_files(images: Any, said: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        Mixed(images=images)
    assert said in caught.value.problems["images"]


async def test_a_file_goes_up_to_the_account_of_the_call() -> None:
    request, send = CreateAvatar(image=sample_png(), nickname="Ada"), Sender()
    ready, filled = await prepared(request, ADA, send)
    assert filled == ("image_url",)
    assert ready == CreateAvatar(image_url="https://k/1", nickname="Ada")
    (upload,) = send.sent
    assert isinstance(upload, UploadAsset)
    assert (upload.file, upload.email) == (request.image, ADA)


async def test_both_files_and_their_fields() -> None:
    request, send = CreateAvatarVideo(image=sample_png(), audio=MP3), Sender()
    ready, filled = await prepared(request, None, send)
    assert filled == ("image_url", "audio_url")
    assert ready == CreateAvatarVideo(image_url="https://k/1", audio_url="https://k/2")


async def test_speech_takes_the_place_of_all_that_says_how_it_sounds() -> None:
    request = CreateAvatarVideo(
        image=sample_png(), text="Hi", speaker_id="s", speed=1.5, emotion="sad", render_speech=True
    )
    send = Sender()
    ready, filled = await prepared(request, ADA, send)
    assert filled == ("image_url", "audio_url")
    assert ready == CreateAvatarVideo(image_url="https://k/1", audio_url=HEARD)
    assert send.sent[1] == CreateSpeech(
        text="Hi", speaker_id="s", speed=1.5, emotion="sad", email=ADA
    )


async def test_speech_that_is_not_ready_starts_nothing() -> None:
    request = CreateAvatarVideo(avatar_id="12345678", text="Hi", speaker_id="s", render_speech=True)
    with pytest.raises(UnexpectedResponseError, match="nothing was paid"):
        await prepared(request, ADA, Sender(Speech(url=None)))


async def test_what_can_not_be_made_ends_it() -> None:
    asked: list[Request[Any]] = []

    async def broken(request: Request[Any]) -> Any:
        asked.append(request)
        raise NotSentError("no line")

    with pytest.raises(NotSentError):
        await prepared(CreateAvatarVideo(image=sample_png(), audio=MP3), ADA, broken)
    assert len(asked) == 1

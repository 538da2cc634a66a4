"""What is made before a request goes out, and what the request says of it then."""

from __future__ import annotations

from typing import Any

import pytest

from kling_async import (
    Asset,
    CreateAvatar,
    CreateAvatarVideo,
    CreateSpeech,
    ListVoices,
    NotSentError,
    Request,
    Speech,
    UnexpectedResponseError,
    UploadAsset,
)
from kling_async._calls.preparations import prepared
from kling_async.emulator import sample_png

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

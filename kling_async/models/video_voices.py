"""Which voices can speak in videos of Kling 4.0, and how is one saved or deleted?

They are not those of `kling.tts`. Source: `GET`, `POST` and `DELETE /videos/voices` (vendor pages,
October 2026).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from attrs import frozen

from ..errors import JSON
from .avatars import ListedEvidence
from .checks import Digits, Text, Url
from .fields import body, file, query
from .media import Media, MediaSource
from .requests import EmailIn, Request, Safety, files_or_addresses
from .responses import Model, named
from .sightings import Evidence, Sighting
from .tts import VoiceEmotion

VOICE_NAME_CHARS = 30


@frozen(kw_only=True)
class VideoVoice(Model):
    """A voice for `kling.videos.omni`. `source` is USER for a saved one, else TTS_OFFICIAL.

    Some official ones have samples of less than 3 s, with which a video is refused.
    """

    id: str
    name: str | None = None
    source: str | None = None
    audio_url: str | None = None
    cover_url: str | None = None
    emotions: tuple[VoiceEmotion, ...] = ()

    @property
    def is_saved(self) -> bool:
        """Whether it is one of the account's own, which can be deleted."""
        return self.source == "USER"


VIDEO_VOICE = Text(of=VideoVoice)


@frozen(kw_only=True)
class VideoVoiceList(Model):
    """All voices of an account, saved ones first. Iterate over it, index it, or take `.voices`."""

    nested: ClassVar[tuple[str, ...]] = ("voices",)

    voices: tuple[VideoVoice, ...] = named("voices")

    def __iter__(self) -> Iterator[VideoVoice]:
        return iter(self.voices)

    def __len__(self) -> int:
        return len(self.voices)

    def __getitem__(self, index: int) -> VideoVoice:
        return self.voices[index]


@frozen(kw_only=True)
class ListVideoVoices(Request[VideoVoiceList]):
    """The voices that can speak in videos of Kling 4.0: the account's saved ones, then Kling's.

    Source: `GET /videos/voices`.
    """

    operation = "videos.voices"
    method = "GET"
    route = "/videos/voices"
    safety = Safety.READ

    def decode(self, body: JSON) -> VideoVoiceList:
        """The voices in the server's order."""
        return VideoVoiceList.from_api(body)


class VoiceEvidence(ListedEvidence):
    """How a voice is looked for whose answer was lost: by its name.

    It shows no time, so none is ever taken for it; those of its name are shown as candidates.
    """

    kind = "voice"
    likeness = False
    shown_again: ClassVar[tuple[str, ...]] = ("name",)

    def listings(self, account: str | None) -> tuple[Request[Any], ...]:
        """Where it would show."""
        return (ListVideoVoices(email=account),)

    def sighting(self, thing: VideoVoice, account: str | None = None) -> Sighting:
        """What it shows of the create. Whether the sound keeps its address is unknown."""
        return Sighting(id=thing.id, account=account, shown={"name": thing.name}, thing=thing)

    def result(self, thing: VideoVoice) -> VideoVoice:
        """The answer has what the listing has."""
        return thing


@frozen(kw_only=True)
class CreateVideoVoice(Request[VideoVoice]):
    """Save a voice from a recording, for videos of Kling 4.0 on the same account.

    Args:
        audio: path, bytes or binary file of 4.5 to 30 s, MP3, WAV, M4A, FLAC, AAC or OGG, at most
            20 MB; uploaded first.
        audio_url: its http or https address instead.
        name: at most 30 characters.

    Source: `POST /videos/voices`.
    """

    operation = "videos.create_voice"
    method = "POST"
    route = "/videos/voices"
    # Usually free of credits, but every send may save another voice, so it counts as paid.
    safety = Safety.PAID
    email_in: ClassVar[EmailIn] = "body"
    evidence: ClassVar[Evidence | None] = VoiceEvidence()
    where_to_look: ClassVar[str | None] = "kling.videos.voices()"

    audio_url: str | None = body("audioUrl", Url())
    audio: MediaSource | Media | None = file("audio_url", "audio")
    name: str | None = body("name", Text(VOICE_NAME_CHARS), required=True)

    def cross_problems(self) -> dict[str, str]:
        """One recording."""
        return files_or_addresses(self, "audio")

    def decode(self, body: JSON) -> VideoVoice:
        """The voice; the end of the documented answer is cut, so only its id is relied on."""
        return VideoVoice.from_api(body)


@frozen(kw_only=True)
class DeletedVideoVoice(Model):
    """A delete that worked."""

    deleted: bool | None = None


@frozen(kw_only=True)
class DeleteVideoVoice(Request[DeletedVideoVoice]):
    """Delete a saved voice. Kling's own can't be deleted.

    Args:
        voice_id: digits, or the voice.

    Source: `DELETE /videos/voices`.
    """

    operation = "videos.delete_voice"
    method = "DELETE"
    route = "/videos/voices"
    safety = Safety.REPEATABLE
    missing_means_deleted = True

    voice_id: str | VideoVoice | None = query("voiceId", Digits(of=VideoVoice), required=True)

    def decode(self, body: JSON) -> DeletedVideoVoice:
        """Judged by the HTTP status; the body may be missing."""
        is_object = isinstance(body, Mapping)
        return DeletedVideoVoice.from_api(body) if is_object else DeletedVideoVoice(raw=body)

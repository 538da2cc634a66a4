"""Which voices can speak in videos of Kling 4.0, and how is one saved or deleted?

They are not those of `kling.tts`. Source: `GET`, `POST` and `DELETE /videos/voices` (vendor pages,
October 2026).
"""

from __future__ import annotations

from typing import Any, ClassVar

from attrs import frozen

from .avatars import ListedEvidence
from .checks import Digits, Text, Url
from .fields import body, file, query
from .media import Media, MediaSource
from .requests import CreateRequest, DeleteRequest, GetRequest, Request
from .responses import Listing, Model, named
from .sightings import Evidence
from .tts import VoiceEmotion

VOICE_NAME_CHARS = 30


@frozen(kw_only=True)
class VideoVoice(Model):
    """A voice for `kling.videos.omni`. `source` is USER for a saved one, else TTS_OFFICIAL.

    Some official ones have samples of less than 3 s, with which a video is refused. Only `id` is
    relied on: the end of the documented answer to a create is cut.
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
class VideoVoiceList(Listing[VideoVoice]):
    """All voices of an account, saved ones first. Iterate over it, index it, or take `.voices`."""

    nested: ClassVar[tuple[str, ...]] = ("voices",)

    voices: tuple[VideoVoice, ...] = named("voices")


@frozen(kw_only=True)
class ListVideoVoices(GetRequest[VideoVoiceList]):
    """The voices that can speak in videos of Kling 4.0: the account's saved ones, then Kling's.

    Source: `GET /videos/voices`.

    Examples:
        >>> voices = await kling.videos.voices()
    """

    operation = "videos.voices"


class VoiceEvidence(ListedEvidence):
    """How a voice is looked for whose answer was lost: by its name.

    It shows no time, so none is ever taken for it; those of its name are shown as candidates.
    Whether the sound keeps its address is unknown.
    """

    kind = "voice"
    likeness = False
    shown_again: ClassVar[tuple[str, ...]] = ("name",)

    def listings(self, account: str | None) -> tuple[Request[Any], ...]:
        """Where it would show."""
        return (ListVideoVoices(email=account),)


@frozen(kw_only=True)
class CreateVideoVoice(CreateRequest[VideoVoice]):
    """Save a voice from a recording, for videos of Kling 4.0 on the same account.

    Args:
        audio: path, bytes or binary file of 4.5 to 30 s, MP3, WAV, M4A, FLAC, AAC or OGG, at most
            20 MB; uploaded first.
        audio_url: its http or https address instead.
        name: at most 30 characters.

    Source: `POST /videos/voices`.

    Examples:
        >>> voice = await kling.videos.create_voice(name="Ada", audio="hello.mp3")
    """

    operation = "videos.create_voice"
    route = "/videos/voices"
    evidence: ClassVar[Evidence | None] = VoiceEvidence()
    where_to_look: ClassVar[str | None] = "kling.videos.voices()"

    audio_url: str | None = body("audioUrl", Url())
    audio: MediaSource | Media | None = file("audio_url", "audio", required=True)
    name: str | None = body("name", Text(VOICE_NAME_CHARS), required=True)


@frozen(kw_only=True)
class DeletedVideoVoice(Model):
    """A delete that worked."""

    deleted: bool | None = None


@frozen(kw_only=True)
class DeleteVideoVoice(DeleteRequest[DeletedVideoVoice]):
    """Delete a saved voice. Kling's own can't be deleted.

    Args:
        voice_id: digits, or the voice.

    Source: `DELETE /videos/voices`.

    Examples:
        >>> voice = await kling.videos.create_voice(name="Ada", audio="hello.mp3")
        >>> gone = await kling.videos.delete_voice(voice_id=voice)
    """

    operation = "videos.delete_voice"
    route = "/videos/voices"

    voice_id: str | VideoVoice | None = query("voiceId", Digits(of=VideoVoice), required=True)

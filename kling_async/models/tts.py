"""Which voices are there, and what is a text spoken with one?

Source: `GET /tts/voices`, `POST /tts/create` (vendor pages, October 2025 to July 2026).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from attrs import frozen

from ..errors import JSON, TaskFailedError
from .checks import SPEED, Text
from .fields import body
from .requests import EmailIn, GetRequest, Request, Safety
from .responses import Listing, Model, named
from .tasks import HasStatus


@frozen(kw_only=True)
class VoiceEmotion(Model):
    """An emotion of a voice; `enable` says whether this voice can do it."""

    key: str
    name: str | None = None
    enable: bool | None = None


@frozen(kw_only=True)
class Voice(Model):
    """A voice. `speaker_id` is what `tts_speaker` and `speaker_id` take elsewhere."""

    speaker_id: str
    name: str | None = None
    example_url: str | None = None
    new: bool | None = None
    emotions: tuple[VoiceEmotion, ...] = ()

    def speaks(self, emotion: str) -> bool | None:
        """Whether this voice can do `emotion`; None where the server lists no emotions for it.

        Examples:
            >>> can_be_happy = voice.speaks("happy")
        """
        if not self.emotions:
            return None
        return any(one.key == emotion and one.enable is not False for one in self.emotions)


SPEAKER_ID = Text(of=Voice, by="speaker_id")


@frozen(kw_only=True)
class VoiceList(Listing[Voice]):
    """All voices of an account. Iterate over it, index it, or take `.voices`."""

    nested: ClassVar[tuple[str, ...]] = ("voices",)

    voices: tuple[Voice, ...] = named("ttsList")
    last_speaker_id: str | None = None
    type_list: tuple[str, ...] = ()


@frozen(kw_only=True)
class ListVoices(GetRequest[VoiceList]):
    """The voices that text can be spoken with.

    Source: `GET /tts/voices`.

    Examples:
        >>> voice = (await kling.tts.voices())[0]
    """

    operation = "tts.voices"


@frozen(kw_only=True)
class Speech(HasStatus):
    """Spoken text: an MP3 at `url`. In principle it may not be final yet; then `url` is None."""

    url: str | None = named("resource", default=None)


@frozen(kw_only=True)
class CreateSpeech(Request[Speech]):
    """Speak a text; free and unlimited on every Kling plan.

    Args:
        speaker_id: one of `ListVoices`.
        text: what to say. The vendor's texts disagree on how much is taken (150 characters, 15
            seconds, several minutes), so nothing is refused here for its length; a long text may
            take more than a minute.
        speed: 0.8 to 2.0, server's default 1.
        emotion: a key of the voice's `emotions`.

    Source: `POST /tts/create`.
    """

    operation = "tts.create"
    method = "POST"
    # A second one makes a second file, which is free and harmless.
    safety = Safety.REPEATABLE
    email_in: ClassVar[EmailIn] = "body"

    speaker_id: str | Voice | None = body("speakerId", SPEAKER_ID, required=True)
    text: str | None = body("text", Text(), required=True)
    speed: float | None = body("speed", SPEED)
    emotion: str | None = body("emotion", Text())  # keys are the voice's own: an open list

    def error_in(self, body: JSON) -> TaskFailedError | None:
        """A final state that is named and is not success, whatever the HTTP status."""
        if not isinstance(body, Mapping) or not isinstance(body.get("status_name"), str):
            return None
        if not Speech.from_api(body).failed:
            return None
        told = next((body[n] for n in ("error", "message") if isinstance(body.get(n), str)), "")
        return TaskFailedError(
            f"the text could not be spoken{f': {told}' if told else ''}", task=Speech.from_api(body)
        )

    def decode(self, body: JSON) -> Speech:
        """The speech; if it is final, there must be something to listen to."""
        speech = Speech.from_api(body)
        if speech.is_final and not speech.url:
            raise ValueError(f"no address of the audio (status_name: {speech.status_name!r})")
        return speech

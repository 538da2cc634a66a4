"""Videos of talking avatars: what is asked for. What comes back is a `Task`.

Source: `POST /avatars/video` (vendor page, January 2026).
"""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

from attrs import field, frozen

from ..errors import UnexpectedResponseError
from .avatars import EMOTIONS, PROMPT_CHARS
from .checks import SPEED, Boolean, Digits, OneOf, Text, Url, exactly_one
from .fields import body, file
from .media import Media, MediaSource
from .requests import Preparation
from .sightings import Evidence
from .task_evidence import TaskEvidence
from .task_requests import TaskRequest
from .tts import CreateSpeech, Speech

VideoMode = Literal["std", "pro"]
VIDEO_MODES: tuple[str, ...] = get_args(VideoMode)
TEXT_CHARS = 5000
_OF_TEXT = ("speaker_id", "speed", "emotion")


@frozen(kw_only=True)
class CreateAvatarVideo(TaskRequest):
    """Make an avatar talk: a job that costs credits. Its result is known later, by its task.

    Exactly one of `avatar_id`, `image_url` and `image`; exactly one of `text`, `audio_url` and
    `audio`.

    Args:
        avatar_id: a personal avatar, or a template (8 digits or fewer). Its saved prompt and
            voice settings are the defaults.
        image_url: http or https address of a portrait that Kling can fetch.
        image: path, bytes or binary file, PNG or JPEG, at most 10 MB, each side at least 300 px;
            uploaded first.
        text: what to say, at most 5000 characters; needs `speaker_id`.
        speaker_id: a `speaker_id` of `kling.tts.voices()`. Always with `text`: the vendor says both
            that it is required and that an avatar's own voice is the default.
        audio_url: http or https address of the speech; usually an upload's, or `tts.create`'s.
        audio: path, bytes or binary file, WAV, MP3, M4A, FLAC, AAC or OGG, at most 20 MB and, says
            the vendor, 30 s; uploaded first.
        speed: 0.8 to 2.0, server's default 1. Only with `text`.
        emotion: one of `EMOTIONS`, server's default neutral. Only with `text`.
        prompt: how to move, at most 2000 characters; server's default "Natural speaking".
        mode: "std" (server's default) or "pro".
        render_speech: speak the text first with `POST /tts/create` (free) and send its audio. The
            audio's address then shows in the account's tasks, so a lost answer can be settled even
            after the job has ended. How much text that call takes is not clear from the vendor's
            pages (150 characters, 15 s, minutes): keep it short.

    Source: `POST /avatars/video`.
    """

    operation = "avatars.video"
    route = "/avatars/video"
    evidence: ClassVar[Evidence | None] = TaskEvidence()

    avatar_id: str | None = body("avatarId", Digits())
    image_url: str | None = body("imageUrl", Url())
    image: MediaSource | Media | None = file("image_url", "image")
    audio_url: str | None = body("audioUrl", Url())
    audio: MediaSource | Media | None = file("audio_url", "audio")
    text: str | None = body("text", Text(TEXT_CHARS))
    speaker_id: str | None = body("speakerId", Text())
    speed: float | None = body("speed", SPEED)
    emotion: str | None = body("emotion", OneOf(EMOTIONS))
    prompt: str | None = body("prompt", Text(PROMPT_CHARS))
    mode: str | None = body("mode", OneOf(VIDEO_MODES))
    render_speech: bool = field(default=False, metadata={"check": Boolean()})

    def cross_problems(self) -> dict[str, str]:
        """Exactly one face, exactly one speech, and nothing that would be ignored."""
        problems = {
            **exactly_one(avatar_id=self.avatar_id, image_url=self.image_url, image=self.image),
            **exactly_one(text=self.text, audio_url=self.audio_url, audio=self.audio),
        }
        if self.text is not None:
            if self.speaker_id is None:
                problems["speaker_id"] = "is required with text; see kling.tts.voices()"
            return problems
        # Whether the server refuses or ignores these with audio is unknown. If it ignores them, the
        # video that is paid for does not sound as it was asked for; so they are refused here.
        for name in _OF_TEXT:
            if getattr(self, name) is not None:
                problems[name] = "has a meaning only with text"
        if self.render_speech is True:
            problems["render_speech"] = "needs a text to speak"
        return problems

    def preparations(self, account: str | None) -> tuple[Preparation, ...]:
        """The text as speech, where that was asked for."""
        if not self.render_speech:
            return ()
        speech = CreateSpeech(
            speaker_id=self.speaker_id,
            text=self.text,
            speed=self.speed,
            emotion=self.emotion,
            email=account,
        )
        clears = (*_OF_TEXT, "text", "render_speech")
        return (Preparation(speech, "audio_url", clears, _audio_of),)


def _audio_of(speech: Speech) -> str:
    if speech.url is None:  # documented as possible; nothing is paid for by then
        raise UnexpectedResponseError(
            "the speech was not ready, so the video was not asked for; nothing was paid. Try "
            "it again, or without render_speech",
            status_code=200,
            body=speech.raw,
        )
    return speech.url

"""How is a video asked for that a text or pictures become? What comes back is a `Task`.

Source: `POST /avatars/video` (vendor page, January 2026), `POST /videos/text2video`,
`image2video-frames` and `image2video-elements` (vendor pages, October 2025 to October 2026).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from attrs import field, frozen

from ..errors import UnexpectedResponseError
from .avatars import AVATAR_ID, EMOTIONS, PROMPT_CHARS, AnyAvatar, Emotion
from .checks import SPEED, Boolean, Integer, Number, OneOf, Text, Url, exactly_one
from .elements import ELEMENT_ID, AnyElement
from .fields import Part, body, file, files, numbered
from .media import Files, Media, MediaSource
from .requests import Preparation, files_or_addresses, has
from .task_requests import TaskRequest
from .tts import SPEAKER_ID, CreateSpeech, Speech, Voice
from .video_models import model_cautions

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
        avatar_id: a personal avatar, or a template (8 digits or fewer): its id, or the avatar. Its
            saved prompt and voice settings are the defaults.
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

    Examples:
        >>> task = await kling.avatars.video(avatar_id=avatar, text="Hello!", speaker_id=voice)
    """

    operation = "avatars.video"

    avatar_id: AnyAvatar | None = body("avatarId", AVATAR_ID)
    image_url: str | None = body("imageUrl", Url())
    image: MediaSource | Media | None = file("image_url", "image")
    audio_url: str | None = body("audioUrl", Url())
    audio: MediaSource | Media | None = file("audio_url", "audio")
    text: str | None = body("text", Text(TEXT_CHARS))
    speaker_id: str | Voice | None = body("speakerId", SPEAKER_ID)
    speed: float | None = body("speed", SPEED)
    emotion: Emotion | None = body("emotion", OneOf(EMOTIONS))
    prompt: str | None = body("prompt", Text(PROMPT_CHARS))
    mode: VideoMode | None = body("mode", OneOf(VIDEO_MODES))
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
        given = {name: getattr(self, name) for name in (*_OF_TEXT, "text")}
        speech = CreateSpeech(**given, email=account)
        clears = (*_OF_TEXT, "text", "render_speech")
        return (Preparation(speech, "audio_url", clears, _audio_of),)


VideoModel = Literal[
    "kling-v4-0",
    "kling-v3-0",
    "kling-v3-0-turbo",
    "kling-v2-6",
    "kling-v2-5",
    "kling-v2-1-master",
    "kling-v1-6",
    "kling-v1-5",
]
AspectRatio = Literal["16:9", "9:16", "1:1", "21:9"]
TextVideoMode = Literal["std", "pro", "4k"]
VIDEO_PROMPT_CHARS = 2500
SHOTS_S = 3, 15


@frozen(kw_only=True)
class Shot(Part):
    """One shot of a video of several.

    Args:
        prompt: what is to be seen, at most 2500 characters.
        duration_s: how long, in whole seconds; all shots together take 3 to 15.

    Examples:
        >>> shots = (Shot(prompt="A kite", duration_s=5), Shot(prompt="The sea", duration_s=5))
    """

    prompt: str | None = body("prompt", Text(VIDEO_PROMPT_CHARS), required=True)
    duration_s: int | None = body("duration", Integer(1, SHOTS_S[1]), required=True)


Shots = Sequence[Shot | Mapping[str, Any]]


@frozen(kw_only=True)
class Text2Video(TaskRequest):
    """Make a video of a text: a task that costs credits. What a model takes, the server knows.

    Args:
        prompt: what is to be seen, at most 2500 characters; required, unless there are `shots`.
        negative_prompt: what is not to be seen, at most 2500 characters. Models 1.x and
            2.1-master only.
        model_name: kling-v4-0, kling-v3-0, kling-v3-0-turbo, kling-v2-6, kling-v2-5,
            kling-v2-1-master, kling-v1-6 (server's default), kling-v1-5, or one that is newer than
            this library.
        duration_s: whole seconds, server's default 5; 5 or 10 for models 1.x and 2.x, 3 to 15 for
            3.0, 3 to 30 for 4.0.
        aspect_ratio: 16:9 (server's default), 9:16 or 1:1; 21:9 with model 4.0.
        mode: std (server's default, 720p), pro (1080p) or 4k, which model 3.0 alone has. Models 2.5
            and 2.1-master need pro.
        cfg_scale: how closely it keeps to the prompt, 0 to 1; server's default 0.5. Models 1.x
            only.
        enable_audio: with sound; server's default false, true with model 3.0. Model 2.6 needs pro
            for it; 3.0-turbo does not take it, and 4.0 always has sound.
        shots: 2 to 6 `Shot`s, or mappings of their fields, of 3 to 15 s together, instead of
            `prompt` and `duration_s`. Model 3.0 only.

    Source: `POST /videos/text2video`.

    Examples:
        >>> task = await kling.videos.text2video(prompt="A kite over the sea", duration_s=5)
        >>> done = await kling.tasks.wait(task)
    """

    operation = "videos.text2video"

    prompt: str | None = body("prompt", Text(VIDEO_PROMPT_CHARS))
    negative_prompt: str | None = body("negative_prompt", Text(VIDEO_PROMPT_CHARS))
    model_name: VideoModel | str | None = body("model_name", OneOf(VideoModel, open=True))
    duration_s: int | None = body("duration", Integer(3, 30))
    aspect_ratio: AspectRatio | None = body("aspect_ratio", OneOf(AspectRatio))
    mode: TextVideoMode | None = body("mode", OneOf(TextVideoMode))
    cfg_scale: float | None = body("cfg_scale", Number(0, 1))
    enable_audio: bool | None = body("enable_audio", Boolean())
    shots: Shots | None = numbered("shot_{n}_{field}", Shot, least=2, most=6)

    def cross_problems(self) -> dict[str, str]:
        """A text or shots; and what the shots say of the length."""
        return shot_problems(self)

    def cautions(self) -> dict[str, str]:
        """What its model does not take."""
        return model_cautions(self, "kling-v1-6")


def shot_problems(request: Any, *, needs_prompt: bool = True) -> dict[str, str]:
    """The problems of the fields `prompt`, `duration_s` and `shots`, which replaces both."""
    prompt, shots = request.prompt, request.shots
    both = prompt is not None and shots is not None
    problems = exactly_one(prompt=prompt, shots=shots) if needs_prompt or both else {}
    if shots is not None and request.duration_s is not None:
        problems["duration_s"] = "excludes shots: each has a length of its own"
    shots = [one for one in shots or () if isinstance(one, Shot)]
    total_s, (low_s, high_s) = sum(one.duration_s or 0 for one in shots), SHOTS_S
    if 2 <= len(shots) <= 6 and not low_s <= total_s <= high_s:
        problems["shots"] = f"take {total_s} s together; {low_s} to {high_s} are allowed"
    return problems


FrameModel = Literal[VideoModel, "kling-v2-1"]
ElementsModel = Literal["kling-v1-6", "kling-v3-0"]
PlainRatio = Literal["16:9", "9:16", "1:1"]


@frozen(kw_only=True)
class FramesToVideo(TaskRequest):
    """Make a video that begins with a picture, ends with one, or both: a task that costs credits.

    The video has the picture's proportions. At least one of the two pictures is needed, each as a
    file or an address; all models but 1.x need the first.

    Args:
        image: the first frame: path, bytes or binary file, PNG or JPEG, at most 10 MB, each side at
            least 300 px; uploaded first.
        image_url: its http or https address instead; usually an upload's.
        image_tail: the last frame, likewise. Not with 2.1-master and 3.0-turbo.
        image_tail_url: its address instead.
        elements: 1 to 3 elements, by their ids `u_...` or as `kling.elements` gives them; with
            model 3.0.
        prompt: what is to happen, at most 2500 characters.
        negative_prompt: what is not to be seen, at most 2500 characters. Not with 2.5, 2.6, 3.0.
        model_name: as for `Text2Video`, and kling-v2-1, which is the server's default.
        duration_s: whole seconds, server's default 5; 5 or 10, 3 to 15 for 3.0, 3 to 30 for 4.0.
        mode: std (server's default), pro, or 4k, which model 3.0 alone has.
        cfg_scale: how closely it keeps to the prompt, 0 to 1; server's default 0.5. Not with 2.x.
        enable_audio: with sound; server's default false, true with 3.0. Model 2.6 needs pro and no
            last frame for it; 3.0-turbo does not take it.
        shots: 2 to 6 `Shot`s of 3 to 15 s together, instead of `prompt` and `duration_s`. Model 3.0
            only.

    What lies between the frames with model 4.0 (keyframes) has no documented names yet: `extra`.

    Source: `POST /videos/image2video-frames`.

    Examples:
        >>> task = await kling.videos.image2video_frames(image="ada.jpg", prompt="She smiles")
    """

    operation = "videos.image2video_frames"

    image_url: str | None = body("image", Url())
    image: MediaSource | Media | None = file("image_url", "image")
    image_tail_url: str | None = body("image_tail", Url())
    image_tail: MediaSource | Media | None = file("image_tail_url", "image")
    elements: Sequence[AnyElement] | None = numbered("element_{n}", ELEMENT_ID, most=3)
    prompt: str | None = body("prompt", Text(VIDEO_PROMPT_CHARS))
    negative_prompt: str | None = body("negative_prompt", Text(VIDEO_PROMPT_CHARS))
    model_name: FrameModel | str | None = body("model_name", OneOf(FrameModel, open=True))
    duration_s: int | None = body("duration", Integer(3, 30))
    mode: TextVideoMode | None = body("mode", OneOf(TextVideoMode))
    cfg_scale: float | None = body("cfg_scale", Number(0, 1))
    enable_audio: bool | None = body("enable_audio", Boolean())
    shots: Shots | None = numbered("shot_{n}_{field}", Shot, least=2, most=6)

    def cross_problems(self) -> dict[str, str]:
        """A frame at least, each once; a text or shots."""
        problems = {**files_or_addresses(self), **shot_problems(self, needs_prompt=False)}
        if not has(self, "image") and not has(self, "image_tail"):
            problems["image"] = "is needed, or image_url: the first frame"
        return problems

    def cautions(self) -> dict[str, str]:
        """What its model does not take."""
        return model_cautions(self, "kling-v2-1")


@frozen(kw_only=True)
class ElementsToVideo(TaskRequest):
    """Make a video of up to four pictures of people and things: a task that costs credits.

    Args:
        prompt: what they do, at most 2500 characters.
        images: 1 to 4 pictures, each a path, bytes, binary file or an http or https address. Files
            are PNG or JPEG, at most 10 MB, each side at least 300 px, and uploaded first.
        elements: 1 to 3 elements, by their ids `u_...` or as `kling.elements` gives them; with
            model 3.0.
        negative_prompt: what is not to be seen, at most 2500 characters.
        aspect_ratio: 16:9 (server's default), 9:16 or 1:1; not with model 3.0.
        duration_s: whole seconds, server's default 5; 5 or 10, 3 to 15 for model 3.0.
        mode: std (server's default) or pro.
        model_name: kling-v1-6 (server's default) or kling-v3-0.
        enable_audio: with sound; server's default false; model 3.0 always has sound.

    Source: `POST /videos/image2video-elements`.

    Examples:
        >>> task = await kling.videos.image2video_elements(prompt="At sea", images=["ada.jpg"])
    """

    operation = "videos.image2video_elements"

    prompt: str | None = body("prompt", Text(VIDEO_PROMPT_CHARS), required=True)
    images: Files | None = files("image_{n}", "image", most=4, first=0, required=True)
    elements: Sequence[AnyElement] | None = numbered("element_{n}", ELEMENT_ID, most=3)
    negative_prompt: str | None = body("negative_prompt", Text(VIDEO_PROMPT_CHARS))
    aspect_ratio: PlainRatio | None = body("aspect_ratio", OneOf(PlainRatio))
    duration_s: int | None = body("duration", Integer(3, 15))
    mode: VideoMode | None = body("mode", OneOf(VIDEO_MODES))
    model_name: ElementsModel | str | None = body("model_name", OneOf(ElementsModel, open=True))
    enable_audio: bool | None = body("enable_audio", Boolean())

    def cautions(self) -> dict[str, str]:
        """What its model does not take."""
        found = model_cautions(self, "kling-v1-6")
        if self.model_name == "kling-v3-0" and self.aspect_ratio is not None:
            found["aspect_ratio"] = "is not taken by kling-v3-0 here; leave it out"
        return found


def _audio_of(speech: Speech) -> str:
    if speech.url is None:  # documented as possible; nothing is paid for by then
        raise UnexpectedResponseError(
            "the speech was not ready, so the video was not asked for; nothing was paid. Try "
            "it again, or without render_speech",
            status_code=200,
            body=speech.raw,
        )
    return speech.url

"""What does `POST /avatars/video` start? A paid job that makes a face talk.

What is special about it: a face, its defaults, and what it says. All other jobs are rows of the
table in `jobs.py`.
"""

from __future__ import annotations

from attrs import frozen

from ..envelopes import bad_request, missing, not_found
from ..messages import Reply
from ..operation import API_ROOT, Context, Operation
from ..voices import EMOTIONS, spoken_s, template_of, voice_of
from .avatars import MAX_PROMPT_CHARS, MAX_SPEED, MIN_SPEED
from .media import speech_behind, template_url, upload_behind
from .starting import Input, Job, WorkPlan, read_tracking, start

MAX_TEXT_CHARS = 5000
TASK_TYPE = "avatar_video"  # the vendor's name is unknown
CREDITS = {"std": 20, "pro": 35}  # invented; real prices are not in the reference
_DEFAULT_PROMPT = "Natural speaking"  # documented
_SIDE_PX = {"std": 720, "pro": 1080}
_AUDIO_S = 5.0  # the emulator does not listen to files


@frozen
class _Face:
    """Who talks: a picture, and what the avatar it belongs to has as defaults."""

    image_url: str
    avatar_id: str | None = None
    speaker_id: str | None = None
    speed: float | None = None
    emotion: str | None = None
    prompt: str | None = None


@frozen
class _Words:
    """What is said: arguments of the task, an audio file or none, and how long it takes."""

    arguments: dict[str, str]
    audio_url: str | None
    duration_s: float


def create(context: Context) -> Reply:
    """Start the job; the answer has its id at `task.id`."""
    given = context.fields
    face = _face(context)
    words = _words(face, context)
    prompt = given.text("prompt", max_chars=MAX_PROMPT_CHARS) or face.prompt or _DEFAULT_PROMPT
    mode = given.choice("mode", tuple(CREDITS)) or "std"
    tracking = read_tracking(given)
    arguments = {"avatarId": face.avatar_id or "", **words.arguments}
    inputs: list[Input] = [("image", face.image_url, None)]
    inputs += [("audio", words.audio_url, None)] if words.audio_url else []
    side_px = _SIDE_PX[mode]
    job = Job(
        type=TASK_TYPE,
        inputs=tuple(inputs),
        arguments={
            **{name: value for name, value in arguments.items() if value},
            "prompt": prompt,
            "mode": mode,
        },
        works=(WorkPlan("video", side_px, side_px, round(words.duration_s * 1000)),),
        credits=CREDITS[mode],
    )
    return start(job, tracking, context)


def _face(context: Context) -> _Face:
    given = context.fields
    avatar_id = given.text("avatarId")
    has_image = given.text("imageUrl") is not None
    if avatar_id is not None and has_image:
        raise bad_request("avatarId and imageUrl exclude each other")
    if has_image:
        image_url = given.web_url("imageUrl")
        upload_behind(image_url, context, "imageUrl", "image")
        return _Face(image_url)
    if avatar_id is None:
        raise bad_request("One of avatarId and imageUrl is required")
    template = template_of(avatar_id)
    if template is not None:
        address = template_url(template, context.request.origin)
        return _Face(address, avatar_id, prompt=template.prompt)
    avatar = context.world.avatars.get(avatar_id)
    if avatar is None or avatar.account != context.account:
        raise not_found(f"Avatar {avatar_id} not found")  # the status is unknown
    return _Face(
        avatar.listed_url,
        avatar_id,
        avatar.tts_speaker,
        avatar.tts_speed,
        avatar.tts_emotion_key,
        avatar.prompt,
    )


def _words(face: _Face, context: Context) -> _Words:
    given = context.fields
    text = given.text("text", max_chars=MAX_TEXT_CHARS)
    has_audio = given.text("audioUrl") is not None
    speaker_id = given.text("speakerId")
    speed = given.number("speed", low=MIN_SPEED, high=MAX_SPEED)
    emotion = given.choice("emotion", EMOTIONS)
    if text is not None and has_audio:
        raise bad_request("audioUrl and text exclude each other")
    if has_audio:  # speakerId, speed and emotion mean nothing here; whether refused is unknown
        return _heard(given.web_url("audioUrl"), context)
    if text is None:
        raise bad_request("One of audioUrl and text is required")
    # Documented both as required with text and as taken from the avatar: only neither is refused.
    speaker_id = speaker_id or face.speaker_id
    if speaker_id is None:
        raise missing("speakerId")
    emotion = emotion or face.emotion or "neutral"
    speed = speed or face.speed or 1.0
    voice = voice_of(speaker_id)
    if voice is None:
        raise bad_request(f"speakerId {speaker_id} is not one of the voices")
    if not voice.speaks(emotion):
        raise bad_request(f"emotion {emotion} is not available for {speaker_id}")
    arguments = {"text": text, "speakerId": speaker_id, "speed": f"{speed:g}", "emotion": emotion}
    return _Words(arguments, None, spoken_s(text, speed))


def _heard(audio_url: str, context: Context) -> _Words:
    speech = speech_behind(audio_url, context.world)
    if speech is None:
        upload_behind(audio_url, context, "audioUrl", "audio")
        return _Words({}, audio_url, _AUDIO_S)
    if speech.account != context.account:
        raise bad_request("audioUrl was made with another account")
    return _Words({}, audio_url, speech.duration_ms / 1000)


OPERATIONS = (
    Operation("avatars.video", "POST", f"{API_ROOT}/avatars/video", create, email="body"),
)

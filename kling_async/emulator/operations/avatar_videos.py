"""`POST /avatars/video`: a paid job that makes a face talk.

The one operation here that takes a job slot. Everything about the request is checked before the
slots are counted; what becomes of the job is in `tasks.py`.
"""

from __future__ import annotations

from typing import cast
from urllib.parse import urlsplit

from attrs import evolve, frozen

from ..envelopes import MODERATED, Refusal, bad_request, moderated, not_found
from ..faults import Fault
from ..messages import Reply
from ..operation import API_ROOT, Context, Operation
from ..quota import no_free_slot
from ..records import task_record
from ..tasks import TRACKED_S, Task, TaskInput, Work
from ..voices import EMOTIONS, spoken_s, template_of, voice_of
from .avatars import MAX_PROMPT_CHARS, MAX_SPEED, MIN_SPEED
from .media import portrait_url, speech_behind, template_url, upload_behind

MAX_TEXT_CHARS = 5000
MAX_MAX_JOBS = 50
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
    max_jobs = given.whole("maxJobs", low=1, high=MAX_MAX_JOBS)
    reply_url = given.web_url("replyUrl") if given.text("replyUrl") else None
    reply_ref = given.text("replyRef")
    struck = context.struck_by("task_moderated")
    if struck is not None and struck.settings.get("form") == "create":
        raise Refusal(moderated())
    _take_slot(max_jobs, context)
    now_s = context.clock.monotonic()
    number = int(context.world.ids.number("task", 12, prefix="29"))
    job_s = context.world.ids.between("job", str(number), *context.job_s)
    arguments = {"avatarId": face.avatar_id or "", **words.arguments}
    inputs = [("image", face.image_url)]
    inputs += [("audio", words.audio_url)] if words.audio_url else []
    work = Work(
        id=int(context.world.ids.number("work", 12, prefix="31")),
        task_id=number,
        account=context.account,
        kind="video",
        width=_SIDE_PX[mode],
        height=_SIDE_PX[mode],
        duration_ms=round(words.duration_s * 1000),
    )
    task = Task(
        id=number,
        account=context.account,
        type=TASK_TYPE,
        inputs=tuple(TaskInput(name, url, _shown_url(url, context)) for name, url in inputs),
        arguments={
            **{name: value for name, value in arguments.items() if value},
            "prompt": prompt,
            "mode": mode,
        },
        reply_url=reply_url,
        reply_ref=reply_ref,
        credits=CREDITS[mode],
        create_time_ms=context.clock.now_ms(),
        call_number=context.call_number,
        origin=context.request.origin,
        started_s=now_s,
        job_s=job_s,
        planned_works=(work,),
        failure=_failure(context),
        lost_after_s=_lost_after_s(context.struck_by("task_lost"), job_s),
        clock=context.clock,
    )
    context.world.start(task)
    reply = Reply.of_json(task_record(task, now_s, context.request.origin))
    return evolve(reply, started=task)


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
        raise bad_request("speakerId is required with text")
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


def _take_slot(max_jobs: int | None, context: Context) -> None:
    """Refusal 429 where the account has none left; `maxJobs` of the call overrides the account's.

    Whether an override counts for this call alone is unknown; here it does.
    """
    now_s = context.clock.monotonic()
    tracked = context.world.tracked_tasks(now_s)
    running = [task for task in tracked if task.account == context.account]
    if len(running) < (max_jobs or context.world.accounts[context.account].max_jobs):
        return
    free_s = min(min(task.final_s, task.started_s + TRACKED_S) for task in running)
    raise Refusal(no_free_slot(free_s - now_s, context.clock.now_ms(), context.retry_form))


def _failure(context: Context) -> str | None:
    failed, banned = context.struck_by("task_failed"), context.struck_by("task_moderated")
    if failed is not None:
        return cast(str, failed.settings.get("message", "The video could not be generated"))
    return MODERATED if banned is not None else None


def _lost_after_s(fault: Fault | None, job_s: float) -> float | None:
    return None if fault is None else cast(float, fault.settings.get("after_s", job_s))


def _shown_url(url: str, context: Context) -> str:
    """What records say of an input: its own address, or a re-hosted one."""
    if not context.views.rehost_inputs:
        return url
    name = context.world.ids.token("input", 40)
    context.world.portraits[name] = urlsplit(url).path.rpartition("/")[2]
    return portrait_url(name, context.request.origin)


OPERATIONS = (
    Operation("avatars.video", "POST", f"{API_ROOT}/avatars/video", create, email="body"),
)

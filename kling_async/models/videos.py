"""Videos of talking avatars: what is asked for. What comes back is a `Task`.

Source: `POST /avatars/video` (vendor page, January 2026).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal, get_args

from attrs import evolve, field, frozen

from ..errors import JSON, UnexpectedResponseError
from . import checks
from .avatars import EMOTIONS, PROMPT_CHARS
from .media import Media, MediaSource
from .requests import Request, Safety, attachment, body, hidden
from .sightings import Evidence
from .task_evidence import TaskEvidence
from .tasks import Task
from .tts import CreateSpeech, Speech

VideoMode = Literal["std", "pro"]
VIDEO_MODES: tuple[str, ...] = get_args(VideoMode)
TEXT_CHARS = 5000
MAX_JOBS = 50
_OF_TEXT = ("speaker_id", "speed", "emotion")


@frozen(kw_only=True)
class CreateAvatarVideo(Request[Task]):
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
        max_jobs: 1 to 50 jobs at once on this account, instead of its own limit.
        reply_url: is told of the job's progress and its end (`kling_async` has a receiver).
        reply_ref: comes back in `kling.scheduler.running()` and in webhooks. Default: one that
            nobody can guess, made for each call, by which the job is found again. One of your own
            is never taken as proof, because only you know whether it was used before.

    Source: `POST /avatars/video`.
    """

    operation: ClassVar[str] = "avatars.video"
    method: ClassVar[str] = "POST"
    route: ClassVar[str] = "/avatars/video"
    safety: ClassVar[Safety] = Safety.PAID
    email_in: ClassVar[Literal["body"]] = "body"
    starts_job: ClassVar[bool] = True
    look_at: ClassVar[str] = "kling.scheduler.running() and kling.tasks.list()"
    evidence: ClassVar[Evidence | None] = TaskEvidence()

    avatar_id: str | None = body("avatarId", checks.digits)
    image_url: str | None = body("imageUrl", checks.url)
    image: MediaSource | Media | None = attachment("image_url", "image")
    audio_url: str | None = body("audioUrl", checks.url)
    audio: MediaSource | Media | None = attachment("audio_url", "audio")
    text: str | None = body("text", checks.text(most=TEXT_CHARS))
    speaker_id: str | None = body("speakerId", checks.text())
    speed: float | None = body("speed", checks.speed)
    emotion: str | None = body("emotion", checks.one_of(EMOTIONS))
    prompt: str | None = body("prompt", checks.text(most=PROMPT_CHARS))
    mode: str | None = body("mode", checks.one_of(VIDEO_MODES))
    render_speech: bool = field(default=False, metadata={"check": checks.flag})
    max_jobs: int | None = body("maxJobs", checks.whole(1, MAX_JOBS))
    reply_url: str | None = hidden("replyUrl", checks.url)  # its path may be a receiver's secret
    reply_ref: str | None = hidden("replyRef", checks.text())

    def cross_problems(self) -> dict[str, str]:
        """Exactly one face, exactly one speech, and nothing that would be ignored."""
        problems = {
            **_exactly_one(avatar_id=self.avatar_id, image_url=self.image_url, image=self.image),
            **_exactly_one(text=self.text, audio_url=self.audio_url, audio=self.audio),
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

    def decode(self, body: JSON) -> Task:
        """The job. An answer without its id is none: what was started has to be looked for."""
        return Task.from_api(body)

    def started_job(self, result: Task) -> int:
        """The task's id."""
        return result.id

    def finished_jobs(self, result: Task) -> Iterable[int]:
        """The task, should it be final already."""
        return (result.id,) if result.is_final else ()

    # --- speech that is rendered first ---

    def first(self, account: str | None) -> CreateSpeech | None:
        """The text as speech, where that was asked for."""
        if not self.render_speech:
            return None
        return CreateSpeech(
            speaker_id=self.speaker_id,
            text=self.text,
            speed=self.speed,
            emotion=self.emotion,
            email=account,
        )

    def after(self, result: Speech) -> CreateAvatarVideo:
        """The same with the audio's address instead of the text."""
        if result.url is None:  # documented as possible; nothing is paid for by then
            raise UnexpectedResponseError(
                "the speech was not ready, so the video was not asked for; nothing was paid. Try "
                "it again, or without render_speech",
                status_code=200,
                body=result.raw,
            )
        without = dict.fromkeys((*_OF_TEXT, "text"))
        return evolve(self, **without, audio_url=result.url, render_speech=False)


def _exactly_one(**choices: Any) -> dict[str, str]:
    given = [name for name, value in choices.items() if value is not None]
    if len(given) == 1:
        return {}
    first, *others = choices
    told = f"{' and '.join(given)} given" if given else "none given"
    return {first: f"exactly one of {first}, {' and '.join(others)} is needed, {told}"}

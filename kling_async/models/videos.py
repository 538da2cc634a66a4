"""Videos of talking avatars: what is asked for. What comes back is a `Task`.

Source: `POST /avatars/video` (vendor page, January 2026).
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from attrs import evolve, field, frozen

from ..errors import UnexpectedResponseError
from .avatars import EMOTIONS, PROMPT_CHARS, url_path
from .checks import SPEED, Boolean, Digits, OneOf, Text, Url, exactly_one
from .fields import body, file
from .history import earlier
from .media import Media, MediaSource
from .requests import Evidence, Preparation, Request
from .scheduler import ListRunning, RunningTask
from .task_requests import TaskRequest
from .tasks import GetTask, ListTasks, Task
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

    # --- looking for one whose answer was lost ---

    def marked(self) -> CreateAvatarVideo:
        """The same with a `reply_ref` that no other call has, where it has none."""
        if self.reply_ref is not None:
            return self
        return evolve(self, reply_ref=f"ka-{secrets.token_hex(16)}")

    def listings(self, account: str | None) -> tuple[ListRunning, ListTasks]:
        """The running jobs of all accounts, which show the reply_ref; then the account's tasks."""
        return (ListRunning(), ListTasks(email=account))

    def further(
        self, listing: Request[Any], listed: Sequence[Any], since_s: float
    ) -> ListTasks | None:
        """The account's earlier tasks: a job that is over shows in no other place."""
        return earlier(listing, listed, since_s * 1000) if isinstance(listing, ListTasks) else None

    def tokens(self) -> Mapping[str, str]:
        """The reply_ref, and the paths of image and audio."""
        urls = {"image_url": self.image_url, "audio_url": self.audio_url}
        found = {name: url_path(url) for name, url in urls.items() if url is not None}
        return found if self.reply_ref is None else {**found, "reply_ref": self.reply_ref}

    def weigh(
        self,
        listed: RunningTask | Task,
        *,
        account: str | None,
        own: Collection[str],
        timely: bool,
    ) -> Evidence:
        """Proof is what this library made for this call alone; all else is only possible.

        A job is paid for, so none is ever taken because it looks alike: the lists show neither text
        nor, perhaps, addresses as they were sent.
        """
        if isinstance(listed, RunningTask):
            return self._weigh_running(listed, account, own, timely)
        if not timely or not _may_be_video(listed):
            # Before the address was made nothing can have used it. Should the server give equal
            # files or texts equal addresses, an older job's would be taken for this one's.
            return Evidence.NOTHING
        paths = set(input_paths(listed))
        proven = any(name in own and token in paths for name, token in self.tokens().items())
        return Evidence.PROOF if proven else Evidence.POSSIBLE

    def _weigh_running(
        self, listed: RunningTask, account: str | None, own: Collection[str], timely: bool
    ) -> Evidence:
        theirs = listed.email
        same = account is None or theirs is None or theirs.casefold() == account.casefold()
        if listed.reply_ref is not None and listed.reply_ref != self.reply_ref:
            return Evidence.NOTHING  # whatever addresses it has
        if listed.reply_ref is not None and "reply_ref" in own:
            # On another account it is only shown: later calls about it would go astray.
            return Evidence.MARK if same else Evidence.POSSIBLE
        return Evidence.POSSIBLE if same and timely else Evidence.NOTHING

    def listed_id(self, listed: RunningTask | Task) -> str:
        """The task's id."""
        return str(listed.id)

    def listed_at_s(self, listed: RunningTask | Task, default_s: float) -> float:
        """The task's createTime by Kling's clock, or when the scheduler began to follow it."""
        if isinstance(listed, RunningTask):
            return _moment_s(listed.started, default_s)
        return default_s if listed.create_time_ms is None else listed.create_time_ms / 1000

    def result_id(self, result: Task) -> str:
        """The task's id."""
        return str(result.id)

    def adopt(self, listed: RunningTask | Task) -> Task:
        """The task; the scheduler tells no more of it than its id."""
        return listed if isinstance(listed, Task) else Task.from_api({"task": {"id": listed.id}})

    def whole(self, listed: RunningTask | Task, account: str | None) -> GetTask | None:
        """What asks for the rest of a task that the scheduler showed."""
        return None if isinstance(listed, Task) else GetTask(task_id=listed.id, email=account)


def _audio_of(speech: Speech) -> str:
    if speech.url is None:  # documented as possible; nothing is paid for by then
        raise UnexpectedResponseError(
            "the speech was not ready, so the video was not asked for; nothing was paid. Try "
            "it again, or without render_speech",
            status_code=200,
            body=speech.raw,
        )
    return speech.url


def _may_be_video(task: Task) -> bool:
    return all(one.content_type in (None, "video") for one in task.works)


def input_paths(task: Task) -> Iterator[str]:
    """The paths of a task's input addresses; its works repeat them, and may be all there is."""
    for one in task.inputs:
        if one.url:
            yield url_path(one.url)
    for work in task.works:
        info = work.extra.get("taskInfo")
        inputs = info.get("inputs") if isinstance(info, Mapping) else None
        for entry in inputs if isinstance(inputs, list) else ():
            url = entry.get("url") if isinstance(entry, Mapping) else None
            if isinstance(url, str) and url:
                yield url_path(url)


def _moment_s(stated: str | None, default_s: float) -> float:
    try:
        moment = datetime.fromisoformat(stated or "")
    except ValueError:
        return default_s
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()

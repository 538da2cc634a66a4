"""What can be done to a picture or a video that is there? Effects, motion, lips, sound, length.

Source: the vendor's pages of `/videos/effects`, `image2video-effects`, `extend`, `lipsync`,
`motions`, `motion-create`, `motion-upload` and `add-sound` (October 2025 to October 2026).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from attrs import frozen

from .checks import Boolean, Number, OneOf, Text, Url
from .elements import ELEMENT_ID, AnyElement
from .fields import body, file, numbered, query
from .media import Media, MediaSource
from .requests import GetRequest
from .responses import Model, named
from .task_requests import TaskRequest
from .tasks import TASK_ID, AnyTask
from .videos import VIDEO_MODES, VIDEO_PROMPT_CHARS, VideoMode


@frozen(kw_only=True)
class Effect(Model):
    """An effect for `kling.videos.image2video_effects`.

    One without modes is probably retired, and refused at no cost; one whose `effect_supported` is
    False needs preparations that this API can't make.
    """

    name: str
    caption: str | None = None
    hot: bool | None = None
    modes: tuple[str, ...] = named("supportedModelMode", default=())
    video_url: str | None = None
    cover_url: str | None = None
    effect_supported: bool | None = None
    prompt_supported: bool | None = None

    @property
    def is_usable(self) -> bool:
        """Whether nothing says that it would be refused."""
        return bool(self.modes) and self.effect_supported is not False


@frozen(kw_only=True)
class ListEffects(GetRequest[list[Effect]]):
    """The effects that a picture can be given.

    Source: `GET /videos/effects`.

    Examples:
        >>> names = [one.name for one in await kling.videos.effects()]
    """

    operation = "videos.effects"


@frozen(kw_only=True)
class EffectVideo(TaskRequest):
    """Make a video of a picture with one of Kling's effects: a task that costs credits.

    Args:
        effect: one of `kling.videos.effects()`, or its name.
        image: path, bytes or binary file, PNG or JPEG, at most 10 MB, each side at least 300 px;
            uploaded first.
        image_url: its http or https address instead; usually an upload's.
        mode: std or pro, one of the effect's `modes`; the first of them is the default.
        prompt: at most 2500 characters, where the effect's `prompt_supported` says so; default: the
            effect's own.

    Source: `POST /videos/image2video-effects`.

    Examples:
        >>> effect = (await kling.videos.effects())[0]
        >>> task = await kling.videos.image2video_effects(effect=effect, image="ada.jpg")
    """

    operation = "videos.image2video_effects"

    effect: str | Effect | None = body("effect", Text(of=Effect, by="name"), required=True)
    image_url: str | None = body("image", Url())
    image: MediaSource | Media | None = file("image_url", "image", required=True)
    mode: VideoMode | None = body("mode", OneOf(VIDEO_MODES))
    prompt: str | None = body("prompt", Text(VIDEO_PROMPT_CHARS))


@frozen(kw_only=True)
class ExtendVideo(TaskRequest):
    """Make a video longer by about 5 s: a task that costs about 20 credits.

    Args:
        task_id: the task that made the video, with model kling-v1-6 and on the same account, or its
            id. Videos of other models are refused with `TASK.InvalidTaskType`.
        prompt: what is to happen, at most 2500 characters.
        negative_prompt: what is not to be seen, at most 2500 characters.
        cfg_scale: how closely it keeps to the prompt, 0 to 1; server's default 0.5.
        enable_audio: with sound; server's default false.

    Source: `POST /videos/extend`.

    Examples:
        >>> longer = await kling.videos.extend(task_id=task)
    """

    operation = "videos.extend"

    task_id: AnyTask | None = body("task_id", TASK_ID, required=True)
    prompt: str | None = body("prompt", Text(VIDEO_PROMPT_CHARS))
    negative_prompt: str | None = body("negative_prompt", Text(VIDEO_PROMPT_CHARS))
    cfg_scale: float | None = body("cfg_scale", Number(0, 1))
    enable_audio: bool | None = body("enable_audio", Boolean())


@frozen(kw_only=True)
class Lipsync(TaskRequest):
    """Make the lips of a video follow a recording: a task that costs credits.

    Args:
        video: path, bytes or binary file, MP4 or MOV, at most 100 MB and 60 s, with one clear
            frontal face; uploaded first.
        video_url: its http or https address instead: of an upload its `resource_url`.
        audio: path, bytes or binary file, WAV, MP3, M4A, FLAC, AAC or OGG, at most 20 MB; uploaded
            first. What is longer than the video is cut; what is shorter leaves the rest silent.
        audio_url: its address instead; usually an upload's, or `tts.create`'s.

    Source: `POST /videos/lipsync`.

    Examples:
        >>> task = await kling.videos.lipsync(video="dance.mp4", audio="hello.mp3")
    """

    operation = "videos.lipsync"

    video_url: str | None = body("video", Url())
    video: MediaSource | Media | None = file("video_url", "video", required=True)
    audio_url: str | None = body("audio", Url())
    audio: MediaSource | Media | None = file("audio_url", "audio", required=True)


@frozen(kw_only=True)
class Motion(Model):
    """A motion for `kling.videos.motion_create`, which takes its `url`. Shown without its id, too.

    Source: `GET /videos/motions` (January 2026).
    """

    url: str
    asset_id: str | None = None
    cover_url: str | None = None
    duration_ms: int | None = named("duration", default=None)
    width: int | None = None
    height: int | None = None
    has_audio: bool | None = None
    create_time_ms: int | None = named("createTime", default=None)


@frozen(kw_only=True)
class ListMotions(GetRequest[list[Motion]]):
    """The motions that a person in a picture can be given.

    Args:
        mine: those of the account instead of Kling's; server's default false.

    Source: `GET /videos/motions`.

    Examples:
        >>> motions = await kling.videos.motions()
    """

    operation = "videos.motions"

    mine: bool | None = query("mine", Boolean())


MotionModel = Literal["kling-v3-0", "kling-v2-6"]
MotionWay = Literal["motion_direction", "image_direction"]


@frozen(kw_only=True)
class CreateMotion(TaskRequest):
    """Let the person in a picture move as somebody in a video: a task that costs credits.

    The result is as long as the motion.

    Args:
        image: path, bytes or binary file, PNG or JPEG, at most 10 MB, each side at least 300 px,
            with a person in full view; uploaded first. Where none is seen, the answer is 400 with
            `MOTION.PIC_NOT_MATCHED`.
        image_url: its address instead; it must be an upload's.
        motion: path, bytes or binary file of 3 to 30 s, MP4 or MOV, at most 100 MB; uploaded first.
        motion_url: its address instead: of an upload its `resource_url`, or the `url` of one of
            `kling.videos.motions()`.
        model_name: kling-v3-0 (server's default) or kling-v2-6.
        prompt: at most 2500 characters.
        keep_audio: keep the sound of the motion; server's default false.
        motion_direction: whose way the person faces: motion_direction (server's default) or
            image_direction.
        mode: std or pro.
        elements: one element, by its id `u_...` or as `kling.elements` gives it, with model 3.0.

    Source: `POST /videos/motion-create`.

    Examples:
        >>> task = await kling.videos.motion_create(image="ada.jpg", motion="dance.mp4")
    """

    operation = "videos.motion_create"

    image_url: str | None = body("imageUrl", Url())
    image: MediaSource | Media | None = file("image_url", "image", required=True)
    motion_url: str | None = body("motionUrl", Url())
    motion: MediaSource | Media | None = file("motion_url", "video", required=True)
    model_name: MotionModel | str | None = body("model_name", OneOf(MotionModel, open=True))
    prompt: str | None = body("prompt", Text(VIDEO_PROMPT_CHARS))
    keep_audio: bool | None = body("keepAudio", Boolean())
    motion_direction: MotionWay | None = body("motionDirection", OneOf(MotionWay))
    mode: VideoMode | None = body("mode", OneOf(VIDEO_MODES))
    elements: Sequence[AnyElement] | None = numbered("element_{n}", ELEMENT_ID, most=1)

    def cautions(self) -> dict[str, str]:
        """What its model does not take."""
        is_old = self.model_name == "kling-v2-6" and self.elements is not None
        return {"elements": "are not taken by kling-v2-6"} if is_old else {}


@frozen(kw_only=True)
class UploadMotion(TaskRequest):
    """Save a video as a motion; deprecated by the vendor: `motion_create` takes videos itself.

    Args:
        resource_url: of `kling.assets.upload`, a video of 2 to 10 s.
        cover_url: of the same upload.

    Source: `POST /videos/motion-upload`.

    Examples:
        >>> clip = await kling.assets.upload("dance.mp4")
        >>> cover = await kling.assets.upload("ada.jpg")
        >>> task = await kling.videos.motion_upload(
        ... resource_url=clip.usable_url, cover_url=cover.usable_url
        ... )
    """

    operation = "videos.motion_upload"

    resource_url: str | None = body("resourceUrl", Url(), required=True)
    cover_url: str | None = body("coverUrl", Url(), required=True)

    def cautions(self) -> dict[str, str]:
        """There is a better way."""
        return {"resource_url": "is better given to motion_create: the vendor has deprecated this"}


@frozen(kw_only=True)
class AddSound(TaskRequest):
    """Give a video sounds that fit what is seen: a task that costs credits.

    Args:
        video: path, bytes or binary file of 3 to 20 s, MP4 or MOV, at most 100 MB; uploaded first.
        video_url: its http or https address instead: of an upload its `resource_url`.
        keep_original_sound: keep the sound that it has; server's default false. The API calls it
            `cropVideoOriginalSound`, and means the same.

    Source: `POST /videos/add-sound`.

    Examples:
        >>> loud = await kling.videos.add_sound(video_url=task.works[0].url)
    """

    operation = "videos.add_sound"

    video_url: str | None = body("video", Url())
    video: MediaSource | Media | None = file("video_url", "video", required=True)
    keep_original_sound: bool | None = body("cropVideoOriginalSound", Boolean())

"""Which paid jobs make or change videos? Rows of the table in `jobs.py`.

Prices that are not documented are invented, and so are the names of records, but for `extend` and
`add-sound`, whose pages show them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..envelopes import Refusal, bad_request, error_with_message, malformed, missing, not_found
from ..operation import Context
from ..records import work_url
from ..tasks import Task, Work
from . import video_models as models
from .jobfields import SHOTS, JobField, choice, flag, image, numbered, text, whole
from .jobs import JobSpec, Values, one_video, operations_of, refuse, told
from .media import upload_behind, work_behind
from .video_lists import EFFECTS, voice_for
from .video_models import DEFAULT_S, VideoModel

MODES = choice("mode", "std", "pro")
CFG = JobField("cfg_scale", "number", low=0, high=1)
AUDIO = flag("enable_audio")
MAX_OLD_PROMPT_CHARS = 1700


def _element(name: str) -> JobField:
    return JobField(name, "text", max_chars=100)


def _given(values: Values, name: str, numbers: Sequence[int]) -> list[str]:
    return [one for n in numbers if (one := f"{name}_{n}") in values]


def _video_field(name: str, low_s: float, high_s: float) -> JobField:
    """A required video of that length; the emulator knows the length of what tasks made alone."""

    def read(context: Context, name: str) -> str:
        url = context.fields.web_url(name)
        upload_behind(url, context, name, "video")
        work = work_behind(url, context)
        if work is not None and not low_s <= work.duration_ms / 1000 <= high_s:
            raise bad_request(f"{name} must have {low_s:g} to {high_s:g} s")
        return url

    return JobField(name, "video", required=True, read=read)


def _of_model(
    name: str,
    task_type: str,
    fields: Sequence[JobField],
    model_of: Callable[[Values], VideoModel],
    *rules: Callable[[Values], object],
    needs_prompt: bool = True,
) -> JobSpec:
    """A row whose length, size and price follow from a model."""
    has_ratio = any(field.name == "aspect_ratio" for field in fields)

    def ratio(given: Values) -> str:
        return str(given.get("aspect_ratio", "16:9"))

    def length_s(given: Values) -> int:
        shots_s = models.check_shots(model_of(given), given, needs_prompt=needs_prompt)
        return shots_s or int(str(given.get("duration", DEFAULT_S)))

    return JobSpec(
        name=name,
        task_type=task_type,
        fields=tuple(fields),
        arguments=lambda given: told(
            given,
            *("prompt", "negative_prompt", "enable_audio"),
            *(field.name for field in SHOTS),
            kling_version=model_of(given).version,
            duration=length_s(given),
            model_mode=model_of(given).mode(given),
            **({"aspect_ratio": ratio(given)} if has_ratio else {}),
            **({"cfg": given["cfg_scale"]} if "cfg_scale" in given else {}),
        ),
        works=lambda given: (
            (one_video(model_of(given).mode(given), ratio(given), length_s(given)),) * _count(given)
        ),
        credits=lambda given: model_of(given).credits_of(given) * length_s(given) * _count(given),
        rules=(length_s, lambda given: models.check_model(model_of(given), given), *rules),
    )


def _count(given: Values) -> int:
    return int(str(given.get("count", 1)))


# --- texts and pictures -----------------------------------------------------------------------


def _frame_model(given: Values) -> VideoModel:
    return models.FRAME_MODELS[str(given.get("model_name", "kling-v2-1"))]


def _frame_rules(given: Values) -> None:
    model = _frame_model(given)
    if "image" not in given and ("image_tail" not in given or not model.version.startswith("1.")):
        raise missing("image")
    has_tail, has_audio = "image_tail" in given, model.with_audio and given.get("enable_audio")
    no_tail = model.version in ("2.1-master", "3.0-turbo")
    refuse(
        (has_tail and no_tail, "image_tail is not supported by this model"),
        (has_tail and has_audio, "enable_audio excludes image_tail with this model"),
    )
    _element_rules(model.version == "3.0", given)


def _element_rules(is_v3: bool, given: Values) -> None:
    named = () if is_v3 else _given(given, "element", range(1, 8))
    refuse(*((True, f"{name} is not supported by this model") for name in named))


def _elements_rules(given: Values) -> None:
    if not _given(given, "image", range(4)):
        raise missing("image_0")  # whether another could stand alone, pages disagree: here it can
    is_v3 = given.get("model_name") == "kling-v3-0"
    refuse((is_v3 and "aspect_ratio" in given, "aspect_ratio is not supported by this model"))
    _element_rules(is_v3, given)


TEXT = _of_model(
    "videos.text2video",
    "m2v_txt2video_hq",
    (
        *(text("prompt"), choice("model_name", *models.MODELS), text("negative_prompt"), CFG),
        *(whole("duration", 3, 30), choice("aspect_ratio", "16:9", "9:16", "1:1", "21:9")),
        *(choice("mode", "std", "pro", "4k"), AUDIO, *SHOTS),
    ),
    lambda given: models.MODELS[str(given.get("model_name", "kling-v1-6"))],
)
FRAMES = _of_model(
    "videos.image2video_frames",
    "m2v_img2video_hq",
    (
        *(image("image"), image("image_tail"), *numbered(_element, "element_", 3)),
        *(text("prompt"), text("negative_prompt"), CFG, whole("duration", 3, 30), AUDIO, *SHOTS),
        *(choice("mode", "std", "pro", "4k"), choice("model_name", *models.FRAME_MODELS)),
    ),
    _frame_model,
    _frame_rules,
    needs_prompt=False,
)
ELEMENTS = _of_model(
    "videos.image2video_elements",
    "m2v_multi_img2video",
    (
        *(text("prompt", required=True), *numbered(image, "image_", 3, 0)),
        *(*numbered(_element, "element_", 3), text("negative_prompt")),
        *(choice("aspect_ratio", "16:9", "9:16", "1:1"), whole("duration", 3, 15), MODES),
        *(choice("model_name", "kling-v1-6", "kling-v3-0"), AUDIO),
    ),
    lambda given: models.FRAME_MODELS[str(given.get("model_name", "kling-v1-6"))],
    _elements_rules,
)


def _effect_rules(given: Values) -> None:
    effect = EFFECTS.get(str(given["effect"]))
    if effect is None or not effect.is_usable:
        raise malformed("effect", given["effect"])
    if given.get("mode", effect.modes[0]) not in effect.modes:
        raise malformed("mode", given["mode"])
    if "prompt" in given and not effect.takes_prompt:
        raise bad_request("Parameter prompt is not supported by this effect")


EFFECT = JobSpec(
    name="videos.image2video_effects",
    task_type="m2v_effects",
    fields=(
        *(JobField("effect", "text", required=True, max_chars=200), image("image", required=True)),
        *(MODES, text("prompt")),
    ),
    arguments=lambda given: told(
        given, "effect", "prompt", model_mode=given.get("mode", _effect_mode(given))
    ),
    rules=(_effect_rules,),
)


def _effect_mode(given: Values) -> str:
    return EFFECTS[str(given["effect"])].modes[0]


# --- omni -------------------------------------------------------------------------------------


def _omni_version(given: Values) -> VideoModel:
    return models.OMNI_VERSIONS[str(given.get("omni_version", "v3"))]


def _omni_rules(given: Values) -> None:
    version = _omni_version(given).version
    is_old, framed = version in ("v3", "o1"), "frame_start" in given
    videos, voices = _given(given, "video", range(1, 6)), _given(given, "voice", range(1, 4))
    pictures = [*_given(given, "image", range(1, 11)), *_given(given, "element", range(1, 8))]
    if is_old and len(str(given.get("prompt", ""))) > MAX_OLD_PROMPT_CHARS:
        raise malformed("prompt", given["prompt"])
    if "frame_end" in given and not framed:
        raise missing("frame_start")
    if framed and given.get("aspect_ratio", "auto") != "auto":
        raise malformed("aspect_ratio", given["aspect_ratio"])
    refused = {
        "frame_start": framed and (not is_old or bool(pictures)),
        "enable_audio": "enable_audio" in given and bool(videos or version == "o1"),
        "video_2": is_old and len(videos) > 1,
        "voice_1": version != "v4" and bool(voices),
        "image_8": is_old and len(pictures) > 7,
        "video_1": len(pictures) + len(videos) + len(voices) > 15,
    }
    text = "is not supported with these parameters"
    refuse(*((is_so, f"{name} {text}") for name, is_so in refused.items()))


OMNI = _of_model(
    "videos.omni",
    "m2v_omni_video",
    (
        *(text("prompt"), choice("omni_version", *models.OMNI_VERSIONS), whole("duration", 3, 30)),
        *(choice("aspect_ratio", "16:9", "9:16", "1:1", "auto", "21:9"), AUDIO),
        *(choice("mode", "std", "pro", "4k"), *numbered(image, "image_", 10)),
        *(*numbered(_element, "element_", 7), image("frame_start"), image("frame_end")),
        *numbered(lambda name: JobField(name, "video"), "video_", 5),
        *(choice("video_mode", "reference", "transform"), flag("keep_audio")),
        *numbered(lambda name: JobField(name, "text", read=voice_for), "voice_", 3),
        *(whole("count", 1, 4), *SHOTS),
    ),
    _omni_version,
    _omni_rules,
)


# --- what is there already --------------------------------------------------------------------


def _succeeded(context: Context, name: str) -> Task:
    """The task that a create goes on from."""
    number, now_s = context.fields.digits(name), context.clock.monotonic()
    task = context.world.tasks.get(int(number))
    if task is None or task.account != context.account or not task.is_there_at(now_s):
        raise not_found(f"Task {number} not found")  # the status is documented, the text is not
    if task.state_at(now_s) != "succeed":
        raise bad_request(f"Parameter {name} must be of a task that has succeeded")
    if task.arguments.get("kling_version") != "1.6":  # the text is documented, the status is not
        raise Refusal(error_with_message("TASK.InvalidTaskType", "Service busy"))
    return task


def _source(given: Values) -> Task:
    task = given["task_id"]
    assert isinstance(task, Task)
    return task


def _extended(given: Values) -> Work:
    return _source(given).planned_works[0]


EXTEND = JobSpec(
    name="videos.extend",
    task_type="m2v_extend_video",
    fields=(
        JobField("task_id", "text", required=True, read=_succeeded),
        *(text("prompt"), text("negative_prompt"), CFG, AUDIO),
    ),
    arguments=lambda given: told(
        given, "prompt", "negative_prompt", "enable_audio", cfg=given.get("cfg_scale", 0.5)
    ),
    works=lambda given: (one_video(seconds=_extended(given).duration_ms / 1000 + DEFAULT_S),),
    inputs=lambda given: (
        ("input", work_url(_extended(given), _source(given).origin), _extended(given).id),
    ),
)


def _sound_payload(given: Values) -> tuple[Mapping[str, object], ...]:
    video = {"name": "originalVideoUrl", "type": "VIDEO", "url": given["video"]}
    keeps = "true" if given.get("cropVideoOriginalSound") else "false"
    return (
        {
            "name": "video2audio_payloads",
            "resources": [video],
            "arguments": [{"name": "cropVideoOriginalSound", "value": keeps}],
        },
    )


ADD_SOUND = JobSpec(
    name="videos.add_sound",
    task_type="kwave_video2audio",
    fields=(_video_field("video", 3, 20), flag("cropVideoOriginalSound")),
    arguments=lambda given: {"biz": "klingai", "imageCount": 1, "duration": 20},
    payloads=_sound_payload,
    bare_status=True,
)
LIPSYNC = JobSpec(
    name="videos.lipsync",
    task_type="m2v_video_lip_sync",
    fields=(_video_field("video", 0, 60), JobField("audio", "audio", required=True)),
)
MOTION_CREATE = JobSpec(
    name="videos.motion_create",
    task_type="m2v_motion_control",
    fields=(
        *(image("imageUrl", required=True), _video_field("motionUrl", 3, 30)),
        *(choice("model_name", "kling-v3-0", "kling-v2-6"), text("prompt"), MODES),
        *(flag("keepAudio"), _element("element_1")),
        choice("motionDirection", "motion_direction", "image_direction"),
    ),
    arguments=lambda given: told(
        given,
        prompt=given.get("prompt", ""),
        keepAudio=given.get("keepAudio", False),
        motionDirection=given.get("motionDirection", "motion_direction"),
    ),
    works=lambda given: (one_video(str(given.get("mode", "std"))),),
    rules=(lambda given: _element_rules(given.get("model_name") != "kling-v2-6", given),),
)
MOTION_UPLOAD = JobSpec(
    name="videos.motion_upload",
    task_type="m2v_motion_upload",
    fields=(_video_field("resourceUrl", 2, 10), image("coverUrl", required=True)),
    credits=lambda given: 0,
)

JOBS = (
    *(TEXT, FRAMES, ELEMENTS, EFFECT, OMNI),
    *(EXTEND, LIPSYNC, ADD_SOUND, MOTION_CREATE, MOTION_UPLOAD),
)
OPERATIONS = operations_of(*JOBS)

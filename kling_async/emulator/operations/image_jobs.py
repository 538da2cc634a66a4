"""Which paid jobs make pictures, what do they take, and how large are the pictures?

The rows of `jobs.py` that have images for their works. Names inside the records, and credits where
the vendor's pages state none, are invented.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import cast

from ..envelopes import bad_request, missing, not_found
from ..messages import Reply
from ..operation import API_ROOT, Context, Operation
from ..records import work_url
from ..tasks import Work
from .jobfields import JobField, choice, flag, image, numbered, text, whole
from .jobs import JobSpec, Values, operations_of, refuse, told
from .media import upload_behind, work_behind
from .starting import Job, WorkPlan, read_tracking, start

RATIOS: Mapping[str, float] = {
    "1:1": 1, "16:9": 16 / 9, "4:3": 4 / 3, "3:2": 3 / 2, "2:3": 2 / 3, "3:4": 3 / 4,
    "9:16": 9 / 16, "21:9": 21 / 9,
}  # fmt: skip
SIDE_PX: Mapping[str, int] = {"1k": 1024, "2k": 2048, "4k": 4096}
_UNIT_PX = 16
REFERENCES = ("subject", "face", "restyle")


def size_px(ratio: float, side_px: int) -> tuple[int, int]:
    """Width and height of so much area as a square of that side, in steps of 16 px; documented."""
    width, height = side_px * math.sqrt(ratio), side_px / math.sqrt(ratio)
    return int(width // _UNIT_PX * _UNIT_PX), int(height // _UNIT_PX * _UNIT_PX)


def _count(given: Values) -> int:
    return int(str(given.get("imageCount", 1)))


def pictures(
    resolution: str, count: Callable[[Values], int] = _count
) -> Callable[[Values], tuple[WorkPlan, ...]]:
    """The works of a row, by the resolution where none is given and by how many there are."""

    def works(given: Values) -> tuple[WorkPlan, ...]:
        ratio = RATIOS.get(str(given.get("aspect_ratio")), RATIOS["16:9"])
        side_px = SIDE_PX.get(str(given.get("resolution", resolution)).lower(), 2048)
        plan = WorkPlan("image", *size_px(ratio, side_px))
        return (plan,) * count(given)

    return works


def _each(credits: int) -> Callable[[Values], float]:
    return lambda given: credits * _count(given)


def _with_ratio(context: Context, name: str) -> tuple[str, float]:
    """The address of a picture and its ratio, 1 where the picture is not kept here."""
    url = context.fields.web_url(name)
    source = upload_behind(url, context, name, "image") or work_behind(url, context)
    return url, source.width / source.height if source else 1.0


def _enhanced(given: Values) -> tuple[str, float]:
    return cast(tuple[str, float], given["image"])


# --- rules ------------------------------------------------------------------------------------


def _wears(given: Values) -> None:
    parts = {"upperInput", "lowerInput"} & given.keys()
    if not parts and "dressInput" not in given:
        raise missing("dressInput")
    refuse((parts and "dressInput" in given, "dressInput excludes upperInput and lowerInput"))


def _has_reference(given: Values) -> None:
    """A reference needs its picture and an older version, and no ratio where it restyles."""
    kind = given.get("reference", "none")
    newest = given.get("version", "kling-v3-0") == "kling-v3-0"
    has_images = any(name.startswith("image_") for name in given)
    refuse((kind != "none" and newest, "reference is not supported by kling-v3-0"))
    if kind != "none" and "imageReference" not in given:
        raise missing("imageReference")
    ratio = given.get("aspect_ratio")
    refuse(
        (kind == "restyle" and ratio, "aspect_ratio is not supported with reference restyle"),
        (has_images and not newest, "image_1 is not supported by this version"),
        (ratio == "auto" and not (newest and has_images), "aspect_ratio (auto) needs image_1"),
    )


def _is_something(given: Values) -> None:
    if not given.keys() - {"aspect_ratio", "imageCount"}:
        raise missing("prompt")


def _fits_version(given: Values) -> None:
    version, resolution = given.get("omni_version", "v3"), str(given.get("resolution", "1k"))
    allowed = {"o1": ("1k", "2k"), "v3": ("1k", "2k", "4k"), "v4": ("1k", "2k", "4k", "8k")}
    is_of_none = not any(name.startswith(("image_", "element_")) for name in given)
    is_auto, is_large = given.get("aspect_ratio") == "auto", given.get("imageCount") == 10
    is_other = resolution.lower() not in allowed[str(version)]
    refuse(
        (is_of_none and given.get("story_mode"), "story_mode needs image_1 or element_1"),
        (is_auto and version == "o1", "aspect_ratio (auto) is not supported by o1"),
        (is_other, f"resolution ({resolution}) has incorrect format"),
        (is_large and version != "v4", "imageCount (10) has incorrect format"),
    )


def _kolors_count(given: Values) -> int:
    """How many pictures: left out, two with version 3.0 and one with the others, documented."""
    default = 2 if given.get("version", "kling-v3-0") == "kling-v3-0" else 1
    return int(str(given.get("imageCount", default)))


# --- the rows ---------------------------------------------------------------------------------

IMAGE_JOBS: tuple[JobSpec, ...] = (
    JobSpec(
        "images.virtual_try_on", "mmu_img2img_aitryon",
        fields=(
            image("humanImage", required=True), image("dressInput"), image("upperInput"),
            image("lowerInput"), whole("imageCount", 1, 4),
        ),
        arguments=lambda given: {"imageCount": given.get("imageCount", 1)},
        works=pictures("1k"), credits=_each(2), rules=(_wears,),
    ),
    JobSpec(
        "images.kolors", "mmu_txt2img_aiweb",
        fields=(
            text("prompt", required=True), choice("aspect_ratio", *RATIOS, "auto"),
            choice("version", "kling-v3-0", "kling-v2-1", "kling-v2-0", "kling-v1-6", "kling-v1-5"),
            choice("resolution", "1k", "2k"), whole("imageCount", 1, 9),
            *numbered(image, "image_", 10), choice("reference", "none", *REFERENCES),
            image("imageReference"), whole("faceStrength", 1, 100),
            whole("subjectStrength", 1, 100), whole("faceNo", 1, 1000),
        ),
        arguments=lambda given: {
            "prompt": given["prompt"],
            "kolors_version": str(given.get("version", "kling-v3-0"))[7:].replace("-", "."),
            "imageCount": _kolors_count(given),
            "aspect_ratio": given.get("aspect_ratio", "16:9"),
            "img_resolution": given.get("resolution", "2k"),
        },
        works=pictures("2k", _kolors_count), credits=_each(1), rules=(_has_reference,),
    ),
    JobSpec(
        "images.kolors_elements", "mmu_img2img_multi",
        fields=(
            text("prompt"), *numbered(image, "subjectImage", 4), image("sceneImage"),
            image("styleImage"), choice("aspect_ratio", *RATIOS), whole("imageCount", 1, 9),
        ),
        arguments=lambda given: told(given, "prompt", "aspect_ratio", "imageCount"),
        works=pictures("1k"), credits=_each(1), rules=(_is_something,),
    ),
    JobSpec(
        "images.omni", "mmu_omni_image",
        fields=(
            JobField("prompt", "text", True), choice("omni_version", "v3", "o1", "v4"),
            JobField("resolution", "text"), choice("aspect_ratio", *RATIOS, "auto"),
            whole("imageCount", 1, 10), flag("story_mode"), flag("unlimited"),
            *numbered(image, "image_", 10),
            *numbered(lambda name: JobField(name, "text"), "element_", 10),
        ),
        arguments=lambda given: {
            "prompt": given["prompt"],
            "omni_version": given.get("omni_version", "v3"),
            "img_resolution": given.get("resolution", "1k"),
            "imageCount": given.get("imageCount", 1),
        },
        works=pictures("1k"), credits=_each(4), rules=(_fits_version,),
    ),
    JobSpec(
        "images.enhance", "mmu_image_enhance",
        fields=(
            JobField("image", "image", required=True, read=_with_ratio),
            choice("resolution", "2k", "4k"),
        ),
        arguments=lambda given: {"resolution": given.get("resolution", "2k")},
        inputs=lambda given: (("image", _enhanced(given)[0], None),),
        works=lambda given: (WorkPlan("image", *size_px(
            _enhanced(given)[1], SIDE_PX[str(given.get("resolution", "2k"))])),),
        credits=lambda given: 2 if given.get("resolution") == "4k" else 1,  # documented
    ),
)  # fmt: skip


def upscale(context: Context) -> Reply:
    """Make a picture of a task larger."""
    task_id, work_id = context.fields.digits("task_id"), context.fields.digits("workId")
    tracking = read_tracking(context.fields)
    task = context.world.tasks.get(int(task_id))
    if task is None or task.account != context.account:
        raise not_found(f"Task {task_id} not found")
    found: Work | None = next((one for one in task.works if one.id == int(work_id)), None)
    if found is None or found.kind != "image":
        raise bad_request(f"Work {work_id} is no finished picture of task {task_id}")
    job = Job(
        type="mmu_image_upscale_aiweb",
        inputs=(("input", work_url(found, context.request.origin), found.id),),
        arguments={
            "biz": "klingai",
            "__initialType": task.type,
            "__initialPrompt": task.arguments.get("prompt", ""),
        },
        works=(WorkPlan("image", found.width * 2, found.height * 2),),
        credits=1,
    )
    return start(job, tracking, context)


def find_faces(context: Context) -> Reply:
    """The faces in a picture: one here; the box is JSON in a text, documented."""
    url = context.fields.web_url("imageReference")
    source = upload_behind(url, context, "imageReference", "image")
    width, height = (source.width, source.height) if source else (1024, 1024)
    box = {"x": width // 4, "y": height // 8, "width": width // 4, "height": height // 4}
    files = (("face", "IMAGE", url), ("face_feature", "FEATURE", url))
    face = {
        "name": "face_0",
        "resources": [
            {"name": name, "type": kind, "url": of, "marginTop": 0, "countInRow": 0}
            for name, kind, of in files
        ],
        "arguments": [{"name": "face_bound", "value": json.dumps(box, separators=(",", ":"))}],
    }
    info = {"type": "IMAGE", "duration": 0, "width": width, "height": height}
    return Reply.of_json({"status": 0, "message": "", "faceItems": [face], "mediaInfo": info})


_PATH = f"{API_ROOT}/images"
OPERATIONS = (
    *operations_of(*IMAGE_JOBS),
    Operation("images.upscale", "POST", f"{_PATH}/upscale", upscale, "body"),
    Operation("images.recognize_faces", "POST", f"{_PATH}/recognize-faces", find_faces, "body"),
)

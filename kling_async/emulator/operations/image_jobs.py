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
from .jobs import JobField, JobSpec, Values, choice, operations_of, text, whole
from .media import upload_behind, work_behind
from .starting import Job, WorkPlan, read_tracking, start

RATIOS: Mapping[str, float] = {
    "1:1": 1, "16:9": 16 / 9, "4:3": 4 / 3, "3:2": 3 / 2, "2:3": 2 / 3, "3:4": 3 / 4,
    "9:16": 9 / 16, "21:9": 21 / 9,
}  # fmt: skip
SIDE_PX: Mapping[str, int] = {"1k": 1024, "2k": 2048, "4k": 4096}
_UNIT_PX = 16
REFERENCES = ("subject", "face", "restyle")


def image(name: str, *, required: bool = False) -> JobField:
    """The address of a picture."""
    return JobField(name, "image", required)


def images(name: str, count: int) -> tuple[JobField, ...]:
    """Several, which end in their numbers."""
    return tuple(image(f"{name}{number}") for number in range(1, count + 1))


def size_px(ratio: float, side_px: int) -> tuple[int, int]:
    """Width and height of so much area as a square of that side, in steps of 16 px; documented."""
    width, height = side_px * math.sqrt(ratio), side_px / math.sqrt(ratio)
    return int(width // _UNIT_PX * _UNIT_PX), int(height // _UNIT_PX * _UNIT_PX)


def pictures(count: str, default: int, resolution: str) -> Callable[[Values], tuple[WorkPlan, ...]]:
    """The works of a row, by the field that counts them and the resolution where none is given."""

    def works(given: Values) -> tuple[WorkPlan, ...]:
        ratio = RATIOS.get(str(given.get("aspect_ratio")), RATIOS["16:9"])
        side_px = SIDE_PX.get(str(given.get("resolution", resolution)).lower(), 2048)
        plan = WorkPlan("image", *size_px(ratio, side_px))
        return (plan,) * int(str(given.get(count, default)))

    return works


def _each(credits: int) -> Callable[[Values], float]:
    return lambda given: credits * int(str(given.get("imageCount", 1)))


def _with_ratio(context: Context, name: str) -> tuple[str, float]:
    """The address of a picture and its ratio, 1 where the picture is not kept here."""
    url = context.fields.web_url(name)
    source = upload_behind(url, context, name, "image") or work_behind(url, context)
    return url, source.width / source.height if source else 1.0


def _enhanced(given: Values) -> tuple[str, float]:
    return cast(tuple[str, float], given["image"])


def _arguments(*names: str) -> Callable[[Values], Mapping[str, object]]:
    return lambda given: {name: given[name] for name in names if name in given}


# --- rules ------------------------------------------------------------------------------------


def _wears(given: Values) -> None:
    parts = {"upperInput", "lowerInput"} & given.keys()
    if not parts and "dressInput" not in given:
        raise missing("dressInput")
    if parts and "dressInput" in given:
        raise bad_request("Parameter dressInput excludes upperInput and lowerInput")


def _has_reference(given: Values) -> None:
    """A reference needs its picture and an older version, and no ratio where it restyles."""
    kind = given.get("reference", "none")
    newest = given.get("version", "kling-v3-0") == "kling-v3-0"
    if kind != "none":
        if newest:
            raise bad_request("Parameter reference is not supported by kling-v3-0")
        if "imageReference" not in given:
            raise missing("imageReference")
        if kind == "restyle" and "aspect_ratio" in given:
            raise bad_request("Parameter aspect_ratio is not supported with reference restyle")
    has_images = any(name.startswith("image_") for name in given)
    if has_images and not newest:
        raise bad_request("Parameter image_1 is not supported by this version")
    if given.get("aspect_ratio") == "auto" and not (newest and has_images):
        raise bad_request("Parameter aspect_ratio (auto) needs image_1")


def _is_something(given: Values) -> None:
    if not given.keys() - {"aspect_ratio", "imageCount"}:
        raise missing("prompt")


def _fits_version(given: Values) -> None:
    version = given.get("omni_version", "v3")
    if given.get("story_mode") and not any(n.startswith(("image_", "element_")) for n in given):
        raise bad_request("Parameter story_mode needs image_1 or element_1")
    if version == "o1" and given.get("aspect_ratio") == "auto":
        raise bad_request("Parameter aspect_ratio (auto) is not supported by o1")
    allowed = {"o1": ("1k", "2k"), "v3": ("1k", "2k", "4k"), "v4": ("1k", "2k", "4k", "8k")}
    resolution = str(given.get("resolution", "1k"))
    if resolution.lower() not in allowed[str(version)]:
        raise bad_request(f"Parameter resolution ({resolution}) has incorrect format")
    if given.get("imageCount") == 10 and version != "v4":
        raise bad_request("Parameter imageCount (10) has incorrect format")


# --- the rows ---------------------------------------------------------------------------------

IMAGE_JOBS: tuple[JobSpec, ...] = (
    JobSpec(
        name="images.virtual_try_on",
        task_type="mmu_img2img_aitryon",
        fields=(
            image("humanImage", required=True), image("dressInput"), image("upperInput"),
            image("lowerInput"), whole("imageCount", 1, 4),
        ),
        arguments=lambda given: {"imageCount": given.get("imageCount", 1)},
        works=pictures("imageCount", 1, "1k"),
        credits=_each(2),
        rules=(_wears,),
    ),
    JobSpec(
        name="images.kolors",
        task_type="mmu_txt2img_aiweb",
        fields=(
            text("prompt", required=True),
            choice("version", "kling-v3-0", "kling-v2-1", "kling-v2-0", "kling-v1-6", "kling-v1-5"),
            choice("aspect_ratio", *RATIOS, "auto"),
            choice("resolution", "1k", "2k"),
            whole("imageCount", 1, 9),
            *images("image_", 10),
            choice("reference", "none", *REFERENCES),
            image("imageReference"),
            whole("faceStrength", 1, 100),
            whole("subjectStrength", 1, 100),
            whole("faceNo", 1, 1000),
        ),
        arguments=lambda given: {
            "prompt": given["prompt"],
            "kolors_version": str(given.get("version", "kling-v3-0"))[7:].replace("-", "."),
            "imageCount": _kolors_count(given),
            "aspect_ratio": given.get("aspect_ratio", "16:9"),
            "img_resolution": given.get("resolution", "2k"),
        },
        works=lambda given: pictures("imageCount", _kolors_count(given), "2k")(given),
        credits=_each(1),
        rules=(_has_reference,),
    ),
    JobSpec(
        name="images.kolors_elements",
        task_type="mmu_img2img_multi",
        fields=(
            text("prompt"), *images("subjectImage", 4), image("sceneImage"), image("styleImage"),
            choice("aspect_ratio", *RATIOS), whole("imageCount", 1, 9),
        ),
        arguments=_arguments("prompt", "aspect_ratio", "imageCount"),
        works=pictures("imageCount", 1, "1k"),
        credits=_each(1),
        rules=(_is_something,),
    ),
    JobSpec(
        name="images.omni",
        task_type="mmu_omni_image",
        fields=(
            JobField("prompt", "text", True),
            choice("omni_version", "v3", "o1", "v4"),
            JobField("resolution", "text"),
            choice("aspect_ratio", *RATIOS, "auto"),
            whole("imageCount", 1, 10),
            JobField("story_mode", "flag"),
            *images("image_", 10),
            *(JobField(f"element_{number}", "text") for number in range(1, 11)),
            JobField("unlimited", "flag"),
        ),
        arguments=lambda given: {
            "prompt": given["prompt"],
            "omni_version": given.get("omni_version", "v3"),
            "img_resolution": given.get("resolution", "1k"),
            "imageCount": given.get("imageCount", 1),
        },
        works=pictures("imageCount", 1, "1k"),
        credits=_each(4),
        rules=(_fits_version,),
    ),
    JobSpec(
        name="images.enhance",
        task_type="mmu_image_enhance",
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


def _kolors_count(given: Values) -> int:
    """How many pictures: left out, two with version 3.0 and one with the others, documented."""
    default = 2 if given.get("version", "kling-v3-0") == "kling-v3-0" else 1
    return int(str(given.get("imageCount", default)))


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


def recognize_faces(context: Context) -> Reply:
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


OPERATIONS = (
    *operations_of(*IMAGE_JOBS),
    Operation("images.upscale", "POST", f"{API_ROOT}/images/upscale", upscale, email="body"),
    Operation(
        "images.recognize_faces",
        "POST",
        f"{API_ROOT}/images/recognize-faces",
        recognize_faces,
        email="body",
    ),
)

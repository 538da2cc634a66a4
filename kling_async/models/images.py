"""How is a picture asked for? What comes back is a `Task` with a work for each picture.

Source: `POST /images/...` (vendor pages, October 2025 to February 2026), `POST /images/enhance`
(October 2026), and the vendor's article on Image 4.0 (November 2026).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar, Literal, get_args

from attrs import frozen

from ..errors import JSON
from .checks import Boolean, Digits, Integer, OneOf, Text, Url
from .elements import ELEMENT_ID, AnyElement
from .fields import body, file, files, numbered
from .media import Files, Media, MediaSource
from .requests import EmailIn, Request, Safety, files_or_addresses, has
from .responses import Model, named
from .sightings import Evidence
from .task_evidence import TaskEvidence
from .task_requests import TaskRequest
from .tasks import AnyTask, HasTaskId, TaskArgument, Work

ImageRatio = Literal["1:1", "16:9", "4:3", "3:2", "2:3", "3:4", "9:16", "21:9"]
AutoImageRatio = Literal["auto", "1:1", "16:9", "4:3", "3:2", "2:3", "3:4", "9:16", "21:9"]
KolorsVersion = Literal["kling-v3-0", "kling-v2-1", "kling-v2-0", "kling-v1-6", "kling-v1-5"]
OmniVersion = Literal["v3", "o1", "v4"]
Reference = Literal["none", "subject", "face", "restyle"]
IMAGE_PROMPT_CHARS, OMNI_PROMPT_CHARS = 2500, 1700
MOST_IMAGES = 10


@frozen(kw_only=True)
class ImageRequest(TaskRequest):
    """The base of all requests for pictures."""

    evidence: ClassVar[Evidence | None] = TaskEvidence("image")


@frozen(kw_only=True)
class VirtualTryOn(ImageRequest):
    """Dress somebody: a dress, or clothes for above, below, or both. A task that costs credits.

    Each picture is a file or an address. A file is a path, bytes or binary file, PNG or JPEG, at
    most 10 MB, each side at least 300 px, and is uploaded first.

    Args:
        human_image: who puts it on; this or its address is required.
        human_image_url: its http or https address, that Kling can fetch.
        dress_image: what covers above and below; excludes the other two.
        dress_image_url: its address.
        upper_image: what is worn above.
        upper_image_url: its address.
        lower_image: what is worn below.
        lower_image_url: its address.
        image_count: how many pictures, 1 to 4, server's default 1; each costs.

    Source: `POST /images/virtual-try-on`.

    Examples:
        >>> task = await kling.images.virtual_try_on(human_image="ada.jpg", dress_image="dress.png")
    """

    operation = "images.virtual_try_on"

    human_image: MediaSource | Media | None = file("human_image_url", "image")
    human_image_url: str | None = body("humanImage", Url())
    dress_image: MediaSource | Media | None = file("dress_image_url", "image")
    dress_image_url: str | None = body("dressInput", Url())
    upper_image: MediaSource | Media | None = file("upper_image_url", "image")
    upper_image_url: str | None = body("upperInput", Url())
    lower_image: MediaSource | Media | None = file("lower_image_url", "image")
    lower_image_url: str | None = body("lowerInput", Url())
    image_count: int | None = body("imageCount", Integer(1, 4))

    def cross_problems(self) -> dict[str, str]:
        """Something to wear, and not two things for one place."""
        problems = files_or_addresses(self, "human_image")
        has_dress = has(self, "dress_image")
        has_parts = has(self, "upper_image") or has(self, "lower_image")
        if not has_dress and not has_parts:
            problems["dress_image"] = "or upper_image or lower_image is needed: something to wear"
        elif has_dress and has_parts:
            problems["dress_image"] = "excludes upper_image and lower_image; keep one or the others"
        return problems


@frozen(kw_only=True)
class Kolors(ImageRequest):
    """Make pictures of a text, and of pictures: a task that costs credits.

    Args:
        prompt: what is to be seen, at most 2500 characters; required. Version 3.0 takes `@image_1`
            for the first of `images`.
        version: kling-v3-0 (server's default) or kling-v2-1, or one that is newer than this
            library. kling-v2-0, kling-v1-6 and kling-v1-5 are retired at Kling, and accepted.
            Default with a `reference`: kling-v2-1, as 3.0 has none.
        aspect_ratio: 1:1, 16:9 (server's default), 4:3, 3:2, 2:3, 3:4, 9:16 or 21:9; auto with
            version 3.0 and `images`. Not with reference restyle.
        resolution: 1k or 2k; server's default with version 3.0 is 2k. Version 2.1 takes it for
            pictures of a text alone.
        image_count: how many pictures, 1 to 9; each costs. Server's default: 2 with version 3.0, 1
            with 2.1.
        images: 1 to 10 files or addresses, in the order of `@image_1`, ...; files are PNG or JPEG,
            at most 10 MB, each side at least 300 px, and are uploaded first. Version 3.0 only.
        reference: none (server's default), subject, face or restyle: what is taken of
            `reference_image`. Not with version 3.0.
        reference_image: such a file; it or its address is needed with a `reference`.
        reference_image_url: its http or https address, that Kling can fetch.
        face_strength: 1 to 100, server's default 65. With reference face or subject.
        subject_strength: 1 to 100, server's default 50. With reference subject.
        face_no: which face, from 1 (server's default); `RecognizedFaces` numbers them. With
            reference face.

    Source: `POST /images/kolors`.

    Examples:
        >>> task = await kling.images.kolors(prompt="A stamp with a kite", image_count=2)
    """

    operation = "images.kolors"

    prompt: str | None = body("prompt", Text(IMAGE_PROMPT_CHARS), required=True)
    version: KolorsVersion | str | None = body("version", OneOf(KolorsVersion, open=True))
    aspect_ratio: AutoImageRatio | None = body("aspect_ratio", OneOf(AutoImageRatio))
    resolution: Literal["1k", "2k"] | None = body("resolution", OneOf(("1k", "2k")))
    image_count: int | None = body("imageCount", Integer(1, 9))
    images: Files | None = files("image_{n}", "image", most=MOST_IMAGES)
    reference: Reference | None = body("reference", OneOf(Reference))
    reference_image: MediaSource | Media | None = file("reference_image_url", "image")
    reference_image_url: str | None = body("imageReference", Url())
    face_strength: int | None = body("faceStrength", Integer(1, 100))
    subject_strength: int | None = body("subjectStrength", Integer(1, 100))
    face_no: int | None = body("faceNo", Integer(1))

    def __attrs_post_init__(self) -> None:
        if self.version is None and self.reference in get_args(Reference)[1:]:
            object.__setattr__(self, "version", "kling-v2-1")
        super().__attrs_post_init__()

    def cross_problems(self) -> dict[str, str]:
        """A reference has its picture, and nothing is given that would be ignored and paid for."""
        kind = self.reference or "none"
        problems = files_or_addresses(self, *(("reference_image",) if kind != "none" else ()))
        meant = {
            "reference_image": ("subject", "face", "restyle"),
            "reference_image_url": ("subject", "face", "restyle"),
            "face_strength": ("face", "subject"),
            "subject_strength": ("subject",),
            "face_no": ("face",),
        }
        for name, kinds in meant.items():
            if getattr(self, name) is not None and kind not in kinds:
                problems[name] = f"has a meaning only with reference {' or '.join(kinds)}"
        if kind == "restyle" and self.aspect_ratio is not None:
            problems["aspect_ratio"] = "is that of the picture with reference restyle; leave it out"
        return problems

    def cautions(self) -> dict[str, str]:
        """What pages of February 2026 say of the two versions that Kling still has."""
        found = {}
        if self.version in (None, "kling-v3-0"):
            if self.reference not in (None, "none"):
                found["reference"] = "is not for kling-v3-0, the vendor's page says"
            if self.aspect_ratio == "auto" and self.images is None:
                found["aspect_ratio"] = "auto needs images, the vendor's page says"
        elif self.images is not None:
            found["images"] = "are for kling-v3-0 alone, the vendor's page says"
        return found


@frozen(kw_only=True)
class KolorsElements(ImageRequest):
    """Put things, a scene and a style together in a picture: a task that costs credits.

    Each picture is a file (PNG or JPEG, at most 10 MB, each side at least 300 px, uploaded first)
    or its address. At least one of them, or a prompt.

    Args:
        prompt: what is to be seen, at most 2500 characters.
        subject_images: 1 to 4 files or addresses of what is to be in it.
        scene_image: where it is.
        scene_image_url: its http or https address, that Kling can fetch.
        style_image: how it looks.
        style_image_url: its address.
        aspect_ratio: 1:1, 16:9 (server's default), 4:3, 3:2, 2:3, 3:4, 9:16 or 21:9.
        image_count: how many pictures, 1 to 9, server's default 1; each costs.

    Source: `POST /images/kolors-elements`.

    Examples:
        >>> task = await kling.images.kolors_elements(subject_images=["ada.jpg"], prompt="At sea")
    """

    operation = "images.kolors_elements"

    prompt: str | None = body("prompt", Text(IMAGE_PROMPT_CHARS))
    subject_images: Files | None = files("subjectImage{n}", "image", most=4)
    scene_image: MediaSource | Media | None = file("scene_image_url", "image")
    scene_image_url: str | None = body("sceneImage", Url())
    style_image: MediaSource | Media | None = file("style_image_url", "image")
    style_image_url: str | None = body("styleImage", Url())
    aspect_ratio: ImageRatio | None = body("aspect_ratio", OneOf(ImageRatio))
    image_count: int | None = body("imageCount", Integer(1, 9))

    def cross_problems(self) -> dict[str, str]:
        """Something to make it of: on the page all is optional."""
        problems = files_or_addresses(self)
        of = ("prompt", "subject_images", "scene_image", "style_image")
        if not any(has(self, name) for name in of):
            problems["prompt"] = "or a picture is needed"
        return problems


@frozen(kw_only=True)
class OmniImage(ImageRequest):
    """Make pictures of a text, pictures and elements with Kling's newest models, up to Image 4.0.

    A task that costs credits (Image 4.0: 4 for a picture of 2K).

    Args:
        prompt: what is to be seen; required. `@image_1` and `@element_1` mean what is given;
            version v4 takes presets of style, tone and font by their names. The page of o1 says at
            most 1700 characters; how many the others take is not known.
        omni_version: v3 (server's default), o1 or v4, or one that is newer than this library.
        resolution: 1k (server's default), 2k, or 4k with v3 (paid plans); v4 goes up to 8K, and how
            it spells them is not known, so any text is sent.
        aspect_ratio: 1:1, 16:9 (default of o1), 4:3, 3:2, 2:3, 3:4, 9:16, 21:9, or auto (default of
            v3; not with o1).
        image_count: how many pictures, 1 to 9, 10 in a series of v4; each costs.
        story_mode: a series that tells a story, server's default false; needs images or elements.
            Version v3.
        images: 1 to 10 files or addresses, in the order of `@image_1`, ...; files are PNG or JPEG,
            at most 10 MB, each side at least 300 px, and are uploaded first.
        elements: 1 to 10 elements by their ids, or as `kling.elements` gives them, in the order of
            `@element_1`, ...
        unlimited: server's default false. What it does is not described (page of December 2025).

    Source: `POST /images/omni`.

    Examples:
        >>> task = await kling.images.omni(prompt="@image_1 reads a letter", images=["ada.jpg"])
    """

    operation = "images.omni"

    prompt: str | None = body("prompt", Text(), required=True)
    omni_version: OmniVersion | str | None = body("omni_version", OneOf(OmniVersion, open=True))
    resolution: str | None = body("resolution", OneOf(("1k", "2k", "4k"), open=True))
    aspect_ratio: AutoImageRatio | None = body("aspect_ratio", OneOf(AutoImageRatio))
    image_count: int | None = body("imageCount", Integer(1, 10))
    story_mode: bool | None = body("story_mode", Boolean())
    images: Files | None = files("image_{n}", "image", most=MOST_IMAGES)
    elements: Sequence[AnyElement] | None = numbered("element_{n}", ELEMENT_ID, most=MOST_IMAGES)
    unlimited: bool | None = body("unlimited", Boolean())

    def cross_problems(self) -> dict[str, str]:
        """A story is of something, and o1 has neither auto nor 4k."""
        problems = {}
        if self.story_mode is True and self.images is None and self.elements is None:
            problems["story_mode"] = "needs images or elements to tell of"
        if self.omni_version == "o1":
            if self.aspect_ratio == "auto":
                problems["aspect_ratio"] = "auto is not for o1; name one, or leave it out"
            if self.resolution == "4k":
                problems["resolution"] = "4k is not for o1; it takes 1k and 2k"
        return problems

    def cautions(self) -> dict[str, str]:
        """What the pages of o1 (2025) and of v4 (November 2026) say."""
        found = {}
        if self.omni_version != "v4" and self.image_count == 10:
            found["image_count"] = "of 10 is for a series of v4; the page of the others says 9"
        if len(self.prompt or "") > OMNI_PROMPT_CHARS and self.omni_version == "o1":
            found["prompt"] = f"has more than the {OMNI_PROMPT_CHARS} characters of o1's page"
        if self.story_mode and self.omni_version == "o1":
            found["story_mode"] = "is for v3, the vendor's page says"
        return found


@frozen(kw_only=True)
class UpscaleImage(ImageRequest):
    """Make a picture of a task larger: a task that costs credits. Any other: `EnhanceImage`.

    Args:
        task_id: the task that has succeeded, by its id or as it was given.
        work_id: the picture of it, by its id or as it was given: one of `task.works`.

    Source: `POST /images/upscale`.

    Examples:
        >>> larger = await kling.images.upscale(task_id=picture, work_id=picture.works[0])
    """

    operation = "images.upscale"

    # The vendor's examples send both as texts.
    task_id: AnyTask | None = body("task_id", Digits(of=HasTaskId, numbers=True), required=True)
    work_id: int | str | Work | None = body(
        "workId", Digits(of=Work, by="work_id", numbers=True), required=True
    )


@frozen(kw_only=True)
class EnhanceImage(ImageRequest):
    """Make any picture larger and clearer; its ratio stays. A task: 1 credit for 2k, 2 for 4k.

    Args:
        image: path, bytes or binary file, PNG or JPEG, at most 10 MB, each side at least 300 px;
            uploaded first. It or its address is required.
        image_url: its http or https address, that Kling can fetch.
        resolution: 2k (server's default) or 4k.

    Source: `POST /images/enhance`.

    Examples:
        >>> task = await kling.images.enhance(image="ada.jpg")
    """

    operation = "images.enhance"

    image: MediaSource | Media | None = file("image_url", "image", required=True)
    image_url: str | None = body("image", Url())
    resolution: Literal["2k", "4k"] | None = body("resolution", OneOf(("2k", "4k")))


# --- faces ------------------------------------------------------------------------------------


@frozen(kw_only=True)
class FaceResource(Model):
    """A file of a face: its picture ("face", IMAGE) or what Kling knows it by (FEATURE)."""

    name: str | None = None
    type: str | None = None
    url: str | None = None


@frozen(kw_only=True)
class Face(Model):
    """A face in a picture. `name` counts from 0 (face_0), `face_no` of other operations from 1."""

    name: str | None = None
    resources: tuple[FaceResource, ...] = ()
    arguments: tuple[TaskArgument, ...] = ()

    @property
    def bounds_px(self) -> tuple[int, int, int, int] | None:
        """Where it is: x, y, width and height in pixels; None where the answer does not say."""
        try:
            stated = next(one.value for one in self.arguments if one.name == "face_bound")
            found = json.loads(stated or "")
            x, y, width, height = (int(found[one]) for one in ("x", "y", "width", "height"))
        except (StopIteration, ValueError, TypeError, KeyError):
            return None
        return x, y, width, height


@frozen(kw_only=True)
class RecognizedFaces(Model):
    """The faces in a picture, none where there is none; the first is `face_no=1` elsewhere."""

    faces: tuple[Face, ...] = named("faceItems", default=())
    status: int | None = None
    message: str | None = None


@frozen(kw_only=True)
class RecognizeFaces(Request[RecognizedFaces]):
    """Find the faces in a picture; free, and answered at once.

    Args:
        image: path, bytes or binary file, PNG or JPEG, at most 10 MB, each side at least 300 px;
            uploaded first. It or its address is required.
        image_url: its http or https address, that Kling can fetch.

    Source: `POST /images/recognize-faces`.

    Examples:
        >>> faces = await kling.images.recognize_faces(image="ada.jpg")
    """

    operation = "images.recognize_faces"
    method = "POST"
    safety = Safety.REPEATABLE  # it makes nothing and is free
    email_in: ClassVar[EmailIn] = "body"

    image: MediaSource | Media | None = file("image_url", "image", required=True)
    image_url: str | None = body("imageReference", Url())

    def decode(self, body: JSON) -> RecognizedFaces:
        """The faces. Status 0 is success, as the vendor's page says; what others mean, no page."""
        found = RecognizedFaces.from_api(body)
        if found.status not in (None, 0):
            raise ValueError(f"status is {found.status}, not 0: {found.message or 'no message'}")
        return found

"""Whose faces are in a picture? `kling.images.recognize_faces`.

Source: `POST /images/recognize-faces` (vendor page).
"""

from __future__ import annotations

import json

from attrs import frozen

from ..errors import JSON
from .checks import Url
from .fields import body, file
from .media import Media, MediaSource
from .requests import Request, Safety, files_or_addresses
from .responses import Model, named
from .tasks import TaskArgument


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
    route = "/images/recognize-faces"
    safety = Safety.REPEATABLE  # it makes nothing and is free
    email_in = "body"

    image: MediaSource | Media | None = file("image_url", "image")
    image_url: str | None = body("imageReference", Url())

    def cross_problems(self) -> dict[str, str]:
        """The picture."""
        return files_or_addresses(self, "image")

    def decode(self, body: JSON) -> RecognizedFaces:
        """The faces. Status 0 is success, as the vendor's page says; what others mean, no page."""
        found = RecognizedFaces.from_api(body)
        if found.status not in (None, 0):
            raise ValueError(f"status is {found.status}, not 0: {found.message or 'no message'}")
        return found

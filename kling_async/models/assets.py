"""Uploaded files: what goes up, and what the server says of it.

Source: `POST /assets/` (vendor page of August to October 2025).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from attrs import field, frozen

from ..errors import JSON
from ..media import UPLOADABLE, Media, MediaProblem, MediaSource, inspect
from . import checks
from .requests import Request, Safety
from .responses import Model


@frozen(kw_only=True)
class Asset(Model):
    """An uploaded file. Use `usable_url` in other calls.

    `status` is 3 for an image and 1 for a video, both success; it shares no numbering with tasks.
    Source: `POST /assets/`; every field is optional in the vendor's model.
    """

    url: str | None = None
    resource_url: str | None = None
    cover_url: str | None = None
    file_name: str | None = None
    status: int | None = None
    message: str | None = None

    @property
    def usable_url(self) -> str:
        """What other calls take: the processed file of a video, the plain URL of all else."""
        return self.resource_url or self.url or ""


def _looked_into(
    source: MediaSource | Media | None, content_type: str | None
) -> Media | MediaProblem | None:
    if source is None:
        return None
    kind = content_type if content_type in UPLOADABLE else None  # else a problem of its own
    try:
        return inspect(source, content_type=kind)
    except MediaProblem as exc:
        return exc


def _problem_of(value: Media | MediaProblem) -> str | None:
    return str(value) if isinstance(value, MediaProblem) else None


@frozen(kw_only=True)
class UploadAsset(Request[Asset]):
    """Upload one image, video or audio file.

    Args:
        file: path, bytes or binary file. Images are PNG or JPEG up to 10 MB and at least 300 px
            each side; video MP4 or MOV up to 100 MB; audio WAV, MP3, M4A, FLAC, AAC or OGG up to
            20 MB. Its head is read when the request is built.
        content_type: what the file is; default: found from its bytes, else from its name.

    Source: `POST /assets/`.
    """

    operation: ClassVar[str] = "assets.upload"
    method: ClassVar[str] = "POST"
    route: ClassVar[str] = "/assets/"  # the trailing slash is the documented form
    # A second upload makes a second file, which is free and harmless.
    safety: ClassVar[Safety] = Safety.REPEATABLE
    email_in: ClassVar[Literal["query"]] = "query"  # although it is a POST

    content_type: str | None = field(
        default=None, metadata={"check": checks.one_of(tuple(UPLOADABLE))}
    )
    file: MediaSource | Media | None = field(
        default=None, metadata={"required": True, "check": _problem_of}
    )

    def __attrs_post_init__(self) -> None:
        # Looked into once, knowing the content type: what was given becomes a Media, or the
        # reason why the API would refuse it, which is then reported with all other problems.
        object.__setattr__(self, "file", _looked_into(self.file, self.content_type))
        super().__attrs_post_init__()

    @property
    def media(self) -> Media:
        """What `file` is, known to be acceptable."""
        assert isinstance(self.file, Media)  # the converter made it, or construction failed
        return self.file

    def decode(self, body: JSON) -> Asset:
        """The stored file; without any URL it could not be used, so that is not a success."""
        asset = Asset.from_api(body)
        if not asset.usable_url:
            raise ValueError(f"no URL in the answer to an upload (message: {asset.message!r})")
        return asset

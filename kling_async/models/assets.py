"""Which files go up, which are there, which were made, and where can they be fetched?

Source: `POST /assets/`, `GET /assets`, `GET /assets/download`, `GET` and `DELETE
/assets/uploaded/` (vendor pages, August 2025 to May 2026).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, get_args

from attrs import evolve, field, frozen

from ..errors import JSON
from .checks import Digits, FileNamePart, Integer, ListOf, OneOf
from .fields import IsFile, query
from .media import UPLOADABLE, Media, MediaProblem, MediaSource, inspect
from .requests import DeleteRequest, EmailIn, GetRequest, Request, Safety
from .responses import Model, list_of, named
from .tasks import CONTENT_TYPES, ContentType, Task, Work, WorkResource, tasks_of

FileType = Literal["MP4", "MOV", "MP3", "WAV", "PNG"]
FILE_TYPES: tuple[str, ...] = get_args(FileType)
Sort = Literal["desc", "asc"]
SORTS: tuple[str, ...] = get_args(Sort)
UPLOADS_PER_DELETE = 10


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

    operation = "assets.upload"
    method = "POST"
    route = "/assets/"  # the trailing slash is the documented form
    # A second upload makes a second file, which is free and harmless.
    safety = Safety.REPEATABLE
    email_in: ClassVar[EmailIn] = "query"  # although it is a POST

    content_type: str | None = field(default=None, metadata={"check": OneOf(tuple(UPLOADABLE))})
    file: MediaSource | Media | None = field(
        default=None, metadata={"file": True, "required": True, "check": IsFile()}
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


@frozen(kw_only=True)
class UploadedAsset(Model):
    """A file that was uploaded earlier. `extra_info` and `entrance` have no documented meaning."""

    id: str
    name: str | None = None
    user_id: int | None = None
    content_type: str | None = None
    resource: WorkResource | None = None
    cover: WorkResource | None = None
    create_time_ms: int | None = named("createTime", default=None)
    update_time_ms: int | None = named("updateTime", default=None)
    favored: bool | None = None
    extra_info: str | None = None
    entrance: str | None = None

    @property
    def url(self) -> str | None:
        """Where the file is."""
        return None if self.resource is None else self.resource.url or None


@frozen(kw_only=True)
class ListUploads(GetRequest[list[UploadedAsset]]):
    """The uploaded files of an account, a page of them. The server does not say how many there are.

    Args:
        page_num: from 1, which is the server's default.
        page_size: server's default 20. A page with fewer is the last.
        content_type: "video", "image" or "audio".
        file_name: only files with this in their name: letters, digits, `.`, `_` and `-`.
        sort: "desc" (newest first, the server's default) or "asc".

    Source: `GET /assets/uploaded/`.

    Examples:
        >>> urls = [one.url for one in await kling.assets.uploaded(content_type="image")]
    """

    operation = "assets.uploaded"
    route = "/assets/uploaded/"  # the trailing slash is the documented form

    page_num: int | None = query("pageNum", Integer(1))
    page_size: int | None = query("pageSize", Integer(1))
    content_type: ContentType | None = query("contentType", OneOf(CONTENT_TYPES))
    file_name: str | None = query("fileName", FileNamePart())
    sort: Sort | None = query("sort", OneOf(SORTS))

    def decode(self, body: JSON) -> list[UploadedAsset]:
        """The files in the server's order."""
        if not isinstance(body, Mapping):
            raise ValueError("an object with 'uploadAssetsList' was expected")
        return list_of(UploadedAsset, body.get("uploadAssetsList"))


@frozen(kw_only=True)
class DeletedUploads(Model):
    """A delete that worked. What the number `deleted` counts is unknown."""

    deleted: int | None = None
    ids: tuple[str, ...] = ()


@frozen(kw_only=True)
class DeleteUploads(DeleteRequest[DeletedUploads]):
    """Delete uploaded files, for good. Works of tasks are deleted with their task instead.

    Args:
        ids: one to ten ids of `ListUploads`, each a string of digits.

    Source: `DELETE /assets/uploaded/`.
    """

    operation = "assets.delete_uploaded"
    route = "/assets/uploaded/"
    missing_means_deleted = True  # no 404 is documented; should one come, it means that

    ids: tuple[str | UploadedAsset, ...] | None = query(
        "id",
        ListOf(Digits(of=UploadedAsset), "id", most=UPLOADS_PER_DELETE),
        required=True,
    )


@frozen(kw_only=True)
class Limitation(Model):
    """How much of something an account may still make."""

    type: str | None = None
    remaining: float | None = None
    limit: float | None = None


@frozen(kw_only=True)
class GeneratedAssets(Model):
    """What an account has made, a page of it, and what it may still make.

    The works say their `status` here without a name; `kling.tasks.get(task)` knows more.
    """

    nested: ClassVar[tuple[str, ...]] = ("tasks",)

    tasks: tuple[Task, ...] = ()
    limitations: tuple[Limitation, ...] = ()


@frozen(kw_only=True)
class ListGenerated(GetRequest[GeneratedAssets]):
    """The generated works of an account, by task.

    Args:
        page_num: from 1, which is the server's default.
        page_size: server's default 40.
        content_type: "video", "image" or "audio".
        sort: "desc" (newest first, the server's default) or "asc".

    Source: `GET /assets`.

    Examples:
        >>> made = await kling.assets.generated(content_type="video")
    """

    operation = "assets.generated"
    route = "/assets"

    page_num: int | None = query("pageNum", Integer(1))
    page_size: int | None = query("pageSize", Integer(1))
    content_type: ContentType | None = query("contentType", OneOf(CONTENT_TYPES))
    sort: Sort | None = query("sort", OneOf(SORTS))

    def decode(self, body: JSON) -> GeneratedAssets:
        """The tasks in the server's order; the rest as it is."""
        if not isinstance(body, Mapping):
            raise ValueError("an object with 'history' was expected")
        rest = {name: value for name, value in body.items() if name != "history"}
        tasks = tuple(tasks_of(body.get("history")))
        return evolve(GeneratedAssets.from_api(rest), tasks=tasks, raw=body)


@frozen(kw_only=True)
class DownloadLink(Model):
    """Where a clean file, or a zip of several, can be fetched. It belongs to no account."""

    cdn_url: str
    status: str | None = None


@frozen(kw_only=True)
class GetDownload(GetRequest[DownloadLink]):
    """A link to works without watermark; needs a paid Kling plan.

    Args:
        work_ids: ids of works, numbers or their digits; how many at most is unknown.
        file_types: of MP4, MOV, MP3, WAV and PNG; which there are depends on the work. Only with
            ONE work and ONE type is the link that of the file itself, otherwise it is a zip's.

    Source: `GET /assets/download`.
    """

    operation = "assets.download_link"
    route = "/assets/download"

    work_ids: tuple[int | str | Work, ...] | None = query(
        "workIds", ListOf(Integer(1, of=Work, by="work_id"), "work id"), required=True
    )
    file_types: tuple[str, ...] | None = query("fileTypes", ListOf(OneOf(FILE_TYPES), "file type"))

    @property
    def gives_zip(self) -> bool:
        """Whether the link will be that of a zip."""
        return len(self.work_ids or ()) != 1 or len(self.file_types or ()) != 1

    def decode(self, body: JSON) -> DownloadLink:
        """The link; an answer without one could not be used, so that is not a success."""
        link = DownloadLink.from_api(body)
        if not link.cdn_url:
            raise ValueError(f"the link is empty (status: {link.status!r})")
        return link

"""How are files stored, found and deleted? `POST /assets/` and `/assets/uploaded/`.

The upload takes the raw bytes with their own Content-Type. Every upload gets a name of its own,
equal bytes or not; with `upload_by_content` equal bytes of an account get the name they have.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from ..envelopes import bad_request, invalid_parameters, missing
from ..images import PixelSize, jpeg_size, looks_like, png_size
from ..messages import Reply
from ..operation import API_ROOT, Context, Operation
from ..records import user_id
from ..world import Upload
from .media import cover_url, processed_url, upload_url

# The reference says "10 MB" and leaves open whether of 1,000 or 1,024; the larger reading here.
MIB = 1024 * 1024
MIN_IMAGE_SIDE_PX = 300
DEFAULT_PAGE = 20
MOST_DELETED = 10
_ENDINGS: Mapping[str, str] = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "audio/wav": "wav",
    "audio/wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "audio/flac": "flac",
    "audio/aac": "aac",
    "audio/ogg": "ogg",
}
MAX_MIB: Mapping[str, int] = {"image": 10, "video": 100, "audio": 20}
# 3 for an image and 1 for a video are documented; the value for audio is unknown.
_DONE_STATUS: Mapping[str, int] = {"image": 3, "video": 1, "audio": 1}


def upload(context: Context) -> Reply:
    """Store the body; the answer names the URL other operations take."""
    content = context.request.body
    content_type = _content_type(context)
    size = _checked(content_type, content)
    world, origin = context.world, context.request.origin
    name = f"{_stem(context)}.{_ENDINGS[content_type]}"
    stored = world.uploads.get(name) or Upload(
        id=world.ids.number("upload id", 12, prefix="7"),
        account=context.account,
        name=name,
        url=upload_url(name, origin),
        content_type=content_type,
        size_bytes=len(content),
        sha256=world.keep_blob(content),
        width=size.width if size else 0,
        height=size.height if size else 0,
        create_time_ms=context.upstream_ms(),
        call_number=context.call_number,
    )
    world.uploads[name] = stored
    answer = {
        "status": _DONE_STATUS[stored.kind],
        "url": stored.url,
        "message": "",
        "fileName": name,
    }
    if stored.kind == "video":
        answer["resourceUrl"] = processed_url(name, origin)
        answer["coverUrl"] = cover_url(name, origin)
    return Reply.of_json(answer)


def list_uploaded(context: Context) -> Reply:
    """The files of the account, newest first unless asked otherwise."""
    page, page_size, newest_first = context.fields.page(DEFAULT_PAGE)
    kind = context.request.parameter("contentType") or None
    keyword = context.request.parameter("fileName") or ""
    if kind not in (None, *MAX_MIB) or not re.fullmatch(r"[A-Za-z0-9._-]*", keyword):
        raise invalid_parameters()
    found = [
        upload
        for upload in context.world.uploads_of(context.account)
        if (kind is None or upload.kind == kind) and keyword in upload.name
    ]
    if newest_first:
        found.reverse()
    shown = found[(page - 1) * page_size : page * page_size]
    return Reply.of_json({"uploadAssetsList": [_entry(upload, context) for upload in shown]})


def delete_uploaded(context: Context) -> Reply:
    """Delete up to ten files; those that are not there or another account's are passed over.

    `email` is plainly required here, documented, and not only with several accounts. What ids
    that nobody knows do to the answer is unknown.
    """
    given = context.request.parameter("id") or ""
    ids = given.split(",")
    if not context.request.parameter("email"):
        raise missing("email")
    if len(ids) > MOST_DELETED or not all(one.isascii() and one.isdigit() for one in ids):
        raise bad_request(  # documented to the letter
            f"Parameter id ({given}) must be a numeric string or a comma-separated list "
            f"of up to {MOST_DELETED} numeric strings"
        )
    doomed = [one for one in context.world.uploads_of(context.account) if one.id in ids]
    for upload in doomed:
        del context.world.uploads[upload.name]
    return Reply.of_json({"deleted": len(doomed), "ids": [upload.id for upload in doomed]})


def _stem(context: Context) -> str:
    """A new name; or the same one for equal bytes of an account."""
    if not context.views.upload_by_content:
        return context.world.ids.token("upload")
    told = context.account.encode() + b"\0" + context.request.body
    return hashlib.sha256(told).hexdigest()[:32]


def _content_type(context: Context) -> str:
    header = context.request.header("content-type") or ""
    content_type = header.partition(";")[0].strip().lower()
    if content_type not in _ENDINGS:
        raise bad_request(
            f"Unsupported Content-Type {content_type or '(none)'}. "
            f"Valid values: {', '.join(_ENDINGS)}"
        )
    return content_type


def _checked(content_type: str, content: bytes) -> PixelSize | None:
    """The size of an image, None for other files; 400 for what the limits do not allow.

    The reference prints no answer for a file that is too large or broken; 400 is what it uses for
    bad parameters in general.
    """
    if not content:
        raise bad_request("The body is empty; send the bytes of the file")
    max_mib = MAX_MIB[content_type.partition("/")[0]]
    if len(content) > max_mib * MIB:
        raise bad_request(f"The file is larger than {max_mib} MB, the limit for {content_type}")
    if not looks_like(content_type, content):
        raise bad_request(f"The body is not {content_type}")
    size = png_size(content) or jpeg_size(content)
    if size is not None and size.shorter_side < MIN_IMAGE_SIDE_PX:
        raise bad_request(
            f"The image is {size.width}x{size.height}; "
            f"the shorter side must have at least {MIN_IMAGE_SIDE_PX} pixels"
        )
    return size


def _entry(upload: Upload, context: Context) -> dict[str, object]:
    origin = context.request.origin
    is_video = upload.kind == "video"
    size = {"height": upload.height, "width": upload.width, "duration": 0, "resourceKey": ""}
    address = processed_url(upload.name, origin) if is_video else upload.url
    return {
        "id": upload.id,
        "name": upload.name,
        "userId": user_id(upload.account),
        "contentType": upload.kind,
        "resource": {"resource": address, **size},
        "cover": {"resource": cover_url(upload.name, origin) if is_video else "", **size},
        "createTime": upload.create_time_ms,
        "updateTime": upload.create_time_ms,
        "favored": False,
        "extraInfo": "{}",
        "entrance": "",
    }


OPERATIONS = (
    Operation(
        "assets.upload", "POST", f"{API_ROOT}/assets", upload, email="query", has_fields=False
    ),
    Operation(
        "assets.uploaded", "GET", f"{API_ROOT}/assets/uploaded", list_uploaded, email="query"
    ),
    Operation(
        "assets.delete_uploaded",
        "DELETE",
        f"{API_ROOT}/assets/uploaded",
        delete_uploaded,
        email="query",
    ),
)

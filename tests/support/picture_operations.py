"""The operations on images and elements: what is asked, what goes out, what comes back.

One entry each, with every field; the tests of wire forms, names and limits take theirs from here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import frozen

from kling_async import AsyncKlingClient, Request
from kling_async.models.operations import request_type

A, B, C = (f"https://x.y/{name}.png?size=1&of=2" for name in "abc")
CLIP = "https://x.y/clip.mp4"
TASK_ID = 1_234_567_890_123
TRIO = {"max_jobs": 5, "reply_url": "https://me.example/x", "reply_ref": "ref-1"}
WIRE_TRIO = {"maxJobs": 5, "replyUrl": "https://me.example/x", "replyRef": "ref-1"}
SUBMITTED = {
    "task": {"id": TASK_ID, "status": 5, "status_name": "submitted", "status_final": False},
    "works": [], "status": 5, "status_name": "submitted", "status_final": False,
}  # fmt: skip
TAG = {"id": "o_102", "tagKey": "character", "name": "Character", "official": True,
       "type": "element"}  # fmt: skip
COVER = {"resource": A, "width": 1024, "height": 1024, "resourceKey": "cover", "cover": True,
         "slotKey": ""}  # fmt: skip
SIDE = {**COVER, "resource": B, "resourceKey": "secondary", "cover": False, "slotKey": "side"}
ELEMENT = {
    "id": "u_309377170505500", "name": "Sailor x7Kq2", "userId": 94624532, "type": "IMAGE",
    "description": "An old sailor", "cover": COVER, "resources": [COVER, SIDE], "tagList": [TAG],
    "favored": False, "official": False, "createTime": 1795842032944, "updateTime": 1795842032944,
}  # fmt: skip
FACE = {
    "name": "face_0",
    "resources": [{"name": "face", "type": "IMAGE", "url": A, "marginTop": 0, "countInRow": 0}],
    "arguments": [{"name": "face_bound", "value": '{"x":120,"y":80,"width":200,"height":240}'}],
}  # fmt: skip


@frozen
class Known:
    """One operation.

    Args:
        operation: its name.
        given: its fields, as users name them.
        sends: verb and target; `{email}` stands where the account is named in a query.
        body: what goes out, but for the account; None where there is none.
        answer: what comes back.
        reads: looks at the result.
        seen: what it has to see.
        others: fields that exclude those of `given`.
    """

    operation: str
    given: Mapping[str, Any]
    sends: str
    body: Mapping[str, Any] | None
    answer: Any
    reads: Callable[[Any], Any]
    seen: Any
    others: tuple[Mapping[str, Any], ...] = ()

    async def call(self, kling: AsyncKlingClient, **more: Any) -> Any:
        """As a user calls it."""
        part, _, name = self.operation.partition(".")
        method: Callable[..., Awaitable[Any]] = getattr(getattr(kling, part), name)
        given = dict(self.given)
        if "element_id" in given:
            return await method(given.pop("element_id"), **more)
        return await method(**given, **more)

    @property
    def requests(self) -> list[Request[Any]]:
        """Together they have all its fields."""
        return [request_type(self.operation)(**one) for one in (self.given, *self.others)]


def _job(
    name: str, given: Mapping[str, Any], body: Mapping[str, Any], *others: Mapping[str, Any]
) -> Known:
    return Known(
        f"images.{name}", {**given, **TRIO}, f"POST /images/{name.replace('_', '-')}",
        {**body, **WIRE_TRIO}, SUBMITTED, lambda task: (task.id, task.is_final), (TASK_ID, False),
        others,
    )  # fmt: skip


ALL = [
    _job(
        "virtual_try_on",
        {"human_image_url": A, "upper_image_url": B, "lower_image_url": C, "image_count": 4},
        {"humanImage": A, "upperInput": B, "lowerInput": C, "imageCount": 4},
        {"human_image_url": A, "dress_image_url": B},
    ),
    _job(
        "kolors",
        {"prompt": "@image_1 at sea", "version": "kling-v3-0", "aspect_ratio": "auto",
         "resolution": "2k", "image_count": 9, "images": [A, B]},
        {"prompt": "@image_1 at sea", "version": "kling-v3-0", "aspect_ratio": "auto",
         "resolution": "2k", "imageCount": 9, "image_1": A, "image_2": B},
        {"prompt": "At sea", "reference": "face", "reference_image_url": A, "face_strength": 65,
         "face_no": 1},
        {"prompt": "At sea", "reference": "subject", "reference_image_url": A,
         "subject_strength": 50},
    ),
    _job(
        "kolors_elements",
        {"prompt": "She holds a rabbit", "subject_images": [A, B], "scene_image_url": C,
         "style_image_url": A, "aspect_ratio": "3:4", "image_count": 1},
        {"prompt": "She holds a rabbit", "subjectImage1": A, "subjectImage2": B, "sceneImage": C,
         "styleImage": A, "aspect_ratio": "3:4", "imageCount": 1},
    ),
    _job(
        "omni",
        {"prompt": "@image_1 as a stamp", "omni_version": "v4", "resolution": "4k",
         "aspect_ratio": "1:1", "image_count": 10, "story_mode": True, "images": [A],
         "elements": ["u_1", "u_2"], "unlimited": False},
        {"prompt": "@image_1 as a stamp", "omni_version": "v4", "resolution": "4k",
         "aspect_ratio": "1:1", "imageCount": 10, "story_mode": True, "image_1": A,
         "element_1": "u_1", "element_2": "u_2", "unlimited": False},
    ),
    _job(
        "upscale", {"task_id": 298267182970, "work_id": "987654321"},
        {"task_id": "298267182970", "workId": "987654321"},
    ),
    _job("enhance", {"image_url": A, "resolution": "4k"}, {"image": A, "resolution": "4k"}),
    Known(
        "images.recognize_faces", {"image_url": A}, "POST /images/recognize-faces",
        {"imageReference": A},
        {"status": 0, "message": "", "faceItems": [FACE],
         "mediaInfo": {"type": "IMAGE", "duration": 0, "width": 1024, "height": 1024}},
        lambda found: [(one.name, one.bounds_px, one.resources[0].url) for one in found.faces],
        [("face_0", (120, 80, 200, 240), A)],
    ),
    Known(
        "elements.create",
        {"name": "Sailor", "type": "IMAGE", "cover_image_url": A, "voice": "Calm Narrator",
         "description": "An old sailor", "tag": "character", "extra_images": [B, C]},
        "POST /elements",
        {"name": "Sailor", "type": "IMAGE", "coverImage": A, "voice": "Calm Narrator",
         "description": "An old sailor", "tag": "character", "extraImage1": B, "extraImage2": C},
        ELEMENT,
        lambda made: (made.id, made.elements[0].given_name, made.elements[0].meta.attempts),
        ("u_309377170505500", "Sailor", 1),
        ({"name": "Sailor", "cover_image_url": A, "generate_views": True},
         {"name": "Sailor", "type": "VIDEO", "video_url": CLIP}),
    ),
    Known(
        "elements.list",
        {"page_num": 2, "page_size": 100, "tag": "o_102", "official": False, "favored": False,
         "sort_direction": "ASC"},
        "GET /elements?pageNum=2&pageSize=100&tag=o_102&official=false&favored=false"
        "&sortDirection=ASC{email}", None,
        {"elementsList": [ELEMENT], "pageNum": 2, "pageSize": 100, "total": 101},
        lambda page: (page.total, len(page), page[0].given_name, [one.id for one in page],
                      page[0].tags[0].tag_key, page[0].resources[1].slot_key),
        (101, 1, "Sailor", ["u_309377170505500"], "character", "side"),
    ),
    Known(
        "elements.tags", {}, "GET /elements/tags{email}", None, {"tagList": [TAG]},
        lambda tags: [(one.id, one.tag_key, one.official) for one in tags],
        [("o_102", "character", True)],
    ),
    Known(
        "elements.voices", {}, "GET /elements/voices{email}", None,
        {"voices": [{"id": 829877809978941442, "name": "Calm Narrator"}]},
        lambda voices: [(one.id, one.name) for one in voices],
        [("829877809978941442", "Calm Narrator")],
    ),
    Known(
        "elements.get", {"element_id": "u_309377170505500"},
        "GET /elements/u_309377170505500{email}", None, ELEMENT,
        lambda one: (one.id, one.cover.url, one.type, one.created_at.year, one.meta.attempts),
        ("u_309377170505500", A, "IMAGE", 2026, 1),
    ),
    Known(
        "elements.delete", {"element_id": "u_309377170505500"},
        "DELETE /elements/u_309377170505500{email}", None, {"deleted": 1},
        lambda gone: gone.deleted, 1,
    ),
]  # fmt: skip

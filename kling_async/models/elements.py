"""Which elements has an account? Persons, animals and things that videos and pictures name.

Source: `/elements` and below (vendor pages, January to March 2026), and the vendor's tool
descriptions (October 2026).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from attrs import evolve, frozen

from ..errors import JSON
from .avatars import ListedEvidence
from .checks import Boolean, Integer, OneOf, Text, Url
from .fields import body, file, files, path, query
from .media import Files, Media, MediaSource
from .requests import CreateRequest, DeleteRequest, GetRequest, Request, files_or_addresses, has
from .responses import Listing, Model, list_of, moment, named
from .sightings import Evidence

ElementType = Literal["IMAGE", "VIDEO"]
SortDirection = Literal["ASC", "DESC"]
NAME_CHARS, DESCRIPTION_CHARS = 15, 100
MOST_LISTED = 100
CHARACTER = "character"
OTHER_TAGS = ("meme", "animal", "prop", "costume", "scene", "effect", "other")
_SUFFIX = re.compile(r" \w{5}$")


@frozen(kw_only=True)
class ElementTag(Model):
    """What an element is: `tag_key` is character, animal, prop, ...; `official`: Kling's own."""

    id: str
    tag_key: str | None = None
    name: str | None = None
    official: bool | None = None
    type: str | None = None


@frozen(kw_only=True)
class ElementVoice(Model):
    """A voice that a character may have; none of `kling.tts.voices()`."""

    id: str
    name: str | None = None
    official: bool | None = None


@frozen(kw_only=True)
class ElementResource(Model):
    """A picture or video of an element; `slot_key` says from where: side, back, topView or ""."""

    url: str | None = named("resource", default=None)
    width: int | None = None
    height: int | None = None
    resource_key: str | None = None
    is_cover: bool | None = named("cover", default=None)
    slot_key: str | None = None


@frozen(kw_only=True)
class Element(Model):
    """A person, animal or thing that pictures and videos can name.

    Source: `GET /elements`; only `id` is relied on.
    """

    id: str
    name: str | None = None
    type: str | None = None
    description: str | None = None
    cover: ElementResource | None = None
    resources: tuple[ElementResource, ...] = ()
    tags: tuple[ElementTag, ...] = named("tagList", default=())
    voice: ElementVoice | None = None
    favored: bool | None = None
    official: bool | None = None
    create_time_ms: int | None = named("createTime", default=None)
    update_time_ms: int | None = named("updateTime", default=None)

    @classmethod
    def _flattened(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        # The page of January 2026 has it in `element`, and pages before it have bare addresses.
        if set(value) == {"element"} and isinstance(value["element"], Mapping):
            value = value["element"]
        if "coverImage" not in value:
            return value
        found = dict(value)
        found["cover"] = {"resource": found.pop("coverImage")}
        images = found.pop("imageResources", None)
        found["resources"] = [{"resource": one} for one in images or ()]
        found["tagList"] = [found.pop("tag")] if found.get("tag") else []
        return found

    @property
    def given_name(self) -> str | None:
        """Its name as the create said it: the server appends a space and five characters."""
        return None if self.name is None else _SUFFIX.sub("", self.name)

    @property
    def created_at(self) -> datetime | None:
        """When it was made, in UTC by Kling's clock."""
        return moment(self.create_time_ms)

    @property
    def urls(self) -> frozenset[str]:
        """Its cover and resources."""
        shown = (*self.resources, *(() if self.cover is None else (self.cover,)))
        return frozenset(one.url for one in shown if one.url)


@frozen(kw_only=True)
class ElementList(Listing[Element]):
    """A page of elements. Iterate over it, index it, or take `.elements`; `total` counts all."""

    nested: ClassVar[tuple[str, ...]] = ("elements",)

    elements: tuple[Element, ...] = named("elementsList")
    page_num: int | None = None
    page_size: int | None = None
    total: int | None = None


@frozen(kw_only=True)
class CreatedElement(Model):
    """What a create made: `elements`, of which there are up to three with `generate_views`."""

    nested: ClassVar[tuple[str, ...]] = ("elements",)

    elements: tuple[Element, ...]

    @property
    def id(self) -> str:
        """The id of the first."""
        return self.elements[0].id


@frozen(kw_only=True)
class DeletedElement(Model):
    """A delete that worked; whether `deleted` counts is not described."""

    deleted: int | None = None


AnyElement = str | Element | CreatedElement
"""An element by its id, or by a result that has one."""
ELEMENT_ID = Text(of=(Element, CreatedElement))


class ElementEvidence(ListedEvidence):
    """How an element is looked for whose answer was lost: by its files, name and description."""

    kind = "element"
    shown_again: ClassVar[tuple[str, ...]] = (
        *("name", "description", "type", "cover_image_url", "video_url"),
    )
    of_files: ClassVar[tuple[str, ...]] = ("cover_image_url", "video_url")
    listed_as: ClassVar[Mapping[str, str]] = MappingProxyType({"name": "given_name"})

    def listings(self, account: str | None) -> tuple[Request[Any], ...]:
        """The account's elements, the newest first."""
        return (ListElements(page_size=MOST_LISTED, email=account),)

    def next_page(
        self, listing: Request[Any], listed: Sequence[Any], since_s: float
    ) -> Request[Any] | None:
        """The page behind it, unless it ends before that time."""
        assert isinstance(listing, ListElements)
        times_ms = [one.create_time_ms for one in listed if one.create_time_ms is not None]
        if len(listed) < MOST_LISTED or (times_ms and min(times_ms) < since_s * 1000):
            return None
        return evolve(listing, page_num=(listing.page_num or 1) + 1)

    def urls(self, thing: Element) -> frozenset[str]:
        """Its cover and resources."""
        return thing.urls

    def result(self, thing: Element) -> CreatedElement:
        """The answer; of views that were asked for, one."""
        return CreatedElement(elements=(thing,), raw=thing.raw)


@frozen(kw_only=True)
class CreateElement(CreateRequest[CreatedElement]):
    """Save a person, animal or thing, of pictures or of a video, to name it in prompts.

    It is answered when it is made, after 5 to 60 s. A file is a path, bytes or binary file, and is
    uploaded first.

    Args:
        name: at most 15 characters; the server appends a space and five characters of its own.
        type: IMAGE (server's default) or VIDEO. Videos of version o1 take IMAGE alone.
        cover_image: for IMAGE: PNG or JPEG, at most 10 MB, each side at least 300 px.
        cover_image_url: its http or https address, that Kling can fetch. With VIDEO it may be the
            video's.
        video: for VIDEO: MP4 of at least 3 s and 700 px, of which the first 8 s are kept.
        video_url: its address.
        voice: a voice of `kling.elements.voices()` by its id or name, or the address of an MP4 with
            5 to 60 s of speech. For characters only: give tag "character", too. An address is saved
            as a voice before the tag is looked at, so that a refused call may leave one behind.
            Server's default: none, or the video's own sound.
        voice_video: such an MP4, in place of `voice`.
        description: at most 100 characters; filled by AI when left out.
        tag: id or `tag_key` of `kling.elements.tags()`; chosen by AI when left out. Given with
            `description`, nothing has to be recognized.
        extra_images: for IMAGE: 1 to 3 more files or addresses; excludes `generate_views`.
        generate_views: for IMAGE: have up to three elements made, of other views; takes up to 60 s.

    Source: `POST /elements`.

    Examples:
        >>> sailor = await kling.elements.create(name="Sailor", cover_image="ada.jpg")
    """

    operation = "elements.create"
    route = "/elements"
    where_to_look: ClassVar[str | None] = "kling.elements.list()"
    evidence: ClassVar[Evidence | None] = ElementEvidence()

    name: str | None = body("name", Text(NAME_CHARS), required=True)
    type: ElementType | None = body("type", OneOf(ElementType))
    cover_image: MediaSource | Media | None = file("cover_image_url", "image")
    cover_image_url: str | None = body("coverImage", Url())
    video: MediaSource | Media | None = file("video_url", "video")
    video_url: str | None = body("video", Url())
    voice: str | ElementVoice | None = body("voice", Text(of=ElementVoice))
    voice_video: MediaSource | Media | None = file("voice", "video")
    description: str | None = body("description", Text(DESCRIPTION_CHARS))
    tag: str | ElementTag | None = body("tag", Text(of=ElementTag))
    extra_images: Files | None = files("extraImage{n}", "image", most=3)
    generate_views: bool | None = body("generateViews", Boolean())

    def cross_problems(self) -> dict[str, str]:
        """What each type is made of, and what excludes what."""
        is_video = self.type == "VIDEO"
        has_cover, has_video = has(self, "cover_image"), has(self, "video")
        needed = ("video",) if is_video and not has_cover else () if is_video else ("cover_image",)
        problems = files_or_addresses(self, *needed)
        for name in ("video", "video_url"):
            if not is_video and getattr(self, name) is not None:
                problems[name] = "is for type VIDEO"
        if is_video and self.cover_image is not None:
            problems["cover_image"] = "is for type IMAGE; give the video as video"
        elif is_video and has_cover and has_video:
            problems["cover_image_url"] = "and a video are both given; keep one of the two"
        of_image = (one for one in ("extra_images", "generate_views") if getattr(self, one))
        problems |= dict.fromkeys(of_image if is_video else (), "is for type IMAGE")
        if self.extra_images is not None and self.generate_views:
            problems["generate_views"] = "and extra_images exclude each other; keep one of the two"
        if (self.voice or self.voice_video) and self.tag in OTHER_TAGS:
            problems["tag"] = f"must be {CHARACTER}: only characters have a voice"
        return problems

    def decode(self, body: JSON) -> CreatedElement:
        """The elements. The answer's form is not described: one, in `element`, or a list is taken.

        Without an id it is no answer to build on: what was made is looked for.
        """
        found = body
        if isinstance(body, Mapping):
            lists = (body[name] for name in ("elementsList", "elements") if name in body)
            found = next(lists, [body])
        made = list_of(Element, found)
        if not made:
            raise ValueError("no element is in it")
        return CreatedElement(elements=tuple(made), raw=body)


@frozen(kw_only=True)
class ListElements(GetRequest[ElementList]):
    """The elements of an account, or Kling's own, a page at a time.

    Args:
        page_num: from 1 (server's default).
        page_size: 1 to 100, server's default 50.
        tag: only those with this tag, by its id.
        official: Kling's own; server's default false.
        favored: only favourites; server's default false.
        sort_direction: by time, ASC or DESC (server's default).

    Source: `GET /elements`.

    Examples:
        >>> own = await kling.elements.list()
    """

    operation = "elements.list"
    route = "/elements"

    page_num: int | None = query("pageNum", Integer(1))
    page_size: int | None = query("pageSize", Integer(1, MOST_LISTED))
    tag: str | ElementTag | None = query("tag", Text(of=ElementTag))
    official: bool | None = query("official", Boolean())
    favored: bool | None = query("favored", Boolean())
    sort_direction: SortDirection | None = query("sortDirection", OneOf(SortDirection))


@frozen(kw_only=True)
class ListElementTags(GetRequest[list[ElementTag]]):
    """What elements can be: Kling's tags, and your own.

    Source: `GET /elements/tags`.

    Examples:
        >>> tags = await kling.elements.tags()
    """

    operation = "elements.tags"
    listed_under: ClassVar[str | None] = "tagList"


@frozen(kw_only=True)
class ListElementVoices(GetRequest[list[ElementVoice]]):
    """The voices that characters can have; others than those of `kling.tts.voices()`.

    Source: `GET /elements/voices`.

    Examples:
        >>> voices = await kling.elements.voices()
    """

    operation = "elements.voices"
    listed_under: ClassVar[str | None] = "voices"


@frozen(kw_only=True)
class GetElement(GetRequest[Element]):
    """One element.

    Args:
        element_id: `u_` and digits; those of Kling's own may look otherwise.

    Source: `GET /elements/{elementId}`.
    """

    operation = "elements.get"
    route = "/elements/{elementId}"

    element_id: AnyElement | None = path("elementId", ELEMENT_ID)


@frozen(kw_only=True)
class DeleteElement(DeleteRequest[DeletedElement]):
    """Delete an element of your own, for good.

    Args:
        element_id: `u_` and digits.

    Source: `DELETE /elements/{elementId}`.
    """

    operation = "elements.delete"
    route = "/elements/{elementId}"

    element_id: AnyElement | None = path("elementId", ELEMENT_ID)

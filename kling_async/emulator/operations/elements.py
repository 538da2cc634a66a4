"""How are elements made, listed and deleted? `/elements`.

A create is finished when it answers; what the answer looks like no page says: an element here, and
a list where `generateViews` makes several. What is left out is chosen by seed and name.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve

from ..envelopes import bad_request, missing, not_found
from ..messages import Reply
from ..operation import API_ROOT, Context, Operation
from ..records import user_id
from ..views import excerpt
from ..voices import ELEMENT_TAGS, ELEMENT_VOICES
from ..world import Element
from .avatars import listed_url
from .media import upload_behind

MAX_NAME_CHARS, MAX_DESCRIPTION_CHARS = 15, 100
DEFAULT_PAGE, LARGEST_PAGE = 50, 100
_CHARACTER = "character"
_SUFFIX_CHARS = 5
_VIEWS = ("", "side", "back", "topView")  # slotKey, as printed
_EXTRA = tuple(f"extraImage{number}" for number in range(1, 4))


def create(context: Context) -> Reply:
    """Make an element, or three."""
    given, world = context.fields, context.world
    name = given.needed_text("name", max_chars=MAX_NAME_CHARS)
    kind = given.choice("type", ("IMAGE", "VIDEO")) or "IMAGE"
    description = given.text("description", max_chars=MAX_DESCRIPTION_CHARS)
    views = given.flag("generateViews")
    cover, video = _file("coverImage", context), _file("video", context)
    extra = [url for field in _EXTRA if (url := _file(field, context)) is not None]
    if cover is None and (kind == "IMAGE" or video is None):
        raise missing("video" if kind == "VIDEO" else "coverImage")
    if extra and views:
        raise bad_request("Parameter extraImage1 excludes generateViews")
    tag = _tag(given.text("tag"), name, context)
    voice = given.text("voice")
    if voice is not None and tag != _CHARACTER:
        raise bad_request("Parameter voice is supported for elements with the character tag only")
    first = Element(
        id="",
        account=context.account,
        name="",
        type=kind,
        description=description or world.ids.choose("element", name, _DESCRIPTIONS),
        urls=tuple(url for url in (video if kind == "VIDEO" else cover, *extra, cover) if url),
        tag=tag,
        voice=voice,
        create_time_ms=context.upstream_ms(),
        call_number=context.call_number,
        visible_from_s=context.clock.monotonic() + context.views.listing_lag_s,
    )
    made = []
    for _ in range(3 if views else 1):
        number = f"u_{world.ids.number('element', 15, prefix='309')}"
        suffix = world.ids.token("element suffix", _SUFFIX_CHARS)
        shown = tuple(dict.fromkeys(_shown(url, context) for url in first.urls))
        made.append(evolve(first, id=number, name=f"{name} {suffix}", urls=shown))
        world.elements[number] = made[-1]
    entries = [_entry(one) for one in made]
    return Reply.of_json({"elementsList": entries} if views else entries[0])


def list_elements(context: Context) -> Reply:
    """A page of the account's own elements, or of Kling's own, of which there are none here."""
    given, views, now_s = context.fields, context.views, context.clock.monotonic()
    page = given.whole("pageNum", low=1, high=1_000_000) or 1
    size = given.whole("pageSize", low=1, high=LARGEST_PAGE) or DEFAULT_PAGE
    tag, oldest = given.text("tag"), given.choice("sortDirection", ("ASC", "DESC")) == "ASC"
    official, favored = given.flag("official"), given.flag("favored")
    found = [
        one
        for one in context.world.elements_of(context.account)
        if one.visible_from_s <= now_s and tag in (None, one.tag, ELEMENT_TAGS.get(one.tag))
    ]
    if not oldest:
        found.reverse()
    if official or favored or context.is_empty_yet("elements", views.listing_empty):
        found = []
    found = excerpt(found, views.listing_limit, views.listing_shuffled, context.call_number)
    shown = [_entry(one) for one in found[(page - 1) * size : page * size]]
    answer = {"elementsList": shown, "pageNum": page, "pageSize": size, "total": len(found)}
    return context.shown(answer)


def list_tags(context: Context) -> Reply:
    """What elements can be."""
    return Reply.of_json({"tagList": [_tag_entry(key) for key in ELEMENT_TAGS]})


def list_voices(context: Context) -> Reply:
    """What characters can sound like; the ids are larger than a float can hold."""
    return Reply.of_json({"voices": [{"id": n, "name": one} for one, n in ELEMENT_VOICES.items()]})


def get(context: Context) -> Reply:
    """One element, flat as on the newer page."""
    return context.shown(_entry(_known(context)))


def delete(context: Context) -> Reply:
    """Take one away; a number is documented, and not what it counts."""
    element = _known(context)
    del context.world.elements[element.id]
    context.world.deleted_elements.append(element)
    return Reply.of_json({"deleted": 1})


def _known(context: Context) -> Element:
    element = context.world.elements.get(context.path["id"])
    if element is None or element.account != context.account:
        raise not_found(f"Element {context.path['id']} not found")
    return element


def _file(name: str, context: Context) -> str | None:
    """The address in a field; a cover may be a picture or, of a video, the video."""
    if not context.fields.has(name):
        return None
    url = context.fields.web_url(name)
    is_video = name == "video" or (name == "coverImage" and context.fields.text("type") == "VIDEO")
    upload_behind(url, context, name, "video" if is_video else "image")
    return url


def _shown(url: str, context: Context) -> str:
    return listed_url(url, None, context.request.origin, context.world, context.views)


def _tag(given: str | None, name: str, context: Context) -> str:
    """The tag by its id or key, or one that "AI" chooses."""
    if given is None:
        return str(context.world.ids.choose("element tag", name, tuple(ELEMENT_TAGS)))
    for key, number in ELEMENT_TAGS.items():
        if given in (key, number):
            return key
    raise bad_request(f"Parameter tag ({given}) has incorrect format")


def _tag_entry(key: str) -> dict[str, object]:
    of_kling = {"official": True, "type": "element"}
    return {"id": ELEMENT_TAGS[key], "tagKey": key, "name": key.capitalize(), **of_kling}


def _entry(element: Element) -> dict[str, object]:
    resources = [_resource(url, number, element) for number, url in enumerate(element.urls)]
    entry: dict[str, object] = {
        "id": element.id,
        "name": element.name,
        "userId": user_id(element.account),
        "type": element.type,
        "description": element.description,
        "cover": resources[0],
        "resources": resources,
        "tagList": [_tag_entry(element.tag)],
        "favored": False,
        "official": False,
        "createTime": element.create_time_ms,
        "updateTime": element.create_time_ms,
    }
    if element.voice is not None:
        number = ELEMENT_VOICES.get(element.voice, element.voice)
        entry["voice"] = {"id": number, "name": element.voice, "official": True, "resource": {}}
    return entry


def _resource(url: str, number: int, element: Element) -> Mapping[str, object]:
    key = "video" if element.type == "VIDEO" else "secondary" if number else "cover"
    return {
        "resource": url,
        "width": 1024,
        "height": 1024,
        "resourceKey": key,
        "cover": number == 0,
        "slotKey": _VIEWS[min(number, len(_VIEWS) - 1)],
    }


_DESCRIPTIONS = ("An old sailor with a white beard", "A small dog", "A red bicycle", "A blue coat")

OPERATIONS = (
    Operation("elements.list", "GET", f"{API_ROOT}/elements", list_elements, email="query"),
    Operation("elements.tags", "GET", f"{API_ROOT}/elements/tags", list_tags, email="query"),
    Operation("elements.voices", "GET", f"{API_ROOT}/elements/voices", list_voices, email="query"),
    Operation("elements.get", "GET", f"{API_ROOT}/elements/{{id}}", get, email="query"),
    Operation("elements.create", "POST", f"{API_ROOT}/elements", create, email="body"),
    Operation("elements.delete", "DELETE", f"{API_ROOT}/elements/{{id}}", delete, email="query"),
)

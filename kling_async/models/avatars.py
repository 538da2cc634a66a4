"""Which avatars has an account? What is asked, and what comes back.

Source: `POST /avatars`, `GET /avatars`, `DELETE /avatars/{avatarId}` (vendor pages, January 2026).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, ClassVar, Literal, get_args

from attrs import frozen

from ..errors import JSON, AvatarFailedError
from .checks import SPEED, Digits, OneOf, Text, Url, url_path
from .fields import body, file, path, query
from .media import Media, MediaSource
from .requests import CreateRequest, DeleteRequest, GetRequest, Request
from .responses import Model, moment, named
from .sightings import Evidence, Sighting

Scene = Literal[
    "all",
    "social_media",
    "entertainment",
    "advertising_marketing",
    "business",
    "education",
    "virtual_idol",
]
Emotion = Literal["neutral", "happy", "angry", "sad", "fearful", "disgusted", "surprised"]
AvatarType = Literal["personal", "templates"]
SCENES: tuple[str, ...] = get_args(Scene)
EMOTIONS: tuple[str, ...] = get_args(Emotion)
NICKNAME_CHARS = 30
PROMPT_CHARS = 2000


@frozen(kw_only=True)
class CreatedAvatar(Model):
    """A new avatar's id; the rest of it is in `kling.avatars.get(id)`.

    Source: `POST /avatars`.
    """

    id: str
    status: str


@frozen(kw_only=True)
class ImageResource(Model):
    """An image of an avatar. The meaning of `source_from` is unknown."""

    url: str
    source_from: int | None = None


@frozen(kw_only=True)
class Avatar(Model):
    """A personal avatar, or a template. Templates have a `name`, personal avatars a `nickname`.

    Source: `GET /avatars`; only `id` is relied on: a null in one record hides no other.
    """

    id: str
    prompt: str | None = None
    image_resources: tuple[ImageResource, ...] = ()
    nickname: str | None = None
    name: str | None = None
    scene: str | None = None
    tts_speaker: str | None = None
    tts_speed: float | None = None
    tts_emotion: str | None = named("ttsEmotionKey", default=None)
    create_time_ms: int | None = named("createTime", default=None)
    update_time_ms: int | None = named("updateTime", default=None)

    @property
    def image_url(self) -> str | None:
        """Where its first image is; None where it has none."""
        return self.image_resources[0].url if self.image_resources else None

    @property
    def image_paths(self) -> frozenset[str]:
        """Its images as paths, which are compared: host and query may change."""
        return frozenset(url_path(one.url) for one in self.image_resources)

    @property
    def is_template(self) -> bool:
        """Whether it is the system's: the server tells by an id of 8 digits or fewer."""
        return is_template_id(self.id)

    @property
    def created_at(self) -> datetime | None:
        """When it was made, in UTC by Kling's clock; None for templates."""
        return moment(self.create_time_ms)


@frozen(kw_only=True)
class DeletedAvatar(Model):
    """A delete that worked. The server's body says `{"deleted": null}`, which means success."""


AnyAvatar = str | Avatar | CreatedAvatar
"""An avatar by its id, or by a result that has one."""
AVATAR_ID = Digits(of=(Avatar, CreatedAvatar))


def is_template_id(avatar_id: str) -> bool:
    """Whether an id is a template's (8 digits or fewer) and not a personal avatar's."""
    return len(avatar_id) <= 8


class ListedEvidence(Evidence):
    """What avatars and elements share: they are made at once, listed, and usually free.

    They bear no mark, so likeness counts. What is listed where, and what it shows, is the heirs'.
    """

    likeness = True
    shown_again: ClassVar[tuple[str, ...]]
    """The fields of the create that a listing shows again."""
    of_files: ClassVar[tuple[str, ...]] = ()
    """Those of them that hold addresses of its files."""
    listed_as: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """What the listing calls those that it calls otherwise."""

    def marked(self, request: Any) -> Any:
        """As it is: it bears no mark."""
        return request

    def stated(self, request: Any) -> Mapping[str, Any]:
        """What is shown again."""
        return {name: getattr(request, name) for name in self.shown_again}

    def sighting(self, thing: Any, account: str | None = None) -> Sighting:
        """What a listed thing shows of the create. A blank text says nothing."""
        made_at_ms = getattr(thing, "create_time_ms", None)
        urls = frozenset(self.urls(thing))
        names = {name: self.listed_as.get(name, name) for name in self.shown_again}
        shown = {name: getattr(thing, listed, None) for name, listed in names.items()}
        shown |= dict.fromkeys(self.of_files, urls)
        return Sighting(
            id=thing.id,
            account=account,
            paths=frozenset(map(url_path, urls)),
            shown={name: one for name, one in shown.items() if one or name in self.of_files},
            made_at_s=None if made_at_ms is None else made_at_ms / 1000,
            thing=thing,
        )

    def urls(self, thing: Any) -> Iterable[str]:
        """Where its files are."""
        return ()


class AvatarEvidence(ListedEvidence):
    """How an avatar is looked for whose answer was lost: by the image, the texts and the voice."""

    kind = "avatar"
    shown_again: ClassVar[tuple[str, ...]] = (
        "image_url",
        "nickname",
        "prompt",
        "scene",
        "tts_speaker",
        "tts_speed",
        "tts_emotion",
    )
    of_files: ClassVar[tuple[str, ...]] = ("image_url",)

    def listings(self, account: str | None) -> tuple[Request[Any], ...]:
        """Where it would show."""
        return (ListAvatars(email=account),)

    def urls(self, thing: Avatar) -> Iterable[str]:
        """Its images."""
        return (one.url for one in thing.image_resources)

    def result(self, thing: Avatar) -> CreatedAvatar:
        """The answer that was lost, as far as it is known."""
        return CreatedAvatar.from_api({"id": thing.id, "status": "SUCCESS"})


@frozen(kw_only=True)
class CreateAvatar(CreateRequest[CreatedAvatar]):
    """Save a personal avatar from a portrait: exactly one of `image_url` and `image`.

    Args:
        image_url: http or https address that Kling can fetch; usually an upload's.
        image: path, bytes or binary file, PNG or JPEG, at most 10 MB, each side at least 300 px;
            uploaded first. Its head is read when the request is built.
        nickname: at most 30 characters; filled by AI when left out.
        prompt: at most 2000 characters; filled by AI when left out. Default of its videos.
        scene: one of `SCENES`; the vendor's pages disagree on the default.
        tts_speaker: a `speaker_id` of `kling.tts.voices()`; recommended by AI when left out.
        tts_speed: 0.8 to 2.0, server's default 1.
        tts_emotion: one of `EMOTIONS`, server's default neutral. Not every speaker has each.

    Source: `POST /avatars`.

    Examples:
        >>> ada = await kling.avatars.create(image="ada.jpg", nickname="Ada")
    """

    operation = "avatars.create"
    route = "/avatars"
    where_to_look: ClassVar[str | None] = "kling.avatars.list()"
    evidence: ClassVar[Evidence | None] = AvatarEvidence()

    image_url: str | None = body("imageUrl", Url())
    image: MediaSource | Media | None = file("image_url", "image")
    nickname: str | None = body("nickname", Text(NICKNAME_CHARS))
    prompt: str | None = body("prompt", Text(PROMPT_CHARS))
    scene: Scene | None = body("scene", OneOf(SCENES))
    tts_speaker: str | None = body("ttsSpeaker", Text())
    tts_speed: float | None = body("ttsSpeed", SPEED)
    tts_emotion: Emotion | None = body("ttsEmotionKey", OneOf(EMOTIONS))

    def cross_problems(self) -> dict[str, str]:
        """Exactly one of the two images."""
        if (self.image_url is None) == (self.image is None):
            given = "neither" if self.image is None else "both"
            return {"image_url": f"exactly one of image_url and image is needed, {given} given"}
        return {}

    def error_in(self, body: JSON) -> AvatarFailedError | None:
        """FAILED is a documented value; with which HTTP status it comes is unknown."""
        if isinstance(body, dict) and body.get("status") == "FAILED":
            return AvatarFailedError(
                "the server answered FAILED: no avatar was made. It gives no reason; check the "
                "portrait (one clear frontal face) before trying again",
                body=body,
            )
        return None

    def decode(self, body: JSON) -> CreatedAvatar:
        """The new id. Anything but SUCCESS with a usable id is not an answer to build on."""
        made = CreatedAvatar.from_api(body)
        if made.status != "SUCCESS":
            raise ValueError(f"status is {made.status!r}, neither SUCCESS nor FAILED")
        if not made.id:
            raise ValueError("status is SUCCESS, but the id is empty")
        return made


@frozen(kw_only=True)
class ListAvatars(GetRequest[list[Avatar]]):
    """The personal avatars of an account, or the system's templates. There is no paging.

    Args:
        type: "personal" (server's default) or "templates".

    Source: `GET /avatars`.
    """

    operation = "avatars.list"
    route = "/avatars"

    type: AvatarType | None = query("type", OneOf(AvatarType))


@frozen(kw_only=True)
class DeleteAvatar(DeleteRequest[DeletedAvatar]):
    """Delete a personal avatar. Templates can't be deleted.

    Args:
        avatar_id: more than 8 digits.

    Source: `DELETE /avatars/{avatarId}`.
    """

    operation = "avatars.delete"
    route = "/avatars/{avatarId}"

    avatar_id: AnyAvatar | None = path("avatarId", AVATAR_ID)

    def cross_problems(self) -> dict[str, str]:
        """A template's id is refused here: what the server would do with it is unknown."""
        avatar_id = self.avatar_id
        if AVATAR_ID(avatar_id) is None and is_template_id(str(avatar_id)):
            return {"avatar_id": f"{avatar_id} is a template, which can't be deleted"}
        return {}

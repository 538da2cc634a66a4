"""How are avatars made, listed and deleted? `/avatars`.

A create is finished when it answers. What the caller leaves out the vendor's AI fills in; here a
choice by seed and picture stands for it, equal for equal bytes.
"""

from __future__ import annotations

from ..envelopes import bad_request, not_found
from ..messages import Reply
from ..operation import API_ROOT, Context, Operation
from ..views import Views, excerpt
from ..voices import EMOTIONS, SCENES, TEMPLATES, VOICES, Voice, template_of, voice_of
from ..world import Avatar, Upload, World
from .media import portrait_url, template_url, upload_behind

MAX_NICKNAME_CHARS = 30
MAX_PROMPT_CHARS = 2000
MIN_SPEED, MAX_SPEED = 0.8, 2.0
_UPLOADED, _FOREIGN = 1, 2  # sourceFrom: its values are unknown

NICKNAMES = ("Ada", "Bruno", "Chiara", "Devin", "Emi", "Farid", "Greta", "Hugo", "Ines", "Jonas")
PROMPTS = (
    "Natural speaking, friendly look into the camera",
    "Speaks calmly, with small movements of the head",
    "Energetic presentation, hands support the words",
    "Warm smile, relaxed shoulders, steady eye contact",
)


def create(context: Context) -> Reply:
    """Make an avatar; the answer has its id and nothing else."""
    given, world = context.fields, context.world
    image_url = given.web_url("imageUrl")
    nickname = given.text("nickname", max_chars=MAX_NICKNAME_CHARS)
    prompt = given.text("prompt", max_chars=MAX_PROMPT_CHARS)
    scene = given.choice("scene", SCENES)
    speed = given.number("ttsSpeed", low=MIN_SPEED, high=MAX_SPEED)
    emotion = given.choice("ttsEmotionKey", EMOTIONS) or "neutral"
    voice = _chosen_voice(given.text("ttsSpeaker"), emotion)
    source = upload_behind(image_url, context, "imageUrl", "image")
    seen = source.sha256 if source else image_url
    if voice is None:
        able = [voice for voice in VOICES if voice.speaks(emotion)]
        voice = world.ids.choose("voice", seen, able)
    avatar = Avatar(
        id=new_id(world),
        account=context.account,
        image_url=image_url,
        listed_url=listed_url(image_url, source, context.request.origin, world, context.views),
        upload_name=source.name if source else None,
        nickname=nickname or world.ids.choose("nickname", seen, NICKNAMES),
        prompt=prompt or world.ids.choose("prompt", seen, PROMPTS),
        scene=scene or world.ids.choose("scene", seen, SCENES[1:]),
        tts_speaker=voice.speaker_id,
        tts_speed=1.0 if speed is None else speed,
        tts_emotion_key=emotion,
        create_time_ms=context.upstream_ms(),
        call_number=context.call_number,
        visible_from_s=context.clock.monotonic() + context.views.listing_lag_s,
    )
    world.avatars[avatar.id] = avatar
    return Reply.of_json({"id": avatar.id, "status": "SUCCESS"})


def new_id(world: World) -> str:
    """An id in the form of a personal avatar's: more than eight digits."""
    return world.ids.number("avatar", 15, prefix="300")


def listed_url(
    image_url: str, source: Upload | None, origin: str, world: World, views: Views
) -> str:
    """The address of the picture that listings show: the one of the create, or a re-hosted one."""
    if not views.rehost_images:
        return image_url
    ending = source.name.rpartition(".")[2] if source else "png"
    name = f"{world.ids.token('portrait', 40)}.{ending}"
    world.portraits[name] = source.name if source else ""
    return portrait_url(name, origin)


def list_avatars(context: Context) -> Reply:
    """The account's own avatars, newest first, or the templates."""
    kind = context.fields.choice("type", ("personal", "templates"))
    if kind == "templates":
        return Reply.of_json(_template_entries(context.request.origin))
    now_s, views = context.clock.monotonic(), context.views
    if context.is_empty_yet("avatars", views.listing_empty):
        return Reply.of_json([])
    avatars = context.world.avatars_of(context.account)
    listed = [avatar for avatar in reversed(avatars) if avatar.visible_from_s <= now_s]
    shown = excerpt(listed, views.listing_limit, views.listing_shuffled, context.call_number)
    return context.shown([_entry(avatar) for avatar in shown])


def delete(context: Context) -> Reply:
    """Take an avatar away; null is the documented sign of success."""
    avatar_id = context.path["id"]
    if template_of(avatar_id) is not None:
        # That templates can't be deleted is documented, the status is not.
        raise bad_request("Templates can't be deleted")
    avatar = context.world.avatars.get(avatar_id)
    if avatar is None or avatar.account != context.account:
        raise not_found(f"Avatar {avatar_id} not found")
    context.world.delete_avatar(avatar)
    return Reply.of_json({"deleted": None})


def _chosen_voice(speaker_id: str | None, emotion: str) -> Voice | None:
    if speaker_id is None:
        return None
    voice = voice_of(speaker_id)
    if voice is None:
        raise bad_request(f"ttsSpeaker {speaker_id} is not one of the voices")
    if not voice.speaks(emotion):
        raise bad_request(f"ttsEmotionKey {emotion} is not available for {speaker_id}")
    return voice


def _entry(avatar: Avatar) -> dict[str, object]:
    source = _FOREIGN if avatar.upload_name is None else _UPLOADED
    return {
        "id": avatar.id,
        "nickname": avatar.nickname,
        "prompt": avatar.prompt,
        "scene": avatar.scene,
        "imageResources": [{"url": avatar.listed_url, "sourceFrom": source}],
        "ttsSpeaker": avatar.tts_speaker,
        "ttsSpeed": repr(avatar.tts_speed).removesuffix(".0"),  # a string here, documented
        "ttsEmotionKey": avatar.tts_emotion_key,
        "createTime": avatar.create_time_ms,
        "updateTime": avatar.create_time_ms,
    }


def _template_entries(origin: str) -> list[dict[str, object]]:
    return [
        {
            "id": template.id,
            "name": template.name,
            "imageResources": [{"url": template_url(template, origin)}],
            "prompt": template.prompt,
        }
        for template in TEMPLATES
    ]


OPERATIONS = (
    Operation("avatars.create", "POST", f"{API_ROOT}/avatars", create, email="body"),
    Operation("avatars.list", "GET", f"{API_ROOT}/avatars", list_avatars, email="query"),
    Operation("avatars.delete", "DELETE", f"{API_ROOT}/avatars/{{id}}", delete, email="query"),
)

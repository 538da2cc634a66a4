"""Which effects, motions and voices are there for videos, and how is a voice saved or deleted?

All of Kling's own is invented, in the documented shapes.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from ..envelopes import bad_request, malformed, not_found
from ..messages import Reply
from ..operation import API_ROOT, Context, Operation
from ..records import work_cover_url, work_url
from ..world import SavedVoice
from .media import sample_url, upload_behind

MAX_VOICE_NAME_CHARS = 30
SHORTEST_SAMPLE_S = 3  # of a voice that videos take, documented


@frozen
class Effect:
    """An effect of Kling's: its modes (none: retired), and what the two newer keys say."""

    caption: str
    modes: tuple[str, ...]
    takes_prompt: bool = False
    is_supported: bool = True
    says_so: bool = True

    @property
    def is_usable(self) -> bool:
        """Whether a create may name it."""
        return bool(self.modes) and self.is_supported


EFFECTS: Mapping[str, Effect] = {
    "rocketrocket_pro": Effect("Rocket", ("std", "pro"), takes_prompt=True),
    "squish_pro": Effect("Squish", ("pro",)),
    "paperfold": Effect("Paper fold", ("std",), says_so=False),
    "fireworks_2024": Effect("Fireworks", ()),
    "petface": Effect("Pet face", ("std", "pro"), is_supported=False),
}
_MOTIONS = ("wave_hello", "slow_turn")
# id -> name, seconds of its sample; some are shorter than videos take, documented
_VOICES: Mapping[str, tuple[str, float]] = {
    "English_captivating_female1": ("Emma", 6.0),
    "English_short_male2": ("Max", 2.0),
}


def list_effects(context: Context) -> Reply:
    """An array; the two newer keys are not there on older entries."""
    origin = context.request.origin
    return Reply.of_json([_effect(name, effect, origin) for name, effect in EFFECTS.items()])


def _effect(name: str, effect: Effect, origin: str) -> dict[str, object]:
    wanted = {"inputType": "URL", "contentType": "image", "optional": False, "contentName": "image"}
    process = {"taskType": "m2v_effects", "taskVersion": "1.6", "defaultPrompt": ""}
    video_url = sample_url(f"{name}.mp4", origin)
    newer = {"effectSupported": effect.is_supported, "promptSupported": effect.takes_prompt}
    return {
        "name": name,
        "caption": effect.caption,
        "hot": name == "rocketrocket_pro",
        "minimalKrnVersion": 0,
        "supportedModelMode": list(effect.modes),
        "compositedSchema": {"process": {**process, "requireInputs": [wanted]}},
        "videoUrl": video_url,
        "coverUrl": sample_url(f"{name}.png", origin),
        "webVideoUrl": video_url,
        **(newer if effect.says_so else {}),
    }


def list_motions(context: Context) -> Reply:
    """Kling's, or what the account has uploaded."""
    origin, now_s = context.request.origin, context.clock.monotonic()
    if not context.fields.flag("mine"):
        return Reply.of_json([_official(name, origin) for name in _MOTIONS])
    listed = [
        {
            **_motion(str(work.id), work_url(work, origin), work_cover_url(work, origin)),
            "createTime": task.create_time_ms,
        }
        for task in context.world.tasks_of(context.account)
        if task.type == "m2v_motion_upload" and task.is_there_at(now_s)
        for work in task.works
    ]
    return Reply.of_json(listed)


def _official(name: str, origin: str) -> dict[str, object]:
    return _motion(name, sample_url(f"{name}.mp4", origin), sample_url(f"{name}.png", origin))


def _motion(asset_id: str, url: str, cover_url: str) -> dict[str, object]:
    size = {"duration": 5000, "width": 720, "height": 1280, "hasAudio": False}
    return {
        "assetId": asset_id, "assetType": "MOTION", "url": url, "coverUrl": cover_url, **size
    }  # fmt: skip


def list_voices(context: Context) -> Reply:
    """The account's saved voices, then Kling's."""
    origin = context.request.origin
    saved = [_saved(one) for one in context.world.saved_voices.values() if _is_of(one, context)]
    neutral = {"name": "Neutral", "key": "neutral", "enable": True}
    official = [
        {
            "id": voice_id,
            "name": name,
            "source": "TTS_OFFICIAL",
            "audioUrl": sample_url(f"{voice_id}.mp3", origin),
            "coverUrl": sample_url(f"{voice_id}.png", origin),
            "emotions": [neutral, {"name": "Happy", "key": "happy", "enable": False}],
        }
        for voice_id, (name, _) in _VOICES.items()
    ]
    return Reply.of_json({"voices": [*saved, *official]})


def save_voice(context: Context) -> Reply:
    """Save a voice; the answer names the account."""
    name = context.fields.needed_text("name", max_chars=MAX_VOICE_NAME_CHARS)
    audio_url = context.fields.web_url("audioUrl")
    upload_behind(audio_url, context, "audioUrl", "audio")
    voice = SavedVoice(
        id=context.world.ids.number("voice", 12, prefix="30"),
        account=context.account,
        name=name,
        audio_url=audio_url,
        create_time_ms=context.upstream_ms(),
        call_number=context.call_number,
    )
    context.world.saved_voices[voice.id] = voice
    return Reply.of_json({"email": context.account, **_saved(voice)})


def delete_voice(context: Context) -> Reply:
    """Delete a saved voice; both refusals are documented to the letter."""
    voice_id = context.fields.needed_text("voiceId")
    if not voice_id.isascii() or not voice_id.isdigit():
        raise malformed("voiceId", voice_id)
    voice = context.world.saved_voices.get(voice_id)
    if voice is None or not _is_of(voice, context):
        raise not_found(f"Voice {voice_id} was not deleted")
    del context.world.saved_voices[voice_id]
    return Reply.of_json({"deleted": True})


def voice_for(context: Context, name: str) -> str:
    """The voice that a video's field means by its id or name."""
    given = context.fields.needed_text(name)
    for one in context.world.saved_voices.values():
        if given in (one.id, one.name) and _is_of(one, context):
            return one.id
    for voice_id, (voice_name, sample_s) in _VOICES.items():
        if given in (voice_id, voice_name):
            if sample_s < SHORTEST_SAMPLE_S:
                raise bad_request(f"Parameter {name}: the sample of {voice_id} is too short")
            return voice_id
    raise malformed(name, given)


def _saved(voice: SavedVoice) -> dict[str, object]:
    return {"id": voice.id, "name": voice.name, "source": "USER", "audioUrl": voice.audio_url}


def _is_of(voice: SavedVoice, context: Context) -> bool:
    return voice.account == context.account


_PATH = f"{API_ROOT}/videos"
OPERATIONS = (
    Operation("videos.effects", "GET", f"{_PATH}/effects", list_effects, email="query"),
    Operation("videos.motions", "GET", f"{_PATH}/motions", list_motions, email="query"),
    Operation("videos.voices", "GET", f"{_PATH}/voices", list_voices, email="query"),
    Operation("videos.create_voice", "POST", f"{_PATH}/voices", save_voice, email="body"),
    Operation("videos.delete_voice", "DELETE", f"{_PATH}/voices", delete_voice, email="query"),
)

"""`GET /tts/voices`: which voices can an avatar speak with?"""

from __future__ import annotations

from ..messages import Reply
from ..operation import API_ROOT, Context, Operation
from ..voices import EMOTIONS, VOICES, Voice
from .media import voice_sample_url


def list_voices(context: Context) -> Reply:
    """All voices, with their emotions switched on or off."""
    listed = [_entry(voice, context.request.origin) for voice in VOICES]
    # What lastSpeakerId and typeList hold is unknown: the first voice, and no types.
    return Reply.of_json({"ttsList": listed, "lastSpeakerId": VOICES[0].speaker_id, "typeList": []})


def _entry(voice: Voice, origin: str) -> dict[str, object]:
    named = (*voice.enabled, *voice.disabled)
    emotions = [
        {"name": emotion.capitalize(), "key": emotion, "enable": emotion in voice.enabled}
        for emotion in EMOTIONS
        if emotion in named
    ]
    return {
        "name": voice.name,
        "speakerId": voice.speaker_id,
        "exampleUrl": voice_sample_url(voice, origin),
        "new": voice.is_new,
        "emotions": emotions,
    }


OPERATIONS = (Operation("tts.voices", "GET", f"{API_ROOT}/tts/voices", list_voices, email="query"),)

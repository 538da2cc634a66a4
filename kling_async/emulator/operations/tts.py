"""Which voices are there, and how does text become speech? `/tts`."""

from __future__ import annotations

from ..envelopes import Refusal, bad_request, moderated
from ..messages import Reply
from ..operation import API_ROOT, Context, Operation
from ..tasks import STATUS
from ..voices import EMOTIONS, VOICES, Voice, spoken_s, voice_of
from ..world import Speech
from .avatars import MAX_SPEED, MIN_SPEED
from .media import speech_url, voice_sample_url


def list_voices(context: Context) -> Reply:
    """All voices, with their emotions switched on or off."""
    listed = [_entry(voice, context.request.origin) for voice in VOICES]
    # What lastSpeakerId and typeList hold is unknown: the first voice, and no types.
    return Reply.of_json({"ttsList": listed, "lastSpeakerId": VOICES[0].speaker_id, "typeList": []})


def create(context: Context) -> Reply:
    """Speak a text; the answer is final and names an MP3.

    The reference gives several limits for the text (150 characters, 15 seconds, none): none here.
    """
    given, world = context.fields, context.world
    speaker_id, text = given.needed_text("speakerId"), given.needed_text("text")
    speed = given.number("speed", low=MIN_SPEED, high=MAX_SPEED) or 1.0
    emotion = given.choice("emotion", EMOTIONS) or "neutral"
    voice = voice_of(speaker_id)
    if voice is None:
        raise bad_request(f"speakerId {speaker_id} is not one of the voices")
    if not voice.speaks(emotion):
        raise bad_request(f"emotion {emotion} is not available for {speaker_id}")
    if context.struck_by("task_moderated"):
        raise Refusal(moderated())
    name = f"{world.ids.token('speech')}.mp3"
    speech = Speech(
        name=name,
        account=context.account,
        url=speech_url(name, context.request.origin),
        speaker_id=speaker_id,
        text=text,
        speed=speed,
        emotion=emotion,
        duration_ms=round(spoken_s(text, speed) * 1000),
        create_time_ms=context.upstream_ms(),
        call_number=context.call_number,
    )
    world.speeches[name] = speech
    return Reply.of_json(
        {
            "resource": speech.url,
            "status": STATUS["succeed"],
            "status_name": "succeed",
            "status_final": True,
        }
    )


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


OPERATIONS = (
    Operation("tts.voices", "GET", f"{API_ROOT}/tts/voices", list_voices, email="query"),
    Operation("tts.create", "POST", f"{API_ROOT}/tts/create", create, email="body"),
)

"""Which video is asked of a row? Its columns, checked like a request before anything is sent.

A row speaks by exactly one of `text`, `audio` (a file) and `audio_url`; one without them ends with
its avatar. The ledger keeps the request's fields, so that any later run can carry them out.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from ..errors import JSON, InvalidRequestError
from ..models.videos import CreateAvatarVideo
from .plain import digest_of, plain

SPEECH = ("text", "audio", "audio_url")
"""What a row's avatar says; a row with none of them makes no video."""
VIDEO_FIELDS = (*SPEECH, "speaker_id", "speed", "emotion", "video_prompt", "mode")
OF_AVATAR = {"speaker_id": "tts_speaker", "speed": "tts_speed", "emotion": "tts_emotion"}
"""A text without a voice of its own is spoken with the avatar's."""
_SOME_AVATAR = "100000000"  # the check needs an id, and the real one is not made yet


@frozen(kw_only=True)
class VideoInput:
    """The video that a row asks for."""

    digest: str
    """Tells it from another."""
    payload: Mapping[str, JSON]
    """The fields of its `CreateAvatarVideo` as JSON, but for the avatar; a file by its path."""


def video_of(given: Mapping[str, Any]) -> tuple[VideoInput | None, dict[str, str]]:
    """The video among a row's fields, None where it asks for none; and what is wrong, by field.

    Looks into audio files: call it in a thread.

    Args:
        given: the row's fields by name, those of its avatar included.
    """
    asked = {name: given[name] for name in VIDEO_FIELDS if given.get(name) is not None}
    if not asked:
        return None, {}
    spoken = [name for name in SPEECH if name in asked]
    if not spoken:
        lost = (
            f"is for a video, and the row has none of {', '.join(SPEECH)}; add one or leave it out"
        )
        return None, dict.fromkeys(asked, lost)
    shown = {name: plain(value) for name, value in asked.items()}
    if spoken == ["text"]:
        for name, of_avatar in OF_AVATAR.items():
            if name not in asked and given.get(of_avatar) is not None:
                asked[name] = given[of_avatar]
    fields = {("prompt" if name == "video_prompt" else name): asked[name] for name in asked}
    payload = {name: plain(value) for name, value in fields.items()}
    problems = _problems(fields, spoken)
    if not problems and isinstance(audio := asked.get("audio"), (str, os.PathLike)):
        payload["audio"] = str(Path(audio).absolute())
    return VideoInput(digest=digest_of(shown), payload=payload), problems


def video_request(payload: Mapping[str, JSON], **known: Any) -> CreateAvatarVideo:
    """The request that the ledger's fields stand for; InvalidRequestError where it can't be sent.

    Looks into its audio file, if it has one: call it in a thread.

    Args:
        payload: what `VideoInput.payload` was.
        known: what is known by now; takes the place of what the payload says.
    """
    return CreateAvatarVideo(**{**payload, **known})


def _problems(fields: Mapping[str, Any], spoken: list[str]) -> dict[str, str]:
    if len(spoken) > 1:
        several = f"and {', '.join(spoken[1:])} are both given; keep one of the two"
        return {spoken[0]: several}
    audio = fields.get("audio")
    if (
        audio is not None
        and not isinstance(audio, (str, Path))
        and not hasattr(audio, "__fspath__")
    ):
        return {"audio": "must be a path: a ledger keeps where the file is, not what is in it"}
    try:
        video_request(fields, avatar_id=_SOME_AVATAR)
    except InvalidRequestError as exc:
        problems = {
            ("video_prompt" if name == "prompt" else name): text
            for name, text in exc.problems.items()
        }
        if "speaker_id" in problems and fields.get("speaker_id") is None:
            problems["speaker_id"] = "is needed with text (or tts_speaker, the avatar's own voice)"
        return problems
    return {}

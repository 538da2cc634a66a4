"""Voices that avatars can speak with.

Source: `GET /tts/voices`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from attrs import frozen

from ..errors import JSON
from .requests import Request, Safety
from .responses import Model, wired


@frozen(kw_only=True)
class VoiceEmotion(Model):
    """An emotion of a voice; `enable` says whether this voice can do it."""

    key: str
    name: str | None = None
    enable: bool | None = None


@frozen(kw_only=True)
class Voice(Model):
    """A voice. `speaker_id` is what `tts_speaker` and `speaker_id` take elsewhere."""

    speaker_id: str
    name: str | None = None
    example_url: str | None = None
    new: bool | None = None
    emotions: tuple[VoiceEmotion, ...] = ()

    def speaks(self, emotion: str) -> bool | None:
        """Whether this voice can do `emotion`; None where the server lists no emotions for it."""
        if not self.emotions:
            return None
        return any(one.key == emotion and one.enable is not False for one in self.emotions)


@frozen(kw_only=True)
class VoiceList(Model):
    """All voices of an account. Iterate over it, index it, or take `.voices`."""

    voices: tuple[Voice, ...] = wired("ttsList")
    last_speaker_id: str | None = None
    type_list: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Voice]:
        return iter(self.voices)

    def __len__(self) -> int:
        return len(self.voices)

    def __getitem__(self, index: int) -> Voice:
        return self.voices[index]


@frozen(kw_only=True)
class ListVoices(Request[VoiceList]):
    """The voices that text can be spoken with.

    Source: `GET /tts/voices`.
    """

    operation: ClassVar[str] = "tts.voices"
    method: ClassVar[str] = "GET"
    route: ClassVar[str] = "/tts/voices"
    safety: ClassVar[Safety] = Safety.READ

    def decode(self, body: JSON) -> VoiceList:
        """The voices in the server's order."""
        return VoiceList.from_api(body)

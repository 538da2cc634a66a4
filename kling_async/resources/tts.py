"""Which voices are there, and how is a text spoken with one? `kling.tts`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..errors import JSON
from ..models.tts import CreateSpeech, ListVoices, Speech, Voice
from .base import Resource, operation


class Tts(Resource):
    """Text to speech."""

    voices: Final = operation(ListVoices)

    async def create(
        self,
        text: str,
        *,
        speaker_id: str | Voice,
        speed: float | None = None,
        emotion: str | None = None,
        email: str | None = None,
        extra: Mapping[str, JSON] | None = None,
    ) -> Speech:
        """The spoken text: an MP3 at `url`. Free and unlimited on every Kling plan.

        The server answers when it is done; a long text takes more than a minute. The client's
        default of 180 s to read an answer is meant for that: keep it. `is_final` is False where the
        server was not done after all; `url` is None then, and asking again costs nothing.

        Args:
            text: what to say. The vendor's texts disagree on how much is taken (150 characters, 15
                seconds of speech, several minutes): expect a refusal above 150 to be possible.
            speaker_id: a `speaker_id` of `voices()`, or the voice itself.
            speed: 0.8 to 2.0; default 1.
            emotion: a `key` of the voice's `emotions`; default: none.
            email: the Kling account; default: the voice's own, else chosen by the registry.
            extra: fields newer than this library, under the API's names.

        Raises:
            BadRequestError: no such voice, or a text that is not taken.
            ContentModeratedError: the text was refused: change it.
            TaskFailedError: the server says that it failed.

        Source: `POST /tts/create`.

        Examples:
            >>> speech = await kling.tts.create("Hello!", speaker_id=voice)
        """
        return await self._sent(
            CreateSpeech,
            text=text,
            speaker_id=speaker_id,
            speed=speed,
            emotion=emotion,
            email=email,
            extra=extra,
        )

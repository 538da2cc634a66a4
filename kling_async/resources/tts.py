"""`kling.tts`: the voices that text is spoken with."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import JSON
from ..models.tts import ListVoices, VoiceList
from .base import Resource


class Tts(Resource):
    """Text to speech."""

    async def voices(
        self, *, email: str | None = None, extra: Mapping[str, JSON] | None = None
    ) -> VoiceList:
        """The voices of an account, with the emotions each can do.

        Args:
            email: the Kling account; default: chosen by the registry.
            extra: query fields newer than this library.

        Source: `GET /tts/voices`.
        """
        return await self._pipeline.send(ListVoices(email=email, extra=extra), self._options)

"""`kling.assets`: files on their way to Kling."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from ..errors import JSON
from ..media import MediaSource
from ..models.assets import Asset, UploadAsset
from .base import Resource


class Assets(Resource):
    """The files of your Kling accounts."""

    async def upload(
        self,
        file: MediaSource,
        content_type: str | None = None,
        *,
        email: str | None = None,
        extra: Mapping[str, JSON] | None = None,
    ) -> Asset:
        """The stored file; `usable_url` is what other calls take, with the same account.

        Args:
            file: path, bytes or binary file. Images: PNG or JPEG, at most 10 MB, each side at
                least 300 px; video: MP4 or MOV, at most 100 MB; audio: WAV, MP3, M4A, FLAC, AAC or
                OGG, at most 20 MB.
            content_type: what it is; default: found from its bytes, else from its name.
            email: the Kling account; default: chosen by the registry.
            extra: query fields newer than this library.

        Raises:
            InvalidRequestError: the API would refuse the file; nothing was sent.

        Source: `POST /assets/`.
        """
        request = await asyncio.to_thread(
            UploadAsset, file=file, content_type=content_type, email=email, extra=extra
        )
        return await self._pipeline.send(request, self._options)

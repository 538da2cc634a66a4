"""How do files get to Kling, and what was made there? `kling.assets`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final

from .._calls.pipeline import Options, Pipeline
from .._files.downloads import Download, Downloadable, Downloads
from ..errors import JSON, ConfigurationError, InvalidRequestError
from ..models.assets import (
    Asset,
    DeletedUploads,
    DeleteUploads,
    DownloadLink,
    FileType,
    GetDownload,
    ListGenerated,
    ListUploads,
    UploadAsset,
    UploadedAsset,
)
from ..models.media import MediaSource
from ..models.tasks import Task, Work
from .base import Resource, account_of, operation

AnyWork = int | str | Work | Task
"""A work by its id, a number or its digits, or by a result: a task stands for all its works."""
AnyUpload = str | UploadedAsset
"""An uploaded file by its id, or as it was listed."""


class Assets(Resource):
    """The files of your Kling accounts."""

    def __init__(self, pipeline: Pipeline, options: Options, downloads: Downloads) -> None:
        super().__init__(pipeline, options)
        self._downloads = downloads

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

        Examples:
            >>> asset = await kling.assets.upload("ada.jpg")
            >>> ada = await kling.avatars.create(image_url=asset.usable_url)
        """
        return await self._sent(
            UploadAsset, file=file, content_type=content_type, email=email, extra=extra
        )

    uploaded: Final = operation(ListUploads)
    generated: Final = operation(ListGenerated)

    async def delete_uploaded(
        self,
        uploads: AnyUpload | Sequence[AnyUpload],
        *,
        email: str | None = None,
        extra: Mapping[str, JSON] | None = None,
    ) -> DeletedUploads:
        """Delete uploaded files, for good. What a task made is deleted with the task instead.

        Args:
            uploads: one to ten ids, or results of `uploaded()`, all of one account.
            email: the Kling account; default: the results' own, else chosen by the registry. The
                API asks for it always.
            extra: query fields newer than this library.

        Raises:
            ConfigurationError: no account is known, so none could be named; nothing was sent.

        Source: `DELETE /assets/uploaded/`.

        Examples:
            >>> uploads = await kling.assets.uploaded()
            >>> gone = await kling.assets.delete_uploaded(uploads[:10])
        """
        given = [uploads] if isinstance(uploads, (str, UploadedAsset)) else list(uploads)
        chosen = self._pipeline.accounts.choose(email or account_of(*given))
        if chosen is None:
            raise ConfigurationError(
                "assets.delete_uploaded() has to name an account and this client knows none: "
                "give email=, or call accounts.sync() first"
            )
        request = DeleteUploads(ids=tuple(given), email=chosen, extra=extra)
        return await self._pipeline.send(request, self._options)

    async def download_link(
        self,
        works: AnyWork | Sequence[AnyWork],
        *,
        file_types: FileType | Sequence[FileType] | None = None,
        email: str | None = None,
        extra: Mapping[str, JSON] | None = None,
    ) -> DownloadLink:
        """Where the works can be fetched without watermark; needs a paid Kling plan.

        The link is the file's own only for ONE work with ONE file type; otherwise it is a zip's.

        Args:
            works: ids of works, or results; a task stands for all its works. All of one account.
            file_types: of "MP4", "MOV", "MP3", "WAV" and "PNG"; default: all there are.
            email: the Kling account; default: the results' own, else chosen by the registry.
            extra: query fields newer than this library.

        Raises:
            InvalidRequestError: a task that has no works (yet); nothing was sent.

        Source: `GET /assets/download`.

        Examples:
            >>> link = await kling.assets.download_link(task)
        """
        given = [works] if isinstance(works, (int, str, Work, Task)) else list(works)
        request = GetDownload(
            work_ids=tuple(work_id for one in given for work_id in _work_ids(one)),
            file_types=file_types if file_types is None else _names(file_types),
            email=email or account_of(*given),
            extra=extra,
        )
        return await self._pipeline.send(request, self._options)

    async def download(
        self,
        what: Downloadable | Sequence[Downloadable],
        to: str | os.PathLike[str],
        *,
        file_type: FileType | Sequence[FileType] | None = None,
        clean: bool | None = None,
        overwrite: bool = True,
        email: str | None = None,
    ) -> Download:
        """A result as a file here: `await kling.assets.download(task, "ada.mp4")`.

        The file shows under its name only when it is whole. Until then it is `.NAME.….part` beside
        it, which is removed when the download fails or is cancelled. Broken lines are mended within
        the client's `retry`: where the server allows it, the next attempt goes on where the last
        one ended.

        Args:
            what: a task that succeeded (its first work that did), a `Work`, a work's id, a
                `Speech`, an upload, or the https address of a file. Several works (`task.works`)
                come as one zip; one by one, each is a file of its own.
            to: where. An existing directory: a name of its own in it, `<work id>.mp4` for works;
                what the server calls it for all else, `NAME-2.mp3` where that is taken. A zip is
                always called `.zip`, also one that comes where a single file was asked for.
            file_type: MP4, MOV, MP3, WAV or PNG; default: what the work is. Several: a zip.
            clean: None, the default: without watermark where the account's plan allows that (paid
                plans of Kling), else with; the result says which. True: not with. False: don't try
                without.
            overwrite: whether an existing file `to` is replaced; default True.
            email: the Kling account; default: the result's own, else chosen by the registry.

        Raises:
            InvalidRequestError: there is nothing to download, or no place for it; nothing was sent.
            APIError: the server, or the file server, refused.
            OutcomeUnknownError, NotSentError: the file could not be read to its end.
            DeadlineExceededError: the client's `deadline_s` ran out.
            OSError: the disk is full, or the like.

        Source: `GET /assets/download`.

        Examples:
            >>> saved = await kling.assets.download(task, "kite.mp4")
            >>> saved.path.name
            'kite.mp4'
        """
        return await self._downloads.bring(
            what,
            to,
            self._options,
            file_type=file_type,
            clean=clean,
            overwrite=overwrite,
            email=email,
        )


def _work_ids(work: AnyWork) -> list[int | str]:
    if not isinstance(work, Task):
        return [work.work_id if isinstance(work, Work) else work]
    if not work.works:
        raise InvalidRequestError("GetDownload", {"works": f"task {work.id} has none"})
    return [one.work_id for one in work.works if not one.failed] or [work.works[0].work_id]


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)

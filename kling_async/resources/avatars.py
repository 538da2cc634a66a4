"""How are avatars made, listed, found and deleted? `kling.avatars`; thousands: `create_many`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

from .._calls.pipeline import Options, Pipeline
from .._files.downloads import Downloads
from .._polling.waiter import TaskWaiter
from ..errors import JSON, CallContext, InvalidRequestError, NotFoundError
from ..models.avatars import (
    AVATAR_ID,
    AnyAvatar,
    Avatar,
    AvatarType,
    CreateAvatar,
    DeleteAvatar,
    DeletedAvatar,
    ListAvatars,
    is_template_id,
)
from ..models.videos import CreateAvatarVideo
from .base import Resource, account_of, operation

if TYPE_CHECKING:
    import os

    from ..bulk.results import BulkRow


class Avatars(Resource):
    """The avatars of your Kling accounts."""

    def __init__(
        self, pipeline: Pipeline, options: Options, waiting: TaskWaiter, downloads: Downloads
    ) -> None:
        super().__init__(pipeline, options)
        self._waiting = waiting
        self._downloads = downloads

    create: Final = operation(CreateAvatar)
    video: Final = operation(CreateAvatarVideo)

    async def list(
        self,
        type: AvatarType | None = None,
        *,
        email: str | None = None,
        extra: Mapping[str, JSON] | None = None,
    ) -> list[Avatar]:
        """The avatars of an account, as the server orders them. There is no paging.

        Args:
            type: "personal" (default) or "templates".
            email: the Kling account; default: chosen by the registry.
            extra: query fields newer than this library.

        Source: `GET /avatars`.

        Examples:
            >>> [one.nickname for one in await kling.avatars.list()]
            []
        """
        request = ListAvatars(type=type, email=email, extra=extra)
        return await self._pipeline.send(request, self._options)

    async def get(self, avatar: AnyAvatar, *, email: str | None = None) -> Avatar:
        """One avatar, found in the account's list: the API has no call for a single one.

        Args:
            avatar: an id, or a result that has one. Ids of 8 digits or fewer are templates.
            email: the Kling account; default: the result's own, else chosen by the registry.

        Raises:
            NotFoundError: it is not in the list; `status_code` is the list's 200.

        Source: `GET /avatars`.

        Examples:
            >>> (await kling.avatars.get(avatar)).nickname
            'Ada'
        """
        avatar_id = AVATAR_ID.convert(avatar)
        if (problem := AVATAR_ID(avatar_id)) is not None:
            raise InvalidRequestError("avatars.get()", {"avatar": problem})
        request = ListAvatars(
            type="templates" if is_template_id(avatar_id) else None,
            email=email if email is not None else account_of(avatar),
        )
        listed = await self._pipeline.send(request, self._options)
        for one in listed:
            if one.id == avatar_id:
                return one
        account = listed[0].meta.account if listed else request.email
        raise NotFoundError(
            f"no avatar {avatar_id} among the {len(listed)} listed: it may belong to another "
            f"account (email=), or be deleted",
            status_code=200,
            context=CallContext(request.method, request.route, account, attempts=1),
        )

    async def delete(self, avatar: AnyAvatar, *, email: str | None = None) -> DeletedAvatar:
        """Delete a personal avatar; the result only says that it worked.

        Args:
            avatar: an id of more than 8 digits, or a result that has one.
            email: the Kling account; default: the result's own, else chosen by the registry.

        Raises:
            NotFoundError: there is no such avatar (and no earlier attempt of this call deleted it).

        Source: `DELETE /avatars/{avatarId}`.

        Examples:
            >>> gone = await kling.avatars.delete(avatar)
        """
        return await self._sent(DeleteAvatar, avatar_id=avatar, email=email)

    def create_many(
        self,
        rows: Iterable[CreateAvatar | Mapping[str, Any]]
        | AsyncIterable[CreateAvatar | Mapping[str, Any]],
        *,
        ledger: str | os.PathLike[str],
        concurrency: int | Literal["auto"] = "auto",
        single_writer: bool = False,
        videos: str | os.PathLike[str] | None = None,
        again: bool = False,
        retry_failed: bool = False,
    ) -> AsyncGenerator[BulkRow, None]:
        """Every row's result as it is settled: `async for row in kling.avatars.create_many(...)`.

        Run it again with the same ledger and it resumes: rows that are done are yielded again from
        the ledger, and nothing is sent for them. A loop that is left early stops the run;
        `contextlib.aclosing` around it waits until what was in flight is recorded.

        Args:
            rows: `CreateAvatar`s, or mappings of its field names; a mapping may also hold `key`
                (its name in the ledger; default: derived from its content). Read as they
                are needed, never held whole. For a video a mapping says what the avatar speaks, by
                one of `text` (with `speaker_id`, and perhaps `speed` and `emotion`; default: the
                voice it gives the avatar), `audio` (a path) and `audio_url`, and may hold
                `video_prompt` and `mode`. `avatar_id` in place of an image: it exists already.
            ledger: the SQLite file that remembers every row, or `postgresql://user@host/db#name`,
                which any number of machines may share; made where it is missing.
            concurrency: rows under way at once, at least 1; "auto", the default: as many as the
                rate and the time of the answers ask for, 8 to 256 (32 without a rate limit).
            single_writer: has no effect any more: texts alone settle no lost answer. Default False.
            videos: the folder where the videos of the rows that speak shall be, made where it is
                missing; each is `<key>.mp4`. They cost credits. As many are made at once as the
                accounts have job slots. Default: none are made, and what rows say of them is kept
                for a later run.
            again: make also rows that look as if another job had made them already: an avatar of
                the same picture address and texts is there. Default False: the run stops and says
                so before it sends anything for them.
            retry_failed: try rows again that an earlier run left failed, each once, from the step
                that failed. Default False: they are yielded as they are. What failed before
                anything was sent (a file that is missing, a text that is too long) is looked at
                again in any case.

        Raises:
            LedgerError: the ledger is in use, damaged, or belongs to another job.

        Examples:
            >>> rows = [{"key": "ada", "image": "ada.jpg"}]
            >>> async for row in kling.avatars.create_many(rows, ledger="avatars.sqlite"):
            ...     print(row.key, row.state)
            ada created
        """
        return self._create_many(rows, ledger, concurrency, videos, again, retry_failed)

    async def _create_many(
        self,
        rows: Iterable[CreateAvatar | Mapping[str, Any]]
        | AsyncIterable[CreateAvatar | Mapping[str, Any]],
        ledger: str | os.PathLike[str],
        concurrency: int | Literal["auto"],
        videos: str | os.PathLike[str] | None,
        again: bool,
        retry_failed: bool,
    ) -> AsyncGenerator[BulkRow, None]:
        from ..bulk.jobs import Equipment, carried_out
        from ..bulk.recipes import AVATARS, TALKING
        from ..bulk.results import bulk_row

        recipe = AVATARS if videos is None else TALKING
        results = carried_out(
            Equipment(self._pipeline, self._options, self._waiting, self._downloads),
            *(rows, recipe),
            method="create_many",
            ledger=ledger,
            folder=videos,
            concurrency=concurrency,
            again=again,
            retry_failed=retry_failed,
        )
        try:
            async for one in results:
                yield bulk_row(one, made=recipe.made)
        finally:
            await results.aclose()

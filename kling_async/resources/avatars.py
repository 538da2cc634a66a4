"""`kling.avatars`: make, list, find and delete avatars; thousands of them with `create_many`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from .._calls.pipeline import Options, Pipeline
from .._files.downloads import Downloads
from .._polling.waiter import TaskWaiter
from ..errors import JSON, CallContext, InvalidRequestError, NotFoundError
from ..models.avatars import (
    Avatar,
    CreateAvatar,
    CreatedAvatar,
    DeleteAvatar,
    DeletedAvatar,
    ListAvatars,
    is_template_id,
)
from ..models.checks import Digits
from ..models.media import Media, MediaSource
from ..models.tasks import Task
from ..models.videos import CreateAvatarVideo
from .base import Resource, account_of

if TYPE_CHECKING:
    import os

    from ..bulknext.results import BulkRow


class Avatars(Resource):
    """The avatars of your Kling accounts."""

    def __init__(
        self, pipeline: Pipeline, options: Options, waiting: TaskWaiter, downloads: Downloads
    ) -> None:
        super().__init__(pipeline, options)
        self._waiting = waiting
        self._downloads = downloads

    async def create(
        self,
        *,
        image_url: str | None = None,
        image: MediaSource | Media | None = None,
        nickname: str | None = None,
        prompt: str | None = None,
        scene: str | None = None,
        tts_speaker: str | None = None,
        tts_speed: float | None = None,
        tts_emotion: str | None = None,
        email: str | None = None,
        extra: Mapping[str, JSON] | None = None,
    ) -> CreatedAvatar:
        """A new avatar's id; details are in `get(id)`. Give exactly one of the two images.

        Args:
            image_url: http or https address that Kling can fetch.
            image: path, bytes, binary file or `Media`; PNG or JPEG, at most 10 MB, each side at
                least 300 px. Uploaded first, to the same account.
            nickname: at most 30 characters; default: filled by AI.
            prompt: at most 2000 characters; default: filled by AI.
            scene: all, social_media, entertainment, advertising_marketing, business, education or
                virtual_idol; the vendor's pages disagree on the default.
            tts_speaker: a `speaker_id` of `kling.tts.voices()`; default: recommended by AI.
            tts_speed: 0.8 to 2.0; default 1.
            tts_emotion: neutral, happy, angry, sad, fearful, disgusted or surprised; default
                neutral. Not every voice has each: see `kling.tts.voices()`.
            email: the Kling account; default: chosen by the registry.
            extra: fields newer than this library, under the API's names.

        Raises:
            InvalidRequestError: something is not allowed; all faults at once, nothing was sent.
            OutcomeUnknownError: the answer was lost, so the avatar may exist. It was not sent
                again; look with `list()` before you do.
            AvatarFailedError: the server said FAILED.

        Source: `POST /avatars`.
        """
        fields: dict[str, Any] = {
            "image_url": image_url,
            "nickname": nickname,
            "prompt": prompt,
            "scene": scene,
            "tts_speaker": tts_speaker,
            "tts_speed": tts_speed,
            "tts_emotion": tts_emotion,
            "email": email,
            "extra": extra,
        }
        if image is None:
            request = CreateAvatar(**fields)
        else:  # looks into the file, so not on the loop
            request = await asyncio.to_thread(CreateAvatar, image=image, **fields)
        return await self._pipeline.send(request, self._options)

    async def video(
        self,
        *,
        avatar_id: str | Avatar | CreatedAvatar | None = None,
        image_url: str | None = None,
        image: MediaSource | None = None,
        text: str | None = None,
        speaker_id: str | None = None,
        audio_url: str | None = None,
        audio: MediaSource | None = None,
        speed: float | None = None,
        emotion: str | None = None,
        prompt: str | None = None,
        mode: Literal["std", "pro"] | None = None,
        render_speech: bool = False,
        max_jobs: int | None = None,
        reply_url: str | None = None,
        reply_ref: str | None = None,
        email: str | None = None,
        extra: Mapping[str, JSON] | None = None,
    ) -> Task:
        """A job that makes an avatar talk, just begun: `kling.tasks.wait(task)` for its video.

        It costs credits, and is never sent twice by itself. Give exactly one of `avatar_id`,
        `image_url` and `image`, and exactly one of `text`, `audio_url` and `audio`.

        Args:
            avatar_id: an id, or an avatar of this client, whose account is then used. Its saved
                prompt and voice settings are the defaults.
            image_url: http or https address of a portrait that Kling can fetch.
            image: path, bytes or binary file; PNG or JPEG, at most 10 MB, each side at least
                300 px. Uploaded first, to the same account.
            text: what to say, at most 5000 characters; needs `speaker_id`.
            speaker_id: a `speaker_id` of `kling.tts.voices()`.
            audio_url: http or https address of the speech.
            audio: path, bytes or binary file; WAV, MP3, M4A, FLAC, AAC or OGG, at most 20 MB.
                Uploaded first.
            speed: 0.8 to 2.0, only with `text`; default 1, or the avatar's.
            emotion: neutral, happy, angry, sad, fearful, disgusted or surprised, only with `text`;
                default neutral. Not every voice has each.
            prompt: how to move, at most 2000 characters; default "Natural speaking", or the
                avatar's.
            mode: "std" (default) or "pro".
            render_speech: speak the text first with the free `tts.create` and send its audio.
                Should the answer be lost, the job can then be told by the audio's address even
                after it has ended. For short texts: how long they may be there is not clear from
                the vendor's pages. Default False.
            max_jobs: 1 to 50 jobs at once on this account, instead of its own limit.
            reply_url: http or https address that is told of progress and end.
            reply_ref: comes back in webhooks and `kling.scheduler.running()`. Default: one made
                for this call, by which a lost job is found; one of your own is not taken as proof.
            email: the Kling account; default: the avatar's own, else chosen by the registry.
            extra: fields newer than this library, under the API's names.

        Raises:
            InvalidRequestError: something is not allowed; all faults at once, nothing was sent.
            OutcomeUnknownError: the answer was lost and the job was not found, so it may be running
                and paid for. Look at `candidates`; see docs/lost-answers.md.
            RateLimitedError: no job slot became free within the attempts.
            ContentModeratedError: refused; change text, prompt or portrait.

        Source: `POST /avatars/video`.
        """
        email = email if email is not None else account_of(avatar_id)
        fields: dict[str, Any] = {
            "avatar_id": None if avatar_id is None else _id_of(avatar_id),
            "image_url": image_url,
            "text": text,
            "speaker_id": speaker_id,
            "audio_url": audio_url,
            "speed": speed,
            "emotion": emotion,
            "prompt": prompt,
            "mode": mode,
            "render_speech": render_speech,
            "max_jobs": max_jobs,
            "reply_url": reply_url,
            "reply_ref": reply_ref,
            "email": email,
            "extra": extra,
        }
        if image is None and audio is None:
            request = CreateAvatarVideo(**fields)
        else:  # looks into the files, so not on the loop
            request = await asyncio.to_thread(CreateAvatarVideo, image=image, audio=audio, **fields)
        return await self._pipeline.send(request, self._options)

    async def list(
        self,
        type: Literal["personal", "templates"] | None = None,
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
        """
        request = ListAvatars(type=type, email=email, extra=extra)
        return await self._pipeline.send(request, self._options)

    async def get(
        self, avatar: str | Avatar | CreatedAvatar, *, email: str | None = None
    ) -> Avatar:
        """One avatar, found in the account's list: the API has no call for a single one.

        Args:
            avatar: an id, or a result that has one. Ids of 8 digits or fewer are templates.
            email: the Kling account; default: the result's own, else chosen by the registry.

        Raises:
            NotFoundError: it is not in the list; `status_code` is the list's 200.

        Source: `GET /avatars`.
        """
        avatar_id = _id_of(avatar)
        if (problem := Digits()(avatar_id)) is not None:
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

    async def delete(
        self, avatar: str | Avatar | CreatedAvatar, *, email: str | None = None
    ) -> DeletedAvatar:
        """Delete a personal avatar; the result only says that it worked.

        Args:
            avatar: an id of more than 8 digits, or a result that has one.
            email: the Kling account; default: the result's own, else chosen by the registry.

        Raises:
            NotFoundError: there is no such avatar (and no earlier attempt of this call deleted it).

        Source: `DELETE /avatars/{avatarId}`.
        """
        request = DeleteAvatar(
            avatar_id=_id_of(avatar),
            email=email if email is not None else account_of(avatar),
        )
        return await self._pipeline.send(request, self._options)

    def create_many(
        self,
        rows: Iterable[CreateAvatar | Mapping[str, Any]]
        | AsyncIterable[CreateAvatar | Mapping[str, Any]],
        *,
        ledger: str | os.PathLike[str],
        concurrency: int = 8,
        single_writer: bool = False,
        videos: str | os.PathLike[str] | None = None,
        again: bool = False,
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
            ledger: the SQLite file that remembers every row; made where it is missing.
            concurrency: rows under way at once; default 8.
            single_writer: has no effect any more: texts alone settle no lost answer. Default False.
            videos: the folder where the videos of the rows that speak shall be, made where it is
                missing; each is `<key>.mp4`. They cost credits. As many are made at once as the
                accounts have job slots. Default: none are made, and what rows say of them is kept
                for a later run.
            again: make also rows that look as if another job had made them already: an avatar of
                the same picture address and texts is there. Default False: the run stops and says
                so before it sends anything for them.

        Raises:
            LedgerError: the ledger is in use, damaged, or belongs to another job.
        """
        return self._create_many(rows, ledger, concurrency, videos, again)

    async def _create_many(
        self,
        rows: Iterable[CreateAvatar | Mapping[str, Any]]
        | AsyncIterable[CreateAvatar | Mapping[str, Any]],
        ledger: str | os.PathLike[str],
        concurrency: int,
        videos: str | os.PathLike[str] | None,
        again: bool,
    ) -> AsyncGenerator[BulkRow, None]:
        from ..bulknext.jobs import Equipment, carried_out
        from ..bulknext.recipes import AVATARS, TALKING
        from ..bulknext.results import bulk_row

        recipe = AVATARS if videos is None else TALKING
        results = carried_out(
            Equipment(self._pipeline, self._options, self._waiting, self._downloads),
            *(rows, recipe),
            method="create_many",
            ledger=ledger,
            folder=videos,
            concurrency=concurrency,
            again=again,
        )
        try:
            async for one in results:
                yield bulk_row(one, made=recipe.made)
        finally:
            await results.aclose()


def _id_of(avatar: str | Avatar | CreatedAvatar) -> str:
    """Its id, however it is given; whether it can be one is for the request to say."""
    return avatar.id if isinstance(avatar, (Avatar, CreatedAvatar)) else avatar

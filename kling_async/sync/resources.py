"""Which methods are there for those who don't await? Those of `kling_async.resources`, all of them.

A test compares names and signatures, so a new async method has its line here, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..accounts import Account, AccountRegistry
from ..resources import (
    accounts,
    assets,
    avatars,
    bulk,
    elements,
    images,
    scheduler,
    tasks,
    tts,
    videos,
)
from .methods import Resource, iterated, waited


class Accounts(Resource):
    """Your Kling accounts. Iterating gives those that this client chooses from."""

    def __iter__(self) -> Iterator[Account]:
        return iter(self._on_loop(tuple[Account, ...]))

    @property
    def registry(self) -> AccountRegistry:
        """The accounts that calls without `email=` choose from."""
        registry: AccountRegistry = self._on_loop(lambda awaited: awaited.registry)
        return registry

    list: Final = waited(accounts.Accounts.list)
    get: Final = waited(accounts.Accounts.get)
    add: Final = waited(accounts.Accounts.add)
    remove: Final = waited(accounts.Accounts.remove)
    sync: Final = waited(accounts.Accounts.sync)


class Assets(Resource):
    """The files of your Kling accounts."""

    upload: Final = waited(assets.Assets.upload)
    uploaded: Final = waited(assets.Assets.uploaded)
    generated: Final = waited(assets.Assets.generated)
    delete_uploaded: Final = waited(assets.Assets.delete_uploaded)
    download_link: Final = waited(assets.Assets.download_link)
    download: Final = waited(assets.Assets.download)


class Avatars(Resource):
    """The avatars of your Kling accounts."""

    create: Final = waited(avatars.Avatars.create)
    video: Final = waited(avatars.Avatars.video)
    list: Final = waited(avatars.Avatars.list)
    get: Final = waited(avatars.Avatars.get)
    delete: Final = waited(avatars.Avatars.delete)
    create_many: Final = iterated(avatars.Avatars.create_many)


class Bulk(Resource):
    """Bulk jobs: each row is carried out once, whatever happens to the process."""

    run: Final = iterated(bulk.Bulk.run)
    results: Final = iterated(bulk.Bulk.results)
    settle: Final = waited(bulk.Bulk.settle)
    settle_many: Final = waited(bulk.Bulk.settle_many)


class Elements(Resource):
    """The elements of your Kling accounts, and Kling's own."""

    create: Final = waited(elements.Elements.create)
    list: Final = waited(elements.Elements.list)
    tags: Final = waited(elements.Elements.tags)
    voices: Final = waited(elements.Elements.voices)
    get: Final = waited(elements.Elements.get)
    delete: Final = waited(elements.Elements.delete)


class Images(Resource):
    """Pictures, which cost credits; finding faces in one is free."""

    virtual_try_on: Final = waited(images.Images.virtual_try_on)
    kolors: Final = waited(images.Images.kolors)
    kolors_elements: Final = waited(images.Images.kolors_elements)
    recognize_faces: Final = waited(images.Images.recognize_faces)
    upscale: Final = waited(images.Images.upscale)
    omni: Final = waited(images.Images.omni)
    enhance: Final = waited(images.Images.enhance)


class Scheduler(Resource):
    """What useapi.net keeps track of, for up to an hour: the jobs started with this token.

    It is about all accounts at once, so its calls take no `email=`.
    """

    running: Final = waited(scheduler.Scheduler.running)
    available: Final = waited(scheduler.Scheduler.available)
    forget: Final = waited(scheduler.Scheduler.forget)


class Tasks(Resource):
    """The jobs of your Kling accounts, those made on Kling's site included."""

    get: Final = waited(tasks.Tasks.get)
    list: Final = waited(tasks.Tasks.list)
    delete: Final = waited(tasks.Tasks.delete)
    wait: Final = waited(tasks.Tasks.wait)
    watch: Final = iterated(tasks.Tasks.watch)
    iter: Final = iterated(tasks.Tasks.iter)

    def hint(self, task_id: int) -> bool:
        """Have a task read now, because somebody says that it moved on (a webhook does).

        False where nobody waits for it; then nothing is done.

        Args:
            task_id: its number.

        Examples:
            >>> kling.tasks.hint(4711)
            False
        """
        waits: bool = self._on_loop(lambda awaited: awaited.hint(task_id))
        return waits


class Tts(Resource):
    """Text to speech."""

    voices: Final = waited(tts.Tts.voices)
    create: Final = waited(tts.Tts.create)


class Videos(Resource):
    """Videos, which cost credits; those of talking avatars are `kling.avatars.video`."""

    text2video: Final = waited(videos.Videos.text2video)
    image2video_frames: Final = waited(videos.Videos.image2video_frames)
    image2video_elements: Final = waited(videos.Videos.image2video_elements)
    image2video_effects: Final = waited(videos.Videos.image2video_effects)
    effects: Final = waited(videos.Videos.effects)
    omni: Final = waited(videos.Videos.omni)
    extend: Final = waited(videos.Videos.extend)
    lipsync: Final = waited(videos.Videos.lipsync)
    add_sound: Final = waited(videos.Videos.add_sound)
    motion_create: Final = waited(videos.Videos.motion_create)
    motion_upload: Final = waited(videos.Videos.motion_upload)
    motions: Final = waited(videos.Videos.motions)
    voices: Final = waited(videos.Videos.voices)
    create_voice: Final = waited(videos.Videos.create_voice)
    delete_voice: Final = waited(videos.Videos.delete_voice)

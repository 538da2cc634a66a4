"""Which methods are there for those who don't await? Those of `kling_async.resources`, all of them.

A test compares names and signatures, so a new async method has its line here, too.
"""

from __future__ import annotations

from collections.abc import Iterator

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

    list = waited(accounts.Accounts.list)
    get = waited(accounts.Accounts.get)
    add = waited(accounts.Accounts.add)
    remove = waited(accounts.Accounts.remove)
    sync = waited(accounts.Accounts.sync)


class Assets(Resource):
    """The files of your Kling accounts."""

    upload = waited(assets.Assets.upload)
    uploaded = waited(assets.Assets.uploaded)
    generated = waited(assets.Assets.generated)
    delete_uploaded = waited(assets.Assets.delete_uploaded)
    download_link = waited(assets.Assets.download_link)
    download = waited(assets.Assets.download)


class Avatars(Resource):
    """The avatars of your Kling accounts."""

    create = waited(avatars.Avatars.create)
    video = waited(avatars.Avatars.video)
    list = waited(avatars.Avatars.list)
    get = waited(avatars.Avatars.get)
    delete = waited(avatars.Avatars.delete)
    create_many = iterated(avatars.Avatars.create_many)


class Bulk(Resource):
    """Bulk jobs: each row is carried out once, whatever happens to the process."""

    run = iterated(bulk.Bulk.run)
    results = iterated(bulk.Bulk.results)
    settle = waited(bulk.Bulk.settle)
    settle_many = waited(bulk.Bulk.settle_many)


class Elements(Resource):
    """The elements of your Kling accounts, and Kling's own."""

    create = waited(elements.Elements.create)
    list = waited(elements.Elements.list)
    tags = waited(elements.Elements.tags)
    voices = waited(elements.Elements.voices)
    get = waited(elements.Elements.get)
    delete = waited(elements.Elements.delete)


class Images(Resource):
    """Pictures, which cost credits; finding faces in one is free."""

    virtual_try_on = waited(images.Images.virtual_try_on)
    kolors = waited(images.Images.kolors)
    kolors_elements = waited(images.Images.kolors_elements)
    recognize_faces = waited(images.Images.recognize_faces)
    upscale = waited(images.Images.upscale)
    omni = waited(images.Images.omni)
    enhance = waited(images.Images.enhance)


class Scheduler(Resource):
    """What useapi.net keeps track of, for up to an hour: the jobs started with this token.

    It is about all accounts at once, so its calls take no `email=`.
    """

    running = waited(scheduler.Scheduler.running)
    available = waited(scheduler.Scheduler.available)
    forget = waited(scheduler.Scheduler.forget)


class Tasks(Resource):
    """The jobs of your Kling accounts, those made on Kling's site included."""

    get = waited(tasks.Tasks.get)
    list = waited(tasks.Tasks.list)
    delete = waited(tasks.Tasks.delete)
    wait = waited(tasks.Tasks.wait)
    watch = iterated(tasks.Tasks.watch)
    iter = iterated(tasks.Tasks.iter)

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

    voices = waited(tts.Tts.voices)
    create = waited(tts.Tts.create)


class Videos(Resource):
    """Videos, which cost credits; those of talking avatars are `kling.avatars.video`."""

    text2video = waited(videos.Videos.text2video)
    image2video_frames = waited(videos.Videos.image2video_frames)
    image2video_elements = waited(videos.Videos.image2video_elements)
    image2video_effects = waited(videos.Videos.image2video_effects)
    effects = waited(videos.Videos.effects)
    omni = waited(videos.Videos.omni)
    extend = waited(videos.Videos.extend)
    lipsync = waited(videos.Videos.lipsync)
    add_sound = waited(videos.Videos.add_sound)
    motion_create = waited(videos.Videos.motion_create)
    motion_upload = waited(videos.Videos.motion_upload)
    motions = waited(videos.Videos.motions)
    voices = waited(videos.Videos.voices)
    create_voice = waited(videos.Videos.create_voice)
    delete_voice = waited(videos.Videos.delete_voice)

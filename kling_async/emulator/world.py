"""What exists? Accounts, avatars, files and tasks: the ground truth tests compare with.

Operations read and change it; nothing here knows HTTP. Everything is kept in creation order, and
the bytes of uploads are kept once per content, the oldest dropped first when they grow too many.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left, insort
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence

from attrs import define, field, frozen
from attrs.validators import ge, instance_of, le

from .ids import Ids
from .tasks import Task, Work


@frozen
class EmulatedAccount:
    """A Kling account configured with useapi.net.

    Args:
        email: what requests name it by.
        max_jobs: concurrent jobs, 1 to 50; default 5.
        password: what `POST /accounts` must bring to update it; None: anything.

    Examples:
        >>> emulator = Emulator([EmulatedAccount("ada@example.com", max_jobs=5)])
    """

    email: str = field(validator=lambda _, __, value: _be_email(value))
    max_jobs: int = field(default=5, validator=[instance_of(int), ge(1), le(50)])
    password: str | None = field(default=None, repr=False)


@frozen
class Avatar:
    """A personal avatar that was really made.

    `foreign` says that somebody else on the account made it; `image_url` is the URL of the create,
    `listed_url` the one `GET /avatars` shows; `upload_name` names the upload behind it, None for a
    picture from elsewhere; `call_number` is the number of the creating call in `Emulator.calls`;
    `visible_from_s` is clock time.
    """

    id: str
    account: str
    image_url: str
    listed_url: str
    upload_name: str | None
    nickname: str
    prompt: str
    scene: str
    tts_speaker: str
    tts_speed: float
    tts_emotion_key: str
    create_time_ms: int
    call_number: int
    visible_from_s: float = field(default=0.0, repr=False)
    foreign: bool = False


@frozen
class Element:
    """An element that was really made; `urls` are those that listings show."""

    id: str
    account: str
    name: str
    type: str
    description: str
    urls: tuple[str, ...]
    tag: str
    voice: str | None
    create_time_ms: int
    call_number: int
    visible_from_s: float = field(default=0.0, repr=False)


@frozen
class Upload:
    """A file that was really stored; width, height are 0 where the emulator does not look."""

    id: str
    account: str
    name: str
    url: str
    content_type: str
    size_bytes: int
    sha256: str
    width: int
    height: int
    create_time_ms: int
    call_number: int

    @property
    def kind(self) -> str:
        """image, video or audio."""
        return self.content_type.partition("/")[0]


@frozen
class Speech:
    """Text that was really spoken by `POST /tts/create`; `name` is the end of `url`."""

    name: str
    account: str
    url: str
    speaker_id: str
    text: str = field(repr=False)
    speed: float
    emotion: str
    duration_ms: int
    create_time_ms: int
    call_number: int


@frozen
class SavedVoice:
    """A voice of an account for videos of Kling 4.0."""

    id: str
    account: str
    name: str
    audio_url: str
    create_time_ms: int
    call_number: int


@define
class World:
    """Everything that exists at one moment.

    Args:
        accounts: the configured ones.
        ids: where new names come from.
        keep_media_bytes: how much of uploaded content stays fetchable.
    """

    accounts: dict[str, EmulatedAccount]
    ids: Ids
    keep_media_bytes: int
    avatars: dict[str, Avatar] = field(factory=dict[str, Avatar], init=False)
    deleted_avatars: list[Avatar] = field(factory=list[Avatar], init=False)
    elements: dict[str, Element] = field(factory=dict[str, Element], init=False)
    deleted_elements: list[Element] = field(factory=list[Element], init=False)
    uploads: dict[str, Upload] = field(factory=dict[str, Upload], init=False)
    speeches: dict[str, Speech] = field(factory=dict[str, Speech], init=False)
    saved_voices: dict[str, SavedVoice] = field(factory=dict[str, SavedVoice], init=False)
    tasks: dict[int, Task] = field(factory=dict[int, Task], init=False)
    works: dict[int, Work] = field(factory=dict[int, Work], init=False)
    downloads: dict[str, tuple[tuple[Work, str], ...]] = field(
        factory=dict[str, "tuple[tuple[Work, str], ...]"], init=False
    )
    portraits: dict[str, str] = field(factory=dict[str, str], init=False)
    looks: Counter[tuple[str, str]] = field(factory=Counter[tuple[str, str]], init=False)
    _tasks_of: dict[str, list[Task]] = field(factory=dict[str, list[Task]], init=False)
    _tracked: dict[int, Task] = field(factory=dict[int, Task], init=False)
    _blobs: OrderedDict[str, bytes] = field(factory=OrderedDict[str, bytes], init=False)
    _blob_bytes: int = field(default=0, init=False)

    def avatars_of(self, account: str) -> list[Avatar]:
        """The avatars of one account by the time they tell, oldest first."""
        found = [avatar for avatar in self.avatars.values() if avatar.account == account]
        return sorted(found, key=_avatar_ms)

    def elements_of(self, account: str) -> list[Element]:
        """The elements of one account, oldest first."""
        return [one for one in self.elements.values() if one.account == account]

    def uploads_of(self, account: str) -> list[Upload]:
        """The uploads of one account, oldest first."""
        return [upload for upload in self.uploads.values() if upload.account == account]

    def delete_avatar(self, avatar: Avatar) -> None:
        """Take it out of the listing; it stays on record as deleted."""
        del self.avatars[avatar.id]
        self.deleted_avatars.append(avatar)

    def start(self, task: Task) -> None:
        """Let a task begin; it takes a job slot from now on, unless it is not tracked here."""
        self.tasks[task.id] = task
        self.works.update((work.id, work) for work in task.planned_works)
        insort(self._tasks_of.setdefault(task.account, []), task, key=_created_ms)
        if task.tracked:
            self._tracked[task.id] = task

    def tasks_of(self, account: str) -> Sequence[Task]:
        """The tasks of one account by the time they tell, oldest first, deleted ones too."""
        return self._tasks_of.get(account, ())

    def newest_tasks_of(self, account: str, *, before_ms: int | None = None) -> Iterator[Task]:
        """The tasks of one account, newest first, from before a wall time on."""
        tasks = self._tasks_of.get(account, [])
        end = len(tasks) if before_ms is None else bisect_left(tasks, before_ms, key=_created_ms)
        return (tasks[at] for at in range(end - 1, -1, -1))

    def tracked_tasks(self, now_s: float) -> list[Task]:
        """The tasks that take a job slot at a clock time, oldest first."""
        for task in tuple(self._tracked.values()):
            if not task.is_tracked_at(now_s):
                del self._tracked[task.id]
        return list(self._tracked.values())

    def keep_blob(self, content: bytes) -> str:
        """Store `content`, once however often it comes; returns its SHA-256."""
        digest = hashlib.sha256(content).hexdigest()
        if digest in self._blobs:
            self._blobs.move_to_end(digest)
            return digest
        self._blobs[digest] = content
        self._blob_bytes += len(content)
        while self._blob_bytes > self.keep_media_bytes and len(self._blobs) > 1:
            _, dropped = self._blobs.popitem(last=False)
            self._blob_bytes -= len(dropped)
        return digest

    def blobs(self) -> dict[str, bytes]:
        """All content that is kept, by SHA-256, the first to be dropped first."""
        return dict(self._blobs)

    def blob(self, digest: str) -> bytes | None:
        """The content with that SHA-256, None when it was dropped."""
        return self._blobs.get(digest)


def _avatar_ms(avatar: Avatar) -> int:
    return avatar.create_time_ms


def _created_ms(task: Task) -> int:
    return task.create_time_ms


def configured(accounts: Iterable[str | EmulatedAccount] | None) -> dict[str, EmulatedAccount]:
    """Accounts by e-mail; None means the one default account, an empty iterable means none."""
    given = ("demo@example.com",) if accounts is None else accounts
    if isinstance(given, str):  # else its letters would be taken for accounts
        given = (given,)
    values = [EmulatedAccount(one) if isinstance(one, str) else one for one in given]
    by_email = {account.email: account for account in values}
    if len(by_email) != len(values):
        raise ValueError("an account is named twice")
    return by_email


def _be_email(value: object) -> None:
    if not isinstance(value, str) or not re.fullmatch(r"[^@\s]+@[^@\s]+", value):
        raise ValueError(f"{value!r} is not an e-mail address")

"""The public face as its users write it: read by mypy and pyright, never run.

A wrong type here is a wrong promise. Run: `mypy --strict tests/typing` and `pyright tests/typing`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from io import BytesIO
from pathlib import Path

import httpx
from attrs import frozen

from kling_async import (
    Account,
    AccountRegistry,
    AccountSlots,
    AddAccount,
    APIError,
    Asset,
    AsyncKlingClient,
    Availability,
    Avatar,
    BulkRow,
    CallContext,
    CreateAvatar,
    CreatedAvatar,
    CreateSpeech,
    DeadlineExceededError,
    DeleteAvatar,
    DeletedAvatar,
    DeletedTask,
    DeletedUploads,
    DownloadLink,
    ForgottenTask,
    GeneratedAssets,
    GetAccount,
    GetDownload,
    GetTask,
    IntentLog,
    InvalidRequestError,
    KlingError,
    ListAccounts,
    ListAvatars,
    ListRunning,
    ListTasks,
    ListVoices,
    Media,
    Meta,
    OutcomeUnknownError,
    RateLimit,
    RateLimitedError,
    RemovedAccount,
    RetryPolicy,
    RunningTask,
    ServerAccount,
    Shot,
    Speech,
    Task,
    Text2Video,
    UploadAsset,
    UploadedAsset,
    Voice,
    VoiceList,
    Work,
)
from kling_async.emulator import Emulator, Fault
from kling_async.errors import JSON
from kling_async.models import (
    Boolean,
    Check,
    Digits,
    Email,
    Integer,
    ListOf,
    Model,
    Number,
    OneOf,
    Part,
    Request,
    Safety,
    TaskRequest,
    Text,
    Url,
    body,
    credits,
    exactly_one,
    file,
    files,
    named,
    numbered,
    path,
    query,
    unlogged,
)


@frozen(kw_only=True)
class Sound(Model):
    """An answer of one's own."""

    url: str | None = named("resource", default=None)


@frozen(kw_only=True)
class Effect(Part):
    """A part of one's own."""

    name: str | None = body("name", Text(30), required=True)


@frozen(kw_only=True)
class GetSound(Request[Sound]):
    """A request of one's own."""

    operation = "sounds.get"
    method = "GET"
    route = "/sounds/{id}"
    safety = Safety.READ

    sound_id: str | None = path("id", Digits())
    owner: str | None = query("owner", Email())

    def decode(self, body: JSON) -> Sound:
        return Sound.from_api(body)


class Even(Check):
    """A check of one's own."""

    def __call__(self, value: object) -> str | None:
        return None if isinstance(value, int) and value % 2 == 0 else "must be even"


@frozen(kw_only=True)
class MakeSound(TaskRequest):
    """A request of one's own that starts a task."""

    operation = "sounds.make"
    route = "/sounds/make"

    video_url: str | None = body("video", Url())
    video: Path | bytes | None = file("video_url", "video")
    pictures: Sequence[Path | str] | None = files("picture_{n}", "image", most=2)
    kind: str | None = body("kind", OneOf(("a", "b")))
    loud: bool | None = body("loud", Boolean())
    level: float | None = body("level", Number(0, 1))
    count: int | None = body("count", Integer(2, 8))
    pairs: int | None = body("pairs", Even())
    tags: tuple[str, ...] | None = body("tags", ListOf(Text(), "tag", 3))
    effects: tuple[Effect, ...] | None = numbered("effect_{n}_{field}", Effect, most=3)
    covers: Sequence[str | Path | bytes | Media] | None = files("cover_{n}", "image", most=2)
    note: str | None = unlogged("note", Text())

    def cross_problems(self) -> dict[str, str]:
        return exactly_one(video_url=self.video_url, video=self.video)


class MyLimiter:
    """A limiter of one's own, by shape alone."""

    async def acquire(self, account: str | None) -> None:
        """Let everything through."""


class Orders:
    async def record(self, account: str | None, attempt: int) -> None: ...

    async def retract(self, error: KlingError | None) -> None: ...


class MyClock:
    """A clock of one's own, by shape alone."""

    def monotonic(self) -> float:
        return 0.0

    def wall(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        return None


def pick(accounts: Sequence[Account]) -> Account:
    return accounts[0]


def clients() -> list[AsyncKlingClient]:
    return [
        AsyncKlingClient(),
        AsyncKlingClient("user:1-a", accounts=["a@b.c"], rate_limit=None, deadline_s=900),
        AsyncKlingClient(accounts=[Account("a@b.c", 5), "d@e.f"], rate_limit=RateLimit(5, burst=2)),
        AsyncKlingClient(accounts=AccountRegistry(["a@b.c"], choose="round_robin")),
        AsyncKlingClient(accounts=AccountRegistry(["a@b.c"], choose="least_busy")),
        AsyncKlingClient(accounts=AccountRegistry(["a@b.c"], choose=pick)),
        AsyncKlingClient(retry=RetryPolicy(attempts=1), timeout=30, transport="httpx"),
        AsyncKlingClient(timeout=httpx.Timeout(5), transport=Emulator().transport()),
        AsyncKlingClient(http_client=httpx.AsyncClient(), rate_limit=MyLimiter(), clock=MyClock()),
    ]


async def calls() -> None:
    async with AsyncKlingClient() as kling:
        created: CreatedAvatar = await kling.avatars.create(image=Path("ada.jpg"), nickname="Ada")
        created = await kling.avatars.create(image=b"...", tts_speed=1, email="a@b.c")
        created = await kling.avatars.create(image=BytesIO(b"..."), extra={"new": [1, None]})
        avatar_id: str = created.id
        meta: Meta = created.meta
        extra: Mapping[str, object] = created.extra
        task: Task = await kling.avatars.video(avatar_id=created, text="Hi", speaker_id="s")
        task = await kling.avatars.video(image=Path("a.jpg"), audio=b"...", mode="pro")
        task = await kling.videos.text2video(prompt="A kite", model_name="kling-v4-0", duration_s=9)
        task = await kling.videos.text2video(shots=[Shot(prompt="A kite", duration_s=3)] * 2)
        task = await kling.send(Text2Video(prompt="A kite", mode="4k", aspect_ratio="1:1"))
        task = await kling.send(MakeSound(video=Path("a.mp4"), effects=(Effect(name="echo"),)))
        sound: Sound = await kling.send(GetSound(sound_id="1"))
        avatars: list[Avatar] = await kling.avatars.list()
        avatars = await kling.avatars.list("templates")
        avatar: Avatar = await kling.avatars.get(created)
        avatar = await kling.avatars.get(avatar_id)
        made_at: datetime | None = avatar.created_at
        speed: float | None = avatar.tts_speed
        deleted: DeletedAvatar = await kling.avatars.delete(avatar)
        asset: Asset = await kling.assets.upload("ada.mp4", "video/mp4")
        url: str = asset.usable_url
        voices: VoiceList = await kling.tts.voices()
        voice: Voice = voices[0]
        can: bool | None = voice.speaks("happy")
        accounts: list[ServerAccount] = await kling.accounts.list()
        account: ServerAccount = await kling.accounts.get("a@b.c")
        known: list[Account] = await kling.accounts.sync()
        print(
            meta,
            extra,
            task,
            sound,
            avatars,
            made_at,
            speed,
            deleted,
            url,
            can,
            accounts,
            account,
            known,
        )
        await operations(kling)
        async for row in kling.avatars.create_many([{"image": "a.png"}], ledger="a.sqlite"):
            bulk: BulkRow = row
            print(bulk.key, bulk.state, bulk.avatar_id, bulk.error, bulk.attempts)
        view: AsyncKlingClient = kling.with_options(deadline_s=5, retry=RetryPolicy())
        await view.aclose()


async def operations(kling: AsyncKlingClient) -> None:
    task: Task = await kling.tasks.get(77)
    task = await kling.tasks.get("77", email="a@b.c")
    tasks: list[Task] = await kling.tasks.list(content_type="video", created_before_ms=1)
    task = await kling.tasks.get(tasks[0])
    final: bool = task.is_final and task.succeeded and not task.failed
    name: str | None = task.status_name or task.reason
    work: Work = task.works[0]
    place: str | None = work.url
    length_ms: int | None = None if work.resource is None else work.resource.duration_ms
    gone: DeletedTask = await kling.tasks.delete(task)
    running: list[RunningTask] = await kling.scheduler.running()
    free: Availability = await kling.scheduler.available()
    slots: tuple[AccountSlots, ...] = free.available
    forgotten: ForgottenTask = await kling.scheduler.forget(running[0])
    uploads: list[UploadedAsset] = await kling.assets.uploaded(sort="asc")
    erased: DeletedUploads = await kling.assets.delete_uploaded(uploads)
    erased = await kling.assets.delete_uploaded("12")
    made: GeneratedAssets = await kling.assets.generated()
    link: DownloadLink = await kling.assets.download_link(made.tasks[0], file_types="MP4")
    link = await kling.assets.download_link([work, 7, "8"], file_types=["MP4", "PNG"])
    speech: Speech = await kling.tts.create("Hi", speaker_id="s", speed=1)
    heard: str | None = speech.url
    account: ServerAccount = await kling.accounts.add("a@b.c", "password", max_jobs=5)
    removed: RemovedAccount = await kling.accounts.remove("a@b.c")
    print(final, name, place, length_ms, gone, slots, forgotten, erased, link, heard)
    print(account, removed)


async def requests(kling: AsyncKlingClient) -> None:
    made: CreatedAvatar = await kling.send(CreateAvatar(image_url="https://x.y/z.png"))
    log: IntentLog = Orders()
    made = await kling.send(CreateAvatar(image_url="https://x.y/z.png"), intent_log=log)
    listed: list[Avatar] = await kling.send(ListAvatars(type="personal"))
    deleted: DeletedAvatar = await kling.send(DeleteAvatar(avatar_id=made.id))
    asset: Asset = await kling.send(UploadAsset(file=b"..."))
    voices: VoiceList = await kling.send(ListVoices())
    accounts: list[ServerAccount] = await kling.send(ListAccounts())
    account: ServerAccount = await kling.send(GetAccount(email="a@b.c"))
    task: Task = await kling.send(GetTask(task_id=7))
    tasks: list[Task] = await kling.send(ListTasks(page_size=5))
    running: list[RunningTask] = await kling.send(ListRunning())
    link: DownloadLink = await kling.send(GetDownload(work_ids=(5,), file_types=("MP4",)))
    speech: Speech = await kling.send(CreateSpeech(speaker_id="s", text="t"))
    account = await kling.send(AddAccount(email="a@b.c", password="p", max_jobs=5))
    print(task, tasks, running, link, speech)
    request: Request[CreatedAvatar] = CreateAvatar(image_url="https://x.y/z.png")
    made = await kling.send(request)
    price_hundredths: int | None = credits(request)
    print(price_hundredths, listed, deleted, asset, voices, accounts, account)


def errors(error: KlingError) -> str:
    context: CallContext | None = error.context
    if isinstance(error, InvalidRequestError):
        problems: Mapping[str, str] = error.problems
        return ", ".join(problems)
    if isinstance(error, OutcomeUnknownError):
        sent_at: datetime | None = error.sent_at
        account: str | None = error.account
        return f"{sent_at} {account} {error.candidates}"
    if isinstance(error, RateLimitedError):
        wait_s: float | None = error.retry_after_s
        return str(wait_s)
    if isinstance(error, APIError):
        status: int = error.status_code
        return f"{status} {error.message} {error.code} {error.body}"
    if isinstance(error, DeadlineExceededError):
        timeout: TimeoutError = error
        return str(timeout)
    return str(context)


def faults() -> Emulator:
    return Emulator(accounts=["a@b.c"], faults=[Fault("avatars.create", "reset_after", at=1)])

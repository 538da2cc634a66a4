"""The client for those who don't await, as its users write it: read by mypy and pyright, never run.

Its types are those of the async one without the coroutine.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from pathlib import Path

from kling_async import (
    Account,
    Availability,
    Avatar,
    BulkResult,
    BulkRow,
    CreateAvatar,
    CreatedAvatar,
    CreatedElement,
    Download,
    KlingClient,
    RateLimit,
    RetryPolicy,
    ServerAccount,
    Stats,
    Task,
    Text2Video,
    VoiceList,
)


def rows() -> Iterator[Mapping[str, str]]:
    yield {"image": "a.png"}


def calls() -> None:
    with KlingClient("user:1-a", accounts=["a@b.c"], rate_limit=RateLimit(5)) as kling:
        created: CreatedAvatar = kling.avatars.create(image=Path("ada.jpg"), nickname="Ada")
        created = kling.send(CreateAvatar(image=b"..."))
        avatars: list[Avatar] = kling.avatars.list("templates")
        avatar: Avatar = kling.avatars.get(created, email="a@b.c")
        voices: VoiceList = kling.tts.voices()
        task: Task = kling.avatars.video(avatar_id=created, text="Hi", speaker_id=voices[0])
        task = kling.tasks.wait(task, deadline_s=900)
        task = kling.videos.text2video(prompt="A kite", duration_s=5)
        task = kling.images.kolors(prompt="A kite")
        video: Download = kling.assets.download(task, "ada.mp4", clean=False)
        element: CreatedElement = kling.elements.create(name="Ada", cover_image="a.png")
        free: Availability = kling.scheduler.available()
        account: ServerAccount = kling.accounts.add("a@b.c", "password", max_jobs=5)
        known: list[Account] = [*kling.accounts, *kling.accounts.sync()]
        stats: Stats = kling.stats
        hinted: bool = kling.tasks.hint(7)
        view: KlingClient = kling.with_options(deadline_s=5, retry=RetryPolicy())
        view.close()
        print(avatars, avatar, video, element, free, account, known, stats, hinted)


def loops(kling: KlingClient) -> None:
    many: Generator[BulkRow, None, None] = kling.avatars.create_many(rows(), ledger="a.sqlite")
    for row in many:
        print(row.key, row.avatar_id)
    for result in kling.bulk.run([Text2Video(prompt="A kite")], ledger="b.sqlite", save_to="b"):
        one: BulkResult = result
        print(one.key, one.files)
    seen: list[Task] = [*kling.tasks.iter(page_size=5), *kling.tasks.watch(7)]
    settled: BulkResult = kling.bulk.settle("b.sqlite", "cat", resend=True)
    both: list[BulkResult] = kling.bulk.settle_many("b.sqlite", ["cat", "fox"], abandon=True)
    print(seen, settled, both)


async def wrong(kling: KlingClient) -> None:
    kling.avatars.create(nick="Ada")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    kling.tasks.wait()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await kling.tts.voices()  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    name: int = kling.avatars.get("1").id  # type: ignore[assignment]  # pyright: ignore
    print(name)

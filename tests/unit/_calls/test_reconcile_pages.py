"""Is a finished job found on an account so busy that the newest tasks do not show it any more?

And is no more of the history read than that takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from kling_async import (
    AsyncKlingClient,
    Avatar,
    CreateAvatar,
    ListAvatars,
    OutcomeUnknownError,
    RetryPolicy,
    Task,
)
from kling_async._calls.reconcile import Reconciler
from kling_async.emulator import EmulatedAccount, Emulator, Fault, sample_png
from kling_async.models.avatars import AvatarEvidence, ImageResource
from kling_async.settings import LOOK_PAGES

ADA = "ada@example.com"
MP3 = b"ID3\x04\0\0" + b"\0" * 64
FACE = "https://x.y/ada.png"
BODY = {"email": ADA, "imageUrl": FACE, "audioUrl": "https://x.y/a.mp3"}
TALK = {"image_url": FACE, "audio_url": BODY["audioUrl"]}
PAGE = 20  # the emulator's

Open = Callable[..., Awaitable[AsyncKlingClient]]


class ItsClock:
    """The loop's time, and the emulator's time of day."""

    def __init__(self, emulator: Emulator, behind_s: float = 0.0) -> None:
        self.emulator = emulator
        self.behind_s = behind_s

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        return self.emulator.clock.now_ms() / 1000 - self.behind_s

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class LooksWhenFull(ItsClock):
    """Waits until so many tasks are there, however slow the machine is; then as long as asked."""

    def __init__(self, emulator: Emulator, tasks: int) -> None:
        super().__init__(emulator)
        self.tasks = tasks

    async def sleep(self, seconds: float) -> None:
        while len(self.emulator.tasks) < self.tasks:
            await asyncio.sleep(0.001)
        await asyncio.sleep(seconds)


async def by_others(emulator: Emulator, count: int, *, base_url: str = "http://x/v1/kling") -> None:
    """Jobs that somebody else has made on the account, and that are over."""
    headers = {"authorization": "Bearer user:1-a"}
    async with httpx.AsyncClient(transport=emulator.transport(), headers=headers) as plain:
        for _ in range(count):
            reply = await plain.post(f"{base_url}/avatars/video", json=BODY)
            assert reply.status_code == 200
            await asyncio.sleep(0.0004)  # all of them before the first look, few in a millisecond


async def lost_among(
    kling: AsyncKlingClient, emulator: Emulator, others: int, **given: Any
) -> Task | OutcomeUnknownError:
    """A video whose answer is lost, and as many jobs made before anybody looks for it."""
    ours = given or {"image_url": FACE, "audio": MP3}
    number = len(emulator.tasks) + 1
    emulator.add_faults([Fault("avatars.video", "reset_after", at=1)])
    call = asyncio.create_task(kling.avatars.video(**ours, email=ADA))
    while len(emulator.tasks) < number and not call.done():
        await asyncio.sleep(0.001)
    await by_others(emulator, others)
    try:
        return await call
    except OutcomeUnknownError as error:
        return error


def pages(emulator: Emulator) -> list[Any]:
    """The bounds of the pages that were asked for."""
    asked = [one for one in emulator.calls if one.operation == "tasks.list"]
    return [one.query.get("createdBefore") for one in asked]


def busy(**options: Any) -> Emulator:
    return Emulator([EmulatedAccount(ADA, max_jobs=50)], job_s=0, **options)


@pytest.mark.looptime
class TestInVirtualTime:
    @pytest.mark.parametrize("options", [
        {}, {"history_works_only": True}, {"history_inclusive": True}, {"history_shuffled": True},
    ], ids=["plain", "works only", "inclusive", "shuffled"])  # fmt: skip
    @pytest.mark.parametrize(("others", "read"), [(PAGE - 1, 1), (PAGE, 2), (2 * PAGE + 5, 3)])
    async def test_it_is_found_on_the_page_it_is_on(
        self, open_client: Open, options: dict[str, Any], others: int, read: int
    ) -> None:
        emulator = busy(**options)
        kling = await open_client(transport=emulator.transport(), clock=ItsClock(emulator))
        task = await lost_among(kling, emulator, others)
        assert isinstance(task, Task)
        assert task.id == emulator.tasks[0].id
        assert len(pages(emulator)) == read

    async def test_what_was_made_long_before_is_not_read(self, open_client: Open) -> None:
        emulator = busy()
        kling = await open_client(
            transport=emulator.transport(),
            clock=ItsClock(emulator),
            retry=RetryPolicy(reconcile_within_s=1),
        )
        await by_others(emulator, 5 * PAGE)
        await asyncio.sleep(601)
        error = await lost_among(kling, emulator, PAGE, **TALK)
        assert isinstance(error, OutcomeUnknownError)  # nothing tells it from those of others
        assert len(error.candidates) == PAGE + 1
        assert len(pages(emulator)) == 2 + 1  # time was up with the last look's first page

    async def test_once_the_clocks_are_known_nothing_before_the_sending_is_read(
        self, open_client: Open
    ) -> None:
        emulator = busy()
        kling = await open_client(
            transport=emulator.transport(),
            clock=ItsClock(emulator, behind_s=300),
            retry=RetryPolicy(reconcile_within_s=1),
        )
        await by_others(emulator, 5 * PAGE)
        await asyncio.sleep(10)
        await kling.avatars.video(**TALK, email=ADA)
        await asyncio.sleep(5)
        error = await lost_among(kling, emulator, 2, **TALK)
        assert isinstance(error, OutcomeUnknownError)
        assert len(error.candidates) == 3
        assert pages(emulator) == [None] * 2

    async def test_on_a_quiet_account_a_look_is_one_page(self, open_client: Open) -> None:
        emulator = busy()
        kling = await open_client(
            transport=emulator.transport(),
            clock=ItsClock(emulator),
            retry=RetryPolicy(reconcile_within_s=5),
        )
        await by_others(emulator, PAGE)
        await asyncio.sleep(3600)
        error = await lost_among(kling, emulator, 0, **TALK)
        assert isinstance(error, OutcomeUnknownError)
        assert pages(emulator) == [None] * 4

    async def test_there_is_an_end_to_it(self, open_client: Open) -> None:
        emulator = busy()
        kling = await open_client(transport=emulator.transport(), clock=ItsClock(emulator))
        kling = kling.with_options(retry=RetryPolicy(reconcile_within_s=0.5))
        error = await lost_among(kling, emulator, LOOK_PAGES * PAGE)
        assert isinstance(error, OutcomeUnknownError)
        asked = pages(emulator)
        assert len(asked) == LOOK_PAGES + 1
        assert asked[0] is asked[-1] is None

    async def test_a_page_that_fails_is_no_end(self, open_client: Open) -> None:
        emulator = busy(faults=[Fault("tasks.list", "status", at=2, status=400)])
        kling = await open_client(transport=emulator.transport(), clock=ItsClock(emulator))
        task = await lost_among(kling, emulator, PAGE)
        assert isinstance(task, Task)
        assert task.id == emulator.tasks[0].id
        assert len(pages(emulator)) == 4

    async def test_what_is_listed_late_among_older_ones_is_found(self, open_client: Open) -> None:
        """Such a history shows only what is over: this job ends when others are long done."""
        emulator = busy(history_works_only=True, scheduler_lag_s=1e6)
        kling = await open_client(transport=emulator.transport(), clock=ItsClock(emulator))
        emulator._job_s = (10, 10)
        finding = asyncio.create_task(lost_among(kling, emulator, 0))
        await asyncio.sleep(0.1)
        emulator._job_s = (0, 0)
        await by_others(emulator, PAGE + 5)
        task = await finding
        assert isinstance(task, Task)
        assert task.id == emulator.tasks[0].id


class PagedEvidence(AvatarEvidence):
    """As if avatars were listed by pages."""

    def next_page(self, listing: Any, listed: Any, since_s: float) -> ListAvatars:
        return ListAvatars(type="personal")


class PagedAvatar(CreateAvatar):
    """An avatar of theirs."""

    evidence = PagedEvidence()


@pytest.mark.parametrize(("within_s", "pages", "found"), [
    (1, [], "1"), (1, ["2"], None), (0.2, ["2"], None), (1, None, None),
], ids=["all read", "one like it further on", "no time for the rest", "no end"])  # fmt: skip
async def test_likeness_needs_the_whole_list(
    no_waiting: Any, within_s: float, pages: list[str] | None, found: str | None
) -> None:
    reconciler = Reconciler(no_waiting)
    request = PagedAvatar(image_url=FACE, nickname="Ada")
    pending = reconciler.begin(request, ADA, request)
    assert pending is not None
    asked = 0

    async def look(listing: Any) -> list[Avatar]:
        nonlocal asked
        asked += 1
        images = (ImageResource(url=FACE),)
        rest = pages if pages is not None else [f"{asked}"]
        name = "Ada" if listing.type is None or pages else "Ben"
        ids = rest if listing.type else ["1"]
        at_ms = round(no_waiting.wall() * 1000)
        same = {"prompt": "p", "nickname": name, "image_resources": images, "create_time_ms": at_ms}
        return [Avatar(id=one, **same) for one in ids]

    lookup = await reconciler.follow(pending, no_waiting.wall(), within_s, look)
    assert (lookup.found.id if lookup.found else None) == found


@pytest.mark.parametrize("transport", ["httpx", "aiohttp"])
async def test_over_sockets(open_client: Open, transport: str) -> None:
    if transport == "aiohttp":
        pytest.importorskip("httpx_aiohttp")
    emulator = busy()
    async with emulator.serve() as base_url:
        clock = LooksWhenFull(emulator, 1 + PAGE + 5)
        kling = await open_client(base_url=base_url, transport=transport, clock=clock)
        task = await lost_among(kling, emulator, PAGE + 5, image=sample_png(), audio_url=FACE)
        assert isinstance(task, Task)
        assert task.id == emulator.tasks[0].id
        assert len(pages(emulator)) == 2
        await kling.aclose()

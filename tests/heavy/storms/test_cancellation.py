"""What if the caller goes away, or the client is closed under it? Storms, and single moments.

Over a real socket and on both transports, but for the seeds of like calls, which run in process on
virtual time.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from kling_async import (
    AsyncKlingClient,
    ConfigurationError,
    KlingError,
    NotSentError,
    OutcomeUnknownError,
    RetryPolicy,
    settings,
)
from kling_async._calls import attempt as attempt_module
from kling_async._transport.pools import PoolsOfOne
from kling_async._transport.progress import Progress
from kling_async.emulator import EmulatedAccount, Emulator, Fault

TOKEN = "user:12345-abcdefghi"
POOL = 10
STORM = 1600
HELD_S = 600.0  # until the test moves the emulator's clock
URL = "https://example.com/ada.png"
ONCE = RetryPolicy(attempts=1, reconcile_within_s=0)

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(params=["httpx", "aiohttp"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def pool_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    def changed(size: int) -> None:
        for name in ("MAX_CONNECTIONS", "MAX_CONNECTIONS_PROXIED", "MAX_IDLE_CONNECTIONS_PROXIED"):
            monkeypatch.setattr(settings, name, size)

    return changed


@asynccontextmanager
async def connected(
    emulator: Emulator, transport: str, **options: Any
) -> AsyncIterator[AsyncKlingClient]:
    """A client and a server; the server goes first, so that nothing keeps the client waiting."""
    async with emulator.serve() as base_url:
        given = {"base_url": base_url, "transport": transport, "rate_limit": None, "retry": ONCE}
        kling = AsyncKlingClient(TOKEN, **{**given, **options})
        await kling.__aenter__()
        yield kling
    await kling.aclose()


async def until(reached: Callable[[], bool]) -> None:
    for _ in range(5000):
        if reached():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it did not happen")


def arrived(emulator: Emulator) -> set[str]:
    """The names of the creates that reached the server."""
    called = {"avatars.create": "nickname", "avatars.video": "replyRef"}
    creates = [one for one in emulator.calls if one.operation in called]
    names = [str((one.fields or {})[called[str(one.operation)]]) for one in creates]
    assert len(names) == len(set(names)), "a create was sent twice"
    return set(names)


def assert_idle(kling: AsyncKlingClient) -> None:
    """No exchange under way, no place of the pool taken."""
    assert kling._wire._under_way == set()
    client = kling._wire._client
    assert client is not None
    transport: Any = client._transport
    if isinstance(transport, PoolsOfOne):
        assert len(transport._pools) == len(transport._free) <= POOL
        for pool in (one._pool for one, _ in transport._free):
            assert pool._requests == []
            assert all(one.is_idle() or one.is_closed() for one in pool.connections)
    else:
        assert not transport.client.connector._acquired
        assert not any(transport.client.connector._waiters.values())


def open_files() -> int:
    """Sockets included; always 0 where the system does not tell."""
    kept = Path("/proc/self/fd")
    return len(list(kept.iterdir())) if kept.is_dir() else 0


# --- storms -----------------------------------------------------------------------------------


async def test_storm(
    transport: str, pool_of: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of calls cancelled at random moments leave the pool whole and nobody waiting."""
    pool_of(POOL)
    dice = random.Random(1)
    emulator = Emulator(latency_s=0.001, job_s=0)
    files, tasks = open_files(), asyncio.all_tasks()
    results: dict[str, str] = {}
    gone: dict[str, bool] = {}  # nickname -> whether a byte may have been written by then
    progress: dict[asyncio.Task[Any], Progress] = {}

    class Kept(Progress):
        def __init__(self) -> None:
            super().__init__()
            progress[asyncio.current_task()] = self  # type: ignore[index]

    monkeypatch.setattr(attempt_module, "Progress", Kept)

    async def create(kling: AsyncKlingClient, name: str) -> None:
        me = asyncio.current_task()
        assert me is not None
        try:
            results[name] = await make(kling, name)
        except asyncio.CancelledError:
            gone[name] = me in progress and progress[me].may_have_begun
        finally:
            progress.pop(me, None)

    async def make(kling: AsyncKlingClient, name: str) -> str:
        if int(name[1:]) % 2:
            return (await kling.avatars.create(image_url=URL, nickname=name)).id
        task = await kling.avatars.video(image_url=URL, audio_url=URL, reply_ref=name)
        return str(task.id)

    async def cancelled_at_random(kling: AsyncKlingClient, n: int) -> None:
        act = kling.accounts.list() if n % 4 == 0 else create(kling, f"n{n}")
        task = asyncio.create_task(act)  # type: ignore[arg-type]
        if dice.random() < 0.4:
            for _ in range(dice.randrange(60)):
                await asyncio.sleep(0)
        else:
            await asyncio.sleep(dice.random() * 0.06)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async with connected(emulator, transport) as kling:
        for start in range(0, STORM, 2 * POOL):
            await asyncio.gather(*(cancelled_at_random(kling, start + n) for n in range(2 * POOL)))
        await until(lambda: not kling._wire._under_way)
        assert_idle(kling)

        asked, began = emulator.counts["accounts.list"], time.monotonic()
        fresh = await asyncio.gather(*(kling.accounts.list() for _ in range(100)))
        assert time.monotonic() - began < 10
        assert all(fresh)
        assert_idle(kling)
        assert emulator.counts["accounts.list"] == asked + 100

        # nothing is made twice, nothing is lost, nothing is made for one who left in time
        avatars = {str(one.nickname): one.id for one in emulator.avatars}
        made = {**avatars, **{str(one.reply_ref): str(one.id) for one in emulator.tasks}}
        assert len(made) == len(emulator.avatars) + len(emulator.tasks)
        assert emulator.tasks
        assert results.items() <= made.items()
        assert {name for name in made if name not in results} <= gone.keys()
        in_time = {name for name, begun in gone.items() if not begun}
        assert in_time.isdisjoint(arrived(emulator))
        assert len(in_time) > 50
        assert len(gone) - len(in_time) > 50
        assert len(results) > 20

    await asyncio.sleep(0.02)
    assert asyncio.all_tasks() == tasks
    assert open_files() <= files + 1  # a selector of the loop's, perhaps


# --- one moment -------------------------------------------------------------------------------


async def test_cancelled_before_its_first_byte_it_never_arrives(
    transport: str, pool_of: Callable[[int], None]
) -> None:
    pool_of(1)
    emulator = Emulator(faults=[Fault("tts.voices", "latency", delay_s=HELD_S, at=1)])
    async with connected(emulator, transport) as kling:
        occupant = asyncio.create_task(kling.tts.voices())
        await until(lambda: emulator.counts["tts.voices"] == 1)
        create = asyncio.create_task(kling.avatars.create(image_url=URL))
        await asyncio.sleep(0.02)  # it waits for the connection
        create.cancel()
        with pytest.raises(asyncio.CancelledError):
            await create
        emulator.clock.advance(HELD_S)
        await occupant
        await until(lambda: not kling._wire._under_way)
        assert await kling.avatars.list() == []
        assert emulator.counts["avatars.create"] == 0


async def test_cancelled_after_it_the_exchange_is_finished(
    transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kling_async")
    emulator = Emulator(faults=[Fault("avatars.create", "latency", delay_s=HELD_S, at=1)])
    async with connected(emulator, transport) as kling:
        create = asyncio.create_task(kling.avatars.create(image_url=URL))
        await until(lambda: emulator.counts["avatars.create"] == 1)
        create.cancel()
        with pytest.raises(asyncio.CancelledError):
            await create
        assert len(kling._wire._under_way) == 1
        emulator.clock.advance(HELD_S)
        await until(lambda: not kling._wire._under_way)
        assert len(emulator.avatars) == 1
        assert emulator.status_counts["avatars.create", 200] == 1
        assert "its caller was cancelled; the exchange ended with status 200" in caplog.text
        assert_idle(kling)


async def test_a_deadline_leaves_the_exchange_to_finish_as_well(transport: str) -> None:
    emulator = Emulator(faults=[Fault("avatars.create", "latency", delay_s=HELD_S, at=1)])
    async with connected(emulator, transport) as kling:
        await kling.avatars.list()  # the connection is there: the deadline is for the answer
        with pytest.raises(OutcomeUnknownError, match="while the answer was awaited"):
            await kling.with_options(deadline_s=0.15).avatars.create(image_url=URL)
        emulator.clock.advance(HELD_S)
        await until(lambda: not kling._wire._under_way)
        assert len(emulator.avatars) == 1
        assert_idle(kling)


# --- closing ----------------------------------------------------------------------------------


async def test_closing_waits_for_what_is_in_flight(transport: str) -> None:
    emulator = Emulator(faults=[Fault("avatars.create", "latency", delay_s=0.1, at=1)])
    async with connected(emulator, transport) as kling:
        create = asyncio.create_task(kling.avatars.create(image_url=URL))
        await until(lambda: emulator.counts["avatars.create"] == 1)
        await kling.aclose()
        assert (await create).id == emulator.avatars[0].id


@pytest.mark.parametrize("reconcile_within_s", [0, 120])
async def test_closing_waits_no_longer_than_a_limit(
    transport: str, pool_of: Callable[[int], None], reconcile_within_s: float
) -> None:
    """Who has sent hears that the outcome is unknown, who has not that nothing was sent."""
    pool_of(1)
    emulator = Emulator(faults=[Fault("avatars.create", "stall", at=1)])
    retry = RetryPolicy(attempts=1, reconcile_within_s=reconcile_within_s)
    async with connected(emulator, transport, retry=retry) as kling:
        sent = asyncio.create_task(kling.avatars.create(image_url=URL))
        await until(lambda: emulator.counts["avatars.create"] == 1)
        queued = asyncio.create_task(kling.avatars.create(image_url=URL, nickname="queued"))
        again = asyncio.create_task(
            kling.with_options(retry=RetryPolicy(wait_initial_s=0.01)).avatars.create(image_url=URL)
        )
        await asyncio.sleep(0.02)
        began = time.monotonic()
        kling._wire.close_within_s = 0.1
        await kling._wire.aclose()
        with pytest.raises(OutcomeUnknownError, match="closed before the answer came"):
            await sent
        # On httpx it waited for a place of ours, on aiohttp in the pool below.
        with pytest.raises((NotSentError, ConfigurationError), match=r"(?i)nothing was sent"):
            await queued
        with pytest.raises(ConfigurationError, match="Nothing was sent"):  # its second attempt
            await again
        assert 0.1 <= time.monotonic() - began < 5  # and not for as long as one looks for it
        assert emulator.counts["avatars.create"] == 1


async def test_a_transport_of_the_users_own_is_not_believed(transport: str) -> None:
    """Httpx-aiohttp says ConnectTimeout of a server that hangs up; then nothing is sent again."""
    from httpx_aiohttp import AiohttpTransport

    own = AiohttpTransport(verify=False) if transport == "aiohttp" else httpx.AsyncHTTPTransport()
    emulator = Emulator(faults=[Fault("avatars.create", "close_without_reply", at=1)])
    retry = RetryPolicy(attempts=3, wait_initial_s=0.01, reconcile_within_s=0)
    async with connected(emulator, own, retry=retry) as kling:  # type: ignore[arg-type]
        with pytest.raises(OutcomeUnknownError):
            await kling.avatars.create(image_url=URL)
        assert emulator.counts["avatars.create"] == len(emulator.avatars) == 1


# --- like calls at once -----------------------------------------------------------------------

WAYS = (None, None, "reset_after", "reset_after", "reset_before", "latency", "html_200")


@pytest.mark.looptime
@pytest.mark.parametrize("part", range(6))
async def test_like_calls_never_get_the_same_avatar(
    part: int, open_client: Callable[..., Awaitable[AsyncKlingClient]]
) -> None:
    """Equal calls at once: some answered, some lost, some never made, some cancelled."""
    adopted = unknown = 0
    for seed in range(part * 20, part * 20 + 20):
        dice = random.Random(seed)
        emulator = Emulator(seed=seed, listing_lag_s=dice.choice([0, 0, 0.5, 30]))
        for n in range(1, 6):
            if (kind := dice.choice(WAYS)) is not None:
                delay_s = dice.randrange(3000) / 1000  # whole ms: looptime rounds
                emulator.add_faults([Fault("avatars.create", kind, at=n, delay_s=delay_s)])
        kling = await open_client(
            transport=emulator.transport(),
            retry=RetryPolicy(reconcile_within_s=20),
            deadline_s=dice.choice([None, None, 2.0]),
        )

        async def one(
            wait_s: float, nickname: str | None, gone_s: float | None, kling: AsyncKlingClient
        ) -> str | None:
            await asyncio.sleep(wait_s)
            create = asyncio.create_task(kling.avatars.create(image_url=URL, nickname=nickname))
            if gone_s is not None:
                asyncio.get_running_loop().call_later(gone_s, create.cancel)
            await asyncio.wait({create})
            if create.cancelled():
                return None
            if (error := create.exception()) is not None:
                assert isinstance(error, KlingError), error
                assert isinstance(error, (OutcomeUnknownError, TimeoutError))
                return None
            nonlocal adopted
            adopted += create.result().meta.adopted
            return create.result().id

        vague = dice.random() < 0.3  # one of them leaves its name to the server
        # Those that nothing tells apart are left undecided while they may be each other's.
        names = [f"Ada {n}" if seed % 2 else "Ada" for n in range(5)]
        found = await asyncio.gather(
            *(
                one(
                    dice.randrange(2000) / 1000,
                    None if vague and n == 0 else names[n],
                    dice.randrange(2000) / 1000 if dice.random() < 0.15 else None,
                    kling,
                )
                for n in range(5)
            )
        )
        ids = [one for one in found if one is not None]
        unknown += 5 - len(ids)
        assert len(ids) == len(set(ids)), f"seed {seed}: two calls have the same avatar"
        assert set(ids) <= {one.id for one in emulator.avatars}
        assert emulator.counts["avatars.create"] <= 5
        # An avatar of another name is not the call's that named it.
        made = {one.id: one.nickname for one in emulator.avatars}
        for n in range(1 if vague else 0, 5):
            assert found[n] is None or made[found[n]] == names[n]
    assert adopted > 5
    assert unknown > 5


@pytest.mark.looptime
@pytest.mark.parametrize("part", range(4))
async def test_like_videos_never_get_the_same_job(
    part: int, open_client: Callable[..., Awaitable[AsyncKlingClient]]
) -> None:
    """Equal calls at once. Each has a mark of its own, so nothing but time and faults decides."""
    adopted = unknown = 0
    for seed in range(part * 20, part * 20 + 20):
        dice = random.Random(seed)
        emulator = Emulator(
            accounts=[EmulatedAccount("demo@example.com", max_jobs=50)],
            seed=seed,
            job_s=dice.choice([0.1, 600]),
            scheduler_lag_s=dice.choice([0, 0, 0.5, 30]),
        )
        for n in range(1, 6):
            if (kind := dice.choice((*WAYS, "no_task_id"))) is not None:
                delay_s = dice.randrange(3000) / 1000
                emulator.add_faults([Fault("avatars.video", kind, at=n, delay_s=delay_s)])
        kling = await open_client(
            transport=emulator.transport(),
            retry=RetryPolicy(reconcile_within_s=20),
            deadline_s=dice.choice([None, None, 2.0]),
        )

        async def one(wait_s: float, gone_s: float | None, kling: AsyncKlingClient) -> int | None:
            await asyncio.sleep(wait_s)
            create = asyncio.create_task(kling.avatars.video(image_url=URL, audio_url=URL))
            if gone_s is not None:
                asyncio.get_running_loop().call_later(gone_s, create.cancel)
            await asyncio.wait({create})
            if create.cancelled():
                return None
            if (error := create.exception()) is not None:
                assert isinstance(error, (OutcomeUnknownError, TimeoutError)), error
                return None
            nonlocal adopted
            adopted += create.result().meta.adopted
            return create.result().id

        found = await asyncio.gather(
            *(
                one(
                    dice.randrange(2000) / 1000,
                    dice.randrange(2000) / 1000 if dice.random() < 0.15 else None,
                    kling,
                )
                for _ in range(5)
            )
        )
        ids = [one for one in found if one is not None]
        unknown += 5 - len(ids)
        assert len(ids) == len(set(ids)), f"seed {seed}: two calls have the same job"
        assert set(ids) <= {one.id for one in emulator.tasks}
        assert emulator.counts["avatars.video"] <= 5
        marks = [one.reply_ref for one in emulator.tasks]
        assert len(marks) == len(set(marks))
    assert adopted > 5
    assert unknown > 5

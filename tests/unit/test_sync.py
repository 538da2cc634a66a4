"""The client for those who don't await: is it the same, and does it hold in threads and at ends?"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import os
import signal
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

import kling_async.resources as awaited_resources
from kling_async import (
    AsyncKlingClient,
    AttemptEvent,
    ConfigurationError,
    CreateAvatar,
    InvalidRequestError,
    KlingClient,
    KlingError,
    ListAvatars,
    ListVoices,
    NotFoundError,
    Stats,
)
from kling_async.emulator import Emulator
from kling_async.sync import resources as plain_resources
from kling_async.sync.errand import stream
from kling_async.sync.thread import LoopThread

TOKEN, BASE_URL = "user:12345-abcdefghi", "http://127.0.0.1/v1/kling"
URL = "https://x.y/a.png"
RESOURCES = ("accounts", "assets", "avatars", "bulk", "elements", "images", "scheduler", "tasks",
             "tts", "videos")  # fmt: skip


def client(transport: httpx.AsyncBaseTransport, **options: Any) -> KlingClient:
    given = {"base_url": BASE_URL, "rate_limit": None, **options}
    return KlingClient(TOKEN, transport=transport, **given)


@pytest.fixture
def kling(emulator: Emulator) -> Iterator[KlingClient]:
    with client(emulator.transport()) as opened:
        yield opened


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name == "kling-async"]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    if threads():
        gc.collect()  # 0.2 s
    for one in threading.enumerate():
        if one.name == "kling-async":
            one.join(10)
    assert threads() == []


class Held(httpx.AsyncBaseTransport):
    """Answers when it is let."""

    def __init__(self, asked: Callable[[], object] = lambda: None) -> None:
        self.asked, self.go = asked, asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked()
        await self.go.wait()
        return httpx.Response(200, json=[])


# --- the same face ----------------------------------------------------------------------------


def public(cls: type) -> set[str]:
    return {one for one in dir(cls) if not one.startswith("_")}


def arguments(function: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    shape = inspect.signature(function).parameters.values()
    return [(one.name, one.kind, one.default) for one in shape]


@pytest.mark.parametrize("name", RESOURCES)
def test_a_resource_has_the_same_methods(name: str) -> None:
    module = __import__(f"{awaited_resources.__name__}.{name}", fromlist=["x"])
    awaited, plain = getattr(module, name.title()), getattr(plain_resources, name.title())
    assert public(plain) == public(awaited)
    assert plain.__doc__ == awaited.__doc__
    for method in public(plain) - {"registry"}:
        ours, theirs = getattr(plain, method), getattr(awaited, method)
        assert arguments(ours) == arguments(theirs), method
        assert ours.__name__ == method
        assert ours.__qualname__ == f"{name.title()}.{method}"
        doc = inspect.getdoc(ours)
        assert doc
        assert "await" not in doc, method
        assert "async" not in doc, method
        returns = inspect.signature(ours).return_annotation
        expected = inspect.signature(theirs).return_annotation
        assert returns == expected or returns == expected.replace(
            "AsyncGenerator[", "Generator["
        ).replace(", None]", ", None, None]"), method


def test_the_client_is_the_same() -> None:
    assert public(KlingClient) - {"close"} == public(AsyncKlingClient) - {"aclose"}
    without = [one for one in arguments(AsyncKlingClient) if one[0] != "http_client"]
    assert arguments(KlingClient) == without
    for method in ("send", "with_options"):
        ours, theirs = getattr(KlingClient, method), getattr(AsyncKlingClient, method)
        assert arguments(ours) == arguments(theirs)
    for name in ("stats", *RESOURCES):
        assert getattr(KlingClient, name).__doc__ == getattr(AsyncKlingClient, name).__doc__


# --- calls ------------------------------------------------------------------------------------


def test_calls_give_results_and_raise_errors(kling: KlingClient, emulator: Emulator) -> None:
    made = kling.avatars.create(image_url=URL, nickname="Ada")
    assert kling.avatars.get(made).nickname == "Ada"
    assert kling.send(ListAvatars())[0].id == made.id
    with pytest.raises(NotFoundError) as caught:
        kling.avatars.get("123456789")
    assert Path(__file__).name in str(caught.traceback[0].path)
    with pytest.raises(TypeError, match="nick"):
        kling.avatars.create(nick="Ada")  # type: ignore[call-arg]
    with pytest.raises(InvalidRequestError):
        kling.send(CreateAvatar)  # type: ignore[arg-type]
    stats = kling.stats
    assert isinstance(stats, Stats)
    assert [one.email for one in kling.accounts.sync()] == ["demo@example.com"]
    assert [one.email for one in kling.accounts] == ["demo@example.com"]
    assert len(kling.accounts.registry) == 1
    assert kling.tasks.hint(7) is False
    assert TOKEN not in repr(kling)
    assert repr(kling).startswith("KlingClient('http://127.0.0.1")
    assert len(emulator.avatars) == 1


def test_it_opens_by_itself_and_a_view_shares_it(emulator: Emulator) -> None:
    kling = client(emulator.transport())
    view = kling.with_options(deadline_s=60)
    assert threads() == []
    assert view.tts.voices()
    assert kling.tts.voices()
    assert threads() == ["kling-async"]
    view.close()
    view.close()
    for closed in (kling, view):
        with pytest.raises(ConfigurationError, match="closed; make a new one"):
            closed.tts.voices()
    unused = client(emulator.transport())
    unused.close()
    with pytest.raises(ConfigurationError, match="closed"), unused:
        pass


async def test_it_works_where_a_loop_runs_already(kling: KlingClient) -> None:
    """As in a notebook."""
    assert kling.tts.voices()
    assert len(list(kling.tasks.iter())) == 0


def test_threads_share_one_client() -> None:
    """Calls of many threads are under way at once: no call is answered before all are asked."""
    asked: list[None] = []

    def one_more() -> None:
        asked.append(None)
        if len(asked) == 8:
            transport.go.set()

    transport = Held(one_more)
    with client(transport) as kling, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: kling.avatars.list(), range(8))) == [[]] * 8


def test_context_variables_of_the_caller_hold(emulator: Emulator) -> None:
    trace = contextvars.ContextVar("trace", default="none")
    seen: list[str] = []

    def hook(event: AttemptEvent) -> None:
        seen.append(trace.get())

    with client(emulator.transport(), hooks=[hook]) as kling:
        trace.set("mine")
        kling.tts.voices()
    assert seen == ["mine"]


# --- loops ------------------------------------------------------------------------------------


def test_many_rows_come_one_by_one_and_a_job_goes_on(
    kling: KlingClient, emulator: Emulator, tmp_path: Path
) -> None:
    here, ledger = set[int](), tmp_path / "people.sqlite"
    rows = [{"key": str(at), "image_url": f"https://x.y/{at}.png"} for at in range(20)]

    def read() -> Iterator[dict[str, str]]:
        for one in rows:
            here.add(threading.get_ident())
            yield one

    for row in kling.avatars.create_many(read(), ledger=ledger):
        assert row.error is None
        break  # the job is over at once, and its ledger free
    for row in kling.avatars.create_many(rows[:5], ledger=ledger):
        assert row.state == "created"
    done = kling.avatars.create_many(rows=(one for one in rows), ledger=ledger)
    assert {row.key for row in done} == {str(at) for at in range(20)}
    assert here == {threading.get_ident()}  # a database's cursor may be read there only
    assert len(emulator.avatars) == 20
    assert [one.state for one in kling.bulk.results(ledger)] == ["done"] * 20


def test_rows_that_fail_end_the_job(kling: KlingClient, tmp_path: Path) -> None:
    def read() -> Iterator[dict[str, str]]:
        yield {"image_url": URL}
        raise LookupError("no such table")

    with pytest.raises(LookupError, match="no such table"):
        list(kling.bulk.run(read(), ledger=tmp_path / "a.sqlite", operation="avatars.create"))
    with pytest.raises(TypeError, match="ledger"):
        kling.bulk.run([])  # type: ignore[call-arg]
    for wrong in ("rows.csv", {"image_url": URL}):
        with pytest.raises(InvalidRequestError):
            list(kling.bulk.run(wrong, ledger=tmp_path / "a.sqlite"))  # type: ignore[arg-type]


def test_rows_may_use_the_client(kling: KlingClient, tmp_path: Path) -> None:
    read = ({"image_url": URL, "nickname": one.name} for one in kling.tts.voices()[:2])
    assert len(list(kling.avatars.create_many(read, ledger=tmp_path / "a.sqlite"))) == 2


def test_tasks_are_watched_and_listed(no_waiting: Any) -> None:
    with client(Emulator(job_s=0).transport(), clock=no_waiting) as kling:
        task = kling.videos.text2video(prompt="A kite")
        assert [one.is_final for one in kling.tasks.watch(task)][-1]
        assert [one.id for one in kling.tasks.iter()] == [task.id]
        kept = kling.tasks.iter()
        assert next(kept).id == task.id
        kept.close()
        assert list(kept) == []


# --- ends -------------------------------------------------------------------------------------


class TimeIsUp(Exception):
    """What Celery raises in a worker's main thread."""


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="signals of POSIX")
@pytest.mark.parametrize("error", [KeyboardInterrupt, TimeIsUp])
@pytest.mark.parametrize("loops", [False, True])
def test_an_interrupt_ends_the_call(error: type[BaseException], loops: bool) -> None:
    def interrupted(*_: object) -> None:
        raise error

    main = threading.get_ident()
    before = signal.signal(signal.SIGUSR1, interrupted)
    kling = client(Held(lambda: signal.pthread_kill(main, signal.SIGUSR1)))
    kling._kling._wire.close_within_s = 0.0
    try:
        with pytest.raises(error):
            list(kling.tasks.iter()) if loops else kling.avatars.list()
        running = kling._thread._running
        assert running is not None
        assert running.errands == set()  # it is over, and not only left
    finally:
        signal.signal(signal.SIGUSR1, before)
        kling.close()


@pytest.mark.parametrize("loops", [False, True])
def test_closing_ends_what_other_threads_wait_for(loops: bool) -> None:
    asked = threading.Event()
    kling = client(Held(asked.set))
    kling._kling._wire.close_within_s = 0.0
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(lambda: list(kling.tasks.iter()) if loops else kling.avatars.list())
        assert asked.wait(30)
        kling.close()
        with pytest.raises(KlingError, match=r"closed|no answer|ended"):
            call.result(30)


def test_a_loop_that_was_left_open_ends_with_the_client(emulator: Emulator, tmp_path: Path) -> None:
    kling = client(emulator.transport())
    rows = [{"image_url": f"https://x.y/{at}.png"} for at in range(5)]
    job = kling.avatars.create_many(rows, ledger=tmp_path / "a.sqlite")
    next(job)
    kling.close()
    with pytest.raises(KlingError, match="closed"):
        list(job)
    with client(emulator.transport()) as other:
        assert len(list(other.avatars.create_many(rows, ledger=tmp_path / "a.sqlite"))) == 5
    assert len(emulator.avatars) == 5


def test_loops_end_before_the_client_so_that_jobs_can_record() -> None:
    order: list[str] = []

    async def aclose() -> None:
        order.append("client")

    async def items() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            order.append("loop")

    thread = LoopThread(aclose)
    left_open = stream(thread, lambda _: items(), None)
    assert next(left_open) == 1
    thread.close()
    assert order == ["loop", "client"]


def test_who_forgets_to_close_leaves_no_thread(emulator: Emulator) -> None:
    kling = client(emulator.transport())
    voices = kling.tts  # enough to use it
    gone = weakref.ref(kling)
    del kling
    assert gone() is None
    assert voices.voices()
    del voices  # and no_thread_is_left


def test_a_fork_is_told(kling: KlingClient, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = kling.tasks.iter()
    assert next(kept, None) is None
    parent = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: parent + 1)
    with pytest.raises(ConfigurationError, match="is a fork: its thread does not run here"):
        kling.send(ListVoices())
    kling.close()  # the parent's, so nothing is done
    monkeypatch.undo()
    assert kling.tts.voices()


def test_a_hook_that_calls_the_client_is_told(emulator: Emulator) -> None:
    told: list[str] = []

    def hook(event: AttemptEvent) -> None:
        for call in (kling.tts.voices, kling.close):
            with pytest.raises(ConfigurationError, match="hand the call to another thread") as it:
                call()
            told.append(str(it.value))

    kling = client(emulator.transport(), hooks=[hook])
    kling.tts.voices()
    kling.close()
    assert len(told) == 2


def test_what_the_closing_raises_is_raised(emulator: Emulator) -> None:
    class Broken(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, json=[])

        async def aclose(self) -> None:
            raise OSError("broken")

    kling = client(Broken())
    kling.avatars.list()
    with pytest.raises(OSError, match="broken"):
        kling.close()
    kling.close()

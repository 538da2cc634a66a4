"""How is each fault of the matrix brought about? One `Injection` each, by its row's name.

Most are kinds of the emulator. What lies below HTTP happens at the gate (`bench.py`) or in the
machine: an address that can't be resolved, a pool that is full, a disk that does not sync.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from socket import EAI_NONAME, gaierror, getaddrinfo
from typing import Any

import httpx
from attrs import field, frozen
from bench import Bench, until

from kling_async import RateLimit, RetryPolicy, settings
from kling_async.bulk.records import Applied, Change
from kling_async.bulk.sqlite import SqliteLedger
from kling_async.bulk.sqlite_store import Writing
from kling_async.emulator import Fault


@frozen
class Injection:
    """One fault.

    Args:
        strike: brings it about, right before the request goes out.
        emulator: options of the emulator.
        options: options of the client.
        prepare: changes the machine before the client is made.
        scheme: of the client's base URL.
        host: likewise.
        foreign_loop: the client was opened in another event loop.
    """

    strike: Callable[[Bench], Awaitable[None]]
    emulator: Mapping[str, Any] = field(factory=dict)
    options: Mapping[str, Any] = field(factory=dict)
    prepare: Callable[[Bench], None] = lambda bench: None
    scheme: str = "http"
    host: str = "127.0.0.1"
    foreign_loop: bool = False


# --- the emulator's own -----------------------------------------------------------------------


async def _strike(bench: Bench, kind: str, settings: Mapping[str, Any]) -> None:
    bench.emulator.add_faults([Fault(bench.operation, kind, at=1, **settings)])


def _kind(kind: str, **settings: Any) -> Injection:
    return Injection(partial(_strike, kind=kind, settings=settings))


def _status(status: int, **settings: Any) -> Injection:
    return _kind("status", status=status, **settings)


def _stalled(kind: str, **settings: Any) -> Injection:
    strike = partial(_strike, kind=kind, settings=settings)
    return Injection(strike, options={"timeout": httpx.Timeout(5, read=0.25)})


# --- before the first byte --------------------------------------------------------------------


async def _nothing(bench: Bench) -> None:
    pass


async def _dns(bench: Bench) -> None:
    await bench.kling._wire.open()
    await bench.gate.open()  # which drops the connections that need no address any more
    transport = bench.kling._wire._client._transport  # type: ignore[union-attr]
    if getattr(transport, "client", None) is not None and not callable(transport.client):
        transport.client.connector.clear_dns_cache()
    bench.faults_left = 1

    async def mend() -> None:
        bench.monkeypatch.setattr("socket.getaddrinfo", _resolve)

    def fail(*_: Any, **__: Any) -> Any:
        bench.faults_left = 0
        raise gaierror(EAI_NONAME, "Name or service not known")

    bench.monkeypatch.setattr("socket.getaddrinfo", fail)
    bench.clock.mend = mend


def _resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
    host = "127.0.0.1" if host in ("localhost", b"localhost") else host
    return getaddrinfo(host, *args, **kwargs)


def _known_addresses(bench: Bench) -> None:
    bench.monkeypatch.setattr("socket.getaddrinfo", _resolve)


async def _refused(bench: Bench) -> None:
    await bench.gate.shut()
    bench.clock.mend = bench.gate.open


async def _jammed(bench: Bench) -> None:
    await bench.gate.jam()
    bench.clock.mend = bench.gate.open


def _one_connection(bench: Bench) -> None:
    """As behind a proxy: there httpx has one pool for all."""
    one = httpx.Limits(max_connections=1)
    bench.monkeypatch.setattr(
        "kling_async._transport.transports.PoolsOfOne",
        lambda context, _: httpx.AsyncHTTPTransport(verify=context, limits=one),
    )
    bench.monkeypatch.setattr("kling_async._transport.wire.most_in_flight", lambda *_: None)
    bench.monkeypatch.setattr(settings, "MAX_CONNECTIONS", 1)


async def _pool_taken(bench: Bench) -> None:
    bench.emulator.add_faults([Fault("tts.voices", "stall", at=1)])
    once = bench.kling.with_options(retry=RetryPolicy(attempts=1), timeout=httpx.Timeout(5))
    bench.helpers.append(asyncio.create_task(once.tts.voices()))
    await until(lambda: bench.emulator.counts["tts.voices"] == 1)
    bench.clock.mend = bench.gate.open  # which resets the connection that is taken


# --- after it ---------------------------------------------------------------------------------


async def _cut(bench: Bench) -> None:
    await bench.gate.cut()
    bench.clock.mend = bench.gate.open


# --- the caller goes --------------------------------------------------------------------------


async def _cancelled_before(bench: Bench) -> None:
    assert bench.acting is not None
    if bench.acting is asyncio.current_task():  # a single call; it is under way to its connection
        await bench.gate.jam()
        asyncio.get_running_loop().call_later(0.03, bench.acting.cancel)
    else:  # a run: its worker is here, and goes no further
        bench.acting.cancel()
        await asyncio.sleep(5)


async def _cancelled_after(bench: Bench) -> None:
    await _strike(bench, "latency", {"delay_s": 0.05, "after_work": True})
    seen, acting = bench.emulator.counts[bench.operation], bench.acting

    async def cancel() -> None:
        await until(lambda: bench.emulator.counts[bench.operation] > seen)
        assert acting is not None
        acting.cancel()

    bench.helpers.append(asyncio.create_task(cancel()))


# --- clocks and listings ----------------------------------------------------------------------


async def _lost_answer(bench: Bench) -> None:
    """A create loses its answer; other operations meet nothing but what the emulator is like."""
    if bench.operation in PAID:
        await _strike(bench, "reset_after", {})


async def _skewed(bench: Bench, skew_s: float) -> None:
    bench.emulator.clock.skew_s = skew_s
    await _lost_answer(bench)


async def _among_others(bench: Bench) -> None:
    for n in range(5):
        await bench.made_before(f"other-{n}")
    await _lost_answer(bench)


# --- the ledger's disk ------------------------------------------------------------------------


FULL = "database or disk is full"
PAID = (
    *("avatars.create", "avatars.video", "videos.text2video", "videos.image2video_frames"),
    *("images.kolors", "elements.create"),
)
_EVENTS = {"intent": "intended", "answer": "answered"}


def _failing_disk(step: str, why: str) -> Callable[[Bench], None]:
    """The first commit that would write that `step` of a row fails, and so does its sync."""

    def prepare(bench: Bench) -> None:
        number, event = 2 if bench.operation == "avatars.video" else 1, _EVENTS[step]
        apply, transaction = Writing.apply, SqliteLedger._transaction
        touched = False

        def noted(store: Writing, change: Change) -> Applied:
            nonlocal touched
            touched |= change.event == event and store.step(change.step_id).number == number
            return apply(store, change)

        @contextmanager
        def failing(ledger: SqliteLedger) -> Iterator[None]:
            with transaction(ledger):
                yield
                if touched and bench.faults_left:
                    bench.faults_left = 0
                    raise sqlite3.OperationalError(why)

        bench.faults_left = 1
        bench.monkeypatch.setattr(Writing, "apply", noted)
        bench.monkeypatch.setattr(SqliteLedger, "_transaction", failing)

    return prepare


# --- the client is used up --------------------------------------------------------------------


async def _closed(bench: Bench) -> None:
    await bench.kling.aclose()


_NOTHING_LISTED = {"listing_limit": 0, "history_limit": 0, "scheduler_lag_s": 3600.0}

FAULTS: Mapping[str, Injection] = {
    "no address": Injection(_dns, host="localhost", prepare=_known_addresses),
    "connection refused": Injection(_refused),
    "no TLS there": Injection(_nothing, scheme="https"),
    "connect timeout": Injection(_jammed, options={"timeout": httpx.Timeout(5, connect=0.2)}),
    "pool timeout": Injection(
        _pool_taken, prepare=_one_connection, options={"timeout": httpx.Timeout(5, pool=0.1)}
    ),
    "reset mid-request": Injection(_cut),
    "reset before handling": _kind("reset_before"),
    "reset after handling": _kind("reset_after"),
    "closed before handling": _kind("close_without_reply", before_work=True),
    "closed after handling": _kind("close_without_reply"),
    "read timeout, not handled": _stalled("stall", before_work=True),
    "read timeout, handled": _stalled("stall"),
    "slow loris": Injection(
        partial(_strike, kind="slow_loris", settings={"interval_s": 0.3}),
        options={"deadline_s": 0.4},
    ),
    "body cut": _kind("truncated_body"),
    "chunk cut": _kind("bad_chunk"),
    "chunk of nonsense": _kind("bad_chunk", malformed=True),
    "length too small": _kind("wrong_length"),
    "length too large": _kind("truncated_body", sent_bytes=100_000),
    "half JSON": _kind("invalid_json"),
    "HTML 200, not handled": _kind("html_200", before_work=True),
    "HTML 200, handled": _kind("html_200"),
    "not HTTP, not handled": _kind("garbage", before_work=True),
    "not HTTP, handled": _kind("garbage"),
    "500, not handled": _status(500),
    "500, handled": _status(500, after_work=True),
    "502 HTML, not handled": _status(502, form="html"),
    "502 HTML, handled": _status(502, form="html", after_work=True),
    "504, not handled": _status(504),
    "504, handled": _status(504, after_work=True),
    "503 in 7 s, not handled": _status(503, retry_after_s=7),
    "503 in 7 s, handled": _status(503, retry_after_s=7, after_work=True),
    "503 in 30 years": _status(503, retry_after_s=1e9),
    "596 JSON": _status(596),
    "596 HTML, handled": _status(596, form="html", after_work=True),
    "596 empty": _status(596, form="empty"),
    "429 in 7 s": _status(429, form="seconds", retry_after_s=7),
    "429 until a date": _status(429, form="date", retry_after_s=7),
    "429 until ISO in the body": _status(429, form="body", retry_after_s=7),
    "429 without a time": _status(429, form="none"),
    "429 in 30 years": _status(429, form="absurd"),
    "429 until 1970": _status(429, form="past"),
    "429 in -1 s": _status(429, form="negative"),
    **{str(status): _status(status) for status in (400, 401, 402, 403, 404, 408, 409, 413, 422)},
    "307": _kind("redirect", status=307),
    "308": _kind("redirect", status=308),
    "cancelled before the first byte": Injection(
        _cancelled_before, options={"timeout": httpx.Timeout(5, connect=0.2)}
    ),
    "cancelled after it": Injection(_cancelled_after),
    "clock 10 min ahead": Injection(partial(_skewed, skew_s=599.0)),
    "clock 10 min behind": Injection(partial(_skewed, skew_s=-599.0)),
    "listing lags": Injection(
        _lost_answer,
        emulator={"listing_lag_s": 3600.0, "history_lag_s": 3600.0, "scheduler_lag_s": 3600.0},
    ),
    "listing cut": Injection(_lost_answer, emulator=_NOTHING_LISTED),
    "listing shuffled": Injection(
        _among_others, emulator={"listing_shuffled": True, "history_shuffled": True}
    ),
    "no task id, not handled": _kind("no_task_id", before_work=True),
    "no task id, handled": _kind("no_task_id"),
    "no free place for 7 s": _kind("no_slot", form="seconds", retry_after_s=7),
    "refused by moderation": _kind("task_moderated", form="create"),
    "job fails": _kind("task_failed"),
    "job is over before anybody looks": Injection(_lost_answer, emulator={"job_s": 0.0}),
    "job shows in the scheduler alone": Injection(_lost_answer, emulator={"history_limit": 0}),
    "ledger full": Injection(_nothing, prepare=_failing_disk("intent", FULL)),
    "ledger can't sync": Injection(_nothing, prepare=_failing_disk("intent", "disk I/O error")),
    "ledger full after the answer": Injection(_nothing, prepare=_failing_disk("answer", FULL)),
    "ledger full after it, listing cut": Injection(
        _nothing,
        emulator=_NOTHING_LISTED,
        prepare=_failing_disk("answer", FULL),
    ),
    "client closed": Injection(_closed),
    "client of another loop": Injection(
        _nothing, options={"rate_limit": RateLimit(10)}, foreign_loop=True
    ),
}

"""Every cell of the fault matrix, over a real socket, on both transports.

Of each: how many requests arrived, what the caller gets, what was done in truth, how the account
stands afterwards, and that the fault did strike. A bulk row, and a row's video, also get a second
run without the fault, which must settle what can be settled and send nothing it should not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from bench import Bench, ledger_path, until
from cells import CELLS, MATRIX, OPERATIONS, TRANSPORTS, Cell
from expectations import ADOPTED, RESULT, Call, Elsewhere, Film, Nothing, Row
from faults import FAULTS, Injection

from kling_async import AsyncKlingClient, BulkRow, ConfigurationError, KlingError
from kling_async.bulk.ledgerview import LedgerView
from kling_async.bulk.records import Record
from kling_async.emulator import sample_png
from kling_async.emulator.voices import VOICES

PNG = sample_png()
ROWS = [
    {"key": name, "nickname": name, "prompt": "p", "image_url": f"https://example.com/{name}.png"}
    for name in ("row-1", "row-2")
]
SPEECH = "https://example.com/row-1.mp3"
SPOKEN = {"text": "I am row 1", "speaker_id": str(VOICES[0].speaker_id)}
JOB_S = 60.0
NAMES = {
    "read": "avatars.list",
    "upload": "assets.upload",
    "avatar": "avatars.create",
    "avatar in bulk": "avatars.create",
    "video": "avatars.video",
    "video in bulk": "avatars.video",
    "delete": "avatars.delete",
}

SINGLE = [cell for cell in CELLS if isinstance(cell.expects, Call)]
BULK = [cell for cell in CELLS if isinstance(cell.expects, Row)]
FILMS = [cell for cell in CELLS if isinstance(cell.expects, Film)]
ELSEWHERE = [cell for cell in CELLS if isinstance(cell.expects, Elsewhere)]

on_both = pytest.mark.parametrize("transport", TRANSPORTS)


def bench_for(
    cell: Cell,
    transport: str,
    turn: int,
    monkeypatch: pytest.MonkeyPatch,
    *,
    emulator: Mapping[str, Any] = MappingProxyType({}),
    options: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[Bench, Injection]:
    fault = FAULTS[cell.fault]
    bench = Bench(
        transport,
        monkeypatch=monkeypatch,
        turn=turn,
        strike=fault.strike,
        emulator={**emulator, **fault.emulator},
        options={**fault.options, **options},
        scheme=fault.scheme,
        host=fault.host,
    )
    bench.operation = NAMES[cell.operation]
    fault.prepare(bench)
    if fault.foreign_loop:
        asyncio.run(_elsewhere(bench.kling))
    return bench, fault


async def _elsewhere(kling: AsyncKlingClient) -> None:
    await kling.__aenter__()
    await kling.pipeline.admission.admit(None)


async def on(bench: Bench, act: Callable[[], Awaitable[None]]) -> None:
    await bench.gate.open()
    try:
        await act()
    finally:
        with suppress(ConfigurationError):  # a client of another loop
            await bench.close()


def assert_struck(bench: Bench) -> None:
    assert bench.emulator.unconsumed_faults() == []
    assert bench.clock.mend is None, "the fault was never noticed"
    assert bench.faults_left == 0


def assert_stands(bench: Bench, expects: Call | Row | Film, job_s: float = 0.0) -> None:
    """How the account stands: what waited has waited, and nobody after it has to."""
    assert expects.waits_s + job_s <= bench.clock.slept_s < 600
    if expects.parks:
        assert 3000 < bench.paused_s() < 3700
    else:
        assert bench.paused_s() == 0


# --- single calls -----------------------------------------------------------------------------


@on_both
@pytest.mark.parametrize("cell", SINGLE, ids=str)
def test_single_call(cell: Cell, transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, _ = bench_for(cell, transport, 1, monkeypatch)
    asyncio.run(on(bench, lambda: _single(cell, bench)))


async def _single(cell: Cell, bench: Bench) -> None:
    expects, emulator = cell.expects, bench.emulator
    assert isinstance(expects, Call)
    old = await bench.made_before("old")
    bench.acting = asyncio.create_task(_call(bench.kling, cell.operation, old))
    await asyncio.wait({bench.acting})
    if bench.acting.cancelled():
        got: Any = asyncio.CancelledError()
        await _nothing_more_arrives(bench)
    else:
        got = bench.acting.exception() or bench.acting.result()
    attempts = expects.sends if expects.attempts is None else expects.attempts

    # what the caller gets
    if isinstance(expects.gets, type):
        assert type(got) is expects.gets, got
        if isinstance(got, KlingError) and got.context is not None:
            assert got.context.attempts == attempts
        elif isinstance(got, KlingError):
            assert attempts == 0
    else:
        assert not isinstance(got, BaseException), repr(got)
        assert expects.gets in (RESULT, ADOPTED)
        for one in got if isinstance(got, list) else (got,):
            assert one.meta.attempts == attempts
            assert one.meta.adopted is (expects.gets == ADOPTED)

    # what arrived, and what was done
    assert bench.sends() == expects.sends
    mine = [one.id for one in emulator.avatars if one.nickname == "row-1"]
    done = {
        "read": expects.done,
        "upload": len(emulator.uploads),
        "avatar": len(mine),
        "video": len(emulator.tasks),
        "delete": len(emulator.deleted_avatars),
    }
    assert done[cell.operation] == expects.done
    if cell.operation == "avatar" and isinstance(expects.gets, str):
        assert mine == [got.id]
    if cell.operation == "video" and isinstance(expects.gets, str):
        assert [one.id for one in emulator.tasks] == [got.id]
    if cell.operation == "upload" and isinstance(expects.gets, str):
        assert got.url in {one.url for one in emulator.uploads}

    # how the account stands
    assert_stands(bench, expects)
    assert_struck(bench)


def _call(kling: AsyncKlingClient, operation: str, old: str) -> Any:
    row = {name: value for name, value in ROWS[0].items() if name != "key"}
    return {
        "read": lambda: kling.avatars.list(),
        "upload": lambda: kling.assets.upload(PNG),
        "avatar": lambda: kling.avatars.create(**row),
        "video": lambda: kling.avatars.video(image_url=row["image_url"], audio_url=SPEECH),
        "delete": lambda: kling.avatars.delete(old),
    }[operation]()


async def _nothing_more_arrives(bench: Bench) -> None:
    """Wait until the client has nothing in flight, with the way to the emulator open again."""
    if bench.emulator.unconsumed_faults() or not bench.emulator.strikes():
        await bench.gate.open()
    await until(lambda: not bench.kling._wire._under_way)


# --- bulk runs --------------------------------------------------------------------------------


@on_both
@pytest.mark.parametrize("cell", BULK, ids=str)
def test_bulk_row(
    cell: Cell, transport: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, _ = bench_for(cell, transport, 2, monkeypatch)  # its first turn is the listing
    asyncio.run(on(bench, lambda: _bulk(cell, bench, ledger_path(tmp_path))))


async def _bulk(cell: Cell, bench: Bench, path: Path) -> None:
    expects = cell.expects
    assert isinstance(expects, Row)
    await bench.made_before("old")
    rows: dict[str, BulkRow] = {}
    bench.acting = asyncio.create_task(_run(bench.kling, path, rows))
    await asyncio.wait({bench.acting})
    ended = bench.acting.cancelled() or bench.acting.exception()

    # what the caller gets
    shown = rows["row-1"].state if "row-1" in rows else None
    if isinstance(expects.shows, type):
        assert shown is None
        assert ended is True if expects.shows is asyncio.CancelledError else ended
        assert ended is True or type(ended) is expects.shows
    else:
        assert not ended
        assert shown == expects.shows, rows
    assert (rows["row-2"].state if "row-2" in rows else None) == expects.rest, rows
    if expects.rest == "skipped":
        assert "can't be" in (rows["row-2"].error or "")

    # what the ledger keeps, what arrived, and what was done
    kept = _kept(path)["row-1"]
    assert (kept.state, kept.evidence) == (expects.kept, expects.evidence)
    assert bench.sends("row-1") == expects.sends
    assert len(_made(bench)) == expects.done
    _assert_true(path, bench)
    assert_stands(bench, expects)
    assert_struck(bench)

    # a second run, by another client, with the fault gone
    await bench.gate.open()
    bench.emulator.clock.advance(3600)
    async with bench.client() as another:
        await _run(another, path, {})
    kept = _kept(path)["row-1"]
    assert (kept.state, bench.sends("row-1")) == (expects.finally_kept, expects.finally_sends)
    _assert_true(path, bench)
    assert _kept(path)["row-2"].state == "done"


async def _run(kling: AsyncKlingClient, path: Path, rows: dict[str, BulkRow]) -> None:
    async for row in kling.avatars.create_many(ROWS, ledger=path, concurrency=1):
        assert row.key not in rows
        rows[row.key] = row


def _kept(path: Path) -> dict[str, Record]:
    with closing(LedgerView.read(path)) as ledger:
        return {one.key: one for one in ledger.each()}


def _made(bench: Bench) -> list[str]:
    return [one.id for one in bench.emulator.avatars if one.nickname == "row-1"]


def _assert_true(path: Path, bench: Bench) -> None:
    """The ledger's ids are true and nobody's twice; what was made is done or under suspicion."""
    made = {one.id: one.nickname for one in bench.emulator.avatars if one.nickname != "old"}
    kept = _kept(path)
    have = {one.avatar_id: key for key, one in kept.items() if one.avatar_id is not None}
    assert have.items() <= made.items()
    for nickname in set(made.values()) & kept.keys() - set(have.values()):
        assert kept[nickname].state in ("intent", "doubt", "unknown")
    ours = [nickname for nickname in made.values() if nickname in kept]
    assert len(ours) == len(set(ours)), "an avatar was made twice"


# --- their videos -----------------------------------------------------------------------------


@on_both
@pytest.mark.parametrize("cell", FILMS, ids=str)
def test_bulk_film(
    cell: Cell, transport: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = dict(FAULTS[cell.fault].options)
    if "deadline_s" in options:
        options["deadline_s"] = 1.5  # the same one is the download's, too
    # Its turn comes after the accounts, its audio, and the two listings of jobs.
    bench, fault = bench_for(
        cell, transport, 5, monkeypatch, emulator={"job_s": JOB_S}, options=options
    )
    job_s = float(fault.emulator.get("job_s", JOB_S))
    asyncio.run(on(bench, lambda: _film(cell, bench, ledger_path(tmp_path), job_s)))


async def _film(cell: Cell, bench: Bench, path: Path, job_s: float) -> None:
    expects = cell.expects
    assert isinstance(expects, Film)
    row = {"key": "row-1", "avatar_id": await bench.made_before("old"), **SPOKEN}
    rows: list[BulkRow] = []
    bench.acting = asyncio.create_task(_run_films(bench.kling, path, row, rows))
    await asyncio.wait({bench.acting})
    ended = bench.acting.cancelled() or bench.acting.exception()

    # what the caller gets
    if isinstance(expects.shows, type):
        assert rows == []
        assert ended is True if expects.shows is asyncio.CancelledError else ended
        assert ended is True or type(ended) is expects.shows
    else:
        assert not ended
        assert [one.video_state for one in rows] == [expects.shows], rows

    # what the ledger keeps, what arrived, and what was begun
    assert _film_kept(path, bench) == (expects.kept, expects.evidence)
    assert bench.sends() == expects.sends
    assert len(bench.emulator.tasks) == expects.done
    assert_stands(bench, expects, job_s if expects.shows == "saved" else 0.0)
    assert_struck(bench)

    # a second run, by another client, with the fault gone
    await bench.gate.open()
    bench.emulator.clock.advance(3600)
    async with bench.client() as another:
        await _run_films(another, path, row, [])
    state, _ = _film_kept(path, bench)
    assert (state, bench.sends()) == (expects.finally_kept, expects.finally_sends)


async def _run_films(
    kling: AsyncKlingClient, path: Path, row: dict[str, Any], rows: list[BulkRow]
) -> None:
    folder = path.with_name("films")
    async for one in kling.avatars.create_many([row], ledger=path, videos=folder):
        rows.append(one)


def _film_kept(path: Path, bench: Bench) -> tuple[str, str | None]:
    """The state and evidence of the row's video; its job is true, and it has at most one."""
    video = _kept(path)["row-1"].video
    assert video is not None
    began = [one.id for one in bench.emulator.tasks]
    assert len(began) <= 1, "a video was paid for twice"
    assert video.task_id in (None, *began)
    if began and video.task_id is None:
        assert video.state in ("intent", "doubt", "unknown")
    if video.state == "saved":
        assert Path(str(video.file)).stat().st_size == video.size_bytes
    return video.state, video.evidence


# --- nothing is left out ----------------------------------------------------------------------


def test_each_fault_has_an_injection_and_a_line() -> None:
    covered = {cell.fault for cell in ELSEWHERE}
    assert FAULTS.keys() | covered == MATRIX.keys()
    assert {(cell.fault, cell.operation) for cell in CELLS} == {
        (fault, operation) for fault in MATRIX for operation in OPERATIONS
    }
    for cell in CELLS:
        wanted = {"avatar in bulk": Row, "video in bulk": Film}.get(cell.operation, Call)
        assert isinstance(cell.expects, (wanted, Elsewhere, Nothing)), f"{cell} is empty"


@pytest.mark.parametrize("cell", ELSEWHERE, ids=str)
def test_what_is_covered_elsewhere_is_there(cell: Cell) -> None:
    assert isinstance(cell.expects, Elsewhere)
    file, _, name = cell.expects.test.partition("::")
    text = (Path(__file__).parents[2] / file).read_text(encoding="utf-8")
    assert f"def {name}(" in text


def test_each_cell_is_a_test_on_both_transports() -> None:
    found = []
    for test in (test_single_call, test_bulk_row, test_bulk_film):
        cells, transports = (one.args[1] for one in test.pytestmark if one.name == "parametrize")
        found += [(str(cell), by) for cell in cells for by in transports]
    wanted = [one for one in CELLS if not isinstance(one.expects, (Elsewhere, Nothing))]
    assert sorted(found) == sorted((str(one), by) for one in wanted for by in ("httpx", "aiohttp"))

"""Every cell of the fault matrix, over a real socket, on both transports.

Of each: how many requests arrived, what the caller gets, what was done in truth, how the account
stands afterwards, and that the fault did strike. A bulk row, for its avatar or for its video, also
gets a second run without the fault, which must settle what can be settled and send nothing it
should not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from bench import Bench, ledger_path, picture, until
from cells import CELLS, MATRIX, OPERATIONS, TRANSPORTS, Cell
from expectations import ADOPTED, RESULT, Call, Elsewhere, Nothing, Row
from faults import FAULTS
from steps import STEPS, Step, assert_true, kept

from kling_async import AsyncKlingClient, ConfigurationError, KlingError
from kling_async.emulator import sample_png

PNG = sample_png()
SPEECH = "https://example.com/row-1.mp3"
NAMES = {
    "read": "avatars.list",
    "upload": "assets.upload",
    "avatar": "avatars.create",
    "avatar in bulk": "avatars.create",
    "video": "avatars.video",
    "video in bulk": "avatars.video",
    "delete": "avatars.delete",
    "text": "videos.text2video",
    "text in bulk": "videos.text2video",
    "frames": "videos.image2video_frames",
    "frames in bulk": "videos.image2video_frames",
    "picture": "images.kolors",
    "picture in bulk": "images.kolors",
    "element": "elements.create",
    "element in bulk": "elements.create",
}

SINGLE = [cell for cell in CELLS if isinstance(cell.expects, Call)]
BULK = [cell for cell in CELLS if isinstance(cell.expects, Row)]
ELSEWHERE = [cell for cell in CELLS if isinstance(cell.expects, Elsewhere)]

on_both = pytest.mark.parametrize("transport", TRANSPORTS)


def bench_for(
    cell: Cell, transport: str, monkeypatch: pytest.MonkeyPatch, step: Step | None = None
) -> Bench:
    fault = FAULTS[cell.fault]
    emulator, options = dict(fault.emulator), dict(fault.options)
    if step is not None:
        # A run waits for its jobs, while `assert_stands` counts what the account has waited.
        emulator.setdefault("job_s", 60.0)
        if "deadline_s" in options:
            options["deadline_s"] = step.deadline_s
    bench = Bench(
        transport,
        monkeypatch=monkeypatch,
        turn=1 if step is None else step.turn,
        strike=fault.strike,
        emulator=emulator,
        options=options,
        scheme=fault.scheme,
        host=fault.host,
    )
    bench.operation = NAMES[cell.operation]
    fault.prepare(bench)
    if fault.foreign_loop:
        asyncio.run(_elsewhere(bench.kling))
    return bench


async def _elsewhere(kling: AsyncKlingClient) -> None:
    await kling.__aenter__()
    await kling._pipeline.admission.admit(None)


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


def assert_stands(bench: Bench, expects: Call | Row) -> None:
    """How the account stands: what waited has waited, and nobody after it has to."""
    filmed = 0 if isinstance(expects, Call) else (expects.shows, expects.rest).count("saved")
    assert expects.waits_s + filmed * bench.job_s <= bench.clock.slept_s < 600
    if expects.parks:
        assert 3000 < bench.paused_s() < 3700
    else:
        assert bench.paused_s() == 0


# --- single calls -----------------------------------------------------------------------------


@on_both
@pytest.mark.parametrize("cell", SINGLE, ids=str)
def test_single_call(cell: Cell, transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = bench_for(cell, transport, monkeypatch)
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
        "text": len(emulator.tasks),
        "frames": len(emulator.tasks),
        "picture": len(emulator.tasks),
        "element": len(emulator.elements),
        "delete": len(emulator.deleted_avatars),
    }
    assert done[cell.operation] == expects.done
    if cell.operation == "avatar" and isinstance(expects.gets, str):
        assert mine == [got.id]
    if cell.operation in ("video", "text", "frames", "picture") and isinstance(expects.gets, str):
        assert [one.id for one in emulator.tasks] == [got.id]
    if cell.operation == "upload" and isinstance(expects.gets, str):
        assert got.url in {one.url for one in emulator.uploads}

    # how the account stands
    assert_stands(bench, expects)
    assert_struck(bench)


def _call(kling: AsyncKlingClient, operation: str, old: str) -> Any:
    row = {"nickname": "row-1", "prompt": "p", "image_url": picture("row-1")}
    return {
        "read": lambda: kling.avatars.list(),
        "upload": lambda: kling.assets.upload(PNG),
        "avatar": lambda: kling.avatars.create(**row),
        "video": lambda: kling.avatars.video(image_url=row["image_url"], audio_url=SPEECH),
        "delete": lambda: kling.avatars.delete(old),
        "text": lambda: kling.videos.text2video(prompt="row-1"),
        "frames": lambda: kling.videos.image2video_frames(
            prompt="row-1", image_url=row["image_url"]
        ),
        "picture": lambda: kling.images.kolors(prompt="row-1", images=[row["image_url"]]),
        "element": lambda: kling.elements.create(name="row-1", cover_image_url=row["image_url"]),
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
    step = STEPS[cell.operation]()
    bench = bench_for(cell, transport, monkeypatch, step)
    asyncio.run(on(bench, lambda: _bulk(cell, step, bench, ledger_path(tmp_path))))


async def _bulk(cell: Cell, step: Step, bench: Bench, path: Path) -> None:
    expects = cell.expects
    assert isinstance(expects, Row)
    await step.prepare(bench)
    rows: dict[str, Any] = {}
    bench.acting = asyncio.create_task(_run(bench.kling, step, path, rows))
    await asyncio.wait({bench.acting})
    ended = bench.acting.cancelled() or bench.acting.exception()

    # what the caller gets
    shown = step.shown(rows["row-1"]) if "row-1" in rows else None
    if isinstance(expects.shows, type):
        assert shown is None
        assert ended is True if expects.shows is asyncio.CancelledError else ended
        assert ended is True or type(ended) is expects.shows
    else:
        assert not ended
        assert shown == expects.shows, rows
    assert (step.shown(rows["row-2"]) if "row-2" in rows else None) == expects.rest, rows
    if expects.rest == "skipped":
        assert "can't be" in (rows["row-2"].error or "")

    # what the ledger keeps, what arrived, and what was done
    row = kept(step, path)["row-1"]
    attempts = expects.sends if expects.attempts is None else expects.attempts
    assert (row.state, row.evidence, row.attempts) == (expects.kept, expects.evidence, attempts)
    assert bench.sends("row-1") == expects.sends
    assert list(step.made(bench).values()).count("row-1") == expects.done
    assert_true(step, path, bench)
    assert_stands(bench, expects)
    assert_struck(bench)

    # a second run, by another client, with the fault gone
    await bench.gate.open()
    bench.emulator.clock.advance(3600)
    async with bench.client() as another:
        await _run(another, step, path, {})
    row = kept(step, path)["row-1"]
    assert (row.state, bench.sends("row-1")) == (expects.finally_kept, expects.finally_sends)
    assert_true(step, path, bench)
    assert kept(step, path)["row-2"].state == step.success


async def _run(kling: AsyncKlingClient, step: Step, path: Path, found: dict[str, Any]) -> None:
    out = asyncio.Event()
    async for row in step.run(kling, step.rows(out), path):
        assert row.key not in found
        found[row.key] = row
        out.set()


# --- nothing is left out ----------------------------------------------------------------------


def test_each_fault_has_an_injection_and_a_line() -> None:
    covered = {cell.fault for cell in ELSEWHERE}
    assert FAULTS.keys() | covered == MATRIX.keys()
    assert {(cell.fault, cell.operation) for cell in CELLS} == {
        (fault, operation) for fault in MATRIX for operation in OPERATIONS
    }
    for cell in CELLS:
        wanted = Row if cell.operation in STEPS else Call
        assert isinstance(cell.expects, (wanted, Elsewhere, Nothing)), f"{cell} is empty"


@pytest.mark.parametrize("cell", ELSEWHERE, ids=str)
def test_what_is_covered_elsewhere_is_there(cell: Cell) -> None:
    assert isinstance(cell.expects, Elsewhere)
    file, _, name = cell.expects.test.partition("::")
    text = (Path(__file__).parents[3] / file).read_text(encoding="utf-8")
    assert f"def {name}(" in text


def test_each_cell_is_a_test_on_both_transports() -> None:
    found = []
    for test in (test_single_call, test_bulk_row):
        cells, transports = (one.args[1] for one in test.pytestmark if one.name == "parametrize")
        found += [(str(cell), by) for cell in cells for by in transports]
    wanted = [one for one in CELLS if not isinstance(one.expects, (Elsewhere, Nothing))]
    assert sorted(found) == sorted((str(one), by) for one in wanted for by in ("httpx", "aiohttp"))

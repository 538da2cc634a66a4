"""What may neither end a run with a traceback, nor hang it, nor give a row what another one has?"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from films import voice
from jobs import JumpClock, creates, job, results, until, videos

from kling_async import (
    AsyncKlingClient,
    BulkResult,
    CreateAvatar,
    InvalidRequestError,
    KlingError,
    Text2Video,
)
from kling_async.bulk import runner
from kling_async.bulk.recipes import AVATARS, Recipe, recipe_of
from kling_async.bulk.records import Applied, Change, RowInput, Step, StepInput, WorkRecord
from kling_async.bulk.rows import RowBuilder
from kling_async.bulk.sources import built, registered, reopened
from kling_async.bulk.sqlite import open_ledger
from kling_async.bulk.works import Works
from kling_async.cli.app import cli
from kling_async.emulator import Emulator, Fault, sample_png

ACCOUNT = "demo@example.com"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "job.sqlite"


@pytest.fixture
def kling_options(emulator: Emulator) -> dict[str, Any]:
    return {"clock": JumpClock(emulator)}


async def carried_out(
    kling: AsyncKlingClient, rows: Any, ledger: Path, **options: Any
) -> dict[str, BulkResult]:
    options = {"operation": Text2Video, **options}
    return {one.key: one async for one in kling.bulk.run(rows, ledger=ledger, **options)}


def texts(count: int) -> list[dict[str, Any]]:
    return [{"key": f"k{n}", "prompt": f"A cat, {n}"} for n in range(1, count + 1)]


async def test_a_row_takes_no_avatar_of_a_row_without_an_account(
    kling: AsyncKlingClient, emulator: Emulator, ledger: Path
) -> None:
    """The server's only account is named in some rows, and left out in others."""
    emulator.add_faults([Fault("avatars.create", "reset_before", at=3)])
    same = {"image_url": "https://x.y/a.png"}
    rows = [
        {"key": "k0", "image_url": "https://x.y/0.png", "email": ACCOUNT},
        {"key": "k1", **same},
        {"key": "k2", **same, "email": ACCOUNT},
    ]
    found = await results(kling, rows, ledger, concurrency=1)
    assert [found[key].state for key in ("k0", "k1", "k2")] == ["created", "created", "unknown"]
    assert found["k2"].avatar_id is None
    assert len(creates(emulator)) == 3


async def test_nor_a_row_without_an_account_one_of_a_row_that_names_it(
    kling: AsyncKlingClient, emulator: Emulator, ledger: Path
) -> None:
    emulator.add_faults([Fault("avatars.create", "reset_before", at=3)])
    same = {"image_url": "https://x.y/a.png"}
    rows = [
        {"key": "k0", "image_url": "https://x.y/0.png"},
        {"key": "k1", **same, "email": ACCOUNT},
        {"key": "k2", **same},
    ]
    found = await results(kling, rows, ledger, concurrency=1)
    assert [found[key].state for key in ("k0", "k1", "k2")] == ["created", "created", "unknown"]


@pytest.mark.parametrize("adopt", ["abc", "", "0", "-5", "9" * 5000, " 7"])
async def test_what_can_be_no_id_is_not_adopted(
    kling: AsyncKlingClient, emulator: Emulator, ledger: Path, adopt: str
) -> None:
    emulator.add_faults([Fault("videos.text2video", "reset_before", at=1)])
    found = await carried_out(kling, texts(1), ledger)
    assert found["k1"].state == "unknown"
    with pytest.raises(InvalidRequestError, match="adopt"):
        await kling.bulk.settle(ledger, "k1", adopt=adopt)
    assert (await carried_out(kling, texts(1), ledger))["k1"].state == "unknown"


async def test_a_file_that_is_still_to_be_fetched_waits_for_a_run_that_saves(
    kling: AsyncKlingClient, emulator: Emulator, ledger: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "videos"
    folder.write_text("this is no folder")
    await carried_out(kling, texts(2), ledger, save_to=folder)
    found = await carried_out(kling, texts(2), ledger)  # and none is named
    assert {one.state for one in found.values()} <= {"running", "done"}
    assert found["k1"].state == "running"
    assert "still to be fetched" in str(found["k1"].error)
    folder.unlink()
    found = await carried_out(kling, texts(2), ledger, save_to=folder)
    assert Path(found["k1"].files[0]).is_file()
    assert len(emulator.tasks) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text elsewhere")
async def test_a_folder_whose_name_is_no_text_is_refused_before_anything_is_sent(
    kling: AsyncKlingClient, emulator: Emulator, ledger: Path, tmp_path: Path
) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    with pytest.raises(InvalidRequestError, match="not UTF-8"):
        await carried_out(kling, texts(1), ledger, save_to=folder)
    assert not emulator.tasks


async def test_who_leaves_while_a_task_ends_is_not_held_up_by_results_nobody_takes(
    kling: AsyncKlingClient, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "CHUNK", -3)  # with 4 * 1: room for a single result
    ending, go_on = asyncio.Event(), asyncio.Event()
    async with job(kling, ledger, recipe_of(Text2Video), concurrency=1) as opened:
        apply, ended = opened.ledger.apply, 0

        async def slowly(change: Change) -> Applied:
            nonlocal ended
            if change.event == "finished":
                ended += 1
                if ended == 3:
                    ending.set()
                    await go_on.wait()
            return await apply(change)

        monkeypatch.setattr(opened.ledger, "apply", slowly)
        with RowBuilder(recipe_of(Text2Video)) as builder:
            chunks = registered(opened.ledger, opened.requests, built(builder, texts(3)))
            rows = opened.run.results(chunks)
            await anext(rows)
            await ending.wait()
            await until(lambda: opened.run._room.locked())
            leaving = asyncio.create_task(rows.aclose())
            await asyncio.sleep(0)
            go_on.set()
            await asyncio.wait_for(leaving, 30)
        assert (await opened.ledger.counts())["done"] == 3


async def test_a_row_is_done_when_its_last_lost_file_is_back(ledger: Path, tmp_path: Path) -> None:
    """Two files of a task are gone, and the second one can't be fetched at once."""
    files = [tmp_path / f"k1-{n}.png" for n in (1, 2)]

    class Fetching(Works):
        failing = True

        async def _fetched(self, _: Step, work: WorkRecord, *__: Any) -> tuple[str, int]:
            if work.number == 2 and self.failing:
                raise OSError("no route")
            files[work.number - 1].write_bytes(b"12345")
            return str(files[work.number - 1]), 5

    async with open_ledger(ledger, service="s") as book:
        one = StepInput(number=1, operation="images.x", kind="task", digest="d", payload={})
        (row,) = await book.register([RowInput(key="k1", position=1, steps=[one])])
        step_id = row.steps[0].id

        async def apply(event: Any, to: Any = None, **fields: Any) -> None:
            change = Change(step_id=step_id, event=event, to=to, **fields)
            assert await book.apply(change) is Applied.YES

        await apply("intended")
        await apply("answered", "running", claim="7")
        await apply("finished", "made", works=[WorkRecord(number=n) for n in (1, 2)])
        for n, to in ((1, "made"), (2, "done")):
            values = {"work": n, "file": str(files[n - 1]), "size_bytes": 5}
            await apply("saved", to, values=values)
        await apply("file_lost", values={"work": 1})
        works: Any = Fetching(book, None, None, tmp_path)  # type: ignore[arg-type]
        for state in ("made", "done"):
            works.failing = state == "made"
            with suppress(KlingError):
                await works.save(await book.step(step_id), None)
            assert (await book.step(step_id)).state == state
            assert all(file.exists() for file in files) is (state == "done")


async def test_an_intent_is_taken_back_without_a_word_where_its_caller_is_cancelled(
    kling: AsyncKlingClient, ledger: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with job(kling, ledger, recipe_of(Text2Video)) as opened:
        apply = opened.ledger.apply

        async def stopped(change: Change) -> Applied:
            if change.event == "intended":
                opened.run.stop("of a test")
            return await apply(change)

        opened.ledger.apply = stopped  # type: ignore[method-assign]
        with RowBuilder(recipe_of(Text2Video)) as builder:
            chunks = registered(opened.ledger, opened.requests, built(builder, texts(1)))
            assert [one async for one in opened.run.results(chunks)] == []
        assert (await opened.ledger.counts()) == {"ready": 1}
    assert "could not be retracted" not in caplog.text


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text elsewhere")
def test_nor_does_the_command_line_take_such_a_folder(ledger: Path, tmp_path: Path) -> None:
    rows = tmp_path / "in.csv"
    rows.write_text("key,prompt\nk1,A cat\n")
    words = ["bulk", "run", str(rows), "--ledger", str(ledger), "--emulator"]
    folder = str(tmp_path / os.fsdecode(b"caf\xe9"))
    done = CliRunner().invoke(
        cli, [*words, "--operation", "videos.text2video", "--save-to", folder]
    )
    assert (done.exit_code, "not UTF-8" in done.output) == (2, True)


@pytest.mark.parametrize("recipe", [None, AVATARS])
async def test_what_is_no_row_keeps_no_other_from_being_tried_again(
    kling: AsyncKlingClient, emulator: Emulator, ledger: Path, recipe: Recipe | None
) -> None:
    emulator.add_faults([Fault("avatars.create", "status", at=1, status=400)])
    rows = [7, {"operation": "nope.nope"}, CreateAvatar(image_url="https://x.y/1.png")]
    found = [one async for one in kling.bulk.run(rows, ledger=ledger)]
    assert [one.state for one in found] == ["failed"] * 3
    async with job(kling, ledger, recipe) as opened:
        again = [one async for one in opened.run.results(reopened(opened.ledger))]
    assert [one.row.state for one in again] == ["done"]
    assert len(emulator.avatars) == 1


@pytest.mark.parametrize("text", ["y" * 160, "short enough to be rendered"])
async def test_an_unknown_video_takes_none_that_another_row_made_of_its_avatar(
    open_client: Any, ledger: Path, tmp_path: Path, text: str
) -> None:
    """The second row's answer is lost, and its job is over before anybody looks for its mark."""
    emulator = Emulator(job_s=0.2)
    lost = [
        Fault("avatars.video", "reset_before", at=1),
        Fault("avatars.video", "reset_after", at=2),
    ]
    emulator.add_faults(lost)
    kling = await open_client(transport=emulator.transport(), clock=JumpClock(emulator))
    picture = tmp_path / "a.png"
    picture.write_bytes(sample_png(1, 300, 300))
    says = {"text": "x" * 160, "speaker_id": voice()}
    first = {"key": "a", "image": picture, "nickname": "a", **says}
    options: dict[str, Any] = {"videos": tmp_path / "films", "concurrency": 1}
    found = await results(kling, [first], ledger, **options)
    assert found["a"].video_state == "unknown"
    second = {"key": "b", "avatar_id": found["a"].avatar_id, **says, "text": text}
    await results(kling, [first, second], ledger, **options)
    assert videos(ledger)["a"].remote_id is None
    own = len(text) < 150  # its rendered speech is its own, and proves
    assert videos(ledger)["b"].state == ("done" if own else "unknown")
    assert len(emulator.tasks) == 1

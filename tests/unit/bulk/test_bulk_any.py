"""Does a bulk job carry out any operation, and what may it never do, whatever the job?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from films import calls, filmed, speaking
from jobs import JumpClock, avatars, creates, in_ledger, job, results, url_rows, videos

from kling_async import AsyncKlingClient, BulkResult, BulkRow, CreateAvatar, Kolors, Text2Video
from kling_async.bulk.health import LooksMadeError
from kling_async.bulk.recipes import TALKING
from kling_async.bulk.records import MISSING
from kling_async.bulk.results import bulk_row
from kling_async.bulk.sources import reopened
from kling_async.emulator import Emulator, Fault

OpenClient = Callable[..., Awaitable[AsyncKlingClient]]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "job.sqlite"


@pytest.fixture
def kling_options(emulator: Emulator) -> dict[str, Any]:
    return {"clock": JumpClock(emulator)}


async def carried_out(
    kling: AsyncKlingClient, rows: Any, ledger: Path, **options: Any
) -> dict[str, BulkResult]:
    return {one.key: one async for one in kling.bulk.run(rows, ledger=ledger, **options)}


class TestAnyOperation:
    async def test_texts_become_files(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path, tmp_path: Path
    ) -> None:
        rows = [{"key": f"k{n}", "prompt": f"A cat, {n}"} for n in range(1, 4)]
        options: dict[str, Any] = {"operation": Text2Video, "save_to": tmp_path / "clips"}
        found = await carried_out(kling, rows, ledger, **options)
        assert {one.state for one in found.values()} == {"done"}
        assert {one.operation for one in found.values()} == {"videos.text2video"}
        assert {one.task_id for one in found.values()} == {one.id for one in emulator.tasks}
        for key, one in found.items():
            (file,) = one.files
            assert Path(file).name == f"{key}.mp4"
            assert Path(file).stat().st_size > 0
        before = len(emulator.calls)
        assert await carried_out(kling, rows, ledger, **options) == found
        assert len(emulator.calls) == before
        kept = {one.key: one async for one in kling.bulk.results(ledger)}
        assert kept == found

    async def test_several_pictures_are_files_of_their_own(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path, tmp_path: Path
    ) -> None:
        rows = [{"key": f"k{n}", "prompt": f"A cat, {n}", "image_count": n} for n in (1, 2, 3)]
        options: dict[str, Any] = {"operation": Kolors, "save_to": tmp_path / "pictures"}
        found = await carried_out(kling, rows, ledger, **options)
        names = {key: [Path(file).name for file in one.files] for key, one in found.items()}
        assert names == {
            "k1": ["k1.png"],
            "k2": ["k2-1.png", "k2-2.png"],
            "k3": ["k3-1.png", "k3-2.png", "k3-3.png"],
        }
        contents = {Path(file).read_bytes() for one in found.values() for file in one.files}
        assert len(contents) == 6
        Path(found["k3"].files[1]).unlink()
        before = len(emulator.calls)
        assert await carried_out(kling, rows, ledger, **options) == found
        assert Path(found["k3"].files[1]).read_bytes() in contents
        assert len(emulator.tasks) == 3
        sent = {one.operation for one in emulator.calls[before:]}
        assert "images.kolors" not in sent

    async def test_requests_of_several_operations_together(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        rows = [Text2Video(prompt="A cat"), CreateAvatar(image_url="https://x.y/a.png")]
        found = await carried_out(kling, rows, ledger)
        assert {one.operation: one.state for one in found.values()} == {
            "videos.text2video": "done", "avatars.create": "done",
        }  # fmt: skip
        assert all(one.files == () for one in found.values())
        assert (len(emulator.tasks), len(emulator.avatars)) == (1, 1)

    async def test_a_lost_answer_is_found_by_its_mark_and_paid_for_once(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        emulator.add_faults([Fault("videos.text2video", "reset_after", at=1)])
        rows = [{"key": "k1", "prompt": "The same words"}]
        found = await carried_out(kling, rows, ledger, operation="videos.text2video")
        assert (found["k1"].state, found["k1"].evidence) == ("done", "adopted")
        assert found["k1"].task_id == emulator.tasks[0].id
        assert len(emulator.tasks) == 1

    async def test_what_never_arrived_is_the_users_to_settle(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        emulator.add_faults([Fault("videos.text2video", "reset_before", at=1)])
        rows = [{"key": "k1", "prompt": "A cat"}]
        for _ in range(2):
            found = await carried_out(kling, rows, ledger, operation=Text2Video)
            assert found["k1"].state == "unknown"
        assert len(calls(emulator, "videos.text2video")) == 1
        settled = await kling.bulk.settle(ledger, "k1", resend=True)
        assert settled.state == "skipped"
        found = await carried_out(kling, rows, ledger, operation=Text2Video)
        assert found["k1"].state == "done"

    async def test_what_is_no_row_fails_alone(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        rows = [{"key": "a", "prompt": "x"}, {"key": "b", "operation": "videos.text2video"}, 7]
        found = await carried_out(kling, rows, ledger)
        assert {one.state for one in found.values()} == {"failed"}
        assert "operation" in str(found["a"].error)
        assert not emulator.tasks


class SlowLook(httpx.AsyncBaseTransport):
    """The first look for a lost create is answered, and its answer comes when a second is lost."""

    def __init__(self, emulator: Emulator, ledger: Path) -> None:
        self._emulator, self._ledger = emulator, ledger
        self._inner = emulator.transport()
        self._creates, self._looks = 0, 0
        self._looked = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            self._creates += 1
            if self._creates == 2:
                await self._looked.wait()
        response = await self._inner.handle_async_request(request)
        if request.url.path.endswith("/scheduler") and self._creates:
            self._looks += 1
            if self._looks == 1:
                await response.aread()
                self._looked.set()
                await self._both_lost()
                self._emulator.clock.advance(150)  # more than the 120 s that are looked
        return response

    async def _both_lost(self) -> None:
        while [row.steps[0].state for row in in_ledger(self._ledger).values()] != ["doubt"] * 2:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)  # its worker hears of it


async def test_nothing_is_given_up_by_a_look_that_began_before_it_was_lost(
    open_client: OpenClient, ledger: Path
) -> None:
    emulator = Emulator(job_s=900.0, faults=[Fault("videos.text2video", "reset_after", every=1)])
    transport = SlowLook(emulator, ledger)
    kling = await open_client(transport=transport, clock=JumpClock(emulator))
    rows = [{"key": key, "prompt": key} for key in ("a", "b")]
    found = await carried_out(kling, rows, ledger, operation=Text2Video, concurrency=2)
    assert {(one.state, one.evidence) for one in found.values()} == {("done", "adopted")}
    assert len(emulator.tasks) == 2


class TestOthers:
    """Somebody else makes avatars from the same pictures."""

    async def foreign(self, open_client: OpenClient, emulator: Emulator, rows: Any) -> None:
        other = await open_client(transport=emulator.transport())
        for row in rows:
            await other.avatars.create(image_url=row["image_url"], nickname=row["nickname"])

    async def test_rows_that_were_never_sent_take_no_strangers_avatar(
        self,
        kling: AsyncKlingClient,
        open_client: OpenClient,
        emulator: Emulator,
        ledger: Path,
    ) -> None:
        await results(kling, url_rows(5), ledger)
        others = [{**row, "nickname": f"other {row['key']}"} for row in url_rows(20)]
        await self.foreign(open_client, emulator, others)
        found = await results(kling, url_rows(20), ledger)
        assert {(one.state, one.evidence) for one in found.values()} == {("created", "answer")}
        made = {one.id: one.nickname for one in emulator.avatars}
        assert {key: made[str(one.avatar_id)] for key, one in found.items()} == {
            key: key for key in found
        }
        assert len(emulator.avatars) == 40

    async def test_nor_do_rows_whose_answer_was_lost(
        self,
        kling: AsyncKlingClient,
        open_client: OpenClient,
        emulator: Emulator,
        ledger: Path,
    ) -> None:
        """They never arrived; the stranger's came at that very time, with other texts."""
        emulator.add_faults([Fault("avatars.create", "reset_before", at=(1, 2))])
        view = kling.with_options()
        rows = list(url_rows(2))
        first = await results(view, rows, ledger)
        assert {one.state for one in first.values()} == {"unknown"}
        await self.foreign(open_client, emulator, [{**row, "nickname": "x"} for row in rows])
        again = await results(kling, rows, ledger)
        assert {one.state for one in again.values()} == {"unknown"}
        assert {one.avatar_id for one in again.values()} == {None}

    async def test_the_same_input_with_another_ledger_stops_before_it_sends(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        await results(kling, url_rows(30), ledger)
        other = ledger.with_name("other.sqlite")
        with pytest.raises(LooksMadeError, match=r"30 rows look as if made already.*--again"):
            await results(kling, url_rows(30), other)
        assert len(creates(emulator)) == 30
        assert {one.state for one in avatars(other).values()} == {"planned"}
        found = await results(kling, url_rows(30), other, again=True)
        assert {one.state for one in found.values()} == {"created"}
        assert len(emulator.avatars) == 60

    async def test_rows_that_come_late_are_looked_at_too(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        """Those that were not read yet when the account was listed."""
        (row,) = (one for one in url_rows(300) if one["key"] == "k300")
        await kling.avatars.create(image_url=row["image_url"], nickname="k300")
        with pytest.raises(LooksMadeError, match=r"1 row looks as if made already.*k300"):
            await results(kling, url_rows(300), ledger, concurrency=1)
        assert "k300" not in [(one.fields or {})["nickname"] for one in creates(emulator)[1:]]
        assert in_ledger(ledger)["k300"].state == "planned"


class TestListings:
    @pytest.mark.parametrize("limit", [20, 50])
    async def test_a_cut_first_listing_makes_nothing_old_new(
        self, open_client: OpenClient, ledger: Path, limit: int
    ) -> None:
        """60 days old avatars of the same pictures and texts are not in it."""
        emulator = Emulator(listing_limit=limit)
        kling = await open_client(transport=emulator.transport(), clock=JumpClock(emulator))
        for row in url_rows(30):
            await kling.avatars.create(image_url=row["image_url"], nickname=row["nickname"])
        emulator.clock.advance(60 * 86_400)
        for n in range(limit):
            await kling.avatars.create(image_url=f"https://others.example/{n}.png")
        emulator.clock.advance(86_400)
        old = {one.id for one in emulator.avatars}
        emulator.add_faults([Fault("avatars.create", "reset_before", every=2)])
        found = await results(kling, url_rows(30), ledger, again=True)
        assert not {one.avatar_id for one in found.values()} & old


class Forgetful(httpx.AsyncBaseTransport):
    """A service that knows of no task, while `blind`."""

    def __init__(self, emulator: Emulator) -> None:
        self._inner = emulator.transport()
        self.blind = True

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if self.blind and request.method == "GET":
            if "/tasks/" in path:
                return httpx.Response(404, json={"error": "no such task"})
            if path.endswith("/tasks"):
                return httpx.Response(200, json={"history": []})
            if path.endswith("/scheduler"):
                return httpx.Response(200, json=[])
        return await self._inner.handle_async_request(request)


class TestBegunJobs:
    """A job was begun and paid for, and then nobody knows of it."""

    @pytest.fixture
    def service(self, emulator: Emulator) -> Forgetful:
        return Forgetful(emulator)

    @pytest.fixture
    async def lost(
        self, open_client: OpenClient, emulator: Emulator, service: Forgetful, ledger: Path
    ) -> AsyncKlingClient:
        kling = await open_client(transport=service, clock=JumpClock(emulator))
        found = await filmed(kling, speaking(1), ledger)
        assert found["k1"].video_state == "failed"
        begun = videos(ledger)["k1"]
        assert (begun.evidence, begun.remote_id) == (MISSING, str(emulator.tasks[0].id))
        return kling

    async def retried(
        self, kling: AsyncKlingClient, ledger: Path, **options: Any
    ) -> dict[str, BulkRow]:
        options["folder"] = ledger.with_name("films")
        async with job(kling, ledger, TALKING, **options) as opened:
            rows = opened.run.results(reopened(opened.ledger))
            return {one.row.key: bulk_row(one) async for one in rows}

    async def test_a_retry_looks_for_it_and_pays_nothing(
        self, lost: AsyncKlingClient, emulator: Emulator, service: Forgetful, ledger: Path
    ) -> None:
        service.blind = False
        found = await self.retried(lost, ledger)
        assert found["k1"].video_state == "saved"
        assert len(emulator.tasks) == 1

    async def test_nor_does_a_retry_in_vain(
        self, lost: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        found = await self.retried(lost, ledger)
        assert found["k1"].video_state == "failed"
        assert videos(ledger)["k1"].remote_id == str(emulator.tasks[0].id)
        assert len(calls(emulator, "avatars.video")) == 1

    async def test_it_is_paid_for_again_by_the_users_word_alone(
        self, lost: AsyncKlingClient, emulator: Emulator, service: Forgetful, ledger: Path
    ) -> None:
        emulator.add_faults([Fault("avatars.video", "status", status=422, at=1)])
        found = await self.retried(lost, ledger, pay_again=True)
        assert found["k1"].video_state == "failed"
        assert "422" in str(found["k1"].error)
        assert len(calls(emulator, "avatars.video")) == 2

    async def test_and_then_once_though_the_next_one_is_missing_as_well(
        self, lost: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        found = await self.retried(lost, ledger, pay_again=True)
        assert found["k1"].video_state == "failed"
        assert len(emulator.tasks) == 2

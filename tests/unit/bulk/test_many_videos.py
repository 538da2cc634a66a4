"""What becomes of rows that speak: in the first run, in the next, and when something goes wrong?"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, closing
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from films import assert_all_filmed_once, calls, filmed, speaking, voice
from jobs import JumpClock, blocks_after, results, until, until_quiet, url_rows, videos

from kling_async import (
    AccountRegistry,
    AccountRequiredError,
    AsyncKlingClient,
    PollSchedule,
    RetryPolicy,
)
from kling_async.bulk import works
from kling_async.bulk.records import Applied, Change, Step
from kling_async.bulk.sqlite import SqliteLedger
from kling_async.emulator import EmulatedAccount, Emulator, Fault

OpenClient = Callable[..., Awaitable[AsyncKlingClient]]
THREE = ("a@b.c", "d@e.f", "g@h.i")


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "avatars.sqlite"


@pytest.fixture
def kling_options(emulator: Emulator) -> dict[str, Any]:
    return {"clock": JumpClock(emulator)}


def video(ledger: Path, key: str) -> Step:
    return videos(ledger)[key]


class TestFromRowToFile:
    async def test_every_way_to_speak(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path, tmp_path: Path
    ) -> None:
        from kling_async.emulator.sounds import wav

        (tmp_path / "hello.wav").write_bytes(wav("hello", 900))
        asset = await kling.assets.upload(tmp_path / "hello.wav")
        said = [
            {"text": "Short enough to be rendered", "speaker_id": voice()},
            {"text": "x" * 151, "speaker_id": voice()},
            {"audio": tmp_path / "hello.wav"},
            {"audio_url": asset.usable_url, "video_prompt": "Waves", "mode": "pro"},
        ]
        nobody = dict.fromkeys(("text", "speaker_id"))
        rows = [{**row, **nobody, **words} for row, words in zip(speaking(4), said, strict=True)]
        found = await filmed(kling, rows, ledger)
        assert {one.video_state for one in found.values()} == {"saved"}
        assert all(one.is_done for one in found.values())
        assert_all_filmed_once(emulator, ledger, 4)
        jobs = {one.id: one for one in emulator.tasks}
        own = [set(video(ledger, f"k{n}").own) for n in range(1, 5)]
        assert own == [{"audio_url"}, set(), {"audio_url"}, set()]
        sent = {one.fields["avatarId"]: one.fields for one in calls(emulator, "avatars.video")}  # type: ignore[index]
        by_row = [sent[found[f"k{n}"].avatar_id] for n in range(1, 5)]
        assert [("audioUrl" in one, one.get("text")) for one in by_row] == [
            (True, None), (False, "x" * 151), (True, None), (True, None),
        ]  # fmt: skip
        assert (by_row[3]["prompt"], by_row[3]["mode"]) == ("Waves", "pro")
        assert "speakerId" not in by_row[0]  # its audio is spoken already
        assert {one.reply_ref for one in jobs.values()} == {
            video(ledger, f"k{n}").mark for n in range(1, 5)
        }

    async def test_a_row_that_says_nothing_ends_with_its_avatar(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        rows = [*speaking(2), *({**row, "key": f"q{row['key']}"} for row in url_rows(2))]
        found = await filmed(kling, rows, ledger)
        assert {key: one.video_state for key, one in found.items()} == {
            "k1": "saved", "k2": "saved", "qk1": None, "qk2": None,
        }  # fmt: skip
        assert all(one.is_done for one in found.values())
        assert len(emulator.tasks) == 2

    async def test_without_videos_none_are_made_until_they_are_wanted(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        first = await results(kling, speaking(3), ledger)
        assert {one.video_state for one in first.values()} == {None}
        assert len(emulator.tasks) == 0
        await filmed(kling, speaking(3), ledger)
        assert_all_filmed_once(emulator, ledger, 3)
        assert len(emulator.avatars) == 3

    async def test_a_job_that_the_ledger_does_not_let_out_goes_on_as_the_ledger_says(
        self,
        kling: AsyncKlingClient,
        emulator: Emulator,
        ledger: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Its content was replaced in between, say: what is there now is looked at again."""
        apply, asked = SqliteLedger.apply, count()

        async def no_then_yes(self: SqliteLedger, change: Change) -> Applied:
            if change.event == "intended" and await step_of(self, change) == 2 and not next(asked):
                return Applied.STALE
            return await apply(self, change)

        async def step_of(ledger: SqliteLedger, change: Change) -> int:
            return (await ledger.step(change.step_id)).number

        monkeypatch.setattr(SqliteLedger, "apply", no_then_yes)
        await filmed(kling, speaking(2), ledger)
        assert_all_filmed_once(emulator, ledger, 2)
        assert next(asked) == 3

    async def test_a_text_may_be_added_to_rows_that_are_done(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        await results(kling, url_rows(3), ledger)
        found = await filmed(kling, speaking(3), ledger)
        assert {one.video_state for one in found.values()} == {"saved"}
        assert len(emulator.avatars) == 3

    async def test_one_avatar_that_exists_says_many_things(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        avatar = await kling.avatars.create(image_url="https://example.com/a.png")
        rows = [
            {"key": f"k{n}", "avatar_id": avatar.id, "text": f"Line {n}", "speaker_id": voice()}
            for n in range(1, 5)
        ]
        found = await filmed(kling, rows, ledger)
        assert {(one.state, one.evidence, one.avatar_id) for one in found.values()} == {
            ("created", "given", avatar.id)
        }
        assert_all_filmed_once(emulator, ledger, 4)
        assert len(emulator.avatars) == 1

    async def test_keys_that_are_no_file_names(self, kling: AsyncKlingClient, ledger: Path) -> None:
        keys = ["a/b", "a_b", "../x", "ADA", "ada", "con"]
        rows = [{**row, "key": key} for row, key in zip(speaking(len(keys)), keys, strict=True)]
        found = await filmed(kling, rows, ledger)
        files = {Path(str(one.video_file)) for one in found.values()}
        assert len({one.name.casefold() for one in files}) == len(keys)
        assert {one.parent for one in files} == {ledger.with_name("films")}


class TestNextRun:
    async def test_sends_nothing_and_says_the_same(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        first = await filmed(kling, speaking(10), ledger)
        before = Counter(one.operation for one in emulator.calls)
        assert await filmed(kling, speaking(10), ledger) == first
        after = Counter(one.operation for one in emulator.calls)
        assert after == before

    async def test_only_a_file_that_is_gone_or_cut_is_fetched_again(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        found = await filmed(kling, speaking(3), ledger)
        whole = Path(str(found["k2"].video_file)).read_bytes()
        Path(str(found["k1"].video_file)).unlink()
        Path(str(found["k2"].video_file)).write_bytes(whole[:100])
        before = len(calls(emulator, "media.download"))
        assert await filmed(kling, speaking(3), ledger) == found
        assert Path(str(found["k2"].video_file)).read_bytes() == whole
        assert len(calls(emulator, "media.download")) == before + 2
        assert_all_filmed_once(emulator, ledger, 3)

    async def test_another_text_after_the_job_was_sent_is_refused(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        await filmed(kling, speaking(2), ledger)
        rows = list(speaking(2))
        rows[1]["text"] = "Something else"
        found = await filmed(kling, rows, ledger)
        assert [found[key].video_state for key in ("k1", "k2")] == ["saved", "failed"]
        assert "'k2'" in str(found["k2"].error)
        assert len(emulator.tasks) == 2
        again = await filmed(kling, speaking(2), ledger)
        assert again["k2"].video_state == "saved"

    async def test_a_file_of_somebody_elses_is_not_overwritten(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        theirs = ledger.with_name("films") / "k1.mp4"
        theirs.parent.mkdir()
        theirs.write_text("mine")
        found = await filmed(kling, speaking(2), ledger)
        assert [found[key].video_state for key in ("k1", "k2")] == ["failed", "saved"]
        assert "was not overwritten" in str(found["k1"].error)
        assert theirs.read_text() == "mine"
        assert video(ledger, "k1").works  # it is paid for, and only to be fetched


class TestFailures:
    async def test_a_job_that_fails(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        emulator.add_faults([Fault("avatars.video", "task_failed", message="no face", at=1)])
        emulator.add_faults([Fault("avatars.video", "task_moderated", at=2)])
        found = await filmed(kling, speaking(3), ledger, concurrency=1)
        states = Counter((one.state, one.video_state) for one in found.values())
        assert states == {("created", "failed"): 2, ("created", "saved"): 1}
        errors = "\n".join(str(one.error) for one in found.values() if one.error)
        assert "no face" in errors
        assert "moderation" in errors
        assert all(one.task_id for one in found.values())
        assert await filmed(kling, speaking(3), ledger) == found  # settled: nothing is sent
        assert len(emulator.tasks) == 3

    @pytest.mark.parametrize("status", [400, 422])
    async def test_a_refusal_fails_the_video_alone(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path, status: int
    ) -> None:
        emulator.add_faults([Fault("avatars.video", "status", status=status, at=1)])
        found = await filmed(kling, speaking(3), ledger)
        (failed,) = (one for one in found.values() if one.video_state == "failed")
        assert f"the server answered {status}" in str(failed.error)
        assert (failed.state, failed.video_attempts) == ("created", 1)
        assert len(emulator.tasks) == 2

    async def test_too_few_credits_stop_the_accounts_videos_and_not_its_avatars(
        self, open_client: OpenClient, ledger: Path
    ) -> None:
        emulator = Emulator([EmulatedAccount(email="a@b.c", max_jobs=1)])
        emulator.add_faults([Fault("avatars.video", "status", status=412, at=range(2, 12))])
        kling = await open_client(transport=emulator.transport(), clock=JumpClock(emulator))
        found = await filmed(kling, speaking(30), ledger, concurrency=2)
        assert {one.state for one in found.values()} == {"created"}
        states = Counter(one.video_state for one in found.values())
        assert states == {"saved": 1, "skipped": 29}
        assert len(calls(emulator, "avatars.video")) <= 1 + 5  # those that were on their way
        skipped = next(one for one in found.values() if one.video_state == "skipped")
        assert "too few credits" in str(skipped.error)
        for _ in range(9):  # the others on their way were refused, too
            found = await filmed(kling, speaking(30), ledger)
        assert_all_filmed_once(emulator, ledger, 30)

    async def test_a_broken_account_keeps_the_others_going(
        self, open_client: OpenClient, ledger: Path
    ) -> None:
        emulator = Emulator(THREE)
        emulator.add_faults([Fault("avatars.video", "status", status=596, at=3)])
        kling = await open_client(
            transport=emulator.transport(),
            clock=JumpClock(emulator),
            accounts=AccountRegistry(THREE, choose="round_robin"),
        )
        found = await filmed(kling, speaking(30), ledger, concurrency=3)
        states = Counter(one.video_state for one in found.values())
        assert states["saved"] >= 15
        assert states["saved"] + states["skipped"] + states["unknown"] + states[None] == 30
        saved = {one.account for one in found.values() if one.video_state == "saved"}
        assert len(saved) >= 2

    async def test_a_job_whose_answer_is_no_answer_is_looked_for(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        emulator.add_faults([Fault("avatars.video", "no_task_id", at=2)])
        found = await filmed(kling, speaking(3), ledger)
        assert {one.video_state for one in found.values()} == {"saved"}
        assert_all_filmed_once(emulator, ledger, 3)


class TestPlaces:
    async def test_job_slots_are_learned_and_kept(
        self, open_client: OpenClient, ledger: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Real time: a clock that jumps makes jobs look as old as no job is.
        monkeypatch.setattr(works, "POLL", PollSchedule((0.02,)))
        accounts = [EmulatedAccount(email=one, max_jobs=2) for one in THREE]
        emulator = Emulator(accounts, job_s=0.01)
        kling = await open_client(
            transport=emulator.transport(), accounts=AccountRegistry(THREE, choose="round_robin")
        )
        found = await filmed(kling, speaking(12), ledger)
        assert {one.video_state for one in found.values()} == {"saved"}
        assert_all_filmed_once(emulator, ledger, 12)
        assert {one.max_jobs for one in kling.accounts} == {2}
        assert Counter(one.account for one in emulator.tasks) == dict.fromkeys(THREE, 4)
        assert not [one for one in calls(emulator, "avatars.video") if one.status == 429]

    async def test_places_that_others_hold_are_waited_for(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        emulator.add_faults([Fault("avatars.video", "no_slot", retry_after_s=60, times=30)])
        found = await filmed(kling, speaking(2), ledger)
        assert {one.video_state for one in found.values()} == {"saved"}
        answered = [one.status for one in calls(emulator, "avatars.video")]
        assert sorted(answered) == [200] * 2 + [429] * 30
        # In each pause the other row may be held back before its first byte: an attempt, unsent.
        assert 32 <= sum(one.video_attempts for one in found.values()) <= 32 + 30
        assert_all_filmed_once(emulator, ledger, 2)

    async def test_one_attempt_is_one(
        self, open_client: OpenClient, emulator: Emulator, ledger: Path
    ) -> None:
        emulator.add_faults(
            [
                Fault("avatars.create", "status", status=429, at=1),
                Fault("avatars.video", "no_slot", at=1),
            ]
        )

        async def apart() -> AsyncIterator[dict[str, Any]]:
            """What a refusal holds back is not sent either, and a second attempt was not wanted."""
            for row in speaking(3):
                if row["key"] == "k3":
                    await until(lambda: video(ledger, "k2").error is not None)
                yield row

        kling = await open_client(clock=JumpClock(emulator), retry=RetryPolicy(attempts=1))
        found = await filmed(kling, apart(), ledger, concurrency=1)
        assert Counter((one.state, one.video_state) for one in found.values()) == {
            ("skipped", "skipped"): 1, ("created", "skipped"): 1, ("created", "saved"): 1,
        }  # fmt: skip
        assert {one.attempts for one in found.values()} == {1}
        assert len(calls(emulator, "avatars.create")) == 3
        assert len(calls(emulator, "avatars.video")) == 2
        await filmed(kling, speaking(3), ledger)
        assert_all_filmed_once(emulator, ledger, 3)

    async def test_avatars_run_ahead_while_videos_take_their_time(
        self, open_client: OpenClient, ledger: Path
    ) -> None:
        emulator = Emulator([EmulatedAccount(email="a@b.c", max_jobs=1)], job_s=float("inf"))
        kling = await open_client(transport=emulator.transport())
        made = kling.avatars.create_many(
            speaking(400), ledger=ledger, concurrency=2, videos=ledger.with_name("films")
        )
        running = asyncio.ensure_future(anext(made))
        await until(lambda: len(emulator.avatars) == 400)
        assert len(emulator.tasks) == 1
        # Bounded: no more than the places and those ahead are out of the queue.
        assert len(calls(emulator, "tts.create")) <= 5
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await made.aclose()  # type: ignore[attr-defined]


class TestStopping:
    async def test_jobs_go_on_at_kling_and_the_next_run_takes_them_up(
        self, open_client: OpenClient, ledger: Path
    ) -> None:
        emulator = Emulator(job_s=30.0)
        kling = await open_client(transport=emulator.transport())
        rows = [*url_rows(1), *({**row, "key": f"v{row['key']}"} for row in speaking(8))]
        made = kling.avatars.create_many(rows, ledger=ledger, videos=ledger.with_name("films"))
        async with aclosing(made) as found:
            await anext(found)  # the row that says nothing
            await until(lambda: len(emulator.tasks) >= 3)
        await until_quiet(lambda: len(emulator.calls))
        begun = len(emulator.tasks)
        states = Counter(one.state for one in videos(ledger).values())
        assert states["running"] == begun
        assert states["intent"] == states["doubt"] == 0
        other = await open_client(transport=emulator.transport(), clock=JumpClock(emulator))
        found_then = await filmed(other, rows, ledger)
        assert Counter(one.video_state for one in found_then.values()) == {"saved": 8, None: 1}
        assert len(emulator.tasks) == 8

    async def test_an_unreachable_server_ends_the_run_and_nothing_is_lost(
        self, open_client: OpenClient, emulator: Emulator, ledger: Path
    ) -> None:
        emulator.add_faults([Fault("avatars.video", "refuse_connection", at=range(4, 99))])
        kling = await open_client(clock=JumpClock(emulator))
        found = await filmed(kling, speaking(20), ledger, concurrency=2)
        assert len(emulator.tasks) == 3
        skipped = [one for one in found.values() if one.video_state == "skipped"]
        assert skipped
        assert all("nothing was sent" in str(one.error) for one in skipped)
        for _ in range(9):
            await filmed(await open_client(clock=JumpClock(emulator)), speaking(20), ledger)
        assert_all_filmed_once(emulator, ledger, 20)


class Outage(httpx.AsyncBaseTransport):
    """Nobody is there for a while, after so many calls."""

    def __init__(self, emulator: Emulator, calls: int, seconds: float) -> None:
        self._inner = emulator.transport()
        self._emulator = emulator
        self._calls = calls
        self._seconds = seconds
        self._until: float | None = None
        self.refused = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        now = self._emulator.clock.monotonic()
        if self._until is None and len(self._emulator.calls) >= self._calls:
            self._until = now + self._seconds
        if self._until is not None and now < self._until:
            self.refused += 1
            raise httpx.ConnectError("connection refused")
        return await self._inner.handle_async_request(request)


class TestOutage:
    @pytest.mark.parametrize("after_calls", [30, 40, 50, 60])
    async def test_30_seconds_without_the_server_are_survived(
        self, open_client: OpenClient, emulator: Emulator, ledger: Path, after_calls: int
    ) -> None:
        transport = Outage(emulator, after_calls, seconds=30.0)
        kling = await open_client(transport=transport, clock=JumpClock(emulator))
        found = await filmed(kling, speaking(12), ledger, concurrency=1)
        assert transport.refused >= 3
        assert {one.video_state for one in found.values()} == {"saved"}
        assert_all_filmed_once(emulator, ledger, 12)


class TestDownloads:
    async def test_a_download_that_fails_is_all_that_is_repeated(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        emulator.add_faults([Fault("media.download", "status", status=404, at=range(1, 3))])
        found = await filmed(kling, speaking(1), ledger)
        assert found["k1"].video_state in ("failed", "saved")
        if found["k1"].video_state == "failed":
            assert video(ledger, "k1").works

    async def test_the_fallback_address(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        emulator.add_faults([Fault("assets.download_link", "status", status=400, times=99)])
        found = await filmed(kling, speaking(2), ledger)
        assert {one.video_state for one in found.values()} == {"saved"}
        assert_all_filmed_once(emulator, ledger, 2)

    async def test_what_a_dead_process_left_of_a_file_is_swept_away(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        await filmed(kling, speaking(2), ledger)
        folder = ledger.with_name("films")
        (folder / "k1.mp4").rename(folder / ".k1.mp4.0a1b2c3d.part")
        (folder / ".k11.mp4.0a1b2c3d.part").touch()  # another's, who may be at work
        await filmed(kling, speaking(2), ledger)
        assert {one.name for one in folder.iterdir()} == {
            "k1.mp4", "k2.mp4", ".k11.mp4.0a1b2c3d.part",
        }  # fmt: skip

    async def test_so_is_what_died_while_the_file_got_its_name(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        """A link first, then the part goes: between them the file has both names."""
        await filmed(kling, speaking(1), ledger)
        film = ledger.with_name("films") / "k1.mp4"
        (film.parent / ".k1.mp4.0a1b2c3d.part").hardlink_to(film)
        with closing(sqlite3.connect(ledger)) as db, db:
            db.execute("UPDATE steps SET state = 'made' WHERE number = 2")
            db.execute("UPDATE works SET size_bytes = NULL")
        found = await filmed(kling, speaking(1), ledger)
        assert found["k1"].video_state == "saved"
        assert [one.name for one in film.parent.iterdir()] == ["k1.mp4"]

    async def test_a_folder_that_can_not_be_written_to_ends_the_run(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        folder = ledger.with_name("films")
        folder.write_text("a file")
        found = await filmed(kling, speaking(8), ledger, concurrency=2)
        left = [one for one in found.values() if one.video_state == "made"]
        assert left
        assert all("can't be written" in str(one.error) for one in left)
        folder.unlink()
        for _ in range(3):
            await filmed(kling, speaking(8), ledger)
        assert_all_filmed_once(emulator, ledger, 8)


class TestAccounts:
    async def test_of_several_that_nobody_named_none_is_guessed(
        self, open_client: OpenClient, ledger: Path
    ) -> None:
        emulator = Emulator(THREE)
        kling = await open_client(transport=emulator.transport(), clock=JumpClock(emulator))
        with pytest.raises(AccountRequiredError, match=r"row k1 names no account.*has 3"):
            await filmed(kling, speaking(3), ledger)
        assert not emulator.avatars
        found = await filmed(kling, speaking(3, email="d@e.f"), ledger)
        assert {(one.account, one.video_state) for one in found.values()} == {("d@e.f", "saved")}

    async def test_accounts_that_rows_name_need_no_registry(
        self, open_client: OpenClient, ledger: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(works, "POLL", PollSchedule((0.02,)))
        accounts = [EmulatedAccount(email=one, max_jobs=1) for one in THREE]
        emulator = Emulator(accounts, job_s=0.01)
        kling = await open_client(transport=emulator.transport())
        rows = [{**row, "email": THREE[n % 3]} for n, row in enumerate(speaking(9))]
        await filmed(kling, rows, ledger)
        assert_all_filmed_once(emulator, ledger, 9)
        assert Counter(one.account for one in emulator.tasks) == dict.fromkeys(THREE, 3)
        assert not [one for one in calls(emulator, "avatars.video") if one.status == 429]
        assert len(kling.accounts.registry) == 0

    async def test_the_only_one_is_the_one_that_was_meant(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        found = await filmed(kling, speaking(1), ledger)
        assert found["k1"].account == "demo@example.com"

    async def test_jobs_of_an_earlier_process_hold_their_places(
        self, open_client: OpenClient, ledger: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(works, "POLL", PollSchedule((0.02,)))
        emulator = Emulator([EmulatedAccount(email="a@b.c", max_jobs=2)], job_s=0.5)
        kling = await open_client(transport=emulator.transport())
        made = kling.avatars.create_many(
            speaking(6), ledger=ledger, videos=ledger.with_name("films")
        )
        running = asyncio.ensure_future(anext(made))
        await until(lambda: len(emulator.tasks) == 2)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await made.aclose()
        other = await open_client(transport=emulator.transport())
        await filmed(other, speaking(6), ledger)
        assert_all_filmed_once(emulator, ledger, 6)
        assert not [one for one in calls(emulator, "avatars.video") if one.status == 429]


class TestMemory:
    @pytest.mark.heavy
    async def test_it_does_not_grow_with_the_videos(
        self, open_client: OpenClient, ledger: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(works, "POLL", PollSchedule((0.001,)))
        kling = await open_client(transport=httpx.MockTransport(Kling()))
        films = ledger.with_name("films")

        async def saved(rows: AsyncIterator[dict[str, Any]]) -> AsyncGenerator[None, None]:
            made = kling.avatars.create_many(rows, ledger=ledger, concurrency=2, videos=films)
            async with aclosing(made) as found:
                async for row in found:
                    assert row.video_state == "saved"
                    yield

        # The least of five readings: what is kept of the last videos comes and goes. The first 100
        # leave some 1,400 objects that stay: caches of the interpreter and of SQLite.
        stops = (*range(150, 351, 50), *range(550, 751, 50))
        blocks = await blocks_after(speaking(800), saved, stops)
        early, late = min(blocks[:5]), min(blocks[5:])
        assert late - early < 1200, f"400 videos left {late - early} objects behind"


class Kling:
    """As much of a server as a run needs, remembering nothing."""

    def __init__(self) -> None:
        self._numbers = count(300_000_000_000)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/v1/kling")
        if path == "/accounts":
            return httpx.Response(200, json={"a@b.c": {"email": "a@b.c", "maxJobs": 4}})
        if path == "/avatars":
            made = {"id": f"{next(self._numbers)}", "status": "SUCCESS"}
            return httpx.Response(200, json=[] if request.method == "GET" else made)
        if path == "/tts/create":
            spoken = {"resource": f"https://cdn.example/{next(self._numbers)}.mp3", "status": 99}
            return httpx.Response(200, json={**spoken, "status_final": True})
        if path == "/scheduler":
            return httpx.Response(200, json=[])
        if path == "/avatars/video":
            return httpx.Response(200, json={"task": {"id": next(self._numbers), "status": 5}})
        if path == "/tasks":
            return httpx.Response(200, json={"history": []})
        if path.startswith("/tasks/"):
            task_id = int(path.rpartition("/")[2])
            work = {"workId": task_id + 1, "contentType": "video", "resource": {"resource": FILE}}
            over = {"status": 99, "status_name": "succeed", "status_final": True}
            return httpx.Response(200, json={"task": {"id": task_id}, **over, "works": [work]})
        if path == "/assets/download":
            return httpx.Response(200, json={"cdnUrl": FILE, "status": "success"})
        return httpx.Response(200, content=b"\0\0\0\x18ftypisom" + b"\0" * 16)


FILE = "https://cdn.example/film.mp4"


async def test_no_secret_is_in_the_ledger(
    kling: AsyncKlingClient, emulator: Emulator, ledger: Path
) -> None:
    await filmed(kling, speaking(2), ledger)
    assert b"user:12345" not in ledger.read_bytes()

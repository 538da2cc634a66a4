"""Which lost jobs are found again, by what, and what is never done without the user?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from films import assert_all_filmed_once, calls, filmed, speaking
from jobs import JumpClock, videos

from kling_async import AsyncKlingClient
from kling_async.emulator import Emulator, Fault


@pytest.fixture
def ledger_path(tmp_path: Path) -> Path:
    return tmp_path / "avatars.sqlite"


@pytest.fixture
def kling_options(emulator: Emulator) -> dict[str, Any]:
    return {"clock": JumpClock(emulator)}


LOST = ["reset_after", "close_without_reply", "truncated_body", "html_200", "no_task_id"]


class TestRuns:
    @pytest.mark.parametrize("kind", [*LOST, "stall"])
    async def test_a_lost_answer_is_found_and_nothing_is_paid_twice(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger_path: Path, kind: str
    ) -> None:
        if kind == "stall":
            kling = kling.with_options(timeout=0.05)
        emulator.add_faults([Fault("avatars.video", kind, every=2)])
        found = await filmed(kling, speaking(4), ledger_path)
        assert {one.video_state for one in found.values()} == {"saved"}
        assert_all_filmed_once(emulator, ledger_path, 4)
        evidence = {one.evidence for one in videos(ledger_path).values()}
        assert evidence == {"answer", "adopted"}

    @pytest.mark.parametrize("shows", ["scheduler", "tasks"])
    async def test_either_place_is_enough(
        self,
        open_client: Callable[..., Any],
        ledger_path: Path,
        shows: str,
    ) -> None:
        hidden = "history_lag_s" if shows == "scheduler" else "scheduler_lag_s"
        emulator = Emulator(**{hidden: 1e6}, job_s=20.0)  # type: ignore[arg-type]
        emulator.add_faults([Fault("avatars.video", "reset_after", at=1)])
        kling = await open_client(transport=emulator.transport(), clock=JumpClock(emulator))
        found = await filmed(kling, speaking(1), ledger_path)
        assert found["k1"].video_state == "saved"
        assert_all_filmed_once(emulator, ledger_path, 1)

    async def test_what_never_arrived_stays_unknown_and_is_not_sent_again(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger_path: Path
    ) -> None:
        emulator.add_faults([Fault("avatars.video", "reset_before", at=1)])
        for _ in range(3):
            found = await filmed(kling, speaking(2), ledger_path)
            states = sorted(str(one.video_state) for one in found.values())
            assert states == ["saved", "unknown"]
        assert len(calls(emulator, "avatars.video")) == 2
        (unknown,) = (one for one in found.values() if one.video_state == "unknown")
        assert "its job was looked for, for 120 s" in str(unknown.error)

    async def test_a_later_run_finds_what_shows_late(
        self, open_client: Callable[..., Any], ledger_path: Path
    ) -> None:
        emulator = Emulator(history_lag_s=9000.0, scheduler_lag_s=9000.0)
        emulator.add_faults([Fault("avatars.video", "reset_after", at=1)])
        kling = await open_client(transport=emulator.transport(), clock=JumpClock(emulator))
        first = await filmed(kling, speaking(1), ledger_path)
        assert first["k1"].video_state == "unknown"
        emulator.clock.advance(9000)
        later = await filmed(kling, speaking(1), ledger_path)
        assert later["k1"].video_state == "saved"
        assert videos(ledger_path)["k1"].evidence == "adopted-late"
        assert_all_filmed_once(emulator, ledger_path, 1)

    async def test_many_tasks_of_others_are_paged_through(
        self, open_client: Callable[..., Any], ledger_path: Path
    ) -> None:
        emulator = Emulator(history_lag_s=30.0, scheduler_lag_s=1e6)
        kling = await open_client(transport=emulator.transport(), clock=JumpClock(emulator))
        emulator.add_faults([Fault("avatars.video", "reset_after", at=1)])
        await filmed(
            kling.with_options(retry=evolve(kling._options.retry, reconcile_within_s=0)),
            speaking(1),
            ledger_path,
        )
        assert videos(ledger_path)["k1"].state == "unknown"
        avatar = emulator.avatars[0].id
        for n in range(60):  # they push it off the first page
            emulator.clock.advance(10)
            await kling.avatars.video(avatar_id=avatar, audio_url=f"https://x.y/{n}.mp3")
        found = await filmed(kling, speaking(1), ledger_path)
        assert found["k1"].video_state == "saved"

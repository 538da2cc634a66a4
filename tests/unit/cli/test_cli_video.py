"""Does `bulk run --video` go all the way, and do the other commands know of videos?"""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from jobs import in_ledger as kept
from jobs import videos

from kling_async import PollSchedule
from kling_async.bulk import works
from kling_async.bulk.records import Row
from kling_async.emulator import Emulator, Fault
from kling_async.emulator.voices import VOICES

LEDGER = Path("avatars.sqlite")
VOICE = VOICES[0].speaker_id
Invoke = Callable[..., Any]


@pytest.fixture
def emulator() -> Emulator:
    return Emulator(job_s=0.05)


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs are looked at at once."""
    monkeypatch.setattr(works, "POLL", PollSchedule((0.05,)))


def speaking(count: int, silent: int = 0) -> Path:
    """A CSV of rows k1, k2 ... that speak, and some behind them that don't."""
    lines = ["key,image_url,text,speaker_id,x_team"]
    for n in range(1, count + silent + 1):
        said = f"I am k{n},{VOICE}" if n <= count else ","
        lines.append(f"k{n},https://example.com/{n}.png,{said},7")
    Path("in.csv").write_text("\n".join(lines) + "\n")
    return Path("in.csv")


def in_ledger() -> dict[str, Row]:
    return kept(LEDGER)


def run(input: Path, *more: str) -> list[Any]:
    return ["bulk", "run", input, "--ledger", LEDGER, "--rate", "none", *more]


def unsettled(key: str) -> None:
    """As if the answer to the row's job had been lost for good."""
    step = videos(LEDGER)[key]
    with closing(sqlite3.connect(LEDGER)) as db, db:
        db.execute("DELETE FROM claims WHERE step_id = ?", (step.id,))
        db.execute("DELETE FROM works WHERE step_id = ?", (step.id,))
        db.execute(
            "UPDATE steps SET state = 'unknown', remote_id = NULL, evidence = NULL, mark = 'x', "
            "error = 'not found', candidates = '[\"77\"]' "
            "WHERE id = ?",
            (step.id,),
        )


class TestRun:
    def test_all_the_way_and_again(
        self, invoke: Invoke, service: Any, emulator: Emulator, folder: Path
    ) -> None:
        done = invoke(*run(speaking(3, silent=1), "--video"))
        assert done.exit_code == 0, done.output
        assert done.stdout.startswith("4 of 4 rows created in ")
        assert f"3 videos saved in {folder / 'avatars-videos'}." in done.stdout
        files = {f"k{n}.mp4" for n in range(1, 4)}
        assert {one.name for one in Path("avatars-videos").iterdir()} == files
        assert len(emulator.tasks) == 3

        again = invoke(*run(Path("in.csv"), "--video"))
        assert again.exit_code == 0
        assert "in earlier runs; nothing was sent" in again.stdout
        assert len(emulator.tasks) == 3

        assert invoke("bulk", "export", LEDGER, "--to", "out.csv").exit_code == 0
        rows = list(csv.DictReader(Path("out.csv").read_text().splitlines()))
        assert [row["video_state"] for row in rows] == ["saved"] * 3 + [""]
        assert [row["x_team"] for row in rows] == ["7"] * 4
        assert [Path(row["video_file"]).name for row in rows[:3]] == [
            f"k{n}.mp4" for n in (1, 2, 3)
        ]
        assert all(Path(row["video_file"]).is_file() for row in rows[:3])
        assert {int(row["task_id"]) for row in rows[:3]} == {one.id for one in emulator.tasks}

    def test_the_folder_is_remembered(self, invoke: Invoke, service: Any) -> None:
        invoke(*run(speaking(1), "--video-dir", "films"))
        assert invoke(*run(speaking(2), "--video")).exit_code == 0
        assert {one.name for one in Path("films").iterdir()} == {"k1.mp4", "k2.mp4"}
        assert not Path("avatars-videos").exists()

    def test_without_video_it_is_said_and_nothing_is_paid(
        self, invoke: Invoke, service: Any, emulator: Emulator
    ) -> None:
        done = invoke(*run(speaking(2)))
        assert done.exit_code == 0
        assert "2 rows have a text or an audio: add --video to make their videos." in done.stdout
        assert len(emulator.tasks) == 0
        assert invoke(*run(Path("in.csv"), "--video")).exit_code == 0
        assert (len(emulator.avatars), len(emulator.tasks)) == (2, 2)

    def test_nothing_to_say(self, invoke: Invoke, service: Any, emulator: Emulator) -> None:
        refused = invoke(*run(speaking(0, silent=2), "--video"))
        assert refused.exit_code == 2
        assert "--video was given, and no row says anything" in refused.stderr
        assert len(emulator.calls) == 0

    def test_json(self, invoke: Invoke, service: Any, emulator: Emulator) -> None:
        emulator.add_faults([Fault("avatars.video", "task_failed", message="no face", at=1)])
        done = invoke(*run(speaking(2), "--video", "--json"))
        assert done.exit_code == 1
        *rows, summary = [json.loads(line) for line in done.stdout.splitlines()]
        assert sorted(row["video_state"] for row in rows) == ["failed", "saved"]
        assert (summary["saved"], summary["videos_failed"], summary["created"]) == (1, 1, 2)

    def test_in_words(self, invoke: Invoke, service: Any, emulator: Emulator) -> None:
        emulator.add_faults([Fault("avatars.video", "task_failed", message="no face", at=1)])
        done = invoke(*run(speaking(2), "--video"))
        assert done.exit_code == 1
        assert "1 video saved in " in done.stdout
        assert ", 1 failed." in done.stdout
        assert f"kling-async bulk retry {LEDGER} --video" in done.stdout
        assert "no face" in done.stderr


class TestDryRun:
    def test_good(self, invoke: Invoke, service: Any, emulator: Emulator) -> None:
        done = invoke(*run(speaking(2, silent=1), "--dry-run", "--video"))
        assert done.exit_code == 0
        assert "3 rows of in.csv are fine" in done.stdout
        assert "2 videos to make with 0 audio files to upload" in done.stdout
        assert not emulator.avatars
        assert not LEDGER.exists()

    def test_voices_and_avatars_are_asked_of_the_server(
        self, invoke: Invoke, service: Any, emulator: Emulator
    ) -> None:
        Path("in.csv").write_text(
            "key,image_url,avatar_id,text,speaker_id,emotion\n"
            f"a,https://x.y/a.png,,Hi,{VOICE},happy\n"
            "b,https://x.y/b.png,,Hi,nobody,\n"
            f"c,,300000000000001,Hi,{VOICE},\n"
            f"d,https://x.y/d.png,,Hi,{VOICES[2].speaker_id},angry\n"
        )
        done = invoke(*run(Path("in.csv"), "--dry-run", "--video"))
        assert done.exit_code == 2
        assert "line 3, column speaker_id: is 'nobody'; there is no such voice" in done.stderr
        assert "line 4, column avatar_id: is 300000000000001; there is no such" in done.stderr
        assert "line 5, column emotion: is 'angry'" in done.stderr
        assert "line 2" not in done.stderr


class TestRetry:
    def test_only_the_step_that_failed(
        self, invoke: Invoke, service: Any, emulator: Emulator
    ) -> None:
        emulator.add_faults([Fault("avatars.video", "task_failed", at=1)])
        invoke(*run(speaking(2), "--video"))
        told = invoke("bulk", "retry", LEDGER)
        assert told.exit_code == 0
        assert "1 rows have only failed videos; --video tries them again" in told.stdout
        done = invoke("bulk", "retry", LEDGER, "--video", "--rate", "none")
        assert done.exit_code == 0, done.output
        assert (len(emulator.avatars), len(emulator.tasks)) == (2, 3)
        assert {one.state for one in in_ledger().values()} == {"done"}
        assert "nothing to do" in invoke("bulk", "retry", LEDGER, "--video").stdout

    def test_a_file_in_the_way_is_moved_and_the_video_only_fetched(
        self, invoke: Invoke, service: Any, emulator: Emulator
    ) -> None:
        Path("avatars-videos").mkdir()
        Path("avatars-videos/k1.mp4").write_text("mine")
        done = invoke(*run(speaking(1), "--video"))
        assert done.exit_code == 1
        assert "was not overwritten" in done.stderr
        Path("avatars-videos/k1.mp4").rename("mine.mp4")
        assert invoke("bulk", "retry", LEDGER, "--video", "--rate", "none").exit_code == 0
        assert len(emulator.tasks) == 1


class TestSettle:
    @pytest.fixture
    def unknown(self, invoke: Invoke, service: Any, emulator: Emulator) -> int:
        """One row, whose video was made, and whose job is unknown to the ledger; the job's id."""
        assert invoke(*run(speaking(1), "--video")).exit_code == 0
        Path("avatars-videos/k1.mp4").unlink()
        unsettled("k1")
        return emulator.tasks[0].id

    def test_status_tells_what_can_be_done(self, invoke: Invoke, unknown: int) -> None:
        shown = invoke("bulk", "status", LEDGER).stdout
        assert "1 videos: 1 unknown" in shown
        settle = f"kling-async bulk settle {LEDGER} k1"
        for option in ("--adopt-task TASK_ID", "--resend-video", "--abandon-video"):
            assert f"{settle} {option}" in shown
        assert "could be: task 77" in shown
        told = json.loads(invoke("bulk", "status", LEDGER, "--json").stdout)
        assert told["counts"] == {"done": 1}
        assert told["videos"]["counts"] == {"unknown": 1}
        assert told["videos"]["unknown"][0]["key"] == "k1"

    def test_adopt(self, invoke: Invoke, unknown: int, emulator: Emulator) -> None:
        done = invoke("bulk", "settle", LEDGER, "k1", "--adopt-task", str(unknown))
        assert "the next `bulk run --video` fetches its video" in done.stdout
        assert invoke(*run(Path("in.csv"), "--video")).exit_code == 0
        assert Path("avatars-videos/k1.mp4").is_file()
        assert len(emulator.tasks) == 1

    def test_resend(self, invoke: Invoke, unknown: int, emulator: Emulator) -> None:
        assert invoke("bulk", "settle", LEDGER, "k1", "--resend-video").exit_code == 0
        invoke(*run(Path("in.csv"), "--video"))
        assert in_ledger()["k1"].state == "done"

    def test_abandon(self, invoke: Invoke, unknown: int, emulator: Emulator) -> None:
        assert invoke("bulk", "settle", LEDGER, "k1", "--abandon-video").exit_code == 0
        assert invoke(*run(Path("in.csv"), "--video")).exit_code == 1
        assert "nothing to do" in invoke("bulk", "retry", LEDGER, "--video").stdout
        assert len(emulator.tasks) == 1

    @pytest.mark.parametrize(
        ("words", "text"),
        [
            ((), "give one of"),
            (("--adopt-task", "1", "--resend-video"), "give one of"),
            (("--resend", "--resend-video"), "give one of"),
            (("--resend",), "row k1 is done, not unknown"),
            (("--adopt-task", "x"), "is not a valid integer"),
        ],
    )
    def test_wrong_use(
        self, invoke: Invoke, unknown: int, words: tuple[str, ...], text: str
    ) -> None:
        before = in_ledger()
        refused = invoke("bulk", "settle", LEDGER, "k1", *words)
        assert refused.exit_code == 2
        assert text in refused.stderr
        assert in_ledger() == before

    def test_what_is_settled_stays(self, invoke: Invoke, service: Any) -> None:
        invoke(*run(speaking(1, silent=1), "--video"))
        refused = invoke("bulk", "settle", LEDGER, "k1", "--resend-video")
        assert "the video of row k1 is done, not unknown" in refused.stderr
        refused = invoke("bulk", "settle", LEDGER, "k2", "--resend-video")
        assert "not known here" in refused.stderr


def test_avatars_of_ones_own_need_their_account(invoke: Invoke, service: Any) -> None:
    Path("in.csv").write_text(f"avatar_id,text,speaker_id\n300137233318846,Hi,{VOICE}\n")
    words = ["--account", "a@b.c", "--account", "d@e.f", "--choose", "round_robin"]
    refused = invoke(*run(Path("in.csv"), "--video", *words))
    assert refused.exit_code == 2
    assert "An avatar belongs to one account: add a column `account`" in refused.stderr

"""Can a person leave out bad rows, try some first, and bound what is paid for?"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jobs import avatars, in_ledger, videos

from kling_async.emulator import Emulator

LEDGER = Path("avatars.sqlite")
URL = "https://example.com/1.png"
RUN = ("--ledger", LEDGER, "--rate", "none")
Invoke = Callable[..., Any]


def written(*rows: str, header: str = "key,image_url,nickname,tts_speed") -> Path:
    path = Path("in.csv")
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def good(count: int) -> list[str]:
    return [f"k{n},https://example.com/{n}.png,k{n}," for n in range(1, count + 1)]


BAD = ['b1,https://e.com/b1.png,b1,"1,2"', 'b2,https://e.com/b2.png,b2,"1,4"', "b3,nowhere,b3,1",
       'b4,https://e.com/b4.png,b4,"0,9"']  # fmt: skip


class TestBadRows:
    def test_equal_faults_come_in_one_line(self, invoke: Invoke, service: Any) -> None:
        done = invoke("bulk", "run", written(*BAD, *good(3)), *RUN)
        assert done.exit_code == 2
        first, second, remedy = done.stderr.splitlines()
        assert "in.csv, 3 rows (lines 2, 3, 5), column tts_speed: " in first
        assert "decimal comma" in first
        assert second.startswith("in.csv, line 4, column image_url: ")
        assert "Without a fault are 3 of 7 rows: --skip-bad makes those" in remedy
        assert service.creates == []
        assert not LEDGER.exists()

    def test_they_do_not_stop_good_ones(self, invoke: Invoke, service: Any) -> None:
        path = written(*BAD, *good(3))
        for _ in range(2):  # and the same command makes nothing again
            done = invoke("bulk", "run", path, *RUN, "--skip-bad")
            assert done.exit_code == 1
            assert "3 of 3 rows created" in done.stdout
            assert "4 rows have faults and are left out." in done.stdout
        assert sorted(service.creates) == ["k1", "k2", "k3"]
        assert "3 of 7 rows" in invoke("bulk", "status", LEDGER).stdout
        path = written(*good(3), *(one.replace('"', "").replace(",1,2", ",1.2") for one in BAD[:1]))
        assert invoke("bulk", "run", path, *RUN, "--skip-bad").exit_code == 0
        assert sorted(service.creates) == ["b1", "k1", "k2", "k3"]

    def test_nothing_is_left(self, invoke: Invoke, service: Any) -> None:
        done = invoke("bulk", "run", written(*BAD), *RUN, "--skip-bad")
        assert done.exit_code == 2
        assert not LEDGER.exists()

    def test_a_row_that_was_made_and_changed_is_left_out(
        self, invoke: Invoke, service: Any
    ) -> None:
        assert invoke("bulk", "run", written(*good(2)), *RUN).exit_code == 0
        changed = ["k1,https://example.com/other.png,k1,", *good(3)[1:]]
        assert invoke("bulk", "run", written(*changed), *RUN).exit_code == 2
        assert invoke("bulk", "run", written(*changed), *RUN, "--skip-bad").exit_code == 1
        assert service.creates == ["k1", "k2", "k3"]

    @pytest.mark.parametrize("flags", [(), ("--skip-bad",), ("--skip-bad", "--dry-run")])
    def test_every_fault_is_in_the_table(
        self, invoke: Invoke, service: Any, flags: tuple[str, ...]
    ) -> None:
        path = written(*BAD, *good(3))
        invoke("bulk", "run", path, *RUN, "--faults-to", "faults.csv", *flags)
        with Path("faults.csv").open(encoding="utf-8-sig", newline="") as file:
            found = list(csv.DictReader(file))
        assert [(one["line"], one["key"], one["column"], one["value"]) for one in found] == [
            ("2", "b1", "tts_speed", "1,2"),
            ("3", "b2", "tts_speed", "1,4"),
            ("4", "b3", "image_url", "nowhere"),
            ("5", "b4", "tts_speed", "0,9"),
        ]
        assert all(one["fault"] and one["remedy"] for one in found)
        assert not list(Path().glob(".*.part"))
        # The next run's takes its place, and has none where there is none.
        assert invoke("bulk", "run", written(*good(3)), *RUN, "--faults-to", "faults.csv")
        assert Path("faults.csv").read_text("utf-8-sig").splitlines() == [
            "line,key,column,value,fault,remedy"
        ]

    @pytest.mark.parametrize(
        ("to", "said"),
        [
            ("faults.txt", "end faults.txt with .csv"),
            ("in.csv", "would replace a file that the job needs"),
            ("link.csv", "would replace a file that the job needs"),
            ("other.csv", "is no table of faults"),
            ("gone/faults.csv", "its folder does not exist"),
        ],
    )
    def test_it_replaces_nothing_else(
        self, invoke: Invoke, service: Any, to: str, said: str
    ) -> None:
        path = written(*good(1))
        Path("other.csv").write_text("mine\n")
        Path("link.csv").hardlink_to(path)
        before = path.read_text()
        done = invoke("bulk", "run", path, *RUN, "--faults-to", to)
        assert done.exit_code == 2
        assert said in done.stderr
        assert (path.read_text(), Path("other.csv").read_text()) == (before, "mine\n")
        assert service.creates == []

    def test_as_json(self, invoke: Invoke, service: Any) -> None:
        done = invoke("bulk", "run", written(*BAD, *good(1)), *RUN, "--skip-bad", "--json")
        assert done.exit_code == 1
        said = [json.loads(line) for line in done.stdout.splitlines()]
        faults = [one for one in said if one["type"] == "fault"]
        assert [one["line"] for one in faults] == [2, 3, 4, 5]
        (groups,) = [one for one in said if one["type"] == "faults"]
        assert (groups["rows"], groups["bad"]) == (5, 4)
        assert [(one["rows"], one["column"]) for one in groups["groups"]] == [
            (3, "tts_speed"), (1, "image_url"),
        ]  # fmt: skip


class TestSpreadsheets:
    @pytest.mark.parametrize(
        "content",
        [
            "sep=;\nimage_url;tts_speed\n{0};1,2\n",
            '"sep=;"\r\nimage_url;tts_speed\r\n{0};1,2\r\n;;\r\n',
            "image_url;tts_speed\n{0};1,2\n",
            "\ufeffsep=\t\nimage_url\ttts_speed\n{0}\t1.2\n",
        ],
    )
    def test_what_it_writes_is_understood(
        self, invoke: Invoke, service: Any, emulator: Emulator, content: str
    ) -> None:
        Path("in.csv").write_text(content.format(URL), newline="")
        done = invoke("bulk", "run", "in.csv", *RUN)
        assert done.exit_code == 0, done.stderr
        assert avatars(LEDGER).popitem()[1].payload["tts_speed"] == 1.2

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            ("a,https://e.com/1.png,#NAME?,", "column nickname: is '#NAME?', an error"),
            ("3.00137E+14,https://e.com/1.png,Ada,", "column key: is '3.00137E+14'"),
        ],
    )
    def test_what_it_broke_is_named(
        self, invoke: Invoke, service: Any, row: str, said: str
    ) -> None:
        done = invoke("bulk", "run", written(row), *RUN)
        assert done.exit_code == 2
        assert said in done.stderr

    def test_own_columns_are_kept(self, invoke: Invoke, service: Any) -> None:
        header = "key,image_url,Title,x_team"
        path = written("a,https://e.com/1.png,Dr.,red", header=header)
        assert invoke("bulk", "run", path, *RUN).exit_code == 2
        assert invoke("bulk", "run", path, *RUN, "--keep-columns").exit_code == 0
        invoke("bulk", "export", LEDGER, "--to", "out.jsonl")
        row = json.loads(Path("out.jsonl").read_text())
        assert (row["title"], row["x_team"]) == ("Dr.", "red")

    def test_a_slip_of_the_pen_is_none(self, invoke: Invoke, service: Any) -> None:
        path = written("a,https://e.com/1.png,Ada", header="key,image_url,nikname")
        done = invoke("bulk", "run", path, *RUN, "--keep-columns")
        assert done.exit_code == 2
        assert "did you mean nickname?" in done.stderr


class TestTryFirst:
    def test_the_first_rows(self, invoke: Invoke, service: Any) -> None:
        path = written(*good(5))
        for limit, made in ((2, 2), (2, 2), (4, 4)):
            done = invoke("bulk", "run", path, *RUN, "--limit", str(limit))
            assert done.exit_code == 0
            assert f"{limit} of {limit} rows created" in done.stdout
            assert len(service.creates) == made
        assert invoke("bulk", "run", path, *RUN).exit_code == 0
        assert sorted(service.creates) == [f"k{n}" for n in range(1, 6)]

    def test_rows_by_key(self, invoke: Invoke, service: Any) -> None:
        path = written(*good(5), *BAD)  # the faults of rows that are not asked for stop nothing
        done = invoke("bulk", "run", path, *RUN, "--only", "k4", "--only", "k2")
        assert done.exit_code == 0
        assert sorted(service.creates) == ["k2", "k4"]
        done = invoke("bulk", "run", path, *RUN, "--only", "k9")
        assert done.exit_code == 2
        assert "no row of in.csv has the key k9" in done.stderr

    def test_a_limit_counts_rows_without_faults(self, invoke: Invoke, service: Any) -> None:
        done = invoke("bulk", "run", written(*BAD, *good(3)), *RUN, "--skip-bad", "--limit", "2")
        assert done.exit_code == 1
        assert sorted(service.creates) == ["k1", "k2"]

    def test_a_dry_run_says_what_would_be_made(
        self, invoke: Invoke, service: Any, emulator: Emulator
    ) -> None:
        rows = [f"{one},Hi,v1" for one in good(3)]
        path = written(*rows, header="key,image_url,nickname,tts_speed,text,speaker_id")
        voice = "moss_audio_5b6f2c1e-7d3a-11f0-9c45-3e8a1d7b6f20"
        path.write_text(path.read_text().replace(",v1", f",{voice}"))
        words = ["bulk", "run", path, "--ledger", LEDGER, "--rate", "5/s", "--video", "--dry-run"]
        said = invoke(*words).stdout
        assert "To be made: 3 avatars, 3 videos." in said
        assert "Cost: 3 jobs of avatars.video at a price not known here." in said
        few = invoke(*words, "--max-videos", "1").stdout
        assert "Cost: 1 job of avatars.video at a price not known here." in few
        assert "Account demo@example.com: " in said
        assert "credits left" in said
        assert "job slots free" in said
        done = invoke(*words, "--json")
        found = json.loads(done.stdout)
        assert found["to_make"] == {"avatar": 3, "video": 3}
        assert found["accounts"][0]["account"] == "demo@example.com"
        assert {one.method for one in emulator.calls} == {"GET"}


class TestBudget:
    HEADER = "key,prompt"

    def clips(self, count: int) -> list[str]:
        return [f"c{n},A cat {n}" for n in range(1, count + 1)]

    def test_no_more_videos_than_allowed(self, invoke: Invoke, service: Any) -> None:
        path = written(*self.clips(5), header=self.HEADER)
        words = ["bulk", "run", path, *RUN, "--operation", "videos.text2video"]
        for _ in range(2):  # all runs together
            done = invoke(*words, "--max-videos", "2")
            assert done.exit_code == 1
            assert "3 skipped" in done.stdout
            states = [row.state for row in in_ledger(LEDGER).values()]
            assert sorted(states) == ["done", "done", "planned", "planned", "planned"]

    def test_talking_ones(self, invoke: Invoke, service: Any) -> None:
        voice = "moss_audio_5b6f2c1e-7d3a-11f0-9c45-3e8a1d7b6f20"
        rows = [f"{one},Hi,{voice}" for one in good(3)]
        path = written(*rows, header="key,image_url,nickname,tts_speed,text,speaker_id")
        done = invoke("bulk", "run", path, *RUN, "--video", "--max-videos", "0")
        assert done.exit_code == 1
        assert "3 of 3 rows created" in done.stdout
        assert {one.state for one in videos(LEDGER).values()} == {"planned"}

    def test_no_more_credits_than_allowed(self, invoke: Invoke, service: Any) -> None:
        rows = [f"{one},kling-v2-5,pro" for one in self.clips(3)]
        path = written(*rows, header="key,prompt,model_name,mode")  # 25 credits each
        words = ["bulk", "run", path, *RUN, "--operation", "videos.text2video"]
        for credits, made in (("74.99", 2), ("60", 2), ("75", 3)):
            invoke(*words, "--max-credits", credits)
            states = [row.state for row in in_ledger(LEDGER).values()]
            assert states.count("done") == made

    @pytest.mark.parametrize(
        ("flags", "said"),
        [
            (("--max-videos", "1"), "this run begins none"),
            (("--max-credits", "1"), "this run begins none"),
            (("--limit", "0"), "0 is not in the range"),
            (("--concurrency", "many"), "neither auto nor a number"),
        ],
    )
    def test_combinations_that_mean_nothing(
        self, invoke: Invoke, service: Any, flags: tuple[str, ...], said: str
    ) -> None:
        done = invoke("bulk", "run", written(*good(1)), *RUN, *flags)
        assert done.exit_code == 2
        assert said in done.stderr
        assert not LEDGER.exists()

    def test_credits_where_no_price_is_known(self, invoke: Invoke, service: Any) -> None:
        voice = "moss_audio_5b6f2c1e-7d3a-11f0-9c45-3e8a1d7b6f20"
        path = written(
            f"{good(1)[0]},Hi,{voice}", header="key,image_url,nickname,tts_speed,text,speaker_id"
        )
        done = invoke("bulk", "run", path, *RUN, "--video", "--max-credits", "10")
        assert done.exit_code == 2
        assert "Use --max-videos" in done.stderr
        assert not LEDGER.exists()


def test_failed_rows_are_tried_again(invoke: Invoke, service: Any, emulator: Emulator) -> None:
    from kling_async.emulator import Fault

    emulator.add_faults([Fault("avatars.create", "status", status=400, at=1)])
    words = ["bulk", "run", written(*good(1)), *RUN]
    assert invoke(*words).exit_code == 1
    assert invoke(*words).exit_code == 1
    assert invoke(*words, "--retry-failed").exit_code == 0
    assert service.creates == ["k1", "k1"]

"""Can two hundred unknown rows be settled at once, all of them or none?"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jobs import avatars

from kling_async.emulator import Emulator, Fault

LEDGER = Path("avatars.sqlite")
Invoke = Callable[..., Any]


@pytest.fixture
def lost(
    invoke: Invoke, url_csv: Callable[..., Path], service: Any, emulator: Emulator
) -> list[str]:
    """Six rows, of which k2 to k4 lost their answer and are shown nowhere, and k6 was refused."""
    emulator.add_faults(
        [
            Fault("avatars.create", "status", status=502, at=(2, 3, 4)),
            Fault("avatars.create", "status", status=400, at=6),
        ]
    )
    words = ["bulk", "run", url_csv(6), "--ledger", LEDGER, "--rate", "none"]
    assert invoke(*words, "--concurrency", "1", "--reconcile-within", "0").exit_code == 1
    assert states() == {
        "k1": "done", "k2": "unknown", "k3": "unknown", "k4": "unknown", "k5": "done",
        "k6": "failed",
    }  # fmt: skip
    return ["k2", "k3", "k4"]


def states() -> dict[str, str]:
    return {key: one.state for key, one in avatars(LEDGER).items()}


def decided(**words: str) -> Path:
    """The export with a column `decision`, filled in."""
    path = Path("decisions.csv")
    with Path("out.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, [*rows[0], "decision"])
        table.writeheader()
        table.writerows({**one, "decision": words.get(one["key"], "")} for one in rows)
    return path


class TestMany:
    @pytest.mark.parametrize("rows", [("k2", "k3", "k4"), ("--all-unknown",)])
    def test_they_are_sent_again(
        self, invoke: Invoke, lost: list[str], service: Any, url_csv: Any, rows: tuple[str, ...]
    ) -> None:
        done = invoke("bulk", "settle", LEDGER, *rows, "--resend")
        assert done.exit_code == 0, done.stderr
        assert done.stdout.splitlines() == [
            "3 of 3 rows settled",
            "  3 rows: the next `bulk run` sends it again",
        ]
        before = len(service.creates)
        invoke("bulk", "run", url_csv(6), "--ledger", LEDGER, "--rate", "none")
        assert sorted(service.creates[before:]) == lost

    def test_none_where_one_can_not_be(self, invoke: Invoke, lost: list[str]) -> None:
        before = states()
        done = invoke("bulk", "settle", LEDGER, "k2", "k1", "nobody", "--abandon")
        assert done.exit_code == 2
        assert "row k1 is done, not unknown" in done.stderr
        assert "nobody" in done.stderr
        assert "Nothing was settled." in done.stderr
        assert states() == before

    def test_there_is_none(self, invoke: Invoke, lost: list[str]) -> None:
        for said in ("3 of 3 rows settled", "there is nothing to settle"):
            done = invoke("bulk", "settle", LEDGER, "--all-unknown", "--abandon")
            assert done.exit_code == 0
            assert said in done.stdout


class TestFromAFile:
    def test_an_export_that_was_filled_in(
        self, invoke: Invoke, lost: list[str], emulator: Emulator
    ) -> None:
        assert invoke("bulk", "export", LEDGER, "--to", "out.csv").exit_code == 0
        path = decided(k2="resend", k3=" Abandon ", k4="adopt 300000000000001")
        for said in ("3 of 3 rows settled", "0 of 3 rows settled; the other 3 were settled before"):
            done = invoke("bulk", "settle", LEDGER, "--from", path)
            assert done.exit_code == 0, done.stderr
            assert done.stdout.splitlines()[0] == said
        assert [states()[key] for key in lost] == ["ready", "failed", "done"]
        assert avatars(LEDGER)["k4"].remote_id == "300000000000001"

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ({"k2": "again"}, "line 3, column decision: is 'again'; it must be resend, abandon"),
            ({"k2": "adopt"}, "row k2 has 0 candidates"),
            ({"k2": "300000000000001", "k3": "300000000000001"}, "is another row's"),
            ({"k2": "3.1E+14"}, "line 3, column decision: "),
        ],
    )
    def test_all_or_none(
        self, invoke: Invoke, lost: list[str], words: dict[str, str], said: str
    ) -> None:
        before = states()
        assert invoke("bulk", "export", LEDGER, "--to", "out.csv").exit_code == 0
        done = invoke("bulk", "settle", LEDGER, "--from", decided(k4="resend", **words))
        assert done.exit_code == 2
        assert said in done.stderr
        assert states() == before

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ("key,state\nk2,unknown\n", "the header needs a column decision"),
            ("key,decision\nnobody,resend\n", "nobody"),
            (None, "can't be read"),
        ],
    )
    def test_a_file_that_is_none(
        self, invoke: Invoke, lost: list[str], content: str | None, said: str
    ) -> None:
        if content is not None:
            Path("x.csv").write_text(content)
        done = invoke("bulk", "settle", LEDGER, "--from", "x.csv")
        assert done.exit_code == 2
        assert said in done.stderr

    def test_a_key_that_a_spreadsheet_would_calculate(
        self, invoke: Invoke, service: Any, emulator: Emulator
    ) -> None:
        Path("in.csv").write_text("key,image_url\n=1+1,https://e.com/1.png\n")
        emulator.add_faults([Fault("avatars.create", "status", status=502, at=1)])
        words = ["bulk", "run", "in.csv", "--ledger", LEDGER, "--reconcile-within", "0"]
        assert invoke(*words).exit_code == 1
        assert invoke("bulk", "export", LEDGER, "--to", "out.csv").exit_code == 0
        path = decided(**{"'=1+1": "abandon"})
        assert invoke("bulk", "settle", LEDGER, "--from", path).exit_code == 0
        assert states() == {"=1+1": "failed"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--resend",), "name rows by their keys"),
        (("k2", "--all-unknown", "--resend"), "name rows by their keys"),
        (("--from", "x.csv", "--resend"), "give no other word"),
        (("k2", "k3", "--adopt", "300000000000001"), "one thing is one row's"),
        (("k2", "k3"), "give one of --adopt ID"),
    ],
)
def test_combinations_that_mean_nothing(
    invoke: Invoke, lost: list[str], words: tuple[str, ...], said: str
) -> None:
    done = invoke("bulk", "settle", LEDGER, *words)
    assert done.exit_code == 2
    assert said in done.stderr


class TestStatus:
    def test_a_reason_is_told_once_and_how_to_settle_them_all(
        self, invoke: Invoke, lost: list[str]
    ) -> None:
        lines = invoke("bulk", "status", LEDGER).stdout.splitlines()
        assert [one.split(",")[0] for one in lines if not one.startswith((" ", "all"))] == [
            "6 rows: 3 unknown", "failed: row k6", "unknown: row k2",
        ]  # fmt: skip
        assert "  for the same reason 2 rows more: k3, k4" in lines
        (said,) = (one for one in lines if "--all-unknown" in one)
        words = said.partition("kling-async ")[2].partition(" (or")[0].split()
        assert "3 of 3 rows settled" in invoke(*words).stdout

    def test_rows_of_one_cause_stand_together(self, invoke: Invoke, lost: list[str]) -> None:
        done = invoke("bulk", "status", LEDGER, "--state", "unknown")
        head, *rows = done.stdout.splitlines()
        assert head.startswith("unknown, 3 rows: ")
        assert [one.split()[0] for one in rows] == lost
        done = invoke("bulk", "status", LEDGER, "--state", "unknown", "--all", "--json")
        found = json.loads(done.stdout)
        assert found["count"] == 3
        assert [one["keys"] for one in found["causes"]] == [lost]
        assert [(one["key"], one["step"]) for one in found["rows"]] == [(key, 1) for key in lost]

    def test_none_is_in_that_state(self, invoke: Invoke, lost: list[str]) -> None:
        assert (
            invoke("bulk", "status", LEDGER, "--state", "running").stdout == "no row is running\n"
        )
        done = invoke("bulk", "status", LEDGER, "--all")
        assert (done.exit_code, "--all goes with --state" in done.stderr) == (2, True)

"""What can be done with a ledger after a run: status, export, retry?"""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jobs import in_ledger

from kling_async.bulk.recipes import AVATARS
from kling_async.bulk.rows import RowBuilder
from kling_async.bulk.sqlite import open_ledger
from kling_async.cli.ledger import ROWS_OF_INPUT
from kling_async.emulator import Emulator, Fault

LEDGER = Path("avatars.sqlite")


SERVICE = "a server on this machine"


def states() -> dict[str, str]:
    return {key: row.state for key, row in in_ledger(LEDGER).items()}


@pytest.fixture
def ran(
    invoke: Callable[..., Any], url_csv: Callable[..., Path], service: Any, emulator: Emulator
) -> None:
    """Five rows were sent; k2 and k4 were refused."""
    emulator.add_faults([Fault("avatars.create", "status", status=400, at=(2, 4))])
    words = ["bulk", "run", url_csv(5), "--ledger", LEDGER, "--rate", "none", "--concurrency", "1"]
    assert invoke(*words).exit_code == 1


class TestStatus:
    def test_counts_and_failed_rows(self, invoke: Callable[..., Any], ran: None) -> None:
        done = invoke("bulk", "status", LEDGER)
        assert done.exit_code == 0
        first, *rest = done.stdout.splitlines()
        assert first.startswith("5 rows: ")
        assert {"3 done", "2 failed"} == set(first.removeprefix("5 rows: ").split(", "))
        assert rest[0].startswith("failed: row k2, account ")
        assert "the server answered 400" in rest[0]
        assert rest[1:] == ["  for the same reason 1 row more: k4"]

    def test_as_json(self, invoke: Callable[..., Any], ran: None) -> None:
        done = invoke("bulk", "status", LEDGER, "--json")
        assert done.exit_code == 0
        found = json.loads(done.stdout)
        assert found["counts"] == {"done": 3, "failed": 2}
        assert found["unknown"] == []
        assert [one["key"] for one in found["failed"]] == ["k2", "k4"]
        assert found["failed"][0]["nickname"] == "k2"

    def test_many_failed_rows_are_cut_and_it_says_so(self, invoke: Callable[..., Any]) -> None:
        async def write() -> None:
            async with open_ledger(LEDGER, service="x") as ledger:
                with RowBuilder(AVATARS) as builder:
                    rows = [builder.row({"key": f"k{n}"}, n) for n in range(1, 31)]
                await ledger.register(rows)

        asyncio.run(write())
        done = invoke("bulk", "status", LEDGER)
        assert f"19 rows more: {', '.join(f'k{n}' for n in range(2, 21))}\n" in done.stdout
        assert "... and more failed rows; see `kling-async bulk status" in done.stdout

    def test_rows_that_were_not_begun(self, invoke: Callable[..., Any], ran: None) -> None:
        async def write() -> None:
            async with open_ledger(LEDGER, service=SERVICE) as ledger:
                await ledger.set_fact(ROWS_OF_INPUT, "300")

        asyncio.run(write())
        assert invoke("bulk", "status", LEDGER).stdout.startswith("5 of 300 rows: ")
        said = invoke("bulk", "export", LEDGER, "--to", "out.csv").stdout
        assert said == "5 of 300 rows written to out.csv; the others were not begun\n"

    def test_while_it_is_in_use(self, invoke: Callable[..., Any], ran: None) -> None:
        async def used() -> None:
            async with open_ledger(LEDGER, service=SERVICE):
                done = await asyncio.to_thread(invoke, "bulk", "status", LEDGER)
                assert done.exit_code == 0

        asyncio.run(used())


class TestExport:
    @pytest.mark.parametrize("name", ["out.csv", "out.jsonl"])
    def test_every_row(
        self, invoke: Callable[..., Any], ran: None, emulator: Emulator, name: str
    ) -> None:
        done = invoke("bulk", "export", LEDGER, "--to", name)
        assert (done.exit_code, done.stdout) == (0, f"5 rows written to {name}\n")
        lines = Path(name).read_text("utf-8-sig").splitlines()
        rows = list(csv.DictReader(lines)) if name == "out.csv" else [json.loads(x) for x in lines]
        assert [row["key"] for row in rows] == ["k1", "k2", "k3", "k4", "k5"]
        made = {one.nickname: one.id for one in emulator.avatars}
        assert {row["key"]: row["avatar_id"] for row in rows if row["state"] == "created"} == made
        assert {row["state"] for row in rows if row["key"] in ("k2", "k4")} == {"failed"}
        assert rows[2]["image_url"] == "https://example.com/3.png"

    @pytest.mark.parametrize("name", ["out.ods", "out"])
    def test_another_ending(self, invoke: Callable[..., Any], ran: None, name: str) -> None:
        done = invoke("bulk", "export", LEDGER, "--to", name)
        assert done.exit_code == 2
        assert f"can't export to {name}: end it with .csv, .jsonl or .xlsx" in done.stderr
        assert not Path(name).exists()

    @pytest.mark.parametrize("more", [[], ["--overwrite"]])
    def test_neither_the_input_nor_the_ledger_is_replaced(
        self, invoke: Callable[..., Any], ran: None, more: list[str]
    ) -> None:
        given = next(Path().glob("*.csv")).name
        Path("also.csv").hardlink_to(given)
        Path("book.csv").symlink_to(LEDGER)
        for name, what in (("also.csv", given), ("book.csv", LEDGER), (given, given)):
            before = Path(what).read_bytes()
            done = invoke("bulk", "export", LEDGER, "--to", name, *more)
            assert done.exit_code == 2
            assert "never replaced" in done.stderr
            assert Path(what).read_bytes() == before

    def test_another_file_is_replaced_when_told(
        self, invoke: Callable[..., Any], ran: None
    ) -> None:
        Path("out.csv").write_text("older")
        done = invoke("bulk", "export", LEDGER, "--to", "out.csv")
        assert (done.exit_code, Path("out.csv").read_text()) == (2, "older")
        done = invoke("bulk", "export", LEDGER, "--to", "out.csv", "--overwrite", "--raw")
        assert (done.exit_code, Path("out.csv").read_text()[:4]) == (0, "key,")

    def test_no_such_folder(self, invoke: Callable[..., Any], ran: None) -> None:
        done = invoke("bulk", "export", LEDGER, "--to", "gone/out.csv")
        assert done.exit_code == 2
        assert "can't write gone/out.csv: No such file or directory" in done.stderr


@pytest.mark.parametrize(
    "words", [["status"], ["export", "--to", "out.csv"], ["retry"], ["retry", "--emulator"]]
)
class TestNoLedger:
    def test_there_is_none(self, invoke: Callable[..., Any], words: list[str]) -> None:
        done = invoke("bulk", *words, "gone.sqlite")
        assert done.exit_code == 2
        assert "there is no ledger at " in done.stderr
        assert "gone.sqlite; `bulk run` makes one" in done.stderr
        assert list(Path().iterdir()) == []

    def test_it_is_something_else(self, invoke: Callable[..., Any], words: list[str]) -> None:
        Path("notes.txt").write_text("dear diary\n" * 200)
        done = invoke("bulk", *words, "notes.txt")
        assert done.exit_code == 2
        assert "not a ledger of kling-async" in done.stderr


class TestRetry:
    def test_sends_the_failed_rows_only(
        self, invoke: Callable[..., Any], ran: None, service: Any
    ) -> None:
        before = {key: state for key, state in states().items() if state == "done"}
        done = invoke("bulk", "retry", LEDGER, "--rate", "none")
        assert done.exit_code == 0, done.stderr
        assert done.stdout.startswith("2 of 2 rows created in ")
        assert sorted(service.creates[5:]) == ["k2", "k4"]
        assert before.items() <= states().items()
        assert set(states().values()) == {"done"}

    def test_nothing_to_do(self, invoke: Callable[..., Any], ran: None, service: Any) -> None:
        assert invoke("bulk", "retry", LEDGER, "--rate", "none").exit_code == 0
        done = invoke("bulk", "retry", LEDGER, "--rate", "none")
        assert (done.exit_code, len(service.creates)) == (0, 7)
        assert "nothing to do" in done.stdout

    def test_rows_may_fail_again(
        self, invoke: Callable[..., Any], ran: None, emulator: Emulator
    ) -> None:
        emulator.add_faults([Fault("avatars.create", "status", status=422, at=1)])
        done = invoke("bulk", "retry", LEDGER, "--rate", "none", "--concurrency", "1", "--json")
        assert done.exit_code == 1
        rows = [json.loads(line) for line in done.stdout.splitlines()[:-1]]
        assert {row["key"]: row["state"] for row in rows} == {"k2": "failed", "k4": "created"}
        assert states()["k2"] == "failed"

    def test_a_ledger_of_another_service(
        self, invoke: Callable[..., Any], ran: None, service: Any
    ) -> None:
        before = states()
        done = invoke("bulk", "retry", LEDGER, "--emulator")
        assert done.exit_code == 2
        assert "belongs to a run against a server on this machine" in done.stderr
        assert states() == before

    def test_rows_that_name_accounts_on_the_emulator(
        self, invoke: Callable[..., Any], url_csv: Callable[..., Path]
    ) -> None:
        path = url_csv(3, header=",account", cell=",cleo@example.com")
        words = ["bulk", "run", path, "--ledger", LEDGER, "--emulator", "--rate", "none"]
        assert invoke(*words, "--faults", "avatars.create:status=400@at=2").exit_code == 1
        done = invoke("bulk", "retry", LEDGER, "--emulator", "--rate", "none")
        assert done.exit_code == 0, done.stderr

    def test_a_retry_that_was_cut_short_goes_on(
        self, invoke: Callable[..., Any], ran: None, service: Any, emulator: Emulator
    ) -> None:
        emulator.add_faults([Fault("avatars.create", "status", status=401, at=1)])
        words = ["bulk", "retry", LEDGER, "--rate", "none", "--concurrency", "1"]
        first = invoke(*words)
        assert first.exit_code == 1  # k2 was refused, which parked the account, so k4 was skipped
        assert "run the same command again to go on where it stopped." in first.stdout
        assert invoke(*words).exit_code == 0
        assert set(states().values()) == {"done"}

"""Does `bulk run` make an avatar of each row, once, and say so?"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jobs import avatars

from kling_async.bulk.records import Step
from kling_async.emulator import Emulator, Fault, sample_png

LEDGER = Path("avatars.sqlite")


def in_ledger() -> dict[str, Step]:
    return avatars(LEDGER)


def test_against_a_service_each_row_is_sent_once(
    invoke: Callable[..., Any], url_csv: Callable[..., Path], service: Any, emulator: Emulator
) -> None:
    words = ["bulk", "run", url_csv(30), "--ledger", LEDGER, "--rate", "none"]
    assert invoke(*words).exit_code == 0
    made = {one.nickname: one.id for one in emulator.avatars}
    assert {key: one.remote_id for key, one in in_ledger().items()} == made
    assert len(made) == 30
    kept, calls = in_ledger(), len(emulator.calls)
    again = invoke(*words)
    assert again.exit_code == 0
    assert "30 of 30 rows created in earlier runs; nothing was sent." in again.stdout
    assert len(emulator.calls) == calls
    assert in_ledger() == kept


def test_rows_may_be_added_at_the_end(
    invoke: Callable[..., Any], url_csv: Callable[..., Path], service: Any
) -> None:
    for count in (3, 5):
        words = ["bulk", "run", url_csv(count), "--ledger", LEDGER, "--rate", "none"]
        assert invoke(*words).exit_code == 0
    assert sorted(service.creates) == ["k1", "k2", "k3", "k4", "k5"]


def test_rows_may_be_added_on_the_built_in_emulator(
    invoke: Callable[..., Any], url_csv: Callable[..., Path]
) -> None:
    for count in (3, 5):
        words = ["bulk", "run", url_csv(count), "--ledger", LEDGER, "--rate", "none"]
        assert invoke(*words, "--emulator").exit_code == 0


def test_pictures_beside_the_input_are_uploaded(
    invoke: Callable[..., Any], folder: Path, service: Any, emulator: Emulator
) -> None:
    (folder / "sub").mkdir()
    for n in range(3):
        (folder / "sub" / f"{n}.png").write_bytes(sample_png(n))
    (folder / "sub" / "in.jsonl").write_text(
        "".join(json.dumps({"key": f"k{n}", "image": f"{n}.png"}) + "\n" for n in range(3))
    )
    done = invoke("bulk", "run", "sub/in.jsonl", "--ledger", LEDGER, "--rate", "none")
    assert done.exit_code == 0, done.stderr
    assert {one.upload_name for one in emulator.avatars} == {one.name for one in emulator.uploads}
    assert len(emulator.avatars) == 3


def test_rows_that_fail_are_shown_and_the_code_is_1(
    invoke: Callable[..., Any], url_csv: Callable[..., Path], service: Any, emulator: Emulator
) -> None:
    emulator.add_faults([Fault("avatars.create", "status", status=400, at=2)])
    words = ["bulk", "run", url_csv(3), "--ledger", LEDGER, "--rate", "none", "--concurrency", "1"]
    done = invoke(*words)
    assert done.exit_code == 1
    assert "2 of 3 rows created, 1 failed in " in done.stdout
    assert f"kling-async bulk retry {LEDGER}" in done.stdout
    assert "line 3 (k2, 2.png) failed: the server answered 400" in done.stderr
    # A row that failed is not sent again by itself.
    assert invoke(*words).exit_code == 1
    assert service.creates == ["k1", "k2", "k3"]


def test_a_refused_token_parks_and_says_what_to_do(
    invoke: Callable[..., Any], url_csv: Callable[..., Path], service: Any
) -> None:
    words = ["bulk", "run", url_csv(5), "--ledger", LEDGER, "--rate", "none", "--concurrency", "1"]
    done = invoke(*words, env={"USEAPI_TOKEN": "user:1-wrong"})
    assert done.exit_code == 1
    assert "Parked: " in done.stdout
    assert "check the token" in done.stdout
    assert "Once the account can be used, run the same command again to go on" in done.stdout
    assert "user:1-wrong" not in done.stdout + done.stderr


def test_an_account_that_is_not_configured(
    invoke: Callable[..., Any], url_csv: Callable[..., Path], service: Any
) -> None:
    done = invoke("bulk", "run", url_csv(1), "--ledger", LEDGER, "--account", "zoe@example.com")
    assert done.exit_code == 1
    assert "account zoe@example.com can't be used now: " in done.stdout
    assert "`kling-async accounts list` shows those that can" in done.stdout


def test_several_accounts_and_none_is_named(
    invoke: Callable[..., Any], url_csv: Callable[..., Path], service: Any, emulator: Emulator
) -> None:
    add = ["accounts", "add", "ben@example.com", "--max-jobs", "5"]
    assert invoke(*add, env={"KLING_PASSWORD": "secret"}).exit_code == 0
    done = invoke("bulk", "run", url_csv(1), "--ledger", LEDGER)
    assert done.exit_code == 1
    assert "the server answered 400" in done.stdout
    assert "name those to use with --account or a column `account`" in done.stdout


def test_a_dry_run_knows_what_is_done(
    invoke: Callable[..., Any], url_csv: Callable[..., Path], service: Any
) -> None:
    words = ["bulk", "run", url_csv(2), "--ledger", LEDGER, "--rate", "none"]
    assert "already" not in invoke(*words, "--dry-run").stdout
    assert invoke(*words).exit_code == 0
    said = invoke(*words, "--dry-run").stdout
    assert f"2 of the avatars are in {LEDGER} already, and are not made again." in said


def test_faults_of_the_built_in_emulator(
    invoke: Callable[..., Any], url_csv: Callable[..., Path]
) -> None:
    words = ["bulk", "run", url_csv(4), "--ledger", LEDGER, "--rate", "none", "--emulator"]
    done = invoke(*words, "--concurrency", "1", "--faults", "avatars.create:status=422@at=1+3")
    assert done.exit_code == 1
    assert [one.state for one in in_ledger().values()] == ["failed", "done", "failed", "done"]


class TestAccounts:
    @pytest.fixture
    def emulator(self) -> Emulator:
        return Emulator(["ada@example.com", "ben@example.com"])

    def test_those_of_the_rows(
        self, invoke: Callable[..., Any], folder: Path, service: Any, emulator: Emulator
    ) -> None:
        (folder / "in.csv").write_text(
            "image_url,account\nhttps://e.com/1.png,ada@example.com\n"
            "https://e.com/2.png,ben@example.com\n"
        )
        assert invoke("bulk", "run", "in.csv", "--ledger", LEDGER).exit_code == 0
        assert sorted((one.image_url[-5], one.account) for one in emulator.avatars) == [
            ("1", "ada@example.com"),
            ("2", "ben@example.com"),
        ]

    def test_the_built_in_emulator_has_those_of_the_rows(
        self, invoke: Callable[..., Any], url_csv: Callable[..., Path]
    ) -> None:
        path = url_csv(4, header=",account", cell=",cleo@example.com")
        done = invoke("bulk", "run", path, "--ledger", LEDGER, "--emulator", "--rate", "none")
        assert done.exit_code == 0
        assert {one.account for one in in_ledger().values()} == {"cleo@example.com"}

    def test_round_robin(
        self,
        invoke: Callable[..., Any],
        url_csv: Callable[..., Path],
        service: Any,
        emulator: Emulator,
    ) -> None:
        words = ["bulk", "run", url_csv(6), "--ledger", LEDGER, "--rate", "none"]
        words += ["--account", "ada@example.com", "--account", "ben@example.com"]
        assert invoke(*words, "--choose", "round_robin").exit_code == 0
        accounts = [one.account for one in emulator.avatars]
        assert sorted(accounts) == ["ada@example.com"] * 3 + ["ben@example.com"] * 3

    def test_none_named_and_none_chosen(
        self, invoke: Callable[..., Any], url_csv: Callable[..., Path], service: Any
    ) -> None:
        done = invoke(
            "bulk", "run", url_csv(6), "--ledger", LEDGER,
            env={"KLING_ACCOUNTS": "ada@example.com,ben@example.com"},
        )  # fmt: skip
        assert done.exit_code == 2
        assert "6 rows of " in done.stderr
        assert "--choose round_robin" in done.stderr
        assert service.creates == []
        assert not LEDGER.exists()

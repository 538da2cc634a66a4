"""Whose account does a row of `create_many` use, and what if that account can't be used?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from jobs import assert_all_made_once, avatars, creates, results, sent_keys, url_rows

from kling_async import AccountRegistry, AccountRequiredError, AsyncKlingClient
from kling_async.emulator import Emulator, Fault, sample_png

ADA, BEN = "ada@example.com", "ben@example.com"
OpenClient = Callable[..., Awaitable[AsyncKlingClient]]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "avatars.sqlite"


@pytest.fixture
def emulator() -> Emulator:
    return Emulator([ADA, BEN])


async def test_rows_go_to_the_accounts_they_name(
    open_client: OpenClient, emulator: Emulator, ledger: Path
) -> None:
    kling = await open_client(accounts=[ADA, BEN])
    rows = [{**row, "email": (ADA, BEN)[n % 2]} for n, row in enumerate(url_rows(10))]
    found = await results(kling, rows, ledger)
    assert {row["key"]: row["email"] for row in rows} == {
        key: one.account for key, one in found.items()
    }
    assert {one.nickname: one.account for one in emulator.avatars} == {
        key: one.account for key, one in found.items()
    }


async def test_round_robin_shares_the_rows(
    open_client: OpenClient, emulator: Emulator, ledger: Path
) -> None:
    kling = await open_client(accounts=AccountRegistry([ADA, BEN], choose="round_robin"))
    found = await results(kling, url_rows(20), ledger)
    assert Counter(one.account for one in found.values()) == {ADA: 10, BEN: 10}
    assert_all_made_once(emulator, ledger, 20)
    assert {one.nickname: one.account for one in emulator.avatars} == {
        key: one.account for key, one in found.items()
    }


async def test_no_choice_is_an_error_and_nothing_is_sent(
    open_client: OpenClient, emulator: Emulator, ledger: Path
) -> None:
    kling = await open_client(accounts=[ADA, BEN])
    with pytest.raises(AccountRequiredError):
        await results(kling, url_rows(10), ledger)
    assert creates(emulator) == []
    assert {one.state for one in avatars(ledger).values()} == {"planned"}


class TestParking:
    """401 says that nothing will work until somebody mends the account."""

    @pytest.fixture
    def fault(self, emulator: Emulator) -> Fault:
        fault = Fault("avatars.create", "status", status=401, account=ADA, times=1)
        emulator.add_faults([fault])
        return fault

    async def test_rows_after_it_are_skipped_and_done_by_the_next_run(
        self, open_client: OpenClient, emulator: Emulator, ledger: Path, fault: Fault
    ) -> None:
        kling = await open_client(accounts=[ADA])
        found = await results(kling, url_rows(6), ledger, concurrency=1)
        assert [found[f"k{n}"].state for n in range(1, 7)] == ["failed"] + ["skipped"] * 5
        assert "401" in str(found["k1"].error)
        assert ADA in str(found["k2"].error)
        assert "401" in str(found["k2"].error)
        assert sent_keys(emulator) == ["k1"]
        kept = avatars(ledger)
        assert {kept[f"k{n}"].state for n in range(2, 7)} <= {"planned", "ready"}

        found = await results(kling, url_rows(6), ledger)
        assert [found[f"k{n}"].state for n in range(1, 7)] == ["failed"] + ["created"] * 5
        assert sorted(sent_keys(emulator)) == [f"k{n}" for n in range(1, 7)]

    async def test_another_account_goes_on(
        self, open_client: OpenClient, emulator: Emulator, ledger: Path, fault: Fault
    ) -> None:
        kling = await open_client(accounts=[ADA, BEN])
        rows = [{**row, "email": (ADA, BEN)[n % 2]} for n, row in enumerate(url_rows(10))]
        found = await results(kling, rows, ledger, concurrency=1)
        states = [found[f"k{n}"].state for n in range(1, 11)]
        assert states == ["failed", "created"] + ["skipped", "created"] * 4
        assert {one.account for one in emulator.avatars} == {BEN}

    async def test_round_robin_leaves_it_out(
        self, open_client: OpenClient, emulator: Emulator, ledger: Path, fault: Fault
    ) -> None:
        kling = await open_client(accounts=AccountRegistry([ADA, BEN], choose="round_robin"))
        found = await results(kling, url_rows(10), ledger, concurrency=1)
        states = Counter(one.state for one in found.values())
        assert states == {"failed": 1, "created": 9}
        assert {one.account for one in emulator.avatars} == {BEN}

    @pytest.mark.parametrize("status", [402, 403])
    async def test_what_else_parks(
        self, open_client: OpenClient, emulator: Emulator, ledger: Path, status: int
    ) -> None:
        emulator.add_faults([Fault("avatars.create", "status", status=status)])
        kling = await open_client(accounts=[ADA])
        found = await results(kling, url_rows(4), ledger, concurrency=1)
        assert [found[f"k{n}"].state for n in range(1, 5)] == ["failed"] + ["skipped"] * 3
        assert len(creates(emulator)) == 1

    async def test_an_upload_refused_with_401_parks_too(
        self, open_client: OpenClient, emulator: Emulator, ledger: Path, tmp_path: Path
    ) -> None:
        emulator.add_faults([Fault("assets.upload", "status", status=401, times=1)])
        (tmp_path / "a.png").write_bytes(sample_png())
        rows = [{"key": f"k{n}", "image": tmp_path / "a.png"} for n in range(4)]
        kling = await open_client(accounts=[ADA])
        found = await results(kling, rows, ledger, concurrency=1)
        assert [found[f"k{n}"].state for n in range(4)] == ["failed"] + ["skipped"] * 3
        assert creates(emulator) == []

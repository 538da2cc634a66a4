"""Who decides about an unknown row, with what, and what is never decided without the user?"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from click.testing import CliRunner, Result
from jobs import JumpClock, avatars, creates, job, results, sent_keys, url_rows

from kling_async import AsyncKlingClient, BulkRow
from kling_async.bulk.doubts import ABSENCE_AFTER_S
from kling_async.bulk.health import LooksMadeError
from kling_async.bulk.recipes import AVATARS
from kling_async.bulk.results import bulk_row
from kling_async.bulk.rows import RowBuilder
from kling_async.bulk.runner import BulkRun
from kling_async.bulk.sources import built, registered, reopened
from kling_async.bulk.sqlite import open_ledger
from kling_async.cli.app import cli
from kling_async.emulator import Emulator, Fault, sample_png

ACCOUNT = "demo@example.com"
LAG_S = 5000.0


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "avatars.sqlite"


@pytest.fixture
def kling_options(emulator: Emulator) -> dict[str, Any]:
    return {"clock": JumpClock(emulator), "accounts": [ACCOUNT]}


def command(*words: object) -> Result:
    """Run in a thread, where no loop runs yet; this one waits."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(CliRunner().invoke, cli, ["bulk", *map(str, words)]).result()


def settle(ledger: Path, row: str, *words: str) -> Result:
    return command("settle", ledger, row, *words)


def image_rows(folder: Path, count: int) -> list[dict[str, Any]]:
    """Rows k1, k2 ... with pictures of their own."""
    rows = []
    for n in range(1, count + 1):
        picture = folder / f"{n}.png"
        picture.write_bytes(sample_png(n, 300, 300))
        rows.append({"key": f"k{n}", "image": picture, "nickname": f"k{n}"})
    return rows


async def retried(kling: AsyncKlingClient, ledger: Path) -> dict[str, BulkRow]:
    """What `bulk retry` does."""
    async with job(kling, ledger, AVATARS) as opened:
        rows = opened.run.results(reopened(opened.ledger, numbers=(1,)))
        return {one.row.key: bulk_row(one) async for one in rows}


async def run_with(
    kling: AsyncKlingClient, rows: Any, ledger: Path, **retry: Any
) -> tuple[BulkRun, dict[str, BulkRow]]:
    """A run whose surplus can be asked for."""
    view = kling.with_options(retry=evolve(kling._options.retry, **retry))
    async with job(view, ledger, AVATARS) as opened:
        with RowBuilder(AVATARS) as builder:
            chunks = registered(opened.ledger, opened.requests, built(builder, rows))
            results = opened.run.results(chunks)
            found = {one.row.key: bulk_row(one) async for one in results}
    return opened.run, found


class TestByTheUser:
    """k1 is created, k2 unknown: its create never arrived, or its avatar is not listed."""

    @pytest.fixture
    def made(self) -> bool:
        """Whether the unknown row's avatar exists all the same."""
        return False

    @pytest.fixture
    def emulator(self, made: bool) -> Emulator:
        kind = "reset_after" if made else "reset_before"
        return Emulator(faults=[Fault("avatars.create", kind, at=2)], listing_lag_s=LAG_S)

    @pytest.fixture
    async def unknown(self, kling: AsyncKlingClient, ledger: Path) -> dict[str, BulkRow]:
        found = await results(kling, url_rows(2), ledger, concurrency=1)
        assert [one.state for one in found.values()] == ["created", "unknown"]
        return found

    async def test_a_listing_that_could_not_be_had_is_not_said_to_show_nothing(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        emulator.add_faults([Fault("avatars.list", "status", status=500, at=range(2, 5000))])
        found = await results(kling, url_rows(2), ledger, concurrency=1)
        assert "for 120 s: at its end no listing was had" in str(found["k2"].error)

    @pytest.mark.parametrize("made", [True])
    async def test_adopt(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path, unknown: Any
    ) -> None:
        avatar = emulator.avatars[1]
        done = settle(ledger, "k2", "--adopt", avatar.id)
        assert (done.exit_code, done.output) == (0, "row k2: settled\n")
        found = await results(kling, url_rows(2), ledger)
        assert (found["k2"].state, found["k2"].avatar_id) == ("created", avatar.id)
        assert found["k2"].evidence == "settled"
        assert sent_keys(emulator) == ["k1", "k2"]

    async def test_adopt_what_another_row_has(self, ledger: Path, unknown: Any) -> None:
        before = avatars(ledger)
        mistyped = settle(ledger, "k2", "--adopt", "xx")
        assert (mistyped.exit_code, "a string of digits" in mistyped.output) == (2, True)
        refused = settle(ledger, "k2", "--adopt", str(unknown["k1"].avatar_id))
        assert refused.exit_code == 2
        assert "belongs to another row" in refused.output
        assert avatars(ledger) == before

    async def test_resend(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path, unknown: Any
    ) -> None:
        done = settle(ledger, "k2", "--resend")
        assert (done.exit_code, done.output) == (0, "row k2: the next `bulk run` sends it again\n")
        found = await results(kling, url_rows(2), ledger)
        assert found["k2"].state == "created"
        assert found["k2"].avatar_id == emulator.avatars[1].id
        assert sent_keys(emulator) == ["k1", "k2", "k2"]

    @pytest.mark.parametrize("made", [True])
    async def test_resend_of_what_turned_up_meanwhile_adopts_it(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path, unknown: Any
    ) -> None:
        settle(ledger, "k2", "--resend")
        emulator.clock.advance(LAG_S)
        found = await results(kling, url_rows(2), ledger)
        assert found["k2"].avatar_id == emulator.avatars[1].id
        assert sent_keys(emulator) == ["k1", "k2"]

    async def test_resend_uses_the_same_upload(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path, tmp_path: Path
    ) -> None:
        rows = image_rows(tmp_path, 2)
        found = await results(kling, rows, ledger, concurrency=1)
        assert found["k2"].state == "unknown"
        settle(ledger, "k2", "--resend")
        await results(kling, rows, ledger)
        assert len(emulator.uploads) == 2
        sent = [(one.fields or {})["imageUrl"] for one in creates(emulator)]
        assert sent[1] == sent[2]

    async def test_abandon_is_for_good(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path, unknown: Any
    ) -> None:
        done = settle(ledger, "k2", "--abandon")
        assert (done.exit_code, done.output) == (0, "row k2: settled\n")
        assert await retried(kling, ledger) == {}
        found = await results(kling, url_rows(2), ledger)
        assert found["k2"].state == "failed"
        assert found["k2"].error == "abandoned by the user; an avatar of it may exist"
        assert sent_keys(emulator) == ["k1", "k2"]

    @pytest.mark.parametrize(
        ("words", "text"),
        [
            (("k2",), "give one of"),
            (("k2", "--resend", "--abandon"), "give one of"),
            (("k2", "--adopt", "1", "--resend"), "give one of"),
            (("k1", "--resend"), "row k1 is done, not unknown"),
            (("k3", "--resend"), "has no row 'k3'"),
            (("k\udcff", "--resend"), r"has no row 'k\udcff'"),
        ],
    )
    async def test_wrong_use(
        self, ledger: Path, unknown: Any, words: tuple[str, ...], text: str
    ) -> None:
        before = avatars(ledger)
        refused = settle(ledger, *words)
        assert refused.exit_code == 2
        assert text in refused.output
        assert avatars(ledger) == before

    def test_no_ledger(self, ledger: Path) -> None:
        refused = settle(ledger, "k1", "--resend")
        assert refused.exit_code == 2
        assert "there is no ledger" in refused.output
        assert not ledger.exists()

    async def test_a_ledger_that_a_run_is_using(
        self, kling: AsyncKlingClient, ledger: Path, unknown: Any
    ) -> None:
        async with open_ledger(ledger, service=kling._pipeline.service):
            refused = settle(ledger, "k2", "--resend")
        assert refused.exit_code == 2
        assert "is in use by process" in refused.output

    async def test_status_tells_all_that_is_needed_to_decide(
        self, ledger: Path, unknown: Any
    ) -> None:
        sent_at = avatars(ledger)["k2"].intent_at
        shown = command("status", ledger).output
        head, could_be, cost, *commands = shown.splitlines()[1:]
        assert head.startswith(f"unknown: row k2, account {ACCOUNT}, sent ")
        assert time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(sent_at)) in head
        assert "the answer was lost" in head
        assert "it was looked for, for 120 s: nothing listed could be it" in head
        assert could_be == "  could be: none listed"
        assert "may cost: one avatar more than wanted" in cost
        base = f"kling-async bulk settle {ledger} k2"
        assert [one.partition(":")[2].strip() for one in commands] == [
            f"{base} --adopt AVATAR_ID",
            f"{base} --resend",
            f"{base} --abandon",
        ]


class TestLate:
    @pytest.mark.parametrize("picture", ["image", "url"])
    async def test_a_later_run_finds_what_the_first_did_not(
        self,
        open_client: Callable[..., Any],
        kling_options: dict[str, Any],
        tmp_path: Path,
        ledger: Path,
        picture: str,
    ) -> None:
        emulator = Emulator(
            faults=[Fault("avatars.create", "reset_after", at=2)], listing_lag_s=LAG_S
        )
        clock = JumpClock(emulator)
        kling = await open_client(transport=emulator.transport(), clock=clock)
        rows = image_rows(tmp_path, 3) if picture == "image" else list(url_rows(3))
        first = await results(kling, rows, ledger, concurrency=1)
        assert first["k2"].state == "unknown"
        still = await results(kling, rows, ledger)
        assert still["k2"].state == "unknown"
        emulator.clock.advance(LAG_S)
        found = await results(kling, rows, ledger)
        assert (found["k2"].state, found["k2"].evidence) == ("created", "adopted-late")
        assert found["k2"].avatar_id == emulator.avatars[1].id
        assert len(creates(emulator)) == 3


class TestRestored:
    """The ledger is an old copy: what was sent after it was made is not in it."""

    @pytest.mark.parametrize("picture", ["image", "url"])
    async def test_rows_that_were_ready(
        self,
        kling: AsyncKlingClient,
        open_client: Callable[..., Any],
        emulator: Emulator,
        tmp_path: Path,
        ledger: Path,
        picture: str,
    ) -> None:
        emulator.add_faults([Fault("avatars.create", "status", status=402, times=1)])
        rows = image_rows(tmp_path, 6) if picture == "image" else list(url_rows(6))
        # With all rows under way at once, all are ready when the account is found to be parked.
        emulator.add_faults(
            [Fault("avatars.create", "status", status=429, form="absurd", at=range(1, 7))]
        )
        await results(kling, rows, ledger, concurrency=6)
        states = {one.state for one in avatars(ledger).values()}
        assert "ready" in states
        ready = {key for key, one in avatars(ledger).items() if one.state == "ready"}
        old = shutil.copy(ledger, tmp_path / "old.sqlite")
        made = dict[str, str]()
        while not ready <= set(made):  # each run uses up one refusal that is left, at least
            kling = await open_client()  # the one before keeps the account parked
            await results(kling, rows, ledger)
            made = {one.nickname: one.id for one in emulator.avatars}
        shutil.copy(old, ledger)
        if picture == "url":  # whose avatars these are, their addresses don't tell
            with pytest.raises(LooksMadeError, match=f"{len(ready)} rows look as if made already"):
                await results(kling, rows, ledger)
            assert len(emulator.avatars) == len(made)
            return
        found = await results(kling, rows, ledger)
        again = [one.nickname for one in emulator.avatars if one.nickname in ready]
        assert sorted(again) == sorted(ready)
        assert {key: found[key].avatar_id for key in ready} == {key: made[key] for key in ready}
        assert {found[key].evidence for key in ready} == {"recovered"}

    async def test_rows_with_addresses_that_were_not_begun(
        self,
        kling: AsyncKlingClient,
        open_client: Callable[..., Any],
        emulator: Emulator,
        tmp_path: Path,
        ledger: Path,
    ) -> None:
        emulator.add_faults([Fault("avatars.create", "status", status=402, times=1)])
        await results(kling, url_rows(5), ledger, concurrency=1)
        assert [one.state for one in avatars(ledger).values()] == ["failed", *["planned"] * 4]
        old = shutil.copy(ledger, tmp_path / "old.sqlite")
        await results(kling, url_rows(5), ledger)
        assert len(emulator.avatars) == 4
        shutil.copy(old, ledger)
        turns = Turns()
        kling = await open_client(rate_limit=turns, accounts=[ACCOUNT])
        with pytest.raises(LooksMadeError, match="4 rows look as if made already") as refused:
            await results(kling, url_rows(5), ledger)
        assert set(refused.value.problems) == {"k2", "k3", "k4", "k5"}
        assert len(emulator.avatars) == 4
        assert turns.taken == 1  # to list; no row waits for a turn that it has no use for
        await results(kling, url_rows(5), ledger, again=True)
        assert len(emulator.avatars) == 8


class Turns:
    """A limiter that counts."""

    taken = 0

    async def acquire(self, account: str | None) -> None:
        self.taken += 1


async def test_what_is_uploaded_again_is_what_its_avatar_is_known_by(
    kling: AsyncKlingClient, emulator: Emulator, tmp_path: Path, ledger: Path
) -> None:
    emulator.add_faults(
        [
            Fault("avatars.create", "status", status=422, at=1),
            Fault("avatars.create", "reset_after", at=2),
        ]
    )
    found = await results(kling, image_rows(tmp_path, 1), ledger)
    assert found["k1"].state == "failed"
    found = await retried(kling, ledger)
    assert (found["k1"].state, found["k1"].evidence) == ("created", "adopted")
    assert len(emulator.uploads) == 2
    assert str(avatars(ledger)["k1"].addresses["image_url"]).endswith(emulator.uploads[1].name)


class TestAddressesThatProveNothing:
    async def test_one_that_was_listed_before_the_job(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        rows = list(url_rows(2))
        old = await kling.avatars.create(image_url=rows[0]["image_url"], nickname="k1")
        emulator.add_faults([Fault("avatars.create", "reset_after", times=2)])
        with pytest.raises(LooksMadeError, match=f"k1 \\(avatar {old.id}\\)"):
            await results(kling, rows, ledger)
        assert len(creates(emulator)) == 1
        found = await results(kling, rows, ledger, again=True)
        assert {one.state for one in found.values()} == {"created"}
        mine = [one.id for one in emulator.avatars if one.nickname == "k1"]
        assert found["k1"].avatar_id == mine[1]
        assert old.id == mine[0]
        assert len(emulator.avatars) == 3

    async def test_one_that_two_rows_share(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        url = "https://example.com/both.png"
        rows = [{"key": key, "image_url": url, "nickname": "both"} for key in ("k1", "k2")]
        emulator.add_faults([Fault("avatars.create", "reset_after", at=(1, 2))])
        found = await results(kling, rows, ledger, concurrency=2)
        assert sorted(one.state for one in found.values()) == ["unknown", "unknown"]
        assert len(emulator.avatars) == 2
        for unknown in avatars(ledger).values():
            assert set(unknown.candidates) == {one.id for one in emulator.avatars}
            assert str(unknown.error).endswith("2 avatars could be it, but several are alike")

    async def test_what_could_be_it_is_shown(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        await self.test_one_that_two_rows_share(kling, emulator, ledger)
        unknown = avatars(ledger)["k1"]
        could_be = ", ".join(unknown.candidates)
        assert f"  could be: {could_be}\n" in command("status", ledger).output


async def test_surplus_is_reported_and_left_alone(
    open_client: Callable[..., Any], tmp_path: Path, ledger: Path
) -> None:
    emulator = Emulator(
        faults=[Fault("avatars.create", "reset_after", at=(1, 2))], listing_lag_s=LAG_S
    )
    kling = await open_client(transport=emulator.transport(), clock=JumpClock(emulator))
    rows = image_rows(tmp_path, 1)
    await results(kling, rows, ledger)
    settle(ledger, "k1", "--resend")
    run, found = await run_with(kling, rows, ledger, reconcile_within_s=2 * LAG_S)
    oldest, second = emulator.avatars
    assert (found["k1"].avatar_id, found["k1"].evidence) == (oldest.id, "adopted")
    # The younger one may show up later than the row was settled.
    assert run.surplus("avatar") in ([], [second.id])
    assert emulator.deleted_avatars == []


class TestResendAfterAbsence:
    """Opted for; what was looked for in vain for half an hour is sent again by the next run."""

    @pytest.fixture
    def emulator(self) -> Emulator:
        return Emulator(faults=[Fault("avatars.create", "reset_before", at=1)])

    async def test_an_upload_of_its_own_is_sent_again(
        self, kling: AsyncKlingClient, emulator: Emulator, tmp_path: Path, ledger: Path
    ) -> None:
        rows = image_rows(tmp_path, 1)
        begun_s = emulator.clock.monotonic()
        _, found = await run_with(kling, rows, ledger, resend_after_absence=True)
        assert emulator.clock.monotonic() - begun_s >= ABSENCE_AFTER_S
        assert found["k1"].state == "skipped"
        assert found["k1"].error == "it was not found; the next run sends it again"
        _, again = await run_with(kling, rows, ledger, resend_after_absence=True)
        assert again["k1"].state == "created"
        assert sent_keys(emulator) == ["k1", "k1"]

    async def test_not_without_opting(
        self, kling: AsyncKlingClient, emulator: Emulator, tmp_path: Path, ledger: Path
    ) -> None:
        rows = image_rows(tmp_path, 1)
        for _ in range(2):
            _, found = await run_with(kling, rows, ledger, reconcile_within_s=4000)
            assert found["k1"].state == "unknown"
        assert sent_keys(emulator) == ["k1"]

    async def test_an_address_of_the_users_is_not(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        for _ in range(2):
            _, found = await run_with(kling, url_rows(1), ledger, resend_after_absence=True)
            assert found["k1"].state == "unknown"
        assert sent_keys(emulator) == ["k1"]

    async def test_a_listing_that_looks_cut_proves_no_absence(
        self, open_client: Callable[..., Any], tmp_path: Path, ledger: Path
    ) -> None:
        emulator = Emulator(listing_limit=20)
        kling = await open_client(transport=emulator.transport(), clock=JumpClock(emulator))
        for n in range(25):
            await kling.avatars.create(image_url=f"https://others.example/{n}.png")
        emulator.add_faults([Fault("avatars.create", "reset_before", at=1)])
        _, found = await run_with(kling, image_rows(tmp_path, 1), ledger, resend_after_absence=True)
        assert found["k1"].state == "unknown"

    async def test_a_listing_that_fails_proves_no_absence(
        self, kling: AsyncKlingClient, emulator: Emulator, tmp_path: Path, ledger: Path
    ) -> None:
        rows = image_rows(tmp_path, 1)
        emulator.add_faults([Fault("avatars.list", "status", status=502, at=range(2, 999))])
        _, found = await run_with(kling, rows, ledger, resend_after_absence=True)
        assert found["k1"].state == "unknown"

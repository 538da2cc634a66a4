"""Can a program settle many unknown rows with one call, all of them or none?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jobs import url_rows

from kling_async import AsyncKlingClient, InvalidRequestError
from kling_async.bulk.problems import InputError
from kling_async.bulk.settle import settle, settle_many
from kling_async.emulator import Emulator, Fault

STRANGE = "300000000000001"


@pytest.fixture
async def ledger(kling: AsyncKlingClient, emulator: Emulator, tmp_path: Path) -> Path:
    """Four rows: k1 is created, and k2 to k4 lost their answer and are shown nowhere."""
    path = tmp_path / "avatars.sqlite"
    emulator.add_faults([Fault("avatars.create", "status", status=502, at=(2, 3, 4))])
    at_once = kling.with_options(retry=kling._options.retry.__class__(reconcile_within_s=0))
    many = at_once.avatars.create_many(url_rows(4), ledger=path, concurrency=1)
    assert [one.state async for one in many] == ["created", "unknown", "unknown", "unknown"]
    return path


async def states(kling: AsyncKlingClient, ledger: Path) -> list[str]:
    return [one.state async for one in kling.bulk.results(ledger)]


@pytest.mark.parametrize(
    ("words", "settled", "after"),
    [
        ({"keys": ["k2", "k3", "k2"], "resend": True}, ["k2", "k3"], "skipped skipped unknown"),
        ({"keys": "k4", "abandon": True}, ["k4"], "unknown unknown failed"),
        ({"keys": [], "resend": True}, [], "unknown unknown unknown"),
        ({"all_unknown": True, "abandon": True}, ["k2", "k3", "k4"], "failed failed failed"),
        ({"all_unknown": True, "abandon": True, "step": 2}, [], "unknown unknown unknown"),
        (
            {"decisions": {"k2": "resend", "k3": "", "k4": f"adopt {STRANGE}", "k1": "resend"}},
            ["k2", "k4"],
            "skipped unknown done",
        ),
        ({"decisions": "said.csv"}, ["k2", "k3"], "failed done unknown"),
    ],
)
async def test_what_is_said_is_done(
    kling: AsyncKlingClient,
    ledger: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: dict[str, Any],
    settled: list[str],
    after: str,
) -> None:
    monkeypatch.chdir(ledger.parent)
    Path("said.csv").write_text(f"key,decision\nk2,abandon\nk3,{STRANGE}\nk4,\n")
    for expected in (settled, []) if "decisions" in words else (settled,):
        found = await kling.bulk.settle_many(ledger, **words)
        assert [one.key for one in found] == expected
    assert await states(kling, ledger) == ["done", *after.split()]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"keys": ["k2", "k1", "nobody"], "resend": True}, ["row k1 is done", "nobody"]),
        (
            {"decisions": {"k2": "again", "k3": "adopt", "k4": "resend"}},
            ["decisions['k2']: is 'again'; it must be resend"],
        ),
        ({"decisions": {"k2": STRANGE, "k3": STRANGE}}, ["another row's, and not row k3's"]),
        ({"decisions": "missing.csv"}, ["missing.csv: can't be read"]),
    ],
)
async def test_all_or_none(
    kling: AsyncKlingClient, ledger: Path, words: dict[str, Any], said: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        await kling.bulk.settle_many(ledger, **words)
    for one in (*said, "Nothing was settled."):
        assert one in str(caught.value)
    assert await states(kling, ledger) == ["done", "unknown", "unknown", "unknown"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"resend": True}, "give exactly one of keys, all_unknown and decisions"),
        ({"keys": ["k2"], "all_unknown": True, "resend": True}, "give exactly one of keys"),
        ({"keys": ["k2"]}, "give exactly one of resend and abandon"),
        ({"all_unknown": True, "resend": True, "abandon": True}, "give exactly one of resend"),
        ({"decisions": {"k2": "resend"}, "resend": True}, "decisions says by itself"),
    ],
)
async def test_words_that_mean_nothing(
    kling: AsyncKlingClient, words: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        await kling.bulk.settle_many("none.sqlite", **words)


async def test_the_address_of_a_shared_ledger_is_told_without_its_password(
    kling: AsyncKlingClient, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("psycopg")
    from kling_async.bulk import settle as module

    for name in ("open_ledger", "read_ledger"):  # a file stands for the database
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda _, real=real, **given: real(ledger, **given))
    address, word = "postgresql://ada:hunter2@db/kling", "postgresql://ada@db/kling#main"
    words = await module.words_of(address, decision="resend", keys=["k1"])
    with pytest.raises(InputError, match=word) as refused:
        await settle_many(address, words)
    assert "hunter2" not in str(refused.value)
    made = (await anext(kling.bulk.results(ledger))).remote_id
    with pytest.raises(Exception, match=word) as claimed:
        await settle(address, "k2", "adopt", adopt=made)
    assert "hunter2" not in str(claimed.value)

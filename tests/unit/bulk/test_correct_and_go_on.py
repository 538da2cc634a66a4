"""Is a row that failed made once it is mended, and is nothing that exists made again?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from jobs import avatars, results, sent_keys, url_rows

from kling_async import AsyncKlingClient, CreateAvatar
from kling_async.emulator import Emulator, Fault, sample_png


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "avatars.sqlite"


def refused(emulator: Emulator, *at: int) -> None:
    emulator.add_faults([Fault("avatars.create", "status", status=400, at=at)])


@pytest.mark.parametrize("retry_failed", [False, True])
async def test_failed_rows_are_tried_again_where_that_is_asked_for(
    kling: AsyncKlingClient, emulator: Emulator, ledger: Path, retry_failed: bool
) -> None:
    refused(emulator, 2)
    first = await results(kling, url_rows(3), ledger, concurrency=1)
    assert [one.state for one in first.values()] == ["created", "failed", "created"]
    again = await results(kling, url_rows(3), ledger, retry_failed=retry_failed)
    assert again["k2"].state == ("created" if retry_failed else "failed")
    assert sent_keys(emulator) == ["k1", "k2", "k3"] + ["k2"] * retry_failed


async def test_each_failed_row_is_tried_once_a_run(
    kling: AsyncKlingClient, emulator: Emulator, ledger: Path
) -> None:
    refused(emulator, 1, 2)
    for _ in range(2):
        found = await results(kling, url_rows(1), ledger, retry_failed=True)
        assert found["k1"].state == "failed"
    assert sent_keys(emulator) == ["k1", "k1"]


async def test_any_operation_tries_failed_rows_again(
    kling: AsyncKlingClient, emulator: Emulator, ledger: Path
) -> None:
    refused(emulator, 1)
    states = []
    for _ in range(2):
        rows = [CreateAvatar(image_url="https://example.com/1.png", nickname="k1")]
        run = kling.bulk.run(rows, ledger=ledger, retry_failed=True)
        states += [one.state async for one in run]
    assert states == ["failed", "done"]


@pytest.mark.parametrize("keyed", [True, False], ids=["with keys", "without keys"])
async def test_mended_moved_taken_out_and_put_in(
    kling: AsyncKlingClient, emulator: Emulator, ledger: Path, keyed: bool
) -> None:
    def rows(*given: tuple[str, str]) -> list[dict[str, Any]]:
        found = [
            {"image_url": f"https://e.com/{n}.png", "nickname": n, "prompt": p} for n, p in given
        ]
        return [{"key": one["nickname"], **one} for one in found] if keyed else found

    refused(emulator, 2, 3)
    before = rows(("a", "x"), ("b", "x"), ("c", "x"), ("d", "x"))
    await results(kling, before, ledger, concurrency=1)
    after = rows(("e", "x"), ("d", "x"), ("b", "mended"), ("a", "x"))  # c failed, and is gone
    found = await results(kling, after, ledger)
    assert {one.state for one in found.values()} == {"created"}
    assert sorted(sent_keys(emulator)) == ["a", "b", "b", "c", "d", "e"]
    assert sorted(one.nickname for one in emulator.avatars) == ["a", "b", "d", "e"]


async def test_a_file_that_was_missing_is_looked_at_again(
    kling: AsyncKlingClient, emulator: Emulator, ledger: Path, tmp_path: Path
) -> None:
    row = {"key": "ada", "image": tmp_path / "ada.png"}
    first = await results(kling, [row], ledger)
    assert "can't be read" in str(first["ada"].error)
    (tmp_path / "ada.png").write_bytes(sample_png())
    again = await results(kling, [row], ledger)
    assert again["ada"].state == "created"


async def test_so_is_one_that_went_while_the_run_went_on(
    open_client: Any, emulator: Emulator, ledger: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "ada.png"
    picture.write_bytes(sample_png())

    class Vanishing(httpx.AsyncBaseTransport):
        """The picture goes when the account is listed: after the row was read."""

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.method == "GET":
                picture.unlink(missing_ok=True)
            return await emulator.transport().handle_async_request(request)

    row = {"key": "ada", "image": picture}
    kling = await open_client(transport=Vanishing())
    assert (await results(kling, [row], ledger))["ada"].state == "failed"
    assert avatars(ledger)["ada"].attempts == 0
    picture.write_bytes(sample_png())
    kling = await open_client()
    assert (await results(kling, [row], ledger))["ada"].state == "created"

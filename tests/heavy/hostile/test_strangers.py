"""Does the promise hold where others use the account, and where listings lie?

Each test breaks an assumption: that nobody else makes avatars, that a listing is whole, that equal
addresses are equal things, that an input is only ever run with one ledger. The emulator holds the
truth: which create made which avatar.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pictures
import pytest

from kling_async import AsyncKlingClient, BulkRow, KlingError, OutcomeUnknownError, RetryPolicy
from kling_async.emulator import Emulator, Fault

DAY_MS = 24 * 3600 * 1000
QUICKLY = RetryPolicy(reconcile_within_s=0.6, wait_initial_s=0.01)
Edit = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


class Between(httpx.AsyncBaseTransport):
    """Stands between a client and the emulator, as a proxy or another service would.

    Args:
        emulator: answers.
        listed: changes what `GET /avatars` shows.
        uploaded: changes the answer to an upload.
        before: is called before each create goes on.
        lose: after which creates the answer is lost; "before": it never gets there.
    """

    def __init__(
        self,
        emulator: Emulator,
        *,
        listed: Edit | None = None,
        uploaded: Callable[[dict[str, Any], bytes], dict[str, Any]] | None = None,
        before: Callable[[int], Any] | None = None,
        lose: Callable[[int], str | None] = lambda number: None,
    ) -> None:
        self._inner = emulator.transport()
        self._listed = listed
        self._uploaded = uploaded
        self._before = before
        self._lose = lose
        self.creates = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path, content = request.url.path, await request.aread()
        create = request.method == "POST" and path.endswith("/avatars")
        fate = None
        if create:
            self.creates += 1
            if self._before is not None:
                await self._before(self.creates)
            fate = self._lose(self.creates)
        if fate == "before":
            await self._began(request)
            raise httpx.ReadError("reset")
        answer = await self._inner.handle_async_request(request)
        body = await answer.aread()
        if fate == "after":
            raise httpx.ReadError("reset")
        if request.method == "GET" and path.endswith("/avatars") and self._listed is not None:
            body = json.dumps(self._listed(json.loads(body))).encode()
        if request.method == "POST" and "/assets" in path and self._uploaded is not None:
            body = json.dumps(self._uploaded(json.loads(body), content)).encode()
        return httpx.Response(answer.status_code, content=body)

    async def _began(self, request: httpx.Request) -> None:
        trace = request.extensions.get("trace")
        if trace is not None:
            await trace("http11.send_request_headers.started", {})


def rows(count: int, who: str, **fields: Any) -> Iterator[dict[str, Any]]:
    """Rows with the same picture addresses, whoever's they are, and texts of their own."""
    for number in range(1, count + 1):
        yield {
            "key": f"k{number}",
            "image_url": f"https://example.com/{number}.png",
            "nickname": f"{who} {number}",
            "prompt": f"{who}: be number {number}",
            **fields,
        }


def client(emulator: Emulator, **between: Any) -> AsyncKlingClient:
    return AsyncKlingClient(
        "user:1-abcdefghi",
        base_url="http://127.0.0.1/v1/kling",
        transport=Between(emulator, **between),
        rate_limit=None,
        retry=QUICKLY,
    )


async def run(
    kling: AsyncKlingClient, given: Any, ledger: Path, *, stop_after: int | None = None, **more: Any
) -> dict[str, BulkRow]:
    found: dict[str, BulkRow] = {}
    async with aclosing(kling.avatars.create_many(given, ledger=ledger, **more)) as results:
        async for row in results:
            found[row.key] = row
            if len(found) == stop_after:
                break
    return found


def assert_own(emulator: Emulator, found: dict[str, BulkRow], who: str) -> None:
    """What rows got was made by their own creates, and nothing was made twice."""
    truth = {one.id: one.nickname for one in emulator.avatars}
    for key, row in found.items():
        if row.avatar_id is not None:
            assert truth[row.avatar_id] == f"{who} {key[1:]}", row
    mine = [name for name in truth.values() if name.startswith(who)]
    assert len(mine) == len(set(mine))


async def test_rows_that_were_never_sent_take_nothing_of_another_job(tmp_path: Path) -> None:
    emulator = Emulator()
    async with client(emulator) as kling:
        await run(kling, rows(20, "ada"), tmp_path / "ada", stop_after=5, concurrency=1)
        before = len(emulator.avatars)
        assert before < 20
        await run(kling, rows(20, "bob"), tmp_path / "bob")
        found = await run(kling, rows(20, "ada"), tmp_path / "ada")
    assert {row.state for row in found.values()} == {"created"}
    assert len(emulator.avatars) == 40
    assert_own(emulator, found, "ada")


@pytest.mark.parametrize("fate", ["before", "after"])
@pytest.mark.parametrize("texts", [{}, {"prompt": None}, {"nickname": None, "prompt": None}])
async def test_two_jobs_at_once_on_one_account(
    tmp_path: Path, fate: str, texts: dict[str, None]
) -> None:
    """Both use the same pictures, and every third answer of ours is lost."""
    emulator = Emulator()
    theirs = client(emulator)

    async def stranger(number: int) -> None:
        await theirs.avatars.create(
            image_url=f"https://example.com/{number}.png", nickname=f"bob {number}"
        )

    async with theirs:
        losing = client(
            emulator, before=stranger, lose=lambda number: fate if number % 3 == 0 else None
        )
        async with losing as kling:
            mine = [{**row, **texts} for row in rows(31, "ada")]  # 62 are no page of anybody's
            found = await run(kling, mine, tmp_path / "ada", concurrency=1)
    truth = {one.id: one.nickname for one in emulator.avatars}
    for row in found.values():
        if row.avatar_id is not None:
            assert not truth[row.avatar_id].startswith("bob"), row
    assert len(emulator.avatars) == 62 - (10 if fate == "before" else 0)
    states = [row.state for row in found.values()]
    assert states.count("created") >= 21
    if fate == "after" and "nickname" not in texts:  # what was sent tells them apart
        assert states.count("created") == 31


async def test_rows_that_name_the_account_and_rows_that_do_not(tmp_path: Path) -> None:
    """They list the same avatars, so what one of them has is not free for the other."""
    emulator, picture = Emulator(), tmp_path / "ada.png"
    picture.write_bytes(pictures.png())
    mine = [
        {**row, "image_url": None, "image": str(picture), "email": email}
        for row, email in zip(rows(31, "ada"), [None, "demo@example.com"] * 16, strict=False)
    ]
    losing = client(emulator, lose=lambda number: "after" if number % 3 == 0 else None)
    async with losing as kling:
        found = await run(kling, mine, tmp_path / "ledger")
        assert {row.state for row in found.values()} == {"created"}
    assert len({row.avatar_id for row in found.values()}) == len(emulator.avatars) == 31
    assert_own(emulator, found, "ada")


@pytest.mark.parametrize("shown", [0, 20, 50])
async def test_avatars_that_the_first_listing_hid_are_not_new(tmp_path: Path, shown: int) -> None:
    """60 days old, of the same pictures with the same texts; and creates that never arrived."""
    emulator = Emulator()
    async with client(emulator) as kling:
        await run(kling, rows(60, "ada"), tmp_path / "long ago")
    old = {one.id for one in emulator.avatars}
    looks = 0

    def listed(avatars: list[dict[str, Any]]) -> list[dict[str, Any]]:
        nonlocal looks
        looks += 1
        for one in avatars:
            if one["id"] in old:
                one["createTime"] -= 60 * DAY_MS
        return avatars if looks > 1 else avatars[:shown]

    async with client(emulator, listed=listed, lose=lambda number: "before") as kling:
        found = await run(kling, rows(60, "ada"), tmp_path / "now", again=True)
    assert {row.avatar_id for row in found.values()} == {None}
    assert {row.state for row in found.values()} == {"unknown"}


@pytest.mark.parametrize("change", ["inserted", "removed", "moved", "all"])
async def test_rows_without_keys_are_known_wherever_they_stand(tmp_path: Path, change: str) -> None:
    given = [{**row, "key": None} for row in rows(12, "ada")]
    given += given[:2]  # two that are wanted twice
    emulator = Emulator()
    async with client(emulator) as kling:
        first = await run(kling, given, tmp_path / "ledger")
        changed, new = list(given), 0
        if change in ("inserted", "all"):
            changed.insert(3, {"image_url": "https://example.com/new.png"})
            new = 1
        if change in ("removed", "all"):
            del changed[7]
        if change in ("moved", "all"):
            changed.reverse()
        second = await run(kling, changed, tmp_path / "ledger")
    assert len(first) == 14
    assert len(emulator.avatars) == 14 + new
    assert {row.state for row in second.values()} == {"created"}
    assert {row.avatar_id for row in second.values()} <= {one.id for one in emulator.avatars}


@pytest.mark.parametrize("bulk", [False, True])
async def test_equal_files_with_equal_addresses(tmp_path: Path, bulk: bool) -> None:
    """A 30 days old avatar of the very address is not the one that was lost, and never made."""
    emulator, addresses = Emulator(), dict[bytes, str]()
    (tmp_path / "ada.png").write_bytes(pictures.png())

    def uploaded(answer: dict[str, Any], content: bytes) -> dict[str, Any]:
        return {**answer, "url": addresses.setdefault(content, answer["url"])}

    def aged(avatars: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**one, "createTime": one["createTime"] - 30 * DAY_MS} for one in avatars]

    row = {"image": str(tmp_path / "ada.png"), "nickname": "Ada", "prompt": "be Ada"}
    async with client(emulator, uploaded=uploaded) as kling:
        await kling.avatars.create(**row)
    losing = client(emulator, uploaded=uploaded, listed=aged, lose=lambda number: "before")
    async with losing as kling:
        if bulk:
            (done,) = (await run(kling, [row], tmp_path / "ledger", again=True)).values()
            assert (done.state, done.avatar_id) == ("unknown", None)
        else:
            with pytest.raises(OutcomeUnknownError):
                await kling.avatars.create(**row)
    assert len(emulator.avatars) == 1


async def test_the_same_input_with_another_ledger_is_noticed(tmp_path: Path) -> None:
    emulator = Emulator()
    async with client(emulator) as kling:
        await run(kling, rows(5, "ada"), tmp_path / "first")
        with pytest.raises(KlingError, match="again") as caught:
            await run(kling, rows(5, "ada"), tmp_path / "second")
        assert len(emulator.avatars) == 5
        assert emulator.avatars[0].id in str(caught.value)
        found = await run(kling, rows(5, "ada"), tmp_path / "second", again=True)
    assert {row.state for row in found.values()} == {"created"}
    assert len(emulator.avatars) == 10


@pytest.mark.parametrize("name", [":memory:", "", "file::memory:", "/dev/null", "/dev/shm"])
async def test_a_ledger_that_leaves_nothing_on_disk_is_refused(name: str) -> None:
    emulator = Emulator()
    async with client(emulator) as kling:
        with pytest.raises(KlingError):
            await run(kling, rows(2, "ada"), name)  # type: ignore[arg-type]
    assert emulator.calls == []


@pytest.mark.parametrize("mishap", ["deleted", "replaced", "emptied"])
async def test_a_ledger_that_vanishes_under_a_run_stops_it(tmp_path: Path, mishap: str) -> None:
    emulator, ledger = Emulator(), tmp_path / "ledger"

    async def strike(number: int) -> None:
        if number == 5:
            if mishap == "emptied":
                ledger.write_bytes(b"")
                return
            ledger.unlink()
            if mishap == "replaced":
                ledger.write_bytes(b"")

    async with client(emulator, before=strike) as kling:
        with pytest.raises(KlingError, match="ledger"):
            await run(kling, rows(200, "ada"), ledger, concurrency=1)
    assert len(emulator.avatars) <= 7
    assert_own(emulator, {}, "ada")


@pytest.mark.parametrize("left", ["-wal", "-shm", "-journal"])
async def test_an_empty_ledger_beside_traces_of_an_earlier_one(tmp_path: Path, left: str) -> None:
    emulator, ledger = Emulator(), tmp_path / "ledger"
    (tmp_path / f"ledger{left}").write_bytes(b"x" * 100)
    for there in (False, True):
        if there:
            ledger.write_bytes(b"")
        async with client(emulator) as kling:
            with pytest.raises(KlingError, match="ledger"):
                await run(kling, rows(2, "ada"), ledger)
    assert emulator.avatars == []


async def test_a_moved_and_a_copied_ledger_are_whole(tmp_path: Path) -> None:
    """After a clean end one file is all of it."""
    emulator = Emulator()
    async with client(emulator) as kling:
        await run(kling, rows(30, "ada"), tmp_path / "ledger", stop_after=20)
        assert [one.name for one in tmp_path.iterdir()] == ["ledger"]
        (tmp_path / "elsewhere").mkdir()
        moved = (tmp_path / "ledger").rename(tmp_path / "elsewhere" / "moved")
        found = await run(kling, rows(30, "ada"), moved)
    assert {row.state for row in found.values()} == {"created"}
    assert len(emulator.avatars) == 30


async def test_a_lost_answer_of_an_avatar_without_a_time_is_not_guessed(tmp_path: Path) -> None:
    """`createTime` is not promised; what shows none could be of any time."""
    emulator = Emulator()

    def timeless(avatars: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**one, "createTime": None} for one in avatars]

    async with client(emulator, listed=timeless, lose=lambda number: "before") as kling:
        (done,) = (await run(kling, rows(1, "ada"), tmp_path / "ledger")).values()
    assert (done.state, done.avatar_id) == ("unknown", None)


async def test_a_video_that_the_api_denies_for_a_while_is_not_paid_for_again(
    tmp_path: Path,
) -> None:
    emulator = Emulator(job_s=0.3, task_visible_after_s=3.0)
    (tmp_path / "hello.wav").write_bytes(b"RIFF\x24\0\0\0WAVEfmt " + bytes(100))
    row = {
        **next(rows(1, "ada")),
        "audio": str(tmp_path / "hello.wav"),
    }
    async with client(emulator) as kling:
        (done,) = (await run(kling, [row], tmp_path / "ledger", videos=tmp_path / "v")).values()
    assert done.video_state == "saved", done
    assert len(emulator.tasks) == 1


async def test_a_refusal_is_told_from_a_lost_answer(tmp_path: Path) -> None:
    """The hostile ones above do not make a plain no unknown."""
    emulator = Emulator(faults=[Fault("avatars.create", "status", status=400, every=2)])
    async with client(emulator) as kling:
        found = await run(kling, rows(4, "ada"), tmp_path / "ledger", concurrency=1)
    assert [row.state for row in found.values()].count("failed") == 2
    await asyncio.sleep(0)

"""What becomes of the rows given to `create_many`, in the first run and in the next?"""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from jobs import (
    assert_all_made_once,
    avatars,
    creates,
    results,
    sent_keys,
    url_rows,
)

from kling_async import AsyncKlingClient, BulkRow, CreateAvatar, InvalidRequestError
from kling_async.bulk.sources import CHUNK
from kling_async.emulator import Emulator, Fault, sample_png


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "avatars.sqlite"


async def one_by_one(rows: Any) -> AsyncIterator[Any]:
    for row in rows:
        yield row


class TestRowsIn:
    @pytest.mark.parametrize("shape", [list, tuple, iter, one_by_one])
    async def test_any_iterable_of_mappings(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path, shape: Any
    ) -> None:
        found = await results(kling, shape(url_rows(100)), ledger)
        assert {one.state for one in found.values()} == {"created"}
        assert {key: one.avatar_id for key, one in found.items()} == {
            one.nickname: one.id for one in emulator.avatars
        }
        assert_all_made_once(emulator, ledger, 100)

    @pytest.mark.parametrize("rows", ["a.csv", Path("a.csv"), {"image_url": "x"}], ids=str)
    async def test_what_is_not_rows(self, kling: AsyncKlingClient, ledger: Path, rows: Any) -> None:
        with pytest.raises(InvalidRequestError, match="takes rows, not"):
            await results(kling, rows, ledger)
        assert not ledger.exists()

    async def test_what_is_no_row_fails_alone(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        found = await results(kling, ["ada.jpg", *url_rows(1)], ledger)
        failed, made = sorted(found.values(), key=lambda one: one.state, reverse=True)
        assert (failed.state, made.state) == ("failed", "created")
        assert "a mapping of its fields, not str" in str(failed.error)

    @pytest.mark.parametrize("shape", [list, one_by_one])
    async def test_requests(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path, shape: Any
    ) -> None:
        urls = [f"https://example.com/{n}.png" for n in range(5)]
        rows = shape(
            CreateAvatar(image_url=url, prompt="Calm", tts_speed=1.5, scene="business")
            for url in urls
        )
        found = await results(kling, rows, ledger)
        assert [one.state for one in found.values()] == ["created"] * 5
        assert sorted(one.image_url for one in emulator.avatars) == urls
        assert {(one.prompt, one.tts_speed, one.scene) for one in emulator.avatars} == {
            ("Calm", 1.5, "business")
        }

    async def test_a_result_tells_everything(self, kling: AsyncKlingClient, ledger: Path) -> None:
        (row,) = url_rows(1)
        found = (await results(kling, [row], ledger))["k1"]
        assert isinstance(found, BulkRow)
        assert (found.state, found.error, found.attempts) == ("created", None, 1)
        assert found.columns == {"image_url": row["image_url"], "nickname": "k1"}
        told = found.to_dict()
        assert (told["key"], told["avatar_id"], told["columns"]) == (
            "k1",
            found.avatar_id,
            dict(found.columns),
        )
        assert json.loads(json.dumps(told)) == told

    async def test_no_rows(self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path) -> None:
        assert await results(kling, [], ledger) == {}
        assert creates(emulator) == []

    async def test_rows_without_keys_are_known_again(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        same = {"image_url": "https://example.com/a.png"}
        other = {"image_url": "https://example.com/b.png"}
        first = await results(kling, [same, same, other], ledger)
        assert len(first) == len(emulator.avatars) == 3  # equal rows are two rows
        assert await results(kling, [same, same, other], ledger) == first
        assert len(creates(emulator)) == 3

    @pytest.mark.parametrize("second", [{}, {"prompt": "Different"}])
    async def test_a_key_given_twice_is_sent_once(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path, second: dict[str, str]
    ) -> None:
        (row,) = url_rows(1)
        rows = [row, {**row, **second}]
        [_ async for _ in kling.avatars.create_many(rows, ledger=ledger)]
        assert sent_keys(emulator) == ["k1"]

    async def test_of_a_key_given_twice_the_first_row_counts(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        """Also where the second comes long after it, and before it was sent."""
        rows = list(url_rows(2 * CHUNK))
        rows[CHUNK + 9] = {**rows[CHUNK + 9], "key": "k9", "nickname": "other"}
        found: dict[str, list[BulkRow]] = {}
        async for row in kling.avatars.create_many(rows, ledger=ledger, concurrency=1):
            found.setdefault(row.key, []).append(row)
        assert len(sent_keys(emulator)) == 2 * CHUNK - 1
        assert "other" not in sent_keys(emulator)
        first, second = sorted(found["k9"], key=lambda one: one.state)
        assert (first.state, second.state) == ("created", "failed")
        assert str(second.error).startswith("its key was given before")

    async def test_a_row_costs_a_commit_at_most(
        self, kling: AsyncKlingClient, ledger: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What one create came to is committed with the intent of the next."""
        commits = 0

        class Counting(sqlite3.Connection):
            def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
                nonlocal commits
                commits += sql == "COMMIT"
                return super().execute(sql, *args)

        connect = sqlite3.connect
        monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, factory=Counting, **k))
        await results(kling, url_rows(50), ledger, concurrency=1)
        # Two to open it, one to close it, one for the chunk of rows, one for the first look, one
        # for the last row.
        assert commits <= 50 + 6


class TestSecondRun:
    async def test_sends_nothing_and_says_the_same(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        first = await results(kling, url_rows(20), ledger)
        kept = avatars(ledger)
        assert await results(kling, one_by_one(url_rows(20)), ledger) == first
        assert len(creates(emulator)) == 20
        assert avatars(ledger) == kept

    async def test_new_rows_at_the_end_are_sent(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        await results(kling, url_rows(5), ledger)
        found = await results(kling, url_rows(8), ledger)
        assert [one.state for one in found.values()] == ["created"] * 8
        assert sorted(sent_keys(emulator)) == [f"k{n}" for n in range(1, 9)]
        assert_all_made_once(emulator, ledger, 8)

    async def test_a_changed_row_is_refused_and_its_record_stays(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        await results(kling, url_rows(3), ledger)
        before = avatars(ledger)
        rows = list(url_rows(3))
        rows[1]["prompt"] = "Something else"
        found = await results(kling, rows, ledger)
        assert [found[key].state for key in ("k1", "k2", "k3")] == ["created", "failed", "created"]
        assert "'k2'" in str(found["k2"].error)
        assert "nothing was sent" in str(found["k2"].error)
        assert avatars(ledger) == before
        assert len(creates(emulator)) == 3
        # restored, it is what it was
        again = await results(kling, url_rows(3), ledger)
        assert again["k2"].avatar_id == before["k2"].remote_id


class TestRowsThatFail:
    async def test_an_invalid_row_says_why_and_is_not_sent(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        rows = list(url_rows(3))
        rows[1].update(tts_speed=9, scene="beach", colour="red")
        found = await results(kling, rows, ledger)
        assert [found[key].state for key in ("k1", "k2", "k3")] == ["created", "failed", "created"]
        for name in ("tts_speed: ", "scene: ", "colour: "):
            assert name in str(found["k2"].error)
        assert found["k2"].attempts == 0
        assert sorted(sent_keys(emulator)) == ["k1", "k3"]

    async def test_an_invalid_row_may_be_mended(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        await results(kling, url_rows(2, tts_speed=9), ledger)
        found = await results(kling, url_rows(2, tts_speed=1.2), ledger)
        assert [one.state for one in found.values()] == ["created", "created"]
        assert_all_made_once(emulator, ledger, 2)

    @pytest.mark.parametrize("status", [400, 404, 422])
    async def test_a_refusal_fails_the_row_alone_and_is_not_repeated(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path, status: int
    ) -> None:
        emulator.add_faults([Fault("avatars.create", "status", status=status, at=2)])
        found = await results(kling, url_rows(3), ledger, concurrency=1)
        assert [found[key].state for key in ("k1", "k2", "k3")] == ["created", "failed", "created"]
        assert f"the server answered {status}" in str(found["k2"].error)
        again = await results(kling, url_rows(3), ledger)
        assert again == found
        assert sent_keys(emulator) == ["k1", "k2", "k3"]

    async def test_the_answer_failed_fails_the_row(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path
    ) -> None:
        emulator.add_faults([Fault("avatars.create", "failed_status", at=1)])
        found = await results(kling, url_rows(2), ledger, concurrency=1)
        assert (found["k1"].state, found["k2"].state) == ("failed", "created")
        assert "FAILED" in str(found["k1"].error)


class TestPictures:
    @pytest.fixture
    def files(self, tmp_path: Path) -> list[Path]:
        made = [tmp_path / f"{n}.png" for n in range(1, 5)]
        for n, path in enumerate(made):
            path.write_bytes(sample_png(n))
        return made

    async def test_files_are_uploaded_first_each_for_its_row(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path, files: list[Path]
    ) -> None:
        given = [files[0], str(files[1]), files[2].read_bytes(), io.BytesIO(files[3].read_bytes())]
        rows = [{"key": f"k{n}", "image": one, "nickname": f"k{n}"} for n, one in enumerate(given)]
        found = await results(kling, rows, ledger)
        assert [one.state for one in found.values()] == ["created"] * 4
        uploads = {one.name: one for one in emulator.uploads}
        assert len(uploads) == 4
        made = sorted(emulator.avatars, key=lambda one: one.nickname)
        assert len({one.upload_name for one in made}) == 4
        for path, avatar in zip(files, made, strict=True):
            upload = uploads[str(avatar.upload_name)]
            assert upload.size_bytes == path.stat().st_size
            assert upload.call_number < avatar.call_number

    async def test_an_upload_goes_to_the_account_of_its_row(
        self, open_client: Any, ledger: Path, files: list[Path]
    ) -> None:
        emulator = Emulator(["a@b.c", "d@e.f"])
        kling = await open_client(transport=emulator.transport(), accounts=["a@b.c", "d@e.f"])
        emails = ["a@b.c", "d@e.f", "a@b.c", "d@e.f"]
        rows = [
            {"key": f"k{n}", "nickname": f"k{n}", "image": path, "email": email}
            for n, (path, email) in enumerate(zip(files, emails, strict=True))
        ]
        found = await results(kling, rows, ledger)
        assert [found[f"k{n}"].account for n in range(4)] == emails
        owners = {one.name: one.account for one in emulator.uploads}
        assert [owners[str(one.upload_name)] for one in emulator.avatars] == [
            one.account for one in emulator.avatars
        ]

    async def test_what_was_uploaded_is_not_uploaded_again(
        self,
        kling: AsyncKlingClient,
        open_client: Any,
        emulator: Emulator,
        ledger: Path,
        files: list[Path],
    ) -> None:
        emulator.add_faults(
            [Fault("avatars.create", "status", status=429, retry_after_s=3600, at=1)]
        )
        rows = [{"key": f"k{n}", "nickname": f"k{n}", "image": p} for n, p in enumerate(files)]
        found = await results(kling, rows, ledger, concurrency=1)
        assert {one.state for one in found.values()} == {"skipped"}  # paused for too long
        uploaded = len(emulator.uploads)
        emulator.clock.advance(3601)
        found = await results(await open_client(), rows, ledger)
        assert {one.state for one in found.values()} == {"created"}
        assert uploaded == 1
        assert len(emulator.uploads) == 4

    async def test_a_file_that_is_gone_fails_its_row_alone(
        self, kling: AsyncKlingClient, emulator: Emulator, ledger: Path, files: list[Path]
    ) -> None:
        rows = [{"key": one.stem, "nickname": one.stem, "image": one} for one in files]
        files[1].unlink()
        found = await results(kling, rows, ledger)
        assert {key: one.state for key, one in found.items()} == {
            "1": "created", "2": "failed", "3": "created", "4": "created",
        }  # fmt: skip
        assert "2.png can't be read" in str(found["2"].error)
        assert len(emulator.uploads) == 3

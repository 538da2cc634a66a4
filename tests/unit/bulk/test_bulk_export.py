"""What does a spreadsheet see of a ledger, and is it ever given half a file?"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async import ConfigurationError, LedgerError
from kling_async.bulk import export as module
from kling_async.bulk.cells import as_it_was, harmless
from kling_async.bulk.export import export
from kling_async.bulk.recipes import TALKING, recipe_of
from kling_async.bulk.records import Applied, Change, WorkRecord
from kling_async.bulk.rows import RowBuilder
from kling_async.bulk.sqlite import SqliteLedger, open_ledger
from kling_async.models.videos import CreateAvatarVideo

URL = "https://example.com/a.png"
FIRST = ["key", "state", "avatar_id", "account", "error", "attempts"]
Book = Callable[[Mapping[str, Mapping[str, Any]]], Awaitable[SqliteLedger]]


@pytest.fixture
async def book(tmp_path: Path) -> AsyncIterator[Book]:
    """Makes a ledger of key -> the input's columns; the rows are planned."""
    async with open_ledger(tmp_path / "avatars.sqlite", service="example.com") as ledger:

        async def made(rows: Mapping[str, Mapping[str, Any]]) -> SqliteLedger:
            with RowBuilder(TALKING) as builder:
                await ledger.register(
                    [
                        builder.row({"key": key, "image_url": URL}, position, columns=columns)
                        for position, (key, columns) in enumerate(rows.items(), start=1)
                    ]
                )
            return ledger

        yield made


async def apply(ledger: SqliteLedger, key: str, number: int, event: Any, **change: Any) -> None:
    step = (await ledger.row(key)).steps[number - 1]
    one = Change(step_id=step.id, event=event, **change)
    assert await ledger.apply(one) is Applied.YES


async def finish(
    ledger: SqliteLedger, key: str, avatar_id: str | None = None, error: str = ""
) -> None:
    await apply(ledger, key, 1, "intended", values={"account": "a@b.c"})
    if avatar_id is not None:
        await apply(ledger, key, 1, "answered", to="done", claim=avatar_id)
    else:
        await apply(ledger, key, 1, "failed", values={"error": error})


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture
async def three(book: Book) -> SqliteLedger:
    ledger = await book(
        {key: {"nickname": key.title(), "x_team": 7} for key in ("zoe", "ada", "ben")}
    )
    await finish(ledger, "zoe", "300000000000001")
    await finish(ledger, "ada", error="the server answered 400: no face")
    return ledger


async def test_csv_has_every_row_in_order_with_its_result_and_its_columns(
    three: SqliteLedger, tmp_path: Path
) -> None:
    assert await export(three, tmp_path / "out.csv") == 3
    rows = read_csv(tmp_path / "out.csv")
    assert list(rows[0])[: len(FIRST)] == FIRST
    assert list(rows[0])[-2:] == ["nickname", "x_team"]
    shown = [[row[name] for name in (*FIRST, "nickname", "x_team")] for row in rows]
    assert shown == [
        ["zoe", "created", "300000000000001", "a@b.c", "", "1", "Zoe", "7"],
        ["ada", "failed", "", "a@b.c", "the server answered 400: no face", "1", "Ada", "7"],
        ["ben", "skipped", "", "", "", "0", "Ben", "7"],
    ]


@pytest.mark.parametrize("ending", ["jsonl", "ndjson", "JSONL"])
async def test_json_lines_keep_types(three: SqliteLedger, tmp_path: Path, ending: str) -> None:
    assert await export(three, tmp_path / f"out.{ending}") == 3
    first, second, third = read_jsonl(tmp_path / f"out.{ending}")
    assert (first["avatar_id"], first["attempts"], first["x_team"]) == ("300000000000001", 1, 7)
    assert (second["avatar_id"], second["error"]) == (None, "the server answered 400: no face")
    assert (third["state"], third["account"], third["attempts"]) == ("skipped", None, 0)


async def test_rows_with_different_columns(book: Book, tmp_path: Path) -> None:
    ledger = await book({"a": {"x_one": "1"}, "b": {"x_two": "2"}, "c": {}})
    await export(ledger, tmp_path / "out.csv")
    rows = read_csv(tmp_path / "out.csv")
    assert [(row["x_one"], row["x_two"]) for row in rows] == [("1", ""), ("", "2"), ("", "")]


async def test_the_ledgers_word_counts_where_names_collide(book: Book, tmp_path: Path) -> None:
    ledger = await book(
        {"a": {"key": "other", "state": "done", "account": "x@y.z", "error": "none"}}
    )
    await finish(ledger, "a", error="no")
    for name, read in (("out.csv", read_csv), ("out.jsonl", read_jsonl)):
        await export(ledger, tmp_path / name)
        (row,) = read(tmp_path / name)
        assert [row[name] for name in ("key", "state", "account", "error")] == [
            "a", "failed", "a@b.c", "no",
        ]  # fmt: skip


NASTY = {"x_a": 'say "hi", twice', "x_b": "two\nlines\r\n", "x_c": "Zoë 🎈 ; \t", "x_d": " "}


async def test_odd_text_comes_back_as_it_was(book: Book, tmp_path: Path) -> None:
    ledger = await book({"a": NASTY})
    for name, read in (("out.csv", read_csv), ("out.jsonl", read_jsonl)):
        await export(ledger, tmp_path / name)
        (row,) = read(tmp_path / name)
        assert {key: row[key] for key in NASTY} == NASTY


async def test_structures_are_json_in_a_cell(book: Book, tmp_path: Path) -> None:
    extra = {"newField": [1, "ä", None], "deep": {"er": True}}
    ledger = await book({"a": {"extra": extra}})
    await export(ledger, tmp_path / "out.csv")
    assert json.loads(read_csv(tmp_path / "out.csv")[0]["extra"]) == extra
    await export(ledger, tmp_path / "out.jsonl")
    assert read_jsonl(tmp_path / "out.jsonl")[0]["extra"] == extra


async def test_more_rows_than_a_page(book: Book, tmp_path: Path) -> None:
    ledger = await book({f"k{n}": {} for n in range(450)})
    assert await export(ledger, tmp_path / "out.csv") == 450
    assert [row["key"] for row in read_csv(tmp_path / "out.csv")] == [f"k{n}" for n in range(450)]


async def test_an_empty_ledger_has_a_header(book: Book, tmp_path: Path) -> None:
    assert await export(await book({}), tmp_path / "out.csv") == 0
    assert (tmp_path / "out.csv").read_text("utf-8-sig").startswith(",".join(FIRST))


@pytest.mark.parametrize("name", ["out.xls", "out", "out.csv.gz", ".csv"])
async def test_another_ending_is_refused_and_nothing_is_written(
    three: SqliteLedger, tmp_path: Path, name: str
) -> None:
    before = set(tmp_path.iterdir())
    with pytest.raises(ConfigurationError, match=r"end it with \.csv, \.jsonl or \.xlsx"):
        await export(three, tmp_path / name)
    assert set(tmp_path.iterdir()) == before


async def test_an_older_export_is_replaced_whole_or_kept(
    three: SqliteLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.csv"
    out.write_text("older\n")
    before = set(tmp_path.iterdir())

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(module, "_append", full)
        with pytest.raises(LedgerError, match=r"can't write .*out\.csv: No space left on device"):
            await export(three, out, overwrite=True)
    assert out.read_text() == "older\n"
    assert set(tmp_path.iterdir()) == before
    out.chmod(0o600)
    await export(three, out, overwrite=True)
    assert len(read_csv(out)) == 3
    assert set(tmp_path.iterdir()) == before
    assert out.stat().st_mode & 0o777 == 0o600


async def test_nothing_is_replaced_without_being_told(three: SqliteLedger, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("older\n")
    before = set(tmp_path.iterdir())
    with pytest.raises(ConfigurationError, match=r"out\.csv is there already.*--overwrite"):
        await export(three, out)
    assert out.read_text() == "older\n"
    assert set(tmp_path.iterdir()) == before


async def test_a_file_that_came_meanwhile_is_not_replaced(
    three: SqliteLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.csv"
    append = module._append

    def slower(path: Path, text: str) -> None:
        out.write_text("theirs\n")
        append(path, text)

    monkeypatch.setattr(module, "_append", slower)
    with pytest.raises(ConfigurationError, match="is there already"):
        await export(three, out)
    assert out.read_text() == "theirs\n"


@pytest.mark.parametrize("name", ["plain", "symbolic", "hard", "through a folder"])
async def test_what_is_kept_is_never_replaced_under_any_name(
    three: SqliteLedger, tmp_path: Path, name: str
) -> None:
    kept = tmp_path / "input.csv"
    kept.write_text("key\n")
    out = kept if name == "plain" else tmp_path / "other.csv"
    if name == "symbolic":
        out.symlink_to(kept)
    elif name == "hard":
        out.hardlink_to(kept)
    elif name == "through a folder":
        (tmp_path / "folder").symlink_to(tmp_path)
        out = tmp_path / "folder" / "input.csv"
    with pytest.raises(ConfigurationError, match=r"it is .*input\.csv, which is never replaced"):
        await export(three, out, overwrite=True, kept=[kept])
    assert kept.read_text() == "key\n"


async def test_what_is_kept_and_not_there_yet(three: SqliteLedger, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="never replaced"):
        await export(three, tmp_path / "A.csv", kept=[tmp_path / "a.CSV"])
    await export(three, tmp_path / "b.csv", kept=[tmp_path / "a.csv"])


async def test_only_a_regular_file_is_replaced(three: SqliteLedger, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "out.csv")
    with pytest.raises(ConfigurationError, match="is not a regular file"):
        await export(three, tmp_path / "out.csv", overwrite=True)


FORMULAS = {"x_a": "=HYPERLINK(1)", "x_b": "+49 30 1", "x_c": "-1+1", "x_d": "@SUM(A1)",
            "x_e": "\t=1", "x_f": "\r=1", "x_g": " =1", "x_h": "\uff1d1", "x_i": "'=1"}  # fmt: skip
PLAIN = {"x_p": "-5", "x_q": "+3,25", "x_r": "a=b", "x_s": "'tis", "x_t": "", "x_u": "x\n=1"}


async def test_no_cell_is_a_formula_unless_it_shall_be_raw(book: Book, tmp_path: Path) -> None:
    ledger = await book({"=key": {**FORMULAS, **PLAIN, "=x_own": 1, "x_n": -1.5}})
    await finish(ledger, "=key", error="@all: no")
    await export(ledger, tmp_path / "out.csv")
    (row,) = read_csv(tmp_path / "out.csv")
    quoted = {name: f"'{text}" for name, text in FORMULAS.items()}
    assert {name: row[name] for name in FORMULAS} == quoted
    assert {name: row[name] for name in PLAIN} == PLAIN
    found = (row["key"], row["error"], row["'=x_own"], row["x_n"])
    assert found == ("'=key", "'@all: no", "1", "-1.5")
    assert (tmp_path / "out.csv").read_bytes().startswith(b"\xef\xbb\xbfkey,")

    await export(ledger, tmp_path / "raw.csv", raw=True)
    (row,) = read_csv(tmp_path / "raw.csv")
    assert {name: row[name] for name in (*FORMULAS, "key")} == {**FORMULAS, "key": "=key"}
    assert (tmp_path / "raw.csv").read_bytes().startswith(b"key,")


@given(st.text() | st.from_regex("'{0,3}[ \t\r\n]?[-=+@x1\uff1d][0-9.,a=]*", fullmatch=True))
def test_a_harmless_cell_can_be_read_back(text: str) -> None:
    cell = harmless(text)
    assert as_it_was(cell) == text
    assert cell == text or cell == f"'{text}"
    assert cell.lstrip()[:1] not in tuple("=+-@") or re.fullmatch(r"[+-]\d+([.,]\d+)?", cell)


@pytest.mark.parametrize(
    "place",
    [
        "gone/out.csv",
        "folder.csv",
        "file/out.csv",
    ],
)
async def test_a_place_that_can_not_be_written_to(
    three: SqliteLedger, tmp_path: Path, place: str
) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").touch()
    before = set(tmp_path.rglob("*"))
    with pytest.raises(LedgerError, match="can't write"):
        await export(three, tmp_path / place)
    assert set(tmp_path.rglob("*")) == before


async def test_of_videos(book: Book, tmp_path: Path) -> None:
    ledger = await book({})
    spoken = {"image_url": URL, "text": "Hi", "speaker_id": "v1"}
    with RowBuilder(TALKING) as builder:
        rows = [builder.row({"key": "zoe", **spoken}, 1), builder.row({"key": "ada", **spoken}, 2)]
        rows.append(builder.row({"key": "ben", "image_url": URL}, 3))
        await ledger.register(rows)
    for key, avatar_id in (("zoe", "300000000000001"), ("ben", "300000000000002")):
        await finish(ledger, key, avatar_id)
    await apply(ledger, "zoe", 2, "intended", values={"account": "a@b.c"})
    await apply(ledger, "zoe", 2, "answered", to="running", claim="77")
    works = [WorkRecord(number=1, work_id="9", url="https://x.y/9.mp4")]
    await apply(ledger, "zoe", 2, "finished", to="made", works=works)
    file = {"work": 1, "file": "/v/zoe.mp4"}
    await apply(ledger, "zoe", 2, "reserved", values={**file, "name_key": "zoe.mp4"})
    await apply(ledger, "zoe", 2, "saved", to="done", values={**file, "size_bytes": 7})
    await export(ledger, tmp_path / "out.csv")
    names = ["key", "state", "video_state", "video_file", "task_id", "video_attempts"]
    assert [[row[name] for name in names] for row in read_csv(tmp_path / "out.csv")] == [
        ["zoe", "created", "saved", "/v/zoe.mp4", "77", "1"],
        ["ada", "skipped", "skipped", "", "", "0"],
        ["ben", "created", "", "", "", "0"],
    ]


async def test_of_another_operation(book: Book, tmp_path: Path) -> None:
    ledger = await book({})
    with RowBuilder(recipe_of(CreateAvatarVideo, saves=True)) as builder:
        given = {"key": "a", "image_url": URL, "text": "Hi", "speaker_id": "v1", "x_team": "t"}
        await ledger.register([builder.row(given, 1)])
    await apply(ledger, "a", 1, "intended", values={"account": "a@b.c"})
    await apply(ledger, "a", 1, "answered", to="running", claim="77")
    await export(ledger, tmp_path / "out.jsonl")
    (row,) = read_jsonl(tmp_path / "out.jsonl")
    assert row == {
        "image_url": URL, "text": "Hi", "speaker_id": "v1", "x_team": "t", "key": "a",
        "state": "running", "operation": "avatars.video", "remote_id": "77", "task_id": 77,
        "account": "a@b.c", "files": [], "error": None, "attempts": 1, "evidence": "answer",
    }  # fmt: skip


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
async def test_half_a_character_ends_no_export(book: Book, tmp_path: Path, ending: str) -> None:
    ledger = await book({"a": {}, "b": {"x_note": "a\ud83db"}})
    await finish(ledger, "a", error="the server said \udcff")
    assert await export(ledger, tmp_path / f"out.{ending}") == 2
    assert "a\ufffdb" in (tmp_path / f"out.{ending}").read_text("utf-8")
    assert "the server said \ufffd" in (tmp_path / f"out.{ending}").read_text("utf-8")


async def test_json_lines_hold_no_number_that_is_not_json(book: Book, tmp_path: Path) -> None:
    ledger = await book({"a": {"x_n": float("nan"), "x_l": [float("inf"), -float("inf"), 1.5]}})
    await export(ledger, tmp_path / "out.jsonl")
    (row,) = read_jsonl(tmp_path / "out.jsonl")
    assert (row["x_n"], row["x_l"]) == ("nan", ["inf", "-inf", 1.5])

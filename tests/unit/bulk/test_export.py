"""What does a spreadsheet see of a ledger, and is it ever given half a file?"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from kling_async import ConfigurationError, LedgerError
from kling_async.bulk.export import export
from kling_async.bulk.ledger import Ledger
from kling_async.bulk.rows import row_of

URL = "https://example.com/a.png"
FIRST = ["key", "state", "avatar_id", "account", "error", "attempts"]
Book = Callable[[Mapping[str, Mapping[str, Any]]], Ledger]


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    """Makes a ledger of key -> the input's columns; the rows are planned."""
    with closing(Ledger.open(tmp_path / "avatars.sqlite", service="example.com")) as ledger:

        def made(rows: Mapping[str, Mapping[str, Any]]) -> Ledger:
            with ledger.transaction():
                ledger.register(
                    row_of({"key": key, "image_url": URL}, position, columns=columns)
                    for position, (key, columns) in enumerate(rows.items(), start=1)
                )
            return ledger

        yield made


def finish(ledger: Ledger, key: str, avatar_id: str | None = None, error: str = "") -> None:
    row_id = ledger.get(key).id
    with ledger.transaction():
        ledger.ready(row_id, "a@b.c", None, URL)
        ledger.intent(row_id, "a@b.c")
        if avatar_id is not None:
            ledger.done(row_id, avatar_id)
        else:
            ledger.failed(row_id, error)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture
def three(book: Book) -> Ledger:
    ledger = book({key: {"nickname": key.title(), "x_team": 7} for key in ("zoe", "ada", "ben")})
    finish(ledger, "zoe", "300000000000001")
    finish(ledger, "ada", error="the server answered 400: no face")
    return ledger


def test_csv_has_every_row_in_order_with_its_result_and_its_columns(
    three: Ledger, tmp_path: Path
) -> None:
    assert export(three, tmp_path / "out.csv") == 3
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
def test_json_lines_keep_types(three: Ledger, tmp_path: Path, ending: str) -> None:
    assert export(three, tmp_path / f"out.{ending}") == 3
    first, second, third = read_jsonl(tmp_path / f"out.{ending}")
    assert (first["avatar_id"], first["attempts"], first["x_team"]) == ("300000000000001", 1, 7)
    assert (second["avatar_id"], second["error"]) == (None, "the server answered 400: no face")
    assert (third["state"], third["account"], third["attempts"]) == ("skipped", None, 0)


def test_rows_with_different_columns(book: Book, tmp_path: Path) -> None:
    ledger = book({"a": {"x_one": "1"}, "b": {"x_two": "2"}, "c": {}})
    export(ledger, tmp_path / "out.csv")
    rows = read_csv(tmp_path / "out.csv")
    assert [(row["x_one"], row["x_two"]) for row in rows] == [("1", ""), ("", "2"), ("", "")]


def test_the_ledgers_word_counts_where_names_collide(book: Book, tmp_path: Path) -> None:
    ledger = book({"a": {"key": "other", "state": "done", "account": "x@y.z", "error": "none"}})
    finish(ledger, "a", error="no")
    for name, read in (("out.csv", read_csv), ("out.jsonl", read_jsonl)):
        export(ledger, tmp_path / name)
        (row,) = read(tmp_path / name)
        assert [row[name] for name in ("key", "state", "account", "error")] == [
            "a", "failed", "a@b.c", "no",
        ]  # fmt: skip


NASTY = {"x_a": 'say "hi", twice', "x_b": "two\nlines\r\n", "x_c": "Zoë 🎈 ; \t", "x_d": " "}


def test_odd_text_comes_back_as_it_was(book: Book, tmp_path: Path) -> None:
    ledger = book({"a": NASTY})
    for name, read in (("out.csv", read_csv), ("out.jsonl", read_jsonl)):
        export(ledger, tmp_path / name)
        (row,) = read(tmp_path / name)
        assert {key: row[key] for key in NASTY} == NASTY


def test_structures_are_json_in_a_cell(book: Book, tmp_path: Path) -> None:
    extra = {"newField": [1, "ä", None], "deep": {"er": True}}
    ledger = book({"a": {"extra": extra}})
    export(ledger, tmp_path / "out.csv")
    assert json.loads(read_csv(tmp_path / "out.csv")[0]["extra"]) == extra
    export(ledger, tmp_path / "out.jsonl")
    assert read_jsonl(tmp_path / "out.jsonl")[0]["extra"] == extra


def test_more_rows_than_a_page(book: Book, tmp_path: Path) -> None:
    ledger = book({f"k{n}": {} for n in range(450)})
    assert export(ledger, tmp_path / "out.csv") == 450
    assert [row["key"] for row in read_csv(tmp_path / "out.csv")] == [f"k{n}" for n in range(450)]


def test_an_empty_ledger_has_a_header(book: Book, tmp_path: Path) -> None:
    assert export(book({}), tmp_path / "out.csv") == 0
    assert (tmp_path / "out.csv").read_text().startswith(",".join(FIRST))


@pytest.mark.parametrize("name", ["out.xlsx", "out", "out.csv.gz", ".csv"])
def test_another_ending_is_refused_and_nothing_is_written(
    three: Ledger, tmp_path: Path, name: str
) -> None:
    before = set(tmp_path.iterdir())
    with pytest.raises(ConfigurationError, match=r"end it with \.csv or \.jsonl"):
        export(three, tmp_path / name)
    assert set(tmp_path.iterdir()) == before


def test_an_older_export_is_replaced_whole_or_kept(
    three: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.csv"
    out.write_text("older\n")
    before = set(tmp_path.iterdir())

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(csv.DictWriter, "writerow", full)
        with pytest.raises(LedgerError, match=r"can't write .*out\.csv: No space left on device"):
            export(three, out)
    assert out.read_text() == "older\n"
    assert set(tmp_path.iterdir()) == before
    export(three, out)
    assert len(read_csv(out)) == 3
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "place",
    [
        "gone/out.csv",
        "folder.csv",
        "file/out.csv",
    ],
)
def test_a_place_that_can_not_be_written_to(three: Ledger, tmp_path: Path, place: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").touch()
    before = set(tmp_path.rglob("*"))
    with pytest.raises(LedgerError, match="can't write"):
        export(three, tmp_path / place)
    assert set(tmp_path.rglob("*")) == before

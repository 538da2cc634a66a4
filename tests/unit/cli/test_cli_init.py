"""Does a folder of photos become a job, and are Excel's workbooks read and written?"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jobs import avatars

from kling_async.bulk.sheets import sheet_records
from kling_async.bulk.workbooks import Workbook
from kling_async.emulator import sample_png

Invoke = Callable[..., Any]
LEDGER = Path("avatars.sqlite")


@pytest.fixture
def photos(folder: Path) -> Path:
    """Pictures of which two have one name, a hidden one, and what is none."""
    for n, name in enumerate(["ada_lovelace.png", "Zoë-2.png", "team/ada_lovelace.png", ".h.png"]):
        (folder / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "photos" / name).write_bytes(sample_png(n))
    (folder / "photos" / "notes.txt").write_text("none")
    return Path("photos")


def rows(path: str) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_becomes_a_job(invoke: Invoke, photos: Path, service: Any) -> None:
    done = invoke("bulk", "init", photos, "--to", "photos/rows.csv")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("3 rows written to photos/rows.csv; 1 other file left out")
    found = rows("photos/rows.csv")
    assert [(one["key"], one["image"], one["nickname"]) for one in found] == [
        ("Zoë-2", "Zoë-2.png", "Zoë 2"),
        ("ada_lovelace", "ada_lovelace.png", "ada lovelace"),
        ("ada_lovelace-2", "team/ada_lovelace.png", "ada lovelace"),
    ]
    run = invoke("bulk", "run", "photos/rows.csv", "--ledger", LEDGER, "--rate", "none")
    assert run.exit_code == 0, run.stderr
    assert sorted(service.creates) == ["Zoë 2", "ada lovelace", "ada lovelace"]


def test_a_pattern(invoke: Invoke, photos: Path) -> None:
    assert invoke("bulk", "init", "photos/*.png").exit_code == 0
    assert [one["image"] for one in rows("rows.csv")] == [
        "photos/Zoë-2.png", "photos/ada_lovelace.png",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere",), "there is no file at nowhere"),
        (("photos/*.gif",), "there is no file at photos/*.gif"),
        (("photos/notes.txt",), "no picture was found"),
        (("photos", "--to", "rows.txt"), "end it with .csv or .xlsx"),
        (("photos", "--to", "mine.csv"), "is there already"),
        ((), "Missing argument"),
    ],
)
def test_what_can_not_be(invoke: Invoke, photos: Path, words: tuple[str, ...], said: str) -> None:
    Path("mine.csv").write_text("mine")
    done = invoke("bulk", "init", *words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert Path("mine.csv").read_text() == "mine"
    assert not Path("rows.csv").exists()


def test_workbooks_in_and_out(invoke: Invoke, photos: Path, service: Any) -> None:
    assert invoke("bulk", "init", photos, "--to", "rows.xlsx").exit_code == 0
    done = invoke("bulk", "run", "rows.xlsx", "--ledger", LEDGER, "--rate", "none")
    assert done.exit_code == 0, done.stderr
    assert set(avatars(LEDGER)) == {"Zoë-2", "ada_lovelace", "ada_lovelace-2"}
    assert invoke("bulk", "export", LEDGER, "--to", "out.xlsx").exit_code == 0
    Path("decisions.csv").write_text("key,decision\n")
    done = invoke("bulk", "settle", LEDGER, "--from", "out.xlsx")
    assert done.exit_code == 2
    assert "out.xlsx, line 1: the header needs a column decision" in done.stderr


def test_what_cells_hold(folder: Path) -> None:
    from kling_async.bulk.columns import Columns
    from kling_async.bulk.recipes import AVATARS

    book = Workbook(Path("a.xlsx"), ["key", "tts_speed", "image_url", "x_flag", "x_id"])
    book.write({"key": "=1+1", "tts_speed": 1.2, "image_url": "7", "x_flag": True})
    book.write({})
    book.write({"key": 5, "x_id": 300137233318846123})
    book.close()
    first, second = sheet_records(Path("a.xlsx"), Columns(AVATARS))
    assert (first.line, second.line) == (2, 4)
    assert first.cells == {"key": "=1+1", "tts_speed": "1.2", "image_url": "7", "x_flag": "true"}
    assert second.cells == {"key": "5", "x_id": "300137233318846123"}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"key,image\n"])
def test_what_is_no_workbook(invoke: Invoke, content: bytes) -> None:
    Path("in.xlsx").write_bytes(content)
    done = invoke("bulk", "run", "in.xlsx", "--ledger", LEDGER)
    assert done.exit_code == 2
    assert done.stderr.startswith("kling-async: in.xlsx: can't be read as an Excel workbook")
    assert not LEDGER.exists()

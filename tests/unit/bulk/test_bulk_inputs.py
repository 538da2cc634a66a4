"""Reading inputs: every fault with its place and remedy, and nothing lost of what is well."""

from __future__ import annotations

import csv
import io
import json
import os
import pickle
import re
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from memory import growth_bytes
from pictures import jpeg, png

from kling_async import KlingError
from kling_async.bulk import inputs, readers
from kling_async.bulk.problems import InputError, InputProblem
from kling_async.bulk.recipes import TALKING
from kling_async.bulk.records import RowInput
from kling_async.models.avatars import CreateAvatar

URL = "https://example.com/a.png"
OWN = "Columns of your own begin with x_, or --keep-columns keeps them"
COLUMNS = ", ".join(TALKING.columns)


def read_rows(path: str | Path) -> Iterator[RowInput]:
    return inputs.read_rows(path, TALKING)


def request(row: RowInput) -> CreateAvatar | None:
    """What the row's first step sends."""
    given = row.steps[0].request
    assert given is None or isinstance(given, CreateAvatar)
    return given


def payload(row: RowInput) -> Mapping[str, Any]:
    return row.steps[0].payload


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that the inputs of a test are in, and that it works in."""
    monkeypatch.chdir(tmp_path)
    limit = csv.field_size_limit()
    yield tmp_path
    assert csv.field_size_limit() == limit


@pytest.fixture
def rows(folder: Path) -> Callable[..., list[RowInput]]:
    """Writes an input and reads it."""

    def read(content: str | bytes, name: str = "in.csv") -> list[RowInput]:
        data = content.encode() if isinstance(content, str) else content
        (folder / name).write_bytes(data)
        return list(read_rows(name))

    return read


Rows = Callable[..., list[RowInput]]


def refused(rows: Rows, content: str | bytes, name: str = "in.csv") -> list[str]:
    """What the file is refused for."""
    with pytest.raises(InputError) as caught:
        rows(content, name)
    return [str(one) for one in caught.value.problems]


def only(found: list[RowInput]) -> RowInput:
    (row,) = found
    assert (request(row) is None) == bool(row.problems)
    return row


def jsonl(*records: Any) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


class TestInputProblem:
    @pytest.mark.parametrize(
        ("line", "column", "shown"),
        [
            (7, "tts_speed", "avatars.csv, line 7, column tts_speed: is 3; no"),
            (7, None, "avatars.csv, line 7: is 3; no"),
            (None, None, "avatars.csv: is 3; no"),
        ],
    )
    def test_shows_what_is_known_of_the_place(
        self, line: int | None, column: str | None, shown: str
    ) -> None:
        assert str(InputProblem("avatars.csv", line, column, "is 3; no")) == shown


class TestInputError:
    def made(self, count: int, more: int = 0) -> InputError:
        return InputError(
            [InputProblem("a.csv", n, None, "bad") for n in range(1, count + 1)], more
        )

    def test_ends_with_what_to_do(self) -> None:
        error = self.made(2)
        assert isinstance(error, KlingError)
        assert str(error) == (
            "a.csv, line 1: bad\n"
            "a.csv, line 2: bad\n"
            "Nothing was sent. Mend the file and run the command again."
        )

    @pytest.mark.parametrize(
        ("count", "given_more", "kept", "more"),
        [(20, 0, 20, 0), (21, 0, 20, 1), (25, 100, 20, 105), (1, 3, 1, 3)],
    )
    def test_lists_twenty_and_counts_the_rest(
        self, count: int, given_more: int, kept: int, more: int
    ) -> None:
        error = self.made(count, given_more)
        assert (len(error.problems), error.more) == (kept, more)
        lines = str(error).splitlines()
        assert len(lines) == kept + 1 + (more > 0)
        assert (f"... and {more} more" in lines) == (more > 0)

    def test_survives_pickling(self) -> None:
        error = self.made(25)
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is InputError
        assert (str(again), again.problems, again.more) == (str(error), error.problems, error.more)


class TestWholeFile:
    @pytest.mark.parametrize("name", ["in.xls", "in", "in.csv.gz", "in.json"])
    def test_ending(self, rows: Rows, name: str) -> None:
        assert refused(rows, "image\n", name) == [
            f"{name}: must end in .csv, .tsv, .jsonl, .ndjson, .xlsx"
        ]

    @pytest.mark.parametrize("name", ["in.CSV", "in.Csv"])
    def test_ending_in_capitals(self, rows: Rows, name: str) -> None:
        assert request(only(rows(f"image_url\n{URL}\n", name)))

    @pytest.mark.parametrize("name", ["gone.csv", "gone.jsonl"])
    def test_missing(self, folder: Path, name: str) -> None:
        with pytest.raises(InputError) as caught:
            list(read_rows(name))
        assert str(caught.value).startswith(f"{name}: can't be read: No such file or directory\n")

    def test_directory(self, folder: Path) -> None:
        (folder / "in.csv").mkdir()
        with pytest.raises(InputError, match=r"^in\.csv: can't be read: Is a directory\n"):
            list(read_rows("in.csv"))

    @pytest.mark.parametrize("name", ["in.csv", "in.jsonl", "in.xlsx"])
    def test_a_named_pipe_is_not_waited_for(self, folder: Path, name: str) -> None:
        os.mkfifo(folder / name)
        with pytest.raises(InputError, match="it is a named pipe, not a file"):
            list(read_rows(name))

    def test_is_named_as_given(self, folder: Path) -> None:
        given = folder / "sub" / "gone.csv"
        with pytest.raises(InputError) as caught:
            list(read_rows(given))
        assert caught.value.problems[0].file == str(given)

    @pytest.mark.parametrize("content", ["", "\n \n\r\n", "\ufeff"])
    @pytest.mark.parametrize("name", ["in.csv", "in.tsv", "in.jsonl"])
    def test_empty(self, rows: Rows, content: str, name: str) -> None:
        said = refused(rows, content, name)
        assert said in ([f"{name}: is empty"], [f"{name}: has no rows"])

    @pytest.mark.parametrize("content", ["image\n", "image", "image,nickname\n\n,\n"])
    def test_header_without_rows(self, rows: Rows, content: str) -> None:
        assert refused(rows, content) == ["in.csv: has no rows"]

    @pytest.mark.parametrize(("content", "shown"), [
        ("ada.png,Ada\nben.png,Ben\n", "ada.png, Ada"),
        ("Name;Photo\nAda;ada.png\n", "Name, Photo"),
        (",,\nimage\n", ", , "),
    ])  # fmt: skip
    def test_no_header(self, rows: Rows, content: str, shown: str) -> None:
        assert refused(rows, content) == [
            f"in.csv, line 1: {shown!r} is no header: the first line must name the columns, "
            f"which are {COLUMNS}"
        ]

    def test_header_faults_come_all_at_once(self, rows: Rows) -> None:
        header = "\nkey,Nick-name,KEY,image file,,account,e mail,email,imageUrl,zzz,extra,key\n"
        assert refused(rows, header) == [
            f"in.csv, line 2, column nick_name: is no column of an input; did you mean nickname? "
            f"{OWN}",
            "in.csv, line 2, column key: is in the header twice; keep one",
            "in.csv, line 2, column image_file: is no column of an input; did you mean "
            f"image_url or image? {OWN}",
            "in.csv, line 2: column 5 has no name; give it one that begins with x_",
            f"in.csv, line 2, column e_mail: is no column of an input; did you mean email? {OWN}",
            "in.csv, line 2, column email: means the same as account; keep one of the two",
            "in.csv, line 2, column imageurl: is no column of an input; did you mean image_url or "
            f"image? {OWN}",
            f"in.csv, line 2, column zzz: is no column of an input; known are {COLUMNS}. {OWN}",
            "in.csv, line 2, column extra: is taken from JSON Lines only",
            "in.csv, line 2, column key: is in the header twice; keep one",
            "in.csv, line 2: the header needs a column image (files), image_url (addresses) or "
            "avatar_id (avatars that exist already)",
        ]

    def test_no_image_column(self, rows: Rows) -> None:
        assert refused(rows, "key,nickname\na,b\n") == [
            "in.csv, line 1: the header needs a column image (files), image_url (addresses) or "
            "avatar_id (avatars that exist already)"
        ]

    @pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
    @pytest.mark.parametrize("rows_before", [0, 3, 700])
    @pytest.mark.parametrize("shift", [0, 1])
    @pytest.mark.parametrize("name", ["in.csv", "in.jsonl"])
    def test_not_utf8(
        self, rows: Rows, end: bytes, rows_before: int, shift: int, name: str
    ) -> None:
        # 700 rows are more than one chunk of the search; with or without the shift, its border
        # lies inside an é of two bytes.
        header, row = ("image_url,x_a", f"{URL},é") if name == "in.csv" else ("{}", '{"key": "é"}')
        row = row.replace("é", "é" * 50)
        before = (header + " " * shift).encode() + end + (row.encode() + end) * rows_before
        content = before + b"Ren\xe9" + end + b"\xff" + end
        assert refused(rows, content, name) == [
            f"{name}, line {rows_before + 2}: is not UTF-8: byte 0xe9 at offset {len(before) + 3}; "
            "save it as UTF-8 (Excel: CSV UTF-8)"
        ]

    def test_a_line_end_over_the_border_of_two_chunks_counts_once(self, rows: Rows) -> None:
        before = b"image_url,x_a\r\n" + b"a" * (64 * 1024 - 16) + b"\r\n"
        assert before[: 64 * 1024].endswith(b"\r")
        (said,) = refused(rows, before + b"\xff")
        assert said.startswith("in.csv, line 3: is not UTF-8: byte 0xff at offset 65537;")

    def test_cut_inside_a_character(self, rows: Rows) -> None:
        assert refused(rows, "image_url\né".encode()[:-1]) == [
            "in.csv, line 2: is not UTF-8: byte 0xc3 at offset 10; "
            "save it as UTF-8 (Excel: CSV UTF-8)"
        ]

    @pytest.mark.parametrize("name", ["in.csv", "in.jsonl"])
    def test_utf16(self, rows: Rows, name: str) -> None:
        said = [f"{name}: is UTF-16; save it as UTF-8 (Excel: CSV UTF-8)"]
        assert refused(rows, "image\na.png\n".encode("utf-16"), name) == said
        nul = [f"{name}, line 1: has a NUL character: it is damaged, or not UTF-8 text"]
        assert refused(rows, "image\na.png\n".encode("utf-16-le"), name) == nul

    def test_broken_quotes(self, rows: Rows) -> None:
        before = f'image_url,prompt\n{URL},"two\nlines"\n'
        remedy = 'a cell with quotes in it is written "like ""this"" one"'
        assert refused(rows, before + f'{URL},"she said "hi" to us"\n{URL},\n') == [
            "in.csv, line 4: the quotes of this row don't match (',' expected after '\"'); "
            + remedy
        ]
        assert refused(rows, before + f'{URL},"never\nclosed\n') == [
            "in.csv, line 4: the quotes of this row don't match (unexpected end of data); " + remedy
        ]

    def test_broken_quotes_in_the_header(self, rows: Rows) -> None:
        assert refused(rows, 'image,"prompt\n')[0].startswith("in.csv, line 1: the quotes of this")

    def test_cell_of_the_greatest_length(self, rows: Rows) -> None:
        limit = csv.field_size_limit()
        row = only(rows(f"image_url,x_note\n{URL},{'a' * limit}\n"))
        assert len(str(row.columns["x_note"])) == limit
        assert refused(rows, f"image_url,x_note\n\n{URL},{'a' * (limit + 1)}\n") == [
            f"in.csv, line 3: a cell has more than {limit} characters; perhaps a quote is opened "
            "and never closed"
        ]

    @pytest.mark.parametrize("name", ["in.csv", "in.jsonl"])
    def test_row_of_the_greatest_length(
        self, rows: Rows, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        fits = f'{URL},"\na"\n' if name == "in.csv" else jsonl({"image_url": URL})
        before = "image_url,prompt\n" if name == "in.csv" else "\n"
        monkeypatch.setattr(readers, "RECORD_CHARS", len(fits))
        assert len(rows(before + fits * 3, name)) == 3
        monkeypatch.setattr(readers, "RECORD_CHARS", len(fits) - 1)
        assert refused(rows, before + fits * 3, name) == [
            f"{name}, line 2: a row has more than {len(fits) - 1} characters; perhaps a quote is "
            "opened and never closed, or this is another kind of file"
        ]

    def test_good_rows_come_before_the_fault(self, folder: Path) -> None:
        (folder / "in.csv").write_text(f'image_url\n{URL}\n"{URL}" x\n')
        reading = read_rows("in.csv")
        assert next(reading).line == 2
        with pytest.raises(InputError, match="line 3"):
            next(reading)


class TestCsv:
    def test_a_full_row(self, rows: Rows, folder: Path) -> None:
        (folder / "ada.png").write_bytes(png())
        row = only(
            rows(
                "key,image,nickname,prompt,scene,tts_speaker,tts_speed,tts_emotion,account,x_id\n"
                " ada ,ada.png, Ada,Nods.,education,v1, 1.20,happy,a@b.c,07\n"
            )
        )
        assert request(row) is not None
        assert (row.key, row.position, row.line) == ("ada", 1, 2)
        assert payload(row) == {
            "image": str(folder / "ada.png"),
            "nickname": "Ada",
            "prompt": "Nods.",
            "scene": "education",
            "tts_speaker": "v1",
            "tts_speed": 1.2,
            "tts_emotion": "happy",
            "email": "a@b.c",
        }
        assert row.columns == {
            "key": " ada ",
            "image": "ada.png",
            "nickname": " Ada",
            "prompt": "Nods.",
            "scene": "education",
            "tts_speaker": "v1",
            "tts_speed": " 1.20",
            "tts_emotion": "happy",
            "account": "a@b.c",
            "x_id": "07",
        }

    def test_blank_is_not_given(self, rows: Rows) -> None:
        row = only(rows(f"key,image,image_url,prompt,tts_speed,account\n,  ,{URL},,\t,\n"))
        assert payload(row) == row.columns == {"image_url": URL}
        assert re.fullmatch("row-[0-9a-f]{12}", row.key)

    def test_header_in_any_spelling(self, rows: Rows) -> None:
        row = only(rows(f"\ufeff Image-URL ,NICKNAME,tts speed,X-My Note\n{URL},Ada,1,n\n"))
        assert row.columns == {
            "image_url": URL,
            "nickname": "Ada",
            "tts_speed": "1",
            "x_my_note": "n",
        }
        assert payload(row) == {"image_url": URL, "nickname": "Ada", "tts_speed": 1.0}

    def test_own_columns_are_kept_and_never_sent(self, rows: Rows) -> None:
        row = only(rows(f"image_url,x_nickname\n{URL},Ada\n"))
        assert row.columns["x_nickname"] == "Ada"
        assert request(row) is not None
        assert request(row).nickname is None
        assert request(row).extra is None

    @pytest.mark.parametrize("alias", ["account", "email"])
    def test_account_by_both_names(self, rows: Rows, alias: str) -> None:
        row = only(rows(f"image_url,{alias}\n{URL},a@b.c\n"))
        assert request(row) is not None
        assert request(row).email == "a@b.c"
        assert row.columns == {"image_url": URL, alias: "a@b.c"}
        row = only(rows(f"image_url,{alias}\n{URL},ada\n"))
        assert row.problems == {alias: "'ada' is not an e-mail address"}

    @pytest.mark.parametrize(
        ("name", "delimiter"), [("a.csv", ","), ("a.csv", ";"), ("a.csv", "\t"), ("a.tsv", "\t")]
    )
    @pytest.mark.parametrize("mark", ["", "\ufeff"])
    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_delimiters_marks_and_line_ends(
        self, rows: Rows, name: str, delimiter: str, mark: str, end: str
    ) -> None:
        lines = [["image_url", "x_a", "x_b"], [URL, "1,2;3", f'"4{end}5"'], [URL, "", "6"]]
        table = end.join(
            delimiter.join('"' + cell.replace('"', '""') + '"' for cell in line) for line in lines
        )
        first, second = rows(mark + table, name)
        assert first.columns == {"image_url": URL, "x_a": "1,2;3", "x_b": f'"4{end}5"'}
        assert second.columns == {"image_url": URL, "x_b": "6"}
        assert (first.line, second.line) == (2, 4)

    def test_a_comma_in_a_quoted_name_is_no_delimiter(self, rows: Rows) -> None:
        assert only(rows(f'image_url;"x_a,b"\n{URL};1\n')).columns["x_a,b"] == "1"

    def test_only_a_tab_parts_a_tsv(self, rows: Rows) -> None:
        assert refused(rows, "image,key\n", "in.tsv")[0].startswith(
            "in.tsv, line 1: 'image,key' is no header"
        )

    def test_line_is_where_the_row_begins(self, rows: Rows) -> None:
        found = rows(
            '\n"image_url","x_\nnote",prompt\n'  # the header is on lines 2 and 3
            f'\n{URL},a,"three\n\nlines"\n'
            f" \n,,\n{URL},,b\n"
        )
        assert [(row.line, row.position) for row in found] == [(5, 1), (10, 2)]
        assert found[0].columns["prompt"] == "three\n\nlines"
        assert found[0].columns["x__note"] == "a"

    def test_missing_cells_count_as_blank(self, rows: Rows) -> None:
        assert only(rows(f"image_url,nickname,prompt\n{URL}\n")).columns == {"image_url": URL}

    def test_surplus_cells(self, rows: Rows) -> None:
        first, second = rows(f"key,image_url,prompt\na,{URL},yes, no\nb,{URL},c,, \n")
        assert request(first) is None
        assert first.key == "a"
        assert first.problems == {
            "": "has 4 cells, but the header names 3 columns; a cell that holds the delimiter "
            "needs quotes around it"
        }
        assert request(second) is not None

    def test_surplus_cells_hide_what_they_cause(self, rows: Rows) -> None:
        assert set(only(rows("image_url,tts_speed\nfile,fast,0\n")).problems) == {""}

    def test_a_delimiter_at_the_end_of_the_header(self, rows: Rows) -> None:
        assert only(rows(f"image_url,key,,\n{URL},a,,\n")).key == "a"

    @pytest.mark.parametrize(
        ("cell", "problem"),
        [
            ("0.8", None),
            ("2", None),
            ("+1.", None),
            (".9", None),
            ("0.79", "is 0.79; it must be from 0.8 to 2"),
            ("2.01", "is 2.01; it must be from 0.8 to 2"),
            ("3", "is 3; it must be from 0.8 to 2"),
            ("-1", "is -1; it must be from 0.8 to 2"),
            ("fast", "is 'fast'; it must be a number from 0.8 to 2"),
            ("nan", "is 'nan'; it must be a number from 0.8 to 2"),
            ("1_0", "is '1_0'; it must be a number from 0.8 to 2"),
            ("\u0661", "is '\u0661'; it must be a number from 0.8 to 2"),
            ("9" * 400, "is inf; it must be from 0.8 to 2"),
            ("z" * 400, f"is {'z' * 40!r}; it must be a number from 0.8 to 2"),
            (
                '"1,2"',
                "is '1,2', with a decimal comma; it must be a number from 0.8 to 2, "
                "written with a point: 1.2",
            ),
            ('"1,2,3"', "is '1,2,3'; it must be a number from 0.8 to 2"),
        ],
    )
    def test_speed(self, rows: Rows, cell: str, problem: str | None) -> None:
        row = only(rows(f"image_url,tts_speed\n{URL},{cell}\n"))
        assert row.problems == ({} if problem is None else {"tts_speed": problem})

    @pytest.mark.parametrize(("column", "most"), [("nickname", 30), ("prompt", 2000)])
    def test_lengths(self, rows: Rows, column: str, most: int) -> None:
        fits, long = rows(f"image_url,{column}\n{URL},{'é' * most}\n{URL},{'é' * (most + 1)}\n")
        assert request(fits) is not None
        assert long.problems == {column: f"has {most + 1} characters; at most {most} are allowed"}

    def test_faults_of_a_row_come_all_at_once(self, rows: Rows) -> None:
        row = only(
            rows(
                "image_url,nickname,scene,tts_speed,tts_emotion,account\n"
                f"file.png,{'a' * 31},moon,fast,bored,ada\n"
            )
        )
        assert row.problems == {
            "image_url": "'file.png' is not an http or https URL",
            "nickname": "has 31 characters; at most 30 are allowed",
            "scene": "is 'moon'; allowed are all, social_media, entertainment, "
            "advertising_marketing, business, education, virtual_idol",
            "tts_speed": "is 'fast'; it must be a number from 0.8 to 2",
            "tts_emotion": "is 'bored'; allowed are neutral, happy, angry, sad, fearful, "
            "disgusted, surprised",
            "account": "'ada' is not an e-mail address",
        }


class TestImages:
    def read(self, rows: Rows, cell: str) -> RowInput:
        return only(rows(f"image\n{cell}\n"))

    def test_relative_to_the_input(
        self,
        folder: Path,
        tmp_path_factory: pytest.TempPathFactory,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        (folder / "sub").mkdir()
        (folder / "sub" / "a.jpg").write_bytes(jpeg())
        (folder / "in.csv").write_text("image\nsub/a.jpg\n")
        monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
        row = only(list(read_rows(folder / "in.csv")))
        assert payload(row) == {"image": str(folder / "sub" / "a.jpg")}
        assert row.columns == {"image": "sub/a.jpg"}

    def test_absolute(self, rows: Rows, tmp_path_factory: pytest.TempPathFactory) -> None:
        image = tmp_path_factory.mktemp("elsewhere") / "a.png"
        image.write_bytes(png())
        assert payload(self.read(rows, str(image))) == {"image": str(image)}

    def test_home(self, rows: Rows, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(folder / "home"))
        (folder / "home").mkdir()
        (folder / "home" / "a.png").write_bytes(png())
        assert payload(self.read(rows, "~/a.png")) == {"image": str(folder / "home" / "a.png")}
        assert self.read(rows, "~nobody-of-this-name/a.png").problems == {
            "image": "'~nobody-of-this-name/a.png' names a home folder that is not there"
        }

    @pytest.mark.parametrize(
        ("name", "content", "problem"),
        [
            ("a.png", png(300, 300), None),
            ("a.png", png(300, 299), "a.png is 300 x 299 px; each side needs 300 px or more"),
            ("a.jpg", jpeg(300, 300), None),
            ("a.jpg", jpeg(300, 300, exif_bytes=200_000), None),
            ("a.jpg", jpeg(299, 400), "a.jpg is 299 x 400 px; each side needs 300 px or more"),
            ("a.jpg", png(), None),  # what it is counts, not how it is called
            ("a.png", b"", "a.png is empty"),
            (
                "a.png",
                b"<svg/>",
                "a.png can't be read as image/png: it is damaged or something else",
            ),
            ("a.gif", b"GIF89a", "a.gif is image/gif; the API takes image/jpeg, image/png"),
            (
                "a.png",
                png()[:20],
                "a.png can't be read as image/png: its size is missing or damaged",
            ),
            ("a.png", png().ljust(10 * 2**20), None),
            (
                "a.png",
                png().ljust(10 * 2**20 + 60_000),
                "a.png has 10.1 MB; the API takes 10 MB of image/png",
            ),
        ],
    )
    def test_content(
        self, rows: Rows, folder: Path, name: str, content: bytes, problem: str | None
    ) -> None:
        (folder / name).write_bytes(content)
        assert self.read(rows, name).problems == ({} if problem is None else {"image": problem})

    def test_missing_and_directory(self, rows: Rows, folder: Path) -> None:
        assert self.read(rows, "gone.png").problems == {
            "image": "gone.png can't be read: No such file or directory"
        }
        (folder / "sub").mkdir()
        assert self.read(rows, "sub").problems == {"image": "sub can't be read: Is a directory"}

    @pytest.mark.parametrize("address", [URL, "HTTP://example.com/a.png"])
    def test_an_address_in_the_wrong_column(self, rows: Rows, address: str) -> None:
        assert self.read(rows, address).problems == {
            "image": "is an address, not a file; put it into image_url"
        }

    @pytest.mark.parametrize("image", ["a.png", "gone.png", URL])
    @pytest.mark.parametrize("address", [URL, "no address"])
    def test_both(self, rows: Rows, folder: Path, image: str, address: str) -> None:
        (folder / "a.png").write_bytes(png())
        both = {"image": "and image_url are both given; keep one of the two"}
        assert only(rows(f"image,image_url\n{image},{address}\n")).problems == both
        record = jsonl({"image": image, "image_url": address})
        assert only(rows(record, "in.jsonl")).problems == both

    def test_neither(self, rows: Rows) -> None:
        neither = {"image": "is missing; give a file here, or an address in image_url"}
        assert only(rows("image,nickname\n,Ada\n")).problems == neither
        assert only(rows("image_url,nickname\n,Ada\n")).problems == neither
        assert only(rows("{}\n", "in.jsonl")).problems == neither
        assert only(rows(jsonl({"image": None}), "in.jsonl")).problems == neither


class TestJsonLines:
    def read(self, rows: Rows, **fields: Any) -> RowInput:
        return only(rows(jsonl({"image_url": URL, **fields}), "in.jsonl"))

    @pytest.mark.parametrize("name", ["in.jsonl", "in.ndjson", "in.JSONL"])
    def test_a_full_row(self, rows: Rows, folder: Path, name: str) -> None:
        (folder / "ada.png").write_bytes(png())
        record = {
            "key": "ada",
            "image": "ada.png",
            "image_url": None,
            "nickname": " Ada",
            "TTS-Speed": 2,
            "account": "a@b.c",
            "extra": {"newField": [1, {"deep": None}]},
            "x_order": {"id": 7},
        }
        row = only(rows("\ufeff\n" + json.dumps(record) + "\r\n \n", name))
        assert (row.key, row.position, row.line) == ("ada", 1, 2)
        assert payload(row) == {
            "image": str(folder / "ada.png"),
            "nickname": " Ada",
            "tts_speed": 2,
            "email": "a@b.c",
            "extra": {"newField": [1, {"deep": None}]},
        }
        assert row.columns == {
            "key": "ada",
            "image": "ada.png",
            "nickname": " Ada",
            "tts_speed": 2,
            "account": "a@b.c",
            "extra": {"newField": [1, {"deep": None}]},
            "x_order": {"id": 7},
        }

    def test_numbers_of_lines_and_rows(self, rows: Rows) -> None:
        found = rows(f"\n{jsonl({'image_url': URL})}\nnonsense\n{jsonl({})}", "in.jsonl")
        assert [(row.line, row.position) for row in found] == [(2, 1), (4, 2), (5, 3)]
        assert len({row.key for row in found}) == 3

    @pytest.mark.parametrize(
        ("field", "value", "problem"),
        [
            ("tts_speed", "1.2", "must be a number from 0.8 to 2, not '1.2'"),
            ("tts_speed", True, "must be a number from 0.8 to 2, not True"),
            ("tts_speed", 3, "is 3; it must be from 0.8 to 2"),
            ("tts_speed", 10**19, "is 10000000000000000000; it must be from 0.8 to 2"),
            ("nickname", 7, "must be text, not int"),
            ("nickname", "", "must not be blank; leave it out instead"),
            ("prompt", ["a"], "must be text, not list"),
            ("account", 7, "must be an e-mail address, not int"),
            ("email", "ada", "'ada' is not an e-mail address"),
            ("image_url", 7, "must be an http or https URL, not int"),
            ("extra", [1], "must be a mapping from the API's field names to JSON values"),
            (
                "extra",
                {"ttsSpeed": 1},
                "names fields this library knows: ttsSpeed (use tts_speed=)",
            ),
            ("key", 7, "must be text, not int"),
            ("key", " ", "must not be blank; leave it out instead"),
            (
                "speaker",
                "v1",
                f"is no column of an input; did you mean speaker_id or tts_speaker? {OWN}",
            ),
            ("zzz", None, f"is no column of an input; known are {COLUMNS}, extra. {OWN}"),
            ("IMAGE-URL", URL, "is given twice; keep one"),
        ],
    )
    def test_one_bad_field(self, rows: Rows, field: str, value: Any, problem: str) -> None:
        name = field.lower().replace("-", "_")
        assert self.read(rows, **{field: value}).problems == {name: problem}

    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            (7, "must be a path as text, not int"),
            ("", "must not be blank; leave it out instead"),
            (" ", "must not be blank; leave it out instead"),
        ],
    )
    def test_bad_image(self, rows: Rows, value: Any, problem: str) -> None:
        assert only(rows(jsonl({"image": value}), "in.jsonl")).problems == {"image": problem}

    def test_account_twice(self, rows: Rows) -> None:
        assert self.read(rows, account="a@b.c", email="a@b.c").problems == {
            "email": "means the same as account; keep one of the two"
        }
        assert request(self.read(rows, account="a@b.c", email=None))

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            (
                '{"image_url": }',
                "is not JSON: Expecting value at character 15; each line is one JSON object",
            ),
            ("[", "is not JSON: Expecting value at character 2; each line is one JSON object"),
            ("[]", "must be a JSON object, {...}, not list"),
            ("null", "must be a JSON object, {...}, not NoneType"),
            ('"a"', "must be a JSON object, {...}, not str"),
            ('{"key": "a", "key": "b"}', "has 'key' twice; keep one"),
            ('{"extra": {"a": 1, "a": 1}}', "has 'a' twice; keep one"),
            ('{"tts_speed": NaN}', "holds NaN, which is no number of JSON"),
            ('{"tts_speed": -Infinity}', "holds -Infinity, which is no number of JSON"),
            ('{"tts_speed": 1e999}', "holds 1e999, which is no number of JSON"),
            ('{"tts_speed": ' + "9" * 20 + "}", None),
            ('{"tts_speed": ' + "9" * 21 + "}", "holds a number of 21 digits; 20 are the most"),
            (
                '{"tts_speed": ' + "9" * 9999 + "}",
                "holds a number of 9999 digits; 20 are the most",
            ),
            ('{"key": "\\ud800"}', "holds the character \\ud800, which is no text"),
            ('{"x_a": [{"b": "\\u0000"}]}', "holds the character \\u0000, which is no text"),
            ('{"\\udfff": 1}', "holds the character \\udfff, which is no text"),
            ('{"key": "\\ud83d\\ude00"}', None),
            ('{"extra": ' + "[" * 20 + "]" * 20 + "}", None),
            ('{"extra": ' + "[" * 21 + "]" * 21 + "}", "is nested more than 20 deep"),
            ('{"extra": ' + "[" * 99_999 + "]" * 99_999 + "}", "is nested more than 20 deep"),
        ],
    )
    def test_a_line_that_is_no_row(self, rows: Rows, text: str, problem: str | None) -> None:
        bad, good = rows(f"{text}\n{jsonl({'image_url': URL})}", "in.jsonl")
        assert request(good) is not None
        assert request(bad) is None
        assert bad.line == 1
        if problem is None:
            assert "" not in bad.problems
        else:
            assert bad.problems == {"": problem}
            assert bad.columns == {}


# What a cell may hold: anything that UTF-8 can carry, but for NUL.
CELLS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
SLOW = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(
    table=st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=6),
    form=st.sampled_from([(",", ".csv"), (";", ".csv"), ("\t", ".csv"), ("\t", ".tsv")]),
    # A lone \r in a cell is only quoted where the writer is told to, or ends lines with it.
    written=st.sampled_from([("\n", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_MINIMAL)]),
    mark=st.sampled_from(["", "\ufeff"]),
)
def test_what_csv_writes_is_read_back(
    tmp_path: Path,
    table: list[tuple[str, ...]],
    form: tuple[str, str],
    written: tuple[str, Any],
    mark: str,
) -> None:
    (delimiter, ending), (end, quoting) = form, written
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)
    names = ("image_url", "x_a", "prompt", "x_b")
    lines = [(URL, *cells) for cells in table]
    starts = []
    for line in (names, *lines):
        so_far = text.getvalue().replace("\r\n", "\n").replace("\r", "\n")
        starts.append(so_far.count("\n") + 1)
        writer.writerow(line)
    path = tmp_path / f"in{ending}"
    path.write_bytes((mark + text.getvalue()).encode())
    found = list(read_rows(path))
    expected = [{n: c for n, c in zip(names, line, strict=True) if c.strip()} for line in lines]
    assert [row.columns for row in found] == expected
    assert [row.line for row in found] == starts[1:]
    assert [row.position for row in found] == list(range(1, len(lines) + 1))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=50, deadline=None, suppress_health_check=SLOW)
@given(
    st.lists(
        st.dictionaries(st.sampled_from([*TALKING.columns, "extra", "x_a"]), JSON_VALUES),
        min_size=1,
        max_size=4,
    )
)
def test_no_json_breaks_the_reader(tmp_path: Path, records: list[dict[str, Any]]) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(jsonl(*records))
    found = list(read_rows(path))
    assert len(found) == len(records)
    for row in found:
        assert (request(row) is None) == bool(row.problems)


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(st.binary(max_size=60), st.sampled_from([".csv", ".tsv", ".jsonl"]))
def test_no_bytes_break_the_reader(tmp_path: Path, content: bytes, ending: str) -> None:
    path = tmp_path / f"in{ending}"
    path.write_bytes(b"image_url\n" + content)
    with suppress(InputError):
        for row in read_rows(path):
            assert row.line is not None


@pytest.mark.heavy
def test_memory_does_not_grow_with_rows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # JSON Lines here; CSV, and the making of rows, in test_bulk_preflight.py: tracemalloc is slow.
    def quick_row(record: Any, position: int, *_: object) -> RowInput:
        return RowInput(key="", position=position, columns=record.cells)

    monkeypatch.setattr(inputs, "_row", quick_row)
    with (folder / "in.jsonl").open("w") as file:
        file.writelines(jsonl({"x_note": f"{'n' * 200}{n}"}) for n in range(20_000))

    def read(measure: Callable[[int], None]) -> None:
        for row in read_rows("in.jsonl"):
            measure(row.position)

    assert growth_bytes(read) < 100_000


def test_an_unclosed_quote_does_not_pull_the_file_in(folder: Path) -> None:
    (folder / "in.csv").write_text('image_url,prompt\na,"' + f"{URL},b\n" * 200_000)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="line 2: a cell has more than 131072 characters"):
            list(read_rows("in.csv"))
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()

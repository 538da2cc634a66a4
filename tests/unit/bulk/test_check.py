"""The check before a run: rows beside each other, the ledger and the voices."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from memory import growth_bytes
from pictures import png

from kling_async.bulk import check, inputs
from kling_async.bulk.check import Checked, VoiceUse, check_input
from kling_async.bulk.inputs import read_rows
from kling_async.bulk.located import InputError, Located
from kling_async.bulk.named import check_voices
from kling_async.bulk.rows import RowInput
from kling_async.errors import ConfigurationError
from kling_async.models.avatars import CreateAvatar
from kling_async.models.tts import Voice, VoiceEmotion, VoiceList

URL = "https://example.com/a.png"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a test works in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(content: str, name: str = "in.csv") -> str:
    Path(name).write_text(content)
    return name


def write_keys(keys: Sequence[str]) -> str:
    return write("key,image_url\n" + "".join(f"{key},{URL}\n" for key in keys))


def problems(path: str, known: Known | None = None) -> list[str]:
    """What the input is refused for, and the count of what is not listed."""
    with pytest.raises(InputError) as caught:
        check_input(path, known=known)
    more = [f"{caught.value.more} more"] if caught.value.more else []
    return [str(one) for one in caught.value.problems] + more


class Known:
    """What a ledger knows, in a dict."""

    def __init__(self, digests: Mapping[str, str]) -> None:
        self.digests = dict(digests)
        self.asked: list[int] = []
        self.videos: dict[str, str] = {}

    @classmethod
    def of(cls, path: str) -> Known:
        """As it is after a run of this input."""
        return cls({row.key: row.digest for row in read_rows(path)})

    def lookup(self, keys: Sequence[str]) -> Mapping[str, str]:
        self.asked.append(len(keys))
        return {key: self.digests[key] for key in keys if key in self.digests}

    def videos_sent(self, keys: Sequence[str]) -> Mapping[str, str]:
        return {key: self.videos[key] for key in keys if key in self.videos}

    def count(self) -> int:
        return len(self.digests)


class TestGoodInput:
    def test_what_the_run_needs_to_know(self, folder: Path) -> None:
        (folder / "a.png").write_bytes(png())
        path = write(
            "image,image_url,account,tts_speaker,tts_emotion\n"
            "a.png,,a@b.c,v1,happy\n"
            f",{URL},,v1,happy\n"
            f",{URL},d@e.f,v1,\n"
            f",{URL},,,sad\n"
            "a.png,,a@b.c,v1,happy\n"
        )
        assert check_input(path) == Checked(
            rows=5,
            accounts=frozenset({"a@b.c", "d@e.f"}),
            images=2,
            without_account=2,
            speakers={
                VoiceUse("a@b.c", "v1", "happy"): 2,
                VoiceUse(None, "v1", "happy"): 3,
                VoiceUse("d@e.f", "v1", None): 4,
            },
        )

    def test_each_row_is_told_of(self) -> None:
        told: list[int] = []
        check_input(write_keys("abc"), on_row=told.append)
        assert told == [1, 2, 3]

    def test_uses_of_voices_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(check, "SPEAKERS_KEPT", 2)
        speakers = ["v1", "v2", "v3", "v1", "v4", "v2"]
        rows = "".join(f"{URL},{speaker}\n" for speaker in speakers)
        checked = check_input(write("image_url,tts_speaker\n" + rows))
        assert [use.speaker for use in checked.speakers] == ["v1", "v2"]
        assert checked.speakers_unkept == 2

    @pytest.mark.parametrize("rows", [499, 500, 501, 1000])
    def test_batches(self, rows: int) -> None:
        path = write_keys([f"k{n}" for n in range(rows)])
        known = Known.of(path)
        assert check_input(path, known=known).rows == rows
        assert sum(known.asked) == rows
        assert 0 < min(known.asked) <= max(known.asked) <= 500


class TestFaults:
    def test_of_all_rows_in_the_order_of_the_file(self) -> None:
        path = write(
            "key,image_url,tts_speed,account\n"
            f"ada,{URL},3,ada\n"
            f"ben,{URL},1,\n"
            f"ada,{URL},fast,\n"
            f"c,{URL},1,,no\n"
        )
        assert problems(path) == [
            "in.csv, line 2, column account: 'ada' is not an e-mail address",
            "in.csv, line 2, column tts_speed: is 3; it must be from 0.8 to 2",
            "in.csv, line 4, column tts_speed: is 'fast'; it must be a number from 0.8 to 2",
            "in.csv, line 4, column key: 'ada' is already used on line 2; keys must differ",
            "in.csv, line 5: has 5 cells, but the header names 4 columns; a cell that holds the "
            "delimiter needs quotes around it",
        ]

    @pytest.mark.parametrize(("count", "kept"), [(20, 20), (21, 20), (700, 20)])
    def test_twenty_are_kept_and_all_are_counted(self, count: int, kept: int) -> None:
        path = write(f"image_url,tts_speed\n{URL},1\n" + f"{URL},3\n" * count)
        found = problems(path)
        assert found[:kept] == [
            f"in.csv, line {line}, column tts_speed: is 3; it must be from 0.8 to 2"
            for line in range(3, 3 + kept)
        ]
        assert found[kept:] == ([f"{count - kept} more"] if count > kept else [])

    def test_of_the_file_come_behind_those_of_its_rows(self) -> None:
        path = write(f'image_url\nnowhere\n{URL}\n"{URL}" x\n{URL}\n')
        first, second = problems(path, Known({"gone": "1"}))
        assert first == "in.csv, line 2, column image_url: 'nowhere' is not an http or https URL"
        assert second.startswith("in.csv, line 4: the quotes of this row don't match")

    def test_of_the_header(self) -> None:
        assert problems(write("image,nicknam\n", "in.csv"))[0].startswith(
            "in.csv, line 1, column nicknam: is no column"
        )


class TestKeys:
    def test_used_twice_in_one_batch_and_across(self) -> None:
        keys = ["ada", *(f"k{n}" for n in range(600)), " ada ", "Ada", "k599", "k599"]
        assert problems(write_keys(keys)) == [
            "in.csv, line 603, column key: 'ada' is already used on line 2; keys must differ",
            "in.csv, line 605, column key: 'k599' is already used on line 602; keys must differ",
            "in.csv, line 606, column key: 'k599' is already used on line 602; keys must differ",
        ]

    def test_left_out(self) -> None:
        assert check_input(write(f"image_url\n{URL}\n{URL}\n")).rows == 2

    def test_no_room_for_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: Any, **__: Any) -> sqlite3.Connection:
            db = connect("", isolation_level=None)
            db.execute("PRAGMA max_page_count = 4")
            return db

        connect = sqlite3.connect
        monkeypatch.setattr(sqlite3, "connect", full)
        path = write_keys([f"{n:01000}" for n in range(50)])
        with pytest.raises(ConfigurationError, match="SQLITE_TMPDIR"):
            check_input(path)


class TestLedger:
    def test_the_same_input(self) -> None:
        path = write(f"key,image_url\na,{URL}\n,{URL}\n")
        assert check_input(path, known=Known.of(path)).rows == 2

    def test_rows_were_added(self) -> None:
        known = Known.of(write_keys("ab"))
        assert check_input(write_keys("abc"), known=known).rows == 3

    def test_an_empty_ledger(self) -> None:
        assert check_input(write_keys("ab"), known=Known({})).rows == 2

    def test_a_row_was_changed(self) -> None:
        known = Known.of(write(f"key,image_url,x_a\na,{URL},1\nb,{URL},2\n"))
        assert problems(write(f"key,image_url,x_a\na,{URL},1\nb,{URL},3\n"), known) == [
            "in.csv, line 3: this row (key 'b') was different when the ledger recorded it; use "
            "another --ledger, or restore the row"
        ]

    def test_a_row_with_faults_is_not_said_to_differ_too(self) -> None:
        known = Known.of(write(f"key,image_url,tts_speed\na,{URL},1\n"))
        assert problems(write(f"key,image_url,tts_speed\na,{URL},3\n"), known) == [
            "in.csv, line 2, column tts_speed: is 3; it must be from 0.8 to 2"
        ]

    @pytest.mark.parametrize(("left", "missing"), [("b", "1 row"), ("", "2 rows")])
    def test_rows_were_taken_away(self, left: str, missing: str) -> None:
        known = Known.of(write_keys("ab"))
        assert problems(write_keys([*left, "new"]), known) == [
            f"in.csv: the ledger has {missing} that this input lacks, so it belongs to another "
            "input (rows may be added at the end of an input, never changed or taken away); put "
            "them back, or use another --ledger"
        ]

    def test_a_key_twice_does_not_stand_for_two(self) -> None:
        known = Known.of(write_keys("ab"))
        first, second = problems(write_keys("aa"), known)
        assert "already used" in first
        assert "the ledger has 1 row" in second

    @pytest.mark.parametrize("bad", ["nonsense", json.dumps({"key": 7, "image_url": URL})])
    def test_rows_whose_keys_could_not_be_read_are_not_missed(self, bad: str) -> None:
        good = json.dumps({"key": "a", "image_url": URL}) + "\n"
        path = write(good + good.replace('"a"', '"b"'), "in.jsonl")
        known = Known.of(path)
        (one,) = problems(write(good + bad, "in.jsonl"), known)
        assert one.startswith("in.jsonl, line 2")


VOICES = VoiceList(
    voices=(
        Voice(
            speaker_id="anna_calm",
            emotions=(
                VoiceEmotion(key="neutral"),
                VoiceEmotion(key="happy", enable=True),
                VoiceEmotion(key="sad", enable=False),
            ),
        ),
        Voice(speaker_id="boris"),
        Voice(speaker_id="mute", emotions=(VoiceEmotion(key="sad", enable=False),)),
    )
)


class TestVoices:
    def check(
        self, *uses: VoiceUse, voices_of: Mapping[str | None, VoiceList] | None = None
    ) -> list[Located]:
        checked = Checked(
            rows=0,
            accounts=frozenset(),
            images=0,
            without_account=0,
            speakers={use: line for line, use in enumerate(uses, start=2)},
        )
        return check_voices(checked, {None: VOICES} if voices_of is None else voices_of, "in.csv")

    @pytest.mark.parametrize(
        "use",
        [
            VoiceUse(None, "anna_calm", None),
            VoiceUse(None, "anna_calm", "neutral"),
            VoiceUse(None, "anna_calm", "happy"),
            VoiceUse(None, "boris", "sad"),  # the server lists no emotions for it
        ],
    )
    def test_there(self, use: VoiceUse) -> None:
        assert self.check(use) == []

    def test_no_such_voice(self) -> None:
        found = self.check(
            VoiceUse(None, "anna_clam", None),
            VoiceUse(None, "anna_clam", "sad"),  # once is enough
            VoiceUse("a@b.c", "zzz", None),
            voices_of={None: VOICES, "a@b.c": VOICES},
        )
        assert [str(one) for one in found] == [
            "in.csv, line 2, column tts_speaker: is 'anna_clam'; there is no such voice; did you "
            "mean 'anna_calm'? `kling-async tts voices` lists them",
            "in.csv, line 4, column tts_speaker: is 'zzz'; a@b.c has no such voice; "
            "`kling-async tts voices` lists them",
        ]

    def test_an_emotion_the_voice_lacks(self) -> None:
        found = self.check(
            VoiceUse(None, "anna_calm", "sad"),
            VoiceUse(None, "anna_calm", "angry"),
            VoiceUse(None, "mute", "sad"),
        )
        assert [str(one) for one in found] == [
            "in.csv, line 2, column tts_emotion: is 'sad'; the voice 'anna_calm' can do neutral, "
            "happy",
            "in.csv, line 3, column tts_emotion: is 'angry'; the voice 'anna_calm' can do neutral, "
            "happy",
            "in.csv, line 4, column tts_emotion: is 'sad'; the voice 'mute' can do none: leave it "
            "out",
        ]

    def test_each_account_by_its_own_voices(self) -> None:
        use = VoiceUse("a@b.c", "anna_calm", None)
        assert self.check(use) == []  # nothing is known of that account's voices
        assert len(self.check(use, voices_of={"a@b.c": VoiceList(voices=())})) == 1
        assert len(self.check(use, voices_of={None: VOICES, "a@b.c": VoiceList(voices=())})) == 1

    def test_from_a_file(self) -> None:
        rows = f"{URL},boris,happy\n{URL},borys,happy\n{URL},,sad\n{URL},borys,\n"
        path = write("image_url,tts_speaker,tts_emotion\n" + rows)
        (one,) = check_voices(check_input(path), {None: VOICES}, path)
        assert (one.file, one.line, one.column) == ("in.csv", 3, "tts_speaker")


def test_memory_does_not_grow_with_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    request = CreateAvatar(image_url=URL)

    def quick_row(given: Any, position: int, *, columns: Any, line: int) -> RowInput:
        """In place of `row_of`, which keeps nothing and is slow under tracemalloc."""
        return RowInput(
            key=given["key"],
            position=position,
            digest="",
            payload=given,
            columns=columns,
            request=request,
            line=line,
        )

    monkeypatch.setattr(inputs, "row_of", quick_row)
    path = write_keys([f"{n:0100}" for n in range(20_000)])
    assert growth_bytes(lambda measure: check_input(path, on_row=measure)) < 200_000


def test_problems_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[int] = []

    class Counted(InputError):
        def __init__(self, problems: Sequence[Located], more: int = 0) -> None:
            kept.append(len(problems))
            super().__init__(problems, more)

    monkeypatch.setattr(check, "InputError", Counted)
    with pytest.raises(Counted):
        check_input(write("image_url\n" + "nowhere\n" * 100))
    assert kept == [20]

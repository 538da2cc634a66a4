"""The check before a run: rows beside each other, the ledger and the voices."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from memory import growth_bytes
from pictures import png

from kling_async.bulk import preflight
from kling_async.bulk import problems as problems_of_bulk
from kling_async.bulk.inputs import read_rows
from kling_async.bulk.machine import HELD, STATES, State
from kling_async.bulk.preflight import Checked, VoiceUse, check_input
from kling_async.bulk.problems import InputError, InputProblem
from kling_async.bulk.recipes import TALKING
from kling_async.bulk.records import Row, RowInput, Step, StepInput
from kling_async.bulk.rows import RowBuilder
from kling_async.bulk.voices import check_avatars, check_voices
from kling_async.errors import ConfigurationError
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


async def check(path: str, known: Known | None = None) -> Checked:
    return await check_input(path, TALKING, known=known)


async def problems(path: str, known: Known | None = None) -> list[str]:
    """What the input is refused for, and the count of what is not listed."""
    with pytest.raises(InputError) as caught:
        await check(path, known)
    more = [f"{caught.value.more} more"] if caught.value.more else []
    return [str(one) for one in caught.value.problems] + more


def recorded(row: RowInput, state: State, last: State | None = None) -> Row:
    """A row as a ledger has it, its last step in a state of its own."""
    states = [state] * len(row.steps)
    if last is not None:
        states[-1] = last
    steps = [_step(row.key, one, at) for one, at in zip(row.steps, states, strict=True)]
    return Row(id=row.position, key=row.key, position=row.position, columns={}, steps=steps)


def _step(key: str, one: StepInput, state: State) -> Step:
    return Step(
        id=1, row_id=1, key=key, number=one.number, operation=one.operation, kind=one.kind,
        digest=one.digest, payload=one.payload, state=state, account=None, addresses={},
        own=frozenset(), mark=None, attempts=1, intent_at=1.0, sent_since=1.0, deadline_at=None,
        owner=None, attempt=None, remote_id=None, evidence=None, candidates=(), error=None,
        changed_at=1.0,
    )  # fmt: skip


class Known:
    """What a ledger knows, in a dict."""

    def __init__(self, rows: Mapping[str, Row]) -> None:
        self.rows = dict(rows)
        self.asked: list[int] = []

    @classmethod
    def of(cls, path: str, state: State = "done", last: State | None = None) -> Known:
        """As it is after a run of this input."""
        return cls({row.key: recorded(row, state, last) for row in read_rows(path, TALKING)})

    async def known(self, keys: Sequence[str]) -> Mapping[str, Row]:
        self.asked.append(len(keys))
        return {key: self.rows[key] for key in keys if key in self.rows}

    async def step_counts(self) -> Mapping[tuple[int, State], int]:
        return Counter(
            (step.number, step.state) for row in self.rows.values() for step in row.steps
        )


class TestGoodInput:
    async def test_what_the_run_needs_to_know(self, folder: Path) -> None:
        (folder / "a.png").write_bytes(png())
        path = write(
            "image,image_url,account,tts_speaker,tts_emotion\n"
            "a.png,,a@b.c,v1,happy\n"
            f",{URL},,v1,happy\n"
            f",{URL},d@e.f,v1,\n"
            f",{URL},,,sad\n"
            "a.png,,a@b.c,v1,happy\n"
        )
        assert await check(path) == Checked(
            all_rows=5,
            rows=5,
            accounts=frozenset({"a@b.c", "d@e.f"}),
            without_account=2,
            steps={1: 5},
            to_make={1: 5},
            uploads={"image": 2},
            speakers={
                VoiceUse("a@b.c", "v1", "happy"): 2,
                VoiceUse(None, "v1", "happy"): 3,
                VoiceUse("d@e.f", "v1", None): 4,
            },
        )

    async def test_what_videos_need(self, folder: Path) -> None:
        (folder / "a.wav").write_bytes(b"RIFF\x24\0\0\0WAVEfmt " + b"\0" * 60)
        path = write(
            "image_url,avatar_id,account,tts_speaker,text,speaker_id,audio\n"
            f"{URL},,,v1,Hi,,\n"
            f"{URL},,,v1,Hi,v2,\n"
            ",300137233318846,a@b.c,,Hi,v3,\n"
            ",300137233318846,a@b.c,,,,a.wav\n"
            f"{URL},,,,,,\n"
        )
        assert await check(path) == Checked(
            all_rows=5,
            rows=5,
            accounts=frozenset({"a@b.c"}),
            without_account=3,
            steps={1: 3, 2: 4},
            to_make={1: 3, 2: 4},
            uploads={"audio": 1},
            speakers={
                VoiceUse(None, "v1", None): 2,
                VoiceUse(None, "v2", None, "speaker_id", "emotion"): 3,
                VoiceUse("a@b.c", "v3", None, "speaker_id", "emotion"): 4,
            },
            given={("a@b.c", "300137233318846"): 4},
        )

    async def test_each_row_is_told_of(self) -> None:
        told: list[int] = []
        await check_input(write_keys("abc"), TALKING, on_row=told.append)
        assert told == [1, 2, 3]

    async def test_uses_of_voices_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(preflight, "USES_KEPT", 2)
        speakers = ["v1", "v2", "v3", "v1", "v4", "v2"]
        rows = "".join(f"{URL},{speaker}\n" for speaker in speakers)
        checked = await check(write("image_url,tts_speaker\n" + rows))
        assert [use.speaker for use in checked.speakers] == ["v1", "v2"]
        assert checked.speakers_unkept == 2

    @pytest.mark.parametrize("rows", [499, 500, 501, 1000])
    async def test_batches(self, rows: int) -> None:
        path = write_keys([f"k{n}" for n in range(rows)])
        known = Known.of(path)
        assert (await check(path, known)).rows == rows
        assert sum(known.asked) == rows
        assert 0 < min(known.asked) <= max(known.asked) <= 500


class TestFaults:
    async def test_of_all_rows_in_the_order_of_the_file(self) -> None:
        path = write(
            "key,image_url,tts_speed,account\n"
            f"ada,{URL},3,ada\n"
            f"ben,{URL},1,\n"
            f"ada,{URL},fast,\n"
            f"c,{URL},1,,no\n"
        )
        assert await problems(path) == [
            "in.csv, line 2, column account: 'ada' is not an e-mail address",
            "in.csv, line 2, column tts_speed: is 3; it must be from 0.8 to 2",
            "in.csv, line 4, column tts_speed: is 'fast'; it must be a number from 0.8 to 2",
            "in.csv, line 4, column key: 'ada' is already used on line 2; keys must differ",
            "in.csv, line 5: has 5 cells, but the header names 4 columns; a cell that holds the "
            "delimiter needs quotes around it",
        ]

    @pytest.mark.parametrize(("count", "kept"), [(20, 20), (21, 20), (700, 20)])
    async def test_twenty_are_kept_and_all_are_counted(self, count: int, kept: int) -> None:
        path = write(f"image_url,tts_speed\n{URL},1\n" + f"{URL},3\n" * count)
        found = await problems(path)
        assert found[:kept] == [
            f"in.csv, line {line}, column tts_speed: is 3; it must be from 0.8 to 2"
            for line in range(3, 3 + kept)
        ]
        assert found[kept:] == ([f"{count - kept} more"] if count > kept else [])

    async def test_of_the_file_come_behind_those_of_its_rows(self) -> None:
        path = write(f'image_url\nnowhere\n{URL}\n"{URL}" x\n{URL}\n')
        first, second = await problems(path, Known({"gone": "1"}))
        assert first == "in.csv, line 2, column image_url: 'nowhere' is not an http or https URL"
        assert second.startswith("in.csv, line 4: the quotes of this row don't match")

    async def test_of_the_header(self) -> None:
        (said, *_) = await problems(write("image,nicknam\n", "in.csv"))
        assert said.startswith("in.csv, line 1, column nicknam: is no column")


class TestKeys:
    async def test_used_twice_in_one_batch_and_across(self) -> None:
        keys = ["ada", *(f"k{n}" for n in range(600)), " ada ", "Ada", "k599", "k599"]
        assert await problems(write_keys(keys)) == [
            "in.csv, line 603, column key: 'ada' is already used on line 2; keys must differ",
            "in.csv, line 605, column key: 'k599' is already used on line 602; keys must differ",
            "in.csv, line 606, column key: 'k599' is already used on line 602; keys must differ",
        ]

    async def test_left_out(self) -> None:
        assert (await check(write(f"image_url\n{URL}\n{URL}\n"))).rows == 2

    async def test_no_room_for_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: Any, **__: Any) -> sqlite3.Connection:
            db = connect("", isolation_level=None, check_same_thread=False)
            db.execute("PRAGMA max_page_count = 4")
            return db

        connect = sqlite3.connect
        monkeypatch.setattr(sqlite3, "connect", full)
        path = write_keys([f"{n:01000}" for n in range(50)])
        with pytest.raises(ConfigurationError, match="SQLITE_TMPDIR"):
            await check(path)


class TestLedger:
    async def test_the_same_input(self) -> None:
        path = write(f"key,image_url\na,{URL}\n,{URL}\n")
        assert (await check(path, Known.of(path))).rows == 2

    async def test_rows_were_added(self) -> None:
        known = Known.of(write_keys("ab"))
        assert (await check(write_keys("abc"), known)).rows == 3

    async def test_an_empty_ledger(self) -> None:
        assert (await check(write_keys("ab"), Known({}))).rows == 2

    async def test_a_row_was_changed(self) -> None:
        known = Known.of(write(f"key,image_url,prompt\na,{URL},1\nb,{URL},2\n"))
        assert await problems(write(f"key,image_url,prompt\na,{URL},1\nb,{URL},3\n"), known) == [
            "in.csv, line 3: this row (key 'b') was different when the ledger recorded it; use "
            "another --ledger, or restore the row"
        ]

    async def test_a_column_of_the_users_own_may_change(self) -> None:
        known = Known.of(write(f"key,image_url,x_a\na,{URL},1\n,{URL},2\n"))
        path = write(f"key,image_url,x_a\na,{URL},9\n,{URL},8\n")
        assert (await check(path, known)).rows == 2

    @pytest.mark.parametrize("state", HELD)
    async def test_what_may_have_been_made_is_held_to_its_record(self, state: State) -> None:
        known = Known.of(write(f"key,image_url,prompt\na,{URL},1\nb,{URL},2\n"), state)
        changed, missing = await problems(write(f"key,image_url,prompt\na,{URL},3\n"), known)
        assert "line 2: this row (key 'a') was different" in changed
        assert "has 1 row that this input lacks" in missing

    @pytest.mark.parametrize("state", sorted(set(STATES) - set(HELD)))
    async def test_what_was_never_made_may_change_and_go(self, state: State) -> None:
        known = Known.of(write(f"key,image_url,prompt\na,{URL},1\nb,{URL},2\n"), state)
        path = write(f"key,image_url,prompt\nnew,{URL},3\na,{URL},3\n")
        assert (await check(path, known)).rows == 2

    async def test_rows_without_keys_may_move_and_be_put_in_between(self) -> None:
        known = Known.of(write(f"image_url,prompt\n{URL},1\n{URL},2\n{URL},2\n"))
        path = write(f"image_url,prompt\n{URL},2\n{URL},0\n{URL},2\n{URL},1\n")
        assert (await check(path, known)).rows == 4

    async def test_a_text_may_be_added_to_rows_without_keys(self) -> None:
        known = Known.of(write(f"image_url\n{URL}\n{URL}b\n"))
        path = write(f"image_url,text,speaker_id\n{URL},Hi,v1\n{URL}b,,\n")
        assert (await check(path, known)).steps == {1: 2, 2: 1}

    async def test_another_text_of_a_row_without_a_key_is_another_row(self) -> None:
        known = Known.of(write(f"image_url,text,speaker_id\n{URL},Hi,v1\n"))
        (said,) = await problems(write(f"image_url,text,speaker_id\n{URL},Ho,v1\n"), known)
        assert "has 1 row that this input lacks" in said

    @pytest.mark.parametrize(("video", "refused"), [
        ("running", True), ("unknown", True), ("done", True), ("planned", False), ("failed", False),
    ])  # fmt: skip
    @pytest.mark.parametrize("now", ["Ho,v1", ","])
    async def test_a_video_was_changed(self, video: State, refused: bool, now: str) -> None:
        header = "key,image_url,text,speaker_id\n"
        known = Known.of(write(f"{header}a,{URL},Hi,v1\n"), "done", video)
        path = write(f"{header}a,{URL},{now}\n")
        if not refused:
            assert (await check(path, known)).rows == 1
            return
        assert await problems(path, known) == [
            "in.csv, line 2: the video of this row (key 'a') was different when it was sent; use "
            "another key or --ledger, or restore its text, audio, audio_url, speaker_id, speed, "
            "emotion, video_prompt, mode"
        ]

    async def test_a_row_with_faults_is_not_said_to_differ_too(self) -> None:
        known = Known.of(write(f"key,image_url,tts_speed\na,{URL},1\n"))
        assert await problems(write(f"key,image_url,tts_speed\na,{URL},3\n"), known) == [
            "in.csv, line 2, column tts_speed: is 3; it must be from 0.8 to 2"
        ]

    @pytest.mark.parametrize(("left", "missing"), [("b", "1 row"), ("", "2 rows")])
    async def test_rows_were_taken_away(self, left: str, missing: str) -> None:
        known = Known.of(write_keys("ab"))
        assert await problems(write_keys([*left, "new"]), known) == [
            f"in.csv: the ledger has {missing} that this input lacks, so it belongs to another "
            "input (rows may be added and moved; those that something was made of must neither be "
            "changed nor taken away); put them back, or use another --ledger"
        ]

    async def test_a_key_twice_does_not_stand_for_two(self) -> None:
        known = Known.of(write_keys("ab"))
        first, second = await problems(write_keys("aa"), known)
        assert "already used" in first
        assert "the ledger has 1 row" in second

    @pytest.mark.parametrize("bad", ["nonsense", json.dumps({"key": 7, "image_url": URL})])
    async def test_rows_whose_keys_could_not_be_read_are_not_missed(self, bad: str) -> None:
        good = json.dumps({"key": "a", "image_url": URL}) + "\n"
        path = write(good + good.replace('"a"', '"b"'), "in.jsonl")
        known = Known.of(path)
        (one,) = await problems(write(good + bad, "in.jsonl"), known)
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
    ) -> list[InputProblem]:
        checked = Checked(
            all_rows=0,
            rows=0,
            accounts=frozenset(),
            without_account=0,
            steps={},
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
    async def test_there(self, use: VoiceUse) -> None:
        assert self.check(use) == []

    async def test_no_such_voice(self) -> None:
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

    async def test_an_emotion_the_voice_lacks(self) -> None:
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

    async def test_each_account_by_its_own_voices(self) -> None:
        use = VoiceUse("a@b.c", "anna_calm", None)
        assert self.check(use) == []  # nothing is known of that account's voices
        assert len(self.check(use, voices_of={"a@b.c": VoiceList(voices=())})) == 1
        assert len(self.check(use, voices_of={None: VOICES, "a@b.c": VoiceList(voices=())})) == 1

    async def test_from_a_file(self) -> None:
        rows = f"{URL},boris,happy\n{URL},borys,happy\n{URL},,sad\n{URL},borys,\n"
        path = write("image_url,tts_speaker,tts_emotion\n" + rows)
        (one,) = check_voices(await check(path), {None: VOICES}, path)
        assert (one.file, one.line, one.column) == ("in.csv", 3, "tts_speaker")


async def test_avatars_that_are_not_there() -> None:
    ids = ["300000000000001", "300000000000002"]
    rows = "".join(f"{one},{account},Hi,v1\n" for one in ids for account in ("a@b.c", ""))
    path = write("avatar_id,account,text,speaker_id\n" + rows)
    checked = await check(path)
    found = check_avatars(checked, {"a@b.c": ids[:1], None: ids[1:]}, path)
    assert [str(one) for one in found] == [
        f"in.csv, line 3, column avatar_id: is {ids[0]}; there is no such avatar; "
        "`kling-async avatars list` lists them",
        f"in.csv, line 4, column avatar_id: is {ids[1]}; a@b.c has no such avatar; "
        "`kling-async avatars list` lists them",
    ]
    assert check_avatars(checked, {}, path) == []


@pytest.mark.heavy
def test_memory_does_not_grow_with_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    step = StepInput(number=1, operation="", kind="", digest="", payload={})

    def quick_row(
        self: RowBuilder, given: Any, position: int, *, columns: Any, line: int
    ) -> RowInput:
        """In place of the real one, which keeps nothing and is slow under tracemalloc."""
        key = given["key"]
        return RowInput(key=key, position=position, columns=columns, steps=(step,), line=line)

    monkeypatch.setattr(RowBuilder, "row", quick_row)
    path = write_keys([f"{n:0100}" for n in range(20_000)])

    def read(measure: Callable[[int], None]) -> None:
        asyncio.run(check_input(path, TALKING, on_row=measure))

    assert growth_bytes(read) < 300_000


async def test_problems_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[int] = []

    class Counted(InputError):
        def __init__(self, problems: Sequence[InputProblem], more: int = 0, **said: Any) -> None:
            kept.append(len(problems))
            super().__init__(problems, more, **said)

    monkeypatch.setattr(problems_of_bulk, "InputError", Counted)
    with pytest.raises(Counted):
        await check(write("image_url\n" + "nowhere\n" * 100))
    assert kept == [20]

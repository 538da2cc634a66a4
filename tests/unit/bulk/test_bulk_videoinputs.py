"""Which rows ask for a video, and what is refused before anything is sent?"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kling_async.bulk.inputs import read_rows
from kling_async.bulk.recipes import TALKING
from kling_async.bulk.records import RowInput, StepInput
from kling_async.bulk.rows import RowBuilder
from kling_async.models.videos import CreateAvatarVideo

URL = "https://example.com/a.png"
WAV = b"RIFF\x24\0\0\0WAVEfmt " + b"\0" * 60
Read = Callable[..., RowInput]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hello.wav").write_bytes(WAV)
    return tmp_path


@pytest.fixture
def csv(folder: Path) -> Read:
    """A CSV of one row, from its cells by column."""

    def read(**cells: str) -> RowInput:
        given = {"image_url": URL, **cells}
        Path("in.csv").write_text(",".join(given) + "\n" + ",".join(given.values()) + "\n")
        (row,) = read_rows("in.csv", TALKING)
        return row

    return read


@pytest.fixture
def jsonl(folder: Path) -> Read:
    """A JSON Lines file of one row."""

    def read(**fields: Any) -> RowInput:
        Path("in.jsonl").write_text(json.dumps({"image_url": URL, **fields}) + "\n")
        (row,) = read_rows("in.jsonl", TALKING)
        return row

    return read


def asked(row: RowInput) -> CreateAvatarVideo:
    """The job of a row, once its avatar is there."""
    return CreateAvatarVideo(**{**video(row).payload, "avatar_id": "300000000000001"})


def video(row: RowInput) -> StepInput:
    """The step that makes a row's video."""
    avatar, step = row.steps
    assert (avatar.number, step.number, step.operation) == (1, 2, "avatars.video")
    return step


def row_of(given: dict[str, Any]) -> RowInput:
    with RowBuilder(TALKING) as builder:
        return builder.row(given, 1)


class TestAskedFor:
    def test_a_row_without_speech_asks_for_none(self, csv: Read) -> None:
        row = csv(nickname="Ada", text="", speaker_id="")
        assert (len(row.steps), row.problems) == (1, {})

    def test_a_text(self, csv: Read) -> None:
        row = csv(text="Hello!", speaker_id="v1", speed="1.5", emotion="happy", mode="pro")
        assert row.problems == {}
        job = asked(row)
        assert (job.text, job.speaker_id, job.speed) == ("Hello!", "v1", 1.5)
        assert (job.emotion, job.mode, job.prompt) == ("happy", "pro", None)

    def test_its_prompt_is_not_the_avatars(self, csv: Read) -> None:
        row = csv(prompt="Calm", video_prompt="Waves", audio_url="https://x.y/a.mp3")
        assert (row.steps[0].payload["prompt"], asked(row).prompt) == ("Calm", "Waves")

    def test_an_audio_file_is_relative_to_the_input(self, csv: Read, folder: Path) -> None:
        row = csv(audio="hello.wav")
        assert video(row).payload == {"audio": str(folder / "hello.wav")}
        assert asked(row).audio is not None

    def test_a_text_is_spoken_with_the_avatars_own_voice(self, csv: Read) -> None:
        own = csv(text="Hi", tts_speaker="v1", tts_speed="1.2", tts_emotion="sad")
        job = asked(own)
        assert (job.speaker_id, job.speed, job.emotion) == ("v1", 1.2, "sad")
        other = asked(csv(text="Hi", tts_speaker="v1", tts_speed="1.2", speaker_id="v2", speed="1"))
        assert (other.speaker_id, other.speed) == ("v2", 1)

    def test_audio_takes_nothing_of_the_avatars_voice(self, csv: Read) -> None:
        job = asked(csv(audio_url="https://x.y/a.mp3", tts_speaker="v1", tts_speed="1.2"))
        assert (job.speaker_id, job.speed) == (None, None)

    def test_of_an_avatar_that_exists(self, csv: Read) -> None:
        row = csv(image_url="", avatar_id="300137233318846", text="Hi", speaker_id="v1")
        avatar = row.steps[0]
        assert (row.problems, avatar.request, avatar.payload) == ({}, None, {})
        assert avatar.given_id == "300137233318846"

    def test_json_may_hold_an_id_as_a_number(self, jsonl: Read) -> None:
        row = jsonl(image_url=None, avatar_id=300137233318846, text="Hi", speaker_id="v1")
        assert (row.problems, row.steps[0].given_id) == ({}, "300137233318846")


class TestRefused:
    @pytest.mark.parametrize(
        ("cells", "column", "text"),
        [
            ({"text": "Hi"}, "speaker_id", "is needed with text (or tts_speaker"),
            ({"text": "Hi", "audio": "hello.wav"}, "text", "and audio are both given"),
            ({"audio": "hello.wav", "audio_url": "https://x.y/a.mp3"}, "audio", "both given"),
            ({"text": "x" * 5001, "speaker_id": "v1"}, "text", "5000"),
            ({"audio": "gone.wav"}, "audio", "can't be read"),
            ({"audio": "in.csv"}, "audio", "is of an unknown type"),
            ({"audio": "https://x.y/a.mp3"}, "audio", "put it into audio_url"),
            ({"audio_url": "a.mp3"}, "audio_url", "is not an http or https URL"),
            ({"text": "Hi", "speaker_id": "v1", "speed": "3"}, "speed", "2"),
            ({"text": "Hi", "speaker_id": "v1", "speed": '"1,5"'}, "speed", "with a point: 1.5"),
            ({"text": "Hi", "speaker_id": "v1", "emotion": "cold"}, "emotion", "cold"),
            ({"text": "Hi", "speaker_id": "v1", "mode": "best"}, "mode", "best"),
            ({"audio": "hello.wav", "video_prompt": "x" * 2001}, "video_prompt", "2000"),
            ({"audio": "hello.wav", "speaker_id": "v1"}, "speaker_id", "text"),
            ({"speaker_id": "v1"}, "speaker_id", "none of text, audio, audio_url"),
            ({"mode": "pro"}, "mode", "none of text, audio, audio_url"),
            ({"avatar_id": "300137233318846", "text": "Hi", "speaker_id": "v1"}, "image_url",
             "avatar_id names one that exists"),
            ({"image_url": "", "avatar_id": "3.00137E+14", "text": "Hi", "speaker_id": "v1"},
             "avatar_id", "digits"),
            ({"image_url": "", "avatar_id": "300137233318846"}, "avatar_id", "needs a text"),
            ({"image_url": "", "avatar_id": "300137233318846", "nickname": "Ada", "text": "Hi",
              "speaker_id": "v1"}, "nickname", "is for a new avatar"),
        ],
    )  # fmt: skip
    def test_one_fault(self, csv: Read, cells: dict[str, str], column: str, text: str) -> None:
        row = csv(**cells)
        assert list(row.problems) == [column]
        assert text in row.problems[column]
        assert row.steps[0].request is None
        assert row.steps[0].problem == f"{column}: {row.problems[column]}"

    def test_faults_of_avatar_and_video_come_at_once(self, csv: Read) -> None:
        row = csv(tts_speed="9", text="Hi", mode="best")
        assert set(row.problems) == {"tts_speed", "speaker_id", "mode", "speed"}

    def test_what_is_wrong_in_json(self, jsonl: Read) -> None:
        assert set(jsonl(text=7, speaker_id="v1").problems) == {"text"}
        assert set(jsonl(audio=["a"]).problems) == {"audio"}
        assert set(jsonl(text="Hi", speaker_id="v1", speed="fast").problems) == {"speed"}

    def test_bytes_are_not_kept_by_a_ledger(self) -> None:
        row = row_of({"image_url": URL, "audio": WAV})
        assert "must be a path" in row.problems["audio"]


class TestDigests:
    def row(self, **fields: Any) -> RowInput:
        return row_of({"image_url": URL, "nickname": "Ada", **fields})

    def test_a_text_that_is_added_leaves_the_avatar_what_it_was(self) -> None:
        before, after = self.row(), self.row(text="Hi", speaker_id="v1")
        assert (before.former_key, after.former_key) == (None, before.key)
        assert before.steps[0].digest == after.steps[0].digest
        assert after.columns["text"] == "Hi"
        assert set(after.steps[0].payload) == {"image_url", "nickname"}

    @pytest.mark.parametrize("change", [{"text": "Ho"}, {"speed": 1.1}, {"video_prompt": "x"}])
    def test_another_video_has_another_digest(self, change: dict[str, Any]) -> None:
        one, other = (
            self.row(text="Hi", speaker_id="v1"),
            self.row(**{"text": "Hi", "speaker_id": "v1", **change}),
        )
        assert one.steps[0].digest == other.steps[0].digest
        assert video(one).digest != video(other).digest
        assert one.key != other.key

"""Rows of any operation: what they are made of, and the requests that a ledger makes of them."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen
from pictures import png

from kling_async.bulk.recipes import (
    AVATARS,
    TALKING,
    Recipe,
    StepSpec,
    Taken,
    recipe_of,
)
from kling_async.bulk.records import RowInput, Step, WorkRecord
from kling_async.bulk.requesttypes import field_kinds
from kling_async.bulk.rows import RowBuilder, has_file, request_of
from kling_async.bulk.stepinputs import files_in
from kling_async.errors import ConfigurationError, InvalidRequestError
from kling_async.models.avatars import CreateAvatar, ListAvatars
from kling_async.models.images import Kolors
from kling_async.models.operations import request_type
from kling_async.models.videos import CreateAvatarVideo

URL = "https://example.com/a.png"
WAV = b"RIFF\x24\0\0\0WAVEfmt " + b"\0" * 60
SPOKEN = {"image_url": URL, "text": "Hi", "speaker_id": "v1"}


def row(given: object, recipe: Recipe | None = TALKING, **options: Any) -> RowInput:
    with RowBuilder(recipe, **options) as builder:
        return builder.row(given, 1)


def kept(given: RowInput, number: int = 1, **turns: Any) -> Step:
    """A step as the ledger has it in a later run."""
    one = given.steps[number - 1]
    values: dict[str, Any] = {
        "id": 1, "row_id": 1, "key": given.key, "number": number, "operation": one.operation,
        "kind": one.kind, "digest": one.digest, "payload": one.payload, "state": "ready",
        "account": None, "addresses": {}, "own": frozenset(), "mark": None, "attempts": 0,
        "intent_at": None, "sent_since": None, "deadline_at": None, "owner": None, "attempt": None,
        "remote_id": one.given_id, "evidence": None, "candidates": (), "error": None,
        "changed_at": 0.0,
    }  # fmt: skip
    return Step(**{**values, **turns})


class TestAnyOperation:
    def test_a_row_of_one_step(self) -> None:
        given = row({**SPOKEN, "mode": "pro"}, recipe_of(CreateAvatarVideo))
        (step,) = given.steps
        assert (step.number, step.operation, step.kind) == (1, "avatars.video", "task")
        assert (step.paths, given.former_key, given.problems) == (("/a.png",), None, {})
        assert request_of(recipe_of(CreateAvatarVideo), kept(given)) == step.request

    def test_its_own_problems(self) -> None:
        given = row({"text": "Hi", "mode": "best"}, recipe_of(CreateAvatarVideo))
        assert set(given.problems) == {"avatar_id", "speaker_id", "mode"}
        assert given.steps[0].request is None

    def test_an_operation_a_row(self) -> None:
        with RowBuilder(None) as builder:
            rows = [
                builder.row(one, position)
                for position, one in enumerate(
                    [
                        {"operation": "avatars.create", "image_url": URL},
                        {"operation": "avatars.video", **SPOKEN},
                        CreateAvatar(image_url=URL),
                        CreateAvatarVideo(**SPOKEN),
                    ],
                    start=1,
                )
            ]
        operations = [one.steps[0].operation for one in rows]
        assert operations == ["avatars.create", "avatars.video"] * 2
        assert [one.key for one in rows[2:]] == [f"{one.key}-2" for one in rows[:2]]
        assert not any(one.problems for one in rows)

    @pytest.mark.parametrize(("given", "name", "text"), [
        ({"image_url": URL}, "operation", "is missing"),
        ({"operation": "avatars.list"}, "operation", "avatars.list makes nothing that is paid for"),
        ({"operation": "avatars.crate"}, "operation", "there is no operation 'avatars.crate'"),
        ({"operation": 7}, "operation", "must be the name of an operation, not int"),
        (ListAvatars(), "operation", "avatars.list makes nothing"),
        (7, "row", "must be a request, or a mapping of its fields, not int"),
    ])  # fmt: skip
    def test_no_operation(self, given: object, name: str, text: str) -> None:
        made = row(given, None)
        assert list(made.problems) == [name]
        assert text in made.problems[name]
        assert made.steps[0].problem == f"{name}: {made.problems[name]}"

    def test_one_operation_takes_no_other(self) -> None:
        assert row(CreateAvatarVideo(**SPOKEN)).problems == {
            "row": "must be a CreateAvatar, or a mapping of its fields, not CreateAvatarVideo"
        }
        mixed = row(CreateAvatarVideo(**SPOKEN), recipe_of(CreateAvatar), mixed=True, saves=True)
        assert (mixed.problems, mixed.steps[0].operation) == ({}, "avatars.video")

    def test_a_mark_of_ones_own_is_refused(self) -> None:
        request = CreateAvatarVideo(**SPOKEN, reply_ref="mine")
        assert "the ledger's own mark" in row(request, None).problems["reply_ref"]

    def test_videos_wait_in_the_row_where_avatars_alone_are_made(self) -> None:
        given = row(SPOKEN, AVATARS)
        assert [one.number for one in given.steps] == [1]
        assert given.key == row(SPOKEN, TALKING).key
        assert set(row({**SPOKEN, "mode": "best"}, AVATARS).problems) == {"mode"}


class TestRecipes:
    def test_only_what_is_paid_for(self) -> None:
        with pytest.raises(ConfigurationError, match=r"avatars\.list makes nothing"):
            recipe_of(ListAvatars)

    def test_an_avatar_has_no_file_to_save(self) -> None:
        assert not recipe_of(CreateAvatar, saves=True).step(1).saves

    def test_a_type_of_the_users_own_is_found(self) -> None:
        @frozen(kw_only=True)
        class Dance(CreateAvatarVideo):
            operation = "own.dance"

        assert request_type("own.dance") is Dance
        assert row({"operation": "own.dance", **SPOKEN}, None).steps[0].operation == "own.dance"

    def test_kinds_of_fields(self) -> None:
        kinds = field_kinds(CreateAvatarVideo)
        assert {kinds[name] for name in ("image", "audio")} == {"file"}
        assert (kinds["speed"], kinds["max_jobs"]) == ("number", "whole")
        assert (kinds["render_speech"], kinds["text"], kinds["extra"]) == ("flag", "text", "object")

    def test_a_chain_of_three(self) -> None:
        """An avatar, its video, and a video whose audio is that video's work: data, no code."""
        again = StepSpec(
            request=CreateAvatarVideo,
            thing="a second video",
            columns={"again": "mode"},
            optional=("again",),
            takes={
                "avatar_id": Taken(what="remote_id", step=1),
                "audio_url": Taken(what="work_url"),
            },
        )
        chain = Recipe(steps=(*TALKING.steps, again))
        assert chain.columns == (*TALKING.columns, "again")
        given = row({**SPOKEN, "again": "pro"}, chain)
        assert (given.problems, [one.number for one in given.steps]) == ({}, [1, 2, 3])
        assert given.former_key == row({"image_url": URL}).key
        assert set(row({**SPOKEN, "again": "best"}, chain).problems) == {"again"}
        avatar = kept(given, 1, remote_id="300000000000001", state="done")
        work = WorkRecord(number=1, work_id="9", url="https://x.y/9.mp4")
        video = kept(given, 2, remote_id="77", state="done", works=[work])
        request = request_of(chain, kept(given, 3), earlier=[avatar, video])
        assert request == CreateAvatarVideo(
            avatar_id="300000000000001", audio_url="https://x.y/9.mp4", mode="pro"
        )


class TestRequestOf:
    def test_of_a_list_of_files(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes(png())
        recipe = recipe_of(Kolors)
        with RowBuilder(recipe) as builder:
            row = builder.row({"prompt": "p", "images": [URL, tmp_path / "a.png"]}, 1)
            of_bytes = builder.row(Kolors(prompt="p", images=[URL, png()]), 2)
        step = kept(row)
        assert list(files_in(recipe.step(1), step.payload)) == [
            ("images.2", str(tmp_path / "a.png"))
        ]
        assert row.steps[0].paths == ("/a.png",)
        assert has_file(recipe, step)
        made = kept(row, addresses={"images.2": "https://k/up.png"})  # as it stands once it is up
        (tmp_path / "a.png").unlink()
        assert not has_file(recipe, made)
        assert request_of(recipe, made) == Kolors(prompt="p", images=[URL, "https://k/up.png"])
        with pytest.raises(InvalidRequestError) as caught:
            request_of(recipe, kept(of_bytes))
        assert "no ledger keeps" in caught.value.problems["images.2"]

    def test_with_the_addresses_that_were_made(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes(png())
        given = row({"image": tmp_path / "a.png", "nickname": "Ada"})
        assert given.steps[0].request == CreateAvatar(image=tmp_path / "a.png", nickname="Ada")
        assert given.steps[0].payload["image"] == str(tmp_path / "a.png")
        assert has_file(TALKING, kept(given))
        sent = kept(given, addresses={"image_url": "https://k.l/up.png"})
        assert not has_file(TALKING, sent)
        assert request_of(TALKING, sent, account="a@b.c") == CreateAvatar(
            image_url="https://k.l/up.png", nickname="Ada", email="a@b.c"
        )

    def test_with_speech_in_place_of_its_text(self) -> None:
        given = row({**SPOKEN, "speed": 1.5, "emotion": "sad", "video_prompt": "Waves"})
        avatar = kept(given, remote_id="300000000000001")
        video = kept(given, 2, addresses={"audio_url": "https://k.l/s.mp3"})
        assert request_of(TALKING, video, earlier=[avatar]) == CreateAvatarVideo(
            avatar_id="300000000000001", audio_url="https://k.l/s.mp3", prompt="Waves"
        )

    def test_with_a_file_that_is_gone(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes(png())
        given = row({"image": tmp_path / "a.png"})
        (tmp_path / "a.png").unlink()
        with pytest.raises(InvalidRequestError, match="No such file"):
            request_of(TALKING, kept(given))

    @pytest.mark.parametrize("source", [bytes, io.BytesIO])
    def test_of_bytes_which_no_ledger_keeps(self, source: Callable[[bytes], Any]) -> None:
        given = row({"image": source(png())})
        assert given.problems == {}
        assert str(given.steps[0].payload["image"]).startswith("sha256:")
        assert given.key == row({"image": source(png())}).key
        with pytest.raises(InvalidRequestError, match="run your own program again"):
            request_of(TALKING, kept(given))


class TestHalfCharacters:
    @pytest.mark.parametrize("given", [
        {"image_url": URL, "nickname": "a\ud83d"},
        {"image_url": URL, "x_note": ["\udcff"]},
        {"image_url": URL, "extra": {"a\ud83d": 1}},
        {"image_url": URL, "key": "\ud83d"},
        {"image_url": URL, "\ud83d": 1},
        {"image_url": "https://x.y/\udcff"},
        {"image": "gone\udcff.png"},
        {**SPOKEN, "text": "\ud83d"},
    ])  # fmt: skip
    def test_refuse_their_row_and_reach_nothing_else(self, given: Mapping[str, Any]) -> None:
        made = row(given)
        assert made.problems
        said = [made.key, dict(made.problems), made.columns, made.steps[0].problem]
        said += [one.payload for one in made.steps]
        json.dumps(said, ensure_ascii=False).encode()

    def test_in_the_name_of_a_file(self, tmp_path: Path) -> None:
        file = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")
        Path(file).write_bytes(png())
        for given in ({"image": file}, CreateAvatar(image=file)):
            made = row(given)
            assert made.problems == {
                "image": "its path is not UTF-8 text, which can't be kept; rename the file or its "
                "folder"
            }


def test_what_is_no_json_breaks_nothing() -> None:
    strange = {"image_url": URL, "x_a": {1: {2, 3}, "n": float("nan")}, "tts_speed": float("inf")}
    made = row({**strange, "extra": {"a": object()}})
    assert set(made.problems) == {"tts_speed", "extra"}
    assert made.columns["x_a"] == {"1": "<set>", "n": "nan"}


def test_a_problem_that_is_found_later_takes_the_request_away() -> None:
    given = row({"image_url": URL})
    assert evolve(given, line=3).steps[0].request == CreateAvatar(image_url=URL)

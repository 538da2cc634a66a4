"""Commands that make one call: is the answer JSON on stdout, and an error one line and a code?"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kling_async.emulator import EmulatedAccount, Emulator, Fault, sample_png

TWO = ["ada@example.com", "ben@example.com"]


def objects(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


class TestAvatars:
    def test_create_list_get_and_delete(
        self, invoke: Callable[..., Any], service: Any, emulator: Emulator
    ) -> None:
        Path("ada.png").write_bytes(sample_png())
        made = invoke(
            "avatars", "create", "--image", "ada.png", "--nickname", "Ada", "--prompt", "Calm",
            "--scene", "business", "--tts-speed", "1.2", "--tts-emotion", "happy",
        )  # fmt: skip
        assert made.exit_code == 0, made.stderr
        (avatar,) = emulator.avatars
        assert json.loads(made.stdout) == {"id": avatar.id, "status": "SUCCESS"}
        assert (avatar.nickname, avatar.prompt, avatar.scene) == ("Ada", "Calm", "business")
        assert (avatar.tts_speed, avatar.tts_emotion_key) == (1.2, "happy")
        assert avatar.upload_name == emulator.uploads[0].name

        (listed,) = objects(invoke("avatars", "list").stdout)
        assert (listed["id"], listed["nickname"]) == (avatar.id, "Ada")
        assert json.loads(invoke("avatars", "get", avatar.id).stdout) == listed

        deleted = invoke("avatars", "delete", avatar.id)
        assert (deleted.exit_code, json.loads(deleted.stdout)) == (0, {"deleted": None})
        assert emulator.avatars == []
        assert invoke("avatars", "list").stdout == ""

    def test_templates(self, invoke: Callable[..., Any], service: Any) -> None:
        listed = objects(invoke("avatars", "list", "--type", "templates").stdout)
        assert all(len(one["id"]) <= 8 for one in listed)
        template = listed[0]["id"]
        assert json.loads(invoke("avatars", "get", template).stdout) == listed[0]

    def test_no_such_avatar(self, invoke: Callable[..., Any], service: Any) -> None:
        for verb in ("get", "delete"):
            done = invoke("avatars", verb, "300000000000001")
            assert done.exit_code == 1
            assert done.stderr.startswith("kling-async: ")
            assert done.stdout == ""

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ([], "exactly one of image_url and image is needed, neither given"),
            (["--image-url", "ftp://a"], "image_url: "),
            (["--image", "gone.png"], "gone.png can't be read"),
            (["--image-url", "https://e.com/a.png", "--tts-speed", "9"], "tts_speed: "),
            (["--image-url", "https://e.com/a.png", "--scene", "beach"], "'beach' is not one of"),
        ],
    )
    def test_wrong_use(
        self,
        invoke: Callable[..., Any],
        service: Any,
        emulator: Emulator,
        words: list[str],
        said: str,
    ) -> None:
        done = invoke("avatars", "create", *words)
        assert done.exit_code == 2
        assert said in done.stderr
        assert emulator.calls == []

    def test_a_refusal_is_one_line_and_code_1(
        self, invoke: Callable[..., Any], service: Any, emulator: Emulator
    ) -> None:
        emulator.add_faults([Fault("avatars.create", "status", status=402)])
        done = invoke("avatars", "create", "--image-url", "https://example.com/a.png")
        assert done.exit_code == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith("kling-async: the server answered 402")
        assert "renew the useapi.net subscription" in line
        assert "POST /avatars" in line

    def test_two_accounts_and_none_is_named(self, invoke: Callable[..., Any]) -> None:
        done = invoke("avatars", "list", "--account", TWO[0], "--account", TWO[1])
        assert done.exit_code == 2
        assert f"{', '.join(TWO)}. On the command line: --email, or --choose" in done.stderr


class TestVideos:
    VIDEO = ("avatars", "video", "--image-url", "https://example.com/a.png")
    TALK = (*VIDEO, "--audio-url", "https://example.com/a.mp3")

    def test_files(self, invoke: Callable[..., Any], service: Any, emulator: Emulator) -> None:
        Path("ada.png").write_bytes(sample_png())
        Path("ada.mp3").write_bytes(b"ID3\x04\0\0" + b"\0" * 64)
        made = invoke(
            "avatars", "video", "--image", "ada.png", "--audio", "ada.mp3", "--mode", "pro",
            "--prompt", "Calm", "--max-jobs", "3", "--reply-ref", "row 17",
        )  # fmt: skip
        assert made.exit_code == 0, made.stderr
        (task,) = emulator.tasks
        assert json.loads(made.stdout)["task"]["id"] == task.id
        assert task.input_urls == tuple(one.url for one in emulator.uploads)
        assert (task.reply_ref, task.arguments["mode"]) == ("row 17", "pro")
        assert (task.arguments["prompt"], emulator.calls[-1].fields["maxJobs"]) == ("Calm", 3)

    @pytest.mark.parametrize("rendered", [False, True])
    def test_a_text(
        self, invoke: Callable[..., Any], service: Any, emulator: Emulator, rendered: bool
    ) -> None:
        voice = objects(invoke("tts", "voices").stdout)[0]["speakerId"]
        words = ["--text", "Hello!", "--speaker-id", voice, "--speed", "1.2"]
        made = invoke(*self.VIDEO, *words, *(["--render-speech"] if rendered else []))
        assert made.exit_code == 0, made.stderr
        assert len(emulator.speeches) == rendered
        assert len(emulator.tasks) == 1

    def test_a_lost_answer_is_found(
        self, invoke: Callable[..., Any], service: Any, emulator: Emulator
    ) -> None:
        emulator.add_faults([Fault("avatars.video", "reset_after", at=1)])
        made = invoke(*self.TALK)
        assert made.exit_code == 0, made.stderr
        assert json.loads(made.stdout)["task"]["id"] == emulator.tasks[0].id
        assert emulator.counts["avatars.video"] == 1

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("avatars", "video"), "exactly one of text, audio_url and audio is needed"),
            ((*VIDEO, "--text", "Hi"), "speaker_id: is required with text"),
            ((*TALK, "--speed", "1"), "speed: has a meaning only with text"),
            ((*TALK, "--mode", "4k"), "'4k' is not one of"),
            ((*TALK, "--max-jobs", "51"), "max_jobs: is 51; it must be from 1 to 50"),
        ],
    )
    def test_wrong_use(
        self,
        invoke: Callable[..., Any],
        service: Any,
        emulator: Emulator,
        words: tuple[str, ...],
        said: str,
    ) -> None:
        done = invoke(*words)
        assert done.exit_code == 2
        assert said in done.stderr
        assert emulator.calls == []


class TestOthers:
    def test_voices(self, invoke: Callable[..., Any], service: Any) -> None:
        done = invoke("tts", "voices")
        assert done.exit_code == 0
        voices = objects(done.stdout)
        assert len(voices) > 3
        assert all(one["speakerId"] and "name" in one for one in voices)

    def test_upload(self, invoke: Callable[..., Any], service: Any, emulator: Emulator) -> None:
        Path("ada.png").write_bytes(sample_png())
        done = invoke("assets", "upload", "ada.png")
        assert done.exit_code == 0, done.stderr
        assert emulator.uploads[0].url in done.stdout
        json.loads(done.stdout)

    def test_uploading_nothing(self, invoke: Callable[..., Any], service: Any) -> None:
        done = invoke("assets", "upload", "gone.png")
        assert done.exit_code == 2
        assert "gone.png can't be read" in done.stderr


class TestAccounts:
    @pytest.fixture
    def emulator(self) -> Emulator:
        return Emulator([EmulatedAccount(TWO[0], 3), EmulatedAccount(TWO[1], 7)])

    def test_list(self, invoke: Callable[..., Any], service: Any) -> None:
        listed = objects(invoke("accounts", "list").stdout)
        assert listed == [{"email": TWO[0], "maxJobs": 3}, {"email": TWO[1], "maxJobs": 7}]

    def test_sync_prints_what_the_environment_takes(
        self, invoke: Callable[..., Any], service: Any, emulator: Emulator
    ) -> None:
        done = invoke("accounts", "sync")
        assert done.stdout == ",".join(TWO) + "\n"
        words = ["avatars", "create", "--image-url", "https://example.com/a.png"]
        env = {"KLING_ACCOUNTS": done.stdout.strip()}
        refused = invoke(*words, env=env)
        assert refused.exit_code == 2
        assert all(email in refused.stderr for email in TWO)
        assert invoke(*words, "--email", TWO[1], env=env).exit_code == 0
        assert invoke(*words, "--choose", "round_robin", env=env).exit_code == 0
        assert invoke(*words, "--account", TWO[0], env=env).exit_code == 0
        assert [one.account for one in emulator.avatars] == [TWO[1], TWO[0], TWO[0]]


def test_with_the_built_in_emulator_nothing_is_needed(invoke: Callable[..., Any]) -> None:
    done = invoke("tts", "voices", "--emulator", env={"USEAPI_TOKEN": None})
    assert done.exit_code == 0
    assert objects(done.stdout)


@pytest.mark.parametrize("words", [
    ("avatars", "list"), ("avatars", "list", "--type", "templates"), ("accounts", "list"),
    ("tts", "voices"),
])  # fmt: skip
def test_lists_are_tables_on_a_terminal_and_json_in_a_pipe(
    invoke: Callable[..., Any],
    service: Any,
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
) -> None:
    more = ("--prompt", "p" * 300, "--image-url", "https://x.y/a.png")
    assert invoke("avatars", "create", *more).exit_code == 0
    rows = [json.loads(line) for line in invoke(*words).stdout.splitlines()]
    monkeypatch.setattr("kling_async.cli.tables.on_terminal", lambda: True)
    head, *lines = invoke(*words, env={"COLUMNS": "300"}).stdout.splitlines()
    first = next(iter(rows[0]))
    assert (head.split()[0], len(lines)) == (first, len(rows))
    assert [line.split()[0] for line in lines] == [str(one[first]).split()[0] for one in rows]
    assert "p" * 60 not in "".join(lines)
    assert ("p" * 59 + "…" in "".join(lines)) == (words == ("avatars", "list"))


def test_an_empty_list_says_so_on_a_terminal(
    invoke: Callable[..., Any], service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert invoke("avatars", "list").output == ""
    monkeypatch.setattr("kling_async.cli.tables.on_terminal", lambda: True)
    done = invoke("avatars", "list")
    assert (done.stdout, done.stderr) == ("", "none\n")

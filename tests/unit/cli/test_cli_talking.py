"""Portrait in, talking video out, by commands alone: on the emulator, over a socket."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kling_async.emulator import Emulator, Fault, sample_png

TOKEN = "user:4711-tokenthatmaynotshow"


@pytest.fixture
def job_s() -> float:
    """How long a job takes."""
    return 0.01


@pytest.fixture
def emulator(job_s: float) -> Emulator:
    return Emulator(token=TOKEN, job_s=job_s)


def objects(done: Any) -> list[Any]:
    assert done.exit_code == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def voice(invoke: Callable[..., Any]) -> str:
    return str(objects(invoke("tts", "voices"))[0]["speakerId"])


def ended(invoke: Callable[..., Any], task: str) -> Any:
    """The task once it is over; the emulator's jobs take a hundredth of a second."""
    while True:
        done = invoke("tasks", "get", task)
        assert done.exit_code == 0, done.stderr
        record = json.loads(done.stdout)
        if record["status_final"]:
            return record


def test_from_a_portrait_to_a_file(
    invoke: Callable[..., Any], service: Any, emulator: Emulator, folder: Path
) -> None:
    Path("ada.png").write_bytes(sample_png())
    made = json.loads(invoke("avatars", "create", "--image", "ada.png").stdout)
    begun = invoke(
        "avatars", "video", "--avatar-id", made["id"], "--text", "Hello", "--speaker-id",
        voice(invoke),
    )  # fmt: skip
    task = str(json.loads(begun.stdout)["task"]["id"])
    service.advance(1)
    done = invoke("tasks", "wait", task)
    assert done.exit_code == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["status_name"] == "succeed"
    assert done.stderr.splitlines()[-1] == f"task {task}: succeed"
    assert [one["works"][0]["taskId"] for one in objects(invoke("tasks", "list"))] == [int(task)]

    fetched = invoke("assets", "download", "--task", task, "--to", "ada.mp4")
    assert fetched.exit_code == 0, fetched.stderr
    told = json.loads(fetched.stdout)
    assert told["path"] == str(folder / "ada.mp4")
    assert (folder / "ada.mp4").stat().st_size == told["bytes"] > 0

    url = record["works"][0]["resource"]["resource"]
    assert invoke("assets", "download", url, "--to", "again.mp4").exit_code == 0
    assert (folder / "again.mp4").stat().st_size > 0

    gone = invoke("tasks", "delete", task)
    assert json.loads(gone.stdout)["workIds"] == [record["works"][0]["workId"]]
    assert invoke("tasks", "delete", task).exit_code == 1


@pytest.mark.parametrize("job_s", [math.inf])
def test_what_runs_and_is_forgotten_goes_on(invoke: Callable[..., Any], service: Any) -> None:
    url, audio = "https://example.com/a.png", "https://example.com/a.mp3"
    begun = invoke("avatars", "video", "--image-url", url, "--audio-url", audio)
    task = str(json.loads(begun.stdout)["task"]["id"])
    (running,) = objects(invoke("scheduler", "running"))
    assert str(running["id"]) == task
    assert json.loads(invoke("scheduler", "available").stdout)["available"][0]["executing"] == 1
    assert invoke("scheduler", "forget", task).exit_code == 0
    assert objects(invoke("scheduler", "running")) == []
    assert not json.loads(invoke("tasks", "get", task).stdout)["status_final"]


def begun(invoke: Callable[..., Any]) -> str:
    url, audio = "https://example.com/a.png", "https://example.com/a.mp3"
    done = invoke("avatars", "video", "--image-url", url, "--audio-url", audio)
    return str(json.loads(done.stdout)["task"]["id"])


@pytest.mark.parametrize("job_s", [math.inf])
def test_a_wait_ends_in_time(invoke: Callable[..., Any], service: Any) -> None:
    task = begun(invoke)
    done = invoke("tasks", "wait", task, "--deadline", "0.05")
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"task {task} was not over within 0.05 s; it goes on at Kling" in done.stderr
    assert invoke("tasks", "wait", task, "--deadline", "0").exit_code == 2


def test_a_wait_for_what_failed_says_why(
    invoke: Callable[..., Any], service: Any, emulator: Emulator
) -> None:
    emulator.add_faults([Fault("avatars.video", "task_failed", message="the face is hidden")])
    task = begun(invoke)
    service.advance(1)
    done = invoke("tasks", "wait", task)
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"task {task}: failed" in done.stderr
    assert "the face is hidden" in done.stderr.splitlines()[-1]


def test_the_whole_history(invoke: Callable[..., Any], service: Any, emulator: Emulator) -> None:
    tasks = [int(begun(invoke)) for _ in range(5)]
    for task in tasks:
        ended(invoke, str(task))

    def listed(*words: str) -> list[int]:
        return [one["task"]["id"] for one in objects(invoke("tasks", "list", *words))]

    assert listed("--page-size", "2") == tasks[:2:-1]
    assert listed("--all", "--page-size", "2") == tasks[::-1]
    made_ms = [one.create_time_ms for one in emulator.tasks]
    between = ["--after", str(made_ms[0]), "--before", str(made_ms[-1])]
    assert set(listed("--all", *between)) < set(tasks)
    assert invoke("tasks", "list", *between).exit_code == 2


def test_speech_to_a_file(invoke: Callable[..., Any], service: Any, folder: Path) -> None:
    spoken = invoke("tts", "create", "Hello", "--speaker-id", voice(invoke))
    url = json.loads(spoken.stdout)["resource"]
    assert invoke("assets", "download", url, "--to", ".").exit_code == 0
    (file,) = folder.glob("*.mp3")
    assert file.stat().st_size > 0


def test_several_works_are_a_zip(
    invoke: Callable[..., Any], service: Any, emulator: Emulator, folder: Path
) -> None:
    Path("ada.png").write_bytes(sample_png())
    words = [
        "avatars",
        "video",
        "--image",
        "ada.png",
        "--text",
        "Hi",
        "--speaker-id",
        voice(invoke),
    ]
    tasks = [str(json.loads(invoke(*words).stdout)["task"]["id"]) for _ in range(2)]
    works = [str(ended(invoke, task)["works"][0]["workId"]) for task in tasks]
    done = invoke("assets", "download", *works, "--to", "both.zip", "--file-type", "mp4")
    assert done.exit_code == 0, done.stderr
    with zipfile.ZipFile(folder / "both.zip") as both:
        assert len(both.namelist()) == 2

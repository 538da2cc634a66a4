"""What does Ctrl-C leave behind? Real processes, real signals, a service that takes its time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jobs import avatars, videos

from kling_async.bulk.records import Step
from kling_async.emulator import Emulator, Fault

LEDGER = Path("avatars.sqlite")


def in_ledger() -> dict[str, Step]:
    return avatars(LEDGER)


HELD_S = 600.0  # until the test moves the emulator's clock; so no machine is too slow for it


@pytest.fixture
def emulator() -> Emulator:
    return Emulator(job_s=HELD_S)


def until(reached: Callable[[], bool]) -> None:
    """Processes can only be polled."""
    end = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


@pytest.fixture
def words(url_csv: Callable[..., Path], service: Any) -> list[Any]:
    path = url_csv(40)
    return ["bulk", "run", path, "--ledger", LEDGER, "--rate", "none", "--concurrency", "4"]


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_what_is_in_flight_is_recorded_and_the_next_run_completes(
    start: Callable[..., Any],
    finish: Callable[..., Any],
    execute: Callable[..., Any],
    words: list[Any],
    service: Any,
    emulator: Emulator,
    kind: signal.Signals,
) -> None:
    held = range(6, 10)
    emulator.add_faults([Fault("avatars.create", "latency", delay_s=HELD_S, at=held)])
    process = start(*words)
    until(lambda: len(service.creates) == 9)  # five are answered, the others in flight
    process.send_signal(kind)
    until(lambda: "stopping: " in process.stderr.readline())
    service.advance(HELD_S)
    ended = finish(process)
    assert ended.code == 130
    assert "The run ended early: it was interrupted." in ended.stdout
    assert "Run the same command again to go on where it stopped." in ended.stdout

    made = {one.nickname: one.id for one in emulator.avatars}
    assert len(made) == 9
    kept = in_ledger()
    assert {key: one.remote_id for key, one in kept.items() if one.remote_id} == made
    assert {one.state for one in kept.values()} <= {"done", "planned", "ready"}

    again = execute(*words)
    assert again.code == 0
    assert again.stdout.startswith("40 of 40 rows created")
    assert len(service.creates) == len(set(service.creates)) == 40
    assert {key: one.remote_id for key, one in in_ledger().items()} == {
        one.nickname: one.id for one in emulator.avatars
    }


def test_a_second_one_leaves_at_once(
    start: Callable[..., Any], words: list[Any], service: Any, emulator: Emulator
) -> None:
    process = start(*words)
    until(lambda: len(service.creates) > 0)
    emulator.latency_s = 60
    until(lambda: [one.status for one in emulator.calls].count(None) >= 4)
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline().startswith("stopping: ")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert "left; run the same command again" in process.stderr.read()


def test_while_the_limit_is_waited_for_it_ends_soon(
    start: Callable[..., Any],
    finish: Callable[..., Any],
    words: list[Any],
    service: Any,
    emulator: Emulator,
) -> None:
    words[words.index("none")] = "1/h"
    process = start(*words)
    until(lambda: len(emulator.calls) == 1)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    assert finish(process).code == 130
    assert time.monotonic() - began < 30
    assert {one.state for one in in_ledger().values()} <= {"planned", "ready"}


def test_during_the_check_nothing_is_sent(
    start: Callable[..., Any], finish: Callable[..., Any], service: Any, emulator: Emulator
) -> None:
    rows = "".join(f"https://example.com/{n}.png\n" for n in range(200_000))  # seconds to check
    Path("in.csv").write_text("image_url\n" + rows)
    process = start("bulk", "run", "in.csv", "--ledger", LEDGER)
    files = Path(f"/proc/{process.pid}/fd")
    until(lambda: any(os.path.realpath(one).endswith("in.csv") for one in files.iterdir()))
    process.send_signal(signal.SIGINT)
    assert finish(process).code == 130
    assert emulator.calls == []
    assert not LEDGER.exists()


@pytest.mark.heavy
def test_jobs_go_on_at_kling_and_the_next_run_waits_for_them(
    start: Callable[..., Any],
    finish: Callable[..., Any],
    execute: Callable[..., Any],
    service: Any,
    emulator: Emulator,
) -> None:
    from kling_async.emulator.voices import VOICES

    lines = ["key,image_url,text,speaker_id"]
    lines += [f"k{n},https://x.y/{n}.png,I am k{n},{VOICES[0].speaker_id}" for n in range(8)]
    Path("in.csv").write_text("\n".join(lines))
    words = ["bulk", "run", "in.csv", "--ledger", LEDGER, "--rate", "none", "--video"]
    process = start(*words)
    until(lambda: "5 running" in process.stderr.readline())  # the account's job slots
    process.send_signal(signal.SIGINT)
    ended = finish(process)
    assert ended.code == 130
    assert "5 jobs go on at Kling" in ended.stderr
    assert "jobs go on at Kling; the next run waits for them." in ended.stdout
    assert "Run the same command again to go on where it stopped." in ended.stdout
    assert all(one.state in ("running", "ready", "planned") for one in videos(LEDGER).values())
    looks = len(emulator.calls)
    process = start(*words)
    until(lambda: len(emulator.calls) > looks)
    while process.poll() is None:  # first those five, then the other three
        service.advance(HELD_S)
        time.sleep(0.1)
    again = finish(process)
    assert again.code == 0, again.stderr
    assert len(emulator.tasks) == 8
    assert len(list(Path("avatars-videos").glob("*.mp4"))) == 8

"""What reaches a terminal of what others wrote, and what if a stream takes no more?"""

from __future__ import annotations

import asyncio
import errno
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kling_async.bulk.recipes import AVATARS
from kling_async.bulk.rows import RowBuilder
from kling_async.bulk.sqlite import open_ledger
from kling_async.cli.streams import Lasting
from kling_async.emulator import Emulator
from kling_async.models.text import json_shown

EVIL = "\x1b]0;gone\x07\x9b2J \u202egpj.exe \ud83d \U000e0041 é\U0001f388"


def seen(text: str) -> set[str]:
    """The characters that a terminal obeys or hides."""
    return {one for one in text if not one.isprintable() and one != "\n"}


class Pipe(io.RawIOBase):
    """Answers each write as it is told: with a number, with None (it is full), or an error."""

    def __init__(self, *answers: int | OSError | None) -> None:
        self.answers = list(answers)

    def fileno(self) -> int:
        return 1  # which takes something at any time

    def write(self, data: Any) -> int:
        answer = self.answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("answers", "written", "lost"),
    [
        ([3], 3, ""),
        ([None, None, 5], 5, ""),
        ([OSError(errno.ENOSPC, "no space left")], 5, "no space left"),
        ([None, BrokenPipeError()], 5, ""),
    ],
    ids=["a part", "not yet", "a full disk", "nobody reads"],
)
def test_a_stream_never_raises(
    answers: list[int | OSError | None],
    written: int,
    lost: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("select.select", lambda *_: ([], [], []))
    pipe = Pipe(*answers)
    stream = Lasting(pipe)
    assert (stream.write(b"12345"), stream.lost) == (written, lost)
    assert pipe.answers == []


@pytest.mark.parametrize("indent", [None, 2])
def test_json_is_the_same_and_shows_nothing_unseen(indent: int | None) -> None:
    shown = json_shown({EVIL: [EVIL, 1.5, None]}, indent)
    assert json.loads(shown) == {EVIL: [EVIL, 1.5, None]}
    assert not seen(shown)
    assert "é\U0001f388" in shown
    shown.encode()


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_status_of_a_row_with_an_evil_key(
    invoke: Callable[..., Any], words: list[str], tmp_path: Path
) -> None:
    key = EVIL.replace("\ud83d", "")

    async def write() -> None:
        async with open_ledger(tmp_path / "l.sqlite", service="x") as ledger:
            with RowBuilder(AVATARS) as builder:
                await ledger.register([builder.row({"key": key}, 1)])

    asyncio.run(write())
    done = invoke("bulk", "status", tmp_path / "l.sqlite", *words)
    assert "gpj.exe" in done.stdout
    assert not seen(done.stdout)
    if words:
        assert json.loads(done.stdout)["failed"][0]["key"] == key


def test_a_listed_name(invoke: Callable[..., Any], service: Any, emulator: Emulator) -> None:
    name = EVIL.replace("\ud83d", "")
    created = invoke("avatars", "create", "--image-url", "https://x.y/a.png", "--nickname", name)
    assert created.exit_code == 0, created.stderr
    done = invoke("avatars", "list")
    assert json.loads(done.stdout.splitlines()[0])["nickname"] == emulator.avatars[0].nickname
    assert not seen(done.stdout)

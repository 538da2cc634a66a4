"""The command in this process and in one of its own, and a service for it to talk to.

No output of any command may hold the token; that is checked here, for all of them.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define
from click.testing import CliRunner, Result

from kling_async.cli.app import cli
from kling_async.emulator import Emulator

TOKEN = "user:4711-tokenthatmaynotshow"


@define
class Service:
    """An emulator behind a real port, served by a thread of this process."""

    emulator: Emulator
    base_url: str = ""
    _loop: asyncio.AbstractEventLoop | None = None

    def advance(self, seconds: float) -> None:
        """Move the emulator's clock; from any thread."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self.emulator.clock.advance, seconds)

    @property
    def creates(self) -> list[str]:
        """The nicknames of the creates that arrived, oldest first."""
        calls = [one for one in self.emulator.calls if one.operation == "avatars.create"]
        return [str((one.fields or {}).get("nickname")) for one in calls]


@pytest.fixture
def emulator() -> Emulator:
    return Emulator(token=TOKEN)


@pytest.fixture
def service(emulator: Emulator) -> Iterator[Service]:
    """The emulator, served as long as the test runs."""
    served, ready, ends = Service(emulator), threading.Event(), list[Callable[[], Any]]()

    async def serve() -> None:
        served._loop = loop = asyncio.get_running_loop()
        end = asyncio.Event()
        ends.append(lambda: loop.call_soon_threadsafe(end.set))
        async with emulator.serve() as served.base_url:
            ready.set()
            await end.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(10)
    yield served
    ends[0]()
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture
def environment(request: pytest.FixtureRequest) -> dict[str, str | None]:
    """Set for every command: the token, and the service where the test has one."""
    found: dict[str, str | None] = {"USEAPI_TOKEN": TOKEN}
    if "service" in request.fixturenames:
        found["KLING_BASE_URL"] = request.getfixturevalue("service").base_url
    return found


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that commands work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def invoke(environment: dict[str, str | None]) -> Callable[..., Result]:
    """`invoke("bulk", "status", ...)`: the command in this process; quick, without signals."""
    # Older versions of click mix stdout and stderr unless told not to, newer ones never do.
    mixes = "mix_stderr" in inspect.signature(CliRunner).parameters
    runner = CliRunner(mix_stderr=False) if mixes else CliRunner()

    def invoked(*words: str | Path, env: dict[str, str | None] | None = None) -> Result:
        given = {**environment, **(env or {})}
        result = runner.invoke(cli, [str(one) for one in words], env=given)
        assert TOKEN not in result.stdout + result.stderr
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "Traceback" not in result.stderr
        return result

    return invoked


Popen = subprocess.Popen[str]


@pytest.fixture
def start(environment: dict[str, str | None]) -> Iterator[Callable[..., Popen]]:
    """`start("bulk", "run", ...)`: the command as a process of its own, ended with the test."""
    started: list[Popen] = []

    def begun(*words: str | Path, env: dict[str, str | None] | None = None, **more: Any) -> Popen:
        given = {**os.environ, **environment, **(env or {})}
        process = subprocess.Popen(
            [sys.executable, "-m", "kling_async", *map(str, words)],
            env={name: value for name, value in given.items() if value is not None},
            **{
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "text": True,
                **more,
            },
        )
        started.append(process)
        return process

    yield begun
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@define
class Ended:
    """What a process left."""

    code: int
    stdout: str
    stderr: str


@pytest.fixture
def execute(start: Callable[..., Popen]) -> Callable[..., Ended]:
    """`execute("bulk", "run", ...)`: the command as a process, to its end."""

    def executed(*words: str | Path, env: dict[str, str | None] | None = None) -> Ended:
        return _finished(start(*words, env=env))

    return executed


@pytest.fixture
def finish() -> Callable[[Popen], Ended]:
    """`finish(process)`: what it left, once it has ended by itself."""
    return _finished


def _finished(process: Popen) -> Ended:
    stdout, stderr = process.communicate(timeout=120)
    assert TOKEN not in stdout + stderr
    assert "Traceback" not in stderr
    return Ended(process.returncode, stdout, stderr)


@pytest.fixture
def url_csv(folder: Path) -> Callable[..., Path]:
    """`url_csv(200)`: an input of that many rows k1 ... with addresses; nicknames are the keys."""

    def written(count: int, name: str = "in.csv", header: str = "", cell: str = "") -> Path:
        lines = [f"key,image_url,nickname{header}"]
        lines += [f"k{n},https://example.com/{n}.png,k{n}{cell}" for n in range(1, count + 1)]
        path = folder / name
        path.write_text("\n".join(lines) + "\n")
        return path

    return written

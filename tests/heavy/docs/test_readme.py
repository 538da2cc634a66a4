"""Do the commands and the programs of the README and of all pages work, just as they stand there?

The commands of a page run one after the other in one copy of docs/, programs each in a folder of
their own with the portraits, and both against an emulator on a socket. A block of another language
than sh, console or python is not run.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

from kling_async.emulator import Emulator

ROOT = Path(__file__).parents[3]
README = ROOT / "README.md"
PORTRAITS = ROOT / "docs" / "examples" / "portraits"
TOKEN = "user:4711-readme"
FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
SERVER = re.compile(r"^kling-async emulator\b")
NOT_OURS = re.compile(r"^(python -m )?(pip|nox|uv|git|cd)\b")

RUNNER = """
import ast, asyncio, inspect, pathlib, sys
source = pathlib.Path(sys.argv[1]).read_text("utf-8")
code = compile(source, sys.argv[1], "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
waiting = eval(code, {"__name__": "__main__"})
if inspect.iscoroutine(waiting):
    asyncio.run(waiting)
"""


@frozen
class Block:
    """A fenced block and the line it begins on."""

    language: str
    text: str
    line: int
    page: str


def blocks(*languages: str, page: Path = README) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = (
        Block(one[1], textwrap.dedent(one[2]), text.count("\n", 0, one.start(2)) + 1, page.name)
        for one in FENCE.finditer(text)
    )
    return [one for one in found if one.language in languages]


def commands(page: Path = README) -> list[str]:
    """The lines that use `kling-async`, without their parts that install or test."""
    found = []
    for block in blocks("sh", "bash", "console", page=page):
        lines = block.text.replace("\\\n", " ").splitlines()
        if block.language == "console":  # the others are output
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        for line in lines:
            parts = [part.strip() for part in line.split("#")[0].split("&&")]
            ours = [part for part in parts if part and not NOT_OURS.match(part)]
            if ours and "kling-async" in line:
                found.append(" && ".join(ours))
    return found


PAGES = (README, *sorted((ROOT / "docs").glob("*.md")))
WITH_COMMANDS = [page for page in PAGES[1:] if commands(page)]


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """Where programs and commands find the token and an emulator."""
    urls, ready, ends = list[str](), threading.Event(), list[asyncio.Event]()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        ends.append(asyncio.Event())
        async with Emulator(token=TOKEN, job_s=0.2).serve() as base_url:
            urls.append(base_url)
            ready.set()
            await ends[0].wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    assert ready.wait(10)
    scripts = str(Path(sys.executable).parent)
    yield {
        **os.environ,
        "USEAPI_TOKEN": TOKEN,
        "KLING_BASE_URL": urls[0],
        "PATH": scripts + os.pathsep + os.environ["PATH"],
    }
    loop.call_soon_threadsafe(ends[0].set)
    thread.join(10)
    loop.close()


def run(words: list[str], folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_commands_run_in_their_order(environment: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    lines = commands()
    assert "bulk run docs/examples/avatars.csv" in lines[0]
    for line in lines:
        if SERVER.match(line):
            serve_for_a_moment(line, tmp_path, environment)
            continue
        env = without_settings(environment) if "--emulator" in line else environment
        done = run(["bash", "-ec", line], tmp_path, env)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        assert TOKEN not in done.stdout + done.stderr
        if line == lines[0]:
            assert done.stdout.startswith("14 of 14 rows created in ")
    # and, as the README says beneath it, again
    done = run(["bash", "-ec", lines[0]], tmp_path, without_settings(environment))
    assert done.stdout.startswith("14 of 14 rows created in earlier runs; nothing was sent.")


def without_settings(env: dict[str, str]) -> dict[str, str]:
    """With `--emulator`, no token and no address are needed."""
    return {name: env[name] for name in env if name not in ("USEAPI_TOKEN", "KLING_BASE_URL")}


def serve_for_a_moment(line: str, folder: Path, env: dict[str, str]) -> None:
    """The server as it is named, but on a free port; it never ends by itself."""
    words = [*line.split(), "--port", "0"]
    with subprocess.Popen(words, cwd=folder, env=env, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline().startswith("listening on http://")
        finally:
            server.kill()


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda one: one.name)
def test_the_commands_of_a_page_run(
    page: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for line in commands(page):
        done = run(["bash", "-ec", line], tmp_path, without_settings(environment))
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


PROGRAMS = [one for page in PAGES for one in blocks("python", page=page)]


@pytest.mark.parametrize("block", PROGRAMS, ids=lambda one: f"{one.page} line {one.line}")
def test_a_program_runs(block: Block, environment: dict[str, str], tmp_path: Path) -> None:
    for portrait in PORTRAITS.iterdir():
        shutil.copy(portrait, tmp_path)
    (tmp_path / "program.py").write_text(block.text, encoding="utf-8")
    (tmp_path / "runner.py").write_text(RUNNER, encoding="utf-8")
    done = run([sys.executable, "-W", "error", "runner.py", "program.py"], tmp_path, environment)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert TOKEN not in done.stdout
    said = re.sub(r'"error": "\w+"', "", done.stdout)  # logged on purpose
    assert not re.search("failed|unknown|Error", said), done.stdout

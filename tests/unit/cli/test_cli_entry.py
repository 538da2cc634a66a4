"""Is there a way in, also where an extra or the token is missing?"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import pytest

from kling_async import __version__
from kling_async.cli.app import cli

COMMANDS = ["avatars", "assets", "tts", "accounts", "bulk", "emulator"]


def without(modules: str, *words: str) -> subprocess.CompletedProcess[str]:
    """The command where these modules are not installed."""
    program = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({modules.split(',')!r}))\n"
        "from kling_async.__main__ import main\n"
        "main()\n"
    )
    return subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=False
    )


def test_python_m_kling_async(execute: Callable[..., Any]) -> None:
    done = execute("--version")
    assert (done.code, done.stdout) == (0, f"kling-async, version {__version__}\n")


def test_the_installed_script() -> None:
    script = Path(sys.executable).with_name("kling-async")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"kling-async, version {__version__}\n"


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_names_every_command(invoke: Callable[..., Any], flag: str) -> None:
    done = invoke(flag)
    assert done.exit_code == 0
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)
    assert "USEAPI_TOKEN" in done.stdout


@pytest.mark.parametrize(
    "words",
    [[name, "--help"] for name in COMMANDS]
    + [["bulk", name, "--help"] for name in ("run", "status", "export", "retry")],
    ids=" ".join,
)
def test_every_command_explains_itself(invoke: Callable[..., Any], words: list[str]) -> None:
    done = invoke(*words)
    assert done.exit_code == 0
    assert done.stdout.startswith("Usage: ")


@pytest.mark.parametrize(
    ("words", "width"),
    [
        *((("bulk", "run"), width) for width in (60, 80, 120)),
        *(((group, name), 80) for group, name in (("bulk", "settle"), ("videos", "omni"))),
        *(((name,), 60) for name in ("worker", "emulator", "bulk")),
    ],
)
def test_help_has_each_option_once_in_any_width(
    invoke: Callable[..., Any], words: Sequence[str], width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")  # makes a terminal of a pipe, for rich-click
    monkeypatch.setenv("COLUMNS", str(width))
    command: Any = cli
    for word in words:
        command = command.commands[word]
    text = invoke(*words, "--help").stdout
    assert max(map(len, text.splitlines())) <= width
    assert text.replace("\n", "").isprintable()
    for one in command.params:
        shown = re.findall(rf"^  (?:-., )?{one.opts[-1]}(?![\w-])", text, re.MULTILINE)
        assert len(shown) == (isinstance(one, click.Option) and not one.hidden), one.opts


def test_the_options_of_a_job_stand_in_groups(invoke: Callable[..., Any]) -> None:
    text = invoke("bulk", "run", "--help").stdout
    assert "[required]" in text and "[default: 10/s]" in text  # noqa: PT018
    assert re.findall(r"^(?=\S)(.*):$", text, re.MULTILINE) == [
        "Where to",
        "What to make",
        "Which rows",
        "What it may cost",
        "How fast",
        "When something goes wrong",
        "Accounts and connection",
        "What is told",
    ]


@pytest.mark.parametrize("words", [["nonsense"], ["bulk", "nonsense"], ["avatars", "get"]])
def test_wrong_words(invoke: Callable[..., Any], words: list[str]) -> None:
    assert invoke(*words).exit_code == 2


@pytest.mark.parametrize("missing", ["click", "rich", "rich_click"])
def test_the_extra_cli_is_missing(missing: str) -> None:
    done = without(missing, "--version")
    assert done.returncode == 1
    assert done.stderr == (
        "kling-async: the command needs an extra: pip install 'kling-async[cli]'\n"
    )


@pytest.mark.parametrize(
    ("missing", "words"),
    [("h11", ["emulator", "--port", "0"]), ("python_multipart", ["tts", "voices", "--emulator"])],
)
def test_the_extra_emulator_is_missing(missing: str, words: list[str]) -> None:
    done = without(missing, *words)
    assert done.returncode == 2
    assert "needs an extra: pip install 'kling-async[emulator]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["avatars", "list"],
        ["avatars", "create", "--image-url", "https://example.com/a.png"],
        ["tts", "voices"],
        ["accounts", "sync"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("token", [None, ""])
def test_no_token(invoke: Callable[..., Any], words: list[str], token: str | None) -> None:
    done = invoke(*words, env={"USEAPI_TOKEN": token})
    assert done.exit_code == 2
    assert done.stderr.startswith("kling-async: no API token")
    assert "https://useapi.net/" in done.stderr


def test_a_token_that_can_not_be_sent_is_not_shown(invoke: Callable[..., Any]) -> None:
    done = invoke("tts", "voices", env={"USEAPI_TOKEN": "user:1-ab cd"})
    assert done.exit_code == 2
    assert "ab cd" not in done.stderr


def test_a_server_that_is_not_there(invoke: Callable[..., Any]) -> None:
    # Waiting for it takes a minute, so only what is said of the address itself is asked for here.
    done = invoke("tts", "voices", "--base-url", "https://user:secret@example.com")
    assert done.exit_code == 2
    assert "secret" not in done.stderr

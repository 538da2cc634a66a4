"""Which defaults of options does a file or the environment set, and which are refused?"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kling_async.cli.app import cli
from kling_async.cli.config import IN_FILE, NOT_IN_FILE, defaults_for, settings_in

OWN, SHARED = "kling-async.toml", "pyproject.toml"


def found(env: dict[str, str] | None = None) -> dict[str, tuple[Any, str]]:
    return {one.name: (one.value, one.source) for one in settings_in(Path(), env or {})}


def test_the_environment_counts_before_the_file_and_ours_before_the_shared_one() -> None:
    Path(SHARED).write_text('[tool.kling-async]\nrate = "1/s"\nchoose = "round_robin"\n')
    assert found() == {"rate": ("1/s", SHARED), "choose": ("round_robin", SHARED)}
    Path(OWN).write_text('rate = "2/s"\nconcurrency = 7\nskip-bad = true\naccount = "a@b.c"\n')
    env = {"KLING_ASYNC_RATE": "3/s", "KLING_ASYNC_CHOOSE": "", "KLING_ASYNC_ON_DONE": "date"}
    assert found(env) == {
        "rate": ("3/s", "KLING_ASYNC_RATE"),
        "on-done": ("date", "KLING_ASYNC_ON_DONE"),
        "concurrency": ("7", OWN),
        "skip-bad": (True, OWN),
        "account": (["a@b.c"], OWN),
    }
    assert "account" not in found({"KLING_ACCOUNTS": "d@e.f"})
    accounts = {"KLING_ASYNC_ACCOUNT": "a@b.c, d@e.f"}
    assert found(accounts)["account"] == (["a@b.c", "d@e.f"], "KLING_ASYNC_ACCOUNT")


def test_each_setting_is_an_option_of_some_command() -> None:
    Path(OWN).write_text("".join(f'{name} = "1"\n' for name in IN_FILE))
    env = {f"KLING_ASYNC_{one.upper().replace('-', '_')}": "1" for one in NOT_IN_FILE}
    of = defaults_for(cli, settings_in(Path(), env))
    assert len(of["bulk"]["run"]) == len(IN_FILE) + len(NOT_IN_FILE)
    assert "concurrency" not in of["avatars"]["list"]
    assert "emulator" not in of


@pytest.mark.parametrize(("file", "content", "env", "said"), [
    (OWN, 'rat = "1/s"\n', {}, "there is no setting 'rat'. Did you mean rate?"),
    (OWN, 'token = "x"\n', {}, "The token belongs into USEAPI_TOKEN"),
    (OWN, 'base-url = "https://x.y"\n', {}, "use --base-url or KLING_ASYNC_BASE_URL"),
    (OWN, 'on-done = "rm"\n', {}, "use --on-done or KLING_ASYNC_ON_DONE"),
    (OWN, "rate = [1]\n", {}, "rate must be one value, as of the option --rate"),
    (OWN, "account = [1]\n", {}, "account must be one value"),
    (OWN, "rate 5\n", {}, "kling-async.toml is no TOML"),
    (OWN, 'rate = "fast"\n', {}, "auto or none (set by kling-async.toml)"),
    (OWN, "", {"KLING_ASYNC_CHOOSE": "me"}, "(set by KLING_ASYNC_CHOOSE)"),
    (SHARED, "[tool]\nkling-async = 1\n", {}, "must be a table"),
    (SHARED, "[tool.kling-async\n", {}, "pyproject.toml is no TOML"),
    (SHARED, "", {"KLING_ASYNC_RAET": "1/s"}, "Did you mean KLING_ASYNC_RATE?"),
])  # fmt: skip
def test_what_is_not_understood_is_refused(
    invoke: Callable[..., Any], file: str, content: str, env: dict[str, str | None], said: str
) -> None:
    Path(file).write_text(content)
    done = invoke("accounts", "list", "--emulator", env=env)
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.split()), done.stderr


def test_a_broken_file_of_somebody_else_is_left_alone(invoke: Callable[..., Any]) -> None:
    for broken in ("[tool.other\n", "a=" + "[" * 100_000):
        Path(SHARED).write_text(broken)
        assert invoke("accounts", "list", "--emulator").exit_code == 0


def test_a_named_pipe_is_not_waited_for(invoke: Callable[..., Any]) -> None:
    os.mkfifo(OWN)
    done = invoke("accounts", "list", "--emulator")
    assert (done.exit_code, "it is a named pipe" in done.stderr) == (2, True)


def test_a_run_takes_them(invoke: Callable[..., Any], url_csv: Callable[..., Path]) -> None:
    Path(OWN).write_text('progress = "json"\nrate = "none"\nmax-credits = 5\nlog-file = "a.log"\n')
    words = ("bulk", "run", url_csv(2), "--ledger", "a.sqlite", "--emulator")
    done = invoke(*words)
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stderr.splitlines()[-1])["type"] == "progress"
    assert Path("a.log").exists()
    assert invoke(*words, "--max-credits", "5").exit_code == 2  # asked for, and in vain


def test_doctor_shows_them_but_no_command_line(invoke: Callable[..., Any]) -> None:
    Path(OWN).write_text('rate = "4/s"\n')
    done = invoke("doctor", "--emulator", env={"KLING_ASYNC_ON_DONE": "curl -u ada:secret"})
    said = {one["what"]: one["said"] for one in map(json.loads, done.stdout.splitlines())}
    assert said["setting rate"] == "4/s, from kling-async.toml"
    assert said["setting on-done"] == "set, from KLING_ASYNC_ON_DONE"
    assert "secret" not in done.stdout

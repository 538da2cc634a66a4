"""What does a run tell others: a command at its end, a log, and its progress as JSON?"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kling_async.cli.logs import _Bare

TELLS = (
    f'"{sys.executable}" -c "import os, json; print(json.dumps({{name: value for name, value in '
    "os.environ.items() if name.startswith('KLING_BULK_')}))\" > told.json"
)
SMALL = ("--ledger", "a.sqlite", "--emulator", "--rate", "none")


@pytest.mark.parametrize(("faults", "code", "ending"), [
    ((), 0, ""),
    (("--faults", "avatars.create:status=400@times=1"), 1, ""),
    ((), 0, "; exit 3"),
])  # fmt: skip
def test_a_command_hears_how_the_run_ended(
    invoke: Callable[..., Any],
    url_csv: Callable[..., Path],
    faults: tuple[str, ...],
    code: int,
    ending: str,
) -> None:
    done = invoke("bulk", "run", url_csv(3), *SMALL, *faults, "--on-done", TELLS + ending)
    assert done.exit_code == code, done.stderr
    told = json.loads(Path("told.json").read_text())
    assert Path(told.pop("KLING_BULK_LEDGER")) == Path("a.sqlite").absolute()
    assert {name.removeprefix("KLING_BULK_"): int(value) for name, value in told.items()} == {
        "EXIT_CODE": code, "TOTAL": 3, "CREATED": 3 - code, "FAILED": code, "UNKNOWN": 0,
        "SKIPPED": 0, "SAVED": 0,
    }  # fmt: skip
    assert ("--on-done ended with exit code 3; the run itself ends with 0" in done.stderr) == bool(
        ending
    )


def test_rows_that_were_left_out_count_in_its_exit_code(invoke: Callable[..., Any]) -> None:
    Path("in.csv").write_text("image_url\nhttps://example.com/1.png\nftp://example.com\n")
    done = invoke("bulk", "run", "in.csv", *SMALL, "--skip-bad", "--on-done", TELLS)
    assert done.exit_code == 1
    assert json.loads(Path("told.json").read_text())["KLING_BULK_EXIT_CODE"] == "1"


def test_a_dry_run_tells_nobody(invoke: Callable[..., Any], url_csv: Callable[..., Path]) -> None:
    assert invoke("bulk", "run", url_csv(1), *SMALL, "--dry-run", "--on-done", TELLS).exit_code == 0
    assert not Path("told.json").exists()


def test_progress_as_json_beside_a_report_for_people(
    invoke: Callable[..., Any], url_csv: Callable[..., Path]
) -> None:
    done = invoke("bulk", "run", url_csv(4), *SMALL, "--progress", "json")
    last = json.loads(done.stderr.splitlines()[-1])
    assert (last["type"], last["percent"], last["created"]) == ("progress", 100, 4)
    assert "4 of 4 rows created" in done.stdout


@pytest.mark.parametrize(("words", "env", "on_stderr", "in_file"), [
    ((), {}, False, None),
    (("-v",), {}, False, None),
    (("-vv",), {}, True, None),
    ((), {"KLING_LOG": "debug"}, True, None),
    (("--log-file", "run.log"), {}, False, False),
    (("--log-file", "run.log"), {"KLING_LOG": "DEBUG"}, False, True),
    (("--log-file", "run.log", "-vv"), {}, True, True),
])  # fmt: skip
def test_what_is_logged_where(
    invoke: Callable[..., Any],
    service: Any,
    words: tuple[str, ...],
    env: dict[str, str | None],
    on_stderr: bool,
    in_file: bool | None,
) -> None:
    logger = logging.getLogger("kling_async")
    before = logger.level, list(logger.handlers)
    done = invoke("accounts", "list", *words, env=env)
    assert done.exit_code == 0, done.stderr
    assert ("DEBUG kling_async" in done.stderr) == on_stderr
    assert Path("run.log").exists() == (in_file is not None)
    if in_file is not None:
        assert ("DEBUG kling_async" in Path("run.log").read_text()) == in_file
    assert (logger.level, logger.handlers) == before


@pytest.mark.parametrize(("words", "env", "said"), [
    (("--log-file", "nowhere/run.log"), {}, "--log-file nowhere/run.log can't be written"),
    (("--log-file", "in.csv"), {}, "in.csv can't be written: it holds something else than a log"),
    ((), {"KLING_LOG": "loud"}, "KLING_LOG='loud' is no level; use error, warning, info, debug"),
])  # fmt: skip
def test_a_log_that_can_not_be(
    invoke: Callable[..., Any], words: tuple[str, ...], env: dict[str, str | None], said: str
) -> None:
    Path("in.csv").write_text("key,image\n")
    done = invoke("accounts", "list", "--emulator", *words, env=env)
    assert (done.exit_code, said in done.stderr) == (2, True), done.stderr
    assert Path("in.csv").read_text() == "key,image\n"


def test_a_log_is_continued(invoke: Callable[..., Any]) -> None:
    for lines in (1, 2):
        invoke("accounts", "list", "--emulator", "-vv", "--log-file", "run.log")
        assert Path("run.log").read_text().count("DEBUG kling_async") >= lines


def test_no_line_of_a_log_has_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USEAPI_TOKEN", "user:an-odd-token")
    try:
        raise ValueError("an-odd-token of ada@example.com, user:12-abc")
    except ValueError:
        record = logging.LogRecord("x", 30, "f", 1, "%s", ("an-odd-token",), sys.exc_info())
    line = _Bare("%(message)s").format(record)
    assert "ValueError" in line
    assert not [one for one in ("odd", "ada@", "12-abc") if one in line]

"""What is logged of a command, and where? `-v`, `--log-file` and KLING_LOG; without secrets."""

from __future__ import annotations

import logging
import os
import queue
import re
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path

import click

from ..integrations.hidden import without_secrets
from ..models.redactor import Redactor
from .streams import echo

VARIABLE = "KLING_LOG"
LEVELS = {"error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO,
          "debug": logging.DEBUG}  # fmt: skip
LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def start_log(verbose: int, file: Path | None) -> None:
    """Log from now on, until the command ends; where nothing is asked for, Python's own way stays.

    Args:
        verbose: 1: what is done; 2 and more: each attempt, and what httpx says.
        file: where to append; stderr then gets warnings only, but for `verbose`.

    Raises:
        click.UsageError: the file can't be written, or KLING_LOG names no level.
    """
    named = os.environ.get(VARIABLE, "").strip().lower()
    if named and named not in LEVELS:
        raise click.UsageError(f"{VARIABLE}={named!r} is no level; use {', '.join(LEVELS)}")
    if not verbose and file is None and not named:
        return
    asked = {0: LEVELS.get(named or "info", logging.INFO), 1: logging.INFO}
    level = asked.get(verbose, logging.DEBUG)
    handlers: list[logging.Handler] = [_Terminal()]
    handlers[0].setLevel(level if verbose or file is None else max(level, logging.WARNING))
    context = click.get_current_context()
    if file is not None:
        handlers.append(_in_background(file, context))
        handlers[1].setLevel(level)
    loggers = [logging.getLogger("kling_async")]
    if level == logging.DEBUG:
        loggers.append(logging.getLogger("httpx"))
    for logger in loggers:
        before = logger.level
        logger.setLevel(level)
        context.call_on_close(lambda logger=logger, before=before: logger.setLevel(before))
        for handler in handlers:
            logger.addHandler(handler)
            context.call_on_close(
                lambda logger=logger, handler=handler: logger.removeHandler(handler)
            )


def _in_background(file: Path, context: click.Context) -> logging.Handler:
    """Hands records to a thread that writes them: a slow disk does not hold the run up."""
    try:
        if file.is_file() and not _is_log(file):
            raise OSError(0, "it holds something else than a log, which would be spoiled")
        written = logging.FileHandler(file, encoding="utf-8", errors="backslashreplace")
    except OSError as exc:
        why = exc.strerror or exc
        raise click.UsageError(f"--log-file {file} can't be written: {why}") from None
    written.setFormatter(_Bare(LINE))
    waiting: queue.SimpleQueue[object] = queue.SimpleQueue()
    listener = QueueListener(waiting, written)
    listener.start()
    context.call_on_close(written.close)
    context.call_on_close(listener.stop)  # the last that is said is done first
    return QueueHandler(waiting)


def _is_log(file: Path) -> bool:
    """Whether it is empty, or begins as `LINE` does: the input or the ledger may be named."""
    with file.open("rb") as opened:
        head = opened.read(11)
    return not head or re.fullmatch(rb"\d{4}-\d\d-\d\d ", head) is not None


class _Terminal(logging.Handler):
    """Writes to what stderr is now: a live bar takes it over and lets lines stand above it."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(_Bare(LINE))

    def emit(self, record: logging.LogRecord) -> None:
        echo(self.format(record), err=True)


class _Bare(logging.Formatter):
    """Lines without e-mails and tokens, those in tracebacks too."""

    def __init__(self, line: str) -> None:
        super().__init__(line)
        token = os.environ.get("USEAPI_TOKEN", "")
        self._redactor = Redactor((token, token.removeprefix("user:")))

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(self._redactor.text(super().format(record)))

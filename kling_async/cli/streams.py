"""How is something printed? Safe for any terminal, and so that no trouble with it ends a run."""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from contextlib import suppress
from typing import Any, TextIO

import click

from ..models.text import json_shown, printable

ESCAPED = "kling_async.escaped"


def echo(text: str, *, err: bool = False, result: bool = False) -> None:
    r"""Print a text for people.

    Args:
        text: may hold what comes from outside; control characters are shown as `\x1b`.
        err: on stderr.
        result: it is what the command was called for, so the exit code tells if it got lost.
    """
    lower = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if result and isinstance(lower, Lasting):
        lower.has_results = True
    click.echo(printable(text), err=err)


def echo_raw(text: str) -> None:
    """Print a text of ours alone as it stands: a script for a shell, or one with colours."""
    click.echo(text)


def echo_json(value: Any, *, err: bool = False, indent: int | None = None) -> None:
    """Print a value as JSON, on stdout as a result."""
    echo(json_shown(value, indent), err=err, result=not err)


def is_read(*, err: bool = False) -> bool:
    """Whether a line can be printed at once, so that a reader who is slow holds up no server."""
    try:
        return bool(select.select([], [sys.stderr if err else sys.stdout], [], 0)[1])
    except (OSError, ValueError):  # a stream that is no file; or Windows, which asks sockets alone
        return True


class Lasting(io.RawIOBase):
    """A stream that takes everything; what can't be written is lost.

    Args:
        raw: what it writes to; None where there is none.
    """

    def __init__(self, raw: io.RawIOBase | None) -> None:
        self._raw = raw
        self.lost: str = ""
        """Why something did not arrive; empty where all did, or where the reader had enough."""
        self.has_results = False

    def writable(self) -> bool:
        """Always."""
        return True

    def isatty(self) -> bool:
        """As the stream below."""
        return self._raw is not None and self._raw.isatty()

    def fileno(self) -> int:
        """As the stream below."""
        if self._raw is None:
            raise io.UnsupportedOperation("fileno")
        return self._raw.fileno()

    def write(self, data: Any) -> int:
        """All of it or a part, as far as the caller sees."""
        try:
            if self._raw is None:
                raise OSError(errno.EBADF, "it is closed")
            while (written := self._raw.write(data)) is None:  # somebody made it non-blocking
                select.select([], [self._raw], [])
            return written
        except BrokenPipeError:
            pass  # as `| head` does: nothing is missing for anybody
        except OSError as exc:
            self.lost = exc.strerror or str(exc)
        return memoryview(data).nbytes


def install() -> Lasting:
    """Put such streams in the place of stdout and stderr; stdout's lower end."""
    codecs.register_error(ESCAPED, _escaped)
    # Where 1 or 2 is free, a ledger or a connection would get it, and be printed into.
    while (fd := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(fd)
    sys.stderr, _ = _lasting(sys.stderr)
    sys.stdout, lower = _lasting(sys.stdout)
    return lower


def leave(code: Any, stdout: Lasting) -> None:
    """Exit with the command's code, or 1 where its results are lost, which is said."""
    with suppress(ValueError):  # closed meanwhile
        sys.stdout.flush()
    if stdout.lost and stdout.has_results:
        echo(f"kling-async: what was printed is lost (stdout: {stdout.lost})", err=True)
        code = code or 1
    sys.exit(code)


def _lasting(stream: TextIO | None) -> tuple[TextIO, Lasting]:
    buffer = getattr(stream, "buffer", None)
    lower = Lasting(getattr(buffer, "raw", buffer))
    encoding = getattr(stream, "encoding", None) or "utf-8"
    upper = io.BufferedWriter(lower)
    return io.TextIOWrapper(upper, encoding=encoding, errors=ESCAPED, line_buffering=True), lower


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """What a stream's encoding lacks, as JSON writes it: so JSON stays JSON."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = zip(units[::2], units[1::2], strict=True)
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in pairs), error.end

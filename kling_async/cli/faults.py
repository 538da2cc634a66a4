"""How does the user get to see every fault of an input? As a table in a file, and as JSON lines."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import click

from ..bulk.cells import harmless
from ..bulk.preflight import Checked
from ..bulk.problems import EqualProblems, InputError, InputProblem
from ..errors import LedgerError
from .streams import echo, echo_json

COLUMNS: Sequence[str] = ("line", "key", "column", "value", "fault", "remedy")


class FaultTable:
    """The file of `--faults-to`, and the lines of `--json`.

    The file is written beside its place, and moved there at the end, so that it is never half
    there. It has its header alone where there is no fault.

    Args:
        to: the CSV file; None: none is wanted.
        as_json: say each fault on stdout, too.
        apart_from: files that it must not replace.
    """

    def __init__(self, to: Path | None, *, as_json: bool, apart_from: Sequence[Path]) -> None:
        self._to = to
        self._as_json = as_json
        self._file: TextIO | None = None
        if to is not None:
            _check(to, apart_from)

    def __enter__(self) -> FaultTable:
        if self._to is not None:
            with self._written():
                # The byte order mark tells Excel that it is UTF-8.
                self._file = self._beside.open("w", encoding="utf-8-sig", newline="")
            self._write(dict(zip(COLUMNS, COLUMNS, strict=True)))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._file is None or self._to is None:
            return
        with self._written():
            self._file.close()
            if kind is None or issubclass(kind, InputError):
                self._beside.replace(self._to)
            else:
                self._beside.unlink(missing_ok=True)

    def add(self, problem: InputProblem) -> None:
        """One more."""
        said = problem.as_json()
        if self._file is not None:
            self._write(said)
        if self._as_json:
            echo_json({"type": "fault", **said})

    def _write(self, said: Mapping[str, Any]) -> None:
        assert self._file is not None
        with self._written():
            cells = {n: harmless(one) if isinstance(one, str) else one for n, one in said.items()}
            # The end of a line is the usual \r\n: up to Python 3.12 a lone \r is quoted only then.
            csv.DictWriter(self._file, COLUMNS).writerow(cells)

    @property
    def _beside(self) -> Path:
        assert self._to is not None
        return self._to.with_name(f".{self._to.name}.part")

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            self._beside.unlink(missing_ok=True)
            raise LedgerError(f"can't write {self._to}: {exc.strerror or exc}") from None


def _check(to: Path, apart_from: Sequence[Path]) -> None:
    if to.suffix.lower() != ".csv":
        raise click.UsageError(f"--faults-to writes a CSV: end {to.name} with .csv")
    if not to.parent.is_dir():
        raise click.UsageError(f"--faults-to {to}: its folder does not exist")
    if not to.exists():
        return
    if any(one.exists() and one.samefile(to) for one in apart_from):
        raise click.UsageError(f"--faults-to {to} would replace a file that the job needs")
    try:
        with to.open("rb") as file:  # an input may be large
            ours = file.read(200).decode("utf-8-sig", "replace").startswith(",".join(COLUMNS))
    except OSError as exc:
        raise click.UsageError(f"--faults-to {to} can't be read: {exc.strerror}") from None
    if not ours:
        raise click.UsageError(f"{to} exists and is no table of faults; name another file")


def say_left_out(checked: Checked, bad: int, *, as_json: bool) -> None:
    """What is left out by `--skip-bad`, before the others go on."""
    if not bad:
        return
    if as_json:
        say_groups(checked.faults, checked.all_rows, bad)
        return
    for line in checked.fault_lines:
        echo(line, err=True)
    echo(left_out(bad), err=True)


def say_groups(groups: Sequence[EqualProblems], rows: int, bad: int) -> None:
    """The kinds of faults, as one JSON object."""
    said: dict[str, Any] = {"type": "faults", "rows": rows, "bad": bad}
    said["groups"] = [one.as_json() for one in groups]
    echo_json(said)


def left_out(bad: int) -> str:
    """`17 rows have faults and are left out`."""
    return f"{bad} rows have faults and are left out." if bad > 1 else _ONE


_ONE = "1 row has faults and is left out."

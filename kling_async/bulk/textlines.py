"""How is an input file read line by line, and what if it is no text? Used by `inputs.py` alone."""

from __future__ import annotations

import codecs
from pathlib import Path

from .located import InputError, Located, StrPath

RECORD_CHARS = 1024 * 1024
"""The longest row that is read: far beyond any real one, so that a broken file stays small here."""


class Lines:
    """The lines of a file, counted; what keeps them from being read becomes an InputError."""

    def __init__(self, path: StrPath) -> None:
        self.path = Path(path)
        self.number = 0
        """Of the line that was handed out last, from 1."""
        self._record_line = 1
        self._record_chars = 0
        try:
            # newline="" keeps the line ends inside quoted cells as they are.
            self._text = self.path.open(encoding="utf-8-sig", newline="")
        except OSError as exc:
            raise self.fault(None, f"can't be read: {exc.strerror or exc}") from None

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        self._text.close()

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        try:
            line = self._text.readline(RECORD_CHARS + 1)
        except UnicodeDecodeError:
            raise InputError([_not_utf8(self.path)]) from None
        except OSError as exc:
            raise self.fault(None, f"can't be read: {exc.strerror or exc}") from None
        if not line:
            raise StopIteration
        self.number += 1
        self._record_chars += len(line)
        if self._record_chars > RECORD_CHARS:
            raise self.fault(
                self._record_line,
                f"a row has more than {RECORD_CHARS} characters; perhaps a quote is opened and "
                "never closed, or this is another kind of file",
            )
        if "\0" in line:  # csv refuses it in Python 3.10 and takes it later; no field may hold it
            raise self.fault(self.number, "has a NUL character: it is damaged, or not UTF-8 text")
        return line

    def begin_record(self) -> int:
        """The number of the line on which the next record begins."""
        self._record_chars = 0
        self._record_line = self.number + 1
        return self._record_line

    def fault(self, line: int | None, text: str) -> InputError:
        """What is wrong with the file as a whole, and where that showed."""
        return InputError([Located(str(self.path), line, None, text)])


def _not_utf8(path: Path) -> Located:
    """Where the first byte is that is not UTF-8. Reads the file again, so only after a failure."""
    offset, line, held = 0, 1, b""
    save = "save it as UTF-8 (Excel: CSV UTF-8)"
    with path.open("rb") as file:
        while True:
            chunk = file.read(64 * 1024)
            data = held + chunk
            if offset == 0 and data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                return Located(str(path), None, None, f"is UTF-16; {save}")
            try:
                used = codecs.utf_8_decode(data, "strict", not chunk)[1]
            except UnicodeDecodeError as exc:
                line += _line_ends(data[: exc.start])
                at = f"byte 0x{data[exc.start]:02x} at offset {offset + exc.start}"
                return Located(str(path), line, None, f"is not UTF-8: {at}; {save}")
            if not chunk:  # it was mended under our hands
                return Located(str(path), None, None, f"is not UTF-8, or is being written; {save}")
            used -= data[:used].endswith(b"\r")  # its \n may begin the next chunk
            line += _line_ends(data[:used])
            offset, held = offset + used, data[used:]


def _line_ends(data: bytes) -> int:
    return data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")

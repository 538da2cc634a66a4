"""How do pictures in folders become an input? A table with a row for each, to be filled in."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from glob import glob, has_magic
from pathlib import Path
from typing import Any

from attrs import define, field

from ..errors import ConfigurationError
from .recipes import AVATARS
from .workbooks import Workbook

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".gif", ".bmp", ".tif", ".tiff")
"""What is taken for a picture by its name; whether the API takes it is said by a dry run."""
COLUMNS: Sequence[str] = ("key", "image", "nickname", "prompt", "text", "speaker_id")


@define
class Pictures:
    """What was found."""

    files: list[Path] = field(factory=list)
    others: int = 0
    """Files that are no pictures."""


def pictures(named: Iterable[str]) -> Pictures:
    """The pictures of folders (with those inside), patterns and files, each once, in order of name.

    Raises:
        ConfigurationError: there is nothing of such a name.
    """
    found = Pictures()
    seen = set[Path]()
    for name in named:
        matched = 0
        for file in _files(name):
            matched += 1
            real = file.resolve()
            if file.suffix.lower() not in PICTURES:
                found.others += 1
            elif real not in seen:
                seen.add(real)
                found.files.append(file)
        if not matched:
            raise ConfigurationError(f"there is no file at {name}; name a folder or a pattern")
    return found


def _files(name: str) -> Iterator[Path]:
    path = Path(name)
    if path.is_dir():
        for folder, folders, files in os.walk(path):
            folders[:] = sorted(one for one in folders if not one.startswith("."))
            yield from (Path(folder, one) for one in sorted(files) if not one.startswith("."))
    elif path.is_file():
        yield path
    elif has_magic(name):
        found = sorted(glob(name, recursive=True))  # noqa: PTH207 - absolute patterns, too
        yield from (Path(one) for one in found if Path(one).is_file())


def rows_of(files: Iterable[Path], folder: Path) -> Iterator[dict[str, Any]]:
    """A row for each picture: a key that no other has, its path from `folder`, a name from it."""
    used = set[str]()
    for file in files:
        stem = file.stem.strip() or file.name
        key, number = stem, 1
        while key.casefold() in used:  # names of files may differ in their case alone
            number += 1
            key = f"{stem}-{number}"
        used.add(key.casefold())
        yield {
            "key": key,
            "image": os.path.relpath(file.absolute(), folder.absolute()),
            "nickname": _nickname(stem),
        }


def _nickname(stem: str) -> str:
    """`ada_lovelace-2` is `ada lovelace 2`, cut where the API takes no more."""
    name = re.sub(r"[\s_\-.]+", " ", stem).strip()
    for most in range(len(name), 0, -1):
        if AVATARS.problem_of("nickname", name[:most]) is None:
            return name[:most].strip()
    return ""


def write_template(to: Path, rows: Iterable[dict[str, Any]], *, workbook: bool) -> int:
    """How many rows were written to `to`, a file of ours: a CSV or an Excel workbook."""
    written = 0
    if workbook:
        book = Workbook(to, COLUMNS)
        for row in rows:
            book.write(row)
            written += 1
        book.close()
        return written
    with to.open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        for row in rows:
            table.writerow(row)
            written += 1
    return written

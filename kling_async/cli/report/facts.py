"""What does the page say of a row? Its name, state, picture, files, error, and all the rest."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

from attrs import field, frozen

from ...bulk.flat import SHOWN, first_error, is_avatar
from ...bulk.records import Row, Step, WorkRecord
from ...models.text import printable

STATES: Mapping[str, str] = {
    "done": "done",
    "failed": "failed",
    "unknown": "unknown",
    "running": "running",
    "skipped": "to do",
}
"""A row's state -> what the page calls it."""
_NAMES = ("nickname", "name", "prompt", "text")
_TEXTS = ("prompt", "scene", "text", "negative_prompt")
_PICTURES = ("image", "frame", "photo", "picture")


@frozen
class Link:
    """A file or an address that the page leads to."""

    address: str
    text: str
    is_video: bool = False


@frozen(kw_only=True)
class ShownRow:
    """A row as the page shows it; all of it is text from outside, but `state`."""

    position: int
    key: str
    name: str
    state: str
    error: str | None
    picture_file: Path | None = None
    picture_url: str | None = None
    results: tuple[Link, ...] = ()
    missing: tuple[str, ...] = ()
    """Files that were made and are not where the ledger says."""
    texts: tuple[str, ...] = ()
    details: tuple[tuple[str, str], ...] = field(default=())

    @property
    def label(self) -> str:
        """The state in a word for people."""
        return STATES[self.state]

    @property
    def initials(self) -> str:
        """Stands in place of a picture."""
        return "".join(word[:1] for word in self.name.split()[:2]).upper() or "?"


def shown_row(row: Row, folder: Path) -> ShownRow:
    """The row as a page in `folder` shows it. Looks whether files are there."""
    results, missing = [], []
    for work in (work for step in row.steps for work in step.works):
        if work.file is not None and work.size_bytes is not None:
            if not Path(work.file).is_file():
                missing.append(printable(work.file))
                continue
            results.append(_link(address_of(Path(work.file), folder), Path(work.file).name, work))
        elif (url := web_address(work.url)) is not None:
            results.append(_link(url, "at Kling", work))
    file, url = _picture(row)
    error = first_error(row)
    return ShownRow(
        position=row.position,
        key=printable(row.key),
        name=_name(row),
        state=SHOWN[row.state],
        error=None if error is None else printable(error),
        picture_file=file,
        picture_url=url,
        results=tuple(results),
        missing=tuple(missing),
        texts=tuple(
            printable(text)
            for step in row.steps
            for name in _TEXTS
            if isinstance(text := step.payload.get(name), str)
        ),
        details=tuple((printable(name), printable(value)) for name, value in _details(row)),
    )


def address_of(file: Path, folder: Path) -> str:
    """The address of a file for a page in `folder`: relative below it, so both can be moved."""
    if file.is_relative_to(folder):
        return "./" + quote(os.fsencode(file.relative_to(folder).as_posix()))
    return file.as_uri()


def web_address(url: object) -> str | None:
    """`url` where it is one that a page may lead to: the web's, and no script."""
    if not isinstance(url, str):
        return None
    try:
        return url if urlsplit(url).scheme in ("http", "https") else None
    except ValueError:
        return None


def _link(address: str, text: str, work: WorkRecord) -> Link:
    kind = work.content_type or ""
    is_video = kind.startswith("video/") or text.lower().endswith((".mp4", ".mov", ".webm"))
    return Link(address, printable(text), is_video)


def _picture(row: Row) -> tuple[Path | None, str | None]:
    """The first picture that went in: its file here where it is given, and its address."""
    for step in row.steps:
        for name in sorted(step.payload):
            if not name.startswith(_PICTURES):
                continue
            given = step.payload[name]
            uploaded = next(
                (one for field, one in step.addresses.items() if field.startswith(name)), None
            )
            if (url := web_address(given)) is not None:
                return None, url
            if isinstance(given, str):
                return Path(given), web_address(uploaded)
    for work in (work for step in row.steps for work in step.works):
        if (work.content_type or "").startswith("image/"):
            return None if work.file is None else Path(work.file), web_address(work.url)
    return None, None


def _name(row: Row) -> str:
    given = (step.payload.get(name) for name in _NAMES for step in row.steps)
    return printable(next((one for one in given if isinstance(one, str) and one.strip()), row.key))


def _details(row: Row) -> Iterator[tuple[str, str]]:
    for step in row.steps:
        of = "" if len(row.steps) == 1 else f" ({step.operation})"
        yield from ((f"{name}{of}", value) for name, value in _of_step(step, is_avatar(row)))
    for name, value in row.columns.items():
        if value not in (None, ""):
            yield name, str(value)


def _of_step(step: Step, of_avatar: bool) -> Iterator[tuple[str, str]]:
    if step.remote_id is not None:
        yield ("avatar" if of_avatar and step.number == 1 else step.kind), step.remote_id
    if step.account:
        yield "account", step.account
    if step.attempts > 1:
        yield "sent", f"{step.attempts} times"
    if step.evidence and step.evidence not in ("answer", "invalid"):
        yield "known by", step.evidence
    if step.candidates:
        yield "could be", ", ".join(step.candidates)

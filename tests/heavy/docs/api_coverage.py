"""Which operation of the API is where in this library? Writes `docs/api-coverage.md`.

Run `python tests/heavy/docs/api_coverage.py` after adding an operation; `test_api_coverage.py`
compares.
All of it is read from the code: the request types, the resources, the commands, the emulator's
table. Only what is not built yet, and commands of another name, are listed by hand.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
from attrs import frozen

from kling_async import AsyncKlingClient, Request
from kling_async.cli.app import cli
from kling_async.emulator.operations import OPERATIONS as EMULATED
from kling_async.models.operations import operations

PAGE = Path(__file__).parents[3] / "docs" / "api-coverage.md"

# The 45 operations of the vendor's Postman collection of 2026-07-20, by part, in its order, and the
# four that its pages have since October 2026.
API: dict[str, tuple[str, ...]] = {
    "accounts": ("GET /accounts", "GET /accounts/{email}", "POST /accounts",
                 "DELETE /accounts/{email}"),
    "assets": ("POST /assets/", "GET /assets", "GET /assets/download", "GET /assets/uploaded/",
               "DELETE /assets/uploaded/"),
    "avatars": ("GET /avatars", "POST /avatars", "POST /avatars/video",
                "DELETE /avatars/{avatarId}"),
    "tts": ("GET /tts/voices", "POST /tts/create"),
    "tasks": ("GET /tasks", "GET /tasks/{task_id}", "DELETE /tasks/{task_id}"),
    "scheduler": ("GET /scheduler", "GET /scheduler/available", "DELETE /scheduler/{task_id}"),
    "elements": ("GET /elements", "GET /elements/tags", "GET /elements/voices",
                 "GET /elements/{elementId}", "POST /elements", "DELETE /elements/{elementId}"),
    "videos": ("GET /videos/effects", "POST /videos/text2video",
               "POST /videos/image2video-frames", "POST /videos/image2video-elements",
               "POST /videos/image2video-effects", "POST /videos/extend", "POST /videos/lipsync",
               "GET /videos/motions", "POST /videos/motion-create", "POST /videos/motion-upload",
               "POST /videos/add-sound", "POST /videos/omni", "GET /videos/voices",
               "POST /videos/voices", "DELETE /videos/voices"),
    "images": ("POST /images/virtual-try-on", "POST /images/kolors",
               "POST /images/kolors-elements", "POST /images/recognize-faces",
               "POST /images/upscale", "POST /images/omni", "POST /images/enhance"),
}  # fmt: skip

# Commands whose name is not that of the method.
COMMANDS = {
    "assets.uploaded": "assets list",
    "assets.delete_uploaded": "assets delete",
    "assets.download_link": "assets link",
}
MISSING = "later"


@frozen
class Row:
    """One operation, and where it is; None where it is not (yet)."""

    operation: str
    request: type[Request[Any]] | None = None
    method: str | None = None
    command: str | None = None
    emulated: bool = False

    def line(self) -> str:
        """The row of the table."""
        if self.request is None:
            return f"| `{self.operation}` | {MISSING} | | | | |"
        method = f"`kling.{self.method}`" if self.method else MISSING
        command = f"`{self.command}`" if self.command else MISSING
        cells = [
            f"`{self.operation}`",
            method,
            f"`{self.request.__name__}`",
            self.request.safety.value,
            command,
            "yes" if self.emulated else MISSING,
        ]
        return f"| {' | '.join(cells)} |"


def requests() -> dict[str, type[Request[Any]]]:
    """Every request type of the library by its verb and route."""
    return {f"{cls.method} {cls.route}": cls for cls in operations().values()}


def rows() -> list[Row]:
    """All operations, in the API's order."""
    known, emulated = requests(), {_shape(one.method, one.path) for one in EMULATED}
    found = []
    for part in API.values():
        for operation in part:
            request = known.get(operation)
            if request is None:
                found.append(Row(operation))
                continue
            found.append(
                Row(
                    operation,
                    request,
                    _method(request.operation),
                    _command(COMMANDS.get(request.operation, _words(request.operation))),
                    _shape(request.method, "/v1/kling" + request.route) in emulated,
                )
            )
    return found


def page() -> str:
    """The whole page."""
    found = rows()
    there = sum(one.request is not None for one in found)
    lines = [
        "# Which operations of the API are there?",
        "",
        f"{there} of the {len(found)} operations of the vendor's pages of November 2026; the",
        f"{len(found) - there} that say *{MISSING}* are not built yet.",
        "The table is made from the code by `tests/heavy/docs/api_coverage.py`; do not edit it.",
        "",
        "*Sent again* says what happens when an answer is lost: `read` and `repeatable` are sent",
        "again by themselves, `paid` never is (see [lost answers](lost-answers.md)).",
    ]
    for part, named in API.items():
        lines += ["", f"## {part}", ""]
        lines.append("| operation | method | request | sent again | command | emulator |")
        lines.append("| --- | --- | --- | --- | --- | --- |")
        lines += [one.line() for one in found if one.operation in named]
    lines += [
        "",
        "What is not here yet can be sent by a request type of your own: derive it from",
        "`TaskRequest` (or `Request`) of `kling_async.models`, as those in `kling_async/models/`",
        "are, and `await kling.send(...)` it. Its fields are checked, its files go up, and a lost",
        "answer is looked for, as with those of the table.",
    ]
    return "\n".join(lines) + "\n"


def _method(operation: str) -> str | None:
    """`tasks.get` where the client has it."""
    part, _, name = operation.partition(".")
    resource = getattr(AsyncKlingClient("user:1-a", transport="httpx"), part, None)
    return operation if callable(getattr(resource, name, None)) else None


def _command(words: str) -> str | None:
    """The words where the command line has such a command."""
    found: Any = cli
    for word in words.split():
        found = found.commands.get(word) if isinstance(found, click.Group) else None
    return None if found is None else words


def _words(operation: str) -> str:
    return operation.replace(".", " ").replace("_", "-")


def _shape(method: str, path: str) -> str:
    return method + " " + re.sub(r"\{\w+\}", "{}", path.rstrip("/"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

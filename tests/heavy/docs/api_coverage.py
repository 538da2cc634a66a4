"""Which operation of the API is where in this library? Writes `docs/api-coverage.md`.

Run `python tests/heavy/docs/api_coverage.py` after adding an operation; `test_api_coverage.py`
compares.
All of it is read from the code: the request types, the resources, the commands, the emulator's
table. Only commands of another name are listed by hand.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from kling_async import AsyncKlingClient, Request
from kling_async.cli.app import cli
from kling_async.emulator.operations import OPERATIONS as EMULATED
from kling_async.models.operations import operations

PAGE = Path(__file__).parents[3] / "docs" / "api-coverage.md"
VENDOR = "https://useapi.net/docs/api-kling-v1/"

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


def requests() -> dict[str, type[Request[Any]]]:
    """Every request type of the library by its verb and route."""
    return {f"{cls.method} {cls.route}": cls for cls in operations().values()}


def line(operation: str, request: type[Request[Any]]) -> str:
    """The row of the table."""
    cells = (
        f"[`{operation}`]({vendors_page(operation)})",
        f"`kling.{request.operation}`",
        f"`{request.__name__}`",
        request.safety.value,
        f"`{command(request)}`",
    )
    return f"| {' | '.join(cells)} |"


def vendors_page(operation: str) -> str:
    """`DELETE /tasks/{task_id}` is explained at `del-kling-tasks-task_id`."""
    verb, path = operation.lower().replace("delete", "del").split(" ")[0], operation.split(" ")[1]
    return f"{VENDOR}{verb}-kling{re.sub('[{}]', '', path).rstrip('/').replace('/', '-')}"


def command(request: type[Request[Any]]) -> str:
    """What it is on the command line."""
    of_method = request.operation.replace(".", " ").replace("_", "-")
    return COMMANDS.get(request.operation, of_method)


def page() -> str:
    """The whole page."""
    known = requests()
    lines = [
        "# Operations of the API",
        "",
        f"All {len(known)} operations of the vendor's pages of November 2026: each is a method, a",
        "command, a request type, and an operation of the emulator. The links lead to those pages.",
        "",
        "*Sent again* says what happens when an answer is lost: `read` and `repeatable` are sent",
        "again by themselves, `paid` never is (see [lost answers](lost-answers.md)).",
    ]
    for part, named in API.items():
        lines += ["", f"## {part}", ""]
        lines.append("| operation | method | request | sent again | command |")
        lines.append("| --- | --- | --- | --- | --- |")
        lines += [line(one, known[one]) for one in named]
    lines += [
        "",
        "What the API has and this table has not can be sent by a request type of your own: derive",
        "it from `TaskRequest` (or `Request`) of `kling_async.models`, as those in",
        "`kling_async/models/` are, and `await kling.send(...)` it. Its fields are checked, its",
        "files go up, and a lost answer is looked for, as with those of the table.",
    ]
    return "\n".join(lines) + "\n"


def methods_missing() -> set[str]:
    """Operations that the client has not as a method."""
    kling = AsyncKlingClient("user:1-a", transport="httpx")
    return {one for one in operations() if not callable(_attribute(kling, one))}


def commands_missing() -> set[str]:
    """Commands of the table that the command line has not."""
    return {one for one in map(command, requests().values()) if not _is_command(one)}


def not_emulated() -> set[str]:
    """Operations that the emulator has not."""
    emulated = {_shape(one.method, one.path) for one in EMULATED}
    wanted = {_shape(one.method, "/v1/kling" + one.route) for one in requests().values()}
    return wanted - emulated


def _attribute(kling: AsyncKlingClient, operation: str) -> object:
    part, _, name = operation.partition(".")
    return getattr(getattr(kling, part, None), name, None)


def _is_command(words: str) -> bool:
    found: Any = cli
    for word in words.split():
        found = found.commands.get(word) if isinstance(found, click.Group) else None
    return found is not None


def _shape(method: str, path: str) -> str:
    return method + " " + re.sub(r"\{\w+\}", "{}", path.rstrip("/"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

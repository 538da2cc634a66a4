"""Has each public docstring an example, and does it run as it stands there?

An example finds what it names: a client `kling` on an emulator, all public names, files to upload,
and things that were made before (`task`, `avatar`, ...), so that no example has to make them again.
"""

from __future__ import annotations

import ast
import asyncio
import doctest
import inspect
import io
import json
import logging
from collections.abc import Iterator
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from attrs import frozen
from fastapi import FastAPI, UploadFile
from jobs import JumpClock

import kling_async
from kling_async import AsyncKlingClient, KlingClient, Model, Request, RetryPolicy
from kling_async import emulator as emulator_room
from kling_async import models as models_room
from kling_async.emulator import Emulator, Fault, sample_png
from kling_async.emulator.mp4 import video
from kling_async.emulator.sounds import mp3
from kling_async.models.operations import operations

TOKEN, BASE_URL = "user:4711-examples", "http://127.0.0.1/v1/kling"
PORTRAIT = Path(__file__).parents[3] / "docs" / "examples" / "portraits" / "ada.jpg"
GIVEN = {
    *("AccountStats", "BulkResult", "BulkRow", "CallContext", "Download", "Meta", "Received"),
    *(f"emulator.{name}" for name in ("Avatar", "Call", "EmulatorTransport", "Speech", "Task")),
    *(f"emulator.{name}" for name in ("TaskInput", "Upload", "Webhook", "Work")),
    *(f"emulator.Emulator.{name}" for name in ("media", "receive", "refusal", "restore_state")),
    *("emulator.EmulatorClock.resume", "emulator.Fault.concerns"),
}
"""What a user gets and never makes; the example is where it is given. And what others call."""


def public() -> Iterator[tuple[str, Any]]:
    """What a user may call, by its name: classes, functions and methods."""
    rooms = {"": kling_async, "models.": models_room, "emulator.": emulator_room}
    for prefix, room in rooms.items():
        for name in set(room.__all__) - {"__version__"}:
            found = getattr(room, name)
            if prefix and found is getattr(kling_async, name, None):
                continue
            yield prefix + name, found
            is_request = inspect.isclass(found) and issubclass(found, Request)
            if inspect.isclass(found) and not (is_request or getattr(found, "_is_protocol", False)):
                yield from ((f"{prefix}{name}.{own}", one) for own, one in methods(found))
    for name in ("accounts", "assets", "avatars", "bulk", "elements", "images", "scheduler",
                 "tasks", "tts", "videos"):  # fmt: skip
        for client in (AsyncKlingClient, KlingClient):
            resource = resource_of(client, name)
            for own, one in methods(resource):
                yield f"{client.__name__}.{name}.{own}", one
    for name in ("fastapi", "aiohttp", "logs"):
        room = import_module(f"kling_async.integrations.{name}")
        for own, one in vars(room).items():
            if not own.startswith("_") and getattr(one, "__module__", "") == room.__name__:
                yield f"integrations.{name}.{own}", one


def resource_of(client: type, name: str) -> type:
    if client is KlingClient:
        return getattr(import_module("kling_async.sync.resources"), name.title())
    return getattr(import_module(f"kling_async.resources.{name}"), name.title())


def methods(cls: type) -> Iterator[tuple[str, Any]]:
    for name in vars(cls):
        found = getattr(cls, name)
        if not name.startswith("_") and inspect.isfunction(found) and found.__doc__:
            yield name, found


def examples_of(thing: Any) -> list[doctest.Example]:
    own = inspect.isroutine(thing) or "__doc__" in getattr(thing, "__dict__", ())
    return doctest.DocTestParser().get_examples(inspect.getdoc(thing) or "" if own else "")


PUBLIC = dict(sorted(public()))
WITH_EXAMPLE = {name: one for name, one in PUBLIC.items() if examples_of(one)}


def is_shown_elsewhere(name: str, thing: Any) -> bool:
    """Whether its example stands where a user meets it."""
    within, _, last = name.rpartition(".")
    if name in GIVEN or within in GIVEN or last == "convert":
        return True
    if inspect.isfunction(thing):
        return any(f".{last}(" in one.source for one in examples_of(PUBLIC.get(within)))
    if not inspect.isclass(thing):
        return False
    if issubclass(thing, Model):  # the method that gives it
        return True
    if issubclass(thing, Request):  # its method
        return any(
            f"AsyncKlingClient.{operation}" in WITH_EXAMPLE
            for operation, request in operations().items()
            if request is thing
        )
    # An error that adds nothing to the one it is a kind of.
    return issubclass(thing, Exception) and not any(one[0] != "_" for one in vars(thing))


def test_all_that_is_public_has_an_example() -> None:
    lacking = [
        name
        for name, one in PUBLIC.items()
        if name not in WITH_EXAMPLE and not is_shown_elsewhere(name, one)
    ]
    assert not lacking
    assert len(WITH_EXAMPLE) > 200


class Stage(dict[str, Any]):
    """What an example finds."""

    def __init__(self, room: str) -> None:
        rooms = [kling_async, models_room, import_module("kling_async.models.fields")]
        rooms += [import_module("kling_async.models.media"), import_module("kling_async.errors")]
        if room.startswith("emulator"):
            rooms.append(emulator_room)
        elif room.startswith("integrations."):
            rooms.append(import_module(f"kling_async.{room.rpartition('.')[0]}"))
        super().__init__(Emulator=Emulator, Fault=Fault)
        for one in rooms:
            self.update((name, getattr(one, name)) for name in dir(one) if name[0] != "_")
        self.update(
            asyncio=asyncio, json=json, logging=logging, httpx=httpx, web=web, FastAPI=FastAPI
        )
        self.update(frozen=frozen, AsyncKlingClient=self.client, KlingClient=self.waiting_client)
        self.emulator = self["emulator"] = Emulator()
        self.clock = JumpClock(self.emulator)

    def client(self, *args: Any, **given: Any) -> AsyncKlingClient:
        return AsyncKlingClient(*args, **self._options(args, given))

    def waiting_client(self, *args: Any, **given: Any) -> KlingClient:
        return KlingClient(*args, **self._options(args, given))

    def _options(self, args: tuple[Any, ...], given: dict[str, Any]) -> dict[str, Any]:
        if args or "base_url" in given:  # it says itself where it goes
            return given if args else {"token": TOKEN, **given}
        ours = {"base_url": BASE_URL, "transport": self.emulator.transport(), "clock": self.clock}
        return {"token": TOKEN, "accounts": ["demo@example.com"], **ours, **given}

    async def prepare(self, source: str) -> None:
        """Make what the example names and does not make itself."""
        named = {one.id for one in ast.walk(ast.parse(source)) if isinstance(one, ast.Name)}
        async with self.client() as kling:
            if "voice" in named:
                self["voice"] = (await kling.tts.voices())[0]
            if "avatar" in named:
                self["avatar"] = await kling.avatars.create(image="ada.jpg", nickname="Ada")
            if "task" in named or "kling.tasks.iter" in source:
                task = await kling.videos.text2video(prompt="A kite")
                self["task"] = await kling.tasks.wait(task)
            if "slow" in named:
                self["slow"] = await kling.videos.text2video(prompt="A kite")
            if "picture" in named:
                task = await kling.images.kolors(prompt="A kite")
                self["picture"] = await kling.tasks.wait(task)
            if "element" in named:
                self["element"] = await kling.elements.create(name="Sailor", cover_image="ada.jpg")
            if "kling.assets.uploaded" in source:
                await kling.assets.upload("ada.jpg")
            if "avatars.sqlite" in source and "create_many" not in source:
                self.emulator.add_faults([Fault("avatars.create", "reset_before", at=1)])
                lost = kling.with_options(retry=RetryPolicy(reconcile_within_s=0))
                rows = [{"key": "ada", "image": "ada.jpg"}]
                many = lost.avatars.create_many(rows, ledger="avatars.sqlite")
                assert [one.state async for one in many] == ["unknown"]
        self["upload"] = UploadFile(io.BytesIO(PORTRAIT.read_bytes()), filename="ada.jpg")
        self["part"] = web.FileField(
            "image", "ada.jpg", io.BufferedReader(io.BytesIO(PORTRAIT.read_bytes())),  # type: ignore[arg-type]
            "image/jpeg", None,  # type: ignore[arg-type]
        )  # fmt: skip


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ada.jpg").write_bytes(PORTRAIT.read_bytes())
    Path("dress.png").write_bytes(sample_png(2))
    Path("hello.mp3").write_bytes(mp3("hello", 10_000))
    Path("dance.mp4").write_bytes(video("dance", 640, 640, 10_000))
    monkeypatch.setattr(logging.root, "handlers", [])


async def shown(example: doctest.Example, stage: Stage) -> str:
    """What a person would see; SystemError where it raises what it does not announce."""
    code = compile(example.source, "<example>", "single", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    said = io.StringIO()
    with redirect_stdout(said):
        try:
            result = eval(code, stage)
            if code.co_flags & inspect.CO_COROUTINE:
                await result
        except Exception as exc:
            if example.exc_msg is None:
                raise
            return f"{type(exc).__module__}.{type(exc).__qualname__}: {exc}\n"
    return said.getvalue()


def check(example: doctest.Example, said: str) -> None:
    wanted = example.want if example.exc_msg is None else example.exc_msg
    matches = doctest.OutputChecker().check_output(wanted, said, doctest.ELLIPSIS)
    assert matches, f"{example.source}is to show {wanted!r}, and shows {said!r}"


WAITING = {name for name in WITH_EXAMPLE if name.startswith("KlingClient")}


@pytest.mark.parametrize("name", sorted(set(WITH_EXAMPLE) - WAITING))
async def test_an_example_runs(name: str) -> None:
    stage, examples = Stage(name), examples_of(WITH_EXAMPLE[name])
    await stage.prepare("".join(one.source for one in examples))
    async with stage.client() as kling:
        stage["kling"] = kling
        for one in examples:
            check(one, await shown(one, stage))


@pytest.mark.parametrize("name", sorted(WAITING))
def test_an_example_runs_without_await(name: str) -> None:
    stage, examples = Stage(name), examples_of(WITH_EXAMPLE[name])
    asyncio.run(stage.prepare("".join(one.source for one in examples)))
    with stage.waiting_client() as kling:
        stage["kling"] = kling
        for one in examples:
            running = shown(one, stage)
            with pytest.raises(StopIteration) as done:  # it awaits nothing
                running.send(None)
            check(one, done.value.value)

"""Where exactly does the process die? Points between two steps of a row, set from outside.

`arm(name, passes)` wraps what writes the ledger's events (see `engine.py`) and the wire's exchange,
in this process only; at the given pass of the named point the process sends itself SIGKILL. Nothing
in the package knows of it.

    EVENT:before         the event is about to be written
    EVENT:before-commit  it is written, its transaction is not committed
    EVENT:committed      it is on disk, and nobody has been told
    create:unsent        the intent is on disk, no byte has left
    create:sent          bytes have left, no answer has come
    ROUTE:replied        the answer is there, nothing has been done about it
    ledger:begun         the ledger's file is there, its tables are not
    file:placed          a video is in its place, and nobody has been told

The names that begin with "video." are those of a video's events and calls.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

from engine import BEGUN, COMMIT, EVENTS, VIDEO_EVENTS, Place

from kling_async._files.part_file import PartFile
from kling_async._transport.progress import Progress
from kling_async._transport.protocol import Outgoing
from kling_async._transport.wire import Wire

ROUTES = {
    "create": ("POST", "/avatars"),
    "upload": ("POST", "/assets"),
    "list": ("GET", "/avatars"),
    "video.create": ("POST", "/avatars/video"),
    "video.speech": ("POST", "/tts/create"),
    "video.look": ("GET", "/tasks"),
    "video.link": ("GET", "/assets/download"),
}
MOMENTS = ("before", "before-commit", "committed")
NAMES = (
    *(f"{event}:{when}" for event in EVENTS for when in MOMENTS),
    "create:unsent",
    "create:sent",
    *(f"{route}:replied" for route in ROUTES if not route.startswith("video.")),
    "ledger:begun",
)
VIDEO_NAMES = (
    *(f"video.{event}:{when}" for event in VIDEO_EVENTS for when in MOMENTS),
    "video.create:unsent",
    "video.create:sent",
    *(f"{route}:replied" for route in ROUTES if route.startswith("video.")),
    "file:placed",
)


def arm(name: str, passes: int) -> None:
    """Die at that pass of that point."""
    thing, _, when = name.partition(":")
    strike = _counted(passes)
    if thing in EVENTS:
        _arm_event(EVENTS[thing], when, strike)
    elif thing.removeprefix("video.") in VIDEO_EVENTS:
        _arm_event(VIDEO_EVENTS[thing.removeprefix("video.")], when, strike)
    elif thing == "file":
        _arm_placing(strike)
    elif thing == "ledger":
        setattr(BEGUN.owner, BEGUN.method, lambda *_, **__: strike())
    else:
        _arm_wire(ROUTES[thing], when, strike)


def _counted(passes: int) -> Callable[[], None]:
    left = passes

    def strike() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return strike


def _arm_placing(strike: Callable[[], None]) -> None:
    original = PartFile.place

    def wrapped(part: PartFile, *args: Any, **named: Any) -> Any:
        result = original(part, *args, **named)
        strike()
        return result

    PartFile.place = wrapped  # type: ignore[method-assign]


def _arm_event(place: Place, when: str, strike: Callable[[], None]) -> None:
    original, commit = getattr(place.owner, place.method), getattr(COMMIT.owner, COMMIT.method)
    uncommitted = 0

    def wrapped(ledger: Any, *args: Any, **named: Any) -> Any:
        nonlocal uncommitted
        meant = place.concerns(ledger, *args, **named)
        if meant and when == "before":
            strike()
        result = original(ledger, *args, **named)
        if meant and when == "before-commit":
            strike()
        uncommitted += meant
        return result

    def committed(ledger: Any, *args: Any, **named: Any) -> Any:
        nonlocal uncommitted
        results = commit(ledger, *args, **named)
        for _ in range(uncommitted):
            strike()
        uncommitted = 0
        return results

    setattr(place.owner, place.method, wrapped)
    if when == "committed":
        setattr(COMMIT.owner, COMMIT.method, committed)


def _arm_wire(route: tuple[str, str], when: str, strike: Callable[[], None]) -> None:
    original = Wire.exchange
    method, path = route

    async def wrapped(
        wire: Wire, out: Outgoing, timeout: Any = None, progress: Progress | None = None
    ) -> Any:
        here = out.path.startswith(path) and (path != "/avatars" or "video" not in out.path)
        if out.method != method or not here:
            return await original(wire, out, timeout, progress)
        if when == "unsent":
            strike()
        progress = Progress() if progress is None else progress
        task = asyncio.create_task(original(wire, out, timeout, progress))
        if when == "sent":
            while not (progress.began or task.done()):
                await asyncio.sleep(0)
            await asyncio.sleep(0.005)  # the server has read it by now, and is at work
            strike()
        answer = await task
        if when == "replied":
            strike()
        return answer

    Wire.exchange = wrapped  # type: ignore[method-assign]

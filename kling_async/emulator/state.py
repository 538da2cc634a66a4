"""How does a world become a JSON text, and a text that world again?

The text has what exists and the clock; calls, faults and callbacks still due are not in it. Files
are named in it by their SHA-256, and kept beside it; see `statefile.py`.
"""

from __future__ import annotations

import json
import math
import time
from typing import Any, Literal

from attrs import frozen
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from .clock import EmulatorClock
from .ids import Ids
from .tasks import Task
from .world import Avatar, Element, EmulatedAccount, SavedVoice, Speech, Upload, World


@frozen(kw_only=True)
class _Saved:
    """The text's members; whoever changes what they mean counts `version` up."""

    format: Literal["kling-async emulator"]
    version: Literal[1]
    saved_at_s: float
    now_ms: float
    elapsed_s: float
    skew_s: float
    seed: int
    made: dict[str, int]
    given: list[str]
    accounts: list[EmulatedAccount]
    avatars: list[Avatar]
    deleted_avatars: list[Avatar]
    elements: list[Element]
    deleted_elements: list[Element]
    uploads: list[Upload]
    speeches: list[Speech]
    saved_voices: list[SavedVoice]
    tasks: list[Task]
    portraits: dict[str, str]
    downloads: dict[str, list[tuple[int, str]]]


def dumped(world: World, clock: EmulatorClock) -> dict[str, Any]:
    """The world as of now, ready for JSON; no password is in it."""
    saved = _Saved(
        format="kling-async emulator",
        version=1,
        saved_at_s=time.time(),
        now_ms=clock.now_ms() - clock.skew_s * 1000,
        elapsed_s=clock.monotonic(),
        skew_s=clock.skew_s,
        seed=world.ids.seed,
        made=dict(world.ids.made),
        given=sorted(world.ids.given),
        accounts=list(world.accounts.values()),
        avatars=list(world.avatars.values()),
        deleted_avatars=world.deleted_avatars,
        elements=list(world.elements.values()),
        deleted_elements=world.deleted_elements,
        uploads=list(world.uploads.values()),
        speeches=list(world.speeches.values()),
        saved_voices=list(world.saved_voices.values()),
        tasks=list(world.tasks.values()),
        portraits=world.portraits,
        downloads={
            name: [(work.id, file_type) for work, file_type in members]
            for name, members in world.downloads.items()
        },
    )
    shown: dict[str, Any] = _converter(clock).unstructure(saved)
    return shown


def restored(text: bytes, clock: EmulatorClock, keep_media_bytes: int) -> World:
    """The world of a text, without its files; the clock goes on as if it had run meanwhile.

    Raises:
        ValueError: says why the text can't be used; the clock has not been touched.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # of what is no UTF-8 as well
        raise ValueError("it is no JSON, or damaged") from None
    if not isinstance(value, dict) or value.get("format") != "kling-async emulator":
        raise ValueError("it was not written by this emulator")
    if value.get("version") != 1:
        raise ValueError(f"it is of version {value.get('version')!r}, and this emulator reads 1")
    try:
        saved = _converter(clock).structure(value, _Saved)
        world = World(
            {one.email: one for one in saved.accounts},
            Ids(saved.seed, saved.made, saved.given),
            keep_media_bytes,
        )
        world.avatars = {one.id: one for one in saved.avatars}
        world.deleted_avatars = saved.deleted_avatars
        world.elements = {one.id: one for one in saved.elements}
        world.deleted_elements = saved.deleted_elements
        world.uploads = {one.name: one for one in saved.uploads}
        world.speeches = {one.name: one for one in saved.speeches}
        world.saved_voices = {one.id: one for one in saved.saved_voices}
        world.portraits = saved.portraits
        for task in saved.tasks:
            world.start(task)
        for name, members in saved.downloads.items():
            world.downloads[name] = tuple((world.works[id_], type_) for id_, type_ in members)
    except Exception as exc:  # cattrs has errors of many types for what does not fit
        raise ValueError(f"it is damaged ({type(exc).__name__}: {exc})") from None
    away_s = max(0.0, time.time() - saved.saved_at_s)
    clock.resume(saved.now_ms + away_s * 1000, saved.elapsed_s + away_s)
    clock.skew_s = saved.skew_s
    return world


def _converter(clock: EmulatorClock) -> Converter:
    """Between JSON and classes. A task's clock is this one; a job that hangs takes "inf" s."""
    found = Converter(forbid_extra_keys=True, detailed_validation=False)
    found.register_unstructure_hook(float, lambda it: it if math.isfinite(it) else str(it))
    found.register_structure_hook(EmulatorClock, lambda _, __: clock)
    found.register_structure_hook_func(lambda it: it is object, lambda value, _: value)
    omit = override(omit=True)
    account = make_dict_unstructure_fn(EmulatedAccount, found, password=omit)
    found.register_unstructure_hook(EmulatedAccount, account)
    found.register_unstructure_hook(Task, make_dict_unstructure_fn(Task, found, clock=omit))
    task = make_dict_structure_fn(Task, found, _cattrs_forbid_extra_keys=True)
    found.register_structure_hook(Task, lambda value, _: task({**value, "clock": None}, Task))
    return found

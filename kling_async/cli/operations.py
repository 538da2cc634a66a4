"""How does a request class become a command? Its fields are options, their help its docstring.

Fields of the route are arguments. What an option takes follows from the field's check; whether a
value is allowed, the request says, and names all faults at once. `special.py` has the commands that
do more than one call, or hide something.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from inspect import cleandoc
from pathlib import Path
from typing import Any

import click
from attrs import Attribute, fields

from ..client import AsyncKlingClient
from ..models.assets import ListGenerated, ListUploads, UploadAsset
from ..models.avatars import CreateAvatar, DeleteAvatar, ListAvatars
from ..models.checks import Boolean, Check, Integer, ListOf, Number, OneOf, Url
from ..models.elements import (
    CreateElement,
    DeleteElement,
    GetElement,
    ListElements,
    ListElementTags,
    ListElementVoices,
)
from ..models.fields import PartOf
from ..models.images import (
    EnhanceImage,
    Kolors,
    KolorsElements,
    OmniImage,
    RecognizeFaces,
    UpscaleImage,
    VirtualTryOn,
)
from ..models.omni import OmniVideo
from ..models.requests import Request
from ..models.scheduler import GetAvailable, ListRunning
from ..models.tasks import DeleteTask, GetTask
from ..models.tts import ListVoices
from ..models.video_edits import (
    AddSound,
    CreateMotion,
    EffectVideo,
    ExtendVideo,
    Lipsync,
    ListEffects,
    ListMotions,
    UploadMotion,
)
from ..models.video_voices import CreateVideoVoice, DeleteVideoVoice, ListVideoVoices
from ..models.videos import CreateAvatarVideo, ElementsToVideo, FramesToVideo, Text2Video
from ..resources.base import Resource
from .output import answer, email_option, say, show
from .session import with_session


def json_object(value: str) -> dict[str, Any]:
    """A JSON object, for what has fields of its own."""
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise click.BadParameter(f'{value!r} is no JSON object, as {{"name": "value"}}')
    return found


_extra_option = click.option(
    "--extra",
    type=json_object,
    metavar="JSON",
    help="Fields newer than this program.",
)


def command_of(
    request: type[Request[Any]],
    name: str,
    *,
    arguments: Collection[str] = (),
    shown: Callable[[Any], None] = show,
) -> click.Command:
    """The command that sends a request of this type, and prints its result.

    Args:
        request: the type.
        name: of the command.
        arguments: fields that are arguments, besides those of the route.
        shown: prints the result.
    """

    def call(session: Any, **given: Any) -> None:
        said = {key: value for key, value in given.items() if value not in (None, ())}

        async def sent(kling: AsyncKlingClient) -> Any:
            built = await Resource(kling._pipeline, kling._options)._built(request, **said)
            for name, text in built.cautions().items():
                say(f"Note: {name} {text}. It is sent as it is.")
            return await kling.send(built)

        answer(session, sent, shown)

    helps = field_helps(request)
    own = [one for one in fields(request) if one.name not in ("email", "extra")]
    own.sort(key=lambda one: one.inherited)
    call.__doc__ = re.split(r"\n\n(?:Args|Examples):", cleandoc(request.__doc__ or ""))[0]
    wrapped = with_session(call)
    wrapped = _extra_option(wrapped)
    if request.email_in in ("query", "body"):
        wrapped = email_option(wrapped)
    for one in reversed(own):
        is_argument = one.name in arguments or one.metadata.get("place") == "path"
        declared = click.argument(one.name, type=_type(one)) if is_argument else _option(one, helps)
        wrapped = declared(wrapped)
    return click.command(name, short_help=_first_sentence(call.__doc__))(wrapped)


def field_helps(request: type[Request[Any]]) -> dict[str, str]:
    """What the docstrings of a request type, and of those it derives from, say of each field.

    Fields that it names are named as options.
    """
    found: dict[str, str] = {}
    for cls in reversed(request.__mro__):
        block = cleandoc(cls.__doc__ or "").partition("\nArgs:\n")[2].partition("\n\n")[0]
        for entry in re.split(r"\n(?=    \w+: )", "\n" + block)[1:]:
            name, _, text = entry.strip().partition(": ")
            found[name] = " ".join(text.split())
    options = {f"`{one.name}`": _option_name(one) for one in fields(request)}
    named = re.compile("|".join(map(re.escape, options)))
    return {
        name: named.sub(lambda match: options[match.group()], text) for name, text in found.items()
    }


def _option(one: Attribute[Any], helps: dict[str, str]) -> Callable[[Any], Any]:
    check, name = one.metadata["check"], _option_name(one)
    text = helps.get(one.name, "")
    if not isinstance(check, OneOf):  # else it may begin with a value
        text = text[:1].upper() + text[1:]
    if isinstance(check, Boolean):
        negative = f"--no-{name.removeprefix('--')}"
        return click.option(f"{name}/{negative}", one.name, default=one.default, help=text)
    return click.option(
        name,
        one.name,
        type=_type(one),
        metavar=_metavar(one.name, check),
        multiple=isinstance(check, ListOf),
        required=one.metadata.get("required", False),
        help=text,
    )


def _option_name(one: Attribute[Any]) -> str:
    check = one.metadata.get("check")
    name = check.what.lower() if isinstance(check, ListOf) else one.name.removesuffix("_s")
    return "--" + name.replace("_", "-").replace(" ", "-")


def _type(one: Attribute[Any]) -> Any:
    check: Check = one.metadata["check"]
    if one.metadata.get("file"):
        return click.Path(path_type=Path)
    if isinstance(check, ListOf):
        check = check.check
    if isinstance(check, OneOf) and not check.open:
        return click.Choice(list(check.names))
    if isinstance(check, Integer) and check.of == ():
        return int
    if isinstance(check, PartOf):
        return json_object
    return float if isinstance(check, Number) else str


def _metavar(name: str, check: Check) -> str | None:
    if isinstance(check, Integer):
        return "SECONDS" if name.endswith("_s") else "N"
    if name.endswith("_id"):
        return "ID"
    if isinstance(check, ListOf) and isinstance(check.check, PartOf):
        return "JSON"
    return "URL" if isinstance(check, Url) else None


def _first_sentence(text: str | None) -> str:
    return re.split(r"(?<=\w)[.:] |\.$", " ".join((text or "").split()), maxsplit=1)[0] + "."


def _voices(found: Any) -> None:
    show(list(found))


COMMANDS: dict[str, tuple[click.Command, ...]] = {
    "avatars": (
        command_of(CreateAvatar, "create"),
        command_of(CreateAvatarVideo, "video"),
        command_of(ListAvatars, "list"),
        command_of(DeleteAvatar, "delete"),
    ),
    "tasks": (command_of(GetTask, "get"), command_of(DeleteTask, "delete")),
    "scheduler": (command_of(ListRunning, "running"), command_of(GetAvailable, "available")),
    "assets": (
        command_of(UploadAsset, "upload", arguments=("file",)),
        command_of(ListUploads, "list"),
        command_of(ListGenerated, "generated"),
    ),
    "tts": (command_of(ListVoices, "voices", shown=_voices),),
    "videos": (
        command_of(Text2Video, "text2video"),
        command_of(FramesToVideo, "image2video-frames"),
        command_of(ElementsToVideo, "image2video-elements"),
        command_of(EffectVideo, "image2video-effects"),
        command_of(ListEffects, "effects"),
        command_of(OmniVideo, "omni"),
        command_of(ExtendVideo, "extend", arguments=("task_id",)),
        command_of(Lipsync, "lipsync"),
        command_of(AddSound, "add-sound"),
        command_of(CreateMotion, "motion-create"),
        command_of(UploadMotion, "motion-upload"),
        command_of(ListMotions, "motions"),
        command_of(ListVideoVoices, "voices", shown=_voices),
        command_of(CreateVideoVoice, "create-voice"),
        command_of(DeleteVideoVoice, "delete-voice", arguments=("voice_id",)),
    ),
    "images": (
        command_of(VirtualTryOn, "virtual-try-on"),
        command_of(Kolors, "kolors"),
        command_of(KolorsElements, "kolors-elements"),
        command_of(RecognizeFaces, "recognize-faces"),
        command_of(UpscaleImage, "upscale"),
        command_of(OmniImage, "omni"),
        command_of(EnhanceImage, "enhance"),
    ),
    "elements": (
        command_of(CreateElement, "create"),
        command_of(ListElements, "list"),
        command_of(ListElementTags, "tags"),
        command_of(ListElementVoices, "voices"),
        command_of(GetElement, "get"),
        command_of(DeleteElement, "delete"),
    ),
}
"""The commands of each part, made of its request types."""

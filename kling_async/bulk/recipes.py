"""What does a row consist of? A recipe says which steps it has, and what each takes from where.

A recipe is data: nothing in it names SQL, files or the network. The columns of an input, the checks
before a run, each step's digest and the export follow from it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from attrs import field, fields, frozen

from ..errors import JSON, ConfigurationError, LedgerError
from ..models.avatars import CreateAvatar
from ..models.requests import Request, Safety, file_fields
from ..models.videos import CreateAvatarVideo
from .requesttypes import Kind, field_defaults, field_kinds

SPOKEN_FIRST_CHARS = 150
"""The only length of a text that is documented for speech that is rendered on its own."""

Given = Literal["remote_id", "work_url", "work_id"]
"""What a step leaves for later ones: the id of what it made, its first work's address or id."""

ROW_COLUMNS = ("key", "account", "email")
"""Columns of every input: the row's name, and its account under both of its names."""
_SEVERAL = ("list", "files")
NO_COLUMNS = frozenset({"email", "extra", "reply_ref"})
"""Fields that no column of a step holds: the account is the row's, further fields come in an
object, and the mark is the ledger's own."""


@frozen(kw_only=True)
class Taken:
    """What a field takes from an earlier step.

    Args:
        what: of what that step leaves.
        step: its number; default: the step before.
    """

    what: Given
    step: int | None = None


@frozen(kw_only=True)
class SpeechFirst:
    """A short text is rendered to speech before the step is sent: an address of this step alone.

    Args:
        text: the field that holds the text.
        voice: fields that say how it is spoken; the speech has the same names for them.
        into: the field that gets the speech's address, in place of text and voice.
        most_chars: longer texts go out as they are.
        flag: a field that asks for it, too, and means nothing once it is done.
    """

    text: str = "text"
    voice: Collection[str] = ("speaker_id", "speed", "emotion")
    into: str = "audio_url"
    most_chars: int = SPOKEN_FIRST_CHARS
    flag: str = "render_speech"


@frozen(kw_only=True)
class StepSpec:
    """One paid request of a row, and where its fields come from.

    Args:
        request: its type.
        thing: what it makes, with its article, for messages; default: the operation's name.
        kind: what it makes, as listings tell it from other things: "avatar", "task", ...
        columns: column -> field. Default: each field has a column of its own name.
        defaults: field -> column that it is taken from where its own column says nothing.
        defaults_with: the defaults count only where this field is given.
        missing: field -> what to say where neither it nor its default is given, and it is needed.
        takes: field -> what an earlier step gave.
        optional: columns of which exactly one asks for this step; none: it is not made. Empty: it
            always is.
        needs: columns of which a row must have exactly one, each with what it holds: a file first,
            then an address in its place. Empty: the request's own check says what is needed.
        given_by: the column that names a result that exists already, so that none is made.
        saves: its works become files.
        label: what the names of its files have behind the row's key.
        shares_tokens: an own token of an earlier step proves this one, too.
        speech: which text is rendered to speech first.
    """

    request: type[Request[Any]]
    thing: str = ""
    kind: str = ""
    columns: Mapping[str, str] = field(factory=dict)
    defaults: Mapping[str, str] = field(factory=dict)
    defaults_with: str | None = None
    missing: Mapping[str, str] = field(factory=dict)
    takes: Mapping[str, Taken] = field(factory=dict)
    optional: Collection[str] = ()
    needs: Mapping[str, str] = field(factory=dict)
    given_by: str | None = None
    saves: bool = False
    label: str = ""
    shares_tokens: bool = False
    speech: SpeechFirst | None = None
    attachments: Mapping[str, str] = field(init=False, eq=False, repr=False)
    """Field that holds a file -> the field that its address goes into."""
    own_fields: Mapping[str, Any] = field(init=False, eq=False, repr=False)
    """All fields of the request -> their defaults."""

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "attachments", dict(file_fields(self.request)))
        object.__setattr__(self, "own_fields", field_defaults(self.request))
        if not self.columns:
            file_of = {into: name for name, into in self.attachments.items()}
            own = dict[str, str]()
            for name in self.own_fields:
                if name not in NO_COLUMNS and name not in self.takes:
                    file = file_of.get(name, name)  # a file stands before its address
                    own.update({file: file, name: name})
            object.__setattr__(self, "columns", own)
        if not self.thing:
            object.__setattr__(self, "thing", self.operation)
        if not self.kind:
            part, evidence = self.operation.partition(".")[0], self.request.evidence
            object.__setattr__(self, "kind", part[:-1] if evidence is None else evidence.kind)

    @property
    def operation(self) -> str:
        """The operation's name in this library, `avatars.create`."""
        return self.request.operation

    @property
    def noun(self) -> str:
        """What it makes, without an article."""
        return self.thing.partition(" ")[2] or self.thing

    @property
    def required(self) -> tuple[str, ...]:
        """The columns without which the step can't be sent."""
        needed = (one.name for one in fields(self.request) if one.metadata.get("required"))
        return tuple(self.column_of(name) for name in needed if name not in self.takes)

    def replaced_by(self, into: str) -> set[str]:
        """The fields for which an address in the field `into` stands, once it was made."""
        names = {name for name, target in self.attachments.items() if target == into}
        if self.speech is not None and self.speech.into == into:
            names |= {self.speech.text, *self.speech.voice, self.speech.flag}
        return names

    def typed(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """The values with the tuples that JSON has as lists."""
        if list not in map(type, values.values()):
            return values
        kinds = field_kinds(self.request)
        return {
            name: tuple(one) if isinstance(one, list) and kinds.get(name) in _SEVERAL else one
            for name, one in values.items()
        }

    def as_field(self, name: str, value: JSON) -> JSON:
        """One value, as the field of this name holds it: a list of one where it holds several."""
        return [value] if field_kinds(self.request)[name] in _SEVERAL else value

    def column_of(self, field_name: str) -> str:
        """The column that a field is taken from; the field's own name where there is none."""
        return next((c for c, f in self.columns.items() if f == field_name), field_name)


@frozen(kw_only=True)
class Recipe:
    """The steps of a row, in their order.

    Args:
        steps: one or more.
        made: how many of them a run carries out; default: all. Rows may say more than is made of
            them now, so that a later run over the same rows makes the rest.
    """

    steps: tuple[StepSpec, ...]
    made: int = -1
    columns: tuple[str, ...] = field(init=False, eq=False, repr=False)
    """All columns that an input may have, but for those of the user's own."""
    fields: frozenset[str] = field(init=False, eq=False, repr=False)
    """What a mapping of a row's fields may hold, beside its key."""

    def __attrs_post_init__(self) -> None:
        if self.made < 0:
            object.__setattr__(self, "made", len(self.steps))
        columns = self._columns()
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "fields", frozenset(columns) - {"key", "account"} | {"extra"})

    @property
    def is_chain(self) -> bool:
        """Whether columns name their step, `videos.add_sound.prompt`."""
        return any("." in column for column in self.steps[0].columns)

    def step(self, number: int) -> StepSpec:
        """The step of this number, from 1.

        Raises:
            LedgerError: a ledger has one, and nothing asks for it.
        """
        if number > len(self.steps):
            raise LedgerError(
                f"the ledger has a step {number} of a row, and {self.steps[0].operation} is of "
                f"{len(self.steps)}: it was edited, or damaged. Put back a copy of it"
            )
        return self.steps[number - 1]

    def _columns(self) -> tuple[str, ...]:
        names = dict.fromkeys(["key"])
        for spec in self.steps:
            own = list(spec.columns)
            if spec.given_by is not None:
                own.insert(_behind_files(spec), spec.given_by)
            names.update(dict.fromkeys(own))
            names.update(dict.fromkeys(ROW_COLUMNS))
        return tuple(names)

    def problem_of(self, column: str, value: Any) -> str | None:
        """What the field of a column says is wrong with a value; None: nothing."""
        for spec in self.steps:
            if column in spec.columns:
                of_field = getattr(fields(spec.request), spec.columns[column])
                check = of_field.metadata.get("check")
                return None if check is None else check(value)
        return None

    def kind_of(self, column: str) -> Kind:
        """What a column holds; "text" where it belongs to no field."""
        for spec in self.steps:
            if column in spec.columns:
                return field_kinds(spec.request)[spec.columns[column]]
        return "text"


def _behind_files(spec: StepSpec) -> int:
    """Where the column of a given result stands: behind the files and addresses that make one."""
    of_files = {name for pair in spec.attachments.items() for name in pair}
    last = [at for at, one in enumerate(spec.columns.values(), start=1) if one in of_files]
    return last[-1] if last else 0


_SPEECH = {CreateAvatarVideo.operation: SpeechFirst()}


def recipe_of(request: type[Request[Any]], *, saves: bool = False) -> Recipe:
    """The recipe of rows that are one request each.

    Args:
        request: its type; an operation that makes something that may be paid for.
        saves: whether works become files, where it is a job that has any.

    Raises:
        ConfigurationError: it makes nothing, so that there is nothing to keep a ledger of.
    """
    _must_make(request)
    step = StepSpec(
        request=request,
        saves=saves and request.starts_task,
        speech=_SPEECH.get(request.operation),
    )
    return Recipe(steps=(step,))


_TAKEN_FROM: Mapping[str, tuple[tuple[str, Given], ...]] = {
    "avatar": (("avatar_id", "remote_id"),),
    "image": (
        ("image_url", "work_url"), ("human_image_url", "work_url"), ("cover_image_url", "work_url"),
        ("images", "work_url"), ("subject_images", "work_url"),
    ),
    "video": (("video_url", "work_url"), ("motion_url", "work_url"), ("videos", "work_url")),
}  # fmt: skip
"""What the step before makes -> the field that takes it; the first one that the request has."""


def chain_of(requests: Sequence[type[Request[Any]]], *, saves: bool = False) -> Recipe:
    """The recipe of rows that go through several operations, each on what the one before made.

    Args:
        requests: their types, in order; each once, as columns begin with the operation's name.
        saves: whether works become files.

    Raises:
        ConfigurationError: one makes nothing, comes twice, or has no field for what the one before
            it makes.
    """
    if len(requests) == 1:
        return recipe_of(requests[0], saves=saves)
    names = [one.operation for one in requests]
    if twice := sorted({one for one in names if names.count(one) > 1}):
        raise ConfigurationError(
            f"{twice[0]} comes twice among the steps of a row; columns could not say which of the "
            "two they mean. Make the second one in a job of its own"
        )
    steps = list[StepSpec]()
    for number, request in enumerate(requests, start=1):
        _must_make(request)
        takes = {} if number == 1 else _takes(requests[number - 2], request)
        own = recipe_of(request).step(1)
        filled = {*takes, *(name for name, into in own.attachments.items() if into in takes)}
        step = StepSpec(
            request=request,
            columns={
                f"{request.operation}.{c}": f for c, f in own.columns.items() if f not in filled
            },
            takes=takes,
            saves=saves and request.starts_task,
            label="" if number == len(requests) else f"-step{number}",
            speech=own.speech,
        )
        steps.append(step)
    return Recipe(steps=tuple(steps))


def _takes(before: type[Request[Any]], request: type[Request[Any]]) -> dict[str, Taken]:
    """What `request` takes of what `before` made."""
    own = field_defaults(request)
    if before.starts_task and "task_id" in own:
        by_id: dict[str, Given] = {"task_id": "remote_id", "work_id": "work_id"}
        return {name: Taken(what=what) for name, what in by_id.items() if name in own}
    makes = "image" if before.operation.startswith("images.") else "video"
    if not before.starts_task:
        makes = before.operation.partition(".")[0][:-1]
    for name, what in _TAKEN_FROM.get(makes, ()):
        if name in own:
            return {name: Taken(what=what)}
    raise ConfigurationError(
        f"{request.operation} can't come after {before.operation}: none of its fields takes what "
        f"that makes ({makes})"
    )


def _must_make(request: type[Request[Any]]) -> None:
    if request.safety is not Safety.PAID:
        raise ConfigurationError(
            f"{request.operation} makes nothing that is paid for, so a bulk job has nothing to "
            "remember of it; call it row by row"
        )


_VIDEO_COLUMNS = {
    "text": "text",
    "audio": "audio",
    "audio_url": "audio_url",
    "speaker_id": "speaker_id",
    "speed": "speed",
    "emotion": "emotion",
    "video_prompt": "prompt",
    "mode": "mode",
}
TALKING = Recipe(
    steps=(
        StepSpec(
            request=CreateAvatar,
            thing="an avatar",
            needs={
                "image": "files",
                "image_url": "addresses",
                "avatar_id": "avatars that exist already",
            },
            given_by="avatar_id",
        ),
        StepSpec(
            request=CreateAvatarVideo,
            thing="a video",
            columns=_VIDEO_COLUMNS,
            defaults={"speaker_id": "tts_speaker", "speed": "tts_speed", "emotion": "tts_emotion"},
            defaults_with="text",
            missing={"speaker_id": "is needed with text (or tts_speaker, the avatar's own voice)"},
            takes={"avatar_id": Taken(what="remote_id")},
            optional=("text", "audio", "audio_url"),
            saves=True,
            shares_tokens=True,
            speech=SpeechFirst(),
        ),
    )
)
"""An avatar, and a video in which it talks for rows that have a text, audio or audio_url."""
AVATARS = Recipe(steps=TALKING.steps, made=1)
"""The same rows, of which only the avatars are made: their videos can be made by a later run."""

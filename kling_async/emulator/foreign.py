"""Who else is at work on the account? Somebody with the same pictures and texts of his own.

What others make is in `emulator.avatars` and `.tasks` like everything else, marked `foreign`; no
call of ours made it, so its `call_number` is 0. `ForeignWriter` makes one for each k-th create that
comes, whatever becomes of that create:

| option | default | means |
| --- | --- | --- |
| `every` | 1 | for each so-manieth create of an avatar or of a job |
| `when` | either | `before` it, `after` it, or `either`, drawn from the seed |
| `within_s` | 0.2 | at most so many seconds before or after, drawn from the seed |
| `texts` | other | `other` nickname, prompt and words than the create's, or `equal` ones |
| `voice` | equal | `equal` voice, speed and emotion, or `other` ones |
| `avatars`, `tasks` | yes | whether avatars are made, and whether jobs are begun |
| `tracked` | no | foreign jobs come through this token as well, so the scheduler lists them |

All the rest, pictures and sounds before all, is as in the create. A file that was uploaded for the
create is uploaded anew by others: they have an address of their own, but with `upload_by_content`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal, get_args
from urllib.parse import urlsplit

from attrs import evolve, field, frozen
from attrs.validators import ge, in_, instance_of

from .clock import EmulatorClock
from .operations.avatars import NICKNAMES, PROMPTS, listed_url, new_id
from .optiontext import read_options
from .records import IN_PROCESS_ORIGIN
from .tasks import Task, TaskInput, Work
from .views import Views
from .voices import SCENES, VOICES
from .world import Avatar, Upload, World

When = Literal["before", "after", "either"]
Likeness = Literal["other", "equal"]
_TYPES = {"avatars.video": "avatar_video"}
_NOT_TEXTS = ("email", "replyUrl", "replyRef", "maxJobs")


@frozen(kw_only=True)
class ForeignWriter:
    """Options of somebody else on the account; see the table.

    Raises:
        ValueError: a value that makes no sense.

    Examples:
        >>> busy = Emulator(foreign=ForeignWriter(every=3))
    """

    every: int = field(default=1, validator=[instance_of(int), ge(1)])
    when: When = field(default="either", validator=in_(get_args(When)))
    within_s: float = field(default=0.2, validator=ge(0))
    texts: Likeness = field(default="other", validator=in_(get_args(Likeness)))
    voice: Likeness = field(default="equal", validator=in_(get_args(Likeness)))
    avatars: bool = True
    tasks: bool = True
    tracked: bool = False

    @classmethod
    def parse(cls, text: str) -> ForeignWriter | None:
        """The options in a text, `every=3,when=after,texts=equal`; None for a blank one.

        Raises:
            ValueError: says which word makes no sense, and what is allowed.
        """
        return cls(**read_options(cls, text, called="foreign")) if text.strip() else None


class Foreign:
    """What others make on the accounts.

    Args:
        clock: whose time it is made by.
        views: how what is made shows.
        writer: makes something by itself for creates that come; None: nobody does.
    """

    def __init__(self, clock: EmulatorClock, views: Views, writer: ForeignWriter | None) -> None:
        self._clock = clock
        self._views = views
        self._writer = writer
        self._seen: Counter[str] = Counter()

    def forget(self) -> None:
        """Count creates from the first one again."""
        self._seen.clear()

    def sees(
        self, operation: str, fields: Mapping[str, object], account: str | None, world: World
    ) -> None:
        """A create has come; somebody else may make the like."""
        writer = self._writer
        if writer is None or account not in world.accounts:
            return
        is_avatar = operation == "avatars.create"
        if not (writer.avatars if is_avatar else writer.tasks):
            return
        self._seen["avatar" if is_avatar else "task"] += 1
        number = self._seen["avatar" if is_avatar else "task"]
        if number % writer.every:
            return
        key = f"{operation} {number}"
        later_s = world.ids.between("foreign", key, 0, writer.within_s)
        if writer.when == "before" or (
            writer.when == "either" and world.ids.choose("foreign when", key, (True, False))
        ):
            later_s = -later_s
        if is_avatar:
            self._another_avatar(fields, account, key, later_s, world)
        else:
            self._another_task(operation, fields, account, key, later_s, world)

    def avatar(
        self,
        world: World,
        account: str,
        image_url: str,
        *,
        nickname: str | None = None,
        prompt: str | None = None,
        scene: str | None = None,
        tts_speaker: str | None = None,
        tts_speed: float = 1.0,
        tts_emotion: str = "neutral",
        age_s: float = 0.0,
    ) -> Avatar:
        """Make an avatar; what is left out is chosen as for any other."""
        source = _source(image_url, world)
        seen = f"foreign {image_url}"
        made = Avatar(
            id=new_id(world),
            account=account,
            image_url=image_url,
            listed_url=listed_url(image_url, source, IN_PROCESS_ORIGIN, world, self._views),
            upload_name=source.name if source else None,
            nickname=nickname or world.ids.choose("nickname", seen, NICKNAMES),
            prompt=prompt or world.ids.choose("prompt", seen, PROMPTS),
            scene=scene or world.ids.choose("scene", seen, SCENES[1:]),
            tts_speaker=tts_speaker or world.ids.choose("voice", seen, VOICES).speaker_id,
            tts_speed=tts_speed,
            tts_emotion_key=tts_emotion,
            create_time_ms=self._time_ms(age_s),
            call_number=0,
            visible_from_s=self._clock.monotonic() - age_s + self._views.listing_lag_s,
            foreign=True,
        )
        world.avatars[made.id] = made
        return made

    def task(
        self,
        world: World,
        account: str,
        type_: str,
        inputs: Mapping[str, str],
        arguments: Mapping[str, str],
        *,
        reply_ref: str | None = None,
        age_s: float = 0.0,
        job_s: float = 2.0,
        tracked: bool = False,
        makes: Literal["video", "image"] = "video",
    ) -> Task:
        """Begin a job; it takes a slot of this token only if it is tracked."""
        number = int(world.ids.number("task", 12, prefix="29"))
        work = Work(
            id=int(world.ids.number("work", 12, prefix="31")),
            task_id=number,
            account=account,
            kind=makes,
            width=720,
            height=720,
            duration_ms=5000 if makes == "video" else 0,
        )
        task = Task(
            id=number,
            account=account,
            type=type_,
            inputs=tuple(TaskInput(name, url, url) for name, url in inputs.items()),
            arguments=dict(arguments),
            reply_url=None,
            reply_ref=reply_ref,
            credits=20,
            create_time_ms=self._time_ms(age_s),
            call_number=0,
            origin=IN_PROCESS_ORIGIN,
            started_s=self._clock.monotonic() - age_s,
            job_s=job_s,
            planned_works=(work,),
            foreign=True,
            tracked=tracked,
            clock=self._clock,
        )
        world.start(task)
        return task

    def _another_avatar(
        self, fields: Mapping[str, object], account: str, key: str, later_s: float, world: World
    ) -> None:
        image_url = fields.get("imageUrl")
        if not isinstance(image_url, str) or self._writer is None:
            return
        equal, heard = self._writer.texts == "equal", self._writer.voice == "equal"
        speaker = _text(fields, "ttsSpeaker")
        self.avatar(
            world,
            account,
            self._their_address(image_url, world),
            nickname=_text(fields, "nickname") if equal else f"Other {key[-12:]}",
            prompt=_text(fields, "prompt") if equal else f"Somebody else's, {key}",
            scene=_text(fields, "scene"),
            tts_speaker=speaker if heard else _other_voice(speaker),
            tts_speed=_number(fields, "ttsSpeed") if heard else 1.7,
            tts_emotion=_text(fields, "ttsEmotionKey") or "neutral" if heard else "surprised",
            age_s=-later_s,
        )

    def _another_task(
        self,
        operation: str,
        fields: Mapping[str, object],
        account: str,
        key: str,
        later_s: float,
        world: World,
    ) -> None:
        assert self._writer is not None
        texts = {
            name: value
            for name, value in fields.items()
            if isinstance(value, str) and name not in _NOT_TEXTS
        }
        inputs = {
            name: self._their_address(value, world)
            for name, value in texts.items()
            if _is_address(value)
        }
        avatar = world.avatars.get(texts.get("avatarId", ""))
        if avatar is not None:
            inputs["image"] = avatar.listed_url
        arguments = {name: value for name, value in texts.items() if name not in inputs}
        if self._writer.texts != "equal":
            changed = dict.fromkeys(("text", "prompt"), f"Somebody else's, {key}")
            arguments.update({name: text for name, text in changed.items() if name in arguments})
        if self._writer.voice == "other" and "speakerId" in arguments:
            arguments["speakerId"] = _other_voice(arguments["speakerId"])
        self.task(
            world,
            account,
            _TYPES.get(operation, operation),
            inputs,
            arguments,
            reply_ref=f"other {key}" if self._writer.tracked else None,
            age_s=-later_s,
            tracked=self._writer.tracked,
            makes="image" if operation.startswith("images.") else "video",
        )

    def _their_address(self, address: str, world: World) -> str:
        """Where a stranger's own upload of the same file is; other addresses are the same."""
        source = _source(address, world)
        if source is None or self._views.upload_by_content:
            return address
        name = world.ids.token("upload") + source.name[source.name.rfind(".") :]
        url = source.url.replace(source.name, name)
        theirs = evolve(source, id=new_id(world), name=name, url=url, call_number=0)
        world.uploads[name] = theirs
        return address.replace(source.name, name)

    def _time_ms(self, age_s: float) -> int:
        return self._clock.now_ms() + round((self._views.create_time_skew_s - age_s) * 1000)


def _source(image_url: str, world: World) -> Upload | None:
    path = urlsplit(image_url).path
    name = path.rpartition("/")[2]
    return world.uploads.get(name) if path == f"/media/{name}" else None


def _text(fields: Mapping[str, object], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) and value else None


def _other_voice(speaker_id: str | None) -> str:
    return next(voice.speaker_id for voice in VOICES if voice.speaker_id != speaker_id)


def _number(fields: Mapping[str, object], name: str) -> float:
    value = fields.get(name)
    try:
        return float(value) if isinstance(value, (int, float, str)) else 1.0
    except ValueError:
        return 1.0


def _is_address(value: str) -> bool:
    return value.startswith(("http://", "https://"))

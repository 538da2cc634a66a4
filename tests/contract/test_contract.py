"""Do the client and the emulator read one reference? Both tables are walked together.

The emulator was written from the reference alone, by somebody who had not read the client. What one
side has and the other lacks fails here by name; so does a value that one takes and the other does
not. Where they differ on purpose, `APART` says why.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from itertools import islice
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import picture_operations
import pytest
from attrs import Attribute, evolve, fields, frozen

from kling_async import (
    AddAccount,
    AddSound,
    AsyncKlingClient,
    BadRequestError,
    CreateAvatar,
    CreateAvatarVideo,
    CreateElement,
    CreateMotion,
    CreateSpeech,
    CreateVideoVoice,
    DeleteAvatar,
    DeleteTask,
    DeleteUploads,
    DeleteVideoVoice,
    EffectVideo,
    ElementsToVideo,
    ExtendVideo,
    ForgetTask,
    FramesToVideo,
    GetAccount,
    GetAvailable,
    GetDownload,
    GetTask,
    InvalidRequestError,
    Kolors,
    Lipsync,
    ListAccounts,
    ListAvatars,
    ListEffects,
    ListGenerated,
    ListMotions,
    ListRunning,
    ListTasks,
    ListUploads,
    ListVideoVoices,
    ListVoices,
    NotFoundError,
    OmniImage,
    OmniVideo,
    RemoveAccount,
    Request,
    RetryPolicy,
    Shot,
    Text2Video,
    UploadAsset,
    UploadMotion,
    UpscaleImage,
)
from kling_async._transport.protocol import encode
from kling_async.emulator import Emulator, sample_png
from kling_async.emulator.fields import Fields
from kling_async.emulator.messages import Request as Wire
from kling_async.emulator.operation import API_ROOT
from kling_async.emulator.operations import OPERATIONS as EMULATED
from kling_async.models import credits
from kling_async.models.checks import (
    Boolean,
    Check,
    Digits,
    Email,
    FileNamePart,
    Integer,
    ListOf,
    Number,
    OneOf,
    Text,
    Url,
)
from kling_async.models.fields import FileOrAddress, PartOf, wire_names
from kling_async.models.operations import operations
from kling_async.models.prices import HUNDREDTHS, PRICES, Price

ME = "demo@example.com"
TOKEN = "user:1-contract"
A_FILM = "https://x.y/a.mp4"
ELSEWHERE = "https://x.y/a.png"  # not uploaded, so taken for what it has to be


@frozen
class World:
    """What a fresh emulator was made to have."""

    avatar_id: str
    upload_id: str
    task_id: int
    work_id: int
    speaker_id: str
    clip_id: int = 1
    voice_id: str = "1"
    picture_id: int = 1
    picture_work_id: int = 1


def requests(there: World) -> dict[str, list[Request[Any]]]:
    """Requests that the reference allows; those of one operation give all its fields together."""
    voice = {"text": "Hi", "speaker_id": there.speaker_id}
    trio = {"max_jobs": 5, "reply_url": "https://me.example/hook", "reply_ref": "r"}
    made: list[Request[Any]] = [
        CreateAvatar(
            image_url=ELSEWHERE, nickname="Ada", prompt="Calm", scene="business",
            tts_speaker=there.speaker_id, tts_speed=1.0, tts_emotion="neutral"),
        ListAvatars(type="personal"),
        DeleteAvatar(avatar_id=there.avatar_id),
        CreateAvatarVideo(
            avatar_id=there.avatar_id, **voice, speed=1.0, emotion="neutral", prompt="Calm",
            mode="std", **trio),
        CreateAvatarVideo(image_url=ELSEWHERE, audio_url="https://x.y/a.mp3"),
        UploadAsset(file=sample_png()),
        ListUploads(page_num=1, page_size=5, content_type="image", file_name="a", sort="asc"),
        DeleteUploads(ids=(there.upload_id,)),
        ListGenerated(page_num=1, page_size=5, content_type="video", sort="desc"),
        GetDownload(work_ids=(there.work_id,), file_types=("MP4",)),
        ListVoices(),
        CreateSpeech(**voice, speed=1.0, emotion="neutral"),
        GetTask(task_id=there.task_id),
        ListTasks(page_size=5, content_type="video", created_before_ms=4_000_000_000_000),
        ListTasks(created_after_ms=1),
        DeleteTask(task_id=there.task_id),
        ListRunning(),
        GetAvailable(),
        ForgetTask(task_id=there.task_id),
        ListAccounts(),
        GetAccount(email=ME),
        AddAccount(
            email="new@example.com", password="p", max_jobs=5, pass_token="t", did="d",
            user_id="u", dry_run=True),
        RemoveAccount(email=ME),
        Text2Video(prompt="A kite", model_name="kling-v4-0", duration_s=5, aspect_ratio="16:9",
                   mode="std", cfg_scale=0.5, enable_audio=True, **trio),
        Text2Video(prompt="A kite", model_name="kling-v1-6", negative_prompt="Rain"),
        Text2Video(shots=[Shot(prompt="A kite", duration_s=2)] * 6, model_name="kling-v3-0"),
        # --- videos ---
        FramesToVideo(
            image_url=ELSEWHERE, image_tail_url=ELSEWHERE, elements=["u_1"], prompt="A kite",
            model_name="kling-v3-0", duration_s=5, mode="std", cfg_scale=0.5, enable_audio=True,
            **trio),
        FramesToVideo(image_url=ELSEWHERE, model_name="kling-v1-6", negative_prompt="Rain"),
        FramesToVideo(image_url=ELSEWHERE, model_name="kling-v3-0",
                      shots=[Shot(prompt="A kite", duration_s=2)] * 6),
        ElementsToVideo(
            prompt="A kite", images=[ELSEWHERE] * 4, negative_prompt="Rain", aspect_ratio="1:1",
            duration_s=5, mode="std", enable_audio=True, model_name="kling-v1-6", **trio),
        ElementsToVideo(prompt="A kite", images=[ELSEWHERE], elements=["u_1"],
                        model_name="kling-v3-0"),
        EffectVideo(effect="rocketrocket_pro", image_url=ELSEWHERE, mode="std", prompt="Up",
                    **trio),
        OmniVideo(
            prompt="@image_1", omni_version="v4", duration_s=5, aspect_ratio="21:9", mode="std",
            images=[ELSEWHERE] * 2, elements=["u_1"], videos=[A_FILM], video_mode="transform",
            keep_audio=True, voices=["Emma"], count=2, **trio),
        OmniVideo(prompt="A kite", frame_start_url=ELSEWHERE, frame_end_url=ELSEWHERE),
        OmniVideo(prompt="A kite", omni_version="v4", enable_audio=True),
        OmniVideo(shots=[Shot(prompt="A kite", duration_s=2)] * 6),
        ExtendVideo(task_id=there.clip_id, prompt="On", negative_prompt="Rain", cfg_scale=0.5,
                    enable_audio=True, **trio),
        Lipsync(video_url=A_FILM, audio_url="https://x.y/a.mp3", **trio),
        ListMotions(mine=True),
        CreateMotion(
            image_url=ELSEWHERE, motion_url=A_FILM, model_name="kling-v3-0", prompt="On",
            keep_audio=True, motion_direction="image_direction", mode="std", elements=["u_1"],
            **trio),
        UploadMotion(resource_url=A_FILM, cover_url=ELSEWHERE, **trio),
        AddSound(video_url=A_FILM, keep_original_sound=True, **trio),
        ListEffects(),
        ListVideoVoices(),
        CreateVideoVoice(audio_url="https://x.y/a.mp3", name="Mine"),
        DeleteVideoVoice(voice_id=there.voice_id),
    ]  # fmt: skip
    made += [one for known in picture_operations.ALL for one in known.requests]
    made += [UpscaleImage(task_id=there.picture_id, work_id=there.picture_work_id, **trio)]
    found: dict[str, list[Request[Any]]] = {}
    for one in made:
        found.setdefault(one.operation, []).append(one)
    return found


def base_of(operation: str, name: str, value: Any, there: World) -> Request[Any]:
    """A request in which the field `name` may have this value, by what the reference ties to it."""
    candidates = requests(there)[operation]
    base = next((one for one in candidates if getattr(one, name) is not None), candidates[0])
    of_model = operation in ("videos.text2video", "videos.image2video_frames")
    if of_model and name in ("mode", "duration_s"):  # what a model takes is its own matter
        is_long = name == "duration_s" and value > 15
        return evolve(
            _BARE[operation], model_name="kling-v4-0" if is_long else "kling-v3-0", mode="std"
        )
    if name == "model_name" or (operation == "videos.image2video_elements" and name != "images"):
        bare = _BARE[operation]
        if name in ("duration_s", "elements"):
            return evolve(bare, model_name="kling-v3-0")
        return bare
    if operation == "videos.omni":
        bare = evolve(_BARE[operation], omni_version="v3" if value == "4k" else "v4")
        if name == "omni_version":
            return _BARE[operation]
        if name in ("prompt", "duration_s", "mode", "aspect_ratio", "images", "elements"):
            return bare
        if name == "videos":
            return evolve(bare, videos=[A_FILM])
    if operation == "images.kolors" and name == "reference" and value != "none":
        return Kolors(prompt="x", reference="face", reference_image_url=ELSEWHERE)
    if (operation, name) in (("images.kolors", "reference"), ("images.kolors", "version")):
        return Kolors(prompt="x")
    if operation == "images.omni" and name in ("omni_version", "resolution"):
        return OmniImage(prompt="x")
    if operation == "images.upscale":
        return candidates[-1]
    if operation == "elements.create" and name == "type":
        return candidates[-1] if value == "VIDEO" else CreateElement(
            name="x", cover_image_url=ELSEWHERE)  # fmt: skip
    return base


_BARE: dict[str, Request[Any]] = {  # the least that goes with every model
    "videos.text2video": Text2Video(prompt="A kite"),
    "videos.image2video_frames": FramesToVideo(image_url=ELSEWHERE),
    "videos.image2video_elements": ElementsToVideo(prompt="A kite", images=[ELSEWHERE]),
    "videos.motion_create": CreateMotion(image_url=ELSEWHERE, motion_url=A_FILM),
    "videos.omni": OmniVideo(prompt="A kite"),
}


@asynccontextmanager
async def fresh() -> AsyncGenerator[tuple[AsyncKlingClient, Emulator, World]]:
    """A client on an emulator that has one of everything."""
    emulator = Emulator([ME], token=TOKEN, job_s=0.0)
    async with AsyncKlingClient(
        TOKEN,
        accounts=[ME],
        base_url="http://localhost/v1/kling",
        transport=emulator.transport(),
        rate_limit=None,
        retry=RetryPolicy(attempts=1, reconcile_within_s=0),
    ) as kling:
        avatar = await kling.avatars.create(image_url=ELSEWHERE, nickname="Eve")
        await kling.assets.upload(sample_png())
        speaker_id = (await kling.tts.voices())[0].speaker_id
        task = await kling.avatars.video(avatar_id=avatar, text="Hi", speaker_id=speaker_id)
        work_id = (await kling.tasks.get(task)).works[0].work_id
        upload_id = (await kling.assets.uploaded())[0].id
        clip = await kling.videos.text2video(prompt="A kite")
        voice = await kling.videos.create_voice(audio_url="https://x.y/a.mp3", name="Eve")
        picture = await kling.images.enhance(image_url=ELSEWHERE)
        (made,) = (await kling.tasks.get(picture)).works
        yield (
            kling,
            emulator,
            World(
                avatar.id,
                upload_id,
                task.id,
                work_id,
                speaker_id,
                clip.id,
                voice.id,
                picture.id,
                made.work_id,
            ),
        )


# --- the two tables ---------------------------------------------------------------------------

OURS = operations()
THEIRS = {
    one.name: one for one in EMULATED if one.path.startswith(API_ROOT) and not one.open_to_all
}
PLACES = {"query": {"query"}, "body": {"body", "new"}, "path": {"path"}, "nowhere": {"none"}}


def shape(path: str) -> str:
    return "/".join("{}" if part.startswith("{") else part for part in path.strip("/").split("/"))


def test_both_have_the_same_operations() -> None:
    assert set(OURS) == set(THEIRS)


def test_every_operation_has_requests_here() -> None:
    assert set(requests(World("300137233318846", "1", 1, 1, "s"))) == set(OURS)


@pytest.mark.parametrize("operation", sorted(OURS))
def test_verb_route_and_place_of_the_email_agree(operation: str) -> None:
    ours, theirs = OURS[operation], THEIRS[operation]
    assert ours.method == theirs.method
    assert shape(API_ROOT + ours.route) == shape(theirs.path)
    assert theirs.email in PLACES[ours.email_in]


class Recording(dict[str, object]):
    """Values that remember which of them were asked for."""

    asked: set[str]

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)

    def __contains__(self, name: object) -> bool:
        self.asked.add(str(name))
        return super().__contains__(name)


@pytest.mark.parametrize("operation", sorted(OURS))
async def test_the_names_of_fields_agree(operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, sent = set[str](), set[str]()

    def recording(self: Fields, values: Mapping[str, object]) -> None:
        self._values = Recording(values)
        self._values.asked = asked

    read = Wire.parameter

    def parameter(self: Wire, name: str) -> str | None:
        asked.add(name)
        return read(self, name)

    for number in range(9):
        async with fresh() as (kling, _, there):
            if number >= len(these := requests(there)[operation]):
                break
            with monkeypatch.context() as patched:
                patched.setattr(Fields, "__init__", recording)
                patched.setattr(Wire, "parameter", parameter)
                # A task that is not tracked any more; an element that is not there.
                with suppress(NotFoundError):
                    await kling.send(these[number])
    for one in fields(OURS[operation]):
        if one.metadata.get("place") in ("body", "query"):
            sent |= set(wire_names(one))
    assert asked - {"email"} == sent - {"email"}


@pytest.mark.parametrize("operation", sorted(OURS))
def test_every_field_is_given_somewhere(operation: str) -> None:
    these = requests(World("300137233318846", "1", 1, 1, "s"))[operation]
    given = {one.name for made in these for one in fields(type(made))
             if getattr(made, one.name) is not None}  # fmt: skip
    unsent = {"extra", "email", "file", "content_type", "render_speech"}
    unsent |= {one.name for one in fields(OURS[operation]) if one.metadata.get("into")}
    assert {one.name for one in fields(OURS[operation])} - given <= unsent


# --- values -----------------------------------------------------------------------------------


def inside(check: Check) -> Iterator[Any]:
    """Values just inside."""
    if isinstance(check, Text):
        yield "x" * (check.most or 1)
    elif isinstance(check, (Number, Integer)):
        yield check.low
        yield check.low if check.high is None else check.high
    elif isinstance(check, OneOf):
        yield from check.names
    elif isinstance(check, Boolean):
        yield from (True, False)
    elif isinstance(check, (Url, FileOrAddress)):
        yield from ("https://x.y/a?b=1&c", "http://x.y/a")
    elif isinstance(check, Digits):
        yield "300137233318899"
    elif isinstance(check, FileNamePart):
        yield "A.b_c-1"
    elif isinstance(check, Email):
        yield "someone+1@example.com"
    elif isinstance(check, ListOf) and isinstance(check.check, PartOf):
        for count in (check.least, check.most or 9):
            yield (Shot(prompt="x" * 2500, duration_s=2),) * count
    elif isinstance(check, ListOf):
        one = next(inside(check.check))
        yield (one,)
        yield (one,) * (check.most or 2)


def outside(check: Check) -> Iterator[Any]:
    """Values just outside."""
    if isinstance(check, Text) and check.most is not None:
        yield "x" * (check.most + 1)
    elif isinstance(check, Integer):
        yield check.low - 1
        yield from () if check.high is None else (check.high + 1,)
    elif isinstance(check, Number):
        yield from (check.low - 0.01, check.high + 0.01)
    elif isinstance(check, OneOf):
        yield "nonsense"
    elif isinstance(check, Boolean):
        yield "maybe"
    elif isinstance(check, Url):
        yield "ftp://x.y/a"
    elif isinstance(check, FileOrAddress):
        yield "https://"
    elif isinstance(check, Digits):
        yield "12a"
    elif isinstance(check, FileNamePart):
        yield "a b"
    elif isinstance(check, Email):
        yield "nobody"
    elif isinstance(check, ListOf) and not isinstance(check.check, PartOf):
        yield from ((one,) for one in islice(outside(check.check), 1))
        if check.most is not None:
            yield (next(inside(check.check)),) * (check.most + 1)


def cases(values: Any, places: tuple[str, ...]) -> list[Any]:
    found = []
    for operation, cls in sorted(OURS.items()):
        for one in fields(cls):
            place = "path" if one.name == "email" and cls.email_in == "path" else None
            if (place or one.metadata.get("place")) not in places:
                continue
            for value in values(one.metadata["check"]):
                if "numbers" in one.metadata and values is outside and len(value) > 1:
                    continue  # the emulator knows no field of that number, and passes it over
                shown = f"{operation}-{one.name}-{str(value)[:20]}"
                found.append(pytest.param(operation, one, value, id=shown))
    return found


REFERENCES = {
    *("email", "avatar_id", "task_id", "ids", "work_ids", "tts_speaker", "speaker_id"),
    *("effect", "voices", "voice_id"),
    *("work_id", "element_id", "tag"),
}
"""Fields that name a thing, so that "there is none" is an answer to a fine request."""
OF_VOICE = {("tts.create", "emotion")}
"""An open list: each voice has its own."""


@pytest.mark.parametrize(("operation", "one", "value"), cases(inside, ("body", "query", "path")))
async def test_what_is_just_inside_is_taken_by_both(
    operation: str, one: Attribute[Any], value: Any
) -> None:
    async with fresh() as (kling, _, there):
        request = evolve(base_of(operation, one.name, value, there), **{one.name: value})
        try:
            await kling.send(request)
        except (NotFoundError, BadRequestError):
            assert one.name in REFERENCES or (operation, one.name) in OF_VOICE


# Where the emulator takes what we refuse, or says something else than 400, and why.
APART = {
    "videos.extend.task_id": "a number that no task has: 404",
    "avatars.video.avatar_id": "an id that no avatar can have is one that is not there: 404",
}


@pytest.mark.parametrize(("operation", "one", "value"), cases(outside, ("body", "query")))
async def test_what_is_just_outside_is_refused_by_both(
    operation: str, one: Attribute[Any], value: Any
) -> None:
    check = one.metadata["check"]
    async with fresh() as (_, emulator, there):
        base = base_of(operation, one.name, value, there)
        if isinstance(check, OneOf) and check.open:
            evolve(base, **{one.name: value})  # the server may know more: it is asked
        else:
            with pytest.raises(InvalidRequestError) as caught:
                evolve(base, **{one.name: value})
            assert one.name in caught.value.problems
        if "numbers" in one.metadata and len(value) > check.most:
            return  # further numbers are fields that the server does not know, and ignores
        status = await sent_raw(emulator, base, one, value)
    apart = APART.get(f"{operation}.{one.name}")
    assert (status == 400) == (apart is None), apart


async def sent_raw(emulator: Emulator, base: Request[Any], one: Attribute[Any], value: Any) -> int:
    """The status of `base` with another value in one field, past all checks of ours."""
    out, wire = encode(base, ME), one.metadata["wire"]
    async with httpx.AsyncClient(transport=emulator.transport()) as plain:
        url, content = "http://localhost/v1/kling" + out.path, out.content
        if one.metadata["place"] == "body":
            assert isinstance(content, bytes)
            numbers = one.metadata.get("numbers")
            said = {wire: value} if numbers is None else dict(numbers.spread(value))
            content = json.dumps({**json.loads(content), **said}).encode()
        else:
            parts = urlsplit(url)
            query: dict[str, Any] = {**parse_qs(parts.query), wire: value}
            if isinstance(value, tuple):
                query[wire] = ",".join(map(str, value))
            url = str(httpx.URL(url).copy_with(params=query))
        headers = {"authorization": f"Bearer {TOKEN}", "content-type": out.content_type or ""}
        answer = await plain.request(out.method, url, content=content, headers=headers)
        return answer.status_code


# --- prices -----------------------------------------------------------------------------------


def priced(price: Price, there: World) -> Iterator[Request[Any]]:
    """A request of each operation that this line of the price list is about, and starts a task."""
    for operation, type_ in OURS.items():
        no_such = (operation, price.when.get("model_name")) == ("videos.text2video", "kling-v2-1")
        if type_.route in price.routes and type_.starts_task and not no_such:
            names = {wire: one.name for one in fields(type_) for wire in wire_names(one)}
            said = {names[name]: value for name, value in price.when.items() if value != ""}
            yield evolve(_BARE.get(operation) or requests(there)[operation][0], **said)


async def test_a_job_is_charged_what_it_is_said_to_cost() -> None:
    compared = set[str]()
    async with fresh() as (kling, emulator, there):
        given = [one for these in requests(there).values() for one in these if one.starts_task]
        listed = [one for price in PRICES for one in priced(price, there)]
        assert len(listed) >= len([price for price in PRICES if price.hundredths])
        for request in (*given, *listed):
            said = credits(request)
            assert said is not None or request not in listed, request
            if said is not None:
                await kling.send(request)
                assert emulator.tasks[-1].credits * HUNDREDTHS == said, request
                compared.add(request.operation)
    assert compared == {
        "videos.text2video", "videos.image2video_frames", "videos.omni", "videos.extend",
        "images.enhance", "images.omni",
    }  # fmt: skip

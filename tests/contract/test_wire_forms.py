"""What stands on the wire for each operation, and what does its documented answer become?

One row of `FORMS` per operation, with every field it takes. Requests are caught by respx below
httpx's own transport, as httpcore would write them: verb, target, all headers, body. (Optional and
odd values are in `test_operations.py`, other answers in `test_operation_answers.py`.)
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import picture_operations
import pytest
import respx
from attrs import field, frozen
from video_calls import CALLS

import kling_async
from kling_async import AsyncKlingClient, Request, Work, __version__
from kling_async.emulator import sample_png

TOKEN = "user:12345-abcdefghi"
BASE_URL = "http://127.0.0.1:8123/v1/kling"
ADA = "ada+1@example.com"
EMAIL = "email=ada%2B1%40example.com"  # a raw + would be read as a space
PICTURE = "https://example.com/a.png?size=1&of=2"
AVATAR, TASK, WORK = "300137233318846", 1_234_567_890_123, 869_218_167_527_833_688
PNG = sample_png()
SESSION = {"userId": "7", "ExpireTime": 1_784_000_000, "ExpireTimeUTC": "2026-07-14T04:53:20Z"}

STATE = {"status": 99, "status_name": "succeed", "status_final": True}
FILE = {"resource": "https://k/v.mp4", "height": 720, "width": 1280, "duration": 5041}
A_WORK = {"workId": WORK, "taskId": TASK, "contentType": "video", "resource": FILE, **STATE}
A_TASK = {"task": {"id": TASK, "type": "m2v", "createTime": 1_767_225_600_123}, **STATE}
SUBMITTED = {
    "task": {"id": TASK, "status": 5, "status_name": "submitted", "status_final": False},
    "works": [], "status": 5, "status_name": "submitted", "status_final": False,
}  # fmt: skip
TRACKED = {
    "id": TASK, "email": ADA, "started": "2026-07-20T10:00:00.000Z", "elapsed": "02:05",
    "replyUrl": "https://me.example/x", "replyRef": "ref-1",
}  # fmt: skip


@frozen
class Form:
    """One operation: how users call it, what goes out, what comes back and what that becomes.

    `body` is a JSON value, or bytes with their `content_type`; None for requests without any.
    `reads` looks at the result, and has to see `seen`.
    """

    operation: str
    call: Callable[[AsyncKlingClient], Awaitable[Any]]
    sends: str
    body: Any
    answer: Any
    reads: Callable[[Any], Any]
    seen: Any
    status: int = 200
    content_type: str | None = field(
        default=None, metadata={"default": "application/json where there is a body"}
    )


def in_query(sends: str) -> str:
    """Verb and target with the account where it stands in the query."""
    return sends.format(email=f"{'&' if '?' in sends else '?'}{EMAIL}")


FORMS: list[Form] = [
    # --- avatars ---
    Form(
        "avatars.create",
        lambda kling: kling.avatars.create(
            image_url=PICTURE, nickname="Ada", prompt="Calm, in a studio", scene="business",
            tts_speaker="s-1", tts_speed=1.5, tts_emotion="happy", email=ADA),
        "POST /avatars",
        {"imageUrl": PICTURE, "nickname": "Ada", "prompt": "Calm, in a studio",
         "scene": "business", "ttsSpeaker": "s-1", "ttsSpeed": 1.5, "ttsEmotionKey": "happy",
         "email": ADA},
        {"id": AVATAR, "status": "SUCCESS"},
        lambda avatar: (avatar.id, avatar.status), (AVATAR, "SUCCESS"),
    ),
    Form(
        "avatars.list", lambda kling: kling.avatars.list("templates", email=ADA),
        f"GET /avatars?type=templates&{EMAIL}", None,
        [{"id": AVATAR, "prompt": "Calm", "imageResources": [{"url": PICTURE}], "nickname": "Ada",
          "ttsEmotionKey": "happy", "createTime": 1_767_225_600_123}],
        lambda avatars: [(one.id, one.prompt, one.image_url, one.nickname, one.tts_emotion,
                          one.create_time_ms) for one in avatars],
        [(AVATAR, "Calm", PICTURE, "Ada", "happy", 1_767_225_600_123)],
    ),
    Form(
        "avatars.delete", lambda kling: kling.avatars.delete(AVATAR, email=ADA),
        f"DELETE /avatars/{AVATAR}?{EMAIL}", None,
        {"deleted": None}, lambda deleted: deleted.meta.account, ADA,
    ),
    Form(
        "avatars.video",
        lambda kling: kling.avatars.video(
            image_url=PICTURE, text="Grüße", speaker_id="s-1", speed=0.8,
            emotion="sad", prompt="Calm", mode="pro", max_jobs=5,
            reply_url="https://me.example/x", reply_ref="ref-1", email=ADA),
        "POST /avatars/video",
        {"imageUrl": PICTURE, "text": "Grüße", "speakerId": "s-1", "speed": 0.8, "emotion": "sad",
         "prompt": "Calm", "mode": "pro", "maxJobs": 5, "replyUrl": "https://me.example/x",
         "replyRef": "ref-1", "email": ADA},
        SUBMITTED, lambda task: (task.id, task.status_name, task.is_final),
        (TASK, "submitted", False),
    ),
    # --- videos: further jobs come here ---
    Form(
        "videos.text2video",
        lambda kling: kling.videos.text2video(
            prompt="A kite", negative_prompt="rain", model_name="kling-v2-6", duration_s=10,
            aspect_ratio="16:9", mode="pro", cfg_scale=0.5, enable_audio=True, max_jobs=5,
            reply_url="https://me.example/x", reply_ref="ref-1", email=ADA),
        "POST /videos/text2video",
        {"prompt": "A kite", "negative_prompt": "rain", "model_name": "kling-v2-6", "duration": 10,
         "aspect_ratio": "16:9", "mode": "pro", "cfg_scale": 0.5, "enable_audio": True,
         "maxJobs": 5, "replyUrl": "https://me.example/x", "replyRef": "ref-1", "email": ADA},
        SUBMITTED,
        lambda task: task.id,
        TASK,
    ),
    # --- assets ---
    Form(
        "assets.upload", lambda kling: kling.assets.upload(PNG, email=ADA),
        f"POST /assets/?{EMAIL}", PNG, {"url": "https://k/u.png", "status": 3, "message": ""},
        lambda asset: (asset.usable_url, asset.meta.account), ("https://k/u.png", ADA),
        content_type="image/png",
    ),
    Form(
        "assets.uploaded",
        lambda kling: kling.assets.uploaded(
            page_num=2, page_size=50, content_type="image", file_name="a-b_c.1", sort="asc",
            email=ADA),
        f"GET /assets/uploaded/?pageNum=2&pageSize=50&contentType=image&fileName=a-b_c.1&sort=asc"
        f"&{EMAIL}", None,
        {"uploadAssetsList": [{"id": "12", "name": "a.mp4", "contentType": "video",
                               "resource": FILE, "createTime": 1}]},
        lambda files: [(one.id, one.name, one.content_type, one.url, one.resource.duration_ms)
                       for one in files],
        [("12", "a.mp4", "video", "https://k/v.mp4", 5041)],
    ),
    Form(
        "assets.delete_uploaded",
        lambda kling: kling.assets.delete_uploaded(["1", "2"], email=ADA),
        f"DELETE /assets/uploaded/?id=1%2C2&{EMAIL}", None, {"deleted": 2, "ids": ["1", "2"]},
        lambda deleted: (deleted.deleted, deleted.ids), (2, ("1", "2")),
    ),
    Form(
        "assets.generated",
        lambda kling: kling.assets.generated(
            page_num=1, page_size=40, content_type="video", sort="desc", email=ADA),
        f"GET /assets?pageNum=1&pageSize=40&contentType=video&sort=desc&{EMAIL}", None,
        {"limitations": [{"type": "video", "remaining": 3, "limit": 10}],
         "history": [{"works": [A_WORK]}]},
        lambda found: (found.limitations[0].remaining, found.tasks[0].id,
                       found.tasks[0].works[0].url),
        (3, TASK, "https://k/v.mp4"),
    ),
    Form(
        "assets.download_link",
        lambda kling: kling.assets.download_link(
            [Work(work_id=WORK), "7"], file_types=["MP4", "WAV"], email=ADA),
        f"GET /assets/download?workIds={WORK}%2C7&fileTypes=MP4%2CWAV&{EMAIL}", None,
        {"cdnUrl": "https://k/a.zip", "status": "success"},
        lambda link: (link.cdn_url, link.status), ("https://k/a.zip", "success"),
    ),
    # --- speech ---
    Form(
        "tts.voices", lambda kling: kling.tts.voices(email=ADA), f"GET /tts/voices?{EMAIL}", None,
        {"ttsList": [{"speakerId": "s-1", "name": "Mia", "exampleUrl": "https://k/m.mp3",
                      "emotions": [{"key": "happy", "name": "Happy", "enable": True}]}],
         "lastSpeakerId": "s-1", "typeList": ["new"]},
        lambda voices: (voices[0].speaker_id, voices[0].name, voices[0].speaks("happy"),
                        voices.last_speaker_id, voices.type_list),
        ("s-1", "Mia", True, "s-1", ("new",)),
    ),
    Form(
        "tts.create",
        lambda kling: kling.tts.create(
            "Grüße", speaker_id="s-1", speed=2.0, emotion="happy", email=ADA),
        "POST /tts/create",
        {"speakerId": "s-1", "text": "Grüße", "speed": 2.0, "emotion": "happy", "email": ADA},
        {"resource": "https://k/a.mp3", **STATE},
        lambda speech: (speech.url, speech.succeeded), ("https://k/a.mp3", True),
    ),
    # --- tasks ---
    Form(
        "tasks.get", lambda kling: kling.tasks.get(TASK, email=ADA), f"GET /tasks/{TASK}?{EMAIL}",
        None, {**A_TASK, "works": [A_WORK]},
        lambda task: (task.id, task.type, task.succeeded, task.works[0].work_id, task.works[0].url,
                      task.works[0].meta.account),
        (TASK, "m2v", True, WORK, "https://k/v.mp4", ADA),
    ),
    Form(
        "tasks.list",
        lambda kling: kling.tasks.list(
            page_size=30, content_type="audio", created_before_ms=1_767_225_600_123, email=ADA),
        f"GET /tasks?pageSize=30&contentType=audio&createdBefore=1767225600123&{EMAIL}", None,
        {"history": [{"works": [A_WORK]}, {**A_TASK, "works": []}]},
        lambda tasks: [(one.id, one.is_final, len(one.works)) for one in tasks],
        [(TASK, True, 1), (TASK, True, 0)],
    ),
    Form(
        "tasks.delete", lambda kling: kling.tasks.delete(TASK, email=ADA),
        f"DELETE /tasks/{TASK}?{EMAIL}", None, {"deleted": 1, "workIds": [5, "6"]},
        lambda deleted: (deleted.deleted, deleted.work_ids), (1, (5, 6)),
    ),
    # --- the scheduler is about all accounts at once ---
    Form(
        "scheduler.running", lambda kling: kling.scheduler.running(), "GET /scheduler", None,
        [TRACKED],
        lambda jobs: [(one.id, one.email, one.elapsed_s, one.reply_ref) for one in jobs],
        [(TASK, ADA, 125.0, "ref-1")],
    ),
    Form(
        "scheduler.available", lambda kling: kling.scheduler.available(),
        "GET /scheduler/available", None,
        {"executing": [TRACKED],
         "available": [{"email": ADA, "maxJobs": 5, "executing": 1, "available": 4}]},
        lambda slots: (slots.executing[0].id, slots.available[0].max_jobs,
                       slots.available[0].available),
        (TASK, 5, 4),
    ),
    Form(
        "scheduler.forget", lambda kling: kling.scheduler.forget(TASK),
        f"DELETE /scheduler/{TASK}", None, f"Task {TASK} is no longer tracked".encode(),
        lambda forgotten: forgotten.raw, f"Task {TASK} is no longer tracked",
    ),
    # --- accounts ---
    Form(
        "accounts.list", lambda kling: kling.accounts.list(), "GET /accounts", None,
        {ADA: {"email": ADA, "maxJobs": 5, "session": SESSION}},
        lambda accounts: [(one.email, one.max_jobs, one.session.user_id) for one in accounts],
        [(ADA, 5, "7")],
    ),
    Form(
        "accounts.get", lambda kling: kling.accounts.get(ADA),
        "GET /accounts/ada%2B1@example.com", None,
        {"maxJobs": 3, "balance": {"total": 10, "points": [{"balance": 4}], "tickets": []}},
        lambda account: (account.email, account.max_jobs, account.balance.total,
                         account.balance.points[0].balance),
        (ADA, 3, 10, 4),
    ),
    Form(
        "accounts.add",
        lambda kling: kling.accounts.add(
            ADA, 'pa&ss "wörd"', max_jobs=5, pass_token="t", did="d", user_id="7", dry_run=True),
        "POST /accounts",
        {"password": 'pa&ss "wörd"', "maxJobs": 5, "passToken": "t", "did": "d", "userId": "7",
         "dryRun": True, "email": ADA},
        {"email": ADA, "maxJobs": 5, "password": "…secured…", "session": SESSION},
        lambda account: (account.email, account.max_jobs, account.session.user_id,
                         "password" in account.extra),
        (ADA, 5, "7", False), status=201,
    ),
    Form(
        "accounts.remove", lambda kling: kling.accounts.remove(ADA),
        "DELETE /accounts/ada%2B1@example.com", None, b"", lambda removed: removed.meta.status_code,
        204, status=204,
    ),
    # --- images and elements ---
    *(Form(one.operation, partial(one.call, email=ADA), in_query(one.sends),
           one.body and {**one.body, "email": ADA}, one.answer, one.reads, one.seen)
      for one in picture_operations.ALL),
]  # fmt: skip
READS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "videos.effects": (
        lambda found: [(one.name, one.modes, one.is_usable, one.prompt_supported) for one in found],
        [("rocketrocket_pro", ("std", "pro"), True, True)],
    ),
    "videos.motions": (
        lambda found: [(one.asset_id, one.url, one.duration_ms, one.has_audio) for one in found],
        [("motion_1", "https://example.com/a.mp4", 5760, True)],
    ),
    "videos.voices": (
        lambda found: [(one.name, one.is_saved, len(one.emotions)) for one in found],
        [("Mine", True, 0), ("Emma", False, 1)],
    ),
    "videos.create_voice": (lambda voice: (voice.id, voice.name), ("301234567890", "Mine")),
    "videos.delete_voice": (lambda deleted: deleted.deleted, True),
}  # fmt: skip
FORMS += [
    Form(
        one.operation, one.call, one.sends, one.body, one.answer,
        *READS.get(one.operation, (lambda task: (task.id, task.is_final), (77, False))),
    )
    for one in CALLS
]  # fmt: skip


def operations(base: type = Request) -> set[str]:
    """The operations of the library, whichever file declares them."""
    named = {base.operation} if isinstance(vars(base).get("operation"), str) else set()
    ours = base.__module__.startswith("kling_async.")
    return (named if ours else set()).union(*(operations(one) for one in base.__subclasses__()))


def test_every_operation_has_its_wire_form() -> None:
    assert all(hasattr(kling_async, name) for name in kling_async.__all__)  # which loads them all
    named = [form.operation for form in FORMS]
    assert sorted(operations() - set(named)) == [], "these operations have no row in FORMS"
    assert sorted(set(named) - operations()) == [], "these rows are of no operation"
    assert len(named) == len(set(named))


@pytest.fixture(params=["httpx", "http_client"])
async def kling(request: pytest.FixtureRequest) -> AsyncIterator[AsyncKlingClient]:
    """A client on httpx's own transport, or on a client of the user's."""
    async with own_client(request.param) as client:
        yield client


@asynccontextmanager
async def own_client(kind: str) -> AsyncIterator[AsyncKlingClient]:
    options: dict[str, Any] = {"token": TOKEN, "base_url": BASE_URL, "rate_limit": None}
    if kind == "httpx":
        async with AsyncKlingClient(transport="httpx", **options) as client:
            yield client
        return
    async with (
        httpx.AsyncClient(verify=False, headers={"accept": "text/plain"}) as plain,
        AsyncKlingClient(http_client=plain, **options) as client,
    ):
        yield client


def answered(router: respx.Router, status: int, answer: Any) -> None:
    """Whatever is sent gets this answer; what was sent is in `router.calls`."""
    content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    router.route().respond(status, content=content)


@pytest.mark.parametrize("form", FORMS, ids=[form.operation for form in FORMS])
async def test_an_operation_on_the_wire(kling: AsyncKlingClient, form: Form) -> None:
    with respx.mock as router:
        answered(router, form.status, form.answer)
        result = await form.call(kling)
        (sent,) = [call.request for call in router.calls]
    verb, target = form.sends.split(" ")
    assert (sent.method, sent.url.raw_path.decode()) == (verb, "/v1/kling" + target)
    assert (sent.url.scheme, sent.url.host, sent.url.port) == ("http", "127.0.0.1", 8123)
    if isinstance(form.body, bytes):
        assert sent.content == form.body
    elif form.body is None:
        assert sent.content == b""
    else:
        assert json.loads(sent.content) == form.body
        compact = json.dumps(json.loads(sent.content), ensure_ascii=False, separators=(",", ":"))
        assert sent.content == compact.encode()
    content_type = form.content_type or (None if form.body is None else "application/json")
    assert headers(sent) == {
        "host": "127.0.0.1:8123",
        "authorization": f"Bearer {TOKEN}",
        "user-agent": f"kling-async/{__version__}",
        "accept": "application/json",
        **({"content-type": content_type} if content_type else {}),
        **({"content-length": str(len(sent.content))} if verb == "POST" else {}),
    }
    assert form.reads(result) == form.seen


def headers(sent: httpx.Request) -> dict[str, str]:
    """All headers as they stand on the wire; none may stand twice."""
    raw = [
        (name.decode("ascii").lower(), value.decode("ascii")) for name, value in sent.headers.raw
    ]
    assert len(raw) == len(dict(raw)), raw
    return dict(raw)


@pytest.mark.parametrize("form", FORMS, ids=[form.operation for form in FORMS])
async def test_the_token_stands_in_one_header_alone(kling: AsyncKlingClient, form: Form) -> None:
    with respx.mock as router:
        answered(router, form.status, form.answer)
        await form.call(kling)
        (sent,) = [call.request for call in router.calls]
    others = [value for name, value in sent.headers.raw if name.lower() != b"authorization"]
    for text in (sent.url.raw_path, sent.content, *others):
        assert TOKEN.encode() not in text
        assert b"abcdefghi" not in text


# --- uploads ----------------------------------------------------------------------------------

WAV = b"RIFF\x24\0\0\0WAVEfmt " + bytes(100)
MP4 = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(700_000)  # three pieces of a file
UPLOADS = {"a.png": (PNG, "image/png"), "a.wav": (WAV, "audio/wav"), "a.mp4": (MP4, "video/mp4")}


@pytest.mark.parametrize("given", ["path", "bytes", "file"])
@pytest.mark.parametrize("name", UPLOADS)
async def test_an_upload_is_the_file_itself(
    kling: AsyncKlingClient, tmp_path: Path, name: str, given: str
) -> None:
    content, content_type = UPLOADS[name]
    path = tmp_path / name
    path.write_bytes(content)
    source: Any = {"path": path, "bytes": content, "file": BytesIO(content)}[given]
    with respx.mock as router:
        answered(router, 200, {"url": "https://k/u", "status": 3})
        asset = await kling.assets.upload(source, email=ADA)
        (sent,) = [call.request for call in router.calls]
    assert asset.usable_url == "https://k/u"
    assert (sent.method, sent.url.raw_path.decode()) == ("POST", f"/v1/kling/assets/?{EMAIL}")
    assert sent.content == content
    named = headers(sent)
    assert (named["content-type"], named["content-length"]) == (content_type, str(len(content)))
    assert "transfer-encoding" not in named  # never in chunks: its length is known


async def test_a_portrait_goes_up_first(kling: AsyncKlingClient, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    with respx.mock as router:
        router.post(path="/v1/kling/assets/").respond(json={"url": PICTURE, "status": 3})
        router.post(path="/v1/kling/avatars").respond(json={"id": AVATAR, "status": "SUCCESS"})
        await kling.avatars.create(image=tmp_path / "a.png", nickname="Ada", email=ADA)
        upload, create = [call.request for call in router.calls]
    assert (upload.content, headers(upload)["content-type"]) == (PNG, "image/png")
    assert json.loads(create.content) == {"imageUrl": PICTURE, "nickname": "Ada", "email": ADA}


async def test_the_vendors_address() -> None:
    async with AsyncKlingClient(TOKEN, transport="httpx", rate_limit=None) as kling:
        with respx.mock as router:
            answered(router, 200, {"ttsList": []})
            await kling.tts.voices()
            (sent,) = [call.request for call in router.calls]
    assert str(sent.url) == "https://api.useapi.net/v1/kling/tts/voices"
    assert headers(sent)["host"] == "api.useapi.net"

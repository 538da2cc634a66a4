"""What does each operation send, to the byte? One row per way of asking.

A row names the call as users write it, and the whole request: verb, path with query as it stands on
the wire, and the body. `test_operation_answers.py` has the other half.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import picture_operations
import pytest
from video_calls import CALLS, FURTHER, VideoCall

from kling_async import AsyncKlingClient, RetryPolicy, Shot, Task, Voice, Work
from kling_async.emulator import sample_png
from kling_async.models.operations import operations

TOKEN, BASE_URL = "user:12345-abcdefghi", "http://127.0.0.1/v1/kling"
ROOT = "/v1/kling"
ME = "ada+1@example.com"
MAIL = "email=ada%2B1%40example.com"  # a raw + would be read as a space
PNG = sample_png()
URL = "https://x.y/ä.png?a=1&b=2"

Act = Callable[[AsyncKlingClient], Awaitable[Any]]
Row = tuple[str, Act, str, str, Any]  # operation, call, verb, path and query, body

TASK: dict[str, Any] = {"task": {"id": 77}, "works": [{"workId": 5}, {"workId": 6}]}
REPLIES: dict[str, Any] = {  # the least that each operation takes for a success
    "avatars.create": {"id": "300137233318846", "status": "SUCCESS"},
    "avatars.list": [],
    "avatars.delete": {"deleted": None},
    "avatars.video": TASK,
    "videos.text2video": TASK,
    "assets.upload": {"url": "https://k/u.png", "status": 3},
    "assets.uploaded": {"uploadAssetsList": []},
    "assets.delete_uploaded": {"deleted": 1, "ids": ["1"]},
    "assets.generated": {"limitations": [], "history": []},
    "assets.download_link": {"cdnUrl": "https://k/v.mp4", "status": "success"},
    "tts.voices": {"ttsList": []},
    "tts.create": {
        "resource": "https://k/a.mp3", "status": 99, "status_name": "succeed",
        "status_final": True},
    "tasks.get": TASK,
    "tasks.list": {"history": []},
    "tasks.delete": {"deleted": 1, "workIds": [5]},
    "scheduler.running": [],
    "scheduler.available": {"executing": [], "available": []},
    "scheduler.forget": {},
    "accounts.list": {},
    "accounts.get": {"maxJobs": 5},
    "accounts.add": {"email": ME, "maxJobs": 5, "password": "…secured…"},
    "accounts.remove": {},
    **{one.operation: one.answer for one in picture_operations.ALL},
}  # fmt: skip

ROWS: list[Row] = [
    ("avatars.create", lambda k: k.avatars.create(image_url=URL, email=ME), "POST", "/avatars",
     {"imageUrl": URL, "email": ME}),
    ("avatars.create", lambda k: k.avatars.create(
        image_url=URL, nickname="Ada", prompt="Calm", scene="business", tts_speaker="s",
        tts_speed=1.5, tts_emotion="happy", email=ME, extra={"brandNew": [1]}),
     "POST", "/avatars",
     {"imageUrl": URL, "nickname": "Ada", "prompt": "Calm", "scene": "business",
      "ttsSpeaker": "s", "ttsSpeed": 1.5, "ttsEmotionKey": "happy", "email": ME,
      "brandNew": [1]}),
    ("avatars.list", lambda k: k.avatars.list(), "GET", "/avatars", None),
    ("avatars.list", lambda k: k.avatars.list("templates", email=ME, extra={"n": 2}),
     "GET", f"/avatars?type=templates&{MAIL}&n=2", None),
    ("avatars.delete", lambda k: k.avatars.delete("300137233318846", email=ME),
     "DELETE", f"/avatars/300137233318846?{MAIL}", None),
    ("avatars.video", lambda k: k.avatars.video(
        avatar_id="300137233318846", text="Hi", speaker_id="s", reply_ref="r", email=ME),
     "POST", "/avatars/video",
     {"avatarId": "300137233318846", "text": "Hi", "speakerId": "s", "replyRef": "r",
      "email": ME}),
    ("avatars.video", lambda k: k.avatars.video(
        image_url=URL, text="Hi", speaker_id="s", speed=1.5, emotion="sad", prompt="Calm",
        mode="pro", max_jobs=50, reply_url="https://me/x", reply_ref="r", extra={"n": 1}),
     "POST", "/avatars/video",
     {"imageUrl": URL, "text": "Hi", "speakerId": "s", "speed": 1.5, "emotion": "sad",
      "prompt": "Calm", "mode": "pro", "maxJobs": 50, "replyUrl": "https://me/x",
      "replyRef": "r", "n": 1}),
    ("avatars.video", lambda k: k.avatars.video(
        avatar_id="12345678", audio_url="https://x.y/a.mp3", reply_ref="r"),
     "POST", "/avatars/video",
     {"avatarId": "12345678", "audioUrl": "https://x.y/a.mp3", "replyRef": "r"}),
    ("videos.text2video", lambda k: k.videos.text2video(prompt="A kite", reply_ref="r"),
     "POST", "/videos/text2video", {"prompt": "A kite", "replyRef": "r"}),
    ("videos.text2video", lambda k: k.videos.text2video(
        prompt="A kite", negative_prompt="rain", model_name="kling-v4-0", duration_s=30,
        aspect_ratio="21:9", mode="pro", cfg_scale=0.5, enable_audio=True, max_jobs=5,
        reply_url="https://me/x", reply_ref="r", email=ME, extra={"keyframes": []}),
     "POST", "/videos/text2video",
     {"prompt": "A kite", "negative_prompt": "rain", "model_name": "kling-v4-0", "duration": 30,
      "aspect_ratio": "21:9", "mode": "pro", "cfg_scale": 0.5, "enable_audio": True, "maxJobs": 5,
      "replyUrl": "https://me/x", "replyRef": "r", "email": ME, "keyframes": []}),
    ("videos.text2video", lambda k: k.videos.text2video(
        shots=[Shot(prompt="A kite", duration_s=3), {"prompt": "It falls", "duration_s": 4}],
        model_name="kling-v3-0", reply_ref="r"),
     "POST", "/videos/text2video",
     {"shot_1_prompt": "A kite", "shot_1_duration": 3, "shot_2_prompt": "It falls",
      "shot_2_duration": 4, "model_name": "kling-v3-0", "replyRef": "r"}),
    ("assets.upload", lambda k: k.assets.upload(PNG, email=ME, extra={"n": True}),
     "POST", f"/assets/?{MAIL}&n=true", PNG),
    ("assets.upload", lambda k: k.assets.upload(b"ID3\x04\0\0"), "POST", "/assets/",
     b"ID3\x04\0\0"),
    ("assets.uploaded", lambda k: k.assets.uploaded(), "GET", "/assets/uploaded/", None),
    ("assets.uploaded", lambda k: k.assets.uploaded(
        page_num=2, page_size=50, content_type="image", file_name="a-b_c.1", sort="asc", email=ME,
        extra={"n": None}),
     "GET", f"/assets/uploaded/?pageNum=2&pageSize=50&contentType=image&fileName=a-b_c.1&sort=asc"
     f"&{MAIL}&n=null", None),
    ("assets.delete_uploaded", lambda k: k.assets.delete_uploaded("12", email=ME),
     "DELETE", f"/assets/uploaded/?id=12&{MAIL}", None),
    ("assets.delete_uploaded", lambda k: k.assets.delete_uploaded(
        [str(n) for n in range(1, 11)], email=ME, extra={"n": 1}),
     "DELETE", f"/assets/uploaded/?id=1%2C2%2C3%2C4%2C5%2C6%2C7%2C8%2C9%2C10&{MAIL}&n=1", None),
    ("assets.generated", lambda k: k.assets.generated(), "GET", "/assets", None),
    ("assets.generated", lambda k: k.assets.generated(
        page_num=1, page_size=40, content_type="video", sort="desc", email=ME, extra={"n": 1}),
     "GET", f"/assets?pageNum=1&pageSize=40&contentType=video&sort=desc&{MAIL}&n=1", None),
    ("assets.download_link", lambda k: k.assets.download_link(5), "GET",
     "/assets/download?workIds=5", None),
    ("assets.download_link", lambda k: k.assets.download_link(
        Task.from_api(TASK), file_types=["MP4", "WAV"], email=ME, extra={"n": 1}),
     "GET", f"/assets/download?workIds=5%2C6&fileTypes=MP4%2CWAV&{MAIL}&n=1", None),
    ("assets.download_link", lambda k: k.assets.download_link(
        [Work(work_id=869218167527833688), "7"], file_types="MP4"),
     "GET", "/assets/download?workIds=869218167527833688%2C7&fileTypes=MP4", None),
    ("tts.voices", lambda k: k.tts.voices(email=ME, extra={"n": 1}), "GET",
     f"/tts/voices?{MAIL}&n=1", None),
    ("tts.create", lambda k: k.tts.create("Hi", speaker_id="s"), "POST", "/tts/create",
     {"speakerId": "s", "text": "Hi"}),
    ("tts.create", lambda k: k.tts.create(
        "Grüße " * 900, speaker_id=Voice(speaker_id="s"), speed=0.8, emotion="sad", email=ME,
        extra={"n": 1}),
     "POST", "/tts/create",
     {"speakerId": "s", "text": "Grüße " * 900, "speed": 0.8, "emotion": "sad", "email": ME,
      "n": 1}),
    ("tasks.get", lambda k: k.tasks.get(77), "GET", "/tasks/77", None),
    ("tasks.get", lambda k: k.tasks.get("869218167527833688", email=ME, extra={"n": 1}),
     "GET", f"/tasks/869218167527833688?{MAIL}&n=1", None),
    ("tasks.list", lambda k: k.tasks.list(), "GET", "/tasks", None),
    ("tasks.list", lambda k: k.tasks.list(
        page_size=30, content_type="audio", created_before_ms=1_767_225_600_123, email=ME,
        extra={"n": 1}),
     "GET", f"/tasks?pageSize=30&contentType=audio&createdBefore=1767225600123&{MAIL}&n=1", None),
    ("tasks.list", lambda k: k.tasks.list(created_after_ms=0), "GET", "/tasks?createdAfter=0",
     None),
    ("tasks.delete", lambda k: k.tasks.delete(Task.from_api(TASK), email=ME, extra={"n": 1}),
     "DELETE", f"/tasks/77?{MAIL}&n=1", None),
    ("scheduler.running", lambda k: k.scheduler.running(), "GET", "/scheduler", None),
    ("scheduler.available", lambda k: k.scheduler.available(extra={"n": 1}), "GET",
     "/scheduler/available?n=1", None),
    ("scheduler.forget", lambda k: k.scheduler.forget(77), "DELETE", "/scheduler/77", None),
    ("accounts.list", lambda k: k.accounts.list(), "GET", "/accounts", None),
    ("accounts.get", lambda k: k.accounts.get(ME), "GET", "/accounts/ada%2B1@example.com", None),
    ("accounts.add", lambda k: k.accounts.add(ME, "pa&ss \"wörd\"", max_jobs=50), "POST",
     "/accounts", {"password": "pa&ss \"wörd\"", "maxJobs": 50, "email": ME}),
    ("accounts.add", lambda k: k.accounts.add(
        ME, "p", max_jobs=1, pass_token="t", did="d", user_id="u", dry_run=True, extra={"n": 1}),
     "POST", "/accounts",
     {"password": "p", "maxJobs": 1, "passToken": "t", "did": "d", "userId": "u", "dryRun": True,
      "email": ME, "n": 1}),
    ("accounts.remove", lambda k: k.accounts.remove(ME), "DELETE", "/accounts/ada%2B1@example.com",
     None),
    *((one.operation, one.call, *one.sends.format(email="").split(" "), one.body)
      for one in picture_operations.ALL),
]  # fmt: skip


def _of_videos(one: VideoCall) -> Row:
    verb, _, target = one.sends.partition(" ")
    return (one.operation, one.call, verb, target, one.body)


REPLIES |= {one.operation: one.answer for one in CALLS}
ROWS += [_of_videos(one) for one in (*CALLS, *FURTHER)]


class Recorder(httpx.AsyncBaseTransport):
    """Answers everything alike, and keeps what was sent."""

    def __init__(self, reply: Any, status_code: int = 200) -> None:
        self.reply, self.status_code = reply, status_code
        self.sent: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.sent.append(request)
        return httpx.Response(self.status_code, content=json.dumps(self.reply).encode())


def client(transport: httpx.AsyncBaseTransport, **options: Any) -> AsyncKlingClient:
    given = {
        "base_url": BASE_URL,
        "rate_limit": None,
        "retry": RetryPolicy(attempts=1, reconcile_within_s=0),
    }
    return AsyncKlingClient(TOKEN, transport=transport, **{**given, **options})


def test_every_operation_is_here() -> None:
    assert {row[0] for row in ROWS} == set(REPLIES) == set(operations())


@pytest.mark.parametrize(
    ("operation", "act", "method", "target", "body"), ROWS, ids=[row[0] for row in ROWS]
)
async def test_the_exact_request(
    operation: str, act: Act, method: str, target: str, body: Any
) -> None:
    transport = Recorder(REPLIES[operation])
    async with client(transport) as kling:
        await act(kling)
    (sent,) = transport.sent
    assert (sent.method, sent.url.raw_path.decode()) == (method, ROOT + target)
    assert sent.headers["authorization"] == f"Bearer {TOKEN}"
    content_type = sent.headers.get("content-type")
    if body is None:
        assert (sent.content, content_type) == (b"", None)
    elif isinstance(body, bytes):
        assert (sent.content, content_type) == (
            body, "image/png" if body is PNG else "audio/mpeg",
        )  # fmt: skip
    else:
        assert json.loads(sent.content) == body
        assert sent.content == json.dumps(
            json.loads(sent.content), ensure_ascii=False, separators=(",", ":")
        ).encode()  # fmt: skip
        assert content_type == "application/json"


# --- whose account ----------------------------------------------------------------------------

ADA, BEN = "ada@example.com", "ben@example.com"


def mails(transport: Recorder) -> list[str | None]:
    """The account that each request named in its query."""
    return [one.url.params.get("email") for one in transport.sent]


async def test_calls_about_a_result_go_to_its_account() -> None:
    transport = Recorder(TASK)
    async with client(transport, accounts=[ADA, BEN]) as kling:
        task = await kling.tasks.get(77, email=BEN)
        transport.reply = {**TASK, "cdnUrl": "https://k/v"}
        await kling.tasks.get(task)
        await kling.tasks.delete(task)
        await kling.assets.download_link(task)
        await kling.assets.download_link(task.works[0])
        await kling.assets.download_link(list(task.works))
        assert mails(transport) == [BEN] * 6
        await kling.tasks.get(task, email=ADA)  # what is named counts before
        assert mails(transport)[-1] == ADA


async def test_what_is_listed_remembers_its_account() -> None:
    uploads = [{"id": str(n)} for n in (1, 2)]
    entry = {"works": [{"workId": 5, "taskId": 77}]}
    transport = Recorder({"uploadAssetsList": uploads, "history": [entry], "cdnUrl": "https://k/v"})
    async with client(transport, accounts=[ADA, BEN]) as kling:
        files = await kling.assets.uploaded(email=BEN)
        (task,) = await kling.tasks.list(email=BEN)
        generated = await kling.assets.generated(email=BEN)
        await kling.assets.delete_uploaded(files)
        await kling.assets.download_link(task.works[0])
        await kling.assets.download_link(generated.tasks[0].works[0])
        transport.reply = TASK
        await kling.tasks.get(generated.tasks[0])
    assert mails(transport) == [BEN] * 7


async def test_a_running_task_belongs_to_the_account_it_names() -> None:
    transport = Recorder([{"id": 77, "email": BEN}, {"id": 78, "email": ADA}])
    async with client(transport, accounts=[ADA, BEN]) as kling:
        first, second = await kling.scheduler.running()
        transport.reply = TASK
        await kling.tasks.get(first)
        await kling.tasks.get(second)
        await kling.scheduler.forget(first)
    assert mails(transport) == [None, BEN, ADA, None]


async def test_a_voice_speaks_on_its_account() -> None:
    transport = Recorder({"ttsList": [{"speakerId": "s"}], **REPLIES["tts.create"]})
    async with client(transport, accounts=[ADA, BEN]) as kling:
        voices = await kling.tts.voices(email=BEN)
        await kling.tts.create("Hi", speaker_id=voices[0])
    assert json.loads(transport.sent[1].content)["email"] == BEN


async def test_results_of_two_accounts_go_into_no_single_call() -> None:
    transport = Recorder({"uploadAssetsList": [{"id": "1"}]})
    async with client(transport, accounts=[ADA, BEN]) as kling:
        both = [*await kling.assets.uploaded(email=ADA), *await kling.assets.uploaded(email=BEN)]
        with pytest.raises(ValueError, match=r"belongs to ada@example\.com, ben@example\.com"):
            await kling.assets.delete_uploaded(both)
    assert len(transport.sent) == 2


async def test_deleting_uploads_names_an_account_or_sends_nothing() -> None:
    transport = Recorder(REPLIES["assets.delete_uploaded"])
    async with client(transport) as kling:
        with pytest.raises(Exception, match=r"email=, or call accounts\.sync\(\)"):
            await kling.assets.delete_uploaded("1")
        assert transport.sent == []
    async with client(transport, accounts=[ADA]) as kling:
        await kling.assets.delete_uploaded("1")
    assert mails(transport) == [ADA]


async def test_a_task_without_works_has_nothing_to_download() -> None:
    transport = Recorder({})
    async with client(transport) as kling:
        with pytest.raises(ValueError, match="task 7 has none"):
            await kling.assets.download_link(Task(id=7))
    assert transport.sent == []


async def test_the_registry_follows_what_is_added_and_removed() -> None:
    transport = Recorder({}, 201)
    async with client(transport) as kling:
        await kling.accounts.add(ADA, "p", max_jobs=7)
        assert [(one.email, one.max_jobs) for one in kling.accounts] == [(ADA, 7)]
        await kling.accounts.add(BEN, "p", max_jobs=2, dry_run=True)  # nothing was stored
        assert [one.email for one in kling.accounts] == [ADA]
        await kling.accounts.add(ADA, "p", max_jobs=8)
        assert [one.max_jobs for one in kling.accounts] == [8]
        await kling.accounts.remove(BEN)
        await kling.accounts.remove(ADA)
        assert list(kling.accounts) == []
        transport.status_code = 400
        with pytest.raises(Exception, match="400"):
            await kling.accounts.add(ADA, "p", max_jobs=7)
        assert list(kling.accounts) == []

"""Whatever a server answers, to any operation: a result or a `KlingError`, soon, and no secret.

The operations are those that the package declares, so that a new one is tried without a line here.
"""

from __future__ import annotations

import asyncio
import json
import pickle
from typing import Any

import httpx
import pytest
from fuzzing import TOKEN, bodies, came_to, examples, looked_at
from hypothesis import given
from hypothesis import strategies as st
from test_operations import REPLIES, ROWS, client

from kling_async import AsyncKlingClient, KlingError, OutcomeUnknownError, Safety
from kling_async.models.operations import operations

CALLS = {row[0]: row[1] for row in reversed(ROWS)}
TASK = {
    "task": {"id": 77, "status": 99, "taskInfo": {"type": "x", "inputs": [
        {"name": "image", "inputType": "URL", "url": "https://k/a.png"}], "arguments": [
        {"name": "prompt", "value": "Hi"}]}, "createTime": 1_767_225_600_123},
    "works": [{"workId": 5, "taskId": 77, "status": 99, "contentType": "video",
               "resource": {"resource": "https://k/v.mp4", "height": 720, "duration": 5041},
               "cover": {"resource": "https://k/c.png"}, "createTime": 1_767_225_600_123}],
    "status": 99, "status_name": "succeed", "status_final": True, "message": "",
}  # fmt: skip
RICH: dict[str, Any] = {  # more to change than in the least of their answers
    "avatars.list": [{"id": "300137233318846", "nickname": "Ada", "prompt": "Calm", "ttsSpeed": 1.5,
                      "imageResources": [{"url": "https://k/a.png", "width": 300}],
                      "createTime": 1_767_225_600_123, "status": 1}],
    "assets.uploaded": {"uploadAssetsList": [{"id": "8", "name": "a.mp4", "contentType": "video",
                        "resource": {"resource": "https://k/a.mp4"}, "createTime": 1}]},
    "assets.generated": {"limitations": [{"type": "video", "remaining": 3, "limit": 10}],
                         "history": [TASK]},
    "tts.voices": {"ttsList": [{"speakerId": "s", "name": "Ann", "emotions": ["happy"]}]},
    "tasks.get": TASK, "avatars.video": TASK, "videos.text2video": TASK,
    "tasks.list": {"history": [TASK]},
    "scheduler.running": [{"id": 77, "email": "a@b", "started": "2026-07-20T10:00:00.000Z",
                           "elapsed": "02:05", "replyUrl": "https://me/x", "replyRef": "ref-1"}],
    "scheduler.available": {"executing": [{"id": 77, "email": "a@b"}], "available": [
        {"email": "a@b", "maxJobs": 5, "executing": 1, "available": 4}]},
    "accounts.list": {"a@b": {"maxJobs": 5, "balance": {"total": 10, "points": [
        {"balance": 5}], "tickets": []}, "session": {"userId": "7"}}},
    "accounts.get": {"maxJobs": 5, "balance": {"total": 10, "points": [{"balance": 5}]}},
}  # fmt: skip
GOOD = {name: RICH.get(name) or REPLIES[name] for name in operations()}
ERROR = {"error": {"code": 13, "message": f"Bearer {TOKEN}", "status": "X"}, "code": 401,
         "message": "no", "retryAfter": "2026-01-01T00:00:00Z"}  # fmt: skip
STATUSES = st.sampled_from([
    *[200] * 8, 201, 202, 204, 206, 301, 304, 400, 401, 402, 403, 404, 408, 409, 410, 412, 413,
    418, 422, 429, 451, 500, 502, 503, 504, 522, 596, 599,
])  # fmt: skip
MOMENTS = st.one_of(
    st.text(max_size=30),
    st.sampled_from([
        "0", "-1", "1e999", "nan", "9" * 400, "5", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT", "٣",
        "Wednesday, 21-Oct-26 07:28:00 GMT", "Wed Oct 21 07:28:00 2026", "Wed, 99 Oct 99999",
        "Mon, 01 Jan 0001 00:00:00 +2359", "Fri, 31 Dec 9999 23:59:59 -2359", "2026-10-21",
    ]),
)  # fmt: skip


class Says(httpx.AsyncBaseTransport):
    """Answers each request alike, and remembers how often."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], content: bytes) -> None:
        self.answer = status, headers, content
        self.asked = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.asked += 1
        status, headers, content = self.answer
        return httpx.Response(status, headers=headers, stream=httpx.ByteStream(content))


async def outcome(kling: AsyncKlingClient, operation: str) -> Any:
    """What the call returns, or the error of ours it raises; anything else fails the test."""
    try:
        async with asyncio.timeout(120):  # it hangs; no bound on speed
            return await CALLS[operation](kling)
    except KlingError as error:
        return error


def check(found: Any) -> None:
    came_to(found)
    looked_at(found)
    if isinstance(found, KlingError):
        assert TOKEN not in repr(found.__dict__)
        assert TOKEN.encode() not in pickle.dumps(found)


@pytest.mark.parametrize("operation", sorted(operations()))
@given(data=st.data())
@examples()
def test_any_answer_of_an_operation(operation: str, data: st.DataObject) -> None:
    good = GOOD[operation] if data.draw(st.booleans()) else ERROR
    status, content = data.draw(STATUSES), data.draw(bodies(good))
    headers = [
        (name, data.draw(MOMENTS).encode("utf-8", "replace"))
        for name in data.draw(st.lists(st.sampled_from([b"Retry-After", b"Date"]), max_size=2))
    ]
    says = Says(status, headers, content)

    async def tried() -> Any:
        async with client(says) as kling:
            return await outcome(kling, operation)

    found = asyncio.run(tried())
    check(found)
    paid = operations()[operation].safety is Safety.PAID
    if paid:
        assert says.asked == 1 or isinstance(found, OutcomeUnknownError)
        if 500 <= status < 600 and not isinstance(found, KlingError):
            raise AssertionError(f"{status} counts as a success")


def test_the_good_answers_are_taken() -> None:
    """What the others change is right before: else they would try one refusal a thousand times."""

    async def tried(operation: str) -> Any:
        says = Says(200, [], json.dumps(GOOD[operation]).encode())
        async with client(says) as kling:
            return await outcome(kling, operation)

    found = {one: asyncio.run(tried(one)) for one in operations()}
    assert {one: came for one, came in found.items() if isinstance(came, KlingError)} == {}

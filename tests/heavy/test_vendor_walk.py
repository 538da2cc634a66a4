"""Do programs work against the emulator that know only the vendor's pages? Videos, with urllib.

Nothing of the client is used here: one request for each operation, as its page describes it, over a
real socket, some as JSON and some as a form; then each documented refusal.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from kling_async.emulator import Emulator, sample_png
from kling_async.emulator.mp4 import video
from kling_async.emulator.sounds import mp3

TOKEN, EMAIL = "user:1-walk", "walker@example.com"
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Vendor:
    """The API as its pages describe it."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url

    def ask(
        self, method: str, path: str, body: Any = None, *, form: bool = False, raw: str = ""
    ) -> tuple[int, Any]:
        """Status and JSON of one request."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        data: bytes | None = None
        if raw:
            data, headers["Content-Type"] = body, raw
        elif form:
            data = urllib.parse.urlencode({**body, "email": EMAIL}).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        elif body is not None:
            data = json.dumps({**body, "email": EMAIL}).encode()
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self.base_url + path, data, headers, method=method)
        try:
            with OPENER.open(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.load(refusal)

    def get(self, path: str, **query: str) -> Any:
        """The JSON of a listing."""
        status, found = self.ask(
            "GET", f"{path}?{urllib.parse.urlencode({'email': EMAIL, **query})}"
        )
        assert status == 200, found
        return found

    def start(self, path: str, body: dict[str, Any], *, form: bool = False) -> dict[str, Any]:
        """The finished task of a job."""
        status, made = self.ask("POST", path, body, form=form)
        assert status == 200, made
        task_id = made["task"]["id"]
        for _ in range(500):
            record = self.get(f"/tasks/{task_id}")
            if record["status_final"]:
                assert record["status_name"] == "succeed", record
                return record  # type: ignore[no-any-return]
            time.sleep(0.02)
        raise AssertionError("the job does not end")

    def upload(self, content: bytes, kind: str) -> dict[str, Any]:
        """The answer to an upload."""
        query = urllib.parse.urlencode({"email": EMAIL})
        status, made = self.ask("POST", f"/assets/?{query}", content, raw=kind)
        assert status == 200, made
        return made  # type: ignore[no-any-return]


def works(record: dict[str, Any]) -> list[str]:
    return [one["resource"]["resource"] for one in record["works"]]


def each_operation_on_videos(vendor: Vendor) -> None:
    picture = vendor.upload(sample_png(), "image/png")["url"]
    film = vendor.upload(video("walk", 720, 720, 5000), "video/mp4")
    sound = vendor.upload(mp3("walk", 5000), "audio/mpeg")["url"]
    clip = vendor.start("/videos/text2video", {"prompt": "A kite", "duration": "5"}, form=True)
    vendor.start(
        "/videos/image2video-frames",
        {
            "image": picture,
            "model_name": "kling-v3-0",
            "shot_1_prompt": "Up",
            "shot_1_duration": 3,
            "shot_2_prompt": "Down",
            "shot_2_duration": 4,
        },
    )
    vendor.start("/videos/image2video-elements",
                 {"image_0": picture, "image_1": picture, "prompt": "They meet",
                  "enable_audio": "true", "replyRef": "r"}, form=True)  # fmt: skip
    effects = vendor.get("/videos/effects")
    usable = next(one for one in effects if one["supportedModelMode"])
    vendor.start("/videos/image2video-effects", {"effect": usable["name"], "image": picture})
    longer = vendor.start("/videos/extend", {"task_id": clip["task"]["id"]})
    assert longer["works"][0]["resource"]["duration"] == 10_000
    vendor.start("/videos/lipsync", {"video": film["resourceUrl"], "audio": sound})
    vendor.start(
        "/videos/add-sound", {"video": works(clip)[0], "cropVideoOriginalSound": "true"}, form=True
    )
    motion = vendor.get("/videos/motions", mine="false")[0]
    vendor.start(
        "/videos/motion-create",
        {"imageUrl": picture, "motionUrl": motion["url"], "keepAudio": True},
    )
    vendor.start(
        "/videos/motion-upload", {"resourceUrl": film["resourceUrl"], "coverUrl": film["coverUrl"]}
    )
    assert [one["assetType"] for one in vendor.get("/videos/motions", mine="true")] == ["MOTION"]
    status, voice = vendor.ask("POST", "/videos/voices", {"audioUrl": sound, "name": "Mine"})
    assert (status, voice["source"], voice["email"]) == (200, "USER", EMAIL)
    assert vendor.get("/videos/voices")["voices"][0]["id"] == voice["id"]
    many = vendor.start(
        "/videos/omni",
        {
            "prompt": "@image_1 @voice_1",
            "omni_version": "v4",
            "duration": 30,
            "image_1": picture,
            "voice_1": voice["id"],
            "count": 2,
        },
    )
    assert len(set(works(many))) == 2
    with OPENER.open(works(many)[0]) as answer:
        assert answer.read(8)[4:] == b"ftyp"
    query = urllib.parse.urlencode({"voiceId": voice["id"], "email": EMAIL})
    assert vendor.ask("DELETE", f"/videos/voices?{query}") == (200, {"deleted": True})


PICTURE = {"image": "https://example.com/a.png"}
FILM = "https://example.com/a.mp4"
REFUSED: list[tuple[str, str, dict[str, Any] | None, int, str]] = [
    ("POST", "/videos/image2video-frames", {}, 400, "Parameter image is required"),
    ("POST", "/videos/image2video-frames", {"image_tail": FILM}, 400,
     "Parameter image is required"),
    ("POST", "/videos/image2video-frames",
     {**PICTURE, "image_tail": "https://example.com/b.png", "model_name": "kling-v2-1-master"}, 400,
     "image_tail"),
    ("POST", "/videos/image2video-frames", {**PICTURE, "element_1": "u_1"}, 400, "element_1"),
    ("POST", "/videos/image2video-elements", {"prompt": "p"}, 400,
     "Parameter image_0 is required"),
    ("POST", "/videos/image2video-elements",
     {"prompt": "p", "image_0": PICTURE["image"], "model_name": "kling-v2-6"}, 400,
     "Parameter model_name (kling-v2-6) has incorrect format"),
    ("POST", "/videos/image2video-effects", PICTURE, 400, "Parameter effect is required"),
    ("POST", "/videos/image2video-effects", {**PICTURE, "effect": "petface"}, 400,
     "Parameter effect (petface) has incorrect format"),
    ("POST", "/videos/image2video-effects", {**PICTURE, "effect": "squish_pro", "mode": "std"}, 400,
     "Parameter mode (std) has incorrect format"),
    ("POST", "/videos/image2video-effects", {**PICTURE, "effect": "squish_pro", "prompt": "p"}, 400,
     "prompt"),
    ("POST", "/videos/extend", {"task_id": 1}, 404, "Task 1"),
    ("POST", "/videos/extend", {"task_id": "one"}, 400,
     "Parameter task_id (one) has incorrect format"),
    ("POST", "/videos/lipsync", {"video": FILM}, 400, "Parameter audio is required"),
    ("POST", "/videos/add-sound", {}, 400, "Parameter video is required"),
    ("POST", "/videos/motion-create", {"imageUrl": FILM}, 400,
     "Parameter motionUrl is required"),
    ("POST", "/videos/motion-upload", {"resourceUrl": FILM}, 400,
     "Parameter coverUrl is required"),
    ("POST", "/videos/omni", {}, 400, "Parameter prompt is required"),
    ("POST", "/videos/omni", {"prompt": "p" * 1701}, 400, "Parameter prompt"),
    ("POST", "/videos/omni", {"prompt": "p", "frame_end": FILM}, 400,
     "Parameter frame_start is required"),
    ("POST", "/videos/omni", {"prompt": "p", "count": 5}, 400,
     "Parameter count (5) has incorrect format"),
    ("POST", "/videos/omni", {"prompt": "p", "video_1": FILM, "enable_audio": True}, 400,
     "enable_audio"),
    ("POST", "/videos/omni", {"prompt": "p", "omni_version": "v4", "voice_1": "Max"}, 400,
     "too short"),
    ("POST", "/videos/omni", {"prompt": "p", "voice_1": "Emma"}, 400, "voice_1"),
    ("POST", "/videos/omni", {"prompt": "p", "omni_version": "o1", "duration": 11}, 400,
     "Parameter duration (11)"),
    ("POST", "/videos/voices", {"audioUrl": FILM, "name": "x" * 31}, 400, "Parameter name"),
    ("DELETE", "/videos/voices?voiceId=my-voice", None, 400,
     "Parameter voiceId (my-voice) has incorrect format"),
    ("DELETE", "/videos/voices?voiceId=301234567890", None, 404,
     "Voice 301234567890 was not deleted"),
]  # fmt: skip


def each_documented_refusal(vendor: Vendor) -> None:
    for method, path, body, status, text in REFUSED:
        found, answer = vendor.ask(method, path, body)
        assert (found, set(answer)) == (status, {"error"}), (path, body, answer)
        assert text in answer["error"], (path, body)


def what_a_video_must_be(vendor: Vendor) -> None:
    film = vendor.upload(video("walk", 720, 720, 5000), "video/mp4")
    status, answer = vendor.ask("POST", "/videos/add-sound", {"video": film["url"]})
    assert (status, "resourceUrl" in answer["error"]) == (400, True)
    body = {"prompt": "A kite", "model_name": "kling-v4-0", "duration": 30}
    long = vendor.start("/videos/text2video", body)
    status, answer = vendor.ask("POST", "/videos/add-sound", {"video": works(long)[0]})
    assert (status, "3 to 20 s" in answer["error"]) == (400, True)
    status, answer = vendor.ask("POST", "/videos/extend", {"task_id": long["task"]["id"]})
    assert (status, answer["error"]) == (500, "TASK.InvalidTaskType")
    status, made = vendor.ask("POST", "/videos/add-sound", {"video": film["resourceUrl"]})
    assert status == 200
    assert "status_name" not in made["task"]
    assert "status_name" in made


@pytest.mark.parametrize(
    "walk", [each_operation_on_videos, each_documented_refusal, what_a_video_must_be]
)
async def test_a_walk_by_the_vendors_pages(walk: Callable[[Vendor], None]) -> None:
    async with Emulator([EMAIL], token=TOKEN, job_s=0.0).serve() as base_url:
        await asyncio.to_thread(walk, Vendor(base_url))

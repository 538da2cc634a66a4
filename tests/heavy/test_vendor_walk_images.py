"""Does a program that knows only the vendor's documents work? It walks images and elements.

The standard library alone against the emulator over a socket, as the vendor's pages show each call:
nothing here is ours but the emulator.
"""

from __future__ import annotations

import asyncio
import json
import struct
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from kling_async.emulator import Emulator

EMAIL = "demo@example.com"
PHOTO = "https://photos.example/person.png"
DRESS = "https://photos.example/dress.png"
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Vendor:
    """What the vendor's samples do: one request, its JSON, errors included."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url

    def ask(self, method: str, path: str, body: Any = None, **query: Any) -> tuple[int, Any]:
        content, headers = None, {"Authorization": "Bearer user:12345-abcdef"}
        if isinstance(body, bytes):
            content, headers["Content-Type"] = body, "image/png"
        elif body is not None:
            content, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        url = f"{self.base_url}{path}?{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(url, content, headers, method=method)
        try:
            with _OPENER.open(request, timeout=30) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def get(self, path: str, **query: Any) -> Any:
        status, answer = self.ask("GET", path, **query)
        assert status == 200, answer
        return answer

    def post(self, path: str, **body: Any) -> Any:
        status, answer = self.ask("POST", path, {"email": EMAIL, **body})
        assert status == 200, answer
        return answer

    def made(self, path: str, **body: Any) -> tuple[str, list[dict[str, Any]]]:
        """Start a job, ask until it is final, as the samples do; its type and its works."""
        task = self.post(path, **body)["task"]
        assert (task["status"], task["status_name"], task["status_final"]) == (
            5,
            "submitted",
            False,
        )
        for _ in range(500):
            record = self.get(f"/tasks/{task['id']}", email=EMAIL)
            if record["status_final"]:
                assert record["status_name"] == "succeed", record
                return task["type"], record["works"]
            time.sleep(0.02)
        raise AssertionError("the job does not end")


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    """An emulator that serves from a thread of its own."""
    emulator, started, stop = Emulator([EMAIL], job_s=0.05), threading.Event(), threading.Event()
    found: list[str] = []

    async def served() -> None:
        async with emulator.serve() as base_url:
            found.append(base_url)
            started.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(served(),))
    thread.start()
    try:
        assert started.wait(10)
        yield Vendor(found[0])
    finally:
        stop.set()
        thread.join()


def picture() -> bytes:
    """A PNG of 300 x 300."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = (b"\0" + bytes(300)) * 300
    head = struct.pack(">IIBBBBB", 300, 300, 8, 0, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows))
            + chunk(b"IEND", b""))  # fmt: skip


def test_images(vendor: Vendor) -> None:
    status, upload = vendor.ask("POST", "/assets/", picture(), email=EMAIL)
    assert (status, upload["status"]) == (200, 3)
    photo = upload["url"]

    kind, works = vendor.made(
        "/images/virtual-try-on", humanImage=photo, upperInput=DRESS, lowerInput=DRESS, imageCount=4
    )
    assert (kind, len(works)) == ("mmu_img2img_aitryon", 4)
    vendor.made("/images/virtual-try-on", humanImage=photo, dressInput=DRESS)

    kind, works = vendor.made(
        "/images/kolors", prompt="a red bicycle", version="kling-v3-0", resolution="2k"
    )
    assert (kind, len(works)) == ("mmu_txt2img_aiweb", 2)  # its default, documented
    assert {one["contentType"] for one in works} == {"image"}
    with _OPENER.open(works[0]["resource"]["resource"], timeout=30) as file:
        assert file.read(8) == b"\x89PNG\r\n\x1a\n"
    image_ids = ",".join(str(one["workId"]) for one in works)
    link = vendor.get("/assets/download", email=EMAIL, workIds=image_ids, fileTypes="PNG")
    assert urllib.parse.urlsplit(link["cdnUrl"]).path.endswith(".zip")
    vendor.made("/images/kolors", prompt="@image_1", image_1=photo, image_2=PHOTO,
                aspect_ratio="auto", imageCount=1)  # fmt: skip
    faces = vendor.post("/images/recognize-faces", imageReference=photo)
    assert faces["status"] == 0
    assert set(json.loads(faces["faceItems"][0]["arguments"][0]["value"])) == {
        "x", "y", "width", "height",
    }  # fmt: skip
    vendor.made("/images/kolors", prompt="the same face", version="kling-v2-1", reference="face",
                imageReference=photo, faceNo=1, faceStrength=65)  # fmt: skip
    vendor.made("/images/kolors-elements", prompt="she holds a rabbit", subjectImage1=photo,
                sceneImage=PHOTO, styleImage=PHOTO, aspect_ratio="3:4")  # fmt: skip

    task_id, work_id = str(works[0]["taskId"]), str(works[0]["workId"])
    task = vendor.post("/images/upscale", task_id=task_id, workId=work_id)["task"]
    (said,) = task["taskInfo"]["inputs"]
    assert (task["type"], said["fromWorkId"]) == ("mmu_image_upscale_aiweb", int(work_id))
    assert [one["name"] for one in task["taskInfo"]["arguments"]] == [
        "biz", "__initialType", "__initialPrompt",
    ]  # fmt: skip
    vendor.made("/images/omni", prompt="@image_1 as a stamp, @element_1", image_1=photo,
                element_1="u_1", omni_version="v4", resolution="2K")  # fmt: skip
    _, (work,) = vendor.made("/images/enhance", image=photo, resolution="2k", replyRef="mine")
    assert work["resource"]["width"] == 2048


REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("/images/recognize-faces", {}, 400, "Parameter imageReference is required"),
    ("/images/kolors", {}, 400, "Parameter prompt is required"),
    ("/images/kolors", {"prompt": "p", "imageCount": 10}, 400,
     "Parameter imageCount (10) has incorrect format"),
    ("/images/kolors", {"prompt": "p", "reference": "face", "imageReference": PHOTO}, 400,
     "Parameter reference is not supported by kling-v3-0"),
    ("/images/kolors", {"prompt": "p", "reference": "face", "version": "kling-v2-1"}, 400,
     "Parameter imageReference is required"),
    ("/images/kolors", {"prompt": "p", "version": "kling-v2-1", "image_1": PHOTO}, 400,
     "Parameter image_1 is not supported by this version"),
    ("/images/virtual-try-on", {"humanImage": PHOTO}, 400, "Parameter dressInput is required"),
    ("/images/virtual-try-on", {"humanImage": PHOTO, "dressInput": DRESS, "upperInput": DRESS},
     400, "Parameter dressInput excludes upperInput and lowerInput"),
    ("/images/kolors-elements", {"imageCount": 2}, 400, "Parameter prompt is required"),
    ("/images/omni", {"prompt": "p", "story_mode": True}, 400,
     "Parameter story_mode needs image_1 or element_1"),
    ("/images/omni", {"prompt": "p", "omni_version": "o1", "resolution": "4k"}, 400,
     "Parameter resolution (4k) has incorrect format"),
    ("/images/omni", {"prompt": "p", "omni_version": "o1", "aspect_ratio": "auto"}, 400,
     "Parameter aspect_ratio (auto) is not supported by o1"),
    ("/images/omni", {"prompt": "p", "imageCount": 10}, 400,
     "Parameter imageCount (10) has incorrect format"),
    ("/images/upscale", {"task_id": "7", "workId": "7"}, 404, "Task 7 not found"),
    ("/images/upscale", {"task_id": "x", "workId": "7"}, 400,
     "Parameter task_id (x) has incorrect format"),
    ("/images/enhance", {"image": "no address"}, 400,
     "Parameter image (no address) has incorrect format"),
    ("/elements", {}, 400, "Parameter name is required"),
    ("/elements", {"name": "Sailor"}, 400, "Parameter coverImage is required"),
    ("/elements", {"name": "Sailor", "type": "VIDEO"}, 400, "Parameter video is required"),
    ("/elements", {"name": "x" * 16, "coverImage": PHOTO}, 400,
     f"Parameter name ({'x' * 16}) has incorrect format"),
    ("/elements", {"name": "x", "coverImage": PHOTO, "extraImage1": PHOTO, "generateViews": True},
     400, "Parameter extraImage1 excludes generateViews"),
    ("/elements", {"name": "x", "coverImage": PHOTO, "tag": "prop", "voice": "Calm Narrator"},
     400, "Parameter voice is supported for elements with the character tag only"),
    ("/elements", {"name": "x", "coverImage": PHOTO, "tag": "nothing"}, 400,
     "Parameter tag (nothing) has incorrect format"),
    ("/mcp", {}, 501, "The emulator does not have the MCP endpoint, which the vendor has"),
]  # fmt: skip


def test_errors(vendor: Vendor) -> None:
    for path, body, status, text in REFUSED:
        assert vendor.ask("POST", path, body) == (status, {"error": text}), (path, body)
    for query in ({"pageSize": 0}, {"pageSize": 101}, {"sortDirection": "UP"}):
        status, _ = vendor.ask("GET", "/elements", email=EMAIL, **query)
        assert status == 400
    assert vendor.ask("GET", "/elements/u_1", email=EMAIL) == (
        404, {"error": "Element u_1 not found"},
    )  # fmt: skip


def test_elements(vendor: Vendor) -> None:
    tags = vendor.get("/elements/tags", email=EMAIL)["tagList"]
    assert {"id": "o_102", "tagKey": "character", "name": "Character", "official": True,
            "type": "element"} in tags  # fmt: skip
    voice = vendor.get("/elements/voices", email=EMAIL)["voices"][0]
    assert voice["id"] > 2**53
    made = vendor.post("/elements", name="Sailor", coverImage=PHOTO, tag="o_102",
                       voice=str(voice["name"]), description="An old sailor")  # fmt: skip
    assert made["name"].startswith("Sailor ")
    assert len(made["name"]) == len("Sailor") + 6
    views = vendor.post("/elements", name="Dog", coverImage=PHOTO, generateViews=True)
    assert len(views["elementsList"]) == 3
    clip = vendor.post("/elements", name="Walk", type="VIDEO", video="https://clips.example/a.mp4")
    listed = vendor.get("/elements", email=EMAIL, pageSize=2)
    assert (listed["total"], listed["elementsList"][0]["id"]) == (5, clip["id"])
    second = vendor.get("/elements", email=EMAIL, pageSize=2, pageNum=2, sortDirection="ASC")
    assert len(second["elementsList"]) == 2
    assert vendor.get(f"/elements/{made['id']}", email=EMAIL) == made
    assert vendor.ask("DELETE", f"/elements/{made['id']}", email=EMAIL) == (200, {"deleted": 1})
    assert vendor.get("/elements", email=EMAIL)["total"] == 4


def test_the_balance_counts_hundredths(vendor: Vendor) -> None:
    before = vendor.get(f"/accounts/{EMAIL}")["balance"]["total"]
    vendor.made("/images/enhance", image=PHOTO, resolution="4k")
    assert before - vendor.get(f"/accounts/{EMAIL}")["balance"]["total"] == 200  # two credits


def test_a_video_can_be_had_as_mov(vendor: Vendor) -> None:
    _, (work,) = vendor.made("/videos/text2video", prompt="A kite")
    assert "-output.mp4?" in work["resource"]["resource"]  # what the vendor's programs look for
    for kinds, ending, brand in (("MOV", ".mov", b"qt  "), ("MP4", ".mp4", b"isom")):
        link = vendor.get("/assets/download", email=EMAIL, workIds=work["workId"], fileTypes=kinds)
        assert urllib.parse.urlsplit(link["cdnUrl"]).path.endswith(ending)
        with _OPENER.open(link["cdnUrl"], timeout=30) as file:
            assert file.read(12)[4:] == b"ftyp" + brand
    status, answer = vendor.ask(
        "GET", "/assets/download", email=EMAIL, workIds=work["workId"], fileTypes="WAV"
    )
    assert (status, answer) == (400, {"error": "Invalid parameters"})

"""Uploads: types, sizes, sides, answers; the media host; the list of uploaded files."""

from __future__ import annotations

import io
import wave

import httpx
import pytest

from kling_async.emulator import Emulator, sample_png
from kling_async.emulator.images import PixelSize, jpeg_size, looks_like, png, png_size

MIB = 1024 * 1024
MP4 = b"\0\0\0\x20ftypisom" + b"\0" * 20
# A JPEG: start, EXIF block, fill byte, quantization and Huffman tables, frame of 640 x 480.
JPEG = (
    b"\xff\xd8\xff\xe1\x00\x08Exif\0\0"
    b"\xff\xff\xdb\x00\x03\x00"
    b"\xff\xc4\x00\x0a\x00\x01\x02\x03\x04\x05\x06\x07"
    b"\xff\xc0\x00\x11\x08\x01\xe0\x02\x80\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01"
    b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\xff\xd9"
)


def sound() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(1)
        out.setframerate(8000)
        out.writeframes(b"\x80" * 80)
    return buffer.getvalue()


SAMPLES = {
    "image/png": sample_png(),
    "image/jpeg": JPEG,
    "video/mp4": MP4,
    "video/quicktime": b"\0\0\0\x08wide\0\0\0\0mdat",
    "audio/wav": sound(),
    "audio/wave": sound(),
    "audio/mpeg": b"\xff\xfb\x90\x44" + b"\0" * 100,
    "audio/mp4": b"\0\0\0\x20ftypM4A " + b"\0" * 20,
    "audio/flac": b"fLaC\0\0\0\x22",
    "audio/aac": b"\xff\xf1\x50\x80\x00\x1f\xfc",
    "audio/ogg": b"OggS\0\x02",
}


async def post(client: httpx.AsyncClient, content: bytes, kind: str) -> httpx.Response:
    return await client.post("/assets/", content=content, headers={"Content-Type": kind})


@pytest.mark.parametrize("kind", SAMPLES)
async def test_every_type_is_taken_and_comes_back(connect, kind):
    emulator = Emulator()
    async with connect(emulator) as client:
        reply = await post(client, SAMPLES[kind], kind)
        answer = reply.json()
        fetched = await client.get(answer["url"], headers={"Authorization": ""})
    assert reply.status_code == 200
    assert answer["message"] == ""
    assert answer["fileName"] in answer["url"]
    assert answer["status"] == (3 if kind.startswith("image/") else 1)
    assert ("resourceUrl" in answer, "coverUrl" in answer) == (kind.startswith("video/"),) * 2
    assert fetched.content == SAMPLES[kind]
    assert fetched.headers["content-type"] == kind
    (truth,) = emulator.uploads
    assert (truth.name, truth.content_type, truth.size_bytes, truth.call_number) == (
        answer["fileName"],
        kind,
        len(SAMPLES[kind]),
        1,
    )


async def test_a_video_has_a_processed_form_and_a_cover(connect):
    async with connect(Emulator()) as client:
        answer = (await post(client, MP4, "video/mp4")).json()
        processed = await client.get(answer["resourceUrl"])
        cover = await client.get(answer["coverUrl"])
        nothing = await client.get(answer["coverUrl"].replace(".mp4", ".mp3"))
    assert answer["url"] != answer["resourceUrl"]
    assert processed.content == MP4
    assert cover.headers["content-type"] == "image/png"
    assert nothing.status_code == 404


@pytest.mark.parametrize("kind", ["image/webp", "application/json", "multipart/form-data", ""])
async def test_other_types_are_refused_with_the_list(connect, kind):
    emulator = Emulator()
    async with connect(emulator) as client:
        reply = await post(client, sample_png(), kind)
    assert reply.status_code == 400
    assert set(reply.json()) == {"error"}
    for valid in SAMPLES:
        assert valid in reply.json()["error"]
    assert emulator.uploads == []


async def test_parameters_and_case_of_the_type_do_not_matter(in_process):
    async with in_process(Emulator()) as client:
        reply = await post(client, sample_png(), "Image/PNG; charset=binary")
    assert reply.status_code == 200


@pytest.mark.parametrize("claimed", SAMPLES)
async def test_bytes_that_are_something_else(in_process, claimed):
    emulator = Emulator()
    async with in_process(emulator) as client:
        reply = await post(client, b"#!/bin/sh\necho hello\n" * 5, claimed)
    assert (reply.status_code, emulator.uploads) == (400, [])


async def test_an_empty_body(connect):
    async with connect(Emulator()) as client:
        reply = await post(client, b"", "image/png")
    assert reply.status_code == 400


@pytest.mark.parametrize(
    ("kind", "limit"), [("image/png", 10 * MIB), ("video/mp4", 100 * MIB), ("audio/flac", 20 * MIB)]
)
async def test_both_sides_of_the_size_limit(in_process, kind, limit):
    emulator = Emulator(record_calls=False)
    async with in_process(emulator) as client:
        start = SAMPLES[kind]
        largest = await post(client, start + bytes(limit - len(start)), kind)
        larger = await post(client, start + bytes(limit - len(start) + 1), kind)
    assert largest.status_code == 200
    assert larger.status_code == 400
    assert "MB" in larger.json()["error"]
    assert [upload.size_bytes for upload in emulator.uploads] == [limit]


@pytest.mark.parametrize(
    ("width", "height", "status"), [(300, 300, 200), (299, 300, 400), (300, 299, 400)]
)
async def test_both_sides_of_the_shortest_side(in_process, width, height, status):
    emulator = Emulator()
    async with in_process(emulator) as client:
        reply = await post(client, png(width, height, (1, 2, 3)), "image/png")
    assert reply.status_code == status
    if status == 200:
        assert (emulator.uploads[0].width, emulator.uploads[0].height) == (width, height)


async def test_equal_bytes_get_names_of_their_own(connect):
    emulator = Emulator()
    async with connect(emulator) as client:
        answers = [(await post(client, sample_png(), "image/png")).json() for _ in range(5)]
    assert len({answer["fileName"] for answer in answers}) == 5
    assert len({answer["url"] for answer in answers}) == 5
    assert len({upload.sha256 for upload in emulator.uploads}) == 1


async def test_old_content_is_dropped_and_the_upload_still_counts(in_process):
    emulator = Emulator(keep_media_bytes=2 * max(len(sample_png(n)) for n in range(3)))
    async with in_process(emulator) as client:
        urls = [(await post(client, sample_png(n), "image/png")).json()["url"] for n in range(3)]
        found = [(await client.get(url)).status_code for url in urls]
        made = await client.post("/avatars", json={"imageUrl": urls[0]})
    assert found == [410, 200, 200]
    assert made.status_code == 200


async def test_unknown_media(connect):
    async with connect(Emulator()) as client:
        for path in ("x.png", "portraits/x.png", "templates/1.png", "voices/x.wav", "a/b/c"):
            reply = await client.get(f"{client.base_url.copy_with(path='/media/')}{path}")
            assert reply.status_code == 404


async def test_the_list_of_uploads(connect):
    emulator = Emulator(accounts=["a@x.org", "b@x.org"])
    async with connect(emulator) as client:
        for kind in ("image/png", "video/mp4", "audio/wav", "image/jpeg"):
            await client.post(
                "/assets/?email=a@x.org", content=SAMPLES[kind], headers={"Content-Type": kind}
            )

        async def names(**query: object) -> list[str]:
            params = {"email": "a@x.org", **query}
            reply = await client.get("/assets/uploaded/", params=params)
            assert reply.status_code == 200, reply.text
            return [entry["name"] for entry in reply.json()["uploadAssetsList"]]

        made = [upload.name for upload in emulator.uploads]
        assert await names() == made[::-1]
        assert await names(sort="asc") == made
        assert await names(contentType="image") == [made[3], made[0]]
        assert await names(pageSize=3) == made[:0:-1]
        assert await names(pageSize=3, pageNum=2) == made[:1]
        assert await names(pageSize=3, pageNum=3) == []
        assert await names(fileName=made[2][:12]) == [made[2]]
        assert await names(email="b@x.org") == []
        for bad in ({"pageNum": 0}, {"pageSize": "x"}, {"contentType": "text"}, {"sort": "up"}):
            reply = await client.get("/assets/uploaded", params={"email": "a@x.org", **bad})
            assert (reply.status_code, reply.json()) == (400, {"error": "Invalid parameters"})
        page = (await client.get("/assets/uploaded/?email=a@x.org&pageSize=3")).json()
    video = page["uploadAssetsList"][2]
    assert video["contentType"] == "video"
    assert video["resource"]["resource"].endswith(made[1])
    assert video["cover"]["resource"]
    assert page["uploadAssetsList"][0]["resource"]["width"] == 640
    assert page["uploadAssetsList"][0]["cover"]["resource"] == ""


def test_png_size():
    assert png_size(png(7, 5, (0, 0, 0))) == PixelSize(7, 5)
    assert png_size(png(7, 5, (0, 0, 0))[:32]) is None
    assert png_size(JPEG) is None
    assert png_size(b"\x89PNG\r\n\x1a\n" + b"\0" * 40) is None


def test_jpeg_size():
    assert jpeg_size(JPEG) == PixelSize(640, 480)
    assert PixelSize(640, 480).shorter_side == 480
    assert jpeg_size(sample_png()) is None
    for cut in range(len(JPEG)):
        assert jpeg_size(JPEG[:cut]) in (None, PixelSize(640, 480))
    assert jpeg_size(JPEG[:20]) is None
    assert jpeg_size(b"\xff\xd8\xff\xda\x00\x02") is None


def test_looks_tell_the_types_apart():
    twins = {("audio/wav", "audio/wave"), ("video/mp4", "audio/mp4"), ("video/quicktime",)}
    for kind, content in SAMPLES.items():
        fitting = {other for other in SAMPLES if looks_like(other, content)}
        assert kind in fitting
        assert all(
            other == kind or any({kind, other} <= {*twin, "video/quicktime"} for twin in twins)
            for other in fitting
        ), (kind, fitting)

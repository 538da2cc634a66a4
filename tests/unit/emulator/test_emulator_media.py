"""Media as downloads: ranges, validators, HEAD, what faults do to them; and files that are real."""

from __future__ import annotations

import io
import re
import struct
import sys
import wave

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kling_async.emulator import Emulator, EmulatorClock, Fault, sample_png
from kling_async.emulator.images import png
from kling_async.emulator.messages import Request
from kling_async.emulator.mp4 import _packed, _safe, video
from kling_async.emulator.portraits import blocks
from kling_async.emulator.ranges import file_reply, in_part
from kling_async.emulator.sounds import mp3, wav

HEARD = {
    "imageUrl": "https://pictures.example/ada.png",
    "audioUrl": "https://sounds.example/ada.mp3",
}


async def clean_url(client: httpx.AsyncClient, emulator: Emulator) -> str:
    """The address of a finished, clean video."""
    await client.post("/avatars/video", json=HEARD)
    emulator.clock.advance(60)
    (work,) = emulator.tasks[-1].works
    query = {"workIds": str(work.id), "fileTypes": "MP4"}
    return (await client.get("/assets/download", params=query)).json()["cdnUrl"]


async def test_whole_then_in_parts(connect):
    emulator = Emulator(job_s=60, clock=EmulatorClock(start_ms=1_780_000_000_000))
    async with connect(emulator) as client:
        url = await clean_url(client, emulator)
        whole = await client.get(url)
        size = len(whole.content)
        start = await client.get(url, headers={"Range": "bytes=0-99"})
        rest = await client.get(url, headers={"Range": "bytes=100-"})
        tail = await client.get(url, headers={"Range": "bytes=-10"})
        beyond = await client.get(url, headers={"Range": f"bytes={size}-"})
        head = await client.head(url, headers={"Range": "bytes=0-99"})
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["last-modified"].endswith("2026 20:27:40 GMT")
    assert [reply.status_code for reply in (start, rest, tail)] == [206, 206, 206]
    assert start.content + rest.content == whole.content
    assert tail.content == whole.content[-10:]
    assert start.headers["content-range"] == f"bytes 0-99/{size}"
    assert start.headers["content-length"] == "100"
    assert rest.headers["content-range"] == f"bytes 100-{size - 1}/{size}"
    assert rest.headers["etag"] == whole.headers["etag"]
    assert rest.headers["content-type"] == "video/mp4"
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(size)


@pytest.mark.parametrize(
    ("validator", "status"),
    [("etag", 206), ("last-modified", 206), ('"other"', 200), ("Thu, 01 Jan 1970", 200)],
)
async def test_if_range(connect, validator, status):
    emulator = Emulator(job_s=60)
    async with connect(emulator) as client:
        url = await clean_url(client, emulator)
        whole = await client.get(url)
        condition = whole.headers.get(validator, validator)
        part = await client.get(url, headers={"Range": "bytes=50-", "If-Range": condition})
    assert part.status_code == status
    assert part.content == (whole.content[50:] if status == 206 else whole.content)


CONTENT = bytes(range(200))


@given(st.integers(0, 300) | st.none(), st.integers(0, 300) | st.none())
def test_the_law_of_ranges(first, last):
    asked = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    request = Request("GET", "/media/x", (), (("range", asked),), b"", "http://e")
    reply = in_part(file_reply(CONTENT, "video/mp4"), request)
    if first is None:
        expected = CONTENT if last is None else CONTENT[max(0, 200 - last) :] if last else b""
        means_something = last is not None
    else:
        expected = CONTENT[first : None if last is None else last + 1]
        means_something = last is None or last >= first
    if not means_something:
        assert (reply.status, reply.body) == (200, CONTENT)
    elif not expected:
        assert (reply.status, reply.body) == (416, b"")
    else:
        assert (reply.status, reply.body) == (206, expected)


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,5-6", "pages=1-2", "bytes", "bytes=a-b", "bytes=1", "bytes=--1", ""]
)
def test_ranges_that_are_passed_over(asked):
    request = Request("GET", "/media/x", (), (("range", asked),), b"", "http://e")
    whole = file_reply(CONTENT, "video/mp4")
    assert in_part(whole, request) == whole


async def test_every_kind_of_media_has_ranges_and_a_tag_of_its_own(in_process):
    emulator = Emulator(job_s=60, rehost_images=True)
    async with in_process(emulator) as client:
        upload = await client.post(
            "/assets/", content=sample_png(), headers={"Content-Type": "image/png"}
        )
        await client.post("/avatars", json={"imageUrl": upload.json()["url"]})
        avatar = (await client.get("/avatars")).json()[0]
        templates = (await client.get("/avatars?type=templates")).json()
        voices = (await client.get("/tts/voices")).json()["ttsList"]
        speech = await client.post(
            "/tts/create", json={"speakerId": voices[0]["speakerId"], "text": "Hi"}
        )
        clean = await clean_url(client, emulator)
        record = (await client.get(f"/tasks/{emulator.tasks[0].id}")).json()
        urls = [
            upload.json()["url"],
            templates[0]["imageResources"][0]["url"],
            voices[0]["exampleUrl"],
            speech.json()["resource"],
            clean,
            record["works"][0]["resource"]["resource"],
            record["works"][0]["cover"]["resource"],
        ]
        tags = []
        for url in [*urls, avatar["imageResources"][0]["url"]]:
            whole = await client.get(url)
            part = await client.get(url, headers={"Range": "bytes=1-3"})
            assert (part.status_code, part.content) == (206, whole.content[1:4]), url
            tags.append(whole.headers["etag"])
    assert len(set(tags[:-1])) == len(urls)
    assert tags[-1] == tags[0]  # the same bytes at another place


# Faults


async def test_a_download_cut_in_the_middle_and_resumed(connect):
    emulator = Emulator(job_s=60, faults=[Fault("media.download", "truncated_body", at=(1, 2))])
    async with connect(emulator) as client:
        url = await clean_url(client, emulator)
        got, replies = b"", []
        while len(replies) < 3:
            headers = {"Range": f"bytes={len(got)}-"} if got else {}
            async with client.stream("GET", url, headers=headers) as reply:
                replies.append(reply)
                try:
                    async for chunk in reply.aiter_raw():
                        got += chunk
                except httpx.RemoteProtocolError:
                    continue
        whole = (await client.get(url)).content
    assert [reply.status_code for reply in replies] == [200, 206, 206]
    assert got == whole
    assert emulator.unconsumed_faults() == []


async def test_a_server_without_ranges(connect):
    emulator = Emulator(job_s=60, faults=[Fault("media.*", "no_range")])
    async with connect(emulator) as client:
        url = await clean_url(client, emulator)
        reply = await client.get(url, headers={"Range": "bytes=100-"})
    assert reply.status_code == 200
    assert "accept-ranges" not in reply.headers
    assert "content-range" not in reply.headers


async def test_a_file_that_changes_meanwhile(connect):
    emulator = Emulator(job_s=60, faults=[Fault("media.download", "changed_file", at=(2, 3))])
    async with connect(emulator) as client:
        url = await clean_url(client, emulator)
        before = await client.get(url)
        headers = {"Range": "bytes=100-", "If-Range": before.headers["etag"]}
        careful = await client.get(url, headers=headers)
        careless = await client.get(url, headers={"Range": "bytes=100-"})
        back = await client.get(url, headers=headers)
    assert (careful.status_code, careless.status_code, back.status_code) == (200, 206, 206)
    assert len(careful.content) == len(before.content)
    assert careful.content != before.content
    assert before.content[:100] + careless.content != before.content
    assert careful.headers["etag"] == careless.headers["etag"] != before.headers["etag"]


# Files that are real. That ffmpeg decodes them was tried once by hand (PyAV 19); here their shape.


def boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    """Name and content of the MP4 boxes in a row."""
    found, at = [], 0
    while at < len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        assert 8 <= size <= len(data) - at
        found.append((name, data[at + 8 : at + size]))
        at += size
    return found


def box(data: bytes, *path: bytes) -> bytes:
    for name in path:
        data = dict(boxes(data))[name]
    return data


@pytest.mark.parametrize(
    ("width", "height", "duration_ms", "least_bytes"),
    [(720, 720, 5000, 0), (1080, 1080, 31_234, 0), (720, 1280, 1, 100_000), (16, 16, 60_000, 0)],
)
def test_videos(width, height, duration_ms, least_bytes):
    data = video("one", width, height, duration_ms, least_bytes)
    assert [name for name, _ in boxes(data)[:4]] == [b"ftyp", b"moov", b"mdat", b"free"]
    assert len(data) >= least_bytes
    scale, told_ms = struct.unpack(">II", box(data, b"moov", b"mvhd")[12:20])
    assert (scale, told_ms) == (1000, duration_ms)
    track = box(data, b"moov", b"trak", b"tkhd")
    assert struct.unpack(">II", track[-8:]) == (width << 16, height << 16)
    table = box(data, b"moov", b"trak", b"mdia", b"minf", b"stbl")
    count = struct.unpack(">I", box(table, b"stsz")[8:12])[0]
    sizes = struct.unpack(f">{count}I", box(table, b"stsz")[12:])
    runs, *times = struct.unpack(
        f">{(len(box(table, b'stts')) - 4) // 4}I", box(table, b"stts")[4:]
    )
    assert len(times) == 2 * runs
    assert sum(times[::2]) == count
    assert sum(n * ms for n, ms in zip(times[::2], times[1::2], strict=True)) == duration_ms
    at = struct.unpack(">I", box(table, b"stco")[8:12])[0]
    assert sum(sizes) == len(box(data, b"mdat"))
    for number, size in enumerate(sizes):  # each sample one unit: a key frame, then copies
        sample = data[at : at + size]
        assert struct.unpack(">I", sample[:4])[0] == size - 4
        assert sample[4] == (0x65 if number == 0 else 0x41)
        assert not any(code in sample[4:] for code in (b"\0\0\0", b"\0\0\1", b"\0\0\2"))
        at += size
    assert video("two", width, height, duration_ms, least_bytes) != data


@given(st.text("01", max_size=200) | st.sampled_from(["0" * 64, "0" * 21 + "111", "0" * 23]))
def test_no_bits_look_like_a_start_code(bits):
    packed = _safe(_packed(bits))
    assert not re.search(rb"\x00\x00[\x00-\x02]", packed)
    plain = re.sub(rb"\x00\x00\x03", b"\0\0", packed)
    whole = "".join(f"{byte:08b}" for byte in plain)
    assert whole.rstrip("0") == bits + "1"


@pytest.mark.parametrize("duration_ms", [1, 24, 5000])
def test_sounds(duration_ms):
    sound = mp3("title", duration_ms)
    size = (sound[8] << 7) + sound[9]
    assert (sound[:3], sound[10:14]) == (b"ID3", b"TIT2")
    frames = sound[10 + size :]
    assert len(frames) == 24 * -(-duration_ms // 24)
    assert {frames[at : at + 4] for at in range(0, len(frames), 24)} == {b"\xff\xf3\x14\xc4"}
    with wave.open(io.BytesIO(wav("title", duration_ms))) as heard:
        assert heard.getframerate() == 8000
        assert heard.getnframes() - 8 * duration_ms in (0, 1)
    assert wav("other", duration_ms) != wav("title", duration_ms)


async def test_a_video_of_an_uploaded_picture_shows_it(in_process, monkeypatch):
    grey_bytes, content = 10_000, png(300, 400, (200, 30, 30))
    emulator = Emulator(rehost_images=True, job_s=0)
    async with in_process(emulator) as client:

        async def shown(content):
            kind = {"Content-Type": "image/png"}
            url = (await client.post("/assets", content=content, headers=kind)).json()["url"]
            made = (await client.post("/avatars", json={"imageUrl": url})).json()["id"]
            job = {"avatarId": made, "text": "Hello", "prompt": "Hi"}
            task = (await client.post("/avatars/video", json=job)).json()["task"]["id"]
            (work,) = (await client.get(f"/tasks/{task}")).json()["works"]
            cover = await client.get(work["cover"]["resource"])
            assert cover.content == content
            return await client.get(work["resource"]["resource"])

        reply = await shown(content)
        broken = await shown(content[:60])
        monkeypatch.setitem(sys.modules, "PIL", None)  # as if it were not installed
        without = await shown(png(300, 300, (1, 2, 3)))
    # Y, Cb, Cr of BT.601, each pixel of each block; and nothing that looks like a start code.
    light, blue, red = Image.new("RGB", (1, 1), (200, 30, 30)).convert("YCbCr").getpixel((0, 0))
    assert (light, blue, red) == pytest.approx((81, 99, 213), abs=1.1)
    block = bytes([light]) * 256 + bytes([blue]) * 64 + bytes([red]) * 64
    assert reply.content.count(b"\x0d\x00" + block) >= 45 * 45 - 1
    assert len(reply.content) < 45 * 45 * 386 + grey_bytes
    assert len(broken.content) < grey_bytes > len(without.content)


def test_blocks_of_a_picture_lie_where_its_pixels_do():
    """Four quarters, each of one grey."""
    picture, file = Image.new("L", (32, 32)), io.BytesIO()
    for number, at in enumerate([(0, 0), (16, 0), (0, 16), (16, 16)]):
        picture.paste(64 * number, (*at, at[0] + 16, at[1] + 16))
    picture.save(file, "PNG")
    found = blocks(file.getvalue(), 2, 2, b"<>")
    steps = (0, 64, 128, 192)
    grey = [Image.new("RGB", (1, 1), (n, n, n)).convert("YCbCr").getpixel((0, 0)) for n in steps]
    assert found == b"".join(b"<>" + bytes([y]) * 256 + bytes([128]) * 128 for y, _, _ in grey)
    assert blocks(b"nothing", 2, 2, b"") is None
    many = png(1, 1, (0, 0, 0)).replace(b"\0\0\0\1\0\0\0\1", b"\0\0\xff\xff\0\0\xff\xff")
    assert blocks(many, 2, 2, b"") is None

"""Is a file known by what is in it? All the usual forms of what people have, whole and cut."""

from __future__ import annotations

import os
import struct
import threading
from pathlib import Path

import pictures
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async import CreateAvatar, InvalidRequestError, UploadAsset
from kling_async.models.sniff import image_size, is_cut, is_text, kind_of, sniff


def reader(content: bytes):  # type: ignore[no-untyped-def]
    return lambda at, count: content[at : at + count]


def box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I", 8 + len(content)) + kind + content


def mp4(brand: bytes, *handlers: bytes, media_first: bool = False, others: bytes = b"") -> bytes:
    """A file of ISO boxes with one track a handler."""
    ftyp = box(b"ftyp", brand, b"\0\0\2\0", others)
    hdlr = [box(b"hdlr", bytes(8), handler, bytes(12), b"\0") for handler in handlers]
    moov = box(b"moov", *(box(b"trak", box(b"mdia", one)) for one in hdlr))
    mdat = box(b"mdat", os.urandom(700_000))
    return ftyp + (mdat + moov if media_first else moov + mdat)


def jpeg_with_scan(*, metadata_bytes: int = 0, trailer: bytes = b"") -> bytes:
    whole = pictures.jpeg(300, 300, exif_bytes=metadata_bytes)
    scan = b"\xff\xda" + struct.pack(">H", 8) + b"\1\1\0\0\x3f\0" + b"\x5a\xff\0" * 60_000
    return whole[:-2] + scan + b"\xff\xd9" + trailer


def said_of(content: bytes | Path, cls: type = UploadAsset, name: str = "file") -> str:
    try:
        cls(**{name: content})
    except InvalidRequestError as error:
        return error.problems[name]
    return ""


@pytest.mark.parametrize(("head", "kind"), [
    # MPEG audio of layer III: versions 1, 2 and 2.5, with and without a checksum.
    (b"\xff\xfb\x90\x64", "audio/mpeg"), (b"\xff\xfa\x90\x64", "audio/mpeg"),
    (b"\xff\xf3\x40\xc4", "audio/mpeg"), (b"\xff\xf2\x40\xc4", "audio/mpeg"),
    (b"\xff\xe3\x18\xc4", "audio/mpeg"), (b"\xff\xe2\x18\xc4", "audio/mpeg"),
    (b"\xff\xf1\x50\x80", "audio/aac"), (b"\xff\xf0\x50\x80", "audio/aac"),
    (b"\xff\xf9\x50\x80", "audio/aac"), (b"\xff\xf8\x50\x80", "audio/aac"),
    # What is none of them: a text in UTF-16, reserved versions, layers, bit rates and rates.
    (b"\xff\xfeh\0i\0", None), (b"\xff\xeb\x90\x64", None), (b"\xff\xfb\xf0\x64", None),
    (b"\xff\xfb\x9c\x64", None), (b"\xff", None), (b"\xff\xff\xff\xff", None),
])  # fmt: skip
def test_sounds_by_their_first_frame(head: bytes, kind: str | None) -> None:
    assert sniff(head) == kind


@pytest.mark.parametrize(("brand", "handlers", "kind"), [
    (b"mp42", (b"soun",), "audio/mp4"), (b"isom", (b"soun",), "audio/mp4"),
    (b"dash", (b"soun",), "audio/mp4"), (b"M4A ", (b"soun",), "audio/mp4"),
    (b"M4B ", (b"soun",), "audio/mp4"), (b"isom", (b"vide", b"soun"), "video/mp4"),
    (b"mp42", (b"soun", b"vide"), "video/mp4"), (b"iso5", (b"vide",), "video/mp4"),
    (b"qt  ", (b"vide",), "video/quicktime"),
])  # fmt: skip
@pytest.mark.parametrize("media_first", [False, True])
def test_films_and_sounds_of_one_brand(
    tmp_path: Path, brand: bytes, handlers: tuple[bytes, ...], kind: str, media_first: bool
) -> None:
    content = mp4(brand, *handlers, media_first=media_first)
    (tmp_path / "a.bin").write_bytes(content)
    assert kind_of(reader(content)) == kind
    for source in (content, tmp_path / "a.bin"):
        assert UploadAsset(file=source).media.content_type == kind


def test_an_m4a_whose_tracks_are_not_found_is_what_its_name_says(tmp_path: Path) -> None:
    for name, kind in (("a.m4a", "audio/mp4"), ("a.mp4", "video/mp4"), ("a", "video/mp4")):
        (tmp_path / name).write_bytes(box(b"ftyp", b"mp42", bytes(4)) + bytes(100))
        assert UploadAsset(file=tmp_path / name).media.content_type == kind


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"mif2", b"hevc", b"hevs"])
def test_a_phone_s_picture_is_named(brand: bytes) -> None:
    picture = box(b"ftyp", brand, bytes(4)) + bytes(500)
    for cls, name in ((UploadAsset, "file"), (CreateAvatar, "image")):
        assert "HEIC" in said_of(picture, cls, name)
        assert "save it as JPEG or PNG" in said_of(picture, cls, name)


@pytest.mark.parametrize(("content", "called"), [
    (box(b"ftyp", b"avif", bytes(4), b"mif1"), "AVIF"),
    (box(b"ftyp", b"mif1", bytes(4), b"avif"), "AVIF"),
    (box(b"ftyp", b"crx ", bytes(4), b"crx isom"), "a raw picture of Canon's"),
    (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"), (b"GIF89a\0\0", "image/gif"),
    (b"BM\0\0\0\0", "image/bmp"),
    (b"II*\0\x08\0", "image/tiff"), (b"MM\0*\0\0", "image/tiff"),
    (b"%PDF-1.7", "application/pdf"),
    (b"\xff\x0a\0", "JPEG XL"),
])  # fmt: skip
def test_what_is_not_taken_is_called_by_its_name(content: bytes, called: str) -> None:
    assert called in said_of(content, CreateAvatar, "image")


@pytest.mark.parametrize("metadata_bytes", [0, 325_000, 900_000, 3_000_000])
def test_a_jpeg_with_much_before_its_size(tmp_path: Path, metadata_bytes: int) -> None:
    content = jpeg_with_scan(metadata_bytes=metadata_bytes)
    (tmp_path / "a.jpg").write_bytes(content)
    for source in (content, tmp_path / "a.jpg"):
        media = UploadAsset(file=source).media
        assert (media.content_type, media.width, media.height) == ("image/jpeg", 300, 300)


@pytest.mark.parametrize("part", [0.4, 0.6, 0.9, 0.99])
def test_half_a_picture_is_refused(tmp_path: Path, part: float) -> None:
    for content in (jpeg_with_scan(metadata_bytes=5000), pictures.png(3000, 300)):
        cut = content[: int((len(content) - 12) * part)]
        (tmp_path / "a").write_bytes(cut)
        for source in (cut, tmp_path / "a"):
            assert "is cut" in said_of(source), source
        assert said_of(content) == ""


@pytest.mark.parametrize("trailer", [b"\0" * 100_000, mp4(b"mp42", b"vide"), b"\r\n"])
def test_what_a_phone_appends_to_a_picture_does_not_cut_it(trailer: bytes) -> None:
    assert said_of(jpeg_with_scan(trailer=trailer)) == ""
    assert said_of(pictures.png() + trailer) == ""


def test_the_end_of_a_jpeg_is_found_across_the_pieces_that_are_read() -> None:
    scan_at = jpeg_with_scan().index(b"\xff\xda")
    for before in range(65_530, 65_540):
        content = jpeg_with_scan()[:scan_at] + b"\xff\xda\0\x08" + b"\1" * (before - 4)
        whole = content + b"\xff\xd9" + b"\1" * 70_000
        assert not is_cut(reader(whole), len(whole))
        assert is_cut(reader(content + b"\1" * 70_000), before + 70_000)


@pytest.mark.parametrize(("head", "text"), [
    (b"<?xml version='1.0'?><Error/>", True), (b"  \r\n<!DOCTYPE html>", True),
    (b'{"error": 1}', True),
    (b"Access denied", True), (b"\xef\xbb\xbf<html>", True), ("été".encode(), True),
    (b"\0\0\0\x18ftypisom", False), (b"\x89PNG", False), (b"", False), (b"\xc3\0\x9a" * 9, False),
])  # fmt: skip
def test_texts(head: bytes, text: bool) -> None:
    assert is_text(head) is text


def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(said_of(tmp_path / "a.png")), daemon=True)
    thread.start()
    thread.join(5)
    assert said, "it still waits for somebody who writes"
    assert "a named pipe, not a file" in said[0]


@pytest.mark.parametrize(("path", "said"), [
    ("/dev/zero", "a device, not a file"), (".", "Is a directory"),
])  # fmt: skip
def test_what_is_no_file(path: str, said: str) -> None:
    assert said in said_of(Path(path))


@given(st.binary(max_size=300))
def test_any_bytes_are_looked_at_without_harm(content: bytes) -> None:
    for start in (
        b"",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"\0\0\0\x18ftyp",
        b"RIFF",
        b"\xff\xfb",
    ):
        read = reader(start + content)
        kind_of(read)
        is_text(start + content)
        image_size(read)
        is_cut(read, len(start + content))


@given(st.binary(max_size=200), st.integers(0, 2**32 - 1), st.integers(0, 2**63))
def test_lengths_that_lie_end_too(content: bytes, length: int, long_length: int) -> None:
    """A box may say that it is endless, or empty, or longer than the file."""
    for boxes in (
        struct.pack(">I", length) + b"free" + content,
        struct.pack(">I", 1) + b"free" + struct.pack(">Q", long_length) + content,
        struct.pack(">I", length) + b"moov" + content,
    ):
        kind_of(reader(box(b"ftyp", b"isom", bytes(4)) + boxes))

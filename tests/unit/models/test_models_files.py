"""Which files does a request take, and what is said of those it does not?"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kling_async import CreateAvatar, InvalidRequestError, Media, Request, UploadAsset

MB = 1024 * 1024
MP4 = b"\0\0\0\x18ftypisom" + b"\0" * 12
MOV = b"\0\0\0\x14ftypqt  " + b"\0" * 12
M4A = b"\0\0\0\x18ftypM4A " + b"\0" * 12
WAV = b"RIFF\x24\0\0\0WAVEfmt "
MP3 = b"ID3\x04\0\0\0\0\0\0"
FLAC, OGG, AAC = b"fLaC\0\0\0\x22", b"OggS\0\x02\0\0", b"\xff\xf1\x50\x80"

Picture = Callable[[int, int], bytes]


def problems(cls: type[Request[Any]], **fields: Any) -> dict[str, str]:
    """What the request says is wrong; empty when it can be built."""
    try:
        cls(**fields)
    except InvalidRequestError as error:
        return error.problems
    return {}


def sparse(path: Path, head: bytes, size_bytes: int) -> Path:
    """A file of any size that takes no space."""
    with path.open("wb") as file:
        file.write(head)
        file.truncate(size_bytes)
    return path


def padded(head: bytes, size_bytes: int) -> bytes:
    return head + bytes(size_bytes - len(head))


@pytest.mark.parametrize(("width", "height", "good"), [
    (300, 300, True), (299, 300, False), (300, 299, False), (299, 5000, False), (301, 4000, True),
    (1, 1, False), (0, 0, False), (65000, 300, True),
])  # fmt: skip
def test_image_sides(image: Picture, width: int, height: int, good: bool) -> None:
    for cls, name in ((CreateAvatar, "image"), (UploadAsset, "file")):
        found = problems(cls, **{name: image(width, height)})
        assert list(found) == ([] if good else [name])
        if not good:
            assert f"{width} x {height} px" in found[name]


@pytest.mark.parametrize(("extra_bytes", "good"), [(0, True), (1, False)])
@pytest.mark.parametrize("as_path", [True, False], ids=["path", "bytes"])
def test_image_size_limit(
    image: Picture, tmp_path: Path, extra_bytes: int, good: bool, as_path: bool
) -> None:
    size_bytes = 10 * MB + extra_bytes
    source = (
        sparse(tmp_path / "a", image(300, 300), size_bytes)
        if as_path
        else padded(image(300, 300), size_bytes)
    )
    for cls, name in ((CreateAvatar, "image"), (UploadAsset, "file")):
        found = problems(cls, **{name: source})
        assert list(found) == ([] if good else [name])
        if not good:
            assert "the API takes 10 MB" in found[name]


@pytest.mark.parametrize(("head", "limit_mb"), [
    (MP4, 100), (MOV, 100), (WAV, 20), (MP3, 20), (M4A, 20), (FLAC, 20), (AAC, 20), (OGG, 20),
])  # fmt: skip
@pytest.mark.parametrize(("extra_bytes", "good"), [(0, True), (1, False)])
def test_video_and_audio_size_limits(
    tmp_path: Path, head: bytes, limit_mb: int, extra_bytes: int, good: bool
) -> None:
    found = problems(UploadAsset, file=sparse(tmp_path / "a", head, limit_mb * MB + extra_bytes))
    assert list(found) == ([] if good else ["file"])
    if not good:
        assert f"takes {limit_mb} MB" in found["file"]


@pytest.mark.parametrize(("head", "content_type"), [
    (MP4, "video/mp4"), (MOV, "video/quicktime"), (WAV, "audio/wav"), (MP3, "audio/mpeg"),
    (M4A, "audio/mp4"), (FLAC, "audio/flac"), (AAC, "audio/aac"), (OGG, "audio/ogg"),
    (b"\xff\xfb\x90\x64", "audio/mpeg"),
])  # fmt: skip
def test_type_is_told_from_the_bytes(tmp_path: Path, head: bytes, content_type: str) -> None:
    assert UploadAsset(file=head).media.content_type == content_type
    misnamed = sparse(tmp_path / "picture.png", head, 100)
    assert UploadAsset(file=misnamed).media.content_type == content_type
    assert "image" in problems(CreateAvatar, image=head)


@pytest.mark.parametrize(("name", "content_type"), [
    ("a.mp4", "video/mp4"), ("a.MOV", "video/quicktime"), ("a.mp3", "audio/mpeg"),
    ("a.m4a", "audio/mp4"), ("a.wav", "audio/wav"), ("a.oga", "audio/ogg"), ("a.aac", "audio/aac"),
])  # fmt: skip
def test_else_from_the_ending(tmp_path: Path, name: str, content_type: str) -> None:
    media = UploadAsset(file=sparse(tmp_path / name, b"????", 100)).media
    assert (media.content_type, media.name, media.size_bytes) == (content_type, name, 100)


def test_given_content_type_wins_for_audio_and_video() -> None:
    assert UploadAsset(file=WAV, content_type="audio/wave").media.content_type == "audio/wave"
    assert UploadAsset(file=b"????", content_type="video/mp4").media.content_type == "video/mp4"


def test_given_content_type_must_be_what_a_picture_is(png: Picture, jpeg: Picture) -> None:
    for content, wrong in ((png(300, 300), "image/jpeg"), (jpeg(300, 300), "image/png")):
        assert list(problems(UploadAsset, file=content, content_type=wrong)) == ["file"]


@pytest.mark.parametrize("content_type", ["image/gif", "IMAGE/PNG", "png", "", "text/html", 5])
def test_given_content_type_must_be_one_the_api_takes(content_type: Any, png: Picture) -> None:
    found = problems(UploadAsset, file=png(300, 300), content_type=content_type)
    assert list(found) == ["content_type"]
    assert list(problems(UploadAsset, file=b"", content_type=content_type)) == [
        "content_type",
        "file",
    ]


@pytest.mark.parametrize("content", [
    b"GIF89a\0\0", b"BM\0\0\0\0", b"RIFF\0\0\0\0WEBPVP8 ", b"\0\0\0\x18ftypavif", b"%PDF-1.7",
    b"<svg xmlns=''/>", b"\0", b"x" * 999,
])  # fmt: skip
def test_types_the_api_does_not_take(content: bytes) -> None:
    assert list(problems(CreateAvatar, image=content)) == ["image"]
    assert list(problems(UploadAsset, file=content)) == ["file"]


def test_a_misnamed_picture_is_not_taken_for_its_ending(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "a.jpeg"):
        path = sparse(tmp_path / name, b"not a picture", 5000)
        assert "damaged" in problems(CreateAvatar, image=path)["image"]


def test_damaged_pictures(image: Picture) -> None:
    whole = image(300, 300)
    cut_at = whole.index(b"IHDR") + 6 if b"IHDR" in whole else whole.index(b"\xff\xc0") + 4
    for damaged in (whole[:cut_at], whole[:4]):
        assert "image" in problems(CreateAvatar, image=damaged)
        assert "file" in problems(UploadAsset, file=damaged)


@pytest.mark.parametrize("content", [
    b"\xff\xd8\xff", b"\xff\xd8\xff\xff\xff\xff", b"\xff\xd8\xff\xe0\0\0" * 9,
    b"\xff\xd8\xff\xe1\xff\xff" + b"x" * 70000, b"\xff\xd8\xff\xd9",
])  # fmt: skip
def test_jpegs_without_a_size_are_damaged(content: bytes) -> None:
    assert "damaged" in problems(CreateAvatar, image=content)["image"]


def test_a_jpeg_may_carry_much_before_its_size(jpeg: Picture) -> None:
    profile = b"\xff\xe2\xff\xff" + b"p" * 0xFFFD
    content = jpeg(300, 299)
    heavy = content[:2] + profile * 3 + b"\xff\xff\xff" + content[3:]
    assert "300 x 299 px" in problems(CreateAvatar, image=heavy)["image"]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    missing = tmp_path / "missing.png"
    found = problems(CreateAvatar, image=missing)
    assert str(missing) in found["image"]
    assert "No such file" in found["image"]
    assert list(problems(UploadAsset, file=str(missing))) == ["file"]
    assert list(problems(CreateAvatar, image=tmp_path)) == ["image"]


def test_empty_files(tmp_path: Path) -> None:
    path = sparse(tmp_path / "empty.png", b"", 0)
    for source in (path, b"", io.BytesIO()):
        assert "empty" in problems(CreateAvatar, image=source)["image"]
        assert "empty" in problems(UploadAsset, file=source)["file"]


@pytest.mark.parametrize("source", [5, True, [b"x"], io.StringIO("text"), object()])
def test_what_is_no_file(source: Any) -> None:
    assert "binary mode" in problems(CreateAvatar, image=source)["image"]
    assert "binary mode" in problems(UploadAsset, file=source)["file"]


def test_a_file_opened_as_text(tmp_path: Path) -> None:
    path = sparse(tmp_path / "a.txt", b"text", 4)
    with path.open() as file:
        assert "binary mode" in problems(CreateAvatar, image=file)["image"]


def test_an_asynchronous_file() -> None:
    class Upload:
        async def read(self, size: int = -1) -> bytes:
            return b""

    said = problems(CreateAvatar, image=Upload())["image"]  # and no coroutine is left behind
    assert said.endswith("not Upload; give what its read() returns")


def test_a_closed_file(tmp_path: Path) -> None:
    with sparse(tmp_path / "a.png", b"png", 3).open("rb") as file:
        pass
    assert "closed" in problems(UploadAsset, file=file)["file"]


def test_an_address_is_no_file() -> None:
    address = "https://x.y/a.png"
    assert problems(UploadAsset, file=address) == {"file": "is an address, not a file"}
    assert problems(CreateAvatar, image=address)["image"].endswith("give it as image_url")


def test_an_upload_needs_a_file() -> None:
    assert problems(UploadAsset) == {"file": "is required"}


def test_every_kind_of_source_keeps_its_bytes(tmp_path: Path, png: Picture) -> None:
    content = png(400, 300)
    path = sparse(tmp_path / "ada.png", content, len(content))
    with path.open("rb") as file:
        sources = [content, bytearray(content), memoryview(content), io.BytesIO(content), path,
                   str(path), file]  # fmt: skip
        for source in sources:
            media = UploadAsset(file=source).media
            assert media.read() == content
            assert media.content_type == "image/png"
            assert (media.width, media.height, media.size_bytes) == (400, 300, len(content))


def test_media_can_be_given_again_and_hides_its_bytes(png: Picture) -> None:
    media = CreateAvatar(image=png(300, 300)).image
    assert isinstance(media, Media)
    assert UploadAsset(file=media).media is media
    assert "IHDR" not in repr(media)


def test_a_request_with_a_file_pickles(tmp_path: Path, png: Picture) -> None:
    path = sparse(tmp_path / "ada.png", png(300, 300), 999)
    for request in (CreateAvatar(image=path), UploadAsset(file=png(300, 300))):
        assert pickle.loads(pickle.dumps(request)) == request

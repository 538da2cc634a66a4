"""What is in these bytes? Pure: whoever asks hands in a function that reads a piece of them.

Only what tells kinds apart is read: heads, the chain of a file's parts, and a picture's last bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

Read = Callable[[int, int], bytes]
"""`read(offset, count)`: that many bytes of the file, fewer at its end."""

HEAD_BYTES = 64
"""As many as `sniff` looks at."""
_LONGEST_MOVIE_HEADER_BYTES = 4 * 1024 * 1024
_MOST_PARTS = 4096
_PIECE_BYTES = 64 * 1024

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"%PDF", "application/pdf"),
    (b"\xff\x0a", "image/jxl"),
    (b"\0\0\0\x0cJXL ", "image/jxl"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"\x1aE\xdf\xa3", "video/webm"),
)
# By the brands of ISO 14496-12 (`ftyp`). Pictures may say so among their other brands only; the
# others of a film name what it is compatible with, sounds and QuickTime among them.
_PICTURES = (
    ((b"avif", b"avis"), "image/avif"),
    ((b"crx ",), "image/x-canon-cr3"),
    ((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "image/heic"),
    ((b"mif1", b"mif2", b"msf1"), "image/heic"),  # of no stated coding, most likely that
)
_MAJOR = {
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"M4P ": "audio/mp4",
    b"qt  ": "video/quicktime",
}
NAMES = {
    "image/heic": "HEIC, as phones make it",
    "image/avif": "AVIF",
    "image/x-canon-cr3": "a raw picture of Canon's",
    "image/jxl": "JPEG XL",
    "video/webm": "WebM or Matroska",
}
"""What people call those kinds whose content type does not say it."""


def sniff(head: bytes) -> str | None:
    """The content type that the first bytes show, or None; also of types the API refuses."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[4:8] == b"ftyp":
        major = head[8:12]
        brands = {major, *(head[at : at + 4] for at in range(16, _ftyp_end(head), 4))}
        for known, kind in _PICTURES:
            if major not in _MAJOR and brands.intersection(known):
                return kind
        return _MAJOR.get(major, "video/mp4")
    if head[:4] == b"RIFF":
        return {b"WAVE": "audio/wav", b"WEBP": "image/webp"}.get(head[8:12])
    return _audio_frame(head)


def kind_of(read: Read) -> str | None:
    """The content type, told from more than the head where that is not enough.

    MP4s of the brands mp42 and isom are sounds as well as films, so their tracks are asked.
    """
    seen = sniff(read(0, HEAD_BYTES))
    if seen == "video/mp4":
        tracks = _tracks(read)
        if b"soun" in tracks and b"vide" not in tracks:
            return "audio/mp4"
    return seen


def is_text(head: bytes) -> bool:
    """Whether these bytes are a page or a message: HTML, XML, JSON or plain words."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not text:
        return False
    if text[:1] in b"<{[":
        return True
    return all(byte >= 0x20 or byte in b"\t\r\n\f" for byte in head) and _is_utf8(head)


def image_size(read: Read) -> tuple[int, int] | None:
    """(width, height) in pixels of a PNG or JPEG; None where they can't be read."""
    head = read(0, 24)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        if len(head) < 24 or head[12:16] != b"IHDR":
            return None
        width, height = struct.unpack(">II", head[16:24])
        return width, height
    for marker, at, _ in _segments(read):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if len(size := read(at + 5, 4)) < 4:
                return None
            height, width = struct.unpack(">HH", size)
            return width, height
    return None


def is_cut(read: Read, size_bytes: int) -> bool:
    """Whether the end of a PNG or JPEG is missing, as after a transfer that broke off."""
    if read(0, 2) == b"\xff\xd8":
        return _jpeg_is_cut(read, size_bytes)
    return _png_is_cut(read, size_bytes)


def _jpeg_is_cut(read: Read, size_bytes: int) -> bool:
    scan_at = next((at for marker, at, _ in _segments(read) if marker == 0xDA), None)
    if scan_at is None:
        return False  # nothing that could be cut was begun
    # Most end with the marker; phones append films to pictures, so the whole is searched else.
    tail_at = max(scan_at, size_bytes - _PIECE_BYTES)
    if b"\xff\xd9" in read(tail_at, _PIECE_BYTES):
        return False
    at, before = scan_at, b""
    while piece := read(at, _PIECE_BYTES):
        if b"\xff\xd9" in before + piece:
            return False
        at, before = at + len(piece), piece[-1:]
    return True


def _png_is_cut(read: Read, size_bytes: int) -> bool:
    at = 8
    for _ in range(_MOST_PARTS):
        head = read(at, 8)
        kind = head[4:8]
        if kind == b"IEND":
            return False
        if len(head) < 8:
            return at > 8 and bool(head)  # in the middle of a chunk's head
        if not kind.isalpha():
            return False  # no chain that could be followed
        at += 12 + int.from_bytes(head[:4], "big")
        if at > size_bytes:
            return True
    return False


def _segments(read: Read) -> Iterator[tuple[int, int, int]]:
    """A JPEG's markers up to its first scan: each with its offset and its length in bytes."""
    at = 2
    for _ in range(_MOST_PARTS):
        head = read(at, 4)
        if len(head) < 4 or head[0] != 0xFF:
            return
        if head[1] == 0xFF:  # padding
            at += 1
            continue
        length = int.from_bytes(head[2:4], "big")
        yield head[1], at, length
        if head[1] == 0xDA:
            return
        at += 2 + length


def _ftyp_end(head: bytes) -> int:
    return min(int.from_bytes(head[:4], "big"), len(head) - 3)


def _audio_frame(head: bytes) -> str | None:
    """MPEG audio of layer III, or AAC in ADTS, by the first frame's header."""
    if len(head) < 2 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    if head[1] & 0xF6 == 0xF0:
        return "audio/aac"
    is_layer_3 = head[1] & 0x06 == 0x02 and head[1] & 0x18 != 0x08
    bitrate, rate = (head[2] >> 4, head[2] >> 2 & 3) if len(head) > 2 else (0, 0)
    return "audio/mpeg" if is_layer_3 and bitrate != 15 and rate != 3 else None


def _tracks(read: Read) -> set[bytes]:
    """The handlers of an MP4's tracks, `vide` and `soun`; empty where its header is not found."""
    at = 0
    for _ in range(_MOST_PARTS):
        head = read(at, 16)
        if len(head) < 8:
            break
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if head[4:8] == b"moov":
            movie = read(
                at, min(length or _LONGEST_MOVIE_HEADER_BYTES, _LONGEST_MOVIE_HEADER_BYTES)
            )
            # hdlr: size, name, version and flags, pre_defined, then the handler's type.
            return {movie[found + 12 : found + 16] for found in _all(movie, b"hdlr")}
        if length < 8:
            break
        at += length
    return set()


def _all(content: bytes, part: bytes) -> Iterator[int]:
    at = content.find(part)
    while at >= 0:
        yield at
        at = content.find(part, at + 1)


def _is_utf8(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as exc:
        return exc.end == len(head)  # a character that the end of the head cuts
    return True

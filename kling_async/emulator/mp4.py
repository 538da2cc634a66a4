"""How is a small real MP4 made by hand? H.264 that players decode, of any size and length.

One key frame, then frames that say "as before": a minute of 1080 x 1080 takes less than 20 KB. The
key frame is grey, or a picture that is not compressed, which takes 780 KB at 720 x 720. `marker`
makes the bytes of each file its own.
"""

from __future__ import annotations

import re
import struct
from functools import cache, lru_cache

from .portraits import blocks

_FRAME_MS = 100
_TIMESCALE = 1000  # ticks a second: milliseconds
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
# One macroblock: Intra 16x16 predicted from nothing, no residual; 0x27 is its whole code.
_GREY_BLOCK = "00100111"


def video(
    marker: str,
    width: int,
    height: int,
    duration_ms: int,
    least_bytes: int = 0,
    brand: bytes = b"isom",
    picture: bytes | None = None,
) -> bytes:
    """A whole file.

    Args:
        marker: any text, stored in a box that players skip.
        width: pixels, even.
        height: pixels, even.
        duration_ms: rounded to nothing; the last frame is shorter.
        least_bytes: padded to that size with zeros in another skipped box.
        brand: `qt  ` for QuickTime, whose boxes are the same.
        picture: what is to be seen, a JPEG or PNG; grey without, and where it can't be opened.
    """
    still = None if picture is None else _seen(picture, width, height)
    made = _unpadded if still is None else _unpadded.__wrapped__
    whole = made(width, height, duration_ms, brand, still) + _box(b"free", marker.encode())
    missing = least_bytes - len(whole)
    return whole if missing <= 0 else whole + _box(b"free", bytes(max(0, missing - 8)))


@lru_cache(maxsize=64)
def _unpadded(
    width: int, height: int, duration_ms: int, brand: bytes, still: bytes | None
) -> bytes:
    frames = max(1, -(-duration_ms // _FRAME_MS))
    samples = [_grey(width, height) if still is None else still]
    samples += [_as_before(number, _blocks(width) * _blocks(height)) for number in range(1, frames)]
    data = _box(b"mdat", *samples)
    head = _box(b"ftyp", brand + b"\0\0\2\0" + brand + b"iso2avc1mp41")
    sizes = [len(sample) for sample in samples]
    at = len(head) + len(_movie(width, height, duration_ms, sizes, 0)) + 8
    return head + _movie(width, height, duration_ms, sizes, at) + data


# Boxes


def _box(name: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I", 8 + len(content)) + name + content


def _full_box(name: bytes, *parts: bytes, flags: int = 0) -> bytes:
    return _box(name, struct.pack(">I", flags), *parts)


def _movie(width: int, height: int, duration_ms: int, sizes: list[int], data_at: int) -> bytes:
    head = _full_box(
        b"mvhd",
        struct.pack(">IIIIIH10x", 0, 0, _TIMESCALE, duration_ms, 0x10000, 0x100),
        _MATRIX,
        struct.pack(">24xI", 2),
    )
    track = _full_box(
        b"tkhd",
        struct.pack(">IIIII8xHHHH", 0, 0, 1, 0, duration_ms, 0, 0, 0, 0),
        _MATRIX,
        struct.pack(">II", width << 16, height << 16),
        flags=3,
    )
    media = _box(
        b"mdia",
        _full_box(b"mdhd", struct.pack(">IIIIHH", 0, 0, _TIMESCALE, duration_ms, 0x55C4, 0)),
        _full_box(b"hdlr", b"\0\0\0\0vide", bytes(12), b"picture\0"),
        _box(
            b"minf",
            _full_box(b"vmhd", bytes(8), flags=1),
            _box(b"dinf", _full_box(b"dref", struct.pack(">I", 1), _full_box(b"url ", flags=1))),
            _samples(width, height, duration_ms, sizes, data_at),
        ),
    )
    return _box(b"moov", head, _box(b"trak", track, media))


def _samples(width: int, height: int, duration_ms: int, sizes: list[int], data_at: int) -> bytes:
    count = len(sizes)
    last_ms = duration_ms - _FRAME_MS * (count - 1)
    times = [(count - 1, _FRAME_MS), (1, last_ms)] if count > 1 else [(1, last_ms)]
    return _box(
        b"stbl",
        _full_box(b"stsd", struct.pack(">I", 1), _description(width, height)),
        _full_box(b"stts", struct.pack(">I", len(times)), *(struct.pack(">II", *t) for t in times)),
        _full_box(b"stss", struct.pack(">II", 1, 1)),
        _full_box(b"stsc", struct.pack(">IIII", 1, 1, count, 1)),
        _full_box(b"stsz", struct.pack(f">II{count}I", 0, count, *sizes)),
        _full_box(b"stco", struct.pack(">II", 1, data_at)),
    )


def _description(width: int, height: int) -> bytes:
    sequence, picture = _safe(_sequence(width, height)), _safe(_picture())
    config = (
        b"\x01" + sequence[1:4] + b"\xff\xe1" + struct.pack(">H", len(sequence)) + sequence
        + b"\x01" + struct.pack(">H", len(picture)) + picture
    )  # fmt: skip
    return _box(
        b"avc1",
        struct.pack(">6xH16xHHIIIH32xHh", 1, width, height, 72 << 16, 72 << 16, 0, 1, 24, -1),
        _box(b"avcC", config),
    )


# H.264, as strings of bits


def _sequence(width: int, height: int) -> bytes:
    right, bottom = (_blocks(width) * 16 - width) // 2, (_blocks(height) * 16 - height) // 2
    crop = f"1{_ue(0)}{_ue(right)}{_ue(0)}{_ue(bottom)}" if right or bottom else "0"
    size = _ue(_blocks(width) - 1) + _ue(_blocks(height) - 1)
    # Baseline, level 4: 8-bit frame numbers, output in order, one reference frame.
    # Its colours are those of a JPEG: all 256 steps, and the matrix of BT.601.
    colours = f"1001{5:03b}11{1:08b}{1:08b}{6:08b}000000"
    bits = f"{_ue(0)}{_ue(4)}{_ue(2)}{_ue(1)}0{size}11{crop}{colours}"
    return b"\x67\x42\xc0\x28" + _packed(bits)


def _picture() -> bytes:
    return b"\x68" + _packed(f"{_ue(0) * 2}00{_ue(0) * 3}000{_ue(0) * 3}100")


@cache
def _grey(width: int, height: int) -> bytes:
    """A key frame of one colour."""
    return _unit(b"\x65", _packed(_KEY_FRAME + _GREY_BLOCK * (_blocks(width) * _blocks(height))))


def _seen(picture: bytes, width: int, height: int) -> bytes | None:
    """A key frame that shows a picture; None where that can't be opened."""
    # Each block: its type, Intra PCM, then zeros up to a whole byte; at the end a closing 1.
    head = _bytes(_ue(_PCM))
    found = blocks(picture, _blocks(width), _blocks(height), head)
    if found is None:
        return None
    return _unit(b"\x65", _bytes(_KEY_FRAME + _ue(_PCM)) + found[len(head) :] + b"\x80")


@lru_cache(maxsize=4096)
def _as_before(number: int, number_of_blocks: int) -> bytes:
    """A frame that skips all its blocks."""
    start = f"{_ue(0)}{_ue(5)}{_ue(0)}{number % 256:08b}000{_ue(0)}{_ue(1)}"
    return _unit(b"\x41", _packed(start + _ue(number_of_blocks)))


def _unit(head: bytes, plain: bytes) -> bytes:
    content = head + _safe(plain)
    return struct.pack(">I", len(content)) + content


def _safe(plain: bytes) -> bytes:
    """Without three bytes in a row that look like a start code."""
    return re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", plain)


def _packed(bits: str) -> bytes:
    """The bits, a closing 1 and zeros."""
    return _bytes(bits + "1")


def _bytes(bits: str) -> bytes:
    """The bits, and zeros up to a whole byte."""
    return int(bits + "0" * (-len(bits) % 8), 2).to_bytes(-(-len(bits) // 8), "big")


def _ue(value: int) -> str:
    """Exponential Golomb: as many zeros as bits follow the first one."""
    bits = f"{value + 1:b}"
    return "0" * (len(bits) - 1) + bits


def _blocks(pixels: int) -> int:
    return -(-pixels // 16)


_PCM = 25
"""The type of a block whose pixels follow as they are, in a key frame."""
_KEY_FRAME = f"{_ue(0)}{_ue(7)}{_ue(0)}{0:08b}{_ue(0)}00{_ue(0)}{_ue(1)}"

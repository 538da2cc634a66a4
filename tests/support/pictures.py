"""Real picture bytes of any size, without an imaging library."""

from __future__ import annotations

import struct
import zlib


def png(width: int = 300, height: int = 300) -> bytes:
    """A whole, valid PNG: black, one bit per pixel."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    pixels = (b"\0" + b"\0" * ((width + 7) // 8)) * height
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(pixels))
        + _chunk(b"IEND", b"")
    )


def jpeg(width: int = 300, height: int = 300, *, exif_bytes: int = 0) -> bytes:
    """The head of a JPEG, as far as its size; `exif_bytes` of other data stand before that."""
    exif = b""
    while exif_bytes > 0:
        size = min(exif_bytes, 65_000)
        exif += b"\xff\xe1" + struct.pack(">H", size + 2) + b"\0" * size
        exif_bytes -= size
    frame = struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\x00"
    return b"\xff\xd8" + exif + b"\xff\xc0" + frame + b"\xff\xd9"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

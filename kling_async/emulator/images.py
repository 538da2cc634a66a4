"""How large is this picture, and is this file what its Content-Type says?

Pure functions over bytes, asked by the upload operation. They look at signatures and headers
only; nothing is decoded.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from attrs import frozen

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_SIGNATURE = b"\xff\xd8\xff"


@frozen
class PixelSize:
    """Width and height in pixels."""

    width: int
    height: int

    @property
    def shorter_side(self) -> int:
        """The side that a minimum applies to."""
        return min(self.width, self.height)


def png_size(data: bytes) -> PixelSize | None:
    """The size in the first chunk of a PNG, None when `data` does not begin like one."""
    if len(data) < 33 or not data.startswith(_PNG_SIGNATURE) or data[8:16] != b"\0\0\0\rIHDR":
        return None
    return _sized(*struct.unpack(">II", data[16:24]))


def jpeg_size(data: bytes) -> PixelSize | None:
    """The size in the frame header of a JPEG, None when there is none to be found."""
    if not data.startswith(_JPEG_SIGNATURE):
        return None
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte before a marker
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # stands alone, has no length
            at += 2
        elif marker in (0xD9, 0xDA):  # end, or pixels begin: too late for a frame header
            return None
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if at + 9 > len(data):
                return None
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return _sized(width, height)
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def looks_like(content_type: str, data: bytes) -> bool:
    """Whether the first bytes fit the type; only for the types an upload may have."""
    return _LOOKS[content_type](data)


def png(width: int, height: int, rgb: tuple[int, int, int]) -> bytes:
    """A valid PNG of one colour: what the emulator shows where the vendor has a real picture."""
    # One bit a pixel and a palette: 7 ms less than three bytes a pixel, for each of 512 x 512.
    header = struct.pack(">IIBBBBB", width, height, 1, 3, 0, 0, 0)
    rows = b"\0" * ((1 + (width + 7) // 8) * height)
    chunks = [
        (b"IHDR", header),
        (b"PLTE", bytes(rgb)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    return _PNG_SIGNATURE + b"".join(_png_chunk(name, content) for name, content in chunks)


def sample_png(seed: int = 0, width: int = 512, height: int = 512) -> bytes:
    """A valid PNG to upload, of a colour that depends on `seed`.

    Args:
        seed: any integer; 2**24 colours.
        width: pixels, default 512; uploads need 300 or more.
        height: pixels, default 512.

    Examples:
        >>> ada = await kling.avatars.create(image=sample_png(seed=7))
    """
    mixed = (seed * 0x9E3779B1) & 0xFFFFFF
    return png(width, height, (mixed >> 16, (mixed >> 8) & 0xFF, mixed & 0xFF))


def _sized(width: int, height: int) -> PixelSize | None:
    return PixelSize(width, height) if width > 0 and height > 0 else None


def _png_chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def _is_iso_media(data: bytes) -> bool:
    return data[4:8] == b"ftyp"


def _is_quicktime(data: bytes) -> bool:  # old QuickTime files begin without a type box
    return data[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")


def _is_wave(data: bytes) -> bool:
    return data.startswith((b"RIFF", b"RF64")) and data[8:12] == b"WAVE"


def _is_mpeg_audio(data: bytes) -> bool:  # an ID3 tag, or 11 bits of frame sync and a layer
    if data.startswith(b"ID3"):
        return True
    return len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0 and data[1] & 0x06 != 0


def _is_aac(data: bytes) -> bool:  # ADTS: 12 bits of frame sync, layer always 0
    if data.startswith(b"ADIF"):
        return True
    return len(data) > 1 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0


_LOOKS: dict[str, Callable[[bytes], bool]] = {
    "image/png": lambda data: png_size(data) is not None,
    "image/jpeg": lambda data: jpeg_size(data) is not None,
    "video/mp4": _is_iso_media,
    "video/quicktime": _is_quicktime,
    "audio/wav": _is_wave,
    "audio/wave": _is_wave,
    "audio/mpeg": _is_mpeg_audio,
    "audio/mp4": _is_iso_media,
    "audio/flac": lambda data: data.startswith(b"fLaC"),
    "audio/aac": _is_aac,
    "audio/ogg": lambda data: data.startswith(b"OggS"),
}

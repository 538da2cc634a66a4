"""How are small real sound files made? Silence as MP3 and WAV, of any length.

`marker` makes the bytes of each file its own; players show it as a title or comment.
"""

from __future__ import annotations

import struct

# MPEG-2 layer III, 24 kHz, mono, 8 kbit/s: 24 bytes for 24 ms. All zeros behind the header is
# a frame without a single coefficient.
_MP3_FRAME = b"\xff\xf3\x14\xc4" + bytes(20)
_MP3_FRAME_MS = 24
_WAV_RATE_HZ = 8000


def mp3(marker: str, duration_ms: int) -> bytes:
    """Silence as MP3, rounded up to whole frames of 24 ms."""
    title = b"\0" + marker.encode("latin-1", "replace")
    frame = b"TIT2" + struct.pack(">IH", len(title), 0) + title
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    frames = max(1, -(-duration_ms // _MP3_FRAME_MS))
    return b"ID3\x03\0\0" + size + frame + _MP3_FRAME * frames


def wav(marker: str, duration_ms: int) -> bytes:
    """Silence as WAV: 8 kHz, 8 bits, mono."""
    comment = marker.encode("latin-1", "replace") + b"\0"
    comment += b"\0" * (len(comment) % 2)
    samples = _WAV_RATE_HZ * duration_ms // 1000
    chunks = (
        _chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, _WAV_RATE_HZ, _WAV_RATE_HZ, 1, 8)),
        _chunk(b"LIST", b"INFO" + _chunk(b"ICMT", comment)),
        _chunk(b"data", b"\x80" * (samples + samples % 2)),
    )
    return _chunk(b"RIFF", b"WAVE" + b"".join(chunks))


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content

"""How does a picture become the first frame of a video? Cut into blocks, each pixel as it is.

Pillow opens the picture; it comes with the extra `cli`, and without it there is none to see.
"""

from __future__ import annotations

import io
import warnings
from functools import lru_cache

_MOST_PIXELS = 40_000_000


@lru_cache(maxsize=8)  # 780 kB each at 720 x 720
def blocks(picture: bytes, across: int, down: int, head: bytes) -> bytes | None:
    """The macroblocks of H.264 that a picture fills, row by row; None where it can't be opened.

    Args:
        picture: a whole file, JPEG or PNG.
        across: blocks of 16 pixels in a row; what does not fit is cut off.
        down: rows.
        head: comes before each block.
    """
    try:
        from PIL import Image, ImageOps

        with warnings.catch_warnings(), Image.open(io.BytesIO(picture)) as opened:
            warnings.simplefilter("ignore")
            if opened.width * opened.height > _MOST_PIXELS:
                return None
            size = (16 * across, 16 * down)
            opened.draft("RGB", size)  # a JPEG is decoded at about this size
            upright = ImageOps.exif_transpose(opened).convert("RGB")
            # Faces are in the upper half of a portrait.
            method = Image.Resampling.BILINEAR
            fitted = ImageOps.fit(upright, size, method, centering=(0.5, 0.3)).convert("YCbCr")
            light, *colours = fitted.split()
            planes = [(16, light.tobytes()), *((8, one.reduce(2).tobytes()) for one in colours)]
    except Exception:  # no Pillow, or one of its many errors for broken files
        return None
    filled = bytearray((head + bytes(384)) * (across * down))
    at, step = len(head), len(head) + 384
    for side, plane in planes:
        width = side * across
        for line in range(side):  # the same pixel of all blocks at once, which is fast
            lines = range(line, side * down, side)
            pixels = b"".join(plane[one * width : (one + 1) * width] for one in lines)
            for column in range(side):
                filled[at::step] = pixels[column::side]
                at += 1
    return bytes(filled)

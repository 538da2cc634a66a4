"""How does a picture get into a page? As a small copy of it, written into the address itself."""

from __future__ import annotations

import base64
import io
import warnings
from pathlib import Path

from PIL import Image, ImageOps

SIDE_PX = 96
"""Of a small copy: twice what the page shows on a screen of one pixel a dot at most."""
MOST_PIXELS = 100_000_000
"""A picture of more is not opened: it would take 300 MB of memory."""


def small_copy(path: Path) -> str | None:
    """The picture at `path` as a `data:` address of some 2 kB; None where there is none to see.

    Any file may be at the path of an input, so a wrong one is no error.
    """
    try:
        with warnings.catch_warnings(), Image.open(path) as picture:
            warnings.simplefilter("ignore")
            if picture.width * picture.height > MOST_PIXELS:
                return None
            picture.draft("RGB", (2 * SIDE_PX, 2 * SIDE_PX))  # a JPEG is decoded at this size
            # Faces are in the upper half of a portrait.
            small = ImageOps.fit(
                ImageOps.exif_transpose(picture).convert("RGB"),
                (SIDE_PX, SIDE_PX),
                centering=(0.5, 0.3),
            )
            out = io.BytesIO()
            small.save(out, "WEBP", quality=60, method=2)
    except Exception:  # Pillow raises errors of many types for broken files
        return None
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode()

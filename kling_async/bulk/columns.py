"""Which columns may an input have, and how are they spelled?"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from .videorows import VIDEO_FIELDS

WHOLE_ROW = ""
"""The name under which `RowInput.problems` holds what is wrong with no column in particular."""

COLUMNS = (
    "key",
    "image",
    "image_url",
    "avatar_id",
    "nickname",
    "prompt",
    "scene",
    "tts_speaker",
    "tts_speed",
    "tts_emotion",
    "account",
    "email",
    *VIDEO_FIELDS,
)
OWN_PREFIX = "x_"


def name_of(written: str) -> str:
    """A column's name in one spelling: `TTS-Speed ` is `tts_speed`."""
    return re.sub(r"[-\s]", "_", written.strip()).lower()


def is_known(name: str) -> bool:
    """Whether an input may have this column."""
    return name in COLUMNS or name.startswith(OWN_PREFIX)


def unknown(name: str, known: Sequence[str]) -> str:
    """Why an input may not have this column."""
    if name == "extra":
        return "is taken from JSON Lines only"
    close = difflib.get_close_matches(name, known, n=2)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(known)}."
    return f"is no column of an input; {hint} Columns of your own begin with x_"

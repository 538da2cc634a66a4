"""What is a file called? Its row's key, where every system can store that, else close to it."""

from __future__ import annotations

import hashlib
import re
import unicodedata

STEM_BYTES = 120
"""Most systems allow 255 bytes of a name; a download needs some for its temporary one."""
_UNSTORABLE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)  # of Windows


def file_name(key: str, ending: str) -> str:
    """A name for the file of the row `key`.

    Where the key can't be a name as it is, what can be kept is kept, and a short digest of the key
    tells it from its likes: no two keys have the same name, but for case (see `name_key`).
    """
    stem = _UNSTORABLE.sub("_", unicodedata.normalize("NFC", key)).strip(" .")
    stem = stem.encode()[:STEM_BYTES].decode(errors="ignore").rstrip(" .")
    if stem != key or not stem or _RESERVED.fullmatch(stem):
        return with_digest(key, stem, ending)
    return f"{stem}{ending}"


def with_digest(key: str, stem: str, ending: str) -> str:
    """The name of one whose plain name is another row's already."""
    digest = hashlib.sha256(key.encode()).hexdigest()[:10]
    return f"{stem}-{digest}{ending}" if stem else f"{digest}{ending}"


def name_key(name: str) -> str:
    """Equal for names that some file system takes for one."""
    return unicodedata.normalize("NFC", name.casefold())

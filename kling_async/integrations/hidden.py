"""What must nobody read? E-mails and tokens, in answers and in logs. Pure."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"user(:|%3A)\d+-\w+", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.+%-]+(@|%40)[\w-]+(\.[\w-]+)+", re.IGNORECASE)
# Not what follows a word, a URL's host or a route's template.
_PATH = re.compile(r"(?<![\w/:.}])/(?:[^\s/:,;{}]+/)+[^\s:,;{}]*")


def without_secrets(text: str) -> str:
    """`text` without e-mails and tokens, percent-encoded or not."""
    return _EMAIL.sub("(e-mail)", _TOKEN.sub("(token)", text))


def without_paths(text: str) -> str:
    """`text` without absolute paths of this machine."""
    return _PATH.sub("(path)", text)

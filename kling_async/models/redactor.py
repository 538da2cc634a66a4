"""How is a known secret blanked in what comes from outside, whatever form it comes back in? Pure.

Servers and proxies repeat what was sent to them: in JSON with escapes, in pages with entities, in
addresses percent-encoded, in dumps of headers as base64.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable

BLANKED = "***"
_SHORTEST = 4  # blanking "a" would blank half of every text


class Redactor:
    """Blanks some secrets in texts and in bytes.

    Args:
        secrets: what must not be shown; those of fewer than 4 characters are left out.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        known = sorted({one for one in secrets if len(one) >= _SHORTEST}, key=len, reverse=True)
        forms = [_any_form(one) for one in known]
        encoded = [form for one in known for form in (*_in_base64(one), *_in_wide(one))]
        self._pattern = re.compile("|".join([*forms, *map(re.escape, encoded)])) if known else None
        # What must be there for the pattern to match: to look for it costs 0.1 us, an answer's
        # whole pattern 20 us and more. One that holds another says nothing more than that one.
        signs = {form for one in known for form in _signs(one)} | set(encoded)
        self._signs = {one for one in signs if not any(of in one for of in signs - {one})}
        self._signs_in_bytes = [one.encode() for one in self._signs]

    def text(self, text: str) -> str:
        """`text` without the secrets."""
        if self._pattern is None or not any(one in text for one in self._signs):
            return text
        return self._pattern.sub(BLANKED, text)

    def content(self, content: bytes) -> bytes:
        """`content` without the secrets, in any encoding that keeps ASCII."""
        for sign in self._signs_in_bytes:  # a generator would take three times as long
            if sign in content:
                break
        else:
            return content
        assert self._pattern is not None  # there are signs
        return self._pattern.sub(BLANKED, content.decode("latin-1")).encode("latin-1")


def _any_form(secret: str) -> str:
    """A pattern for the secret, each of its bytes as it is or escaped."""
    return "".join(
        f"(?:{'|'.join(map(re.escape, _plain_forms(byte)))}"
        f"|(?i:%{byte:02x}|\\\\u00{byte:02x}|\\\\x{byte:02x}|&#x0*{byte:x};)|&#0*{byte};)"
        for byte in secret.encode()
    )


def _plain_forms(byte: int) -> list[str]:
    char = chr(byte)
    return [char, *_NAMED.get(char, ())]


_NAMED = {
    ":": ("&colon;",),
    "&": ("&amp;",),
    "<": ("&lt;",),
    ">": ("&gt;",),
    '"': ("&quot;", '\\"'),
    "'": ("&apos;", "\\'"),
    "/": ("\\/", "&sol;"),
    "\\": ("\\\\",),
    " ": ("+",),
}


def _signs(secret: str) -> list[str]:
    """Texts of which one is in every form of the secret: its longest plain part, or an escape."""
    core = max(re.findall(r"[A-Za-z0-9]*", secret), key=len)
    first = (core or secret).encode()[0]
    escapes = [f"%{first:02x}", f"%{first:02X}", f"\\u00{first:02x}", f"\\u00{first:02X}"]
    return [core, *escapes, f"\\x{first:02x}", "&#"] if len(core) >= _SHORTEST else ["", *escapes]


def _in_wide(secret: str) -> list[str]:
    """The secret in UTF-16 and UTF-32, of either order, read byte by byte."""
    return ["\0".join(secret), "\0\0\0".join(secret)]


def _in_base64(secret: str) -> list[str]:
    """What shows of the secret in base64, wherever in the encoded text it begins."""
    content, found = secret.encode(), []
    if len(content) < 9:  # too little would show to tell it from anything else
        return []
    for before in range(3):
        whole = base64.b64encode(bytes(before) + content).decode().rstrip("=")
        sure = whole[(0, 2, 3)[before] : len(whole) - (1 if (before + len(content)) % 3 else 0)]
        found += [sure, sure.translate(str.maketrans("+/", "-_"))]
    return found

"""Is a secret blanked in whatever form it comes back?"""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async.models.redactor import Redactor

TOKEN = "user:12345-abcdefghi"
ALL = {
    "plain": TOKEN,
    "percent": quote(TOKEN, safe=""),
    "percent lower": quote(TOKEN, safe="").replace("%3A", "%3a"),
    "entities": html.escape(TOKEN).replace(":", "&#58;").replace("-", "&#x2D;"),
    "named": TOKEN.replace(":", "&colon;"),
    "json": json.dumps(TOKEN).strip('"').replace(":", "\\u003a"),
    "all json": "".join(f"\\u{ord(char):04x}" for char in TOKEN),
    "all percent": "".join(f"%{ord(char):02X}" for char in TOKEN),
    "all entities": "".join(f"&#{ord(char)};" for char in TOKEN),
    "UTF-16": TOKEN.encode("utf-16-le").decode("latin-1").rstrip("\0"),
    "UTF-32": TOKEN.encode("utf-32-be").decode("latin-1").lstrip("\0"),
    "bytes": "".join(f"\\x{ord(char):02x}" for char in TOKEN),
}


@pytest.mark.parametrize("form", ALL.values(), ids=ALL.keys())
def test_every_form_is_blanked(form: str) -> None:
    redactor = Redactor([TOKEN])
    for text in (form, f"Authorization: Bearer {form}\n", f'{{"a": "{form}", "b": "{form}"}}'):
        assert redactor.text(text) == text.replace(form, "***")
        assert redactor.content(text.encode()) == text.replace(form, "***").encode()


@pytest.mark.parametrize("before", ["", "a", "ab", "Bearer ", "Authorization: Bearer "])
@pytest.mark.parametrize("after", ["", "x", "xy", "\r\n"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_base64_is_blanked(before: str, after: str, encode: object) -> None:
    encoded = encode((before + TOKEN + after).encode()).decode()  # type: ignore[operator]
    blanked = Redactor([TOKEN]).text(f"dump: {encoded}")
    left = blanked.removeprefix("dump: ").split("***")
    assert len(left) == 2
    # What stays stands for what was around it, and at most two characters of it at each end.
    assert len(left[0]) <= 4 * -(-len(before) // 3)
    assert len(left[1]) <= 4 * -(-(len(after) + 2) // 3)


@pytest.mark.parametrize("secret", ["ninechars", "ten-chars-", "eleven-char", "twelve-charW"])
@pytest.mark.parametrize("before", range(3))
def test_base64_is_blanked_but_for_what_stands_for_its_neighbours(secret: str, before: int) -> None:
    encoded = base64.b64encode(b"x" * before + secret.encode()).decode().rstrip("=")
    ends = 1 if (before + len(secret)) % 3 else 0
    start = (0, 2, 3)[before]
    expected = encoded[:start] + "***" + encoded[len(encoded) - ends :]
    assert Redactor([secret]).text(encoded) == expected


def test_of_two_secrets_that_begin_alike_the_longer_is_blanked() -> None:
    for known in (["abcd", "abcdefgh"], ["abcdefgh", "abcd"]):
        assert Redactor(known).text("abcdefgh abcd") == "*** ***"


def test_a_secret_of_few_letters_is_blanked_wherever_it_is_escaped() -> None:
    assert Redactor(["ab:-"]).text("a%62%3A-") == "***"


def test_what_holds_no_secret_is_handed_on_as_it_is() -> None:
    content = b'{"id": "12345", "prompt": "user: abc-defghi &# %75 \\u0075"}'
    assert Redactor([TOKEN]).content(content) == content
    assert Redactor([]).content(content) is content
    assert Redactor(["", "a", "abc"]).text("abc a") == "abc a"


@given(st.text(min_size=4, max_size=30), st.text(max_size=20), st.text(max_size=20))
def test_any_secret_is_blanked(secret: str, before: str, after: str) -> None:
    redactor = Redactor([secret])
    try:
        percent = quote_plus(secret)
    except UnicodeEncodeError:
        return  # a half character can't be sent, so it can't come back
    for form in (secret, quote(secret, safe=""), percent):
        if form.isascii():
            assert form not in redactor.text(before + form + after).replace("***", "")
            assert form.encode() not in redactor.content((before + form + after).encode())


@given(st.binary(max_size=300))
def test_any_bytes_are_looked_through(content: bytes) -> None:
    redactor = Redactor([TOKEN, "pass word/&+"])
    assert TOKEN.encode() not in redactor.content(content + TOKEN.encode() + content)

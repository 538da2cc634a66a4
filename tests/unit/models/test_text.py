"""Is a text from outside harmless wherever it is shown?"""

from __future__ import annotations

import json

import pytest

from kling_async.models.text import encodable_json, json_shown, on_one_line, printable

HALF, MARK = "\ud83d", "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(("text", "shown", "in_json"), [
    ("Zoë 🙂\t\n", "Zoë 🙂\t\n", r"Zoë 🙂\t\n"),
    ("\x1b[2J", r"\x1b[2J", r"\u001b[2J"),
    ("\x9f\xad", r"\x9f\xad", r"\u009f\u00ad"),
    ("\u061c\u200b", r"\u061c\u200b", r"\u061c\u200b"),
    ("\ufeff\ufffb", r"\ufeff\ufffb", r"\ufeff\ufffb"),
    ("\U000e0001", r"\U000e0001", r"\udb40\udc01"),
    (f"a{HALF}b", f"a{MARK}b", r"a\ud83db"),
])  # fmt: skip
def test_what_is_shown_of_a_text(text: str, shown: str, in_json: str) -> None:
    assert printable(text) == shown
    assert json_shown({"ä": [text]}) == f'{{"ä": ["{in_json}"]}}'
    assert json_shown([text], indent=1) == f'[\n "{in_json}"\n]'
    assert json.loads(json_shown(text)) == text


def test_a_line_stays_a_line() -> None:
    assert on_one_line(" a \r\n b\x07\n") == r"a b\x07"
    assert on_one_line("ab\ncd", 4) == "ab c"


def test_json_of_any_depth_is_encodable() -> None:
    given = {HALF: [HALF, {"a": HALF, "n": 1}], "b": None}
    assert encodable_json(given) == {MARK: [MARK, {"a": MARK, "n": 1}], "b": None}

"""Is a row's file called what every system can store, and never what another's is?"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async.bulk.filenames import file_name, name_key


@pytest.mark.parametrize("key", ["ada", "Row 7", "a.b", "Zoë", "2026-11-24", "x" * 120])
def test_a_plain_key_is_the_name(key: str) -> None:
    assert file_name(key, ".mp4") == f"{key}.mp4"


@pytest.mark.parametrize(
    ("key", "begins"),
    [
        ("a/b", "a_b-"), ("..", ""), ("../../etc/passwd", "_.._etc_passwd-"), ("con", "con-"),
        ("NUL.txt", "NUL.txt-"), ("a:b?", "a_b_-"), (" ada ", "ada-"), ("ada.", "ada-"),
        ("x" * 121, "x" * 120 + "-"), ("e\u0301", "\u00e9-"), ("\0", "_-"), ("🎈" * 99, "🎈" * 30),
    ],
)  # fmt: skip
def test_another_keeps_what_it_can(key: str, begins: str) -> None:
    name = file_name(key, ".mp4")
    assert name.startswith(begins)
    assert re.fullmatch(r".*[0-9a-f]{10}\.mp4", name, re.DOTALL)


KEYS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=300)


@given(KEYS)
def test_every_name_can_be_stored(key: str) -> None:
    name = file_name(key, ".mp4")
    assert len(name.encode()) < 200
    assert not set(name) & set('<>:"/\\|?*\0')
    assert not name.startswith((" ", "."))
    assert name.endswith(".mp4")


@given(KEYS, KEYS)
def test_no_two_keys_have_one_name(one: str, other: str) -> None:
    assert (file_name(one, ".mp4") == file_name(other, ".mp4")) == (one == other)


def test_names_that_some_systems_take_for_one() -> None:
    assert name_key("Ada.mp4") == name_key("ADA.mp4")
    assert name_key("Straße.mp4") == name_key("STRASSE.mp4")
    assert name_key("Zoë.mp4") == name_key("ZOE\u0308.mp4")

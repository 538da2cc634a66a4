"""What tests with random inputs share: how many, odd JSON, damaged bytes, what must never be said.

`FUZZ_EXAMPLES=2000` in the environment makes each of them longer; `nox -s fuzz` does.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

TOKEN = "user:12345-abcdefghi"
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "20"))
SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]

TRIED: Counter[str] = Counter()
"""What came of the examples of the test that runs now; `conftest.py` empties and prints it."""


def examples(share: float = 1.0) -> settings:
    """As many examples as this run has, or a share of them where each is slow.

    Each run of the tests has the same ones: new ones are found by `nox -s fuzz`, not by whoever
    changes something else.
    """
    count = max(5, round(EXAMPLES * share))
    same = "FUZZ_EXAMPLES" not in os.environ
    return settings(max_examples=count, deadline=None, suppress_health_check=SLOW, derandomize=same)


def came_to(outcome: object) -> None:
    """Count what came of an example."""
    TRIED[type(outcome).__name__] += 1


# --- JSON -------------------------------------------------------------------------------------

_ODD_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([-1, 2**31, 2**63, -(2**63), 2**64, 10**30, 10**400, 0]),
    st.floats(),
    st.sampled_from([1e308, -0.0, 5e-324, 1e999]),
    st.text(max_size=20),
    st.sampled_from(
        [
            "",
            " ",
            "\0",
            "\x1b[2J",
            "\ud83d",
            "ﬀ",
            "=1+1",
            "NaN",
            "-1",
            "1e5",
            "null",
            "true",
            TOKEN,
            "https://k/\n",
            "//",
            "http://[",
            "data:,",
            "9" * 5000,
            "2026-13-99T99:99:99Z",
            "0001-01-01T00:00:00+23:59",
            "9999-12-31T23:59:59-23:59",
            f"x {TOKEN} y",
        ]
    ),
    st.just([]),
    st.just({}),
    st.just([None]),
    st.just([[[]]]),
    st.just({"": None}),
    st.just({"id": 1, "error": {"code": {}, "message": []}}),
)
ODD_JSON = st.recursive(
    _ODD_VALUES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """`value` (JSON) with some of its members replaced, left out, doubled or added."""
    if draw(st.integers(0, 9)) == 0:
        return draw(ODD_JSON)
    if isinstance(value, Mapping):
        found = {}
        for name, member in value.items():
            fate = draw(st.integers(0, 7))
            if fate == 0:
                continue
            found[name] = draw(ODD_JSON) if fate in (1, 2) else draw(changed(member))
        if draw(st.integers(0, 5)) == 0:
            found[draw(st.sampled_from(_NAMES))] = draw(ODD_JSON)
        return found
    if isinstance(value, list):
        return [draw(changed(one)) for one in value for _ in range(draw(st.integers(0, 2)))]
    return value


_NAMES = [
    "id", "error", "message", "status", "status_final", "task", "works", "email", "code",
    "retryAfter", "createTime", "resource", "url", "history", "taskInfo", "extra",
]  # fmt: skip


@st.composite
def bodies(draw: st.DrawFn, good: Any) -> bytes:
    """The body of an answer: something like `good`, or anything else."""
    form = draw(st.integers(0, 11))
    if form == 0:
        return draw(st.binary(max_size=300))
    if form == 1:
        deep = draw(st.sampled_from([50, 900, 3000, 100_000]))
        inner = draw(st.sampled_from([b"[", b'{"a":', b'{"task":', b'[{"works":']))
        return inner * deep
    value = draw(changed(good))
    text = json.dumps(value, ensure_ascii=draw(st.booleans()))
    if form == 2:  # members twice
        text = text.replace("{", '{"id": null, "task": 5,', 1)
        text = text.replace("}", ', "id": [], "id": 7}')
    if form == 3:
        encoding = draw(st.sampled_from(["utf-16", "utf-32", "latin-1", "utf-8-sig", "cp037"]))
        return text.encode(encoding, "replace")
    content = text.encode("utf-8", draw(st.sampled_from(["replace", "surrogatepass"])))
    return damaged(content, draw(st.integers(0, 2**32))) if form in (4, 5) else content


def damaged(content: bytes, seed: int) -> bytes:
    """`content` with some of its bytes changed, left out, or its end cut off."""
    rng, found = random.Random(seed), bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(found) + 1)
        match rng.randrange(4):
            case 0:
                del found[at:]
            case 1:
                found[at : at + rng.randint(1, 8)] = rng.randbytes(rng.randint(0, 8))
            case 2:
                found[at : at + 1] = bytes([rng.choice(b'\0\xff"{}[]\\,:\r\n')])
            case _:
                found[at:at] = found[max(0, at - rng.randint(0, 40)) : at]
    return bytes(found)


# --- what may be said -------------------------------------------------------------------------


def looked_at(found: Any, depth: int = 0) -> None:
    """Read all that a user may read of a result, and see that nothing secret is in it."""
    assert TOKEN not in f"{found!r} {found}"
    if depth > 4:
        return
    if isinstance(found, (list, tuple)):
        for one in found[:5]:
            looked_at(one, depth + 1)
    elif isinstance(found, Mapping):
        for name, one in list(found.items())[:8]:
            looked_at(name, depth + 1)
            looked_at(one, depth + 1)
    elif hasattr(type(found), "__attrs_attrs__") or isinstance(found, Exception):
        for name in dir(type(found)):
            if not name.startswith("_") and not callable(getattr(type(found), name)):
                looked_at(getattr(found, name), depth + 1)

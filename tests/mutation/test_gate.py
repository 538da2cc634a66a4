"""Does the gate shut where it should?"""

from __future__ import annotations

from collections import Counter

import pytest
from gate import verdict

LIST = """# Survivors

### `a.f`
```diff
-    x = 0
+    x = 1
```
It makes no difference.
"""
KNOWN, OTHER = ("a.f", "- x = 0\n+ x = 1"), ("a.f", "- x = 0\n+ x = None")


@pytest.mark.parametrize(("codes", "survivors", "text", "is_open"), [
    ([1] * 9 + [0], [KNOWN], LIST, True),
    ([1] * 8 + [36, 0], [KNOWN], LIST, True),
    ([1] * 8 + [34, 0], [KNOWN], LIST, False),  # 8 of 9
    ([1] * 9 + [33, None], [KNOWN], LIST, False),  # not reached, not tried
    ([1] * 99 + [0], [OTHER], LIST, False),
    ([1] * 99 + [0, 0], [KNOWN, KNOWN], LIST, False),  # it is listed once
    ([1] * 99 + [0], [KNOWN], LIST.replace("It makes no difference.", ""), False),
    ([1] * 99, [], LIST, True),  # it is said, and no fault: a busy machine may run out of time
    ([], [], LIST, False),
])  # fmt: skip
def test_the_gate(
    codes: list[int | None], survivors: list[tuple[str, str]], text: str, is_open: bool
) -> None:
    good, lines = verdict(codes, Counter(survivors), text)
    assert good is is_open
    assert any("noticed now" in one for one in lines) is (KNOWN not in survivors)

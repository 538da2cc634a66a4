"""Can "nothing was audited" be taken for "nothing was found"?"""

from __future__ import annotations

from typing import Any

import pytest
from audit import FOUND, NONE, NOT_AUDITED, verdict

SOUND = {"name": "httpx", "version": "0.28.1", "vulns": []}
ILL = {
    "name": "h11",
    "version": "0.14",
    "vulns": [{"id": "CVE-1", "fix_versions": ["0.16"]}, {"id": "CVE-2", "fix_versions": []}],
}
UNKNOWN = {"name": "attrs", "skip_reason": "not found"}


@pytest.mark.parametrize(("packages", "code", "said"), [
    ([SOUND], NONE, ["no flaw is known of 1 packages"]),
    ([SOUND, ILL], FOUND,
     ["h11 0.14: CVE-1, mended in 0.16", "h11 0.14: CVE-2, mended in no version yet"]),
    ([SOUND, UNKNOWN], NOT_AUDITED,
     ["NOT AUDITED, 1 of 2: attrs", "no flaw is known of 1 packages"]),
    ([ILL, UNKNOWN], FOUND,
     ["h11 0.14: CVE-1, mended in 0.16", "h11 0.14: CVE-2, mended in no version yet",
      "NOT AUDITED, 1 of 2: attrs"]),
    ([UNKNOWN], NOT_AUDITED, ["NOTHING WAS AUDITED: not found"]),
    ([], NOT_AUDITED, ["NOTHING WAS AUDITED: no connection"]),
])  # fmt: skip
def test_what_is_said_and_how_it_ends(
    packages: list[dict[str, Any]], code: int, said: list[str]
) -> None:
    assert verdict(packages, "no connection") == (code, said)

"""Says after the run how many examples each test had, and what came of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from fuzzing import TRIED


@pytest.fixture(autouse=True)
def counted(record_property: Any) -> Iterator[None]:
    TRIED.clear()
    yield
    record_property("tried", dict(TRIED))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    found: dict[str, Counter[str]] = {}
    # The count is known when a test is torn down.
    for report in terminalreporter.stats.get("", []):
        for name, tried in report.user_properties:
            if name == "tried":
                test = report.nodeid.partition("[")[0].rpartition("/")[2]
                found.setdefault(test, Counter()).update(tried)
    for test, tried in sorted(found.items()):
        kinds = ", ".join(f"{kind} {count}" for kind, count in tried.most_common(12))
        terminalreporter.write_line(f"{sum(tried.values()):>8} examples of {test}: {kinds}")
    total = sum(sum(one.values()) for one in found.values())
    terminalreporter.write_line(f"{total:>8} examples in all")

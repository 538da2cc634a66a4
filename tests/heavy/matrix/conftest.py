"""MATRIX=half: each cell runs on one of the transports, in turn; without it, on both."""

from __future__ import annotations

import os

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("MATRIX") != "half":
        return
    turns: dict[str, int] = {}
    left: list[pytest.Item] = []
    for item in items:
        params = getattr(getattr(item, "callspec", None), "params", {})
        if "cell" not in params or "transport" not in params:
            continue
        turn = turns.setdefault(str(params["cell"]), len(turns))
        if turn % 2 != (params["transport"] == "httpx"):
            left.append(item)
    config.hook.pytest_deselected(items=left)
    gone = set(left)
    items[:] = [item for item in items if item not in gone]

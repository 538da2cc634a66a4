"""Is the table of operations what the code says, and is each of them everywhere?"""

from __future__ import annotations

import api_coverage
import pytest
from api_coverage import API, COMMANDS, PAGE, page, requests, vendors_page


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "run: python tests/heavy/docs/api_coverage.py"
    )


def test_the_api_has_49_operations_and_each_is_in_the_library() -> None:
    every = [operation for operations in API.values() for operation in operations]
    assert (len(every), len(set(every))) == (49, 49)
    assert set(requests()) == set(every)


def test_each_operation_has_a_method_a_command_and_is_emulated() -> None:
    assert api_coverage.methods_missing() == set()
    assert api_coverage.commands_missing() == set()
    assert api_coverage.not_emulated() == set()


def test_a_command_that_is_not_there_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "tasks.get", "tasks nowhere")
    assert api_coverage.commands_missing() == {"tasks nowhere"}


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        ("GET /tasks/{task_id}", "get-kling-tasks-task_id"),
        ("DELETE /assets/uploaded/", "del-kling-assets-uploaded"),
        ("POST /videos/image2video-frames", "post-kling-videos-image2video-frames"),
    ],
)
def test_the_links_lead_to_the_vendors_pages(operation: str, name: str) -> None:
    assert vendors_page(operation) == f"https://useapi.net/docs/api-kling-v1/{name}"
